"""The facts that a decision rests on, and its answer. Values only: no I/O, no clock.

Sources: `docs/rules.md` names the article behind each rule; CSP = code de la santé publique.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Act(StrEnum):
    """What somebody asks to do. `acts.RULES` says which scope each needs, and which kinds of actor may ask."""

    OPEN_RECORD = "open-record"
    CLOSE_RECORD = "close-record"
    REOPEN_RECORD = "reopen-record"
    SUSPEND_RECORD = "suspend-record"
    OBJECT_TO_SUSPENSION = "object-to-suspension"
    REQUEST_DELETION = "request-deletion"
    REPORT_DEATH = "report-death"
    CORRECT_DEATH = "correct-death"  # the holder lives
    GRANT = "grant"
    COLLECT_CONSENT = "collect-consent"  # a professional records what the patient consented to
    CONSENT_EXPRESSLY = "consent-expressly"  # to an occupational or fire-brigade doctor
    BLOCK = "block"
    OPPOSE = "oppose"  # one of the two emergency accesses
    NAME_MEDECIN_TRAITANT = "name-medecin-traitant"
    ACCEPT_MEDECIN_TRAITANT = "accept-medecin-traitant"  # or decline, or give up later
    DELEGATE = "delegate"  # the rights of the médecin traitant, to another professional
    WITHDRAW = "withdraw"  # end any of these decisions
    READ_CONSENTS = "read-consents"
    PUBLISH = "publish"
    REPLACE = "replace"
    MASK = "mask"  # TD3.3a
    UNMASK = "unmask"
    SHOW_TO_PATIENT = "show-to-patient"  # TD3.3b: lift INVISIBLE_PATIENT
    SHOW_TO_REPRESENTATIVES = "show-to-representatives"  # lift INVISIBLE_REPRESENTANTS_LEGAUX
    HIDE_AFTERWARDS = "hide-afterwards"  # set an INVISIBLE_ label on what was deposited without it
    DELETE = "delete"  # TD3.3c
    ARCHIVE = "archive"  # TD3.3d, both ways
    READ_STATUS = "read-status"  # TD0.2
    SEARCH = "search"  # TD3.1a
    FIND_IDENTIFIER = "find-identifier"  # TD3.1b: the technical id of what one authored
    SEARCH_SETS = "search-sets"  # ITI-66
    READ_ENTRY = "read-entry"
    READ_SET = "read-set"
    READ_DOCUMENT = "read-document"  # TD3.2
    READ_TRACES = "read-traces"  # ITI-81
    EXTRACT_TRACES = "extract-traces"  # those of a structure's own professionals
    READ_NOTICES = "read-notices"
    READ_REVIEW_QUEUE = "read-review-queue"  # a structure's emergency accesses
    REVIEW = "review"
    COUNT_REVIEWS = "count-reviews"  # counts and ages, never who


class ActorKind(StrEnum):
    """What the identity room established the caller to be."""

    SOFTWARE = "software"  # software of a care structure: feeds, reads nothing back
    INSURER = "insurer"  # the insurer's batch (CNAM)
    PROFESSIONAL = "professional"
    PATIENT = "patient"
    REPRESENTATIVE = "representative"  # a minor's legal representative, as the patient issuer says
    OPERATIONS = "operations"


class Mode(StrEnum):
    """How a professional enters a record. Names: those of the DMP's VIHF."""

    NORMAL = "normal"
    BRIS_DE_GLACE = "bris_de_glace"
    CENTRE_15 = "centre_15"


class RecordStatus(StrEnum):
    """The life of a record. `ABSENT`: nobody opened one for this patient."""

    ABSENT = "absent"
    OPEN = "open"
    SUSPENDED = "suspended"  # by the insurer, for six weeks, unless the holder objects
    CLOSED = "closed"  # ten years' archive
    DECEASED = "deceased"  # the same, and nobody opens it again


