"""Checks the tree: every bundle and tile, byte for byte, recomputed from the entries alone; every checkpoint of it.

One pass over the log, in its order; memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sceau.audit.log.ahead import called_ahead
from sceau.audit.log.hashes import Frontier, leaf_hash, root_of
from sceau.audit.log.places import tile_name
from sceau.audit.log.tiles import ENTRIES, HEIGHT, WIDTH, Tile, hashes_at, levels, split_bundle, tile_at
from sceau.audit.verify.findings import Findings
from sceau.audit.verify.sources import Source


@dataclass(frozen=True, slots=True)
class Claim:
    """A size and the root that somebody signed for it. `place`: where that is written."""

    size: int
    root: bytes
    place: str


class TreeCheck:
    """Checks the log of `size` entries as it reads it, and the `claims`, which come in the order of their sizes.

    `pool` reads ahead.
    """

    def __init__(self, source: Source, size: int, claims: Iterator[Claim], findings: Findings, pool: Executor) -> None:
        self._source = source
        self._size = size
        self._claims = claims
        self._findings = findings
        self._pool = pool
        self._frontier = Frontier()
        self._rows: list[list[bytes]] = [[] for _ in range(levels(size))]
        self._next = next(claims, None)

    def bundles(self) -> Iterator[list[bytes] | None]:
        """The entries of each bundle in order; None for one that is missing or malformed, which ends the tree's check.

        Entries of later bundles come all the same. When the iteration ends, everything is checked.
        """
        whole = True
        self._check_claims()
        for bundle, data, hashes in called_ahead(self._pool, self._read, range(-(-self._size // WIDTH))):
            entries = self._entries(bundle, data)
            whole = whole and entries is not None
            if entries is not None and whole:
                self._add(bundle, [leaf_hash(entry) for entry in entries], hashes)
            yield entries
        if whole:
            self._check_partial()
        for claim in self._rest():
            if not whole:
                self._findings.add(claim.place, "can't be checked: entries before it are missing or malformed")
            else:
                self._findings.add(
                    claim.place,
                    f"was signed for {claim.size} entries, and the log has {self._size}: it was cut, or rolled back",
                )

    def _read(self, index: int) -> tuple[Tile, bytes | None, bytes | None]:
        """A bundle, its bytes, and those of the tile of its entries' hashes."""
        bundle = tile_at(ENTRIES, index, self._size)
        tile = Tile(0, index, bundle.width)
        return bundle, self._source.read(tile_name(bundle)), self._source.read(tile_name(tile))

    def _entries(self, tile: Tile, data: bytes | None) -> list[bytes] | None:
        if data is None:
            self._findings.add(tile_name(tile), "is missing: the log's entries can't be read")
            return None
        try:
            return split_bundle(data, tile.width)
        except ValueError as error:
            self._findings.add(tile_name(tile), str(error))
            return None

    def _add(self, bundle: Tile, leaves: Sequence[bytes], hashes: bytes | None) -> None:
        self._compare(Tile(0, bundle.index, bundle.width), hashes, leaves)
        root = root_of(leaves) if bundle.full else b""
        if bundle.full and (self._next is None or self._next.size > self._frontier.size + WIDTH):
            self._frontier.append(root, HEIGHT)
        else:
            for leaf in leaves:
                self._frontier.append(leaf)
                self._check_claims()
        if bundle.full:
            self._climb(root, 1)

    def _climb(self, found: bytes, level: int) -> None:
        """Add the root of a full tile to the row above it, and check the tile that this fills."""
        row = self._rows[level]
        row.append(found)
        if len(row) == WIDTH:
            self._check_tile(tile_at(level, hashes_at(level, self._frontier.size) // WIDTH - 1, self._size), row)
            self._climb(root_of(row), level + 1)
            row.clear()

    def _check_partial(self) -> None:
        for level, row in enumerate(self._rows):
            if level and row:
                self._check_tile(Tile(level, hashes_at(level, self._size) // WIDTH, len(row)), row)

    def _check_tile(self, tile: Tile, hashes: Sequence[bytes]) -> None:
        self._compare(tile, self._source.read(tile_name(tile)), hashes)

    def _compare(self, tile: Tile, data: bytes | None, hashes: Sequence[bytes]) -> None:
        if data == b"".join(hashes):
            return
        if data is None:
            self._findings.add(tile_name(tile), "is missing")
        else:
            self._findings.add(tile_name(tile), difference(data, hashes, tile))

    def _check_claims(self) -> None:
        while self._next is not None and self._next.size == self._frontier.size:
            if self._next.root != self._frontier.root():
                self._findings.add(
                    self._next.place,
                    f"was signed for other entries: the first {self._next.size} of the log have another root",
                )
            self._next = next(self._claims, None)

    def _rest(self) -> Iterator[Claim]:
        while self._next is not None:
            yield self._next
            self._next = next(self._claims, None)


def difference(data: bytes, hashes: Sequence[bytes], tile: Tile) -> str:
    """What is wrong with a tile that should hold `hashes`, in a sentence."""
    wanted = b"".join(hashes)
    if data.startswith(wanted):
        return f"has {len(data) - len(wanted)} bytes more than its {tile.width} hashes"
    if wanted.startswith(data):
        return f"breaks off after {len(data)} of {len(wanted)} bytes"
    first = next(number for number, one in enumerate(hashes) if data[number * 32 : number * 32 + 32] != one)
    entry = (tile.index * WIDTH + first) << HEIGHT * tile.level
    return f"hash {first} is not that of the entries below it, from entry {entry} on"
