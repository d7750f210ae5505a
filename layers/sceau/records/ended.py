"""Marks of records whose life is over: `ended/<day>/<record-id>`, and `expunged/<day>/<record-id>` after it. Empty.

`upkeep` leaves the first just before it deletes a record's dossier; one too many makes somebody look in vain. `expunge`
puts the second in its place when nothing that was deleted of the record is kept any more. Backups go by both: a record
that is gone without a mark was lost, and is kept.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sceau.objects.errors import ObjectExists
from sceau.objects.ports import ImmutableObjects
from sceau.records.ids import ID_PATTERN

ENDED: Final = "ended/"
EXPUNGED: Final = "expunged/"

TOLD_FOR: Final = timedelta(days=180)
"""How long `expunged/` marks stay: a backup that was not run for so long is none."""

_NAME: Final = re.compile(rf"(?:ended|expunged)/([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/({ID_PATTERN})")


def ended_name(at: datetime, record_id: str) -> str:
    """The mark of a record that was deleted at that time (aware): of that day in UTC."""
    return f"{ENDED}{at.astimezone(UTC).date().isoformat()}/{record_id}"


def expunged_name(name: str) -> str:
    """The second mark in the place of a first one: of the same day."""
    return EXPUNGED + name.removeprefix(ENDED)


def parse_ended(name: str) -> tuple[date, str] | None:
    """The day and the record of either kind of mark; None when it is none."""
    match = _NAME.fullmatch(name)
    try:
        return (date.fromisoformat(match[1]), match[2]) if match else None
    except ValueError:
        return None


def is_told(name: str, now: datetime) -> bool:
    """Whether a mark has been there long enough for every backup to have seen it."""
    mark = parse_ended(name)
    return mark is not None and mark[0] < (now - TOLD_FOR).astimezone(UTC).date()


def leave_ended(store: ImmutableObjects, at: datetime, record_id: str) -> None:
    """Say that the record's life is over. Raises ObjectStoreUnavailable."""
    with suppress(ObjectExists):
        store.create(ended_name(at, record_id), b"")


def leave_expunged(store: ImmutableObjects, name: str) -> None:
    """Say that nothing of the record of this first mark is kept any more. Raises ObjectStoreUnavailable."""
    with suppress(ObjectExists):
        store.create(expunged_name(name), b"")
