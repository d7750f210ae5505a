"""Backup and restoration of a stage with 10,000 documents: recovery point and recovery time.

From the stage's store to a folder of the same disk, and back; with the local stage, a journal of two events for each
document is sealed, copied and verified too. A network and a second provider make it slower: what is measured is ours.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.events import EventWriter, SteppingClock
from benchmarks.figures import Bar, Figures, table
from benchmarks.logs import ORIGIN
from benchmarks.records import RecordWriter, nobodies
from benchmarks.stage import made_stage
from sceau.audit.log.notes import parse_vkeys
from sceau.audit.log.places import VKEYS
from sceau.audit.log.sealer import Sealer
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verifier
from sceau.http.runtime import THREADS
from sceau.objects.filesystem import FilesystemStore
from sceau.objects.scoped import ScopedStore
from sceau.records.backup.copying import BackupRun, Report
from sceau.records.backup.restoring import Restoration
from sceau.records.backup.verifying import verify_backup
from sceau.stage import Stage
from sceau_schemas.stores import FilesystemStoreSpec

RECORDS, EACH = 500, 20
"""10,000 documents of 50 KB."""

MORE = 10
"""Records of which the second run finds another dozen documents each."""

RETENTION = timedelta(days=3653)
FORGETS_AFTER = timedelta(days=30)
_T = TypeVar("_T")


class Took(NamedTuple):
    """Seconds by the clock, and of this process's processor time."""

    seconds: float
    cpu: float


def backup(figures: Figures) -> None:
    """Measure: the first run, one that finds nothing, one that finds little, a verification, a restoration."""
    with tempfile.TemporaryDirectory(prefix="sceau-backup-") as home, made_stage(Path(home) / "stage") as made:
        stage = made.stage
        writer = RecordWriter(stage)
        patients = nobodies(RECORDS + MORE)
        owners = [writer.write(patient, EACH).record_id for patient in patients[:RECORDS]]
        events = _journal(stage, owners)
        second = _store(Path(home) / "second")
        first, all_new = _timed(lambda: _run(stage, second))
        nothing, idle = _timed(lambda: _run(stage, second))
        for patient in patients[RECORDS:]:
            writer.write(patient, EACH)
        little, some = _timed(lambda: _run(stage, second))
        with ThreadPoolExecutor(THREADS) as pool:
            found, checked = _timed(lambda: verify_backup(second, pool, now=_now(), forgets_after=FORGETS_AFTER))
            target = _store(Path(home) / "restored")
            restoration = Restoration(second, target, clock=_now, pool=pool, retention=RETENTION)
            done, restored = _timed(lambda: restoration.run(stage.name))
        problems = [*first.problems, *nothing.problems, *little.problems, *found.findings, *done.findings]
        if problems:
            raise AssertionError(problems[0])
        verified = _verified(target) if events else Took(0.0, 0.0)
    rows = (
        ("first run", "first", first.contents, all_new),
        ("a run that finds nothing new", "idle", nothing.looked_at, idle),
        (f"a run that finds {MORE * EACH} documents", "little", little.contents, some),
        ("verification", "verify", found.contents, checked),
        ("restoration", "restore", done.objects, restored),
        ("`sceau log verify` after it", "log_verify", events, verified),
    )
    for _, name, _, took in rows:
        figures.add(f"backup.{name}.s", took.seconds)
        figures.add(f"backup.{name}.cpu_s", took.cpu)
    figures.add("backup.recovery_time_s", restored.seconds + verified.seconds, Bar(900))
    print(
        table(
            f"Backup: {RECORDS * EACH} documents of 50 KB in {RECORDS} records, {events} events, "
            f"{first.bytes / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}",
            ("what", "objects", "seconds", "CPU s"),
            [(what, number, took.seconds, took.cpu) for what, _, number, took in rows],
        )
    )
    print(f"Recovery time: {restored.seconds + verified.seconds:.0f} s, the log's verification included.")
    print(f"Recovery point: what was acknowledged since the last run began ({idle.seconds:.1f} s when nothing is new).")


def _journal(stage: Stage, owners: list[str]) -> int:
    """A sealed journal of two events for each document, where the store is a folder; how many."""
    spec = stage.spec.store
    if not isinstance(spec, FilesystemStoreSpec):
        return 0
    number = 2 * RECORDS * EACH
    apart = timedelta(milliseconds=20)
    clock = SteppingClock(_now() - number * apart - timedelta(minutes=10))
    writer = EventWriter(stage.base / spec.folder, stage.keys(), clock, owners, apart)
    for _ in range(number):
        writer.write(1)
        clock.now += apart
    store = FilesystemStore(stage.base / spec.folder, clock)
    sealer = Sealer(store, stage.keys(), origin=ORIGIN, clock=clock, retention=RETENTION, pool=ThreadPoolExecutor)
    sealer.run()
    return number


def _run(stage: Stage, second: FilesystemStore) -> Report:
    store = stage.tool("backup").store
    if not isinstance(store, ScopedStore):
        raise TypeError("a tool has a store with its own rights only")
    with ThreadPoolExecutor(THREADS) as pool:
        return BackupRun(store, second, clock=_now, pool=pool, forgets_after=FORGETS_AFTER).run(stage.name)


def _verified(target: FilesystemStore) -> Took:
    keys = parse_vkeys(target.read(VKEYS).data.decode())
    verification, took = _timed(lambda: Verifier(LiveSource(target), keys, now=_now(), retention=RETENTION).verify())
    if not verification.good:
        raise AssertionError(str(next(iter(verification.findings))))
    return took


def _store(root: Path) -> FilesystemStore:
    FilesystemStore.create_root(root)
    return FilesystemStore(root, _now)


def _now() -> datetime:
    return datetime.now(UTC)


def _timed(act: Callable[[], _T]) -> tuple[_T, Took]:
    started, processor = time.perf_counter(), time.process_time()
    return act(), Took(time.perf_counter() - started, time.process_time() - processor)
