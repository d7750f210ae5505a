"""FHIR bodies as a client makes them: for the journey, tests and benchmarks. Pure: same arguments, same JSON.

What is made here is valid against PDSm (both editions that we know), MHD 4.2.3 and fr-core, and says more than the
service asks for. The people are those of `samples`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from sceau.cli.samples import KINDS, Author, Patient, Structure, make_cda
from sceau.fhir import codes
from sceau.fhir.consents import ACT_CODES, ACTIONS, GRANT, OPENING, PARTICIPATIONS, SCOPES
from sceau.fhir.patient import identity
from sceau.fhir.references import IDNAT_PS, IDNAT_STRUCT, URI_SYSTEM
from sceau.fhir.rules import IS_ARCHIVED
from sceau.fhir.sets import DESIGNATION_TYPE, LIST_TYPES, SOURCE_ID
from sceau_schemas.dossier import StoredIdentifier, StoredPatient

Json = dict[str, Any]

_PDSM: Final = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/"
_FR_0203: Final = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"
_NOS: Final = "https://mos.esante.gouv.fr/NOS/"
_SECTORS: Final = _NOS + "TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite"
_SETTINGS: Final = _NOS + "TRE_A01-CadreExercice/FHIR/TRE-A01-CadreExercice"
_PATCH_PROFILE: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.Patch.Parameters"
_GENDERS: Final[dict[str, Literal["male", "female"]]] = {"F": "female", "M": "male"}
_NAMESPACE: Final = uuid.UUID("5cea0000-0000-4000-8000-000000000001")


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """A document and what its entry says. `unique_id`: `urn:oid:…` or `urn:uuid:…`.

    `replaces`: the FHIR id or a business identifier of an entry. `fhir_document`: send it as a Bundle, not a Binary.
    """

    data: bytes
    kind: codes.DocumentType
    title: str
    format_system: str
    format_code: str
    author: Author
    structure: Structure
    when: datetime
    unique_id: str
    content_type: str = "application/xml"
    label: tuple[str, str] = (codes.TRE_A08, "N")
    replaces: str | StoredIdentifier | None = None
    archived: bool | None = None
    fhir_document: bool = False
    related: tuple[StoredIdentifier, ...] = field(default=())


def sample_document(
    kind: str,
    *,
    patient: Patient,
    author: Author,
    structure: Structure,
    when: datetime,
    unique_id: str,
    label: tuple[str, str] = (codes.TRE_A08, "N"),
    replaces: str | StoredIdentifier | None = None,
    body_bytes: bytes | None = None,
) -> SampleDocument:
    """Return a CDA of a kind of `samples.KINDS` with what its entry says."""
    chosen = KINDS[kind]
    data = make_cda(
        kind,
        patient=patient,
        author=author,
        structure=structure,
        document_id=unique_id,
        when=when,
        body_bytes=body_bytes,
    )
    return SampleDocument(
        data=data,
        kind=chosen.document_type,
        title=chosen.title,
        format_system=chosen.format_system,
        format_code=chosen.format_code,
        author=author,
        structure=structure,
        when=when,
        unique_id=unique_id,
        label=label,
        replaces=replaces,
    )


def provide_bundle(
    documents: Sequence[SampleDocument], *, patient: Patient, when: datetime, set_id: str, with_patch: bool = True
) -> Json:
    """Return an ITI-65 transaction: a submission set, its documents, and the patch of what they replace.

    `set_id`: the set's uniqueId, `urn:oid:…`. `with_patch`: add the Parameters entry for entries replaced by FHIR id.
    """
    names = [_urn("document", document.unique_id) for document in documents]
    entries = [_entry(_urn("set", set_id), _submission_set(documents[0], patient, when, set_id, names))]
    for name, document in zip(names, documents, strict=True):
        url = _urn("content", document.unique_id)
        reference = document_reference(document, patient=patient, when=when)
        attachment = reference["content"][0]["attachment"]
        del attachment["data"]
        attachment["url"] = url
        entries.append(_entry(name, reference))
        if with_patch and isinstance(document.replaces, str):
            entries.append(_patch(document.replaces))
        entries.append(_entry(url, _content(document)))
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [_PDSM + "pdsm-comprehensive-provide-document-bundle"]},
        "type": "transaction",
        "entry": entries,
    }


def simplified(document: SampleDocument, *, patient: Patient, when: datetime) -> Json:
    """Return the DocumentReference of ITI-105, its document inline."""
    reference = document_reference(document, patient=patient, when=when)
    reference["meta"] = {"profile": [_PDSM + "pdsm-simplified-publish"]}
    return reference


def document_reference(document: SampleDocument, *, patient: Patient, when: datetime) -> Json:
    """Return a whole DocumentReference with its document inline. `when`: the indexing date."""
    kind = document.kind
    class_system, class_code = kind.class_system or codes.TRE_A03, kind.class_code or "99"
    reference: Json = {
        "resourceType": "DocumentReference",
        "meta": {"profile": [_PDSM + "pdsm-comprehensive-document-reference"]},
        "contained": [*_makers(document.author, document.structure), _source_patient(patient)],
        "masterIdentifier": {"use": "usual", "system": URI_SYSTEM, "value": document.unique_id},
        "status": "current",
        "type": _concept(kind.system, kind.code, kind.label),
        "category": [_concept(class_system, class_code)],
        "subject": _subject(patient),
        "date": _instant(when),
        "author": [{"reference": "#author"}],
        "authenticator": {"reference": "#organization"},
        "custodian": {"type": "Organization", "identifier": _idnat_struct(document.structure)},
        "securityLabel": [_concept(*document.label)],
        "content": [
            {
                "attachment": {
                    "contentType": document.content_type,
                    "language": "fr-FR",
                    "data": base64.b64encode(document.data).decode("ascii"),
                    "size": len(document.data),
                    "hash": _sha1(document.data),
                    "title": document.title,
                    "creation": _instant(document.when),
                },
                "format": {"system": document.format_system, "code": document.format_code},
            }
        ],
        "context": {
            "period": {"start": _instant(document.when)},
            "facilityType": _concept(_SECTORS, document.structure.sector),
            "practiceSetting": _concept(_SETTINGS, document.structure.setting),
            "sourcePatientInfo": {"reference": "#patient"},
        },
    }
    if document.replaces is not None:
        reference["relatesTo"] = [{"code": "replaces", "target": _target(document.replaces)}]
    if document.archived is not None:
        reference["extension"] = [{"url": IS_ARCHIVED, "valueBoolean": document.archived}]
    if document.related:
        reference["context"]["related"] = [{"identifier": _identifier(one)} for one in document.related]
    return reference


def consent_opening(patient: Patient) -> Json:
    """Return the Consent that opens a patient's record."""
    return {
        "resourceType": "Consent",
        "contained": [{**identity(stored_patient(patient)), "id": "patient"}],
        "status": "active",
        "scope": _concept(SCOPES, "patient-privacy"),
        "category": [_concept(ACT_CODES, OPENING)],
        "patient": {"reference": "#patient"},
        "policyRule": _concept(ACT_CODES, "OPTIN"),
        "provision": {"type": "permit"},
    }


