"""Which events a reader of traces is shown: what it can't see yet is in none of them."""

from __future__ import annotations

import pytest

from sceau.access.decide import Decision
from sceau.access.facts import document_facts
from sceau.access.model import Act, ActorKind
from sceau.audit.balp import event_bytes
from sceau.http.trace_sight import TraceSight
from sceau_schemas.audit import AuditEvent
from sceau_schemas.dossier import EntryRow, EntryVersion, StoredCoding, StoredDocument
from unit.access.space import MINOR, NOW, RULES, actor, record
from unit.audit.samples import ENTRY, EVENT_ID, EVENTS, OLD_ENTRY, RECORD

HOLDERS = [ActorKind.PATIENT, ActorKind.REPRESENTATIVE]


def event(name: str) -> AuditEvent:
    return AuditEvent.model_validate_json(event_bytes(EVENTS[name], EVENT_ID))


def row(entry_id: str, label: str) -> EntryRow:
    version = EntryVersion(
        version=1,
        updated=int(NOW.timestamp() * 1000),
        event=EVENT_ID,
        status="current",
        labels=(StoredCoding(code=label),),
    )
    document = StoredDocument(
        object_name="x", content_type="application/pdf", size=1, sha256="0" * 64, sealed_sha256="0" * 64
    )
    return EntryRow(
        id=entry_id,
        now=version,
        submission_set="g" * 26,
        document=document,
        type_code="11502-2",
        identifiers=(),
        depositor="laboratory",
    )


def shown(kind: ActorKind, *rows: EntryRow) -> set[str]:
    """The sample events that a holder of a minor's record is shown."""
    decision = Decision(Act.READ_TRACES, actor(kind), record(birth_date=MINOR), RULES, NOW)
    sight = TraceSight(actor(kind), [one for one in rows if not decision.on(document_facts(one)).allowed])
    return {name for name in EVENTS if sight(event(name))}


ABOUT_ENTRY = {name for name, facts in EVENTS.items() if f"{RECORD}.{ENTRY}" in str((facts.data, facts.others))}
SECRET = {"token of a connexion secrète"}


def test_with_nothing_hidden_a_patient_is_shown_everything() -> None:
    assert shown(ActorKind.PATIENT, row(ENTRY, "MASQUE_PS"), row(OLD_ENTRY, "N")) == set(EVENTS)


def test_events_about_what_awaits_its_announcement_are_not_shown() -> None:
    hidden = row(ENTRY, "INVISIBLE_PATIENT")
    assert ABOUT_ENTRY
    assert shown(ActorKind.PATIENT, hidden) == set(EVENTS) - ABOUT_ENTRY
    assert shown(ActorKind.REPRESENTATIVE, hidden) == set(EVENTS) - ABOUT_ENTRY - SECRET


def test_a_representative_is_shown_nothing_of_a_connexion_secrete() -> None:
    assert shown(ActorKind.REPRESENTATIVE) == set(EVENTS) - SECRET
    kept = row(ENTRY, "INVISIBLE_REPRESENTANTS_LEGAUX")
    assert shown(ActorKind.REPRESENTATIVE, kept) == set(EVENTS) - ABOUT_ENTRY - SECRET
    assert shown(ActorKind.PATIENT, kept) == set(EVENTS)


@pytest.mark.parametrize("kind", HOLDERS)
def test_what_is_about_no_entry_of_the_record_is_shown(kind: ActorKind) -> None:
    assert {"retrieval", "review", "search of documents"} <= shown(kind, row("a" * 26, "INVISIBLE_PATIENT"))
