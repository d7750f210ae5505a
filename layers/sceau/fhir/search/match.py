"""A query as tests on columns: each asked once of each distinct value, whatever the number of rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sceau.fhir.search.criteria import (
    Criterion,
    DateCriterion,
    MissingCriterion,
    Query,
    ReferenceCriterion,
    StringCriterion,
    Token,
    TokenCriterion,
)
from sceau.fhir.search.rows import ARCHIVED, ENTRY_UUID_SYSTEM, IDS, REPLACES, STATUS, canonical, intervals, is_archived
from sceau.records.columns import Columns, Values
from sceau.records.ids import entry_of_uuid, split_document_id

_NAMING = frozenset({"_id", "identifier"})
_DELETED = ("entered-in-error",)


@dataclass(frozen=True, slots=True)
class Test:
    """What must hold of a row: one of its `columns` has values that `accepts` takes, or its id is one of `ids`.

    `negated`: neither is so. `every`: true of all rows.
    """

    columns: tuple[str, ...]
    accepts: Callable[[Values], bool]
    ids: frozenset[str] = field(default_factory=frozenset)
    negated: bool = False
    every: bool = False


def matching(
    query: Query,
    record_id: str,
    columns: Columns,
    rows: Sequence[int],
    position: Callable[[str], int | None],
    *,
    deleted_too: bool = False,
) -> Sequence[int]:
    """Return those of `rows` that are hits, in the order given. `position`: where the row of an id is, if it is there.

    What a row replaced counts only as far as that is among `rows` too: a search must not tell of other entries.
    Deleted entries never are hits, unless `deleted_too` (a deletion that is sent again must find its entry). Archived
    ones are only when the query has `isArchived`, or names entries by `_id` or `identifier` [choice]: an archive is
    hidden from search unless asked for, and naming a document asks for it.
    What the caller may see is not decided here.
    """
    asked = {criterion.parameter.name for criterion in query.criteria}
    found = rows if deleted_too else columns.holding(STATUS, lambda values: values != _DELETED, rows)
    if not asked & (_NAMING | {"isArchived"}):
        found = columns.holding(ARCHIVED, lambda values: not is_archived(values), found)
    # Dates last: nearly every row has its own, and of other values there are few.
    for criterion in sorted(query.criteria, key=lambda one: isinstance(one, DateCriterion)):
        test = _compile(criterion, record_id)
        if REPLACES in test.columns:
            test = _among(test, rows, position)
        found = _passing(test, columns, found, position)
    return found


def _among(test: Test, rows: Sequence[int], position: Callable[[str], int | None]) -> Test:
    """The test on what a row replaced, of which it sees those that are among `rows`."""
    places = set(rows)
    return replace(test, accepts=lambda values: test.accepts(tuple([v for v in values if position(v) in places])))


def _passing(test: Test, columns: Columns, rows: Sequence[int], position: Callable[[str], int | None]) -> Sequence[int]:
    if test.every:
        return rows
    if len(test.columns) == 1 and not test.ids and not test.negated:
        return columns.holding(test.columns[0], test.accepts, rows)
    passed = {place for place in map(position, test.ids) if place is not None}
    for name in test.columns:
        passed.update(columns.holding(name, test.accepts, rows))
    return [row for row in rows if (row in passed) is not test.negated]


def _compile(criterion: Criterion, record_id: str) -> Test:
    parameter = criterion.parameter
    match criterion:
        case TokenCriterion():
            return _token_test(criterion, record_id)
        case DateCriterion(_, bounds):
            return Test(
                parameter.stored,
                lambda values: any(b.accepts(low, high) for low, high in intervals(values) for b in bounds),
            )
        case StringCriterion(_, texts, contains):
            if contains:
                return Test(parameter.stored, lambda values: any(text in value for value in values for text in texts))
            return Test(parameter.stored, lambda values: any(value.startswith(texts) for value in values))
        case ReferenceCriterion(_, references):
            own = _own_entries((r.removeprefix(f"{parameter.target}/") for r in references), record_id)
            wanted = {*references, *own} if parameter.target else set(references)
            return Test(parameter.stored, lambda values: not wanted.isdisjoint(values))
        case MissingCriterion(_, missing):
            return Test(parameter.stored, bool, negated=missing)


def _token_test(criterion: TokenCriterion, record_id: str) -> Test:
    parameter, tokens = criterion.parameter, criterion.tokens
    if parameter.holds == "id":
        own = _own_entries((t.code for t in tokens if t.code and not t.system), record_id)
        return Test((), bool, frozenset(own), criterion.negated)
    exact = {f"{t.system}|{t.code}" for t in tokens if t.system is not None and t.code is not None}
    codes = {t.code for t in tokens if t.system is None}
    systems = {t.system for t in tokens if t.code is None}
    ids: frozenset[str] = frozenset()
    every = False
    if parameter.holds == "identifier" and "row.identifiers" in parameter.stored:
        every = ENTRY_UUID_SYSTEM in systems  # every row has an entryUUID
        ids = frozenset(_entries_of_uuids(tokens))

    def accepts(values: Values) -> bool:
        compared = canonical(parameter, values)
        if not exact.isdisjoint(compared):
            return True
        if codes or systems:
            for value in compared:
                system, _, code = value.partition("|")
                if code in codes or system in systems:
                    return True
        return False

    return Test(tuple(name for name in parameter.stored if name != IDS), accepts, ids, criterion.negated, every)


def _own_entries(ids: Iterable[str], record_id: str) -> set[str]:
    pairs = (split_document_id(text) for text in ids)
    return {pair[1] for pair in pairs if pair and pair[0] == record_id}


def _entries_of_uuids(tokens: Iterable[Token]) -> set[str]:
    """Return the entry-ids of the tokens that are entryUUIDs."""
    named = (entry_of_uuid(t.code) for t in tokens if t.code and t.system in {None, ENTRY_UUID_SYSTEM})
    return {entry for entry in named if entry is not None}  # of any other, a business identifier may be equal to it
