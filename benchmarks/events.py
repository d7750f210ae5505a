"""Many sealed events at once, written straight into a file-system store's folder: a journal to seal and to verify.

What `audit.journal` writes, byte for byte of the same form, without waiting for the disk each time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sceau.audit import sealed
from sceau.audit.ids import EventIds, event_name, event_time
from sceau.audit.retention import lock_end
from sceau.envelope import contexts
from sceau.envelope.batch import BatchSealer
from sceau.keys.ports import KeyName, KeyService

RETENTION = timedelta(days=3653)
EVENT_BYTES = 2400
"""About what the event of a publication has."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER = struct.Struct(">8sQ16s")


class SteppingClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, slots=True)
class Written:
    """An event: its record, its id, its bytes, and the opening of its commitment."""

    record: str
    event_id: str
    data: bytes
    opening: bytes

    @property
    def name(self) -> str:
        """The name of its object."""
        return event_name(self.record, self.event_id)


@dataclass(slots=True)
class EventWriter:
    """Writes events of `records` in turn, one every `apart`, into the store in `root`."""

    root: Path
    keys: KeyService
    clock: SteppingClock
    records: Sequence[str]
    apart: timedelta = timedelta(milliseconds=20)
    made: int = 0
    _ids: EventIds = field(init=False)
    _sealer: BatchSealer = field(init=False)

    def __post_init__(self) -> None:
        self._ids = EventIds(self.clock, os.urandom)
        self._sealer = BatchSealer(self.keys, KeyName.JOURNAL, clock=self.clock)

    def write(self, number: int, *, version: Callable[[int], int] = lambda _: 7) -> list[Written]:
        """Write so many; `version(n)`: the dossier version that the n-th of all saw. Returns them."""
        return [self._one(version(self.made)) for _ in range(number)]

    def _one(self, version: int) -> Written:
        record, event_id = self.records[self.made % len(self.records)], self._ids.new()
        start = (
            f'{{"resourceType":"AuditEvent","id":"{event_id}","entity":[{{"what":{{"reference":"Patient/{record}"}}}}]'
        )
        data = f'{start},"outcomeDesc":"{"x" * (EVENT_BYTES - len(start))}"}}'.encode()
        opening = os.urandom(sealed.OPENING_BYTES)
        carried = contexts.Carried(sealed.commitment(opening, data), version)
        message = self._sealer.seal(sealed.encode(opening, data), contexts.event_to_seal(record, event_id, carried))
        end = (lock_end(event_time(event_id), RETENTION) - _EPOCH) // timedelta(milliseconds=1)
        path = self.root / "objects" / event_name(record, event_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(_HEADER.pack(b"SCEAUOB1", end, os.urandom(16)) + message)
        self.made += 1
        self.clock.now += self.apart
        return Written(record, event_id, data, opening)
