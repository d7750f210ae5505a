"""Content negotiation: Accept with weights and wildcards, `_format`, Content-Type, Prefer."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from sceau.fhir.outcome import FhirError
from sceau.http.message import MAX_PARAMETERS
from sceau.http.negotiation import (
    acceptable_types,
    accepts,
    is_strict,
    require_form_body,
    require_json_answer,
    require_json_body,
    wants_representation,
)
from unit.http.http_world import request

PDF, FHIR, JSON = "application/pdf", "application/fhir+json", "application/json"
CDA = "application/xml"


def refusal_of(header: str | None, query: str = "") -> int | None:
    """The status of the refusal to answer in JSON, or None."""
    headers = {} if header is None else {"accept": header}
    try:
        require_json_answer(request(query=query, headers=headers))
    except FhirError as error:
        return error.status
    return None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, [("*/*", 1.0)]),
        ("", [("*/*", 1.0)]),
        ("  ", [("*/*", 1.0)]),
        ("a/b", [("a/b", 1.0)]),
        ("A/B;q=0.5, c/d", [("a/b", 0.5), ("c/d", 1.0)]),
        ("a/b; charset=utf-8 ; Q=0.25", [("a/b", 0.25)]),
        ("a/b;q=0", [("a/b", 0.0)]),
        ("a/b;q=7", [("a/b", 1.0)]),
        ("a/b;q=-1", [("a/b", 0.0)]),
        ("a/b;q=nan", [("a/b", 0.0)]),
        ("a/b;q=much", [("a/b", 0.0)]),
        (",, a/b ,", [("a/b", 1.0)]),
    ],
)
def test_media_ranges_are_read_with_their_weights(header: str | None, expected: list[tuple[str, float]]) -> None:
    assert acceptable_types(header) == expected


@pytest.mark.parametrize(
    ("header", "offered", "chosen"),
    [
        (None, (PDF, FHIR), PDF),
        ("*/*", (PDF, FHIR), PDF),
        ("application/*", (PDF, FHIR), PDF),
        (FHIR, (PDF, FHIR), FHIR),
        ("application/fhir+json; fhirVersion=4.0", (PDF, FHIR), FHIR),
        ("text/html", (PDF, FHIR), None),
        ("text/*", (PDF, FHIR), None),
        ("application/fhir+json, */*;q=0.1", (PDF, FHIR), FHIR),
        ("application/fhir+json;q=0.1, */*", (PDF, FHIR), PDF),
        # RFC 9110, 12.5.1: the most specific range gives the weight, wherever it stands
        ("*/*;q=0.9, application/pdf;q=0.5", (PDF, FHIR), FHIR),
        ("*/*;q=0.9, application/*;q=0.5, text/xml", (PDF, "text/xml"), "text/xml"),
        ("application/pdf;q=0, */*", (PDF, FHIR), FHIR),
        ("*/*, application/pdf;q=0", (PDF,), None),
        ("*/*;q=0", (PDF,), None),
        ("application/*;q=0, application/pdf", (PDF, FHIR), PDF),
        # equal weights: the client's order, then ours
        ("application/json, application/fhir+json", (FHIR, JSON), JSON),
        ("application/json, text/plain, */*", (PDF, FHIR, JSON), JSON),
        ("application/*", (FHIR, JSON), FHIR),
        ("APPLICATION/PDF", (PDF,), PDF),
        ("application", (PDF,), None),
        ("appl*/pdf", (PDF,), None),
        ("*/pdf", (PDF,), None),
    ],
)
def test_the_type_that_the_client_likes_best_is_chosen(
    header: str | None, offered: tuple[str, ...], chosen: str | None
) -> None:
    assert accepts(header, offered) == chosen


@given(st.text(max_size=80))
def test_no_accept_header_breaks_the_choice(header: str) -> None:
    assert accepts(header, (PDF, FHIR)) in (PDF, FHIR, None)


@pytest.mark.parametrize(
    "header",
    [None, "*/*", "application/*", FHIR, JSON, "application/fhir+json; fhirVersion=4.0", "text/html, */*;q=0.1"],
)
def test_fhir_in_json_is_had_by_whoever_accepts_it(header: str | None) -> None:
    assert refusal_of(header) is None


@pytest.mark.parametrize("header", ["application/fhir+xml", "application/xml", "text/*", "text/html", "*/*;q=0"])
def test_fhir_in_anything_else_is_406(header: str) -> None:
    assert refusal_of(header) == 406


@pytest.mark.parametrize(
    "query", ["_format=json", "_format=application/json", "_format=application%2Ffhir%2Bjson", "_format=JSON"]
)
def test_format_counts_before_accept(query: str) -> None:
    assert refusal_of("application/fhir+xml", query) is None


@pytest.mark.parametrize("query", ["_format=xml", "_format=application%2Ffhir%2Bxml", "_format=", "_format=ttl"])
def test_another_format_is_406_whatever_is_accepted(query: str) -> None:
    assert refusal_of("*/*", query) == 406


def test_of_two_formats_the_last_counts() -> None:
    assert refusal_of(None, "_format=xml&_format=json") is None
    assert refusal_of(None, "_format=json&_format=xml") == 406


@pytest.mark.parametrize("query", ["a=%FF", "&".join(["a=1"] * (MAX_PARAMETERS + 1))])
def test_parameters_that_cannot_be_read_are_400_here_so_that_nobody_after_trips_over_them(query: str) -> None:
    assert refusal_of(None, query) == 400


@pytest.mark.parametrize("header", [JSON, FHIR, "application/fhir+json; charset=utf-8; fhirVersion=4.0"])
def test_a_body_declared_as_json_is_taken(header: str) -> None:
    require_json_body(request("POST", headers={"content-type": header}, body=b"{}"))


@pytest.mark.parametrize("header", [None, "", "application/xml", "application/fhir+xml", "text/json", "*/*"])
def test_a_body_declared_as_anything_else_is_415(header: str | None) -> None:
    headers = {} if header is None else {"content-type": header}
    with pytest.raises(FhirError) as refused:
        require_json_body(request("POST", headers=headers, body=b"{}"))
    assert refused.value.status == 415


def test_a_search_body_is_a_form_or_nothing() -> None:
    form = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
    require_form_body(request("POST", headers=form, body=b"a=b"))
    require_form_body(request("POST"))
    with pytest.raises(FhirError) as refused:
        require_form_body(request("POST", headers={"content-type": JSON}, body=b"{}"))
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("header", "strict", "representation"),
    [
        (None, False, False),
        ("handling=strict", True, False),
        ("Handling = Strict", True, False),
        ("handling=lenient", False, False),
        ("return=representation", False, True),
        ("return=minimal", False, False),
        ("return=representation; handling=strict", True, True),
        ("respond-async, return=representation,handling=strict", True, True),
        ("handling=stricter, xhandling=strict", False, False),
        ('handling="strict"', True, False),
    ],
)
def test_preferences_are_read(header: str | None, strict: bool, representation: bool) -> None:
    asked = request(headers={} if header is None else {"prefer": header})
    assert is_strict(asked) is strict
    assert wants_representation(asked) is representation


def test_preferences_in_two_headers_count_both() -> None:
    asked = request(headers={"prefer": ("return=representation", "handling=strict")})
    assert is_strict(asked)
    assert wants_representation(asked)
