"""Which events a reader sees: none that tells of a document which the reader may not know of, whatever way it tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.inprocess import Process, Response, World
from unit.http.published import PATIENT, URI, bundle, good, laboratory_document, locations, matches, opened, search, uid
from unit.http.test_decisions_end_to_end import HOLDER, PHYSICIAN, Stand
from unit.http.test_own_documents import KEPT, coded, consultation, deposit, minors, secret
from unit.http.test_patching import DELETION, PATCH, labelled

__all__ = ["minors", "secret"]

LABORATORY = "laboratory"


@pytest.fixture(scope="module")
def full() -> World:
    return opened().world


@pytest.fixture
def stand(full: World) -> Stand:
    return Stand(Process(full.copy()))


def awaiting(stand: Stand, number: int = 5) -> tuple[str, Response]:
    """A document of the laboratory that the patient can't see yet, and the answer to its publication."""
    body = bundle(900 + number, laboratory_document(number))
    body["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT")]
    answer = stand.as_(LABORATORY).request("POST", "/fhir", body)
    (own_id,) = locations(answer, "DocumentReference")
    return own_id, answer


def traces(stand: Stand, actor: str = HOLDER) -> set[str]:
    """The ids of all events that a reader is shown, page after page."""
    found: set[str] = set()
    answer = good(stand.as_(actor).request("GET", "/fhir/AuditEvent?date=ge2026-03-01&_count=3"))
    while True:
        found |= {one["id"] for one in matches(answer)}
        following = [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]
        if not following:
            return found
        answer = good(stand.as_(actor).request("GET", following[0]))


def asked_about(stand: Stand, own_id: str, set_id: str) -> list[Response]:
    """Every way in which a professional, or the software, asks for a document, or for its submission set."""
    physician, laboratory = stand.as_(PHYSICIAN), stand.as_(LABORATORY)
    uuid = next(
        one["value"]
        for one in physician.request("GET", f"/fhir/DocumentReference/{own_id}").json()["identifier"]
        if one["use"] == "official"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"patient.identifier={quote(PATIENT[1])}&identifier={quote(f'{URI}|{uid(5)}')}".encode()
    return [
        physician.request("GET", f"/fhir/DocumentReference/{own_id}"),
        physician.request("GET", f"/fhir/DocumentReference/{own_id}/_history"),
        physician.request("GET", f"/fhir/Binary/{own_id}", None, {"Accept": "*/*"}),
        search(physician, "DocumentReference", ("identifier", f"{URI}|{uid(5)}")),
        search(physician, "DocumentReference", ("identifier", uid(5))),
        search(physician, "DocumentReference", ("identifier", f"x,{uuid}")),
        search(physician, "DocumentReference", ("_id", own_id)),
        search(physician, "DocumentReference", ("relatesto", f"DocumentReference/{own_id}")),
        search(laboratory, "DocumentReference", ("identifier", f"{URI}|{uid(5)}")),
        physician.request("POST", "/fhir/DocumentReference/_search", body, form),
        physician.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("INVISIBLE_PATIENT"), PATCH),
        physician.request("GET", f"/fhir/List/{set_id}"),
        search(physician, "List", ("identifier", f"{URI}|{uid(905)}")),
        search(physician, "List", ("identifier", f"x,{uid(905)}")),
        search(physician, "List", ("_id", set_id)),
    ]


def test_no_event_tells_the_patient_of_what_awaits_its_announcement(stand: Stand) -> None:
    before = good(search(stand.as_(PHYSICIAN), "DocumentReference"))
    own_id, published = awaiting(stand)
    (set_id,) = locations(published, "List")
    answers = [published, *(good(answer) for answer in asked_about(stand, own_id, set_id))]
    ids = {event for answer in answers for event in answer.events}
    assert len(ids) == len(answers)
    told = traces(stand)
    assert not ids & told
    assert before.events[0] in told
    for event in ids:
        assert stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{event}").status == 404


def test_all_of_them_are_told_once_it_may_be_seen(stand: Stand) -> None:
    own_id, published = awaiting(stand)
    answers = [published, *asked_about(stand, own_id, *locations(published, "List"))]
    ids = {event for answer in answers for event in answer.events}
    good(stand.as_(PHYSICIAN).request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("N"), PATCH))
    assert ids <= traces(stand)


def test_a_month_on_they_are_told_by_themselves(stand: Stand) -> None:
    _, published = awaiting(stand)
    stand.later(days=31)
    answer = stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{published.events[0]}")
    assert answer.status == 200


