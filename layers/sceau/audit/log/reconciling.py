"""Looks again for events that are older than the window: none may be left out of the log, however it came to be late.

Each run goes on where the last one ended, through all events by name, and looks each up in the log itself, which alone
says what was sealed. An event counts as missing only once the whole log was read for it. The place is kept in an object
of its own, outside the log: it names an event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice, takewhile
from typing import Final

from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.ahead import called_ahead
from sceau.audit.log.entries import name_digest
from sceau.audit.log.gathering import digests_in, is_event
from sceau.audit.log.places import RECONCILIATION
from sceau.audit.log.reading import LogReader
from sceau.audit.log.report import Report
from sceau.audit.log.state import LogState
from sceau.audit.log.tiles import WIDTH
from sceau.objects.errors import ObjectAbsent, ObjectChanged
from sceau.objects.ports import ObjectStore

EVENTS_PER_RUN: Final = 4096
BUNDLES_PER_RUN: Final = 1024
REST: Final = timedelta(hours=1)
"""How long after the end of a pass the next one begins."""

FORMAT: Final = "sceau-reconciliation/1"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a pass came: all names up to `after` were listed; `left` are those that were not found in the log yet.

    The log is read for them from bundle `begin` on, so far up to `forward`, then from its own beginning, so far up to
    `back`. `first`: the first bundle that held one of the names listed with them, -1 for none: where the next ones are
    looked for first. `ended`: when the last pass did, in seconds since 1970.
    """

    after: str = ""
    left: tuple[str, ...] = ()
    begin: int = 0
    forward: int = 0
    back: int = 0
    first: int = -1
    ended: int = 0

    def encode(self) -> bytes:
        """The object's bytes."""
        return json.dumps({"format": FORMAT, **asdict(self)}).encode()

    def is_searched(self, bundles: int) -> bool:
        """Whether the whole log was read, which has so many full bundles."""
        return self.forward >= bundles and self.back >= min(self.begin, bundles)


def decode_place(data: bytes) -> Place:
    """Parse the object; the beginning when it is no place of ours: nothing is lost by looking again."""
    try:
        found = json.loads(data)
        if found.pop("format") != FORMAT or not all(is_event(name) for name in found["left"]):
            return Place()
        numbers = {name: int(found[name]) for name in ("begin", "forward", "back", "first", "ended")}
        return Place(str(found["after"]), tuple(found["left"]), **numbers)
    except (ValueError, TypeError, AttributeError, KeyError):
        return Place()


@dataclass(frozen=True, slots=True)
class Found:
    """Events that are nowhere in the log, in the order of their names; and what is kept once they are sealed."""

    missing: tuple[str, ...]
    place: Place
    tag: str | None


class Reconciler:
    """Looks at some old events per run. What the store raises passes; `pool` reads ahead."""

    def __init__(self, store: ObjectStore, log: LogReader, *, clock: Callable[[], datetime], pool: Executor) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._pool = pool

    def look(self, state: LogState, report: Report) -> Found | None:
        """Look at the next events before the window; None when there is nothing to do now."""
        place, tag = self._place()
        now = int(self._clock().timestamp())
        if not place.after and 0 <= now - place.ended < REST.total_seconds():
            return None
        if not place.left:
            names = list(islice(self._names(place.after, f"{EVENTS_PREFIX}{state.start}/"), EVENTS_PER_RUN))
            if not names:
                return Found((), Place(ended=now), tag)
            report.looked_back += len(names)
            begin = max(place.first, 0)
            place = Place(names[-1], tuple(filter(is_event, names)), begin, begin, ended=place.ended)
        place = self._search(place, state)
        missing = place.left if place.is_searched(state.size // WIDTH) else ()
        return Found(missing, place if not missing else replace(place, left=()), tag)

    def keep(self, found: Found) -> None:
        """Keep how far we came. Another run that was here too may have come as far: then its place stays."""
        try:
            self._store.replace(RECONCILIATION, found.place.encode(), expected=found.tag)
        except ObjectChanged:
            return

    def _place(self) -> tuple[Place, str | None]:
        try:
            stored = self._store.read(RECONCILIATION)
        except ObjectAbsent:
            return Place(), None
        return decode_place(stored.data), stored.tag

    def _names(self, after: str, end: str) -> Iterator[str]:
        return takewhile(lambda name: name < end, self._store.list(EVENTS_PREFIX, after=after))

    def _search(self, place: Place, state: LogState) -> Place:
        """Read on in the log for the names that are left, as far as one run may."""
        left = {name_digest(name): name for name in place.left}
        bundles = state.size // WIDTH
        forward, back, first = place.forward, place.back, place.first

        def is_in(entries: Iterable[bytes]) -> bool:
            before = len(left)
            for digest in digests_in(entries):
                left.pop(digest, None)
            return len(left) < before

        if is_in(state.edge.entries):
            first = bundles if first < 0 else first
        numbers = chain(range(forward, bundles), range(back, min(place.begin, bundles)))
        bundles_ahead = called_ahead(
            self._pool, lambda number: self._log.entries(number, state.size), islice(numbers, BUNDLES_PER_RUN)
        )
        while left and (entries := next(bundles_ahead, None)) is not None:
            number = forward if forward < bundles else back
            if is_in(entries):
                first = number if first < 0 else min(first, number)
            if forward < bundles:
                forward += 1
            else:
                back += 1
        return replace(place, left=tuple(left.values()), forward=forward, back=back, first=first)
