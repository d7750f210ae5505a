"""May this actor do this act on this record and document now, and why. Pure and total; what no rule allows is denied.

A decision goes through the checks in order; the first that denies gives the reason. Rules, with their sources:

* a scope is a ceiling (SMART 2), and each act is open to some kinds of actor only (`_ACTS`);
* a token names one record (api.md, "Tokens name one patient"): an act on another one is denied;
* a professional reads with the patient's grant to the structure that the token pins (CSP R. 1111-46);
* authorisations matter for reading only: feeding an open record needs none (IG4DMP TD0.2 NB2), but the author
  must be of the software's own structure (api.md, "Who may publish");
* `MASQUE_PS`: seen by the holder and by its author (CSP R. 1111-49); the médecin traitant comes with the access issue;
* `INVISIBLE_*`: not deposited yet; denied to everyone but the author until the rules on their clocks exist;
* `entered-in-error` is never returned (api.md, TD3.1a);
* a closed record is read by nobody; its holder keeps seeing its status, rights and traces (CSP L. 1111-19).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    DocumentFacts,
    Grant,
    Reason,
    RecordFacts,
    RecordStatus,
    Verdict,
)
from sceau.access.scopes import permits

INSURER_TYPES = frozenset({"REMB"})
"""Document types that only the insurer feeds (CSP R. 1111-42, reimbursement data; type REMB of JDV_J07)."""

_INVISIBLE = frozenset({"INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"})

_LEVEL = {
    ActorKind.SOFTWARE: "system",
    ActorKind.INSURER: "system",
    ActorKind.PROFESSIONAL: "user",
    ActorKind.PATIENT: "patient",
    ActorKind.OPERATIONS: "ops",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    resource: str
    letter: str
    kinds: frozenset[ActorKind]


def _rule(scope: str, *kinds: ActorKind) -> _Rule:
    resource, letter = scope.split(".")
    return _Rule(resource, letter, frozenset(kinds))


_ACTS: dict[Act, _Rule] = {
    Act.OPEN_RECORD: _rule("Consent.c", ActorKind.INSURER, ActorKind.PATIENT),
    Act.GRANT: _rule("Consent.c", ActorKind.PATIENT),
    Act.WITHDRAW: _rule("Consent.u", ActorKind.PATIENT),
    Act.READ_CONSENTS: _rule("Consent.s", ActorKind.PATIENT),
    Act.PUBLISH: _rule("DocumentReference.c", ActorKind.SOFTWARE, ActorKind.INSURER, ActorKind.PROFESSIONAL),
    Act.REPLACE: _rule("DocumentReference.c", ActorKind.SOFTWARE, ActorKind.INSURER, ActorKind.PROFESSIONAL),
    Act.READ_STATUS: _rule("Patient.s", ActorKind.PROFESSIONAL, ActorKind.PATIENT),
    Act.SEARCH: _rule("DocumentReference.s", ActorKind.PROFESSIONAL, ActorKind.PATIENT),
    Act.FIND_IDENTIFIER: _rule("DocumentReference.s", ActorKind.SOFTWARE, ActorKind.INSURER, ActorKind.PROFESSIONAL),
    Act.SEARCH_SETS: _rule("List.s", ActorKind.PROFESSIONAL, ActorKind.PATIENT),
    Act.READ_SET: _rule("List.r", ActorKind.PROFESSIONAL, ActorKind.PATIENT),
    Act.READ_ENTRY: _rule("DocumentReference.r", ActorKind.PROFESSIONAL, ActorKind.PATIENT),
    Act.READ_DOCUMENT: _rule("DocumentReference.r", ActorKind.PROFESSIONAL, ActorKind.PATIENT),
    Act.READ_TRACES: _rule("AuditEvent.s", ActorKind.PATIENT),
}

_FEEDING = frozenset({Act.PUBLISH, Act.REPLACE})
_READING = frozenset({Act.SEARCH, Act.SEARCH_SETS, Act.READ_ENTRY, Act.READ_SET, Act.READ_DOCUMENT})
_HOLDER_ALWAYS = frozenset({Act.READ_STATUS, Act.READ_TRACES, Act.READ_CONSENTS})


def may_ask(act: Act, actor: Actor) -> Verdict | None:
    """The denial that scope or kind of actor alone gives, before any record is loaded; None when there is none."""
    rule = _ACTS[act]
    if actor.kind not in rule.kinds:
        return _deny(Reason.DENIED_ACTOR)
    if not permits(actor.scopes, _LEVEL[actor.kind], rule.resource, rule.letter):
        return _deny(Reason.DENIED_SCOPE)
    return None


def decide(act: Act, actor: Actor, record: RecordFacts, document: DocumentFacts | None, now: datetime) -> Verdict:
    """The verdict. `document` is None for an act on the record as a whole (a search is then decided per entry too)."""
    denied = may_ask(act, actor)
    if denied is not None:
        return denied
    if actor.kind in (ActorKind.PATIENT, ActorKind.PROFESSIONAL) and actor.record_id is None:
        return _deny(Reason.DENIED_OTHER_RECORD)
    if actor.record_id is not None and actor.record_id != record.record_id:
        return _deny(Reason.DENIED_OTHER_RECORD)
    if act is Act.OPEN_RECORD:
        return _decide_opening(actor, record)
    if act in _HOLDER_ALWAYS and actor.kind is ActorKind.PATIENT:
        return Verdict(True, Reason.ALLOWED_HOLDER)
    if act is Act.READ_STATUS:
        # TD0.2 tells a professional what may be done here and why not: it needs no grant, else nobody could learn it.
        return Verdict(True, Reason.ALLOWED_STATUS)
    if record.status is RecordStatus.ABSENT:
        return _deny(Reason.DENIED_NO_RECORD)
    if record.status is RecordStatus.CLOSED:
        return _deny(Reason.DENIED_CLOSED)
    if act in _FEEDING:
        return _decide_feeding(act, actor, document)
    if act is Act.FIND_IDENTIFIER:
        return _decide_finding(actor, document)
    if actor.kind is ActorKind.PATIENT:
        return _decide_holder(act, document)
    return _decide_professional(actor, record, document, now)


def _decide_opening(actor: Actor, record: RecordFacts) -> Verdict:
    if record.status is RecordStatus.CLOSED:
        return _deny(Reason.DENIED_CLOSED)  # reopening is an act of its own, and comes with the life of a record
    allowed = Reason.ALLOWED_INSURER if actor.kind is ActorKind.INSURER else Reason.ALLOWED_HOLDER
    return Verdict(True, allowed)


def _decide_feeding(act: Act, actor: Actor, document: DocumentFacts | None) -> Verdict:
    """PUBLISH looks at the new document, REPLACE at the one that is to be superseded."""
    if document is None:
        return _deny(Reason.DENIED_NOT_AUTHOR)
    if (document.type_code in INSURER_TYPES) != (actor.kind is ActorKind.INSURER):
        return _deny(Reason.DENIED_INSURER_TYPE)
    if not _is_author(actor, document):
        return _deny(Reason.DENIED_NOT_AUTHOR)
    if act is Act.REPLACE and document.status == "entered-in-error":
        return _deny(Reason.DENIED_DELETED)
    return Verdict(True, Reason.ALLOWED_FEEDING)


def _decide_finding(actor: Actor, document: DocumentFacts | None) -> Verdict:
    """TD3.1b: whoever authored an entry may learn its id and status, and nothing else."""
    if document is None:
        return Verdict(True, Reason.ALLOWED_AUTHOR)
    if document.status == "entered-in-error":
        return _deny(Reason.DENIED_DELETED)
    if not _is_author(actor, document):
        return _deny(Reason.DENIED_NOT_AUTHOR)
    return Verdict(True, Reason.ALLOWED_AUTHOR)


def _decide_holder(act: Act, document: DocumentFacts | None) -> Verdict:
    if document is not None and act in _READING:
        if document.status == "entered-in-error":
            return _deny(Reason.DENIED_DELETED)
        if document.labels & _INVISIBLE:
            return _deny(Reason.DENIED_INVISIBLE)
    return Verdict(True, Reason.ALLOWED_HOLDER)


def _decide_professional(actor: Actor, record: RecordFacts, document: DocumentFacts | None, now: datetime) -> Verdict:
    if not any(_covers(grant, actor, now) for grant in record.grants):
        return _deny(Reason.DENIED_NO_GRANT)
    if document is None:
        return Verdict(True, Reason.ALLOWED_GRANT)
    if document.status == "entered-in-error":
        return _deny(Reason.DENIED_DELETED)
    if _is_author(actor, document):
        return Verdict(True, Reason.ALLOWED_AUTHOR)
    if "MASQUE_PS" in document.labels:
        return _deny(Reason.DENIED_MASKED)
    if document.labels & _INVISIBLE:
        return _deny(Reason.DENIED_INVISIBLE)
    return Verdict(True, Reason.ALLOWED_GRANT)


def _covers(grant: Grant, actor: Actor, now: datetime) -> bool:
    return grant.grantee in actor.structures and grant.start <= now and (grant.end is None or now < grant.end)


def _is_author(actor: Actor, document: DocumentFacts) -> bool:
    """The author is the structure (or the professional) that the entry names, and no one else."""
    if not document.author_structures.isdisjoint(actor.structures):
        return True
    return actor.professional is not None and actor.professional in document.author_professionals


def _deny(reason: Reason) -> Verdict:
    return Verdict(False, reason)
