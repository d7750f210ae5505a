"""Checks every checkpoint that is signed for a log, and what others said of it beside: cosignatures, time stamps.

Signatures are checked here; sizes and roots are compared with the tree, as its check comes to them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from sceau.audit.log.ahead import called_ahead
from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint
from sceau.audit.log.errors import NoteRefused, QuorumMissed, StampRefused
from sceau.audit.log.notes import Note, VerifierKey
from sceau.audit.log.places import CHECKPOINT, COSIGNED, DATED, STAMP, beside_of, parse_dated
from sceau.audit.log.policies import NONE, Policy
from sceau.audit.verify.findings import Findings
from sceau.audit.verify.sources import Source
from sceau.audit.verify.tree import Claim

CheckStamp = Callable[[bytes, bytes], object]
"""Takes a stored time stamp and the checkpoint that it should be over. Raises StampRefused."""


def is_over(stamp: bytes, note: bytes) -> None:
    """A CheckStamp that looks at the digest alone: whom to trust for the signature, only the auditor can say."""
    from sceau.audit.log.stamping import require_imprint

    require_imprint(stamp, note)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A signed checkpoint that somebody kept, and what it is called in a finding."""

    place: str
    note: bytes


class SignedCheck:
    """Checks the checkpoints of one log. `begun` tells whether one of another size is in the making.

    `policy`: what every cosigned checkpoint must satisfy; without one, that it carries a cosignature is all that can be
    said. When all claims were taken, `compared`, `cosigned` and `stamped` are numbers of checkpoints, `dated` is date
    and size of the newest dated copy, `cosigned_size` the size of the largest that was cosigned.
    """

    def __init__(
        self,
        source: Source,
        keys: Sequence[VerifierKey],
        earlier: Sequence[Earlier],
        begun: Callable[[int], bool],
        findings: Findings,
        *,
        policy: Policy | None,
        check_stamp: CheckStamp,
    ) -> None:
        self.compared = 0
        self.cosigned = 0
        self.cosigned_size = 0
        self.stamped = 0
        self.dated: tuple[datetime, int] | None = None
        self._source = source
        self._keys = keys
        self._earlier = earlier
        self._begun = begun
        self._findings = findings
        self._policy = policy
        self._check_stamp = check_stamp

    def claims(self, checkpoint: Checkpoint, pool: Executor) -> Iterator[Claim]:
        """What is signed: those given, the dated copies, cosigned ones, and the newest, `checkpoint`; by size."""
        alone = [*self._given(), *self._shown_as_cosigned(checkpoint.size)]
        alone.sort(key=lambda claim: claim.size)
        newest = [Claim(checkpoint.size, checkpoint.root, CHECKPOINT)]
        return heapq.merge(alone, self._copies(checkpoint.size, pool), newest, key=lambda claim: claim.size)

    def _given(self) -> Iterator[Claim]:
        for earlier in self._earlier:
            opened = self._opened(earlier.place, earlier.note)
            if opened is not None:
                self.compared += 1
                yield Claim(opened[0].size, opened[0].root, earlier.place)

    def _shown_as_cosigned(self, size: int) -> Iterator[Claim]:
        data = self._source.read(COSIGNED)
        if data is None:
            if self._policy is not None and self._policy.quorum != NONE:
                self._findings.add(COSIGNED, "is missing: no checkpoint is shown that has what the policy wants")
            return
        opened = self._opened(COSIGNED, data)
        if opened is None or (opened[0].size > size and self._begun(opened[0].size)):
            return
        self._check_cosigned(COSIGNED, opened[1])
        yield Claim(opened[0].size, opened[0].root, COSIGNED)

    def _copies(self, whole: int, pool: Executor) -> Iterator[Claim]:
        last, of = 0, ("", b"")
        for kept, data in called_ahead(pool, lambda one: (one, self._source.read(one.name)), self._source.kept(DATED)):
            beside = beside_of(kept.name)
            try:
                date, size = parse_dated(kept.name, beside)
            except ValueError:
                continue  # said of the layout
            if size > whole and self._begun(size):
                continue  # it came after the one that is verified
            if not beside:
                of = (kept.name, data or b"")
            elif kept.name != of[0] + beside:
                self._findings.add(kept.name, "stands beside no dated checkpoint")
            elif beside == STAMP:
                self._check_stamped(kept.name, data or b"", of[1])
            opened = None if beside == STAMP else self._opened(kept.name, data or b"")
            if opened is None:
                continue
            if opened[0].size != size or size < last:
                self._findings.add(kept.name, f"holds a checkpoint of {opened[0].size} entries, out of its order")
                continue
            last = size
            if beside:
                self._check_cosigned(kept.name, opened[1])
                self.cosigned, self.cosigned_size = self.cosigned + 1, size
            else:
                self.compared += 1
                if size <= whole:
                    self.dated = (date, size)
            yield Claim(size, opened[0].root, kept.name)
        if self.dated is None or self.dated[1] != whole:
            self._findings.add(CHECKPOINT, "has no dated copy")

    def _check_cosigned(self, place: str, note: Note) -> None:
        """Note it when a checkpoint that is kept as cosigned is not, or not as the policy wants."""
        ours = {(key.name, key.key_id) for key in self._keys}
        if all((one.name, one.key_id) in ours for one in note.signatures):
            self._findings.add(place, "carries no cosignature")
        elif self._policy is not None:
            try:
                self._policy.require(note)
            except (NoteRefused, QuorumMissed) as error:
                self._findings.add(place, str(error))

    def _check_stamped(self, place: str, stamp: bytes, note: bytes) -> None:
        try:
            self._check_stamp(stamp, note)
        except StampRefused as error:
            self._findings.add(place, str(error))
        else:
            self.stamped += 1

    def _opened(self, place: str, data: bytes) -> tuple[Checkpoint, Note] | None:
        try:
            return open_checkpoint(data, self._keys)
        except NoteRefused as error:
            self._findings.add(place, str(error))
            return None
