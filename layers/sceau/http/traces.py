"""The function `traces`: who did what on a record (ITI-81), read by its holder.

An event is shown by its exact stored bytes: they are what was committed to. What is known besides stands around it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sceau.access.facts import record_facts
from sceau.access.model import Act, RecordFacts
from sceau.audit.errors import EventDamaged, EventLocked
from sceau.audit.facts import AuditAct, Entity
from sceau.audit.journal import JournalEvent, JournalReader
from sceau.envelope.batch import BatchOpener
from sceau.envelope.messages import Envelope
from sceau.fhir.outcome import FhirError, Problem, bad_request, operation_outcome, unprocessable
from sceau.fhir.search.dates import EPOCH, LAST_MILLISECOND, millis, parse_bound
from sceau.fhir.search.paging import PageCaller
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.log import LogEvent, log
from sceau.http.message import FHIR_JSON, Answer
from sceau.http.negotiation import is_strict, require_json_answer
from sceau.http.refusals import not_found
from sceau.http.runtime import Runtime
from sceau.http.seeing import hidden_entries
from sceau.http.trace_sight import TraceSight
from sceau.keys.ports import KeyName
from sceau.records.commits import Commits
from sceau.records.dossier import Dossier
from sceau.records.ids import record_id
from sceau.records.repository import Records
from sceau_schemas.audit import STRING_PARAMETERS, TOKEN_PARAMETERS, AuditEvent, matches

LONGEST_PERIOD = timedelta(days=31)
"""Longest period of one query: until the log's index exists, events are found by listing the stage's days."""

DEFAULT_COUNT = 50
MOST = 200
COMPLETED = "urn:sceau:fhir:event-completed"
"""Extension on a searchset entry: false for the event of a write that no version of the record carries."""

_WRITES = frozenset({"C", "U"})
_REPEATED = "repeated"


def build(runtime: Runtime) -> Handler:
    """What serves `traces`."""
    return build_wrapper(runtime, Traces)


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked: a period [start, end[, filters, how many, and the event after which to go on (newest first)."""

    start: datetime
    end: datetime
    filters: tuple[tuple[str, str], ...]
    count: int
    warnings: tuple[Problem, ...] = ()
    after: str | None = None


class Traces:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(self, built: Built) -> None:
        self._built = built
        runtime = built.runtime
        self._records = Records(runtime.store, Envelope(runtime.keys))
        opener = BatchOpener(runtime.keys, KeyName.JOURNAL, clock=runtime.clock)
        self._reader = JournalReader(runtime.store, opener)

    def find(self, call: Call) -> Answer:
        """ITI-81: the events of the holder's record in a period, newest first, refusals included."""
        call.begin(AuditAct.QUERY_TRACES)
        call.require_ask(Act.READ_TRACES)
        require_json_answer(call.request)
        query = self._query(call)
        dossier, facts = self._load(call)
        call.require(Act.READ_TRACES, facts)
        call.trace()
        damaged: list[Problem] = []
        found = list(islice(self._events(call, dossier, facts, query, damaged), query.count + 1))
        page = found[: query.count]
        links = [("self", self._link(call, query, query.after))]
        if len(found) > len(page):
            links.append(("next", self._link(call, query, page[-1].event_id)))
        completed = dossier.commits if dossier else Commits()
        return Answer(
            200, _searchset(page, links, self._built.runtime.origin, completed, (*query.warnings, *damaged)), FHIR_JSON
        )

    def read(self, call: Call) -> Answer:
        """One event of the holder's record, by its id: its exact bytes."""
        call.begin(AuditAct.READ)
        call.require_ask(Act.READ_TRACES)
        require_json_answer(call.request)
        dossier, facts = self._load(call)
        call.require(Act.READ_TRACES, facts)
        event = self._reader.read(call.record_id or "", call.request.path_parameters["resource_id"])
        if not self._visible(call, dossier, facts)(AuditEvent.model_validate_json(event.data)):
            raise not_found()
        call.trace(data=Entity(reference=f"AuditEvent/{event.event_id}"))
        return Answer(200, event.data, FHIR_JSON)

    def _load(self, call: Call) -> tuple[Dossier | None, RecordFacts]:
        loaded = self._records.load(call.record_id or "")
        dossier = loaded.dossier if loaded else None
        call.dossier_version = dossier.head.version if dossier else 0
        return dossier, record_facts(call.record_id or "", dossier.head if dossier else None)

    def _events(
        self, call: Call, dossier: Dossier | None, facts: RecordFacts, query: _Query, damaged: list[Problem]
    ) -> Iterator[JournalEvent]:
        """What is asked for, newest first.

        An event that does not pass its checks is not shown, and said to be there: one must not hide all others.
        """
        visible = self._visible(call, dossier, facts)
        ids = self._reader.event_ids(facts.record_id, query.start, query.end, after=query.after, newest_first=True)
        for event_id in ids:
            try:
                event = self._reader.read(facts.record_id, event_id)
            except EventDamaged:
                log(LogEvent.DAMAGED, request=call.request.request_id, error=f"event {event_id}")
                damaged.append(Problem("exception", f"event {event_id} does not pass its integrity checks"))
                continue
            except EventLocked:
                log(LogEvent.KEY_GONE, request=call.request.request_id, error=f"event {event_id}")
                damaged.append(Problem("exception", f"event {event_id} is sealed under a key that is gone"))
                continue
            parsed = AuditEvent.model_validate_json(event.data)
            if matches(parsed, query.filters) and visible(parsed):
                yield event

    def _visible(self, call: Call, dossier: Dossier | None, facts: RecordFacts) -> TraceSight:
        """The same decision as on documents: an event about an entry that the caller can't see is not shown."""
        if dossier is None:
            return TraceSight(call.actor, ())
        hidden = hidden_entries(call, Act.READ_TRACES, facts, dossier.entries)
        rows = [row for row in map(dossier.entries.row, hidden) if row is not None]
        return TraceSight(call.actor, rows)

    def _query(self, call: Call) -> _Query:
        pairs = call.request.query_pairs()
        pages = [value for name, value in pairs if name == "page"]
        if pages:
            if len(pairs) != 1:
                raise bad_request("page stands alone")
            return self._opened(call, pages[0])
        filters, warnings = [], []
        period: list[str] = []
        count = DEFAULT_COUNT
        for name, value in pairs:
            if name == "date":
                period.append(value)
            elif name in ("patient", "patient.identifier"):
                self._same_patient(call, name, value)
            elif name == "_count":
                count = _count(value)
            elif name in TOKEN_PARAMETERS or name in STRING_PARAMETERS:
                filters.append((name, value))
            elif name != "_format":
                warnings.append(
                    Problem("not-supported", "a parameter is not supported and was ignored", name, severity="warning")
                )
        if warnings and is_strict(call.request):
            raise FhirError(400, *(Problem(one.code, one.text, one.expression) for one in warnings))
        start, end = _period(period, call.now)
        return _Query(start, end, tuple(filters), count, tuple(warnings))

    def _same_patient(self, call: Call, name: str, value: str) -> None:
        system, bar, number = value.partition("|")
        named = record_id(self._built.pseudonym_key, system, number) if bar else value.removeprefix("Patient/")
        if not bar and name == "patient.identifier":
            raise bad_request("patient.identifier: expected system|value", name)
        if named != call.record_id:
            raise not_found("denied.other-record")

    def _link(self, call: Call, query: _Query, after: str | None) -> str:
        content = {
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "filters": query.filters,
            "count": query.count,
            "after": after,
        }
        token = self._built.page_seal.seal(content, "AuditEvent", _caller(call), now=call.now)
        return f"{self._built.runtime.origin}/fhir/AuditEvent?page={token}"

    def _opened(self, call: Call, token: str) -> _Query:
        content = self._built.page_seal.open(token, "AuditEvent", _caller(call), now=call.now)
        return _Query(
            datetime.fromisoformat(content["start"]),
            datetime.fromisoformat(content["end"]),
            tuple((name, value) for name, value in content["filters"]),
            int(content["count"]),
            after=content["after"],
        )


