"""A submission becomes the next version of a record: decide, trace, upload, commit; all or nothing.

If we die: before the event, nothing happened; after it, an event says what was about to be done and no dossier
version carries it; after an upload, the documents are unreachable and are swept; after the commit, it is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sceau.access.facts import document_facts, identifiers, kept_secret, record_facts
from sceau.access.model import Act, DocumentFacts, RecordFacts
from sceau.audit.facts import Coding, Entity, Identifier as TracedIdentifier
from sceau.fhir.entries import NewDocument
from sceau.fhir.kept import keep_entry
from sceau.fhir.parse import write_json
from sceau.fhir.references import Target
from sceau.fhir.search.dates import millis
from sceau.fhir.submission import Submission, unmatched_patch
from sceau.http.call import Call
from sceau.http.care_feed import care_history_to_replace, covered, kept_resource
from sceau.http.commit import commit_with_retries, conflict
from sceau.http.filing import Filed, file_folders, with_folders
from sceau.http.refusals import not_found
from sceau.http.repetition import find_repeated
from sceau.http.replacing import Successor, superseded
from sceau.http.sight import replaced_before
from sceau.http.targets import entities_asked, entry_meant
from sceau.records.dossier import Dossier
from sceau.records.ids import document_id, encode_id
from sceau.records.repository import Loaded, Records
from sceau_schemas.dossier import (
    EntryRow,
    SetFolder,
    SetRow,
    StoredCoding,
    StoredDocument,
    StoredIdentifier,
)


@dataclass(frozen=True, slots=True)
class Published:
    """What a submission became: the set, its entries and folders, as the record now has them, in the request's order.

    `superseded`: the entries that it replaced, by the names under which the request pointed at them.
    """

    dossier: Dossier
    set_id: str
    entry_ids: tuple[str, ...]
    superseded: Mapping[Target, str]
    folders: tuple[SetFolder, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A document ready for its place, in this attempt to publish."""

    entry_id: str
    stored: StoredDocument
    data: bytes


