"""The function `journal`: by schedule, seals what is new in the journal into the verifiable log.

A run ends by itself, before its function's time is over, and what it did not get to, later runs will. Two runs at once
disturb nobody, and a run that dies is gone on with: see `sceau.audit.log.sealer`. The alarm `log-late` is logged when
the newest checkpoint was older than its limit, before a run that may fail, too; and by `upkeep`, in case none runs.
Then those outside who vouch for the log are asked, if the stage has any (`vouching`).
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Final

from sceau.audit.log.errors import LogDamaged
from sceau.audit.log.identity import Identities
from sceau.audit.log.sealer import Sealer
from sceau.http.chalice_app import Task
from sceau.http.lateness import tell_if_late, tell_waited
from sceau.http.log import LogEvent, log
from sceau.http.runtime import Runtime
from sceau.http.vouching import Vouching

LONGEST_RUN: Final = timedelta(seconds=50)
"""No batch begins later: the schedule's next run is near. A batch takes seconds."""


def log_origin(origin: str) -> str:
    """The name of a stage's log, from the stage's origin: the schema-less address below which it would be served."""
    return f"{origin.partition('://')[2]}/journal"


def identities_of(runtime: Runtime) -> Identities:
    """The log's keys, with the rights of `runtime`."""
    return Identities(runtime.store, runtime.keys, random_bytes=secrets.token_bytes)


def sealer_of(runtime: Runtime) -> Sealer:
    """The sealer of a stage, with the rights of `runtime`."""
    return Sealer(
        runtime.store,
        runtime.keys,
        origin=log_origin(runtime.origin),
        clock=runtime.clock,
        retention=timedelta(days=runtime.spec.retention_days),
        pool=partial(ThreadPoolExecutor, runtime.calls_at_once),
    )


def build(runtime: Runtime) -> Task:
    """The function's task: one run, logged."""
    sealer, vouching = sealer_of(runtime), Vouching(runtime)

    def task() -> dict[str, int | float]:
        started = runtime.clock()
        told = tell_if_late(runtime)
        try:
            report = sealer.run(started + LONGEST_RUN)
        except LogDamaged as error:  # what the log says of itself may be a fork: an alarm, not merely a run that failed
            log(LogEvent.DAMAGED, function=runtime.function, error=str(error))
            raise
        if not told:
            tell_waited(runtime.function, report.waited_seconds)
        vouched = vouching.run()
        figures = report.figures() | vouched | {"seconds": round((runtime.clock() - started).total_seconds(), 3)}
        if report.sealed or report.alarms or not report.finished or vouched:
            log(LogEvent.SEALED, **figures)
        if report.alarms:
            log(LogEvent.DAMAGED, function=runtime.function, **report.alarms)
        return figures

    return task
