"""What every use case of `traces` shares: the record's dossier, its events, and what does not pass its checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sceau.access.facts import record_facts
from sceau.access.model import Act, RecordFacts
from sceau.audit.errors import EventAbsent, EventDamaged, EventLocked
from sceau.audit.journal import JournalEvent, JournalReader
from sceau.envelope.batch import BatchOpener
from sceau.envelope.messages import Envelope
from sceau.fhir.outcome import Problem, bad_request
from sceau.http.building import Built
from sceau.http.call import Call
from sceau.http.log import LogEvent, log
from sceau.http.refusals import not_found
from sceau.http.trace_sight import SeenRecord, TraceSight
from sceau.keys.ports import KeyName
from sceau.objects.ports import ObjectStore
from sceau.records.dossier import Dossier
from sceau.records.ids import record_id
from sceau.records.repository import Records
from sceau_schemas.audit import AuditEvent


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event as it rests, and what it says."""

    stored: JournalEvent
    said: AuditEvent


@dataclass(slots=True)
class Events:
    """Events of one request, opened one by one. `damaged`: told to the caller; one must not hide all others."""

    reader: JournalReader
    request_id: str
    damaged: list[Problem] = field(default_factory=list)
    opened: int = 0
    _told: set[str] = field(default_factory=set)

    def of_record(
        self, record: str, start: datetime, end: datetime, *, after: str | None = None, newest_first: bool = False
    ) -> Iterator[ReadEvent]:
        """A record's events of a period. Raises JournalUnavailable, also while iterating."""
        for event_id in self.reader.event_ids(record, start, end, after=after, newest_first=newest_first):
            event = self.one(record, event_id)
            if event is not None:
                yield event

    def one(self, record: str, event_id: str) -> ReadEvent | None:
        """One event that was written; None when it can't be shown. Raises JournalUnavailable."""
        try:
            return self.whole(record, event_id)
        except EventDamaged:
            self._tell(event_id, LogEvent.DAMAGED, "does not pass its integrity checks")
        except EventAbsent:
            self._tell(event_id, LogEvent.DAMAGED, "was logged, and is gone")
        except EventLocked:
            self._tell(event_id, LogEvent.KEY_GONE, "is sealed under a key that is gone")
        return None

    def _tell(self, event_id: str, kind: LogEvent, what: str) -> None:
        if event_id not in self._told:
            self._told.add(event_id)
            log(kind, request=self.request_id, error=f"event {event_id}")
            self.damaged.append(Problem("exception", f"event {event_id} {what}"))

    def whole(self, record: str, event_id: str) -> ReadEvent:
        """One event. Raises EventAbsent, EventDamaged, EventLocked, JournalUnavailable."""
        self.opened += 1
        event = self.reader.read(record, event_id)
        return ReadEvent(event, AuditEvent.model_validate_json(event.data))


class TraceReader:
    """Loads records and opens their events, for the use cases of `traces`."""

    def __init__(self, built: Built) -> None:
        runtime = built.runtime
        self.objects: ObjectStore = runtime.store
        self.origin = runtime.origin
        self.page_seal = built.page_seal
        self._pseudonym_key = built.pseudonym_key
        self._records = Records(runtime.store, Envelope(runtime.keys))
        opener = BatchOpener(runtime.keys, KeyName.JOURNAL, clock=runtime.clock)
        self.journal = JournalReader(runtime.store, opener)

    def events(self, call: Call) -> Events:
        """The events that one request opens."""
        return Events(self.journal, call.request.request_id)

    def load(self, call: Call) -> tuple[Dossier | None, RecordFacts]:
        """The dossier of the token's record (None: nobody opened one) and its facts."""
        loaded = self._records.load(call.record_id or "")
        dossier = loaded.dossier if loaded else None
        call.dossier_version = dossier.head.version if dossier else 0
        return dossier, record_facts(call.record_id or "", dossier.head if dossier else None)

    def sight(self, call: Call, dossier: Dossier | None, facts: RecordFacts) -> TraceSight:
        """Which events the caller is shown. Raises JournalUnavailable, also while it is asked."""
        seen = SeenRecord.of(call.decision(Act.READ_TRACES, facts), dossier)
        return TraceSight(call.actor, seen, partial(self._named, facts.record_id))

    def _named(self, record: str, event_id: str) -> AuditEvent | None:
        try:
            return AuditEvent.model_validate_json(self.journal.read(record, event_id).data)
        except (EventAbsent, EventDamaged, EventLocked):
            return None  # whoever is to be told of that is told where the event itself would be

    def same_patient(self, call: Call, name: str, value: str) -> None:
        """A patient parameter names the token's patient. Raises FhirError 400, Refused 404."""
        system, bar, number = value.partition("|")
        named = record_id(self._pseudonym_key, system, number) if bar else value.removeprefix("Patient/")
        if not bar and name == "patient.identifier":
            raise bad_request("patient.identifier: expected system|value", name)
        if named != call.record_id:
            raise not_found("denied.other-record")

    def page_link(self, call: Call, path: str, resource: str, content: dict[str, object]) -> str:
        """The address of a page: what it holds is sealed, and for this caller only."""
        token = self.page_seal.seal(content, resource, call.page_caller, now=call.now)
        return f"{self.origin}{path}?page={token}"
