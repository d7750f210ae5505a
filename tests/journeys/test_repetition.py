"""What is sent twice takes effect once; what contradicts the record changes nothing; what replaces does so once.

Business identifiers are unique within a record (api.md "Who may publish"); 409 where they contradict it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fixtures.live_world import (
    WHEN,
    Json,
    World,
    alone,
    document_ids,
    found,
    hospital_document,
    ids,
    in_parallel,
    issues,
    lab_document,
    new_oid,
    new_uuid,
    parsed,
    set_id_of,
    submission,
)
from sceau.cli import bodies
from sceau.cli.samples import STRUCTURES, Patient
from sceau.identity.client import HttpResponse
from sceau.records.ids import document_id, split_document_id
from sceau_schemas.dossier import StoredIdentifier

pytestmark = pytest.mark.xdist_group("live")


def statuses(world: World, patient: Patient) -> dict[str, str]:
    """The entries of a record as it rests: FHIR id to status."""
    dossier = world.dossier(patient)
    return {document_id(dossier.record_id, row.id): row.now.status for row in dossier.entries.rows()}


# Sent twice


def test_the_same_set_sent_twice_is_there_once(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = submission(patient, *(lab_document(patient, kind) for kind in ("biology", "imaging", "prescription")))
    first = lab.post("/fhir", body)
    assert first.status == 200
    with world.unchanged() as since:
        second = lab.post("/fhir", body)
    assert (second.status, second.data) == (first.status, first.data)
    assert second.headers["Sceau-Trace"] == since.event.id != first.headers["Sceau-Trace"]
    assert (since.event.outcome, since.event.reason) == ("0", "repeated")
    assert len(statuses(world, patient)) == 3


def test_the_same_set_in_another_order_is_the_same_set(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = submission(patient, lab_document(patient), lab_document(patient, "imaging"))
    first = lab.post("/fhir", body)
    turned = copy.deepcopy(body)
    turned["entry"].reverse()
    with world.unchanged():
        second = lab.post("/fhir", turned)
    assert set_id_of(second) == set_id_of(first)
    assert document_ids(second) == document_ids(first)[::-1]


def test_a_set_without_an_identifier_of_its_own_is_known_by_its_documents(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = submission(patient)
    del body["entry"][0]["resource"]["identifier"]
    first = lab.post("/fhir", body)
    with world.unchanged():
        second = lab.post("/fhir", body)
    assert (second.status, second.data) == (200, first.data)


def test_the_same_document_alone_sent_twice_is_there_once(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = alone(patient)
    first = lab.post("/fhir/DocumentReference", body)
    assert first.status == 201
    with world.unchanged() as since:
        second = lab.post("/fhir/DocumentReference", body)
    assert (second.status, second.data) == (201, first.data)
    assert {name: second.headers[name] for name in ("Location", "ETag")} == {
        name: first.headers[name] for name in ("Location", "ETag")
    }
    assert since.event.reason == "repeated"


def test_a_repeated_set_can_be_asked_for_with_its_representation(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = submission(patient)
    first = lab.post("/fhir", body, Prefer="return=representation")
    assert [entry["resource"]["resourceType"] for entry in parsed(first)["entry"] if "resource" in entry] == [
        "List",
        "DocumentReference",
    ]
    with world.unchanged():
        second = lab.post("/fhir", body, Prefer="return=representation")
    assert second.data == first.data


def test_a_record_opened_twice_is_opened_once(world: World) -> None:
    patient, insurer = world.patient(), world.caller("insurer")
    body = bodies.consent_opening(patient)
    first = insurer.post("/fhir/Consent", body)
    assert first.status == 201
    for caller in (insurer, world.holder(patient)):
        with world.unchanged() as since:
            second = caller.post("/fhir/Consent", body)
        assert (second.status, second.data) == (200, first.data)
        assert since.event.reason == "repeated"


def test_a_record_opened_again_under_other_traits_is_409(world: World) -> None:
    patient, insurer = world.opened(), world.caller("insurer")
    other = replace(patient, birth_name="SPECIMEN-TOUT-AUTRE")
    with world.refused("refused.409", of=patient):
        answer = insurer.post("/fhir/Consent", bodies.consent_opening(other))
    assert issues(answer, 409)[0]["code"] == "conflict"
    assert b"SPECIMEN" not in answer.data


def test_a_grant_given_twice_is_given_once_and_withdrawn_twice_withdrawn_once(world: World) -> None:
    patient = world.opened()
    holder = world.holder(patient)
    body = bodies.consent_grant(patient, STRUCTURES["hospital"])
    first = holder.post("/fhir/Consent", body)
    assert first.status == 201
    with world.unchanged():
        second = holder.post("/fhir/Consent", body)
    assert (second.status, second.data) == (200, first.data)
    withdrawn = bodies.consent_grant(patient, STRUCTURES["hospital"], active=False)
    target = f"/fhir/Consent/{parsed(first)['id']}"
    third = holder.call("PUT", target, withdrawn)
    assert (third.status, parsed(third)["status"], third.headers["ETag"]) == (200, "inactive", 'W/"2"')
    with world.unchanged():
        fourth = holder.call("PUT", target, withdrawn)
    assert (fourth.status, fourth.data) == (200, third.data)


def test_many_at_once_with_the_same_set_get_the_same_answer(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = submission(patient, lab_document(patient), lab_document(patient, "imaging"))
    callers = [lab.another() for _ in range(8)]
    answers = in_parallel(8, lambda n: callers[n].post("/fhir", body))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    dossier = world.dossier(patient)
    assert len(dossier.entries.rows()) == 2
    assert len(dossier.sets.rows()) == 1
    assert dossier.head.version == 2


# What contradicts the record


def conflicts(world: World, patient: Patient, send: Callable[[], HttpResponse]) -> None:
    with world.refused("refused.409", of=patient):
        answer = send()
    assert issues(answer, 409)[0]["code"] == "conflict"


def test_the_same_identifier_with_other_bytes_is_409(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    document = lab_document(patient)
    set_id = new_oid()
    assert lab.post("/fhir", submission(patient, document, set_id=set_id)).status == 200
    newer = replace(lab_document(patient, when=WHEN.replace(hour=23)), unique_id=document.unique_id)
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, newer, set_id=set_id)))
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, newer)))
    conflicts(world, patient, lambda: lab.post("/fhir/DocumentReference", alone(patient, newer)))


def test_the_same_document_in_another_set_is_409(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    document = lab_document(patient)
    world.publish(patient, document)
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, document)))
    conflicts(world, patient, lambda: lab.post("/fhir/DocumentReference", alone(patient, document)))


@pytest.mark.parametrize("known", [[0], [1], [0, 1]])
def test_a_set_of_which_some_is_known_is_409(world: World, known: list[int]) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    documents = [lab_document(patient) for _ in range(3)]
    set_id = new_oid()
    body = submission(patient, *(documents[n] for n in known), set_id=set_id)
    assert lab.post("/fhir", body).status == 200
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, *documents, set_id=set_id)))


def test_a_set_with_fewer_documents_than_the_first_time_is_409(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    documents = [lab_document(patient) for _ in range(2)]
    set_id = new_oid()
    assert lab.post("/fhir", submission(patient, *documents, set_id=set_id)).status == 200
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, documents[0], set_id=set_id)))


def test_the_identifier_of_a_set_serves_once(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    set_id = new_oid()
    assert lab.post("/fhir", submission(patient, set_id=set_id)).status == 200
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, set_id=set_id)))


def test_a_document_may_not_have_the_identifier_of_a_set(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    set_id = new_oid()
    assert lab.post("/fhir", submission(patient, set_id=set_id)).status == 200
    named_so = lab_document(patient, unique_id=set_id)
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, named_so)))


def test_an_identifier_that_stands_twice_in_a_submission_is_409_before_anything_is_announced(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    shared = submission(patient, lab_document(patient), lab_document(patient))
    for position in (1, 3):
        shared["entry"][position]["resource"]["identifier"] = [{"system": "urn:of-the-laboratory", "value": "7"}]
    of_the_set = submission(patient)
    own = of_the_set["entry"][1]["resource"]["masterIdentifier"]["value"]
    of_the_set["entry"][0]["resource"]["identifier"][0]["value"] = own
    for body in (shared, of_the_set):
        conflicts(world, patient, lambda sent=body: lab.post("/fhir", sent))  # type: ignore[misc]  # the loop's value
    twice_in_one = submission(patient)
    reference = twice_in_one["entry"][1]["resource"]
    reference["identifier"] = [{key: reference["masterIdentifier"][key] for key in ("system", "value")}]
    assert lab.post("/fhir", twice_in_one).status == 200


def test_what_another_client_published_is_no_repetition(world: World) -> None:
    """The hospital's software sends what the laboratory sent: it is told of a conflict, and nothing else."""
    patient = world.opened("hospital")
    document = hospital_document(patient)
    set_id = new_oid()
    body = submission(patient, document, set_id=set_id)
    physician = world.caller("hospital-physician", patient)
    assert physician.post("/fhir", body).status == 200
    mixed = copy.deepcopy(body)
    reference = mixed["entry"][1]["resource"]
    lab_author = submission(patient)["entry"][1]["resource"]
    reference["contained"] = lab_author["contained"]
    conflicts(world, patient, lambda: world.caller("laboratory").post("/fhir", mixed))


