"""What a document entry must be to enter a record: the profiles' rules and ours, each problem naming its element.

Sources: api.md "Rules on documents"; wire.md "ITI-65" and "ITI-105"; PDSm 3.1.x, MHD 4.2.3. Where these differ in a
cardinality, the more tolerant one holds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sceau.access.clocks import CARE_HISTORY_MONTHS, fallen_out, months_before, paris_date
from sceau.access.model import Identifier
from sceau.fhir import codes
from sceau.fhir.cda import CdaError, CdaMismatch, check_concerns
from sceau.fhir.findings import Findings
from sceau.fhir.ins import INS_SYSTEMS
from sceau.fhir.media import Media, MediaError, UnknownMediaType, check_media
from sceau.fhir.outcome import Problem
from sceau.fhir.references import URI_SYSTEM, Scope, ins_of
from sceau.fhir.terms import date_term
from sceau_schemas.dossier import StoredCoding, StoredIdentifier
from sceau_schemas.fhir.datatypes import Attachment, CodeableConcept, Coding, Identifier as FhirIdentifier, Period
from sceau_schemas.fhir.documents import DocumentReference
from sceau_schemas.fhir.people import Patient

IS_ARCHIVED: Final = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-ext-is-archived"
NORMAL: Final = StoredCoding(system=codes.TRE_A08, code="N", display="Normal")
"""The label of what has none (ITI-105)."""

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_URN_OID: Final = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
_URN_UUID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX_SHA1: Final = re.compile(r"[0-9A-Fa-f]{40}")
_SHA1_BYTES: Final = 20


def check_identifiers(document: DocumentReference, at: str, findings: Findings) -> tuple[StoredIdentifier, ...]:
    """Return the business identifiers, masterIdentifier first. A client's entryUUID is none: ours takes its place."""
    found: dict[StoredIdentifier, None] = {}
    master = document.master_identifier
    where = f"{at}.masterIdentifier"
    if master is None:
        findings.required(where, "MHD")
    elif not master.system or not master.value:
        findings.error("masterIdentifier needs a system and a value", where, rule="MHD UniqueIdIdentifier")
    else:
        if master.system == URI_SYSTEM and not _is_uri(master.value):
            findings.error("with this system the value is a uri, as urn:oid:… or urn:uuid:…", f"{where}.value")
        found[StoredIdentifier(system=master.system, value=master.value)] = None
    for position, identifier in enumerate(document.identifier or ()):
        if is_entry_uuid(identifier):
            findings.warnings.append(
                Problem(
                    "informational",
                    "the entryUUID is given by this service; the one sent is not kept",
                    f"{at}.identifier[{position}]",
                    severity="warning",
                )
            )
        elif identifier.system and identifier.value:
            found[StoredIdentifier(system=identifier.system, value=identifier.value)] = None
    if any(identifier.system in INS_SYSTEMS for identifier in found):
        findings.error("a patient's INS is no identifier of a document", at)
    return tuple(found)


def is_entry_uuid(identifier: FhirIdentifier) -> bool:
    """Say whether an identifier is an entryUUID: official, `urn:ietf:rfc:3986` (MHD 4.2.3)."""
    return identifier.use == "official" and identifier.system == URI_SYSTEM


def _is_uri(value: str) -> bool:
    if value.startswith("urn:oid:"):
        return _URN_OID.fullmatch(value) is not None
    if value.startswith("urn:uuid:"):
        return _URN_UUID.fullmatch(value) is not None
    return _URI.fullmatch(value) is not None


def check_labels(document: DocumentReference, at: str, findings: Findings) -> tuple[StoredCoding, ...]:
    """Return the security labels in their order (J08, strictly; api.md)."""
    return labels_in(document.security_label or (), f"{at}.securityLabel", findings)


def labels_in(concepts: Iterable[CodeableConcept], at: str, findings: Findings) -> tuple[StoredCoding, ...]:
    """Return the labels that concepts are, each once."""
    labels: dict[str, StoredCoding] = {}
    for position, concept in enumerate(concepts):
        where = f"{at}[{position}]"
        codings = concept.coding or []
        verdicts = [codes.check_coding("securityLabel", coding.system, coding.code) for coding in codings]
        if not codings:
            findings.add(codes.check_coding("securityLabel", None, None).problem(where))
        elif any(verdict.level != "ok" for verdict in verdicts):
            for index, verdict in enumerate(verdicts):
                findings.add(verdict.problem(f"{where}.coding[{index}]"))
        elif len({coding.code for coding in codings}) > 1:
            findings.error("the codings of one label say different things", where)
        else:
            label = _stored(codings[0])
            labels.setdefault(label.code, label)
    return tuple(labels.values())


