"""The FHIR R4 data types that Sceau reads."""

from __future__ import annotations

from typing import ClassVar, Literal

from sceau_schemas.fhir.base import (
    Base64,
    Code,
    DateTime,
    Element,
    Id,
    Instant,
    String,
    UnsignedInt,
    Uri,
    shapes,
)


class Coding(Element):
    """A code of a code system."""

    system: Uri | None = None
    version: String | None = None
    code: Code | None = None
    display: String | None = None
    user_selected: bool | None = None


class CodeableConcept(Element):
    """A concept: codings that mean the same, and a text."""

    coding: list[Coding] | None = None
    text: String | None = None


class Identifier(Element):
    """A business identifier."""

    kept: ClassVar = shapes(objects="period assigner")

    use: Literal["usual", "official", "temp", "secondary", "old"] | None = None
    type: CodeableConcept | None = None
    system: Uri | None = None
    value: String | None = None


class Reference(Element):
    """A reference: literal, by identifier, or both."""

    reference: String | None = None
    type: Uri | None = None
    identifier: Identifier | None = None
    display: String | None = None


class Period(Element):
    """A time from `start` to `end`, both included at their precision."""

    start: DateTime | None = None
    end: DateTime | None = None


class HumanName(Element):
    """A person's name."""

    kept: ClassVar = shapes(objects="period", primitive_arrays="prefix suffix")

    use: Literal["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"] | None = None
    text: String | None = None
    family: String | None = None
    given: list[String | None] | None = None


class Meta(Element):
    """Metadata of a resource."""

    kept: ClassVar = shapes(arrays="security tag")

    version_id: Id | None = None
    last_updated: Instant | None = None
    source: Uri | None = None
    profile: list[Uri] | None = None


class Attachment(Element):
    """Content, inline (`data`) or elsewhere (`url`), and what is known of it. `size` in bytes; `hash` is a SHA-1."""

    content_type: Code | None = None
    language: Code | None = None
    data: String | None = None
    url: Uri | None = None
    size: UnsignedInt | None = None
    hash: Base64 | None = None
    title: String | None = None
    creation: DateTime | None = None