class Publisher:
    """Publishes submissions into records. `sleep` waits (seconds) between attempts; `random_bytes` makes ids."""

    def __init__(
        self,
        records: Records,
        *,
        sleep: Callable[[float], None],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._records = records
        self._sleep = sleep
        self._random_bytes = random_bytes

    def publish(self, call: Call, submission: Submission) -> Published:
        """Publish into `call.record_id`. Raises Refused (403, 404), FhirError (409), and what Records raises."""
        attempt = _Attempt(self._records, call, submission, self._new_id)
        return commit_with_retries(attempt.run, sleep=self._sleep, random_bytes=self._random_bytes)

    def _new_id(self) -> str:
        return encode_id(self._random_bytes(16))


class _Attempt:
    """One request's attempts to commit. The documents are sealed and uploaded once: their ids are its own."""

    def __init__(self, records: Records, call: Call, submission: Submission, new_id: Callable[[], str]) -> None:
        self._records = records
        self._call = call
        self._submission = submission
        self._set_id = new_id()
        self._entry_ids = tuple(new_id() for _ in submission.documents)
        self._folder_ids = tuple(new_id() for _ in submission.folders)
        self._record_id = call.record_id or ""
        self._sealed: tuple[_Sealed, ...] = ()
        self._event: tuple[str, tuple[str, ...], tuple[tuple[StoredCoding, ...], ...]] | None = None
        call.concerns = self._asked
        call.acts_for(one for document in submission.documents for one in identifiers(document.author_structures))

    def run(self) -> Published:
        """Load, decide, trace, upload, commit. Raises CommitLost when another commit came first."""
        loaded = self._records.load(self._record_id)
        facts = self._facts(loaded)
        self._call.dossier_version = loaded.dossier.head.version if loaded else 0
        for document in self._submission.documents:
            self._call.require(Act.PUBLISH, facts, _facts(document))
        if loaded is None:
            raise AssertionError("a publication into an absent record was allowed")
        self._check_identifiers()
        if sum(document.care_history is not None for document in self._submission.documents) > 1:
            raise conflict("a record has one care history: a submission brings one")
        repeated = self._repeated(loaded.dossier)
        if repeated is not None:
            rows = (loaded.dossier.entries.row(entry_id) for entry_id in repeated.entry_ids)
            labels = tuple(row.now.labels for row in rows if row is not None)
            self._trace(repeated.set_id, repeated.entry_ids, (), repeated.folders, labels, repeated=True)
            return repeated
        is_replaced = replaced_before(self._call, loaded.dossier, facts)
        successors = tuple(
            Successor.of(document, self._targets(loaded.dossier, document, is_replaced))
            for document in self._submission.documents
        )
        replaced = tuple(target.id for one in successors for target in one.replaced)
        if len(set(replaced)) != len(replaced):
            raise conflict("two documents of the submission replace the same one")
        named = self._named(loaded.dossier, frozenset(replaced))
        filed = file_folders(
            self._call, loaded.dossier, self._submission, new_ids=self._folder_ids, entry_ids=self._entry_ids
        )
        folders = tuple(one.stored for one in filed)
        labels = tuple(one.labels for one in successors)
        event = self._trace(self._set_id, self._entry_ids, replaced, folders, labels)
        self._upload()
        dossier = self._next(loaded.dossier, successors, filed, event)
        self._records.commit(dossier, replacing=loaded)
        return Published(dossier, self._set_id, self._entry_ids, named, folders)

    def _facts(self, loaded: Loaded | None) -> RecordFacts:
        facts = record_facts(self._record_id, loaded.dossier.head if loaded else None)
        if loaded is None or all(document.care_history is None for document in self._submission.documents):
            return facts
        return replace(facts, kept_secret=kept_secret(loaded.dossier.entries.rows()))

    def _check_identifiers(self) -> None:
        """A business identifier is of one document, the set, or one folder (409). Those of the record: `_repeated`."""
        owners = [document.identifiers for document in self._submission.documents]
        owners += [folder.identifiers for folder in self._submission.folders]
        claimed = [one for identifiers in (*owners, self._submission.set_identifiers) for one in set(identifiers)]
        if len(set(claimed)) != len(claimed):
            raise conflict("a business identifier stands twice in the submission")

    def _repeated(self, dossier: Dossier) -> Published | None:
        """What the same submission became the first time; None for a new one. A half-known one: FhirError 409."""
        first = find_repeated(dossier, self._submission, self._call.actor.client_id)
        if first is None:
            return None
        replaced = frozenset(entry_id for row in first.entries for entry_id in row.replaces)
        entry_ids = tuple(row.id for row in first.entries)
        return Published(dossier, first.row.id, entry_ids, self._named(dossier, replaced), first.row.folders)

    def _targets(
        self, dossier: Dossier, document: NewDocument, is_replaced: Callable[[EntryRow], bool]
    ) -> tuple[EntryRow, ...]:
        """The entries that a document replaces. Raises Refused 404, FhirError 409."""
        rows: list[EntryRow] = []
        for target in document.replaces:
            entry_id = entry_meant(dossier, target)
            row = dossier.entries.row(entry_id) if entry_id else None
            if row is None:
                raise not_found()
            facts = record_facts(self._record_id, dossier.head)
            verdict = self._call.decide(Act.REPLACE, facts, document_facts(row))
            if not verdict.allowed:
                # What the caller did not author it may not even know of.
                raise self._call.unseen(verdict.reason, facts, document_facts(row))
            if is_replaced(row):
                raise conflict("the document to be replaced is superseded already")
            rows.append(row)
        if document.care_history is not None:
            present = care_history_to_replace(dossier, document.care_history)
            if any(row.id != present for row in rows):
                raise conflict("a care history replaces the one before it, and nothing else")
            row = dossier.entries.row(present) if present else None
            return (row,) if row is not None else ()
        return tuple(rows)

    def _named(self, dossier: Dossier, superseded: frozenset[str]) -> dict[Target, str]:
        """What the request's references to replaced entries mean. A patch of any other entry: FhirError 422."""
        named: dict[Target, str] = {}
        pointed = [target for document in self._submission.documents for target in document.replaces]
        for target in (*pointed, *self._submission.patches):
            entry_id = entry_meant(dossier, target)
            if entry_id is None or entry_id not in superseded:
                raise unmatched_patch()
            named[target] = entry_id
        return named

    def _trace(
        self,
        set_id: str,
        entry_ids: tuple[str, ...],
        superseded: tuple[str, ...],
        folders: tuple[SetFolder, ...],
        labels: tuple[tuple[StoredCoding, ...], ...],
        *,
        repeated: bool = False,
    ) -> str:
        """Announce the act; the event of an earlier attempt serves again when it says the same.

        `labels`: of each entry as it then stands, with what it takes over.
        """
        if self._event is not None and self._event[1:] == (superseded, labels) and not repeated:
            return self._event[0]
        replaced = tuple(
            Entity(reference=f"DocumentReference/{document_id(self._record_id, entry_id)}", superseded=True)
            for entry_id in superseded
        )
        data, *others = self._entities(set_id, entry_ids, labels)
        others += [*self._traced_folders(folders), *replaced]
        event = self._call.trace(data=data, others=tuple(others), reason="repeated" if repeated else None)
        self._event = (event, superseded, labels)
        return event

    def _entities(
        self, set_id: str, entry_ids: tuple[str, ...], labels: tuple[tuple[StoredCoding, ...], ...]
    ) -> tuple[Entity, ...]:
        """What is published, the submission set first where there is one."""
        documents = tuple(
            Entity(
                reference=f"DocumentReference/{document_id(self._record_id, entry_id)}",
                identifier=TracedIdentifier(document.identifiers[0].system, document.identifiers[0].value),
                sha256=bytes.fromhex(document.sha256),
                labels=tuple(Coding(label.system or "", label.code) for label in own),
            )
            for entry_id, document, own in zip(entry_ids, self._submission.documents, labels, strict=True)
        )
        if self._submission.is_simplified:
            return documents
        return (Entity(reference=f"List/{document_id(self._record_id, set_id)}"), *documents)

    def _asked(self) -> tuple[Entity, ...]:
        """What a refusal is about: what would have been published, and what the request points at, as it does."""
        submission = self._submission
        pointed = [target for document in submission.documents for target in document.replaces]
        pointed += submission.patches
        pointed += [one for folder in submission.folders for one in folder.members if not isinstance(one, int)]
        folders = [folder.target for folder in submission.folders if folder.target is not None]
        return (
            *self._entities(self._set_id, self._entry_ids, tuple(one.labels for one in submission.documents)),
            *entities_asked(pointed, self._record_id),
            *entities_asked(folders, self._record_id, kind="List"),
        )

    def _traced_folders(self, folders: tuple[SetFolder, ...]) -> tuple[Entity, ...]:
        return tuple(
            Entity(
                reference=f"List/{document_id(self._record_id, one.id)}",
                identifier=_traced(folder.identifiers),
                amended=folder.target is not None,
            )
            for one, folder in zip(folders, self._submission.folders, strict=True)
        )

    def _upload(self) -> None:
        if self._sealed:
            return
        sealed = []
        for entry_id, document in zip(self._entry_ids, self._submission.documents, strict=True):
            stored, data = self._records.seal_document(
                self._record_id, entry_id, document.content, document.content_type, form=document.form
            )
            self._records.upload(stored, data)
            sealed.append(_Sealed(entry_id, stored, data))
        self._sealed = tuple(sealed)

    def _next(
        self, dossier: Dossier, successors: tuple[Successor, ...], filed: tuple[Filed, ...], event: str
    ) -> Dossier:
        """The record's next version, with the new set, its entries and folders, and what the entries supersede."""
        call = self._call
        at = max(millis(call.now), dossier.head.updated)
        after = dossier.following(event, at=at)
        depositor = tuple(StoredIdentifier(system=one.system, value=one.value) for one in call.actor.structures)
        for sealed, successor in zip(self._sealed, successors, strict=True):
            document = successor.document
            *earlier, now = successor.versions(at, event)
            row = EntryRow(
                id=sealed.entry_id,
                now=now,
                earlier=tuple(earlier),
                submission_set=self._set_id,
                document=sealed.stored,
                type_code=document.type_code,
                identifiers=document.identifiers,
                author_structures=document.author_structures,
                author_professionals=document.author_professionals,
                depositor=call.actor.client_id,
                depositor_structures=depositor,
                replaces=tuple(target.id for target in successor.replaced),
                holders_own=document.holders_own,
                covers=covered(document.care_history),
                hidden_since=successor.hidden_since,
                terms=document.terms,
            )
            after = after.with_entry(row, keep_entry(kept_resource(document)))
            for target in successor.replaced:
                before = superseded(target, at, event)
                if document.care_history is None:
                    after = after.with_changed_entry(before)
                else:  # its months fall out of the record, and its bytes with them
                    after = after.with_fallen_entry(before.model_copy(update={"fallen_out": True}))
        own_set = SetRow(
            id=self._set_id,
            updated=at,
            event=event,
            entries=self._entry_ids,
            folders=tuple(one.stored for one in filed),
            identifiers=self._submission.set_identifiers,
            depositor=call.actor.client_id,
            terms=self._submission.set_terms,
        )
        after = after.with_set(own_set, write_json(self._submission.set_resource))
        return with_folders(after, self._submission, filed, depositor=call.actor.client_id, millis=at, event=event)


def _traced(identifiers: tuple[StoredIdentifier, ...]) -> TracedIdentifier | None:
    return TracedIdentifier(identifiers[0].system, identifiers[0].value) if identifiers else None


def _facts(document: NewDocument) -> DocumentFacts:
    return DocumentFacts(
        status="current",
        labels=frozenset(label.code for label in document.labels),
        type_code=document.type_code,
        author_structures=identifiers(document.author_structures),
        author_professionals=identifiers(document.author_professionals),
        holders_own=document.holders_own,
        covers_until=document.care_history.end if document.care_history else None,
        acts=document.care_history.acts if document.care_history else frozenset(),
    )
