"""The transaction Bundle of ITI-65 taken apart: what each entry is, and which bytes belong to which document entry.

Its slicing is closed: what is no submission set, folder, DocumentReference, content, patch or Patient is refused.
Sources: wire.md "ITI-65" and "TD2.1", MHD 4.2.3 (UnContained Comprehensive).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sceau.access.model import Identifier
from sceau.fhir import rules
from sceau.fhir.entries import SentDocument
from sceau.fhir.findings import Findings
from sceau.fhir.folders import SentFolder
from sceau.fhir.outcome import unprocessable
from sceau.fhir.parse import Body, Json, write_json
from sceau.fhir.references import Target, checked_ins, identifier_asked, ins_of, target_in
from sceau.fhir.sets import list_kind
from sceau_schemas.fhir.bundle import Bundle, BundleEntry
from sceau_schemas.fhir.documents import Binary, DocumentReference, FhirDocument, List
from sceau_schemas.fhir.parameters import Parameter, Parameters
from sceau_schemas.fhir.people import Patient

MAX_DOCUMENTS: Final = 100  # of one submission: each costs a key and an upload before the one commit
MAX_FOLDERS: Final = 20

_MHD: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
_MINIMAL: Final = _MHD + "IHE.MHD.Minimal.ProvideBundle"
_PROFILES: Final = (
    "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-comprehensive-provide-document-bundle",
    _MHD + "IHE.MHD.Comprehensive.ProvideBundle",
    _MHD + "IHE.MHD.UnContained.Comprehensive.ProvideBundle",
)
_PATIENT_URL: Final = re.compile(r"(?:\S*/)?Patient/[A-Za-z0-9\-.]{1,64}")
_LIST_URL: Final = re.compile(r"(?:\S*/)?List/([A-Za-z0-9\-.]{1,64})")
_PATCH: Final = {"type": "replace", "path": "DocumentReference.status", "value": "superseded"}


class EntryKind(StrEnum):
    """What an entry of the request is, and so what the response says of it."""

    SUBMISSION_SET = "submission-set"
    FOLDER = "folder"
    DOCUMENT_REFERENCE = "document-reference"
    CONTENT = "content"  # a Binary, or a Bundle that is a FHIR document
    PATCH = "patch"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One entry of the request. `document`: position in `Submission.documents`, of an entry or of its content.

    `target`: what a patch supersedes. `folder`: position in `Submission.folders`.
    """

    kind: EntryKind
    document: int | None = None
    target: Target | None = None
    folder: int | None = None


def check_bundle(bundle: Bundle) -> None:
    """Refuse what is no transaction, or claims no profile that is enough. FhirError 422."""
    if bundle.type != "transaction":
        raise unprocessable("only a transaction is accepted here", "Bundle.type", rule="ITI-65")
    claimed = [url.partition("|")[0] for url in (bundle.meta.profile if bundle.meta else None) or ()]
    if not any(url in _PROFILES for url in claimed):
        text = "MHD Minimal metadata is not enough here" if _MINIMAL in claimed else "a profile is to be claimed"
        raise unprocessable(f"{text}; accepted: {', '.join(_PROFILES)}", "Bundle.meta.profile", rule="ITI-65")


