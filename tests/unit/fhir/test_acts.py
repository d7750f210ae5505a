"""The acts and results that a CDA codes: what becomes a term of `event`, what doesn't, and who finds it."""

from __future__ import annotations

from dataclasses import replace
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, strategies as st

from fixtures.bodies import (
    RECEIVED,
    RECORD,
    SET_ENTRY,
    bundle,
    changed,
    document,
    simple,
    stored,
    submit,
    submit_simple,
)
from sceau.cli.bodies import SampleDocument
from sceau.cli.samples import make_pdf
from sceau.fhir.acts import MAX_CODES, MAX_ELEMENTS, NO_ACTS, Acts, read_acts
from sceau.fhir.cda import header_of, parse_xml
from sceau.fhir.codes import CCAM, LOINC, NABM, canonical_system
from sceau.fhir.media import check_media
from sceau.fhir.resources import transaction_response
from sceau.fhir.search import parse_query, run
from sceau.fhir.submission import Submission

LOINC_OID = "2.16.840.1.113883.6.1"
CCAM_OID = "1.2.250.1.215.300.1"
NABM_OID = "1.2.250.1.215.300.2"
SNOMED_OID = "2.16.840.1.113883.6.96"
TSH = f"{LOINC}|3016-3"
NAMES = {
    LOINC: {LOINC, LOINC_OID, "urn:oid:" + LOINC_OID},
    CCAM: {CCAM, CCAM_OID, "1.2.250.1.213.2.5", "1.2.250.1.215.200.3.4", "urn:oid:" + CCAM_OID},
    NABM: {NABM, NABM_OID, "1.2.250.1.213.2.7", "1.2.250.1.215.200.4.1", "urn:oid:" + NABM_OID},
}


def tag(name: str, *inner: str, **attributes: str) -> str:
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{written}>{''.join(inner)}</{name}>"


def coded(code: str, system: str = LOINC_OID, *translations: str, name: str = "code", **more: str) -> str:
    return tag(name, *translations, code=code, codeSystem=system, **more)


def stated(name: str, *inner: str, mood: str = "EVN", **attributes: str) -> str:
    return tag(name, *inner, moodCode=mood, **attributes)


def tsh(*inner: str, mood: str = "EVN", **attributes: str) -> str:
    return stated("observation", coded("3016-3"), *inner, mood=mood, **attributes)


def in_section(*statements: str) -> str:
    return tag("component", tag("section", tag("text", "TSH 1,95"), *(tag("entry", one) for one in statements)))


def structured(*statements: str) -> str:
    return tag("structuredBody", in_section(*statements))


def event(code: str, **attributes: str) -> str:
    return tag("documentationOf", tag("serviceEvent", code, **attributes))


def cda(body: str, header: str = "", type_code: str = "11502-2") -> bytes:
    return tag(
        "ClinicalDocument",
        tag("id", root="1.2.250.1.99.1"),
        coded(type_code),
        tag("recordTarget", tag("patientRole")),
        header,
        tag("component", body),
        xmlns="urn:hl7-org:v3",
    ).encode()


def acts(body: str, header: str = "") -> Acts:
    root = parse_xml(cda(body, header))
    header_of(root)  # what is read here always has a sound header
    return read_acts(root)


def found(*statements: str) -> list[str]:
    """The codes alone, of a body that is read without a note."""
    got = acts(structured(*statements))
    assert got.notes == ()
    return [token.rpartition("|")[2] for token in got.tokens]


@pytest.mark.parametrize("name", ["observation", "organizer", "act", "procedure", "substanceAdministration"])
def test_each_kind_of_coded_entry_is_an_act(name: str) -> None:
    assert acts(structured(stated(name, coded("3016-3")))) == Acts((TSH,))


@pytest.mark.parametrize("name", ["encounter", "supply", "observationMedia", "regionOfInterest"])
def test_another_kind_of_entry_is_none(name: str) -> None:
    assert found(stated(name, coded("3016-3"))) == []


def test_acts_come_from_header_and_body_each_once_and_in_order() -> None:
    header = event(coded("24727-0", LOINC_OID, coded("ACQH004", CCAM_OID, name="translation"))) + event(coded("2-1"))
    got = acts(structured(stated("act", coded("2-1")), stated("procedure", coded("1208", NABM_OID)), tsh()), header)
    assert got.tokens == (f"{LOINC}|24727-0", f"{CCAM}|ACQH004", f"{LOINC}|2-1", f"{NABM}|1208", TSH)


