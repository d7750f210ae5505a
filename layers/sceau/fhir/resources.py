"""FHIR resources as they leave: entries and sets of a record, documents, and the bundles that carry them.

Pure: rows and blobs in, JSON out (write it with `parse.write_json`: it may hold decimals). Ids are
`<record-id>.<entry-id>`; the references that we make are relative, `attachment.url` and `fullUrl` absolute. No link
carries an INS. `origin`: scheme, host and port of the stage, no slash at the end.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sceau.fhir.folders import NewFolder
from sceau.fhir.outcome import Problem, operation_outcome
from sceau.fhir.parse import Json, Written, read_stored
from sceau.fhir.references import URI_SYSTEM, Target
from sceau.fhir.submission import EntryKind, RequestEntry, Submission
from sceau.fhir.times import http_date, instant
from sceau.records.ids import document_id, entry_uuid
from sceau_schemas.dossier import EntryRow, FolderVersion, SetFolder, SetRow

_FIRST_VERSION: Final = 1
_SHOWN: Final = frozenset({EntryKind.SUBMISSION_SET, EntryKind.FOLDER, EntryKind.DOCUMENT_REFERENCE})
_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_SUBSETTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def etag(version: int) -> str:
    """Return the ETag of a resource's version: weak, as FHIR has it."""
    return f'W/"{version}"'


def etag_matches(header: str, version: int) -> bool:
    """Say whether an `If-Match` or `If-None-Match` names the version, or any (`*`). Weak comparison (RFC 9110)."""
    named = {part.strip().removeprefix("W/").strip('"') for part in header.split(",")}
    return "*" in named or str(version) in named


def last_modified(updated: int) -> str:
    """Return the Last-Modified of a version made at `updated` (milliseconds)."""
    return http_date(updated)


def submission_set(row: SetRow, blob: bytes, *, record_id: str, visible: Collection[str] | None = None) -> Json:
    """Return a set's or folder's List. `visible`: ids of the entries and folders that the reader may see; None: all."""
    kept = read_stored(blob)
    resource = _beginning("List", document_id(record_id, row.id), row.version, row.updated, kept)
    resource["identifier"] = [_entry_uuid(row.id), *kept.get("identifier", ())]
    if "subject" in kept:
        resource["subject"] = _subject(kept["subject"], record_id)
    members = [(entry, _reference(record_id, entry)) for entry in row.entries]
    members += [(one.id, f"List/{document_id(record_id, one.id)}") for one in row.folders if one.listed]
    if shown := [reference for own_id, reference in members if visible is None or own_id in visible]:
        resource["entry"] = [{"item": {"reference": reference}} for reference in shown]  # an empty array isn't FHIR
    return resource


def as_seen(row: SetRow, visible: Collection[str]) -> SetRow | None:
    """Return a set or folder as a reader sees it who may see the entries `visible`; None when it sees none of them.

    A folder's versions are those that brought something visible: neither their number nor the time of the last one
    tells of anything else that was added.
    """
    entries = tuple(entry for entry in row.entries if entry in visible)
    if not entries or len(entries) == len(row.entries):
        return row if entries else None
    present = FolderVersion(updated=row.updated, event=row.event, size=len(row.entries))
    visible_ids, versions, begin = set(entries), [], 0
    for one in (*row.earlier, present):
        if not visible_ids.isdisjoint(row.entries[begin : one.size]):
            versions.append(one)
        begin = one.size
    last = versions[-1]
    changed = {"entries": entries, "version": len(versions), "updated": last.updated, "event": last.event}
    return row.model_copy(update={**changed, "earlier": ()})


def technical_identifier(row: EntryRow, *, record_id: str) -> Json:
    """Return what TD3.1b tells a client that may not read: an entry's ids and status, nothing else.

    R4 wants a content: it is there, and says that it is masked.
    """
    master, *others = [{"system": i.system, "value": i.value} for i in row.identifiers]
    return {
        "resourceType": "DocumentReference",
        "id": document_id(record_id, row.id),
        "meta": {"tag": [_SUBSETTED]},  # no version or time: they would tell that the patient changed something
        "masterIdentifier": master,
        "identifier": [_entry_uuid(row.id), *others],
        "status": row.now.status,
        "content": [{"attachment": {"extension": [{"url": _ABSENT, "valueCode": "masked"}]}}],
    }


