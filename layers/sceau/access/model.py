"""The facts that a decision rests on, and its answer. Values only: no I/O, no clock.

Sources: `docs/rules.md` names the article behind each rule; CSP = code de la santé publique.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Act(StrEnum):
    """What somebody asks to do. One act per route; `requires` in `decide` gives the scope that each needs."""

    OPEN_RECORD = "open-record"
    GRANT = "grant"
    WITHDRAW = "withdraw"
    READ_CONSENTS = "read-consents"
    PUBLISH = "publish"
    REPLACE = "replace"
    READ_STATUS = "read-status"  # TD0.2
    SEARCH = "search"  # TD3.1a
    FIND_IDENTIFIER = "find-identifier"  # TD3.1b: the technical id of what one authored
    SEARCH_SETS = "search-sets"  # ITI-66
    READ_ENTRY = "read-entry"
    READ_SET = "read-set"
    READ_DOCUMENT = "read-document"  # TD3.2
    READ_TRACES = "read-traces"  # ITI-81


class ActorKind(StrEnum):
    """What the identity room established the caller to be."""

    SOFTWARE = "software"  # software of a care structure: feeds, reads nothing back
    INSURER = "insurer"  # the insurer's batch (CNAM)
    PROFESSIONAL = "professional"
    PATIENT = "patient"
    OPERATIONS = "operations"


class RecordStatus(StrEnum):
    """The life of a record. `ABSENT`: nobody opened one for this patient."""

    ABSENT = "absent"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A business identifier, `system` and `value` (a structure's IdNat_Struct, a professional's IdNat_PS…)."""

    system: str
    value: str

    def __str__(self) -> str:
        return f"{self.system}|{self.value}"


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated caller, as its token says.

    `subject`: the professional's IdNat_PS, the patient's internal id (the record-id), or the client's id for software.
    `record_id`: the one record that the token names, if any. `structures`: a software client's configured
    identifiers, or the one structure that a professional acts for.
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


@dataclass(frozen=True, slots=True)
class Grant:
    """The patient's authorisation of a structure. `end` exclusive; None: until withdrawn."""

    grantee: Identifier
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What the decision needs of a record."""

    record_id: str
    status: RecordStatus
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What the decision needs of a document entry, stored or about to be.

    `labels`: codes of its security labels (J08). `author_structures`: organisations among its authors.
    `depositor`: client id of the software that deposited it; `depositor_structures`: that client's structure.
    """

    status: str
    labels: frozenset[str]
    type_code: str
    author_structures: frozenset[Identifier] = field(default_factory=frozenset)
    author_professionals: frozenset[Identifier] = field(default_factory=frozenset)
    depositor: str | None = None
    depositor_structures: frozenset[Identifier] = field(default_factory=frozenset)


class Reason(StrEnum):
    """Why the verdict is what it is. The value is stable: it stands in traces."""

    ALLOWED_HOLDER = "allowed.holder"
    ALLOWED_GRANT = "allowed.grant"
    ALLOWED_AUTHOR = "allowed.author"
    ALLOWED_FEEDING = "allowed.feeding"
    ALLOWED_INSURER = "allowed.insurer"
    ALLOWED_STATUS = "allowed.status"
    DENIED_SCOPE = "denied.scope"
    DENIED_ACTOR = "denied.actor"
    DENIED_OTHER_RECORD = "denied.other-record"
    DENIED_NO_RECORD = "denied.no-record"
    DENIED_CLOSED = "denied.closed"
    DENIED_NO_GRANT = "denied.no-grant"
    DENIED_NOT_AUTHOR = "denied.not-author"
    DENIED_MASKED = "denied.masked"
    DENIED_DELETED = "denied.deleted"
    DENIED_INVISIBLE = "denied.invisible"
    DENIED_INSURER_TYPE = "denied.insurer-type"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Allow or deny, and why. Truthiness is deliberately absent: ask for `.allowed`."""

    allowed: bool
    reason: Reason

    def __bool__(self) -> bool:
        raise TypeError("ask for verdict.allowed")
