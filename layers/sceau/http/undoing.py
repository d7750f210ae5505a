"""Brings a record back to what it was at a time, after sabotage: by the function `rewrap`, while it is switched on.

What the record was then is read from the versions that the host kept, or from a backup. It becomes the record's next
version by the one commit that every write makes: version numbers go on rising, and the commits that are undone stay in
the record's list of events. An event is written before anything is. A document whose object is gone, or is not what
the record says that it is, comes back as a new object.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from sceau.audit.facts import OwnAct, OwnFacts, Server
from sceau.audit.journal import Journal
from sceau.envelope.messages import Envelope
from sceau.fhir.search.dates import millis
from sceau.http.runtime import Runtime
from sceau.keys.errors import KeyVersionGone
from sceau.objects.errors import ObjectAbsent, ObjectExists
from sceau.objects.ports import EarlierVersions, Version
from sceau.records.dossier import Dossier
from sceau.records.ended import ENDED, parse_ended
from sceau.records.errors import CommitLost, RecordDamaged
from sceau.records.repository import Loaded, Records, dossier_name
from sceau.records.resealing import moved, next_object_name
from sceau_schemas.dossier import StoredDocument

MOST_VERSIONS: Final = 1_000
"""Versions of a dossier that are opened to find the highest number: beyond that, more than a restoration is wrong."""

_ATTEMPTS = 5


class NothingToRestore(Exception):
    """The record can't be brought back. The message is one sentence, without anything of what it holds."""


@dataclass(slots=True)
class Undone:
    """What was done: to which version the record went back, from which, and what it is now.

    `documents`: how many came back as new objects. `lost`: names of objects that no source has any more.
    """

    back_to: int = 0
    written_at: datetime | None = None
    found: int = 0
    version: int = 0
    documents: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Then:
    """What the record was: its dossier, and when that was written."""

    dossier: Dossier
    written_at: datetime


