"""The function `expunge`: by schedule, removes for good what a host keeps of records that were deleted.

It goes by the marks that `upkeep` leaves (`sceau.records.ended`), and believes of them that a record ended, not when:
the store itself dates the mark and each deletion, and nothing goes that a deletion has not hidden for the stage's
`deleted_versions_days`. So what was deleted by sabotage, marks and all, can be brought back for so long. What can be
read is never touched: the port has no call for it.

It holds no key that opens anything. An event is written before each record; where our clock and the store's differ
there is none, and nothing goes. It may die anywhere, and run twice at once: contents go the oldest first, the deletion
that hides them last, and the mark is there until nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sceau.audit.errors import JournalUnavailable
from sceau.audit.facts import OwnAct, OwnFacts, Server
from sceau.http.chalice_app import Task
from sceau.http.journals import journal_of, server_identity
from sceau.http.log import LogEvent, log
from sceau.http.runtime import Runtime
from sceau.keys.errors import KeyServiceError
from sceau.objects.errors import ObjectAbsent, ObjectLocked, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects
from sceau.records.ended import ENDED, EXPUNGED, is_told, leave_expunged, parse_ended
from sceau.records.sweep import Budget, Tally, sweep_marks

LONGEST_RUN: Final = timedelta(minutes=4)
"""The function may run longer. Most of it is for records; what is left is for marks that everybody has seen."""

MOST_RECORDS: Final = 1_000
"""Records that one run expunges: as many as `upkeep` ends in one, so that no mistake destroys a stage in an hour."""

MOST_MARKS: Final = 10_000
"""Marks of expunged records that one run sweeps."""

STEP: Final = 100
"""Contents and deletions of one object that go between two looks at the clock."""


@dataclass(slots=True)
class Report:
    """What one run did. `records`: of which nothing is kept any more; `removed`: contents and deletions.

    `waiting`: marks of records that were deleted too short a time ago. `failed`: records left to the next run, since
    store or journal did not answer. `locked`: ids of records of which something is locked: nothing of ours does that.
    """

    records: int = 0
    removed: int = 0
    waiting: int = 0
    failed: int = 0
    locked: list[str] = field(default_factory=list)
    marks: Tally = field(default_factory=Tally)
    finished: bool = True
    seconds: float = 0.0

    def figures(self) -> dict[str, int | float]:
        """Numbers only, for the log: no list of records is kept there."""
        return {
            "records_expunged": self.records,
            "versions_removed": self.removed,
            "records_waiting": self.waiting,
            "records_locked": len(self.locked),
            "marks_swept": self.marks.swept,
            "failed": self.failed + self.marks.failed,
            "finished": self.finished and self.marks.finished,
            "seconds": self.seconds,
        }


class Expunging:
    """Removes what is kept of ended records. `append` writes an event and returns its id.

    `after`: how long a deletion must have stood.
    """

    def __init__(
        self,
        store: ImmutableObjects,
        append: Callable[[OwnFacts], str],
        server: Server,
        *,
        after: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._append = append
        self._server = server
        self._after = after
        self._clock = clock

    def run(self) -> Report:
        """Look at every mark that is old enough, the oldest first."""
        started, report = self._clock(), Report()
        budget = Budget(MOST_RECORDS, started + LONGEST_RUN * 4 / 5, self._clock)
        try:
            for name, record_id in self._marks(started):
                if budget.is_spent():
                    report.finished = False
                    break
                self._look(name, record_id, budget, report)
        except ObjectStoreUnavailable:
            report.failed += 1
            report.finished = False
        rest = Budget(MOST_MARKS, started + LONGEST_RUN, self._clock)
        report.marks = sweep_marks(self._store, EXPUNGED, lambda name: is_told(name, started), rest)
        report.seconds = round((self._clock() - started).total_seconds(), 3)
        return report

    def _marks(self, now: datetime) -> Iterator[tuple[str, str]]:
        for name in self._store.list(ENDED):
            mark = parse_ended(name)
            if mark is None:
                continue
            if mark[0] > (now - self._after).astimezone(UTC).date():
                return  # names are in order
            yield name, mark[1]

    def _look(self, name: str, record_id: str, budget: Budget, report: Report) -> None:
        try:
            if self._is_done(name, record_id, budget, report):
                leave_expunged(self._store, name)
                with suppress(ObjectAbsent):  # another run was first
                    self._store.delete(name)
        except ObjectAbsent:
            return  # the mark: somebody took it away, who restored the record, or another run
        except ObjectLocked:
            report.locked.append(record_id)
        except (ObjectStoreUnavailable, KeyServiceError, JournalUnavailable):
            report.failed += 1

    def _is_done(self, name: str, record_id: str, budget: Budget, report: Report) -> bool:
        """Remove what may go of one record; whether nothing is left that was deleted."""
        before = self._clock() - self._after
        if self._store.written_at(name) >= before:
            report.waiting += 1
            return False
        # The record's own prefix, made from an id that has been parsed: no name of another one begins so.
        deleted = [kept.name for kept in self._store.versions(f"records/{record_id}/") if kept.deletions]
        if not deleted:
            return True  # an earlier run has done it, or the store keeps nothing
        budget.deletions -= 1
        details = {"deleted-before": before.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        self._append(OwnFacts(OwnAct.EXPUNGE, self._server, record_id, 0, details))
        left = [one for one in deleted if not self._expunged(one, before, budget, report)]
        report.records += not left
        return not left

    def _expunged(self, name: str, before: datetime, budget: Budget, report: Report) -> bool:
        """Remove what is behind old deletions of one object; whether nothing that was deleted is left."""
        while self._clock() < budget.until:
            done = self._store.expunge(name, deleted_before=before, most=STEP)
            report.removed += done.removed
            if not done.left or not done.removed:
                return not done.left
        report.finished = False
        return False


def expunging_of(runtime: Runtime) -> Expunging:
    """The work on a stage, with the rights of `runtime`."""
    return Expunging(
        runtime.store,
        journal_of(runtime).append,
        server_identity(runtime),
        after=timedelta(days=runtime.spec.rules.deleted_versions_days),
        clock=runtime.clock,
    )


def build(runtime: Runtime) -> Task:
    """The function's task: one run, logged."""
    expunging = expunging_of(runtime)

    def task() -> dict[str, int | float]:
        report = expunging.run()
        figures = report.figures()
        log(LogEvent.EXPUNGED, **figures)
        if report.locked:
            log(LogEvent.DAMAGED, function=runtime.function, records_locked=len(report.locked))
        if figures["failed"]:
            log(LogEvent.UNAVAILABLE, function=runtime.function, failed=figures["failed"])
        return figures

    return task
