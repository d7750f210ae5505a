"""Notices over HTTPS: what a patient and the médecin traitant are told, derived when they read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.live_world import (
    Caller,
    World,
    document_ids,
    expressions,
    found,
    hospital_document,
    ins,
    issues,
    parsed,
    submission,
    without_ids,
)
from journeys.test_access import Place, all_allowed, place
from journeys.test_emergency import BROKEN, CALLED, WARD
from sceau.cli.samples import Patient
from sceau.identity.client import Emergency, HttpResponse

pytestmark = pytest.mark.xdist_group("live")

Json = dict[str, Any]
DOCTOR = {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": "899700000105"}


def notices(caller: Caller, query: str = "") -> list[Json]:
    return found(caller.get(f"/fhir/Communication{query}"))


def kind(notice: Json) -> str:
    codes = {one["coding"][0]["system"]: one["coding"][0]["code"] for one in notice["category"]}
    return str(codes["urn:sceau:fhir:notice"])


def text(notice: Json) -> str:
    return str(notice["payload"][0]["contentString"])


def kinds(notices: list[Json]) -> list[str]:
    return [kind(one) for one in notices]


def treated_by_the_practice(world: World, patient: Patient) -> None:
    world.decided(patient, "medecin_traitant", grantee=DOCTOR)


def test_a_new_record_has_no_notices(world: World) -> None:
    answer = world.holder(world.opened("hospital")).get("/fhir/Communication")
    assert found(answer) == []
    assert parsed(answer)["total"] == 0


def test_each_professionals_first_access_is_told_once(world: World) -> None:
    where = place(world, "hospital", "practice")
    holder = world.holder(where.patient)
    assert notices(holder) == []
    physician = world.caller("hospital-physician", where.patient)
    all_allowed(where, physician)
    (told,) = notices(holder)
    assert kind(told) == "first-access"
    assert told["status"] == "completed"
    assert told["subject"] == told["recipient"][0] == {"reference": f"Patient/{where.record}"}
    assert text(told).startswith("Hortense MODÈLE-INTERNISTE (")
    assert "a consulté votre dossier pour la première fois le" in text(told)
    event = parsed(holder.get(f"/fhir/{told['about'][0]['reference']}"))
    assert event["recorded"] == told["sent"]
    all_allowed(where, world.fresh("hospital-physician", where.patient))
    assert [one["id"] for one in notices(holder)] == [told["id"]]
    all_allowed(where, world.caller("general-practitioner", where.patient))
    assert kinds(notices(holder)) == ["first-access", "first-access"]


def test_nothing_is_written_for_a_notice_but_the_trace_of_reading_it(world: World) -> None:
    where = place(world, "hospital")
    all_allowed(where, world.caller("hospital-physician", where.patient))
    with world.unchanged() as since:
        notices(world.holder(where.patient))
    assert (since.event.outcome, since.event.record_id) == ("0", where.record)


def test_feeding_status_and_refusals_are_no_first_access(world: World) -> None:
    where = place(world)
    physician = world.caller("hospital-physician", where.patient)
    fed = physician.post("/fhir", submission(where.patient, hospital_document(where.patient)))
    assert document_ids(fed)
    assert physician.get(f"/fhir/Patient?identifier={quote(ins(where.patient))}").status == 200
    assert physician.get(f"/fhir/Binary/{where.document}").status == 403
    assert notices(world.holder(where.patient)) == []


def test_each_emergency_is_told_with_its_reason_to_patient_and_medecin_traitant(world: World) -> None:
    where = place(world)
    treated_by_the_practice(world, where.patient)
    holder, doctor = world.holder(where.patient), world.caller("general-practitioner", where.patient)
    entered = world.fresh(WARD, where.patient, entering=BROKEN)
    assert notices(holder) == []  # declared, and nothing read yet
    all_allowed(where, entered)
    again = Emergency("bris_de_glace", declaration=entered.token.declaration)
    all_allowed(where, world.fresh(WARD, where.patient, entering=again))
    told = [one for one in notices(holder) if kind(one) == "emergency-access"]
    assert [one["id"] for one in told] == [f"{where.record}.{entered.token.event_id}"]
    assert "Célestin MODÈLE-URGENTISTE" in text(told[0])
    assert "« bris de glace »" in text(told[0])
    assert "Motif déclaré : « Inconscient, hémorragie »." in text(told[0])
    all_allowed(where, world.fresh("regulator", where.patient, entering=CALLED))
    assert len([one for one in notices(holder) if kind(one) == "emergency-access"]) == 2
    to_doctor = notices(doctor)
    assert kinds(to_doctor) == ["emergency-access", "emergency-access"]  # of first accesses the holder is told
    assert "centre 15" in text(to_doctor[0])
    assert "dont vous êtes le médecin traitant" in text(to_doctor[1])
    assert to_doctor[1]["recipient"] == [{"type": "Practitioner", "identifier": DOCTOR}]


def test_an_emergency_that_was_refused_is_no_access(world: World) -> None:
    where = place(world)
    world.decided(where.patient, "opposition", mode="bris_de_glace")
    entered = world.fresh(WARD, where.patient, entering=BROKEN)
    assert {answer.status for answer in where.reads(entered)} == {403}
    assert notices(world.holder(where.patient)) == []


@pytest.mark.parametrize("actor", ["hospital-physician", "general-practitioner"])
def test_other_professionals_are_told_nothing(world: World, actor: str) -> None:
    where = place(world, "hospital", "practice")
    with world.refused("denied.not-named", of=where.patient):
        answer = world.caller(actor, where.patient).get("/fhir/Communication")
    issues(answer, 403)


def test_the_medecin_traitant_in_an_emergency_mode_is_told_nothing(world: World) -> None:
    where = place(world)
    treated_by_the_practice(world, where.patient)
    entered = world.fresh("general-practitioner", where.patient, entering=BROKEN)
    with world.refused("denied.not-named", of=where.patient):
        issues(entered.get("/fhir/Communication"), 403)


def test_another_patient_is_told_nothing_of_this_one(world: World) -> None:
    where, other = place(world, "hospital"), place(world)
    all_allowed(where, world.caller("hospital-physician", where.patient))
    stranger = world.holder(other.patient)
    assert notices(stranger) == []
    for query in (f"?patient={where.record}", f"?patient.identifier={quote(ins(where.patient))}"):
        with world.refused("denied.other-record", of=other.patient):
            issues(stranger.get(f"/fhir/Communication{query}"), 404)


def test_notices_are_found_by_period_and_kind(world: World) -> None:
    where = place(world, "hospital")
    all_allowed(where, world.caller("hospital-physician", where.patient))
    all_allowed(where, world.fresh(WARD, where.patient, entering=BROKEN))
    holder, today = world.holder(where.patient), datetime.now(UTC)
    assert kinds(notices(holder, "?category=emergency-access")) == ["emergency-access"]
    assert kinds(notices(holder, "?category=urn:sceau:fhir:notice|first-access")) == ["first-access"] * 2
    assert len(notices(holder, f"?sent=ge{today - timedelta(days=1):%Y-%m-%d}&patient={where.record}")) == 3
    assert notices(holder, f"?sent=lt{today - timedelta(days=1):%Y-%m-%d}") == []
    too_long = holder.get(f"/fhir/Communication?sent=ge{today - timedelta(days=40):%Y-%m-%d}")
    assert expressions(issues(too_long, 422)) == ["sent"]
    (outcome,) = found(holder.get("/fhir/Communication?colour=red"), "outcome")
    assert outcome["issue"][0]["expression"] == ["colour"]
    strict = holder.get("/fhir/Communication?colour=red", Prefer="handling=strict")
    assert expressions(issues(strict, 400)) == ["colour"]


def test_notices_of_a_closed_record_are_still_the_holders_to_read(world: World) -> None:
    where = place(world, "hospital")
    all_allowed(where, world.caller("hospital-physician", where.patient))
    world.close(where.patient)
    assert kinds(notices(world.holder(where.patient))) == ["first-access"]


def test_a_masked_document_that_was_read_changes_no_notice(world: World) -> None:
    """Notices name no document; two records that differ in what was read there are told of alike."""
    told = []
    for _ in range(2):
        where = place(world, "hospital")
        all_allowed(where, world.caller("hospital-physician", where.patient))
        told.append(_same(world.holder(where.patient).get("/fhir/Communication"), where))
    assert told[0] == told[1]


def _same(answer: HttpResponse, where: Place) -> tuple[str, list[str]]:
    _, data, _ = without_ids(answer)
    bundle = parsed(answer)
    assert where.document.encode() not in data
    return bundle["type"], [text(one["resource"]).partition(" le ")[0] for one in bundle["entry"]]
