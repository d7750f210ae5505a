"""How a record's life ends by itself: a suspension that nobody objected to, an archive that is over, a request. Pure.

`consent` leaves a mark for each day on which something may be due, `upkeep` carries out what then is. Sources: CSP
L. 1111-18 (ten years' archive), R. 1111-36 (deletion on express request within three months; the insurer suspends, and
closes where the holder does not object within six weeks). After how long a death closes a record, no source was found
for: a setting says it, and ships as at once. From the report on the record is read by nobody (`RecordStatus.DECEASED`).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from enum import StrEnum

from sceau_schemas.rules import RuleSettings


class End(StrEnum):
    """What becomes of the record."""

    CLOSE = "close"
    DELETE = "delete"


class Cause(StrEnum):
    """Why. It stands in traces."""

    SUSPENSION = "suspension-over"
    DEATH = "death"
    ARCHIVE = "archive-over"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Life:
    """What the end depends on (aware times). `suspended`, `closed`: since when, as long as it is. `died`: when a death
    was reported that has not closed it yet."""

    suspended: datetime | None = None
    died: datetime | None = None
    closed: datetime | None = None
    deletion_requested: datetime | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What is due from `at` (aware) on."""

    end: End
    cause: Cause
    at: datetime


def ahead(life: Life, settings: RuleSettings) -> tuple[Due, ...]:
    """All that lies ahead of a record if nobody does anything more, in order; nothing for an open one."""
    if life.closed is None:
        closings = []
        if life.suspended is not None:
            closings.append(Due(End.CLOSE, Cause.SUSPENSION, life.suspended + timedelta(days=settings.suspension_days)))
        if life.died is not None:
            closings.append(Due(End.CLOSE, Cause.DEATH, life.died + timedelta(days=settings.death_closing_days)))
        if not closings:
            return ()
        closing = min(closings, key=lambda due: due.at)
        return closing, _archive_end(closing.at, settings)
    by_itself = _archive_end(life.closed, settings)
    if life.deletion_requested is None:
        return (by_itself,)
    requested = life.deletion_requested + timedelta(days=settings.deletion_request_days)
    return (min(by_itself, Due(End.DELETE, Cause.REQUEST, requested), key=lambda due: due.at),)


def _archive_end(closed: datetime, settings: RuleSettings) -> Due:
    """Years later on the same day; who has none of that name ends on the month's last (procédure civile, 641)."""
    year = min(closed.year + settings.archive_years, MAXYEAR)
    day = min(closed.day, calendar.monthrange(year, closed.month)[1])
    return Due(End.DELETE, Cause.ARCHIVE, closed.replace(year=year, day=day))
