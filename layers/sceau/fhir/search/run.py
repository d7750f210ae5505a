"""A search over the rows of one record. Pure: the rows are given, what is visible is asked of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sceau.fhir.search.criteria import Position, Query
from sceau.fhir.search.match import compile_match
from sceau.fhir.search.order import position_reader
from sceau_schemas.dossier import EntryRow, SetRow

R = TypeVar("R", EntryRow, SetRow)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page: its rows in order, how many there are on all pages, and where the next one begins (None: no more)."""

    rows: tuple[R, ...]
    total: int
    next: Position | None


def run(query: Query, rows: Iterable[R], visible: Callable[[R], bool], *, record_id: str) -> Page[R]:
    """Return the page of `rows` (of the record `record_id`) that `query` asks for.

    `visible` is asked before anything is compared, and `total` counts nothing else: no parameter tells a caller
    about a row that it may not see. A row added meanwhile does not shift later pages; one whose sort key changed
    (`_lastUpdated`) may be met twice or not at all.
    """
    matches = compile_match(query, record_id)
    hits = [row for row in rows if visible(row) and matches(row)]
    if query.count_only:
        return Page((), len(hits), None)
    position = position_reader(query)
    placed = sorted(((position(row), row) for row in hits), key=lambda pair: pair[0])
    if query.after is not None:
        after = query.after
        placed = [pair for pair in placed if pair[0] > after]
    page = placed[: query.count]
    more = len(placed) > len(page)
    return Page(tuple(row for _, row in page), len(hits), page[-1][0] if more else None)
