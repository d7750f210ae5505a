"""A submission set: the List of ITI-65 judged, and the one that ITI-105 has us derive. wire.md "ITI-65", MHD 3.65."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sceau.access.model import Identifier
from sceau.fhir.codes import DocumentType
from sceau.fhir.entries import check_subject, kept_meta, kept_subject
from sceau.fhir.findings import Conditions, Findings
from sceau.fhir.parse import Json, judge
from sceau.fhir.references import People, Scope, people_behind, people_of
from sceau.fhir.rules import check_other_patients, is_entry_uuid
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
    """A submission set ready for the record: its List without id, version, entries and entryUUID."""

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
    if resource.status != "current":
        findings.error("a submission set is current", f"{at}.status", rule="MHD")
    if resource.mode != "working":
        findings.error("the mode of a submission set is working", f"{at}.mode", rule="MHD")
    if resource.date is None:
        findings.required(f"{at}.date", "MHD")
    check_subject(resource.subject, scope, patient, f"{at}.subject", conditions, findings)
    check_other_patients(scope, patient, at, findings)
    designation = _only(resource.extension, DESIGNATION_TYPE, "valueCodeableConcept", at, findings)
    source_id = _only(resource.extension, SOURCE_ID, "valueIdentifier", at, findings)
    return _new_set(
        raw,
        resource,
        judge(CodeableConcept, designation, f"{at}.extension('{DESIGNATION_TYPE}').value") if designation else None,
        judge(FhirIdentifier, source_id, f"{at}.extension('{SOURCE_ID}').value") if source_id else None,
        scope,
        patient,
        at,
    )


def check_members(resource: List, documents: Collection[str], at: str, findings: Findings) -> None:
    """The set holds the documents of its bundle, all of them and nothing else. `documents`: their fullUrls."""
    named = [entry.item.reference or "" for entry in resource.entry or ()]
    for position, reference in enumerate(named):
        where = f"{at}.entry[{position}].item"
        if reference not in documents:
            findings.error("a submission set holds the DocumentReferences of its own bundle, by fullUrl", where)
        elif reference in named[:position]:
            findings.error("this document stands in the set already", where)
    if not set(documents) <= set(named):
        findings.error("a DocumentReference of the bundle is missing in the submission set", f"{at}.entry")


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


def _new_set(
    raw: Json,
    resource: List,
    designation: CodeableConcept | None,
    source_id: FhirIdentifier | None,
    scope: Scope,
    patient: Identifier,
    at: str,
) -> NewSet:
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
    return _new_set(
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