def test_entries_are_found_at_any_depth() -> None:
    inner = tag("entryRelationship", stated("organizer", tag("component", tsh())))
    nested = tag("component", tag("section", in_section(stated("act", tag("entryRelationship", stated("act", inner))))))
    assert acts(tag("structuredBody", nested)).tokens == (TSH,)
    for way in ("encounter", "supply"):  # no acts themselves
        assert found(tag(way, tag("entryRelationship", tsh()))) == ["3016-3"]


def test_of_two_codes_the_first_counts() -> None:
    assert found(stated("act", coded("1-1"), coded("2-2"))) == ["1-1"]


def test_narrative_values_products_and_ranges_are_not_read() -> None:
    drug = tag("consumable", tag("manufacturedProduct", tag("manufacturedMaterial", coded("1-1"))))
    limits = tag("referenceRange", tag("observationRange", coded("2-2")))
    value = tag("value", coded("4-4", name="translation"), code="3-3", codeSystem=LOINC_OID)
    assert found(stated("observation", coded("3016-3"), value, drug, limits, coded("5-5", name="methodCode"))) == [
        "3016-3"
    ]
    narrative = tag("component", tag("section", coded("18719-5"), tag("text", tsh())))
    assert acts(tag("structuredBody", narrative)) == NO_ACTS


@pytest.mark.parametrize("system", sorted(NAMES))
def test_a_system_is_one_whatever_oid_names_it(system: str) -> None:
    for name in NAMES[system] - {system}:
        assert canonical_system(name) == system
        assert acts(structured(stated("act", coded("X1", name)))).tokens == (f"{system}|X1",)


def test_codes_of_other_systems_are_not_read() -> None:
    others = (SNOMED_OID, "2.16.840.1.113883.6.3", "1.2.250.1.213.1.1.4.322", "1.2.250.1.213.2.10", "local")
    assert (
        found(*(stated("procedure", coded("1-1", one)) for one in others), stated("act", tag("code", code="1-1"))) == []
    )


@pytest.mark.parametrize("mood", ["INT", "RQO", "PRP", "PRMS", "ARQ", "APT", "GOL", "DEF", "EVN.CRT", "evn", ""])
def test_what_is_planned_ordered_or_aimed_at_is_not_done(mood: str) -> None:
    assert found(tsh(mood=mood)) == []


def test_an_entry_without_mood_is_not_done_but_a_documented_act_is() -> None:
    assert found(tag("observation", coded("3016-3"))) == []
    assert acts(tag("nonXMLBody"), event(coded("3016-3"))).tokens == (TSH,)
    assert acts(tag("nonXMLBody"), event(coded("3016-3"), moodCode="EVN")).tokens == (TSH,)
    assert acts(tag("nonXMLBody"), event(coded("3016-3"), moodCode="INT")).tokens == ()
    assert acts(tag("nonXMLBody"), event(coded("3016-3"), nullFlavor="NA")).tokens == ()


def test_a_result_inside_a_plan_is_done() -> None:
    """The creatinine that a request for a scan mentions."""
    reason = tag("entryRelationship", tsh())
    assert found(stated("procedure", coded("ACQH004", CCAM_OID), reason, mood="INT")) == ["3016-3"]


@pytest.mark.parametrize("negation", ["true", "1"])
def test_what_is_negated_is_not_done_nor_what_it_holds(negation: str) -> None:
    assert found(tsh(tag("entryRelationship", stated("act", coded("1-1"))), negationInd=negation)) == []


@pytest.mark.parametrize("negation", ["false", "0"])
def test_what_is_not_negated_is_done(negation: str) -> None:
    assert found(tsh(negationInd=negation)) == ["3016-3"]


def test_a_null_entry_is_not_done_nor_what_it_holds() -> None:
    assert found(tsh(tag("entryRelationship", stated("act", coded("1-1"))), nullFlavor="NI")) == []


@pytest.mark.parametrize("status", ["new", "held", "cancelled", "aborted", "nullified"])
def test_what_was_not_carried_out_is_not_done_but_its_parts_may_be(status: str) -> None:
    part = tag("component", stated("observation", coded("1-1")))
    assert found(stated("organizer", coded("3016-3"), tag("statusCode", code=status), part)) == ["1-1"]


@pytest.mark.parametrize("status", ["completed", "active", "obsolete"])
def test_what_is_under_way_or_complete_is_done(status: str) -> None:
    assert found(tsh(tag("statusCode", code=status))) == ["3016-3"]


