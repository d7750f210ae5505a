"""Whether the newest checkpoint is older than its limit: an event came after it, and has waited longer than that.

Found by names alone, so who may only list can watch over the sealer too. A checkpoint that nothing came after is as
new as it can be, however old it is. What came within two minutes of it may be in it, by a clock that is ahead, and is
not counted: the sealer knows of that by itself. What came before it and is not in it is reconciliation's, and
`sceau log verify` finds it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sceau.audit.ids import EVENTS_PREFIX, event_time, parse_event_name
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.gathering import is_event
from sceau.audit.log.places import DATED, parse_dated
from sceau.audit.log.state import minute_of
from sceau.audit.retention import CLOCK_TOLERANCE
from sceau.objects.errors import ObjectStoreError
from sceau.objects.ports import ObjectStore

LIMIT: Final = timedelta(minutes=15)
"""How long an event may wait for its checkpoint before somebody must look."""


def overdue(store: ObjectStore, now: datetime, limit: timedelta = LIMIT) -> timedelta | None:
    """How long the oldest event waits that came after the newest checkpoint, if that is longer than `limit`.

    Two listings, and a third when there was no checkpoint since yesterday. Raises LogUnavailable.
    """
    try:
        newest = _newest(store, f"{DATED}{now - timedelta(days=1):%Y-%m-%d}/") or _newest(store, "")
        after = f"{EVENTS_PREFIX}{minute_of(newest + 2 * CLOCK_TOLERANCE)}/" if newest else ""
        for name in store.list(EVENTS_PREFIX, after=after):
            if is_event(name):
                waited = now - event_time(parse_event_name(name)[1])
                return waited if waited > limit else None
    except ObjectStoreError as error:
        raise LogUnavailable("the journal can't be listed") from error
    return None


def _newest(store: ObjectStore, after: str) -> datetime | None:
    """The date of the newest dated checkpoint whose name sorts behind `after`."""
    newest = None
    for name in store.list(DATED, after=after):
        try:
            newest = parse_dated(name)[0]
        except ValueError:
            continue  # `sceau log verify` names it
    return newest
