"""Tree hashes and proofs, against RFC 6962's own definitions written out naively, and its reference roots."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, strategies as st

from sceau.audit.log.hashes import (
    EMPTY_ROOT,
    Frontier,
    Node,
    complete_nodes,
    consistency_ranges,
    extends,
    includes,
    inclusion_ranges,
    leaf_hash,
    range_hash,
    root_of,
)

SIZES = (1, 2, 3, 7, 8, 255, 256, 257, 300)
REFERENCE = [  # the leaves and roots that implementations of RFC 6962 are tested with
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
]


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(b"entry %d" % number) for number in range(size)]


LEAVES = leaves(300)


def tree(hashes: list[bytes]) -> bytes:
    """MTH as section 2.1 defines it."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = max(2**power for power in range(20) if 2**power < len(hashes))
    return hashlib.sha256(b"\x01" + tree(hashes[:split]) + tree(hashes[split:])).digest()


def inclusion(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH as section 2.1.1 defines it."""
    if len(hashes) == 1:
        return []
    split = max(2**power for power in range(20) if 2**power < len(hashes))
    if index < split:
        return [*inclusion(index, hashes[:split]), tree(hashes[split:])]
    return [*inclusion(index - split, hashes[split:]), tree(hashes[:split])]


def consistency(old: int, hashes: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF as section 2.1.2 defines it."""
    if old == len(hashes):
        return [] if whole else [tree(hashes)]
    split = max(2**power for power in range(20) if 2**power < len(hashes))
    if old <= split:
        return [*consistency(old, hashes[:split], whole=whole), tree(hashes[split:])]
    return [*consistency(old - split, hashes[split:], whole=False), tree(hashes[:split])]


def node(of: Node) -> bytes:
    height, index = of
    return tree(LEAVES[index << height : (index + 1) << height])


def test_the_roots_are_those_of_the_reference() -> None:
    found = Frontier()
    assert found.root() == root_of([]) == EMPTY_ROOT
    hashes = []
    for entry, root in REFERENCE:
        hashes.append(leaf_hash(bytes.fromhex(entry)))
        found.append(hashes[-1])
        assert found.root().hex() == root_of(hashes).hex() == root


@pytest.mark.parametrize("size", SIZES)
def test_a_frontier_and_a_list_have_the_root_of_the_definition(size: int) -> None:
    found = Frontier()
    for leaf in LEAVES[:size]:
        found.append(leaf)
    assert found.root() == root_of(LEAVES[:size]) == tree(LEAVES[:size])
    assert found.hashes == [node(one) for one in complete_nodes(0, size)]
    assert Frontier(found.hashes, size).root() == found.root()


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="one hash for each bit"):
        Frontier([bytes(32)], 3)


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_proofs_are_those_of_the_definition_and_hold(size: int) -> None:
    root = tree(LEAVES[:size])
    for index in range(size):
        path = [range_hash(leaves, node) for leaves in inclusion_ranges(index, size)]
        assert path == inclusion(index, LEAVES[:size])
        assert includes(LEAVES[index], index, size, path, root)


@given(st.data())
def test_an_inclusion_proof_proves_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from(SIZES))
    index = data.draw(st.integers(0, size - 1))
    path, root = inclusion(index, LEAVES[:size]), tree(LEAVES[:size])
    other = data.draw(st.integers(-1, size + 1))
    assert includes(LEAVES[index], other, size, path, root) is (other == index)
    assert not includes(leaf_hash(b"another"), index, size, path, root)
    assert not includes(LEAVES[index], index, size, path, leaf_hash(b"another"))
    assert not includes(LEAVES[index], index, size, [*path, path[-1] if path else root], root)
    if path:
        assert not includes(LEAVES[index], index, size, path[:-1], root)
        turned = data.draw(st.integers(0, len(path) - 1))
        assert not includes(LEAVES[index], index, size, [*path[:turned], bytes(32), *path[turned + 1 :]], root)


@pytest.mark.parametrize("new", SIZES)
def test_consistency_proofs_are_those_of_the_definition_and_hold(new: int) -> None:
    for old in range(new + 1):
        path = [range_hash(leaves, node) for leaves in consistency_ranges(old, new)]
        if old:
            assert path == consistency(old, LEAVES[:new])
        assert extends(old, tree(LEAVES[:old]), new, tree(LEAVES[:new]), path)


@given(st.data())
def test_a_consistency_proof_proves_nothing_else(data: st.DataObject) -> None:
    new = data.draw(st.sampled_from(SIZES))
    old = data.draw(st.integers(1, new))
    path = consistency(old, LEAVES[:new])
    of_old, of_new, other = tree(LEAVES[:old]), tree(LEAVES[:new]), leaf_hash(b"another")
    assert not extends(old, other, new, of_new, path)
    assert not extends(old, of_old, new, other, path)
    assert not extends(old, of_old, new, of_new, [*path, other])
    assert not extends(new + 1, of_old, new, of_new, path)
    assert not extends(-1, of_old, new, of_new, path)
    if path:
        assert not extends(old, of_old, new, of_new, path[:-1])
        turned = data.draw(st.integers(0, len(path) - 1))
        assert not extends(old, of_old, new, of_new, [*path[:turned], other, *path[turned + 1 :]])


def test_only_the_empty_root_is_a_log_without_entries() -> None:
    root = tree(LEAVES[:3])
    assert extends(0, EMPTY_ROOT, 3, root, [])
    assert not extends(0, root, 3, root, [])
    assert not extends(0, EMPTY_ROOT, 3, root, [root])


def test_what_no_tree_has_is_refused() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_ranges(index, size)
    for old, new in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="grows"):
            consistency_ranges(old, new)
