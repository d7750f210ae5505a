"""Which events a reader of traces is shown: what it can't see yet is in none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from sceau.access.decide import Decision
from sceau.access.facts import document_facts
from sceau.access.model import Act, ActorKind
from sceau.audit.balp import event_bytes
from sceau.audit.facts import Coding, Entity, EventFacts, Identifier, Outcome, Request, User
from sceau.http.trace_sight import SeenRecord, TraceSight
from sceau_schemas.audit import AuditEvent
from sceau_schemas.dossier import EntryRow, EntryVersion, SetRow, StoredCoding, StoredDocument, StoredIdentifier
from unit.access import space
from unit.access.space import MINOR, NOW, PARENT, RULES, actor, record
from unit.audit.samples import DOCUMENT, ENTRY, EVENT_ID, EVENTS, OLD_ENTRY, RECORD

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
    decision = decision_of(kind)
    sight = sight_of(kind, [one for one in rows if not decision.on(document_facts(one)).allowed])
    return {name for name in EVENTS if sight(event(name))}


def decision_of(kind: ActorKind) -> Decision:
    return Decision(Act.READ_TRACES, actor(kind), record(birth_date=MINOR), RULES, NOW)


def sight_of(
    kind: ActorKind, hidden: Sequence[EntryRow | SetRow] = (), event: Callable[[str], AuditEvent] | None = None
) -> TraceSight:
    """Of a record that has whatever is named, `hidden` of it hidden."""
    seen = SeenRecord(decision_of(kind), hidden, holds=lambda _: True, opened=NOW - timedelta(days=365))
    return TraceSight(actor(kind), seen, event or (lambda _: None))


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


def numbered(number: int) -> str:
    return f"019ca5c8-6a40-7123-8456-{number:012d}"


def reading(number: int) -> AuditEvent:
    return made_of(replace(EVENTS["retrieval"], data=Entity(f"AuditEvent/{numbered(number)}")))


def test_a_long_chain_of_readings_is_not_followed_to_its_end_and_not_shown() -> None:
    """Nor are events that name too many others: what it would take to know is bounded."""
    asked: list[str] = []

    def named(event_id: str) -> AuditEvent:
        asked.append(event_id)
        return reading(int(event_id[-12:]) + 1)

    assert not sight_of(ActorKind.REPRESENTATIVE, (), named)(reading(1))
    assert 0 < len(asked) < 20
    facts = EVENTS["search of traces"]
    assert facts.request is not None
    target = "/fhir/AuditEvent?_id=" + ",".join(map(numbered, range(420)))
    many = made_of(replace(facts, request=replace(facts.request, target=target)))
    asked.clear()

    def shown(event_id: str) -> AuditEvent:
        asked.append(event_id)
        return made_of(EVENTS["retrieval"])

    assert not sight_of(ActorKind.REPRESENTATIVE, (), shown)(many)
    assert len(asked) == 400
    assert sight_of(ActorKind.PATIENT, (), named)(many)


HIDDEN_SET = "q" * 26


def a_set(*identifiers: str) -> SetRow:
    return SetRow(
        id=HIDDEN_SET,
        updated=int(NOW.timestamp() * 1000),
        event=EVENT_ID,
        entries=(ENTRY,),
        identifiers=tuple(StoredIdentifier(system="urn:x", value=one) for one in identifiers),
        depositor="laboratory",
    )


def made_of(facts: EventFacts) -> AuditEvent:
    return AuditEvent.model_validate_json(event_bytes(facts, EVENT_ID))


@pytest.mark.parametrize("kind", HOLDERS)
def test_an_event_about_a_hidden_set_is_not_shown(kind: ActorKind) -> None:
    read = EVENTS["read of a set"]
    sight = sight_of(kind, [a_set()])
    assert sight(made_of(read))
    assert not sight(made_of(replace(read, data=Entity(f"List/{RECORD}.{HIDDEN_SET}"))))


@pytest.mark.parametrize(
    "asked", [r"identifier=a\,1\|2", r"identifier=urn:x|a\,1\|2", "identifier=x,urn:x|2", r"identifier=\y,2"]
)
def test_a_search_is_read_with_its_escapes(asked: str) -> None:
    facts = EVENTS["search of sets"]
    assert facts.request is not None
    target = f"/fhir/List?patient=Patient/{RECORD}&{asked}"
    asking = made_of(replace(facts, request=replace(facts.request, target=target)))
    assert not sight_of(ActorKind.PATIENT, [a_set("a,1|2", "2")])(asking)
    assert sight_of(ActorKind.PATIENT, [a_set("3")])(asking)


# What the record does not have


def gone(kind: ActorKind, facts: EventFacts, *, after: timedelta = timedelta(0), opened: bool = False) -> bool:
    """Whether an event is shown to a reader, so long after it, of a record that has nothing of it."""
    event = made_of(facts)
    now = event.recorded + after
    decision = Decision(Act.READ_TRACES, actor(kind), record(birth_date=MINOR), RULES, now)
    return TraceSight(actor(kind), SeenRecord(decision, opened=event.recorded if opened else None))(event)


PATIENT, REPRESENTATIVE = HOLDERS
TWO_MONTHS = timedelta(days=62)


@pytest.mark.parametrize("name", ["submission set of a professional", "document alone, replacing", "replacement"])
@pytest.mark.parametrize("opened", [True, False])
def test_the_events_own_labels_decide_on_what_the_record_does_not_have(name: str, opened: bool) -> None:
    facts = EVENTS[name]
    for label, shown in {
        "N": {PATIENT: (True, True), REPRESENTATIVE: (True, True)},
        "INVISIBLE_PATIENT": {PATIENT: (False, True), REPRESENTATIVE: (False, True)},
        "INVISIBLE_REPRESENTANTS_LEGAUX": {PATIENT: (True, True), REPRESENTATIVE: (False, False)},
    }.items():
        document = replace(DOCUMENT, labels=(Coding("urn:x", label),))
        changed = (
            replace(facts, data=document)
            if facts.data == DOCUMENT
            else replace(facts, others=(document, *facts.others[1:]))
        )
        for kind, (now, later) in shown.items():
            assert gone(kind, changed, opened=opened) is now, (label, kind)
            assert gone(kind, changed, after=TWO_MONTHS, opened=opened) is later, (label, kind)


UNKNOWN_SET = replace(EVENTS["read of a set"], data=Entity(f"List/{RECORD}.{HIDDEN_SET}"))
REFUSED = replace(UNKNOWN_SET, outcome=Outcome.REFUSED, reason="denied.no-grant")


@pytest.mark.parametrize("facts", [UNKNOWN_SET, REFUSED])
def test_of_an_earlier_record_what_tells_no_labels_could_have_any(facts: EventFacts) -> None:
    assert not gone(PATIENT, facts)
    assert gone(PATIENT, facts, after=TWO_MONTHS)
    assert not gone(REPRESENTATIVE, facts, after=TWO_MONTHS)


def test_of_the_present_record_only_what_was_done_can_be_about_something() -> None:
    """What was refused there was about nothing: the record never had it."""
    for kind in HOLDERS:
        assert gone(kind, REFUSED, opened=True)
        assert not gone(kind, UNKNOWN_SET, opened=True)


@pytest.mark.parametrize(
    ("path", "asked", "names"),
    [
        ("DocumentReference", "identifier=x", True),
        ("DocumentReference/_search", "_id=x", True),
        ("DocumentReference", "relatesTo=x", True),
        ("List", "identifier=x|y", True),
        ("AuditEvent", "entity.identifier=x", True),
        ("DocumentReference", "type=x", False),
        ("List", "sourceId=x", False),
        ("Patient", "identifier=x", False),
        ("AuditEvent", "_id=x", False),
    ],
)
def test_a_search_of_an_earlier_record_names_a_document_or_does_not(path: str, asked: str, names: bool) -> None:
    search = EVENTS["search of documents"]
    facts = replace(search, request=Request("GET", f"/fhir/{path}?patient=Patient/{RECORD}&{asked}"))
    assert gone(REPRESENTATIVE, facts) is not names
    assert gone(REPRESENTATIVE, facts, opened=True), "of the present one, it found nothing that is hidden"


def test_what_is_no_document_is_shown_of_an_earlier_record_too() -> None:
    others = ("consent created", "search of consents", "read of the patient", "token for a professional")
    assert all(gone(kind, EVENTS[name]) for kind in HOLDERS for name in others)


@pytest.mark.parametrize(
    ("kind", "user"),
    [
        (PATIENT, User(Identifier("", space.RECORD), reference=f"Patient/{space.RECORD}")),
        (REPRESENTATIVE, User(Identifier("", PARENT))),
    ],
)
def test_what_readers_did_themselves_they_are_shown(kind: ActorKind, user: User) -> None:
    own = replace(REFUSED, user=user)
    assert gone(kind, own)
    assert sight_of(kind, [a_set()])(made_of(own))
    assert not sight_of(kind, [a_set()])(made_of(REFUSED))
    (other,) = {*HOLDERS} - {kind}
    assert not gone(other, own)
