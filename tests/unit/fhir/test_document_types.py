"""Every document type of JDV_J07 through a whole publication, and the page that lists them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.bodies import (
    RECEIVED,
    RECORD,
    bundle,
    changed,
    document,
    expressions,
    refused,
    simple,
    stored,
    submit,
    submit_simple,
)
from sceau.access.decide import decide
from sceau.access.matrix import shipped_rules
from sceau.access.model import Act, Actor, ActorKind, DocumentFacts, Identifier, RecordFacts, RecordStatus
from sceau.cli.bodies import SampleDocument
from sceau.cli.samples import make_pdf
from sceau.fhir.acts import SYSTEMS
from sceau.fhir.codes import LOINC, TRE_A03, TRE_A05, DocumentType, canonical_system, concept, concepts
from sceau.fhir.search import parse_query, run

TRE_A12 = canonical_system("ASTM")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "document-types.md"
TYPES = {found.code: found for found in concepts("J07") if isinstance(found, DocumentType)}
OIDS = {LOINC: "2.16.840.1.113883.6.1", TRE_A05: "1.2.250.1.213.1.1.4.12", TRE_A12: "ASTM"}
FORMATLESS = {  # media type and bytes of what these types are, which no document may have here (api.md)
    "E1762": ("application/xml", b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>'),
    "FEUILLE-DE-STYLE": (
        "text/xml",
        b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>',
    ),
    "IMG-KOS": ("application/dicom", bytes(128) + b"DICM"),
}
GROUPS = {  # what the record is for, and the types that carry it
    "antecedents and allergies": "SYNTH 60591-5 11369-6 34133-9 56445-0 68817-6 84067-8",
    "results of biology": "11502-2 60568-3 51969-4 96173-0",
    "imaging": "18748-4 52040-3",
    "hospital reports": "34112-3 11490-0 15507-7 34874-8 77436-4 34749-2 15508-5 67851-6",
    "care history of the insurer": "REMB",
    "emergency contacts": "FICHE-CONTACTS",
    "advance directives": "EXPPAT_3",
    "the patient's own": "EXPPAT_1 EXPPAT_2 74465-6 " + " ".join(f"DOCPAT0{n}" for n in range(1, 10)),
}
every_type = pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES.keys())


def of_type(kind: DocumentType, form: str = "cda") -> SampleDocument:
    """A document of a type, as CDA or as PDF, whose entry has the type's class."""
    one = document()
    if form == "pdf":
        return replace(one, kind=kind, data=make_pdf(kind.label), content_type="application/pdf")
    old = f'<code code="11502-2" codeSystem="{OIDS[LOINC]}"'.encode()
    new = f'<code code="{kind.code}" codeSystem="{OIDS[kind.system]}"'.encode()
    assert old in one.data
    return replace(one, kind=kind, data=one.data.replace(old, new, 1))


def class_token(kind: DocumentType) -> str:
    return f"{kind.class_system or TRE_A03}|{kind.class_code or '99'}"


def test_a_care_history_is_accepted_as_cda_only() -> None:
    error = refused(submit, bundle(of_type(TYPES["REMB"], "pdf")))
    assert expressions(error.problems) == ["Bundle.entry[1].resource.content[0].attachment"]


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        pytest.param(kind, form, id=f"{code}-{form}")
        for code, kind in TYPES.items()
        for form in ("cda", "pdf")
        if (code, form) != ("REMB", "pdf")
    ],
)
def test_a_document_of_each_type_is_accepted_with_its_class_and_found_by_both(kind: DocumentType, form: str) -> None:
    sent = of_type(kind, form)
    got = submit(bundle(sent), strict=True)
    assert got.warnings == ()
    one = got.documents[0]
    assert one.type_code == kind.code
    assert one.content == sent.data
    assert one.terms["type"] == (f"{kind.system}|{kind.code}",)
    assert one.terms["category"] == (class_token(kind),)
    assert bool(one.terms.get("event")) is (form == "cda")
    row = stored(got)[0][0][0]
    asked = (("patient", RECORD), ("type", f"{OIDS[kind.system]}|{kind.code}"), ("category", class_token(kind)))
    query = parse_query("DocumentReference", asked, strict=True, now=RECEIVED)
    assert run(query, [row], lambda _: True, record_id=RECORD).total == 1


@every_type
def test_a_document_sent_alone_gets_a_set_of_its_types_class(kind: DocumentType) -> None:
    got = submit_simple(changed(simple(of_type(kind)), lambda r: r.pop("category")))
    assert got.documents[0].type_code == kind.code
    designation = class_token(kind) if kind.class_code else f"{kind.system}|{kind.code}"
    assert got.set_terms["designationType"] == (designation,)


