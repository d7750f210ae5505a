"""The function `retrieval`: TD0.2, ITI-67 (TD3.1a and b), reads by id, ITI-68.

Whatever is asked, the calls of store and key service are the same for what is unknown, not visible, or of another
record: the token's own dossier is loaded, and the entry is not found there.
"""

from __future__ import annotations

from collections.abc import Sequence

from sceau.access.facts import document_facts, record_facts
from sceau.access.model import Act, ActorKind, RecordFacts
from sceau.audit.facts import AuditAct, Coding, Entity, Identifier as TracedIdentifier
from sceau.envelope.messages import Envelope
from sceau.fhir.consents import access_statement
from sceau.fhir.outcome import FhirError, Problem, bad_request
from sceau.fhir.parse import Json
from sceau.fhir.patient import patient
from sceau.fhir.resources import (
    binary,
    document_reference,
    etag,
    etag_matches,
    last_modified,
    searchset,
    technical_identifier,
)
from sceau.fhir.search.criteria import Position, Query
from sceau.fhir.search.paging import PageCaller, PageTokens
from sceau.fhir.search.query import parse_query
from sceau.fhir.search.run import run
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.message import FHIR_JSON, JSON, Answer, Request, resource_answer
from sceau.http.negotiation import accepts, is_strict, require_form_body, require_json_answer
from sceau.http.refusals import not_found
from sceau.http.runtime import Runtime
from sceau.records.dossier import Dossier
from sceau.records.ids import document_id, record_id, split_document_id
from sceau.records.repository import Records
from sceau_schemas.dossier import EntryRow

_NOT_MODIFIED = 304


def build(runtime: Runtime) -> Handler:
    """What serves `retrieval`."""
    return build_wrapper(runtime, Retrieval)


class Retrieval:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(self, built: Built) -> None:
        self._built = built
        self._origin = built.runtime.origin
        self._records = Records(built.runtime.store, Envelope(built.runtime.keys))
        self._pages = PageTokens(built.pseudonym_key)

    def find_patient(self, call: Call) -> Answer:
        """TD0.2: is there a record, and what may I do there. A searchset of 0 or 1 Patient."""
        call.begin(AuditAct.QUERY_PATIENT)
        call.require_ask(Act.READ_STATUS)
        require_json_answer(call.request)
        system, value = _patient_identifier(_parameters(call.request))
        self._same_patient(call, system, value)
        dossier, facts = self._load(call)
        call.require(Act.READ_STATUS, facts)
        call.trace()
        found, included = [], []
        if dossier is not None:
            # No médecin traitant and no attachment to Mon espace santé exist yet: both are truly false.
            found = [patient(dossier.head, medecin_traitant=False, rattachement_mes=False)]
            reading = call.decide(Act.SEARCH, facts)
            included = [access_statement(facts.record_id, reading=reading.allowed, reason=reading.reason.value)]
        return resource_answer(
            200, searchset(found, total=len(found), links=(), origin=self._origin, included=included)
        )

    def find_document_references(self, call: Call) -> Answer:
        """ITI-67, as TD3.1a, or as TD3.1b for a caller that may only find what it authored."""
        feeding = call.actor.kind in (ActorKind.SOFTWARE, ActorKind.INSURER)
        act = Act.FIND_IDENTIFIER if feeding else Act.SEARCH
        call.begin(AuditAct.FIND_IDENTIFIER if feeding else AuditAct.FIND_DOCUMENT_REFERENCES)
        require_json_answer(call.request)
        query = self._query(call, act)
        dossier, facts = self._load(call)
        call.require(act, facts)
        call.trace()
        page = run(
            query,
            dossier.entries.rows() if dossier else (),
            lambda row: call.decide(act, facts, document_facts(row)).allowed,
            record_id=facts.record_id,
        )
        if dossier is None:
            raise AssertionError("a search in an absent record was allowed")
        resources = [self._found(dossier, row, act) for row in page.rows]
        bundle = searchset(
            resources,
            total=page.total,
            links=self._links(call, query, page.next),
            origin=self._origin,
            warnings=query.warnings,
        )
        return resource_answer(200, bundle)

    def read_document_reference(self, call: Call) -> Answer:
        """A document entry by its id, with ETag; 304 when the client has it."""
        call.begin(AuditAct.READ)
        require_json_answer(call.request)
        dossier, row = self._entry(call, Act.READ_ENTRY)
        call.trace(data=_traced(row, call))
        headers = {"ETag": etag(row.now.version), "Last-Modified": last_modified(row.now.updated)}
        if _has_already(call.request, row.now.version):
            return Answer(_NOT_MODIFIED, headers=headers)
        return resource_answer(200, self._found(dossier, row, Act.READ_ENTRY), headers)

    def retrieve_document(self, call: Call) -> Answer:
        """ITI-68: the document's bytes, or a FHIR Binary when the client asks for FHIR."""
        call.begin(AuditAct.RETRIEVE_DOCUMENT)
        _, row = self._entry(call, Act.READ_DOCUMENT)
        document = row.document
        wanted = _document_form(call.request, document.content_type)
        call.trace(data=_traced(row, call))
        content = self._records.read_document(call.record_id or "", row.id, document)
        headers = {"ETag": f'"{document.sha256}"', "X-Content-Type-Options": "nosniff"}
        if wanted == FHIR_JSON and document.content_type != FHIR_JSON:
            own_id = document_id(call.record_id or "", row.id)
            resource = binary(own_id, document.content_type, content)
            return resource_answer(200, resource, headers)
        headers["Content-Disposition"] = "attachment"
        return Answer(200, content, document.content_type, headers)

    def _query(self, call: Call, act: Act) -> Query:
        """The query, of this caller and its own patient. Raises FhirError 400, Refused."""
        call.require_ask(act)
        pairs = _parameters(call.request)
        pages = [value for name, value in pairs if name == "page"]
        if pages:
            if len(pairs) != 1 or call.actor.record_id is None:
                raise bad_request("page stands alone, and needs a token that names a patient")
            return self._pages.open(
                pages[0], "DocumentReference", _page_caller(call), now=call.now, base_urls=(f"{self._origin}/fhir",)
            )
        query = parse_query(
            "DocumentReference",
            pairs,
            strict=is_strict(call.request),
            now=call.now,
            base_urls=(f"{self._origin}/fhir",),
        )
        for identifier in query.patient_identifiers:
            self._same_patient(call, identifier.system, identifier.value)
        if query.patient_reference is not None:
            self._same_record(call, query.patient_reference)
        return query

    def _same_patient(self, call: Call, system: str, value: str) -> None:
        """The patient that the request names must be the token's; a token that names none takes the request's."""
        self._same_record(call, record_id(self._built.pseudonym_key, system, value))

    def _same_record(self, call: Call, record: str) -> None:
        if call.actor.record_id is None:
            call.record_id = record
        elif record != call.actor.record_id:
            raise not_found("denied.other-record")

    def _load(self, call: Call) -> tuple[Dossier | None, RecordFacts]:
        if call.record_id is None:
            raise bad_request("the request names no patient, and neither does its token", rule="api.md, conditional")
        loaded = self._records.load(call.record_id)
        dossier = loaded.dossier if loaded else None
        call.dossier_version = dossier.head.version if dossier else 0
        return dossier, record_facts(call.record_id, dossier.head if dossier else None)

    def _entry(self, call: Call, act: Act) -> tuple[Dossier, EntryRow]:
        """The entry that the path names, if the caller may see it. Raises Refused: 403 for the record, else 404."""
        pair = split_document_id(call.request.path_parameters["resource_id"])
        if call.actor.record_id is None and pair:
            call.record_id = pair[0]  # an attempt on a record is that record's event
        call.require_ask(act)
        dossier, facts = self._load(call)
        call.require(act, facts)
        row = dossier.entries.row(pair[1]) if dossier and pair and pair[0] == facts.record_id else None
        if dossier is None or row is None:
            raise not_found()
        verdict = call.decide(act, facts, document_facts(row))
        if not verdict.allowed:
            raise not_found(verdict.reason.value)
        return dossier, row

    def _found(self, dossier: Dossier, row: EntryRow, act: Act) -> Json:
        if act is Act.FIND_IDENTIFIER:
            return technical_identifier(row, record_id=dossier.record_id)
        blob = dossier.entries.blob(row.id)
        return document_reference(row, blob, record_id=dossier.record_id, origin=self._origin)

    def _links(self, call: Call, query: Query, following: Position | None) -> list[tuple[str, str]]:
        """`self` and `next`, as sealed tokens: no health data in an address. A token without a patient gets none."""
        if call.actor.record_id is None:
            return []
        tokens, caller = self._pages, _page_caller(call)
        base = f"{self._origin}/fhir/DocumentReference?page="
        links = [("self", base + tokens.seal(query, caller, after=query.after, now=call.now))]
        if following is not None:
            links.append(("next", base + tokens.seal(query, caller, after=following, now=call.now)))
        return links


