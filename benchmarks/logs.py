"""The log: sealing, verifying, proving; on the file-system store, on this machine's own disk."""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.calls import CountingPort
from benchmarks.events import RETENTION, EventWriter, SteppingClock, Written
from benchmarks.figures import Bar, Figures, table
from sceau.audit.ids import event_name
from sceau.audit.journal import JournalEvent
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.entries import LogEntry, entry_of
from sceau.audit.log.growth import grow
from sceau.audit.log.identity import Identities, LogSigner
from sceau.audit.log.notes import parse_vkeys
from sceau.audit.log.places import CHECKPOINT, PENDING, VKEYS, dated_name, tile_name
from sceau.audit.log.proofs import verify_event
from sceau.audit.log.proving import ProofMaker
from sceau.audit.log.report import Report
from sceau.audit.log.sealer import Sealer
from sceau.audit.log.state import LogState, encode_state
from sceau.audit.log.tiles import Edge
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verifier
from sceau.keys.local import LocalKeyService, create_key_file
from sceau.objects.filesystem import FilesystemStore

EVENTS = 100_000
LARGE = 1_000_000
MORE = 1_000
PROOFS = 200
ORIGIN = "localhost:9443/journal"
RECORDS = tuple(chr(97 + number % 26) * 24 + chr(97 + number // 26) * 2 for number in range(400))

_HEADER = struct.Struct(">8sQ16s")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class LogStage:
    """A store with a journal, keys, and the clock that both go by."""

    root: Path
    keys: LocalKeyService
    clock: SteppingClock
    writer: EventWriter

    @property
    def store(self) -> FilesystemStore:
        """The store."""
        return FilesystemStore(self.root, self.clock)

    def seal(self) -> tuple[Report, float]:
        """One run of the sealer, and the seconds that it took."""
        started = time.perf_counter()
        pool = partial(ThreadPoolExecutor, 1)  # as `Runtime.calls_at_once` has it for files
        report = Sealer(self.store, self.keys, origin=ORIGIN, clock=self.clock, retention=RETENTION, pool=pool).run()
        return report, time.perf_counter() - started

    def put(self, name: str, data: bytes, *, locked: bool) -> None:
        """Write an object's file straight away."""
        end = int((self.clock() + RETENTION + timedelta(days=180)).timestamp() * 1000) if locked else 0
        path = self.root / "objects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(_HEADER.pack(b"SCEAUOB1", end, os.urandom(16)) + data)


@contextmanager
def log_stage(apart: timedelta) -> Iterator[LogStage]:
    """An empty one, until the end of the block. Its events come `apart` from each other."""
    folder = Path(tempfile.mkdtemp(prefix="sceau-bench-log-"))
    try:
        FilesystemStore.create_root(folder / "store")
        create_key_file(folder / "keys.json", clock=lambda: datetime.now(UTC))
        keys, clock = LocalKeyService(folder / "keys.json"), SteppingClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
        yield LogStage(folder / "store", keys, clock, EventWriter(folder / "store", keys, clock, RECORDS, apart))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sealing_log(figures: Figures) -> None:
    """Seal 100,000 events, verify them all, prove some."""
    with log_stage(timedelta(milliseconds=10)) as stage:
        stage.writer.write(EVENTS // 10)
        stage.seal()  # what is loaded once is loaded, and what a batch needs was needed
        written = stage.writer.write(EVENTS)
        before, cpu = _resident_mb(), time.process_time()
        report, seconds = stage.seal()
        cpu = time.process_time() - cpu
        if report.sealed != EVENTS or report.alarms:
            raise RuntimeError(f"the sealer reported {report}")
        grown = _resident_mb() - before
        rows: list[list[str | float]] = [
            ["seal", EVENTS, seconds, figures.add("log.seal.events_per_s", EVENTS / seconds, Bar(5000, least=True))],
            ["its CPU", EVENTS, cpu, ""],
            ["its memory grew, MB", EVENTS, grown, figures.add("log.seal.memory_mb", grown, Bar(32))],
        ]
        figures.add("log.seal.cpu_us", cpu / EVENTS * 1e6)
        rows += [_verified(stage, figures), *_proofs(stage, written, figures, "log.proof"), _calls(stage, figures)]
        print(table(f"The log, {EVENTS + EVENTS // 10} entries", ("what", "events", "seconds", "bar"), rows))


def _verified(stage: LogStage, figures: Figures) -> list[str | float]:
    keys = parse_vkeys(stage.store.read(VKEYS).data.decode())
    started = time.perf_counter()
    verifier = Verifier(LiveSource(stage.store), keys, now=stage.clock(), retention=RETENTION)
    found = verifier.verify()
    seconds = time.perf_counter() - started
    if not found.good:
        raise RuntimeError(f"the log does not verify: {next(iter(found.findings))}")
    per_100_000 = seconds * 100_000 / found.events
    return ["verify, by 100,000", found.events, per_100_000, figures.add("log.verify.s", per_100_000, Bar(60))]


def _proofs(stage: LogStage, written: list[Written], figures: Figures, name: str) -> Iterator[list[str | float]]:
    """One proof at a time, as a query of one event asks for it: nothing is kept from one to the next."""
    keys = parse_vkeys(stage.store.read(VKEYS).data.decode())
    reads: list[str] = []
    store: Any = CountingPort(stage.store, lambda method, name: reads.append(name) if method == "read" else None)
    taken: list[float] = []
    most, size = 0, 0
    for one in written[:: len(written) // PROOFS]:
        event = _event(stage, one)
        reads.clear()
        started = time.perf_counter()
        maker = ProofMaker(store)
        index = maker.index_of(one.record, one.event_id)
        proof = maker.prove(event, index if index is not None else -1)
        taken.append((time.perf_counter() - started) * 1000)
        most = max(most, len(reads))
        size = verify_event(one.data, proof.encode(), keys).checkpoint.size
    limit = 2 + math.ceil(math.log(size, 256))
    # One that the machine kept waiting is the longest of them: what a proof costs, the median tells.
    yield ["median proof, ms", PROOFS, median(taken), figures.add(f"{name}.p50_ms", median(taken))]
    yield ["longest proof, ms", PROOFS, max(taken), figures.add(f"{name}.ms", max(taken), Bar(50))]
    yield ["its object reads", PROOFS, float(most), figures.add(f"{name}.reads", most, Bar(limit))]


def _calls(stage: LogStage, figures: Figures) -> list[str | float]:
    """The store's calls for one batch, by event: 3 for each of n events, and what docs/architecture.md says beside."""
    stage.writer.write(MORE)
    calls: list[str] = []
    store: Any = CountingPort(stage.store, lambda method, _: calls.append(method))
    pool = partial(ThreadPoolExecutor, 1)
    Sealer(store, stage.keys, origin=ORIGIN, clock=stage.clock, retention=RETENTION, pool=pool).run()
    by_event = len(calls) / MORE
    return [
        f"store calls, a batch of {MORE}, by event",
        MORE,
        by_event,
        figures.add("log.seal.calls_per_event", by_event),
    ]


def sealing_shares(figures: Figures) -> None:
    """What sealing an act's event costs, as a share of the act: a local stage's process does both."""
    sealing = figures.values.get("log.seal.cpu_us")
    for act in ("publish", "retrieve"):
        cpu_ms = figures.values.get(f"{act}.1.cpu_ms")
        if sealing is not None and cpu_ms:
            figures.add(f"{act}.sealing_share", sealing / 1000 / cpu_ms, Bar(0.05))


def _event(stage: LogStage, written: Written) -> JournalEvent:
    message = stage.store.read(written.name).data
    entry = entry_of(event_name(written.record, written.event_id), message)
    return JournalEvent(written.record, written.event_id, written.data, written.opening, 7, entry)


def sealing_large_log(figures: Figures) -> None:
    """Seal 1,000 events onto a log of 1,000, and onto one of 1,000,000, whose entries are made without their events.

    Without reconciliation: it reads a bounded part of the log in a run, and in this log would search all of it in vain.
    """
    took: dict[int, float] = {}
    cpu: dict[int, float] = {}
    rows: list[list[str | float]] = []
    for size in (MORE, LARGE):
        with log_stage(timedelta(milliseconds=100)) as stage:
            _made_log(stage, size)
            seconds, used = [], []
            for _ in range(5):
                stage.writer.write(MORE)
                before = time.process_time()
                report, one = stage.seal()
                used.append(time.process_time() - before)
                if report.sealed != MORE:
                    raise RuntimeError(f"the sealer reported {report}")
                seconds.append(one)
                stage.clock.now += timedelta(minutes=1)  # less than reconciliation rests: it would look for these
            took[size], cpu[size] = sorted(seconds)[2], sorted(used)[2]
            if size == LARGE:
                rows = list(_proofs(stage, _last(stage), figures, "log.large_proof"))
    ratio, cpu_ratio = took[LARGE] / took[MORE], cpu[LARGE] / cpu[MORE]
    rows = [
        [f"seal {MORE} onto {MORE}", MORE, took[MORE], ""],
        [f"seal {MORE} onto {LARGE}", MORE, took[LARGE], figures.add("log.seal.large_ratio", ratio, Bar(2))],
        [f"CPU of {MORE} onto {MORE}", MORE, cpu[MORE], ""],
        [f"CPU of {MORE} onto {LARGE}", MORE, cpu[LARGE], figures.add("log.seal.large_cpu_ratio", cpu_ratio, Bar(2))],
        *rows,
    ]
    print(table("A large log (median of 5)", ("what", "events", "seconds", "bar"), rows))


def _last(stage: LogStage) -> list[Written]:
    stage.clock.now += timedelta(minutes=1)
    written = stage.writer.write(PROOFS)
    stage.seal()
    return written


def _made_log(stage: LogStage, size: int) -> None:
    """A log of this size, of entries whose events are nowhere: sealing does not look for them again."""
    identity = Identities(stage.store, stage.keys, random_bytes=os.urandom).ensure(ORIGIN)
    edge, made = Edge(), 0
    while made < size:
        number = min(65_536, size - made)
        growth = grow(edge, [_entry(made + index) for index in range(number)])
        for tile, data in growth.written.items():
            if tile.full or made + number == size:
                stage.put(tile_name(tile), data, locked=tile.full)
        edge, made = growth.edge, made + number
    date = stage.clock().replace(microsecond=0)
    state = LogState(ORIGIN, edge, date, f"{date:%Y-%m-%d/%H/%M}")
    note = LogSigner(identity, stage.keys).sign(Checkpoint(ORIGIN, size, state.root).text())
    stage.put(dated_name(date, size), note, locked=True)
    stage.put(CHECKPOINT, note, locked=False)
    stage.put(PENDING, encode_state(state), locked=False)
    stage.clock.now += timedelta(seconds=1)


def _entry(number: int) -> bytes:
    digest = sha256(number.to_bytes(8, "big")).digest()
    return LogEntry(digest, digest, 2964, digest).encode()


def _resident_mb() -> float:
    """Memory that the process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6
