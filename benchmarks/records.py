"""Records as they would be after many publications, written directly; and what is published, asked and read in them."""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sceau.cli.bodies import SampleDocument, provide_bundle, sample_document, stored_patient
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, Patient
from sceau.envelope.messages import Envelope
from sceau.fhir.ins import ins_key
from sceau.fhir.kept import keep_entry
from sceau.fhir.parse import parse_resource, write_json
from sceau.fhir.submission import Submission, parse_submission
from sceau.identity.pseudonym import ensure_pseudonym_key
from sceau.records.commits import Commits
from sceau.records.dossier import Dossier
from sceau.records.ids import document_id, encode_id, record_id
from sceau.records.repository import Loaded, Records, document_name
from sceau.stage import Stage
from sceau_schemas.dossier import (
    DossierHead,
    EntryRow,
    EntryVersion,
    SetRow,
    StoredConsent,
    StoredDocument,
    StoredIdentifier,
)
from sceau_schemas.fhir.bundle import Bundle
from sceau_schemas.systems import IDNAT_STRUCT

DOCUMENT_BYTES = 50 * 1024
SOUGHT = 10
"""Entries of each record that the question "has this exam been done" finds."""

_EVENT = "019ab000-0000-7000-8000-000000000000"
_SOUGHT_DAY = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
_OTHER_KINDS = ("biology", "discharge-letter", "vaccination-note", "prescription")
_TEMPLATES = 40
_WITH_BYTES = 20
"""Entries of a record, its newest, whose documents exist; of the others only the dossier speaks."""

PEOPLE = {"dominique": DOMINIQUE, **PATIENTS}
"""Patients whom a professional's token can name."""


def nobodies(count: int, first: int = 100) -> list[Patient]:
    """Invented patients, like the samples' but more of them; `first`: the rank of the first, 999 is the last."""
    bodies = [f"2790300101{rank:03d}" for rank in range(first, first + count)]
    return [replace(PATIENTS["amarante"], ins_value=body + ins_key(body)) for body in bodies]


def cda(
    patient: Patient, unique_id: str, *, kind: str = "biology", when: datetime = _SOUGHT_DAY, structure: int = 0
) -> SampleDocument:
    """A small structured document. `structure`: of many that publish into a record; 0 is the laboratory."""
    authors, where = list(AUTHORS.values()), STRUCTURES["laboratory"]
    if structure:
        where = replace(where, identifier=f"1{structure:09}")
    author = authors[structure % len(authors)] if structure else AUTHORS["biologist"]
    return sample_document(kind, patient=patient, author=author, structure=where, when=when, unique_id=unique_id)


def large_cda(patient: Patient, unique_id: str) -> SampleDocument:
    """A structured document of 50 KB: biology results, many times over."""
    document = cda(patient, unique_id)
    start = document.data.index(b"<entry ")
    end = document.data.index(b"</entry>") + len(b"</entry>")
    entry = document.data[start:end]
    times = (DOCUMENT_BYTES - len(document.data)) // len(entry)
    return replace(document, data=document.data[:end] + entry * times + document.data[end:])


def publication(patient: Patient, documents: int = 1) -> bytes:
    """An ITI-65 body that was never sent before, with documents of 50 KB."""
    made = [large_cda(patient, f"urn:uuid:{uuid.uuid4()}") for _ in range(documents)]
    return json.dumps(provide_bundle(made, patient=patient, when=_SOUGHT_DAY, set_id=_oid())).encode()


def exam_search(patient: Patient) -> str:
    """Has this exam been done? By type and period; SOUGHT entries answer."""
    day = _SOUGHT_DAY
    return (
        f"/fhir/DocumentReference?patient.identifier={patient.ins_system}|{patient.ins_value}"
        f"&type=http://loinc.org|18748-4&period=ge{day - timedelta(days=1):%Y-%m-%d}"
        f"&period=le{day + timedelta(days=1):%Y-%m-%d}&status=current"
    )


def whole_search(patient: Patient) -> str:
    """All current entries, up to 200 in one page."""
    named = f"patient.identifier={patient.ins_system}|{patient.ins_value}"
    return f"/fhir/DocumentReference?{named}&status=current&_count=200"


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """A record that was written directly. `readable`: FHIR ids of entries whose documents exist."""

    patient: Patient
    record_id: str
    readable: tuple[str, ...]


