"""The events that announced a record's versions, packed: the first one's, then the second's, and so on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sceau.records.packing import find_aligned

_EVENT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Commits:
    """Event ids in the order of the versions: the event of version n is the n-th. `packed`: 16 bytes for each."""

    packed: bytes = b""

    def __len__(self) -> int:
        return len(self.packed) // _EVENT_BYTES

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.packed), _EVENT_BYTES):
            yield str(uuid.UUID(bytes=self.packed[start : start + _EVENT_BYTES]))

    def __contains__(self, event: object) -> bool:
        """Whether a version was announced by this event."""
        return isinstance(event, str) and find_aligned(self.packed, uuid.UUID(event).bytes, _EVENT_BYTES) is not None

    @property
    def last(self) -> str:
        """The event of the newest version. Raises ValueError when there is none."""
        return str(uuid.UUID(bytes=self.packed[-_EVENT_BYTES:]))

    def added(self, event: str) -> Commits:
        """One more version's. Raises ValueError for what is no event id."""
        return Commits(self.packed + uuid.UUID(event).bytes)
