"""What an event keeps of a request: everything but the patient's identity, people's names, and secrets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from hypothesis import given, strategies as st

from sceau.audit.facts import Request
from sceau.audit.redact import LARGEST_PART, hide_ins, kept_search, kept_token_request
from unit.audit.samples import INS, ORIGIN, RECORD, SYSTEM_AND_INS

NUMBERS = st.from_regex(r"[123478][0-9]{4}([0-9]{2}|2[AB])[0-9]{6}([0-9]{2})?", fullmatch=True)
PARAMETERS = st.sampled_from(
    ["patient.identifier", "patient", "subject", "identifier", "subject:Patient.identifier", "_id", "title", "x", ""]
)
ENCODINGS = st.sampled_from(
    [
        lambda text: text,
        quote,
        quote_plus,
        lambda text: quote(quote(text)),
        lambda text: quote(quote(quote(text))),
        lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    ]
)


def kept(target: str, form: bytes = b"", method: str = "GET") -> str:
    return kept_search(Request(method, target, form), ORIGIN).decode()


def digits(text: str) -> str:
    """`text` fully decoded, without what may stand between groups of digits."""
    for _ in range(8):
        text = unquote_plus(text)
    return re.sub(r"[\s_-]", "", text).upper()


@given(
    number=NUMBERS,
    parameter=PARAMETERS,
    encoding=ENCODINGS,
    wrapping=st.sampled_from(["{}", "urn:oid:1.2.250.1.213.1.4.8|{}", "|{}", "Patient?identifier=a|{}", "x,{}", "{} "]),
    grouped=st.booleans(),
    in_form=st.booleans(),
)
def test_no_ins_stays_wherever_and_however_it_stands(
    number: str, parameter: str, encoding: Callable[[str], str], wrapping: str, grouped: bool, in_form: bool
) -> None:
    written = (
        " ".join((number[0], number[1:3], number[3:5], number[5:7], number[7:10], number[10:])) if grouped else number
    )
    pair = f"{parameter}={encoding(wrapping.format(written))}"
    text = kept("/fhir/List/_search", f"a=b&{pair}&c=d".encode()) if in_form else kept(f"/fhir/List?a=b&{pair}&c=d")
    assert number not in digits(text)
    assert "[redacted]" in text
    assert "a=b&" in text and text.endswith("&c=d")


def test_an_ins_in_the_path_goes_too() -> None:
    assert kept(f"/fhir/Patient/{INS}") == f"GET {ORIGIN}/fhir/Patient/[redacted]"


def test_a_search_without_identity_is_kept_byte_for_byte() -> None:
    target = (
        f"/fhir/DocumentReference?patient=Patient/{RECORD}&status=current&type=http%3A%2F%2Floinc.org%7C11502-2,|x"
        "&date=ge2026-01-01T00%3A00%3A00%2B01:00&identifier=urn:ietf:rfc:3986%7Curn:oid:2.25.208714310933214"
        "&_count=20&period=20260101112233&_page=a-b_c&&flag&security-label=N"
    )
    assert kept(target) == f"GET {ORIGIN}{target}"


def test_a_form_is_kept_below_the_request() -> None:
    text = kept("/fhir/DocumentReference/_search?_count=5", f"patient={SYSTEM_AND_INS}&type=x".encode(), "POST")
    assert text == (
        f"POST {ORIGIN}/fhir/DocumentReference/_search?_count=5\n\n"
        "patient=urn:oid:1.2.250.1.213.1.4.10|[redacted]&type=x"
    )


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("identifier=urn:oid:1.2.250.1.213.1.4.8%7C12", "identifier=urn:oid:1.2.250.1.213.1.4.8|[redacted]"),
        ("identifier=12 34", "identifier=[redacted]"),
        ("identifier:exact=12", "identifier:exact=[redacted]"),
        ("patient.identifier=DUPONT", "patient.identifier=[redacted]"),
        ("patient=Patient/12", "patient=[redacted]"),
        ("p%61tient=12", "p%61tient=[redacted]"),
        ("PATIENT=12", "PATIENT=[redacted]"),
        ("patient:Patient.name=DUPONT", "patient:Patient.name=[redacted]"),
        ("patient=DUPONT Marie|12", "patient=[redacted]"),
        (f"patient=urn:oid:2.{INS}|12", "patient=[redacted]"),
        ("name=DUPONT", "name=[redacted]"),
        ("family:exact=DUPONT", "family:exact=[redacted]"),
        ("author.given=Marie", "author.given=[redacted]"),
        ("source:Patient.family=DUPONT", "source:Patient.family=[redacted]"),
        ("birthdate=1955-06-01", "birthdate=[redacted]"),
    ],
)
def test_what_identifies_a_patient_or_names_a_person_goes(pair: str, expected: str) -> None:
    assert kept(f"/fhir/Patient?{pair}&x=1") == f"GET {ORIGIN}/fhir/Patient?{expected}&x=1"


def test_an_identifier_of_a_document_stays() -> None:
    assert kept("/fhir/DocumentReference?identifier=a|12").endswith("identifier=a|12")


def test_what_stands_behind_the_system_of_an_ins_goes_whatever_it_looks_like() -> None:
    target = "/fhir/DocumentReference?identifier=urn%3Aoid%3A1.2.250.1.213.1.4.8%7C2550-x"
    assert kept(target).endswith("?identifier=urn:oid:1.2.250.1.213.1.4.8|[redacted]")


def test_what_is_encoded_more_often_than_anyone_does_goes() -> None:
    value = INS
    for _ in range(9):
        value = "".join(f"%{ord(character):02X}" for character in value[:4]) + quote(value[4:])
    assert kept(f"/fhir/List?code={value}&x=1").endswith("?code=[redacted]&x=1")


def test_a_token_request_keeps_only_what_is_neither_secret_nor_identity() -> None:
    form = (
        "grant_type=client_credentials&scope=system%2F*.c&client_id=lgc&client_assertion=SECRET1&subject_token=SECRET2"
        "&actor_token=SECRET3&code_verifier=SECRET4&client_secret=SECRET5&password=SECRET6&refresh_token=SECRET7"
        f"&code=SECRET8&patient={SYSTEM_AND_INS}&username=DUPONT&unheard_of=SECRET9&SECRET"
    )
    text = kept_token_request(Request("POST", "/oauth/token?token=SECRET0", form.encode()), ORIGIN).decode()
    for word in ("SECRET1", "SECRET2", "SECRET9", "SECRET0", INS, "DUPONT"):
        assert word not in text
    assert "SECRET" not in text
    assert "grant_type=client_credentials&scope=system%2F*.c&client_id=lgc&client_assertion=[redacted]" in text


@pytest.mark.parametrize("form", [b"SECRET", b"SECRET==", b"SECRET.x=y", b'{"client_secret":"SECRET"}', b"a=b&SECRET"])
def test_a_token_request_that_is_no_form_gives_no_secret_away(form: bytes) -> None:
    assert b"SECRET" not in kept_token_request(Request("POST", "/oauth/token", form), ORIGIN)


@given(target=st.text(max_size=80), form=st.binary(max_size=80))
def test_any_request_can_be_kept(target: str, form: bytes) -> None:
    request = Request("POST", target, form)
    assert kept_search(request, ORIGIN).startswith(b"POST ")
    assert kept_token_request(request, ORIGIN).startswith(b"POST ")


def test_what_is_too_long_is_cut_before_the_parameter_that_does_not_fit() -> None:
    filling = "a=" + "x" * (LARGEST_PART - 20)
    text = kept(f"/fhir/List?{filling}&patient.identifier={SYSTEM_AND_INS}")
    assert text == f"GET {ORIGIN}/fhir/List?{filling}&[cut]"
    assert kept("/" + "1" * LARGEST_PART) == f"GET {ORIGIN}[redacted]"


@pytest.mark.parametrize("unit", ["1", "1 ", "1-", "%25", "2A", "patient:", ".", "&", "=", "a.name"])
def test_no_request_takes_long(unit: str) -> None:
    hostile = unit * (4 * LARGEST_PART // len(unit))
    start = time.process_time()
    kept(f"/fhir/List?{hostile}", hostile.encode())
    kept(f"/fhir/List?x={hostile[: LARGEST_PART - 5]}", b"y=" + hostile[: LARGEST_PART - 5].encode())
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("255069999999934", "[redacted]"),
        ("2.25.255069999999934", "2.25.255069999999934"),  # a part of an OID
        ("1 85 05 2A 123 456 78", "[redacted]"),
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("20260101112233", "20260101112233"),
        ("dossier^255069999999934^x", "dossier^[redacted]^x"),
    ],
)
def test_an_ins_inside_an_identifier_is_hidden(text: str, hidden: str) -> None:
    assert hide_ins(text) == hidden
