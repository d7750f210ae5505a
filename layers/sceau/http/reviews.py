"""A structure's emergency accesses, for its responsible person to review; and their figures, for operations.

Which events declare an emergency can't be told from their names: the events of the period are opened one by one, so
many per request, and `next` goes on behind them. That an access was reviewed is an event that `review` appends, on the
same record, where the patient reads it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sceau.access.model import Act, Identifier, RecordFacts, RecordStatus
from sceau.audit.accesses import Declared, Person, access_of, declared, reviewed
from sceau.audit.facts import AuditAct, Entity
from sceau.audit.ids import NO_RECORD, check_event_id, check_record
from sceau.audit.scan import scan
from sceau.fhir.notices import Kind, Notice, communication, review_text
from sceau.fhir.outcome import FhirError, Problem, bad_request, unprocessable
from sceau.fhir.parse import Json
from sceau.fhir.search.ignoring import unknown
from sceau.fhir.search.paging import page_token
from sceau.fhir.searchset import searchset
from sceau.fhir.times import instant
from sceau.http.call import Call
from sceau.http.event_reading import Events, TraceReader
from sceau.http.message import JSON, Answer, json_answer, resource_answer
from sceau.http.negotiation import is_strict, require_json_answer
from sceau.http.periods import period
from sceau.http.refusals import not_found

MOST_OPENED: Final = 1000
"""Events that one request opens to find what was declared."""

USUAL: Final = timedelta(days=7)
REVIEWED: Final = "urn:sceau:fhir:reviewed"
"""Extension on a Communication of the queue: when it was reviewed."""

_STATES: Final = frozenset({"in-progress", "completed"})
_SOON: Final = timedelta(seconds=1)
_AGES: Final = (("under_1_day", timedelta(days=1)), ("under_7_days", timedelta(days=7)), ("older", timedelta.max))


@dataclass(frozen=True, slots=True)
class _Query:
    """`after`: the name of the event behind which to go on."""

    start: datetime
    end: datetime
    states: frozenset[str]
    warnings: tuple[Problem, ...] = ()
    after: str | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """A declared emergency access: how many acts there were, and when it was reviewed (None: not yet)."""

    record: str
    declared: Declared
    acts: int
    reviewed: datetime | None

    @property
    def own_id(self) -> str:
        return f"{self.record}.{self.declared.event}"

    @property
    def state(self) -> str:
        return "in-progress" if self.reviewed is None else "completed"


class Reviews:
    """The use cases. What they raise, the wrapper maps."""

    def __init__(self, reader: TraceReader) -> None:
        self._reader = reader

    def queue(self, call: Call) -> Answer:
        """`GET /fhir/Communication` by a structure's client: its emergency accesses, the oldest first."""
        call.begin(AuditAct.QUERY_REVIEWS)
        call.require_ask(Act.READ_REVIEW_QUEUE)
        require_json_answer(call.request)
        _require_no_patient(call)
        query = self._query(call, "sent", "Communication")
        call.require(Act.READ_REVIEW_QUEUE, _OF_NO_RECORD)
        call.trace()
        events = self._reader.events(call)
        found, behind = self._found(call, query, events, call.actor.structures)
        items = [one for one in found if one.state in query.states]
        bundle = searchset(
            [_resource(one) for one in items],
            total=len(items),
            links=self._links(call, query, behind, "/fhir/Communication", "Communication"),
            origin=self._reader.origin,
            warnings=(*query.warnings, *events.damaged),
        )
        del bundle["total"]  # of a part of the period: what is behind it was not counted
        return resource_answer(200, bundle)

    def review(self, call: Call) -> Answer:
        """`POST /fhir/Communication/<id>/$review`: an event says so; a second time it is only traced as repeated."""
        call.begin(AuditAct.REVIEW)
        call.require_ask(Act.REVIEW)
        require_json_answer(call.request)
        own_id = call.request.path_parameters["resource_id"]
        record, event_id = _named(own_id)
        if call.actor.record_id not in (None, record):
            raise not_found("denied.other-record")
        call.record_id = record
        call.require(Act.REVIEW, _OF_NO_RECORD)
        if call.request.body:
            raise unprocessable("a review is sent without a body", "Parameters")
        events = self._reader.events(call)
        item = self._item(call, record, declared(events.whole(record, event_id).said), events)
        if item is None or not _is_of(item.declared, call.actor.structures):
            raise not_found()
        again = item.reviewed is not None
        call.trace(data=Entity(reference=f"Communication/{own_id}"), reason="repeated" if again else None)
        done = item if again else _Item(record, item.declared, item.acts, call.now)
        return resource_answer(200, _resource(done))

    def figures(self, call: Call) -> Answer:
        """`GET /ops/emergency-reviews`: how many were declared and wait, and for how long. Never whose, nor by whom."""
        call.begin(AuditAct.COUNT_REVIEWS)
        call.require_ask(Act.COUNT_REVIEWS)
        require_json_answer(call.request)
        query = self._query(call, "date", "emergency-reviews")
        call.require(Act.COUNT_REVIEWS, _OF_NO_RECORD)
        call.trace()
        events = self._reader.events(call)
        found, behind = self._found(call, query, events, None)
        ages = [call.now - one.declared.at for one in found if one.reviewed is None]
        links = dict(self._links(call, query, behind, "/ops/emergency-reviews", "emergency-reviews"))
        body = {
            "from": instant(query.start),
            "until": instant(query.end),
            "declared": len(found),
            "reviewed": len(found) - len(ages),
            "waiting": len(ages),
            "waiting_by_age": _by_age(ages),
            "oldest_waiting_seconds": max((int(age.total_seconds()) for age in ages), default=None),
            "damaged_events": len(events.damaged),
            "next": links.get("next"),
        }
        return json_answer(200, body, content_type=JSON)

    def _found(
        self, call: Call, query: _Query, events: Events, structures: tuple[Identifier, ...] | None
    ) -> tuple[list[_Item], str | None]:
        """The emergency accesses of the period (of these structures, if any), and where the next request goes on."""
        items: list[_Item] = []
        last = None
        for name, record, event_id in self._scanned(query):
            if events.opened >= MOST_OPENED:
                return items, last
            last = name
            event = events.one(record, event_id)
            said = declared(event.said) if event else None
            if said is None or (structures is not None and not _is_of(said, structures)):
                continue
            item = self._item(call, record, said, events)
            if item is not None:
                items.append(item)
        return items, None

    def _scanned(self, query: _Query) -> Iterator[tuple[str, str, str]]:
        found = scan(self._reader.objects, query.start, query.end, after=query.after)
        return (one for one in found if one[1] != NO_RECORD)

    def _item(self, call: Call, record: str, said: Declared | None, events: Events) -> _Item | None:
        """What became of a declaration, by the record's later events. None: the event declares nothing."""
        if said is None:
            return None
        acts, at = 0, None
        for one in events.of_record(record, said.at, call.now + _SOON):
            access = access_of(one.said)
            acts += access is not None and access.declaration == said.event
            if at is None and reviewed(one.said) == f"{record}.{said.event}":
                at = one.said.recorded
        return _Item(record, said, acts, at)

    def _query(self, call: Call, name: str, resource: str) -> _Query:
        pairs = call.request.query_pairs()
        page = page_token(pairs)
        if page is not None:
            content = self._reader.page_seal.open(page, resource, call.page_caller, now=call.now)
            start, end = (datetime.fromisoformat(content[key]) for key in ("start", "end"))
            return _Query(start, end, frozenset(content["states"]), after=content["after"])
        dates, states = [], set()
        others: list[str] = []
        for key, value in pairs:
            if key == name:
                dates.append(value)
            elif key == "status":
                states |= set(value.split(","))
            elif key != "_format":
                others.append(key)
        warnings = unknown(others, strict=is_strict(call.request))
        if not states <= _STATES:
            raise bad_request("status: in-progress or completed", "status")
        start, end = period(name, dates, call.now, usual=USUAL)
        return _Query(start, end, frozenset(states or _STATES), warnings)

    def _links(self, call: Call, query: _Query, behind: str | None, path: str, resource: str) -> list[tuple[str, str]]:
        if behind is None:
            return []
        content: dict[str, object] = {
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "states": sorted(query.states),
            "after": behind,
        }
        return [("next", self._reader.page_link(call, path, resource, content))]


