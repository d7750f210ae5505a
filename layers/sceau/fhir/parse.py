"""Bytes from outside to FHIR resources, and resources to bytes. Nothing here crashes on what is sent.

JSON is read once and strictly: UTF-8 without a byte order mark, no name twice in an object, no NaN or Infinity, no lone
surrogate or control character, no null or empty value (FHIR R4, "JSON Representation"), a bounded depth, number of
values and length of numbers. Decimals keep their digits: they are `Decimal` in memory, so what was parsed here has to
be written by `write_json`, which knows them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sceau.fhir.outcome import FhirError, Problem, bad_request
from sceau_schemas.fhir.base import Element, Resource

MAX_DEPTH: Final = 64  # objects and arrays inside each other; a FHIR document needs about 20
MAX_VALUES: Final = 1_000_000  # bounds memory: a value costs up to about 100 bytes
MAX_NUMBER_LENGTH: Final = 40  # characters; FHIR asks for 18 digits
MAX_PROBLEMS: Final = 20  # told at once

E = TypeVar("E", bound=Element)
R = TypeVar("R", bound=Resource)
Json = dict[str, Any]

# Escapes that can give what FHIR strings may not hold: surrogates, U+0000 to U+001F. (Unescaped, JSON refuses them.)
_SUSPECT_ESCAPE: Final = re.compile(rb"\\(?:u(?:[dD][89a-fA-F]|00[01])|[bf])")
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
# U+0000 can't be in what was parsed here, so a mark can't be anything else.
_DECIMAL_MARK: Final = "\x00decimal:"
_WRITTEN_DECIMAL: Final = "\\u0000decimal:"
_COPY_MARK: Final = "\x00copy"
_WRITTEN_COPY: Final = b'"\\u0000copy"'
_MARKED_DECIMAL: Final = re.compile(r'"\\u0000decimal:([-+0-9.E]+)"')


@dataclass(frozen=True, slots=True)
class Written:
    """A resource of ours that is JSON already: `write_json` copies it, wherever it stands."""

    resource_type: str
    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Body(Generic[R]):
    """A resource that was sent: the JSON as it came, and the model that judged it."""

    raw: Json
    resource: R


def parse_json(data: bytes) -> Any:
    """Return the JSON value in `data`. Raises FhirError 400; its text never holds any of the data."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise bad_request("the body is not UTF-8", rule="RFC 8259, 8.1") from None
    if data.count(b",") + data.count(b"{") + data.count(b"[") > MAX_VALUES:
        raise FhirError(400, Problem("too-costly", f"the body has more than {MAX_VALUES} values"))
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        # The error's text holds no data; where it is helps the sender.
        raise bad_request(f"the body is not JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    _check_shape(value)
    if _SUSPECT_ESCAPE.search(data):
        _check_characters(value)
    return value


def parse_resource(data: bytes, *models: type[R]) -> Body[R]:
    """Return the resource in `data`, which must be of one of the types that `models` are for.

    Raises FhirError: 400 where it is not JSON or not FHIR R4, 422 where it has an element that we refuse; each problem
    names its element.
    """
    value = parse_json(data)
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise bad_request("the body is not a FHIR resource: it has no resourceType")
    for model in models:
        if value["resourceType"] == resource_type(model):
            return Body(value, judge(model, value, resource_type(model)))
    expected = " or ".join(resource_type(model) for model in models)
    raise bad_request(f"expected a {expected}", "Resource.resourceType")


def judge(model: type[E], value: Any, at: str) -> E:
    """Return a JSON value as its model. `at`: the FHIRPath of the value. Raises FhirError 400 or 422."""
    _build(model)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _as_fhir_error(error, at) from None


def resource_type(model: type[Resource]) -> str:
    """The resourceType that a model is for."""
    return cast(str, model.model_fields["resource_type"].annotation.__args__[0])  # type: ignore[union-attr]  # a Literal


def write_json(value: Any) -> bytes:
    """Return JSON as UTF-8 without needless blanks. Decimals are written with the digits that they came with."""
    copied: list[bytes] = []

    def mark(held: Any) -> str:
        if isinstance(held, Decimal):
            return f"{_DECIMAL_MARK}{held}"
        if isinstance(held, Written):
            copied.append(held.data)
            return _COPY_MARK
        raise TypeError(f"{type(held).__name__} is not JSON")

    # What was parsed can't hold itself, so nobody looks.
    text = json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False, default=mark
    ).encode(value)
    if _WRITTEN_DECIMAL in text:
        text = _MARKED_DECIMAL.sub(r"\1", text)
    if not copied:
        return text.encode("utf-8")
    around = text.encode("utf-8").split(_WRITTEN_COPY)
    return b"".join([piece for pair in zip(around, [*copied, b""], strict=True) for piece in pair])


def read_stored(data: bytes) -> Json:
    """Return the resource that `write_json` wrote. For what rests with us: it was checked when it came."""
    return cast(Json, _STORED_READER.decode(data.decode("utf-8")))


