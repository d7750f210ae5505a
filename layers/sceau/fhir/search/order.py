"""The order of a query's rows: total, so that pages neither repeat nor skip."""

from __future__ import annotations

from collections.abc import Callable

from sceau.fhir.search.criteria import Position, Query, SortKey
from sceau.fhir.search.rows import Row, interval_reader


def position_reader(query: Query) -> Callable[[Row], Position]:
    """Return what gives a row's position; positions compare as the query's `_sort` says.

    A date sorts by its first instant (the earliest, with several). Rows without one, or open to the past, come last in
    either direction. Ties are broken by id, ascending.
    """
    readers = [_key_reader(key) for key in query.sort]
    return lambda row: (tuple(part for read in readers for part in read(row)), row.id)


def _key_reader(key: SortKey) -> Callable[[Row], tuple[int, int]]:
    intervals = interval_reader(key.parameter)
    sign = -1 if key.descending else 1

    def read(row: Row) -> tuple[int, int]:
        first = min((low for low, _ in intervals(row)), default=float("-inf"))
        return (1, 0) if first == float("-inf") else (0, sign * int(first))

    return read
