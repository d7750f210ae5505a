"""Consent as it leaves: a stored decision in one of its versions, and what TD0.2 tells a caller of its own right."""

from __future__ import annotations

from collections.abc import Mapping

from sceau.access.facts import grant_of
from sceau.access.model import Verdict
from sceau.access.standing import end_of
from sceau.fhir.consent_life import CLOSING, CLOSING_MOTIVE, CLOSING_REASON, DEATH, DELETION, MOTIVES
from sceau.fhir.consents import (
    ACT_CODES,
    ACTIONS,
    EXPRESS,
    GRANT,
    MODES,
    OPENING,
    PURPOSES,
    REASONS,
    ROLE_OF,
    SCOPES,
)
from sceau.fhir.parse import Json
from sceau.fhir.search.dates import millis
from sceau.fhir.times import instant
from sceau.records.ids import document_id
from sceau_schemas.dossier import DossierHead, StoredConsent, StoredIdentifier
from sceau_schemas.rules import RuleSettings
from sceau_schemas.systems import IDNAT_PS

REASON = "urn:sceau:fhir:reason"
"""Extension: why something is permitted or not, a stable code such as `denied.no-grant`."""


def consent(
    stored: StoredConsent, *, record_id: str, settings: RuleSettings, closed: DossierHead | None = None
) -> Json:
    """Return a stored decision as a Consent (an earlier version: one of `stored.earlier`).

    An authorisation shows the end that it has, also where nobody gave one. `closed`: the record, where this is its
    opening and it is closed: why, and whether it is to be deleted.
    """
    opening = stored.kind == "opening"
    category = (OPENING, "information collection") if opening else (GRANT, "information access")
    resource: Json = {
        "resourceType": "Consent",
        "id": document_id(record_id, stored.id),
        "meta": {"versionId": str(stored.version), "lastUpdated": instant(stored.updated)},
    }
    if closed is not None and (extensions := _closing(closed)):
        resource["extension"] = extensions
    resource |= {
        "status": stored.status,
        "scope": _concept(SCOPES, "patient-privacy"),
        "category": [_concept(ACT_CODES, *category)],
        "patient": {"reference": f"Patient/{record_id}"},
        "dateTime": instant(stored.updated),
    }
    if performer := _performer(stored.by, record_id):
        resource["performer"] = [performer]
    resource["policyRule"] = _concept(ACT_CODES, "OPTIN", "opt-in")
    resource["provision"] = _provision(stored, settings)
    return resource


def _closing(head: DossierHead) -> list[Json]:
    extensions: list[Json] = []
    parts: list[Json] = []
    if head.died is not None:
        parts.append({"url": CLOSING_MOTIVE, "valueCodeableConcept": _concept(MOTIVES, DEATH)})
    if head.closing_reason is not None:
        parts.append({"url": CLOSING_REASON, "valueString": head.closing_reason})
    if parts:
        extensions.append({"url": CLOSING, "extension": parts})
    if head.deletion_requested is not None:
        extensions.append({"url": DELETION, "valueBoolean": True})
    return extensions


def _provision(stored: StoredConsent, settings: RuleSettings) -> Json:
    denies = stored.kind in ("block", "opposition")
    provision: Json = {"type": "deny" if denies else "permit"}
    if period := _period(stored, settings):
        provision["period"] = period
    if stored.grantee is not None:
        actor = {"role": _concept(*ROLE_OF[stored.kind]), "reference": _reference(stored.grantee)}
        if stored.grantee_display:
            actor["reference"]["display"] = stored.grantee_display
        provision["actor"] = [actor]
    if stored.mode is not None:
        purpose = next(code for code, mode in MODES.items() if mode == stored.mode)
        provision["purpose"] = [{"system": REASONS, "code": purpose}]
    if stored.kind == "express":
        provision["purpose"] = [{"system": PURPOSES, "code": EXPRESS}]
    return provision


def _period(stored: StoredConsent, settings: RuleSettings) -> Json:
    grant = grant_of(stored)
    if grant is None or stored.start is None:
        return {}
    # Exclusive with us, inclusive with FHIR.
    return {"start": instant(stored.start), "end": instant(millis(end_of(grant, settings)) - 1)}


def _reference(grantee: StoredIdentifier) -> Json:
    kind = "Practitioner" if grantee.system == IDNAT_PS else "Organization"
    return {"type": kind, "identifier": {"system": grantee.system, "value": grantee.value}}


def _performer(by: str, record_id: str) -> Json | None:
    """Who decided, or recorded that the patient had: the patient, or a professional. `by`: kind and subject."""
    kind, _, subject = by.partition(" ")
    if kind == "patient":
        return {"reference": f"Patient/{record_id}"}
    if kind == "professional":
        return {"type": "Practitioner", "identifier": {"system": IDNAT_PS, "value": subject}}
    return None


def access_statement(record_id: str, told: Mapping[str, Verdict]) -> Json:
    """Return what TD0.2 tells the caller of its own rights: a Consent that is nowhere stored.

    It has an id because a search result needs one; nothing is read by it. `told`: verdicts by code of consentaction,
    `access` (to read) among them: that one is the Consent's own.
    """
    reading = told["access"]
    provision = _statement("access", reading)
    provision["provision"] = [
        {"extension": [{"url": REASON, "valueCode": verdict.reason.value}], **_statement(action, verdict)}
        for action, verdict in told.items()
        if verdict is not reading
    ]
    return {
        "resourceType": "Consent",
        "id": f"{record_id}.access",
        "status": "active",
        "scope": _concept(SCOPES, "patient-privacy"),
        "category": [_concept(ACT_CODES, GRANT, "information access")],
        "patient": {"reference": f"Patient/{record_id}"},
        "policyRule": {"text": reading.reason.value},
        "provision": provision,
    }


def _statement(action: str, verdict: Verdict) -> Json:
    return {"type": "permit" if verdict.allowed else "deny", "action": [_concept(ACTIONS, action)]}


def _concept(system: str, code: str, display: str | None = None) -> Json:
    coding = {"system": system, "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}
