"""Reading over HTTPS: by id with ETag, ITI-68 raw and as FHIR, and what must look as if it were not there."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.live_world import (
    MASKED,
    WHEN,
    Caller,
    World,
    alone,
    document_ids,
    hospital_document,
    ids,
    issues,
    lab_document,
    new_uuid,
    parsed,
    set_id_of,
    submission,
    without_ids,
)
from sceau.cli.bodies import SampleDocument, fhir_document
from sceau.cli.samples import Patient, make_pdf
from sceau.fhir import codes
from sceau.fhir.parse import write_json
from sceau.records.ids import document_id, entry_uuid

pytestmark = pytest.mark.xdist_group("live")

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A record with a plain and a masked document of the laboratory, and a masked one of the hospital."""

    patient: Patient
    record: str
    plain: str
    masked: str
    own: str
    plain_set: str
    masked_set: str
    sent: SampleDocument


@pytest.fixture(scope="module")
def shelf(world: World) -> Shelf:
    patient = world.opened("hospital", "practice")
    lab = world.caller("laboratory")
    sent = lab_document(patient)
    first = lab.post("/fhir", submission(patient, sent))
    second = lab.post("/fhir", submission(patient, lab_document(patient, label=MASKED)))
    (own,) = world.publish(patient, hospital_document(patient, label=MASKED), actor="hospital-physician")
    (plain,), (masked,) = document_ids(first), document_ids(second)
    return Shelf(patient, world.record_id(patient), plain, masked, own, set_id_of(first), set_id_of(second), sent)


@pytest.fixture
def holder(world: World, shelf: Shelf) -> Caller:
    return world.holder(shelf.patient)


@pytest.fixture
def physician(world: World, shelf: Shelf) -> Caller:
    return world.caller("hospital-physician", shelf.patient)


# By id


def test_what_was_read_has_a_version_and_is_not_sent_again(world: World, shelf: Shelf, physician: Caller) -> None:
    for target in (
        f"/fhir/DocumentReference/{shelf.plain}",
        f"/fhir/List/{shelf.plain_set}",
        f"/fhir/Patient/{shelf.record}",
    ):
        first = physician.get(target)
        assert first.status == 200
        tag = first.headers["ETag"]
        assert first.headers["Last-Modified"].endswith("GMT")
        for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            with world.unchanged() as since:
                again = physician.get(target, **{"If-None-Match": known})
            assert (again.status, again.data, again.headers["ETag"]) == (304, b"", tag)
            assert since.event.outcome == "0"
        other = physician.get(target, **{"If-None-Match": 'W/"77"'})
        assert (other.status, other.data) == (200, first.data)


def test_an_entry_that_was_replaced_has_a_new_version(world: World) -> None:
    patient = world.opened()
    (own,) = world.publish(patient, lab_document(patient))
    holder = world.holder(patient)
    first = holder.get(f"/fhir/DocumentReference/{own}")
    assert (first.headers["ETag"], parsed(first)["meta"]["versionId"]) == ('W/"1"', "1")
    world.publish(patient, lab_document(patient, replaces=own))
    second = holder.get(f"/fhir/DocumentReference/{own}", **{"If-None-Match": 'W/"1"'})
    assert (second.status, second.headers["ETag"], parsed(second)["meta"]["versionId"]) == (200, 'W/"2"', "2")


def test_an_entry_has_its_entry_uuid_and_says_what_its_bytes_are(shelf: Shelf, physician: Caller) -> None:
    resource = parsed(physician.get(f"/fhir/DocumentReference/{shelf.plain}"))
    assert resource["identifier"][0] == {
        "use": "official",
        "system": "urn:ietf:rfc:3986",
        "value": f"urn:uuid:{entry_uuid(shelf.plain.partition('.')[2])}",
    }
    assert resource["masterIdentifier"]["value"] == shelf.sent.unique_id
    attachment = resource["content"][0]["attachment"]
    data = physician.get(attachment["url"], Accept="*/*").data
    assert data == shelf.sent.data
    assert attachment["size"] == len(data)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(data, usedforsecurity=False).digest()
    assert "data" not in attachment


