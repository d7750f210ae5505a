"""Who may do what over HTTPS. After each refusal the record is as it was, and the patient reads that it happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.live_world import (
    WHEN,
    Caller,
    World,
    alone,
    document_ids,
    found,
    hospital_document,
    ids,
    ins,
    issues,
    lab_document,
    parsed,
    set_id_of,
    submission,
    without_ids,
)
from sceau.cli import bodies
from sceau.cli.samples import STRUCTURES, Patient
from sceau.identity.client import HttpResponse
from sceau.records.ids import document_id

pytestmark = pytest.mark.xdist_group("live")


@dataclass(frozen=True, slots=True)
class Place:
    """A record with one document, in which the hospital is authorised."""

    patient: Patient
    record: str
    document: str
    set_id: str

    def reads(self, caller: Caller) -> Iterator[HttpResponse]:
        """Every way to read this record's documents."""
        yield caller.get(f"/fhir/DocumentReference?patient={self.record}")
        yield caller.get(f"/fhir/DocumentReference/{self.document}")
        yield caller.get(f"/fhir/Binary/{self.document}", Accept="*/*")
        yield caller.get(f"/fhir/Binary/{self.document}")
        yield caller.get(f"/fhir/List?patient={self.record}")
        yield caller.get(f"/fhir/List/{self.set_id}")


def place(world: World, *grants: str) -> Place:
    patient = world.opened(*grants)
    answer = world.caller("laboratory").post("/fhir", submission(patient))
    assert answer.status == 200
    return Place(patient, world.record_id(patient), document_ids(answer)[0], set_id_of(answer))