def consent_grant(
    patient: Patient,
    structure: Structure,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    active: bool = True,
) -> Json:
    """Return the Consent that authorises a structure to read; `active` false withdraws it."""
    period = {name: _instant(at) for name, at in (("start", start), ("end", end)) if at is not None}
    actor = {
        "role": _concept(PARTICIPATIONS, "IRCP"),
        "reference": {"type": "Organization", "identifier": _idnat_struct(structure), "display": structure.name},
    }
    return {
        "resourceType": "Consent",
        "status": "active" if active else "inactive",
        "scope": _concept(SCOPES, "patient-privacy"),
        "category": [_concept(ACT_CODES, GRANT)],
        "patient": _subject(patient),
        "policyRule": _concept(ACT_CODES, "OPTIN"),
        "provision": {
            "type": "permit",
            **({"period": period} if period else {}),
            "actor": [actor],
            "action": [_concept(ACTIONS, "access")],
        },
    }


def fhir_document(patient: Patient, kind: codes.DocumentType, *, when: datetime, unique_id: str, title: str) -> bytes:
    """Return a small FHIR document: a Bundle whose Composition has one narrative section."""
    text = '<div xmlns="http://www.w3.org/1999/xhtml">Rien à signaler.</div>'
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": _concept(kind.system, kind.code),
        "subject": _subject(patient),
        "date": _instant(when),
        "author": [{"display": "Logiciel modèle"}],
        "title": title,
        "section": [{"title": "Conclusion", "text": {"status": "generated", "div": text}}],
    }
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": URI_SYSTEM, "value": unique_id},
        "type": "document",
        "timestamp": _instant(when),
        "entry": [{"fullUrl": _urn("composition", unique_id), "resource": composition}],
    }
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


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


