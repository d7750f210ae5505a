"""The insurer's rolling feed: a record has one care history, and each month's replaces the one before."""

from __future__ import annotations

from datetime import date

from sceau.fhir.care_history import TYPE, CareHistory
from sceau.fhir.entries import NewDocument
from sceau.fhir.parse import Json
from sceau.http.commit import conflict
from sceau.records.dossier import Dossier


def care_history_to_replace(dossier: Dossier, new: CareHistory) -> str | None:
    """The id of the care history that a new one replaces, named or not; None when there is none yet.

    Raises FhirError 409 for one that ends before the present one does: it would bring months back.
    """
    rows = [row for row in dossier.entries.rows() if row.type_code == TYPE and row.now.status == "current"]
    if not rows:
        return None
    present = max(rows, key=lambda row: row.covers[1] if row.covers else "")
    if present.covers is not None and new.end < date.fromisoformat(present.covers[1]):
        raise conflict("the record has a care history of a later month")
    return present.id


def kept_resource(document: NewDocument) -> Json:
    """A document's resource as it rests. A care history does not name the one before it, which nobody can read."""
    if document.care_history is None:
        return document.resource
    return {name: value for name, value in document.resource.items() if name != "relatesTo"}


def covered(care: CareHistory | None) -> tuple[str, str] | None:
    """The days that a care history covers, as they rest."""
    return None if care is None else (care.start.isoformat(), care.end.isoformat())
