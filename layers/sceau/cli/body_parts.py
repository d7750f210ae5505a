"""The pieces that `bodies` puts together."""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import datetime
from typing import Any, Final, Literal

from sceau.cli.samples import Author, Patient, Structure
from sceau.fhir.patient import identity
from sceau_schemas.dossier import StoredIdentifier, StoredPatient
from sceau_schemas.systems import IDNAT_PS, IDNAT_STRUCT

Json = dict[str, Any]

_FR_0203: Final = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"
_GENDERS: Final[dict[str, Literal["male", "female"]]] = {"F": "female", "M": "male"}
_NAMESPACE: Final = uuid.UUID("5cea0000-0000-4000-8000-000000000001")


def stored_patient(patient: Patient) -> StoredPatient:
    """Return a sample patient as a record holds it."""
    return StoredPatient(
        ins=StoredIdentifier(system=patient.ins_system, value=patient.ins_value),
        birth_name=patient.birth_name,
        first_names=patient.first_names,
        birth_date=patient.birth_date.isoformat(),
        sex=_GENDERS[patient.gender],
        birth_place=patient.birth_place,
    )


def makers(author: Author, structure: Structure) -> list[Json]:
    """The author as a contained resource named `author`, and what it names in turn."""
    organization: Json = {
        "resourceType": "Organization",
        "id": "organization",
        "identifier": [idnat_struct(structure)],
        "name": structure.name,
    }
    if author.device:
        device: Json = {
            "resourceType": "Device",
            "id": "author",
            "deviceName": [{"name": author.family, "type": "user-friendly-name"}],
            "owner": {"reference": "#organization"},
        }
        return [device, organization]
    practitioner: Json = {
        "resourceType": "Practitioner",
        "id": "practitioner",
        "identifier": [{"type": concept(_FR_0203, "IDNPS"), "system": IDNAT_PS, "value": author.identifier}],
        "name": [{"family": author.family, "given": [author.given]}],
    }
    role: Json = {
        "resourceType": "PractitionerRole",
        "id": "author",
        "practitioner": {"reference": "#practitioner"},
        "organization": {"reference": "#organization"},
    }
    return [role, practitioner, organization]


def source_patient(patient: Patient) -> Json:
    """The patient as the source knew it: without the birth place, which no document entry needs."""
    return {name: value for name, value in identity(stored_patient(patient)).items() if name != "extension"} | {
        "id": "patient"
    }


def subject(patient: Patient) -> Json:
    """Name a patient by INS."""
    return {"type": "Patient", "identifier": {"system": patient.ins_system, "value": patient.ins_value}}


def target(replaces: str | StoredIdentifier) -> Json:
    """Point at an entry."""
    if isinstance(replaces, str):
        return {"reference": f"DocumentReference/{replaces}"}
    return {"type": "DocumentReference", "identifier": identifier(replaces)}


def identifier(identifier: StoredIdentifier) -> Json:
    """Write an identifier."""
    return {"system": identifier.system, "value": identifier.value}


def idnat_struct(structure: Structure) -> Json:
    """Write a structure's national identifier."""
    return {"type": concept(_FR_0203, "IDNST"), "system": IDNAT_STRUCT, "value": structure.identifier}


def concept(system: str, code: str, display: str | None = None) -> Json:
    """Write a concept of one coding."""
    coding = {"system": system, "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}


def entry(url: str, resource: Json) -> Json:
    """Make a bundle entry that creates a resource."""
    return {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def urn(what: str, name: str) -> str:
    """Name something by a UUID that depends on its name only."""
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{what} {name}')}"


def oid(what: str, name: str) -> str:
    """Name something by an OID that depends on its name only."""
    return f"urn:oid:2.25.{uuid.uuid5(_NAMESPACE, f'{what} {name}').int}"


def instant(when: datetime) -> str:
    """Write an aware time."""
    return when.isoformat(timespec="seconds")


def sha1(data: bytes) -> str:
    """Return the hash of an attachment."""
    return base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode("ascii")
