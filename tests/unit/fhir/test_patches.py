"""What a PATCH may ask for, in both its forms, and what the labels are after it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sceau.fhir import codes, rules
from sceau.fhir.outcome import FhirError
from sceau.fhir.patches import (
    MOST_OPERATIONS,
    Patch,
    labels_after,
    parse_fhirpath_patch,
    parse_json_patch,
    parser_of,
    unseen_labels_after,
)
from sceau_schemas.dossier import StoredCoding

Json = dict[str, Any]
ARCHIVED = rules.IS_ARCHIVED
V3 = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def concept(code: str, system: str | None = None) -> Json:
    default = codes.TRE_A08 if code in "NRV" else codes.TRE_A07
    return {"coding": [{"system": system or default, "code": code}]}


def label(code: str) -> StoredCoding:
    return StoredCoding(system=codes.TRE_A08 if code in "NRV" else codes.TRE_A07, code=code)


def of_json(*operations: Any) -> Patch:
    return parse_json_patch(json.dumps(list(operations)).encode())


def operation(kind: str, path: str, name: str | None = None, **value: Any) -> Json:
    parts: list[Json] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    parts += [{"name": "name", "valueString": name}] if name else []
    parts += [{"name": "value", **value}] if value else []
    return {"name": "operation", "part": parts}


def of_parameters(*operations: Json) -> Patch:
    return parse_fhirpath_patch(json.dumps({"resourceType": "Parameters", "parameter": list(operations)}).encode())


def after(patch: Patch, *before: str) -> list[str]:
    return [one.code for one in labels_after([label(code) for code in before], patch)]


def refusal(read: Any, *arguments: Any) -> tuple[int, str | None]:
    with pytest.raises(FhirError) as raised:
        read(*arguments)
    return raised.value.status, raised.value.problems[0].expression


# The guide's bodies, as they are printed


@pytest.mark.parametrize(
    ("code", "system", "before", "expected"),
    [
        ("MASQUE_PS", None, ["N"], ["MASQUE_PS"]),
        ("INVISIBLE_PATIENT", None, ["N"], ["INVISIBLE_PATIENT"]),
        ("N", V3, ["MASQUE_PS"], ["N"]),
        ("N", V3, ["INVISIBLE_PATIENT"], ["N"]),
        ("N", V3, ["N"], ["N"]),
    ],
)
def test_the_guides_labels(code: str, system: str | None, before: list[str], expected: list[str]) -> None:
    patch = of_json({"op": "replace", "path": "/securityLabel/0", "value": concept(code, system)})
    assert after(patch, *before) == expected


def test_the_guides_deletion_and_archive() -> None:
    assert of_json({"op": "replace", "path": "/status", "value": "entered-in-error"}) == Patch(deleted=True)
    path = f"/extension[url:'{ARCHIVED}']/valueBoolean"
    for value in (True, False):
        assert of_json({"op": "replace", "path": path, "value": value}) == Patch(archived=value)


# Other ways to say the same


@pytest.mark.parametrize(
    ("operations", "before", "expected"),
    [
        ([{"op": "replace", "path": "/securityLabel", "value": [concept("MASQUE_PS")]}], ["N"], ["MASQUE_PS"]),
        ([{"op": "add", "path": "/securityLabel", "value": [concept("MASQUE_PS")]}], ["N"], ["MASQUE_PS"]),
        ([{"op": "add", "path": "/securityLabel/-", "value": concept("MASQUE_PS")}], ["N"], ["N", "MASQUE_PS"]),
        ([{"op": "add", "path": "/securityLabel/0", "value": concept("MASQUE_PS")}], ["N"], ["MASQUE_PS", "N"]),
        ([{"op": "replace", "path": "/securityLabel/1", "value": concept("MASQUE_PS")}], ["N"], ["N", "MASQUE_PS"]),
        ([{"op": "remove", "path": "/securityLabel/1"}], ["N", "MASQUE_PS"], ["N"]),
        ([{"op": "remove", "path": "/securityLabel/0"}], ["MASQUE_PS"], ["N"]),
        ([{"op": "remove", "path": "/securityLabel"}], ["MASQUE_PS", "INVISIBLE_PATIENT"], ["N"]),
        ([{"op": "replace", "path": "/securityLabel/0", "value": concept("MASQUE_PS")}], ["R"], ["R", "MASQUE_PS"]),
        ([{"op": "replace", "path": "/securityLabel/0", "value": concept("N")}], ["V"], ["V"]),
        ([{"op": "replace", "path": "/securityLabel", "value": [concept("N")]}], ["MASQUE_PS", "R"], ["R"]),
        ([{"op": "add", "path": "/securityLabel/-", "value": concept("R")}], ["R"], ["R"]),
        (
            [
                {"op": "remove", "path": "/securityLabel/0"},
                {"op": "add", "path": "/securityLabel/-", "value": concept("MASQUE_PS")},
            ],
            ["INVISIBLE_PATIENT"],
            ["MASQUE_PS"],
        ),
        ([{"op": "add", "path": "/securityLabel/-", "value": concept("MASQUE_PS")}], ["MASQUE_PS"], ["MASQUE_PS"]),
    ],
)
def test_labels_keep_their_order_and_an_empty_list_becomes_n(
    operations: list[Json], before: list[str], expected: list[str]
) -> None:
    assert after(of_json(*operations), *before) == expected


@pytest.mark.parametrize(
    ("asked", "before", "expected"),
    [
        (
            operation("replace", "DocumentReference.securityLabel[0]", valueCodeableConcept=concept("MASQUE_PS")),
            ["N"],
            ["MASQUE_PS"],
        ),
        (
            operation("replace", "DocumentReference.securityLabel", valueCodeableConcept=concept("N")),
            ["MASQUE_PS"],
            ["N"],
        ),
        (
            operation("add", "DocumentReference", "securityLabel", valueCodeableConcept=concept("MASQUE_PS")),
            ["N"],
            ["N", "MASQUE_PS"],
        ),
        (operation("delete", "DocumentReference.securityLabel[1]"), ["N", "MASQUE_PS"], ["N"]),
        (operation("delete", "DocumentReference.securityLabel"), ["MASQUE_PS"], ["N"]),
    ],
)
def test_fhirpath_patches_of_labels(asked: Json, before: list[str], expected: list[str]) -> None:
    assert after(of_parameters(asked), *before) == expected


@pytest.mark.parametrize(
    ("asked", "patch"),
    [
        (operation("replace", "DocumentReference.status", valueCode="entered-in-error"), Patch(deleted=True)),
        (
            operation("replace", f"DocumentReference.extension('{ARCHIVED}').value", valueBoolean=True),
            Patch(archived=True),
        ),
        (
            operation(
                "replace", f"DocumentReference.extension.where(url='{ARCHIVED}').valueBoolean", valueBoolean=False
            ),
            Patch(archived=False),
        ),
        (operation("delete", f"DocumentReference.extension.where(url = '{ARCHIVED}').value"), Patch(archived=False)),
    ],
)
def test_fhirpath_patches_of_status_and_archive(asked: Json, patch: Patch) -> None:
    assert of_parameters(asked) == patch


def test_an_extension_by_its_number_and_a_new_one() -> None:
    numbered = of_json({"op": "replace", "path": "/extension/2/valueBoolean", "value": True})
    assert numbered == Patch(archived=True, extension_at=2)
    new = {"op": "add", "path": "/extension/-", "value": {"url": ARCHIVED, "valueBoolean": True}}
    assert of_json(new) == Patch(archived=True)
    assert of_json({"op": "remove", "path": f"/extension[url:'{ARCHIVED}']/valueBoolean"}) == Patch(archived=False)


def test_several_elements_at_once() -> None:
    patch = of_json(
        {"op": "replace", "path": "/securityLabel/0", "value": concept("MASQUE_PS")},
        {"op": "add", "path": f"/extension[url:'{ARCHIVED}']/valueBoolean", "value": True},
    )
    assert patch.archived is True
    assert after(patch, "N") == ["MASQUE_PS"]


# What is refused


@pytest.mark.parametrize(
    "path",
    [
        *("/type", "/subject", "/content/0/attachment/url", "/masterIdentifier", "/author", "/meta", "/", "status"),
        *("/securityLabel/00", "/securityLabel/1000", "/securityLabel/0/coding/0/code", "/securityLabel/-1"),
        *("/extension/0", "/extension", "/extension[url:'urn:x']/valueBoolean", "/extension/0/valueString"),
        *("/identifier/0", "/date", "/docStatus", "/relatesTo", "/status/"),
    ],
)
def test_another_element_is_405(path: str) -> None:
    for kind in ("replace", "add"):
        assert refusal(of_json, {"op": kind, "path": path, "value": "x"})[0] == 405


@pytest.mark.parametrize(
    "asked",
    [
        operation("replace", "DocumentReference.type", valueCodeableConcept=concept("N")),
        operation("replace", "DocumentReference.extension('urn:x').value", valueBoolean=True),
        operation("replace", "Patient.status", valueCode="entered-in-error"),
        operation("add", "DocumentReference", "author", valueReference={"reference": "Patient/1"}),
        operation("add", "DocumentReference.content", "attachment", valueString="x"),
    ],
)
def test_another_element_by_fhirpath_is_405(asked: Json) -> None:
    assert refusal(of_parameters, asked)[0] == 405


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "replace", "path": "/status", "value": "superseded"}], 422),
        ([{"op": "replace", "path": "/status", "value": "current"}], 422),
        ([{"op": "remove", "path": "/status"}], 422),
        ([{"op": "replace", "path": "/securityLabel/0", "value": "MASQUE_PS"}], 400),
        ([{"op": "replace", "path": "/securityLabel/0", "value": concept("SECRET")}], 422),
        ([{"op": "replace", "path": "/securityLabel/0", "value": concept("N", "urn:oid:1.2.3")}], 422),
        ([{"op": "replace", "path": "/securityLabel/0", "value": {"coding": []}}], 400),
        ([{"op": "replace", "path": "/securityLabel", "value": concept("N")}], 422),
        ([{"op": "remove", "path": "/securityLabel/-"}], 422),
        ([{"op": "replace", "path": "/securityLabel/0"}], 400),
        ([{"op": "test", "path": "/securityLabel/0", "value": concept("N")}], 422),
        ([{"op": "move", "path": "/securityLabel/0", "from": "/securityLabel/1"}], 422),
        ([{"op": "copy", "path": "/status", "from": "/securityLabel/1"}], 422),
        ([{"op": "replace", "path": f"/extension[url:'{ARCHIVED}']/valueBoolean", "value": "true"}], 422),
        ([{"op": "replace", "path": f"/extension[url:'{ARCHIVED}']/valueBoolean", "value": 1}], 422),
        ([{"op": "replace", "path": 7, "value": 1}], 400),
        ([{"path": "/status", "value": "entered-in-error"}], 422),
        (["x"], 400),
        ([], 400),
        ([{"op": "replace", "path": "/status", "value": "entered-in-error"}] * (MOST_OPERATIONS + 1), 400),
    ],
)
def test_what_is_no_patch_or_no_value_is_refused(operations: list[Any], status: int) -> None:
    assert refusal(of_json, *operations)[0] == status


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b'[{"op":"replace","op":"add","path":"/status","value":1}]', b"[1e999]"]
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refusal(parse_json_patch, body)[0] == 400


@pytest.mark.parametrize(
    "parameter",
    [
        {"name": "operation"},
        {"name": "other", "part": operation("replace", "DocumentReference.status", valueCode="x")["part"]},
        operation("insert", "DocumentReference.securityLabel", valueCodeableConcept=concept("N")),
        operation("replace", "DocumentReference.status"),
        operation("replace", "DocumentReference.status", valueCode="current"),
        {"name": "operation", "part": [{"name": "type", "valueCode": "replace"}] * 2},
        {"name": "operation", "part": [{"name": "unknown", "valueCode": "replace"}]},
        {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]},
        {"name": "operation", "part": [{"name": "type"}]},
    ],
)
def test_what_is_no_fhirpath_patch_is_refused(parameter: Json) -> None:
    assert refusal(of_parameters, parameter)[0] == 422


def test_parameters_without_operations_are_refused() -> None:
    assert refusal(parse_fhirpath_patch, b'{"resourceType":"Parameters"}')[0] == 422
    assert refusal(parse_fhirpath_patch, b'{"resourceType":"Bundle"}')[0] == 400


@pytest.mark.parametrize(
    ("operations", "before"),
    [
        ([{"op": "add", "path": "/securityLabel/5", "value": concept("MASQUE_PS")}], ["N"]),
        ([{"op": "remove", "path": "/securityLabel/1"}], ["N"]),
        ([{"op": "replace", "path": "/securityLabel/0", "value": concept("R")}], ["N"]),
        ([{"op": "replace", "path": "/securityLabel/0", "value": concept("V")}], ["R"]),
    ],
)
def test_a_label_that_is_not_there_and_another_confidentiality_are_refused(
    operations: list[Json], before: list[str]
) -> None:
    assert refusal(labels_after, [label(code) for code in before], of_json(*operations))[0] == 422


def test_a_patch_of_something_else_leaves_the_labels_as_they_are() -> None:
    before = [label("MASQUE_PS"), label("R")]
    assert labels_after(before, Patch(archived=True)) == tuple(before)
    assert unseen_labels_after(before, Patch(archived=True)) == tuple(before)


# Whoever may not read the entry must not learn its labels


@pytest.mark.parametrize(
    ("asked", "before", "expected"),
    [
        ("MASQUE_PS", ["N"], ["MASQUE_PS"]),
        ("MASQUE_PS", ["MASQUE_PS"], ["MASQUE_PS"]),
        ("MASQUE_PS", ["R"], ["R", "MASQUE_PS"]),
        ("MASQUE_PS", ["INVISIBLE_PATIENT"], ["INVISIBLE_PATIENT", "MASQUE_PS"]),
        ("N", ["MASQUE_PS"], ["MASQUE_PS"]),
        ("N", ["INVISIBLE_PATIENT"], ["N"]),
        ("N", ["INVISIBLE_PATIENT", "MASQUE_PS"], ["MASQUE_PS"]),
        ("N", ["INVISIBLE_REPRESENTANTS_LEGAUX"], ["INVISIBLE_REPRESENTANTS_LEGAUX"]),
        ("N", ["N"], ["N"]),
        ("INVISIBLE_PATIENT", ["INVISIBLE_PATIENT"], ["INVISIBLE_PATIENT"]),
        ("INVISIBLE_PATIENT", ["N"], ["N"]),
        ("INVISIBLE_REPRESENTANTS_LEGAUX", ["N"], ["N"]),
        ("INVISIBLE_REPRESENTANTS_LEGAUX", ["INVISIBLE_PATIENT"], ["INVISIBLE_PATIENT"]),
    ],
)
def test_what_others_set_stays_and_what_they_lifted_does_not_come_back(
    asked: str, before: list[str], expected: list[str]
) -> None:
    for path in ("/securityLabel/0", "/securityLabel"):
        value = concept(asked) if path.endswith("0") else [concept(asked)]
        patch = of_json({"op": "replace", "path": path, "value": value})
        assert [one.code for one in unseen_labels_after([label(code) for code in before], patch)] == expected


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "replace", "path": "/securityLabel/1", "value": concept("MASQUE_PS")}],
        [{"op": "remove", "path": "/securityLabel/1"}],
        [{"op": "replace", "path": "/securityLabel/0", "value": concept("MASQUE_PS")}] * 2,
    ],
)
def test_an_index_that_only_a_reader_could_know_is_refused_whatever_is_there(operations: list[Json]) -> None:
    for before in (["N"], ["N", "MASQUE_PS"]):
        assert refusal(unseen_labels_after, [label(code) for code in before], of_json(*operations))[0] == 422


def test_the_media_type_says_which_form_it_is() -> None:
    assert parser_of("application/json-patch+json") is parse_json_patch
    assert parser_of("application/fhir+json") is parser_of("application/json") is parse_fhirpath_patch
    for other in ("application/xml", "application/fhir+xml", "application/merge-patch+json", ""):
        assert parser_of(other) is None