_OF_NO_RECORD: Final = RecordFacts("", RecordStatus.ABSENT)


def _resource(item: _Item) -> Json:
    said = item.declared
    notice = Notice(Kind.REVIEW, said.event, said.at, review_text(said, item.acts), said.event)
    structure = said.structure or Person("", "")
    recipient = {"type": "Organization", "identifier": {"system": structure.system, "value": structure.value}}
    resource = communication(notice, item.record, recipient=recipient, status=item.state)
    if item.reviewed is not None:
        resource["extension"] = [{"url": REVIEWED, "valueInstant": instant(item.reviewed)}]
    return resource


def _is_of(said: Declared, structures: tuple[Identifier, ...]) -> bool:
    return said.structure is not None and Identifier(*said.structure.key) in structures


def _named(own_id: str) -> tuple[str, str]:
    """The record and the declaration's event that an id of the queue names. Raises Refused 404."""
    record, _, event_id = own_id.partition(".")
    try:
        if check_record(record) == NO_RECORD:
            raise not_found()
        return record, check_event_id(event_id)
    except ValueError:
        raise not_found() from None


def _require_no_patient(call: Call) -> None:
    if call.actor.record_id is not None:
        text = "the queue is of a structure: ask with a token that names no patient"
        raise FhirError(400, Problem("not-supported", text, rule="one queue per structure"))


def _by_age(ages: list[timedelta]) -> dict[str, int]:
    counts = dict.fromkeys((name for name, _ in _AGES), 0)
    for age in ages:
        counts[next(name for name, limit in _AGES if age < limit)] += 1
    return counts
