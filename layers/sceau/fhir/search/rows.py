"""What a search reads of a record's rows: the columns that hold a parameter's values, and how a value compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from sceau.fhir.codes import canonical_system
from sceau.fhir.search.dates import Interval, stored_interval
from sceau.fhir.search.parameters import Parameter
from sceau.records.columns import Values

ENTRY_UUID_SYSTEM: Final = "urn:ietf:rfc:3986"

IDS: Final = "row.id"
"""No column: a row's own id."""

STATUS: Final = "row.status"
ARCHIVED: Final = "row.archived"
TYPE: Final = "type"
REPLACES: Final = "row.replaces"
UPDATED: Final = "row.updated"


@lru_cache(maxsize=256)
def _label(text: str) -> str:
    # v3-Confidentiality, TRE_A08 and the OID are one system. Cached: the same few labels stand on every row.
    system, _, code = text.rpartition("|")
    return f"{canonical_system(system) if system else ''}|{code}"


def _labels(values: Values) -> Values:
    return tuple(map(_label, values))


def _status(values: Values) -> Values:
    """A set has none of its own: it is always current."""
    return tuple(f"|{value}" for value in values or ("current",))


def _archived(values: Values) -> Values:
    return ("|true",) if is_archived(values) else ("|false",)


def _kind(values: Values) -> Values:
    return tuple(f"|{value}" for value in values)


_CANONICAL: Final[dict[str, Callable[[Values], Values]]] = {
    "row.labels": _labels,
    STATUS: _status,
    ARCHIVED: _archived,
    "row.kind": _kind,
}


def canonical(parameter: Parameter, values: Values) -> Values:
    """Values as they are compared: terms are so already."""
    (first, *_) = parameter.stored
    made = _CANONICAL.get(first)
    return values if made is None else made(values)


def is_archived(values: Values) -> bool:
    """Say whether values of the archived column are those of an archived row; one without the extension is not."""
    return values == ("true",)


def intervals(values: Iterable[str]) -> list[Interval]:
    """The intervals of a date column's values."""
    return [stored_interval(term) for term in values]
