"""All events of a stage in a period, whatever their record: for who must look at every one. By names only.

It costs the listing of everything in the period: what is about one record is found with `JournalReader.event_ids`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sceau.audit.errors import JournalUnavailable
from sceau.audit.ids import day_prefix, event_time, minute_prefix, parse_event_name
from sceau.objects.errors import ObjectStoreError
from sceau.objects.ports import ImmutableObjects

_DAY = timedelta(days=1)


def scan(
    objects: ImmutableObjects, start: datetime, end: datetime, *, after: str | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield name, record-id ("0": none) and event-id of the events in [start, end[, by name: minute by minute.

    `after`: a name, behind which to go on. Names that are no event's are passed over: whoever verifies the journal
    reports them. Raises JournalUnavailable, also while iterating.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < end:
        behind = max(after or "", minute_prefix(max(start, day)))
        for name in _names(objects, day_prefix(day), behind):
            try:
                record, event_id = parse_event_name(name)
            except ValueError:
                continue
            if start <= event_time(event_id) < end:
                yield name, record, event_id
        day += _DAY


def _names(objects: ImmutableObjects, prefix: str, behind: str) -> Iterator[str]:
    try:
        yield from objects.list(prefix, after=behind)
    except ObjectStoreError as error:
        raise JournalUnavailable("events could not be listed") from error
