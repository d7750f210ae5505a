"""The rules as they are met, each a story over HTTPS: what is decided in one call is obeyed by the next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.live_world import (
    Caller,
    Json,
    World,
    document_ids,
    found,
    hospital_document,
    ids,
    ins,
    issues,
    lab_document,
    parsed,
    submission,
)
from journeys.test_access import all_allowed, all_refused, place
from journeys.test_emergency import BROKEN, CALLED, WARD
from sceau.cli import bodies
from sceau.cli.samples import AUTHORS, Patient
from sceau.fhir import codes
from sceau.identity.client import HttpResponse

pytestmark = pytest.mark.xdist_group("live")

JSON_PATCH = {"Accept": "application/fhir+json", "Content-Type": "application/json-patch+json"}
KEPT = "INVISIBLE_REPRESENTANTS_LEGAUX"
AWAITED = "INVISIBLE_PATIENT"


def coded(label: str) -> Json:
    system = codes.TRE_A08 if label == "N" else codes.TRE_A07
    return {"coding": [{"system": system, "code": label}]}


def relabel(caller: Caller, own_id: str, label: str, **headers: str) -> HttpResponse:
    """TD3.3a, b: give a document this label."""
    operations = [{"op": "replace", "path": "/securityLabel", "value": [coded(label)]}]
    return caller.call(
        "PATCH", f"/fhir/DocumentReference/{own_id}", json.dumps(operations).encode(), JSON_PATCH | headers
    )


def good(answer: HttpResponse) -> HttpResponse:
    assert answer.status in (200, 201), answer.data
    return answer


def decide(caller: Caller, patient: Patient, kind: Any, person: str | None = None, **more: Any) -> str:
    """Record a decision about the record; returns its id."""
    body = bodies.consent_decision(patient, kind, AUTHORS[person] if person else None, **more)
    return str(parsed(good(caller.post("/fhir/Consent", body)))["id"])


def accept(world: World, patient: Patient, consent: str, actor: str, person: str) -> None:
    """The doctor accepts to be the médecin traitant."""
    body = bodies.consent_decision(patient, "medecin_traitant", AUTHORS[person], status="active")
    good(world.caller(actor, patient).call("PUT", f"/fhir/Consent/{consent}", body))


def treated_by(world: World, patient: Patient, actor: str, person: str) -> None:
    """The patient names a médecin traitant, who accepts."""
    accept(world, patient, decide(world.holder(patient), patient, "medecin_traitant", person), actor, person)


def told(caller: Caller, patient: Patient) -> dict[str, str]:
    """What TD0.2 says that the caller may do here, and why (not)."""
    (statement,) = found(caller.get(f"/fhir/Patient?identifier={quote(ins(patient))}"), "include")
    provision = statement["provision"]
    said = {"access": f"{provision['type']} {statement['policyRule']['text']}"}
    for one in provision["provision"]:
        reason = one["extension"][0]["valueCode"]
        said[one["action"][0]["coding"][0]["code"]] = f"{one['type']} {reason}"
    return said


def present(caller: Caller) -> list[str]:
    return ids(caller.get(f"/fhir/DocumentReference?patient={caller.record_id}"))


def sees(caller: Caller, own_id: str) -> bool:
    """Whether a document is found and read; both or neither, and its set and the count go with it."""
    answers = [caller.get(f"/fhir/{kind}/{own_id}", Accept="*/*") for kind in ("Binary", "DocumentReference")]
    listed = caller.get(f"/fhir/DocumentReference?patient={caller.record_id}")
    counted = caller.get(f"/fhir/DocumentReference?patient={caller.record_id}&_summary=count")
    assert parsed(listed)["total"] == parsed(counted)["total"] == len(ids(listed))
    seen = {answer.status == 200 for answer in answers} | {own_id in ids(listed)}
    assert len(seen) == 1
    sets = caller.get(f"/fhir/List?patient={caller.record_id}")
    assert (own_id in sets.data.decode()) is (True in seen)
    return True in seen


def traces(caller: Caller) -> set[str]:
    since = datetime.now(UTC) - timedelta(minutes=30)
    return set(ids(caller.get(f"/fhir/AuditEvent?date=ge{since:%Y-%m-%dT%H:%M:%SZ}&_count=200")))


def notices(caller: Caller) -> list[str]:
    return [one["payload"][0]["contentString"] for one in found(caller.get("/fhir/Communication"))]


# A masked psychiatric report


def test_a_masked_psychiatric_report(world: World) -> None:
    patient = world.opened("hospital")
    psychiatrist = world.caller("other-physician", patient)
    synthesis = lab_document(patient, "psychiatric-synthesis-pdf", author="psychiatrist", structure="other_hospital")
    (own_id,) = document_ids(good(psychiatrist.post("/fhir", submission(patient, synthesis))))
    holder, team = world.holder(patient), world.caller("hospital-physician", patient)
    doctor = world.caller("general-practitioner", patient)
    assert sees(team, own_id)

    masked = good(relabel(holder, own_id, "MASQUE_PS"))
    assert not sees(team, own_id)
    with world.refused("denied.masked", of=patient):
        issues(team.get(f"/fhir/DocumentReference/{own_id}"), 404)
    assert sees(holder, own_id)
    # Its author feeds and does not read here; masked or not, it finds what it deposited, and may take it back.
    assert told(psychiatrist, patient)["access"] == "deny denied.no-grant"
    good(psychiatrist.post("/fhir/Consent", bodies.consent_decision(patient, "grant", AUTHORS["psychiatrist"])))
    assert sees(psychiatrist, own_id)
    # Only the médecin traitant sees and finds it, and whoever has that one's rights from the patient.
    assert told(doctor, patient)["access"] == "deny denied.no-grant"
    treated_by(world, patient, "general-practitioner", "general_practitioner")
    assert told(doctor, patient)["access"] == "permit allowed.medecin-traitant"
    assert sees(doctor, own_id)
    delegation = decide(holder, patient, "delegation", "hospital_physician")
    assert sees(team, own_id)
    body = bodies.consent_decision(patient, "delegation", AUTHORS["hospital_physician"], status="inactive")
    good(holder.call("PUT", f"/fhir/Consent/{delegation}", body))
    assert not sees(team, own_id)
    # Nobody sees it in an emergency.
    for caller in (world.fresh(WARD, patient, entering=BROKEN), world.fresh("regulator", patient, entering=CALLED)):
        assert not sees(caller, own_id)

    good(relabel(holder, own_id, "N"))
    assert sees(team, own_id)
    versions = found_versions(holder, own_id)
    assert versions == [("3", "N"), ("2", "MASQUE_PS"), ("1", "N")]
    assert masked.headers["Sceau-Trace"] in traces(holder)


def found_versions(caller: Caller, own_id: str) -> list[tuple[str, str]]:
    bundle = parsed(good(caller.get(f"/fhir/DocumentReference/{own_id}/_history")))
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [(one["meta"]["versionId"], one["securityLabel"][0]["coding"][0]["code"]) for one in resources]


# A minor's secret consultation


def test_a_minors_secret_consultation(world: World) -> None:
    minor = world.opened("hospital", born=datetime.now(UTC).date() - timedelta(days=15 * 365))
    parent = world.fresh("patient", world.patient(), minor=minor)
    secretly = world.fresh("hospital-physician", minor, secret=True)
    openly = world.caller("hospital-physician", minor)
    consultation = hospital_document(minor, "consultation-pdf")
    for label in ("N", "MASQUE_PS", AWAITED):
        with world.refused("denied.secret", of=minor):
            answer = secretly.post("/fhir", submission(minor, _labelled(consultation, label)))
        issues(answer, 422)
    deposit = good(secretly.post("/fhir", submission(minor, _labelled(consultation, KEPT))))
    (own_id,) = document_ids(deposit)
    good(openly.get(f"/fhir/DocumentReference/{own_id}"))

    assert sees(world.holder(minor), own_id)
    assert sees(openly, own_id)
    assert not sees(parent, own_id)
    assert deposit.headers["Sceau-Trace"] in traces(world.holder(minor))
    assert deposit.headers["Sceau-Trace"] not in traces(parent)
    issues(parent.get(f"/fhir/AuditEvent/{deposit.headers['Sceau-Trace']}"), 404)

    # Lifting it can't be undone, and is confirmed; the minor's doctor does it.
    with world.refused(of=minor):
        issues(relabel(openly, own_id, "N"), 422)
    good(relabel(openly, own_id, "N", **{"Sceau-Confirm": "show-to-representatives"}))
    assert sees(parent, own_id)
    with world.refused("denied.rehiding", of=minor):
        issues(relabel(openly, own_id, KEPT), 422)


def test_at_eighteen_the_parents_see_nothing_any_more(world: World) -> None:
    grown = world.opened("hospital", born=_eighteen(datetime.now(UTC).date()))
    parent = world.fresh("patient", world.patient(), minor=grown)
    world.publish(grown, hospital_document(grown), actor="hospital-physician")
    with world.refused("denied.majority", of=grown):
        issues(parent.get(f"/fhir/DocumentReference?patient={parent.record_id}"), 403)
    with world.refused("denied.majority", of=grown):
        issues(parent.get(f"/fhir/Patient?identifier={quote(ins(grown))}"), 403)


def _eighteen(today: date) -> date:
    """Born eighteen years and two days ago: of age in every time zone."""
    then = today - timedelta(days=2)
    return then.replace(year=then.year - 18, day=min(then.day, 28))


def _labelled(document: Any, label: str) -> Any:
    return replace(document, label=(codes.TRE_A08 if label == "N" else codes.TRE_A07, label))


# A diagnosis that awaits its announcement


def test_a_diagnosis_awaiting_its_announcement(world: World) -> None:
    patient = world.opened("hospital")
    holder, team = world.holder(patient), world.caller("hospital-physician", patient)
    before = traces(holder)
    answer = good(team.post("/fhir", submission(patient, hospital_document(patient, label=(codes.TRE_A07, AWAITED)))))
    (own_id,) = document_ids(answer)
    # The team sees it, with the warning that the patient can't (EX_3.2-1025).
    assert sees(team, own_id)
    entry = parsed(good(team.get(f"/fhir/DocumentReference/{own_id}")))
    assert [tag["code"] for tag in entry["meta"]["tag"]] == ["not-yet-told"]
    # The patient sees nothing of it: neither document, set, count nor trace; of who came here, that alone.
    assert not sees(holder, own_id)
    assert answer.headers["Sceau-Trace"] not in traces(holder) - before
    (came,) = notices(holder)
    assert "a consulté votre dossier pour la première fois" in came
    # Masked too, it would be found by nobody.
    with world.refused("denied.labels-together", of=patient):
        both = [{"op": "replace", "path": "/securityLabel", "value": [coded(AWAITED), coded("MASQUE_PS")]}]
        issues(team.call("PATCH", f"/fhir/DocumentReference/{own_id}", json.dumps(both).encode(), JSON_PATCH), 422)
    with world.refused(of=patient):
        issues(relabel(holder, own_id, "N"), 404)

    # After the consultation the doctor shows it, for good; the traces come with it.
    good(relabel(team, own_id, "N"))
    assert sees(holder, own_id)
    assert "tag" not in parsed(team.get(f"/fhir/DocumentReference/{own_id}"))["meta"]
    assert answer.headers["Sceau-Trace"] in traces(holder)
    with world.refused("denied.rehiding", of=patient):
        issues(relabel(team, own_id, AWAITED), 422)


def test_a_diagnosis_that_nobody_announced(world: World) -> None:
    patient = world.opened("hospital")
    holder = world.holder(patient)
    (own_id,) = world.publish(
        patient, hospital_document(patient, label=(codes.TRE_A07, AWAITED)), actor="hospital-physician"
    )
    world.aged(patient, own_id, 15)
    assert not sees(holder, own_id)
    (neutral,) = notices(holder)  # R. 1111-53: two weeks
    assert neutral.startswith("Des informations ont été ajoutées à votre dossier.")
    world.aged(patient, own_id, 32)
    assert sees(holder, own_id)  # a month


# A night at the emergency ward


def test_a_night_at_the_ward_with_and_without_opposition(world: World) -> None:
    where = place(world)
    holder = world.holder(where.patient)
    treated_by(world, where.patient, "general-practitioner", "general_practitioner")
    doctor, reviewer = world.caller("general-practitioner", where.patient), world.caller("reviewer")
    assert told(world.caller(WARD, where.patient), where.patient)["access"] == "deny denied.no-grant"
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    waiting = _waiting(world, since)

    night = world.fresh(WARD, where.patient, entering=BROKEN)
    assert told(night, where.patient) == {
        "access": "permit allowed.bris-de-glace",
        "collect": "permit allowed.feeding",
        "correct": "deny denied.mode",
    }
    all_allowed(where, night)
    # The patient and the médecin traitant are told, and the structure's responsible person reviews it.
    for caller in (holder, doctor):
        assert any("par « bris de glace »" in text for text in notices(caller))
    assert _waiting(world, since) == waiting + 1
    item = f"{where.record}.{night.token.event_id}"
    good(reviewer.call("POST", f"/fhir/Communication/{item}/$review", None, {"Accept": "application/fhir+json"}))
    assert _waiting(world, since) == waiting

    # The patient opposes that, and not the centre 15.
    opposition = decide(holder, where.patient, "opposition", mode="bris_de_glace")
    all_refused(world, where, night, "denied.opposed")
    all_refused(world, where, world.fresh(WARD, where.patient, entering=BROKEN), "denied.opposed")
    called = world.fresh("regulator", where.patient, entering=CALLED)
    assert told(called, where.patient)["collect"] == "deny denied.mode"
    all_allowed(where, called)
    decide(holder, where.patient, "opposition", mode="centre_15")
    all_refused(world, where, called, "denied.opposed")
    # And takes it back.
    body = bodies.consent_decision(where.patient, "opposition", mode="bris_de_glace", status="inactive")
    good(holder.call("PUT", f"/fhir/Consent/{opposition}", body))
    all_allowed(where, night)


def _waiting(world: World, since: str) -> int:
    """How many wait of those that were declared since then: other tests have theirs."""
    figures = parsed(good(world.caller("operations").get(f"/ops/emergency-reviews?date=ge{since}")))
    return int(figures["waiting"])


# A change of médecin traitant


def test_a_change_of_medecin_traitant(world: World) -> None:
    patient = world.opened()
    holder = world.holder(patient)
    (own_id,) = world.publish(patient, lab_document(patient))
    good(relabel(holder, own_id, "MASQUE_PS"))
    first, second = world.caller("general-practitioner", patient), world.caller("hospital-physician", patient)
    proposal = decide(holder, patient, "medecin_traitant", "general_practitioner")
    # Named is not accepted: nothing opens before.
    assert told(first, patient)["access"] == "deny denied.no-grant"
    with world.refused("denied.not-named", of=patient):
        body = bodies.consent_decision(patient, "medecin_traitant", AUTHORS["general_practitioner"], status="active")
        issues(second.call("PUT", f"/fhir/Consent/{proposal}", body), 403)
    accept(world, patient, proposal, "general-practitioner", "general_practitioner")
    assert sees(first, own_id)

    successor = decide(holder, patient, "medecin_traitant", "hospital_physician")
    assert sees(first, own_id)  # until the other accepts
    accept(world, patient, successor, "hospital-physician", "hospital_physician")
    assert sees(second, own_id)
    assert told(first, patient)["access"] == "deny denied.no-grant"
    with world.refused("denied.no-grant", of=patient):
        issues(first.get(f"/fhir/DocumentReference/{own_id}"), 403)
    # The médecin traitant can't be blocked; who was one before can.
    with world.unchanged():
        blocked = bodies.consent_decision(patient, "block", AUTHORS["hospital_physician"])
        issues(holder.post("/fhir/Consent", blocked), 422)
    decide(holder, patient, "block", "general_practitioner")
    assert told(first, patient) == dict.fromkeys(("access", "collect", "correct"), "deny denied.blocked")


# Closing, and opening again


def test_closing_and_opening_again(world: World) -> None:
    where = place(world, "hospital")
    holder, team = world.holder(where.patient), world.caller("hospital-physician", where.patient)
    all_allowed(where, team)
    opening = _opening(holder)
    closed = bodies.consent_life(where.patient, active=False, reason="Je n’en veux plus.")
    closing = good(holder.call("PUT", f"/fhir/Consent/{opening}", closed))

    all_refused(world, where, team, "denied.closed", told="denied.no-record")
    with world.refused("denied.closed", of=where.patient):
        issues(team.post("/fhir", submission(where.patient, hospital_document(where.patient))), 403)
    (status,) = found(team.get(f"/fhir/Patient?identifier={quote(ins(where.patient))}"))
    assert status["active"] is False
    assert told(team, where.patient) == dict.fromkeys(("access", "collect", "correct"), "deny denied.closed")
    # The holder reads who did what, and nothing else.
    assert closing.headers["Sceau-Trace"] in traces(holder)
    with world.refused("denied.closed", of=where.patient):
        issues(holder.get(f"/fhir/DocumentReference/{where.document}"), 403)

    good(holder.call("PUT", f"/fhir/Consent/{opening}", bodies.consent_life(where.patient, active=True)))
    assert present(holder) == [where.document]  # the archive is in it
    all_refused(world, where, team, "denied.no-grant")  # and who is to read it is asked anew
    world.grant(where.patient, "hospital")
    all_allowed(where, team)


def _opening(holder: Caller) -> str:
    consents = found(holder.get("/fhir/Consent"))
    (own_id,) = (one["id"] for one in consents if one["category"][0]["coding"][0]["code"] == "ICOL")
    return str(own_id)
