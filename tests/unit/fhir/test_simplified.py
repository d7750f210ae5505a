"""ITI-105: one document inline becomes the same kind of submission, with a derived set."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fixtures.bodies import (
    OLD,
    PATIENT,
    SOURCE,
    WHEN,
    Json,
    bundle,
    changed,
    document,
    expressions,
    refused,
    simple,
    submit,
    submit_simple,
)
from sceau.cli.bodies import sample_document
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes
from sceau.fhir.sets import AUTHOR_ORG, DESIGNATION_TYPE, SOURCE_ID
from sceau_schemas.dossier import StoredIdentifier

INS = {"system": PATIENT.ins_system, "value": PATIENT.ins_value}


def test_the_document_is_the_same_as_by_iti_65() -> None:
    alone, in_bundle = submit_simple(simple()), submit(bundle())
    assert alone.is_simplified
    assert alone.entries == ()
    assert alone.patient == in_bundle.patient
    one, other = alone.documents[0], in_bundle.documents[0]
    assert one.content == other.content
    assert (one.sha256, one.terms, one.labels, one.identifiers) == (
        other.sha256,
        other.terms,
        other.labels,
        other.identifiers,
    )
    assert {**one.resource, "meta": None} == {**other.resource, "meta": None}


def test_a_claim_of_the_simplified_profile_is_not_kept() -> None:
    """What we give back has url and identifier, which that profile forbids."""
    assert "meta" not in submit_simple(simple()).documents[0].resource


def test_what_iti_105_may_leave_out_is_filled() -> None:
    def strip(r: Json) -> None:
        for name in ("securityLabel", "category", "context", "custodian", "authenticator", "date"):
            del r[name]
        r["contained"].pop()
        for name in ("size", "hash", "language", "creation", "title"):
            del r["content"][0]["attachment"][name]
        del r["content"][0]["format"]

    got = submit_simple(changed(simple(), strip)).documents[0]
    assert [(label.system, label.code) for label in got.labels] == [(codes.TRE_A08, "N")]
    kept = got.resource["content"][0]["attachment"]
    assert kept["size"] == len(got.content)
    assert len(base64.b64decode(kept["hash"])) == 20
    assert got.resource["date"] == "2026-06-12T08:30:00.250Z"


def test_the_derived_set_says_who_sent_what() -> None:
    got = submit_simple(simple())
    resource = got.set_resource
    assert resource["source"] == {"reference": "#author"}
    assert [part["resourceType"] for part in resource["contained"]] == [
        "PractitionerRole",
        "Practitioner",
        "Organization",
    ]
    assert resource["subject"] == {"type": "Patient", "identifier": INS}
    assert resource["date"] == got.documents[0].resource["date"]
    extensions = {e["url"]: e for e in resource["extension"]}
    assert extensions[SOURCE_ID]["valueIdentifier"] == {"system": SOURCE.system, "value": SOURCE.value}
    assert extensions[DESIGNATION_TYPE]["valueCodeableConcept"] == got.documents[0].resource["category"][0]
    assert got.set_identifiers == ()
    assert got.set_terms["source.family"] == ("modele-biologiste",)
    assert got.set_terms["sourceId"] == (f"{SOURCE.system}|{SOURCE.value}",)


def test_an_organisation_as_author_becomes_the_sets_author_organisation() -> None:
    got = submit_simple(changed(simple(), lambda r: r.update(author=[{"reference": "#organization"}])))
    extension = got.set_resource["source"]["extension"][0]
    assert extension == {"url": AUTHOR_ORG, "valueReference": {"reference": "#organization"}}
    assert got.set_terms["authorOrg.identifier"] == ("urn:oid:1.2.250.1.71.4.2.2|1000000101",)
    assert got.documents[0].author_structures[0].value == "1000000101"
    assert got.documents[0].author_professionals == ()


@pytest.mark.parametrize(
    ("author", "structures", "professionals"),
    [
        pytest.param(
            {"identifier": {"system": "urn:oid:1.2.250.1.71.4.2.2", "value": "1000000101"}},
            ["1000000101"],
            [],
            id="a structure by its identifier",
        ),
        pytest.param(
            {"identifier": {"system": "https://finess.esante.gouv.fr", "value": "000000101"}},
            ["1000000101"],
            [],
            id="a structure by its FINESS",
        ),
        pytest.param(
            {"identifier": {"system": "https://sirene.fr", "value": "12345678900011"}},
            ["312345678900011"],
            [],
            id="a structure by its SIRET",
        ),
        pytest.param(
            {"identifier": {"system": "https://rpps.esante.gouv.fr", "value": "99700000101"}},
            [],
            ["899700000101"],
            id="a professional by the RPPS",
        ),
        pytest.param({"reference": "Practitioner/77"}, [], [], id="somebody that only the sender knows"),
        pytest.param({"reference": "#patient"}, [], [], id="the patient"),
    ],
)
def test_authors_by_other_names(author: Json, structures: list[str], professionals: list[str]) -> None:
    got = submit_simple(changed(simple(), lambda r: r.update(author=[author])))
    assert [i.value for i in got.documents[0].author_structures] == structures
    assert [i.value for i in got.documents[0].author_professionals] == professionals
    assert PATIENT.ins_value not in str(got.documents[0].terms) + str(got.set_terms)


def test_an_author_of_a_type_that_is_not_read_names_nobody() -> None:
    def place(r: Json) -> None:
        identifier = {"system": "urn:oid:1.2.250.1.71.4.2.2", "value": "1"}
        r["contained"].append({"resourceType": "Location", "id": "l", "identifier": [identifier]})
        r["author"] = [{"reference": "#l"}]

    got = submit_simple(changed(simple(), place)).documents[0]
    assert (got.author_structures, got.author_professionals) == ((), ())
    assert "author.identifier" not in got.terms


@pytest.mark.parametrize("link", ["practitioner", "organization"])
def test_contained_resources_that_name_each_other_lead_nowhere(link: str) -> None:
    def loop(r: Json) -> None:
        r["contained"] = [
            {"resourceType": "PractitionerRole", "id": f"author{n or ''}", link: {"reference": f"#author{n + 1}"}}
            for n in range(2000)
        ]
        r["contained"].append({"resourceType": "Device", "id": "author2000", "owner": {"reference": "#author"}})
        r["contained"] += [
            {"resourceType": "Organization", "id": "organization"},
            {"resourceType": "Patient", "id": "patient"},
        ]

    got = submit_simple(changed(simple(), loop)).documents[0]
    assert (got.author_structures, got.author_professionals) == ((), ())


def test_the_number_of_a_post_is_not_that_of_a_person() -> None:
    def only_post(r: Json) -> None:
        r["contained"][0]["identifier"] = [{"system": "https://rpps.esante.gouv.fr", "value": "99700000199"}]
        del r["contained"][0]["practitioner"]

    assert submit_simple(changed(simple(), only_post)).documents[0].author_professionals == ()


def test_the_insurers_software_is_a_device_of_a_structure() -> None:
    sent = sample_document(
        "care-history",
        patient=PATIENT,
        author=AUTHORS["insurer"],
        structure=STRUCTURES["insurer"],
        when=WHEN,
        unique_id="urn:oid:2.25.9",
    )
    got = submit_simple(simple(sent))
    assert got.documents[0].type_code == "REMB"
    assert got.documents[0].author_structures[0].value == STRUCTURES["insurer"].identifier


def test_a_replacement_may_be_sent_alone() -> None:
    target = StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:2.25.7")
    assert submit_simple(simple(document(replaces=target))).documents[0].replaces == (target,)
    assert submit_simple(simple(document(replaces=OLD))).documents[0].replaces == (OLD,)


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        pytest.param(
            lambda r: r.update(identifier=[{"system": "urn:x", "value": "1"}]),
            "DocumentReference.identifier",
            id="identifier",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(url="Binary/1"),
            "DocumentReference.content[0].attachment.url",
            id="url",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].pop("data"),
            "DocumentReference.content[0].attachment.data",
            id="no data",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(data="A"),
            "DocumentReference.content[0].attachment.data",
            id="no base64",
        ),
        pytest.param(lambda r: r.pop("subject"), "DocumentReference.subject", id="no subject"),
        pytest.param(lambda r: r.pop("type"), "DocumentReference.type", id="no type"),
        pytest.param(lambda r: r.pop("author"), "DocumentReference.author", id="no author"),
        pytest.param(lambda r: r.pop("masterIdentifier"), "DocumentReference.masterIdentifier", id="no uniqueId"),
        pytest.param(lambda r: r.update(status="superseded"), "DocumentReference.status", id="not current"),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(size=3),
            "DocumentReference.content[0].attachment.size",
            id="another size",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].pop("contentType"),
            "DocumentReference.content[0].attachment.contentType",
            id="no contentType",
        ),
    ],
)
def test_a_refusal_names_its_element(change: Any, expression: str) -> None:
    error = refused(submit_simple, changed(simple(), change))
    assert error.status == 422
    assert expression in expressions(error.problems)
