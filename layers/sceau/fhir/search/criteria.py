"""A parsed search: what must hold of a row, in what order, and which page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sceau.fhir.outcome import Problem
from sceau.fhir.search.dates import Bound
from sceau.fhir.search.parameters import Parameter
from sceau_schemas.dossier import StoredIdentifier

Position = tuple[tuple[int, ...], str]
"""A place in the order of a query: the sort key of a row, and its id."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token asked for. `system` None: any; empty: none. `code` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TokenCriterion:
    """One of `tokens` is there; `negated`: none of them is."""

    parameter: Parameter
    tokens: tuple[Token, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class DateCriterion:
    """One of the row's intervals satisfies one of `bounds`."""

    parameter: Parameter
    bounds: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class StringCriterion:
    """One of the row's strings begins with, or contains, one of `texts` (folded)."""

    parameter: Parameter
    texts: tuple[str, ...]
    contains: bool = False


@dataclass(frozen=True, slots=True)
class ReferenceCriterion:
    """One of the row's references is one of `references`."""

    parameter: Parameter
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MissingCriterion:
    """The row has no value (`missing`), or has one."""

    parameter: Parameter
    missing: bool


Criterion = TokenCriterion | DateCriterion | StringCriterion | ReferenceCriterion | MissingCriterion


@dataclass(frozen=True, slots=True)
class SortKey:
    """A sortable parameter and its direction."""

    parameter: Parameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A checked search. All `criteria` must hold.

    The caller must compare `patient_reference` (the id of a Patient of ours, or the reference as given) and every one
    of `patient_identifiers` with the token's record: they narrow nothing here. At least one is there.
    `pairs`: the parameters understood, patient's apart, for a page token. `warnings`: what was ignored.
    `now`: the moment of the first page, which `ap` rests on. `after`: where the page begins; None: at the start.
    """

    resource: str
    criteria: tuple[Criterion, ...]
    patient_reference: str | None
    patient_identifiers: tuple[StoredIdentifier, ...]
    sort: tuple[SortKey, ...]
    count: int
    count_only: bool
    now: datetime
    pairs: tuple[tuple[str, str], ...]
    warnings: tuple[Problem, ...] = ()
    after: Position | None = None
