"""A request as a value: its parameters, its headers."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, strategies as st

from sceau.http.message import MAX_PARAMETERS, Answer, json_answer, resource_answer
from unit.http.http_world import request

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=20)


@given(PAIRS)
def test_query_parameters_come_in_order_with_repetitions_and_empty_values(pairs: list[tuple[str, str]]) -> None:
    assert request(query=urlencode(pairs)).query_pairs() == pairs


@given(PAIRS)
def test_form_parameters_come_in_order_with_repetitions_and_empty_values(pairs: list[tuple[str, str]]) -> None:
    assert request("POST", body=urlencode(pairs).encode()).form_pairs() == pairs


def test_plus_and_percent_are_read_as_forms_write_them() -> None:
    assert request(query="a=b+c%2Bd&e=%7C").query_pairs() == [("a", "b c+d"), ("e", "|")]


def test_a_semicolon_separates_nothing() -> None:
    assert request(query="a=1;b=2").query_pairs() == [("a", "1;b=2")]


def test_a_parameter_is_decoded_once() -> None:
    assert request(query=f"a={quote(quote('é&'))}").query_pairs() == [("a", quote("é&"))]


@pytest.mark.parametrize("text", ["a=%FF", "%C3=1", "a=%C3%28"])
def test_parameters_that_are_not_utf8_are_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        request(query=text).query_pairs()
    with pytest.raises(ValueError, match="utf-8"):
        request("POST", body=text.encode()).form_pairs()


def test_a_form_of_raw_bytes_that_are_not_utf8_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        request("POST", body=b"a=\xff").form_pairs()


def test_as_many_parameters_as_allowed_are_read_and_one_more_is_a_value_error() -> None:
    most = "&".join(["a=1"] * MAX_PARAMETERS)
    assert len(request(query=most).query_pairs()) == MAX_PARAMETERS
    assert len(request("POST", body=most.encode()).form_pairs()) == MAX_PARAMETERS
    with pytest.raises(ValueError, match="fields"):
        request(query=most + "&a=1").query_pairs()
    with pytest.raises(ValueError, match="fields"):
        request("POST", body=(most + "&a=1").encode()).form_pairs()


def test_a_header_is_found_by_any_case_of_its_name_and_keeps_every_value() -> None:
    asked = request(headers={"if-match": ('W/"1"', 'W/"2"')})
    assert asked.header("If-Match") == 'W/"1", W/"2"'
    assert asked.header("if-none-match") is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/fhir+json", "application/fhir+json"),
        ("Application/FHIR+JSON; charset=UTF-8", "application/fhir+json"),
        (" application/json ;fhirVersion=4.0", "application/json"),
        ("", ""),
        (";charset=utf-8", ""),
    ],
)
def test_the_media_type_is_the_content_type_without_parameters(header: str, expected: str) -> None:
    assert request(headers={"content-type": header}).media_type() == expected


def test_a_request_without_content_type_has_an_empty_media_type() -> None:
    assert request().media_type() == ""


def test_two_content_types_are_none_that_we_know() -> None:
    both = request(headers={"content-type": ("application/json", "application/fhir+json")})
    assert both.media_type() not in ("application/json", "application/fhir+json")


def test_a_header_of_the_answer_wins_over_one_that_is_added() -> None:
    answer = Answer(200, b"x", "text/plain", {"ETag": "1"}).with_headers({"ETag": "2", "Cache-Control": "no-store"})
    assert answer == Answer(200, b"x", "text/plain", {"ETag": "1", "Cache-Control": "no-store"})


def test_answers_with_resources_are_fhir_json_in_utf8() -> None:
    assert json_answer(422, {"a": "é"}).body == '{"a":"é"}'.encode()
    assert json_answer(422, {}).content_type == "application/fhir+json"
    assert resource_answer(200, {"a": "é"}).body == '{"a":"é"}'.encode()
    assert resource_answer(200, {}).content_type == "application/fhir+json"