@pytest.mark.parametrize("flavour", ["NI", "NA", "UNK", "ASKU", "NAV", "NAVU", "NASK"])
def test_an_observation_without_result_is_not_done(flavour: str) -> None:
    none = tag("value", nullFlavor=flavour)
    assert found(tsh(none)) == []
    assert found(tsh(none, none)) == []
    assert found(tsh(none, tag("value", value="1"))) == ["3016-3"]


@pytest.mark.parametrize("flavour", ["OTH", "MSK", "QS", "TRC", "PINF"])
def test_a_result_that_no_code_or_number_tells_is_a_result(flavour: str) -> None:
    assert found(tsh(tag("value", nullFlavor=flavour))) == ["3016-3"]


def test_what_is_said_of_another_person_is_not_the_patients() -> None:
    mother = tag("subject", tag("relatedSubject", coded("MTH", "2.16.840.1.113883.5.111")))
    family = stated("organizer", coded("1-1"), tag("component", tsh()), mother)
    assert found(family, stated("observation", coded("2-2"), mother), stated("observation", coded("3-3"))) == ["3-3"]
    section = tag("component", tag("section", mother, tag("entry", tsh())))
    assert acts(tag("structuredBody", section, in_section(stated("act", coded("4-4"))))).tokens == (f"{LOINC}|4-4",)


def test_a_null_code_may_have_translations() -> None:
    code = tag("code", coded("DEQP003", CCAM_OID, name="translation"), nullFlavor="OTH", codeSystem=LOINC_OID)
    assert found(stated("procedure", code)) == ["DEQP003"]
    null = coded("DEQP003", CCAM_OID, name="translation", nullFlavor="UNK")
    assert found(stated("procedure", tag("code", null, nullFlavor="OTH"))) == []


def test_the_documents_own_type_is_no_act() -> None:
    """`type` finds it. A vaccination note's only documented act is the note."""
    assert acts(structured(stated("act", coded("11502-2"))), event(coded("11502-2"))) == NO_ACTS


@pytest.mark.parametrize("code", ["48767-8", "33999-4", "55107-7", "69764-9"])
def test_comments_statuses_and_attachments_are_no_acts(code: str) -> None:
    assert found(stated("observation", coded(code)), tsh()) == ["3016-3"]


def test_blanks_around_a_code_are_not_part_of_it() -> None:
    assert found(stated("act", coded(" 3016-3 "))) == ["3016-3"]


@pytest.mark.parametrize("code", ["", "a b", "a|b", "a,b", "é", "x" * 33, "<", "-1"])
def test_a_malformed_code_is_left_out_and_noted_without_being_repeated(code: str) -> None:
    got = acts(structured(stated("act", coded(code)), tsh()))
    assert got.tokens == (TSH,)
    assert got.notes == ("malformed codes of acts or results in the CDA document, which event lacks: 1",)


def test_a_level_1_document_has_its_headers_acts_and_no_note() -> None:
    assert acts(tag("nonXMLBody", tag("text")), event(coded("3016-3"))) == Acts((TSH,))


def test_a_body_of_neither_kind_is_noted() -> None:
    got = acts(tag("bodyChoice", in_section(tsh())), event(coded("1-1")))
    assert got.tokens == (f"{LOINC}|1-1",)
    assert len(got.notes) == 1
    assert "header only" in got.notes[0]


def test_a_document_may_code_as_many_acts_as_the_limit_and_no_more() -> None:
    most = [stated("act", coded(f"{n}-1")) for n in range(MAX_CODES)]
    assert len(found(*most, *most)) == MAX_CODES
    got = acts(structured(*most, tsh(), stated("act", coded("9-9"))))
    assert got.tokens == tuple(f"{LOINC}|{n}-1" for n in range(MAX_CODES))
    assert len(got.notes) == 1
    assert str(MAX_CODES) in got.notes[0]
    whole = tag("code", *(coded(f"{n}-1", name="translation") for n in range(MAX_CODES + 1)), nullFlavor="OTH")
    assert acts(structured(stated("act", whole))) == got


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("", tag("structuredBody", tag("component") * MAX_ELEMENTS, in_section(tsh()))),
        ("", structured(stated("act", tag("code", tag("translation") * MAX_ELEMENTS, nullFlavor="OTH")), tsh())),
        (tag("documentationOf", tag("serviceEvent")) * MAX_ELEMENTS, structured(tsh())),
    ],
    ids=["entries", "translations", "documented acts"],
)
def test_attack_a_body_of_very_many_entries_is_read_to_a_limit(header: str, body: str) -> None:
    got = acts(body, header)
    assert got.tokens == ()
    assert len(got.notes) == 1
    assert str(MAX_ELEMENTS) in got.notes[0]


