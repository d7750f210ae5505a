"""Consent: the opening of a record, the authorisation of a structure, its withdrawal. Shapes: `docs/consents.md`.

| decision | category (v3-ActCode) | status | what else |
|---|---|---|---|
| opening | `ICOL` information collection | `active` | a contained fr-core Patient with INS and the five traits |
| grant | `INFA` information access | `active` | `provision`: permit, one actor (IdNat_Struct), optional period |
| withdrawal | `INFA` | `inactive` | the same grant |

Always: scope `patient-privacy`, `policyRule` `OPTIN`. What would narrow or turn an authorisation round (a deny,
classes, purposes, nested provisions) is refused: ignored, it would give more than the patient meant. R4 Consent says
that a root provision has no `type`; IHE PCF puts it there all the same, and so do we; it may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sceau.access.model import Identifier
from sceau.fhir.findings import Findings
from sceau.fhir.outcome import Problem
from sceau.fhir.parse import Body, Json
from sceau.fhir.patient import read_traits
from sceau.fhir.references import Scope, patient_named_by, people_of, scope_of
from sceau.fhir.rules import ends_before_start
from sceau.fhir.search.dates import LAST_MILLISECOND
from sceau.fhir.terms import period_term
from sceau.fhir.times import instant
from sceau.records.ids import ID_PATTERN, document_id
from sceau_schemas.dossier import StoredConsent, StoredIdentifier, StoredPatient
from sceau_schemas.fhir.consent import Actor, Consent, Provision
from sceau_schemas.fhir.datatypes import CodeableConcept
from sceau_schemas.fhir.people import Patient

_CODES: Final = "http://terminology.hl7.org/CodeSystem/"
SCOPES: Final = _CODES + "consentscope"
ACT_CODES: Final = _CODES + "v3-ActCode"
ACTIONS: Final = _CODES + "consentaction"
PARTICIPATIONS: Final = _CODES + "v3-ParticipationType"
OPENING: Final = "ICOL"
GRANT: Final = "INFA"
_CATEGORIES: Final = {"opening": (OPENING, "information collection"), "grant": (GRANT, "information access")}

_OWN_PATIENT: Final = re.compile(rf"Patient/({ID_PATTERN})")
_DROPPED: Final = tuple(sorted(Consent.kept.keys() - {"language"}))
_TOO_MUCH: Final = "policyRule is OPTIN: nothing is permitted but what the provision says"


@dataclass(frozen=True, slots=True)
class OpeningRequest:
    """A record is to be opened for `patient`. `warnings`: what was accepted and will not be kept."""

    patient: StoredPatient
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A structure is to be authorised, or (`active` false) no longer.

    The record: `patient` by INS, or `record_id`; exactly one is set. `start`, `end`: milliseconds, `end` exclusive;
    None: from now on, until withdrawn.
    """

    patient: Identifier | None
    record_id: str | None
    grantee: StoredIdentifier
    grantee_display: str | None
    start: int | None
    end: int | None
    active: bool
    warnings: tuple[Problem, ...] = ()


def parse_consent(body: Body[Consent], *, accepted_ins_systems: Collection[str]) -> OpeningRequest | GrantRequest:
    """Return what a Consent asks for. FhirError 422 (400 for dangling references), each problem naming its element."""
    findings = Findings()
    consent = body.resource
    if not _has(consent.scope, SCOPES, "patient-privacy"):
        findings.error("the scope is patient-privacy", "Consent.scope", code="code-invalid")
    if consent.policy_rule is None:
        findings.required("Consent.policyRule", "ppc-1")
    elif not _has(consent.policy_rule, ACT_CODES, "OPTIN"):
        findings.error(_TOO_MUCH, "Consent.policyRule", code="code-invalid")
    if consent.provision and consent.provision.type == "deny":
        findings.error("only permit is supported", "Consent.provision.type", code="not-supported")
    kinds = {kind for kind in (OPENING, GRANT) if any(_has(c, ACT_CODES, kind) for c in consent.category)}
    if len(kinds) != 1:
        text = f"the category is {OPENING} (opening) or {GRANT} (authorisation) of v3-ActCode"
        findings.error(text, "Consent.category", code="code-invalid")
    findings.stop()
    scope = scope_of(consent, "Consent")
    reader = _opening if kinds == {OPENING} else _grant
    return reader(consent, scope, accepted_ins_systems, findings, _not_kept(body.raw))


def _has(concept: CodeableConcept, system: str, code: str) -> bool:
    """Say whether a concept is this code: all its codings are, so that no reader can take it for another."""
    codings = concept.coding or []
    return bool(codings) and all((coding.system, coding.code) == (system, code) for coding in codings)


def _not_kept(raw: Json) -> tuple[Problem, ...]:
    dropped = (
        "identifier",
        "performer",
        "organization",
        "sourceAttachment",
        "sourceReference",
        "policy",
        "verification",
    )
    return tuple(
        Problem("informational", "this element is not kept", f"Consent.{name}", severity="warning")
        for name in dropped
        if name in raw
    )


def _opening(
    consent: Consent,
    scope: Scope,
    accepted_ins_systems: Collection[str],
    findings: Findings,
    warnings: tuple[Problem, ...],
) -> OpeningRequest:
    provision = consent.provision
    if consent.status != "active":
        findings.error("an opening is active", "Consent.status", code="not-supported")
    if provision and (provision.period or provision.actor or provision.action):
        text = "an opening has no period, actor or action"
        findings.error(text, "Consent.provision", code="not-supported")
    found = scope.local(consent.patient, "Consent.patient")
    patient = findings.demand(found if isinstance(found, Patient) else None, "Consent.patient", "a contained Patient")
    at = f"Consent.contained[{list(scope.contained.values()).index(patient)}]"
    traits = read_traits(patient, at, accepted_ins_systems, findings)
    findings.stop()
    if traits is None:
        raise AssertionError("traits were refused without a reason")
    return OpeningRequest(traits, warnings)


