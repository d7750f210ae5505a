"""Refused acts in the traces: on what a reader may not know of they are hidden with it, on all else they are shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from fakes.objects import on
from fixtures.inprocess import Process, Response
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import PATIENTS
from sceau.http.targets import LONGEST_NAME, MOST_NAMED
from sceau.objects.scoped import StoreOperation
from sceau.records.ids import entry_uuid
from unit.http.published import (
    PATIENT,
    URI,
    Json,
    bundle,
    folder,
    good,
    hospital_document,
    laboratory_document,
    locations,
    matches,
    search,
    uid,
)
from unit.http.test_decisions_end_to_end import HOLDER, PHYSICIAN, Stand
from unit.http.test_own_documents import KEPT, coded, consultation, deposit, minors, own, secret
from unit.http.test_patching import DELETION, PATCH, labelled
from unit.http.test_trace_sight import LABORATORY, awaiting, full, stand, traces

__all__ = ["full", "minors", "secret", "stand"]

NOTHING = "a" * 26


def patch(stand: Stand, actor: str, own_id: str, body: Any, **headers: str) -> Response:
    return stand.as_(actor).request("PATCH", f"/fhir/DocumentReference/{own_id}", body, PATCH | headers)


def conditionally(stand: Stand, actor: str, identifier: str, body: Any) -> Response:
    target = f"/fhir/DocumentReference?identifier={quote(identifier)}&patient.identifier={quote(PATIENT[1])}"
    return stand.as_(actor).request("PATCH", target, body, PATCH)


def attempts(stand: Stand, own_id: str, set_id: str) -> list[Response]:
    """Every way in which somebody tries something with document 5 of the laboratory, and is refused or fails."""
    physician, nurse, outsider = (stand.as_(one) for one in (PHYSICIAN, "nurse", "other-physician"))
    uuid = str(entry_uuid(own_id.partition(".")[2]))
    answers = [
        nurse.request("GET", f"/fhir/DocumentReference/{own_id}"),
        nurse.request("GET", f"/fhir/Binary/{own_id}", None, {"Accept": "*/*"}),
        nurse.request("GET", f"/fhir/List/{set_id}"),
        outsider.request("GET", f"/fhir/DocumentReference/{own_id}"),
        stand.as_(LABORATORY).request("GET", f"/fhir/DocumentReference/{own_id}/_history"),
        physician.request("GET", f"/fhir/Binary/{own_id}", None, {"Accept": "image/png"}),
        physician.request("GET", f"/fhir/DocumentReference/{own_id}/_history/9"),
        patch(stand, PHYSICIAN, own_id, DELETION),
        patch(stand, PHYSICIAN, own_id, labelled("N"), **{"If-Match": 'W/"7"'}),
        conditionally(stand, PHYSICIAN, f"{URI}|{uid(5)}", DELETION),
        conditionally(stand, PHYSICIAN, f"{URI}|urn:uuid:{uuid.upper()}", DELETION),
        conditionally(stand, PHYSICIAN, f"x|y,{uid(5)}", DELETION),
        physician.request("POST", "/fhir", bundle(906, hospital_document(6, replaces=own_id))),
        physician.request(
            "POST", "/fhir", bundle(907, hospital_document(7), folders=(folder(80, 7, entries=(uid(5),)),))
        ),
    ]
    stand.process.store.faults = on(StoreOperation.READ, "records/*/documents/")
    answers.append(physician.request("GET", f"/fhir/Binary/{own_id}", None, {"Accept": "*/*"}))
    stand.process.store.faults = lambda _: None
    assert {answer.status for answer in answers} <= {403, 404, 406, 412, 503}, [one.status for one in answers]
    return answers


def failures(answers: list[Response]) -> set[str]:
    return {answer.events[-1] for answer in answers}


def published(stand: Stand, *labels: str) -> tuple[str, Response]:
    """Document 5, of a type of which no source says that nurses may read it."""
    body = bundle(905, laboratory_document(5, "discharge-letter"))
    if labels:
        body["entry"][1]["resource"]["securityLabel"] = [coded(label) for label in labels]
    answer = stand.as_(LABORATORY).request("POST", "/fhir", body)
    (own_id,) = locations(answer, "DocumentReference")
    return own_id, answer


def test_attempts_on_what_awaits_its_announcement_are_hidden_with_it_and_told_after_it(stand: Stand) -> None:
    own_id, made = published(stand, "INVISIBLE_PATIENT")
    tried = failures(attempts(stand, own_id, *locations(made, "List")))
    assert not tried & traces(stand)
    stand.process.world.seal()
    for event in tried:
        assert stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{event}").status == 404
        proof = stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{event}/$proof", None, {"Accept": "*/*"})
        assert proof.status == 404
    stand.later(days=31)
    assert tried <= traces(stand)


def test_attempts_on_an_ordinary_document_are_shown_with_their_reasons_and_its_id(stand: Stand) -> None:
    own_id, made = published(stand)
    answers = attempts(stand, own_id, *locations(made, "List"))
    assert failures(answers) <= traces(stand)
    shown = [told(stand, answer) for answer in answers]
    reasons = [one["outcomeDesc"] for one in shown]
    assert {"denied.matrix-unknown", "denied.no-grant", "denied.actor", "denied.not-author"} <= {*reasons}
    assert {"refused.406", "refused.412", "denied.unseen.not-author", "failed.unavailable"} <= {*reasons}
    assert f"DocumentReference/{own_id}" in named(shown[0])
    assert f"Binary/{own_id}" in named(shown[1])
    assert uid(5) in named(shown[9])


def told(stand: Stand, answer: Response, actor: str = HOLDER) -> Json:
    shown: Json = good(stand.as_(actor).request("GET", f"/fhir/AuditEvent/{answer.events[-1]}")).json()
    return shown


def named(event: Json) -> set[str]:
    what = [entity.get("what", {}) for entity in event["entity"]]
    return {one.get("reference") or one.get("identifier", {}).get("value", "") for one in what}


def test_an_ordinary_document_that_was_deleted_keeps_its_attempts(stand: Stand) -> None:
    own_id, _ = published(stand)
    good(patch(stand, LABORATORY, own_id, DELETION))
    answer = stand.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference/{own_id}")
    assert (answer.status, told(stand, answer)["outcomeDesc"]) == (404, "denied.deleted")


def test_a_refused_deposit_of_what_would_await_its_announcement_waits_for_as_long(stand: Stand) -> None:
    """Its reason alone would tell: the labels that it was sent with do not go together."""
    body = bundle(905, laboratory_document(5))
    body["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT"), coded("MASQUE_PS")]
    refused = stand.as_(LABORATORY).request("POST", "/fhir", body)
    other = stand.as_(LABORATORY).request("POST", "/fhir", bundle(906, hospital_document(6)))
    assert (refused.status, other.status) == (422, 403)
    seen = traces(stand)
    assert refused.events[0] not in seen
    assert other.events[0] in seen
    stand.later(days=31)
    event = told(stand, refused)
    assert event["outcomeDesc"] == "denied.labels-together"
    assert uid(5) in str(event["entity"])


def test_a_refusal_names_nothing_of_another_record(stand: Stand) -> None:
    for target in (f"{NOTHING}.{NOTHING}", f"{NOTHING}.{NOTHING}/_history"):
        answer = stand.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference/{target}")
        assert answer.status == 404
        assert NOTHING not in str(told(stand, answer))


# What readers did themselves


def asked_by_the_reader(stand: Stand, actor: str, record: str, own_id: str) -> list[Response]:
    reader = stand.as_(actor)
    hidden = f"{record}.{own_id}"
    replacing = own(8, patient=DOMINIQUE if actor == HOLDER else PATIENTS["dune"], replaces=hidden)
    return [
        reader.request("GET", f"/fhir/DocumentReference/{hidden}"),
        reader.request("GET", f"/fhir/Binary/{hidden}", None, {"Accept": "*/*"}),
        reader.request("GET", f"/fhir/DocumentReference?patient=Patient/{record}&identifier={quote(uid(5))}"),
        patch(stand, actor, hidden, DELETION),
        reader.request("POST", "/fhir/DocumentReference", replacing),
    ]


def own_traces(stand: Stand, actor: str, answers: list[Response]) -> list[Json]:
    shown = [told(stand, answer, actor) for answer in answers]
    found = matches(good(stand.as_(actor).request("GET", "/fhir/AuditEvent?date=ge2026-03-01&_count=200")))
    assert {one["id"] for one in shown} <= {one["id"] for one in found}
    return shown


def test_what_readers_ask_for_themselves_is_told_in_the_same_way_hidden_or_not_there(secret: Stand) -> None:
    """Else they would only have to ask, and to look whether that is in their traces, and as what."""
    made = good(deposit(secret, PHYSICIAN, consultation(5, KEPT)))
    record, _, own_id = made.json()["id"].partition(".")
    seen = []
    for where in (secret, Stand(Process(secret.process.world.copy()))):
        if where is secret:
            good(patch(where, PHYSICIAN, made.json()["id"], DELETION))
        entry = own_id if where is secret else NOTHING
        shown = own_traces(where, "representative", asked_by_the_reader(where, "representative", record, entry))
        seen.append([(one["outcome"], one.get("outcomeDesc"), len(one["entity"])) for one in shown])
    assert seen[0] == seen[1]


def test_the_patient_likewise(stand: Stand) -> None:
    own_id, _ = awaiting(stand)
    record, _, entry = own_id.partition(".")
    seen = []
    for asked in (entry, NOTHING):
        shown = own_traces(stand, HOLDER, asked_by_the_reader(stand, HOLDER, record, asked))
        seen.append([(one["outcome"], one.get("outcomeDesc"), len(one["entity"])) for one in shown])
    assert seen[0] == seen[1]


# A minor's representatives


def test_representatives_are_told_of_no_attempt_on_what_is_kept_from_them(secret: Stand) -> None:
    own_id = good(deposit(secret, PHYSICIAN, consultation(5, KEPT))).json()["id"]
    secret.sessions["nurse"] = secret.process.session("nurse", patient="dune")
    minor = secret.as_("minor")
    answers = [
        patch(secret, PHYSICIAN, own_id, labelled("N")),
        patch(secret, PHYSICIAN, own_id, labelled("INVISIBLE_PATIENT")),
        secret.as_("nurse").request("GET", f"/fhir/DocumentReference/{own_id}"),
        patch(secret, "minor", own_id, DELETION),
        patch(secret, "minor", own_id, labelled("N")),
        deposit(secret, PHYSICIAN, consultation(6, KEPT, "MASQUE_PS", "INVISIBLE_PATIENT")),
    ]
    event = good(minor.request("GET", f"/fhir/DocumentReference/{own_id}")).events[0]
    answers.append(minor.request("GET", f"/fhir/AuditEvent/{event}/$proof", None, {"Accept": "*/*"}))
    assert {answer.status for answer in answers} == {403, 404, 422}
    seen = {actor: traces(secret, actor) for actor in ("minor", "representative")}
    assert not failures(answers) & seen["representative"]
    assert failures(answers[:5]) | failures(answers[6:]) <= seen["minor"]
    ordinary = good(deposit(secret, PHYSICIAN, consultation(7))).json()["id"]
    shown = secret.as_("nurse").request("GET", f"/fhir/DocumentReference/{ordinary}")
    assert told(secret, shown, "representative")["outcomeDesc"] == "denied.matrix-unknown"


# Spellings


@pytest.mark.parametrize("spelled", [str.lower, str.upper, lambda one: f"{{{one}}}", lambda one: one.replace("-", "")])
@pytest.mark.parametrize("form", ["{}", f"{URI}|{{}}", "x,{}"])
def test_a_search_by_entry_uuid_is_hidden_however_it_is_written(stand: Stand, spelled: Any, form: str) -> None:
    own_id, _ = awaiting(stand)
    uuid = f"urn:uuid:{spelled(str(entry_uuid(own_id.partition('.')[2])))}"
    found = search(stand.as_(PHYSICIAN), "DocumentReference", ("identifier", form.format(uuid)))
    assert good(found).json()["total"] == 1
    assert not {*found.events} & traces(stand)


def test_an_identifier_that_holds_an_ins_is_hidden_as_events_keep_it(stand: Stand) -> None:
    body = bundle(905, laboratory_document(5))
    identifier = {"system": "urn:oid:1.2.3", "value": "CR-255069999999934-7"}
    body["entry"][1]["resource"].setdefault("identifier", []).append(identifier)
    body["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT")]
    good(stand.as_(LABORATORY).request("POST", "/fhir", body))
    found = search(stand.as_(PHYSICIAN), "DocumentReference", ("identifier", f"urn:oid:1.2.3|{identifier['value']}"))
    assert good(found).json()["total"] == 1
    refused = conditionally(stand, PHYSICIAN, f"urn:oid:1.2.3|{identifier['value']}", DELETION)
    assert refused.status == 403
    assert not {*found.events, *refused.events} & traces(stand)


OID = "urn:oid:1.2.250.1.999"


@pytest.mark.parametrize("kind", ["record", "id", "entry", "entryUUID", "nothing", "another system"])
def test_the_identifiers_of_a_hidden_document_hide_nothing_else(stand: Stand, kind: str) -> None:
    """Its author chooses them: none stands for what has that text as its id, or under another system."""
    body = bundle(905, laboratory_document(5))
    (own_id,) = locations(stand.as_(LABORATORY).request("POST", "/fhir", body), "DocumentReference")
    patient = f"patient={own_id[:26]}"
    asked = [f"/{own_id}", f"?{patient}&type=x|", f"?{patient}&identifier={quote(URI)}|{quote(uid(5))}"]
    events = {
        event for one in asked for event in stand.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference{one}").events
    }
    assert events <= traces(stand)
    entry = own_id[27:]
    value = {
        "record": own_id[:26],
        "id": own_id,
        "entry": entry,
        "entryUUID": f"urn:uuid:{entry_uuid(entry)}",
        "nothing": "x/",
        "another system": uid(5),
    }[kind]
    hidden = bundle(906, laboratory_document(6))
    hidden["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT")]
    hidden["entry"][1]["resource"]["identifier"] = [{"system": OID, "value": value}]
    made = good(stand.as_(LABORATORY).request("POST", "/fhir", hidden))
    by_it = stand.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference?{patient}&identifier={OID}|{quote(value)}")
    shown = traces(stand)
    assert events <= shown
    assert not {*made.events, *by_it.events} & shown


def test_the_event_of_a_refusal_does_not_grow_with_what_is_asked(stand: Stand) -> None:
    body = bundle(907, laboratory_document(7))
    body["entry"][1]["resource"]["relatesTo"] = [
        {"code": "replaces", "target": {"identifier": {"system": OID, "value": f"{number}{'y' * (number % 2 * 2000)}"}}}
        for number in range(3000)
    ]
    answer = stand.as_(LABORATORY).request("POST", "/fhir", body)
    assert answer.status == 404
    entities = told(stand, answer)["entity"]
    named = [one["what"]["identifier"]["value"] for one in entities if "identifier" in one.get("what", {})]
    assert set(map(str, range(0, MOST_NAMED, 2))) <= set(named)
    assert not [one for one in named if len(one) > LONGEST_NAME]
    assert len(entities) < MOST_NAMED
