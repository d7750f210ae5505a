"""Scheduled functions on a local stage: a thread for each in the service's process, in place of a host's scheduler.

Each has its first run at the start (a laptop seldom serves for an hour), and the next one its rate after each end.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sceau.cli.apps import load_function
from sceau.http.chalice_app import TaskFailed
from sceau.http.log import LogEvent, log, place_of
from sceau.stage import Stage


def start_schedules(stage: Stage) -> None:
    """Start the threads. Raises what a function's building raises: a start that can't work fails here."""
    for name, every, run in scheduled(stage):
        # Daemons: a deletion stands for itself, so the process may end in the middle of a run.
        threading.Thread(target=repeat, args=(name, every, run), name=f"schedule-{name}", daemon=True).start()


def scheduled(stage: Stage) -> Iterator[tuple[str, timedelta, Callable[[], object]]]:
    """Name, rate and one run of each scheduled function that the chalicefile declares."""
    for name, function in stage.file.functions.items():
        if function.schedule is not None:
            module = load_function(stage, name)
            module.app.warm()
            handler = getattr(module, name)  # what a host calls: `app.<name>`
            yield name, function.schedule.every, lambda handler=handler: handler(scheduled_event(), None)


def repeat(
    name: str, every: timedelta, run: Callable[[], object], *, ended: Callable[[float], bool] | None = None
) -> None:
    """Run, wait, and so on until `ended`, which waits as many seconds as it is given, says so. A failure ends nothing."""
    wait = ended or threading.Event().wait
    while True:
        try:
            run()
        except TaskFailed:
            pass  # the app has logged it
        except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on, and the next run comes
            log(LogEvent.TASK_FAILED, function=name, error=type(error).__name__, place=place_of(error))
        if wait(every.total_seconds()):
            return


def scheduled_event() -> dict[str, Any]:
    """The event that EventBridge sends by schedule."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "",
        "resources": [],
        "detail": {},
    }
