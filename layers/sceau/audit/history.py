"""All events of a record, newest first: those in the log by its index, and those that are not sealed yet, by name.

What a query costs grows with the record's own events, and with what the whole stage did in the last quarter of an hour;
not with the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sceau.audit.errors import JournalUnavailable
from sceau.audit.ids import EVENTS_PREFIX, event_time, parse_event_name
from sceau.audit.journal import JournalReader
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.gathering import WINDOW, is_event
from sceau.audit.log.places import PENDING, RECORDS, parse_index
from sceau.audit.log.reading import LogReader
from sceau.audit.log.state import MINUTE_FORM, LogState, decode_state
from sceau.objects.errors import ObjectStoreError
from sceau.objects.ports import ObjectStore

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a record. `index`: where it stands in the log, as the index says; None while it is not sealed."""

    event_id: str
    index: int | None


class RecordHistory:
    """Lists records' events. Safe under threads. `clock` gives aware times."""

    def __init__(self, store: ObjectStore, reader: JournalReader, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._log = LogReader(store)
        self._reader = reader
        self._clock = clock

    def newest_first(
        self, record_id: str, start: datetime, end: datetime, *, after: str | None = None
    ) -> list[Happened]:
        """The record's events in [start, end[ (aware, whole milliseconds), newest first; from behind `after`, an id.

        An event that the index lost, or that came into the journal later than the sealer looks for new ones and was not
        sealed since, is missing: `sceau log verify` finds both. Raises JournalUnavailable, ValueError.
        """
        if after is not None:
            end = min(end, event_time(after) + _MILLISECOND)
        # In this order: what is sealed meanwhile is met in the first listing, and again in the second.
        state = self._state()
        since, until = max(start, self._unsealed_since(state)), min(end, self._clock() + WINDOW)
        found: dict[str, int | None] = dict.fromkeys(self._reader.event_ids(record_id, since, until))
        found |= self._indexed(record_id, start, end, state.size if state else 0)
        ids = sorted(found, reverse=True)
        return [Happened(one, found[one]) for one in ids if after is None or one < after]

    def index_of(self, record_id: str, event_id: str) -> int | None:
        """Where the log has an event, as the index says; None while it is not sealed. Raises JournalUnavailable."""
        state, time = self._state(), event_time(event_id)
        return self._indexed(record_id, time, time + _MILLISECOND, state.size if state else 0).get(event_id)

    def _indexed(self, record_id: str, start: datetime, end: datetime, size: int) -> dict[str, int | None]:
        """Events of the record by the index. One listing: ids sort by time, so it begins with the period.

        What no checkpoint holds yet has no place in the log: it may be of a batch that is being sealed.
        """
        found: dict[str, int | None] = {}
        below = f"{RECORDS}{record_id}/"
        try:
            for name in self._store.list(below, after=below + _first_id(start)):
                try:
                    _, event_id, index = parse_index(name)
                    time = event_time(event_id)
                except ValueError:
                    continue  # no index object of ours: whoever verifies the log reports it
                if time >= end:
                    break
                if time >= start:
                    found.setdefault(event_id, index if index < size else None)
        except ObjectStoreError as error:
            raise JournalUnavailable("the index of the log can't be listed") from error
        return found

    def _state(self) -> LogState | None:
        """Where the sealer stands; None when it never ran. Raises JournalUnavailable also for what it will mend."""
        try:
            kept = self._log.object(PENDING)
            return None if kept is None else decode_state(kept)
        except (LogUnavailable, ValueError) as error:
            raise JournalUnavailable("where the sealer stands can't be read") from error

    def _unsealed_since(self, state: LogState | None) -> datetime:
        """Events from then on may not be sealed. Never later than a quarter of an hour ago, whatever is kept."""
        latest = self._clock().astimezone(UTC).replace(second=0, microsecond=0) - WINDOW
        minute = state.start if state is not None else self._first_minute()
        return min(latest, datetime.strptime(f"{minute} +0000", f"{MINUTE_FORM} %z")) if minute else latest

    def _first_minute(self) -> str | None:
        """That of the journal's first event."""
        try:
            first = next((name for name in self._store.list(EVENTS_PREFIX) if is_event(name)), None)
        except ObjectStoreError as error:
            raise JournalUnavailable("events could not be listed") from error
        if first is None:
            return None
        return f"{event_time(parse_event_name(first)[1]):{MINUTE_FORM}}"


def _first_id(time: datetime) -> str:
    """What sorts before all ids of a time and later, and behind all earlier ones: the id's clear beginning."""
    text = f"{max(0, (time - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND):012x}"
    return f"{text[:8]}-{text[8:]}"
