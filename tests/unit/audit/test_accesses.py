"""What is read back from events: accesses, declarations, reviews, and nothing from any other event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sceau.audit.accesses import Access, Declared, Person, access_of, declared, is_of_a_token, is_secret, reviewed
from sceau.audit.balp import event_bytes
from sceau.audit.facts import AuditAct, Entered, Entity, EventFacts, Request
from sceau_schemas.audit import AuditEvent
from unit.audit.samples import EVENT_ID, EVENTS, RECORD, failed, refused

DECLARATION = "01a20a72-08e3-73be-8000-0123456789ab"


def event(facts: EventFacts) -> AuditEvent:
    return AuditEvent.model_validate_json(event_bytes(facts, EVENT_ID))


def professional(act: AuditAct, **more: object) -> EventFacts:
    """An act of the samples' physician on the samples' record."""
    base = EVENTS["token for a professional"]
    given = {"act": act, "request": Request("GET", "/fhir/x"), "data": Entity(f"DocumentReference/{RECORD}.{'e' * 26}")}
    return replace(base, **given | more)  # type: ignore[arg-type]


READING = [
    AuditAct.FIND_DOCUMENT_LISTS,
    AuditAct.FIND_DOCUMENT_REFERENCES,
    AuditAct.RETRIEVE_DOCUMENT,
    AuditAct.READ,
]
FEEDING = [AuditAct.PROVIDE_BUNDLE, AuditAct.SIMPLIFIED_PUBLISH]
NONE = [AuditAct.QUERY_PATIENT, AuditAct.QUERY_CONSENTS, AuditAct.QUERY_NOTICES, AuditAct.CREATE_CONSENT]


@pytest.mark.parametrize("act", READING + FEEDING)
def test_an_access_says_who_and_how(act: AuditAct) -> None:
    found = access_of(event(professional(act)))
    assert isinstance(found, Access)
    assert found.professional.key == ("urn:oid:1.2.250.1.71.4.2.1", "899700012345")
    assert found.professional.name == "Dr Claire MARTIN"
    assert found.structure == Person("urn:oid:1.2.250.1.71.4.2.2", "1750000123", "Cabinet Martin")
    assert (found.event, found.at) == (EVENT_ID, datetime(2026, 2, 28, 19, 45, 0, 992000, UTC))
    assert found.feeds is (act in FEEDING)
    assert (found.mode, found.declaration, found.secret) == (None, None, False)


def test_an_access_in_an_emergency_names_its_declaration() -> None:
    urns = ("matrix:x", "mode:centre_15", f"declaration:{DECLARATION}")
    policies = tuple(f"urn:sceau:policy:{urn}" for urn in urns)
    found = access_of(event(professional(AuditAct.RETRIEVE_DOCUMENT, policies=policies)))
    assert found is not None
    assert (found.mode, found.declaration) == ("centre_15", DECLARATION)
    secret = access_of(event(professional(AuditAct.READ, policies=("urn:sceau:policy:mode:connexion_secrete",))))
    assert secret is not None
    assert (secret.mode, secret.declaration, secret.secret) == (None, None, True)


@pytest.mark.parametrize("act", NONE)
def test_what_reaches_no_document_is_no_access(act: AuditAct) -> None:
    assert access_of(event(professional(act))) is None


def test_reading_the_patient_an_event_or_a_consent_is_no_access() -> None:
    for reference in (f"Patient/{RECORD}", f"AuditEvent/{EVENT_ID}", f"Consent/{RECORD}.{'e' * 26}"):
        assert access_of(event(professional(AuditAct.READ, data=Entity(reference)))) is None


@pytest.mark.parametrize("act", READING + FEEDING)
def test_a_refusal_or_failure_is_no_access(act: AuditAct) -> None:
    facts = professional(act)
    assert access_of(event(refused(facts))) is None
    assert access_of(event(failed(facts))) is None


def test_software_and_patients_are_no_professionals() -> None:
    for name, facts in EVENTS.items():
        if facts.user is None or facts.user.identifier.system != "urn:oid:1.2.250.1.71.4.2.1":
            assert access_of(event(facts)) is None, name
            assert declared(event(facts)) is None, name


def test_a_declaration_is_the_token_with_which_it_was_made() -> None:
    found = declared(event(EVENTS["token of a declaration"]))
    assert found == Declared(
        EVENT_ID,
        datetime(2026, 2, 28, 19, 45, 0, 992000, UTC),
        "bris_de_glace",
        "Arrêt cardiaque de [redacted], aucun proche",
        Person("urn:oid:1.2.250.1.71.4.2.1", "899700012345", "Dr Claire MARTIN"),
        Person("urn:oid:1.2.250.1.71.4.2.2", "1750000123"),
    )
    for name, facts in EVENTS.items():
        if name != "token of a declaration":
            assert declared(event(facts)) is None, name
    assert declared(event(refused(EVENTS["token of a declaration"]))) is None


def test_a_connexion_secrete_is_told_by_its_token_and_by_its_acts() -> None:
    assert is_secret(event(EVENTS["token of a connexion secrète"]))
    assert is_secret(event(professional(AuditAct.READ, policies=("urn:sceau:policy:mode:connexion_secrete",))))
    assert not is_secret(event(professional(AuditAct.READ)))
    assert not is_secret(event(EVENTS["token of a declaration"]))
    assert is_of_a_token(event(EVENTS["token of a declaration"]))
    assert not is_of_a_token(event(professional(AuditAct.READ)))


def test_a_review_names_what_was_reviewed() -> None:
    notice = f"{RECORD}.{DECLARATION}"
    facts = professional(AuditAct.REVIEW, data=Entity(f"Communication/{notice}"))
    assert reviewed(event(facts)) == notice
    assert reviewed(event(refused(facts))) is None
    assert access_of(event(facts)) is None
    for name, other in EVENTS.items():
        if other.act is not AuditAct.REVIEW:
            assert reviewed(event(other)) is None, name


def test_a_mode_that_is_none_declares_nothing() -> None:
    odd = replace(EVENTS["token of a declaration"], entered=Entered("normal"))
    assert declared(event(odd)) is None