def _stored(coding: Coding) -> StoredCoding:
    return StoredCoding(system=coding.system, code=coding.code or "", display=coding.display)


def check_type(document: DocumentReference, at: str, findings: Findings) -> codes.DocumentType | None:
    """Return the document's type in JDV_J07. Access depends on it, so there is exactly one, in every transaction."""
    where = f"{at}.type"
    if document.type is None:
        findings.required(where, "access depends on the type")
        return None
    codings = [(c.system, c.code) for c in document.type.coding or () if c.system and c.code]
    kinds = {kind for system, code in codings if (kind := codes.document_type(system, code))}
    if len(kinds) > 1:
        findings.error("the codings of the type are two types of JDV_J07", where, rule="JDV_J07-XdsTypeCode-CISIS")
        return None
    if not kinds:
        system, code = codings[0] if codings else (None, None)
        findings.add(codes.check_coding("type", system, code).problem(f"{where}.coding[0]" if codings else where))
        return None
    return kinds.pop()


def check_preferred_codes(
    document: DocumentReference, kind: codes.DocumentType | None, at: str, findings: Findings, *, strict: bool
) -> None:
    """Judge category, format, facility and setting, and whether the category is the type's class."""
    categories = document.category or []
    if len(categories) > 1:
        findings.error("a document entry has one category", f"{at}.category[1]", rule="MHD")
    for position, category in enumerate(categories[:1]):
        where = f"{at}.category[{position}]"
        _check_concept("category", category, where, findings)
        for index, coding in enumerate(category.coding or ()):
            if kind and coding.system and coding.code:
                verdict = codes.check_class(kind, coding.system, coding.code, strict=strict)
                findings.add(verdict.problem(f"{where}.coding[{index}]"))
    content = document.content[0]
    if content.format is not None:
        verdict = codes.check_coding("format", content.format.system, content.format.code)
        findings.add(verdict.problem(f"{at}.content[0].format"))
    context = document.context
    if context and context.facility_type:
        _check_concept("facilityType", context.facility_type, f"{at}.context.facilityType", findings)
    if context and context.practice_setting:
        _check_concept("practiceSetting", context.practice_setting, f"{at}.context.practiceSetting", findings)


def _check_concept(element: codes.Element, concept: CodeableConcept, at: str, findings: Findings) -> None:
    """Codings of one concept are translations of each other: one of the preferred list is enough."""
    codings = concept.coding or []
    verdicts = [codes.check_coding(element, coding.system, coding.code) for coding in codings]
    if not verdicts:
        findings.add(codes.check_coding(element, None, None).problem(at))
    elif all(verdict.level != "ok" for verdict in verdicts):
        for index, verdict in enumerate(verdicts):
            findings.add(verdict.problem(f"{at}.coding[{index}]"))


def check_periods(document: DocumentReference, at: str, findings: Findings) -> None:
    """Refuse a period that ends before it starts (R4, per-1)."""
    period = document.context.period if document.context else None
    if period and ends_before_start(period):
        findings.error("the period ends before it starts", f"{at}.context.period", rule="per-1")


def ends_before_start(period: Period) -> bool:
    """Say whether no instant of a period's end is after its start."""
    if not period.start or not period.end:
        return False
    start = int(date_term(period.start).split("/")[0])
    return int(date_term(period.end).split("/")[1]) < start


def check_other_patients(scope: Scope, patient: Identifier, at: str, findings: Findings) -> None:
    """Refuse a contained Patient that is somebody else: another person's INS has no place in a record."""
    for name, part in scope.contained.items():
        if isinstance(part, Patient) and ins_of(part) - {patient}:
            where = f"{at}.contained.where(id='{name}')" if re.fullmatch(r"[\w.-]{1,64}", name, re.ASCII) else at
            findings.error("a contained Patient has another INS than the subject", f"{where}.identifier")