class RecordWriter:
    """Writes whole records into a stage's store, with every right."""

    def __init__(self, stage: Stage) -> None:
        store, envelope = stage.store(), Envelope(stage.keys())
        self._records = Records(store, envelope)
        self._key = ensure_pseudonym_key(store, envelope, random_bytes=secrets.token_bytes)
        self._accepted = stage.spec.identifiers

    def write(self, patient: Patient, entries: int) -> WrittenRecord:
        """An open record of `entries` entries (1 or more), each of its own publication. The model hospital may read."""
        own = record_id(self._key, patient.ins_system, patient.ins_value)
        tag = self._records.commit(Dossier(_head(own, patient, 1), _commits(1)), replacing=None)
        sought = self._template(patient, "imaging", _SOUGHT_DAY)
        others = [
            self._template(
                patient, _OTHER_KINDS[number % len(_OTHER_KINDS)], _SOUGHT_DAY - timedelta(days=9 * number), number
            )
            for number in range(2, _TEMPLATES)
        ]
        content = _Content()
        readable = []
        for number in range(entries):
            template = sought if number < SOUGHT else others[number % len(others)]
            entry_id = _new_id()
            if number >= entries - _WITH_BYTES:
                document = large_cda(patient, f"urn:uuid:{uuid.uuid4()}").data
                stored, sealed = self._records.seal_document(own, entry_id, document, "application/xml")
                self._records.upload(stored, sealed)
                readable.append(document_id(own, entry_id))
            else:
                stored = _absent_document(own, entry_id, template)
            content.add(template, entry_id, stored)
        dossier = content.dossier(_head(own, patient, entries + 1))
        # Committed as if the version before had been there: so many publications leave so many commits.
        self._records.commit(dossier, replacing=Loaded(Dossier(_head(own, patient, entries), _commits(entries)), tag))
        return WrittenRecord(patient, own, tuple(readable))

    def _template(self, patient: Patient, kind: str, when: datetime, structure: int = 0) -> Submission:
        document = cda(patient, f"urn:uuid:{uuid.uuid4()}", kind=kind, when=when, structure=structure)
        body = json.dumps(provide_bundle([document], patient=patient, when=when, set_id=_oid())).encode()
        return parse_submission(
            parse_resource(body, Bundle), accepted_ins_systems=self._accepted, strict=False, received=when
        )


def _head(own: str, patient: Patient, version: int) -> DossierHead:
    opened = int(_SOUGHT_DAY.timestamp() * 1000)
    by = {"version": 1, "updated": opened, "event": _EVENT, "status": "active", "by": "insurer insurer"}
    hospital = StoredIdentifier(system=IDNAT_STRUCT, value=STRUCTURES["hospital"].identifier)
    return DossierHead(
        record_id=own,
        version=version,
        status="open",
        opened=opened,
        updated=opened,
        patient=stored_patient(patient),
        consents=(
            StoredConsent.model_validate({**by, "id": _new_id(), "kind": "opening"}),
            StoredConsent.model_validate(
                {**by, "id": _new_id(), "kind": "grant", "grantee": hospital, "start": opened - 1}
            ),
        ),
    )


def _commits(count: int) -> Commits:
    return Commits(uuid.UUID(_EVENT).bytes * count)


@dataclass(slots=True)
class _Content:
    """What a record's publications leave in it, as it rests (docs/formats/dossier.md).

    Adding them to a dossier one by one would copy it each time.
    """

    entries: list[tuple[EntryRow, bytes]] = field(default_factory=list)
    sets: list[tuple[SetRow, bytes]] = field(default_factory=list)

    def add(self, template: Submission, entry_id: str, stored: StoredDocument) -> None:
        """One more publication like `template`, with ids and identifiers of its own."""
        document, set_id, updated = template.documents[0], _new_id(), int(_SOUGHT_DAY.timestamp() * 1000)
        master = StoredIdentifier(system="urn:ietf:rfc:3986", value=f"urn:uuid:{uuid.uuid4()}")
        own_set = StoredIdentifier(system=master.system, value=_oid())
        resource = {**document.resource, "masterIdentifier": {"system": master.system, "value": master.value}}
        made = updated - len(self.entries) * 3_600_000
        when = (f"{made}/{made + 999}",)
        row = EntryRow(
            id=entry_id,
            now=EntryVersion(version=1, updated=updated, event=_EVENT, status="current", labels=document.labels),
            submission_set=set_id,
            document=stored,
            type_code=document.type_code,
            identifiers=(master,),
            author_structures=document.author_structures,
            author_professionals=document.author_professionals,
            depositor="laboratory",
            depositor_structures=document.author_structures,
            terms={
                **document.terms,
                "identifier": (f"{master.system}|{master.value}",),
                "date": when,
                "creation": when,
            },
        )
        set_row = SetRow(
            id=set_id,
            updated=updated,
            event=_EVENT,
            entries=(entry_id,),
            identifiers=(own_set,),
            depositor="laboratory",
            terms=template.set_terms,
        )
        self.entries.append((row, keep_entry(resource)))
        self.sets.append((set_row, write_json(template.set_resource)))

    def dossier(self, head: DossierHead) -> Dossier:
        """All of it, under a head."""
        return Dossier.of(head, _commits(head.version), self.entries, self.sets)


def _absent_document(own: str, entry_id: str, template: Submission) -> StoredDocument:
    document = template.documents[0]
    return StoredDocument(
        object_name=document_name(own, entry_id),
        content_type=document.content_type,
        size=len(document.content),
        sha256=document.sha256,
        sealed_sha256=document.sha256,
    )


def _new_id() -> str:
    return encode_id(secrets.token_bytes(16))


def _oid() -> str:
    return f"urn:oid:2.25.{uuid.uuid4().int}"
