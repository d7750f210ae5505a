"""Scheduled functions on a local stage: a thread for each in the service's process, in place of a host's scheduler.

Each has its first run at the start (a laptop seldom serves for an hour), and the next one its rate after each end.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sceau.http.chalice_app import TaskFailed
from sceau.http.log import LogEvent, log, place_of

Wait = Callable[[float], bool]
"""Waits as many seconds as it is given; true when there is to be no further run."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A function that runs by schedule: its name, its rate, and what a host calls with an event and a context."""

    name: str
    every: timedelta
    handler: Callable[[dict[str, Any], Any], object]


def start_schedule(function: Scheduled) -> None:
    """Run the function from now on, in a thread that ends with the process, if need be in the middle of a run."""
    thread = threading.Thread(
        target=repeat, args=(function, threading.Event().wait), name=f"schedule-{function.name}", daemon=True
    )
    thread.start()


def repeat(function: Scheduled, wait: Wait) -> None:
    """Run, wait, run, and so on. A run that fails is logged, and the next one comes all the same."""
    while True:
        try:
            function.handler(scheduled_event(), None)
        except TaskFailed:
            pass  # the app has logged it
        except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on
            log(LogEvent.TASK_FAILED, function=function.name, error=type(error).__name__, place=place_of(error))
        if wait(function.every.total_seconds()):
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
