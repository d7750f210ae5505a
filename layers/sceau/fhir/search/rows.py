"""What a search reads of a row: its terms, and the fields that are no terms."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sceau.fhir.codes import canonical_system
from sceau.fhir.search.dates import Interval, stored_interval
from sceau.fhir.search.parameters import Parameter
from sceau_schemas.dossier import EntryRow, SetRow

Row = EntryRow | SetRow
Values = tuple[str, ...]

ENTRY_UUID_SYSTEM = "urn:ietf:rfc:3986"


@lru_cache(maxsize=256)
def _label(system: str, code: str) -> str:
    # v3-Confidentiality, TRE_A08 and the OID are one system. Cached: the same few labels stand on every row.
    return f"{canonical_system(system) if system else ''}|{code}"


def _labels(row: Row) -> Values:
    return tuple(_label(x.system or "", x.code) for x in row.now.labels) if isinstance(row, EntryRow) else ()


def _status(row: Row) -> Values:
    return (f"|{row.now.status}" if isinstance(row, EntryRow) else "|current",)


def _archived(row: Row) -> Values:
    return ("|true" if is_archived(row) else "|false",)


def _identifiers(row: Row) -> Values:
    # The bare id stands for the entryUUID, which `match` turns into the id: cheaper than a UUID per row.
    return (row.id, *(f"{identifier.system}|{identifier.value}" for identifier in row.identifiers))


def _kind(row: Row) -> Values:
    return (f"|{row.kind}",) if isinstance(row, SetRow) else ()


def _replaces(row: Row) -> Values:
    return row.replaces if isinstance(row, EntryRow) else ()


_FIELDS: dict[str, Callable[[Row], Values]] = {
    "row.id": lambda row: (row.id,),
    "row.identifiers": _identifiers,
    "row.labels": _labels,
    "row.status": _status,
    "row.archived": _archived,
    "row.kind": _kind,
    "row.replaces": _replaces,
}


def updated(row: Row) -> int:
    """Return when the row's present version was made, in milliseconds."""
    return row.now.updated if isinstance(row, EntryRow) else row.updated


def is_archived(row: Row) -> bool:
    """Say whether the row is archived; one without the extension is not."""
    return row.now.archived is True if isinstance(row, EntryRow) else row.terms.get("isArchived") == ("|true",)


def is_deleted(row: Row) -> bool:
    """Say whether the row was deleted (entered-in-error)."""
    return isinstance(row, EntryRow) and row.now.status == "entered-in-error"


def value_reader(parameter: Parameter) -> Callable[[Row], Values]:
    """Return what reads a parameter's values, in canonical form, from a row. Not for dates."""
    readers = [_FIELDS.get(name) or _term_reader(name) for name in parameter.stored]
    if len(readers) == 1:
        return readers[0]
    return lambda row: tuple(value for read in readers for value in read(row))


def interval_reader(parameter: Parameter) -> Callable[[Row], list[Interval]]:
    """Return what reads a date parameter's intervals from a row."""
    (name,) = parameter.stored
    if name == "row.updated":
        return lambda row: [(updated(row), updated(row))]
    read = _term_reader(name)
    return lambda row: [stored_interval(term) for term in read(row)]


def _term_reader(name: str) -> Callable[[Row], Values]:
    return lambda row: row.terms.get(name, ())
