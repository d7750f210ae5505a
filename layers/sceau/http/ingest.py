"""The function `ingest`: ITI-65, ITI-105, replacement by either, and changes of an entry (TD3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sceau.access.model import Act, Identifier
from sceau.audit.facts import AuditAct
from sceau.envelope.messages import Envelope
from sceau.fhir.kept import fill_entry
from sceau.fhir.outcome import FhirError, Problem, operation_outcome
from sceau.fhir.parse import Json, Written, parse_resource
from sceau.fhir.patches import parser_of
from sceau.fhir.resources import etag, submission_set, transaction_response
from sceau.fhir.search.criteria import Query
from sceau.fhir.simplified import parse_simplified
from sceau.fhir.submission import Submission, parse_submission
from sceau.http.amending import Amender, check_may_change
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.message import Answer, resource_answer
from sceau.http.negotiation import (
    is_strict,
    require_json_answer,
    require_json_body,
    wants_outcome,
    wants_representation,
)
from sceau.http.publication import Published, Publisher
from sceau.http.reading import RecordReader
from sceau.http.runtime import Runtime
from sceau.records.ids import document_id, record_id
from sceau.records.repository import Records
from sceau_schemas.fhir.bundle import Bundle
from sceau_schemas.fhir.documents import DocumentReference

_URI = "urn:ietf:rfc:3986"


def build(runtime: Runtime) -> Handler:
    """What serves `ingest`."""
    return build_wrapper(runtime, Ingest)


_NOTHING_TO_REMARK: Final = Problem("informational", "published, with nothing to remark", severity="information")


class Ingest:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(self, built: Built, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._built = built
        records = Records(built.runtime.store, Envelope(built.runtime.keys))
        self._publisher = Publisher(records, sleep=sleep)
        self._reader = RecordReader(built)
        self._amender = Amender(self._reader, records, origin=built.runtime.origin, sleep=sleep)

    def provide_bundle(self, call: Call) -> Answer:
        """ITI-65: a submission set with its documents, all or nothing."""
        self._begin(call, AuditAct.PROVIDE_BUNDLE)
        body = parse_resource(call.request.body, Bundle)
        submission = parse_submission(
            body,
            accepted_ins_systems=self._built.runtime.spec.identifiers,
            strict=is_strict(call.request),
            received=call.now,
            custodian=_structure(call),
        )
        published = self._publish(call, submission)
        resources = self._resources(call, published) if wants_representation(call.request) else None
        response = transaction_response(
            submission,
            record_id=call.record_id or "",
            set_id=published.set_id,
            entry_ids=published.entry_ids,
            resources=resources,
            superseded=published.superseded,
            folders=published.folders,
        )
        return resource_answer(200, response)

    def simplified_publish(self, call: Call) -> Answer:
        """ITI-105: one document, sent inline. Remarks have no place in the resource: `Prefer` asks for them."""
        self._begin(call, AuditAct.SIMPLIFIED_PUBLISH)
        body = parse_resource(call.request.body, DocumentReference)
        submission = parse_simplified(
            body,
            accepted_ins_systems=self._built.runtime.spec.identifiers,
            strict=is_strict(call.request),
            received=call.now,
            custodian=_structure(call),
            source_id=Identifier(_URI, f"{self._built.runtime.origin}/#client-{call.actor.client_id}"),
        )
        published = self._publish(call, submission)
        own_id = document_id(call.record_id or "", published.entry_ids[0])
        headers = {"Location": f"{self._built.runtime.origin}/fhir/DocumentReference/{own_id}", "ETag": etag(1)}
        if wants_outcome(call.request):
            remarks = submission.warnings or (_NOTHING_TO_REMARK,)
            return resource_answer(201, operation_outcome(remarks), headers)
        return resource_answer(201, self._entry(call, published, published.entry_ids[0]), headers)

    def patch(self, call: Call) -> Answer:
        """TD3.3a–d: labels, logical deletion, isArchived; by id, or by business identifier."""
        call.begin(AuditAct.PATCH)
        self._reader.take_record(call)
        check_may_change(call)
        require_json_answer(call.request)
        parse = parser_of(call.request.media_type())
        if parse is None:
            text = "the body must be declared as application/json-patch+json, or application/fhir+json (Parameters)"
            raise FhirError(415, Problem("not-supported", text))
        patch = parse(call.request.body)
        by_id = "resource_id" in call.request.path_parameters
        return self._amender.amend(call, patch, None if by_id else self._condition(call))

    def _condition(self, call: Call) -> Query:
        """The business identifier that names the entry: what was ignored of it would name too many. FhirError 400."""
        query = self._reader.query(call, "DocumentReference", of_token=True)
        others = [one.parameter.name for one in query.criteria if one.parameter.name != "identifier"]
        if others or query.warnings or not query.criteria:
            text = "a conditional PATCH names the entry by identifier, and by nothing else"
            raise FhirError(400, Problem("not-supported", text, others[0] if others else "identifier"))
        return query

    def _begin(self, call: Call, audit_act: AuditAct) -> None:
        call.begin(audit_act)
        call.require_ask(Act.PUBLISH)
        require_json_answer(call.request)
        require_json_body(call.request)

    def _publish(self, call: Call, submission: Submission) -> Published:
        patient = submission.patient
        call.record_id = record_id(self._built.pseudonym_key, patient.system, patient.value)
        return self._publisher.publish(call, submission)

    def _entry(self, call: Call, published: Published, entry_id: str) -> Written:
        """The entry as it was published: what became of it since, a repetition must not tell."""
        row = published.dossier.entries.row(entry_id)
        if row is None:
            raise AssertionError("a published entry is not in its record")
        blob = published.dossier.entries.blob(entry_id)
        origin = self._built.runtime.origin
        return fill_entry(row, blob, record_id=call.record_id or "", origin=origin, version=row.versions[0])

    def _resources(self, call: Call, published: Published) -> dict[str, Json | Written]:
        """The set, its entries and its folders, by their ids, for `Prefer: return=representation`."""
        found: dict[str, Json | Written] = {
            entry_id: self._entry(call, published, entry_id) for entry_id in published.entry_ids
        }
        for list_id in (published.set_id, *(folder.id for folder in published.folders)):
            row = published.dossier.sets.row(list_id)
            if row is None:
                raise AssertionError("a published set is not in its record")
            blob = published.dossier.sets.blob(list_id)
            found[list_id] = submission_set(row, blob, record_id=call.record_id or "")
        return found


def _structure(call: Call) -> Identifier | None:
    """The token's structure: the custodian of what names none (api.md, "Transaction bundle"). Of several, the first."""
    return call.actor.structures[0] if call.actor.structures else None
