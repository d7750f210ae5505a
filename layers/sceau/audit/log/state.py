"""What the sealer keeps between its steps: the object `journal/log/pending`. Frozen: see `docs/formats/log.md`.

It holds the log's right edge, so that growing the log reads none of it, and the one batch that may be sealed next,
fixed by compare-and-swap before anything of it is written: whoever seals, seals that batch or none. It is not signed,
and not believed alone: size and root must be those of the newest signed checkpoint.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from sceau.audit.log.hashes import EMPTY_ROOT, joined, leaf_hash
from sceau.audit.log.tiles import WIDTH, Edge, encode_bundle, hashes_at, levels, split_bundle, split_hashes

FORMAT: Final = "sceau-log-pending/1"
MINUTE_FORM: Final = "%Y-%m-%d/%H/%M"
"""A minute as it stands in the names of events."""

_DATE = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries in their order, the log's root with them, between which minutes their events lie, when it was fixed."""

    entries: tuple[bytes, ...]
    root: bytes
    first_minute: str
    last_minute: str
    date: datetime

    @property
    def digest(self) -> bytes:
        """SHA-256 of the entries as a bundle."""
        return sha256(encode_bundle(self.entries)).digest()


@dataclass(frozen=True, slots=True)
class LogState:
    """The log as last published, and the batch that is being sealed, if one is.

    `date`: of the newest checkpoint, None before the first. `start`: the minute that the search for new events begins
    with. `first`: for each minute from `start` on of which events are in the log, the lowest index of one: the entries
    of all of them are from there on.
    """

    origin: str
    edge: Edge
    date: datetime | None
    start: str
    first: Mapping[str, int] = field(default_factory=dict)
    batch: Batch | None = None

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self.edge.size

    @property
    def root(self) -> bytes:
        """The log's root."""
        return root_of_edge(self.edge)


def root_of_edge(edge: Edge) -> bytes:
    """The root of the whole tree."""
    return joined(edge.frontier()) if edge.size else EMPTY_ROOT


def encode_state(state: LogState) -> bytes:
    """The object's bytes."""
    batch = state.batch
    return json.dumps(
        {
            "format": FORMAT,
            "origin": state.origin,
            "size": state.size,
            "root": state.root.hex(),
            "date": _text_of(state.date),
            "start": state.start,
            "first": dict(state.first),
            "tiles": [_base64(b"".join(row)) for row in state.edge.hashes],
            "entries": _base64(encode_bundle(state.edge.entries)),
            "batch": batch
            and {
                "count": len(batch.entries),
                "digest": batch.digest.hex(),
                "root": batch.root.hex(),
                "events": [batch.first_minute, batch.last_minute],
                "date": _text_of(batch.date),
                "entries": _base64(encode_bundle(batch.entries)),
            },
        },
        separators=(",", ":"),
    ).encode()


def decode_state(data: bytes) -> LogState:
    """Parse the object. Raises ValueError when it is malformed, or contradicts itself."""
    try:
        found = json.loads(data)
        if found["format"] != FORMAT:
            raise ValueError("a pending batch of another format")
        edge = _edge(found)
        state = LogState(
            str(found["origin"]),
            edge,
            _time_of(found["date"]),
            _minute(found["start"]),
            {_minute(minute): int(index) for minute, index in found["first"].items()},
            _batch(found["batch"]) if found["batch"] is not None else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a pending batch") from error
    if state.root.hex() != found["root"] or (state.date is None) != (state.size == 0):
        raise ValueError("a pending batch that contradicts itself")
    return state


def _edge(found: Mapping[str, Any]) -> Edge:
    size = found["size"]
    if type(size) is not int or size < 0:
        raise ValueError("a size that is none")
    widths = [hashes_at(level, size) % WIDTH for level in range(levels(size))]
    rows = [split_hashes(_bytes(text), width) for text, width in zip(found["tiles"], widths, strict=True)]
    entries = split_bundle(_bytes(found["entries"]), widths[0] if widths else 0)
    if [leaf_hash(entry) for entry in entries] != (rows[0] if rows else []):
        raise ValueError("entries that are not those of their hashes")
    return Edge(size, rows, entries)


def _batch(found: Mapping[str, Any]) -> Batch:
    first, last = found["events"]
    date = _time_of(found["date"])
    if date is None:
        raise ValueError("a batch without a date")
    entries = tuple(split_bundle(_bytes(found["entries"]), found["count"]))
    batch = Batch(entries, bytes.fromhex(found["root"]), _minute(first), _minute(last), date)
    if not entries or batch.digest.hex() != found["digest"]:
        raise ValueError("a batch with other entries than it was fixed with")
    return batch


def minute_of(time: datetime) -> str:
    """The minute of a time, as names of events have it; sorts like time."""
    return time.astimezone(UTC).strftime(MINUTE_FORM)


def lowest_index(first: Mapping[str, int], size: int) -> int:
    """From which index on the entries of all events from the window's start on lie."""
    return min(first.values(), default=size)


def with_minutes(first: Mapping[str, int], minutes: Sequence[str], index: int) -> dict[str, int]:
    """`first` with entries of these minutes added from `index` on."""
    grown = dict(first)
    for number, minute in enumerate(minutes):
        grown.setdefault(minute, index + number)
    return grown


def _minute(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("a minute is text")
    return minute_of(datetime.strptime(f"{text} +0000", f"{MINUTE_FORM} %z"))


def _text_of(time: datetime | None) -> str | None:
    return time.astimezone(UTC).strftime(_DATE) if time else None


def _time_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.strptime(text, _DATE).replace(tzinfo=UTC)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
