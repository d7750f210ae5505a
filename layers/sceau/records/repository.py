"""Load a record and commit its next version; seal and read its documents. Only `sweep` touches `records/` beside it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope
from sceau.keys.errors import KeyServiceUnavailable
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore
from sceau.records.dossier import Dossier, decode, divided, encode, names_digest
from sceau.records.errors import CommitLost, RecordDamaged
from sceau_schemas.dossier import StoredDocument


def dossier_name(record_id: str) -> str:
    """The object that holds a record's dossier."""
    return f"records/{record_id}/dossier"


def document_name(record_id: str, entry_id: str) -> str:
    """The object that holds a document's sealed bytes."""
    return f"records/{record_id}/documents/{entry_id}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A dossier as read, and the tag that its next commit must find unchanged (None: there must be no object)."""

    dossier: Dossier
    tag: str | None


class Records:
    """The records of a stage, as far as this function's rights go. Safe under threads.

    Every method may raise ObjectStoreUnavailable, KeyServiceUnavailable (503) and RecordDamaged.
    """

    def __init__(self, store: ObjectStore, envelope: Envelope) -> None:
        self._store = store
        self._envelope = envelope

    def load(self, record_id: str) -> Loaded | None:
        """The record's present version; None when nobody opened one, or when it has ended."""
        loaded = self.load_remains(record_id)
        return None if loaded is None or loaded.dossier.head.status == "ended" else loaded

    def load_remains(self, record_id: str) -> Loaded | None:
        """The same, of a record whose objects are being deleted too."""
        try:
            stored = self._store.read(dossier_name(record_id))
        except ObjectAbsent:
            return None
        return Loaded(self.opened(record_id, stored.data), stored.tag)

    def opened(self, record_id: str, data: bytes) -> Dossier:
        """The dossier of a record, from the bytes of its object: the present one's, or an earlier version's."""
        clear, sealed = divided(data)
        context = contexts.dossier(record_id, names_digest(clear))
        try:
            plaintext = self._envelope.open(KeyName.DOSSIER, sealed, context).plaintext
        except MessageRefused:
            raise RecordDamaged("a dossier that does not open in its place") from None
        dossier = decode(plaintext, clear)
        if dossier.record_id != record_id:
            raise RecordDamaged("a dossier of another record")
        return dossier

    def commit(self, dossier: Dossier, *, replacing: Loaded | None) -> str:
        """Make `dossier` the record's next version: the one commit point of every write.

        Its version must be one above what it replaces (1 for a new record). Returns the new tag. Raises CommitLost
        when another commit came first; nothing is written then. If we die before the swap, the old version stands
        and the documents uploaded for the new one are unreachable (`upkeep` sweeps them).

        A swap of which the store does not know whether it was done is looked up: the dossier carries the event of each
        of its commits, whoever went on from ours. Only what nobody can know yet stays ObjectStoreUnavailable.
        """
        before = replacing.dossier.head.version if replacing else 0
        if dossier.head.version != before + 1 or len(dossier.commits) != dossier.head.version:
            raise ValueError("a commit raises the version by one and names its event")
        context = contexts.dossier(dossier.record_id, names_digest(dossier.clear))
        sealed = self._envelope.seal(KeyName.DOSSIER, encode(dossier), context)
        try:
            return self._store.replace(
                dossier_name(dossier.record_id), dossier.clear + sealed, expected=replacing.tag if replacing else None
            )
        except ObjectChanged:
            raise CommitLost("another commit came first") from None
        except ObjectStoreUnavailable as error:
            if not error.maybe_written:
                raise
            tag = self._tag_of_commit(dossier)
            if tag is None:
                raise
            return tag

    def _tag_of_commit(self, own: Dossier) -> str | None:
        """The record's present tag when this version is in its history; None while it may still come.

        Raises CommitLost when another commit has its place: a swap from an older version can't come any more.
        """
        try:
            present = self.load_remains(own.record_id)
        except (ObjectStoreUnavailable, KeyServiceUnavailable):
            return None
        if present is None or present.dossier.head.version < own.head.version:
            return None
        if not present.dossier.commits.packed.startswith(own.commits.packed):
            raise CommitLost("another commit came first")
        return present.tag

    def seal_document(
        self,
        record_id: str,
        entry_id: str,
        content: bytes,
        content_type: str,
        *,
        form: Literal["Binary", "Bundle"] = "Binary",
    ) -> tuple[StoredDocument, bytes]:
        """Seal a document's bytes in its place; return what the entry keeps of it, and the bytes to upload."""
        sealed = self._envelope.seal(KeyName.CONTENT, content, contexts.document(record_id, entry_id))
        stored = StoredDocument(
            object_name=document_name(record_id, entry_id),
            content_type=content_type,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            sealed_sha256=hashlib.sha256(sealed).hexdigest(),
            form=form,
        )
        return stored, sealed

    def reseal_document(
        self, record_id: str, entry_id: str, document: StoredDocument, object_name: str
    ) -> tuple[StoredDocument, bytes]:
        """Open a document and seal it anew, for an object of another name; what the entry keeps, and the bytes.

        Raises what `read_document` raises.
        """
        content = self.read_document(record_id, entry_id, document)
        stored, sealed = self.seal_document(record_id, entry_id, content, document.content_type, form=document.form)
        return stored.model_copy(update={"object_name": object_name}), sealed

    def upload(self, document: StoredDocument, sealed: bytes) -> None:
        """Write a sealed document; unreachable until a commit names it."""
        self._store.create(document.object_name, sealed)

    def read_document(self, record_id: str, entry_id: str, document: StoredDocument) -> bytes:
        """A document's plaintext, checked against both digests that its entry keeps. Raises RecordDamaged."""
        try:
            sealed = self._store.read(document.object_name).data
        except ObjectAbsent:
            raise RecordDamaged("a document that the dossier reaches is gone") from None
        if not _same(sealed, document.sealed_sha256):
            raise RecordDamaged("a document's sealed bytes are not those of its entry")
        try:
            content = self._envelope.open(KeyName.CONTENT, sealed, contexts.document(record_id, entry_id)).plaintext
        except MessageRefused:
            raise RecordDamaged("a document that does not open in its place") from None
        if not _same(content, document.sha256):
            raise RecordDamaged("a document's bytes are not those of its entry")
        return content


def _same(data: bytes, sha256_hex: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(data).hexdigest(), sha256_hex)
