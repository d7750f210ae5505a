"""The function `upkeep`: by schedule, deletes what is over, and makes locks last as long as records live.

It carries out what is due on records (`sceau.http.due`): for that it opens and replaces dossiers, deletes a record's
objects, and appends events; it opens no document. Once a day it measures what the stage relies on; of the other keys it
may ask only what they are. A run ends by itself, well before its function's time is over, and what it did not get to,
later runs will. If it dies in the middle, nothing is half done: each deletion and each lock stands for itself. Two runs
at once disturb nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.extending import LockKeeper, Locks, LocksTally
from sceau.envelope.messages import Envelope
from sceau.http.chalice_app import Task
from sceau.http.due import DueTally, DueWork
from sceau.http.journals import journal_of, server_identity
from sceau.http.lateness import tell_if_late
from sceau.http.log import LogEvent, log
from sceau.http.runtime import Runtime
from sceau.identity import replay, revocation
from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects, ObjectStore
from sceau.records.ids import encode_id
from sceau.records.repository import Records, dossier_name
from sceau.records.sweep import Budget, RecordsTally, Tally, sweep_documents, sweep_marks

LONGEST_RUN: Final = timedelta(minutes=4)
"""A fifth for each kind of object: a flood of one must not keep the others waiting. The function may run longer."""

MOST_MARKS: Final = 100_000
"""Marks of one kind that a run deletes."""

_DAILY: Final = "probe/daily/"
"""Here lies a mark of the day on which the stage was last measured."""

MOST_DUE: Final = 1_000
"""Records that a run closes or ends: a mistake in the settings must not empty a stage in an hour."""

MOST_DOCUMENTS: Final = 1_000
"""Documents that a run deletes. Few are ever unreachable: a mistake, or sabotage, must not empty a store in an hour."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did."""

    replay: Tally
    revoked: Tally
    due: DueTally
    documents: RecordsTally
    locks: LocksTally
    seconds: float

    def figures(self) -> dict[str, int | float]:
        """Numbers only, for the log: no list of records is kept there."""
        tallies = {"replay": self.replay, "revoked": self.revoked, "documents": self.documents}
        figures: dict[str, int | float] = {}
        for name, tally in tallies.items():
            figures |= {f"{name}_swept": tally.swept, f"{name}_kept": tally.kept}
        return figures | {
            "records_closed": self.due.closed,
            "records_deleted": self.due.deleted,
            "dossiers_damaged": len(self.documents.damaged) + len(self.due.damaged),
            "dossiers_missing": len(self.documents.without_dossier),
            "locks_looked_at": self.locks.looked,
            "locks_extended": self.locks.extended,
            "locks_absent": self.locks.unlocked,
            "failed": self.failed,
            "finished": self.finished,
            "seconds": self.seconds,
        }

    @property
    def failed(self) -> int:
        """Objects and listings for which the store did not answer."""
        return self.replay.failed + self.revoked.failed + self.due.failed + self.documents.failed + self.locks.failed

    @property
    def finished(self) -> bool:
        """Whether everything was looked at."""
        parts = (self.replay, self.revoked, self.due, self.documents, self.locks)
        return all(part.finished for part in parts)


