"""FHIR bodies as a client makes them: for the journey, tests and benchmarks. Pure: same arguments, same JSON.

What is made here is valid against PDSm (both editions that we know), MHD 4.2.3 and fr-core, and says more than the
service asks for. The people are those of `samples`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sceau.cli.body_consents import consent_decision, consent_grant, consent_life, consent_opening
from sceau.cli.body_folders import SampleFolder, folder_entry
from sceau.cli.body_parts import (
    Json,
    concept,
    entry,
    identifier,
    idnat_struct,
    instant,
    makers,
    oid,
    sha1,
    source_patient,
    stored_patient,
    subject,
    target,
    urn,
)
from sceau.cli.samples import KINDS, Author, Patient, Structure, make_cda
from sceau.fhir import codes
from sceau.fhir.references import URI_SYSTEM
from sceau.fhir.rules import IS_ARCHIVED
from sceau.fhir.sets import DESIGNATION_TYPE, LIST_TYPES, SOURCE_ID
from sceau_schemas.dossier import StoredIdentifier

__all__ = [
    "SampleDocument",
    "SampleFolder",
    "consent_decision",
    "consent_grant",
    "consent_life",
    "consent_opening",
    "document_reference",
    "fhir_document",
    "provide_bundle",
    "sample_document",
    "simplified",
    "stored_patient",
]

_PDSM: Final = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/"
_NOS: Final = "https://mos.esante.gouv.fr/NOS/"
_SECTORS: Final = _NOS + "TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite"
_SETTINGS: Final = _NOS + "TRE_A01-CadreExercice/FHIR/TRE-A01-CadreExercice"
_PATCH_PROFILE: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.Patch.Parameters"


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
    documents: Sequence[SampleDocument],
    *,
    patient: Patient,
    when: datetime,
    set_id: str,
    with_patch: bool = True,
    folders: Sequence[SampleFolder] = (),
) -> Json:
    """Return an ITI-65 transaction: a submission set, its documents, the patch of what they replace, and folders.

    `set_id`: the set's uniqueId, `urn:oid:…`. `with_patch`: add the Parameters entry for entries replaced by FHIR id.
    """
    names = [urn("document", document.unique_id) for document in documents]
    members = names + [folder.url for folder in folders if folder.listed]
    entries = [entry(urn("set", set_id), _submission_set(documents[0], patient, when, set_id, members))]
    for name, document in zip(names, documents, strict=True):
        url = urn("content", document.unique_id)
        reference = document_reference(document, patient=patient, when=when)
        attachment = reference["content"][0]["attachment"]
        del attachment["data"]
        attachment["url"] = url
        entries.append(entry(name, reference))
        if with_patch and isinstance(document.replaces, str):
            entries.append(_patch(document.replaces))
        entries.append(entry(url, _content(document)))
    entries += [folder_entry(folder, patient=patient, when=when) for folder in folders]
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
        "contained": [*makers(document.author, document.structure), source_patient(patient)],
        "masterIdentifier": {"use": "usual", "system": URI_SYSTEM, "value": document.unique_id},
        "status": "current",
        "type": concept(kind.system, kind.code, kind.label),
        "category": [concept(class_system, class_code)],
        "subject": subject(patient),
        "date": instant(when),
        "author": [{"reference": "#author"}],
        "authenticator": {"reference": "#organization"},
        "custodian": {"type": "Organization", "identifier": idnat_struct(document.structure)},
        "securityLabel": [concept(*document.label)],
        "content": [
            {
                "attachment": {
                    "contentType": document.content_type,
                    "language": "fr-FR",
                    "data": base64.b64encode(document.data).decode("ascii"),
                    "size": len(document.data),
                    "hash": sha1(document.data),
                    "title": document.title,
                    "creation": instant(document.when),
                },
                "format": {"system": document.format_system, "code": document.format_code},
            }
        ],
        "context": {
            "period": {"start": instant(document.when)},
            "facilityType": concept(_SECTORS, document.structure.sector),
            "practiceSetting": concept(_SETTINGS, document.structure.setting),
            "sourcePatientInfo": {"reference": "#patient"},
        },
    }
    if document.replaces is not None:
        reference["relatesTo"] = [{"code": "replaces", "target": target(document.replaces)}]
    if document.archived is not None:
        reference["extension"] = [{"url": IS_ARCHIVED, "valueBoolean": document.archived}]
    if document.related:
        reference["context"]["related"] = [{"identifier": identifier(one)} for one in document.related]
    return reference


def fhir_document(patient: Patient, kind: codes.DocumentType, *, when: datetime, unique_id: str, title: str) -> bytes:
    """Return a small FHIR document: a Bundle whose Composition has one narrative section."""
    text = '<div xmlns="http://www.w3.org/1999/xhtml">Rien à signaler.</div>'
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": concept(kind.system, kind.code),
        "subject": subject(patient),
        "date": instant(when),
        "author": [{"display": "Logiciel modèle"}],
        "title": title,
        "section": [{"title": "Conclusion", "text": {"status": "generated", "div": text}}],
    }
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": URI_SYSTEM, "value": unique_id},
        "type": "document",
        "timestamp": instant(when),
        "entry": [{"fullUrl": urn("composition", unique_id), "resource": composition}],
    }
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _submission_set(
    document: SampleDocument, patient: Patient, when: datetime, set_id: str, members: Sequence[str]
) -> Json:
    class_code = document.kind.class_code or "99"
    return {
        "resourceType": "List",
        "meta": {"profile": [_PDSM + "pdsm-submissionset-comprehensive"]},
        "contained": makers(document.author, document.structure),
        "extension": [
            {"url": DESIGNATION_TYPE, "valueCodeableConcept": concept(codes.TRE_A03, class_code)},
            {
                "url": SOURCE_ID,
                "valueIdentifier": {"system": URI_SYSTEM, "value": oid("software", document.structure.identifier)},
            },
        ],
        "identifier": [{"use": "usual", "system": URI_SYSTEM, "value": set_id}],
        "status": "current",
        "mode": "working",
        "title": document.title,
        "code": concept(LIST_TYPES, "submissionset"),
        "subject": subject(patient),
        "date": instant(when),
        "source": {"reference": "#author"},
        "entry": [{"item": {"reference": member}} for member in members],
    }


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
        "fullUrl": urn("patch", fhir_id),
        "resource": {
            "resourceType": "Parameters",
            "meta": {"profile": [_PATCH_PROFILE]},
            "parameter": [{"name": "operation", "part": parts}],
        },
        "request": {"method": "PATCH", "url": f"DocumentReference/{fhir_id}"},
    }
