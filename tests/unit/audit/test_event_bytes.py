"""From facts to AuditEvents: what we ask of them. What the profiles ask is proven by `tests/corpus/test_balp.py`."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sceau.audit.balp import event_bytes
from sceau.audit.facts import (
    AuditAct,
    Entity,
    EventFacts,
    Identifier,
    Outcome,
    OwnAct,
    OwnFacts,
    RefusalCounts,
    Structure,
    User,
)
from sceau.audit.shapes import SHAPES
from unit.audit.samples import (
    CLIENT,
    COUNTS,
    DOCUMENT,
    EVENT_ID,
    EVENTS,
    INS,
    ORIGIN,
    PATIENT,
    PHYSICIAN,
    RECORD,
    REWRAP,
    SERVER,
    failed,
    refused,
)

Json = dict[str, Any]
NAMES = sorted(EVENTS)
SUCCESSES = pytest.mark.parametrize("facts", [EVENTS[name] for name in NAMES], ids=NAMES)


def event(facts: EventFacts | RefusalCounts) -> Json:
    parsed: Json = json.loads(event_bytes(facts, EVENT_ID))
    return parsed


def agent(made: Json, code: str) -> Json:
    """The one agent of a type."""
    (found,) = [one for one in made["agent"] if one["type"]["coding"][0]["code"] == code]
    agent: Json = found
    return agent


def test_every_act_has_a_shape_and_a_sample() -> None:
    assert set(SHAPES) == set(AuditAct) == {facts.act for facts in EVENTS.values()}


def test_the_bytes_of_an_act_of_ours() -> None:
    assert event_bytes(REWRAP, EVENT_ID).decode() == (
        '{"resourceType":"AuditEvent","id":"019ca5c8-6a40-7123-8456-789abcdef012",'
        '"type":{"system":"http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle","code":"encrypt",'
        '"display":"Encrypt Record Lifecycle Event"},"action":"U","recorded":"2026-02-28T19:45:00.992Z","outcome":"0",'
        '"agent":[{"type":{"coding":[{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"110150",'
        '"display":"Application"}]},"who":{"identifier":{"system":"urn:ietf:rfc:3986",'
        '"value":"https://dossier.example.org"},"display":"sceau ingest"},"requestor":true,'
        '"network":{"address":"https://dossier.example.org","type":"5"}}],'
        '"source":{"site":"dossier.example.org","observer":{"identifier":{"system":"urn:ietf:rfc:3986",'
        '"value":"https://dossier.example.org"},"display":"sceau ingest"},'
        '"type":[{"system":"http://terminology.hl7.org/CodeSystem/security-source-type","code":"4",'
        '"display":"Application Server"}]},"entity":[{"what":{"reference":"Patient/a2b3c4d5e6f7ghijklmnopqrst"},'
        '"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-entity-type","code":"2",'
        '"display":"System Object"},'
        '"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"1","display":"Patient"},'
        '"detail":[{"type":"content-key","valueString":"local 3"},{"type":"dossier-key","valueString":"local 2"}]}]}'
    )


@pytest.mark.parametrize(("record", "version"), [("0", 1), ("x", 1), (RECORD, 0), (RECORD, -1)])
def test_an_act_of_ours_is_on_a_record_that_there_is(record: str, version: int) -> None:
    with pytest.raises(ValueError, match="record"):
        OwnFacts(OwnAct.REWRAP, SERVER, record, version)


def test_the_bytes_of_an_event() -> None:
    facts = EventFacts(
        AuditAct.READ,
        SERVER,
        CLIENT,
        Outcome.REFUSED,
        "denied.no-grant",
        user=User(Identifier("urn:oid:1.2.250.1.71.4.2.1", "899700012345"), "Dr Zoé  LÉVÊQUE\n"),
        record_id=RECORD,
        data=Entity(f"List/{RECORD}.{'g' * 26}"),
    )
    dcm = '"system":"http://dicom.nema.org/resources/ontology/DCM"'
    software = f'{{"identifier":{{"system":"{ORIGIN}","value":"lgc-cabinet-42"}},"display":"Logiciel de cabinet 5.1"}}'
    server = f'{{"identifier":{{"system":"urn:ietf:rfc:3986","value":"{ORIGIN}"}},"display":"sceau ingest"}}'
    assert event_bytes(facts, EVENT_ID).decode() == (
        f'{{"resourceType":"AuditEvent","id":"{EVENT_ID}",'
        '"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-event-type","code":"rest",'
        '"display":"Restful Operation"},'
        '"subtype":[{"system":"http://hl7.org/fhir/restful-interaction","code":"read","display":"read"}],'
        '"action":"R","recorded":"2026-02-28T19:45:00.992Z","outcome":"4","outcomeDesc":"denied.no-grant","agent":['
        f'{{"type":{{"coding":[{{{dcm},"code":"110152","display":"Destination Role ID"}}]}},"who":{software},'
        '"requestor":false,"network":{"address":"2001:db8:85a3::8a2e:370:7334","type":"2"}},'
        f'{{"type":{{"coding":[{{{dcm},"code":"110153","display":"Source Role ID"}}]}},"who":{server},'
        f'"requestor":false,"network":{{"address":"{ORIGIN}","type":"5"}}}},'
        f'{{"type":{{"coding":[{{{dcm},"code":"110150","display":"Application"}}]}},"who":{software},'
        '"requestor":false},'
        '{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP",'
        '"display":"information recipient"}]},'
        '"who":{"identifier":{"system":"urn:oid:1.2.250.1.71.4.2.1","value":"899700012345"},'
        '"display":"Dr Zoé LÉVÊQUE"},"name":"Dr Zoé LÉVÊQUE","requestor":true}],'
        f'"source":{{"site":"dossier.example.org","observer":{server},'
        '"type":[{"system":"http://terminology.hl7.org/CodeSystem/security-source-type","code":"4",'
        '"display":"Application Server"}]},"entity":['
        f'{{"what":{{"reference":"Patient/{RECORD}"}},'
        '"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-entity-type","code":"1","display":"Person"},'
        '"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"1","display":"Patient"}},'
        f'{{"what":{{"reference":"List/{RECORD}.{"g" * 26}"}},'
        '"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-entity-type","code":"2",'
        '"display":"System Object"},'
        '"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"20","display":"Job"},'
        '"lifecycle":{"system":"http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle","code":"6",'
        '"display":"Access / Use"}}]}'
    )


@SUCCESSES
def test_the_same_facts_give_the_same_bytes(facts: EventFacts) -> None:
    data = event_bytes(facts, EVENT_ID)
    assert data == event_bytes(replace(facts), EVENT_ID)
    assert data == json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")).encode()


@SUCCESSES
def test_no_event_names_its_patient_or_holds_a_secret(facts: EventFacts) -> None:
    for one in (facts, refused(facts), failed(facts)):
        data = event_bytes(one, EVENT_ID)
        queries = [base64.b64decode(entity["query"]) for entity in json.loads(data)["entity"] if "query" in entity]
        for text in (data, *queries):
            assert INS.encode() not in text
            assert b"eyJ" not in text


@SUCCESSES
def test_the_observer_is_our_own_agent(facts: EventFacts) -> None:
    for one in (facts, refused(facts)):
        made = event(one)
        ours = [agent for agent in made["agent"] if agent.get("network", {}).get("type") == "5"]
        assert [agent["who"] for agent in ours] == [made["source"]["observer"]]


@SUCCESSES
def test_exactly_one_agent_asked_for_the_act(facts: EventFacts) -> None:
    (requestor,) = [agent for agent in event(facts)["agent"] if agent["requestor"]]
    who = facts.user.identifier.value if facts.user else facts.client.client_id
    assert requestor["who"]["identifier"]["value"] == who
    assert requestor["policy"] == [f"urn:ietf:params:oauth:jti:{facts.token_id}"]


@SUCCESSES
def test_what_is_known_stands_in_the_event(facts: EventFacts) -> None:
    text = event_bytes(facts, EVENT_ID).decode()
    assert facts.client.address in text
    assert str(facts.request_id) in text
    for known in (facts.structure, facts.user):
        if known:
            assert known.identifier.value in text
    if facts.record_id:
        assert f"Patient/{RECORD}" in text
    for resource in (facts.data, *facts.others):
        if resource:
            assert str(resource.reference) in text


@SUCCESSES
def test_a_refusal_has_the_shape_of_the_act_and_claims_no_profile(facts: EventFacts) -> None:
    success, refusal, failure = event(facts), event(refused(facts)), event(failed(facts))
    for made, outcome, reason in ((refusal, "4", "denied.no-grant"), (failure, "8", "failed.commit-lost")):
        assert (made["outcome"], made["outcomeDesc"], made.get("meta")) == (outcome, reason, None)
        assert [made[name] for name in ("type", "action", "agent", "source")] == [
            success[name] for name in ("type", "action", "agent", "source")
        ]
        assert made["subtype"][: len(success["subtype"])] == success["subtype"]


def test_a_refused_token_is_a_failed_login() -> None:
    codes = [subtype["code"] for subtype in event(refused(EVENTS["token for a professional"]))["subtype"]]
    assert codes == ["ITI-71", "110122"]


def test_a_declaration_keeps_the_reason_in_words_and_no_number_of_the_patient() -> None:
    made = event(EVENTS["token of a declaration"])
    (entity,) = made["entity"]
    details = {one["type"]: one["valueString"] for one in entity["detail"]}
    assert details["mode"] == "bris_de_glace"
    assert details["mode-until"] == "2026-02-28T20:45:00.000Z"
    assert details["mode-reason"] == "Arrêt cardiaque de [redacted], aucun proche"
    kept = base64.b64decode(entity["query"]).decode()
    assert "mode_acces=bris_de_glace&mode_acces_raison=[redacted]&risque_immediat=true" in kept
    further = event(EVENTS["further token of an emergency"])["entity"][0]
    assert {one["type"]: one["valueString"] for one in further["detail"]}["declaration"] == EVENT_ID
    assert b"declaration=[redacted]" in base64.b64decode(further["query"])


def test_a_refused_creation_names_no_resource() -> None:
    entities = event(refused(EVENTS["submission set"]))["entity"]
    assert [entity.get("what", {}).get("reference") for entity in entities] == [f"Patient/{RECORD}", None, None]


@pytest.mark.parametrize("name", [name for name in NAMES if "search" in name or "token" in name])
def test_a_query_without_its_request_is_no_event(name: str) -> None:
    for facts in (EVENTS[name], refused(EVENTS[name])):
        with pytest.raises(ValueError, match="request"):
            event_bytes(replace(facts, request=None), EVENT_ID)


def test_a_success_names_what_it_is_about() -> None:
    for data in (None, Entity()):
        with pytest.raises(ValueError, match="names it"):
            event_bytes(replace(EVENTS["retrieval"], data=data), EVENT_ID)


def test_a_document_carries_its_digest_and_labels() -> None:
    document = next(one for one in event(EVENTS["retrieval"])["entity"] if one["type"]["code"] == "2")
    assert DOCUMENT.sha256 is not None
    assert document["detail"] == [{"type": "sha256", "valueString": DOCUMENT.sha256.hex()}]
    assert [label["code"] for label in document["securityLabel"]] == ["N"]


def test_what_a_submission_replaces_is_told_from_what_it_adds() -> None:
    documents = [one for one in event(EVENTS["replacement"])["entity"] if one["type"]["code"] == "DocumentReference"]
    assert [(one["what"]["reference"][-1], one["lifecycle"]["code"]) for one in documents] == [("e", "1"), ("f", "3")]


def test_a_folder_is_told_apart_from_its_submission_set_and_from_one_that_was_there() -> None:
    lists = [
        one
        for one in event(EVENTS["submission set with folders"])["entity"]
        if "role" in one and one["role"]["code"] == "20"
    ]
    assert [(one["type"]["code"], one["what"]["reference"][-1], one["lifecycle"]["code"]) for one in lists] == [
        ("2", "g", "1"),
        ("List", "e", "1"),
        ("List", "f", "3"),
    ]


def test_a_read_of_a_trace_by_a_patient_gives_no_name() -> None:
    who = agent(event(EVENTS["read of a trace"]), "IRCP")
    assert who["who"] == {"reference": f"Patient/{RECORD}", "identifier": {"system": ORIGIN, "value": RECORD}}
    assert "name" not in who


def test_counted_refusals() -> None:
    made = event(COUNTS)
    (entity,) = made["entity"]
    details = [{"type": "proof.replayed", "valueString": "1"}, {"type": "token.expired", "valueString": "3"}]
    assert entity["detail"] == details
    assert made["period"] == {"start": "2026-03-02T09:30:00.000Z", "end": "2026-03-02T09:30:58.000Z"}
    assert (made["outcome"], made["outcomeDesc"]) == ("4", "unauthenticated")


def test_a_producers_identifier_made_from_the_ins_does_not_stand() -> None:
    facts = replace(EVENTS["document alone"], data=replace(DOCUMENT, identifier=Identifier("", f"cr^{INS}^1")))
    data = event_bytes(facts, EVENT_ID)
    assert INS.encode() not in data and b"cr^[redacted]^1" in data


@given(name=st.text(max_size=400))
def test_any_name_makes_a_valid_string(name: str) -> None:
    data = event_bytes(replace(EVENTS["retrieval"], user=replace(PHYSICIAN, name=name)), EVENT_ID)
    user = agent(json.loads(data), "IRCP")
    shown = user.get("name", "x")
    assert 1 <= len(shown) <= 256 and shown.isprintable() and shown == shown.strip()


def test_a_lone_surrogate_in_a_name_or_an_identifier_does_not_stop_the_trace() -> None:
    odd = User(Identifier("urn:x", "a\ud800b"), "Dr \ud800 X")
    assert b"a?b" in event_bytes(replace(EVENTS["retrieval"], user=odd), EVENT_ID)


@pytest.mark.parametrize("system", [f"urn:oid:1.2.250.1.213.1.4.{number}" for number in (8, 9, 10, 11)])
def test_an_ins_can_not_become_an_identifier_of_an_event(system: str) -> None:
    with pytest.raises(ValueError, match="no INS") as refusal:
        Identifier(system, INS)
    assert INS not in str(refusal.value)


def test_a_patient_as_user_can_not_have_a_name() -> None:
    with pytest.raises(ValueError, match="no patient's name") as refusal:
        replace(PATIENT, name="Marie DUPONT")
    assert "DUPONT" not in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": Outcome.REFUSED, "reason": None},
        {"reason": "the patient said no"},
        {"reason": ""},
        {"record_id": "0"},
        {"record_id": INS},
        {"token_id": "a b"},
        {"dossier_version": -1},
        {"record_id": None},
    ],
)
def test_facts_that_make_no_event_are_refused(change: Json) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(EVENTS["retrieval"], **change)


@pytest.mark.parametrize(
    "reference", ["", "Patient", "Patient?identifier=x|1", "https://a.example/Patient/1", "List/a b"]
)
def test_a_reference_is_relative(reference: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        Entity(reference)
    with pytest.raises(ValueError, match="reference"):
        replace(PATIENT, reference=reference)


def test_a_digest_has_32_bytes_and_a_reason_is_a_code() -> None:
    with pytest.raises(ValueError, match="32"):
        Entity(sha256=b"short")
    with pytest.raises(ValueError, match="code"):
        replace(COUNTS, counts={"not a code": 1})


def test_every_act_has_a_sample_which_the_validator_judges() -> None:
    assert {facts.act for facts in EVENTS.values()} == set(AuditAct)


@pytest.mark.parametrize("act", ["retrieval", "token for a professional"])
def test_a_structure_that_has_a_siret_is_named_whole(act: str) -> None:
    """15 digits, like an INS: but no patient's, and without it nobody would know whose access it was."""
    siret = Identifier("urn:oid:1.2.250.1.71.4.2.2", "338012345600012")
    made = event_bytes(replace(EVENTS[act], structure=Structure(siret)), EVENT_ID)
    assert siret.value.encode() in made
