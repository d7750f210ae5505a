"""Folders, whole service in process: made, added to, read, hidden; what is refused, and that nothing changed then."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fixtures.inprocess import Process, Response, Session, key_service
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.people import PRACTICE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.envelope.messages import Envelope
from sceau.identity.clients import ClientStore
from sceau.objects.scoped import StoreOperation
from sceau.records.ids import document_id, entry_uuid
from sceau.records.repository import Records
from unit.faults.whole import read_whole, state
from unit.http.published import (
    MASKED,
    URI,
    WHEN,
    Json,
    after,
    bundle,
    changed,
    folder,
    good,
    hospital_document,
    ids,
    laboratory_document,
    locations,
    matches,
    opened,
    same_answer,
    search,
    uid,
)

UNKNOWN = "a" * 26


@pytest.fixture
def process() -> Process:
    return opened()


@pytest.fixture
def laboratory(process: Process) -> Session:
    return process.session("laboratory")


@pytest.fixture
def physician(process: Process) -> Session:
    return process.session("hospital-physician")


@pytest.fixture
def patient(process: Process) -> Session:
    return process.session("patient")


def resting(process: Process) -> object:
    """All that the record holds, its version included."""
    return state(read_whole(process.world).the_record())


def members(resource: Json) -> list[str]:
    return [entry["item"]["reference"] for entry in resource["entry"]]


def published(laboratory: Session) -> tuple[str, list[str]]:
    """Documents 1 and 2, and folder 800 of the first; their ids."""
    answer = laboratory.request(
        "POST", "/fhir", bundle(900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 1)])
    )
    _, folder_id = locations(answer, "List")
    return folder_id, locations(answer, "DocumentReference")


def adding(folder_id: str, *entries: str, number: int = 3, **more: Any) -> Json:
    """Document `number`, and the folder with it and `entries`."""
    return bundle(
        900 + number,
        laboratory_document(number),
        folders=[folder(800, number, entries=entries, adds_to=folder_id, **more)],
    )


def assert_unknown(process: Process, session: Session, body: Json, unknown: Json) -> None:
    """Refused like what does not exist, byte for byte, after the same calls; nothing changed."""
    before = resting(process)
    answers, calls = [], []
    for sent in (body, unknown):
        first = len(process.store.calls)
        answers.append(session.request("POST", "/fhir", sent))
        calls.append(
            [
                (call.operation, call.name.partition("/")[0])
                for call in process.store.calls[first:]
                if call.operation is not StoreOperation.LIST  # revoked/, again every 30 s
            ]
        )
    assert answers[0].status == 404
    assert same_answer(*answers)
    assert calls[0] == calls[1]
    assert resting(process) == before


def test_a_folder_is_made_in_the_commit_of_its_documents_and_named_by_its_set(
    process: Process, laboratory: Session, physician: Session
) -> None:
    body = bundle(900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 2, title="Grossesse")])
    answer = laboratory.request("POST", "/fhir", body, {"Prefer": "return=representation"})
    assert [entry["response"]["status"] for entry in good(answer).json()["entry"]] == ["201 Created"] * 6
    (set_id, folder_id), (first, second) = locations(answer, "List"), locations(answer, "DocumentReference")
    read = good(physician.request("GET", f"/fhir/List/{folder_id}")).json()
    assert read == answer.json()["entry"][-1]["resource"]
    assert read["title"] == "Grossesse"
    assert read["code"]["coding"][0]["code"] == "folder"
    assert read["meta"]["versionId"] == "1"
    assert members(read) == [f"DocumentReference/{second}"]
    assert [one["value"] for one in read["identifier"]] == [f"urn:uuid:{_uuid(folder_id)}", uid(800)]
    listed = members(good(physician.request("GET", f"/fhir/List/{set_id}")).json())
    assert listed == [f"DocumentReference/{first}", f"DocumentReference/{second}", f"List/{folder_id}"]
    dossier = read_whole(process.world).the_record()
    assert dossier is not None
    assert {row.event for row in dossier.sets.rows()} == {dossier.commits.last}


def _uuid(fhir_id: str) -> uuid.UUID:
    return entry_uuid(fhir_id.partition(".")[2])


def test_a_set_that_does_not_name_its_folder_does_not_hold_it(laboratory: Session, patient: Session) -> None:
    answer = laboratory.request(
        "POST", "/fhir", bundle(900, laboratory_document(1), folders=[folder(800, 1, listed=False)])
    )
    set_id, folder_id = locations(answer, "List")
    (own,) = locations(answer, "DocumentReference")
    assert members(patient.request("GET", f"/fhir/List/{set_id}").json()) == [f"DocumentReference/{own}"]
    assert members(patient.request("GET", f"/fhir/List/{folder_id}").json()) == [f"DocumentReference/{own}"]


def test_a_folder_grows_by_a_version_and_its_etag_changes(
    process: Process, laboratory: Session, physician: Session
) -> None:
    folder_id, (first, _) = published(laboratory)
    before = physician.request("GET", f"/fhir/List/{folder_id}")
    after(process, minutes=2)
    grown = laboratory.request("POST", "/fhir", adding(folder_id, first))
    (third,) = locations(grown, "DocumentReference")
    assert grown.json()["entry"][-1]["response"] == {
        "status": "200 OK",
        "etag": 'W/"2"',
        "location": f"List/{folder_id}",
    }
    stale = {"If-None-Match": before.headers["ETag"]}
    now = physician.request("GET", f"/fhir/List/{folder_id}", headers=stale)
    assert now.status == 200
    assert now.headers["ETag"] != before.headers["ETag"]
    assert members(now.json()) == [f"DocumentReference/{first}", f"DocumentReference/{third}"]
    assert now.json()["meta"]["versionId"] == "2"
    assert now.json()["meta"]["lastUpdated"] == "2026-03-02T09:32:00.000Z"
    assert now.json()["date"] == before.json()["date"]
    assert now.headers["Last-Modified"] == "Mon, 02 Mar 2026 09:32:00 GMT"
    fresh = physician.request("GET", f"/fhir/List/{folder_id}", headers={"If-None-Match": now.headers["ETag"]})
    assert (fresh.status, fresh.data) == (304, b"")


@pytest.mark.parametrize("name", ["id", "unique id", "entry uuid", "absolute url"])
def test_a_document_of_the_record_is_filed_under_any_of_its_names(
    laboratory: Session, patient: Session, name: str
) -> None:
    (own,) = locations(laboratory.request("POST", "/fhir", bundle(900, laboratory_document(1))), "DocumentReference")
    names = {
        "id": own,
        "unique id": uid(1),
        "entry uuid": f"urn:uuid:{_uuid(own)}",
        "absolute url": own,
    }
    body = bundle(901, laboratory_document(2), folders=[folder(800, 2, entries=(names[name],))])
    if name == "absolute url":
        reference = {"reference": f"https://localhost:8443/fhir/DocumentReference/{own}"}
        body = changed(body, lambda b: b["entry"][-1]["resource"]["entry"][1].update(item=reference))
    answer = laboratory.request("POST", "/fhir", body)
    _, folder_id = locations(answer, "List")
    (second,) = locations(answer, "DocumentReference")
    read = patient.request("GET", f"/fhir/List/{folder_id}").json()
    assert members(read) == [f"DocumentReference/{second}", f"DocumentReference/{own}"]


def test_what_a_professional_read_with_one_more_entry_is_an_update(process: Process, physician: Session) -> None:
    first = physician.request("POST", "/fhir", bundle(900, hospital_document(1), folders=[folder(800, 1)]))
    _, folder_id = locations(first, "List")
    read = physician.request("GET", f"/fhir/List/{folder_id}").json()
    body = bundle(901, hospital_document(2), folders=[folder(800, 2, adds_to=folder_id)])
    added = body["entry"][-1]["resource"]["entry"]
    read["entry"] += added
    read["date"] = "2026-03-02T12:00:00Z"
    body["entry"][-1]["resource"] = read
    good(physician.request("POST", "/fhir", body))
    now = physician.request("GET", f"/fhir/List/{folder_id}").json()
    assert now["meta"]["versionId"] == "2"
    assert len(members(now)) == 2


def test_the_event_of_a_submission_names_its_folders(laboratory: Session, patient: Session) -> None:
    folder_id, (first, _) = published(laboratory)
    answer = good(laboratory.request("POST", "/fhir", adding(folder_id, first)))
    event = patient.request("GET", f"/fhir/AuditEvent/{answer.events[-1]}").json()
    entities = {entity["what"].get("reference"): entity for entity in event["entity"]}
    own = entities[f"List/{folder_id}"]
    assert own["type"]["code"] == "List"
    assert own["lifecycle"]["code"] == "3"  # amendment
    assert own["what"]["identifier"] == {"system": URI, "value": uid(800)}
    sets = [entity for entity in event["entity"] if entity["type"]["code"] == "2"]
    assert [entity["what"]["reference"] for entity in sets] == [f"List/{locations(answer, 'List')[0]}"]


def test_the_same_submission_again_has_one_effect_and_the_first_answer(process: Process, laboratory: Session) -> None:
    new = bundle(900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 1), folder(801, 1, 2)])
    first = good(laboratory.request("POST", "/fhir", new))
    folder_id, own = locations(first, "List")[1], locations(first, "DocumentReference")[0]
    grown = good(laboratory.request("POST", "/fhir", adding(folder_id, own)))
    more = good(laboratory.request("POST", "/fhir", adding(folder_id, own, uid(3), number=4)))
    rests = resting(process)
    for body, answer in (
        (new, first),
        (adding(folder_id, own), grown),
        (adding(folder_id, own, uid(3), number=4), more),
    ):
        again = laboratory.request("POST", "/fhir", body)
        assert again.data == answer.data
        assert resting(process) == rests
    assert [one.json()["entry"][-1]["response"]["etag"] for one in (grown, more)] == ['W/"2"', 'W/"3"']


def test_an_update_that_adds_nothing_is_no_new_version(process: Process, laboratory: Session, patient: Session) -> None:
    folder_id, (first, _) = published(laboratory)
    before = patient.request("GET", f"/fhir/List/{folder_id}")
    after(process, minutes=2)
    body = bundle(903, laboratory_document(3), folders=[folder(800, entries=(first,), adds_to=folder_id)])
    answer = good(laboratory.request("POST", "/fhir", body))
    assert answer.json()["entry"][-1]["response"]["etag"] == 'W/"1"'
    assert laboratory.request("POST", "/fhir", body).data == answer.data
    assert same_answer(patient.request("GET", f"/fhir/List/{folder_id}"), before)
    # It did not make the folder: the same documents with a folder to be made are another submission.
    making = bundle(903, laboratory_document(3), folders=[folder(800, entries=(first,))])
    assert laboratory.request("POST", "/fhir", making).status == 409


DIFFERENT = {
    "without its folder": lambda: bundle(900, laboratory_document(1), laboratory_document(2)),
    "with another document in it": lambda: bundle(
        900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 2)]
    ),
    "with one more document in it": lambda: bundle(
        900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 1, 2)]
    ),
    "with another folder": lambda: bundle(
        900, laboratory_document(1), laboratory_document(2), folders=[folder(801, 1)]
    ),
    "with one more folder": lambda: bundle(
        900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 1), folder(801, 1)]
    ),
    "with a set that does not name it": lambda: bundle(
        900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 1, listed=False)]
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_known_submission_with_other_folders_is_a_conflict(process: Process, laboratory: Session, name: str) -> None:
    published(laboratory)
    before = resting(process)
    assert laboratory.request("POST", "/fhir", DIFFERENT[name]()).status == 409
    assert resting(process) == before


def test_a_known_submission_that_adds_instead_of_making_is_a_conflict(process: Process, laboratory: Session) -> None:
    folder_id, _ = published(laboratory)
    body = bundle(900, laboratory_document(1), laboratory_document(2), folders=[folder(800, 1, adds_to=folder_id)])
    before = resting(process)
    assert laboratory.request("POST", "/fhir", body).status == 409
    assert resting(process) == before


def test_a_known_submission_with_less_in_its_folder_is_a_conflict(process: Process, laboratory: Session) -> None:
    documents = laboratory_document(1), laboratory_document(2)
    good(laboratory.request("POST", "/fhir", bundle(900, *documents, folders=[folder(800, 1, 2)])))
    before = resting(process)
    assert laboratory.request("POST", "/fhir", bundle(900, *documents, folders=[folder(800, 1)])).status == 409
    assert resting(process) == before


def test_a_known_submission_that_adds_to_another_folder_is_a_conflict(process: Process, laboratory: Session) -> None:
    answer = laboratory.request(
        "POST", "/fhir", bundle(900, laboratory_document(1), folders=[folder(800, 1), folder(801, 1)])
    )
    (_, one, other), (first,) = locations(answer, "List"), locations(answer, "DocumentReference")
    good(laboratory.request("POST", "/fhir", adding(one, first)))
    before = resting(process)
    body = bundle(903, laboratory_document(3), folders=[folder(801, 3, entries=(first,), adds_to=other)])
    assert laboratory.request("POST", "/fhir", body).status == 409
    assert resting(process) == before


TAKEN = {
    "a document of the record": bundle(905, laboratory_document(5), folders=[folder(1, 5)]),
    "a set of the record": bundle(905, laboratory_document(5), folders=[folder(900, 5)]),
    "a folder of the record": bundle(905, laboratory_document(5), folders=[folder(800, 5)]),
    "a document of the bundle": bundle(905, laboratory_document(5), folders=[folder(5, 5)]),
    "the set of the bundle": bundle(905, laboratory_document(5), folders=[folder(905, 5)]),
    "another folder of the bundle": bundle(
        905, laboratory_document(5), folders=[folder(801, 5, listed=False), folder(801, 5, listed=False)]
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_folders_identifier_is_that_of_nothing_else(process: Process, laboratory: Session, name: str) -> None:
    published(laboratory)
    body = TAKEN[name]
    for number, entry in enumerate(body["entry"]):  # the two folders of the last case have one fullUrl each
        entry["fullUrl"] = entry["fullUrl"] if name != "another folder of the bundle" or number < 4 else "urn:uuid:x"
    before = resting(process)
    assert laboratory.request("POST", "/fhir", body).status == 409
    assert resting(process) == before


def test_a_document_or_set_can_not_take_the_identifier_of_a_folder(process: Process, laboratory: Session) -> None:
    published(laboratory)
    before = resting(process)
    for body in (bundle(905, laboratory_document(800)), bundle(800, laboratory_document(5))):
        assert laboratory.request("POST", "/fhir", body).status == 409
    assert resting(process) == before


def test_filing_what_another_structure_authored_is_filing_the_unknown(
    process: Process, laboratory: Session, physician: Session
) -> None:
    """Neither by its id nor by its number does a laboratory learn that the hospital deposited something."""
    (theirs,) = locations(physician.request("POST", "/fhir", bundle(950, hospital_document(50))), "DocumentReference")
    record = theirs.partition(".")[0]

    def filing(entry: str) -> Json:
        return bundle(901, laboratory_document(1), folders=[folder(800, 1, entries=(entry,))])

    unknown = filing(f"{record}.{UNKNOWN}")
    for name in (theirs, uid(50), uid(51), f"urn:uuid:{_uuid(theirs)}", f"{UNKNOWN}.{theirs.partition('.')[2]}", "x"):
        assert_unknown(process, laboratory, filing(name), unknown)


def test_a_submission_set_or_folder_is_no_document_to_be_filed(process: Process, laboratory: Session) -> None:
    folder_id, _ = published(laboratory)
    record = folder_id.partition(".")[0]
    unknown = bundle(905, laboratory_document(5), folders=[folder(805, 5, entries=(f"{record}.{UNKNOWN}",))])
    for name in (folder_id, uid(800), uid(900)):
        body = bundle(905, laboratory_document(5), folders=[folder(805, 5, entries=(name,))])
        assert_unknown(process, laboratory, body, unknown)


def test_adding_to_a_folder_that_is_not_ones_own_is_adding_to_the_unknown(
    process: Process, laboratory: Session, physician: Session
) -> None:
    theirs = physician.request("POST", "/fhir", bundle(950, hospital_document(50), folders=[folder(850, 50)]))
    _, their_folder = locations(theirs, "List")
    _, (first, _) = published(laboratory)
    own_set = locations(laboratory.request("POST", "/fhir", bundle(960, laboratory_document(60))), "List")[0]
    record = their_folder.partition(".")[0]
    unknown = adding(f"{record}.{UNKNOWN}", first)
    for target in (their_folder, own_set, first, f"{UNKNOWN}.{their_folder.partition('.')[2]}", "x"):
        assert_unknown(process, laboratory, adding(target, first), unknown)


def test_the_same_client_for_another_structure_is_a_stranger_to_the_folder(process: Process) -> None:
    """A client that serves several structures must not carry documents of one into the folder of another."""
    folder_id, (first, _) = published(process.session("laboratory"))
    clients = ClientStore(process.world.memory, Envelope(key_service()))
    own = clients.get("laboratory")
    assert own is not None
    clients.put(own.model_copy(update={"structures": (PRACTICE,)}))
    moved = Process(process.world)
    session = moved.session("laboratory")
    record = folder_id.partition(".")[0]

    def practice_adding(target: str, *entries: str) -> Json:
        note = bodies.sample_document(
            "consultation-pdf",
            patient=DOMINIQUE,
            author=AUTHORS["general_practitioner"],
            structure=STRUCTURES["practice"],
            when=WHEN,
            unique_id=uid(7),
        )
        return bundle(907, note, folders=[folder(800, 7, entries=entries, adds_to=target)])

    unknown = practice_adding(f"{record}.{UNKNOWN}")
    assert_unknown(moved, session, practice_adding(folder_id), unknown)
    assert_unknown(moved, session, practice_adding(folder_id, first), unknown)


def test_another_client_of_the_same_structure_is_a_stranger_to_the_folder(process: Process) -> None:
    folder_id, (first, _) = published(process.session("laboratory"))
    record, own = folder_id.split(".")
    records = Records(process.world.memory, Envelope(key_service()))
    loaded = records.load(record)
    assert loaded is not None
    row = loaded.dossier.sets.row(own)
    assert row is not None
    theirs = loaded.dossier.with_changed_set(row.model_copy(update={"depositor": "another-client"}))
    moved = theirs.following(theirs.commits.last, at=theirs.head.updated)
    records.commit(moved, replacing=loaded)
    body, unknown = adding(folder_id, first), adding(f"{record}.{UNKNOWN}", first)
    assert_unknown(process, process.session("laboratory"), body, unknown)


def test_an_update_that_leaves_documents_out_is_a_conflict(process: Process, laboratory: Session) -> None:
    folder_id, _ = published(laboratory)
    before = resting(process)
    answer = laboratory.request("POST", "/fhir", adding(folder_id))
    assert answer.status == 409
    assert answer.json()["issue"][0]["code"] == "conflict"
    assert resting(process) == before


CHANGES = {
    "title": lambda r: r.update(title="Autre"),
    "designationType": lambda r: r["extension"][0]["valueCodeableConcept"]["coding"][0].update(code="31"),
    "note": lambda r: r.update(note=[{"text": "nouveau"}]),
    "an extension": lambda r: r["extension"].append({"url": "urn:x", "valueBoolean": True}),
    "no identifier": lambda r: r.pop("identifier"),
    "another identifier": lambda r: r["identifier"][0].update(value=uid(801)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_but_documents_can_be_added_to_a_folder(process: Process, laboratory: Session, name: str) -> None:
    folder_id, (first, _) = published(laboratory)
    body = changed(adding(folder_id, first), lambda b: CHANGES[name](b["entry"][-1]["resource"]))
    before = resting(process)
    answer = laboratory.request("POST", "/fhir", body)
    assert answer.status == 422, answer.data
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[3].resource"]
    assert resting(process) == before


def test_a_folder_with_a_masked_document_tells_others_nothing_of_it(
    process: Process, laboratory: Session, physician: Session, patient: Session
) -> None:
    folder_id, (first, _) = published(laboratory)
    seen = physician.request("GET", f"/fhir/List/{folder_id}")
    found = search(physician, "List", ("code", "folder"))
    after(process, minutes=2)
    masked = laboratory_document(3, label=MASKED)
    body = bundle(903, masked, folders=[folder(800, 3, entries=(first,), adds_to=folder_id)])
    good(laboratory.request("POST", "/fhir", body))
    now = physician.request("GET", f"/fhir/List/{folder_id}", headers={"If-None-Match": "x"})
    assert same_answer(now, seen)  # version, time and ETag included
    assert matches(search(physician, "List", ("code", "folder"))) == matches(found)
    assert ids(search(physician, "List", ("code", "folder"), ("_lastUpdated", "ge2026-03-02T09:31:00Z"))) == []
    whole = patient.request("GET", f"/fhir/List/{folder_id}").json()
    assert len(members(whole)) == 2
    assert whole["meta"]["versionId"] == "2"
    assert ids(search(patient, "List", ("code", "folder"), ("_lastUpdated", "ge2026-03-02T09:31:00Z"))) == [folder_id]


def test_a_folder_of_masked_documents_only_does_not_exist_for_others(
    process: Process, laboratory: Session, physician: Session, patient: Session
) -> None:
    body = bundle(
        900, laboratory_document(1), laboratory_document(2, label=MASKED), folders=[folder(800, 1), folder(801, 2)]
    )
    set_id, shown, hidden = locations(laboratory.request("POST", "/fhir", body), "List")
    record = hidden.partition(".")[0]
    assert ids(search(physician, "List", ("code", "folder"))) == [shown]
    assert ids(search(physician, "List", ("identifier", uid(801)))) == []
    assert search(physician, "List", ("_summary", "count")).json()["total"] == 2
    unknown = physician.request("GET", f"/fhir/List/{document_id(record, UNKNOWN)}")
    assert unknown.status == 404
    assert same_answer(physician.request("GET", f"/fhir/List/{hidden}"), unknown)
    assert hidden not in physician.request("GET", f"/fhir/List/{set_id}").data.decode()
    assert hidden not in search(physician, "List").data.decode()
    assert set(ids(search(patient, "List"))) == {set_id, shown, hidden}
    assert f"List/{hidden}" in members(patient.request("GET", f"/fhir/List/{set_id}").json())


def test_of_two_updates_at_once_one_is_told_that_it_missed_the_other(
    process: Process, laboratory: Session, patient: Session
) -> None:
    folder_id, (first, _) = published(laboratory)
    rival = process.session("laboratory")
    answers: list[Response] = []

    def overtake(call: Any) -> None:
        if call.operation is StoreOperation.REPLACE and call.name.endswith("/dossier"):
            process.store.waits = lambda _: None
            answers.append(rival.request("POST", "/fhir", adding(folder_id, first, number=4)))

    process.store.waits = overtake
    late = laboratory.request("POST", "/fhir", adding(folder_id, first))
    assert [answers[0].status, late.status] == [200, 409]
    assert len(members(patient.request("GET", f"/fhir/List/{folder_id}").json())) == 2
    # Having learnt what it missed, it adds both.
    good(laboratory.request("POST", "/fhir", adding(folder_id, first, uid(4))))
    assert len(members(patient.request("GET", f"/fhir/List/{folder_id}").json())) == 3


def test_folders_made_at_once_are_both_kept(process: Process, laboratory: Session, patient: Session) -> None:
    rival = process.session("laboratory")
    answers: list[Response] = []

    def overtake(call: Any) -> None:
        if call.operation is StoreOperation.REPLACE and call.name.endswith("/dossier"):
            process.store.waits = lambda _: None
            answers.append(
                rival.request("POST", "/fhir", bundle(902, laboratory_document(2), folders=[folder(802, 2)]))
            )

    process.store.waits = overtake
    late = laboratory.request("POST", "/fhir", bundle(901, laboratory_document(1), folders=[folder(801, 1)]))
    assert [answers[0].status, late.status] == [200, 200]
    assert set(ids(search(patient, "List", ("code", "folder")))) == {
        locations(answers[0], "List")[1],
        locations(late, "List")[1],
    }


def test_a_replaced_document_stays_in_its_folder(laboratory: Session, patient: Session) -> None:
    folder_id, (first, _) = published(laboratory)
    body = bundle(
        904, laboratory_document(4, replaces=first), folders=[folder(800, 4, entries=(first,), adds_to=folder_id)]
    )
    fourth = locations(laboratory.request("POST", "/fhir", body), "DocumentReference")[0]
    read = patient.request("GET", f"/fhir/List/{folder_id}").json()
    assert members(read) == [f"DocumentReference/{first}", f"DocumentReference/{fourth}"]
    assert patient.request("GET", f"/fhir/DocumentReference/{first}").json()["status"] == "superseded"


def test_software_reads_no_list(process: Process, laboratory: Session) -> None:
    folder_id, _ = published(laboratory)
    assert laboratory.request("GET", f"/fhir/List/{folder_id}").status == 403
    assert search(laboratory, "List").status == 403


def test_a_folder_of_another_patient_is_refused_whole(process: Process, laboratory: Session) -> None:
    def change(b: Json) -> None:
        b["entry"][-1]["resource"]["subject"] = {
            "identifier": {"system": DOMINIQUE.ins_system, "value": "279035121518990"}
        }

    before = resting(process)
    body = changed(bundle(900, laboratory_document(1), folders=[folder(800, 1)]), change)
    assert laboratory.request("POST", "/fhir", body).status == 422
    assert resting(process) == before
