"""Finds the events that are not in the log yet, by their names, and makes their entries, from ciphertext.

Events are looked for in a window: from a quarter of an hour ago, or from where the last run ended, to a quarter of an
hour ahead. That is many times what a writer may be late (it ends within 30 s, and its clock is at most a minute off).
What is older and was missed all the same, reconciliation finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sceau.audit.ids import EVENTS_PREFIX, event_time, parse_event_name
from sceau.audit.log.ahead import called_ahead
from sceau.audit.log.entries import decode_entry, entry_of, name_digest
from sceau.audit.log.reading import LogReader
from sceau.audit.log.report import Report
from sceau.audit.log.state import LogState, lowest_index, minute_of
from sceau.audit.log.tiles import WIDTH
from sceau.audit.retention import due_end
from sceau.objects.errors import ObjectAbsent, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects

WINDOW: Final = timedelta(minutes=15)

SLICE: Final = 64
"""Events that one thread reads before it takes more."""

_TRIED_IN_VAIN = 8  # then the rest of a slice is left for the next run: the store is out, not an object damaged


@dataclass(frozen=True, slots=True)
class Gathered:
    """An event's object, and its entry."""

    name: str
    entry: bytes


def minute_in(name: str) -> str:
    """The minute that an event's name stands under."""
    return name[len(EVENTS_PREFIX) :].rpartition("/")[0]


def indexed(entries: Iterable[bytes], first: int) -> Iterator[tuple[int, bytes]]:
    """The index, from `first` on, and the name digest of log entries. What is no entry known here is passed over."""
    for index, entry in enumerate(entries, first):
        try:
            yield index, decode_entry(entry).name_sha256
        except ValueError:
            continue


def digests_in(entries: Iterable[bytes]) -> Iterator[bytes]:
    """The name digests of log entries."""
    return (digest for _, digest in indexed(entries, 0))


class EventSource:
    """Reads the journal. What a listing raises passes; `pool` runs reads that don't wait for one another."""

    def __init__(
        self, store: ImmutableObjects, *, clock: Callable[[], datetime], retention: timedelta, pool: Executor
    ) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._pool = pool

    def first_minute(self) -> str:
        """Where a log begins to look that has nothing yet: the minute of the journal's first event, or the window's."""
        start = minute_of(self._clock() - WINDOW)
        for name in self._store.list(EVENTS_PREFIX):
            if is_event(name):
                return min(start, minute_in(name))
        return start

    def new_names(self, state: LogState, log: LogReader, report: Report) -> Iterator[str]:
        """The names of the window's events that are not in the log, in their order.

        Holds the digests of the window's events in memory; what comes while it runs may be found or not.
        """
        sealed = set(digests_in(self._entries_from(lowest_index(state.first, state.size), state, log)))
        last = f"{EVENTS_PREFIX}{minute_of(self._clock() + WINDOW)}/~"  # "~" sorts behind all names
        for name in self._store.list(EVENTS_PREFIX, after=f"{EVENTS_PREFIX}{state.start}/"):
            if name > last:
                report.ahead += 1  # at least one: its time will come
                return
            if not is_event(name):
                report.strays += 1
            elif name_digest(name) not in sealed:
                yield name

    def gather(self, names: Sequence[str], report: Report) -> list[Gathered]:
        """The entries of events, in the order of `names`. What can't be read now is left out, and counted."""
        slices = [names[at : at + SLICE] for at in range(0, len(names), SLICE)]
        found: list[Gathered] = []
        for part in self._pool.map(self._gather_slice, slices):
            found += part.gathered
            report.unread += part.unread
            report.vanished += part.vanished
            report.unlocked += part.unlocked
        return found

    def _entries_from(self, index: int, state: LogState, log: LogReader) -> Iterator[bytes]:
        numbers = range(index // WIDTH, state.size // WIDTH)
        for entries in called_ahead(self._pool, lambda number: log.entries(number, state.size), numbers):
            yield from entries
        yield from state.edge.entries

    def _gather_slice(self, names: Sequence[str]) -> _Slice:
        part = _Slice([])
        for number, name in enumerate(names):
            try:
                message = self._store.read(name).data
                end = self._store.locked_until(name)
            except ObjectAbsent:
                part.vanished += 1  # somebody hides it; whoever lists versions finds it
                continue
            except ObjectStoreUnavailable:
                part.unread += 1
                if part.unread == _TRIED_IN_VAIN and not part.gathered:
                    part.unread += len(names) - number - 1
                    break
                continue
            time = event_time(parse_event_name(name)[1])
            part.unlocked += end is None or end < due_end(time, time, self._retention, lives=False)
            part.gathered.append(Gathered(name, entry_of(name, message).encode()))
        return part


@dataclass(slots=True)
class _Slice:
    gathered: list[Gathered]
    unread: int = 0
    vanished: int = 0
    unlocked: int = 0


def is_event(name: str) -> bool:
    """Whether an event of ours can have this name."""
    try:
        parse_event_name(name)
    except ValueError:
        return False
    return True
