"""Who a document is about and who made it: the resources that stand inside others, and Patient on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from sceau_schemas.fhir.base import Date, Kind, Resource, String, shapes
from sceau_schemas.fhir.datatypes import HumanName, Identifier, Meta, Reference

_PERSON: dict[str, Kind] = dict(shapes(primitives="active", arrays="telecom address photo communication"))


class PersonalResource(Resource):
    """What the resources of this module share."""

    id: String | None = None
    meta: Meta | None = None
    text: dict[str, Any] | None = None
    identifier: list[Identifier] | None = None


class Patient(PersonalResource):
    """A patient."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **_PERSON,
        **shapes(
            primitives="deceasedBoolean deceasedDateTime multipleBirthBoolean multipleBirthInteger",
            objects="maritalStatus managingOrganization",
            arrays="contact generalPractitioner link",
        ),
    }

    resource_type: Literal["Patient"]
    name: list[HumanName] | None = None
    gender: Literal["male", "female", "other", "unknown"] | None = None
    birth_date: Date | None = None


class Practitioner(PersonalResource):
    """A professional."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **_PERSON,
        **shapes(primitives="gender birthDate", arrays="qualification"),
    }

    resource_type: Literal["Practitioner"]
    name: list[HumanName] | None = None


class PractitionerRole(PersonalResource):
    """A professional at work for an organisation."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **shapes(
            primitives="active availabilityExceptions",
            objects="period",
            arrays="code specialty location healthcareService telecom availableTime notAvailable endpoint",
        ),
    }

    resource_type: Literal["PractitionerRole"]
    practitioner: Reference | None = None
    organization: Reference | None = None


class Organization(PersonalResource):
    """A care structure."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **shapes(
            primitives="active name",
            objects="partOf",
            arrays="type telecom address contact endpoint",
            primitive_arrays="alias",
        ),
    }

    resource_type: Literal["Organization"]


class Device(PersonalResource):
    """A system that made a document."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **shapes(
            primitives="status distinctIdentifier manufacturer manufactureDate expirationDate lotNumber serialNumber "
            "modelNumber partNumber url",
            objects="definition type patient location parent",
            arrays="udiCarrier statusReason deviceName specialization version property contact note safety",
        ),
    }

    resource_type: Literal["Device"]
    owner: Reference | None = None


class RelatedPerson(PersonalResource):
    """Somebody close to the patient."""

    kept: ClassVar[Mapping[str, Kind]] = {
        **Resource.kept,
        **_PERSON,
        **shapes(primitives="gender birthDate", objects="patient period", arrays="relationship"),
    }

    resource_type: Literal["RelatedPerson"]
    name: list[HumanName] | None = None


class OtherContained(Resource):
    """A contained resource of another type: kept as it is."""

    resource_type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{2,63}$")]
    id: String | None = None

    def check_extra(self, extra: Mapping[str, Any]) -> None:
        """Nothing is known of it but that its meaning must not be changed by rules that we don't know."""
        for name in extra.keys() & self.refused.keys():
            super().check_extra({name: extra[name]})


_CONTAINED = frozenset({"Patient", "Practitioner", "PractitionerRole", "Organization", "Device", "RelatedPerson"})


def _contained_type(value: Any) -> str:
    name = value.get("resourceType") if isinstance(value, dict) else getattr(value, "resource_type", None)
    return name if isinstance(name, str) and name in _CONTAINED else "Other"


Contained = Annotated[
    Annotated[Patient, Tag("Patient")]
    | Annotated[Practitioner, Tag("Practitioner")]
    | Annotated[PractitionerRole, Tag("PractitionerRole")]
    | Annotated[Organization, Tag("Organization")]
    | Annotated[Device, Tag("Device")]
    | Annotated[RelatedPerson, Tag("RelatedPerson")]
    | Annotated[OtherContained, Tag("Other")],
    Discriminator(_contained_type),
]


class DomainResource(Resource):
    """A resource that may have a narrative and contain others."""

    id: String | None = None
    meta: Meta | None = None
    text: dict[str, Any] | None = None
    contained: list[Contained] | None = None
