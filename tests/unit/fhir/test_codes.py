"""The code tables: what is in them, what counts as one system, and the verdict on a coding."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from hypothesis import given, strategies as st

from sceau.fhir import codes
from sceau.fhir.codes import (
    LOINC,
    TRE_A03,
    TRE_A05,
    TRE_A07,
    TRE_A08,
    TRE_A10,
    CodingVerdict,
    DocumentType,
    ListName,
    canonical_system,
    check_class,
    check_coding,
    concept,
    concepts,
    document_type,
)
from sceau.fhir.outcome import Problem

SNOMED = "http://snomed.info/sct"
IHE_FORMATS = "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"
V3_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
MISSPELT_A07 = "https://mos.esante.gouv.fr/NOS/TRE_A07-StatusVisibiliteDocument/FHIR/TRE-A07-StatusVisibiliteDocument"


def a_type(system: str, code: str) -> DocumentType:
    found = document_type(system, code)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("J01", 396),
        ("J02", 69),
        ("J04", 12),
        ("J06", 13),
        ("J07", 122),
        ("J08", 6),
        ("J10", 63),
        ("J11", 37),
        ("J47", 10),
        ("J231", 3),
    ],
)
def test_each_list_has_its_codes_once(name: ListName, count: int) -> None:
    assert len({(c.system, c.code) for c in concepts(name)}) == len(concepts(name)) == count


def test_every_list_is_tested_here() -> None:
    assert sum(len(concepts(name)) for name in get_args(ListName)) == 731


def test_every_system_of_a_list_is_in_canonical_form() -> None:
    for name in get_args(ListName):
        for found in concepts(name):
            assert canonical_system(found.system) == found.system
            assert found.code == found.code.strip()
            assert found.label


@pytest.mark.parametrize(
    ("system", "code", "class_code", "class_system"),
    [
        (LOINC, "11502-2", "10", TRE_A03),
        (LOINC, "11488-4", "10", TRE_A03),
        (LOINC, "18748-4", "31", TRE_A03),
        (LOINC, "68599-0", "11", TRE_A03),
        (LOINC, "57833-6", "42", TRE_A03),
        (LOINC, "87273-9", "52", TRE_A03),
        (TRE_A05, "REMB", "60", TRE_A03),
        (TRE_A05, "EXPPAT_3", "90", TRE_A03),
        (TRE_A05, "ATTEST-RESID", "95", TRE_A03),
        ("ASTM", "E1762", "urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", TRE_A10),
        (LOINC, "89233-1", None, None),  # in the list, in no ASS_X04 that we have
        (LOINC, "97694-4", None, None),  # of the edition of 2026
    ],
)
def test_a_type_has_the_class_of_ass_x04(
    system: str, code: str, class_code: str | None, class_system: str | None
) -> None:
    found = a_type(system, code)
    assert (found.class_code, found.class_system) == (class_code, class_system)


def test_every_known_class_is_a_class() -> None:
    types = [found for found in concepts("J07") if isinstance(found, DocumentType)]
    assert len(types) == 122
    assert sum(found.class_code is None for found in types) == 14
    for found in types:
        if found.class_code is not None and found.class_system is not None:
            assert concept("J06", found.class_system, found.class_code) is not None


def test_the_types_of_each_edition_are_told_apart() -> None:
    editions = [found.edition for found in concepts("J07") if isinstance(found, DocumentType)]
    assert (editions.count("2024-09-27"), editions.count("2026-06-01")) == (114, 8)


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (LOINC, "99999-9"),
        (TRE_A05, "11502-2"),
        (LOINC, "REMB"),
        (LOINC, "11502-2 "),
        (TRE_A05, "remb"),
        ("http://loinc.org/", "11502-2"),
        ("https://loinc.org", "11502-2"),
        ("", "11502-2"),
        (TRE_A05, "DOCPAT10"),  # in TRE_A05, not in J07
        (TRE_A05, ""),
    ],
)
def test_a_code_of_another_system_or_spelling_is_no_type(system: str, code: str) -> None:
    assert document_type(system, code) is None


@pytest.mark.parametrize(
    ("names", "canonical"),
    [
        (["2.16.840.1.113883.5.25", "urn:oid:2.16.840.1.113883.5.25", V3_CONFIDENTIALITY, TRE_A08], TRE_A08),
        (["https://mos.esante.gouv.fr/NOS/TRE_A08-HL7Confidentiality", TRE_A08], TRE_A08),
        (["2.16.840.1.113883.6.1", "urn:oid:2.16.840.1.113883.6.1", "http://loinc.org"], LOINC),
        (["https://mos.esante.gouv.fr/NOS/TRE_A04-Loinc/FHIR/TRE-A04-Loinc"], LOINC),
        (["1.2.250.1.213.1.1.4.13", "urn:oid:1.2.250.1.213.1.1.4.13", TRE_A07], TRE_A07),
        (["1.2.250.1.213.1.1.4.12", TRE_A05], TRE_A05),
        (["1.2.250.1.213.1.1.4.1", TRE_A03], TRE_A03),
        (["2.16.840.1.113883.6.96", SNOMED], SNOMED),
    ],
)
def test_all_names_of_a_system_are_one(names: list[str], canonical: str) -> None:
    assert {canonical_system(name) for name in names} == {canonical}


@pytest.mark.parametrize(
    "name",
    [
        MISSPELT_A07,
        "http://mos.esante.gouv.fr/NOS/TRE_A08-HL7Confidentiality/FHIR/TRE-A08-HL7Confidentiality",
        TRE_A08 + "/",
        TRE_A08.upper(),
        " 2.16.840.1.113883.5.25",
        "urn:oid:2.16.840.1.113883.5.25.1",
        "urn:ietf:rfc:3986",
        IHE_FORMATS,
        "",
    ],
)
def test_what_is_no_name_of_a_system_equals_only_itself(name: str) -> None:
    assert canonical_system(name) == name


def test_an_unknown_oid_is_the_same_bare_or_as_a_urn() -> None:
    assert canonical_system("1.2.3.4") == canonical_system("urn:oid:1.2.3.4") == "urn:oid:1.2.3.4"


@given(st.text(max_size=40))
def test_canonical_form_is_stable(name: str) -> None:
    assert canonical_system(canonical_system(name)) == canonical_system(name)


@pytest.mark.parametrize("system", [TRE_A08, V3_CONFIDENTIALITY, "urn:oid:2.16.840.1.113883.5.25"])
@pytest.mark.parametrize("code", ["N", "R", "V"])
def test_confidentiality_is_accepted_under_each_of_its_names(system: str, code: str) -> None:
    assert check_coding("securityLabel", system, code).level == "ok"


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (MISSPELT_A07, "N"),
        (MISSPELT_A07, "MASQUE_PS"),
        (TRE_A07, "N"),
        (TRE_A07, "MASQUE_PSOCIAL"),  # in TRE_A07, not in J08
        (TRE_A07, "masque_ps"),
        (TRE_A08, "MASQUE_PS"),
        (TRE_A08, "U"),
        (SNOMED, "N"),
        (None, "N"),
        (TRE_A08, None),
        (None, None),
    ],
)
def test_a_label_outside_j08_is_an_error_whatever_its_system(system: str | None, code: str | None) -> None:
    assert check_coding("securityLabel", system, code).level == "error"


@pytest.mark.parametrize(
    ("system", "code"), [(LOINC, "8302-2"), (SNOMED, "371525003"), (None, "11502-2"), (LOINC, None)]
)
def test_a_type_outside_j07_is_an_error_whatever_its_system(system: str | None, code: str | None) -> None:
    assert check_coding("type", system, code).level == "error"


@pytest.mark.parametrize(
    ("element", "system", "code", "level"),
    [
        ("type", LOINC, "11488-4", "ok"),
        ("type", "urn:oid:1.2.250.1.213.1.1.4.12", "REMB", "ok"),
        ("category", TRE_A03, "11", "ok"),
        ("category", TRE_A03, "12", "error"),
        ("category", LOINC, "11488-4", "error"),
        ("category", "urn:oid:1.2.3.4", "x", "warning"),
        ("format", "1.3.6.1.4.1.19376.1.2.3", "urn:ihe:iti:xds-sd:pdf:2008", "ok"),
        ("format", "1.2.250.1.213.1.1.4.2.282", "urn:asip:ci-sis:hr:2019", "ok"),
        ("format", "1.2.250.1.213.1.1.4.2.282", "urn:asip:ci-sis:dlu:2024", "error"),  # withdrawn
        ("format", IHE_FORMATS, "urn:ihe:iti:xds:2017:mimeTypeSufficient", "warning"),  # the guide's own example
        ("facilityType", "urn:oid:1.2.250.1.71.4.2.4", "SA01", "ok"),
        ("facilityType", "urn:oid:1.2.250.1.71.4.2.4", "SA99", "error"),
        ("facilityType", SNOMED, "22232009", "warning"),  # the guide's own example
        ("practiceSetting", "1.2.250.1.213.1.1.4.9", "AMBULATOIRE", "ok"),
        ("practiceSetting", "1.2.250.1.71.4.2.4", "SA01", "error"),  # a NOS code, of another list
        ("practiceSetting", "urn:oid:1.2.250.1.213.99", "x", "error"),  # the ANS's arc
        ("practiceSetting", MISSPELT_A07, "x", "error"),
        ("practiceSetting", SNOMED, "394802001", "warning"),  # the guide's own example
        ("practiceSetting", None, "x", "warning"),
        ("practiceSetting", SNOMED, None, "warning"),
    ],
)
def test_preferred_lists_refuse_unknown_french_codes_and_warn_of_others(
    element: codes.Element, system: str | None, code: str | None, level: str
) -> None:
    verdict = check_coding(element, system, code)
    assert verdict.level == level
    assert bool(verdict.text) == (level != "ok")


def test_a_verdict_becomes_a_problem_that_names_the_list_and_repeats_nothing_sent() -> None:
    verdict = check_coding("type", "http://example.org/DUPONT", "279035121518989")
    problem = verdict.problem("DocumentReference.type.coding[0]")
    assert isinstance(problem, Problem)
    assert (problem.severity, problem.code) == ("error", "code-invalid")
    assert problem.rule == "JDV_J07-XdsTypeCode-CISIS"
    assert problem.expression == "DocumentReference.type.coding[0]"
    assert "DUPONT" not in problem.text
    assert "2790" not in problem.text
    assert CodingVerdict("ok").problem("x") is None


@pytest.mark.parametrize(
    ("system", "code", "strict", "level"),
    [
        (TRE_A03, "10", True, "ok"),
        ("1.2.250.1.213.1.1.4.1", "10", True, "ok"),
        (TRE_A03, "11", True, "error"),
        (TRE_A03, "11", False, "warning"),  # the guide's own example: type 11488-4 in class 11
        (TRE_A10, "urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", True, "error"),
        (SNOMED, "11", True, "ok"),  # check_coding has warned of the system
    ],
)
def test_a_category_that_is_not_the_types_class_is_told(system: str, code: str, strict: bool, level: str) -> None:
    verdict = check_class(a_type(LOINC, "11488-4"), system, code, strict=strict)
    assert verdict.level == level
    assert (verdict.rule is None) == (level == "ok")


def test_a_type_without_a_known_class_takes_any_category() -> None:
    assert check_class(a_type(LOINC, "89233-1"), TRE_A03, "99", strict=True).level == "ok"


def test_tables_are_read_once_by_any_number_of_threads() -> None:
    """In a fresh process, so nothing is read yet: each file is opened once, all threads get the same objects."""
    script = """
import sys, threading
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from sceau.fhir import codes
assert not [name for name in opened if name.endswith(".tsv")]
start = threading.Barrier(16)
found = []
def ask():
    start.wait()
    found.append(codes.document_type(codes.LOINC, "11502-2"))
threads = [threading.Thread(target=ask) for _ in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
tables = sorted(name.rpartition("/")[2] for name in opened if name.endswith(".tsv"))
assert tables == ["J07.tsv", "systems.tsv"], tables
assert len(found) == 16 and all(f is found[0] for f in found) and found[0] is not None
"""
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert done.returncode == 0
