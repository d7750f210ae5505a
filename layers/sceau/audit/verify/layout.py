"""Checks what lies below `journal/log/`: nothing but the log's own objects, each kept as it must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime
from itertools import islice

from sceau.audit.log.ahead import called_ahead
from sceau.audit.log.places import (
    CHECKPOINT,
    COSIGNED,
    DATED,
    LOG,
    PENDING,
    TILES,
    VKEYS,
    beside_of,
    parse_dated,
    tile_name,
)
from sceau.audit.log.tiles import ENTRIES, HEIGHT, WIDTH, Tile, hashes_at, parse_path, split_bundle, tile_at
from sceau.audit.verify.findings import Findings
from sceau.audit.verify.sources import Source
from sceau.objects.ports import Kept

SLICE = 64
"""Objects that one thread looks at before it takes more."""

_ALONE = frozenset({CHECKPOINT, COSIGNED, PENDING, VKEYS})


class LayoutCheck:
    """Checks the objects of a log of `size`; `begun` tells whether one of another size is in the making.

    Full tiles, bundles and dated checkpoints are written once, and locked at least until `due` (where the source can
    tell). Partial ones are checked against the tile that they are the beginning of while that is not full; those of
    full tiles, of which there are more than anything else and which nobody needs, only `with_old_partials`.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        begun: Callable[[int], bool],
        due: datetime,
        findings: Findings,
        *,
        with_old_partials: bool,
    ) -> None:
        self._source = source
        self._size = size
        self._begun = begun
        self._due = due
        self._findings = findings
        self._with_old_partials = with_old_partials

    def check(self, pool: Executor) -> None:
        """Look at everything that is kept below the log's prefix; `pool` does so with several at a time."""
        listing = self._source.kept(LOG)
        slices = iter(lambda: list(islice(listing, SLICE)), [])
        for _ in called_ahead(pool, self._check_slice, slices):
            continue

    def _check_slice(self, some: Sequence[Kept]) -> None:
        for kept in some:
            if kept.name.startswith(TILES):
                self._check_tile(kept)
            elif kept.name.startswith(DATED):
                self._check_dated(kept)
            elif kept.name not in _ALONE:
                self._findings.add(kept.name, "is no object of a log")

    def _check_tile(self, kept: Kept) -> None:
        try:
            tile = parse_path(kept.name.removeprefix(LOG))
        except ValueError:
            self._findings.add(kept.name, "is no tile's name")
            return
        end = (tile.index * WIDTH + tile.width) << HEIGHT * max(tile.level, 0)
        if end > self._size and not self._begun(end):
            self._findings.add(kept.name, f"lies beyond the log, which has {self._size} entries")
        elif tile.full:
            check_written_once(self._source, kept, self._due, self._findings)
        elif kept.hidden:
            self._findings.add(kept.name, "is hidden by a deletion")
        elif end <= self._size:
            self._check_partial(kept.name, tile)

    def _check_partial(self, name: str, tile: Tile) -> None:
        """A partial tile of some time is the beginning of what the tile holds now."""
        now = tile_at(tile.level, tile.index, hashes_at(0, self._size))
        if now == tile or (now.full and not self._with_old_partials):
            return  # checked with the tree, or nobody's any more
        whole, data = self._source.read(tile_name(now)), self._source.read(name)
        if whole is not None and data != beginning(whole, tile):
            self._findings.add(name, f"is not the beginning of {tile_name(now)}")

    def _check_dated(self, kept: Kept) -> None:
        try:
            parse_dated(kept.name, beside_of(kept.name))
        except ValueError:
            self._findings.add(kept.name, "is no dated checkpoint's name")
            return
        check_written_once(self._source, kept, self._due, self._findings)


def check_written_once(source: Source, kept: Kept, due: datetime, findings: Findings) -> None:
    """Note it when an object that is written once has another version, is hidden, or is not locked until `due`."""
    if kept.hidden:
        findings.add(kept.name, "is hidden by a deletion")
    if kept.versions != 1:
        findings.add(kept.name, f"has {kept.versions} versions: something else was written under its name")
    if source.live:
        end = source.locked_until(kept.name)
        if end is None:
            findings.add(kept.name, "is not locked")
        elif end < due:
            findings.add(kept.name, f"is locked until {end:%Y-%m-%d} only, and must be until {due:%Y-%m-%d}")


def beginning(whole: bytes, tile: Tile) -> bytes | None:
    """The first of what a tile, or bundle, holds: as many as `tile` has; None when it holds fewer."""
    if tile.level != ENTRIES:
        return whole[: tile.width * 32] if len(whole) >= tile.width * 32 else None
    end = 0
    for _ in range(tile.width):
        end += 2 + int.from_bytes(whole[end : end + 2], "big")
    try:
        split_bundle(whole[:end], tile.width)
    except ValueError:
        return None
    return whole[:end]
