"""A search over the rows of one record. Pure: what is visible is asked of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sceau.fhir.search.criteria import Position, Query
from sceau.fhir.search.match import matching
from sceau.fhir.search.order import positions
from sceau.records.columns import Columns
from sceau.records.table import PackedTable
from sceau_schemas.dossier import EntryRow, SetRow

R = TypeVar("R", EntryRow, SetRow)


@dataclass(frozen=True, slots=True)
class Places:
    """One page: where its rows stand in the table, in order, how many there are on all pages, where the next begins."""

    places: tuple[int, ...]
    total: int
    next: Position | None


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page: its rows in order, how many there are on all pages, and where the next one begins (None: no more)."""

    rows: tuple[R, ...]
    total: int
    next: Position | None


def search(
    query: Query, table: PackedTable[EntryRow], columns: Columns, visible: Sequence[int], *, record_id: str
) -> Places:
    """Return the page of a record's entries that `query` asks for, of those at the places that are `visible`.

    `columns`: the table's, as the caller sees them. Nothing else is compared, and `total` counts nothing else: no
    parameter tells a caller about an entry that it may not see. An entry added meanwhile does not shift later pages;
    one whose sort key changed (`_lastUpdated`) may be met twice or not at all.
    """
    return _page(query, columns, visible, table.position, table.id_at, record_id)


def run(query: Query, rows: Iterable[R], visible: Callable[[R], bool], *, record_id: str) -> Page[R]:
    """Likewise of rows that are no table: each is asked whether it is visible, and then compared."""
    seen = [row for row in rows if visible(row)]
    places = {row.id: place for place, row in enumerate(seen)}
    found = _page(query, Columns.of(seen), range(len(seen)), places.get, lambda place: seen[place].id, record_id)
    return Page(tuple([seen[place] for place in found.places]), found.total, found.next)


def _page(
    query: Query,
    columns: Columns,
    visible: Sequence[int],
    position: Callable[[str], int | None],
    id_at: Callable[[int], str],
    record_id: str,
) -> Places:
    hits = matching(query, record_id, columns, visible, position)
    if query.count_only:
        return Places((), len(hits), None)
    placed = sorted(positions(query, columns, hits, id_at))
    if query.after is not None:
        after = query.after
        placed = [pair for pair in placed if pair[0] > after]
    page = placed[: query.count]
    more = len(placed) > len(page)
    return Places(tuple([place for _, place in page]), len(hits), page[-1][0] if more else None)