def _caller(call: Call) -> PageCaller:
    return PageCaller(call.actor.client_id, call.actor.subject, call.record_id or "")


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:9]) > 0):
        raise bad_request("_count: expected a number, 1 or more", "_count")
    return min(int(value[:9]), MOST)


def _period(values: Sequence[str], now: datetime) -> tuple[datetime, datetime]:
    """The period that the `date` values bound, from its first to behind its last millisecond. Raises FhirError."""
    low, high = -1, LAST_MILLISECOND
    for value in values:
        try:
            bound = parse_bound(value, now=now)
        except (ValueError, OverflowError):
            raise bad_request("date: expected a date or dateTime with a prefix such as ge or lt", "date") from None
        match bound.prefix:
            case "eq":
                low, high = max(low, bound.low), min(high, bound.high)
            case "ge":
                low = max(low, bound.low)
            case "gt" | "sa":
                low = max(low, bound.high + 1)
            case "le":
                high = min(high, bound.high)
            case "lt" | "eb":
                high = min(high, bound.low - 1)
            case _:
                raise bad_request("date: takes eq, ge, gt, sa, le, lt and eb here", "date")
    if low < 0:
        raise unprocessable("date: a period with a beginning is required, such as date=ge2026-11-01", "date")
    # No event is of the future; the clocks of two processes may differ by a moment.
    soon = millis(now) + 1000
    start = EPOCH + timedelta(milliseconds=min(low, soon))
    end = EPOCH + timedelta(milliseconds=max(min(high + 1, soon), -1))
    if end - start > LONGEST_PERIOD:
        raise unprocessable(f"date: a period has at most {LONGEST_PERIOD.days} days", "date")
    return start, max(start, end)


def _searchset(
    events: Sequence[JournalEvent],
    links: Sequence[tuple[str, str]],
    origin: str,
    completed: Container[str],
    warnings: Sequence[Problem],
) -> bytes:
    """The bundle, with the events' own bytes in it. No total: counting would mean opening every event."""
    relations = [{"relation": relation, "url": url} for relation, url in links]
    head = json.dumps({"resourceType": "Bundle", "type": "searchset", "link": relations}, separators=(",", ":"))
    entries = [_entry(event, origin, completed) for event in events]
    if warnings:
        outcome = json.dumps(operation_outcome(warnings), separators=(",", ":"))
        entries.append(b'{"resource":' + outcome.encode() + b',"search":{"mode":"outcome"}}')
    if not entries:
        return head.encode()
    return head[:-1].encode() + b',"entry":[' + b",".join(entries) + b"]}"


def _entry(event: JournalEvent, origin: str, completed: Container[str]) -> bytes:
    around: dict[str, object] = {"fullUrl": f"{origin}/fhir/AuditEvent/{event.event_id}", "search": {"mode": "match"}}
    parsed = AuditEvent.model_validate_json(event.data)
    announced = parsed.action in _WRITES and parsed.outcome == "0" and parsed.outcome_desc != _REPEATED
    if announced and event.event_id not in completed:
        around["extension"] = [{"url": COMPLETED, "valueBoolean": False}]
    return json.dumps(around, separators=(",", ":"))[:-1].encode() + b',"resource":' + event.data + b"}"
