"""The INS: systems that a stage accepts, form, key."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, strategies as st

from sceau.fhir.ins import (
    INS_NIA,
    INS_NIR,
    INS_NIR_DEMO,
    INS_NIR_TEST,
    INS_SYSTEMS,
    PRODUCTION_SYSTEMS,
    TEST_SYSTEMS,
    InvalidIns,
    Reason,
    check_ins,
    contradicts_birth_date,
    ins_key,
)

digits = st.text("0123456789", min_size=6, max_size=6)
departments = st.one_of(st.text("0123456789", min_size=2, max_size=2), st.sampled_from(["2A", "2B"]))
bodies = st.builds(
    lambda sex, month, department, rest: sex + month + department + rest,
    st.sampled_from("12345678"),
    st.text("0123456789", min_size=4, max_size=4),
    departments,
    digits,
)


def refusal(system: str, value: str, accepted: frozenset[str] = INS_SYSTEMS) -> Reason:
    with pytest.raises(InvalidIns) as caught:
        check_ins(system, value, accepted)
    assert not value or value not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("1801275123456", "42"),  # the vector of domain.md
        ("2790351215189", "89"),  # the ANS's test patient
        ("1234567890123", "11"),  # the guide's examples carry 45
        ("2990199999001", f"{97 - 2990199999001 % 97:02d}"),
        ("190012A123456", f"{97 - 1900119123456 % 97:02d}"),  # 2A counts as 19
        ("190012B123456", f"{97 - 1900118123456 % 97:02d}"),  # 2B counts as 18
        ("190012A123456", f"{97 - (1900120123456 - 1_000_000) % 97:02d}"),  # the other description of the same rule
        ("190012B123456", f"{97 - (1900120123456 - 2_000_000) % 97:02d}"),
    ],
)
def test_the_key_of_known_numbers(body: str, key: str) -> None:
    assert ins_key(body) == key
    check_ins(INS_NIR, body + key, PRODUCTION_SYSTEMS)


def test_a_multiple_of_97_has_the_key_97_and_small_keys_keep_their_zero() -> None:
    multiple = next(n for n in range(1_801_275_000_000, 1_801_275_000_100) if n % 97 == 0)
    assert ins_key(str(multiple)) == "97"
    assert ins_key(str(multiple + 96)) == "01"


@given(bodies)
def test_a_number_with_its_key_is_accepted_under_each_system(body: str) -> None:
    for system in INS_SYSTEMS:
        check_ins(system, body + ins_key(body), INS_SYSTEMS)


@given(bodies, st.integers(0, 14), st.sampled_from("0123456789"))
def test_changing_any_one_digit_is_refused(body: str, at: int, digit: str) -> None:
    value = body + ins_key(body)
    assume(value[at] != digit)
    changed = value[:at] + digit + value[at + 1 :]
    with pytest.raises(InvalidIns):
        check_ins(INS_NIR_TEST, changed, TEST_SYSTEMS)


@given(bodies, st.integers(1, 99))
def test_every_other_key_is_refused(body: str, other: int) -> None:
    key = f"{other:02d}"
    assume(key != ins_key(body))
    with pytest.raises(InvalidIns) as caught:
        check_ins(INS_NIR_TEST, body + key, TEST_SYSTEMS)
    assert caught.value.reason is Reason.KEY


@given(st.text(max_size=20))
def test_whatever_the_text_the_only_error_is_ours(value: str) -> None:
    try:
        check_ins(INS_NIR, value, PRODUCTION_SYSTEMS)
    except InvalidIns as error:
        assert error.reason in {Reason.FORM, Reason.KEY}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "18012751234564",  # 14
        "1801275123456420",  # 16
        "180127512345642\n",
        " 180127512345642",
        "1 80 12 75 123 456 42",
        "18012751234564Z",
        "１80127512345642",  # a full-width digit
        "١80127512345642",  # an Arabic digit
        "190012a12345642",  # a small letter: another record's name
        "190012C12345642",
        "1900A2112345642",  # a letter elsewhere
        "080127512345642",  # no sex 0
        "980127512345642",
    ],
)
def test_another_form_is_refused(value: str) -> None:
    assert refusal(INS_NIR, value) is Reason.FORM


@pytest.mark.parametrize(
    "system",
    [
        "",
        "1.2.250.1.213.1.4.8",
        "urn:oid:1.2.250.1.213.1.4.2",
        "urn:oid:1.2.250.1.213.1.4.80",
        "URN:OID:1.2.250.1.213.1.4.8",
        "urn:oid:1.2.250.1.213.1.4.8 ",
        "https://example.org",
    ],
)
def test_another_system_is_no_ins(system: str) -> None:
    accepted = INS_SYSTEMS | {system}
    assert refusal(system, "180127512345642", accepted) is Reason.UNKNOWN_SYSTEM


@pytest.mark.parametrize("system", [INS_NIR_TEST, INS_NIR_DEMO])
def test_a_production_stage_refuses_test_and_demonstration_numbers(system: str) -> None:
    assert refusal(system, "180127512345642", PRODUCTION_SYSTEMS) is Reason.SYSTEM_NOT_ACCEPTED
    check_ins(system, "180127512345642", TEST_SYSTEMS)


@pytest.mark.parametrize("system", [INS_NIR, INS_NIA])
def test_a_test_stage_refuses_production_numbers(system: str) -> None:
    assert refusal(system, "180127512345642", TEST_SYSTEMS) is Reason.SYSTEM_NOT_ACCEPTED
    check_ins(system, "180127512345642", PRODUCTION_SYSTEMS)


def test_a_stage_that_accepts_nothing_accepts_nothing() -> None:
    for system in INS_SYSTEMS:
        assert refusal(system, "180127512345642", frozenset()) is Reason.SYSTEM_NOT_ACCEPTED


def test_no_message_holds_the_number_or_a_part_of_it() -> None:
    for value in ("180127512345643", "18012751234564", "180127512345642x"):
        with pytest.raises(InvalidIns) as caught:
            check_ins(INS_NIR, value, PRODUCTION_SYSTEMS)
        assert "1801" not in str(caught.value)
        assert "1801" not in repr(caught.value)
    with pytest.raises(InvalidIns) as caught:
        ins_key("18012751234")
    assert "1801" not in str(caught.value)


NIR = "214010010400400"  # of somebody born in January of a year that ends in 14


@pytest.mark.parametrize("system", [INS_NIR, INS_NIR_TEST, INS_NIR_DEMO])
@pytest.mark.parametrize(
    ("value", "birth_date", "contradicts"),
    [
        (NIR, "2014-01-09", False),
        (NIR, "2014-01-31", False),  # the day it does not tell
        (NIR, "1914-01-09", False),  # nor the century
        (NIR, "2014-01", False),
        (NIR, "2014", False),
        (NIR, "2025-01-09", True),
        (NIR, "2013-12-31", True),
        (NIR, "2014-02-01", True),
        (NIR, "2014-10", True),
        (NIR, "2015", True),
        (NIR[:3] + "12" + NIR[5:], "2014-12-09", False),
        (NIR[:3] + "12" + NIR[5:], "2014-01-09", True),
        *((NIR[:3] + month + NIR[5:], "2025-07-01", False) for month in ("00", "13", "20", "30", "42", "50", "99")),
    ],
)
def test_a_nir_tells_the_year_and_month_of_birth(system: str, value: str, birth_date: str, contradicts: bool) -> None:
    assert contradicts_birth_date(system, value, birth_date) is contradicts


def test_of_a_waiting_number_nothing_is_known() -> None:
    assert not contradicts_birth_date(INS_NIA, NIR, "2025-07-01")