def test_an_entry_sent_alone_is_told_its_url_size_hash_and_label(world: World) -> None:
    patient = world.opened()
    document = lab_document(patient)
    body = alone(patient, document)
    for name in ("size", "hash"):
        del body["content"][0]["attachment"][name]
    del body["securityLabel"]
    answer = world.caller("laboratory").post("/fhir/DocumentReference", body)
    made = parsed(answer)
    assert (answer.status, answer.headers["ETag"]) == (201, 'W/"1"')
    assert answer.headers["Location"] == f"{world.origin}/fhir/DocumentReference/{made['id']}"
    attachment = made["content"][0]["attachment"]
    assert "data" not in attachment
    assert attachment["size"] == len(document.data)
    assert attachment["url"] == f"{world.origin}/fhir/Binary/{made['id']}"
    assert [label["coding"][0]["code"] for label in made["securityLabel"]] == ["N"]
    assert world.holder(patient).get(answer.headers["Location"]).data == answer.data


# ITI-68

RAW, JSON_BINARY = "application/xml", "application/fhir+json"
ACCEPTED = [
    ("application/xml", RAW),
    ("text/xml", RAW),
    ("*/*", RAW),
    ("", RAW),
    (None, RAW),
    ("application/*", RAW),
    ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", RAW),
    ("application/fhir+json;q=0.5, application/xml", RAW),
    ("image/png, application/xml;q=0.1", RAW),
    ("application/fhir+json", JSON_BINARY),
    ("application/json", JSON_BINARY),
    ("application/fhir+json; fhirVersion=4.0", JSON_BINARY),
    ("application/xml;q=0.5, application/fhir+json", JSON_BINARY),
]


