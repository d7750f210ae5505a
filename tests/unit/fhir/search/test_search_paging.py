"""Order and pages: every row once, in order, for one caller, for some minutes."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given, settings, strategies as st

from sceau.fhir.outcome import FhirError
from sceau.fhir.search import Page, PageCaller, PageSeal, PageTokens, Query, run
from sceau.fhir.search.query import MAX_BYTES
from sceau_schemas.dossier import EntryRow
from unit.fhir.search.search_rows import LOINC, NOW, OTHER_RECORD, PATIENT, RECORD, asked, day, entry, entry_id

KEY = bytes(range(32))
CALLER = PageCaller("ehr", "810000000001", RECORD)
TOKENS = PageTokens(KEY)
RESOURCE = "DocumentReference"

terms = st.fixed_dictionaries(
    {},
    optional={
        name: st.tuples(st.integers(-3, 3).map(lambda n: f"{n}/{n + 1}") | st.just("/2") | st.just("1/"))
        for name in ("date", "creation", "period")
    },
)
sorts = st.lists(
    st.tuples(st.sampled_from(["date", "creation", "period", "_lastUpdated"]), st.booleans()),
    max_size=4,
    unique_by=lambda key: key[0],
)  # fmt: skip


def pages(query: Query, rows: list[EntryRow]) -> list[Page[EntryRow]]:
    """Follow the sealed `next` links to the end."""
    collected = [run(query, rows, lambda _: True, record_id=RECORD)]
    while (after := collected[-1].next) is not None:
        assert len(collected) <= len(rows)
        token = TOKENS.seal(query, CALLER, after=after, now=NOW)
        query = TOKENS.open(token, RESOURCE, CALLER, now=NOW)
        collected.append(run(query, rows, lambda _: True, record_id=RECORD))
    return collected


def naively_sorted(rows: list[EntryRow], sort: list[tuple[str, bool]]) -> list[str]:
    """Oracle: stable sorts from the last key to the first; rows without a beginning stay behind."""
    ordered = sorted(rows, key=lambda row: row.id)
    for name, descending in reversed(sort):

        def first(row: EntryRow, name: str = name) -> int | None:
            if name == "_lastUpdated":
                return row.now.updated
            values = [term.split("/")[0] for term in row.terms.get(name, ())]
            return int(values[0]) if values and values[0] else None

        known = [row for row in ordered if first(row) is not None]
        # `reverse` keeps ties in their order
        known.sort(key=lambda row: first(row) or 0, reverse=descending)
        ordered = known + [row for row in ordered if first(row) is None]
    return [row.id for row in ordered]


@settings(max_examples=60)
@given(contents=st.lists(st.tuples(terms, st.integers(0, 3)), max_size=12), sort=sorts, count=st.integers(1, 5))
def test_pages_cover_every_row_once_in_order(
    contents: list[tuple[dict[str, tuple[str, ...]], int]], sort: list[tuple[str, bool]], count: int
) -> None:
    rows = [entry(number, terms=stored, updated=updated) for number, (stored, updated) in enumerate(contents, start=1)]
    pairs = [("_count", str(count))]
    if sort:
        pairs.append(("_sort", ",".join("-" * descending + name for name, descending in sort)))
    collected = pages(asked(*pairs), rows)
    assert [row.id for page in collected for row in page.rows] == naively_sorted(rows, sort or [("date", True)])
    assert {page.total for page in collected} == {len(rows)}
    assert all(len(page.rows) == count for page in collected[:-1])


def test_a_new_entry_does_not_shift_later_pages() -> None:
    rows = [entry(number, terms={"date": (f"{number}/{number}",)}) for number in range(1, 7)]
    query = asked(("_count", "3"))
    first = run(query, rows, lambda _: True, record_id=RECORD)
    newer = [*rows, entry(50, terms={"date": ("50/50",)})]
    token = TOKENS.seal(query, CALLER, after=first.next, now=NOW)
    second = run(TOKENS.open(token, RESOURCE, CALLER, now=NOW), newer, lambda _: True, record_id=RECORD)
    assert [row.id for row in first.rows] == [entry_id(n) for n in (6, 5, 4)]
    assert [row.id for row in second.rows] == [entry_id(n) for n in (3, 2, 1)]
    assert second.next is None


def test_a_token_keeps_the_question_and_the_moment_of_the_first_page() -> None:
    query = asked(
        ("type", f"{LOINC}|11502-2,34112-3"),
        ("period", "ap2026-01-01"),
        ("author.family", "Lefèvre"),
        ("_sort", "period"),
    )
    later = NOW + timedelta(minutes=9)
    opened = TOKENS.open(TOKENS.seal(query, CALLER, after=None, now=NOW), RESOURCE, CALLER, now=later)
    assert opened.criteria == query.criteria
    assert (opened.sort, opened.count, opened.now, opened.after) == (query.sort, query.count, query.now, None)
    assert opened.patient_reference == RECORD


def test_what_was_ignored_is_not_carried_on() -> None:
    query = asked(("colour", "red"), ("_sort", "colour"), strict=False)
    opened = TOKENS.open(TOKENS.seal(query, CALLER, after=None, now=NOW), RESOURCE, CALLER, now=NOW)
    assert query.warnings
    assert (opened.warnings, opened.criteria, opened.sort) == ((), query.criteria, query.sort)


def refused(token: str, *, resource: str = RESOURCE, caller: PageCaller = CALLER, minutes: float = 0) -> None:
    with pytest.raises(FhirError) as caught:
        TOKENS.open(token, resource, caller, now=NOW + timedelta(minutes=minutes))
    assert caught.value.status == 400
    assert [problem.text for problem in caught.value.problems] == ["page token not valid"]


@pytest.fixture(scope="module")
def token() -> str:
    return TOKENS.seal(asked(("type", "11502-2")), CALLER, after=((0, 1), entry_id(1)), now=NOW)


def test_a_token_opens_for_its_caller(token: str) -> None:
    assert TOKENS.open(token, RESOURCE, CALLER, now=NOW).after == ((0, 1), entry_id(1))


@pytest.mark.parametrize(
    "other",
    [
        PageCaller("other", CALLER.subject, RECORD),
        PageCaller(CALLER.client_id, "810000000002", RECORD),
        PageCaller(CALLER.client_id, CALLER.subject, OTHER_RECORD),
        PageCaller(CALLER.client_id + '", "' + CALLER.subject, "", RECORD),
    ],
)
def test_another_callers_token_does_not_open(token: str, other: PageCaller) -> None:
    refused(token, caller=other)


def test_a_token_of_another_resource_does_not_open(token: str) -> None:
    refused(token, resource="List")


def test_a_token_of_another_stage_does_not_open() -> None:
    refused(PageTokens(bytes(32)).seal(asked(), CALLER, after=None, now=NOW))


def test_a_token_expires(token: str) -> None:
    TOKENS.open(token, RESOURCE, CALLER, now=NOW + timedelta(minutes=10))
    refused(token, minutes=10.001)


def test_the_lifetime_is_a_setting() -> None:
    short = PageTokens(KEY, lifetime=timedelta(seconds=1))
    sealed = short.seal(asked(), CALLER, after=None, now=NOW)
    with pytest.raises(FhirError):
        short.open(sealed, RESOURCE, CALLER, now=NOW + timedelta(seconds=2))


def test_no_bit_of_a_token_can_be_flipped(token: str) -> None:
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for at in range(len(raw)):
        raw[at] ^= 1
        refused(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
        raw[at] ^= 1


def test_no_character_of_a_token_can_be_changed(token: str) -> None:
    """The last character's spare bits included, which lenient base64 ignores."""
    for at, character in enumerate(token):
        refused(token[:at] + ("B" if character == "A" else "A") + token[at + 1 :])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in alphabet.replace(token[-1], ""):
        refused(token[:-1] + last)


