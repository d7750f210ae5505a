"""`sceau log status`: where the log stands, what waits to be sealed and for how long, and whether that is too long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from sceau.audit.ids import event_time, parse_event_name
from sceau.audit.log.errors import LogDamaged, LogUnavailable
from sceau.audit.log.gathering import EventSource
from sceau.audit.log.places import PENDING
from sceau.audit.log.reading import LogReader
from sceau.audit.log.report import Report
from sceau.audit.log.state import LogState, decode_state
from sceau.audit.log.tiles import Edge
from sceau.objects.errors import ObjectStoreError
from sceau.objects.ports import ObjectStore

AGES: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""The borders between which waiting events are counted."""

MOST: Final = 1_000_000
"""Waiting events that are counted."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where the log stands. `date`: of its newest checkpoint. `waiting`: events that it does not hold, by age: up to
    each of AGES, and over the last. `oldest`: the time of the oldest of them. `fixed`: those that are being sealed."""

    size: int
    date: datetime | None
    waiting: tuple[int, ...]
    oldest: datetime | None
    fixed: int
    ahead: int

    def is_late(self, now: datetime, limit: timedelta) -> bool:
        """Whether an event has waited for longer than `limit`: then so old is the newest checkpoint too."""
        return self.oldest is not None and now - self.oldest > limit


def log_status(store: ObjectStore, now: datetime) -> Status:
    """Look; nothing is written, and no key is needed. Raises LogUnavailable; LogDamaged when what the sealer kept is
    malformed: where the log stands, its next run says.

    Old events that reconciliation has yet to find are not seen here: `sceau log verify` finds them.
    """
    log = LogReader(store)
    kept = _kept(log)
    try:
        with ThreadPoolExecutor(1) as pool:
            source = EventSource(store, clock=lambda: now, retention=timedelta(0), pool=pool)
            state = kept or LogState("", Edge(), None, source.first_minute())
            report = Report()
            names = islice(source.new_names(state, log, report), MOST)
            times = [event_time(parse_event_name(name)[1]) for name in names]
    except ObjectStoreError as error:
        raise LogUnavailable("the journal can't be listed") from error
    counts = [0] * (len(AGES) + 1)
    for time in times:
        counts[sum(now - time > age for age in AGES)] += 1
    fixed = len(state.batch.entries) if state.batch else 0
    return Status(state.size, state.date, tuple(counts), min(times, default=None), fixed, report.ahead)


def _kept(log: LogReader) -> LogState | None:
    data = log.object(PENDING)
    try:
        return None if data is None else decode_state(data)
    except ValueError as error:
        raise LogDamaged(
            f"{PENDING} can't be used ({error}): the sealer's next run makes it again, and says so"
        ) from None
