"""What every reading use case shares: the record that a request means, its dossier, a query and its page links."""

from __future__ import annotations

from collections.abc import Sequence

from sceau.access.facts import document_facts, record_facts
from sceau.access.model import Act, RecordFacts
from sceau.envelope.messages import Envelope
from sceau.fhir.outcome import FhirError, Problem, bad_request
from sceau.fhir.search.criteria import Position, Query
from sceau.fhir.search.paging import PageTokens, page_token
from sceau.fhir.search.query import parse_query
from sceau.http.attempts import NamedRecord
from sceau.http.building import Built
from sceau.http.call import Call
from sceau.http.message import Request
from sceau.http.negotiation import is_strict, require_form_body
from sceau.http.refusals import not_found
from sceau.records.dossier import Dossier
from sceau.records.ids import decode_id, record_id, split_document_id
from sceau.records.repository import Loaded, Records
from sceau_schemas.dossier import EntryRow


class RecordReader:
    """Loads the one record that a request may be about, and finds things in it.

    Whatever is asked, the calls of store and key service are the same for what is unknown, not visible, or of another
    record: the token's own dossier is loaded, and the thing is not found there.
    """

    def __init__(self, built: Built) -> None:
        self.origin = built.runtime.origin
        self.records = Records(built.runtime.store, Envelope(built.runtime.keys))
        self._pseudonym_key = built.pseudonym_key
        self._pages = PageTokens(built.pseudonym_key)
        self._base_urls = (f"{built.runtime.origin}/fhir",)
        self._named = NamedRecord(built.pseudonym_key, built.runtime.origin)

    def load(self, call: Call) -> tuple[Dossier | None, RecordFacts]:
        """The record's dossier (None: nobody opened one) and its facts. Raises FhirError 400 without a patient."""
        loaded, facts = self.load_for_change(call)
        return loaded.dossier if loaded else None, facts

    def load_for_change(self, call: Call) -> tuple[Loaded | None, RecordFacts]:
        """The same, with what a commit needs."""
        if call.record_id is None:
            raise bad_request("the request names no patient, and neither does its token", rule="api.md, conditional")
        loaded = self.records.load(call.record_id)
        call.dossier_version = loaded.dossier.head.version if loaded else 0
        return loaded, record_facts(call.record_id, loaded.dossier.head if loaded else None)

    def named(self, call: Call, act: Act) -> tuple[Dossier, RecordFacts, str]:
        """The dossier in which the path's `<record-id>.<id>` is to be looked for, and that id.

        Raises Refused: 403 when the record is not the caller's to read, 404 for an id of another record.
        """
        pair = split_document_id(call.request.path_parameters["resource_id"])
        self.take_record(call)
        call.require_ask(act)
        dossier, facts = self.load(call)
        call.require(act, facts)
        if dossier is None or pair is None or pair[0] != facts.record_id:
            raise not_found()
        return dossier, facts, pair[1]

    def entry(self, call: Call, act: Act) -> tuple[Dossier, RecordFacts, EntryRow]:
        """The document entry that the path names, if the caller may see it. Raises Refused 403, 404."""
        dossier, facts, entry_id = self.named(call, act)
        row = dossier.entries.row(entry_id)
        if row is None:
            raise not_found()
        verdict = call.decide(act, facts, document_facts(row))
        if not verdict.allowed:
            raise call.unseen(verdict.reason, facts, document_facts(row))
        return dossier, facts, row

    def query(self, call: Call, resource: str, *, of_token: bool = False) -> Query:
        """The query, of this caller and its own patient; a page token holds one. Raises FhirError 400, Refused 404.

        `of_token`: the patient may be left out where the token names one (conditional requests, api.md).
        """
        pairs = parameters(call.request)
        if of_token and call.actor.record_id and not any(name.startswith("patient") for name, _ in pairs):
            pairs = [*pairs, ("patient", f"Patient/{call.actor.record_id}")]
        page = page_token(pairs)
        if page is not None:
            if call.actor.record_id is None:
                raise bad_request("page needs a token that names a patient")
            return self._pages.open(page, resource, call.page_caller, now=call.now, base_urls=self._base_urls)
        query = parse_query(resource, pairs, strict=is_strict(call.request), now=call.now, base_urls=self._base_urls)
        for identifier in query.patient_identifiers:
            self.same_patient(call, identifier.system, identifier.value)
        if query.patient_reference is not None:
            self.same_record(call, query.patient_reference)
        return query

    def links(self, call: Call, query: Query, following: Position | None) -> list[tuple[str, str]]:
        """`self` and `next`, as sealed tokens: no health data in an address. A token without a patient gets none."""
        if call.actor.record_id is None:
            return []
        tokens, caller = self._pages, call.page_caller
        base = f"{self.origin}/fhir/{query.resource}?page="
        links = [("self", base + tokens.seal(query, caller, after=query.after, now=call.now))]
        if following is not None:
            links.append(("next", base + tokens.seal(query, caller, after=following, now=call.now)))
        return links

    def take_record(self, call: Call) -> None:
        """A token that names no record takes that of the path's id."""
        if call.actor.record_id is None:
            call.record_id = self._named.in_path(call.request)

    def same_patient(self, call: Call, system: str, value: str) -> None:
        """The patient that the request names must be the token's; a token that names none takes the request's."""
        self.same_record(call, record_id(self._pseudonym_key, system, value))

    def same_record(self, call: Call, record: str) -> None:
        """Likewise by record-id. Raises Refused 404: no store is asked, so nothing is learned about another record."""
        if call.actor.record_id is None:
            try:
                decode_id(record)
            except ValueError:
                raise not_found() from None  # no name of a record of ours
            call.record_id = record
        elif record != call.actor.record_id:
            raise not_found("denied.other-record")


def parameters(request: Request) -> list[tuple[str, str]]:
    """The parameters of URL and form body together. Raises FhirError 400, 415."""
    try:
        if request.method != "POST":
            return request.query_pairs()
        require_form_body(request)
        return request.query_pairs() + request.form_pairs()
    except ValueError:
        raise bad_request("the parameters can't be read") from None


def patient_identifier(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The one `identifier` of a patient query. Raises FhirError 400."""
    given = [value for name, value in pairs if name == "identifier"]
    if len(given) != 1:
        raise FhirError(400, Problem("required", "exactly one identifier is required, as system|value", "identifier"))
    system, bar, value = given[0].partition("|")
    if not (system and bar and value):
        raise FhirError(400, Problem("value", "identifier: expected system|value", "identifier"))
    return system, value