@pytest.mark.parametrize("change", ["{}=", "{}==", " {}", "{}\n", "{}A", "{}.", "{}é"])
def test_nothing_can_be_added_to_a_token(token: str, change: str) -> None:
    refused(change.format(token))


@pytest.mark.parametrize("text", ["", "A", "AAAA", "A" * 16, "A" * 17, "A" * 400, "é", "A" * 100_000, "\ud800"])
def test_what_is_no_token_is_refused_alike(text: str) -> None:
    refused(text)


@given(st.text(max_size=80))
def test_any_text_is_refused_alike(text: str) -> None:
    refused(text)


def test_a_token_shows_nothing_and_its_length_little() -> None:
    ins = "279111111111147"
    lengths = set()
    for family in ("a", "ab", "abcdefgh"):
        query = asked(("author.family", family), ("patient.identifier", f"urn:oid:1.2.250.1.213.1.4.10|{ins}"))
        sealed = TOKENS.seal(query, CALLER, after=None, now=NOW)
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        assert (len(raw) - 12 - 16) % 64 == 0
        assert b"author" not in raw
        lengths.add(len(sealed))
    assert len(lengths) == 1


def test_the_patients_identifier_is_not_even_inside_a_token() -> None:
    ins = "279111111111147"
    query = asked(("patient.identifier", f"urn:oid:1.2.250.1.213.1.4.10|{ins}"))
    assert ins not in json.dumps(query.pairs)
    assert PATIENT[1] not in json.dumps(query.pairs)
    opened = TOKENS.open(TOKENS.seal(query, CALLER, after=None, now=NOW), RESOURCE, CALLER, now=NOW)
    assert opened.patient_identifiers == ()
    assert opened.patient_reference == RECORD


