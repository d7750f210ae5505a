"""Notices of a record (`GET /fhir/Communication`): derived from its events and documents when they are read.

Nothing is written for them, so nothing tells the host who was told. What is not known for sure is told rather than not:
a professional counts as new when the year before, or as much of it as one request can open, holds no earlier reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sceau.access.model import Act, ActorKind, RecordFacts
from sceau.audit.accesses import Access, Declared, access_of, declared
from sceau.audit.facts import AuditAct
from sceau.audit.ids import event_time
from sceau.fhir.notices import KINDS, Notice, Reader, communication, emergencies, first_accesses, updates
from sceau.fhir.outcome import Problem
from sceau.fhir.parse import Json
from sceau.fhir.search.ignoring import unknown
from sceau.fhir.searchset import searchset
from sceau.fhir.times import moment
from sceau.http.call import Call
from sceau.http.event_reading import Events, TraceReader
from sceau.http.message import Answer, resource_answer
from sceau.http.negotiation import is_strict, require_json_answer
from sceau.http.periods import LONGEST_PERIOD, period
from sceau.http.trace_sight import TraceSight
from sceau.records.dossier import Dossier

LOOK_BACK = timedelta(days=365)
MOST_OPENED = 2000
"""Events that one request opens to learn who read before."""

_LONGEST_EMERGENCY = timedelta(days=1)  # the setting's longest: an act may follow its declaration so long after
_READERS = {
    ActorKind.PATIENT: Reader.PATIENT,
    ActorKind.REPRESENTATIVE: Reader.REPRESENTATIVE,
    ActorKind.PROFESSIONAL: Reader.MEDECIN_TRAITANT,
}


@dataclass(frozen=True, slots=True)
class _Query:
    start: datetime
    end: datetime
    kinds: frozenset[str]
    warnings: tuple[Problem, ...]


class Notices:
    """The use case. What it raises, the wrapper maps."""

    def __init__(self, reader: TraceReader) -> None:
        self._reader = reader

    def find(self, call: Call) -> Answer:
        """All notices of a period, the newest first: for the holder, and of emergencies for the médecin traitant."""
        call.begin(AuditAct.QUERY_NOTICES)
        call.require_ask(Act.READ_NOTICES)
        require_json_answer(call.request)
        query = self._query(call)
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_NOTICES, facts)
        call.trace()
        reader, events = _READERS[call.actor.kind], self._reader.events(call)
        notices = self._derived(call, dossier, facts, query, reader, events)
        kept = [one for one in notices if not query.kinds or one.kind.value in query.kinds]
        kept.sort(key=lambda one: one.order, reverse=True)
        recipient = _recipient(call)
        found = [communication(one, facts.record_id, recipient=recipient) for one in kept]
        bundle = searchset(
            found,
            total=len(found),
            links=(),
            origin=self._reader.origin,
            warnings=(*query.warnings, *events.damaged),
        )
        return resource_answer(200, bundle)

    def _query(self, call: Call) -> _Query:
        sent: list[str] = []
        kinds: set[str] = set()
        others: list[str] = []
        for name, value in call.request.query_pairs():
            if name in ("patient", "patient.identifier"):
                self._reader.same_patient(call, name, value)
            elif name == "sent":
                sent.append(value)
            elif name == "category":
                kinds |= {one.removeprefix(f"{KINDS}|") for one in value.split(",")}
            elif name != "_format":
                others.append(name)
        warnings = unknown(others, strict=is_strict(call.request))
        start, end = period("sent", sent, call.now, usual=LONGEST_PERIOD)
        return _Query(start, end, frozenset(kinds), warnings)

    def _derived(
        self, call: Call, dossier: Dossier | None, facts: RecordFacts, query: _Query, reader: Reader, events: Events
    ) -> list[Notice]:
        until = min(query.end + _LONGEST_EMERGENCY, call.now + timedelta(seconds=1))
        visible = None if reader is Reader.MEDECIN_TRAITANT else self._reader.sight(call, dossier, facts)
        found = _accesses(events, facts.record_id, query.start, until, visible)
        begun = [one for one in found if one.declaration and query.start <= event_time(one.declaration) < query.end]
        told = emergencies(begun, self._declared(begun, facts.record_id, events), reader)
        if reader is Reader.MEDECIN_TRAITANT or dossier is None:
            return told
        within = [one for one in found if one.at < query.end]
        opened = moment(dossier.head.opened)
        known, surely = _known(within, events, facts.record_id, opened, query.start, visible)
        told += first_accesses(within, known, reader, surely=surely)
        days = (query.start.date(), query.end.date())
        told += [
            one
            for one in updates(dossier.entries.rows(), reader, call.now)
            if isinstance(one.sent, datetime) or days[0] <= one.sent <= days[1]
        ]
        return told

    def _declared(self, accesses: Iterable[Access], record: str, events: Events) -> dict[str, Declared]:
        """What the events of the declarations say. One that can't be read costs the reason only."""
        found: dict[str, Declared] = {}
        for declaration in {one.declaration for one in accesses if one.declaration}:
            event = events.one(record, declaration)
            said = declared(event.said) if event else None
            if said is not None:
                found[declaration] = said
        return found


def _accesses(events: Events, record: str, start: datetime, end: datetime, visible: TraceSight | None) -> list[Access]:
    """The accesses of a period that the caller may know of, in order of time."""
    shown = (one.said for one in events.of_record(record, start, end) if visible is None or visible(one.said))
    return [access for access in map(access_of, shown) if access is not None]


def _known(
    accesses: Iterable[Access],
    events: Events,
    record: str,
    opened: datetime,
    start: datetime,
    visible: TraceSight | None,
) -> tuple[set[tuple[str, str]], bool]:
    """Who of these professionals had read before the period, and whether all of the past was looked at."""
    sought = {one.professional.key for one in accesses if not one.feeds}
    known: set[tuple[str, str]] = set()
    since = max(opened, start - LOOK_BACK)
    budget = events.opened + MOST_OPENED
    if sought and since < start:
        for one in events.of_record(record, since, start, newest_first=True):
            access = access_of(one.said) if visible is None or visible(one.said) else None
            if access is not None and not access.feeds:
                known.add(access.professional.key)
            if sought <= known:
                return known, True
            if events.opened >= budget:
                return known, False
    return known, since == opened or since >= start


def _recipient(call: Call) -> Json:
    professional = call.actor.professional
    if professional is not None:
        identifier = {"system": professional.system, "value": professional.value}
        return {"type": "Practitioner", "identifier": identifier}
    return {"reference": f"Patient/{call.record_id}"}
