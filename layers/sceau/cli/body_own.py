"""A document of the patient's own, as an app sends it (ITI-105): directives, emergency contacts, history, allergies."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from sceau.cli.body_parts import Json, concept, instant, sha1, source_patient, subject, target
from sceau.cli.samples import Patient
from sceau.fhir import codes
from sceau.fhir.references import URI_SYSTEM
from sceau_schemas.dossier import StoredIdentifier

_PDSM: Final = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/"
_TRE_A00: Final = "https://mos.esante.gouv.fr/NOS/TRE_A00-ProducteurDocNonPS/FHIR/TRE-A00-ProducteurDocNonPS"
_EXPRESSION: Final = "EXP_PATIENT"


def own_document(
    patient: Patient,
    kind: codes.DocumentType,
    text: str,
    *,
    when: datetime,
    unique_id: str,
    title: str,
    label: str | None = None,
    replaces: str | StoredIdentifier | None = None,
) -> Json:
    """Return the DocumentReference of a plain text whose author is the patient. `label`: MASQUE_PS, to hide it."""
    data = text.encode()
    reference: Json = {
        "resourceType": "DocumentReference",
        "meta": {"profile": [_PDSM + "pdsm-simplified-publish"]},
        "contained": [source_patient(patient)],
        "masterIdentifier": {"use": "usual", "system": URI_SYSTEM, "value": unique_id},
        "status": "current",
        "type": concept(kind.system, kind.code, kind.label),
        "category": [concept(kind.class_system or codes.TRE_A03, kind.class_code or "90")],
        "subject": subject(patient),
        "date": instant(when),
        "author": [{"reference": "#patient"}],
        "securityLabel": [concept(codes.TRE_A07, label) if label else concept(codes.TRE_A08, "N")],
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "language": "fr-FR",
                    "data": base64.b64encode(data).decode("ascii"),
                    "size": len(data),
                    "hash": sha1(data),
                    "title": title,
                    "creation": instant(when),
                }
            }
        ],
        "context": {
            "period": {"start": instant(when)},
            "facilityType": concept(_TRE_A00, _EXPRESSION),
            "practiceSetting": concept(_TRE_A00, _EXPRESSION),
            "sourcePatientInfo": {"reference": "#patient"},
        },
    }
    if replaces is not None:
        reference["relatesTo"] = [{"code": "replaces", "target": target(replaces)}]
    return reference
