"""Dates as closed intervals of milliseconds, and the FHIR prefixes on them. FHIR R4 search, 3.1.1.4.4 and 3.1.1.4.7.

A date stands for all the instants that its precision covers: `2026-06` is the whole of June. A date without a zone is
taken in the stage's zone (UTC unless the caller says otherwise): it must be the zone with which terms were stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal, cast

Prefix = Literal["eq", "ne", "lt", "le", "gt", "ge", "sa", "eb", "ap"]
Interval = tuple[float, float]
"""First and last millisecond since the epoch, both included; an open end is plus or minus infinity."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MILLISECOND = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z: there is no year 10000 to subtract from
_MILLISECOND = timedelta(milliseconds=1)
_APPROXIMATION = 10  # R4: "10 % of the gap between now and the date"
_SECOND_DIGITS = 3

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|(?P<sign>[+-])(?P<zone_hour>\d\d):(?P<zone_minute>[0-5]\d))?)?)?)?",
    re.ASCII,
)
_PREFIXED = re.compile(r"(eq|ne|lt|le|gt|ge|sa|eb|ap)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bound:
    """A date asked for: its prefix and the interval that the date covers (for `ap` already widened)."""

    prefix: Prefix
    low: int
    high: int

    def accepts(self, low: float, high: float) -> bool:
        """Say whether a stored interval satisfies this bound."""
        return _TESTS[self.prefix](self.low, self.high, low, high)


# Asked interval (a, b), stored interval (low, high).
# `ge` and `le` [choice]: R4's letter leaves out a stay that began before the asked day and ended during it. Like HAPI
# FHIR and Microsoft's server we keep it: in a medical record one hit too many beats an exam not found.
_TESTS: dict[Prefix, Callable[[int, int, float, float], bool]] = {
    "eq": lambda a, b, low, high: a <= low and high <= b,
    "ne": lambda a, b, low, high: not (a <= low and high <= b),
    "gt": lambda a, b, low, high: high > b,
    "lt": lambda a, b, low, high: low < a,
    "ge": lambda a, b, low, high: high >= a,
    "le": lambda a, b, low, high: low <= b,
    "sa": lambda a, b, low, high: low > b,
    "eb": lambda a, b, low, high: high < a,
    "ap": lambda a, b, low, high: low <= b and high >= a,
}


def millis(moment: datetime) -> int:
    """Return an aware moment as whole milliseconds since the epoch, rounded down."""
    return (moment - EPOCH) // _MILLISECOND


def date_interval(text: str, zone: tzinfo = UTC) -> tuple[int, int]:
    """Return the first and last millisecond of a FHIR date, dateTime or instant of any precision.

    `zone` applies where the text has none. A fraction finer than milliseconds is rounded down.
    ValueError when the text is no such date (a leap second included).
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a date")
    parts = match.groupdict()
    where = _zone(match) if parts["zone"] else zone
    year, month, day = int(parts["year"]), int(parts["month"] or 1), int(parts["day"] or 1)
    hour, minute, second = int(parts["hour"] or 0), int(parts["minute"] or 0), int(parts["second"] or 0)
    start = datetime(year, month, day, hour, minute, second, tzinfo=where)
    low = millis(start)
    if parts["fraction"]:
        low += int(parts["fraction"].ljust(_SECOND_DIGITS, "0")[:_SECOND_DIGITS])
        return low, low + int(10 ** max(0, _SECOND_DIGITS - len(parts["fraction"]))) - 1
    if parts["second"]:
        return low, low + 999
    if parts["minute"]:
        return low, low + 59_999
    return low, _end_of_calendar_unit(start, has_month=bool(parts["month"]), has_day=bool(parts["day"]))


def parse_bound(text: str, *, now: datetime, zone: tzinfo = UTC) -> Bound:
    """Return the bound that a search value names: an optional prefix and a date. ValueError as `date_interval`."""
    match = _PREFIXED.fullmatch(text)
    if match is None:  # the pattern matches any text; said for the type checker
        raise ValueError("not a date")
    prefix = cast(Prefix, match[1] or "eq")
    # "+" unescaped in a URL arrives as a space, and nothing else can be meant.
    low, high = date_interval(match[2].replace(" ", "+"), zone)
    if prefix == "ap":
        middle = (low + high) // 2
        gap = abs(millis(now) - middle) // _APPROXIMATION
        low, high = low - gap, high + gap
    return Bound(prefix, low, high)


def stored_interval(term: str) -> Interval:
    """Return the interval of a stored date term, `<low>/<high>`; an empty side is open."""
    low, _, high = term.partition("/")
    return (int(low) if low else float("-inf"), int(high) if high else float("inf"))


def _zone(match: re.Match[str]) -> tzinfo:
    if match["zone"] == "Z":
        return UTC
    offset = timedelta(hours=int(match["zone_hour"]), minutes=int(match["zone_minute"]))
    return timezone(-offset if match["sign"] == "-" else offset)


def _end_of_calendar_unit(start: datetime, *, has_month: bool, has_day: bool) -> int:
    # Calendar arithmetic, not a fixed length: months differ, and a local day may have 23 or 25 hours.
    try:
        if has_day:
            following = (start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=start.tzinfo)
        elif has_month:
            year, month = divmod(start.year * 12 + start.month, 12)  # month counts from 0 here: the next one
            following = start.replace(year=year, month=month + 1)
        else:
            following = start.replace(year=start.year + 1)
    except (OverflowError, ValueError):  # beyond year 9999
        return LAST_MILLISECOND
    return millis(following) - 1
