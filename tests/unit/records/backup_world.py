"""A stage in memory with records, events and a log, a second store, and the commands of a backup on both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from fakes.clock import ManualClock
from fakes.objects import MemoryStore
from fixtures.inprocess import chalicefile
from sceau.audit.facts import OwnAct, OwnFacts
from sceau.audit.log.notes import parse_vkeys
from sceau.audit.log.places import VKEYS
from sceau.audit.log.sealer import Sealer
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verification, Verifier
from sceau.http.journals import journal_of, server_identity
from sceau.http.runtime import Runtime
from sceau.keys.scoped import NoKeys
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import ScopedStore
from sceau.records.backup.copying import BackupRun, Report
from sceau.records.backup.restoring import Restoration, Restored
from sceau.records.backup.verifying import Verified, verify_backup
from sceau.stage import scoped_keys, scoped_store
from unit.audit.log.log_stand import ORIGIN, Inline
from unit.http.rewrap_world import RewrapWorld
from unit.records.test_dossier import RECORD

RETENTION = timedelta(days=3653)
STAGE = "local"


class BackupWorld(RewrapWorld):
    """Everything of `RewrapWorld`, with configuration, a sealed journal, and a backup that is empty at first."""

    forgets_after = timedelta(days=30)

    def __init__(self, folder: Path, *, documents: int = 3, memory: Callable[..., MemoryStore] = MemoryStore) -> None:
        super().__init__(folder, documents=0)
        self.memory = memory(self.clock)
        self.second = MemoryStore(self.clock)
        self.memory.create("configuration/clients/lab", b"sealed: a client")
        self.memory.create("due/2026-11-26/x", b"")
        self.memory.create("replay/20261126T1000/x", b"")
        if documents:
            self.publish(RECORD, documents)
            self.trace(RECORD)
        self.seal()

    def runtime(self, role: str, store: ObjectStore | None = None, *, on: bool = True) -> Runtime:
        """A function's, or a tool's, with its own rights only."""
        file = chalicefile()
        rights = file.functions.get(role) or file.tools[role]
        spec = file.stages[STAGE].model_copy(update={"switched_on": {role: self.until} if on else {}})
        keys = scoped_keys(self.service, rights) if rights.keys else NoKeys()
        return Runtime(role, STAGE, spec, scoped_store(store or self.memory, rights), keys, clock=self.clock)

    def trace(self, record_id: str) -> None:
        """One event about a record."""
        runtime = self.runtime("rewrap")
        journal_of(runtime).append(OwnFacts(OwnAct.REWRAP, server_identity(runtime), record_id, 1))

    def seal(self, memory: MemoryStore | None = None) -> None:
        """Seal everything that waits, some minutes later."""
        self.clock.advance(timedelta(minutes=5))
        runtime = self.runtime("journal", memory)
        sealer = Sealer(runtime.store, runtime.keys, origin=ORIGIN, clock=self.clock, retention=RETENTION, pool=Inline)
        sealer.run(self.clock() + timedelta(minutes=1))

    def backup(
        self, *, source: ObjectStore | None = None, target: ObjectStore | None = None, whole: bool = False
    ) -> Report:
        """`sceau backup run`."""
        store = self.runtime("backup", source).store
        assert isinstance(store, ScopedStore)
        run = BackupRun(store, target or self.second, clock=self.clock, pool=Inline(), forgets_after=self.forgets_after)
        return run.run(STAGE, whole=whole)

    def verify(self, *, expected: str | None = None) -> Verified:
        """`sceau backup verify`."""
        return verify_backup(
            self.second, Inline(), now=self.clock(), forgets_after=self.forgets_after, expected=expected
        )

    def restore(
        self, target: MemoryStore, *, at: datetime | None = None, go_on: bool = False, stage: str = STAGE
    ) -> Restored:
        """`sceau restore` into `target`."""
        store = self.runtime("restore", target).store
        restoration = Restoration(self.second, store, clock=self.clock, pool=Inline(), retention=RETENTION)
        return restoration.run(stage, at=at, go_on=go_on)

    def log_verified(self, memory: MemoryStore) -> Verification:
        """`sceau log verify` on a store, with the keys of the stage's own log."""
        keys = parse_vkeys(self.memory.read(VKEYS).data.decode())
        return Verifier(LiveSource(memory), keys, now=self.clock(), retention=RETENTION).verify()

    def empty(self) -> MemoryStore:
        """Another store, in which there is nothing."""
        return MemoryStore(self.clock)


def advance(clock: ManualClock, **by: int) -> datetime:
    """Let time pass; return the time before."""
    before = clock()
    clock.advance(timedelta(**by))
    return before
