"""A structure's security officer extracts the traces of the structure's own professionals (HDS; HOM EX_AIR-120).

Nothing finds events by who acted: the period's events of the whole stage are opened, page by page, and those of others
left out. So a page is bounded in events and in time, and says where the next one begins. Why there is no index by
structure: docs/decisions/0018-extractions-open-the-period.md
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from typing import Final

from sceau.access.decide import of_own_structure
from sceau.access.model import Act, Identifier, RecordFacts, RecordStatus
from sceau.audit.errors import EventAbsent, EventDamaged, EventLocked
from sceau.audit.facts import AuditAct, Coding
from sceau.audit.journal import JournalEvent, JournalReader
from sceau.audit.log.ahead import called_ahead
from sceau.audit.scan import scan
from sceau.fhir.outcome import Problem, unprocessable
from sceau.fhir.parse import read_stored, write_json
from sceau.http.building import Built
from sceau.http.call import Call
from sceau.http.log import LogEvent, log
from sceau.http.message import FHIR_JSON, Answer, Request
from sceau.http.negotiation import accepts, asked_format, require_json_answer
from sceau.http.periods import require_bounded
from sceau.http.refusals import as_answered, refused
from sceau.http.runtime import THREADS
from sceau.http.trace_bundle import REPEATED, Shown, searchset
from sceau.http.trace_query import TraceLinks, TraceQuery, parse
from sceau.http.trace_table import MEDIA_TYPE, table
from sceau_schemas.audit import AuditEvent, matches

MOST_OPENED: Final = 2000
"""Events of the stage that one page opens at most."""

LONGEST: Final = timedelta(seconds=10)
"""How long a page is gathered: the function's time is 28 s, and what has begun to be read is read to its end."""

_OF_ENTRIES: Final = "DocumentReference/"
_PATCH: Final = "patch"
_CSV: Final = "text/csv"
_AGENT: Final = "agent.identifier"
_PROVIDER: Final = ("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV")
_TOKEN: Final = ("http://dicom.nema.org/resources/ontology/DCM", "110114")
_OPERATIONS: Final = Coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HOPERAT", "healthcare operations")


class Extraction:
    """The use case, for a client without a patient in its token."""

    def __init__(self, built: Built, reader: JournalReader, links: TraceLinks) -> None:
        self._runtime = built.runtime
        self._reader = reader
        self._links = links

    def find(self, call: Call) -> Answer:
        """The traces of the structure's own in a period of 31 days at most, by minute; FHIR, or CSV."""
        call.begin(AuditAct.QUERY_TRACES)
        call.purpose = _OPERATIONS
        call.require_ask(Act.EXTRACT_TRACES)
        as_table = _wants_table(call.request)
        pairs = call.request.query_pairs()
        query = self._links.open(call, pairs) or parse(pairs, call, same_patient=None)
        require_bounded("date", query.start, query.end, begun=query.begun)
        structures = _structures(call, query)
        call.require(Act.EXTRACT_TRACES, RecordFacts("", RecordStatus.ABSENT))
        verdict = of_own_structure(call.actor, structures)
        if not verdict.allowed:
            raise refused(verdict)
        call.trace()
        found = self._gather(call, query, structures, most=MOST_OPENED if as_table else query.count)
        following = None if found.following is None else self._links.link(call, query.behind(found.following))
        if as_table:
            return _as_table(found, following)
        links = [("self", self._links.link(call, query)), *([("next", following)] if following else [])]
        told = (*query.warnings, *_unread(found))
        return Answer(200, searchset(found.shown, links, self._runtime.origin, None, told), FHIR_JSON)

    def _gather(self, call: Call, query: TraceQuery, structures: tuple[Identifier, ...], *, most: int) -> _Found:
        """One page. `query.after` is the name of an event."""
        found = _Found()
        until = self._runtime.clock() + LONGEST
        own = {(_AGENT, str(one)) for one in structures}
        filters = [one for one in query.filters if one not in own]  # a token's event has no agent of that name
        names = (_Place(copy_context(), *place) for place in self._names(query))
        with ThreadPoolExecutor(THREADS) as pool:
            for number, (name, event) in enumerate(called_ahead(pool, self._opened, islice(names, MOST_OPENED)), 1):
                if event is None:
                    found.unread += 1
                    log(LogEvent.DAMAGED, request=call.request.request_id, error=f"event {name.rpartition('.')[2]}")
                elif _is_of(event.parsed, structures) and matches(event.parsed, filters):
                    found.shown.append(event)
                if number == MOST_OPENED or len(found.shown) == most or self._runtime.clock() >= until:
                    found.following = name
                    break
        return found

    def _names(self, query: TraceQuery) -> Iterator[tuple[str, str, str]]:
        return scan(self._runtime.store, query.start, query.end, after=query.after)

    def _opened(self, place: _Place) -> tuple[str, Shown | None]:
        # In the context of the request, so that its deadline holds here too.
        return place.name, place.context.run(self._open, place.record_id, place.event_id)

    def _open(self, record_id: str, event_id: str) -> Shown | None:
        try:
            event: JournalEvent = self._reader.read(record_id, event_id)
        except (EventDamaged, EventLocked, EventAbsent):
            return None
        told = _as_answered(event)
        return Shown(told, AuditEvent.model_validate_json(told.data), None)


