"""What the service answers, before HL7's validator, with the profiles of PDSm, MHD, FR Core and BALP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.fhir_validator import SHARED, Validate, needs_validator, running_validator
from fixtures.inprocess import Process, Response, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes

pytestmark = needs_validator

PDSM = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/"
MHD = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MASKED = {
    "coding": [{"system": codes.TRE_A07, "code": "MASQUE_PS", "display": "Document masqué aux professionnels de santé"}]
}
MASKING = [{"op": "replace", "path": "/securityLabel/0", "value": MASKED}]
WHEN = datetime(2026, 2, 1, 9, tzinfo=UTC)
FOLDERS = (
    "balp-1.1.4",
    "mhd-4.2.3",
    "pdsm-3.1.1",
    "fr-core-2.1.0",
    "annuaire-1.1.0",
    "nos",
    "formatcode-1.4.0",
    "tho-and-other",
)


NOT_DEFINED_HERE = ("TRE-R13-CommuneOM", "patient-birthPlace|4.0.1", "Unable to expand value set")
"""What ../shared/profiles lacks: the communes, and HL7's birthPlace extension. What needs them is not judged."""


@pytest.fixture(scope="module")
def validate() -> Iterator[Validate]:
    folders = [SHARED / "profiles" / name for name in FOLDERS]
    with running_validator(folders) as errors:
        yield errors


@pytest.fixture(scope="module")
def answers() -> dict[str, Response]:
    """One answer of each kind, as the whole service gave it."""
    process = Process(World.new())
    insurer, app, laboratory = (process.session(name) for name in ("insurer", "patient", "laboratory"))
    given = {"opening": insurer.request("POST", "/fhir/Consent", bodies.consent_opening(DOMINIQUE))}
    given["grant"] = app.request("POST", "/fhir/Consent", bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"]))
    documents = [
        bodies.sample_document(
            kind,
            patient=DOMINIQUE,
            author=AUTHORS["biologist"],
            structure=STRUCTURES["laboratory"],
            when=WHEN,
            unique_id=f"urn:oid:2.25.{number}",
        )
        for number, kind in enumerate(("biology", "imaging", "discharge-letter"), start=1)
    ]
    folder = bodies.SampleFolder("Suivi", "urn:oid:2.25.8", ("urn:oid:2.25.1",))
    bundle = bodies.provide_bundle(
        documents[:2], patient=DOMINIQUE, when=WHEN, set_id="urn:oid:2.25.9", folders=[folder]
    )
    given["transaction"] = laboratory.request("POST", "/fhir", bundle, {"Prefer": "return=representation"})
    one = bodies.simplified(documents[2], patient=DOMINIQUE, when=WHEN)
    given["simplified"] = laboratory.request("POST", "/fhir/DocumentReference", one)
    physician = process.session("hospital-physician")
    patient = f"{DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
    given["status"] = physician.request("GET", f"/fhir/Patient?identifier={patient}")
    given["search"] = physician.request("GET", f"/fhir/DocumentReference?patient.identifier={patient}")
    given["lists"] = physician.request("GET", f"/fhir/List?patient.identifier={patient}")
    entry = given["search"].json()["entry"][0]["resource"]
    given["entry"] = physician.request("GET", f"/fhir/DocumentReference/{entry['id']}")
    for name, code in (("list", "submissionset"), ("folder", "folder")):
        found = physician.request("GET", f"/fhir/List?patient.identifier={patient}&code={code}").json()["entry"]
        given[name] = physician.request("GET", f"/fhir/List/{found[0]['resource']['id']}")
    given["binary"] = physician.request("GET", f"/fhir/Binary/{entry['id']}")
    given["technical id"] = laboratory.request(
        "GET", f"/fhir/DocumentReference?patient.identifier={patient}&identifier=urn:ietf:rfc:3986|urn:oid:2.25.1"
    )
    given["consents"] = app.request("GET", "/fhir/Consent")
    process.world.seal()
    given["traces"] = app.request("GET", "/fhir/AuditEvent?date=ge2026-03-01")
    given["refusal"] = process.session("other-physician").request(
        "GET", f"/fhir/DocumentReference?patient.identifier={patient}"
    )
    given["bad input"] = laboratory.request("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction"})
    given["capabilities"] = app.request("GET", "/fhir/metadata")
    (patient_found,) = (one["resource"] for one in given["status"].json()["entry"] if one["search"]["mode"] == "match")
    given["patient"] = physician.request("GET", f"/fhir/Patient/{patient_found['id']}")
    given["decision"] = app.request("GET", f"/fhir/Consent/{given['grant'].json()['id']}")
    given["notices"] = app.request("GET", "/fhir/Communication")
    given["masked"] = app.request("PATCH", f"/fhir/DocumentReference/{entry['id']}", MASKING, JSON_PATCH)
    given["version"] = app.request("GET", f"/fhir/DocumentReference/{entry['id']}/_history/1")
    given["history"] = app.request("GET", f"/fhir/DocumentReference/{entry['id']}/_history")
    return given


