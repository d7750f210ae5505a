"""What a request's reference to a document entry means in a record."""

from __future__ import annotations

import uuid

from sceau.fhir.references import Target
from sceau.records.dossier import Dossier
from sceau.records.ids import encode_id, split_document_id
from sceau_schemas.dossier import StoredIdentifier


def entry_meant(dossier: Dossier, target: Target) -> str | None:
    """The id that a FHIR id, a business identifier or an entryUUID names in this record, or None.

    Whether the record has an entry (or set) of that id, and whether its reader may know, is for the caller to see.
    """
    if isinstance(target, StoredIdentifier):
        return dossier.find(target) or _entry_of_uuid(target.value)
    pair = split_document_id(target)
    return pair[1] if pair and pair[0] == dossier.record_id else None


def _entry_of_uuid(text: str) -> str | None:
    if not text.startswith("urn:uuid:"):
        return None
    try:
        return encode_id(uuid.UUID(text).bytes)
    except ValueError:
        return None
