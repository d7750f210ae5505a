"""Terms: what a search will compare, of every search parameter of DocumentReference and List."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from fixtures.bodies import PATIENT, Json, bundle, changed, simple, submit, submit_simple
from sceau.fhir.search.parameters import TABLES
from sceau.fhir.search.text import fold
from sceau.fhir.sets import AUTHOR_ORG
from sceau.fhir.terms import code_token, date_term, period_term
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.fhir.datatypes import Period

LOINC = "http://loinc.org"
NOS = "https://mos.esante.gouv.fr/NOS/"


def terms_of(change: Any) -> dict[str, tuple[str, ...]]:
    return submit_simple(changed(simple(), change)).documents[0].terms


def test_all_terms_of_a_document_entry() -> None:
    def enrich(r: Json) -> None:
        r["author"].append({"reference": "Practitioner/77"})
        r["context"]["event"] = [{"coding": [{"system": "urn:ccam", "code": "E1"}]}, {"coding": [{"code": "bare"}]}]
        r["context"]["period"] = {"start": "2026-06-12", "end": "2026-06"}
        r["context"]["related"].append({"reference": "ImagingStudy/1"})

    accession = StoredIdentifier(system="urn:oid:1.2.3", value="ACC-1")
    sent = changed(simple(), lambda r: r["context"].update(related=[{"identifier": accession.model_dump()}]))
    terms = submit_simple(changed(sent, enrich)).documents[0].terms
    assert terms.pop("event")[:2] == ("urn:ccam|E1", "|bare")  # then what the CDA codes: `fhir.acts`
    assert terms == {
        "type": (f"{LOINC}|11502-2",),
        "category": (f"{NOS}TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument|10",),
        "facility": (f"{NOS}TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite|SA25",),
        "setting": (f"{NOS}TRE_A01-CadreExercice/FHIR/TRE-A01-CadreExercice|AMBULATOIRE",),
        "format": (f"{NOS}TRE_A11-IheFormatCode/FHIR/TRE-A11-IheFormatCode|urn:ihe:lab:xd-lab:2008",),
        "identifier": ("urn:ietf:rfc:3986|urn:oid:2.25.1",),
        "date": ("1781251200000/1781251200999",),
        "creation": ("1781251200000/1781251200999",),
        "period": ("1781222400000/1782863999999",),
        "period-start": ("1781222400000/1781308799999",),
        "period-end": ("1780272000000/1782863999999",),
        "author": ("Practitioner/77",),
        "author.identifier": ("urn:oid:1.2.250.1.71.4.2.1|899700000101", "urn:oid:1.2.250.1.71.4.2.2|1000000101"),
        "author.given": ("eprouvette",),
        "author.family": ("modele-biologiste",),
        "related": ("ImagingStudy/1",),
        "related.identifier": ("urn:oid:1.2.3|ACC-1",),
    }


def test_all_terms_of_a_submission_set() -> None:
    def enrich(b: Json) -> None:
        b["entry"][0]["resource"]["source"]["extension"] = [
            {"url": AUTHOR_ORG, "valueReference": {"reference": "#organization"}},
            {"url": AUTHOR_ORG, "valueReference": {"reference": "Organization/5"}},
        ]

    terms = submit(changed(bundle(), enrich)).set_terms
    assert {name: value for name, value in terms.items() if name != "sourceId"} == {
        "code": ("https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes|submissionset",),
        "designationType": (f"{NOS}TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument|10",),
        "identifier": ("urn:ietf:rfc:3986|urn:oid:2.25.900",),
        "date": ("1781251200000/1781251200999",),
        "title": ("compte rendu de biologie",),
        "source.identifier": ("urn:oid:1.2.250.1.71.4.2.1|899700000101", "urn:oid:1.2.250.1.71.4.2.2|1000000101"),
        "source.given": ("eprouvette",),
        "source.family": ("modele-biologiste",),
        "authorOrg": ("Organization/5",),
        "authorOrg.identifier": ("urn:oid:1.2.250.1.71.4.2.2|1000000101",),
    }
    assert terms["sourceId"][0].startswith("urn:ietf:rfc:3986|urn:oid:2.25.")


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_every_search_parameter_reads_a_term_that_is_written(resource: str) -> None:
    """A parameter whose term nobody writes would silently find nothing."""
    written = {
        "DocumentReference": {
            "type", "category", "facility", "setting", "format", "event", "identifier", "date", "creation", "period",
            "period-start", "period-end", "author", "author.identifier", "author.given", "author.family", "related",
            "related.identifier",
        },
        "List": {
            "code", "designationType", "sourceId", "identifier", "date", "title", "source", "source.given",
            "source.family", "authorOrg",
        },
    }[resource]  # fmt: skip
    for parameter in TABLES[resource]:
        names = {name for name in parameter.stored if not name.startswith("row.")}
        if names and not any(name.startswith("row.") for name in parameter.stored):
            assert names <= written, parameter.name


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda r: r.update(author=[{"identifier": {"system": PATIENT.ins_system, "value": PATIENT.ins_value}}]),
            id="the patient as author, by identifier",
        ),
        pytest.param(lambda r: r.update(author=[{"reference": "#patient"}]), id="the contained patient as author"),
        pytest.param(
            lambda r: r.update(author=[{"reference": f"Patient?identifier={PATIENT.ins_system}|{PATIENT.ins_value}"}]),
            id="the patient as author, by search",
        ),
        pytest.param(
            lambda r: r["context"].update(
                related=[
                    {"reference": f"Patient?identifier={PATIENT.ins_system}|{PATIENT.ins_value}"},
                    {"identifier": {"system": PATIENT.ins_system, "value": PATIENT.ins_value}},
                ]
            ),
            id="the patient as related",
        ),
    ],
)
def test_the_ins_never_is_a_term(change: Any) -> None:
    got = submit_simple(changed(simple(), change))
    assert PATIENT.ins_value not in str(got.documents[0].terms)
    assert PATIENT.ins_value not in str(got.set_terms)


def test_a_patient_who_writes_is_found_by_name() -> None:
    terms = terms_of(lambda r: r.update(author=[{"reference": "#patient"}]))
    assert terms["author.family"] == ("specimen-un",)
    assert terms["author.given"] == ("amarante", "zelie")


def test_systems_are_canonical_and_codes_exact() -> None:
    assert code_token("2.16.840.1.113883.6.1", "a") == f"{LOINC}|a"
    assert code_token("urn:oid:2.16.840.1.113883.6.1", "A") == f"{LOINC}|A"
    assert code_token(None, "A") == "|A"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970", "0/31535999999"),
        ("1970-02", "2678400000/5097599999"),
        ("1970-01-01", "0/86399999"),
        ("1970-01-01T00:00:01Z", "1000/1999"),
        ("1970-01-01T02:00:00.5+02:00", "500/599"),
        ("1970-01-01T00:00:00.123456Z", "123/123"),
        ("1969-12-31T23:59:59Z", "-1000/-1"),
        ("0001-01-01T00:00:00+14:00", "-62135647200000/-62135647199001"),
        ("9999-12-31T23:59:59-14:00", "253402351199000/253402351199999"),
    ],
)
def test_dates_cover_their_precision(text: str, expected: str) -> None:
    assert date_term(text) == expected


def test_a_period_may_be_open() -> None:
    assert period_term(Period(start="1970")) == "0/"
    assert period_term(Period(end="1970")) == "/31535999999"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Éléonore  Ŀ. ", "eleonore l·."),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("İpek", "ipek"),
        ("ﬃ", "ffi"),
    ],
)
def test_strings_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
