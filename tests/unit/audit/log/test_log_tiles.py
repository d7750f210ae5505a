"""Where tiles and bundles lie, and what they hold: C2SP tlog-tiles, by its own examples and by its definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from sceau.audit.log.hashes import Frontier, complete_nodes, leaf_hash, root_of
from sceau.audit.log.tiles import (
    ENTRIES,
    Edge,
    Tile,
    encode_bundle,
    hashes_at,
    levels,
    parse_path,
    right_edge,
    split_bundle,
    split_hashes,
    tile_at,
    tile_of,
)

SIZES = (0, 1, 255, 256, 257, 511, 512, 1024, 1500)


def entry(number: int) -> bytes:
    return b"entry %d" % number


def grown(size: int) -> tuple[dict[str, bytes], Edge]:
    """Every object of a log of this size."""
    edge, objects = Edge(), {}
    for number in range(size):
        for tile, data in edge.append(entry(number), leaf_hash(entry(number))):
            assert tile.path not in objects, "a full tile is written once"
            objects[tile.path] = data
    return objects | {tile.path: data for tile, data in edge.partial()}, edge


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 255), "tile/0/255"),
        (Tile(1, 1000), "tile/1/x001/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(2, 0, 1), "tile/2/000.p/1"),
        (Tile(63, 999999, 255), "tile/63/x999/999.p/255"),
        (Tile(ENTRIES, 0), "tile/entries/000"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_a_tile_lies_where_the_specification_says(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        *(
            "tile/64/000",
            "tile/00/000",
            "tile/data/000",
            "tile/0/0",
            "tile/0/1000",
            "tile/0/x000/000",
            "tile/0/001/000",
        ),
        *("tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000/", "tile/0/000.p/999"),
        *("checkpoint", "tile/0/x1/000", "tile/-1/000", "/tile/0/000", "tile/0/x001/x000.p/3", "tile/0/٠٠٠"),
    ],
)
def test_another_path_is_no_tile(path: str) -> None:
    with pytest.raises(ValueError, match="not the path"):
        parse_path(path)


def test_the_layouts_are_those_of_the_specification() -> None:
    assert [(one.level, one.index, one.width) for one in right_edge(70_000)] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert [(one.level, one.index, one.width) for one in right_edge(256)] == [(1, 0, 1)]
    assert (list(right_edge(0)), levels(0), levels(255), levels(256), levels(65_536)) == ([], 0, 1, 2, 3)
    assert (tile_at(0, 272, 70_000).full, tile_at(0, 273, 70_000).width) == (True, 112)
    for index in (-1, 274):
        with pytest.raises(ValueError, match="no such tile"):
            tile_at(0, index, 70_000)


@pytest.mark.parametrize("size", SIZES)
def test_a_log_has_exactly_the_objects_that_its_size_asks_for(size: int) -> None:
    objects, _ = grown(size)
    expected = set()
    for level in (ENTRIES, *range(levels(size))):
        tiles = -(-hashes_at(level, size) // 256)
        expected |= {tile_at(level, index, size).path for index in range(tiles)}
    assert set(objects) == expected


@pytest.mark.parametrize("size", SIZES)
def test_each_hash_of_a_tile_is_the_root_of_the_entries_below_it(size: int) -> None:
    objects, edge = grown(size)
    hashes = [leaf_hash(entry(number)) for number in range(size)]
    for path, data in objects.items():
        tile = parse_path(path)
        if tile.level == ENTRIES:
            first = tile.index * 256
            assert split_bundle(data, tile.width) == [entry(first + number) for number in range(tile.width)]
            continue
        span = 256**tile.level
        first = tile.index * 256
        assert split_hashes(data, tile.width) == [
            root_of(hashes[number * span : (number + 1) * span]) for number in range(first, first + tile.width)
        ]
    frontier = Frontier()
    for one in hashes:
        frontier.append(one)
    assert edge.frontier() == frontier.hashes


def test_a_hash_of_a_level_above_a_tile_is_found_in_it() -> None:
    size = 70_000
    for height, index in complete_nodes(0, size):
        tile, first, end = tile_of((height, index), size)
        assert tile.level == height // 8
        assert (tile.index * 256 + first) << 8 * tile.level == index << height
        assert end - first == 1 << height % 8
        assert end <= tile.width


def test_an_edge_goes_on_where_it_was_kept() -> None:
    _, edge = grown(1500)
    kept = Edge(edge.size, edge.hashes, edge.entries)
    other = edge.copy()
    for number in range(1500, 1600):
        assert kept.append(entry(number), leaf_hash(entry(number))) == edge.append(
            entry(number), leaf_hash(entry(number))
        )
    assert kept.partial() == edge.partial()
    assert other.partial() != edge.partial(), "a copy grows apart"


@pytest.mark.parametrize(
    ("size", "hashes", "entries"),
    [(1, [[]], [b"a"]), (1, [[bytes(32)]], []), (256, [[]], []), (0, [[bytes(32)]], []), (2, [[bytes(32)]], [b"a"])],
)
def test_an_edge_of_another_size_is_refused(size: int, hashes: list[list[bytes]], entries: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not that of a tree of this size"):
        Edge(size, hashes, entries)


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=30)
def test_a_bundle_holds_its_entries_and_nothing_else(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert split_bundle(data, len(entries)) == entries
    for wrong in (data + b"\x00", data + b"\x00\x00", data[:-1] if data else b"\x00\x05a"):
        with pytest.raises(ValueError, match="bundle"):
            split_bundle(wrong, len(entries))


def test_a_tile_of_another_width_is_refused() -> None:
    assert split_hashes(bytes(64), 2) == [bytes(32), bytes(32)]
    for data in (bytes(63), bytes(65), bytes(96), b""):
        with pytest.raises(ValueError, match="width 2"):
            split_hashes(data, 2)
