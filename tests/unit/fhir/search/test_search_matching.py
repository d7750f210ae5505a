"""Matching: which rows a query finds."""

from __future__ import annotations

import uuid

import pytest

from sceau.fhir.search import run
from sceau.records.ids import document_id, entry_uuid
from sceau_schemas.dossier import StoredCoding, StoredIdentifier
from unit.fhir.search.search_rows import (
    LOINC,
    OTHER_RECORD,
    RECORD,
    TRE_A07,
    TRE_A08,
    asked,
    day,
    entry,
    entry_id,
    found,
    sets_found,
    submission_set,
)

TRE_A05 = "https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire"
MASKED = StoredCoding(system=TRE_A07, code="MASQUE_PS")
RFC3986 = "urn:ietf:rfc:3986"


TYPED = [
    entry(1, terms={"type": (f"{LOINC}|11502-2",)}),
    entry(2, terms={"type": (f"{LOINC}|34112-3", f"{TRE_A05}|SYNTH")}),
    entry(3, terms={"type": ("|11502-2",)}),
    entry(4),
]


@pytest.mark.parametrize(
    ("pairs", "numbers"),
    [
        ([("type", f"{LOINC}|11502-2")], [1]),
        ([("type", "urn:oid:2.16.840.1.113883.6.1|11502-2")], [1]),
        ([("type", "11502-2")], [1, 3]),
        ([("type", "|11502-2")], [3]),
        ([("type", f"{LOINC}|")], [1, 2]),
        ([("type", "11502-2,SYNTH")], [1, 2, 3]),
        ([("type", "34112-3"), ("type", "SYNTH")], [2]),
        ([("type", "34112-3"), ("type", "11502-2")], []),
        ([("type:not", "11502-2")], [2, 4]),
        ([("type:not", f"SYNTH,{LOINC}|11502-2")], [3, 4]),
        ([("type:missing", "true")], [4]),
        ([("type:missing", "false")], [1, 2, 3]),
        ([("type", "11502")], []),
        ([("type", "synth")], []),
    ],
)
def test_tokens_match_by_system_and_code(pairs: list[tuple[str, str]], numbers: list[int]) -> None:
    assert found(TYPED, *pairs) == numbers


@pytest.mark.parametrize("name", ["type", "category", "facility", "setting", "format", "event"])
def test_each_coded_parameter_reads_its_own_term(name: str) -> None:
    rows = [entry(1, terms={name: ("http://s|c",)}), entry(2, terms={"other": ("http://s|c",)})]
    assert found(rows, (name, "http://s|c")) == [1]


def test_deleted_entries_are_never_found() -> None:
    rows = [entry(1), entry(2, status="superseded"), entry(3, status="entered-in-error")]
    assert found(rows) == [1, 2]
    assert found(rows, ("status", "current")) == [1]
    assert found(rows, ("status", "superseded")) == [2]
    assert found(rows, ("status", "current,superseded")) == [1, 2]
    assert found(rows, ("status", "http://hl7.org/fhir/document-reference-status|current")) == [1]
    assert found(rows, ("status:not", "current")) == [2]
    assert found(rows, ("status", "entered-in-error")) == []
    assert found(rows, ("_id", document_id(RECORD, entry_id(3)))) == []
    assert found(rows, ("identifier", f"urn:uuid:{entry_uuid(entry_id(3))}")) == []


def test_archived_entries_are_hidden_unless_asked_for() -> None:
    identifier = (StoredIdentifier(system="s", value="v"),)
    rows = [entry(1), entry(2, archived=False), entry(3, archived=True, identifiers=identifier)]
    assert found(rows) == [1, 2]
    assert found(rows, ("isArchived", "false")) == [1, 2]
    assert found(rows, ("isArchived", "true")) == [3]
    assert found(rows, ("isArchived:not", "true")) == [1, 2]
    assert found(rows, ("isArchived", "true,false")) == [1, 2, 3]
    assert found(rows, ("identifier", "s|v")) == [3]
    assert found(rows, ("_id", document_id(RECORD, entry_id(3)))) == [3]
    assert found(rows, ("identifier", "s|v"), ("isArchived", "false")) == []


