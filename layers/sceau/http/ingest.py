"""The function `ingest`: ITI-65, ITI-105, and replacement by either."""

from __future__ import annotations

import time
from collections.abc import Callable

from sceau.access.model import Act, Identifier
from sceau.audit.facts import AuditAct
from sceau.envelope.messages import Envelope
from sceau.fhir.kept import fill_entry
from sceau.fhir.parse import Json, Written, parse_resource
from sceau.fhir.resources import etag, submission_set, transaction_response
from sceau.fhir.simplified import parse_simplified
from sceau.fhir.submission import Submission, parse_submission
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.message import Answer, resource_answer
from sceau.http.negotiation import is_strict, require_json_answer, require_json_body, wants_representation
from sceau.http.publication import Published, Publisher
from sceau.http.runtime import Runtime
from sceau.records.ids import document_id, record_id
from sceau.records.repository import Records
from sceau_schemas.fhir.bundle import Bundle
from sceau_schemas.fhir.documents import DocumentReference

_URI = "urn:ietf:rfc:3986"


def build(runtime: Runtime) -> Handler:
    """What serves `ingest`."""
    return build_wrapper(runtime, Ingest)


class Ingest:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(self, built: Built, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._built = built
        self._publisher = Publisher(Records(built.runtime.store, Envelope(built.runtime.keys)), sleep=sleep)

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
        """ITI-105: one document, sent inline."""
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
        row = published.dossier.entries.row(published.entry_ids[0])
        if row is None:
            raise AssertionError("a published entry is not in its record")
        headers = {
            "Location": f"{self._built.runtime.origin}/fhir/DocumentReference/{own_id}",
            "ETag": etag(row.now.version),
        }
        return resource_answer(201, self._entry(call, published, published.entry_ids[0]), headers)

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
        row = published.dossier.entries.row(entry_id)
        if row is None:
            raise AssertionError("a published entry is not in its record")
        blob = published.dossier.entries.blob(entry_id)
        return fill_entry(row, blob, record_id=call.record_id or "", origin=self._built.runtime.origin)

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
