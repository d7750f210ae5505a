"""`sceau log verify`: the whole log, from a live store or a copy, by the log's public keys and earlier checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sceau.audit.ids import event_name, event_time, parse_event_name
from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint
from sceau.audit.log.entries import name_digest
from sceau.audit.log.errors import NoteRefused
from sceau.audit.log.notes import VerifierKey
from sceau.audit.log.places import CHECKPOINT, DATED, PENDING, RECORDS, parse_index, tile_name
from sceau.audit.log.policies import Policy
from sceau.audit.log.state import decode_state
from sceau.audit.log.tiles import ENTRIES, WIDTH, split_bundle, tile_at
from sceau.audit.retention import due_end
from sceau.audit.verify.events import EventsCheck
from sceau.audit.verify.findings import Findings
from sceau.audit.verify.index import IndexCheck, digest_of
from sceau.audit.verify.layout import LayoutCheck
from sceau.audit.verify.signed import CheckStamp, Earlier, SignedCheck, is_over
from sceau.audit.verify.sources import Source
from sceau.audit.verify.tree import TreeCheck

THREADS: Final = 16
SEALED_WITHIN: Final = timedelta(minutes=20)
"""How much older than the newest checkpoint an event may be that it does not hold. The sealer looks for new events in
the last 15 minutes; what is older and comes late waits for reconciliation, and is a finding until then."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified, and what is wrong. `waiting`: events that are younger than the checkpoint, and not in it.

    `cosigned`, `stamped`: dated checkpoints beside which cosignatures, or a time stamp, are kept that were checked;
    `cosigned_size`: of the newest that was cosigned.
    """

    checkpoint: Checkpoint | None
    date: datetime | None
    events: int
    waiting: int
    checkpoints: int
    findings: Findings
    cosigned: int = 0
    cosigned_size: int = 0
    stamped: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.checkpoint is not None and not len(self.findings)


class Verifier:
    """Verifies one log. `keys` are the auditor's, never the store's. `retention`: how long events are locked.

    `policy`, `check_stamp`: see `SignedCheck`.
    `with_events`: whether the events are there too. `with_old_partials`: see `LayoutCheck`. `pool` makes what runs
    calls that don't wait for one another.
    Raises LogUnavailable when the source does not answer: that says nothing of the log.
    """

    def __init__(
        self,
        source: Source,
        keys: Sequence[VerifierKey],
        *,
        earlier: Sequence[Earlier] = (),
        now: datetime,
        retention: timedelta,
        policy: Policy | None = None,
        check_stamp: CheckStamp = is_over,
        with_events: bool = True,
        with_old_partials: bool = False,
        pool: Callable[[], Executor] = lambda: ThreadPoolExecutor(THREADS),
    ) -> None:
        self._source = source
        self._keys = keys
        self._now = now
        self._retention = retention
        self._with_events = with_events
        self._with_old_partials = with_old_partials
        self._pool = pool
        self._findings = Findings()
        self._signed = SignedCheck(
            source, keys, earlier, self._begun, self._findings, policy=policy, check_stamp=check_stamp
        )
        self._known_begun = 0

    def verify(self) -> Verification:
        """Verify everything there is."""
        checkpoint = self._newest()
        if checkpoint is None:
            return Verification(None, None, 0, 0, 0, self._findings)
        due = due_end(None, self._now, self._retention, lives=True)
        with self._pool() as pool:
            tree = TreeCheck(self._source, checkpoint.size, self._signed.claims(checkpoint, pool), self._findings, pool)
            events = EventsCheck(self._source, self._retention, self._findings, pool)
            for number, entries in enumerate(tree.bundles()):
                if entries is not None and self._with_events:
                    events.add(number * WIDTH, entries)
            LayoutCheck(
                self._source,
                checkpoint.size,
                self._begun,
                due,
                self._findings,
                with_old_partials=self._with_old_partials,
            ).check(pool)
            waiting = 0
            if self._with_events:
                events.finish()
                self._tell_missing(events, checkpoint.size)
                waiting = self._tell_unsealed(events)
                index = IndexCheck(self._source, checkpoint.size, self._begun, self._findings)
                index.check(events, lambda number: self._bundle(number, checkpoint.size))
        signed = self._signed
        return Verification(
            checkpoint,
            signed.dated[0] if signed.dated else None,
            events.paired,
            waiting,
            signed.compared,
            self._findings,
            signed.cosigned,
            signed.cosigned_size,
            signed.stamped,
        )

    def _newest(self) -> Checkpoint | None:
        """The newest checkpoint; where it is missing or wrong, its newest dated copy stands in for what follows."""
        data = self._source.read(CHECKPOINT)
        if data is None:
            self._findings.add(CHECKPOINT, "is missing")
        else:
            try:
                return open_checkpoint(data, self._keys)[0]
            except NoteRefused as error:
                self._findings.add(CHECKPOINT, str(error))
        for kept in reversed(list(self._source.kept(DATED))):
            copy = self._source.read(kept.name)
            try:
                return open_checkpoint(copy or b"", self._keys)[0]
            except NoteRefused:
                continue
        return None

    def _begun(self, size: int) -> bool:
        """Whether the log may have this size by now: it was published since we began, or the next batch leads to it."""
        if size > self._known_begun:
            with suppress(NoteRefused, ValueError):
                newest, _ = open_checkpoint(self._source.read(CHECKPOINT) or b"", self._keys)
                self._known_begun = newest.size
                state = decode_state(self._source.read(PENDING) or b"")
                if state.batch is not None and state.size == newest.size:
                    self._known_begun += len(state.batch.entries)
        return size <= self._known_begun

    def _bundle(self, number: int, size: int) -> list[bytes] | None:
        tile = tile_at(ENTRIES, number, size)
        try:
            return split_bundle(self._source.read(tile_name(tile)) or b"", tile.width)
        except ValueError:
            return None

    def _tell_missing(self, events: EventsCheck, size: int) -> None:
        """Say of each entry without its event what became of it: it repeats another, or its event is gone."""
        for later, earlier in events.pairing.twice:
            self._findings.add(f"entry {later}", f"repeats entry {earlier}: one event was logged twice")
        if not events.pairing.entries:
            return
        indexes = {index: digest for digest, (index, _) in events.pairing.entries.items()}
        repeated: dict[bytes, int] = {}
        for number in range(-(-size // WIDTH)):
            for index, entry in enumerate(self._bundle(number, size) or (), number * WIDTH):
                digest = digest_of(entry)
                if digest in events.pairing.entries and index not in indexes:
                    repeated.setdefault(digest, index)
        names = self._names_of(indexes)
        for index, digest in sorted(indexes.items()):
            if digest in repeated:
                self._findings.add(f"entry {index}", f"repeats entry {repeated[digest]}: one event was logged twice")
            else:
                name = names.get(index, "an event that no index object names")
                self._findings.add(f"entry {index}", f"its event is missing: {name}")

    def _names_of(self, indexes: dict[int, bytes]) -> dict[int, str]:
        """The names of the events of these entries, as far as the index by record knows them."""
        names = {}
        for kept in self._source.kept(RECORDS):
            try:
                record, event_id, index = parse_index(kept.name)
            except ValueError:
                continue
            name = event_name(record, event_id)
            if indexes.get(index) == name_digest(name):
                names[index] = name
        return names

    def _tell_unsealed(self, events: EventsCheck) -> int:
        """Say which events the log should hold and does not; return how many are merely too young for it."""
        limit = self._signed.dated[0] - SEALED_WITHIN if self._signed.dated else self._now
        waiting = 0
        for kept in events.pairing.events.values():
            if event_time(parse_event_name(kept.name)[1]) < limit:
                self._findings.add(kept.name, "is an event that the log does not hold")
            else:
                waiting += 1
        return waiting
