"""What time alone changes: a minor comes of age, a document that awaits its announcement becomes visible. Pure."""

from __future__ import annotations

import calendar
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta, timezone
from typing import Final

MAJORITY_YEARS: Final = 18
"""Code civil, article 414."""

NOTICE_AFTER: Final = timedelta(weeks=2)
"""CSP R. 1111-53: without an announcement the patient is then told, in neutral words, to see a professional."""

CARE_HISTORY_MONTHS: Final = 24
"""Reimbursements stand in the record for so long (the insurer's rolling feed, CNAM-HR)."""

_MARCH, _OCTOBER, _DECEMBER = 3, 10, 12


def visible_from(deposited: datetime) -> datetime:
    """When a document awaiting its announcement becomes visible to the patient by itself: a month after its deposit.

    CSP R. 1111-53. A month without that day ends on its last one (code de procédure civile, article 641).
    """
    year, month = divmod(deposited.month, _DECEMBER)
    year, month = deposited.year + year, month + 1
    if year > MAXYEAR:
        return datetime.max.replace(tzinfo=UTC)
    return deposited.replace(year=year, month=month, day=min(deposited.day, calendar.monthrange(year, month)[1]))


def months_before(day: date, months: int) -> date:
    """The same day so many months before; a month without that day ends on its last one."""
    year, month = divmod(day.year * _DECEMBER + day.month - 1 - months, _DECEMBER)
    if year < MINYEAR:
        return date.min
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def fallen_out(covers_until: date, now: datetime) -> bool:
    """Whether all that a care history tells of is older than what the record keeps. `covers_until`: its last day."""
    return covers_until < months_before(paris_date(now), CARE_HISTORY_MONTHS)


def is_surely_minor(birth_date: str | None, now: datetime) -> bool:
    """Whether somebody born then is under 18, however the missing part of the date may read. Without date: no."""
    return birth_date is not None and paris_date(now) < _majority(birth_date, first=True)


def may_be_minor(birth_date: str | None, now: datetime) -> bool:
    """Whether somebody born then could be under 18. Without date: yes."""
    return birth_date is None or paris_date(now) < _majority(birth_date, first=False)


def paris_date(now: datetime) -> date:
    """The day in Paris: majority comes at midnight there (choice: the overseas territories keep other times)."""
    return paris_time(now).date()


def paris_time(now: datetime) -> datetime:
    """What clocks in Paris show, with their offset.

    Summer time from the last Sunday of March to that of October, both at 01:00 UTC (directive 2000/84/CE).
    """
    moment = now.astimezone(UTC)
    start, end = _last_sunday(moment.year, _MARCH), _last_sunday(moment.year, _OCTOBER)
    return moment.astimezone(timezone(timedelta(hours=2 if start <= moment < end else 1)))


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31, 1, tzinfo=UTC)  # both months have 31 days
    return last - timedelta(days=(last.weekday() + 1) % 7)


def _majority(birth_date: str, *, first: bool) -> date:
    """The first day of majority. `first`: of the earliest birth that a date of less precision can mean, else the last.

    Who was born on 29 February comes of age on 1 March where the year has no such day.
    """
    year, month, day = [int(part) for part in birth_date.split("-")] + [0] * (2 - birth_date.count("-"))
    if year + MAJORITY_YEARS > MAXYEAR:
        return date.max
    month = month or (1 if first else _DECEMBER)
    day = day or (1 if first else calendar.monthrange(year, month)[1])
    try:
        return date(year + MAJORITY_YEARS, month, day)
    except ValueError:
        return date(year + MAJORITY_YEARS, _MARCH, 1)
