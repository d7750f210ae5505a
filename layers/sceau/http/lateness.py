"""The alarm of the log: its newest checkpoint is older than its limit.

Told by `journal` before each of its runs, and by `upkeep`, which needs none of the sealer's rights for it.
"""

from __future__ import annotations

from sceau.audit.log.lateness import LIMIT, overdue
from sceau.http.log import LogEvent, log
from sceau.http.runtime import Runtime


def tell_if_late(runtime: Runtime) -> bool:
    """Log the alarm when something came well after the newest checkpoint, and waits too long; whether it was logged.

    Raises LogUnavailable.
    """
    waited = overdue(runtime.store, runtime.clock())
    return waited is not None and tell_waited(runtime.function, int(waited.total_seconds()))


def tell_waited(function: str, seconds: int) -> bool:
    """Log the alarm when an event waited for more seconds than the limit; whether it was logged."""
    limit = int(LIMIT.total_seconds())
    if seconds > limit:
        log(LogEvent.LOG_LATE, function=function, oldest_seconds=seconds, limit_seconds=limit)
    return seconds > limit