@contextmanager
def refused_and_shown(world: World, patient: Patient, reason: str) -> Iterator[list[HttpResponse]]:
    """What is done inside is refused: nothing changed, and the patient reads each event in ITI-81 with its reason."""
    answers: list[HttpResponse] = []
    names, records = world.event_names(), world.at_rest()
    yield answers
    assert answers
    assert world.at_rest() == records
    events = world.events_since(names)
    assert [(event.outcome, event.reason) for event in events] == [("4", reason)] * len(answers)
    assert [event.id for event in events] == [answer.headers["Sceau-Trace"] for answer in answers]
    since = (datetime.now(UTC) - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = world.holder(patient).get(f"/fhir/AuditEvent?date=ge{since}&outcome=4&_count=200")
    by_id = {resource["id"]: resource for resource in found(shown)}
    for event in events:
        assert by_id[event.id] == event.json
        assert by_id[event.id]["outcomeDesc"] == reason


def all_refused(world: World, where: Place, caller: Caller, reason: str, told: str | None = None) -> None:
    """Every way to read is refused with 403 and this reason; `told`: the one the caller is told, if another."""
    with refused_and_shown(world, where.patient, reason) as answers:
        answers.extend(where.reads(caller))
    for answer in answers:
        (issue,) = issues(answer, 403)
        assert issue["code"] == "forbidden"
        assert issue["details"] == {"text": told or reason}
        assert where.document.encode() not in answer.data


def all_allowed(where: Place, caller: Caller) -> None:
    for answer in where.reads(caller):
        assert answer.status == 200, answer.data


# Grants


def test_a_granted_structure_reads_and_another_does_not(world: World) -> None:
    where = place(world, "hospital")
    all_allowed(where, world.caller("hospital-physician", where.patient))
    for actor in ("other-physician", "general-practitioner"):
        all_refused(world, where, world.caller(actor, where.patient), "denied.no-grant")


def test_without_a_grant_nobody_but_the_holder_reads(world: World) -> None:
    where = place(world)
    all_refused(world, where, world.caller("hospital-physician", where.patient), "denied.no-grant")
    all_allowed(where, world.holder(where.patient))


def test_a_withdrawn_grant_counts_no_more(world: World) -> None:
    where = place(world)
    holder, physician = world.holder(where.patient), world.caller("hospital-physician", where.patient)
    consent = world.grant(where.patient, "hospital")
    all_allowed(where, physician)
    withdrawn = bodies.consent_grant(where.patient, STRUCTURES["hospital"], active=False)
    assert holder.call("PUT", f"/fhir/Consent/{consent}", withdrawn).status == 200
    all_refused(world, where, physician, "denied.no-grant")
    # It may be given again, and is another one then.
    assert world.grant(where.patient, "hospital") != consent
    all_allowed(where, physician)


def test_one_of_two_grants_is_enough(world: World) -> None:
    where = place(world, "hospital")
    holder, physician = world.holder(where.patient), world.caller("hospital-physician", where.patient)
    second = world.grant(where.patient, "hospital", end=datetime.now(UTC) + timedelta(days=30))
    withdrawn = bodies.consent_grant(where.patient, STRUCTURES["hospital"], active=False)
    assert holder.call("PUT", f"/fhir/Consent/{second}", withdrawn).status == 200
    all_allowed(where, physician)


def test_a_grant_that_has_not_begun_counts_not_yet(world: World) -> None:
    where = place(world)
    world.grant(where.patient, "hospital", start=datetime.now(UTC) + timedelta(days=1))
    all_refused(world, where, world.caller("hospital-physician", where.patient), "denied.no-grant")


def test_a_grant_ends_at_its_end(world: World) -> None:
    where = place(world)
    physician = world.caller("hospital-physician", where.patient)
    world.grant(where.patient, "hospital", end=datetime.now(UTC) + timedelta(hours=1))
    all_allowed(where, physician)
    world.end_grants(where.patient)
    all_refused(world, where, physician, "denied.no-grant")


def test_a_grant_is_for_one_record(world: World) -> None:
    where, other = place(world, "hospital"), place(world)
    all_allowed(where, world.caller("hospital-physician", where.patient))
    all_refused(world, other, world.caller("hospital-physician", other.patient), "denied.no-grant")


# Tokens


def test_a_token_for_another_patient_reads_nothing_here(world: World) -> None:
    where, other = place(world, "hospital"), place(world, "hospital")
    physician = world.caller("hospital-physician", other.patient)
    with refused_and_shown(world, other.patient, "denied.unknown") as answers:
        for target in (
            f"DocumentReference/{where.document}",
            f"Binary/{where.document}",
            f"List/{where.set_id}",
            f"Patient/{where.record}",
        ):
            answers.append(physician.get(f"/fhir/{target}"))
    assert {answer.status for answer in answers} == {404}
    with refused_and_shown(world, other.patient, "denied.other-record") as answers:
        for query in (
            f"DocumentReference?patient={where.record}",
            f"List?patient={where.record}",
            f"Patient?identifier={quote(ins(where.patient))}",
        ):
            answers.append(physician.get(f"/fhir/{query}"))
    assert {answer.status for answer in answers} == {404}


def test_a_patient_reads_its_own_record_and_no_other(world: World) -> None:
    where, other = place(world), place(world)
    holder = world.holder(where.patient)
    all_allowed(where, holder)
    assert ids(holder.get(f"/fhir/DocumentReference?patient={where.record}")) == [where.document]
    with refused_and_shown(world, where.patient, "denied.unknown") as answers:
        answers.append(holder.get(f"/fhir/DocumentReference/{other.document}"))
        answers.append(holder.get(f"/fhir/Binary/{other.document}", Accept="*/*"))
        answers.append(holder.get(f"/fhir/List/{other.set_id}"))
    with refused_and_shown(world, where.patient, "denied.other-record") as answers:
        answers.append(holder.get(f"/fhir/DocumentReference?patient={other.record}"))
        answers.append(holder.get(f"/fhir/AuditEvent?date=ge{datetime.now(UTC):%Y-%m-%d}&patient={other.record}"))
        answers.append(holder.get(f"/fhir/Consent?patient={other.record}"))
        body = bodies.consent_grant(other.patient, STRUCTURES["hospital"])
        answers.append(holder.post("/fhir/Consent", body))
    assert {answer.status for answer in answers} == {404}


def test_a_patient_publishes_nothing_of_a_structure_s(world: World) -> None:
    where = place(world)
    holder = world.holder(where.patient)
    with refused_and_shown(world, where.patient, "denied.not-author") as answers:
        answers.append(holder.post("/fhir", submission(where.patient)))
        answers.append(holder.post("/fhir/DocumentReference", alone(where.patient)))
    for answer in answers:
        issues(answer, 403)


# Software


def test_a_laboratory_reads_nothing_back(world: World) -> None:
    where = place(world, "hospital")
    lab = world.caller("laboratory")
    targets = (
        f"DocumentReference/{where.document}",
        f"Binary/{where.document}",
        f"Bundle/{where.document}",
        f"List/{where.set_id}",
    )
    with refused_and_shown(world, where.patient, "denied.actor") as answers:
        answers += [lab.get(f"/fhir/{target}") for target in targets]
    for answer in answers:
        (issue,) = issues(answer, 403)
        assert issue["details"] == {"text": "denied.actor"}
        assert b"ClinicalDocument" not in answer.data


@pytest.mark.parametrize("actor", ["laboratory", "insurer", "hospital-physician"])
def test_who_is_not_the_holder_reads_no_rights_and_no_traces(world: World, actor: str) -> None:
    where = place(world, "hospital")
    caller = world.caller(actor, None if actor != "hospital-physician" else where.patient)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    before = world.at_rest()
    for target in (
        f"Consent?patient={where.record}" if actor != "hospital-physician" else "AuditEvent",
        f"AuditEvent?date=ge{today}&patient={where.record}",
        f"AuditEvent/{next(iter(world.events_of(where.patient)))}",
        f"Patient?identifier={quote(ins(where.patient))}" if actor != "hospital-physician" else "AuditEvent",
    ):
        issues(caller.get(f"/fhir/{target}"), 403)
    assert world.at_rest() == before


def test_the_insurer_opens_records_and_reads_nothing(world: World) -> None:
    where = place(world)
    insurer = world.caller("insurer")
    with refused_and_shown(world, where.patient, "denied.actor") as answers:
        for target in (f"DocumentReference/{where.document}", f"Binary/{where.document}", f"List/{where.set_id}"):
            answers.append(insurer.get(f"/fhir/{target}"))
    assert {answer.status for answer in answers} == {403}


def care_history(patient: Patient) -> dict[str, Any]:
    return submission(patient, lab_document(patient, "care-history", author="insurer", structure="insurer"))


def test_reimbursements_come_from_the_insurer_and_nothing_else_does(world: World) -> None:
    where = place(world)
    insurer, lab = world.caller("insurer"), world.caller("laboratory")
    by_lab = submission(where.patient, lab_document(where.patient, "care-history"))
    by_insurer = submission(where.patient, lab_document(where.patient, author="insurer", structure="insurer"))
    with refused_and_shown(world, where.patient, "denied.insurer-type") as answers:
        answers.append(lab.post("/fhir", by_lab))
        answers.append(insurer.post("/fhir", by_insurer))
    assert {answer.status for answer in answers} == {403}
    assert insurer.post("/fhir", care_history(where.patient)).status == 200


def test_who_publishes_is_who_wrote(world: World) -> None:
    """The author organisation must be among the client's identifiers, in each document of the set."""
    where = place(world, "hospital")
    lab, physician = world.caller("laboratory"), world.caller("hospital-physician", where.patient)
    foreign = hospital_document(where.patient)
    with refused_and_shown(world, where.patient, "denied.not-author") as answers:
        answers.append(lab.post("/fhir", submission(where.patient, foreign)))
        answers.append(lab.post("/fhir", submission(where.patient, lab_document(where.patient), foreign)))
        answers.append(lab.post("/fhir/DocumentReference", alone(where.patient, foreign)))
        answers.append(physician.post("/fhir", submission(where.patient)))
    for answer in answers:
        assert issues(answer, 403)[0]["details"] == {"text": "denied.not-author"}
    assert physician.post("/fhir", submission(where.patient, foreign)).status == 200


def test_feeding_needs_no_grant_and_gives_none(world: World) -> None:
    where = place(world)
    physician = world.caller("hospital-physician", where.patient)
    own = document_ids(physician.post("/fhir", submission(where.patient, hospital_document(where.patient))))[0]
    with refused_and_shown(world, where.patient, "denied.no-grant") as answers:
        answers.append(physician.get(f"/fhir/DocumentReference/{own}"))
        answers.append(physician.get(f"/fhir/Binary/{own}", Accept="*/*"))
    assert {answer.status for answer in answers} == {403}


def test_a_professional_publishes_for_the_tokens_patient_only(world: World) -> None:
    where, other = place(world), place(world)
    physician = world.caller("hospital-physician", where.patient)
    with world.refused("denied.other-record", of=other.patient):
        answer = physician.post("/fhir", submission(other.patient, hospital_document(other.patient)))
    issues(answer, 403)


# Rights


def test_only_the_patient_grants_another_team_and_withdraws(world: World) -> None:
    where = place(world)
    grant = bodies.consent_grant(where.patient, STRUCTURES["other_hospital"])
    consent = world.grant(where.patient, "practice")
    withdrawal = bodies.consent_grant(where.patient, STRUCTURES["practice"], active=False)
    before = world.at_rest()
    for caller, granting, ending in (
        (world.caller("insurer"), 403, 403),
        (world.caller("laboratory"), 403, 403),
        (world.caller("hospital-physician", where.patient), 422, 403),
        (world.caller("general-practitioner", where.patient), 422, 403),
    ):
        issues(caller.post("/fhir/Consent", grant), granting)
        issues(caller.call("PUT", f"/fhir/Consent/{consent}", withdrawal), ending)
    assert world.at_rest() == before


def test_a_professional_collects_the_consent_to_the_own_team(world: World) -> None:
    where = place(world)
    physician = world.caller("hospital-physician", where.patient)
    issues(physician.get(f"/fhir/Binary/{where.document}"), 403)
    answer = physician.post("/fhir/Consent", bodies.consent_grant(where.patient, STRUCTURES["hospital"]))
    assert answer.status == 201, answer.data
    all_allowed(where, physician)
    (shown,) = [one for one in found(world.holder(where.patient).get("/fhir/Consent")) if "actor" in one["provision"]]
    assert shown["performer"][0]["type"] == "Practitioner", "the patient sees who recorded it"


def test_another_patient_withdraws_nothing(world: World) -> None:
    where, other = place(world), place(world)
    consent = world.grant(where.patient, "hospital")
    stranger = world.holder(other.patient)
    own_words = bodies.consent_grant(other.patient, STRUCTURES["hospital"], active=False)
    with world.refused("denied.unknown", of=other.patient):
        issues(stranger.call("PUT", f"/fhir/Consent/{consent}", own_words), 404)
    anothers_words = bodies.consent_grant(where.patient, STRUCTURES["hospital"], active=False)
    with world.refused("denied.other-record", of=other.patient):
        issues(stranger.call("PUT", f"/fhir/Consent/{consent}", anothers_words), 404)
    all_allowed(where, world.caller("hospital-physician", where.patient))


def test_a_withdrawal_names_what_it_withdraws(world: World) -> None:
    where = place(world)
    holder = world.holder(where.patient)
    consent = world.grant(where.patient, "hospital")
    target = f"/fhir/Consent/{consent}"
    withdrawal = bodies.consent_grant(where.patient, STRUCTURES["hospital"], active=False)
    with refused_and_shown(world, where.patient, "refused.422") as answers:
        other = bodies.consent_grant(where.patient, STRUCTURES["practice"], active=False)
        answers.append(holder.call("PUT", target, other))
        answers.append(holder.call("PUT", target, bodies.consent_opening(where.patient)))
    same = holder.call("PUT", target, bodies.consent_grant(where.patient, STRUCTURES["hospital"]))
    assert (same.status, same.headers["ETag"]) == (200, 'W/"1"'), "it holds already: nothing changes"
    with refused_and_shown(world, where.patient, "denied.unknown") as answers:
        answers.append(holder.call("PUT", f"/fhir/Consent/{document_id(where.record, 'a' * 26)}", withdrawal))
        answers.append(holder.call("PUT", f"/fhir/Consent/{where.document}", withdrawal))
    assert {answer.status for answer in answers} == {404}
    with refused_and_shown(world, where.patient, "refused.412") as answers:
        headers = {"Content-Type": "application/fhir+json", "If-Match": 'W/"7"'}
        answers.append(holder.call("PUT", target, withdrawal, headers))
    assert issues(answers[0], 412)
    headers["If-Match"] = 'W/"1"'
    assert holder.call("PUT", target, withdrawal, headers).status == 200


def test_the_holder_reads_the_rights_that_were_given(world: World) -> None:
    where = place(world, "hospital")
    consent = world.grant(where.patient, "practice", start=WHEN)
    holder = world.holder(where.patient)
    withdrawn = bodies.consent_grant(where.patient, STRUCTURES["practice"], start=WHEN, active=False)
    holder.call("PUT", f"/fhir/Consent/{consent}", withdrawn)
    shown = found(holder.get("/fhir/Consent"))
    said = [
        (
            one["status"],
            one["category"][0]["coding"][0]["code"],
            one["provision"].get("actor", [{}])[0].get("reference", {}).get("identifier", {}).get("value"),
        )
        for one in shown
    ]
    assert said == [
        ("active", "ICOL", None),
        ("active", "INFA", STRUCTURES["hospital"].identifier),
        ("inactive", "INFA", STRUCTURES["practice"].identifier),
    ]
    assert {one["patient"]["reference"] for one in shown} == {f"Patient/{where.record}"}
    by_id = {one["id"]: one for one in shown}
    assert by_id[consent]["meta"]["versionId"] == "2"
    assert by_id[consent]["provision"]["period"]["start"].startswith("2026-06-12")


def test_the_patient_may_be_named_by_its_id(world: World) -> None:
    where = place(world)
    body = bodies.consent_grant(where.patient, STRUCTURES["hospital"])
    body["patient"] = {"reference": f"Patient/{where.record}"}
    assert world.holder(where.patient).post("/fhir/Consent", body).status == 201
    all_allowed(where, world.caller("hospital-physician", where.patient))
    body["patient"] = {"reference": f"Patient/{place(world).record}"}
    with world.refused("denied.other-record", of=where.patient):
        issues(world.holder(where.patient).post("/fhir/Consent", body), 404)


def test_a_grant_until_the_end_of_time_is_one_until_it_is_withdrawn(world: World) -> None:
    where = place(world)
    body = bodies.consent_grant(where.patient, STRUCTURES["hospital"])
    body["provision"]["period"] = {"end": "9999-12-31"}
    assert world.holder(where.patient).post("/fhir/Consent", body).status == 201
    all_allowed(where, world.caller("hospital-physician", where.patient))
    assert len(found(world.holder(where.patient).get("/fhir/Consent"))) == 2


def test_a_patient_may_open_its_own_record(world: World) -> None:
    patient = world.patient()
    answer = world.holder(patient).post("/fhir/Consent", bodies.consent_opening(patient))
    assert answer.status == 201
    assert answer.headers["Location"] == f"{world.origin}/fhir/Consent/{parsed(answer)['id']}"
    assert world.dossier(patient).head.patient.birth_name == patient.birth_name


def test_a_patient_opens_no_record_of_another(world: World) -> None:
    patient, other = world.opened(), world.patient()
    with world.refused("denied.other-record", of=other):
        answer = world.holder(patient).post("/fhir/Consent", bodies.consent_opening(other))
    issues(answer, 403)
    assert world.records.load(world.record_id(other)) is None


@pytest.mark.parametrize("actor", ["laboratory", "hospital-physician"])
def test_nobody_else_opens_records(world: World, actor: str) -> None:
    patient = world.patient()
    caller = world.caller(actor, patient if actor == "hospital-physician" else None)
    answer = caller.post("/fhir/Consent", bodies.consent_opening(patient))
    issues(answer, 403)
    assert world.records.load(world.record_id(patient)) is None


# Absent and closed


def grant(world: World, patient: Patient) -> HttpResponse:
    body = bodies.consent_grant(patient, STRUCTURES["practice"])
    return world.holder(patient).post("/fhir/Consent", body)


Attempt = Callable[[World, Patient], HttpResponse]
ATTEMPTS: list[Any] = [
    pytest.param(grant, id="grant"),
    pytest.param(lambda w, p: w.caller("laboratory").post("/fhir", submission(p)), id="ITI-65"),
    pytest.param(lambda w, p: w.caller("laboratory").post("/fhir/DocumentReference", alone(p)), id="ITI-105"),
    pytest.param(
        lambda w, p: w.caller("laboratory").get(
            f"/fhir/DocumentReference?patient.identifier={quote(ins(p))}&identifier=urn:uuid:1"
        ),
        id="TD3.1b",
    ),
    pytest.param(
        lambda w, p: w.caller("hospital-physician", p).get(f"/fhir/DocumentReference?patient={w.record_id(p)}"),
        id="ITI-67",
    ),
    pytest.param(
        lambda w, p: w.caller("hospital-physician", p).get(f"/fhir/List?patient={w.record_id(p)}"), id="ITI-66"
    ),
    pytest.param(
        lambda w, p: w.caller("hospital-physician", p).get(
            f"/fhir/DocumentReference/{document_id(w.record_id(p), 'a' * 26)}"
        ),
        id="read",
    ),
    pytest.param(
        lambda w, p: w.caller("hospital-physician", p).get(f"/fhir/Binary/{document_id(w.record_id(p), 'a' * 26)}"),
        id="ITI-68",
    ),
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_absent_and_closed_read_alike(world: World, attempt: Attempt) -> None:
    absent, closed = world.patient(), world.opened("hospital")
    world.close(closed)
    answers = []
    for patient, reason in ((absent, "denied.no-record"), (closed, "denied.closed")):
        with world.refused(reason, of=patient):
            answer = attempt(world, patient)
        assert issues(answer, 403)[0]["details"] == {"text": "denied.no-record"}
        answers.append(without_ids(answer))
    assert answers[0] == answers[1]


def test_nobody_reads_a_closed_record_and_its_holder_still_sees_what_happened(world: World) -> None:
    where = place(world, "hospital")
    physician, holder = world.caller("hospital-physician", where.patient), world.holder(where.patient)
    all_allowed(where, physician)
    world.close(where.patient)
    for caller in (physician, holder):
        all_refused(world, where, caller, "denied.closed", told="denied.no-record")
    assert len(found(holder.get("/fhir/Consent"))) == 2
    assert found(holder.get(f"/fhir/AuditEvent?date=ge{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"))


def test_a_closed_record_is_not_opened_again_by_opening_it(world: World) -> None:
    patient = world.opened()
    world.close(patient)
    for caller in (world.caller("insurer"), world.holder(patient)):
        with world.refused("denied.closed", of=patient):
            answer = caller.post("/fhir/Consent", bodies.consent_opening(patient))
        issues(answer, 403)


def test_a_grant_from_now_on_counts_beside_one_that_begins_later(world: World) -> None:
    """A grant without a start is not the same as one that is not in force yet."""
    where = place(world)
    later = world.grant(where.patient, "hospital", start=datetime.now(UTC) + timedelta(days=1))
    now = world.grant(where.patient, "hospital")
    assert now != later
    all_allowed(where, world.caller("hospital-physician", where.patient))
