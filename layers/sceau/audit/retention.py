"""How long traces are locked. Pure.

A trace is kept for 10 years after its record is closed (CNAM EX_AIR-100); nobody knows beforehand when that is. So
while a record lives, each of its events stays locked until at least the retention (a stage's setting, 10 years or
more) from now, whenever now is: events are locked for half a year more than that, and locked for longer before the
half year is over. A lock is never shortened. When a record no longer lives, its locks run out by themselves.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

AHEAD: Final = timedelta(days=180)
"""How much longer than the retention new locks, and lengthened ones, last."""

CLOCK_TOLERANCE: Final = timedelta(minutes=1)
"""How far our clock and the store's may be apart for us to write: a lock's end is computed by ours, kept by the
store's, and can't be taken back."""


def lock_end(now: datetime, retention: timedelta) -> datetime:
    """Until when something is locked that is written, or whose lock is made longer, now."""
    return now + retention + AHEAD


def due_end(event_time: datetime | None, now: datetime, retention: timedelta, *, lives: bool) -> datetime:
    """Until when at least an event must be locked now: `lives` tells whether its record does.

    `event_time` is None for objects of the log itself, which lives on.
    """
    return (now if lives or event_time is None else event_time) + retention


def clocks_agree(ours: datetime, stores: datetime) -> bool:
    """Whether the clocks are close enough for us to write."""
    return abs(ours - stores) <= CLOCK_TOLERANCE
