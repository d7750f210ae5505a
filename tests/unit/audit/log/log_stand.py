"""A journal and its sealer on a store in memory, with what a test needs to watch, break and verify them."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from fakes.clock import ManualClock
from fakes.key_stands import local
from fakes.keys import PolicingKeys
from fakes.objects import Call, MemoryStore, PolicingStore
from sceau.audit.ids import event_name
from sceau.audit.journal import Journal
from sceau.audit.log.notes import VerifierKey, parse_vkeys
from sceau.audit.log.places import CHECKPOINT, TILES, VKEYS
from sceau.audit.log.report import Report
from sceau.audit.log.sealer import MOST_ENTRIES, Sealer
from sceau.audit.verify.signed import Earlier
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verification, Verifier
from sceau.envelope.batch import BatchSealer
from sceau.keys.ports import KeyName, KeyService
from sceau.objects.ports import ObjectStore
from unit.audit.samples import EVENTS, OTHER_RECORD, RECORD

ORIGIN = "dossier.example.org/journal"
RETENTION = timedelta(days=3653)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RECORDS = (RECORD, OTHER_RECORD, "b" * 26)


class Inline(Executor):
    """Runs what it is given at once: calls come in one order, and a process that dies does nothing more."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future's to raise
            future.set_exception(error)
        return future


class Killed(BaseException):
    """The process dies here."""


@functools.cache
def key_service() -> KeyService:
    """One for the session: keys take time to make."""
    return local(Path(tempfile.mkdtemp(prefix="sceau-test-keys-"))).keys


@dataclass
class LogStand:
    """What rests, and the clock that all go by."""

    memory: MemoryStore
    clock: ManualClock
    keys: PolicingKeys
    store: PolicingStore

    @classmethod
    def new(cls) -> LogStand:
        clock = ManualClock()
        memory = MemoryStore(clock)
        return cls(memory, clock, PolicingKeys(key_service()), PolicingStore(memory))

    def copy(self) -> LogStand:
        """The same, as it is now, and apart from then on."""
        clock = ManualClock(self.clock.now)
        memory = self.memory.copy(clock)
        return LogStand(memory, clock, PolicingKeys(key_service()), PolicingStore(memory))

    def append(self, number: int, *, apart: timedelta = SECOND, version: int = 7) -> list[str]:
        """Write so many events, one every `apart`, of records in turn. Their objects' names, in the order of time."""
        sealer = BatchSealer(self.keys, KeyName.JOURNAL, clock=self.clock)
        journal = Journal(self.memory, sealer, clock=self.clock, random_bytes=os.urandom, retention=RETENTION)
        names = []
        for index in range(number):
            record = RECORDS[index % len(RECORDS)]
            facts = replace(EVENTS["retrieval"], record_id=record, dossier_version=version)
            names.append(event_name(record, journal.append(facts)))
            self.clock.advance(apart)
        return names

    def sealer(self, store: ObjectStore | None = None, most: int = MOST_ENTRIES) -> Sealer:
        return Sealer(
            store or self.store,
            self.keys,
            origin=ORIGIN,
            clock=self.clock,
            retention=RETENTION,
            most_entries=most,
            pool=Inline,
        )

    def seal(self, most: int = MOST_ENTRIES) -> Report:
        """One run; nothing misused."""
        report = self.sealer(most=most).run()
        assert self.store.misuses == [] and self.keys.misuses == []
        return report

    @property
    def vkeys(self) -> tuple[VerifierKey, ...]:
        return parse_vkeys(self.memory.read(VKEYS).data.decode())

    @property
    def checkpoint(self) -> bytes:
        return self.memory.read(CHECKPOINT).data

    def verify(self, *earlier: bytes) -> Verification:
        kept = [Earlier(f"kept {number}", note) for number, note in enumerate(earlier)]
        source = LiveSource(self.memory)
        return Verifier(
            source,
            self.vkeys,
            earlier=kept,
            now=self.clock(),
            retention=RETENTION,
            with_old_partials=True,
            pool=Inline,
        ).verify()

    def require_good(self, *earlier: bytes, events: int | None = None) -> Verification:
        """Everything verifies, and the log has so many events."""
        found = self.verify(*earlier)
        said = [str(one) for one in found.findings]
        assert not said, said
        assert found.checkpoint is not None
        assert found.checkpoint.size == found.events, (found.checkpoint.size, found.events)
        if events is not None:
            assert found.events == events, (found.events, events)
        return found

    def tiles(self) -> dict[str, bytes]:
        return {name: self.memory.read(name).data for name in self.memory.list(TILES)}

    def names(self, prefix: str = "") -> list[str]:
        return list(self.memory.list(prefix))


def killing(stand: LogStand, number: int, *, after: bool) -> None:
    """The process that uses the stand's store dies before, or after, its call of this number; then it calls no more."""
    dead = False

    def before(call: Call) -> None:
        nonlocal dead
        if dead or (call.number == number and not after):
            dead = True
            raise Killed

    def behind(call: Call) -> None:
        nonlocal dead
        if call.number == number and after:
            dead = True
            raise Killed

    stand.store.waits, stand.store.waits_after = before, behind


def revived(stand: LogStand) -> None:
    """A new process on the same store."""
    stand.store = PolicingStore(stand.memory)
    stand.keys = PolicingKeys(key_service())


def minutes(first: int, last: int) -> Iterator[timedelta]:
    for number in range(first, last):
        yield number * MINUTE
