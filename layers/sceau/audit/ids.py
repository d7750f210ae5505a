"""Event ids, and the names of the objects that events rest in. Frozen: see `docs/formats/audit-event.md`.

An event id is a UUIDv7 (RFC 9562, 5.7), so ids sort by time, and the name of an event's object follows from its id.
The counter of method 1 (RFC 9562, 6.2) stands in `rand_a`: ids of one process strictly increase.
"""

from __future__ import annotations

import functools
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sceau.audit.errors import JournalUnavailable

EVENTS_PREFIX = "journal/events/"
NO_RECORD = "0"
"""Stands for the record-id in the name and the encryption context of an event that is about no record."""

CLOCK_TOLERANCE = timedelta(seconds=60)
"""How far a process's clock may step back before no more events are written: their times would be known to be wrong."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TOLERANCE_MS = CLOCK_TOLERANCE // _MILLISECOND
_COUNTER_LAST = 0xFFF
_COUNTER_SEED_MASK = 0x7FF  # the first id of a millisecond leaves at least 2,048 for those that follow
_RECORD = re.compile(r"0|[a-z2-7]{26}")
_NAME = re.compile(r"journal/events/\d{4}-\d\d-\d\d/\d\d/\d\d/([a-z0-9]{1,26})\.([0-9a-f-]{36})")
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


class EventIds:
    """Makes event ids from `clock` (aware datetimes) and `random_bytes`. Safe under threads."""

    def __init__(self, clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._millisecond = -1
        self._counter = 0

    def new(self) -> str:
        """A new id, greater than all before; its time is the clock's, or the last id's when the clock is behind it.

        Raises JournalUnavailable when the clock is more than CLOCK_TOLERANCE behind the last id.
        """
        now = (self._clock() - _EPOCH) // _MILLISECOND
        random = int.from_bytes(self._random_bytes(10))
        with self._lock:
            if now < self._millisecond - _TOLERANCE_MS:
                raise JournalUnavailable("the clock went back too far")
            if now > self._millisecond:
                self._millisecond, self._counter = now, (random >> 64) & _COUNTER_SEED_MASK
            elif self._counter < _COUNTER_LAST:
                self._counter += 1
            else:  # 2,048 ids or more in a millisecond: borrow from the next one
                self._millisecond, self._counter = self._millisecond + 1, (random >> 64) & _COUNTER_SEED_MASK
            millisecond, counter = self._millisecond, self._counter
        rand_b = random & ((1 << 62) - 1)
        return str(uuid.UUID(int=millisecond << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | rand_b))


def check_event_id(text: str) -> str:
    """Return `text` when it is an event id in canonical form (lowercase, hyphens), else raise ValueError."""
    value = uuid.UUID(text)
    if str(value) != text or value.version != 7 or _at(value) >= _LATEST:  # noqa: PLR2004 - UUIDv7
        raise ValueError("not an event id")
    return text


def check_record(record_id: str) -> str:
    """Return `record_id` when it is a record-id, or "0", else raise ValueError."""
    if not _RECORD.fullmatch(record_id):
        raise ValueError("not a record-id")
    return record_id


def event_time(event_id: str) -> datetime:
    """The time that an event id carries: milliseconds, UTC. Raises ValueError for anything but an event id."""
    return _at(uuid.UUID(check_event_id(event_id)))


def event_name(record_id: str, event_id: str) -> str:
    """The name of the event's object; `record_id` is "0" where there is none. Raises ValueError."""
    return f"{minute_prefix(event_time(event_id))}{check_record(record_id)}.{event_id}"


@functools.lru_cache(maxsize=16384)  # who seals or verifies millions parses each name several times, one after another
def parse_event_name(name: str) -> tuple[str, str]:
    """Return (record-id or "0", event-id). Raises ValueError for any name that `event_name` can't have made."""
    match = _NAME.fullmatch(name)
    if not match or event_name(match[1], match[2]) != name:
        raise ValueError("not the name of an event")
    return match[1], match[2]


def day_prefix(time: datetime) -> str:
    """What the names of all events of a day (UTC) begin with."""
    return f"{EVENTS_PREFIX}{_utc(time):%Y-%m-%d}/"


def minute_prefix(time: datetime) -> str:
    """What the names of all events of a minute (UTC) begin with."""
    return f"{EVENTS_PREFIX}{_utc(time):%Y-%m-%d/%H/%M}/"


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _at(value: uuid.UUID) -> datetime:
    milliseconds = value.int >> 80
    if milliseconds >= (_LATEST - _EPOCH) // _MILLISECOND:
        return _LATEST
    return _EPOCH + milliseconds * _MILLISECOND
