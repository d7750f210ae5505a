"""One document entry with its bytes: judged, and made ready for the record. ITI-65 and ITI-105 share it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from sceau.access.model import Identifier
from sceau.fhir import rules
from sceau.fhir.care_history import TYPE as CARE_HISTORY, CareHistory
from sceau.fhir.findings import Conditions, Findings
from sceau.fhir.media import Media
from sceau.fhir.outcome import Problem
from sceau.fhir.parse import Json
from sceau.fhir.references import Scope, Target, document_target, is_patient, patient_named_by, people_behind
from sceau.fhir.terms import Terms, date_term, document_terms
from sceau.fhir.times import instant
from sceau_schemas.dossier import StoredCoding, StoredIdentifier
from sceau_schemas.fhir.datatypes import Reference
from sceau_schemas.fhir.documents import DocumentReference

Form = Literal["Binary", "Bundle"]

# These are the row's, the record's or ours, not the blob's.
_NOT_KEPT: Final = ("id", "_id", "status", "_status", "securityLabel", "identifier", "extension", "meta", "subject")
_SIMPLIFIED: Final = frozenset(
    {
        "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-simplified-publish",
        "https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.SimplifiedPublish.DocumentReference",
    }
)


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document ready to be published.

    `resource`: its DocumentReference without what the row holds (id, version, status, labels, isArchived, entryUUID)
    and without `url` and `data`; size and hash are those of `content`. `content_type`: to serve the bytes under.
    `sha256`: of `content`, hexadecimal. `identifiers`: masterIdentifier first. `replaces`: in the order of relatesTo.
    `holders_own`: its author is the patient, and nobody else.
    """

    resource: Json
    content: bytes
    content_type: str
    form: Form
    sha256: str
    labels: tuple[StoredCoding, ...]
    archived: bool | None
    type_code: str
    identifiers: tuple[StoredIdentifier, ...]
    author_structures: tuple[StoredIdentifier, ...]
    author_professionals: tuple[StoredIdentifier, ...]
    replaces: tuple[Target, ...]
    terms: Terms
    holders_own: bool = False
    care_history: CareHistory | None = None


@dataclass(frozen=True, slots=True)
class SentDocument:
    """A DocumentReference as it came, with the bytes of its document. `at`, `data_at`: their FHIRPaths."""

    raw: Json
    document: DocumentReference
    at: str
    data: bytes
    data_at: str
    form: Form = "Binary"


def read_entry(
    sent: SentDocument,
    scope: Scope,
    patient: Identifier,
    conditions: Conditions,
    findings: Findings,
) -> NewDocument | None:
    """Return the document ready to be published, or None when `findings` got an error.

    `patient`: whom the whole submission is about.
    FhirError 400 and 422 for references that can't be resolved.
    """
    before = len(findings.errors)
    document, at = sent.document, sent.at
    if document.status != "current":
        findings.error("a new document entry is current", f"{at}.status", rule="MHD")
    identifiers = rules.check_identifiers(document, at, findings)
    labels = rules.check_labels(document, at, findings)
    kind = rules.check_type(document, at, findings)
    rules.check_preferred_codes(document, kind, at, findings, strict=conditions.strict)
    rules.check_periods(document, at, findings)
    archived = rules.archived_in(document.extension, at, findings)
    _check_references(document, scope, at)
    rules.check_other_patients(scope, patient, at, findings)
    check_subject(document.subject, scope, patient, f"{at}.subject", conditions, findings)
    people = people_behind(document.author or (), scope, f"{at}.author")
    if not document.author:
        findings.required(f"{at}.author", "PDSm")
    replaces = _replaced(document, at, findings)
    media = _judge_content(sent, findings)
    if kind is None or media is None:
        return None
    rules.check_cda(media, patient, kind, at, findings)
    if kind.code == CARE_HISTORY:
        rules.check_care_history(media, at, conditions.received, findings)
    if len(findings.errors) > before:
        return None
    resource = _cleaned(sent, patient, conditions)
    terms = document_terms(document, people, acts=media.acts.tokens)
    for note in media.acts.notes:
        findings.add(Problem("informational", note, f"{at}.content[0].attachment", severity="warning"))
    terms.setdefault("date", (date_term(resource["date"]),))
    return NewDocument(
        resource=resource,
        content=sent.data,
        content_type=media.content_type,
        form=sent.form,
        sha256=hashlib.sha256(sent.data).hexdigest(),
        labels=labels or (rules.NORMAL,),
        archived=archived,
        type_code=kind.code,
        identifiers=identifiers,
        author_structures=tuple(people.structures),
        author_professionals=tuple(people.professionals),
        replaces=replaces,
        terms=terms,
        care_history=media.care_history if kind.code == CARE_HISTORY else None,
        holders_own=all(is_patient(one, scope, patient, f"{at}.author") for one in document.author or ()),
    )


