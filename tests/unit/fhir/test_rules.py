"""Rules that stand alone: the forms of a hash, base64, identifiers, national identifiers, dates that exist."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from sceau.fhir.findings import Findings
from sceau.fhir.outcome import FhirError, Problem
from sceau.fhir.references import national_forms
from sceau.fhir.rules import check_hash_and_size, decode_base64, ends_before_start, is_delayed
from sceau_schemas.fhir.datatypes import Attachment, Period

NOTHING = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="


def digest(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def problems(attachment: Attachment, data: bytes) -> list[str | None]:
    findings = Findings()
    check_hash_and_size(attachment, data, "a", findings)
    return [problem.expression for problem in findings.errors]


def with_other_last_bits(text: str) -> str:
    """The same bytes in base64 whose unused last bits are not zero: 20 bytes end in 'x=' with two spare bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(text[-2])
    return text[:-2] + alphabet[last | 1] + "="


@given(st.binary())
def test_every_accepted_form_of_the_hash_is_understood(data: bytes) -> None:
    raw = digest(data)
    canonical = base64.b64encode(raw).decode()
    forms = [
        canonical,
        with_other_last_bits(canonical),
        base64.b64encode(raw.hex().encode()).decode(),
        base64.b64encode(raw.hex().upper().encode()).decode(),
        raw.hex(),
        raw.hex().upper(),
    ]
    for form in forms:
        assert problems(Attachment(hash=form, size=len(data)), data) == []


@given(st.binary(), st.binary())
def test_the_hash_and_size_of_other_bytes_are_refused(data: bytes, other: bytes) -> None:
    raw = digest(other)
    forms = [base64.b64encode(raw).decode(), base64.b64encode(raw.hex().encode()).decode(), raw.hex()]
    for form in forms:
        assert problems(Attachment(hash=form), data) == ([] if data == other else ["a.hash"])
    assert problems(Attachment(size=len(other)), data) == ([] if len(data) == len(other) else ["a.size"])


@pytest.mark.parametrize("written", ["AAAA", "A===", "A", base64.b64encode(b"z" * 40).decode(), "0" * 39, "é"])
def test_what_is_no_sha1_is_refused(written: str) -> None:
    try:
        attachment = Attachment(hash=written)
    except ValidationError:
        return
    assert problems(attachment, b"data") == ["a.hash"]


def test_an_attachment_without_hash_and_size_says_nothing_wrong() -> None:
    assert problems(Attachment(), b"data") == []


def test_delayed_assembly_is_known_by_size_or_hash() -> None:
    assert is_delayed(Attachment(size=0))
    assert is_delayed(Attachment(hash=NOTHING))
    assert not is_delayed(Attachment(size=1, hash="A/hMRrv6Y15BjSM8kMLidrz+mHc="))
    assert not is_delayed(Attachment())


@given(st.binary(min_size=1), st.integers(1, 30))
def test_base64_may_have_blanks(data: bytes, width: int) -> None:
    text = base64.b64encode(data).decode()
    lines = "\n ".join(text[i : i + width] for i in range(0, len(text), width))
    findings = Findings()
    assert decode_base64(lines, "a", findings) == data
    assert not findings.errors


@pytest.mark.parametrize("text", ["A", "AA=A", "AAA", "AA==AA==", "A-_A", "AAAA=", "é===", "\u0660AAA"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    findings = Findings()
    assert decode_base64(text, "a", findings) == b""
    assert [p.expression for p in findings.errors] == ["a"]


@pytest.mark.parametrize(
    ("system", "value", "expected"),
    [
        ("urn:oid:1.2.250.1.71.4.2.1", "899700000101", "urn:oid:1.2.250.1.71.4.2.1|899700000101"),
        ("https://rpps.esante.gouv.fr", "99700000101", "urn:oid:1.2.250.1.71.4.2.1|899700000101"),
        ("https://rpps.esante.gouv.fr", "1011848351", None),  # ten digits: a post's number, not a person's
        ("urn:oid:1.2.250.1.71.4.2.2", "1000000101", "urn:oid:1.2.250.1.71.4.2.2|1000000101"),
        ("https://finess.esante.gouv.fr", "2A0000101", "urn:oid:1.2.250.1.71.4.2.2|12A0000101"),
        ("https://sirene.fr", "123456789", "urn:oid:1.2.250.1.71.4.2.2|2123456789"),
        ("https://sirene.fr", "12345678900011", "urn:oid:1.2.250.1.71.4.2.2|312345678900011"),
        ("https://sirene.fr", "1234", None),
        ("https://rpps.esante.gouv.fr", "٩٩٧٠٠٠٠٠١٠١", None),  # digits, but not ASCII
        ("urn:local", "1", None),
    ],
)
def test_national_identifiers(system: str, value: str, expected: str | None) -> None:
    found = [f"{i.system}|{i.value}" for i in national_forms(system, value)]
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("start", "end", "wrong"),
    [
        ("2026-01-02", "2026-01-02", False),
        ("2026-01-02T23:00:00Z", "2026-01-02", False),
        ("2026-01-03", "2026-01-02", True),
        ("2026-01-02T12:00:00+02:00", "2026-01-02T10:30:00Z", False),
        (None, "2026-01-02", False),
        ("2026-01-02", None, False),
    ],
)
def test_a_period_is_compared_at_its_precision(start: str | None, end: str | None, wrong: bool) -> None:
    assert ends_before_start(Period(start=start, end=end)) is wrong


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29",
        "2026-13",
        "0000",
        "2026-1-1",
        "20260101",
        "2026-W01",
        "٢٠٢٦",
        "2026-01-01T24:00:00Z",
        "2026-01-01T10:00:60Z",
        "2026-01-01T10:00Z",
        "2026-01-01T10:00:00",
        "2026-01-01T10:00:00+15:00",
        "2026-01-01T10:00:00.1234567890Z",
    ],
)
def test_dates_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Period(start=text)


@pytest.mark.parametrize(
    "text",
    [
        "2026",
        "2026-02",
        "2024-02-29",
        "9999-12-31",
        "2026-01-01T10:00:00Z",
        "2026-01-01T23:59:59.999999999-14:00",
    ],
)
def test_dates_that_exist_are_read(text: str) -> None:
    assert Period(start=text).start == text


def test_findings_stop_with_422_only_when_there_are_errors() -> None:
    findings = Findings()
    findings.add(None)
    findings.add(Problem("x", "only a remark", severity="warning"))
    findings.stop()
    findings.error("wrong", "a.b")
    with pytest.raises(FhirError) as caught:
        findings.stop()
    assert caught.value.status == 422
    assert [p.text for p in caught.value.problems] == ["wrong"]
    assert [p.text for p in findings.warnings] == ["only a remark"]