@dataclass(slots=True)
class Parts:
    """The entries by what they are; problems go to `findings`. `sets`, `documents`: FHIRPath, JSON, model."""

    body: Body[Bundle]
    findings: Findings
    sets: list[tuple[str, Json, List]] = field(default_factory=list)
    folders: list[SentFolder] = field(default_factory=list)
    documents: list[tuple[str, Json, DocumentReference]] = field(default_factory=list)
    document_urls: list[str] = field(default_factory=list)
    contents: dict[str, int] = field(default_factory=dict)  # fullUrl → position in the bundle
    patches: dict[int, Target] = field(default_factory=dict)
    patient_entries: list[tuple[str, frozenset[Identifier]]] = field(default_factory=list)
    patients: dict[str, frozenset[Identifier]] = field(default_factory=dict)
    kinds: list[EntryKind] = field(default_factory=list)
    used: dict[int, int] = field(default_factory=dict)  # position of a content → its document

    def __post_init__(self) -> None:
        urls: set[str] = set()
        for position, entry in enumerate(self.body.resource.entry):
            at = f"Bundle.entry[{position}]"
            if entry.full_url is not None:
                if entry.full_url in urls:
                    self.findings.error("a fullUrl stands once in a bundle", f"{at}.fullUrl", rule="bdl-7")
                urls.add(entry.full_url)
            self._add(position, entry, at)
        if len(self.sets) != 1:
            self.findings.error("the bundle has one submission set", "Bundle.entry", rule="ITI-65")
        if not 1 <= len(self.documents) <= MAX_DOCUMENTS:
            self.findings.error(f"the bundle has 1 to {MAX_DOCUMENTS} documents", "Bundle.entry", rule="ITI-65")
        if len(self.folders) > MAX_FOLDERS:
            self.findings.error(f"the bundle has at most {MAX_FOLDERS} folders", "Bundle.entry", rule="ITI-65")
        if len(self.patient_entries) > 1:
            self.findings.error("the bundle has at most one Patient", "Bundle.entry", rule="ITI-65")

    def _add(self, position: int, entry: BundleEntry, at: str) -> None:
        raw = self.body.raw["entry"][position].get("resource", {})
        resource = entry.resource
        expected: tuple[str, ...] = ("POST",)
        match resource:
            case List():
                kind = list_kind(resource)
                self.kinds.append(EntryKind.FOLDER if kind == "folder" else EntryKind.SUBMISSION_SET)
                if kind == "folder":
                    expected = ("POST", "PUT")
                    self._add_folder(entry, raw, resource, at)
                elif kind == "submissionset":
                    self.sets.append((f"{at}.resource", raw, resource))
                else:
                    text = "the code of a List is submissionset or folder, of MHDlistTypes"
                    self.findings.error(text, f"{at}.resource.code", rule="MHD", code="code-invalid")
            case DocumentReference():
                self.kinds.append(EntryKind.DOCUMENT_REFERENCE)
                self.documents.append((f"{at}.resource", raw, resource))
                if entry.full_url is None:
                    self.findings.required(f"{at}.fullUrl", "ITI-65")
                self.document_urls.append(entry.full_url or "")
            case Binary() | FhirDocument():
                self.kinds.append(EntryKind.CONTENT)
                if entry.full_url is None:
                    self.findings.required(f"{at}.fullUrl", "ITI-65")
                else:
                    self.contents[entry.full_url] = position
            case Parameters():
                self.kinds.append(EntryKind.PATCH)
                expected = ("PATCH",)
                self._add_patch(position, entry, resource, at)
            case Patient() | None:
                self.kinds.append(EntryKind.PATIENT)
                expected = ("GET", "POST", "PUT") if resource else ("GET",)
                self._add_patient(entry, resource, at)
        self._check_request(entry, expected, at)

    def _check_request(self, entry: BundleEntry, methods: tuple[str, ...], at: str) -> None:
        request = entry.request
        if request is None:
            self.findings.required(f"{at}.request", "bdl-3")
            return
        if request.method not in methods:
            self.findings.error(f"the method is {' or '.join(methods)}", f"{at}.request.method", rule="ITI-65")
        elif request.method == "POST" and entry.resource and request.url != entry.resource.resource_type:
            self.findings.error("the url of a POST is the resource's type", f"{at}.request.url", rule="ITI-65")
        conditional = {
            "ifNoneMatch": request.if_none_match,
            "ifModifiedSince": request.if_modified_since,
            "ifMatch": request.if_match,
            "ifNoneExist": request.if_none_exist,
        }
        for name, value in conditional.items():
            if value is not None:
                self.findings.error(
                    "conditions on an entry are not supported", f"{at}.request.{name}", code="not-supported"
                )

    def _add_folder(self, entry: BundleEntry, raw: Json, folder: List, at: str) -> None:
        target = None
        if entry.request is not None and entry.request.method == "PUT":
            named = _LIST_URL.fullmatch(entry.request.url)
            target = named[1] if named else None
            if target is None:
                self.findings.error("the url of a PUT names the folder: List/<id>", f"{at}.request.url", rule="ITI-65")
            elif folder.id not in {None, target}:
                self.findings.error("the id is not the one that the request names", f"{at}.resource.id")
            elif any(target == other.target for other in self.folders):
                self.findings.error("another entry updates this folder", f"{at}.request.url")
        self.folders.append(SentFolder(raw, folder, f"{at}.resource", entry.full_url, target))

    def _add_patch(self, position: int, entry: BundleEntry, patch: Parameters, at: str) -> None:
        operations = patch.parameter or []
        said = {part.name: _text(part) for part in operations[0].part or ()} if len(operations) == 1 else {}
        if len(operations) != 1 or operations[0].name != "operation" or said != _PATCH:
            self.findings.error(
                "the only patch accepted sets DocumentReference.status to superseded",
                f"{at}.resource.parameter",
                rule="IHE.MHD.Patch.Parameters",
            )
        if entry.request is not None:
            self.patches[position] = target_in(entry.request.url, f"{at}.request.url")

    def _add_patient(self, entry: BundleEntry, patient: Patient | None, at: str) -> None:
        named = ins_of(patient) if patient else frozenset()
        url = entry.request.url if entry.request else ""
        kind, _, query = url.partition("?")
        if kind == "Patient" and query:
            named |= {identifier_asked(query, f"{at}.request.url")}
        elif patient is None:
            self.findings.error("an entry without a resource is not supported", at, code="not-supported")
        self.patient_entries.append((at, named))
        names = {entry.full_url, url, f"Patient/{patient.id}" if patient and patient.id else None}
        for name in names:
            if name and name != "Patient":
                self.patients[name] = named
                if _PATIENT_URL.fullmatch(name):
                    self.patients["Patient/" + name.rpartition("/")[2]] = named

    def check_patient(self, patient: Identifier, accepted_ins_systems: Collection[str]) -> None:
        """The Patient of the bundle is ignored, but must be the one that the submission is about."""
        for at, named in self.patient_entries:
            for ins in named:
                checked_ins(ins, at, accepted_ins_systems)
            if named != {patient}:
                self.findings.error("the Patient is not known to be the one of the submission, by its INS", at)

    def documents_with_content(self) -> list[SentDocument]:
        """Bring each DocumentReference together with its bytes. Each content belongs to exactly one."""
        sent = [self._with_content(*document, number) for number, document in enumerate(self.documents)]
        for position in self.contents.values():
            if position not in self.used:
                self.findings.error("no DocumentReference has this content", f"Bundle.entry[{position}]")
        self.findings.stop()
        return [one for one in sent if one is not None]

    def _with_content(self, at: str, raw: Json, document: DocumentReference, number: int) -> SentDocument | None:
        _check_comprehensive(document, at, self.findings)
        attachment = document.content[0].attachment
        where = f"{at}.content[0].attachment"
        position = self.contents.get(attachment.url or "")
        if attachment.data is not None:
            self.findings.error("the document comes in its own entry", f"{where}.data", rule="MHD")
        is_bundle = position is not None and isinstance(self.body.resource.entry[position].resource, FhirDocument)
        if not is_bundle and rules.is_delayed(attachment):
            text = "delayed assembly (size 0, hash of nothing) is not supported: a document comes with its entry"
            self.findings.error(text, where, code="not-supported")
        elif attachment.url is None:
            self.findings.required(f"{where}.url", "MHD")
        elif position is None:
            self.findings.error("expected the fullUrl of a Binary or Bundle of this bundle", f"{where}.url")
        elif position in self.used:
            self.findings.error("another DocumentReference has the same content", f"{where}.url")
        else:
            self.used[position] = number
            return self._sent(at, raw, document, position)
        return None

    def _sent(self, at: str, raw: Json, document: DocumentReference, position: int) -> SentDocument:
        content = self.body.resource.entry[position].resource
        where = f"Bundle.entry[{position}].resource"
        if isinstance(content, Binary):
            declared = document.content[0].attachment.content_type
            if declared is not None and _essence(declared) != _essence(content.content_type):
                self.findings.error("the contentType is not the one that the attachment gives", f"{where}.contentType")
            data = rules.decode_base64(content.data, f"{where}.data", self.findings) if content.data else b""
            return SentDocument(raw, document, at, data, f"{where}.data")
        data = write_json(self.body.raw["entry"][position]["resource"])
        return SentDocument(raw, document, at, data, where, form="Bundle")

    def request_entries(self) -> tuple[RequestEntry, ...]:
        """Say of each entry what it is, once all is judged."""
        numbers = iter(range(len(self.documents)))
        folders = iter(range(len(self.folders)))
        return tuple(
            RequestEntry(
                kind,
                next(numbers) if kind is EntryKind.DOCUMENT_REFERENCE else self.used.get(position),
                self.patches.get(position),
                next(folders) if kind is EntryKind.FOLDER else None,
            )
            for position, kind in enumerate(self.kinds)
        )


def _text(parameter: Parameter) -> str | None:
    return parameter.value_code or parameter.value_string


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _check_comprehensive(document: DocumentReference, at: str, findings: Findings) -> None:
    """Require what MHD's UnContained Comprehensive requires; the rest of PDSm's is more than the DMP guide sends."""
    content, context = document.content[0], document.context
    required = {
        "category": document.category,
        "securityLabel": document.security_label,
        "content[0].attachment.language": content.attachment.language,
        "content[0].attachment.creation": content.attachment.creation,
        "content[0].format": content.format,
        "context.facilityType": context and context.facility_type,
        "context.practiceSetting": context and context.practice_setting,
        "context.sourcePatientInfo": context and context.source_patient_info,
    }
    for name, value in required.items():
        if not value:
            findings.required(f"{at}.{name}", "MHD Comprehensive")
