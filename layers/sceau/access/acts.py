"""Which scope each act needs, and which kinds of actor may ask for it at all: what is known before any record is."""

from __future__ import annotations

from dataclasses import dataclass

from sceau.access.model import Act, Actor, ActorKind, Reason, Verdict
from sceau.access.scopes import permits

LEVELS = {
    ActorKind.SOFTWARE: "system",
    ActorKind.INSURER: "system",
    ActorKind.PROFESSIONAL: "user",
    ActorKind.PATIENT: "patient",
    ActorKind.REPRESENTATIVE: "patient",
    ActorKind.OPERATIONS: "ops",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A scope's resource and letter (SMART 2), and who may ask."""

    resource: str
    letter: str
    kinds: frozenset[ActorKind]


def _rule(scope: str, *kinds: ActorKind) -> Rule:
    resource, letter = scope.split(".")
    return Rule(resource, letter, frozenset(kinds))


_HOLDER = (ActorKind.PATIENT, ActorKind.REPRESENTATIVE)
_READER = (*_HOLDER, ActorKind.PROFESSIONAL)
_FEEDER = (*_READER, ActorKind.SOFTWARE)
_PROFESSIONAL = ActorKind.PROFESSIONAL

RULES: dict[Act, Rule] = {
    Act.OPEN_RECORD: _rule("Consent.c", ActorKind.INSURER, *_HOLDER),
    Act.CLOSE_RECORD: _rule("Consent.u", *_HOLDER),
    Act.REOPEN_RECORD: _rule("Consent.u", *_HOLDER),
    Act.SUSPEND_RECORD: _rule("Consent.u", ActorKind.INSURER),
    Act.OBJECT_TO_SUSPENSION: _rule("Consent.u", *_HOLDER),
    Act.REQUEST_DELETION: _rule("Consent.u", *_HOLDER),
    Act.REPORT_DEATH: _rule("Consent.u", ActorKind.INSURER),
    Act.CORRECT_DEATH: _rule("Consent.u", ActorKind.INSURER),
    Act.GRANT: _rule("Consent.c", *_HOLDER),
    Act.COLLECT_CONSENT: _rule("Consent.c", _PROFESSIONAL),
    Act.CONSENT_EXPRESSLY: _rule("Consent.c", *_HOLDER),
    Act.BLOCK: _rule("Consent.c", *_HOLDER),
    Act.OPPOSE: _rule("Consent.c", *_HOLDER),
    Act.NAME_MEDECIN_TRAITANT: _rule("Consent.c", *_HOLDER),
    Act.ACCEPT_MEDECIN_TRAITANT: _rule("Consent.u", _PROFESSIONAL),
    Act.DELEGATE: _rule("Consent.c", *_HOLDER),
    Act.WITHDRAW: _rule("Consent.u", *_HOLDER),
    Act.READ_CONSENTS: _rule("Consent.s", *_READER),
    Act.PUBLISH: _rule("DocumentReference.c", *_FEEDER, ActorKind.INSURER),
    Act.REPLACE: _rule("DocumentReference.c", *_FEEDER, ActorKind.INSURER),
    Act.MASK: _rule("DocumentReference.u", *_FEEDER),
    Act.UNMASK: _rule("DocumentReference.u", *_READER),
    Act.SHOW_TO_PATIENT: _rule("DocumentReference.u", ActorKind.SOFTWARE, _PROFESSIONAL),
    Act.SHOW_TO_REPRESENTATIVES: _rule("DocumentReference.u", _PROFESSIONAL),
    Act.HIDE_AFTERWARDS: _rule("DocumentReference.u", *_FEEDER),
    Act.DELETE: _rule("DocumentReference.u", *_FEEDER, ActorKind.INSURER),
    Act.ARCHIVE: _rule("DocumentReference.u", ActorKind.SOFTWARE, _PROFESSIONAL),
    Act.READ_STATUS: _rule("Patient.s", *_READER),
    Act.SEARCH: _rule("DocumentReference.s", *_READER),
    Act.FIND_IDENTIFIER: _rule("DocumentReference.s", ActorKind.SOFTWARE, ActorKind.INSURER, _PROFESSIONAL),
    Act.SEARCH_SETS: _rule("List.s", *_READER),
    Act.READ_SET: _rule("List.r", *_READER),
    Act.READ_ENTRY: _rule("DocumentReference.r", *_READER),
    Act.READ_DOCUMENT: _rule("DocumentReference.r", *_READER),
    Act.READ_TRACES: _rule("AuditEvent.s", *_HOLDER),
    Act.EXTRACT_TRACES: _rule("AuditEvent.s", ActorKind.SOFTWARE),
    Act.READ_NOTICES: _rule("Communication.s", *_READER),
    Act.READ_REVIEW_QUEUE: _rule("Communication.s", ActorKind.SOFTWARE),
    Act.REVIEW: _rule("Communication.u", ActorKind.SOFTWARE),
    Act.COUNT_REVIEWS: _rule("ReviewQueue.s", ActorKind.OPERATIONS),
}

FEEDING = frozenset({Act.PUBLISH, Act.REPLACE})
READING = frozenset({Act.SEARCH, Act.SEARCH_SETS, Act.READ_ENTRY, Act.READ_SET, Act.READ_DOCUMENT})
CHANGING = frozenset(
    {
        Act.MASK,
        Act.UNMASK,
        Act.SHOW_TO_PATIENT,
        Act.SHOW_TO_REPRESENTATIVES,
        Act.HIDE_AFTERWARDS,
        Act.DELETE,
        Act.ARCHIVE,
    }
)
"""Changes of an entry that is there (TD3.3)."""

DECIDING = frozenset(
    {
        Act.GRANT,
        Act.CONSENT_EXPRESSLY,
        Act.BLOCK,
        Act.OPPOSE,
        Act.NAME_MEDECIN_TRAITANT,
        Act.DELEGATE,
        Act.WITHDRAW,
    }
)
"""The holder's decisions about an open record."""

LIFE = frozenset(
    {Act.CLOSE_RECORD, Act.REOPEN_RECORD, Act.SUSPEND_RECORD, Act.OBJECT_TO_SUSPENSION, Act.REQUEST_DELETION}
    | {Act.REPORT_DEATH, Act.CORRECT_DEATH}
)
ALWAYS_READ = frozenset({Act.READ_STATUS, Act.READ_TRACES, Act.READ_CONSENTS, Act.READ_NOTICES})
"""What the holder sees whatever became of the record (CSP L. 1111-19)."""

REVIEWING = frozenset({Act.READ_REVIEW_QUEUE, Act.REVIEW, Act.COUNT_REVIEWS})
"""Of a structure, or of the stage: no record is asked."""


def may_ask(act: Act, actor: Actor) -> Verdict | None:
    """The denial that scope or kind of actor alone gives, before any record is loaded; None when there is none."""
    rule = RULES[act]
    if actor.kind not in rule.kinds:
        return Verdict(False, Reason.DENIED_ACTOR)
    if not permits(actor.scopes, LEVELS[actor.kind], rule.resource, rule.letter):
        return Verdict(False, Reason.DENIED_SCOPE)
    return None