def archived_in(extensions: Iterable[dict[str, Any]] | None, at: str, findings: Findings) -> bool | None:
    """Return what the isArchived extension says, None without it."""
    found = [e for e in extensions or () if e["url"] == IS_ARCHIVED]
    if not found:
        return None
    value = found[0].get("valueBoolean")
    if len(found) > 1 or not isinstance(value, bool):
        findings.error("isArchived stands once, with true or false", f"{at}.extension('{IS_ARCHIVED}')")
        return None
    return value


def is_delayed(attachment: Attachment) -> bool:
    """Say whether an attachment announces a document that is only assembled when asked for: no bytes, hash of none."""
    return attachment.size == 0 or (attachment.hash is not None and _same_digest(attachment.hash, sha1(b"")))


def check_hash_and_size(attachment: Attachment, data: bytes, at: str, findings: Findings) -> None:
    """Compare what an attachment says of its bytes with the bytes. Accepted forms of the SHA-1: api.md."""
    if attachment.size is not None and attachment.size != len(data):
        findings.error("size is not the number of bytes of the document", f"{at}.size")
    if attachment.hash is not None and not _same_digest(attachment.hash, sha1(data)):
        findings.error("hash is not the SHA-1 of the document's bytes", f"{at}.hash")


def sha1(data: bytes) -> bytes:
    """The digest that `Attachment.hash` is by FHIR. It finds accidents; SHA-256 guards bytes at rest."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _same_digest(written: str, digest: bytes) -> bool:
    if _HEX_SHA1.fullmatch(written):
        return hmac.compare_digest(bytes.fromhex(written), digest)
    try:
        raw = base64.b64decode(written, validate=True)
    except binascii.Error:
        return False
    if len(raw) == _SHA1_BYTES:
        return hmac.compare_digest(raw, digest)
    text = raw.decode("ascii", errors="replace")
    return _HEX_SHA1.fullmatch(text) is not None and hmac.compare_digest(bytes.fromhex(text), digest)


def decode_base64(text: str, at: str, findings: Findings) -> bytes:
    """Return the bytes of a base64Binary; FHIR allows blanks in it."""
    data = _strict_base64(text)
    if data is None:  # blanks are rare, and taking them out costs a copy
        data = _strict_base64("".join(text.split()))
    if data is None:
        findings.error("the data is not base64", at, code="value")
    return data or b""


def _strict_base64(text: str) -> bytes | None:
    try:
        # The library alone takes padding that nothing needs.
        return base64.b64decode(text, validate=True) if len(text) % 4 == 0 else None
    except ValueError:
        return None


def check_content(declared: str, data: bytes, *, declared_at: str, data_at: str, findings: Findings) -> Media | None:
    """Return what the document is; its bytes must be of the declared media type (api.md)."""
    try:
        return check_media(declared, data)
    except UnknownMediaType as error:
        findings.error(str(error), declared_at, code="not-supported")
    except MediaError as error:
        findings.error(str(error), data_at, code="value")
    except CdaError as error:
        findings.error(_with_element(error), data_at, code="value", rule="CDA")
    return None


def check_cda(media: Media, patient: Identifier, kind: codes.DocumentType, at: str, findings: Findings) -> None:
    """Refuse a CDA of another patient or type than its entry."""
    if media.header is None:
        return
    try:
        check_concerns(media.header, patient.system, patient.value, kind.system, kind.code)
    except CdaMismatch as error:
        element = "type" if error.element == "ClinicalDocument.code" else "subject"
        findings.error(_with_element(error), f"{at}.{element}", rule="CDA")


def check_care_history(media: Media, at: str, received: datetime, findings: Findings) -> None:
    """Refuse a care history that covers more than 24 months, none of the last 24, or days to come."""
    care, where = media.care_history, f"{at}.content[0].attachment"
    if care is None:
        text = "a care history is a CDA that says which days it covers (documentationOf.serviceEvent.effectiveTime)"
        findings.error(text, where, rule="CNAM-HR")
        return
    if care.start > care.end or care.start < months_before(care.end, CARE_HISTORY_MONTHS):
        findings.error(f"a care history covers {CARE_HISTORY_MONTHS} months at most", where, rule="CNAM-HR")
    if care.end > paris_date(received) or fallen_out(care.end, received):
        text = f"a care history ends within the last {CARE_HISTORY_MONTHS} months"
        findings.error(text, where, rule="CNAM-HR")


def _with_element(error: CdaError) -> str:
    return f"{error} ({error.element})" if error.element else str(error)
