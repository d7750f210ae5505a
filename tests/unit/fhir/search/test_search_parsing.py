"""Parsing: what is understood, what is refused, and that a refusal repeats nothing of a patient."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from sceau.fhir.outcome import FhirError
from sceau.fhir.search import TABLES, parse_query, run
from sceau.fhir.search.criteria import TokenCriterion
from sceau.fhir.search.query import MAX_ALTERNATIVES, MAX_BYTES, MAX_COUNT, MAX_PARAMETERS
from sceau.fhir.search.text import fold, local_reference, split_unescaped, unescape
from unit.fhir.search.search_rows import LOINC, NOW, OTHER_RECORD, PATIENT, RECORD, asked, day, entry, span

INS_SYSTEM = "urn:oid:1.2.250.1.213.1.4.10"
INS = "279111111111147"  # a form, nobody's number


def refusal(*pairs: tuple[str, str], strict: bool = False, resource: str = "DocumentReference") -> FhirError:
    with pytest.raises(FhirError) as caught:
        parse_query(resource, pairs, strict=strict, now=NOW)
    assert caught.value.status == 400
    return caught.value


def escape(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_escaped_values_come_back_as_they_were(tokens: list[tuple[str, str]]) -> None:
    value = ",".join(f"{escape(system)}|{escape(code)}" for system, code in tokens)
    (criterion,) = asked(("author.identifier", value)).criteria
    assert isinstance(criterion, TokenCriterion)
    assert [(token.system, token.code) for token in criterion.tokens] == tokens


@given(st.text(st.sampled_from("ab,\\|$"), max_size=12))
def test_splitting_loses_no_character(text: str) -> None:
    assert ",".join(split_unescaped(text, ",")) == text


@pytest.mark.parametrize("text", ["\\", "a\\", "\\a", "\\\\\\", "\\n"])
def test_a_backslash_before_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="backslash"):
        unescape(text)
    assert "author.identifier" in refusal(PATIENT, ("author.identifier", text)).problems[0].text


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("x", "Patient/x"),
        ("Patient/x", "Patient/x"),
        ("https://dmp.example/fhir/Patient/x", "Patient/x"),
        ("https://dmp.example/fhirPatient/x", "https://dmp.example/fhirPatient/x"),
        ("https://other.example/fhir/Patient/x", "https://other.example/fhir/Patient/x"),
        ("urn:uuid:x", "urn:uuid:x"),
    ],
)
def test_references_to_our_own_resources_have_one_form(reference: str, expected: str) -> None:
    assert local_reference(reference, "Patient", ["https://dmp.example/fhir"]) == expected


@pytest.mark.parametrize(
    ("name", "folded"), [("Éloïse", "eloise"), ("STRAẞE", "strasse"), (" Noël  B ", "noel b"), ("ﬁ", "fi")]
)
def test_names_are_compared_without_case_and_accents(name: str, folded: str) -> None:
    assert fold(name) == folded
    assert fold(folded) == folded


def test_a_search_without_patient_is_refused() -> None:
    problem = refusal(("status", "current")).problems[0]
    assert problem.code == "required"
    assert "patient" in problem.text


@pytest.mark.parametrize(
    ("pair", "reference", "identifier"),
    [
        (("patient", RECORD), RECORD, None),
        (("patient", f"Patient/{RECORD}"), RECORD, None),
        (("patient", f"https://dmp.example/fhir/Patient/{RECORD}"), RECORD, None),
        (
            ("patient", f"https://other.example/fhir/Patient/{RECORD}"),
            f"https://other.example/fhir/Patient/{RECORD}",
            None,
        ),
        (("patient.identifier", f"{INS_SYSTEM}|{INS}"), None, (INS_SYSTEM, INS)),
        (("patient:identifier", f"{INS_SYSTEM}|{INS}"), None, (INS_SYSTEM, INS)),
        (("patient", f"{INS_SYSTEM}|{INS}"), None, (INS_SYSTEM, INS)),
    ],
)
def test_the_patient_is_kept_apart_from_the_criteria(
    pair: tuple[str, str], reference: str | None, identifier: tuple[str, str] | None
) -> None:
    query = parse_query(
        "DocumentReference", [pair], strict=True, now=NOW, base_urls=("https://dmp.example/fhir",)
    )  # fmt: skip
    assert query.patient_reference == reference
    assert [(i.system, i.value) for i in query.patient_identifiers] == ([identifier] if identifier else [])
    assert query.criteria == ()
    assert query.pairs == ()


def test_reference_and_identifier_of_the_patient_are_both_kept() -> None:
    query = asked(("patient.identifier", f"{INS_SYSTEM}|{INS}"), ("patient", RECORD))
    assert query.patient_reference == RECORD
    assert len(query.patient_identifiers) == 1


@pytest.mark.parametrize(
    "pairs",
    [
        [("patient", f"{RECORD},{OTHER_RECORD}")],
        [("patient", RECORD), ("patient", OTHER_RECORD)],
        [("patient.identifier", f"{INS_SYSTEM}|{INS},{INS_SYSTEM}|1")],
        [("patient.identifier", f"{INS_SYSTEM}|{INS}"), ("patient.identifier", f"{INS_SYSTEM}|1")],
        [("patient.identifier", INS)],
        [("patient.identifier", f"|{INS}")],
        [("patient.identifier", f"{INS_SYSTEM}|")],
        [("patient.identifier", "")],
        [("patient:missing", "false")],
        [("patient:Practitioner", RECORD)],
    ],
)
def test_a_search_names_one_patient_in_full(pairs: list[tuple[str, str]]) -> None:
    assert "patient" in refusal(*pairs).problems[0].text


def test_an_unknown_parameter_is_refused_by_name_when_strict() -> None:
    error = refusal(PATIENT, ("colour", "red"), ("author.shoe", "42"), strict=True)
    assert [problem.code for problem in error.problems] == ["not-supported", "not-supported"]
    assert "`colour`" in error.problems[0].text
    assert "`author.shoe`" in error.problems[1].text
    assert all(problem.severity == "error" for problem in error.problems)


def test_an_unknown_parameter_is_ignored_and_named_when_lenient() -> None:
    query = asked(("colour", "red"), ("type", "1"), strict=False)
    assert len(query.criteria) == 1
    assert [warning.severity for warning in query.warnings] == ["warning"]
    assert "`colour`" in query.warnings[0].text
    assert ("colour", "red") not in query.pairs


def test_a_name_that_is_no_name_is_not_repeated() -> None:
    query = asked((INS, "1"), ("<script>", "1"), strict=False)
    assert len(query.warnings) == 2
    assert not any(INS in warning.text or "<" in warning.text for warning in query.warnings)


def test_the_format_parameter_is_somebody_elses() -> None:
    assert asked(("_format", "json")).warnings == ()


@pytest.mark.parametrize(
    "name",
    [
        "type:text",
        "type:in",
        "date:exact",
        "identifier:not",
        "author.family:exact",
        "_id:missing",
        "_sort:not",
        "status:missing",
    ],
)
def test_a_modifier_that_does_not_exist_is_refused_even_when_lenient(name: str) -> None:
    problem = refusal(PATIENT, (name, "2026")).problems[0]
    assert problem.code == "not-supported"
    assert name.partition(":")[0] in problem.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", f"2026-{INS}"),
        ("date", f"xx{INS}"),
        ("type", f"a|{INS}|c"),
        ("type", f"{INS},"),
        ("type", "|"),
        ("type", ""),
        ("type:missing", INS),
        ("status", INS),
        ("status", "http://other.example|current"),
        ("status", "http://hl7.org/fhir/document-reference-status|"),
        ("isArchived", INS),
        ("author.identifier", f"\\{INS}"),
        ("author.family", f"\\{INS}"),
        ("author.family", "\u0301"),
        ("relatesto", f"\\{INS}"),
        ("_count", f"-{INS}"),
        ("_count", "9" * 30),
        ("_count", "٣"),
        ("_summary", INS),
        ("_lastUpdated", INS),
    ],
)
def test_a_bad_value_is_refused_with_its_parameters_name_and_never_repeated(name: str, value: str) -> None:
    error = refusal(PATIENT, (name, value))
    assert name.partition(":")[0] in error.problems[0].text
    assert INS not in f"{error.problems} {error} {error.__cause__} "
    assert error.__suppress_context__ or error.__context__ is None


def test_too_many_parameters_alternatives_and_bytes_are_refused() -> None:
    fits = [PATIENT, *[("type", "1")] * (MAX_PARAMETERS - 1)]
    assert len(parse_query("DocumentReference", fits, strict=True, now=NOW).criteria) == MAX_PARAMETERS - 1
    assert refusal(*fits, ("type", "1")).problems[0].code == "too-costly"

    alternatives = ",".join(["1"] * MAX_ALTERNATIVES)
    assert asked(("type", alternatives)).criteria
    assert refusal(PATIENT, ("type", alternatives + ",1")).problems[0].code == "too-costly"

    room = MAX_BYTES - sum(len(part) for part in PATIENT) - len("type")
    assert asked(("type", "1" * room)).criteria
    assert refusal(PATIENT, ("type", "1" * (room + 1))).problems[0].code == "too-long"
    assert refusal(PATIENT, ("type", "é" * (room // 2 + 1))).problems[0].code == "too-long"


@pytest.mark.parametrize("value", ["\ud800", "a\x00b", "a\nb"])
def test_what_is_no_text_is_refused(value: str) -> None:
    assert refusal(PATIENT, ("type", value)).problems[0].code == "invalid"


def test_count_has_a_default_and_a_most() -> None:
    assert asked().count == 50
    assert asked(("_count", "7")).count == 7
    assert asked(("_count", "100000")).count == MAX_COUNT
    assert asked(("_count", "0")).count_only
    assert asked(("_summary", "count")).count_only
    assert not asked(("_summary", "false")).count_only


def test_a_control_parameter_stands_once() -> None:
    assert "_count" in refusal(PATIENT, ("_count", "1"), ("_count", "2")).problems[0].text


def test_sort_keys_are_kept_in_order_and_once() -> None:
    keys = asked(("_sort", "-period,date,_lastUpdated,-date")).sort
    assert [(key.parameter.name, key.descending) for key in keys] == [
        ("period", True),
        ("date", False),
        ("_lastUpdated", False),
    ]  # fmt: skip


def test_without_sort_the_newest_comes_first() -> None:
    assert [(key.parameter.name, key.descending) for key in asked().sort] == [("date", True)]


@pytest.mark.parametrize("key", ["colour", "author.family", "date:missing", "", "--date", INS])
def test_an_unknown_sort_key_is_refused_when_strict_and_ignored_when_lenient(key: str) -> None:
    error = refusal(PATIENT, ("_sort", f"date,{key}"), strict=True)
    assert "_sort" in error.problems[0].text
    assert INS not in error.problems[0].text
    query = asked(("_sort", f"-period,{key}"), strict=False)
    assert [sort.parameter.name for sort in query.sort] == ["period"]
    assert len(query.warnings) == 1


def test_dates_without_zone_are_of_the_stages_zone() -> None:
    late = entry(1, terms={"date": (span("2026-06-09T22:30:00+00:00", "2026-06-09T22:30:00+00:00"),)})
    asking = [PATIENT, ("date", "2026-06-10")]
    for zone, total in ((UTC, 0), (timezone(timedelta(hours=2)), 1)):
        query = parse_query("DocumentReference", asking, strict=True, now=NOW, zone=zone)
        assert run(query, [late], lambda _: True, record_id=RECORD).total == total


@pytest.mark.parametrize("resource", TABLES)
def test_no_two_parameters_of_a_resource_share_a_name(resource: str) -> None:
    names = [name for p in TABLES[resource] for name in (p.name, *p.aliases)]
    assert len(names) == len(set(names))


def test_the_table_has_every_parameter_of_the_interface() -> None:
    promised = (
        "type category facility setting format event security-label status identifier isArchived patient.identifier "
        "author.identifier related:identifier date creation period period-start period-end patient author related "
        "relatesto relatesTo author.given author.family _id _lastUpdated _count _sort _summary"
    )
    names = {name for p in TABLES["DocumentReference"] for name in (p.name, *p.aliases)}
    assert set(promised.split()) <= names
    promised = (
        "code status identifier designationType sourceId isArchived patient.identifier date patient source authorOrg "
        "title source.given source.family source:Patient.given source:Patient.family source:PractitionerRole.name "
        "_id _lastUpdated _count _sort _summary"
    )
    names = {name for p in TABLES["List"] for name in (p.name, *p.aliases)}
    assert set(promised.split()) <= names


@given(
    st.lists(st.tuples(st.sampled_from([p.name for p in TABLES["DocumentReference"]]) | texts, st.text(max_size=20)))
)
def test_any_parameters_make_a_query_or_a_refusal(pairs: list[tuple[str, str]]) -> None:
    try:
        query = parse_query("DocumentReference", [PATIENT, *pairs], strict=False, now=NOW)
    except FhirError as error:
        assert error.status == 400
    else:
        rows = [entry(1, terms={"type": (f"{LOINC}|1",), "date": (day("2026-06-10"),)})]
        page = run(query, rows, lambda _: True, record_id=RECORD)
        assert page.total in {0, 1}
        assert query.count <= MAX_COUNT
