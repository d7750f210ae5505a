"""A submission set: the List of ITI-65 judged, and the one that ITI-105 has us derive. wire.md "ITI-65", MHD 3.65.

What a folder's List has in common with it is here too; the rest is in `folders`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sceau.access.model import Identifier
from sceau.fhir.codes import DocumentType
from sceau.fhir.entries import check_subject, kept_meta, kept_subject
from sceau.fhir.findings import Conditions, Findings
from sceau.fhir.ins import INS_SYSTEMS
from sceau.fhir.parse import Json, judge
from sceau.fhir.references import People, Scope, people_behind, people_of
from sceau.fhir.rules import archived_in, check_other_patients, is_entry_uuid
from sceau.fhir.terms import Terms, set_terms
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.fhir.datatypes import CodeableConcept, Identifier as FhirIdentifier, Reference
from sceau_schemas.fhir.documents import List

_MHD: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
DESIGNATION_TYPE: Final = _MHD + "ihe-designationType"
SOURCE_ID: Final = _MHD + "ihe-sourceId"
AUTHOR_ORG: Final = _MHD + "ihe-authorOrg"
LIST_TYPES: Final = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes"
_LIST_TYPE_SYSTEMS: Final = frozenset({LIST_TYPES, LIST_TYPES.replace("https:", "http:")})

_NOT_KEPT: Final = ("id", "_id", "identifier", "meta", "subject", "entry")


@dataclass(frozen=True, slots=True)
class NewSet:
    """A set ready for the record: its List without id, version, entries and entryUUID."""

    resource: Json
    identifiers: tuple[StoredIdentifier, ...]
    terms: Terms


def list_kind(resource: List) -> str | None:
    """Return `submissionset`, `folder`, or None for another List."""
    for coding in (resource.code.coding if resource.code else None) or ():
        if coding.system in _LIST_TYPE_SYSTEMS and coding.code in {"submissionset", "folder"}:
            return coding.code
    return None


def read_set(
    raw: Json,
    resource: List,
    at: str,
    scope: Scope,
    patient: Identifier,
    conditions: Conditions,
    findings: Findings,
) -> NewSet:
    """Return the set ready for the record; problems go to `findings`. FhirError 400, 422: unresolvable references."""
    designation = check_list(resource, at, scope, patient, conditions, findings)
    source_id = _only(resource.extension, SOURCE_ID, "valueIdentifier", at, findings)
    return new_set(
        raw,
        resource,
        designation,
        judge(FhirIdentifier, source_id, f"{at}.extension('{SOURCE_ID}').value") if source_id else None,
        scope,
        patient,
        at,
        archived=archived_in(resource.extension, at, findings),
    )


def check_list(
    resource: List, at: str, scope: Scope, patient: Identifier, conditions: Conditions, findings: Findings
) -> CodeableConcept | None:
    """Judge what sets and folders have in common; return the designationType."""
    if resource.status != "current":
        findings.error("a submission set or folder is current", f"{at}.status", rule="MHD")
    if resource.mode != "working":
        findings.error("the mode of a submission set or folder is working", f"{at}.mode", rule="MHD")
    if resource.date is None:
        findings.required(f"{at}.date", "PDSm")
    if any(identifier.system in INS_SYSTEMS for identifier in resource.identifier or ()):
        findings.error("a patient's INS is no identifier of a submission set or folder", f"{at}.identifier")
    check_subject(resource.subject, scope, patient, f"{at}.subject", conditions, findings)
    check_other_patients(scope, patient, at, findings)
    designation = _only(resource.extension, DESIGNATION_TYPE, "valueCodeableConcept", at, findings)
    where = f"{at}.extension('{DESIGNATION_TYPE}').value"
    return judge(CodeableConcept, designation, where) if designation else None


def check_members(
    resource: List, documents: Collection[str], folders: Mapping[str, int], at: str, findings: Findings
) -> frozenset[int]:
    """The set holds the documents of its bundle, all of them, and any of its folders; nothing else.

    `documents`: their fullUrls. `folders`: from each name that a folder may be called by to its position. Returns the
    positions of the folders named.
    """
    seen: set[str | int] = set()
    for position, entry in enumerate(resource.entry or ()):
        where = f"{at}.entry[{position}].item"
        name = entry.item.reference or ""
        member = folders.get(name, name)
        if member == name and name not in documents:
            text = "a submission set holds the DocumentReferences and any of the folders of its own bundle, by fullUrl"
            findings.error(text, where)
        elif member in seen:
            findings.error("this stands in the set already", where)
        seen.add(member)
    if not seen.issuperset(documents):
        findings.error("a DocumentReference of the bundle is missing in the submission set", f"{at}.entry")
    return frozenset(member for member in seen if isinstance(member, int))


def _only(
    extensions: Sequence[Mapping[str, Any]] | None, url: str, value: str, at: str, findings: Findings
) -> Any | None:
    found = [extension for extension in extensions or () if extension["url"] == url]
    if len(found) != 1 or value not in found[0]:
        findings.error(
            f"this extension stands once, with {value}", f"{at}.extension('{url}')", rule="MHD", code="required"
        )
        return None
    return found[0][value]


def new_set(
    raw: Json,
    resource: List,
    designation: CodeableConcept | None,
    source_id: FhirIdentifier | None,
    scope: Scope,
    patient: Identifier,
    at: str,
    *,
    archived: bool | None = None,
) -> NewSet:
    """Return a judged List ready for the record. FhirError 400: a dangling fragment."""
    source = people_of(resource.source, scope, f"{at}.source")
    kept: Json = {name: value for name, value in raw.items() if name not in _NOT_KEPT}
    if meta := kept_meta(raw.get("meta", {})):
        kept["meta"] = meta
    if "subject" in raw:
        kept["subject"] = kept_subject(raw["subject"], patient)
    pairs = list(zip(raw.get("identifier", ()), resource.identifier or (), strict=True))
    if own := [written for written, identifier in pairs if not is_entry_uuid(identifier)]:
        kept["identifier"] = own
    identifiers = {
        StoredIdentifier(system=i.system, value=i.value): None
        for _, i in pairs
        if i.system and i.value and not is_entry_uuid(i)
    }
    terms = set_terms(
        resource,
        designation=designation,
        source_id=source_id,
        source=source,
        organisations=_author_organisations(resource.source, scope, f"{at}.source"),
        archived=archived is True,
    )
    return NewSet(kept, tuple(identifiers), terms)


def _author_organisations(source: Reference | None, scope: Scope, at: str) -> People:
    references = [
        judge(Reference, extension.get("valueReference"), f"{at}.extension('{AUTHOR_ORG}').value")
        for extension in (source.extension if source else None) or ()
        if extension["url"] == AUTHOR_ORG
    ]
    return people_behind(references, scope, f"{at}.extension('{AUTHOR_ORG}').value")


def derive_set(
    document: Json, kind: DocumentType, date: str, scope: Scope, patient: Identifier, source_id: Identifier
) -> NewSet:
    """Return the submission set of a document sent alone (ITI-105).

    `document`: the cleaned DocumentReference. `source_id`: who submits, an identifier of the client. The source is the
    first author where MHD lets it be one; an organisation becomes the source's authorOrg.
    """
    category: Json = document["category"][0] if document.get("category") else _class_of(kind)
    raw: Json = {
        "resourceType": "List",
        "extension": [
            {"url": DESIGNATION_TYPE, "valueCodeableConcept": category},
            {"url": SOURCE_ID, "valueIdentifier": {"system": source_id.system, "value": source_id.value}},
        ],
        "status": "current",
        "mode": "working",
        "code": {"coding": [{"system": LIST_TYPES, "code": "submissionset"}]},
        "subject": {"type": "Patient", "identifier": {"system": patient.system, "value": patient.value}},
        "date": date,
    }
    author: Json = document["author"][0]
    contained = {part["id"].removeprefix("#"): part for part in document.get("contained", ())}
    used = list(_reached(author, contained))
    first = used[0]["resourceType"] if used else author.get("type")
    if first == "Organization":
        raw["source"] = {"extension": [{"url": AUTHOR_ORG, "valueReference": author}]}
    elif first in {"Practitioner", "PractitionerRole", "Patient", "Device"}:
        raw["source"] = author
    if used and "source" in raw:
        raw["contained"] = used
    resource = judge(List, raw, "List")
    return new_set(
        raw,
        resource,
        judge(CodeableConcept, category, "DocumentReference.category[0]"),
        FhirIdentifier(system=source_id.system, value=source_id.value),
        scope,
        patient,
        "List",
    )


def _class_of(kind: DocumentType) -> Json:
    if kind.class_code is None or kind.class_system is None:
        return {"coding": [{"system": kind.system, "code": kind.code, "display": kind.label}]}
    return {"coding": [{"system": kind.class_system, "code": kind.class_code}]}


def _reached(reference: Json, contained: Mapping[str, Json]) -> Iterator[Json]:
    """Give the contained resource that a reference names, and those that it names in turn."""
    pending, seen = [reference], set[str]()
    while pending:
        name = str(pending.pop(0).get("reference", "")).removeprefix("#")
        if name in contained and name not in seen:
            seen.add(name)
            part = contained[name]
            yield part
            links = (part.get(link) for link in ("practitioner", "organization", "owner"))
            pending += [link for link in links if isinstance(link, dict)]  # of some types nothing was judged
