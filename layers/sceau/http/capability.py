"""`GET /fhir/metadata`: a CapabilityStatement made from the declared routes and the tables that searches run on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sceau.fhir.parse import Json
from sceau.fhir.search.parameters import TABLES
from sceau.fhir.times import instant
from sceau.http.consent_search import NAMES as CONSENT_NAMES
from sceau_schemas.audit import STRING_PARAMETERS, TOKEN_PARAMETERS
from sceau_schemas.deployment import Route

_PDSM: Final = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/"
_MHD: Final = "https://profiles.ihe.net/ITI/MHD/"
_FHIR_PATH: Final = re.compile(
    r"/fhir/(?P<type>[A-Z][A-Za-z]+)(?P<rest>/_search|/\{resource_id\}(/_history(/\{version_id\})?|/\$[a-z]+)?)?"
)

_INTERACTIONS: Final = {
    ("GET", ""): "search-type",
    ("POST", "/_search"): "search-type",
    ("POST", ""): "create",
    ("GET", "/{resource_id}"): "read",
    ("PUT", "/{resource_id}"): "update",
    ("PATCH", "/{resource_id}"): "patch",
    ("GET", "/{resource_id}/_history"): "history-instance",
    ("GET", "/{resource_id}/_history/{version_id}"): "vread",
}

_PROFILES: Final = {
    "DocumentReference": (
        f"{_PDSM}pdsm-comprehensive-document-reference",
        f"{_MHD}StructureDefinition/IHE.MHD.Comprehensive.DocumentReference",
    ),
    "List": (f"{_PDSM}pdsm-submissionset-comprehensive", f"{_PDSM}pdsm-folder-comprehensive"),
    "Patient": ("https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-patient",),
    "AuditEvent": ("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead",),
}

_OPERATIONS: Final = {
    ("AuditEvent", "proof"): (
        "urn:sceau:fhir:operation:AuditEvent-proof",
        "GET AuditEvent/<id>/$proof: the .tlog-proof file (C2SP tlog-proof) that proves that the event is in the log.",
    ),
    ("Communication", "review"): (
        "urn:sceau:fhir:operation:Communication-review",
        "POST Communication/<id>/$review: a structure's responsible person has reviewed an emergency access.",
    ),
}
"""Operations on an instance: their definition, and what they do."""

_INSTANTIATES: Final = tuple(
    f"{_MHD}CapabilityStatement/IHE.MHD.{actor}" for actor in ("DocumentRecipient", "DocumentResponder")
)


def capability_statement(routes: Iterable[Route], *, origin: str, now: datetime) -> Json:
    """Return the CapabilityStatement of a stage at `origin` that serves `routes`."""
    found: dict[str, set[str]] = {}
    operations: dict[str, set[str]] = {}
    transaction = False
    for route in routes:
        transaction |= (route.method, route.path) == ("POST", "/fhir")
        match = _FHIR_PATH.fullmatch(route.path)
        interaction = _INTERACTIONS.get((route.method, match["rest"] or "")) if match else None
        if match and interaction:
            found.setdefault(match["type"], set()).add(interaction)
        if match and "$" in (match["rest"] or ""):
            operations.setdefault(match["type"], set()).add(match["rest"].partition("$")[2])
    rest: Json = {
        "mode": "server",
        "documentation": "PDSm / IHE MHD document sharing. FHIR in JSON only; documents in their own media types.",
        "security": {
            "service": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                            "code": "SMART-on-FHIR",
                        }
                    ]
                }
            ],
            "description": f"Access tokens bound by DPoP (RFC 9449); see {origin}/.well-known/smart-configuration",
        },
        "resource": [
            _resource(name, interactions, operations.get(name, set())) for name, interactions in sorted(found.items())
        ],
    }
    if transaction:
        rest["interaction"] = [{"code": "transaction", "documentation": "ITI-65"}]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "instantiates": list(_INSTANTIATES),
        "software": {"name": "Sceau"},
        "implementation": {"description": "Dossier médical partagé", "url": f"{origin}/fhir"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        "rest": [rest],
    }


def _resource(name: str, interactions: set[str], operations: set[str]) -> Json:
    resource: Json = {"type": name}
    if name in _PROFILES:
        resource["supportedProfile"] = list(_PROFILES[name])
    resource["interaction"] = [{"code": code} for code in sorted(interactions)]
    if interactions & {"create", "update", "patch"}:
        resource["versioning"] = "versioned"
    if "search-type" in interactions and (parameters := _parameters(name)):
        resource["searchParam"] = parameters
    if operations:
        resource["operation"] = [
            {"name": code, "definition": definition, "documentation": text}
            for code in sorted(operations)
            for definition, text in (_OPERATIONS[name, code],)
        ]
    return resource


def _parameters(name: str) -> list[Json]:
    if name in TABLES:
        return [
            {
                "name": one.name,
                **({"definition": one.definition} if one.definition else {}),
                "type": one.type,
                "documentation": one.doc,
            }
            for one in TABLES[name]
        ]
    if name == "AuditEvent":
        own = [{"name": parameter, "type": "token"} for parameter in TOKEN_PARAMETERS]
        own += [{"name": parameter, "type": "string"} for parameter in STRING_PARAMETERS]
        return [{"name": "date", "type": "date"}, {"name": "patient.identifier", "type": "token"}, *own]
    if name == "Communication":
        own = [{"name": parameter, "type": "token"} for parameter in ("category", "status", "patient.identifier")]
        return [{"name": "patient", "type": "reference"}, {"name": "sent", "type": "date"}, *own]
    if name == "Patient":
        return [{"name": "identifier", "type": "token", "documentation": "INS, as system|value; required"}]
    own = [{"name": "patient", "type": "reference"}, {"name": "patient.identifier", "type": "token"}]
    return own + [{"name": name, "type": "token", "documentation": text} for name, text in CONSENT_NAMES.items()]