class GrantKind(StrEnum):
    """What an authorisation is: it decides how long one without an end lasts, and what it opens."""

    STRUCTURE = "structure"  # the initial consent to a care team (CE 490409), by its structure
    PROFESSIONAL = "professional"  # outside the team, for a consultation
    EXPRESS = "express"  # to an occupational or fire-brigade doctor
    DELEGATION = "delegation"  # the rights of the médecin traitant


class Special(StrEnum):
    """Professionals for whom the law has rules of their own, by sector (TRE_R02) and specialty (TRE_R38)."""

    OCCUPATIONAL = "occupational"
    FIRE_BRIGADE = "fire-brigade"
    INSURANCE = "insurance"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A business identifier, `system` and `value` (a structure's IdNat_Struct, a professional's IdNat_PS…)."""

    system: str
    value: str

    def __str__(self) -> str:
        return f"{self.system}|{self.value}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a professional declared to enter in an emergency, and until when (aware, exclusive) it serves.

    `event`: the audit event that recorded it; for traces and notices only, it never decides.
    """

    until: datetime
    reason_given: bool
    unable_to_consent: bool
    immediate_risk: bool
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated caller, as its token says.

    `subject`: the professional's IdNat_PS, the patient's internal id (the record-id; a representative's own), or the
    client's id for software. `record_id`: the one record that the token names, if any. `structures`: a software
    client's configured identifiers, or the one structure that a professional acts for: whose team it is of.
    `secret`: a minor's connexion secrète. `regulates`: Pro Santé Connect's Acces_Regulation_Medicale.
    """

    kind: ActorKind
    client_id: str
    subject: str
    token_id: str
    scopes: frozenset[str]
    record_id: str | None = None
    structures: tuple[Identifier, ...] = ()
    professional: Identifier | None = None
    profession: str | None = None  # TRE_G15 code, e.g. 10 = médecin
    display: str | None = None  # for the trace only: never decides
    structure_display: str | None = None  # likewise
    role: str | None = None  # TRE_R85 code, e.g. 330 = coordonnateur de parcours
    sectors: frozenset[str] = frozenset()  # TRE_R02 codes, e.g. SA66 = service de prévention et de santé au travail
    specialties: frozenset[str] = frozenset()  # TRE_R38 codes, e.g. SM25 = médecine du travail
    mode: Mode = Mode.NORMAL
    declaration: Declaration | None = None
    regulates: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """The patient's authorisation of a structure or a professional. `end` exclusive; None: the setting's duration."""

    grantee: Identifier
    start: datetime
    end: datetime | None = None
    kind: GrantKind = GrantKind.STRUCTURE


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What the decision needs of a record.

    `birth_date`: of its holder, FHIR date, maybe of less precision. `blocked`: professionals. `opposed`: emergency
    modes. `medecin_traitant`: who accepted; `named`: who was ever named as such, whatever they answered. `kept_secret`:
    on which day who acted in what is kept from representatives; needed to decide on a care history only.
    """

    record_id: str
    status: RecordStatus
    grants: tuple[Grant, ...] = ()
    birth_date: str | None = None
    blocked: frozenset[Identifier] = field(default_factory=frozenset)
    opposed: frozenset[Mode] = field(default_factory=frozenset)
    medecin_traitant: Identifier | None = None
    named: frozenset[Identifier] = field(default_factory=frozenset)
    kept_secret: frozenset[tuple[date, Identifier]] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What the decision needs of a document entry, stored or about to be.

    `labels`: codes of its security labels (J08). `author_structures`: organisations among its authors. `depositor`:
    client id of the software that deposited it; `depositor_structures`: that client's structure. `deposited`: when
    (aware); None: now. `holders_own`: its author is the holder (or, for a minor, the representative who deposited it).
    Of a care history: `covers_until`, its last day, and `acts`, on which day who acted (when it is deposited).
    """

    status: str
    labels: frozenset[str]
    type_code: str
    author_structures: frozenset[Identifier] = field(default_factory=frozenset)
    author_professionals: frozenset[Identifier] = field(default_factory=frozenset)
    depositor: str | None = None
    depositor_structures: frozenset[Identifier] = field(default_factory=frozenset)
    deposited: datetime | None = None
    holders_own: bool = False
    covers_until: date | None = None
    acts: frozenset[tuple[date, Identifier]] = field(default_factory=frozenset)


class Reason(StrEnum):
    """Why the verdict is what it is. The value is stable: it stands in traces. `articles` has the law behind each."""

    ALLOWED_HOLDER = "allowed.holder"
    ALLOWED_REPRESENTATIVE = "allowed.representative"
    ALLOWED_GRANT = "allowed.grant"
    ALLOWED_CONSENT = "allowed.consent"
    ALLOWED_EXPRESS_CONSENT = "allowed.express-consent"
    ALLOWED_MEDECIN_TRAITANT = "allowed.medecin-traitant"
    ALLOWED_DELEGATION = "allowed.delegation"
    ALLOWED_BRIS_DE_GLACE = "allowed.bris-de-glace"
    ALLOWED_CENTRE_15 = "allowed.centre-15"
    ALLOWED_AUTHOR = "allowed.author"
    ALLOWED_FEEDING = "allowed.feeding"
    ALLOWED_INSURER = "allowed.insurer"
    ALLOWED_STATUS = "allowed.status"
    ALLOWED_COLLECTING = "allowed.collecting"
    ALLOWED_NAMED = "allowed.named"
    ALLOWED_STRUCTURE = "allowed.structure"
    ALLOWED_FIGURES = "allowed.figures"
    DENIED_SCOPE = "denied.scope"
    DENIED_ACTOR = "denied.actor"
    DENIED_OTHER_RECORD = "denied.other-record"
    DENIED_OTHER_STRUCTURE = "denied.other-structure"
    DENIED_NO_RECORD = "denied.no-record"
    DENIED_CLOSED = "denied.closed"
    DENIED_SUSPENDED = "denied.suspended"
    DENIED_STATE = "denied.state"
    DENIED_MAJORITY = "denied.majority"
    DENIED_MODE = "denied.mode"
    DENIED_BLOCKED = "denied.blocked"
    DENIED_INSURANCE = "denied.insurance"
    DENIED_PROFESSION = "denied.profession"
    DENIED_NOT_DECLARED = "denied.not-declared"
    DENIED_NOT_REGULATING = "denied.not-regulating"
    DENIED_OPPOSED = "denied.opposed"
    DENIED_NO_EXPRESS_CONSENT = "denied.no-express-consent"
    DENIED_NO_GRANT = "denied.no-grant"
    DENIED_NOT_NAMED = "denied.not-named"
    DENIED_NOT_AUTHOR = "denied.not-author"
    DENIED_MASKED = "denied.masked"
    DENIED_DELETED = "denied.deleted"
    DENIED_INVISIBLE = "denied.invisible"
    DENIED_REPRESENTATIVES = "denied.representatives"
    DENIED_MATRIX = "denied.matrix"
    DENIED_MATRIX_UNKNOWN = "denied.matrix-unknown"
    DENIED_INSURER_TYPE = "denied.insurer-type"
    DENIED_PATIENT_TYPE = "denied.patient-type"
    DENIED_LABEL = "denied.label"
    DENIED_LABELS_TOGETHER = "denied.labels-together"
    DENIED_NOT_MINOR = "denied.not-minor"
    DENIED_SECRET = "denied.secret"  # noqa: S105 - a reason
    DENIED_OPPOSED_ACT = "denied.opposed-act"
    DENIED_FALLEN_OUT = "denied.fallen-out"
    DENIED_REHIDING = "denied.rehiding"


class Caution(StrEnum):
    """What a caller must be told beside being allowed."""

    NOT_YET_TOLD = "not-yet-told"  # the patient can't see this document yet (EX_3.2-1025)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Allow or deny, and why. Truthiness is deliberately absent: ask for `.allowed`.

    `matrix`: the edition of the habilitation matrix that the decision used, if it used one.
    """

    allowed: bool
    reason: Reason
    matrix: str | None = None
    caution: Caution | None = None

    def __bool__(self) -> bool:
        raise TypeError("ask for verdict.allowed")
