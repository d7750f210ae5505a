"""Locks last as long as records live: they are made longer before they run out, and never shorter.

A run goes on where the last one ended, and looks at the lock of each event, tile and dated checkpoint; those of which
less than the retention and half of what is added to it are left, are locked anew. It reads no object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from sceau.audit.ids import EVENTS_PREFIX, NO_RECORD, event_time, parse_event_name
from sceau.audit.log.ahead import called_ahead
from sceau.audit.log.places import DATED, LOG, TILES
from sceau.audit.log.tiles import parse_path
from sceau.audit.retention import AHEAD, clocks_agree, due_end, lock_end
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectLocked, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore, check_name

PLACE: Final = "journal/locks"
FORMAT: Final = "sceau-locks/1"
PREFIXES: Final = (EVENTS_PREFIX, DATED, TILES)
"""Where what is written once lies, in the order of names."""

STEP: Final = 1024
SLICE: Final = 64
MOST_RECORDS: Final = 100_000
REST: Final = timedelta(days=1)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Term:
    """Until when an object must be locked now at least, when its lock is made longer, and until when then."""

    due: datetime
    renewed_below: datetime
    end: datetime


@dataclass(slots=True)
class LocksTally:
    """What a run did. `unlocked`: objects that had no lock at all; they have one now. `finished`: a pass ended."""

    looked: int = 0
    extended: int = 0
    unlocked: int = 0
    failed: int = 0
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Unlocked:
    """An object whose lock ends before it may: when it ends (None: it has none), and until when it must last."""

    name: str
    end: datetime | None
    due: datetime


class Locks:
    """Knows what must be locked, and until when. `lives(record_id)` tells whether a record does; "0" is none."""

    def __init__(
        self, store: ObjectStore, *, clock: Callable[[], datetime], retention: timedelta, lives: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._lives = lives
        self._known: dict[str, bool] = {}

    def names(self, after: str = "") -> Iterator[str]:
        """Everything that is written once and locked, after `after`, in the order of names."""
        for prefix in PREFIXES:
            for name in self._store.list(prefix, after=after):
                if prefix != TILES or is_full_tile(name):
                    yield name

    def term(self, name: str) -> Term | None:
        """The term of an object; None for what is none of ours."""
        now = self._clock()
        time, lives = None, True
        if name.startswith(EVENTS_PREFIX):
            try:
                record, event_id = parse_event_name(name)
            except ValueError:
                return None
            time, lives = event_time(event_id), self._record_lives(record)
        due = due_end(time, now, self._retention, lives=lives)
        return Term(
            due, due + AHEAD / 2 if lives else due, lock_end(now if lives or time is None else time, self._retention)
        )

    def too_short(self, pool: Executor) -> Iterator[Unlocked]:
        """Every object whose lock ends before it may. What the store raises passes; `pool` asks ahead."""
        return (one for one in called_ahead(pool, self._if_too_short, self.names()) if one is not None)

    def _if_too_short(self, name: str) -> Unlocked | None:
        term = self.term(name)
        end = self._store.locked_until(name) if term else None
        return Unlocked(name, end, term.due) if term and (end is None or end < term.due) else None

    def _record_lives(self, record: str) -> bool:
        """Whether a record lives; asked once for each record that a run meets, up to a number."""
        if record == NO_RECORD:
            return False
        if record not in self._known:
            if len(self._known) >= MOST_RECORDS:
                self._known.clear()
            self._known[record] = self._lives(record)
        return self._known[record]


class LockKeeper:
    """Makes locks longer. `pool` makes what runs calls that don't wait for one another."""

    def __init__(
        self,
        store: ObjectStore,
        locks: Locks,
        *,
        clock: Callable[[], datetime],
        pool: Callable[[], Executor],
    ) -> None:
        self._store = store
        self._locks = locks
        self._clock = clock
        self._pool = pool

    def run(self, until: datetime) -> LocksTally:
        """Go on with the pass until it ends, or `until` is reached. A pass begins a day after the last one ended.

        A listing that fails ends the run; a lock that can't be looked at or made longer waits for the next pass. While
        our clock and the store's are more than a minute apart none is: too long a lock can't be taken back.
        """
        tally = LocksTally()
        try:
            if not clocks_agree(self._clock(), self._store.time()):
                tally.failed += 1
                return tally
            after, ended, tag = self._place()
            if not after and self._clock() - ended < REST:
                tally.finished = True
                return tally
            names = self._locks.names(after)
            with self._pool() as pool:
                while self._clock() < until:
                    some = list(islice(names, STEP))
                    if not some:
                        tally.finished, after, ended = True, "", self._clock()
                        break
                    slices = [some[at : at + SLICE] for at in range(0, len(some), SLICE)]
                    for part in pool.map(self._renew, slices):
                        tally.looked += part.looked
                        tally.extended += part.extended
                        tally.unlocked += part.unlocked
                        tally.failed += part.failed
                    after = some[-1]
            if tally.looked or tag is not None:  # a stage without a journal yet has no place in it
                self._keep(after, ended, tag)
        except ObjectStoreUnavailable:
            tally.failed += 1
        return tally

    def _renew(self, names: Sequence[str]) -> LocksTally:
        part = LocksTally()
        for name in names:
            try:
                self._renew_one(name, part)
            except ObjectAbsent:
                continue
            except (ObjectLocked, ObjectStoreUnavailable):
                part.failed += 1
        return part

    def _renew_one(self, name: str, part: LocksTally) -> None:
        term = self._locks.term(name)
        if term is None:
            return
        part.looked += 1
        end = self._store.locked_until(name)
        if end is None or end < term.renewed_below:
            self._store.extend_lock(name, term.end)
            part.extended += 1
            part.unlocked += end is None

    def _place(self) -> tuple[str, datetime, str | None]:
        """After which name to go on ("": from the beginning), when the last pass ended, and the object's tag."""
        try:
            stored = self._store.read(PLACE)
        except ObjectAbsent:
            return "", _NEVER, None
        try:
            found = json.loads(stored.data)
            if found["format"] != FORMAT:
                return "", _NEVER, stored.tag
            return (
                check_name(found["after"]) if found["after"] else "",
                datetime.fromtimestamp(int(found["ended"]), UTC),
                stored.tag,
            )
        except (ValueError, TypeError, KeyError):
            return "", _NEVER, stored.tag  # looking again harms nothing

    def _keep(self, after: str, ended: datetime, tag: str | None) -> None:
        data = json.dumps({"format": FORMAT, "after": after, "ended": int(ended.timestamp())}).encode()
        with suppress(ObjectChanged):  # another run was here: its place does as well
            self._store.replace(PLACE, data, expected=tag)


def is_full_tile(name: str) -> bool:
    """Whether this is the name of a tile that never changes again: such are locked."""
    try:
        return parse_path(name.removeprefix(LOG)).full
    except ValueError:
        return False
