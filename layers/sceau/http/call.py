"""One authenticated request on its way through a use case: who calls, when, and what was traced of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sceau.access.acts import RULES, may_ask
from sceau.access.decide import Decision
from sceau.access.matrix import Rules
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    DocumentFacts,
    Identifier as ActingStructure,
    Mode,
    Reason,
    RecordFacts,
    Verdict,
)
from sceau.audit.facts import (
    AuditAct,
    Client,
    Coding,
    Entity,
    EventFacts,
    Identifier,
    Outcome,
    Request as TracedRequest,
    Server,
    Structure,
    User,
)
from sceau.audit.shapes import GUARDIAN
from sceau.fhir.search.paging import PageCaller
from sceau.http.message import FORM, Request
from sceau.http.refusals import Refused, not_found, refused, unseen

_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PROFESSIONS = "urn:oid:1.2.250.1.213.1.1.5.5"
_POLICY = "urn:sceau:policy:"
_SUBMISSIONS = frozenset({AuditAct.PROVIDE_BUNDLE, AuditAct.SIMPLIFIED_PUBLISH})
_PURPOSES = {
    ActorKind.PROFESSIONAL: Coding(_ACT_REASON, "TREAT", "treatment"),
    ActorKind.SOFTWARE: Coding(_ACT_REASON, "TREAT", "treatment"),
    ActorKind.PATIENT: Coding(_ACT_REASON, "PATRQT", "patient requested"),
    ActorKind.REPRESENTATIVE: Coding(_ACT_REASON, "FAMRQT", "family requested"),
    ActorKind.INSURER: Coding(_ACT_REASON, "HPAYMT", "healthcare payment"),
    ActorKind.OPERATIONS: Coding(_ACT_REASON, "HOPERAT", "healthcare operations"),
}


@dataclass(slots=True)
class Call:
    """What a use case works with. One per request, used by one thread.

    `append` writes an event and returns its id once that is confirmed; it raises JournalUnavailable. `rules`: those in
    force when the request came. `evidence` gives what shows later who sent it: it is sealed with the event of a
    submission. `purpose`: of the act, where it is not that of all the caller's acts. `structure`: for which of the
    client's the act is (`acts_for`). `concerns`: what a refusal is about, where the address alone does not say it.
    """

    request: Request
    actor: Actor
    now: datetime
    server: Server
    append: Callable[[EventFacts], str]
    rules: Rules
    evidence: Callable[[], bytes]
    audit_act: AuditAct = AuditAct.READ
    record_id: str | None = None
    dossier_version: int = 0
    matrix: str | None = None
    purpose: Coding | None = None
    structure: ActingStructure | None = None
    concerns: Callable[[], tuple[Entity, ...]] = tuple
    events: list[str] = field(default_factory=list)

    @property
    def page_caller(self) -> PageCaller:
        """Whom a page of the answer is for: its link opens for nobody else."""
        return PageCaller(self.actor.client_id, self.actor.subject, self.record_id or "")

    def begin(self, audit_act: AuditAct, record_id: str | None = None) -> None:
        """Say what is being asked, so that a refusal or a failure from here on is traced as that act."""
        self.audit_act = audit_act
        self.record_id = record_id or self.actor.record_id

    def acts_for(self, authors: Iterable[ActingStructure]) -> None:
        """Say who authored what is being done: of a client of several structures, the trace names one of these."""
        found = set(authors)
        self.structure = next((one for one in self.actor.structures if one in found), None)

    def require_ask(self, act: Act) -> None:
        """Refuse at once what scope or kind of caller rules out. Raises Refused."""
        verdict = may_ask(act, self.actor)
        if verdict is not None:
            raise refused(verdict)

    def require(self, act: Act, record: RecordFacts, document: DocumentFacts | None = None) -> Verdict:
        """The verdict when it allows; raises Refused (403) when it denies."""
        verdict = self.decide(act, record, document)
        if not verdict.allowed:
            raise refused(verdict)
        return verdict

    def decide(self, act: Act, record: RecordFacts, document: DocumentFacts | None = None) -> Verdict:
        """The verdict, at the time at which the request came."""
        return self.decision(act, record).on(document)

    def decision(self, act: Act, record: RecordFacts) -> Decision:
        """The same for many documents: what the record alone decides is decided once."""
        decision = Decision(act, self.actor, record, self.rules, self.now)
        self.matrix = decision.matrix or self.matrix
        return decision

    def unseen(self, denied: Reason, record: RecordFacts, document: DocumentFacts) -> Refused:
        """The refusal of a caller who may not know of a document: what is not there. The trace says why, but not to a
        caller who reads these traces and is shown none of that document's."""
        own_reader = self.actor.kind in RULES[Act.READ_TRACES].kinds
        hidden = own_reader and not self.decide(Act.READ_TRACES, record, document).allowed
        return not_found() if hidden else unseen(denied)

    def trace(
        self,
        *,
        outcome: Outcome = Outcome.SUCCESS,
        reason: str | None = None,
        data: Entity | None = None,
        others: tuple[Entity, ...] = (),
    ) -> str:
        """Write the act's event and return its id. Nothing may leave, and nothing be committed, before this returns."""
        facts = EventFacts(
            act=self.audit_act,
            server=self.server,
            client=Client(self.actor.client_id, self.server.origin, self.request.source_ip),
            outcome=outcome,
            reason=reason,
            user=_user(self.actor),
            structure=_structure(self.actor, self.structure),
            token_id=self.actor.token_id,
            purpose=self.purpose or _PURPOSES[self.actor.kind],
            policies=self._policies(),
            record_id=self.record_id,
            dossier_version=self.dossier_version,
            data=data,
            others=others,
            request=_traced(self.request),
            request_id=self.request.request_id or None,
            evidence=self.evidence() if self.audit_act in _SUBMISSIONS else None,
        )
        event_id = self.append(facts)
        self.events.append(event_id)
        return event_id

    def _policies(self) -> tuple[str, ...]:
        """What the decision used beside the facts: the edition of the matrix, how the caller entered, by what event."""
        policies = [f"{_POLICY}matrix:{self.matrix}"] if self.matrix else []
        if self.actor.mode is not Mode.NORMAL:
            policies.append(f"{_POLICY}mode:{self.actor.mode}")
        if self.actor.declaration is not None and self.actor.declaration.event is not None:
            policies.append(f"{_POLICY}declaration:{self.actor.declaration.event}")
        if self.actor.secret:
            policies.append(f"{_POLICY}mode:connexion_secrete")
        return tuple(policies)


def _user(actor: Actor) -> User | None:
    if actor.kind is ActorKind.PROFESSIONAL and actor.professional:
        role = Coding(_PROFESSIONS, actor.profession) if actor.profession else None
        identifier = Identifier(actor.professional.system, actor.professional.value)
        return User(identifier, name=actor.display, role=role)
    if actor.kind is ActorKind.PATIENT and actor.record_id:
        return User(Identifier("", actor.record_id), reference=f"Patient/{actor.record_id}")
    if actor.kind is ActorKind.REPRESENTATIVE:
        return User(Identifier("", actor.subject), role=GUARDIAN)
    return None


def _structure(actor: Actor, acting: ActingStructure | None) -> Structure | None:
    # Of a client that works for several, the first, where what is done does not say for which.
    if not actor.structures:
        return None
    own = acting or actor.structures[0]
    return Structure(Identifier(own.system, own.value), actor.structure_display)


def _traced(request: Request) -> TracedRequest:
    target = f"{request.path}?{request.query}" if request.query else request.path
    # As it came, also when it can't be read: its refusal is an event too, and `redact` cuts and hides.
    is_form = request.method == "POST" and request.path.endswith("/_search") and request.media_type() == FORM
    return TracedRequest(request.method, target, request.body if is_form else b"")