@every_type
def test_a_cda_of_each_type_is_refused_under_another_type(kind: DocumentType) -> None:
    other = TYPES["11488-4" if kind.code == "11502-2" else "11502-2"]
    error = refused(submit, bundle(replace(of_type(kind), kind=other)))
    assert expressions(error.problems) == ["Bundle.entry[1].resource.type"]


@pytest.mark.parametrize("kind", [k for k in TYPES.values() if k.class_code], ids=lambda k: k.code)
def test_a_type_with_the_class_of_another_is_refused_under_strict_handling(kind: DocumentType) -> None:
    wrong = replace(kind, class_code="42" if kind.class_code != "42" else "10")
    error = refused(lambda b: submit(b, strict=True), bundle(replace(of_type(kind), kind=wrong)))
    assert expressions(error.problems)[0] == "Bundle.entry[1].resource.category[0].coding[0]"


@pytest.mark.parametrize("code", sorted(FORMATLESS))
def test_what_three_types_are_by_nature_is_in_no_accepted_format(code: str) -> None:
    media_type, data = FORMATLESS[code]
    error = refused(submit, bundle(replace(of_type(TYPES[code]), data=data, content_type=media_type)))
    assert error.status == 422


def test_all_that_the_record_is_for_has_a_type() -> None:
    for codes in GROUPS.values():
        assert set(codes.split()) <= TYPES.keys()


# The page

FEEDERS = {
    ActorKind.SOFTWARE: "structure's software",
    ActorKind.INSURER: "insurer",
    ActorKind.PROFESSIONAL: "professional",
    ActorKind.PATIENT: "patient",
}
_LEVELS = {ActorKind.PROFESSIONAL: "user", ActorKind.PATIENT: "patient"}
_STRUCTURE = Identifier("urn:oid:1.2.250.1.71.4.2.2", "1000000101")


def feeders(kind: DocumentType) -> str:
    """Who, by the access rules, may publish a document of this type into an open record as its author."""
    authored = DocumentFacts("current", frozenset({"N"}), kind.code, frozenset({_STRUCTURE}))
    own = DocumentFacts("current", frozenset({"N"}), kind.code, holders_own=True)
    record = RecordFacts(RECORD, RecordStatus.OPEN)
    allowed = []
    for who, name in FEEDERS.items():
        scopes = frozenset({f"{_LEVELS.get(who, 'system')}/*.cruds"})
        actor = Actor(who, "client", "subject", "token", scopes, RECORD, (_STRUCTURE,))
        facts = own if who is ActorKind.PATIENT else authored
        if decide(Act.PUBLISH, actor, record, facts, shipped_rules(), datetime(2026, 6, 12, tzinfo=UTC)).allowed:
            allowed.append(name)
    return ", ".join(allowed) or "–"


def table() -> str:
    """The table of the page, class after class, in the list's order within each."""
    short = {LOINC: "LOINC", TRE_A05: "TRE_A05", TRE_A12: "ASTM"}
    ordered = sorted(TYPES.values(), key=lambda k: k.class_code or "~")
    lines = ["| class | type | system | label | acts read | fed by |", "|---|---|---|---|---|---|"]
    for kind in ordered:
        found = concept("J06", kind.class_system, kind.class_code) if kind.class_system and kind.class_code else None
        name = f"{found.code} {found.label}" if found else "–"
        acts = "–" if kind.code in FORMATLESS else "in a CDA"
        lines.append(f"| {name} | {kind.code} | {short[kind.system]} | {kind.label} | {acts} | {feeders(kind)} |")
    return "\n".join(lines)


def test_the_page_has_every_type_as_it_is_treated() -> None:
    expected = table()
    assert expected in PAGE.read_text("utf-8"), f"{PAGE.name}: its table should be\n{expected}"


def test_the_page_names_the_groups_and_the_systems_of_acts() -> None:
    page = PAGE.read_text("utf-8")
    for name, codes in GROUPS.items():
        assert f"| {name} | {', '.join(codes.split())} |" in page
    for system in SYSTEMS:
        assert system in page


@pytest.mark.parametrize(
    "oid", ["1.2.250.1.213.2.5", "1.2.250.1.215.200.3.4", "1.2.250.1.213.2.7", "1.2.250.1.215.200.4.1"]
)
def test_the_page_names_every_oid_that_is_taken_for_a_system(oid: str) -> None:
    assert canonical_system(oid) in SYSTEMS
    assert f"`{oid}`" in PAGE.read_text("utf-8")