def _submission_set(
    document: SampleDocument, patient: Patient, when: datetime, set_id: str, members: Sequence[str]
) -> Json:
    class_code = document.kind.class_code or "99"
    return {
        "resourceType": "List",
        "meta": {"profile": [_PDSM + "pdsm-submissionset-comprehensive"]},
        "contained": _makers(document.author, document.structure),
        "extension": [
            {"url": DESIGNATION_TYPE, "valueCodeableConcept": _concept(codes.TRE_A03, class_code)},
            {
                "url": SOURCE_ID,
                "valueIdentifier": {"system": URI_SYSTEM, "value": _oid("software", document.structure.identifier)},
            },
        ],
        "identifier": [{"use": "usual", "system": URI_SYSTEM, "value": set_id}],
        "status": "current",
        "mode": "working",
        "title": document.title,
        "code": _concept(LIST_TYPES, "submissionset"),
        "subject": _subject(patient),
        "date": _instant(when),
        "source": {"reference": "#author"},
        "entry": [{"item": {"reference": member}} for member in members],
    }


def _makers(author: Author, structure: Structure) -> list[Json]:
    """The author as a contained resource named `author`, and what it names in turn."""
    organization: Json = {
        "resourceType": "Organization",
        "id": "organization",
        "identifier": [_idnat_struct(structure)],
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
        "identifier": [{"type": _concept(_FR_0203, "IDNPS"), "system": IDNAT_PS, "value": author.identifier}],
        "name": [{"family": author.family, "given": [author.given]}],
    }
    role: Json = {
        "resourceType": "PractitionerRole",
        "id": "author",
        "practitioner": {"reference": "#practitioner"},
        "organization": {"reference": "#organization"},
    }
    return [role, practitioner, organization]


def _content(document: SampleDocument) -> Json:
    if document.fhir_document:
        bundle: Json = json.loads(document.data)
        return bundle
    return {
        "resourceType": "Binary",
        "contentType": document.content_type,
        "data": base64.b64encode(document.data).decode("ascii"),
    }


def _patch(fhir_id: str) -> Json:
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "DocumentReference.status"},
        {"name": "value", "valueCode": "superseded"},
    ]
    return {
        "fullUrl": _urn("patch", fhir_id),
        "resource": {
            "resourceType": "Parameters",
            "meta": {"profile": [_PATCH_PROFILE]},
            "parameter": [{"name": "operation", "part": parts}],
        },
        "request": {"method": "PATCH", "url": f"DocumentReference/{fhir_id}"},
    }


def _source_patient(patient: Patient) -> Json:
    """The patient as the source knew it: without the birth place, which no document entry needs."""
    return {name: value for name, value in identity(stored_patient(patient)).items() if name != "extension"} | {
        "id": "patient"
    }


def _subject(patient: Patient) -> Json:
    return {"type": "Patient", "identifier": {"system": patient.ins_system, "value": patient.ins_value}}


def _target(replaces: str | StoredIdentifier) -> Json:
    if isinstance(replaces, str):
        return {"reference": f"DocumentReference/{replaces}"}
    return {"type": "DocumentReference", "identifier": _identifier(replaces)}


def _identifier(identifier: StoredIdentifier) -> Json:
    return {"system": identifier.system, "value": identifier.value}


def _idnat_struct(structure: Structure) -> Json:
    return {"type": _concept(_FR_0203, "IDNST"), "system": IDNAT_STRUCT, "value": structure.identifier}


def _concept(system: str, code: str, display: str | None = None) -> Json:
    coding = {"system": system, "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}


def _entry(url: str, resource: Json) -> Json:
    return {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def _urn(what: str, name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{what} {name}')}"


def _oid(what: str, name: str) -> str:
    return f"urn:oid:2.25.{uuid.uuid5(_NAMESPACE, f'{what} {name}').int}"


def _instant(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def _sha1(data: bytes) -> str:
    return base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode("ascii")
