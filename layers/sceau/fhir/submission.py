"""A submission: what ITI-65 brings into a record, judged and taken apart (`simplified` reads ITI-105 into the same).

MHD's Comprehensive and UnContained bundles and PDSm's are accepted; Minimal is refused. Sources: api.md "Transaction
bundle", wire.md "ITI-65", "TD2.1".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sceau.access.model import Identifier
from sceau.fhir.entries import NewDocument, SentDocument, read_entry
from sceau.fhir.findings import Conditions, Findings
from sceau.fhir.folders import NewFolder, folder_members, read_folder
from sceau.fhir.outcome import FhirError, Problem, unprocessable
from sceau.fhir.parse import Body, Json
from sceau.fhir.references import Target, patient_named_by, scope_of
from sceau.fhir.sets import check_members, read_set
from sceau.fhir.terms import Terms
from sceau.fhir.transaction import EntryKind, Parts, RequestEntry, check_bundle
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.fhir.bundle import Bundle

__all__ = ["EntryKind", "NewDocument", "NewFolder", "RequestEntry", "Submission", "parse_submission", "unmatched_patch"]


@dataclass(frozen=True, slots=True)
class Submission:
    """What is to be published, all or nothing.

    `set_resource`: the submission set's List without id, entries and entryUUID. `documents`: in the request's order.
    `patches`: entries that the request patches to superseded and that are not, as written, among those that its
    documents replace: whoever resolves both must find them there, else 422 (`unmatched_patch`). `folders`: in the
    request's order. `warnings`: what was accepted with a remark. `entries`: one for each entry of the request; empty
    for ITI-105.
    """

    patient: Identifier
    set_resource: Json
    set_identifiers: tuple[StoredIdentifier, ...]
    set_terms: Terms
    documents: tuple[NewDocument, ...]
    patches: tuple[Target, ...] = ()
    folders: tuple[NewFolder, ...] = ()
    warnings: tuple[Problem, ...] = ()
    entries: tuple[RequestEntry, ...] = ()
    is_simplified: bool = False


def parse_submission(
    body: Body[Bundle],
    *,
    accepted_ins_systems: Collection[str],
    strict: bool,
    received: datetime,
    custodian: Identifier | None = None,
) -> Submission:
    """Return the submission that an ITI-65 transaction makes.

    `strict`: `Prefer: handling=strict`. `received`: now, the indexing date of entries that give none. `custodian`: the
    token's structure, of entries that name none (api.md).
    FhirError 422 (400 for dangling or ambiguous references), each problem naming its element.
    """
    findings = Findings()
    conditions = Conditions(accepted_ins_systems, strict, received, custodian)
    check_bundle(body.resource)
    parts = Parts(body, findings)
    findings.stop()
    set_at, set_raw, submission_set = parts.sets[0]
    set_scope = scope_of(submission_set, set_at, parts.patients)
    subject = findings.demand(submission_set.subject, f"{set_at}.subject", "PDSm")
    patient = patient_named_by(subject, set_scope, f"{set_at}.subject", accepted_ins_systems)
    parts.check_patient(patient, accepted_ins_systems)
    sent = parts.documents_with_content()
    read = [
        read_entry(
            one,
            scope_of(one.document, one.at, parts.patients),
            patient,
            conditions,
            findings,
        )
        for one in sent
    ]
    listed = check_members(submission_set, parts.document_urls, _folder_names(parts), set_at, findings)
    new_set = read_set(set_raw, submission_set, set_at, set_scope, patient, conditions, findings)
    folders = _read_folders(parts, read, listed, patient, conditions, findings)
    _check_unique(sent, findings)
    patches = _unmatched_patches(parts, read, findings)
    findings.stop()
    return Submission(
        patient=patient,
        set_resource=new_set.resource,
        set_identifiers=new_set.identifiers,
        set_terms=new_set.terms,
        documents=tuple(document for document in read if document),
        patches=patches,
        folders=folders,
        warnings=tuple(findings.warnings),
        entries=parts.request_entries(),
    )


def _folder_names(parts: Parts) -> dict[str, int]:
    """By fullUrl, and those that are there already by their id too."""
    names: dict[str, int] = {}
    for number, folder in enumerate(parts.folders):
        if folder.full_url:
            names[folder.full_url] = number
        if folder.target:
            names[f"List/{folder.target}"] = number
    return names


def _read_folders(
    parts: Parts,
    documents: list[NewDocument | None],
    listed: Collection[int],
    patient: Identifier,
    conditions: Conditions,
    findings: Findings,
) -> tuple[NewFolder, ...]:
    identifiers = {
        identifier: number
        for number, document in enumerate(documents)
        for identifier in (document.identifiers if document else ())
    }
    return tuple(
        read_folder(
            folder,
            folder_members(folder, parts.document_urls, identifiers, findings),
            scope_of(folder.resource, folder.at, parts.patients),
            patient,
            conditions,
            findings,
            listed=number in listed,
        )
        for number, folder in enumerate(parts.folders)
    )


def _check_unique(sent: list[SentDocument], findings: Findings) -> None:
    seen: set[tuple[str | None, str | None]] = set()
    for one in sent:
        master = one.document.master_identifier
        if master is None:
            continue
        if (master.system, master.value) in seen:
            findings.error("another document of the bundle has this masterIdentifier", f"{one.at}.masterIdentifier")
        seen.add((master.system, master.value))


def _unmatched_patches(parts: Parts, documents: list[NewDocument | None], findings: Findings) -> tuple[Target, ...]:
    """Return the patches whose target may be a replaced entry under another name: only the record can tell."""
    replaced = [target for document in documents if document for target in document.replaces]
    if len(set(replaced)) != len(replaced):
        findings.error("two documents of the bundle replace the same one", "Bundle.entry")
    unmatched: list[Target] = []
    for position, target in parts.patches.items():
        if target in replaced:
            continue
        if any(not (isinstance(target, str) and isinstance(other, str)) for other in replaced):
            unmatched.append(target)
        elif None not in documents:
            findings.errors += unmatched_patch(position).problems
    return tuple(unmatched)


def unmatched_patch(position: int | None = None) -> FhirError:
    """422: a patch of an entry that no document of the submission replaces. `position`: the patch's, in the bundle."""
    at = "Bundle.entry" if position is None else f"Bundle.entry[{position}]"
    return unprocessable("only an entry that a document of the bundle replaces can be patched", f"{at}.request.url")
