"""The function `retrieval`: TD0.2, ITI-66, ITI-67 (TD3.1a and b), reads by id, ITI-68, capabilities."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sceau.access.model import Act, ActorKind, Caution, Reason, RecordFacts
from sceau.access.standing import is_medecin_traitant
from sceau.access.status import may_do
from sceau.audit.facts import AuditAct, Coding, Entity, Identifier as TracedIdentifier
from sceau.fhir.consent_resources import access_statement
from sceau.fhir.history import changes_of, history
from sceau.fhir.outcome import FhirError, Problem
from sceau.fhir.parse import Json
from sceau.fhir.patient import closing_of, patient
from sceau.fhir.resources import (
    as_seen,
    binary,
    etag,
    submission_set,
)
from sceau.fhir.search.criteria import Query
from sceau.fhir.search.ignoring import unknown
from sceau.fhir.search.run import run, search
from sceau.fhir.searchset import searchset
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.capability import capability_statement
from sceau.http.chalice_app import Handler
from sceau.http.conditional import conditional, content_tag
from sceau.http.message import FHIR_JSON, JSON, Answer, Request, json_answer, resource_answer
from sceau.http.negotiation import JSON_FORMATS, accepts, asked_format, is_strict, require_json_answer
from sceau.http.reading import RecordReader, parameters, patient_identifier
from sceau.http.refusals import not_found
from sceau.http.runtime import Runtime
from sceau.http.seeing import visible_entries
from sceau.http.sight import Sight
from sceau.http.wrapper import public
from sceau.records.dossier import Dossier
from sceau.records.ids import document_id
from sceau_schemas.dossier import EntryRow, SetRow


def build(runtime: Runtime) -> Handler:
    """What serves `retrieval`."""
    return build_wrapper(runtime, Retrieval)


class Retrieval:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(self, built: Built) -> None:
        self._reader = RecordReader(built)
        self._origin = built.runtime.origin
        self._routes = built.runtime.routes
        self._capabilities = capability_statement(
            built.runtime.routes, origin=built.runtime.origin, now=built.runtime.clock()
        )

    @public
    def metadata(self, request: Request) -> Answer:
        """`GET /fhir/metadata`: what this service can do, for anybody."""
        require_json_answer(request)
        return resource_answer(200, self._capabilities, {"Cache-Control": "public, max-age=60"})

    @public
    def openapi(self, _: Request) -> Answer:
        """`GET /openapi.json`."""
        return json_answer(200, self._description(), {"Cache-Control": "public, max-age=60"}, JSON)

    @public
    def openapi_page(self, _: Request) -> Answer:
        """`GET /openapi.html`."""
        from sceau.http.openapi_page import PAGE_HEADERS, openapi_page

        return Answer(200, openapi_page(self._description()), "text/html; charset=utf-8", PAGE_HEADERS)

    def _description(self) -> Json:
        from sceau import __version__
        from sceau.http.openapi import openapi  # imported when asked for: a cold start has no need of it

        return openapi(self._routes, origin=self._origin, version=__version__)

    def find_patient(self, call: Call) -> Answer:
        """TD0.2: is there a record, and what may I do there. A searchset of 0 or 1 Patient."""
        call.begin(AuditAct.QUERY_PATIENT)
        call.require_ask(Act.READ_STATUS)
        require_json_answer(call.request)
        pairs = parameters(call.request)
        system, value = patient_identifier(pairs)
        others = (name for name, _ in pairs if name not in ("identifier", "_format"))
        warnings = unknown(others, strict=is_strict(call.request))
        self._reader.same_patient(call, system, value)
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_STATUS, facts)
        call.trace()
        found, included = [], []
        if dossier is not None:
            found = [_patient(call, dossier, facts)]
            included = [access_statement(facts.record_id, may_do(call.actor, facts, call.rules, call.now))]
        return resource_answer(
            200,
            searchset(found, total=len(found), links=(), origin=self._origin, included=included, warnings=warnings),
        )

    def read_patient(self, call: Call) -> Answer:
        """The same Patient by its id, which is the record-id."""
        call.begin(AuditAct.READ)
        call.require_ask(Act.READ_STATUS)
        require_json_answer(call.request)
        asked = call.request.path_parameters["resource_id"]
        dossier, facts = self._reader.load(call)
        call.require(Act.READ_STATUS, facts)
        if dossier is None or asked != facts.record_id:
            raise not_found()
        call.trace(data=Entity(reference=f"Patient/{facts.record_id}"))
        resource = _patient(call, dossier, facts)
        return conditional(call.request, resource, content_tag(resource), dossier.head.opened)

    def find_document_references(self, call: Call) -> Answer:
        """ITI-67, as TD3.1a, or as TD3.1b for a caller that may only find the ids of what it authored."""
        act = Act.SEARCH
        call.begin(AuditAct.FIND_DOCUMENT_REFERENCES)
        if call.actor.kind in (ActorKind.SOFTWARE, ActorKind.INSURER):
            act = Act.FIND_IDENTIFIER
            call.begin(AuditAct.FIND_IDENTIFIER)
        call.require_ask(act)
        require_json_answer(call.request)
        query = self._reader.query(call, "DocumentReference")
        dossier, facts = self._reader.load(call)
        if act is Act.SEARCH and _names_documents(query):
            verdict = call.decide(act, facts)
            if verdict.reason is Reason.DENIED_NO_GRANT:
                act = Act.FIND_IDENTIFIER  # a professional who may not read still finds what the structure authored
                call.begin(AuditAct.FIND_IDENTIFIER, facts.record_id)
        if act is Act.FIND_IDENTIFIER:
            _check_technical(query)
        call.require(act, facts)
        call.trace()
        sight = Sight(call, act, _present(dossier), facts, origin=self._origin)
        page = search(query, sight.entries, sight.columns, sight.places(), record_id=facts.record_id)
        technical = act is Act.FIND_IDENTIFIER
        return resource_answer(
            200,
            searchset(
                sight.technical(page.places) if technical else sight.shown_at(page.places),
                total=page.total,
                links=self._reader.links(call, query, page.next),
                origin=self._origin,
                warnings=query.warnings,
            ),
        )

    def find_lists(self, call: Call) -> Answer:
        """ITI-66: submission sets and folders, as far as their documents are visible."""
        call.begin(AuditAct.FIND_DOCUMENT_LISTS)
        call.require_ask(Act.SEARCH_SETS)
        require_json_answer(call.request)
        query = self._reader.query(call, "List")
        dossier, facts = self._reader.load(call)
        call.require(Act.SEARCH_SETS, facts)
        call.trace()
        present = _present(dossier)
        visible = _visible_ids(call, Act.SEARCH_SETS, facts, present)
        seen = [row for row in (as_seen(row, visible) for row in present.sets.rows()) if row is not None]
        page = run(query, seen, lambda _: True, record_id=facts.record_id)
        visible |= {row.id for row in seen}
        return resource_answer(
            200,
            searchset(
                [_list(present, row, visible) for row in page.rows],
                total=page.total,
                links=self._reader.links(call, query, page.next),
                origin=self._origin,
                warnings=query.warnings,
            ),
        )

    def read_list(self, call: Call) -> Answer:
        """A submission set or folder by its id, with those of its documents that the caller may see."""
        call.begin(AuditAct.READ)
        require_json_answer(call.request)
        dossier, facts, set_id = self._reader.named(call, Act.READ_SET)
        stored = dossier.sets.row(set_id)
        visible = _visible_ids(call, Act.READ_SET, facts, dossier)
        row = as_seen(stored, visible) if stored else None
        if row is None:
            raise not_found()
        named = (dossier.sets.row(folder.id) for folder in row.folders)
        visible |= {folder.id for folder in named if folder and as_seen(folder, visible)}
        call.trace(data=Entity(reference=f"List/{document_id(facts.record_id, set_id)}"))
        resource = _list(dossier, row, visible)
        return conditional(call.request, resource, content_tag(resource), row.updated)

    def read_document_reference(self, call: Call) -> Answer:
        """A document entry by its id, with ETag; 304 when the client has it."""
        call.begin(AuditAct.READ)
        require_json_answer(call.request)
        sight, row = self._entry(call, Act.READ_ENTRY)
        call.trace(data=_traced(row, call, "DocumentReference"))
        return conditional(call.request, sight.shown(row), etag(row.now.version), row.now.updated)

    def document_reference_history(self, call: Call) -> Answer:
        """The versions of an entry, for whoever may see it now."""
        call.begin(AuditAct.READ_HISTORY)
        require_json_answer(call.request)
        sight, row = self._entry(call, Act.READ_ENTRY)
        call.trace(data=_traced(row, call, "DocumentReference"))
        changes = changes_of(row.versions)
        return resource_answer(200, history(sight.versions(row), changes, origin=self._origin))

    def read_document_reference_version(self, call: Call) -> Answer:
        """One of them, by its number."""
        call.begin(AuditAct.READ_HISTORY)
        require_json_answer(call.request)
        sight, row = self._entry(call, Act.READ_ENTRY)
        wanted = call.request.path_parameters["version_id"]
        version = next((one for one in row.versions if str(one.version) == wanted), None)
        if version is None:
            raise not_found()
        call.trace(data=_traced(row, call, "DocumentReference"))
        return conditional(call.request, sight.shown(row, version), etag(version.version), version.updated)

    def retrieve_document(self, call: Call) -> Answer:
        """ITI-68: the document's bytes, or a FHIR Binary when the client asks for FHIR."""
        return self._retrieve(call, "Binary")

    def retrieve_fhir_document(self, call: Call) -> Answer:
        """ITI-68 of a FHIR document: the Bundle as it was sent."""
        return self._retrieve(call, "Bundle")

    def _retrieve(self, call: Call, form: str) -> Answer:
        call.begin(AuditAct.RETRIEVE_DOCUMENT)
        sight, row = self._entry(call, Act.READ_DOCUMENT)
        document = row.document
        if document.form != form:
            raise not_found()
        wanted = _document_form(call.request, document.content_type)
        call.trace(data=_traced(row, call, form))
        content = self._reader.records.read_document(call.record_id or "", row.id, document)
        headers = {"ETag": f'"{document.sha256}"', "X-Content-Type-Options": "nosniff"}
        if sight.warned(row):
            headers["Sceau-Caution"] = Caution.NOT_YET_TOLD.value
        if wanted == FHIR_JSON and document.content_type != FHIR_JSON:
            own_id = document_id(call.record_id or "", row.id)
            return resource_answer(200, binary(own_id, document.content_type, content), headers)
        headers["Content-Disposition"] = "attachment"
        return Answer(200, content, document.content_type, headers)

    def _entry(self, call: Call, act: Act) -> tuple[Sight, EntryRow]:
        """How the caller sees the record, and in it the entry that the path names. Raises Refused 403, 404."""
        dossier, facts, row = self._reader.entry(call, act)
        sight = Sight(call, act, dossier, facts, origin=self._origin)
        return sight, sight.seen(row)


