"""The names of the log's objects, and of the index by record. Frozen: see `docs/formats/log.md`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from sceau.audit.ids import check_event_id, check_record
from sceau.audit.log.tiles import Tile

LOG: Final = "journal/log/"
CHECKPOINT: Final = "journal/log/checkpoint"
PENDING: Final = "journal/log/pending"
VKEYS: Final = "journal/log/vkeys"
COSIGNED: Final = "journal/log/cosigned"
DATED: Final = "journal/log/checkpoints/"
TILES: Final = "journal/log/tile/"
RECORDS: Final = "journal/records/"
COSIGNED_COPY: Final = ".cosigned"
STAMP: Final = ".tsr"
BESIDE: Final = (COSIGNED_COPY, STAMP)
"""What the names of objects end with that stand beside a dated checkpoint: what others said of it."""

RECONCILIATION: Final = "journal/reconciliation"

_DATED = re.compile(r"journal/log/checkpoints/(\d{4}-\d\d-\d\d)/(\d{6})\.(\d{16})", re.ASCII)
_INDEX = re.compile(r"journal/records/([a-z0-9]{1,26})/([0-9a-f-]{36})\.(0|[1-9][0-9]{0,17})")


def tile_name(tile: Tile) -> str:
    """The name of a tile's, or a bundle's, object."""
    return LOG + tile.path


def dated_name(date: datetime, size: int, beside: str = "") -> str:
    """The name of the copy of a checkpoint of `size` that was fixed at `date` (to the second). Names sort by both.

    `beside`, one of BESIDE: of what others said of this checkpoint.
    """
    return f"{DATED}{date.astimezone(UTC):%Y-%m-%d/%H%M%S}.{size:016}{beside}"


def parse_dated(name: str, beside: str = "") -> tuple[datetime, int]:
    """The date and the size that a dated name says. Raises ValueError for any other name."""
    match = _DATED.fullmatch(name.removesuffix(beside)) if name.endswith(beside) else None
    if match is None:
        raise ValueError("not the name of a dated checkpoint")
    date = datetime.strptime(f"{match[1]} {match[2]} +0000", "%Y-%m-%d %H%M%S %z")
    if dated_name(date, int(match[3]), beside) != name:
        raise ValueError("not the name of a dated checkpoint")
    return date, int(match[3])


def beside_of(name: str) -> str:
    """Which of BESIDE a dated name ends with; "" for a dated checkpoint itself."""
    return next((one for one in BESIDE if name.endswith(one)), "")


def index_name(record_id: str, event_id: str, index: int) -> str:
    """The name of the empty object that says at which index of the log a record's event is. Raises ValueError."""
    return f"{RECORDS}{check_record(record_id)}/{check_event_id(event_id)}.{index}"


def parse_index(name: str) -> tuple[str, str, int]:
    """Record-id (or "0"), event-id and index of an index object. Raises ValueError for any other name."""
    match = _INDEX.fullmatch(name)
    if match is None or index_name(match[1], match[2], int(match[3])) != name:
        raise ValueError("not the name of an index object")
    return match[1], match[2], int(match[3])
