"""The function `traces`: who did what on a record (ITI-81), read by its holder.

An event is shown by its exact stored bytes: they are what was committed to. What is known besides stands around it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sceau.access.model import Act, ActorKind
from sceau.audit.facts import AuditAct, Entity
from sceau.fhir.outcome import FhirError, Problem, bad_request, operation_outcome
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.event_reading import ReadEvent, TraceReader, page_caller
from sceau.http.message import FHIR_JSON, Answer
from sceau.http.negotiation import is_strict, require_json_answer
from sceau.http.notices import Notices
from sceau.http.periods import period
from sceau.http.refusals import not_found
from sceau.http.reviews import Reviews
from sceau.http.runtime import Runtime
from sceau.records.commits import Commits
from sceau_schemas.audit import STRING_PARAMETERS, TOKEN_PARAMETERS, matches

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
        self._reader = TraceReader(built)
        self._notices = Notices(self._reader)
        self._reviews = Reviews(self._reader)

    def find(self, call: Call) -> Answer:
        """ITI-81: the events of the holder's record in a period, newest first, refusals included."""
        call.begin(AuditAct.QUERY_TRACES)
        call.require_ask(Act.READ_TRACES)
        require_json_answer(call.request)
        query = self._query(call)
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_TRACES, facts)
        call.trace()
        events = self._reader.events(call)
        visible = self._reader.sight(call, dossier, facts)
        of_record = events.of_record(facts.record_id, query.start, query.end, after=query.after, newest_first=True)
        asked_for = (one for one in of_record if matches(one.said, query.filters) and visible(one.said))
        found = list(islice(asked_for, query.count + 1))
        page = found[: query.count]
        links = [("self", self._link(call, query, query.after))]
        if len(found) > len(page):
            links.append(("next", self._link(call, query, page[-1].stored.event_id)))
        completed = dossier.commits if dossier else Commits()
        warnings = (*query.warnings, *events.damaged)
        return Answer(200, _searchset(page, links, self._reader.origin, completed, warnings), FHIR_JSON)

    def read(self, call: Call) -> Answer:
        """One event of the holder's record, by its id: its exact bytes."""
        call.begin(AuditAct.READ)
        call.require_ask(Act.READ_TRACES)
        require_json_answer(call.request)
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_TRACES, facts)
        event_id = call.request.path_parameters["resource_id"]
        event = self._reader.events(call).whole(facts.record_id, event_id)
        if not self._reader.sight(call, dossier, facts)(event.said):
            raise not_found()
        call.trace(data=Entity(reference=f"AuditEvent/{event_id}"))
        return Answer(200, event.stored.data, FHIR_JSON)

    def find_notices(self, call: Call) -> Answer:
        """Notices of the record, for its holder and the médecin traitant; for a structure, its emergency accesses."""
        return self._reviews.queue(call) if call.actor.kind is ActorKind.SOFTWARE else self._notices.find(call)

    def review(self, call: Call) -> Answer:
        """A structure's responsible person has reviewed an emergency access."""
        return self._reviews.review(call)

    def review_figures(self, call: Call) -> Answer:
        """Counts and ages of a stage's emergency accesses, for operations."""
        return self._reviews.figures(call)

    def _query(self, call: Call) -> _Query:
        pairs = call.request.query_pairs()
        pages = [value for name, value in pairs if name == "page"]
        if pages:
            if len(pairs) != 1:
                raise bad_request("page stands alone")
            return self._opened(call, pages[0])
        filters, warnings = [], []
        dates: list[str] = []
        count = DEFAULT_COUNT
        for name, value in pairs:
            if name == "date":
                dates.append(value)
            elif name in ("patient", "patient.identifier"):
                self._reader.same_patient(call, name, value)
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
        start, end = period("date", dates, call.now)
        return _Query(start, end, tuple(filters), count, tuple(warnings))

    def _link(self, call: Call, query: _Query, after: str | None) -> str:
        content = {
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "filters": query.filters,
            "count": query.count,
            "after": after,
        }
        return self._reader.page_link(call, "/fhir/AuditEvent", "AuditEvent", content)

    def _opened(self, call: Call, token: str) -> _Query:
        content = self._reader.page_seal.open(token, "AuditEvent", page_caller(call), now=call.now)
        return _Query(
            datetime.fromisoformat(content["start"]),
            datetime.fromisoformat(content["end"]),
            tuple((name, value) for name, value in content["filters"]),
            int(content["count"]),
            after=content["after"],
        )


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:9]) > 0):
        raise bad_request("_count: expected a number, 1 or more", "_count")
    return min(int(value[:9]), MOST)


def _searchset(
    events: Sequence[ReadEvent],
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


def _entry(event: ReadEvent, origin: str, completed: Container[str]) -> bytes:
    own_id, said = event.stored.event_id, event.said
    around: dict[str, object] = {"fullUrl": f"{origin}/fhir/AuditEvent/{own_id}", "search": {"mode": "match"}}
    announced = said.action in _WRITES and said.outcome == "0" and said.outcome_desc != _REPEATED
    if announced and own_id not in completed:
        around["extension"] = [{"url": COMPLETED, "valueBoolean": False}]
    return json.dumps(around, separators=(",", ":"))[:-1].encode() + b',"resource":' + event.stored.data + b"}"