def test_what_was_deleted_before_its_announcement_stays_hidden_for_as_long(stand: Stand) -> None:
    own_id, published = awaiting(stand)
    deleted = good(stand.as_(LABORATORY).request("PATCH", f"/fhir/DocumentReference/{own_id}", DELETION, PATCH))
    assert not {*published.events, *deleted.events} & traces(stand)
    stand.later(days=31)
    assert stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{deleted.events[0]}").status == 200


def test_what_was_deleted_otherwise_is_told(stand: Stand) -> None:
    published = stand.as_(LABORATORY).request("POST", "/fhir", bundle(901, laboratory_document(1)))
    (own_id,) = locations(published, "DocumentReference")
    deleted = good(stand.as_(LABORATORY).request("PATCH", f"/fhir/DocumentReference/{own_id}", DELETION, PATCH))
    assert {*published.events, *deleted.events} <= traces(stand)


def test_the_event_of_a_submission_waits_for_the_last_of_its_documents(stand: Stand) -> None:
    body = bundle(905, laboratory_document(5), laboratory_document(6))
    body["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT")]
    published = good(stand.as_(LABORATORY).request("POST", "/fhir", body))
    assert not {*published.events} & traces(stand)
    assert search(stand.as_(HOLDER), "DocumentReference").json()["total"] == 1


def test_a_set_is_named_as_soon_as_one_of_its_documents_may_be(stand: Stand) -> None:
    body = bundle(905, laboratory_document(5), laboratory_document(6))
    body["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT")]
    (set_id,) = locations(stand.as_(LABORATORY).request("POST", "/fhir", body), "List")
    physician = stand.as_(PHYSICIAN)
    read = good(physician.request("GET", f"/fhir/List/{set_id}"))
    found = good(search(physician, "List", ("identifier", f"{URI}|{uid(905)}")))
    assert {*read.events, *found.events} <= traces(stand)


def test_a_first_reading_of_a_hidden_set_is_no_notice(stand: Stand) -> None:
    _, published = awaiting(stand)
    (set_id,) = locations(published, "List")
    good(stand.as_(PHYSICIAN).request("GET", f"/fhir/List/{set_id}"))
    assert stand.as_(HOLDER).request("GET", "/fhir/Communication").json()["total"] == 0
    good(search(stand.as_(PHYSICIAN), "DocumentReference"))
    assert stand.as_(HOLDER).request("GET", "/fhir/Communication").json()["total"] == 1


def test_representatives_see_nothing_of_a_secret_connection(secret: Stand) -> None:
    """Neither its deposits nor its searches, nor that a token for it was asked for."""
    made = good(deposit(secret, "secretly", consultation(1, KEPT)))
    patient = made.json()["id"][:26]
    searched = secret.as_("secretly").request("GET", f"/fhir/DocumentReference?patient=Patient/{patient}")
    openly = secret.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference?patient=Patient/{patient}&type=11488-4")
    token = secret.as_("secretly").token.event_id
    seen: dict[str, Any] = {actor: traces(secret, actor) for actor in ("minor", "representative")}
    for event in (*made.events, *searched.events, token):
        assert event in seen["minor"]
        assert event not in seen["representative"]
    assert openly.events[0] in seen["representative"]


def test_representatives_are_not_told_that_an_event_was_read_which_they_can_t_see(secret: Stand) -> None:
    """Nor that it was searched for, proven, or that its reading was read."""
    made = good(deposit(secret, "secretly", consultation(1, KEPT)))
    patient = made.json()["id"][:26]
    openly = secret.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference?patient=Patient/{patient}&type=11488-4")
    secret.process.world.seal()
    minor = secret.as_("minor")

    def about(event: str) -> set[str]:
        answers = [good(minor.request("GET", f"/fhir/AuditEvent/{event}"))]
        answers.append(good(minor.request("GET", f"/fhir/AuditEvent/{answers[0].events[0]}")))
        answers.append(good(minor.request("GET", f"/fhir/AuditEvent?date=ge2026-03-01&_id=x,{event}")))
        proof = {"Accept": "*/*"}
        answers.append(good(minor.request("GET", f"/fhir/AuditEvent/{event}/$proof", None, proof)))
        return {one for answer in answers for one in answer.events}

    hidden, shown = about(made.events[0]), about(openly.events[0])
    told = traces(secret, "representative")
    assert not hidden & told
    assert shown <= told
    assert hidden | shown <= traces(secret, "minor")


def test_the_next_day_is_the_same(stand: Stand) -> None:
    _, published = awaiting(stand)
    stand.process.world.clock.advance(timedelta(days=1))
    stand.sessions.clear()
    assert not {*published.events} & traces(stand)