def _present(dossier: Dossier | None) -> Dossier:
    if dossier is None:
        raise AssertionError("a search in an absent record was allowed")
    return dossier


def _patient(call: Call, dossier: Dossier, facts: RecordFacts) -> Json:
    """TD0.2's Patient. `dmp-medecin-traitant`: the caller is; to the holder: there is one [choice]."""
    head = dossier.head
    asking = call.actor.kind is ActorKind.PROFESSIONAL
    doctor = is_medecin_traitant(call.actor, facts) if asking else facts.medecin_traitant is not None
    closing = closing_of(head)
    # No attachment to Mon espace santé exists yet: it is truly false.
    return patient(head, medecin_traitant=doctor, rattachement_mes=False, closing=closing)


def _visible_ids(call: Call, act: Act, facts: RecordFacts, dossier: Dossier) -> set[str]:
    return set(map(dossier.entries.id_at, visible_entries(call, act, facts, dossier.entries)))


def _list(dossier: Dossier, row: SetRow, visible: Collection[str]) -> Json:
    return submission_set(row, dossier.sets.blob(row.id), record_id=dossier.record_id, visible=visible)


def _check_technical(query: Query) -> None:
    """TD3.1b: `identifier` alone; a label or a date beside it would tell what may not be read. FhirError 400."""
    if not _names_documents(query):
        raise FhirError(400, Problem("required", "TD3.1b: identifier is required", "identifier"))
    others = sorted({one.parameter.name for one in query.criteria} - {"identifier"})
    # An order by it would tell which document the patient changed last: masked, or showed.
    others += ["_sort" for key in query.sort if key.parameter.name == "_lastUpdated"]
    if others:
        text = "TD3.1b: a caller that may not read searches by identifier alone"
        raise FhirError(400, Problem("not-supported", text, others[0]))