def test_any_content_can_be_sealed_for_a_caller() -> None:
    seal = PageSeal(KEY)
    content = {"filters": [["date", "ge2026"]], "after": None}
    sealed = seal.seal(content, "AuditEvent", CALLER, now=NOW)
    assert seal.open(sealed, "AuditEvent", CALLER, now=NOW) == content
    with pytest.raises(FhirError, match="400"):
        seal.open(sealed, RESOURCE, CALLER, now=NOW)


def test_a_query_that_a_new_release_refuses_is_a_token_not_valid() -> None:
    pairs = [["type:withdrawn", "x"]]
    refused(PageSeal(KEY).seal({"pairs": pairs, "after": None, "first": 0}, RESOURCE, CALLER, now=NOW))


def test_two_tokens_of_the_same_page_differ() -> None:
    assert TOKENS.seal(asked(), CALLER, after=None, now=NOW) != TOKENS.seal(asked(), CALLER, after=None, now=NOW)


@pytest.mark.parametrize("character", ["a", '"', "é", "\U0001f600"])
def test_the_largest_query_still_fits_a_token(character: str) -> None:
    room = (MAX_BYTES - 100) // len(character.encode())
    query = asked(("type", character * room), ("date", "2026"))
    opened = TOKENS.open(TOKENS.seal(query, CALLER, after=None, now=NOW), RESOURCE, CALLER, now=NOW)
    assert opened.criteria == query.criteria


def test_the_format_is_frozen() -> None:
    """A change of key, bound facts or content without a new version breaks pages between two releases."""
    tokens = PageTokens(KEY, random=lambda n: b"\x07" * n)
    query = asked(("type", "11502-2"), ("_count", "2"))
    assert tokens.seal(query, CALLER, after=((0, -5), entry_id(1)), now=NOW) == PINNED
    assert tokens.open(PINNED, RESOURCE, CALLER, now=NOW).after == ((0, -5), entry_id(1))


PINNED = (
    "BwcHBwcHBwcHBwcHAK07cVCYdGLfikzUghyNXTZ57wqt-YBisaBT9Ux0FtiEtJ9wih2sCw0kaKklzrVIgYbee_G0vysL1Jy4wIxZFW46kieC"
    "cK7koIqpbyrhiztyhRGq7_Qk-CekzPHom9N_vwZ9Jp3Hv9BsB1Nwcy5ZmOx4JZcOp6vE0ZdomHbaq8hyFcirMD0kmg0i_ZQ6omSqOYbl1EYF"
    "_Loqts76fcWL8dCaNtp9qf5zqt_sWMWgat1vKQPaDDIoadKvrMAyEqleWd9w0IEvj5DaEsKwozdq9w"
)


def test_rows_of_a_day_sort_by_their_first_instant() -> None:
    rows = [entry(1, terms={"date": (day("2026-06-10"),)}), entry(2, terms={"date": (day("2026-06-11"),)})]
    assert [row.id for row in pages(asked(), rows)[0].rows] == [entry_id(2), entry_id(1)]
