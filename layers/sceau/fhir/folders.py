"""A folder: the List of ITI-65 that makes one, or adds to one. wire.md "ITI-65"; MHD 4.2.3, ITI-65; PDSm's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sceau.access.model import Identifier
from sceau.fhir.findings import Conditions, Findings
from sceau.fhir.parse import Json
from sceau.fhir.references import Scope, Target, document_target
from sceau.fhir.rules import archived_in
from sceau.fhir.sets import check_list, new_set
from sceau.fhir.terms import Terms
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.fhir.documents import List


@dataclass(frozen=True, slots=True)
class SentFolder:
    """A folder's List as it came. `at`: its FHIRPath. `target`: the FHIR id of the folder that it adds to (PUT)."""

    raw: Json
    resource: List
    at: str
    full_url: str | None = None
    target: str | None = None


Member = int | Target
"""What a folder holds: a document of its submission, by position, or an entry of the record."""


@dataclass(frozen=True, slots=True)
class NewFolder:
    """A folder ready for the record, or, with `target`, what is to be added to one.

    `resource`: its List without id, version, entries and entryUUID. `listed`: the submission set names it.
    """

    at: str
    resource: Json
    identifiers: tuple[StoredIdentifier, ...]
    terms: Terms
    members: tuple[Member, ...]
    target: str | None = None
    listed: bool = False


def folder_members(
    sent: SentFolder, urls: Sequence[str], identifiers: Mapping[StoredIdentifier, int], findings: Findings
) -> tuple[Member, ...]:
    """Return what a folder's entries name, in their order.

    `urls`: the fullUrls of the bundle's documents; `identifiers`: their business identifiers, with their positions.
    FhirError 422: an entry names something else than a document.
    """
    documents = {url: number for number, url in enumerate(urls)}
    found: dict[Member, None] = {}
    for position, entry in enumerate(sent.resource.entry or ()):
        where = f"{sent.at}.entry[{position}].item"
        member: Member | None = documents.get(entry.item.reference or "")
        if member is None:
            target = document_target(entry.item, where)
            member = identifiers.get(target, target) if isinstance(target, StoredIdentifier) else target
        if member in found:
            findings.error("this document stands in the folder already", where)
        found[member] = None
    return tuple(found)


def read_folder(
    sent: SentFolder,
    members: tuple[Member, ...],
    scope: Scope,
    patient: Identifier,
    conditions: Conditions,
    findings: Findings,
    *,
    listed: bool,
) -> NewFolder:
    """Return the folder ready for the record; problems go to `findings`.

    `members`: of `folder_members`. `listed`: the submission set names it. FhirError 400, 422: unresolvable references.
    """
    resource, at = sent.resource, sent.at
    designation = check_list(resource, at, scope, patient, conditions, findings)
    if not resource.title:
        findings.required(f"{at}.title", "MHD Comprehensive")
    if resource.source is not None:
        findings.error("a folder has no source", f"{at}.source", rule="MHD")
    if len(sent.raw.get("note", ())) > 1:
        findings.error("a folder has one note", f"{at}.note[1]", rule="MHD")
    if not members:
        findings.required(f"{at}.entry", "PDSm")
    new = new_set(
        sent.raw,
        resource,
        designation,
        None,
        scope,
        patient,
        at,
        archived=archived_in(resource.extension, at, findings),
    )
    return NewFolder(at, new.resource, new.identifiers, new.terms, members, sent.target, listed)
