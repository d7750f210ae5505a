"""A replacement undoes no mask, and does not tell its publisher of one; whole service in process."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from fixtures.inprocess import Process, Response, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES
from sceau.fhir import codes
from sceau.records.dossier import Dossier
from sceau_schemas.dossier import EntryRow, StoredCoding, StoredIdentifier
from unit.faults.whole import read_whole
from unit.http.published import (
    URI,
    WHEN,
    Json,
    bundle,
    good,
    laboratory_document,
    locations,
    matches,
    opened,
    search,
    uid,
)
from unit.http.test_decisions_end_to_end import DOCTOR, GP, Stand as Decisions
from unit.http.test_lost_races import Rival
from unit.http.test_nothing_shows_through import told
from unit.http.test_own_documents import (
    KEPT,
    coded,
    consultation,
    deposit,
    own,
    patch,
)
from unit.http.test_patching import (
    HOLDER,
    LABORATORY,
    PHYSICIAN,
    Stand,
    deposited,
    labelled,
)

WHOLE = {"Prefer": "return=representation"}
DUNE = PATIENTS["dune"]


@pytest.fixture(scope="module")
def full() -> tuple[World, str]:
    """Dominique's record, shared with the hospital, and the laboratory's document 1 in it."""
    process = opened()
    made = process.session(LABORATORY).request("POST", "/fhir", bundle(901, laboratory_document(1)))
    return process.world, locations(made, "DocumentReference")[0]


@pytest.fixture
def stand(full: tuple[World, str]) -> Stand:
    return Stand(Process(full[0].copy()), {1: full[1]})


@pytest.fixture
def minors() -> Decisions:
    """Dune's record, whom a representative acts for, shared with the hospital."""
    stand = Decisions(opened(share=False))
    good(stand.post("representative", bodies.consent_opening(DUNE)))
    good(stand.post("representative", bodies.consent_grant(DUNE, STRUCTURES["hospital"])))
    stand.sessions[PHYSICIAN] = stand.process.session(PHYSICIAN, patient="dune")
    stand.sessions["secretly"] = stand.process.session(PHYSICIAN, patient="dune", secret=True)
    return stand


def sent(number: int, target: str | None, *labels: str) -> Json:
    """The laboratory's document, in place of another one."""
    body = bundle(900 + number, laboratory_document(number, replaces=target))
    (document,) = (one["resource"] for one in body["entry"] if one["resource"]["resourceType"] == "DocumentReference")
    if labels:
        document["securityLabel"] = [coded(label) for label in labels]
    return body


def replaced(stand: Stand, number: int, by: int, *labels: str) -> Response:
    """The laboratory replaces a document."""
    answer = stand.as_(LABORATORY).request("POST", "/fhir", sent(by, stand.ids[number], *labels), WHOLE)
    (stand.ids[by],) = set(locations(answer, "DocumentReference")) - {stand.ids[number]}
    return answer


# The patient's mask