def check_subject(
    subject: Reference | None,
    scope: Scope,
    patient: Identifier,
    at: str,
    conditions: Conditions,
    findings: Findings,
) -> None:
    """One submission speaks of one patient."""
    if subject is None:
        findings.required(at, "PDSm")
    elif patient_named_by(subject, scope, at, conditions.accepted_ins_systems) != patient:
        findings.error("a submission is about one patient; this is another one", at)


def kept_subject(subject: Json, patient: Identifier) -> Json:
    """Return a subject as it rests: by INS, whatever literal reference the sender used.

    One to a contained Patient stays; to the others our own reference is added on the way out (`resources`).
    """
    if str(subject.get("reference", "")).startswith("#"):
        return subject
    kept: Json = {"type": "Patient", "identifier": {"system": patient.system, "value": patient.value}}
    if "display" in subject:
        kept["display"] = subject["display"]
    return kept


def kept_meta(meta: Json) -> Json:
    """Return what of a resource's meta is the sender's: version and time are ours.

    A claim to be as ITI-105 sends it (inline, without identifiers) is no longer true of what we give back.
    """
    kept = {name: value for name, value in meta.items() if name.removeprefix("_") not in {"versionId", "lastUpdated"}}
    profiles = [url for url in kept.pop("profile", ()) if url.partition("|")[0] not in _SIMPLIFIED]
    return {**kept, "profile": profiles} if profiles else kept


def _check_references(document: DocumentReference, scope: Scope, at: str) -> None:
    """Refuse dangling fragments in what is kept but not otherwise read."""
    context = document.context
    named: list[tuple[Reference | None, str]] = [
        (document.authenticator, "authenticator"),
        (document.custodian, "custodian"),
        (context.source_patient_info if context else None, "context.sourcePatientInfo"),
    ]
    named += [(r, f"context.related[{i}]") for i, r in enumerate((context.related if context else None) or ())]
    for reference, name in named:
        scope.local(reference, f"{at}.{name}")


def _replaced(document: DocumentReference, at: str, findings: Findings) -> tuple[Target, ...]:
    targets: dict[Target, None] = {}
    for position, relation in enumerate(document.relates_to or ()):
        where = f"{at}.relatesTo[{position}]"
        if relation.code != "replaces":
            findings.error("only replaces is supported", f"{where}.code", code="not-supported")
            continue
        target = document_target(relation.target, f"{where}.target")
        if target in targets:
            findings.error("the same document is replaced twice", where)
        targets[target] = None
    return tuple(targets)


def _judge_content(sent: SentDocument, findings: Findings) -> Media | None:
    """Check the attachment against the bytes. Of a document sent as a Bundle it describes other bytes than ours."""
    attachment = sent.document.content[0].attachment
    at = f"{sent.at}.content[0].attachment"
    if len(sent.document.content) > 1:
        findings.error("a document entry has one content", f"{sent.at}.content[1]", rule="MHD")
    if attachment.content_type is None:
        findings.required(f"{at}.contentType", "MHD")
        return None
    if sent.form == "Binary":
        rules.check_hash_and_size(attachment, sent.data, at, findings)
    return rules.check_content(
        attachment.content_type,
        sent.data,
        declared_at=f"{at}.contentType",
        data_at=sent.data_at,
        findings=findings,
    )


def _cleaned(sent: SentDocument, patient: Identifier, conditions: Conditions) -> Json:
    raw, document = sent.raw, sent.document
    resource: Json = {name: value for name, value in raw.items() if name not in _NOT_KEPT}
    if meta := kept_meta(raw.get("meta", {})):
        resource["meta"] = meta
    if extensions := [e for e in raw.get("extension", ()) if e["url"] != rules.IS_ARCHIVED]:
        resource["extension"] = extensions
    own = [
        written
        for written, identifier in zip(raw.get("identifier", ()), document.identifier or (), strict=True)
        if not rules.is_entry_uuid(identifier)
    ]
    if own:
        resource["identifier"] = own
    resource["subject"] = kept_subject(raw["subject"], patient)
    resource.setdefault("date", instant(conditions.received))
    if conditions.custodian and "custodian" not in raw:
        keeper = {"system": conditions.custodian.system, "value": conditions.custodian.value}
        resource["custodian"] = {"type": "Organization", "identifier": keeper}
    content = raw["content"][0]
    attachment = {n: v for n, v in content["attachment"].items() if n.removeprefix("_") not in {"url", "data"}}
    attachment["size"] = len(sent.data)
    attachment["hash"] = base64.b64encode(rules.sha1(sent.data)).decode("ascii")
    resource["content"] = [{**content, "attachment": attachment}]
    return resource
