"""Marks of what is due on a record: `due/<day>/<record-id>`, empty. A mark says when to look, never what to do.

Whoever makes a change that time will follow up leaves the marks before the change is committed: one too many makes
somebody look in vain, one too few would be forgotten.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

from sceau.objects.errors import ObjectExists
from sceau.objects.ports import ImmutableObjects
from sceau.records.ids import ID_PATTERN

PREFIX: Final = "due/"
_NAME: Final = re.compile(rf"due/([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/({ID_PATTERN})")


def due_name(at: datetime, record_id: str) -> str:
    """The mark of what is due from `at` (aware): of that day in UTC."""
    return f"{PREFIX}{at.astimezone(UTC).date().isoformat()}/{record_id}"


def parse_due(name: str) -> tuple[date, str] | None:
    """The day and the record of a mark; None when it is none."""
    match = _NAME.fullmatch(name)
    try:
        return (date.fromisoformat(match[1]), match[2]) if match else None
    except ValueError:
        return None


def leave_mark(store: ImmutableObjects, at: datetime, record_id: str) -> None:
    """Have somebody look at the record on that day. Raises ObjectStoreUnavailable."""
    with suppress(ObjectExists):
        store.create(due_name(at, record_id), b"")