class Undoing:
    """Restores records of a stage, with the rights of `runtime`, which is the function `rewrap`'s.

    `sources`: what keeps earlier versions, the host's store and a backup. `random_bytes` makes data keys.
    """

    def __init__(
        self,
        runtime: Runtime,
        journal: Journal,
        server: Server,
        sources: Sequence[EarlierVersions],
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = runtime.store
        self._clock = runtime.clock
        self._require_on = runtime.require_switched_on
        self._records = Records(runtime.store, Envelope(runtime.keys, random_bytes=random_bytes))
        self._journal = journal
        self._server = server
        self._sources = tuple(sources)

    def run(self, record_id: str, at: datetime) -> Undone:
        """Bring the record back to what it was at a time (aware).

        Raises SwitchedOff, NothingToRestore; CommitLost when the record goes on changing; what store, key service and
        journal raise. Before the commit nothing of the record has changed.
        """
        self._require_on()
        then = self._then(record_id, at)
        made: dict[str, StoredDocument] = {}  # new objects are made once, whatever becomes of the commits
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._restore(record_id, then, at, made)
            except CommitLost:
                if attempt < _ATTEMPTS:
                    continue
                if self._present(record_id)[0] is None:
                    raise NothingToRestore(
                        f"{dossier_name(record_id)} was deleted, and this host lets nothing be written over its "
                        "deletion mark: take the mark away by the host's own tools, and try again"
                    ) from None
                raise
        raise AssertionError("the last attempt returns or raises")

    def _restore(self, record_id: str, then: _Then, at: datetime, made: dict[str, StoredDocument]) -> Undone:
        tag, present = self._present(record_id)
        newest = self._newest(record_id, then, present)
        undone = Undone(then.dossier.head.version, then.written_at, newest.head.version)
        event = self._announce(record_id, newest, then, at)
        self._keep_versions(record_id)
        dossier = self._with_documents(then.dossier, undone, made)
        back = replace(
            dossier,
            head=dossier.head.model_copy(update={"version": newest.head.version, "updated": newest.head.updated}),
            commits=newest.commits,
        ).following(event, at=millis(self._clock()))
        self._records.commit(back, replacing=Loaded(newest, tag))
        undone.version = back.head.version
        return undone

    def _keep_versions(self, record_id: str) -> None:
        """The record's life is not over: take away the marks by which `expunge` would remove what is kept of it."""
        for name in self._store.list(ENDED):
            mark = parse_ended(name)
            if mark is not None and mark[1] == record_id:
                with suppress(ObjectAbsent):
                    self._store.delete(name)

    def _then(self, record_id: str, at: datetime) -> _Then:
        """The newest version of the dossier that had been written by then, and opens."""
        for written_at, dossier in self._opened(record_id, lambda version: version.written_at <= at):
            return _Then(dossier, written_at)
        raise NothingToRestore(
            f"no version of {dossier_name(record_id)} from then is kept that opens: give a later time, or a backup"
        )

    def _present(self, record_id: str) -> tuple[str | None, Dossier | None]:
        """The tag of what is there, and the dossier, if it opens."""
        try:
            stored = self._store.read(dossier_name(record_id))
        except ObjectAbsent:
            return None, None
        try:
            return stored.tag, self._records.opened(record_id, stored.data)
        except (RecordDamaged, KeyVersionGone):
            return stored.tag, None

    def _newest(self, record_id: str, then: _Then, present: Dossier | None) -> Dossier:
        """The dossier with the highest version that is known: numbers go on from there, whatever was put back."""
        later = self._opened(record_id, lambda version: version.written_at >= then.written_at)
        known = [then.dossier, *([present] if present else []), *(dossier for _, dossier in later)]
        return max(known, key=lambda one: one.head.version)

    def _opened(self, record_id: str, wanted: Callable[[Version], bool]) -> Iterator[tuple[datetime, Dossier]]:
        """The dossiers among the wanted versions that open, of all sources, the newest first."""
        name = dossier_name(record_id)
        found = [
            (version, source)
            for source in self._sources
            for version in source.history(name)
            if not version.is_deletion and wanted(version)
        ]
        seen: set[bytes] = set()
        for version, source in sorted(found, key=lambda one: one[0].written_at, reverse=True)[:MOST_VERSIONS]:
            try:
                data = source.read_version(name, version.id)
            except ObjectAbsent:
                continue  # its time was over meanwhile
            digest = hashlib.sha256(data).digest()
            if digest in seen:
                continue
            seen.add(digest)
            try:
                yield version.written_at, self._records.opened(record_id, data)
            except (RecordDamaged, KeyVersionGone):
                continue  # a forger's, or sealed under what is gone: an older one may open

    def _with_documents(self, dossier: Dossier, undone: Undone, made: dict[str, StoredDocument]) -> Dossier:
        """The dossier with new objects for the documents whose objects are not what it says."""
        for row in dossier.entries.rows():
            document = row.document
            if document.object_name in made or self._is_there(document):
                continue
            sealed = self._sealed(document)
            if sealed is None:
                undone.lost.append(document.object_name)
                continue
            made[document.object_name] = self._upload(document, sealed)
        undone.documents = len(made)
        return moved(dossier, made)

    def _is_there(self, document: StoredDocument) -> bool:
        try:
            data = self._store.read(document.object_name).data
        except ObjectAbsent:
            return False
        return hashlib.sha256(data).hexdigest() == document.sealed_sha256

    def _sealed(self, document: StoredDocument) -> bytes | None:
        """The document's sealed bytes, from whoever kept them."""
        for source in self._sources:
            for version in source.history(document.object_name):
                if version.is_deletion:
                    continue
                try:
                    data = source.read_version(document.object_name, version.id)
                except ObjectAbsent:
                    continue
                if hashlib.sha256(data).hexdigest() == document.sealed_sha256:
                    return data
        return None

    def _upload(self, document: StoredDocument, sealed: bytes) -> StoredDocument:
        """A new object with the same bytes: they are bound to record and entry, not to the object's name."""
        while True:
            document = document.model_copy(update={"object_name": next_object_name(document.object_name)})
            try:
                self._records.upload(document, sealed)
            except ObjectExists:
                continue  # of a try that died, or put there by somebody
            return document

    def _announce(self, record_id: str, newest: Dossier, then: _Then, at: datetime) -> str:
        details = {
            "restored-version": str(then.dossier.head.version),
            "as-of": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return self._journal.append(OwnFacts(OwnAct.RESTORE, self._server, record_id, newest.head.version, details))
