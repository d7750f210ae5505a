"""Has witnesses cosign the newest checkpoint (C2SP tlog-witness), as the policy says whom.

Nothing waits for them: events are sealed and checkpoints published whether or not a witness answers. What has its
quorum is kept beside: `journal/log/cosigned` is the newest such checkpoint, with all its signatures, and each one has
a dated, locked copy. Why: docs/decisions/0020-a-log-without-its-witnesses-goes-on.md
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from sceau.audit.log.asking import Ask, Reply
from sceau.audit.log.checkpoints import parse_checkpoint
from sceau.audit.log.errors import LogUnavailable, NoReply, NoteRefused
from sceau.audit.log.notes import Note, Signature, parse_note
from sceau.audit.log.places import CHECKPOINT, COSIGNED, COSIGNED_COPY, dated_name
from sceau.audit.log.policies import NONE, Policy, Witness
from sceau.audit.log.published import Newest, newest_checkpoint
from sceau.audit.log.reading import LogReader
from sceau.audit.retention import lock_end
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectExists, ObjectLocked, ObjectStoreError
from sceau.objects.ports import ObjectStore

LATEST: Final = timedelta(minutes=15)
"""How old the newest checkpoint with its quorum may be, while there is a newer one, before somebody must look."""

TOLERANCE: Final = timedelta(minutes=5)
"""How far a cosignature's time may be from our clock when we get it."""

_ADD = "/add-checkpoint"
_TEXT: Final = "text/plain"
_SIZE_TYPE: Final = "text/x.tlog.size"
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,17})\n")
_OK, _CONFLICT, _UNPROCESSABLE, _SERVER_ERROR = 200, 409, 422, 500


class _Said(Enum):
    """How an asked witness answered."""

    COSIGNED = "cosigned"
    UNANSWERED = "unanswered"  # no answer, or any 5xx: no cosignature, and nothing learnt
    UNKNOWN = "unknown"  # it does not know our log, or our keys
    REFUSED = "refused"  # it does not find this log consistent with what it saw
    AHEAD = "ahead"  # it saw a larger log than there is here


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """What the witnesses did. `quorum`: the newest checkpoint has the cosignatures that the policy wants.

    `refused` and `ahead` mean that the log forked or went back, or that a witness is broken. `overdue`: the newest
    checkpoint with its quorum is too old.
    """

    asked: int = 0
    cosigned: int = 0
    unanswered: int = 0
    unknown: int = 0
    refused: int = 0
    ahead: int = 0
    quorum: bool = False
    overdue: bool = False

    def figures(self) -> dict[str, int | float]:
        """The numbers, for the log of operations."""
        return {f"witnesses_{name}": int(number) for name, number in asdict(self).items()}

    @property
    def alarms(self) -> dict[str, int]:
        """What looks like a log that forked, or went back."""
        return _named(refused=self.refused, ahead=self.ahead)

    @property
    def troubles(self) -> dict[str, int]:
        """What keeps checkpoints from their quorum, and must be mended."""
        return _named(unknown=self.unknown, overdue=self.overdue)


