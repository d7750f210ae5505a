"""Refusals before authentication: counted, and written as one event per process and minute.

Storing them one by one would let anybody fill a store that nobody can empty.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sceau.audit.errors import JournalUnavailable
from sceau.audit.facts import RefusalCounts, Server, is_reason
from sceau.audit.journal import Journal

MOST_REASONS = 64
"""How many reasons are told apart in a minute. Reasons are codes of ours: more would be a mistake, and go to OTHER."""

OTHER = "other"
_MINUTE = timedelta(minutes=1)


class RefusalCounter:
    """Counts refusals of one process, and appends their event to `journal` when their minute is over.

    Call `settle` at the start of every request and `close` at shutdown. When the process is killed, the counts of its
    last minute are lost. Safe under threads.
    """

    def __init__(self, journal: Journal, server: Server, *, clock: Callable[[], datetime]) -> None:
        self._journal = journal
        self._server = server
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._first: datetime | None = None  # of what is counted; None: nothing
        self._last: datetime | None = None
        self._due: datetime | None = None  # when to write it

    def count(self, reason: str) -> None:
        """Count a refusal; `reason` is a stable code, and anything else counts as OTHER."""
        now = self._clock()
        with self._lock:
            self._add(Counter({reason if is_reason(reason) else OTHER: 1}), now, now)
            self._due = self._due or _next_minute(now)

    def settle(self) -> str | None:
        """Write what was counted in a minute that is over; return the event's id if one was written.

        When the journal is not available the counts stay, and are tried again a minute later: a refused caller must
        not find out whether the journal works, nor wait for it twice.
        """
        now = self._clock()
        with self._lock:
            if self._due is None or now < self._due:
                return None
        try:
            return self._write(now)
        except JournalUnavailable:
            return None

    def close(self) -> str | None:
        """Write what is counted, whatever the minute; return the event's id if one was written.

        Raises JournalUnavailable; the counts then stay.
        """
        return self._write(self._clock())

    def _write(self, now: datetime) -> str | None:
        with self._lock:
            counts, first, last = self._counts, self._first, self._last
            if first is None or last is None:
                return None
            self._counts, self._first, self._last, self._due = Counter(), None, None, None
        try:
            # Outside the lock: other requests are refused, and counted, meanwhile.
            return self._journal.append(RefusalCounts(self._server, first, last, dict(counts)))
        except JournalUnavailable:
            with self._lock:
                self._add(counts, first, last)
                self._due = _next_minute(now)
            raise

    def _add(self, counts: Counter[str], first: datetime, last: datetime) -> None:
        for reason, number in counts.items():
            known = reason in self._counts or len(self._counts) < MOST_REASONS
            self._counts[reason if known else OTHER] += number
        self._first = min(first, self._first or first)
        self._last = max(last, self._last or last)


def _next_minute(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
