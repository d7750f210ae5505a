"""JSON and FHIR from outside: what is read, what is refused, and that nothing sent comes back in a refusal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fixtures.bodies import bundle, changed, opening, refused, simple, submit, submit_simple
from sceau.fhir.outcome import FhirError
from sceau.fhir.parse import MAX_DEPTH, fhirpath, parse_json, parse_resource, read_stored, write_json
from sceau_schemas.fhir import Bundle, Consent, DocumentReference

SECRET = "ZZTOP-SECRET"


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"a":1}x', id="something after"),
        pytest.param(b'{"a":1,"a":2}', id="a name twice"),
        pytest.param(b'{"b":{"a":1,"a":1}}', id="a name twice inside"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="Infinity"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param('{"a":"x"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"a":"x"}', id="byte order mark"),
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"\\udc00":"x"}', id="half a surrogate pair in a name"),
        pytest.param(b'{"a":"\\u0000"}', id="U+0000"),
        pytest.param(b'{"a":"\\b"}', id="backspace"),
        pytest.param(b'{"a":"\n"}', id="a raw line break in a string"),
        pytest.param(b'{"a":null}', id="null"),
        pytest.param(b'{"a":""}', id="empty string"),
        pytest.param(b'{"a":[]}', id="empty array"),
        pytest.param(b'{"a":[{}]}', id="empty object"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="more digits than int() takes"),
        pytest.param(b'{"a":1e999999999999999999999}', id="an exponent beyond Decimal"),
        pytest.param(b'{"a":1e400}', id="beyond a float"),
        pytest.param(b'{"a":0.' + b"1" * 5000 + b"}", id="a long fraction"),
        pytest.param(nested(MAX_DEPTH + 1), id="one level too deep"),
        pytest.param(nested(200_000), id="200,000 levels deep"),
        pytest.param(b"[" * 200_000, id="200,000 arrays opened"),
        pytest.param(b"[" + b"1," * 1_000_001 + b"1]", id="a million values"),
    ],
)
def test_what_is_not_the_json_of_fhir_is_400(data: bytes) -> None:
    with pytest.raises(FhirError) as caught:
        parse_json(data)
    assert caught.value.status == 400


def test_depth_up_to_the_bound_is_read() -> None:
    assert parse_json(nested(MAX_DEPTH))


def test_a_surrogate_pair_and_escapes_that_fhir_allows_are_read() -> None:
    assert parse_json(b'{"a":"\\ud83d\\ude00 \\n\\t\\\\b \\u00e9"}') == {"a": "\U0001f600 \n\t\\b é"}


def test_null_is_read_in_an_array_of_primitives() -> None:
    assert parse_json(b'{"given":["A",null],"_given":[null,{"id":"x"}]}')


@pytest.mark.parametrize("text", ["1.10", "0.0000", "-3.50", "1E+2", "12345678901234567890.5"])
def test_decimals_keep_their_digits(text: str) -> None:
    data = f'{{"a":{text},"b":[{text}]}}'.encode()
    value = parse_json(data)
    assert value["a"] == Decimal(text)
    assert write_json(value) == data
    assert write_json(read_stored(data)) == data


def test_a_string_that_looks_like_a_marked_decimal_stays_a_string() -> None:
    value = parse_json(json.dumps({"a": "\\u0000decimal:1.5", "b": '"\\u0000decimal:1"'}).encode())
    assert parse_json(write_json({**value, "c": Decimal("1.50")})) == {**value, "c": Decimal("1.50")}


JSON_STRINGS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
JSON_VALUES = st.recursive(
    JSON_STRINGS | st.booleans() | st.integers(-(10**18), 10**18) | st.decimals(-1000, 1000, places=3),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4) | st.dictionaries(JSON_STRINGS, inner, min_size=1, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert parse_json(write_json({"v": value})) == {"v": value}


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_fail_otherwise_than_by_refusing(data: bytes) -> None:
    try:
        parse_resource(data, Bundle, DocumentReference, Consent)
    except FhirError as error:
        assert error.status in {400, 422}


@given(st.data())
def test_no_change_of_one_value_makes_the_parser_crash(data: st.DataObject) -> None:
    """Any value of a good bundle is replaced by any JSON: it is judged, never a crash."""
    sent = bundle()
    pending: list[tuple[Any, Any]] = []

    def collect(container: Any) -> None:
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            pending.append((container, key))
            if isinstance(value, dict | list):
                collect(value)

    collect(sent)
    container, key = data.draw(st.sampled_from(pending))
    container[key] = data.draw(JSON_VALUES)
    try:
        submit(sent)
    except FhirError as error:
        assert error.status in {400, 422}


def test_another_type_than_the_expected_is_400() -> None:
    error = refused(submit, simple())
    assert (error.status, error.problems[0].expression) == (400, "Resource.resourceType")
    assert refused(submit, {"id": "x"}).status == 400
    with pytest.raises(FhirError) as caught:
        parse_resource(b"[1]", Bundle)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("change", "status", "expression"),
    [
        pytest.param(lambda r: r.update(colour="red"), 400, "DocumentReference.colour", id="unknown element"),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(checksum="x"),
            400,
            "DocumentReference.content[0].attachment.checksum",
            id="unknown element inside",
        ),
        pytest.param(lambda r: r.update(docStatus="final"), 422, "DocumentReference.docStatus", id="docStatus"),
        pytest.param(
            lambda r: r.update(modifierExtension=[{"url": "urn:x", "valueBoolean": True}]),
            422,
            "DocumentReference.modifierExtension",
            id="modifierExtension",
        ),
        pytest.param(
            lambda r: r["contained"][0].update(modifierExtension=[{"url": "urn:x", "valueBoolean": True}]),
            422,
            "DocumentReference.contained[0].modifierExtension",
            id="modifierExtension in a contained resource",
        ),
        pytest.param(
            lambda r: r["context"].update(modifierExtension=[{"url": "urn:x", "valueBoolean": True}]),
            422,
            "DocumentReference.context.modifierExtension",
            id="modifierExtension in a backbone element",
        ),
        pytest.param(
            lambda r: r.update(implicitRules="urn:x"), 422, "DocumentReference.implicitRules", id="implicitRules"
        ),
        pytest.param(lambda r: r.pop("content"), 400, "DocumentReference.content", id="no content"),
        pytest.param(lambda r: r.pop("status"), 400, "DocumentReference.status", id="no status"),
        pytest.param(lambda r: r.update(status=SECRET), 400, "DocumentReference.status", id="unknown status"),
        pytest.param(lambda r: r.update(date="2026-06-12"), 400, "DocumentReference.date", id="an instant is whole"),
        pytest.param(lambda r: r.update(date="2026-02-30T10:00:00Z"), 400, "DocumentReference.date", id="no such day"),
        pytest.param(
            lambda r: r["context"]["period"].update(start="2026-06-12T10:00:00"),
            400,
            "DocumentReference.context.period.start",
            id="a time without zone",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(size="5"),
            400,
            "DocumentReference.content[0].attachment.size",
            id="a number as string",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(size=True),
            400,
            "DocumentReference.content[0].attachment.size",
            id="a boolean as number",
        ),
        pytest.param(
            lambda r: r["content"][0]["attachment"].update(size=-1),
            400,
            "DocumentReference.content[0].attachment.size",
            id="a negative size",
        ),
        pytest.param(
            lambda r: r["type"]["coding"][0].update(code="a  b"),
            400,
            "DocumentReference.type.coding[0].code",
            id="a code with two blanks",
        ),
        pytest.param(lambda r: r.update(author={"reference": "#a"}), 400, "DocumentReference.author", id="no array"),
        pytest.param(lambda r: r.update(type=[1]), 400, "DocumentReference.type", id="an array for an object"),
        pytest.param(
            lambda r: r.update(description=["x"]), 400, "DocumentReference.description", id="an array for a string"
        ),
        pytest.param(
            lambda r: r.update(_description={"value": "x"}),
            400,
            "DocumentReference.description",
            id="a value beside a primitive",
        ),
        pytest.param(
            lambda r: r.update(_subject={"id": "x"}), 400, "DocumentReference.subject", id="no primitive: no sibling"
        ),
        pytest.param(
            lambda r: r.update(extension=[{"url": "urn:x"}]),
            400,
            "DocumentReference.extension[0]",
            id="an extension of nothing",
        ),
        pytest.param(
            lambda r: r.update(extension=[{"url": "urn:x", "valueCode": "a", "valueString": "b"}]),
            400,
            "DocumentReference.extension[0]",
            id="an extension with two values",
        ),
        pytest.param(
            lambda r: r.update(extension=[{"url": "urn:x", "valueNothing": "a"}]),
            400,
            "DocumentReference.extension[0].value",
            id="a type that R4 does not know",
        ),
        pytest.param(
            lambda r: r.update(extension=[{"url": "urn:x", "extension": [{"url": "y", "valueCoding": "a"}]}]),
            400,
            "DocumentReference.extension[0].extension[0].value",
            id="a string for a Coding, nested",
        ),
        pytest.param(
            lambda r: r["contained"].append({"resourceType": "Location", "id": "l", "implicitRules": "urn:x"}),
            422,
            "DocumentReference.contained[4].implicitRules",
            id="implicitRules in a contained resource of another type",
        ),
        pytest.param(
            lambda r: r["contained"].append({"resourceType": "Location", "id": ""}),
            400,
            "DocumentReference.contained[4]",
            id="an empty id",
        ),
    ],
)
def test_what_r4_does_not_know_is_refused_at_its_place(change: Any, status: int, expression: str) -> None:
    error = refused(submit_simple, changed(simple(), change))
    assert (error.status, error.problems[0].expression) == (status, expression)
    assert SECRET not in str([p.text for p in error.problems])


def test_several_problems_are_told_at_once_and_bounded() -> None:
    def spoil(r: dict[str, Any]) -> None:
        r["masterIdentifier"]["use"] = "?"
        r["identifier"] = [{"use": "?"}] * 60

    problems = refused(submit_simple, changed(simple(), spoil)).problems
    assert {"DocumentReference.masterIdentifier.use", "DocumentReference.identifier[0].use"} <= {
        p.expression for p in problems
    }
    assert len(problems) == 20


def test_an_element_name_that_is_none_is_not_repeated() -> None:
    name = "Dupont 1 79 03"
    error = refused(submit_simple, changed(simple(), lambda r: r["type"].update({name: 1})))
    assert error.problems[0].expression == "DocumentReference.type"
    assert name not in error.problems[0].text


def test_elements_that_are_not_read_are_kept_untouched() -> None:
    additions: dict[str, Any] = {
        "language": "fr",
        "description": "Texte libre",
        "_description": {"extension": [{"url": "urn:x", "valueDecimal": Decimal("1.50")}]},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        "extension": [{"url": "urn:x", "extension": [{"url": "y", "valuePeriod": {"start": "2026"}}]}],
        "_date": {"id": "d1"},
    }
    added_inside = {"encounter": [{"reference": "Encounter/1"}], "related": [{"display": "radio"}]}

    def enrich(r: dict[str, Any]) -> None:
        r.update(additions)
        r["context"].update(added_inside)
        r["contained"].append({"resourceType": "Location", "id": "l", "anything": {"goes": 1}})

    resource = submit_simple(changed(simple(), enrich)).documents[0].resource
    assert {name: resource[name] for name in additions} == additions
    assert {name: resource["context"][name] for name in added_inside} == added_inside
    assert resource["contained"][-1]["anything"] == {"goes": 1}
    assert b'"valueDecimal":1.50' in write_json(resource)


def test_every_element_of_r4_patient_is_known() -> None:
    """A whole fr-core Patient passes: nobody has to strip what a hospital's software holds."""
    patient = {
        "language": "fr",
        "active": True,
        "telecom": [{"system": "phone", "value": "0"}],
        "deceasedBoolean": False,
        "address": [{"city": "X", "line": ["1"]}],
        "maritalStatus": {"text": "x"},
        "multipleBirthInteger": 1,
        "photo": [{"title": "x"}],
        "contact": [{"gender": "female"}],
        "communication": [{"language": {"text": "fr"}}],
        "generalPractitioner": [{"display": "x"}],
        "managingOrganization": {"display": "x"},
        "link": [{"type": "seealso", "other": {"display": "x"}}],
        "_gender": {"id": "g"},
    }
    consent = changed(opening(), lambda c: c["contained"][0].update(patient))
    assert parse_resource(write_json(consent), Consent).resource.contained


def test_paths_are_fhirpath_without_tags() -> None:
    path = ("entry", 1, "resource", "DocumentReference", "extension", 0, "valueIdentifier", "_system")
    assert fhirpath("Bundle", path) == "Bundle.entry[1].resource.extension[0].value.system"
    assert fhirpath("Bundle", ("entry", 0, "Dupont Jean", "x")) == "Bundle.entry[0]"