@pytest.mark.parametrize(
    "system",
    [
        "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
        TRE_A08,
        "urn:oid:2.16.840.1.113883.5.25",
        "2.16.840.1.113883.5.25",
    ],
)
def test_a_label_is_found_by_any_name_of_its_system(system: str) -> None:
    stored = [
        TRE_A08,
        "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
        "urn:oid:2.16.840.1.113883.5.25",
    ]  # fmt: skip
    rows = [entry(n, labels=(StoredCoding(system=s, code="N"),)) for n, s in enumerate(stored, start=1)]
    rows.append(entry(4, labels=(MASKED,)))
    assert found(rows, ("security-label", f"{system}|N")) == [1, 2, 3]
    assert found(rows, ("security-label", "N")) == [1, 2, 3]
    assert found(rows, ("security-label", "MASQUE_PS")) == [4]
    assert found(rows, ("security-label:not", f"{system}|N")) == [4]
    assert found(rows, ("security-label", f"{TRE_A07}|N")) == []


def test_an_identifier_is_business_identifier_or_entry_uuid() -> None:
    rows = [
        entry(1, identifiers=(StoredIdentifier(system=RFC3986, value="urn:oid:1.2.3"),)),
        entry(2, identifiers=(StoredIdentifier(system=RFC3986, value="urn:uuid:not-a-uuid"),)),
        entry(3, identifiers=(StoredIdentifier(system="https://lab.example", value="A|7"),)),
    ]
    own = f"urn:uuid:{entry_uuid(entry_id(2))}"
    assert found(rows, ("identifier", f"{RFC3986}|urn:oid:1.2.3")) == [1]
    assert found(rows, ("identifier", "urn:oid:1.2.3")) == [1]
    assert found(rows, ("identifier", f"{RFC3986}|{own}")) == [2]
    assert found(rows, ("identifier", own.upper().replace("URN:UUID", "urn:uuid"))) == [2]
    assert found(rows, ("identifier", f"https://other.example|{own}")) == []
    assert found(rows, ("identifier", "urn:uuid:not-a-uuid")) == [2]
    assert found(rows, ("identifier", "https://lab.example|A\\|7")) == [3]
    assert found(rows, ("identifier", f"{RFC3986}|")) == [1, 2, 3]
    assert found(rows, ("identifier", f"urn:uuid:{uuid.UUID(int=99)}")) == []
    assert found(rows, ("identifier", f"urn:oid:1.2.3,{own}")) == [1, 2]


def test_an_id_is_found_in_its_own_record_only() -> None:
    rows = [entry(1), entry(2)]
    assert found(rows, ("_id", document_id(RECORD, entry_id(1)))) == [1]
    ids = f"{document_id(RECORD, entry_id(1))},{document_id(RECORD, entry_id(2))}"
    assert found(rows, ("_id", ids)) == [1, 2]
    assert found(rows, ("_id", document_id(OTHER_RECORD, entry_id(1)))) == []
    assert found(rows, ("_id", entry_id(1))) == []
    assert found(rows, ("_id", "anything")) == []
    assert found(rows, ("_id", f"x|{document_id(RECORD, entry_id(1))}")) == []


def test_names_match_by_their_beginning_and_contains_anywhere() -> None:
    rows = [
        entry(1, terms={"author.family": ("lefevre",), "author.given": ("eloise",)}),
        entry(2, terms={"author.family": ("le goff", "martin")}),
        entry(3),
    ]
    assert found(rows, ("author.family", "LEF")) == [1]
    assert found(rows, ("author.family", "Lefèvre")) == [1]
    assert found(rows, ("author.family", "le")) == [1, 2]
    assert found(rows, ("author.family", "art")) == []
    assert found(rows, ("author.family:contains", "art")) == [2]
    assert found(rows, ("author.family", "x,mar")) == [2]
    assert found(rows, ("author:Practitioner.family", "mar")) == [2]
    assert found(rows, ("author.given", "Éloïse")) == [1]


