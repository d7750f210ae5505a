"""Consent as it is asked for: the life of a record, and the decisions about it. Shapes: `docs/consents.md`.

| decision | category (v3-ActCode) | provision | actor's role |
|---|---|---|---|
| opening | `ICOL` | none | none: a contained fr-core Patient with INS and the five traits |
| grant, to a structure or a professional | `INFA` | permit | `IRCP` |
| express consent to a special doctor | `INFA` | permit, purpose `consentement-expres` | `IRCP` |
| médecin traitant | `INFA` | permit | `PCP` (v3-ParticipationFunction) |
| delegation of that one's rights | `INFA` | permit | `DELEGATEE` (v3-RoleCode) |
| block | `INFA` | deny | `IRCP` |
| opposition to an emergency access | `INFA` | deny, purpose `BTG` or `ETREAT` (v3-ActReason) | no actor |

Always: scope `patient-privacy`, `policyRule` `OPTIN`. What would narrow or turn an authorisation round (classes, other
purposes, nested provisions) is refused: ignored, it would give more than the patient meant. R4 Consent says that a root
provision has no `type`; IHE PCF puts it there all the same, and so do we; it may be left out where it permits.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, cast

from sceau.access.model import Identifier
from sceau.fhir.consent_life import closing_reason, is_death, is_deletion
from sceau.fhir.findings import Findings
from sceau.fhir.outcome import Problem
from sceau.fhir.parse import Body, Json
from sceau.fhir.patient import read_traits
from sceau.fhir.references import Scope, patient_named_by, people_of, scope_of
from sceau.fhir.rules import ends_before_start
from sceau.fhir.search.dates import LAST_MILLISECOND
from sceau.fhir.terms import period_term
from sceau.records.ids import ID_PATTERN
from sceau_schemas.dossier import ConsentKind, StoredIdentifier, StoredPatient
from sceau_schemas.fhir.consent import Actor, Consent, Provision
from sceau_schemas.fhir.datatypes import CodeableConcept, Coding
from sceau_schemas.fhir.people import Patient
from sceau_schemas.systems import IDNAT_PS, IDNAT_STRUCT

_CODES: Final = "http://terminology.hl7.org/CodeSystem/"
SCOPES: Final = _CODES + "consentscope"
ACT_CODES: Final = _CODES + "v3-ActCode"
ACTIONS: Final = _CODES + "consentaction"
PARTICIPATIONS: Final = _CODES + "v3-ParticipationType"
FUNCTIONS: Final = _CODES + "v3-ParticipationFunction"
ROLES: Final = _CODES + "v3-RoleCode"
REASONS: Final = _CODES + "v3-ActReason"
PURPOSES: Final = "urn:sceau:fhir:consent-purpose"
EXPRESS: Final = "consentement-expres"
OPENING: Final = "ICOL"
GRANT: Final = "INFA"

Mode = Literal["bris_de_glace", "centre_15"]
Status = Literal["active", "inactive", "proposed", "rejected"]
MODES: Final[dict[str, Mode]] = {"BTG": "bris_de_glace", "ETREAT": "centre_15"}
"""Purposes (v3-ActReason) by the emergency mode that an opposition is about."""
ROLE_OF: Final[dict[ConsentKind, tuple[str, str]]] = {
    "grant": (PARTICIPATIONS, "IRCP"),
    "express": (PARTICIPATIONS, "IRCP"),
    "block": (PARTICIPATIONS, "IRCP"),
    "medecin_traitant": (FUNCTIONS, "PCP"),
    "delegation": (ROLES, "DELEGATEE"),
}
_BY_ROLE: Final[tuple[ConsentKind, ...]] = ("medecin_traitant", "delegation")
WITH_PERIOD: Final[frozenset[ConsentKind]] = frozenset({"grant", "express", "delegation"})

_OWN_PATIENT: Final = re.compile(rf"Patient/({ID_PATTERN})")
_STRUCTURE: Final = re.compile(r"0\S{1,40}|1[0-9AB]{9}|2[0-9]{9}|3[0-9]{14}|4[0-9]{11,20}|[^0-4\s|]\S{0,60}")
_PERSON: Final = re.compile(r"8[0-9]{11}|[0-7][A-Za-z0-9./_-]{1,60}|[A-Za-z][A-Za-z0-9._-]{1,60}")
_TOO_MUCH: Final = "policyRule is OPTIN: nothing is permitted but what the provision says"


@dataclass(frozen=True, slots=True)
class OpeningRequest:
    """A record is to be opened for `patient`. `warnings`: what was accepted and will not be kept."""

    patient: StoredPatient
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class LifeRequest:
    """A record is to be closed (`active` false; `reason`: in the holder's words), or opened again.

    The insurer's `active` false suspends it. `deletion`: of the closed record, asked for. `death`: why, or why not.
    The record: `patient` by INS, or `record_id`; exactly one is set.
    """

    patient: Identifier | None
    record_id: str | None
    active: bool
    reason: str | None = None
    deletion: bool = False
    death: bool = False
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """A decision is to be recorded, or to have another status.

    The record: `patient` by INS, or `record_id`; exactly one is set. `grantee`: whom it is about; None for an
    opposition, which has a `mode`. `start`, `end`: milliseconds, `end` exclusive; None: from now on, as long as the
    kind's duration.
    """

    kind: ConsentKind
    status: Status
    patient: Identifier | None
    record_id: str | None
    grantee: StoredIdentifier | None
    grantee_display: str | None = None
    start: int | None = None
    end: int | None = None
    mode: Mode | None = None
    warnings: tuple[Problem, ...] = ()


def parse_new_consent(
    body: Body[Consent], *, accepted_ins_systems: Collection[str]
) -> OpeningRequest | DecisionRequest:
    """Return what a POSTed Consent asks for. FhirError 422 (400: dangling references), naming each element."""
    category, reader = _read(body, accepted_ins_systems)
    return reader.decision() if category == GRANT else reader.opening()


def parse_changed_consent(
    body: Body[Consent], *, accepted_ins_systems: Collection[str]
) -> LifeRequest | DecisionRequest:
    """Likewise of one that is PUT: of an opening only what changes is read, not the identity."""
    category, reader = _read(body, accepted_ins_systems)
    return reader.decision() if category == GRANT else reader.life()


def _read(body: Body[Consent], accepted_ins_systems: Collection[str]) -> tuple[str, _Reader]:
    findings = Findings()
    consent = body.resource
    if not _has(consent.scope, SCOPES, "patient-privacy"):
        findings.error("the scope is patient-privacy", "Consent.scope", code="code-invalid")
    if consent.policy_rule is None:
        findings.required("Consent.policyRule", "ppc-1")
    elif not _has(consent.policy_rule, ACT_CODES, "OPTIN"):
        findings.error(_TOO_MUCH, "Consent.policyRule", code="code-invalid")
    kinds = {kind for kind in (OPENING, GRANT) if any(_has(c, ACT_CODES, kind) for c in consent.category)}
    if len(kinds) != 1:
        text = f"the category is {OPENING} (opening) or {GRANT} (authorisation) of v3-ActCode"
        findings.error(text, "Consent.category", code="code-invalid")
    findings.stop()
    scope = scope_of(consent, "Consent")
    return kinds.pop(), _Reader(consent, scope, accepted_ins_systems, findings, _not_kept(body.raw))


def _has(concept: CodeableConcept, system: str, code: str) -> bool:
    """Say whether a concept is this code: all its codings are, so that no reader can take it for another."""
    codings = concept.coding or []
    return bool(codings) and all((coding.system, coding.code) == (system, code) for coding in codings)


def _not_kept(raw: Json) -> tuple[Problem, ...]:
    dropped = (*("identifier", "organization", "sourceAttachment", "sourceReference", "policy", "verification"),)
    return tuple(
        Problem("informational", "this element is not kept", f"Consent.{name}", severity="warning")
        for name in dropped
        if name in raw
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    consent: Consent
    scope: Scope
    accepted: Collection[str]
    findings: Findings
    warnings: tuple[Problem, ...]

    def opening(self) -> OpeningRequest:
        consent, findings = self.consent, self.findings
        if consent.status != "active":
            findings.error("an opening is active", "Consent.status", code="not-supported")
        self._no_provision()
        found = self.scope.local(consent.patient, "Consent.patient")
        patient = findings.demand(
            found if isinstance(found, Patient) else None, "Consent.patient", "a contained Patient"
        )
        at = f"Consent.contained[{list(self.scope.contained.values()).index(patient)}]"
        traits = read_traits(patient, at, self.accepted, findings)
        findings.stop()
        if traits is None:
            raise AssertionError("traits were refused without a reason")
        return OpeningRequest(traits, self.warnings)

    def life(self) -> LifeRequest:
        """The opening again, active or not. Whose it is, is said as in a decision: the identity does not change."""
        consent, findings = self.consent, self.findings
        if consent.status not in {"active", "inactive"}:
            findings.error("a record is open (active) or closed (inactive)", "Consent.status", code="not-supported")
        self._no_provision()
        reason, death, deletion = (
            closing_reason(consent, findings),
            is_death(consent, findings),
            is_deletion(consent, findings),
        )
        named, record = self._whose()
        findings.stop()
        return LifeRequest(named, record, consent.status == "active", reason, deletion, death, self.warnings)

    def _no_provision(self) -> None:
        provision = self.consent.provision
        if provision and (provision.period or provision.actor or provision.action or provision.purpose):
            text = "an opening has no period, actor, action or purpose"
            self.findings.error(text, "Consent.provision", code="not-supported")
        if provision and provision.type == "deny":
            self.findings.error("an opening permits", "Consent.provision.type", code="not-supported")

    def _whose(self) -> tuple[Identifier | None, str | None]:
        """The patient by INS, or the record: exactly one."""
        patient = self.findings.demand(self.consent.patient, "Consent.patient", "authorisation")
        own = _OWN_PATIENT.fullmatch(patient.reference or "")
        if own:
            return None, own[1]
        return patient_named_by(patient, self.scope, "Consent.patient", self.accepted), None

    def decision(self) -> DecisionRequest:
        consent, findings = self.consent, self.findings
        provision = findings.demand(consent.provision, "Consent.provision", "authorisation")
        findings.demand(consent.patient, "Consent.patient", "authorisation")
        kind, mode = self._kind(provision)
        self._check_status(kind)
        actor = self._actor(provision, kind)
        grantee = None if actor is None else self._grantee(actor, kind)
        start, end = self._period(provision, kind)
        findings.stop()
        named, record = self._whose()
        return DecisionRequest(
            kind=kind,
            status=cast(Status, consent.status),
            patient=named,
            record_id=record,
            grantee=grantee,
            grantee_display=actor.reference.display if actor else None,
            start=start,
            end=end,
            mode=mode,
            warnings=self.warnings,
        )

    def _kind(self, provision: Provision) -> tuple[ConsentKind, Mode | None]:
        actors = provision.actor or []
        purposes = provision.purpose or []
        at = "Consent.provision.purpose"
        if provision.type == "deny":
            if actors:
                self._purpose_is(purposes, None, at)
                return "block", None
            mode = MODES.get(purposes[0].code or "") if len(purposes) == 1 and purposes[0].system == REASONS else None
            text = "a deny names whom it blocks, or one emergency access: purpose BTG or ETREAT of v3-ActReason"
            return "opposition", self.findings.demand(mode, at, text)
        role = actors[0].role if actors else None
        for kind in _BY_ROLE:
            if role is not None and _has(role, *ROLE_OF[kind]):
                self._purpose_is(purposes, None, at)
                return kind, None
        if purposes:
            self._purpose_is(purposes, (PURPOSES, EXPRESS), at)
            return "express", None
        return "grant", None

    def _purpose_is(self, purposes: list[Coding], wanted: tuple[str, str] | None, at: str) -> None:
        given = [(one.system, one.code) for one in purposes]
        if given != ([wanted] if wanted else []):
            text = "another purpose is not supported: an authorisation covers the whole record, for whom it names"
            self.findings.error(text, at, code="not-supported")

    def _check_status(self, kind: ConsentKind) -> None:
        known = {"active", "inactive", *(("proposed", "rejected") if kind == "medecin_traitant" else ())}
        if self.consent.status not in known:
            text = f"such a decision is one of {', '.join(sorted(known))}"
            self.findings.error(text, "Consent.status", code="not-supported")

    def _actor(self, provision: Provision, kind: ConsentKind) -> Actor | None:
        """The one actor, in the one role and for the one action that the kind has."""
        at = "Consent.provision.actor"
        for position, action in enumerate(provision.action or ()):
            if not _has(action, ACTIONS, "access"):
                self.findings.error(
                    "the action is access", f"Consent.provision.action[{position}]", code="not-supported"
                )
        if kind == "opposition":
            return None
        actors = provision.actor or []
        if len(actors) > 1:
            self.findings.error("an authorisation names one actor", f"{at}[1]", code="not-supported")
        actor = self.findings.demand(actors[0] if actors else None, at, "authorisation")
        if not _has(actor.role, *ROLE_OF[kind]):
            text = "the role is IRCP (who receives information), PCP (médecin traitant) or DELEGATEE"
            self.findings.error(text, f"{at}[0].role", code="code-invalid")
        return actor

    def _grantee(self, actor: Actor, kind: ConsentKind) -> StoredIdentifier | None:
        """Whom the decision is about: one professional, or for a grant one structure, by a number of the right form."""
        at = "Consent.provision.actor[0].reference"
        people = people_of(actor.reference, self.scope, at)
        persons, structures = list(people.professionals), list(people.structures)
        if kind == "grant":
            rule = f"one care structure (IdNat_Struct, {IDNAT_STRUCT}) or one professional (IdNat_PS, {IDNAT_PS})"
            found = [*persons, *structures]
        else:
            rule = f"one professional, by IdNat_PS ({IDNAT_PS}) or RPPS"
            found = persons
            if structures:
                self.findings.error("expected a professional, no structure", at, code="not-supported")
        if len(found) > 1:
            self.findings.error(f"expected {rule}", at, code="not-supported")
        grantee = self.findings.demand(found[0] if found else None, at, rule)
        form = _PERSON if grantee.system == IDNAT_PS else _STRUCTURE
        if not form.fullmatch(grantee.value):
            self.findings.error("no such number is given to anybody", f"{at}.identifier.value", rule=rule, code="value")
        return grantee

    def _period(self, provision: Provision, kind: ConsentKind) -> tuple[int | None, int | None]:
        """The period in milliseconds, its end exclusive. FHIR's end is inclusive, at its own precision."""
        period = provision.period
        if period is None:
            return None, None
        if kind not in WITH_PERIOD:
            self.findings.error(
                "such a decision holds until it is ended", "Consent.provision.period", code="not-supported"
            )
        if ends_before_start(period):
            self.findings.error("the period ends before it starts", "Consent.provision.period", rule="per-1")
        low, _, high = period_term(period).partition("/")
        start, end = int(low) if low else None, int(high) + 1 if high else None
        for name, millis in (("start", start), ("end", end)):
            if millis is not None and millis < 0:
                self.findings.error("before 1970", f"Consent.provision.period.{name}", code="value")
        if start is not None and start > LAST_MILLISECOND:
            self.findings.error("after the year 9999", "Consent.provision.period.start", code="value")
        if end is not None and end > LAST_MILLISECOND:
            end = None  # 9999-12-31 is how many write "for ever", and no moment follows it that could be kept
        return start, end
