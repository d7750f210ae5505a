"""Consent: the life of a record, and the decisions about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sceau_schemas.fhir.base import DateTime, Element, Kind, Resource, shapes
from sceau_schemas.fhir.datatypes import CodeableConcept, Coding, Period, Reference
from sceau_schemas.fhir.people import DomainResource


class Actor(Element):
    """Whom a provision concerns, and as what."""

    role: CodeableConcept
    reference: Reference


class Provision(Element):
    """What is permitted. What would narrow it is refused: an ignored restriction would give more than was meant."""

    refused: ClassVar[Mapping[str, str]] = {
        **Element.refused,
        **dict.fromkeys(
            ("securityLabel", "class", "code", "dataPeriod", "data", "provision"),
            "an authorisation covers the whole record; a narrower one is not supported",
        ),
    }

    type: Literal["deny", "permit"] | None = None
    period: Period | None = None
    actor: list[Actor] | None = None
    action: list[CodeableConcept] | None = None
    purpose: list[Coding] | None = None


class Consent(DomainResource):
    """A decision of the patient, or one recorded for the patient."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **shapes(
            objects="sourceAttachment sourceReference",
            arrays="identifier performer organization policy verification",
        ),
    }

    resource_type: Literal["Consent"]
    status: Literal["draft", "proposed", "active", "rejected", "inactive", "entered-in-error"]
    scope: CodeableConcept
    category: Annotated[list[CodeableConcept], Field(min_length=1)]
    patient: Reference | None = None
    date_time: DateTime | None = None
    policy_rule: CodeableConcept | None = None
    provision: Provision | None = None
