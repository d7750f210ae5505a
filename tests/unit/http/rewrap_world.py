"""Records under a key file that can be rotated, and the function `rewrap` on them, with its own rights."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from fakes.clock import ManualClock
from fakes.keys import PolicingKeys
from fakes.objects import MemoryStore, PolicingStore
from fixtures.inprocess import chalicefile
from sceau.audit.ids import parse_event_name
from sceau.audit.journal import JournalReader
from sceau.envelope.batch import BatchOpener
from sceau.envelope.messages import Envelope
from sceau.http.journals import journal_of, server_identity
from sceau.http.rewrap import Rewrap
from sceau.http.runtime import Runtime
from sceau.keys.keyfile import add_version, create_key_file, disable_version
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName, KeyService
from sceau.records.dossier import Dossier
from sceau.records.inventory import RECORDS, take_inventory
from sceau.records.repository import Records, document_name, dossier_name
from sceau.stage import scoped_keys, scoped_store
from sceau_schemas.audit import AuditEvent
from unit.records.test_dossier import EVENT, a_set, an_id, commits, entry, head, next_version

SECOND = an_id(77)


class RewrapWorld:
    """A stage's store and keys, and records in it: `RECORD` with `documents`, sealed under version 1 of all keys."""

    def __init__(self, folder: Path, *, documents: int = 3, keys: KeyService | None = None) -> None:
        self.clock = ManualClock()
        self.memory = MemoryStore(self.clock)
        self.path = folder / "keys.json"
        if keys is None:
            create_key_file(self.path, clock=self.clock)
        self.service = keys or LocalKeyService(self.path)
        self.until = self.clock() + timedelta(days=30)
        self.contents: dict[str, bytes] = {}
        if documents:
            self.publish(head().record_id, documents)

    def copy(self) -> RewrapWorld:
        """An independent store that holds the same; the keys are shared."""
        copied = object.__new__(RewrapWorld)
        copied.clock = ManualClock(self.clock.now)
        copied.memory = self.memory.copy(copied.clock)
        copied.path, copied.service, copied.until, copied.contents = self.path, self.service, self.until, self.contents
        return copied

    @property
    def records(self) -> Records:
        return Records(self.memory, Envelope(self.service))

    def publish(self, record_id: str, documents: int) -> None:
        """A new record."""
        made = Dossier(head().model_copy(update={"record_id": record_id}), commits())
        for number in range(1, documents + 1):
            made = self.with_document(made, number)
        made = made.with_set(a_set(500_000, *made.entries.ids()), b'{"resourceType":"List"}')
        self.records.commit(made, replacing=None)

    def publish_more(self, record_id: str, number: int) -> None:
        """One more document, by another writer, whatever happens meanwhile."""
        loaded = self.records.load(record_id)
        assert loaded is not None
        after = self.with_document(loaded.dossier, number)
        self.records.commit(next_version(after), replacing=loaded)

    def with_document(self, dossier: Dossier, number: int) -> Dossier:
        row, content = entry(number), f"document {number}".encode()
        stored, sealed = self.records.seal_document(dossier.record_id, row.id, content, "application/pdf")
        self.records.upload(stored, sealed)
        self.contents[row.id] = content
        return dossier.with_entry(row.model_copy(update={"document": stored}), f'{{"resource":{number}}}'.encode())

    def rotate(self, *keys: KeyName) -> None:
        for key in keys:
            add_version(self.path, key, clock=self.clock)

    def disable(self, *keys: KeyName, version: int = 1) -> None:
        for key in keys:
            disable_version(self.path, key, version)

    def start(self, *, store: PolicingStore | None = None, keys: PolicingKeys | None = None, on: bool = True) -> Rewrap:
        """One start of the function."""
        file = chalicefile()
        rights = file.functions["rewrap"]
        spec = file.stages["local"].model_copy(update={"switched_on": {"rewrap": self.until} if on else {}})
        runtime = Runtime(
            "rewrap",
            "local",
            spec,
            scoped_store(store or PolicingStore(self.memory), rights),
            scoped_keys(keys or PolicingKeys(self.service), rights),
            clock=self.clock,
        )
        return Rewrap(
            runtime,
            journal_of(runtime),
            server_identity(runtime),
            sleep=lambda _: None,
            random_bytes=secrets.token_bytes,
        )

    def check(self, record_id: str = head().record_id) -> Dossier:
        """The record as it rests: whole, and every document the one that was published. Returns its dossier."""
        loaded = self.records.load(record_id)
        assert loaded is not None
        dossier = loaded.dossier
        for row in dossier.entries.rows():
            assert self.records.read_document(record_id, row.id, row.document) == self.contents[row.id]
        names = sorted(row.document.object_name for row in dossier.entries.rows())
        assert names == list(dossier.object_names)
        assert len(dossier.commits) == dossier.head.version
        own = set(dossier.commits) - {EVENT}
        assert own <= set(self.events()), "a version of ours without its event"
        return dossier

    def events(self) -> dict[str, AuditEvent]:
        """Every event, by its id."""
        reader = JournalReader(self.memory, BatchOpener(self.service, KeyName.JOURNAL, clock=self.clock))
        found = {}
        for name in self.memory.list("journal/events/"):
            record_id, event_id = parse_event_name(name)
            found[event_id] = AuditEvent.model_validate_json(reader.read(record_id, event_id).data)
        return found

    def needed(self) -> dict[str, dict[str, int]]:
        """What of `records/` needs which version, unreachable objects left out."""
        reached = {dossier_name(head().record_id), dossier_name(SECOND)}
        for record_id in (head().record_id, SECOND):
            loaded = self.records.load(record_id)
            reached |= set(loaded.dossier.object_names) if loaded else set()
        inventory = take_inventory(_Only(self.memory, reached), (RECORDS,))
        assert inventory.unreadable == []
        return {
            key: {under.version: count for under, count in inventory.of(key).items()} for key in ("dossier", "content")
        }


class _Only(PolicingStore):
    """A store that lists some names only."""

    def __init__(self, inner: MemoryStore, wanted: set[str]) -> None:
        super().__init__(inner)
        self._wanted = wanted

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        return (name for name in super().list(prefix, after=after) if name in self._wanted)


document = partial(document_name, head().record_id)
"""The first name of a document of the record, by its entry's id."""
