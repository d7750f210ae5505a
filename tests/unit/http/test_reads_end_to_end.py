"""Reads by id with ETag, FHIR documents at their own address, and TD2.1 in both its forms; whole service in process."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fixtures.inprocess import Process, Session, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.fhir import codes
from sceau_schemas.dossier import StoredIdentifier
from unit.faults.whole import read_whole, state
from unit.http.published import (
    MASKED,
    PATIENT,
    URI,
    WHEN,
    Json,
    bundle,
    good,
    hospital_document,
    laboratory_document,
    locations,
    matches,
    opened,
    same_answer,
    search,
    uid,
)

KIND = codes.document_type(codes.LOINC, "11488-4")


@pytest.fixture(scope="module")
def full() -> World:
    """Document 1 is a CDA of the laboratory, 2 is masked, 3 a FHIR document of the hospital."""
    process = opened()
    laboratory = process.session("laboratory")
    good(laboratory.request("POST", "/fhir", bundle(901, laboratory_document(1))))
    good(laboratory.request("POST", "/fhir", bundle(902, laboratory_document(2, label=MASKED))))
    assert KIND is not None
    fhir = replace(
        hospital_document(3, "consultation-pdf"),
        data=bodies.fhir_document(DOMINIQUE, KIND, when=WHEN, unique_id=uid(3), title="Consultation"),
        content_type="application/fhir+json",
        fhir_document=True,
    )
    good(process.session("hospital-physician").request("POST", "/fhir", bundle(903, fhir)))
    return process.world


@pytest.fixture
def process(full: World) -> Process:
    return Process(full.copy())


@pytest.fixture
def physician(process: Process) -> Session:
    return process.session("hospital-physician")


def named(session: Session, number: int) -> Json:
    (found,) = matches(search(session, "DocumentReference", ("identifier", uid(number))))
    return found


@pytest.mark.parametrize("kind", ["DocumentReference", "List", "Patient"])
def test_a_read_by_id_has_an_etag_and_304_for_who_has_it(process: Process, physician: Session, kind: str) -> None:
    if kind == "Patient":
        (found,) = matches(physician.request("GET", f"/fhir/Patient?identifier={PATIENT[1]}"))
    else:
        found = matches(search(physician, kind))[0]
    path = f"/fhir/{kind}/{found['id']}"
    read = good(physician.request("GET", path))
    assert read.json() == found
    tag = read.headers["ETag"]
    assert tag.startswith('W/"')
    assert read.headers["Last-Modified"] == "Mon, 02 Mar 2026 09:30:00 GMT"
    for value in (tag, tag.removeprefix("W/"), f'"x",{tag}', "*"):
        again = physician.request("GET", path, headers={"If-None-Match": value})
        assert (again.status, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert again.events  # what is not sent again was asked for all the same
    assert physician.request("GET", path, headers={"If-None-Match": 'W/"none"'}).status == 200
    assert physician.request("GET", path, headers={"Accept": "application/fhir+xml"}).status == 406


def test_the_etag_of_an_entry_is_its_version_and_changes_with_it(process: Process, physician: Session) -> None:
    own = named(physician, 1)["id"]
    before = physician.request("GET", f"/fhir/DocumentReference/{own}").headers["ETag"]
    good(process.session("laboratory").request("POST", "/fhir", bundle(910, laboratory_document(10, replaces=own))))
    read = physician.request("GET", f"/fhir/DocumentReference/{own}", headers={"If-None-Match": before})
    assert (before, read.status, read.headers["ETag"]) == ('W/"1"', 200, 'W/"2"')
    assert read.json()["meta"]["versionId"] == "2"
    assert read.json()["status"] == "superseded"


@pytest.mark.parametrize("kind", ["DocumentReference", "Binary", "Bundle"])
def test_unknown_masked_and_other_records_entries_are_one_answer(
    process: Process, physician: Session, kind: str
) -> None:
    record, own = named(physician, 1)["id"].split(".")
    masked = named(process.session("patient"), 2)["id"]
    unknown = physician.request("GET", f"/fhir/{kind}/{record}.{'a' * 26}")
    assert unknown.status == 404
    for other in (masked, f"{'a' * 26}.{own}", record, "x"):
        assert same_answer(physician.request("GET", f"/fhir/{kind}/{other}"), unknown)


def test_a_patient_of_another_record_is_unknown(physician: Session) -> None:
    unknown = physician.request("GET", f"/fhir/Patient/{'a' * 26}")
    assert unknown.status == 404
    assert same_answer(physician.request("GET", "/fhir/Patient/x"), unknown)


def test_a_fhir_document_is_read_as_the_bundle_that_was_sent(process: Process, physician: Session) -> None:
    resource = named(physician, 3)
    url = resource["content"][0]["attachment"]["url"]
    assert f"/fhir/Bundle/{resource['id']}" in url
    read = good(physician.request("GET", url))
    assert KIND is not None
    sent = bodies.fhir_document(DOMINIQUE, KIND, when=WHEN, unique_id=uid(3), title="Consultation")
    assert read.json() == json.loads(sent)
    assert read.json()["type"] == "document"
    assert read.headers["Content-Type"] == "application/fhir+json"
    assert len(read.data) == resource["content"][0]["attachment"]["size"]


def test_a_document_is_at_the_address_of_its_form_only(physician: Session) -> None:
    record = named(physician, 1)["id"].partition(".")[0]
    for number, wrong, right in ((1, "Bundle", "Binary"), (3, "Binary", "Bundle")):
        own = named(physician, number)["id"]
        unknown = physician.request("GET", f"/fhir/{wrong}/{record}.{'a' * 26}")
        assert same_answer(physician.request("GET", f"/fhir/{wrong}/{own}"), unknown)
        assert physician.request("GET", f"/fhir/{right}/{own}").status == 200


def _forms(own: str) -> dict[str, Json]:
    """TD2.1 with the guide's Parameters entry and without; by the target's id, and by its number."""
    number = StoredIdentifier(system=URI, value=uid(1))
    by_number = bundle(920, laboratory_document(20, replaces=number))
    patch = bundle(920, laboratory_document(20, replaces=own))["entry"][2]
    assert patch["resource"]["resourceType"] == "Parameters"
    mixed: Json = {**by_number, "entry": [*by_number["entry"], patch]}
    return {
        "with": bundle(920, laboratory_document(20, replaces=own)),
        "without": bundle(920, laboratory_document(20, replaces=own), with_patch=False),
        "by number, with": mixed,
        "by number, without": by_number,
    }


@pytest.mark.parametrize("form", ["without", "by number, with", "by number, without"])
def test_a_replacement_has_the_same_effect_with_and_without_its_patch(full: World, form: str) -> None:
    states, entries = [], []
    for name in ("with", form):
        process = Process(full.copy())
        patient = process.session("patient")
        own = named(patient, 1)["id"]
        answer = process.session("laboratory").request("POST", "/fhir", _forms(own)[name])
        new = locations(answer, "DocumentReference")[0]
        states.append(state(read_whole(process.world).the_record()))
        shown = [
            json.dumps(patient.request("GET", f"/fhir/DocumentReference/{one}").json()).replace(new, "new")
            for one in (own, new)
        ]
        entry_uuid = named(patient, 20)["identifier"][0]["value"]
        entries.append([json.loads(one.replace(entry_uuid, "uuid")) for one in shown])
        patches = [entry for entry in _forms(own)[name]["entry"] if entry["request"]["method"] == "PATCH"]
        told = [entry["response"] for entry in answer.json()["entry"] if entry["response"]["status"] == "200 OK"]
        assert told == [{"status": "200 OK", "location": f"DocumentReference/{own}"}] * len(patches)
    assert states[0] == states[1]
    assert [resource["status"] for resource in entries[0]] == ["superseded", "current"]
    for one, other in zip(*entries, strict=True):
        for relation in (*one.get("relatesTo", ()), *other.get("relatesTo", ())):
            # The target is kept as it was named, and our reference to it is added.
            relation["target"] = {"reference": relation["target"]["reference"]}
        assert one == other