def test_attack_the_deepest_body_that_the_parser_takes_is_read() -> None:
    levels = 100  # two elements each, of the 256 that libxml2 allows
    body = tsh()
    for _ in range(levels):
        body = stated("act", tag("entryRelationship", body))
    assert found(body) == ["3016-3"]


Verdict = tuple[str, list[str]]  # a statement as XML, and the codes that should be read of it
_CODES = st.integers(1, 999).map("{}-1".format)


@st.composite
def statements(draw: st.DrawFn, depth: int = 3) -> Verdict:
    code, mood = draw(_CODES), draw(st.sampled_from(["EVN", "EVN", "INT"]))
    negated, another, aborted = (draw(st.integers(0, 5)) == 0 for _ in range(3))
    parts = draw(st.lists(statements(depth - 1), max_size=3)) if depth else []
    xml = stated(
        draw(st.sampled_from(["observation", "act", "procedure"])),
        coded(code),
        tag("statusCode", code="aborted" if aborted else "completed"),
        *(tag("entryRelationship", part) for part, _ in parts),
        tag("subject") if another else "",
        mood=mood,
        negationInd=str(negated).lower(),
    )
    if negated or another:
        return xml, []
    return xml, [*([code] if mood == "EVN" and not aborted else []), *(c for _, codes in parts for c in codes)]


@given(st.lists(statements(), max_size=4))
def test_what_is_read_is_what_was_done_in_the_bodys_order(given_statements: list[Verdict]) -> None:
    expected = [code for _, codes in given_statements for code in codes]
    assert found(*(xml for xml, _ in given_statements)) == list(dict.fromkeys(expected))


_NAMES = st.sampled_from(
    ["structuredBody", "component", "section", "entry", "observation", "code", "translation", "value", "statusCode"]
)
_VALUES = st.sampled_from(["EVN", "true", "NI", "3016-3", LOINC_OID, "", "aborted"])
_KEYS = st.sampled_from(["moodCode", "negationInd", "nullFlavor", "code", "codeSystem"])
_TREES: st.SearchStrategy[str] = st.recursive(
    st.builds(lambda n, a: tag(n, **a), _NAMES, st.dictionaries(_KEYS, _VALUES)),
    lambda inner: st.builds(
        lambda n, a, i: tag(n, *i, **a), _NAMES, st.dictionaries(_KEYS, _VALUES), st.lists(inner, max_size=4)
    ),
    max_leaves=25,
)


@given(_TREES, _TREES)
def test_no_body_makes_the_reader_fail(header: str, body: str) -> None:
    got = acts(body, tag("documentationOf", header))
    assert set(got.tokens) <= {TSH}


# Publication

SAMPLE_EVENTS = tuple(f"{LOINC}|{code}" for code in ("18719-5", "718-7", "2951-2", "2823-3", "14749-6", "3016-3"))


def sample_with(old: bytes, new: bytes, number: int = 1) -> SampleDocument:
    """A biology report with a change to its CDA, and an entry that says so of size and hash."""
    one = document(number)
    assert old in one.data
    return replace(one, data=one.data.replace(old, new))


def published(one: SampleDocument, transaction: str) -> tuple[Submission, str]:
    """A submission of one document, judged strictly, and where its DocumentReference is."""
    if transaction == "ITI-65":
        return submit(bundle(one), strict=True), "Bundle.entry[1].resource"
    return submit_simple(simple(one), strict=True), "DocumentReference"


@pytest.mark.parametrize("transaction", ["ITI-65", "ITI-105"])
def test_the_acts_of_a_published_cda_become_terms_of_event(transaction: str) -> None:
    got, _ = published(document(), transaction)
    assert got.documents[0].terms["event"] == SAMPLE_EVENTS
    assert got.warnings == ()


def test_they_stand_beside_the_entrys_own_events_and_leave_the_resource_as_it_was_sent() -> None:
    mine = [{"coding": [{"system": "urn:oid:" + CCAM_OID, "code": "DEQP003"}, {"system": LOINC, "code": "3016-3"}]}]
    sent = changed(bundle(), lambda b: b["entry"][1]["resource"]["context"].update(event=mine))
    got = submit(sent).documents[0]
    assert got.terms["event"] == (f"{CCAM}|DEQP003", TSH, *SAMPLE_EVENTS[:-1])
    assert got.resource["context"] == sent["entry"][1]["resource"]["context"]
    assert "event" not in submit(bundle()).documents[0].resource["context"]