@dataclass(frozen=True, slots=True)
class _Place:
    """An event to be opened, and the request's context to open it in."""

    context: Context
    name: str
    record_id: str
    event_id: str


@dataclass(slots=True)
class _Found:
    """A page as it is gathered. `unread`: events that do not open. `following`: behind which name to go on."""

    shown: list[Shown] = field(default_factory=list)
    unread: int = 0
    following: str | None = None


def _as_answered(event: JournalEvent) -> JournalEvent:
    """The event with no more of the documents that it is about than the structure's own were answered.

    What masks they have, the officer may not know: a document that replaces a masked one takes the mask over, and its
    publisher is not told (`replacing`). Nor why one was answered like what is not there, nor, of a change by who may
    not read, what others changed before: its version, and that nothing was left to do (`amending`).
    """
    told = read_stored(event.data)
    for entity in told.get("entity", ()):
        entity.pop("securityLabel", None)
        reference = entity.get("what", {}).get("reference", "")
        if reference.startswith(_OF_ENTRIES):
            entity["what"]["reference"] = reference.partition("/_history/")[0]
    if "outcomeDesc" in told:
        told["outcomeDesc"] = as_answered(told["outcomeDesc"])
        if told["outcomeDesc"] == REPEATED and _PATCH in (one.get("code") for one in told.get("subtype", ())):
            del told["outcomeDesc"]
    return replace(event, data=write_json(told))


def _structures(call: Call, query: TraceQuery) -> tuple[Identifier, ...]:
    """Which of the caller's own structures `agent.identifier` names: each by a value that is one identifier, whole.

    Raises FhirError 422 when there is no such parameter at all.
    """
    given = [value for name, value in query.filters if name == _AGENT]
    if not given:
        raise unprocessable(f"{_AGENT}: your structure is required, as system|value", _AGENT)
    return tuple(one for one in call.actor.structures if str(one) in given)


def _is_of(event: AuditEvent, structures: tuple[Identifier, ...]) -> bool:
    """Whether somebody of each of the structures acted: by what the service itself says of the structure in the event.

    That is an agent; in a token's event, whose profile has no room for one, a detail of its entity.
    """
    acted = {
        f"{agent.who.identifier.system}|{agent.who.identifier.value}"
        for agent in event.agent
        if agent.who and agent.who.identifier and any((one.system, one.code) == _PROVIDER for one in agent.type.coding)
    }
    if (event.type.system, event.type.code) == _TOKEN:
        details = (detail for entity in event.entity for detail in entity.detail)
        acted |= {detail.value_string for detail in details if detail.type == "structure" and detail.value_string}
    return bool(structures) and acted.issuperset(map(str, structures))


def _wants_table(request: Request) -> bool:
    """Whether CSV is asked for; `_format` counts before `Accept`. Raises FhirError 400, and 406 when neither is."""
    asked = asked_format(request)
    if asked is not None:
        is_csv = asked in (_CSV, "csv")
    else:
        is_csv = accepts(request.header("accept"), (FHIR_JSON, "application/json", _CSV)) == _CSV
    if not is_csv:
        require_json_answer(request)
    return is_csv


def _as_table(found: _Found, following: str | None) -> Answer:
    headers = {"Content-Disposition": 'attachment; filename="traces.csv"', "Sceau-Unread": str(found.unread)}
    if following is not None:
        headers["Link"] = f'<{following}&_format=text/csv>; rel="next"'
    return Answer(200, table(one.parsed for one in found.shown), MEDIA_TYPE, headers)


def _unread(found: _Found) -> Iterator[Problem]:
    if found.unread:
        text = f"{found.unread} events of this page do not open; whose they are is not known"
        yield Problem("exception", text)
