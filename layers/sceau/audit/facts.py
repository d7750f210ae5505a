"""What an audit event is made of, as plain values. No I/O, no clock: the event's time is that of its id.

An event never names its patient: no INS (refused here), no patient's name (a user who is the patient has none). The
patient stands in it as `Patient/<record-id>`. A professional's name may stand: patients must see who did what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sceau.audit.ids import NO_RECORD, check_record

INS_SYSTEMS = "urn:oid:1.2.250.1.213.1.4."
"""What the systems of an INS begin with: NIR, NIA, and their test and demonstration forms (reference: ANS)."""

_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?")
_REASON = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_TOKEN_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_POLICY = re.compile(r"urn:sceau:policy:[a-z0-9_-]{1,32}:[a-z0-9._-]{1,64}")
_SHA256_BYTES = 32


class AuditAct(StrEnum):
    """The kinds of events; `shapes.SHAPES` says what each looks like."""

    ISSUE_TOKEN = "issue-token"  # noqa: S105 - the name of an act
    REVOKE_TOKEN = "revoke-token"  # noqa: S105 - the name of an act
    PROVIDE_BUNDLE = "provide-bundle"  # ITI-65: TD2, TD2.1
    SIMPLIFIED_PUBLISH = "simplified-publish"  # ITI-105: TD2, TD2.1
    FIND_DOCUMENT_LISTS = "find-document-lists"  # ITI-66
    FIND_DOCUMENT_REFERENCES = "find-document-references"  # ITI-67: TD3.1a
    FIND_IDENTIFIER = "find-identifier"  # ITI-67 as TD3.1b
    RETRIEVE_DOCUMENT = "retrieve-document"  # ITI-68: TD3.2
    QUERY_PATIENT = "query-patient"  # TD0.2
    READ = "read"  # a DocumentReference, List, Patient, AuditEvent or Consent, by its id
    QUERY_TRACES = "query-traces"  # ITI-81
    CREATE_CONSENT = "create-consent"
    UPDATE_CONSENT = "update-consent"
    PATCH = "patch"  # TD3.3
    READ_HISTORY = "read-history"  # of a DocumentReference or Consent
    QUERY_CONSENTS = "query-consents"
    QUERY_NOTICES = "query-notices"
    QUERY_REVIEWS = "query-reviews"
    COUNT_REVIEWS = "count-reviews"
    REVIEW = "review"  # of an emergency access, by the structure's responsible person


class Outcome(StrEnum):
    """AuditEvent.outcome."""

    SUCCESS = "0"
    REFUSED = "4"  # minor failure: refused, the caller can do something about it
    FAILED = "8"  # serious failure: ours, or an attack is suspected


@dataclass(frozen=True, slots=True)
class Coding:
    """A FHIR Coding."""

    system: str
    code: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Identifier:
    """A business identifier; `system` may be empty. An INS is refused (ValueError)."""

    system: str
    value: str

    def __post_init__(self) -> None:
        if self.system.startswith(INS_SYSTEMS):
            raise ValueError("no INS in an audit event")
        if not self.value:
            raise ValueError("an identifier has a value")


@dataclass(frozen=True, slots=True)
class Server:
    """Our own identity: the observer of every event. `origin`: scheme, host and port, as callers see them."""

    identifier: Identifier
    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class Client:
    """The calling software. `issuer`: who gives out its client id (our origin). `address`: the IP address seen."""

    client_id: str
    issuer: str
    address: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """The person for whom the software calls.

    A professional: IdNat_PS, name, profession as `role`. The patient (`reference` is `Patient/<record-id>`): the
    record-id as identifier, and no name (ValueError).
    """

    identifier: Identifier
    name: str | None = None
    role: Coding | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.reference is not None:
            _check_reference(self.reference)
            if self.name is not None:
                raise ValueError("no patient's name in an audit event")


@dataclass(frozen=True, slots=True)
class Structure:
    """The care structure that the caller acts for (IdNat_Struct)."""

    identifier: Identifier
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """A resource that the act concerns.

    `reference`: relative, `Type/id` or `Type/id/_history/version`; None where a refused request gave it no id.
    `sha256`: digest (32 bytes) of the document's bytes. `labels`: its security labels. `superseded`: replaced by it.
    `amended`: there before, and changed by it.
    """

    reference: str | None = None
    identifier: Identifier | None = None
    sha256: bytes | None = None
    labels: tuple[Coding, ...] = ()
    superseded: bool = False
    amended: bool = False

    def __post_init__(self) -> None:
        if self.reference is not None:
            _check_reference(self.reference)
        if self.sha256 is not None and len(self.sha256) != _SHA256_BYTES:
            raise ValueError("a SHA-256 digest has 32 bytes")


@dataclass(frozen=True, slots=True)
class Request:
    """The HTTP request as it came: `target` is path and query string, `form` a form body; no header.

    The event keeps it without the patient's identity and without secrets: see `redact`.
    """

    method: str
    target: str
    form: bytes = b""


@dataclass(frozen=True, slots=True)
class Entered:
    """What a token's event keeps of a mode that is not the normal one.

    An emergency: until when (aware) it was declared; `reason`: the professional's own words, in the event of the
    declaration; `declaration`: that event's id, in those of later tokens. A connexion secrète has nothing of this.
    """

    mode: str
    until: datetime | None = None
    reason: str | None = None
    declaration: str | None = None


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One act of an authenticated caller: authorised and about to be done, or refused, or failed.

    `reason`: a stable code (`denied.no-grant`), never a sentence; required unless the outcome is SUCCESS.
    `token_id`: the `jti` of the token used, or issued. `purpose`: purpose of use (v3-ActReason). `policies`: what the
    decision used beside the facts, as URNs (the edition of the habilitation matrix, a mode of access).
    `record_id`: the record that the act is about, if any. `dossier_version`: the version that the decision saw, or 0.
    `data`: what the act is about; required for a success of an act that isn't a query. `others`: further resources
    (the documents of a submission set, what they replace). `request`: required for queries and tokens. `entered`: of
    tokens only.

    Raises ValueError for what no event may be made of.
    """

    act: AuditAct
    server: Server
    client: Client
    outcome: Outcome = Outcome.SUCCESS
    reason: str | None = None
    user: User | None = None
    structure: Structure | None = None
    token_id: str | None = None
    purpose: Coding | None = None
    policies: tuple[str, ...] = ()
    record_id: str | None = None
    dossier_version: int = 0
    data: Entity | None = None
    others: tuple[Entity, ...] = ()
    request: Request | None = None
    request_id: str | None = None
    entered: Entered | None = None
    evidence: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.record_id is not None and check_record(self.record_id) == NO_RECORD:
            raise ValueError("not a record-id")
        if self.dossier_version < 0 or (self.dossier_version and self.record_id is None):
            raise ValueError("a dossier version is a positive number, and that of a record")
        if self.reason is None:
            if self.outcome is not Outcome.SUCCESS:
                raise ValueError("a refusal has a reason")
        elif not _REASON.fullmatch(self.reason):
            raise ValueError("a reason is a code")
        if not all(_POLICY.fullmatch(policy) for policy in self.policies):
            raise ValueError("a policy is a URN of ours")
        if self.token_id is not None and not _TOKEN_ID.fullmatch(self.token_id):
            raise ValueError("not a token id")


