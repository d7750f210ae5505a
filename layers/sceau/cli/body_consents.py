"""The Consents as a client makes them: opening and closing a record, and every decision about it."""

from __future__ import annotations

from datetime import datetime

from sceau.cli.body_parts import Json, concept, idnat_struct, instant, stored_patient, subject
from sceau.cli.samples import Author, Patient, Structure
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
    Mode,
    Status,
)
from sceau.fhir.patient import identity
from sceau_schemas.dossier import ConsentKind
from sceau_schemas.systems import IDNAT_PS


def consent_opening(patient: Patient) -> Json:
    """Return the Consent that opens a patient's record."""
    return {
        "resourceType": "Consent",
        "contained": [{**identity(stored_patient(patient)), "id": "patient"}],
        "status": "active",
        "scope": concept(SCOPES, "patient-privacy"),
        "category": [concept(ACT_CODES, OPENING)],
        "patient": {"reference": "#patient"},
        "policyRule": concept(ACT_CODES, "OPTIN"),
        "provision": {"type": "permit"},
    }


def consent_life(
    patient: Patient, *, active: bool, reason: str | None = None, death: bool = False, deletion: bool = False
) -> Json:
    """Return the opening as it is PUT: to close the record, or to open it again. `reason`: in the holder's words.

    `death`: the insurer reports it. `deletion`: the holder asks for it.
    """
    body: Json = {
        "resourceType": "Consent",
        "status": "active" if active else "inactive",
        "scope": concept(SCOPES, "patient-privacy"),
        "category": [concept(ACT_CODES, OPENING)],
        "patient": subject(patient),
        "policyRule": concept(ACT_CODES, "OPTIN"),
    }
    parts: list[Json] = []
    if death:
        parts.append({"url": CLOSING_MOTIVE, "valueCodeableConcept": concept(MOTIVES, DEATH)})
    if reason is not None:
        parts.append({"url": CLOSING_REASON, "valueString": reason})
    extensions: list[Json] = [{"url": CLOSING, "extension": parts}] if parts else []
    if deletion:
        extensions.append({"url": DELETION, "valueBoolean": True})
    return body | ({"extension": extensions} if extensions else {})


def consent_grant(
    patient: Patient,
    structure: Structure,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    active: bool = True,
) -> Json:
    """Return the Consent that authorises a structure to read; `active` false withdraws it."""
    reference = {"type": "Organization", "identifier": idnat_struct(structure), "display": structure.name}
    return _decision(patient, "grant", reference, "active" if active else "inactive", start=start, end=end)


def consent_decision(
    patient: Patient,
    kind: ConsentKind,
    person: Author | None = None,
    *,
    status: Status | None = None,
    mode: Mode | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Json:
    """Return a decision about a professional; an opposition is about nobody, and has a `mode`.

    `status`: what a new decision of its kind has, unless said.
    """
    if status is None:
        status = "proposed" if kind == "medecin_traitant" else "active"
    reference = None
    if person is not None:
        identifier = {"system": IDNAT_PS, "value": person.identifier}
        reference = {"type": "Practitioner", "identifier": identifier, "display": f"{person.given} {person.family}"}
    return _decision(patient, kind, reference, status, mode=mode, start=start, end=end)


def _decision(
    patient: Patient,
    kind: ConsentKind,
    reference: Json | None,
    status: Status,
    *,
    mode: Mode | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Json:
    period = {name: instant(at) for name, at in (("start", start), ("end", end)) if at is not None}
    provision: Json = {"type": "deny" if kind in ("block", "opposition") else "permit"}
    if period:
        provision["period"] = period
    if reference is not None:
        provision["actor"] = [{"role": concept(*ROLE_OF[kind]), "reference": reference}]
    provision["action"] = [concept(ACTIONS, "access")]
    if mode is not None:
        provision["purpose"] = [{"system": REASONS, "code": next(one for one, of in MODES.items() if of == mode)}]
    elif kind == "express":
        provision["purpose"] = [{"system": PURPOSES, "code": EXPRESS}]
    return {
        "resourceType": "Consent",
        "status": status,
        "scope": concept(SCOPES, "patient-privacy"),
        "category": [concept(ACT_CODES, GRANT)],
        "patient": subject(patient),
        "policyRule": concept(ACT_CODES, "OPTIN"),
        "provision": provision,
    }
