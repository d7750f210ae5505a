"""What a request names, its record and what of it, read off the request alone.

Who is refused before any record is looked at leaves an event there all the same, and its holder reads of the attempt.
No store is asked, and a record that nobody opened is named in the same way: the caller learns nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from sceau.audit.facts import Entity
from sceau.audit.ids import check_event_id
from sceau.fhir.search.text import local_reference, split_unescaped, unescape
from sceau.http.message import FORM, Request
from sceau.http.targets import entities_asked
from sceau.records.ids import decode_id, record_id
from sceau_schemas.dossier import StoredIdentifier

_BASE: Final = "/fhir/"
_PATIENTS: Final = "/fhir/Patient"
_BY_PATIENT: Final = frozenset({"patient", "patient.identifier", "patient:identifier"})
_BY_INS: Final = frozenset({"identifier"})


class NamedRecord:
    """Finds the record by the path's id, else by the patient that the parameters name."""

    def __init__(self, pseudonym_key: bytes, origin: str) -> None:
        self._pseudonym_key = pseudonym_key
        self._base_urls = (f"{origin}/fhir",)

    def __call__(self, request: Request) -> str | None:
        """The record-id; None where nothing has the form of a name of ours."""
        return self.in_path(request) or self.in_parameters(request)

    def in_path(self, request: Request) -> str | None:
        """By the path alone: `Patient/<record-id>`, and `<record-id>.<id>` of all else."""
        record, dot, _ = request.path_parameters.get("resource_id", "").partition(".")
        is_patient = request.path.startswith(f"{_PATIENTS}/")
        return None if is_patient == bool(dot) else checked_record(record)

    def in_parameters(self, request: Request) -> str | None:
        """By the parameters alone: the first patient that can be read."""
        names = _BY_INS if request.path.removesuffix("/_search") == _PATIENTS else _BY_PATIENT
        given = (self._of_patient(value) for name, value in _parameters(request) if name in names)
        return next((found for found in given if found), None)

    def _of_patient(self, value: str) -> str | None:
        system, bar, number = value.partition("|")
        if bar:
            return record_id(self._pseudonym_key, system, number) if system and number else None
        return checked_record(local_reference(value, "Patient", self._base_urls).removeprefix("Patient/"))


def entities_named(request: Request, record_id: str | None) -> tuple[Entity, ...]:
    """What of a record a request is about: the resource that its path names, or the documents that its condition does.

    As they were asked for, there or not: the event of a refusal then says the same of what is hidden and of nothing.
    """
    own_id = request.path_parameters.get("resource_id")
    if own_id is not None:
        kind = request.path.removeprefix(_BASE).partition("/")[0]
        if kind == "AuditEvent":
            with suppress(ValueError):
                return (Entity(f"AuditEvent/{check_event_id(own_id)}"),)
            return ()
        return entities_asked((own_id,), record_id, kind=kind)
    if request.method != "PATCH":
        return ()  # a search is kept as it came
    return entities_asked(_identifiers(request), record_id)


def _identifiers(request: Request) -> Iterator[StoredIdentifier]:
    for name, value in _parameters(request):
        for token in split_unescaped(value, ",") if name == "identifier" else ():
            with suppress(ValueError):
                system, *rest = (unescape(part) for part in split_unescaped(token, "|"))
                yield StoredIdentifier(system=system if rest else "", value=rest[0] if rest else system)


def checked_record(record: str) -> str | None:
    """The record-id, if a record of ours can have it."""
    with suppress(ValueError):
        decode_id(record)
        return record
    return None


def _parameters(request: Request) -> Iterator[tuple[str, str]]:
    """Of URL and form body, as far as they can be read: a part that can't be names nobody."""
    with suppress(ValueError):
        yield from request.query_pairs()
    if request.method == "POST" and request.media_type() == FORM:
        with suppress(ValueError):
            yield from request.form_pairs()