class OwnAct(StrEnum):
    """What functions of ours do to a record by themselves: by the law's clocks, or while switched on."""

    REWRAP = "rewrap"  # sealed anew under newer versions of its keys
    CLOSE = "close"  # nobody objected to its suspension
    DELETE = "delete"  # its archive is over, or the holder asked for it
    RESTORE = "restore"  # brought back to what it was at an earlier time
    EXPUNGE = "expunge"  # after its deletion: what the host keeps of it goes for good


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """An act of ours on a whole record, which nobody called for: about to be done.

    `details`: what it was done with, such as versions of keys; never what the record holds, nor how much of it: who
    may not see a document must not learn from here that it is there.
    """

    act: OwnAct
    server: Server
    record_id: str
    dossier_version: int
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen = 0 if self.act is OwnAct.EXPUNGE else 1  # its dossier is gone: no version was seen
        if check_record(self.record_id) == NO_RECORD or min(self.dossier_version, 1) != seen:
            raise ValueError("an act of ours is on a record, and on a version of it unless that is gone")


@dataclass(frozen=True, slots=True)
class RefusalCounts:
    """Refusals before authentication in one process: how many for each reason; times of the first and last (aware)."""

    server: Server
    first: datetime
    last: datetime
    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(_REASON.fullmatch(reason) for reason in self.counts):
            raise ValueError("a reason is a code")


def is_reason(text: str) -> bool:
    """Whether `text` has the form of a reason code."""
    return _REASON.fullmatch(text) is not None


def _check_reference(reference: str) -> None:
    if not _REFERENCE.fullmatch(reference):
        raise ValueError("not a relative reference")
