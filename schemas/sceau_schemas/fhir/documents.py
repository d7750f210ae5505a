"""Documents and what is said of them: DocumentReference, List (of a submission set), Binary, a FHIR document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sceau_schemas.fhir.base import Code, DateTime, Element, Instant, Kind, Resource, String, shapes
from sceau_schemas.fhir.datatypes import Attachment, CodeableConcept, Coding, Identifier, Meta, Period, Reference
from sceau_schemas.fhir.people import DomainResource


class Content(Element):
    """A document's attachment and its technical format."""

    attachment: Attachment
    format: Coding | None = None


class RelatesTo(Element):
    """How an entry relates to another."""

    code: Literal["replaces", "transforms", "signs", "appends"]
    target: Reference


class Context(Element):
    """The act that the document tells of."""

    kept: ClassVar[Mapping[str, Kind]] = shapes(arrays="encounter")

    event: list[CodeableConcept] | None = None
    period: Period | None = None
    facility_type: CodeableConcept | None = None
    practice_setting: CodeableConcept | None = None
    source_patient_info: Reference | None = None
    related: list[Reference] | None = None


class DocumentReference(DomainResource):
    """A document entry. Base cardinalities of R4; the profiles' are `sceau.fhir.rules`."""

    kept: ClassVar[Mapping[str, Kind]] = {**Resource.kept, **shapes(primitives="description")}
    refused: ClassVar[Mapping[str, str]] = {**Resource.refused, "docStatus": "MHD forbids it"}

    resource_type: Literal["DocumentReference"]
    master_identifier: Identifier | None = None
    identifier: list[Identifier] | None = None
    status: Literal["current", "superseded", "entered-in-error"]
    type: CodeableConcept | None = None
    category: list[CodeableConcept] | None = None
    subject: Reference | None = None
    date: Instant | None = None
    author: list[Reference] | None = None
    authenticator: Reference | None = None
    custodian: Reference | None = None
    relates_to: list[RelatesTo] | None = None
    security_label: list[CodeableConcept] | None = None
    content: Annotated[list[Content], Field(min_length=1)]
    context: Context | None = None


class ListEntry(Element):
    """A member of a submission set or folder."""

    refused: ClassVar[Mapping[str, str]] = {
        **Element.refused,
        **dict.fromkeys(("flag", "deleted", "date"), "MHD forbids it in a submission set or folder"),
    }

    item: Reference


class List(DomainResource):
    """The List of a submission set (or of a folder)."""

    kept: ClassVar[Mapping[str, Kind]] = {**Resource.kept, **shapes(arrays="note")}
    refused: ClassVar[Mapping[str, str]] = {
        **Resource.refused,
        **dict.fromkeys(("encounter", "orderedBy", "emptyReason"), "MHD forbids it in a submission set or folder"),
    }

    resource_type: Literal["List"]
    identifier: list[Identifier] | None = None
    status: Literal["current", "retired", "entered-in-error"]
    mode: Literal["working", "snapshot", "changes"]
    title: String | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    date: DateTime | None = None
    source: Reference | None = None
    entry: list[ListEntry] | None = None


class Binary(Resource):
    """A document's bytes, in base64."""

    kept: ClassVar[Mapping[str, Kind]] = {**Resource.kept, **shapes(objects="securityContext")}

    resource_type: Literal["Binary"]
    id: String | None = None
    meta: Meta | None = None
    content_type: Code
    data: String | None = None


class FhirDocument(Resource):
    """A document that is itself a FHIR Bundle: its inside is the producer's, and is not read."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **shapes(primitives="total", objects="signature", arrays="link"),
    }

    resource_type: Literal["Bundle"]
    id: String | None = None
    meta: Meta | None = None
    identifier: Identifier | None = None
    type: Code
    timestamp: Instant | None = None
    entry: list[dict[str, Any]] | None = None