@pytest.mark.parametrize(("accept", "form"), ACCEPTED)
def test_a_document_leaves_in_the_form_that_was_asked_for(
    shelf: Shelf, physician: Caller, accept: str | None, form: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = physician.call("GET", f"/fhir/Binary/{shelf.plain}", headers=headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, form)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    if form == RAW:
        assert answer.data == shelf.sent.data
        assert answer.headers["Content-Disposition"] == "attachment"
    else:
        resource = parsed(answer)
        assert base64.b64decode(resource["data"], validate=True) == shelf.sent.data
        assert (resource["resourceType"], resource["id"]) == ("Binary", shelf.plain)
        assert resource["contentType"] == "application/xml"
        assert resource["securityContext"] == {"reference": f"DocumentReference/{shelf.plain}"}


@pytest.mark.parametrize(
    ("asked", "accept", "form"),
    [
        ("json", "application/xml", JSON_BINARY),
        ("application/fhir+json", "*/*", JSON_BINARY),
        ("application/xml", "application/fhir+json", RAW),
    ],
)
def test_the_parameter_format_counts_before_accept(
    shelf: Shelf, physician: Caller, asked: str, accept: str, form: str
) -> None:
    answer = physician.get(f"/fhir/Binary/{shelf.plain}?_format={quote(asked)}", Accept=accept)
    assert (answer.status, answer.headers["Content-Type"]) == (200, form)
    issues(physician.get(f"/fhir/Binary/{shelf.plain}?_format=image/png", Accept=accept), 406)


@pytest.mark.parametrize("accept", ["image/png", "application/pdf", "application/fhir+xml", "application/xml;q=0"])
def test_another_form_is_406_and_says_which_there_are(
    world: World, shelf: Shelf, physician: Caller, accept: str
) -> None:
    with world.refused("refused.406", of=shelf.patient):
        answer = physician.get(f"/fhir/Binary/{shelf.plain}", Accept=accept)
    (issue,) = issues(answer, 406)
    assert "application/xml" in issue["diagnostics"]
    assert "application/fhir+json" in issue["diagnostics"]


@pytest.mark.parametrize(
    ("media_type", "served", "data"),
    [
        ("application/pdf", "application/pdf", make_pdf("bonjour")),
        ("image/png", "image/png", PNG),
        ("text/plain", "text/plain; charset=utf-8", "à jeun\r\n".encode()),
        ("text/plain; charset=iso-8859-1", "text/plain; charset=iso-8859-1", "à jeun".encode("latin-1")),
        ("text/rtf", "text/rtf", b"{\\rtf1 bonjour}"),
    ],
)
def test_documents_of_every_media_type_come_back_as_they_were(
    world: World, media_type: str, served: str, data: bytes
) -> None:
    patient = world.opened()
    document = replace(lab_document(patient), data=data, content_type=media_type)
    (own,) = world.publish(patient, document)
    holder = world.holder(patient)
    raw = holder.get(f"/fhir/Binary/{own}", Accept=media_type.partition(";")[0])
    assert (raw.status, raw.headers["Content-Type"], raw.data) == (200, served, data)
    assert base64.b64decode(parsed(holder.get(f"/fhir/Binary/{own}"))["data"]) == data
    issues(holder.get(f"/fhir/Binary/{own}", Accept="application/xml"), 406)


def test_a_fhir_document_is_a_bundle_and_comes_back_as_it_was(world: World) -> None:
    patient = world.opened()
    kind = codes.document_type(codes.LOINC, "11488-4")
    assert kind is not None
    data = fhir_document(patient, kind, when=WHEN, unique_id=new_uuid(), title="CR")
    sample = replace(
        lab_document(patient), data=data, kind=kind, content_type="application/fhir+json", fhir_document=True
    )
    body = submission(patient, sample)
    (own,) = world.publish(patient, sample)
    holder = world.holder(patient)
    attachment = parsed(holder.get(f"/fhir/DocumentReference/{own}"))["content"][0]["attachment"]
    assert attachment["url"] == f"{world.origin}/fhir/Bundle/{own}"
    sent = write_json(body["entry"][2]["resource"])
    for accept in ("application/fhir+json", "application/json", "*/*"):
        answer = holder.get(attachment["url"], Accept=accept)
        assert (answer.headers["Content-Type"], answer.data) == ("application/fhir+json", sent)
    assert attachment["size"] == len(sent)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(sent, usedforsecurity=False).digest()
    issues(holder.get(f"/fhir/Binary/{own}"), 404)
    issues(holder.get(attachment["url"], Accept="application/xml"), 406)


# What must look as if it were not there


def altered(own_id: str) -> str:
    """Another entry of the same record, that nobody has."""
    record, _, entry = own_id.partition(".")
    return document_id(record, "b" * 25 + "a" if entry[0] != "b" else "a" * 26)


NOT_THERE: list[Any] = [
    pytest.param(lambda w, s: altered(s.plain), "denied.unknown", id="unknown"),
    pytest.param(lambda w, s: s.masked, "denied.masked", id="masked"),
    pytest.param(lambda w, s: strangers(w)[0], "denied.unknown", id="of another record"),
    pytest.param(lambda w, s: document_id("a" * 26, s.plain.partition(".")[2]), "denied.unknown", id="another record"),
    pytest.param(lambda w, s: document_id(s.record, strangers(w)[0].partition(".")[2]), "denied.unknown", id="mixed"),
    pytest.param(lambda w, s: s.plain_set, "denied.unknown", id="a set"),
    pytest.param(lambda w, s: s.record, "denied.unknown", id="the record"),
    pytest.param(lambda w, s: "x", "denied.unknown", id="no id"),
    pytest.param(lambda w, s: s.plain.upper(), "denied.unknown", id="in capitals"),
    pytest.param(lambda w, s: s.plain + "a", "denied.unknown", id="too long"),
    pytest.param(lambda w, s: "a" * 1000, "denied.unknown", id="endless"),
    pytest.param(lambda w, s: s.plain + "%20", "denied.unknown", id="with a blank"),
    pytest.param(lambda w, s: s.plain.replace(".", "%C3%A9"), "denied.unknown", id="with an accent"),
]
_STRANGERS: list[str] = []


def strangers(world: World) -> list[str]:
    """A document of another record, in which the same hospital is authorised, and its set."""
    if not _STRANGERS:
        other = world.opened("hospital")
        answer = world.caller("laboratory").post("/fhir", submission(other))
        _STRANGERS.extend((document_ids(answer)[0], set_id_of(answer)))
    return _STRANGERS


@pytest.mark.parametrize(("named", "reason"), NOT_THERE)
@pytest.mark.parametrize("resource", ["DocumentReference", "Binary", "Bundle"])
def test_unknown_anothers_and_masked_read_the_same(
    world: World,
    shelf: Shelf,
    physician: Caller,
    resource: str,
    named: Callable[[World, Shelf], str],
    reason: str,
) -> None:
    target = named(world, shelf)
    reference = physician.get(f"/fhir/{resource}/{altered(shelf.plain)}")
    before = world.names()
    with world.refused(reason, of=shelf.patient) as since:
        answer = physician.get(f"/fhir/{resource}/{target}")
    issues(answer, 404)
    assert without_ids(answer) == without_ids(reference)
    # An event and the mark of the proof: nothing else was written, whatever it was.
    written = sorted(name.partition("/")[0] for name in world.names() - before)
    assert written == ["journal", "replay"]
    assert since.event.patients == {shelf.record}
    if resource == "Bundle":
        # A document that was sent as a Binary is no Bundle: that reads the same again.
        assert without_ids(physician.get(f"/fhir/Bundle/{shelf.plain}")) == without_ids(reference)


@pytest.mark.parametrize("resource", ["DocumentReference", "Binary", "List"])
def test_who_may_see_a_masked_document_sees_it(
    world: World, shelf: Shelf, holder: Caller, physician: Caller, resource: str
) -> None:
    """The holder sees all; the hospital sees what it wrote itself; nobody else sees either."""
    masked, own = (shelf.masked, shelf.own) if resource != "List" else (shelf.masked_set, None)
    other = world.caller("general-practitioner", shelf.patient)
    accept = "*/*" if resource == "Binary" else "application/fhir+json"
    assert holder.get(f"/fhir/{resource}/{masked}", Accept=accept).status == 200
    for caller in (physician, other):
        issues(caller.get(f"/fhir/{resource}/{masked}", Accept=accept), 404)
    if own is not None:
        assert holder.get(f"/fhir/{resource}/{own}", Accept=accept).status == 200
        assert physician.get(f"/fhir/{resource}/{own}", Accept=accept).status == 200
        issues(other.get(f"/fhir/{resource}/{own}", Accept=accept), 404)


def test_a_masked_document_is_not_found_by_its_identifiers_either(
    world: World, shelf: Shelf, holder: Caller, physician: Caller
) -> None:
    whole = parsed(holder.get(f"/fhir/DocumentReference/{shelf.masked}"))
    assert whole["securityLabel"][0]["coding"][0]["code"] == "MASQUE_PS"
    base = f"/fhir/DocumentReference?patient={shelf.record}"
    for query in (
        f"_id={shelf.masked}",
        f"identifier={whole['masterIdentifier']['value']}",
        f"identifier={whole['identifier'][0]['value']}",
        "security-label=MASQUE_PS&author.identifier=urn:oid:1.2.250.1.71.4.2.2|1000000101",
    ):
        assert shelf.masked in ids(holder.get(f"{base}&{query}"))
        assert ids(physician.get(f"{base}&{query}")) == []


def test_the_event_of_a_refused_read_does_not_tell_the_caller_what_the_trace_tells_the_patient(
    world: World, shelf: Shelf, physician: Caller
) -> None:
    with world.refused("denied.masked", of=shelf.patient) as since:
        answer = physician.get(f"/fhir/Binary/{shelf.masked}", Accept="*/*")
    assert b"masked" not in answer.data
    assert answer.headers["Sceau-Trace"] == since.event.id


@pytest.mark.parametrize("target", ["a" * 26, "x", "_history"])
def test_another_patient_by_id_is_404(world: World, shelf: Shelf, physician: Caller, target: str) -> None:
    with world.refused("denied.unknown", of=shelf.patient):
        answer = physician.get(f"/fhir/Patient/{target}")
    issues(answer, 404)


def test_a_document_whose_bytes_were_altered_at_rest_is_not_served(world: World) -> None:
    patient = world.opened()
    (own,) = world.publish(patient, lab_document(patient))
    record, _, entry = own.partition(".")
    path = world.objects / "records" / record / "documents" / entry
    good = path.read_bytes()
    holder = world.holder(patient)
    for bad in (good[:-1], good[:400] + bytes([good[400] ^ 1]) + good[401:], b""):
        path.write_bytes(bad)
        with world.unchanged(events=2) as since:
            answer = holder.get(f"/fhir/Binary/{own}", Accept="*/*")
        assert answer.status >= 500
        assert parsed(answer)["resourceType"] == "OperationOutcome"
        # The event that had to be confirmed before the bytes were read, and the one of the failure.
        assert [event.outcome for event in since.events] == ["0", "8"]
        assert lab_document(patient).data[:100] not in answer.data
    path.write_bytes(good)
    assert holder.get(f"/fhir/Binary/{own}", Accept="*/*").status == 200