def test_authors_and_related_objects_are_found_by_identifier() -> None:
    rows = [
        entry(
            1,
            terms={"author.identifier": ("urn:oid:1.2.250.1.71.4.2.1|810000000001",), "related.identifier": ("s|A1",)},
        ),
        entry(2, terms={"author": ("Organization/o",), "related": ("ServiceRequest/r",)}),
    ]
    assert found(rows, ("author.identifier", "urn:oid:1.2.250.1.71.4.2.1|810000000001")) == [1]
    assert found(rows, ("author:identifier", "810000000001")) == [1]
    assert found(rows, ("related:identifier", "s|A1")) == [1]
    assert found(rows, ("related.identifier", "A1")) == [1]
    assert found(rows, ("author", "Organization/o")) == [2]
    assert found(rows, ("related", "ServiceRequest/r,ServiceRequest/x")) == [2]
    assert found(rows, ("author:missing", "true")) == [1]


@pytest.mark.parametrize("name", ["relatesto", "relatesTo"])
@pytest.mark.parametrize("prefix", ["", "DocumentReference/", "https://dmp.example/fhir/DocumentReference/"])
def test_the_replacement_of_an_entry_is_found(name: str, prefix: str) -> None:
    rows = [entry(1), entry(2, replaces=(entry_id(1),))]
    assert found(rows, (name, prefix + document_id(RECORD, entry_id(1)))) == [2]
    assert found(rows, (name, prefix + document_id(OTHER_RECORD, entry_id(1)))) == []
    assert found(rows, (name, prefix + "x")) == []
    assert found(rows, (f"{name}:missing", "false")) == [2]


def test_criteria_are_all_required() -> None:
    rows = [
        entry(1, terms={"type": (f"{LOINC}|11502-2",), "period": (day("2026-06-10"),)}),
        entry(2, terms={"type": (f"{LOINC}|11502-2",), "period": (day("2024-06-10"),)}),
        entry(3, terms={"type": (f"{LOINC}|34112-3",), "period": (day("2026-06-10"),)}),
    ]
    assert found(rows, ("type", f"{LOINC}|11502-2"), ("period", "ge2026-01-01")) == [1]


def test_what_is_not_visible_is_neither_returned_nor_counted_nor_compared() -> None:
    rows = [entry(number, terms={"type": (f"{LOINC}|11502-2",)}) for number in range(1, 11)]
    hidden = {entry_id(3), entry_id(4)}
    for pairs in (
        [("type", "11502-2")],
        [("type", "11502-2"), ("_summary", "count")],
        [("_id", document_id(RECORD, entry_id(3)))],
    ):
        page = run(asked(*pairs), rows, lambda row: row.id not in hidden, record_id=RECORD)
        assert not hidden & {row.id for row in page.rows}
        assert page.total == (0 if pairs[0][0] == "_id" else 8)


def test_a_count_has_no_rows_and_no_next_page() -> None:
    page = run(asked(("_summary", "count")), [entry(n) for n in range(1, 100)], lambda _: True, record_id=RECORD)
    assert (page.rows, page.total, page.next) == ((), 99, None)


def test_submission_sets_and_folders_are_found_by_the_same_search() -> None:
    types = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes"
    lot = submission_set(1, date=day("2026-06-10"), title="bilan", source_family="martin", source_given="emma")
    folder = submission_set(2, kind="folder", date=day("2026-06-11"), designationType="http://s|c", sourceId="s|9")
    rows = [lot, folder]
    assert sets_found(rows) == [folder.id, lot.id]
    assert sets_found(rows, ("code", f"{types}|submissionset")) == [lot.id]
    assert sets_found(rows, ("code", f"{types.replace('https', 'http')}|folder")) == [folder.id]
    assert sets_found(rows, ("status", "current"), ("isArchived", "false"), ("date", "2026-06-10")) == [lot.id]
    assert sets_found(rows, ("status", "retired")) == []
    assert sets_found(rows, ("identifier", "urn:oid:1.2.2")) == [folder.id]
    assert sets_found(rows, ("identifier", f"urn:uuid:{entry_uuid(lot.id)}")) == [lot.id]
    assert sets_found(rows, ("designationType", "c"), ("sourceId", "s|9")) == [folder.id]
    assert sets_found(rows, ("title", "Bil")) == [lot.id]
    assert sets_found(rows, ("source:PractitionerRole.name", "Emma"), ("source:Patient.family", "martin")) == [lot.id]
    assert sets_found(rows, ("_lastUpdated", "ge2025")) == [folder.id, lot.id]