class Witnesses:
    """Asks the witnesses of one log's policy. Safe under threads. `pool` asks several at a time."""

    def __init__(
        self,
        store: ObjectStore,
        policy: Policy,
        ask: Ask,
        *,
        clock: Callable[[], datetime],
        retention: timedelta,
        pool: Callable[[], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._store = store
        self._log = LogReader(store)
        self._policy = policy
        self._ask = ask
        self._clock = clock
        self._retention = retention
        self._pool = pool
        self._asked = [one for one in policy.witnesses if one.url is not None]
        self._sizes: dict[str, int] = {}
        """The size that each witness cosigned last, as far as this process knows."""

    def run(self) -> WitnessReport | None:
        """Have the newest checkpoint cosigned, unless it is; None when there was nothing to do.

        Raises LogUnavailable when the store does not answer.
        """
        if not self._asked:
            return None
        newest = newest_checkpoint(self._log)
        if newest is None:
            return None
        before = self._cosigned()
        if before is not None and before.size >= newest.checkpoint.size:
            return None
        for witness in before.times if before else ():
            self._sizes.setdefault(witness, before.size if before else 0)
        with self._pool() as pool:
            answers = list(pool.map(lambda witness: self._answer(witness, newest), self._asked))
        note = self._joined(newest, [one.line for one in answers if one.line])
        times = self._policy.cosigned(note)
        quorum = self._policy.met_by(times)
        try:
            self._keep(newest, note, quorum=quorum and bool(times))
        except ObjectStoreError as error:
            raise LogUnavailable("cosignatures could not be kept") from error
        said = [self._without_ours(one, newest) for one in answers]
        counts = {kind.value: said.count(kind) for kind in _Said}
        return WitnessReport(
            asked=len(self._asked), **counts, quorum=quorum, overdue=not quorum and self._is_overdue(before)
        )

    def _without_ours(self, answer: _Answer, newest: Newest) -> _Said:
        """What a witness's answer tells, when the larger log that it saw may be one that another run of ours showed."""
        if answer.said is _Said.AHEAD:
            now = newest_checkpoint(self._log)
            if now is not None and now.checkpoint.size >= max(answer.size, newest.checkpoint.size + 1):
                return _Said.UNANSWERED
        return answer.said

    def _cosigned(self) -> _Cosigned | None:
        """The newest checkpoint that has its quorum. What does not read as one is as none: it will be replaced."""
        data = self._log.object(COSIGNED)
        try:
            note = parse_note(data) if data is not None else None
            if note is None:
                return None
            times = self._policy.cosigned(note)
            return _Cosigned(parse_checkpoint(note.text).size, times) if self._policy.met_by(times) else None
        except NoteRefused:
            return None

    def _is_overdue(self, before: _Cosigned | None) -> bool:
        if self._policy.quorum == NONE:
            return False
        latest = max(before.times.values(), default=0) if before else 0
        return self._clock().timestamp() - latest > LATEST.total_seconds()

    def _answer(self, witness: Witness, newest: Newest) -> _Answer:
        """Ask one witness. One that has seen another size than we thought is asked once more."""
        try:
            old = min(self._sizes.get(witness.name, 0), newest.checkpoint.size)
            reply = self._submitted(witness, newest, old)
            size = _size_told(reply)
            again = size is not None and size != old
            if size is not None and again:
                if size > newest.checkpoint.size:
                    return _Answer(_Said.AHEAD, size=size)
                reply = self._submitted(witness, newest, size)
        except NoReply:
            return _Answer(_Said.UNANSWERED)
        if reply.status == _OK:
            line = self._accepted(witness, newest, reply.body)
            if line is None:
                return _Answer(_Said.UNANSWERED)
            self._sizes[witness.name] = newest.checkpoint.size
            return _Answer(_Said.COSIGNED, line)
        if reply.status >= _SERVER_ERROR or (again and _size_told(reply) is not None):
            return _Answer(_Said.UNANSWERED)  # it is broken, or another run of ours was faster, twice
        return _Answer(_Said.REFUSED if reply.status in (_CONFLICT, _UNPROCESSABLE) else _Said.UNKNOWN)

    def _submitted(self, witness: Witness, newest: Newest, old: int) -> Reply:
        proof = self._log.consistency(old, newest.checkpoint.size, newest.frontier)
        lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof), "", ""]
        return self._ask(f"{witness.url}{_ADD}", "\n".join(lines).encode() + newest.note, _TEXT)

    def _accepted(self, witness: Witness, newest: Newest, body: bytes) -> Signature | None:
        """The good cosignature in a witness's answer: its own, over this checkpoint, of now."""
        text = parse_note(newest.note).text
        try:
            lines = parse_note(text + b"\n" + body).signatures
        except NoteRefused:
            return None
        now = self._clock().timestamp()
        for line in lines:
            if (line.name, line.key_id) != (witness.key.name, witness.key.key_id):
                continue
            time = witness.key.cosigned_at(text, line.value)
            if time is not None and abs(now - time) <= TOLERANCE.total_seconds():
                return line
        return None

    def _joined(self, newest: Newest, cosignatures: Sequence[Signature]) -> Note:
        """The checkpoint with what was obtained, behind the log's own signatures."""
        note = parse_note(newest.note)
        return Note(note.text, (*note.signatures, *cosignatures))

    def _keep(self, newest: Newest, note: Note, *, quorum: bool) -> None:
        """Keep what was obtained: dated and locked, then as the newest. Each step done again does nothing."""
        data = note.encode()
        if data == newest.note:
            return
        if quorum:
            name = dated_name(newest.date, newest.checkpoint.size, COSIGNED_COPY)
            with suppress(ObjectExists):  # another run was as fast: its copy has its quorum too
                self._store.create(name, data, locked_until=lock_end(self._clock(), self._retention))
            self._show(data, newest.checkpoint.size)
        self._add(data, note.text)

    def _show(self, data: bytes, size: int) -> None:
        """Put it in the place of an older one with its quorum. Whoever was faster with a newer one stays."""
        tag = None
        try:
            there = self._store.read(COSIGNED)
            tag = there.tag
            if _size_of(there.data) > size:
                return
        except ObjectAbsent:
            pass
        with suppress(ObjectChanged, ObjectLocked):
            self._store.replace(COSIGNED, data, expected=tag)

    def _add(self, data: bytes, text: bytes) -> None:
        """Add the cosignatures to the newest checkpoint, if that is still this one. The sealer alone shows others: what
        it has to find there, when something was put back, must not be put away by us."""
        with suppress(ObjectAbsent, ObjectChanged, ObjectLocked, NoteRefused):
            there = self._store.read(CHECKPOINT)
            if parse_note(there.data).text == text:
                self._store.replace(CHECKPOINT, data, expected=there.tag)


def _named(**found: int) -> dict[str, int]:
    return {f"witnesses_{name}": int(number) for name, number in found.items() if number}


@dataclass(frozen=True, slots=True)
class _Answer:
    said: _Said
    line: Signature | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Cosigned:
    size: int
    times: dict[str, int]


def _size_told(reply: Reply) -> int | None:
    """The size that a witness says it has seen, when it answers so."""
    if reply.status != _CONFLICT or reply.media_type != _SIZE_TYPE:
        return None
    match = _SIZE.fullmatch(reply.body)
    return int(match[1]) if match else None


def _size_of(data: bytes) -> int:
    """The size that a checkpoint says; -1 for what is none: it may be replaced."""
    try:
        return parse_checkpoint(parse_note(data).text).size
    except NoteRefused:
        return -1
