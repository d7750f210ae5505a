"""What all FHIR elements share: primitive types, extensions, and the rule on elements that we don't read.

Source: FHIR R4 4.0.1, "JSON Representation", "Data Types", "Extensibility".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Kind = Literal["primitive", "object", "array", "primitive-array"]

_SPEAKABLE: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")
_EXTENSION_PARTS: Final = frozenset({"id", "extension"})


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRIMITIVE_TYPES: Final = _names(
    "Base64Binary Boolean Canonical Code Date DateTime Decimal Id Instant Integer Markdown Oid PositiveInt String Time "
    "UnsignedInt Uri Url Uuid"
)
COMPLEX_TYPES: Final = _names(
    "Address Age Annotation Attachment CodeableConcept Coding ContactDetail ContactPoint Contributor Count "
    "DataRequirement Distance Dosage Duration Expression HumanName Identifier Meta Money ParameterDefinition Period "
    "Quantity Range Ratio Reference RelatedArtifact SampledData Signature Timing TriggerDefinition UsageContext"
)
"""The types of an open `value[x]` (R4, "Open Type Element")."""


def unknown_element(name: str) -> PydanticCustomError:
    """An element that R4 does not know at this place. The name came from outside: only what looks like one is told."""
    return PydanticCustomError("unknown_element", "unknown", {"element": name if _SPEAKABLE.fullmatch(name) else ""})


def wrong_shape(name: str, expected: str) -> PydanticCustomError:
    """An element whose JSON is not of the kind that R4 says."""
    return PydanticCustomError("wrong_shape", "shape", {"element": name, "expected": expected})


def refused_element(name: str, reason: str) -> PydanticCustomError:
    """An element that R4 knows and that we don't accept."""
    return PydanticCustomError("refused_element", "refused", {"element": name, "expected": reason})


def shapes(
    *, primitives: str = "", objects: str = "", arrays: str = "", primitive_arrays: str = ""
) -> Mapping[str, Kind]:
    """Name the elements of R4 that a model accepts, checks for their JSON shape only, and doesn't read."""
    named: dict[str, Kind] = dict.fromkeys(primitives.split(), "primitive")
    named.update(dict.fromkeys(objects.split(), "object"))
    named.update(dict.fromkeys(arrays.split(), "array"))
    named.update(dict.fromkeys(primitive_arrays.split(), "primitive-array"))
    return named


def fits(kind: Kind, value: Any) -> bool:
    """Say whether a JSON value is of that kind."""
    match kind:
        case "primitive":
            return isinstance(value, str | bool | int | float | Decimal)
        case "object":
            return isinstance(value, dict) and bool(value)
        case "array":
            return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
        case "primitive-array":
            return isinstance(value, list) and bool(value) and all(item is None or _scalar(item) for item in value)


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float | Decimal)


def _is_sibling(value: Any) -> bool:
    """Say whether a value may stand in `_name`, beside a primitive: its id and extensions, or an array of such."""
    if isinstance(value, list):
        return bool(value) and all(item is None or (isinstance(item, dict) and _is_sibling(item)) for item in value)
    return isinstance(value, dict) and bool(value) and value.keys() <= _EXTENSION_PARTS


def _check_extensions(value: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for position, extension in enumerate(value):
        _check_extension(extension, f"[{position}]")
    return value


def _check_extension(extension: dict[str, Any], at: str) -> None:
    url = extension.get("url")
    if not isinstance(url, str) or not url or any(c.isspace() for c in url):
        raise wrong_shape(f"{at}.url", "a uri")
    values = 0
    for name, value in extension.items():
        if name in {"url", "_url"}:
            continue
        if name == "id":
            if not isinstance(value, str):
                raise wrong_shape(f"{at}.id", "a string")
        elif name == "extension":
            if not fits("array", value):
                raise wrong_shape(f"{at}.extension", "an array of objects")
            for position, nested in enumerate(value):
                _check_extension(nested, f"{at}.extension[{position}]")
        elif not _is_open_value(name, value):
            if name == "modifierExtension" or not name.lstrip("_").startswith("value"):
                raise PydanticCustomError("unknown_element", "unknown", {"element": at})
            raise wrong_shape(f"{at}.value", "a value of a type that R4 knows")
        elif not name.startswith("_"):
            values += 1
    has_value = values > 0 or any(name.startswith("_value") for name in extension)
    if values > 1 or has_value is ("extension" in extension):  # ext-1
        raise wrong_shape(at, "either one value or extensions")


def _is_open_value(name: str, value: Any) -> bool:
    sibling = name.startswith("_")
    type_name = name.removeprefix("_").removeprefix("value")
    if type_name in PRIMITIVE_TYPES:
        return _is_sibling(value) if sibling else _scalar(value)
    return not sibling and type_name in COMPLEX_TYPES and fits("object", value)


def check_open_value(extra: Mapping[str, Any], known: frozenset[str]) -> None:
    """Check `value[x]` among the elements of an open type: at most one, of a known type. Raises what pydantic maps."""
    values = [name for name in extra if name.removeprefix("_") not in known]
    for name in values:
        if not name.removeprefix("_").startswith("value"):
            raise unknown_element(name)
        if not _is_open_value(name, extra[name]):
            raise wrong_shape("value", "a value of a type that R4 knows")
    if len({name.removeprefix("_") for name in values}) > 1:
        raise wrong_shape("value", "one value")


_DATE: Final = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
)
_WHOLE_DATE: Final = "0001-01-01"