def test_identifiers_are_unique_within_a_record_and_not_beyond(world: World) -> None:
    lab, unique_id, set_id = world.caller("laboratory"), new_uuid(), new_oid()
    for patient in (world.opened(), world.opened()):
        document = lab_document(patient, unique_id=unique_id)
        assert lab.post("/fhir", submission(patient, document, set_id=set_id)).status == 200
        assert len(statuses(world, patient)) == 1


# Replacement


def test_a_replacement_supersedes_with_and_without_the_patch_entry(world: World) -> None:
    answers = []
    for with_patch in (True, False):
        patient, lab = world.opened(), world.caller("laboratory")
        (old,) = world.publish(patient, lab_document(patient))
        newer = lab_document(patient, replaces=old)
        answer = lab.post("/fhir", submission(patient, newer, with_patch=with_patch))
        assert answer.status == 200
        (new,) = document_ids(answer)
        assert statuses(world, patient) == {old: "superseded", new: "current"}
        statuses_given = [entry["response"]["status"] for entry in parsed(answer)["entry"]]
        assert statuses_given == ["201 Created", "201 Created", *(["200 OK"] if with_patch else []), "201 Created"]
        if with_patch:
            assert parsed(answer)["entry"][2]["response"]["location"] == f"DocumentReference/{old}"
        answers.append((patient, old, new))
    for patient, old, new in answers:
        read = parsed(world.holder(patient).get(f"/fhir/DocumentReference/{new}"))
        assert [(one["code"], one["target"]["reference"]) for one in read["relatesTo"]] == [
            ("replaces", f"DocumentReference/{old}")
        ]
        before = world.holder(patient).get(f"/fhir/DocumentReference/{old}")
        assert (parsed(before)["status"], before.headers["ETag"]) == ("superseded", 'W/"2"')


