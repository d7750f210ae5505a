"""The order of a query's rows: total, so that pages neither repeat nor skip."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sceau.fhir.search.criteria import Position, Query, SortKey
from sceau.fhir.search.rows import intervals
from sceau.records.columns import Columns


def positions(
    query: Query, columns: Columns, rows: Iterable[int], id_at: Callable[[int], str]
) -> list[tuple[Position, int]]:
    """Return each row with its position; positions compare as the query's `_sort` says.

    A date sorts by its first instant (the earliest, with several). Rows without one, or open to the past, come last in
    either direction. Ties are broken by id, ascending.
    """
    readers = [_key_reader(key, columns) for key in query.sort]
    return [((tuple([part for read in readers for part in read(row)]), id_at(row)), row) for row in rows]


def _key_reader(key: SortKey, columns: Columns) -> Callable[[int], tuple[int, int]]:
    (name,) = key.parameter.stored
    column, known = columns.column(name), dict[int, tuple[int, int]]()
    sign = -1 if key.descending else 1

    def read(row: int) -> tuple[int, int]:
        number = column[row]
        if number not in known:
            first = min((low for low, _ in intervals(columns.values(number))), default=float("-inf"))
            known[number] = (1, 0) if first == float("-inf") else (0, sign * int(first))
        return known[number]

    return read