def _parameters(request: Request) -> list[tuple[str, str]]:
    """The parameters of URL and form body together."""
    if request.method == "POST":
        require_form_body(request)
        try:
            return request.query_pairs() + request.form_pairs()
        except ValueError:
            raise bad_request("the parameters can't be read") from None
    return request.query_pairs()


def _patient_identifier(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The one `identifier` of a patient query. Raises FhirError 400."""
    given = [value for name, value in pairs if name == "identifier"]
    if len(given) != 1:
        raise FhirError(400, Problem("required", "exactly one identifier is required, as system|value", "identifier"))
    system, bar, value = given[0].partition("|")
    if not (system and bar and value):
        raise FhirError(400, Problem("value", "identifier: expected system|value", "identifier"))
    return system, value


def _document_form(request: Request, content_type: str) -> str:
    """What to send: the document's own type, or FHIR. Raises FhirError 406."""
    own = (content_type, "text/xml") if content_type == "application/xml" else (content_type,)
    offers = (*own, FHIR_JSON, JSON)
    wanted = accepts(request.header("accept"), offers)
    if wanted is None:
        text = f"the document is {content_type}; it can also be had as {FHIR_JSON}"
        raise FhirError(406, Problem("not-supported", text))
    return FHIR_JSON if wanted in (FHIR_JSON, JSON) else content_type


def _has_already(request: Request, version: int) -> bool:
    given = request.header("if-none-match")
    return given is not None and etag_matches(given, version)


def _traced(row: EntryRow, call: Call) -> Entity:
    first = row.identifiers[0]
    reference = f"DocumentReference/{document_id(call.record_id or '', row.id)}"
    if call.audit_act is AuditAct.RETRIEVE_DOCUMENT:
        reference = f"Binary/{document_id(call.record_id or '', row.id)}"
    return Entity(
        reference=reference,
        identifier=TracedIdentifier(first.system, first.value),
        sha256=bytes.fromhex(row.document.sha256),
        labels=tuple(Coding(label.system or "", label.code) for label in row.now.labels),
    )


def _page_caller(call: Call) -> PageCaller:
    return PageCaller(call.actor.client_id, call.actor.subject, call.record_id or "")