def _grant(
    consent: Consent,
    scope: Scope,
    accepted_ins_systems: Collection[str],
    findings: Findings,
    warnings: tuple[Problem, ...],
) -> GrantRequest:
    if consent.status not in {"active", "inactive"}:
        findings.error("an authorisation is active or inactive", "Consent.status", code="not-supported")
    patient = findings.demand(consent.patient, "Consent.patient", "authorisation")
    provision = findings.demand(consent.provision, "Consent.provision", "authorisation")
    actor = _actor(provision, findings)
    grantee = _grantee(actor, scope, findings)
    start, end = _period(provision, findings)
    findings.stop()
    own = _OWN_PATIENT.fullmatch(patient.reference or "")
    return GrantRequest(
        patient=None if own else patient_named_by(patient, scope, "Consent.patient", accepted_ins_systems),
        record_id=own[1] if own else None,
        grantee=grantee,
        grantee_display=actor.reference.display,
        start=start,
        end=end,
        active=consent.status == "active",
        warnings=warnings,
    )


def _actor(provision: Provision, findings: Findings) -> Actor:
    """The one actor, as who receives information, to access it: no other role or action is meant here."""
    at = "Consent.provision.actor"
    actors = provision.actor or []
    if len(actors) > 1:
        findings.error("an authorisation names one actor", f"{at}[1]", code="not-supported")
    actor = findings.demand(actors[0] if actors else None, at, "authorisation")
    if not _has(actor.role, PARTICIPATIONS, "IRCP"):
        findings.error("the role is IRCP, who receives information", f"{at}[0].role", code="code-invalid")
    for position, action in enumerate(provision.action or ()):
        if not _has(action, ACTIONS, "access"):
            findings.error("the action is access", f"Consent.provision.action[{position}]", code="not-supported")
    return actor


def _grantee(actor: Actor, scope: Scope, findings: Findings) -> StoredIdentifier:
    at = "Consent.provision.actor[0].reference"
    people = people_of(actor.reference, scope, at)
    structures = list(people.structures)
    if len(structures) > 1 or people.professionals:
        findings.error("expected one care structure", at, code="not-supported")
    rule = "a care structure, by its IdNat_Struct (urn:oid:1.2.250.1.71.4.2.2)"
    return findings.demand(structures[0] if structures else None, at, rule)


def _period(provision: Provision, findings: Findings) -> tuple[int | None, int | None]:
    """Return the period in milliseconds, its end exclusive. FHIR's end is inclusive, at its own precision."""
    period = provision.period
    if period is None:
        return None, None
    if ends_before_start(period):
        findings.error("the period ends before it starts", "Consent.provision.period", rule="per-1")
    low, _, high = period_term(period).partition("/")
    start, end = int(low) if low else None, int(high) + 1 if high else None
    for name, millis in (("start", start), ("end", end)):
        if millis is not None and millis < 0:
            findings.error("before 1970", f"Consent.provision.period.{name}", code="value")
    if start is not None and start > LAST_MILLISECOND:
        findings.error("after the year 9999", "Consent.provision.period.start", code="value")
    if end is not None and end > LAST_MILLISECOND:
        end = None  # 9999-12-31 is how many write "for ever", and no moment follows it that could be kept
    return start, end


def consent(stored: StoredConsent, *, record_id: str) -> Json:
    """Return a stored decision as a Consent (an earlier version: one of `stored.earlier`)."""
    category, display = (
        (OPENING, "information collection") if stored.kind == "opening" else (GRANT, "information access")
    )
    provision: Json = {"type": "permit"}
    period = {
        name: instant(millis)
        for name, millis in (("start", stored.start), ("end", None if stored.end is None else stored.end - 1))
        if millis is not None
    }
    if period:
        provision["period"] = period
    if stored.grantee is not None:
        reference: Json = {
            "type": "Organization",
            "identifier": {"system": stored.grantee.system, "value": stored.grantee.value},
        }
        if stored.grantee_display:
            reference["display"] = stored.grantee_display
        provision["actor"] = [{"role": _concept(PARTICIPATIONS, "IRCP"), "reference": reference}]
    return {
        "resourceType": "Consent",
        "id": document_id(record_id, stored.id),
        "meta": {"versionId": str(stored.version), "lastUpdated": instant(stored.updated)},
        "status": stored.status,
        "scope": _concept(SCOPES, "patient-privacy"),
        "category": [_concept(ACT_CODES, category, display)],
        "patient": {"reference": f"Patient/{record_id}"},
        "dateTime": instant(stored.updated),
        "policyRule": _concept(ACT_CODES, "OPTIN", "opt-in"),
        "provision": provision,
    }


def access_statement(record_id: str, *, reading: bool, reason: str) -> Json:
    """Return what TD0.2 tells the caller of its own right to read: a Consent that is nowhere stored.

    It has an id because a search result needs one; nothing is read by it. `reason`: the verdict's (`denied.no-grant`).
    """
    return {
        "resourceType": "Consent",
        "id": f"{record_id}.access",
        "status": "active",
        "scope": _concept(SCOPES, "patient-privacy"),
        "category": [_concept(ACT_CODES, GRANT, "information access")],
        "patient": {"reference": f"Patient/{record_id}"},
        "policyRule": {"text": reason},
        "provision": {"type": "permit" if reading else "deny", "action": [_concept(ACTIONS, "access")]},
    }


def _concept(system: str, code: str, display: str | None = None) -> Json:
    coding = {"system": system, "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}