PROFILES = {
    "patient": f"{CORE}Patient",
    "decision": f"{CORE}Consent",
    "notices": f"{CORE}Bundle",
    "masked": f"{PDSM}pdsm-comprehensive-document-reference",
    "version": f"{PDSM}pdsm-comprehensive-document-reference",
    "history": f"{CORE}Bundle",
    "opening": f"{CORE}Consent",
    "grant": f"{CORE}Consent",
    "transaction": f"{MHD}IHE.MHD.ProvideDocumentBundleResponse",
    "simplified": f"{PDSM}pdsm-comprehensive-document-reference",
    "status": f"{CORE}Bundle",
    "search": f"{MHD}IHE.MHD.FindDocumentReferencesComprehensiveResponseMessage",
    "lists": f"{MHD}IHE.MHD.FindDocumentListsResponseMessage",
    "entry": f"{PDSM}pdsm-comprehensive-document-reference",
    "list": f"{PDSM}pdsm-submissionset-comprehensive",
    "folder": f"{PDSM}pdsm-folder-comprehensive",
    "binary": f"{CORE}Binary",
    "technical id": f"{CORE}Bundle",
    "consents": f"{CORE}Bundle",
    "traces": f"{CORE}Bundle",
    "refusal": f"{CORE}OperationOutcome",
    "bad input": f"{CORE}OperationOutcome",
    "capabilities": f"{CORE}CapabilityStatement",
}


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_an_answer_meets_its_profile(validate: Validate, answers: dict[str, Response], name: str) -> None:
    answer = answers[name]
    assert answer.status in (200, 201, 400, 403, 422), answer.data
    found = validate(answer.data, PROFILES[name])
    assert [error for error in found if not any(part in error for part in NOT_DEFINED_HERE)] == []


def test_a_submission_with_a_new_folder_and_one_that_grows_meets_its_profile(validate: Validate) -> None:
    """As our builders make it: what the service is tried with is what the guides ask for."""
    document = bodies.sample_document(
        "biology",
        patient=DOMINIQUE,
        author=AUTHORS["biologist"],
        structure=STRUCTURES["laboratory"],
        when=WHEN,
        unique_id="urn:oid:2.25.1",
    )
    known = f"{'a' * 26}.{'b' * 26}"
    folders = [
        bodies.SampleFolder("Suivi", "urn:oid:2.25.8", ("urn:oid:2.25.1",)),
        bodies.SampleFolder("Grossesse", "urn:oid:2.25.7", ("urn:oid:2.25.1",), (known,), adds_to=known),
    ]
    sent = bodies.provide_bundle([document], patient=DOMINIQUE, when=WHEN, set_id="urn:oid:2.25.9", folders=folders)
    profile = f"{PDSM}pdsm-comprehensive-provide-document-bundle"
    assert validate(json.dumps(sent).encode(), profile) == []
    del sent["entry"][-1]["resource"]["title"]
    assert validate(json.dumps(sent).encode(), profile) != []


def test_the_validator_sees_what_is_broken(validate: Validate, answers: dict[str, Response]) -> None:
    broken: dict[str, Any] = json.loads(answers["entry"].data)
    del broken["content"]
    assert validate(json.dumps(broken).encode(), PROFILES["entry"]) != []