def _exists(text: str) -> bool:
    """Say whether a date of the right form is in the calendar (29 February, second 60, year 0 are not always)."""
    try:
        datetime.fromisoformat(text + _WHOLE_DATE[len(text) :])
    except ValueError:
        return False
    return True


def _date(text: str) -> str:
    if not _DATE.fullmatch(text) or not _exists(text):
        raise PydanticCustomError("date", "expected a date: YYYY, YYYY-MM or YYYY-MM-DD")
    return text


def _instant(text: str) -> str:
    if not _INSTANT.fullmatch(text) or not _exists(text):
        raise PydanticCustomError("instant", "expected an instant: YYYY-MM-DDThh:mm:ss.sss with a time zone")
    return text


def _date_time(text: str) -> str:
    if not (_DATE.fullmatch(text) or _INSTANT.fullmatch(text)) or not _exists(text):
        raise PydanticCustomError("date_time", "expected a dateTime: a date, or YYYY-MM-DDThh:mm:ss with a time zone")
    return text


String = Annotated[str, Field(min_length=1)]
Code = Annotated[str, Field(pattern=r"^\S+( \S+)*$")]
Uri = Annotated[str, Field(pattern=r"^\S+$")]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
Base64 = Annotated[str, Field(pattern=r"^[0-9A-Za-z+/=]+$")]
UnsignedInt = Annotated[int, Field(ge=0, le=2_147_483_647)]
Date = Annotated[str, AfterValidator(_date)]
DateTime = Annotated[str, AfterValidator(_date_time)]
Instant = Annotated[str, AfterValidator(_instant)]
Extensions = Annotated[list[dict[str, Any]], Field(min_length=1), AfterValidator(_check_extensions)]


def _only_primitive(annotation: Any) -> bool:
    if get_origin(annotation) is dict:
        return False
    inner = get_args(annotation)
    if not inner:
        return not (isinstance(annotation, type) and issubclass(annotation, BaseModel))
    return all(_only_primitive(part) for part in inner)


class Element(BaseModel):
    """Any FHIR element. `kept`: elements of R4 that we accept and don't read. `refused`: those we don't accept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True, alias_generator=to_camel)

    kept: ClassVar[Mapping[str, Kind]] = {}
    refused: ClassVar[Mapping[str, str]] = {
        "modifierExtension": "it would change the meaning of what is around it, in a way that we don't know"
    }
    _primitives: ClassVar[frozenset[str]] = frozenset()

    id: String | None = None
    extension: Extensions | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        typed = {f.alias for f in cls.model_fields.values() if f.alias and _only_primitive(f.annotation)}
        plain = {name for name, kind in cls.kept.items() if kind.startswith("primitive")}
        cls._primitives = frozenset(typed | plain) - {"extension", "id", "resourceType"}

    @model_validator(mode="after")
    def _only_what_r4_knows(self) -> Element:
        if self.__pydantic_extra__:
            self.check_extra(self.__pydantic_extra__)
        return self

    def check_extra(self, extra: Mapping[str, Any]) -> None:
        """Judge the elements that the model doesn't type. Raises PydanticCustomError."""
        for name, value in extra.items():
            kind = self.kept.get(name)
            if kind is not None:
                if not fits(kind, value):
                    raise wrong_shape(name, f"JSON: {kind}")
            elif name in self.refused:
                raise refused_element(name, self.refused[name])
            elif not (name.startswith("_") and name[1:] in self._primitives):
                raise unknown_element(name)
            elif not _is_sibling(value):
                raise wrong_shape(name[1:], "an id and extensions beside the value")


class Resource(Element):
    """Any resource. The tag `resourceType` is each model's own."""

    refused: ClassVar[Mapping[str, str]] = {
        **Element.refused,
        "implicitRules": "rules that we don't know can't be followed",
    }
    kept: ClassVar[Mapping[str, Kind]] = shapes(primitives="language")
