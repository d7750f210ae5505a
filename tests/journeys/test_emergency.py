"""A night at the emergency ward, over HTTPS: with and without the patient's opposition; and the centre 15."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from fixtures.live_world import (
    MASKED,
    Caller,
    World,
    document_ids,
    found,
    ids,
    ins,
    issues,
    lab_document,
    parsed,
    submission,
)
from journeys.test_access import Place, all_allowed, all_refused, place, refused_and_shown
from sceau.cli import main as command
from sceau.cli.process import port_of
from sceau.cli.samples import Patient
from sceau.identity.client import Emergency, HttpResponse, TokenNotGiven

pytestmark = pytest.mark.xdist_group("live")

BROKEN = Emergency("bris_de_glace", "Inconscient, hémorragie", unable_to_consent=True, immediate_risk=True)
CALLED = Emergency("centre_15")
WARD = "emergency-physician"


def ward(world: World, patient: Patient) -> Caller:
    return world.fresh(WARD, patient, entering=BROKEN)


def samu(world: World, patient: Patient) -> Caller:
    return world.fresh("regulator", patient, entering=CALLED)


def policies(world: World, patient: Patient, answer: HttpResponse) -> set[str]:
    """What the event of an answer says the decision used."""
    event = world.events_of(patient)[answer.headers["Sceau-Trace"]]
    named = {policy for agent in event.json["agent"] for policy in agent.get("policy", ())}
    return {policy.removeprefix("urn:sceau:policy:") for policy in named if ":policy:" in policy}


def told_by_status(world: World, where: Place, caller: Caller) -> str:
    """What TD0.2 says that the caller may do here, and why (not)."""
    answer = caller.get(f"/fhir/Patient?identifier={quote(ins(where.patient))}")
    (statement,) = found(answer, "include")
    return f"{statement['provision']['type']} {statement['policyRule']['text']}"


# A night without opposition


def test_at_the_ward_the_glass_is_broken_and_the_record_read(world: World) -> None:
    where = place(world)
    all_refused(world, where, world.caller(WARD, where.patient), "denied.no-grant")
    caller = ward(world, where.patient)
    assert told_by_status(world, where, caller) == "permit allowed.bris-de-glace"
    all_allowed(where, caller)


def test_the_mode_stands_in_every_answer_and_every_trace(world: World) -> None:
    where = place(world, "hospital")
    caller = ward(world, where.patient)
    declared = f"declaration:{caller.token.event_id}"
    answers = [*where.reads(caller), caller.get("/fhir/DocumentReference/nothing"), caller.get("/fhir/AuditEvent")]
    assert {answer.status for answer in answers} == {200, 403, 404}
    for answer in answers:
        assert answer.headers["Sceau-Mode"] == "bris_de_glace"
        assert {"mode:bris_de_glace", declared} <= policies(world, where.patient, answer)
    usual = world.caller("hospital-physician", where.patient).get(f"/fhir/DocumentReference/{where.document}")
    assert usual.headers["Sceau-Mode"] == "normal"
    assert not any(policy.startswith(("mode", "declaration")) for policy in policies(world, where.patient, usual))
    assert "Sceau-Mode" not in world.holder(where.patient).get(f"/fhir/Patient/{where.record}").headers


def test_the_patient_reads_who_declared_what_and_why(world: World) -> None:
    where = place(world)
    caller = ward(world, where.patient)
    answer = world.holder(where.patient).get(f"/fhir/AuditEvent/{caller.token.event_id}")
    (entity,) = parsed(answer)["entity"]
    details = {one["type"]: one["valueString"] for one in entity["detail"]}
    assert details["mode"] == "bris_de_glace"
    assert details["mode-reason"] == "Inconscient, hémorragie"
    assert "899700000106" in {agent["who"]["identifier"]["value"] for agent in parsed(answer)["agent"]}
    assert details["patient"] == f"Patient/{where.record}"


def test_a_declaration_serves_for_further_tokens_and_for_nobody_else(world: World) -> None:
    where, other = place(world), place(world)
    first = ward(world, where.patient)
    again = Emergency("bris_de_glace", declaration=first.token.declaration)
    further = world.fresh(WARD, where.patient, entering=again)
    all_allowed(where, further)
    assert f"declaration:{first.token.event_id}" in policies(
        world, where.patient, further.get(f"/fhir/DocumentReference/{where.document}")
    )
    for actor, patient in ((WARD, other.patient), ("other-physician", where.patient), ("regulator", where.patient)):
        with pytest.raises(TokenNotGiven, match="invalid_grant"):
            world.fresh(actor, patient, entering=again)


@pytest.mark.parametrize(
    "incomplete",
    [
        Emergency("bris_de_glace"),
        Emergency("bris_de_glace", "AVC"),
        Emergency("bris_de_glace", "AVC", unable_to_consent=True),
        Emergency("bris_de_glace", "AVC", immediate_risk=True),
        Emergency("bris_de_glace", None, unable_to_consent=True, immediate_risk=True),
    ],
)
def test_half_a_declaration_gives_no_token_and_the_patient_reads_that_it_was_tried(
    world: World, incomplete: Emergency
) -> None:
    patient = world.opened()
    before, records = world.event_names(), world.at_rest()
    with pytest.raises(TokenNotGiven, match="invalid_request"):
        world.fresh(WARD, patient, entering=incomplete)
    assert world.at_rest() == records
    (event,) = (world.event(name) for name in world.event_names() - before)
    assert (event.outcome, event.reason) == ("4", "mode.not-declared")
    shown = world.holder(patient).get(f"/fhir/AuditEvent?date=ge{_since()}&outcome=4")
    assert event.id in ids(shown)


def test_masked_documents_are_not_there_in_an_emergency(world: World) -> None:
    where = place(world)
    hidden = world.publish(where.patient, lab_document(where.patient, label=MASKED))[0]
    for caller in (ward(world, where.patient), samu(world, where.patient)):
        answer = caller.get(f"/fhir/DocumentReference?patient={where.record}")
        assert ids(answer) == [where.document]
        assert parsed(answer)["total"] == 1
        assert hidden.encode() not in answer.data
        sets = caller.get(f"/fhir/List?patient={where.record}")
        assert len(ids(sets)) == parsed(sets)["total"] == 1
        with refused_and_shown(world, where.patient, "denied.masked") as answers:
            answers.append(caller.get(f"/fhir/DocumentReference/{hidden}"))
            answers.append(caller.get(f"/fhir/Binary/{hidden}", Accept="*/*"))
        assert {answer.status for answer in answers} == {404}


def test_what_was_done_at_the_ward_is_fed_in_the_same_mode(world: World) -> None:
    where = place(world)
    caller = ward(world, where.patient)
    letter = lab_document(where.patient, "discharge-letter", author="emergency_physician", structure="other_hospital")
    answer = caller.post("/fhir", submission(where.patient, letter))
    assert answer.status == 200, answer.data
    (own,) = document_ids(answer)
    assert "mode:bris_de_glace" in policies(world, where.patient, answer)
    assert own in ids(caller.get(f"/fhir/DocumentReference?patient={where.record}"))


# The same night, opposed


def test_whoever_opposed_it_is_not_read_by_breaking_the_glass(world: World) -> None:
    where = place(world)
    caller = ward(world, where.patient)
    all_allowed(where, caller)
    world.decided(where.patient, "opposition", mode="bris_de_glace")
    # At once, for tokens that exist, and for those to come.
    for entered in (caller, ward(world, where.patient)):
        all_refused(world, where, entered, "denied.opposed")
        assert told_by_status(world, where, entered) == "deny denied.opposed"
    with refused_and_shown(world, where.patient, "denied.opposed") as answers:
        letter = lab_document(
            where.patient, "discharge-letter", author="emergency_physician", structure="other_hospital"
        )
        answers.append(caller.post("/fhir", submission(where.patient, letter)))
    assert answers[0].status == 403
    all_allowed(where, samu(world, where.patient))


def test_whoever_opposed_the_centre_15_can_still_be_helped_at_the_ward(world: World) -> None:
    where = place(world)
    world.decided(where.patient, "opposition", mode="centre_15")
    all_refused(world, where, samu(world, where.patient), "denied.opposed")
    all_allowed(where, ward(world, where.patient))


def test_an_opposition_to_emergencies_takes_nothing_from_consents(world: World) -> None:
    where = place(world, "hospital")
    for mode in ("bris_de_glace", "centre_15"):
        world.decided(where.patient, "opposition", mode=mode)
    all_allowed(where, world.caller("hospital-physician", where.patient))
    entered = world.fresh("hospital-physician", where.patient, entering=BROKEN)
    all_refused(world, where, entered, "denied.opposed")


def test_a_blocked_professional_breaks_no_glass(world: World) -> None:
    where = place(world, "other_hospital")
    who = {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": "899700000106"}
    all_allowed(where, ward(world, where.patient))
    world.decided(where.patient, "block", grantee=who)
    all_refused(world, where, ward(world, where.patient), "denied.blocked")
    all_refused(world, where, world.caller(WARD, where.patient), "denied.blocked")


# The centre 15


def test_a_regulating_doctor_reads_for_the_person_whom_a_call_concerns(world: World) -> None:
    where, other = place(world), place(world)
    caller = samu(world, where.patient)
    assert told_by_status(world, where, caller) == "permit allowed.centre-15"
    all_allowed(where, caller)
    answer = caller.get(f"/fhir/DocumentReference/{where.document}")
    assert answer.headers["Sceau-Mode"] == "centre_15"
    assert "mode:centre_15" in policies(world, where.patient, answer)
    with refused_and_shown(world, where.patient, "denied.unknown") as answers:
        answers.append(caller.get(f"/fhir/DocumentReference/{other.document}"))


def test_a_regulating_doctor_reads_nothing_without_saying_so(world: World) -> None:
    where = place(world)
    all_refused(world, where, world.caller("regulator", where.patient), "denied.no-grant")


def test_who_does_not_regulate_calls_is_no_centre_15(world: World) -> None:
    where = place(world, "hospital")
    before = world.event_names()
    with pytest.raises(TokenNotGiven, match="invalid_grant"):
        world.fresh("hospital-physician", where.patient, entering=CALLED)
    (event,) = (world.event(name) for name in world.event_names() - before)
    assert (event.outcome, event.reason, event.record_id) == ("4", "mode.not-entitled", where.record)
    assert event.id in ids(world.holder(where.patient).get(f"/fhir/AuditEvent?date=ge{_since()}&outcome=4"))


def test_the_centre_15_feeds_nothing(world: World) -> None:
    where = place(world)
    letter = lab_document(where.patient, "discharge-letter", author="regulator", structure="samu")
    with refused_and_shown(world, where.patient, "denied.mode") as answers:
        answers.append(samu(world, where.patient).post("/fhir", submission(where.patient, letter)))
    issues(answers[0], 403)


def test_in_no_mode_is_a_closed_record_entered(world: World) -> None:
    where = place(world)
    world.close(where.patient)
    for caller in (ward(world, where.patient), samu(world, where.patient)):
        all_refused(world, where, caller, "denied.closed", told="denied.no-record")


# The command


def test_the_command_fetches_a_token_of_an_emergency(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--folder", str(world.live.folder.path), "--port", str(port_of(world.origin))]
    declared = ["--mode", "bris_de_glace", "--reason", "Inconscient", "--unable", "--risk"]
    assert command.main(["token", WARD, *where, *declared]) == 0
    head, body, _ = capsys.readouterr().out.split(".")
    assert head
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    assert claims["extensions"]["sceau"]["emergency"]["mode"] == "bris_de_glace"
    assert command.main(["token", WARD, *where, "--mode", "bris_de_glace"]) == 1
    assert capsys.readouterr().err.startswith("sceau: invalid_request (400): bris de glace is declared with")


def _since() -> str:
    return (datetime.now(UTC) - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
