"""Where hashes and entries lie: the tiles and entry bundles of C2SP tlog-tiles. Pure; paths are relative to the log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sceau.audit.log.hashes import HASH_BYTES, Node, root_of

WIDTH: Final = 256
"""Hashes in a full tile, entries in a full bundle."""

HEIGHT: Final = 8
"""Levels of the tree that a tile spans."""

ENTRIES: Final = -1
"""The level of entry bundles, as we count: they lie below the tiles of leaf hashes."""

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_HIGHEST = 63
_GROUP = 1000


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile of a level, or an entry bundle (level ENTRIES): its index there, how many hashes or entries it holds."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def full(self) -> bool:
        """Whether it never grows any more."""
        return self.width == WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        groups, rest = [f"{self.index % _GROUP:03}"], self.index // _GROUP
        while rest:
            groups.append(f"x{rest % _GROUP:03}")
            rest //= _GROUP
        path = f"tile/{level}/{'/'.join(reversed(groups))}"
        return path if self.full else f"{path}.p/{self.width}"


def parse_path(path: str) -> Tile:
    """The tile that a path names. Raises ValueError for a path that no tile has."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError("not the path of a tile")
    level = ENTRIES if match[1] == "entries" else int(match[1])
    tile = Tile(level, int(match[2].replace("x", "").replace("/", "")), int(match[3]) if match[3] else WIDTH)
    if level > _HIGHEST or tile.width > WIDTH or tile.path != path:  # also: groups of zeros before the first
        raise ValueError("not the path of a tile")
    return tile


def hashes_at(level: int, size: int) -> int:
    """How many hashes the tiles of a level hold for a tree of `size`; entries for ENTRIES."""
    return size >> HEIGHT * max(level, 0)


def levels(size: int) -> int:
    """How many levels have tiles in a tree of `size`."""
    return -(-size.bit_length() // HEIGHT)


def tile_at(level: int, index: int, size: int) -> Tile:
    """The tile of this index as a tree of `size` has it. Raises ValueError when it has none."""
    width = min(WIDTH, hashes_at(level, size) - index * WIDTH)
    if width <= 0 or index < 0:
        raise ValueError("the tree has no such tile")
    return Tile(level, index, width)


def right_edge(size: int) -> Iterator[Tile]:
    """The partial tiles of a tree of `size`, level by level from 0 up, the entry bundle not among them."""
    for level in range(levels(size)):
        index, width = divmod(hashes_at(level, size), WIDTH)
        if width:
            yield Tile(level, index, width)


def tile_of(node: Node, size: int) -> tuple[Tile, int, int]:
    """The tile that holds what a complete node is made of, and which of its hashes: [first, end[."""
    height, index = node
    level, above = divmod(height, HEIGHT)
    first = index << above
    number, offset = divmod(first, WIDTH)
    return tile_at(level, number, size), offset, offset + (1 << above)


def split_hashes(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile. Raises ValueError when it has other bytes than `width` hashes."""
    if len(data) != width * HASH_BYTES:
        raise ValueError(f"a tile of width {width} has {width * HASH_BYTES} bytes, not {len(data)}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle: each behind its length, 2 bytes, big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def split_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle. Raises ValueError when it does not hold exactly `width`, or more bytes follow."""
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise ValueError("the bundle ends in the middle of an entry")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise ValueError(f"the bundle holds {len(entries)} entries, not {width}")
    return entries


class Edge:
    """The right edge of a tree: what its partial tiles and its partial bundle hold. It grows as the tree does.

    `hashes[level]` are those of the level's partial tile, `entries` those of the partial bundle (as many as
    `hashes[0]`). Whole tiles leave it by `append`.
    """

    def __init__(self, size: int = 0, hashes: Sequence[Sequence[bytes]] = (), entries: Sequence[bytes] = ()) -> None:
        self.size = size
        self.hashes = [list(one) for one in hashes] + [[] for _ in range(levels(size) - len(hashes))]
        self.entries = list(entries)
        widths = [hashes_at(level, size) % WIDTH for level in range(levels(size))]
        if [len(one) for one in self.hashes] != widths or len(self.entries) != (widths[0] if widths else 0):
            raise ValueError("the edge is not that of a tree of this size")

    def copy(self) -> Edge:
        """An edge that grows apart from this one."""
        return Edge(self.size, self.hashes, self.entries)

    def append(self, entry: bytes, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add an entry, and its leaf hash; return the bundle and tiles that it fills, from the bottom up."""
        self.entries.append(entry)
        filled, found = [], leaf
        if len(self.entries) == WIDTH:
            filled.append((Tile(ENTRIES, self.size // WIDTH), encode_bundle(self.entries)))
            self.entries = []
        self.size += 1
        for level in range(_HIGHEST):
            if level == len(self.hashes):
                self.hashes.append([])
            row = self.hashes[level]
            row.append(found)
            if len(row) < WIDTH:
                break
            filled.append((Tile(level, hashes_at(level, self.size) // WIDTH - 1), b"".join(row)))
            found = root_of(row)
            row.clear()
        return filled

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The partial bundle and the partial tiles as they are now, from the bottom up."""
        found = []
        if self.entries:
            found.append((Tile(ENTRIES, self.size // WIDTH, len(self.entries)), encode_bundle(self.entries)))
        found += [(tile, b"".join(self.hashes[tile.level])) for tile in right_edge(self.size)]
        return found

    def frontier(self) -> list[bytes]:
        """The roots of the largest complete subtrees of the whole tree, from left to right."""
        found: list[bytes] = []
        for row in reversed(self.hashes):
            first = 0
            while first < len(row):
                number = 1 << (len(row) - first).bit_length() - 1
                found.append(root_of(row[first : first + number]))
                first += number
        return found
