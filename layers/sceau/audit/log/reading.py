"""Reads a log from its store: checkpoint, bundles, tiles; makes inclusion and consistency proofs. It holds no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sceau.audit.log.checkpoints import Checkpoint, parse_checkpoint
from sceau.audit.log.errors import LogDamaged, LogUnavailable, NoteRefused
from sceau.audit.log.hashes import (
    HASH_BYTES,
    Node,
    complete_nodes,
    consistency_ranges,
    inclusion_ranges,
    range_hash,
    root_of,
)
from sceau.audit.log.notes import parse_note
from sceau.audit.log.places import CHECKPOINT, PENDING, tile_name
from sceau.audit.log.state import decode_state
from sceau.audit.log.tiles import ENTRIES, WIDTH, Edge, Tile, right_edge, split_bundle, split_hashes, tile_at, tile_of
from sceau.objects.errors import ObjectAbsent, ObjectStoreError
from sceau.objects.ports import ReplaceableObjects


class LogReader:
    """Reads the log in `store`. Every method raises LogUnavailable when the store does not answer."""

    def __init__(self, store: ReplaceableObjects) -> None:
        self._store = store

    def checkpoint(self) -> tuple[Checkpoint, bytes] | None:
        """The newest checkpoint and its signed note, byte for byte; None before the first. NOT verified.

        Raises LogDamaged when there is something else.
        """
        data = self.object(CHECKPOINT)
        if data is None:
            return None
        try:
            return parse_checkpoint(parse_note(data).text), data
        except NoteRefused as error:
            raise LogDamaged(f"the log's checkpoint is none: {error}") from None

    def object(self, name: str) -> bytes | None:
        """An object of the log; None when there is none."""
        try:
            return self._store.read(name).data
        except ObjectAbsent:
            return None
        except ObjectStoreError as error:
            raise LogUnavailable("the log can't be read") from error

    def tile(self, tile: Tile) -> bytes:
        """The bytes of a tile or bundle, of the full one where a partial one is gone. Raises LogDamaged."""
        data = self.object(tile_name(tile))
        if data is None and not tile.full:
            data = self._cut(tile)
        if data is None:
            raise LogDamaged(f"{tile_name(tile)} is missing")
        return data

    def hashes(self, tile: Tile) -> list[bytes]:
        """The hashes of a tile. Raises LogDamaged."""
        try:
            return split_hashes(self.tile(tile), tile.width)
        except ValueError as error:
            raise LogDamaged(f"{tile_name(tile)}: {error}") from None

    def entries(self, index: int, size: int) -> list[bytes]:
        """The entries of a bundle as a log of `size` has it. Raises LogDamaged."""
        tile = tile_at(ENTRIES, index, size)
        try:
            return split_bundle(self.tile(tile), tile.width)
        except ValueError as error:
            raise LogDamaged(f"{tile_name(tile)}: {error}") from None

    def edge(self, size: int) -> Edge:
        """The right edge of a log of `size`, read from its partial tiles. Raises LogDamaged."""
        rows = {tile.level: self.hashes(tile) for tile in right_edge(size)}
        entries = self.entries(size // WIDTH, size) if size % WIDTH else []
        return Edge(size, [rows.get(level, []) for level in range(max(rows, default=-1) + 1)], entries)

    def inclusion(self, index: int, size: int, frontier: Mapping[Node, bytes] | None = None) -> list[bytes]:
        """The inclusion proof of entry `index` in the log of `size`, leaf's sibling first.

        With `frontier` (see `known_frontier`) it takes at most one read for each level of tiles. Raises LogDamaged;
        ValueError when the log has no such entry.
        """
        hash_of = self._hashes_of(size, frontier or {})
        return [range_hash(leaves, hash_of) for leaves in inclusion_ranges(index, size)]

    def consistency(self, old: int, new: int, frontier: Mapping[Node, bytes] | None = None) -> list[bytes]:
        """The proof that the log of size `new` begins with that of size `old`. Raises LogDamaged, ValueError."""
        hash_of = self._hashes_of(new, frontier or {})
        return [range_hash(leaves, hash_of) for leaves in consistency_ranges(old, new)]

    def known_frontier(self, checkpoint: Checkpoint) -> dict[Node, bytes]:
        """The roots of the log's largest complete subtrees, by one read of what the sealer keeps.

        Empty when that is not of this very checkpoint: then proofs read the log's right edge.
        """
        data = self.object(PENDING)
        try:
            state = decode_state(data) if data is not None else None
        except ValueError:
            return {}
        if state is None or (state.size, state.root) != (checkpoint.size, checkpoint.root):
            return {}
        return dict(zip(complete_nodes(0, state.size), state.edge.frontier(), strict=True))

    def _hashes_of(self, size: int, known: Mapping[Node, bytes]) -> Callable[[Node], bytes]:
        tiles: dict[Tile, list[bytes]] = {}

        def hash_of(node: Node) -> bytes:
            if node in known:
                return known[node]
            tile, first, end = tile_of(node, size)
            if tile not in tiles:
                tiles[tile] = self.hashes(tile)
            return root_of(tiles[tile][first:end])

        return hash_of

    def _cut(self, tile: Tile) -> bytes | None:
        """The first of what the full tile holds: a partial one may be removed once it is full."""
        data = self.object(tile_name(Tile(tile.level, tile.index)))
        if data is None:
            return None
        if tile.level != ENTRIES:
            return data[: tile.width * HASH_BYTES]
        length = 0
        for _ in range(tile.width):
            length += 2 + int.from_bytes(data[length : length + 2])
        return data[:length]