def test_acts_change_no_other_term() -> None:
    as_pdf = replace(document(), data=make_pdf("TSH"), content_type="application/pdf")
    plain = submit(bundle(as_pdf)).documents[0].terms
    assert "event" not in plain
    assert {n: v for n, v in submit(bundle()).documents[0].terms.items() if n != "event"} == plain


@pytest.mark.parametrize("transaction", ["ITI-65", "ITI-105"])
@pytest.mark.parametrize(
    ("old", "new", "word", "events"),
    [
        (b'code="3016-3"', b'code="30 16"', "malformed", SAMPLE_EVENTS[:-1]),
        (b"structuredBody>", b"otherBody>", "header only", ()),
    ],
)
def test_a_cda_whose_acts_cannot_be_read_is_accepted_with_a_note(
    transaction: str, old: bytes, new: bytes, word: str, events: tuple[str, ...]
) -> None:
    sent = sample_with(old, new)
    got, at = published(sent, transaction)
    assert got.documents[0].content == sent.data
    assert got.documents[0].terms.get("event", ()) == events
    (note,) = got.warnings
    assert (note.code, note.severity, note.expression) == ("informational", "warning", f"{at}.content[0].attachment")
    assert word in note.text
    assert "30 16" not in note.text


def test_the_note_travels_in_the_outcome_of_the_documents_entry() -> None:
    got = submit(bundle(sample_with(b'code="3016-3"', b'code="30 16"')))
    ids = [row.id for row, _ in stored(got)[0]]
    answer = transaction_response(got, record_id=RECORD, set_id=SET_ENTRY, entry_ids=ids)
    told = [entry["response"].get("outcome") for entry in answer["entry"]]
    assert told[0] is told[2] is None
    assert [issue["diagnostics"] for issue in told[1]["issue"]] == [got.warnings[0].text]


def test_only_a_cda_has_acts() -> None:
    assert check_media("text/plain", b"LOINC 3016-3").acts == NO_ACTS
    assert check_media("application/xml", document().data).acts.tokens == SAMPLE_EVENTS


# "Has this exam been done?"


def hits(*pairs: tuple[str, str]) -> list[int]:
    """Search a record of three biology reports of 12 June 2026 as a client does; return the numbers of those found.

    1 has a TSH; 2 orders one; 3 has an angiography, in CCAM by its older OID, in its place.
    """
    ordered = sample_with(
        b'<observation classCode="OBS" moodCode="EVN"><code code="3016-3"',
        b'<observation classCode="OBS" moodCode="RQO"><code code="3016-3"',
        2,
    )
    angiography = sample_with(
        b'<code code="3016-3" codeSystem="2.16.840.1.113883.6.1"',
        b'<code code="ECQH010" codeSystem="1.2.250.1.213.2.5"',
        3,
    )
    rows = [row for row, _ in stored(submit(bundle(document(1), ordered, angiography)))[0]]
    query = parse_query("DocumentReference", (("patient", RECORD), *pairs), strict=True, now=RECEIVED)
    page = run(query, rows, lambda _: True, record_id=RECORD)
    return sorted(int(row.identifiers[0].value.rpartition(".")[2]) for row in page.rows)


@pytest.mark.parametrize("system", [LOINC, LOINC_OID, "urn:oid:" + LOINC_OID])
def test_an_exam_is_found_by_code_and_period_under_any_name_of_its_system(system: str) -> None:
    assert hits(("event", f"{system}|3016-3")) == [1]
    assert hits(("event", f"{system}|3016-3"), ("period-start", "2026-06")) == [1]
    assert hits(("event", f"{system}|3016-3"), ("period-start", "ge2026-07")) == []
    assert hits(("event", f"{system}|3016-3"), ("period", "ge2026-06-01"), ("period", "lt2026-07-01")) == [1]
    assert hits(("event", f"{system}|3016-3"), ("period", "lt2026-06-01")) == []


@pytest.mark.parametrize("system", sorted(NAMES[CCAM]))
def test_an_act_of_ccam_is_found_under_any_name_of_its_system(system: str) -> None:
    assert hits(("event", f"{system}|ECQH010")) == [3]


def test_an_act_is_found_by_code_alone_by_system_among_others_and_by_its_absence() -> None:
    assert hits(("event", "3016-3")) == [1]
    assert hits(("event", f"{CCAM}|")) == [3]
    assert hits(("event", f"{LOINC}|3016-3,{CCAM}|ECQH010")) == [1, 3]
    assert hits(("event", f"{LOINC}|3016-3"), ("event", f"{LOINC}|718-7")) == [1]
    assert hits(("event:not", f"{LOINC}|3016-3")) == [2, 3]
    assert hits(("event", f"{NABM}|1208")) == []
