"""From what rests in a dossier to the facts that a decision needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sceau.access.clocks import paris_date
from sceau.access.labels import INVISIBLE_REPRESENTATIVES
from sceau.access.life import Life
from sceau.access.model import DocumentFacts, Grant, GrantKind, Identifier, Mode, RecordFacts, RecordStatus
from sceau_schemas.dossier import DossierHead, EntryFacts, EntryRow, StoredConsent, StoredIdentifier
from sceau_schemas.systems import IDNAT_PS

_LONGEST_STAY: Final = 400


def record_facts(record_id: str, head: DossierHead | None) -> RecordFacts:
    """Facts about a record; without a head nobody opened one."""
    if head is None:
        return RecordFacts(record_id, RecordStatus.ABSENT)
    active = [one for one in head.consents if one.status == "active"]
    doctors = [one for one in head.consents if one.kind == "medecin_traitant"]
    return RecordFacts(
        record_id,
        RecordStatus.DECEASED if head.died is not None else RecordStatus(head.status),
        grants=tuple(grant for grant in map(grant_of, active) if grant is not None),
        birth_date=head.patient.birth_date,
        blocked=identifiers(one.grantee for one in active if one.kind == "block" and one.grantee),
        opposed=frozenset(Mode(one.mode) for one in active if one.kind == "opposition" and one.mode),
        medecin_traitant=_only(one.grantee for one in doctors if one.status == "active"),
        named=identifiers(one.grantee for one in doctors if one.grantee),
    )


def life_of(head: DossierHead) -> Life:
    """What the record's next end depends on."""
    return Life(
        suspended=_instant_or_none(head.suspended if head.status == "suspended" else None),
        died=_instant_or_none(head.died if head.status in ("open", "suspended") else None),
        closed=_instant_or_none(head.closed if head.status == "closed" else None),
        deletion_requested=_instant_or_none(head.deletion_requested),
    )


def grant_of(consent: StoredConsent) -> Grant | None:
    """The authorisation that a decision is; None when it is another kind of decision."""
    kind = _grant_kind(consent)
    if kind is None or consent.grantee is None or consent.start is None:
        return None
    end = instant_of(consent.end) if consent.end is not None else None
    return Grant(_identifier(consent.grantee), instant_of(consent.start), end, kind)


def _grant_kind(consent: StoredConsent) -> GrantKind | None:
    match consent.kind:
        case "grant":
            person = consent.grantee is not None and consent.grantee.system == IDNAT_PS
            return GrantKind.PROFESSIONAL if person else GrantKind.STRUCTURE
        case "express":
            return GrantKind.EXPRESS
        case "delegation":
            return GrantKind.DELEGATION
        case _:
            return None


def document_facts(stored: EntryRow | EntryFacts) -> DocumentFacts:
    """Facts about a stored document entry, in its present version. What they rest on, `EntryFacts` must hold."""
    facts = stored.facts() if isinstance(stored, EntryRow) else stored
    return DocumentFacts(
        status=facts.status,
        labels=frozenset(facts.labels),
        type_code=facts.type_code,
        author_structures=identifiers(facts.author_structures),
        author_professionals=identifiers(facts.author_professionals),
        depositor=facts.depositor,
        depositor_structures=identifiers(facts.depositor_structures),
        deposited=None if facts.deposited is None else instant_of(facts.deposited),
        holders_own=facts.holders_own,
        covers_until=date.fromisoformat(facts.covers_until) if facts.covers_until else None,
    )


def facts_as_sent(row: EntryRow) -> DocumentFacts:
    """The same facts, with the labels that the entry was sent with, and their month as of its own deposit.

    A decision for its author who may not read it rests on these: one on the labels as they stand would tell of what
    others did. The status is the present one, which such an author may know (TD3.1b).
    """
    sent = row.as_sent
    labels = frozenset(label.code for label in sent.labels)
    return replace(document_facts(row), labels=labels, deposited=instant_of(sent.updated))


def kept_secret(rows: Iterable[EntryRow]) -> frozenset[tuple[date, Identifier]]:
    """On which days who acted in what is kept from a minor's representatives: authors, on the days of the act.

    The days are the period of the entry (a stay's all, 400 at most), or of its creation where it gives none.
    """
    found: set[tuple[date, Identifier]] = set()
    for row in rows:
        if row.now.status != "entered-in-error" and INVISIBLE_REPRESENTATIVES in {one.code for one in row.now.labels}:
            who = identifiers((*row.author_structures, *row.author_professionals))
            found |= {(day, one) for day in _days_of(row) for one in who}
    return frozenset(found)


def _days_of(row: EntryRow) -> Iterable[date]:
    terms = row.terms.get("period") or row.terms.get("creation") or ()
    for low, _, high in (term.partition("/") for term in terms):
        first, last = (paris_date(instant_of(int(one))) if one else None for one in (low, high))
        start = first or last
        if start is not None:
            length = (last - start).days if first and last else 0
            yield from (start + timedelta(days=number) for number in range(min(length, _LONGEST_STAY) + 1))


def identifiers(stored: Iterable[StoredIdentifier]) -> frozenset[Identifier]:
    """The same identifiers as access compares them."""
    return frozenset([_identifier(one) for one in stored])


def _only(found: Iterable[StoredIdentifier | None]) -> Identifier | None:
    """The one that is meant. Two at once contradict each other: then nobody is."""
    named = [one for one in found if one is not None]
    return _identifier(named[0]) if len(named) == 1 else None


def _identifier(stored: StoredIdentifier) -> Identifier:
    return Identifier(stored.system, stored.value)


def _instant_or_none(millis: int | None) -> datetime | None:
    return None if millis is None else instant_of(millis)


def instant_of(millis: int) -> datetime:
    """A stored instant as decisions compare it."""
    return datetime.fromtimestamp(millis / 1000, UTC)
