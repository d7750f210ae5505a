"""What patients deposit themselves: directives, contacts, history and allergies, added and deleted by them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.live_world import (
    MASKED,
    Caller,
    Json,
    World,
    found,
    hospital_document,
    ids,
    issues,
    lab_document,
    new_uuid,
    parsed,
    submission,
)
from sceau.cli.body_own import own_document
from sceau.cli.samples import Patient
from sceau.fhir import codes
from sceau.identity.client import Emergency, HttpResponse

pytestmark = pytest.mark.xdist_group("live")

NOW = datetime.now(UTC).replace(microsecond=0)
TEXT = "Je ne souhaite pas de réanimation."
OWN_KINDS = {
    "advance directives": "EXPPAT_3",
    "wishes": "EXPPAT_1",
    "emergency contacts": "FICHE-CONTACTS",
    "history and allergies": "DOCPAT08",
}
JSON_PATCH = {"Accept": "application/fhir+json", "Content-Type": "application/json-patch+json"}
DELETION = json.dumps([{"op": "replace", "path": "/status", "value": "entered-in-error"}]).encode()
BROKEN = Emergency("bris_de_glace", "Inconscient, hémorragie", unable_to_consent=True, immediate_risk=True)


def own(patient: Patient, kind: str = "advance directives", **more: Any) -> Json:
    known = codes.document_type(codes.TRE_A05, OWN_KINDS[kind])
    assert known is not None
    return own_document(patient, known, TEXT, when=NOW, unique_id=new_uuid(), title=kind, **more)


def deposit(caller: Caller, patient: Patient, body: Json | None = None) -> HttpResponse:
    return caller.post("/fhir/DocumentReference", body or own(patient))


def deposited(world: World, patient: Patient, body: Json | None = None) -> str:
    answer = deposit(world.holder(patient), patient, body)
    assert answer.status == 201, answer.data
    return str(parsed(answer)["id"])


def delete(caller: Caller, own_id: str) -> HttpResponse:
    return caller.call("PATCH", f"/fhir/DocumentReference/{own_id}", DELETION, JSON_PATCH)


def present(caller: Caller) -> list[str]:
    return ids(caller.get(f"/fhir/DocumentReference?patient={caller.record_id}"))


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_the_patient_adds_a_document_which_the_doctor_reads_as_the_patients(world: World, kind: str) -> None:
    patient = world.opened("hospital")
    own_id = deposited(world, patient, own(patient, kind))
    physician = world.caller("hospital-physician", patient)
    for caller in (world.holder(patient), physician):
        (entry,) = found(caller.get(f"/fhir/DocumentReference?patient={caller.record_id}"))
        assert entry["id"] == own_id
        assert entry["type"]["coding"][0]["code"] == OWN_KINDS[kind]
        # EX_3.1-1040: a reader can tell it from a professional's.
        assert entry["author"] == [{"reference": "#patient"}]
        assert "custodian" not in entry
        assert caller.get(f"/fhir/Binary/{own_id}", Accept="*/*").data == TEXT.encode()


def test_the_directives_are_there_in_an_emergency(world: World) -> None:
    patient = world.opened()
    own_id = deposited(world, patient)
    ward = world.fresh("emergency-physician", patient, entering=BROKEN)
    assert ward.get(f"/fhir/Binary/{own_id}", Accept="*/*").data == TEXT.encode()


def test_the_deposit_is_traced_as_the_patients(world: World) -> None:
    patient = world.opened()
    answer = deposit(world.holder(patient), patient)
    event = world.events_of(patient)[answer.headers["Sceau-Trace"]].json
    assert (event["action"], event["outcome"]) == ("C", "0")
    (user,) = (agent for agent in event["agent"] if agent["requestor"])
    assert user["who"]["reference"] == f"Patient/{world.record_id(patient)}"
    assert answer.headers["Sceau-Trace"] in ids(world.holder(patient).get(f"/fhir/AuditEvent?date=ge{NOW:%Y-%m-%d}"))


def test_a_newer_one_replaces_it(world: World) -> None:
    patient = world.opened("hospital")
    first = deposited(world, patient)
    second = deposited(world, patient, own(patient, replaces=first))
    physician = world.caller("hospital-physician", patient)
    query = f"/fhir/DocumentReference?patient={physician.record_id}&status="
    assert ids(physician.get(f"{query}current")) == [second]
    assert ids(physician.get(f"{query}superseded")) == [first]


def test_it_may_be_hidden_from_professionals_from_the_start(world: World) -> None:
    patient = world.opened("hospital")
    own_id = deposited(world, patient, own(patient, label=MASKED[1]))
    assert present(world.holder(patient)) == [own_id]
    assert present(world.caller("hospital-physician", patient)) == []


def test_the_patient_deletes_it_and_it_is_gone_for_everybody(world: World) -> None:
    patient = world.opened("hospital")
    kept, gone = deposited(world, patient, own(patient, "emergency contacts")), deposited(world, patient)
    holder, physician = world.holder(patient), world.caller("hospital-physician", patient)
    assert set(present(physician)) == {kept, gone}
    answer = delete(holder, gone)
    assert answer.status == 200, answer.data
    for caller in (holder, physician):
        assert present(caller) == [kept]
        for target in (f"DocumentReference/{gone}", f"Binary/{gone}"):
            with world.refused("denied.deleted", of=patient):
                issues(caller.get(f"/fhir/{target}"), 404)
    # That it was there, and who deleted it, stays in the traces.
    event = world.events_of(patient)[answer.headers["Sceau-Trace"]].json
    assert any(gone in entity["what"].get("reference", "") for entity in event["entity"])
    # The same request again is answered the same, and changes nothing.
    with world.unchanged():
        assert delete(holder, gone).status == 200


# Refusals: each leaves everything as it is


def refused(world: World, patient: Patient, caller: Caller, body: Json, reason: str) -> None:
    with world.refused(reason, of=patient):
        issues(caller.post("/fhir/DocumentReference", body), 403)


@pytest.mark.parametrize("code", ["11488-4", "89601-9", "68599-0"])
def test_a_patient_deposits_nothing_that_is_a_professionals(world: World, code: str) -> None:
    patient = world.opened()
    body = own(patient)
    body["type"] = {"coding": [{"system": "http://loinc.org", "code": code}]}
    del body["category"]
    refused(world, patient, world.holder(patient), body, "denied.patient-type")


def test_a_patient_deposits_in_nobody_elses_name(world: World) -> None:
    patient = world.opened()
    with world.refused("denied.not-author", of=patient):
        issues(world.holder(patient).post("/fhir", submission(patient, lab_document(patient))), 403)
    body = own(patient)
    structure = {"system": "urn:oid:1.2.250.1.71.4.2.2", "value": "1750000011"}
    body["author"].append({"type": "Organization", "identifier": structure})
    refused(world, patient, world.holder(patient), body, "denied.not-author")


@pytest.mark.parametrize("actor", ["hospital-physician", "laboratory", "insurer"])
def test_nobody_deposits_in_the_patients_name(world: World, actor: str) -> None:
    patient = world.opened("hospital")
    caller = world.caller(actor, patient if actor == "hospital-physician" else None)
    reason = "denied.insurer-type" if actor == "insurer" else "denied.not-author"
    refused(world, patient, caller, own(patient), reason)


def test_a_patient_deposits_into_no_other_record(world: World) -> None:
    patient, other = world.opened(), world.opened()
    with world.unchanged() as since:
        assert deposit(world.holder(other), patient).status in (403, 404)
    assert since.event.outcome == "4"
    assert present(world.holder(patient)) == []


def test_a_patient_deletes_no_professionals_document(world: World) -> None:
    patient = world.opened("hospital")
    (own_id,) = world.publish(patient, hospital_document(patient), actor="hospital-physician")
    with world.refused("denied.not-author", of=patient):
        issues(delete(world.holder(patient), own_id), 403)


@pytest.mark.parametrize("actor", ["hospital-physician", "laboratory"])
def test_nobody_else_deletes_the_patients_document(world: World, actor: str) -> None:
    patient = world.opened("hospital")
    own_id = deposited(world, patient)
    with world.refused("denied.not-author" if actor == "hospital-physician" else None, of=patient):
        answer = delete(world.caller(actor, patient), own_id)
    issues(answer, 403 if actor == "hospital-physician" else 404)
    assert present(world.holder(patient)) == [own_id]


def test_nothing_is_added_to_a_closed_record(world: World) -> None:
    patient = world.opened()
    world.close(patient)
    with world.refused("denied.closed", of=patient):
        issues(deposit(world.holder(patient), patient), 403)