def binary(own_id: str, content_type: str, content: bytes) -> Json:
    """Return a document as a Binary resource, for `Accept: application/fhir+json`. `own_id`: its entry's FHIR id."""
    return {
        "resourceType": "Binary",
        "id": own_id,
        "contentType": content_type,
        "securityContext": {"reference": f"DocumentReference/{own_id}"},
        "data": base64.b64encode(content).decode("ascii"),
    }


def transaction_response(
    submission: Submission,
    *,
    record_id: str,
    set_id: str,
    entry_ids: Sequence[str],
    resources: Mapping[str, Json | Written] | None = None,
    superseded: Mapping[Target, str] | None = None,
    folders: Sequence[SetFolder] = (),
) -> Json:
    """Return the answer to ITI-65: one entry for each of the request's, in its order.

    `entry_ids`: of `submission.documents`, in order; `folders`: what became of `submission.folders`, likewise.
    `resources`: by set-id, entry-id and folder-id, what `Prefer: return=representation` adds. `superseded`: the
    entry-ids of replaced targets, where they are known.
    """
    entries: list[Json] = []
    for position, asked in enumerate(submission.entries):
        if asked.folder is not None:
            own = folders[asked.folder].id
            response = _folder_response(submission.folders[asked.folder], folders[asked.folder], record_id)
        else:
            own = set_id if asked.document is None else entry_ids[asked.document]
            response = _response(asked, record_id, own, submission, superseded or {})
        if warnings := _warnings_of(position, asked, submission):
            response["outcome"] = operation_outcome(warnings)
        entry: Json = {"response": response}
        if resources and asked.kind in _SHOWN and own in resources:
            entry["resource"] = resources[own]
        entries.append(entry)
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


def _folder_response(sent: NewFolder, made: SetFolder, record_id: str) -> Json:
    status = "200 OK" if sent.target else "201 Created"
    return {"status": status, "etag": etag(made.version), "location": f"List/{document_id(record_id, made.id)}"}


def _response(
    asked: RequestEntry, record_id: str, own_id: str, submission: Submission, superseded: Mapping[Target, str]
) -> Json:
    """Return the response to an entry that is no folder. `own_id`: its document's, or the set's."""
    created = {"status": "201 Created", "etag": etag(_FIRST_VERSION)}
    match asked.kind:
        case EntryKind.DOCUMENT_REFERENCE:
            return {**created, "location": _reference(record_id, own_id)}
        case EntryKind.CONTENT:
            form = submission.documents[asked.document or 0].form
            return {**created, "location": f"{form}/{document_id(record_id, own_id)}"}
        case EntryKind.PATIENT:
            return {"status": "200 OK", "location": f"Patient/{record_id}"}
        case EntryKind.PATCH:
            target = asked.target
            if target is not None and target in superseded:
                return {"status": "200 OK", "location": _reference(record_id, superseded[target])}
            location = {"location": f"DocumentReference/{target}"} if isinstance(target, str) else {}
            return {"status": "200 OK", **location}
        case _:
            return {**created, "location": f"List/{document_id(record_id, own_id)}"}


def _warnings_of(position: int, asked: RequestEntry, submission: Submission) -> list[Problem]:
    """A warning travels with the entry that it is about; one about no entry, with the set."""
    own = f"Bundle.entry[{position}]"
    found = [w for w in submission.warnings if w.expression and (w.expression + ".").startswith(own + ".")]
    if asked.kind is EntryKind.SUBMISSION_SET:
        found += [w for w in submission.warnings if not (w.expression or "").startswith("Bundle.entry[")]
    return found


def _beginning(resource_type: str, own_id: str, version: int, updated: int, kept: Json) -> Json:
    meta = {"versionId": str(version), "lastUpdated": instant(updated), **kept.get("meta", {})}
    return {**kept, "resourceType": resource_type, "id": own_id, "meta": meta}


def _entry_uuid(entry_id: str) -> Json:
    return {"use": "official", "system": URI_SYSTEM, "value": f"urn:uuid:{entry_uuid(entry_id)}"}


def _reference(record_id: str, entry_id: str) -> str:
    return f"DocumentReference/{document_id(record_id, entry_id)}"


def _subject(kept: Json, record_id: str) -> Json:
    if str(kept.get("reference", "")).startswith("#"):
        return kept
    return {"reference": f"Patient/{record_id}", **kept}