def _names_documents(query: Query) -> bool:
    return any(criterion.parameter.name == "identifier" for criterion in query.criteria)


_FORMATS: Final = dict.fromkeys(JSON_FORMATS, FHIR_JSON)


def _document_form(request: Request, content_type: str) -> str:
    """What to send: the document's own type, or FHIR. Raises FhirError 406."""
    own = content_type.partition(";")[0]  # text has its charset, which is no matter of negotiation
    alias = ("text/xml",) if own == "application/xml" else ()
    offers = (own, *alias, FHIR_JSON, JSON)
    asked = asked_format(request)  # counts before Accept (FHIR R4)
    wanted = accepts(request.header("accept") if asked is None else _FORMATS.get(asked, asked), offers)
    if wanted is None:
        text = f"the document is {content_type}; it can also be had as {FHIR_JSON}"
        raise FhirError(406, Problem("not-supported", text))
    return FHIR_JSON if wanted in (FHIR_JSON, JSON) else content_type


def _traced(row: EntryRow, call: Call, resource_type: str) -> Entity:
    first = row.identifiers[0]
    return Entity(
        reference=f"{resource_type}/{document_id(call.record_id or '', row.id)}",
        identifier=TracedIdentifier(first.system, first.value),
        sha256=bytes.fromhex(row.document.sha256),
        labels=tuple(Coding(label.system or "", label.code) for label in row.now.labels),
    )