class Upkeep:
    """Sweeps a stage's store, and has its locks kept. `random_bytes` chooses the record that a sweep begins with."""

    def __init__(
        self,
        store: ImmutableObjects,
        clock: Callable[[], datetime],
        keeper: LockKeeper,
        due: DueWork,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._keeper = keeper
        self._due = due
        self._random_bytes = random_bytes

    def run(self) -> Report:
        """Sweep once. What the store does not answer for is counted, and left to the next run."""
        started = self._clock()

        def is_over(name: str) -> bool:
            return replay.is_sweepable(name, started)

        def budget(deletions: int, fifths: int) -> Budget:
            return Budget(deletions, started + LONGEST_RUN * fifths / 5, self._clock)

        marks = sweep_marks(self._store, replay.PREFIX, is_over, budget(MOST_MARKS, 1))
        revoked = sweep_marks(self._store, revocation.PREFIX, is_over, budget(MOST_MARKS, 2))
        due = self._due.run(budget(MOST_DUE, 3))
        first = encode_id(self._random_bytes(16))
        documents = sweep_documents(self._store, budget(MOST_DOCUMENTS, 4), start=first)
        locks = self._keeper.run(started + LONGEST_RUN)
        return Report(marks, revoked, due, documents, locks, round((self._clock() - started).total_seconds(), 3))


def record_lives(store: ObjectStore, record_id: str) -> bool:
    """Whether a record lives: it has a dossier. Whoever ends a record, years after its closure, deletes that first."""
    name = dossier_name(record_id)
    return next(iter(store.list(name)), None) == name


def locks_of(runtime: Runtime) -> Locks:
    """What must be locked on a stage, with the rights of `runtime`."""
    store = runtime.store
    retention = timedelta(days=runtime.spec.retention_days)
    return Locks(store, clock=runtime.clock, retention=retention, lives=lambda record: record_lives(store, record))


def upkeep_of(runtime: Runtime) -> Upkeep:
    """The upkeep of a stage, with the rights of `runtime`."""
    pool = partial(ThreadPoolExecutor, runtime.calls_at_once)
    keeper = LockKeeper(runtime.store, locks_of(runtime), clock=runtime.clock, pool=pool)
    due = DueWork(
        runtime.store,
        Records(runtime.store, Envelope(runtime.keys)),
        journal_of(runtime).append,
        server_identity(runtime),
        settings=runtime.spec.rules,
        clock=runtime.clock,
    )
    return Upkeep(runtime.store, runtime.clock, keeper, due)


def check_daily(runtime: Runtime) -> dict[str, int]:
    """Once a day, measure what the stage relies on. What does not hold is logged as `property-lost`: the alarm.

    The day's mark is written last: a check that died is made again by the next run. Raises ObjectStoreUnavailable.
    """
    today = f"{_DAILY}{runtime.clock():%Y-%m-%d}"
    earlier = list(runtime.store.list(_DAILY))
    if today in earlier:
        return {}
    lost, checked = 0, 0
    for finding in runtime.properties():
        checked += 1
        if not finding.held:
            lost += 1
            log(LogEvent.PROPERTY_LOST, function=runtime.function, property=finding.name, seen=finding.seen)
    if not checked:
        return {}
    with suppress(ObjectExists):
        runtime.store.create(today, b"")
    for name in earlier:
        with suppress(ObjectAbsent):
            runtime.store.delete(name)
    return {"properties_checked": checked, "properties_lost": lost}


def build(runtime: Runtime) -> Task:
    """The function's task: one run, logged."""
    upkeep = upkeep_of(runtime)

    def task() -> dict[str, int | float]:
        report = upkeep.run()
        figures = report.figures()
        try:
            figures |= check_daily(runtime)
        except ObjectStoreUnavailable as error:
            # Whatever keeps it from being measured: nobody can say that it holds.
            log(LogEvent.PROPERTY_LOST, function=runtime.function, property="daily check", seen=str(error))
        try:
            tell_if_late(runtime)
        except LogUnavailable:
            log(LogEvent.UNAVAILABLE, function=runtime.function)
        log(LogEvent.SWEPT, **figures)
        if report.documents.damaged or report.documents.without_dossier or report.due.damaged:
            # A dossier is deleted after all its documents: one that is gone before was lost, or taken away.
            # `sceau upkeep run` names them.
            damaged, missing = figures["dossiers_damaged"], figures["dossiers_missing"]
            log(LogEvent.DAMAGED, function=runtime.function, dossiers_damaged=damaged, dossiers_missing=missing)
        if report.locks.unlocked:
            log(LogEvent.DAMAGED, function=runtime.function, locks_absent=report.locks.unlocked)
        if report.failed:
            log(LogEvent.UNAVAILABLE, function=runtime.function, failed=report.failed)
        return figures

    return task