def test_a_replacement_alone_supersedes_too(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    (old,) = world.publish(patient, lab_document(patient))
    body = alone(patient, lab_document(patient, replaces=old))
    answer = lab.post("/fhir/DocumentReference", body)
    assert answer.status == 201
    assert statuses(world, patient) == {old: "superseded", parsed(answer)["id"]: "current"}
    with world.unchanged():
        again = lab.post("/fhir/DocumentReference", body)
    assert (again.status, again.data) == (201, answer.data)


def target(world: World, patient: Patient, document: str, how: str) -> str | StoredIdentifier:
    """A name of a published document: its FHIR id, its masterIdentifier, its entryUUID."""
    read = parsed(world.holder(patient).get(f"/fhir/DocumentReference/{document}"))
    if how == "id":
        return document
    chosen = read["masterIdentifier"] if how == "uniqueId" else read["identifier"][0]
    return StoredIdentifier(system=chosen["system"], value=chosen["value"])


@pytest.mark.parametrize("how", ["id", "uniqueId", "entryUUID"])
def test_what_is_replaced_may_be_named_in_three_ways(world: World, how: str) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    (old,) = world.publish(patient, lab_document(patient))
    newer = lab_document(patient, replaces=target(world, patient, old, how))
    body = submission(patient, newer)
    answer = lab.post("/fhir", body)
    assert answer.status == 200
    assert statuses(world, patient)[old] == "superseded"
    with world.unchanged():
        again = lab.post("/fhir", body)
    assert (again.status, again.data) == (200, answer.data)


def test_the_event_of_a_replacement_names_both_documents(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    (old,) = world.publish(patient, lab_document(patient))
    answer = lab.post("/fhir", submission(patient, lab_document(patient, replaces=old)))
    event = world.events_of(patient)[answer.headers["Sceau-Trace"]]
    named = {(entity.get("what") or {}).get("reference") for entity in event.json["entity"]}
    assert {f"DocumentReference/{old}", f"DocumentReference/{document_ids(answer)[0]}"} <= named


def test_what_replaced_something_else_the_first_time_is_no_repetition(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    old, other = world.publish(patient, lab_document(patient), lab_document(patient))
    document, set_id = lab_document(patient, replaces=old), new_oid()
    assert lab.post("/fhir", submission(patient, document, set_id=set_id)).status == 200
    for replaces in (other, None, document_id(world.record_id(patient), "a" * 26)):
        changed = submission(patient, replace(document, replaces=replaces), set_id=set_id)
        conflicts(world, patient, lambda body=changed: lab.post("/fhir", body))  # type: ignore[misc]  # the loop's value
    assert statuses(world, patient)[other] == "current"


def test_what_was_superseded_is_not_replaced_again(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    (old,) = world.publish(patient, lab_document(patient))
    world.publish(patient, lab_document(patient, replaces=old))
    body = submission(patient, lab_document(patient, replaces=old))
    conflicts(world, patient, lambda: lab.post("/fhir", body))
    single = alone(patient, lab_document(patient, replaces=old))
    conflicts(world, patient, lambda: lab.post("/fhir/DocumentReference", single))


def test_a_chain_of_replacements_leaves_one_current_document(world: World) -> None:
    patient = world.opened()
    (newest,) = world.publish(patient, lab_document(patient))
    for _ in range(4):
        (newest,) = world.publish(patient, lab_document(patient, replaces=newest))
    current = world.holder(patient).get(f"/fhir/DocumentReference?patient={patient_of(newest)}&status=current")
    assert ids(current) == [newest]
    assert list(statuses(world, patient).values()).count("superseded") == 4


def patient_of(own_id: str) -> str:
    """The id of the Patient that a document is of."""
    pair = split_document_id(own_id)
    assert pair is not None
    return pair[0]


def test_two_documents_of_a_set_can_not_replace_the_same_one(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    (old,) = world.publish(patient, lab_document(patient))
    by_id = lab_document(patient, replaces=old)
    twice = submission(patient, by_id, lab_document(patient, replaces=old), with_patch=False)
    with world.refused("refused.422", of=None):
        issues(lab.post("/fhir", twice), 422)
    other_name = lab_document(patient, replaces=target(world, patient, old, "uniqueId"))
    conflicts(world, patient, lambda: lab.post("/fhir", submission(patient, by_id, other_name)))


NOT_THERE: list[Any] = [
    pytest.param(lambda w, p, o: document_id(w.record_id(p), "a" * 26), "denied.unknown", id="unknown id"),
    pytest.param(lambda w, p, o: w.publish(o, lab_document(o))[0], "denied.unknown", id="of another record"),
    pytest.param(lambda w, p, o: "doc-old", "denied.unknown", id="no id of ours"),
    pytest.param(
        lambda w, p, o: StoredIdentifier(system="urn:ietf:rfc:3986", value=new_uuid()),
        "denied.unknown",
        id="unknown identifier",
    ),
    pytest.param(
        lambda w, p, o: w.publish(p, hospital_document(p), actor="hospital-physician")[0],
        "denied.unseen.not-author",
        id="written by another structure",
    ),
]


@pytest.mark.parametrize(("named", "reason"), NOT_THERE)
def test_what_the_caller_could_not_replace_is_404_whatever_it_is(
    world: World, named: Callable[[World, Patient, Patient], str | StoredIdentifier], reason: str
) -> None:
    patient, other, lab = world.opened(), world.opened(), world.caller("laboratory")
    replaces = named(world, patient, other)
    seen = []
    for path, body in (
        ("/fhir", submission(patient, lab_document(patient, replaces=replaces))),
        ("/fhir/DocumentReference", alone(patient, lab_document(patient, replaces=replaces))),
    ):
        with world.refused(reason, of=patient):
            answer = lab.post(path, body)
        (issue,) = issues(answer, 404)
        seen.append(issue)
    # Whatever it was, the sender reads the same.
    assert seen == [{"severity": "error", "code": "not-found", "diagnostics": seen[0]["diagnostics"]}] * 2
    assert seen[0]["diagnostics"] == "there is no such resource in this record"


def test_of_many_who_replace_the_same_document_at_once_exactly_one_wins(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    (old,) = world.publish(patient, lab_document(patient))
    callers = [lab.another() for _ in range(8)]
    made = [submission(patient, lab_document(patient, replaces=old)) for _ in callers]
    answers = in_parallel(8, lambda n: callers[n].post("/fhir", made[n]))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    (winner,) = (document_ids(answer)[0] for answer in answers if answer.status == 200)
    assert statuses(world, patient) == {old: "superseded", winner: "current"}
    assert world.dossier(patient).head.version == 3
    for answer in answers:
        if answer.status == 409:
            assert issues(answer, 409)[0]["code"] == "conflict"
            last = answer.headers["Sceau-Trace"].rpartition(", ")[2]
            assert world.events_of(patient)[last].outcome == "4"


def test_what_is_published_keeps_what_it_says_of_its_archiving(world: World) -> None:
    patient = world.opened()
    (archived,) = world.publish(patient, replace(lab_document(patient), archived=True))
    (not_archived,) = world.publish(patient, replace(lab_document(patient), archived=False))
    (silent,) = world.publish(patient, lab_document(patient))
    holder = world.holder(patient)
    base = f"/fhir/DocumentReference?patient={holder.record_id}"
    assert set(ids(holder.get(base))) == {not_archived, silent}
    assert ids(holder.get(f"{base}&isArchived=true")) == [archived]
    extensions = found(holder.get(f"{base}&_id={archived}"))[0]["extension"]
    assert [one["valueBoolean"] for one in extensions if one["url"].endswith("pdsm-ext-is-archived")] == [True]


def test_what_fhir_allows_and_we_do_not_use_is_kept_and_given_back(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    body = submission(patient)
    reference: Json = body["entry"][1]["resource"]
    reference["description"] = "Bilan d'entrée – « à jeun »"
    reference["extension"] = [{"url": "urn:of-somebody-else", "valueDecimal": 1.50}]
    reference["text"] = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
    reference["author"][0]["display"] = "Dr"
    raw = json.dumps(body).replace("1.5}", "1.50}")
    answer = lab.post("/fhir", raw.encode())
    assert answer.status == 200
    read = world.holder(patient).get(f"/fhir/DocumentReference/{document_ids(answer)[0]}")
    assert b'"valueDecimal":1.50' in read.data
    kept = parsed(read)
    for name in ("description", "extension", "text", "author", "type", "category", "context", "contained", "date"):
        assert kept[name] == reference[name]
