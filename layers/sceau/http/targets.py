"""What a request's reference to a document entry means in a record."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from sceau.audit.facts import INS_SYSTEMS, Entity, Identifier
from sceau.fhir.references import Target
from sceau.records.dossier import Dossier
from sceau.records.ids import entry_of_uuid, split_document_id
from sceau_schemas.dossier import StoredIdentifier

MOST_NAMED: Final = 100
"""Of what a refused request points at, the event names so many."""

LONGEST_NAME: Final = 1024
"""Characters of an identifier that it names, and of that one's system."""


def entry_meant(dossier: Dossier, target: Target) -> str | None:
    """The id that a FHIR id, a business identifier or an entryUUID names in this record, or None.

    Whether the record has an entry (or set) of that id, and whether its reader may know, is for the caller to see.
    """
    if isinstance(target, StoredIdentifier):
        return dossier.find(target) or entry_of_uuid(target.value)
    pair = split_document_id(target)
    return pair[1] if pair and pair[0] == dossier.record_id else None


def entities_asked(
    targets: Iterable[Target], record_id: str | None, *, kind: str = "DocumentReference"
) -> tuple[Entity, ...]:
    """What targets point at, as the event of a refusal names it: as it was asked for, there or not.

    Nothing of another record: whose that is, this one's events do not tell. No INS. So many at most that no refusal
    makes a record's traces heavy, and nothing that is longer than an identifier is.
    """
    found = (_entity(target, record_id, kind) for target in islice(targets, MOST_NAMED))
    return tuple(one for one in found if one is not None)


def _entity(target: Target, record_id: str | None, kind: str) -> Entity | None:
    if isinstance(target, str):
        pair = split_document_id(target)
        return Entity(f"{kind}/{target}", amended=True) if pair and pair[0] == record_id else None
    size = max(len(target.value), len(target.system))
    if not target.value or size > LONGEST_NAME or target.system.startswith(INS_SYSTEMS):
        return None
    return Entity(identifier=Identifier(target.system, target.value), amended=True)
