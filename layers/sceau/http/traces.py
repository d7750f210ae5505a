"""The function `traces`: who did what on a record (ITI-81), read by its holder, with proofs that it was logged.

An event is shown by its exact stored bytes: they are what was committed to. What is known besides stands around it.
"""

from __future__ import annotations

from typing import Final

from sceau.access.model import Act, ActorKind
from sceau.audit.facts import AuditAct, Entity
from sceau.audit.history import RecordHistory
from sceau.audit.journal import JournalEvent
from sceau.audit.log.errors import NotLogged
from sceau.audit.log.proofs import MEDIA_TYPE, SUFFIX
from sceau.audit.log.proving import ProofMaker
from sceau.fhir.outcome import FhirError, Problem
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.event_reading import TraceReader
from sceau.http.extraction import Extraction
from sceau.http.message import FHIR_JSON, Answer
from sceau.http.negotiation import require_accepted, require_json_answer
from sceau.http.notices import Notices
from sceau.http.refusals import not_found
from sceau.http.reviews import Reviews
from sceau.http.runtime import Runtime
from sceau.http.trace_bundle import Shown, searchset
from sceau.http.trace_query import TraceLinks, TraceQuery, parse
from sceau.http.trace_sight import TraceSight
from sceau.records.commits import Commits
from sceau_schemas.audit import matches

MOST_OPENED: Final = 400
"""Events that one page opens at most. A filter that few pass gives pages that are short, or empty, with a `next`."""

INDEX_HEADER: Final = "Sceau-Log-Index"
"""Response header of an event: at which index of the log it is. Absent while it is not sealed."""

_PROOF_TYPE = MEDIA_TYPE.partition(";")[0]


def build(runtime: Runtime) -> Handler:
    """What serves `traces`."""
    return build_wrapper(runtime, Traces)


class Traces:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(self, built: Built) -> None:
        runtime = built.runtime
        self._store, self._origin = runtime.store, runtime.origin
        self._reader = TraceReader(built)
        self._history = RecordHistory(runtime.store, self._reader.journal, clock=runtime.clock)
        self._links = TraceLinks(built.page_seal, runtime.origin)
        self._extraction = Extraction(built, self._reader.journal, self._links)
        self._notices = Notices(self._reader)
        self._reviews = Reviews(self._reader)

    def find(self, call: Call) -> Answer:
        """ITI-81: the events of the holder's record, newest first, refusals included, and their places in the log.

        For a structure's software: its own professionals' (`extraction`).
        """
        if call.actor.kind is ActorKind.SOFTWARE:
            return self._extraction.find(call)
        call.begin(AuditAct.QUERY_TRACES)
        call.require_ask(Act.READ_TRACES)
        require_json_answer(call.request)
        pairs = call.request.query_pairs()
        query = self._links.open(call, pairs) or parse(pairs, call, same_patient=self._reader.same_patient)
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_TRACES, facts)
        call.trace()
        page = self._page(call, query, self._reader.sight(call, dossier, facts))
        links = [("self", self._links.link(call, query))]
        if page.following is not None:
            links.append(("next", self._links.link(call, query.behind(page.following))))
        completed = dossier.commits if dossier else Commits()
        told = (*query.warnings, *page.damaged)
        return Answer(200, searchset(page.shown, links, self._origin, completed, told), FHIR_JSON)

    def read(self, call: Call) -> Answer:
        """One event of the holder's record, by its id: its exact bytes."""
        call.begin(AuditAct.READ)
        call.require_ask(Act.READ_TRACES)
        require_json_answer(call.request)
        event = self._named(call)
        index = self._history.index_of(event.record_id, event.event_id)
        call.trace(data=Entity(reference=f"AuditEvent/{event.event_id}"))
        return Answer(200, event.data, FHIR_JSON, {} if index is None else {INDEX_HEADER: str(index)})

    def proof(self, call: Call) -> Answer:
        """`$proof`: the file that proves, offline and to anybody, that the event of this id is in the log."""
        call.begin(AuditAct.READ)
        call.require_ask(Act.READ_TRACES)
        require_accepted(call.request, _PROOF_TYPE)
        event = self._named(call)
        try:
            maker = ProofMaker(self._store)
            index = maker.index_of(event.record_id, event.event_id)
            proof = None if index is None else maker.prove(event, index)
        except NotLogged:
            proof = None
        if proof is None:
            raise _not_logged_yet()
        call.trace(data=Entity(reference=f"AuditEvent/{event.event_id}"))
        name = f'attachment; filename="{event.event_id}{SUFFIX}"'
        return Answer(200, proof.encode(), MEDIA_TYPE, {"Content-Disposition": name, INDEX_HEADER: str(proof.index)})

    def find_notices(self, call: Call) -> Answer:
        """Notices of the record, for its holder and the médecin traitant; for a structure, its emergency accesses."""
        return self._reviews.queue(call) if call.actor.kind is ActorKind.SOFTWARE else self._notices.find(call)

    def review(self, call: Call) -> Answer:
        """A structure's responsible person has reviewed an emergency access."""
        return self._reviews.review(call)

    def review_figures(self, call: Call) -> Answer:
        """Counts and ages of a stage's emergency accesses, for operations."""
        return self._reviews.figures(call)

    def _named(self, call: Call) -> JournalEvent:
        """The event that the path names, if it is of the caller's record and the caller may see it.

        Raises Refused, EventAbsent: one answer for what is unknown, of another record, or hidden.
        """
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_TRACES, facts)
        event = self._reader.events(call).whole(facts.record_id, call.request.path_parameters["resource_id"])
        if not self._reader.sight(call, dossier, facts)(event.said):
            raise not_found()
        return event.stored

    def _page(self, call: Call, query: TraceQuery, visible: TraceSight) -> _Page:
        """What is asked for, newest first.

        An event that does not pass its checks, or is gone, is not shown, and said to be there: one must not hide all
        others.
        """
        page, events = _Page(), self._reader.events(call)
        happened = self._history.newest_first(call.record_id or "", query.start, query.end, after=query.after)
        for number, one in enumerate(happened):
            if number == MOST_OPENED:
                page.following = happened[number - 1].event_id
                break
            event = events.one(call.record_id or "", one.event_id)
            if event is None or not (matches(event.said, query.filters) and visible(event.said)):
                continue
            if len(page.shown) == query.count:
                page.following = page.shown[-1].event.event_id
                break
            page.shown.append(Shown(event.stored, event.said, one.index))
        page.damaged = events.damaged
        return page


class _Page:
    """A page as it is gathered. `following`: behind which event the next one begins; None: there is none."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.damaged: list[Problem] = []
        self.following: str | None = None


def _not_logged_yet() -> FhirError:
    text = "the event is not in the log yet: the next checkpoint will hold it, within a minute or so"
    return FhirError(404, Problem("incomplete", text, rule="docs/formats/log.md, sealing"))
