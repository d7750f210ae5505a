"""The write-once journal: append an event and know that it rests; find a record's events and read them.

Writer and reader are separate: a function that appends needs neither to list nor to read, and no key that opens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sceau.audit import sealed
from sceau.audit.balp import event_bytes
from sceau.audit.errors import EventAbsent, EventDamaged, EventLocked, JournalUnavailable
from sceau.audit.facts import EventFacts, OwnFacts, RefusalCounts
from sceau.audit.ids import (
    NO_RECORD,
    EventIds,
    check_event_id,
    check_record,
    day_prefix,
    event_name,
    event_time,
    minute_prefix,
    parse_event_name,
)
from sceau.audit.log.entries import LogEntry, entry_of
from sceau.audit.retention import clocks_agree, lock_end
from sceau.envelope import contexts
from sceau.envelope.batch import BatchOpener, BatchSealer
from sceau.envelope.errors import MessageRefused
from sceau.keys.errors import KeyServiceError, KeyVersionGone
from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreError, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects

SENDINGS = 3
"""How often one create is sent when its answers leave open whether it was written."""

_NAMES = 3  # two names taken by others would mean that random numbers repeat
_SKIPPED = 1000  # names of other records passed over before asking the store anew: a page of S3's
_IN_MINUTE = re.compile(r"journal/events/[^/]+/[0-9]{2}/[0-9]{2}/[^/]+")
_DAY = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)


class Journal:
    """Appends events to `objects`, sealed by `sealer`, locked for `retention` and more from the event's time.

    `clock` (aware) and `random_bytes` make ids and openings. Safe under threads.
    """

    def __init__(
        self,
        objects: ImmutableObjects,
        sealer: BatchSealer,
        *,
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        retention: timedelta,
    ) -> None:
        if retention <= timedelta(0):
            raise ValueError("events are kept for some time")
        self._objects = objects
        self._sealer = sealer
        self._clock = clock
        self._ids = EventIds(clock, random_bytes)
        self._random_bytes = random_bytes
        self._retention = retention

    def append(self, facts: EventFacts | OwnFacts | RefusalCounts) -> str:
        """Write the event of `facts` and return its id once the store has confirmed it.

        Raises JournalUnavailable when it is not confirmed: the act must not happen. (The event may rest all the same:
        it then says what was about to be done, and no dossier version carries it.) So it does when the store's clock
        and ours are more than a minute apart: times and locks that are known to be wrong can't be taken back.
        Raises ValueError when no event can be made of `facts`.
        """
        self._require_clock()
        record, version = NO_RECORD, 0
        if not isinstance(facts, RefusalCounts):
            record, version = facts.record_id or NO_RECORD, facts.dossier_version
        evidence = facts.evidence if isinstance(facts, EventFacts) else None
        for _ in range(_NAMES):
            event_id = self._ids.new()
            message = self._sealed(record, event_id, version, event_bytes(facts, event_id), evidence)
            if self._written(event_name(record, event_id), message, lock_end(event_time(event_id), self._retention)):
                return event_id
        raise JournalUnavailable("the names of new events are taken")

    def _require_clock(self) -> None:
        try:
            agree = clocks_agree(self._clock(), self._objects.time())
        except ObjectStoreError as error:
            raise JournalUnavailable("the store does not tell the time") from error
        if not agree:
            raise JournalUnavailable("our clock and the store's are more than a minute apart")

    def _sealed(self, record: str, event_id: str, version: int, event: bytes, evidence: bytes | None) -> bytes:
        opening = self._random_bytes(sealed.OPENING_BYTES)
        carried = contexts.Carried(sealed.commitment(opening, event), version)
        plaintext = sealed.encode(opening, event, evidence)
        try:
            return self._sealer.seal(plaintext, contexts.event_to_seal(record, event_id, carried))
        except KeyServiceError as error:
            raise JournalUnavailable("an event could not be sealed") from error

    def _written(self, name: str, message: bytes, until: datetime) -> bool:
        """True when the object is ours and rests; False when the name was another's: then nothing was written.

        A refusal as existing means ours only after an answer that left it open: names are random, and no other
        writer has this one. This function can't read, so it can't compare.
        """
        uncertain = False
        for _ in range(SENDINGS):
            try:
                self._objects.create(name, message, locked_until=until)
            except ObjectExists:
                return uncertain
            except ObjectStoreUnavailable as error:
                if not error.maybe_written and not uncertain:
                    raise JournalUnavailable("an event could not be written") from error
                uncertain = True
            except ObjectStoreError as error:
                raise JournalUnavailable("an event could not be written") from error
            else:
                return True
        raise JournalUnavailable("it is not known whether an event was written")


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """An event as read: the AuditEvent's exact bytes, the opening of its commitment, the dossier version it saw, and
    the entry that the log has of it, once it is sealed. `evidence`: of who sent it, with a submission; never shown."""

    record_id: str
    event_id: str
    data: bytes
    opening: bytes
    dossier_version: int
    entry: LogEntry
    evidence: bytes | None = field(default=None, repr=False)


class JournalReader:
    """Finds and reads events. Safe under threads."""

    def __init__(self, objects: ImmutableObjects, opener: BatchOpener) -> None:
        self._objects = objects
        self._opener = opener

    def read(self, record_id: str, event_id: str) -> JournalEvent:
        """Return an event of a record ("0": of none), checked against its place and its commitment.

        Raises EventAbsent (also for what is no id), EventDamaged, EventLocked, JournalUnavailable.
        """
        try:
            name = event_name(record_id, event_id)
        except ValueError:
            raise EventAbsent("no event has this id") from None
        try:
            message = self._objects.read(name).data
            opened = self._opener.open(message, contexts.event(record_id, event_id), carried=contexts.EVENT_CARRIED)
            carried = contexts.read_carried(opened.context)
        except ObjectAbsent:
            raise EventAbsent("no event has this id") from None
        except MessageRefused as error:
            raise EventDamaged(f"event {event_id} does not open") from error
        except KeyVersionGone as error:
            raise EventLocked(f"event {event_id} is sealed under a key version that is gone") from error
        except (ObjectStoreError, KeyServiceError) as error:
            raise JournalUnavailable("an event could not be read") from error
        opening, data, evidence = sealed.decode(opened.plaintext, carried.commitment)
        entry = entry_of(name, message)
        return JournalEvent(record_id, event_id, data, opening, carried.dossier_version, entry, evidence)

    def event_ids(
        self, record_id: str, start: datetime, end: datetime, *, after: str | None = None, newest_first: bool = False
    ) -> Iterator[str]:
        """Yield the ids of a record's events whose time is in [start, end[ (aware, whole milliseconds), by names only.

        In order of time, or the newest first; `after`, an id, continues behind it in that order. Costs at least one
        listing per day of the period, at most two per minute with events. Raises ValueError, and JournalUnavailable,
        also while iterating.
        """
        check_record(record_id)
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        if after is not None:
            time = event_time(check_event_id(after))
            start, end = (start, min(end, time + _MILLISECOND)) if newest_first else (max(start, time), end)
        for day in _days(start, end, newest_first=newest_first):
            found = self._of_day(record_id, day, start, end)
            for event_id in reversed(list(found)) if newest_first else found:
                if after is None or (event_id < after if newest_first else event_id > after):
                    yield event_id

    def _of_day(self, record_id: str, day: datetime, start: datetime, end: datetime) -> Iterator[str]:
        """A record's events of one day, in order of time.

        All records' events lie side by side. After a page of others' the store is asked again from where the record's
        own would be: so much is never read, however many events a minute has.
        """
        own, past = f"{record_id}.", minute_prefix(end) + "~"  # "~" sorts behind all names
        behind: str | None = minute_prefix(max(start, day))
        while behind is not None:
            names, behind = self._names(day_prefix(day), behind), None
            skipped = 0
            for name in names:
                if name > past:
                    return
                if name.rpartition("/")[2].startswith(own):
                    event_id = _own_event(name)
                    if event_id and start <= event_time(event_id) < end:
                        yield event_id
                    continue
                skipped += 1
                if skipped == _SKIPPED:
                    behind = _next_place(name, own)
                    break

    def _names(self, prefix: str, after: str) -> Iterator[str]:
        try:
            yield from self._objects.list(prefix, after=after)
        except ObjectStoreError as error:
            raise JournalUnavailable("events could not be listed") from error


def _days(start: datetime, end: datetime, *, newest_first: bool) -> Iterator[datetime]:
    if start >= end:
        return
    first, last = (time.replace(hour=0, minute=0, second=0, microsecond=0) for time in (start, end - _MILLISECOND))
    for number in range((last - first).days + 1):
        yield last - number * _DAY if newest_first else first + number * _DAY


def _own_event(name: str) -> str | None:
    try:
        return parse_event_name(name)[1]
    except ValueError:
        return None  # no event of ours: whoever verifies the journal reports it


def _next_place(name: str, own: str) -> str:
    """Where to go on behind `name`: before the record's own events of this minute, else before those of the next."""
    if not _IN_MINUTE.fullmatch(name):
        return name  # no event of ours, as in _own_event
    minute = name.rpartition("/")[0] + "/"
    if name < minute + own:
        return minute + own
    hour_and_minute = int(minute[-6:-4]) * 60 + int(minute[-3:-1]) + 1
    return f"{minute[:-6]}{hour_and_minute // 60:02}/{hour_and_minute % 60:02}/{own}"