def test_software_does_not_unmask_by_replacing(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    assert stand.read(PHYSICIAN, 1).status == 404
    replaced(stand, 1, 8)
    for rest in ("", "/_history", "/_history/1"):
        assert stand.read(PHYSICIAN, 8, rest).status == 404
    assert stand.as_(PHYSICIAN).request("GET", f"/fhir/Binary/{stand.ids[8]}", headers={"Accept": "*/*"}).status == 404
    assert stand.ids[8] not in [one["id"] for one in matches(search(stand.as_(PHYSICIAN), "DocumentReference"))]
    assert stand.labels(8) == ["MASQUE_PS"]
    replaced(stand, 8, 9)  # nor by replacing twice
    assert stand.read(PHYSICIAN, 9).status == 404


def test_by_the_simplified_transaction_and_by_a_business_identifier_too(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    target = StoredIdentifier(system=URI, value=uid(1))
    body = bodies.simplified(laboratory_document(8, replaces=target), patient=DOMINIQUE, when=WHEN)
    answer = good(stand.as_(LABORATORY).request("POST", "/fhir/DocumentReference", body))
    assert [one["coding"][0]["code"] for one in answer.json()["securityLabel"]] == ["N"]
    stand.ids[8] = answer.json()["id"]
    assert stand.read(PHYSICIAN, 8).status == 404


def test_the_patient_and_the_medecin_traitant_see_it_and_the_patient_shows_it(stand: Stand) -> None:
    decisions = Decisions(stand.process)
    named = good(decisions.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    good(decisions.put(GP, named, status="active"))
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    replaced(stand, 1, 8)
    for actor in (HOLDER, GP):
        seen = good(stand.read(actor, 8)).json()
        assert (seen["meta"]["versionId"], seen["securityLabel"][0]["coding"][0]["code"]) == ("2", "MASQUE_PS")
    good(stand.patch(HOLDER, 8, labelled("N")))
    assert stand.read(PHYSICIAN, 8).json()["meta"]["versionId"] == "3"
    assert stand.read(PHYSICIAN, 1).status == 404  # what was masked before stays so, until it is shown too
    versions = good(stand.read(HOLDER, 8, "/_history")).json()["entry"]
    assert [one["request"]["method"] for one in versions] == ["PATCH", "PATCH", "POST"]


def test_the_mask_stands_beside_the_labels_that_were_sent(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    body = sent(8, stand.ids[1])
    body["entry"][1]["resource"]["securityLabel"] = [{"coding": [{"system": codes.TRE_A08, "code": "R"}]}]
    good(stand.as_(LABORATORY).request("POST", "/fhir", body))
    assert [label.code for label in rows_of(stand)[uid(8)].now.labels] == ["R", "MASQUE_PS"]


def rows_of(stand: Stand) -> dict[str, EntryRow]:
    dossier = read_whole(stand.process.world).the_record()
    assert dossier is not None
    return {row.identifiers[0].value: row for row in dossier.entries.rows()}


def test_of_several_that_a_document_replaces_each_gives_its_mask(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    body = sent(8, stand.ids[1])
    relations = body["entry"][1]["resource"]["relatesTo"]
    relations.append({"code": "replaces", "target": {"reference": f"DocumentReference/{stand.ids[5]}"}})
    body["entry"] = [one for one in body["entry"] if one["resource"]["resourceType"] != "Parameters"]
    good(stand.as_(LABORATORY).request("POST", "/fhir", body))
    # The two do not come together by a deposit or a patch (EX_2.1-1050); a replacement drops neither.
    assert {label.code for label in rows_of(stand)[uid(8)].now.labels} == {"MASQUE_PS", "INVISIBLE_PATIENT"}


@pytest.mark.parametrize("mask", ["MASQUE_PS", "INVISIBLE_PATIENT"])
@pytest.mark.parametrize("form", ["ITI-65", "ITI-105"])
@pytest.mark.parametrize("labels", [(), ("MASQUE_PS",), ("INVISIBLE_PATIENT",)])
def test_the_answer_does_not_tell_of_a_mask(stand: Stand, mask: str, form: str, labels: tuple[str, ...]) -> None:
    """Two records that differ in a mask on the target answer alike, the first time and again."""
    target = deposited(stand, 5, mask if mask == "INVISIBLE_PATIENT" else "N")
    plain, masked = (Stand(Process(stand.process.world.copy()), dict(stand.ids)) for _ in range(2))
    if mask == "INVISIBLE_PATIENT":
        good(plain.patch(PHYSICIAN, 5, labelled("N")))
    else:
        good(masked.patch(HOLDER, 5, labelled(mask)))
    body, path = sent(8, target, *labels), "/fhir"
    if form == "ITI-105":
        path = "/fhir/DocumentReference"
        body = bodies.simplified(laboratory_document(8, replaces=target), patient=DOMINIQUE, when=WHEN)
        body["securityLabel"] = [coded(label) for label in labels] or body["securityLabel"]
    for _ in range(2):
        answers = [good(one.as_(LABORATORY).request("POST", path, body, WHOLE)) for one in (plain, masked)]
        first, second = (nameless(json.dumps(told(one)), keeping=target) for one in answers)
        assert first == second
    assert {mask, *labels} - {"N"} <= {label.code for label in rows_of(masked)[uid(8)].now.labels}


def nameless(text: str, *, keeping: str) -> str:
    """An answer without the ids that were drawn for it."""
    text = re.sub(r"[a-z2-7]{26}\.[a-z2-7]{26}", lambda found: found[0] if found[0] == keeping else "-", text)
    return re.sub(r"urn:uuid:[0-9a-f-]{36}", "-", text)


def test_a_mask_that_comes_while_the_replacement_is_being_published_goes_on(stand: Stand) -> None:
    """The event of the first attempt told other labels, so it is told anew."""
    mask = StoredCoding(system=codes.TRE_A07, code="MASQUE_PS")

    def masked(dossier: Dossier) -> Dossier:
        row = stand.row(1)
        now = row.now.model_copy(update={"version": 2, "labels": (mask,)})
        after = dossier.following(dossier.commits.last, at=dossier.head.updated)
        return after.with_changed_entry(row.model_copy(update={"now": now, "earlier": (row.now,)}))

    stand.as_(LABORATORY).request("GET", "/fhir/metadata")
    Rival(stand.process, 1, masked)
    *_, event = replaced(stand, 1, 8).events
    assert stand.labels(8) == ["MASQUE_PS"]
    assert stand.read(PHYSICIAN, 8).status == 404
    assert traced_labels(stand, event, stand.ids[8]) == ["MASQUE_PS"]


def test_the_trace_tells_the_labels_that_the_entry_has(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    (event,) = replaced(stand, 1, 8).events
    (again,) = good(stand.as_(LABORATORY).request("POST", "/fhir", sent(8, stand.ids[1]))).events
    for one in (event, again):
        assert traced_labels(stand, one, stand.ids[8]) == ["MASQUE_PS"]


def traced_labels(stand: Stand, event: str, own_id: str) -> list[str]:
    found = good(stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{event}")).json()
    (named,) = [one for one in found["entity"] if one["what"].get("reference") == f"DocumentReference/{own_id}"]
    return [label["code"] for label in named["securityLabel"]]


# What awaits its announcement


def test_a_replacement_waits_as_long_as_its_target_would_have(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    start = stand.process.world.clock.now  # 2 March: a month later is 2 April
    stand.process.world.clock.now = start + timedelta(days=20)
    stand.sessions.clear()
    replaced(stand, 5, 8)  # sent without the label: it shows nothing sooner
    assert stand.labels(8) == ["INVISIBLE_PATIENT"]
    assert stand.read(HOLDER, 8).status == 404
    stand.process.world.clock.now = start + timedelta(days=29)
    stand.sessions.clear()
    replaced(stand, 8, 9, "INVISIBLE_PATIENT")  # sent with it: the month does not begin again
    for days, status in ((30, 404), (31, 200)):
        stand.process.world.clock.now = start + timedelta(days=days)
        stand.sessions.clear()
        assert [stand.read(HOLDER, number).status for number in (5, 8, 9)] == [status] * 3


def test_who_may_show_it_shows_the_replacement(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    replaced(stand, 5, 8)
    good(stand.patch(LABORATORY, 8, labelled("N")))
    good(stand.read(HOLDER, 8))


def test_what_was_shown_and_is_replaced_by_something_new_may_wait_its_own_month(stand: Stand) -> None:
    start = stand.process.world.clock.now
    stand.process.world.clock.now = start + timedelta(days=60)
    stand.sessions.clear()
    replaced(stand, 1, 8, "INVISIBLE_PATIENT")
    good(stand.read(HOLDER, 1))
    for days, status in ((60, 404), (90, 404), (91, 200)):  # 1 May: a month later is 1 June
        stand.process.world.clock.now = start + timedelta(days=days)
        stand.sessions.clear()
        assert stand.read(HOLDER, 8).status == status


@pytest.mark.parametrize("day", [5, 20])
def test_the_patient_is_told_once_two_weeks_after_the_first_deposit(stand: Stand, day: int) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    start = stand.process.world.clock.now
    for now in (day, 25):
        stand.process.world.clock.now = start + timedelta(days=now)
        stand.sessions.clear()
        if now == day:
            replaced(stand, 5, 8)
    found = good(stand.as_(HOLDER).request("GET", "/fhir/Communication?category=record-updated")).json()
    told = [one["resource"]["sent"] for one in found.get("entry", ()) if one["search"]["mode"] == "match"]
    assert told == ["2026-03-16"]


# What is kept from a minor's representatives


def test_a_minors_secret_outlives_a_replacement_and_ends_by_confirmation_only(minors: Decisions) -> None:
    first = good(deposit(minors, "secretly", consultation(1, KEPT))).json()
    body = consultation(2)
    body["relatesTo"] = [{"code": "replaces", "target": {"reference": f"DocumentReference/{first['id']}"}}]
    made = good(deposit(minors, PHYSICIAN, body))
    target = f"/fhir/DocumentReference/{made.json()['id']}"
    assert minors.as_("representative").request("GET", target).status == 404
    events = matches(minors.as_("representative").request("GET", "/fhir/AuditEvent?date=ge2026-03-01"))
    assert made.events[0] not in {one["id"] for one in events}
    for actor in ("minor", PHYSICIAN):
        good(minors.as_(actor).request("GET", target))
    with minors.unchanged(422) as answers:
        answers.append(patch(minors, PHYSICIAN, made.json()["id"], labelled("N")))
    confirmed = {"Sceau-Confirm": "show-to-representatives"}
    good(patch(minors, PHYSICIAN, made.json()["id"], labelled("N"), **confirmed))
    good(minors.as_("representative").request("GET", target))


# The holder's own documents


def test_the_holder_replaces_what_they_masked_is_told_that_the_mask_goes_on_and_lifts_it(stand: Stand) -> None:
    decisions = Decisions(stand.process)
    good(deposit(decisions, HOLDER, own(21, label="MASQUE_PS")))
    newer = good(deposit(decisions, HOLDER, own(22, replaces=StoredIdentifier(system=URI, value=uid(21))))).json()
    assert [one["coding"][0]["code"] for one in newer["securityLabel"]] == ["MASQUE_PS"]
    target = f"/fhir/DocumentReference/{newer['id']}"
    assert decisions.as_(HOLDER).request("GET", target).json() == newer
    assert decisions.as_(PHYSICIAN).request("GET", target).status == 404
    good(patch(decisions, HOLDER, newer["id"], labelled("N")))
    good(decisions.as_(PHYSICIAN).request("GET", target))


# The insurer's care history, which replaces the one before whether it says so or not


def test_a_mask_on_the_care_history_outlives_the_next_month(stand: Stand) -> None:
    now = stand.process.world.clock.now
    made = []
    for number, days in ((31, 31), (32, 0)):
        document = bodies.sample_document(
            "care-history",
            patient=DOMINIQUE,
            author=AUTHORS["insurer"],
            structure=STRUCTURES["insurer"],
            when=now - timedelta(days=days),
            unique_id=uid(number),
        )
        answer = stand.as_("insurer").request("POST", "/fhir", bundle(900 + number, document), WHOLE)
        made += locations(answer, "DocumentReference")
        stand.ids[number] = made[-1]
        if number == 31:
            good(stand.read(PHYSICIAN, 31))
            good(stand.patch(HOLDER, 31, labelled("MASQUE_PS")))
    assert stand.read(PHYSICIAN, 32).status == 404
    assert good(stand.read(HOLDER, 32)).json()["securityLabel"][0]["coding"][0]["code"] == "MASQUE_PS"
