"""Values read from elsewhere and kept for a bounded time. The clock is passed in with each call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedAge(Generic[K, V]):
    """Keeps what `load` gave for at most `max_age`, for at most `max_entries` keys. Safe under threads.

    `load` may raise: nothing is kept then, and an older value is never served in its place. Two threads may load the
    same key at once; both get a fresh value.
    """

    def __init__(self, load: Callable[[K], V], *, max_age: timedelta, max_entries: int = 1024) -> None:
        self._load = load
        self._max_age = max_age
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._kept: dict[K, tuple[datetime, V]] = {}

    def get(self, key: K, now: datetime) -> V:
        """The value for `key`, no older than `max_age` at `now`. Raises what `load` raises."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and abs(now - kept[0]) < self._max_age:
            return kept[1]
        value = self._load(key)
        with self._lock:
            if key not in self._kept and len(self._kept) >= self._max_entries:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (now, value)
        return value