_building = threading.Lock()


def _build(model: type[Element]) -> None:
    """Models are built when first needed; once, and not by two threads at the same time."""
    if not model.__pydantic_complete__:
        with _building:
            model.model_rebuild()


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise bad_request("a name stands twice in an object", rule="RFC 8259, 4")
    return members


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise _bad_number()
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what the library counts
        raise _bad_number() from None
    # Beyond this it is no measure of anything, and a float that somebody makes of it would overflow.
    if abs(number.adjusted()) > 300:  # noqa: PLR2004 - just inside IEEE 754 binary64
        raise _bad_number()
    return number


def _integer(text: str) -> int:
    # Before int(): beyond 4300 digits it refuses, and below it can be slow.
    if len(text) > MAX_NUMBER_LENGTH:
        raise _bad_number()
    return int(text)


def _bad_number() -> FhirError:
    return bad_request("a number is too long or too large")


def _refuse_constant(_: str) -> None:
    raise bad_request("NaN and Infinity are not JSON")


def _too_deep() -> FhirError:
    return FhirError(400, Problem("too-costly", f"the body is nested more than {MAX_DEPTH} levels deep"))


_STORED_READER: Final = json.JSONDecoder(parse_float=Decimal)


def _check_shape(value: Any) -> None:
    """Refuse too much depth, null outside an array, and empty strings, objects and arrays. Level by level."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        below: list[Any] = []
        for container in level:
            is_object = type(container) is dict
            for item in container.values() if is_object else container:
                kind = type(item)
                if kind is dict or kind is list:
                    below.append(item)
                if item is None:
                    if is_object:
                        raise bad_request(
                            "an element is null: leave it out", _where(value, container), rule="FHIR R4 JSON"
                        )
                elif not item and (kind is dict or kind is list or kind is str):
                    raise bad_request(
                        "an element is empty: leave it out", _where(value, container), rule="FHIR R4 JSON"
                    )
        level = below


def _check_characters(value: Any) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if _FORBIDDEN.search(item):
                raise bad_request("a string holds a character that FHIR forbids, or half of one")
        elif isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _where(root: Any, wanted: Any) -> str | None:
    """The FHIRPath of a container in `root`: only sought when something is wrong with it."""
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(root, ())]
    while pending:
        item, path = pending.pop()
        if item is wanted:
            name = root.get("resourceType") if isinstance(root, dict) else None
            return fhirpath(name if isinstance(name, str) and _TYPE.fullmatch(name) else "Resource", path)
        members = item.items() if isinstance(item, dict) else enumerate(item)
        pending.extend((v, (*path, k)) for k, v in members if isinstance(v, dict | list))
    return None


_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{2,40}")
_ELEMENT: Final = re.compile(r"_?[a-z][A-Za-z0-9]{0,63}")


def fhirpath(root: str, path: tuple[str | int, ...]) -> str:
    """Return a path of names and positions as FHIRPath. Type names (pydantic's tags) are left out; a part that can't be
    an element's name ends it: it came from outside.
    """
    text = root
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _TYPE.fullmatch(part):
            continue
        elif not _ELEMENT.fullmatch(part):
            break
        else:
            name = part.removeprefix("_")
            text += ".value" if re.match("value[A-Z]", name) else f".{name}"
    return text


_EXPECTED: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "is not of the form that its type has",
    "int_type": "must be a whole number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "bool_type": "must be true or false",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_short": "must not be empty",
    "union_tag_invalid": "is of a type that is not accepted here",
    "union_tag_not_found": "has no resourceType",
    "unknown_element": "is not an element that FHIR R4 has here",
}


def _as_fhir_error(error: ValidationError, root: str) -> FhirError:
    details = error.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]
    problems = [_as_problem(detail, root) for detail in details]
    refused_only = all(detail["type"] in _UNPROCESSABLE for detail in details)
    return FhirError(422 if refused_only else 400, *problems)


_UNPROCESSABLE: Final = frozenset({"refused_element", "union_tag_invalid"})


def _as_problem(detail: ErrorDetails, root: str) -> Problem:
    """pydantic's own texts are not used: some repeat what was sent."""
    kind = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    expression = fhirpath(root, detail["loc"])
    element = context.get("element")
    if isinstance(element, str) and element:
        expression += element.removeprefix("_") if element.startswith("[") else f".{element.removeprefix('_')}"
    if kind == "refused_element":
        return Problem("not-supported", f"this element is not accepted: {context['expected']}", expression)
    if kind == "wrong_shape":
        return Problem("structure", f"expected {context['expected']}", expression)
    if kind == "literal_error":
        return Problem("code-invalid", f"must be {context['expected']}", expression)
    if kind in {"date", "date_time", "instant"}:
        return Problem("value", detail["msg"], expression)
    code = {"missing": "required", "union_tag_invalid": "not-supported"}.get(kind, "structure")
    return Problem(code, _EXPECTED.get(kind, "is not what FHIR R4 has here"), expression)
