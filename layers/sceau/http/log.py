"""The operations log: one JSON line per event of a closed list. Never a body, a header, a token, an INS or a name."""

from __future__ import annotations

import json
import logging
import sys
from enum import Enum
from typing import TextIO

from sceau.objects.errors import ObjectStoreUnavailable


class LogEvent(Enum):
    """Everything that the service may log: (name, level)."""

    STARTED = ("started", logging.INFO)
    NOT_STARTED = ("not-started", logging.CRITICAL)
    ANSWERED = ("answered", logging.INFO)
    REFUSED = ("refused", logging.INFO)
    BAD_INPUT = ("bad-input", logging.INFO)
    NOT_AUTHENTICATED = ("not-authenticated", logging.INFO)
    PAST_THE_FRONT = ("past-the-front", logging.WARNING)
    UNAVAILABLE = ("unavailable", logging.ERROR)
    DAMAGED = ("damaged", logging.CRITICAL)
    UNEXPECTED = ("unexpected", logging.CRITICAL)
    NOT_COUNTED = ("refusals-not-counted", logging.ERROR)
    MATRIX = ("habilitation-matrix", logging.INFO)
    SWEPT = ("swept", logging.INFO)
    EXPUNGED = ("expunged", logging.INFO)
    SEALED = ("sealed", logging.INFO)
    LOG_LATE = ("log-late", logging.CRITICAL)
    REWRAPPED = ("rewrapped", logging.INFO)
    KEY_GONE = ("key-version-gone", logging.CRITICAL)
    PROPERTY_LOST = ("property-lost", logging.CRITICAL)
    TASK_FAILED = ("task-failed", logging.ERROR)


_LOGGER = logging.getLogger("sceau")

_TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3")
"""Libraries that write requests and answers at DEBUG: encryption contexts, names of objects, signed headers."""


def hush() -> None:
    """Keep libraries from writing what they send and get, whatever level this process or its host logs from.

    On their own loggers, not on a handler: hosts of functions add a handler of theirs to the root logger.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def log(event: LogEvent, **facts: str | int | float | None) -> None:
    """Log an event with facts that are safe to keep: ids of requests and events, statuses, routes, durations."""
    name, level = event.value
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, json.dumps({"event": name, **facts}, separators=(",", ":")))


def configure(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send the log to a stream (standard error), as the process that owns the terminal or the container wants it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False
    hush()


def reason_of(error: BaseException | None) -> str | None:
    """The word by which the store failed, wherever in the chain of causes it is; None when it was not the store."""
    while error is not None:
        if isinstance(error, ObjectStoreUnavailable) and error.reason:
            return error.reason
        error = error.__cause__ or error.__context__
    return None


def place_of(error: BaseException) -> str:
    """Where an error was raised: function and line, never its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "unknown"
