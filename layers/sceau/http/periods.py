"""The period that a query asks for, by its date parameter; the bounds that keep a query from costing everything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sceau.fhir.outcome import bad_request, unprocessable
from sceau.fhir.search.dates import EPOCH, LAST_MILLISECOND, millis, parse_bound

LONGEST_PERIOD = timedelta(days=31)
"""Longest period of a query for which every event of the stage, or of a record, is opened."""


def bounds(name: str, values: Sequence[str], now: datetime) -> tuple[int, int]:
    """The first and the last millisecond of the period that the values of the parameter `name` bound, together.

    -1 and the year 9999 where nothing bounds it. Raises FhirError.
    """
    low, high = -1, LAST_MILLISECOND
    for value in values:
        try:
            bound = parse_bound(value, now=now)
        except (ValueError, OverflowError):
            text = f"{name}: expected a date or dateTime with a prefix such as ge or lt"
            raise bad_request(text, name) from None
        match bound.prefix:
            case "eq":
                low, high = max(low, bound.low), min(high, bound.high)
            case "ge":
                low = max(low, bound.low)
            case "gt" | "sa":
                low = max(low, bound.high + 1)
            case "le":
                high = min(high, bound.high)
            case "lt" | "eb":
                high = min(high, bound.low - 1)
            case _:
                raise bad_request(f"{name}: takes eq, ge, gt, sa, le, lt and eb here", name)
    return low, high


def window(low: int, high: int, now: datetime) -> tuple[datetime, datetime]:
    """What `bounds` gave, as times: from the first millisecond to behind the last. Without a bound, from 1970 on.

    No event is of the future; the clocks of two processes may differ by a moment.
    """
    soon = millis(now) + 1000
    start = EPOCH + timedelta(milliseconds=min(max(low, 0), soon))
    end = EPOCH + timedelta(milliseconds=max(min(high + 1, soon), -1))
    return start, max(start, end)


def require_bounded(name: str, start: datetime, end: datetime, *, begun: bool) -> None:
    """Refuse with 422 what nothing begins (`begun`), and what is longer than LONGEST_PERIOD."""
    if not begun:
        raise unprocessable(f"{name}: a period with a beginning is required, such as {name}=ge2026-11-01", name)
    if end - start > LONGEST_PERIOD:
        raise unprocessable(f"{name}: a period has at most {LONGEST_PERIOD.days} days", name)


def period(name: str, values: Sequence[str], now: datetime, *, usual: timedelta) -> tuple[datetime, datetime]:
    """The period that the values of the parameter `name` bound, from its first to behind its last millisecond.

    `usual`: how far back it begins when nothing says so. Raises FhirError.
    """
    low, high = bounds(name, values, now)
    start, end = window(low, high, now)
    if low < 0:
        start = max(end - usual, EPOCH)
    require_bounded(name, start, end, begun=True)
    return start, end
