"""From what rests in a dossier to the facts that a decision needs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sceau.access.model import DocumentFacts, Grant, Identifier, RecordFacts, RecordStatus
from sceau_schemas.dossier import DossierHead, EntryRow, StoredIdentifier


def record_facts(record_id: str, head: DossierHead | None) -> RecordFacts:
    """Facts about a record; without a head nobody opened one."""
    if head is None:
        return RecordFacts(record_id, RecordStatus.ABSENT)
    grants = tuple(
        Grant(_identifier(consent.grantee), _instant(consent.start), _instant(consent.end) if consent.end else None)
        for consent in head.consents
        if consent.kind == "grant" and consent.status == "active" and consent.grantee and consent.start is not None
    )
    return RecordFacts(record_id, RecordStatus(head.status), grants)


def document_facts(row: EntryRow) -> DocumentFacts:
    """Facts about a stored document entry, in its present version."""
    return DocumentFacts(
        status=row.now.status,
        labels=frozenset(label.code for label in row.now.labels),
        type_code=row.type_code,
        author_structures=identifiers(row.author_structures),
        author_professionals=identifiers(row.author_professionals),
        depositor=row.depositor,
        depositor_structures=identifiers(row.depositor_structures),
    )


def identifiers(stored: Iterable[StoredIdentifier]) -> frozenset[Identifier]:
    """The same identifiers as access compares them."""
    return frozenset(_identifier(one) for one in stored)


def _identifier(stored: StoredIdentifier) -> Identifier:
    return Identifier(stored.system, stored.value)


def _instant(millis: int | None) -> datetime:
    if millis is None:
        raise ValueError("an instant is missing")
    return datetime.fromtimestamp(millis / 1000, UTC)
