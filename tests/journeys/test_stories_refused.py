"""Those whom the law keeps out: refused whatever they try, and the patient reads that they tried."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.live_world import Caller, World, found, ins, issues
from journeys.test_access import Place, all_allowed, place
from journeys.test_stories import JSON_PATCH, decide, told
from sceau.cli import bodies
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.identity.client import HttpResponse
from sceau.records.ids import document_id

pytestmark = pytest.mark.xdist_group("live")

DELETION = json.dumps([{"op": "replace", "path": "/status", "value": "entered-in-error"}]).encode()


def tried_record(where: Place, caller: Caller) -> list[HttpResponse]:
    """All that names the record, its patient or one of its decisions."""
    named = quote(ins(where.patient))
    consent = document_id(where.record, "b" * 25 + "a")
    grant = bodies.consent_grant(where.patient, STRUCTURES["hospital"])
    return [
        caller.get(f"/fhir/AuditEvent?patient={where.record}"),
        caller.get(f"/fhir/AuditEvent?patient.identifier={named}"),
        caller.get(f"/fhir/Communication?patient={where.record}"),
        caller.get(f"/fhir/Consent?patient={where.record}"),
        caller.get(f"/fhir/Consent?patient.identifier={named}"),
        caller.get(f"/fhir/Consent/{consent}"),
        caller.get(f"/fhir/Consent/{consent}/_history"),
        caller.get(f"/fhir/Patient/{where.record}"),
        caller.get(f"/fhir/Patient?identifier={named}"),
        caller.post("/fhir/Consent", grant),
        caller.call(
            "PATCH", f"/fhir/DocumentReference?identifier=urn:x|1&patient.identifier={named}", DELETION, JSON_PATCH
        ),
    ]


def tried(where: Place, caller: Caller) -> list[HttpResponse]:
    """All that could be asked of one document, and of the sets."""
    return [
        caller.get(f"/fhir/DocumentReference/{where.document}"),
        caller.get(f"/fhir/Binary/{where.document}", Accept="*/*"),
        caller.get(f"/fhir/DocumentReference/{where.document}/_history"),
        caller.get(f"/fhir/List/{where.set_id}"),
        caller.get(f"/fhir/List?patient={where.record}"),
        caller.get(f"/fhir/List?patient.identifier={quote(ins(where.patient))}"),
        caller.call("PATCH", f"/fhir/DocumentReference/{where.document}", DELETION, JSON_PATCH),
    ]


def seen_by_the_patient(world: World, where: Place) -> dict[str, Any]:
    since = datetime.now(UTC) - timedelta(minutes=10)
    answer = world.holder(where.patient).get(f"/fhir/AuditEvent?date=ge{since:%Y-%m-%dT%H:%M:%SZ}&outcome=4&_count=200")
    return {one["id"]: one for one in found(answer)}


@pytest.mark.parametrize("actor", ["insurer", "operations", "laboratory", "reviewer"])
def test_who_reads_nothing_is_refused_and_seen(world: World, actor: str) -> None:
    where = place(world, "hospital")
    caller = world.caller(actor)
    records = world.at_rest()
    answers = [*tried_record(where, caller), *tried(where, caller)]
    by_identifier = answers[10]  # of the laboratory's own: there is none
    if actor == "laboratory":  # what it deposited it may take back: that is no reading
        assert answers.pop().status == 200
    else:
        assert world.at_rest() == records
    if actor == "reviewer":  # the queue of its own structure, which no patient narrows: nothing of this one is in it
        assert where.record.encode() not in answers.pop(2).data
    shown = seen_by_the_patient(world, where)
    for answer in answers:
        issues(answer, 404 if actor == "laboratory" and answer is by_identifier else 403)
        assert answer.headers["Sceau-Trace"] in shown
        event = shown[answer.headers["Sceau-Trace"]]
        assert event["outcomeDesc"].startswith("denied.")
        assert any(agent["who"]["identifier"]["value"] == caller_id(actor) for agent in event["agent"])


def caller_id(actor: str) -> str:
    return {"reviewer": "other-hospital-review"}.get(actor, actor)


def test_an_occupational_doctor_reads_by_express_consent_only(world: World) -> None:
    where = place(world, "hospital")  # the doctor's structure is authorised, which is not enough
    caller = world.caller("occupational-doctor", where.patient)
    assert told(caller, where.patient)["access"] == "deny denied.no-express-consent"
    with world.unchanged(events=7):
        answers = tried(where, caller)
    shown = seen_by_the_patient(world, where)
    for answer in answers:
        assert answer.status in (403, 404)
        assert shown[answer.headers["Sceau-Trace"]]["outcomeDesc"] in {
            "denied.no-express-consent",
            "denied.not-author",
            "denied.unknown",
        }
    # The holder gives it to this doctor, by name; no professional may record it for the patient.
    doctor = bodies.consent_decision(where.patient, "express", AUTHORS["radiologist"])
    with world.refused(of=where.patient):
        issues(world.caller("hospital-physician", where.patient).post("/fhir/Consent", doctor), 403)
    consent = bodies.consent_decision(where.patient, "express", AUTHORS["radiologist"])
    consent["provision"]["actor"][0]["reference"]["identifier"]["value"] = "899700000111"
    assert world.holder(where.patient).post("/fhir/Consent", consent).status == 201
    assert told(caller, where.patient)["access"] == "permit allowed.express-consent"
    all_allowed(where, caller)


def test_a_blocked_doctor_is_kept_out_and_the_others_of_the_team_are_not(world: World) -> None:
    where = place(world, "hospital")
    blocked, other = world.caller("hospital-physician", where.patient), world.caller("nurse", where.patient)
    all_allowed(where, blocked)
    decide(world.holder(where.patient), where.patient, "block", "hospital_physician")
    with world.unchanged(events=7):
        answers = tried(where, blocked)
    assert {answer.status for answer in answers} == {403}
    shown = seen_by_the_patient(world, where)
    assert {shown[answer.headers["Sceau-Trace"]]["outcomeDesc"] for answer in answers} == {"denied.blocked"}
    assert told(other, where.patient)["access"] == "permit allowed.grant"
