"""Which events of a record its reader may see: the same decision as on documents, and no way round it.

An event about a document that the reader can't see is not shown at all: its bytes are what was committed to, so nothing
can be taken out of it. It is shown once the document may be. The event of a submission with several documents waits for
the last of them. A submission set or folder whose documents are all hidden is hidden with them, and an event that names
a hidden event, with that one.

The present record does not hold all that events name: an attempt was not committed, an earlier record was deleted. Of
such a document the event's own labels decide; where it tells none, it counts as having those that hide the most.

What readers did themselves they are shown: they know that they did it, and it must not tell them more than its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sceau.access.decide import Decision
from sceau.access.facts import instant_of
from sceau.access.labels import VISIBILITY, keeps_secret_sessions
from sceau.access.model import Actor, ActorKind, DocumentFacts
from sceau.audit.facts import Outcome
from sceau.http.seeing import hidden_entries, hidden_sets
from sceau.http.trace_naming import (
    events_named,
    is_of_a_secret_session,
    name_of,
    names_in,
    names_of_row,
    names_without_labels,
    tells_labels,
)
from sceau.records.dossier import Dossier
from sceau_schemas.audit import AuditEvent, Entity
from sceau_schemas.dossier import EntryRow, SetRow

_DEEPEST: Final = 8
"""How far an event is followed that names one that names one."""

_MOST_NAMED: Final = 400
"""Named events that one request reads at most."""


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """What the reader of a record's traces may know of what it holds.

    `decision`: of READ_TRACES. `hidden`: the entries, sets and folders that the reader can't see. `holds`: whether the
    record has one of an id. `opened`: since when it is there; None: nobody opened one, or it was deleted.
    """

    decision: Decision
    hidden: Collection[EntryRow | SetRow] = ()
    holds: Callable[[str], bool] = lambda _: False
    opened: datetime | None = None

    @classmethod
    def of(cls, decision: Decision, dossier: Dossier | None) -> SeenRecord:
        """By the record's dossier. Raises RecordDamaged."""
        if dossier is None:
            return cls(decision)
        entries, sets = dossier.entries, dossier.sets
        hidden = hidden_entries(decision, entries)
        return cls(
            decision,
            [*hidden, *hidden_sets(hidden, sets)],
            lambda name: name in entries or name in sets,
            instant_of(dossier.head.opened),
        )


class TraceSight:
    """What `actor` may see of a record's events. For one request.

    `event(id)` reads an event of the record; None: it can't be read.
    """

    def __init__(
        self, actor: Actor, record: SeenRecord, event: Callable[[str], AuditEvent | None] = lambda _: None
    ) -> None:
        self._actor = actor
        self._record = record
        self._hidden = frozenset(name for row in record.hidden for name in names_of_row(row))
        self._keeps_secrets = keeps_secret_sessions(actor.kind)
        self._event = event
        self._shown_named: dict[str, bool] = {}

    def __call__(self, event: AuditEvent) -> bool:
        """Whether an event is shown."""
        return self._shows(event, _DEEPEST)

    def _shows(self, event: AuditEvent, depth: int) -> bool:
        if self._is_own(event):
            return True
        # Of the callers that read events, only a minor is shown what another reader, the representative, is not.
        if self._keeps_secrets and (
            is_of_a_secret_session(event) or not all(self._may_name(one, depth) for one in events_named(event))
        ):
            return False
        return not self._tells(event)

    def _is_own(self, event: AuditEvent) -> bool:
        """Whether the reader is who did it."""
        users = [agent.who for agent in event.agent if agent.requestor and agent.who]
        if self._actor.kind is ActorKind.PATIENT:
            return any(who.reference == f"Patient/{self._actor.record_id}" for who in users)
        own = (who.identifier for who in users if who.identifier and not who.identifier.system)
        return any(one.value == self._actor.subject for one in own)

    def _may_name(self, event_id: str, depth: int) -> bool:
        """Whether a named event is shown. What would take too much reading to know, is not."""
        if event_id not in self._shown_named:
            if depth == 0 or len(self._shown_named) >= _MOST_NAMED:
                return False
            named = self._event(event_id)
            self._shown_named[event_id] = named is None or self._shows(named, depth - 1)
        return self._shown_named[event_id]

    def _tells(self, event: AuditEvent) -> bool:
        """Whether an event tells of something hidden (an entry, its bytes, a set, a folder), or of what could be."""
        if self._hidden and not self._hidden.isdisjoint(names_in(event)):
            return True
        documents = [entity for entity in event.entity if tells_labels(entity)]
        if not all(self._may_be_known(one, event.recorded) for one in documents):
            return True
        done = event.outcome == Outcome.SUCCESS
        if done and documents:
            return False  # what else it names holds these documents, or has handed its masks on to them
        of_earlier = self._record.opened is None or event.recorded < self._record.opened
        if not (done or of_earlier):
            return False  # the record does not have what was asked for, and never had
        gone = any(not self._record.holds(one) for one in names_without_labels(event, asked=of_earlier))
        return gone and not self._shows_labelled(VISIBILITY, event.recorded)

    def _may_be_known(self, document: Entity, at: datetime) -> bool:
        """Whether a document may that an event tells the labels of: of one that is there, its row has decided."""
        shown = self._shows_labelled(frozenset(label.code for label in document.security_label), at)
        reference = document.what.reference if document.what else None
        return shown or (reference is not None and self._record.holds(name_of(reference.partition("/_history/")[0])))

    def _shows_labelled(self, labels: frozenset[str], at: datetime) -> bool:
        """Whether the reader may know of a document with these labels that was deposited `at` that time.

        No document is deposited later than the event that names it: what waits a month shows late, never too soon.
        """
        return self._record.decision.on(DocumentFacts("current", labels, type_code="", deposited=at)).allowed
