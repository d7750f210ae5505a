"""Merkle tree hashes, and the proofs made of them. RFC 6962 section 2.1 with SHA-256; pure.

A node is named by its height (0: a leaf) and its index at that height: it is the root of the leaves from
`index << height` on, `1 << height` of them. All nodes that are named are complete.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a log without entries."""

Node = tuple[int, int]
"""(height, index) of a complete subtree."""

HashOf = Callable[[Node], bytes]
"""Gives the hash of a node."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry: the entry itself, without the length before it in its bundle."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with these children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of equal height, from left to right; that of the empty tree for none."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]  # an unpaired last node is promoted unchanged
    return level[0]


def joined(hashes: Iterable[bytes]) -> bytes:
    """The root over complete subtrees that shrink from left to right, as those of `complete_nodes` do."""
    root: bytes | None = None
    for one in reversed(list(hashes)):
        root = one if root is None else node_hash(one, root)
    return EMPTY_ROOT if root is None else root


def complete_nodes(first: int, end: int) -> Iterator[Node]:
    """The largest complete subtrees that make up the leaves [first, end[, from left to right.

    `first` must be a multiple of the smallest power of two that is not below `end - first`, as it is in the ranges of
    this module; then the subtrees shrink from left to right.
    """
    while first < end:
        height = (end - first).bit_length() - 1
        yield height, first >> height
        first += 1 << height


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots prove leaf `index` of a tree of `size`: the leaf's sibling first."""
    if not 0 <= index < size:
        raise ValueError("no leaf of this tree has this index")
    first, end, ranges = 0, size, []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots prove that a tree of `new` leaves begins with one of `old`."""
    if not 0 <= old <= new:
        raise ValueError("a tree grows")
    if old in (0, new):
        return []
    first, end, ranges, whole = 0, new, [], True
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first, whole = middle, False
    if not whole:
        ranges.append((first, end))
    return ranges[::-1]


def range_hash(leaves: tuple[int, int], hash_of: HashOf) -> bytes:
    """The root over a range of leaves as these proofs name them."""
    return joined(hash_of(node) for node in complete_nodes(*leaves))


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the tree of `size` and `root` has the leaf hash at `index` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and hmac.compare_digest(found, root)


def extends(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the new tree begins with the old one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not path and hmac.compare_digest(old_root, EMPTY_ROOT)
    if old == new:
        return not path and hmac.compare_digest(old_root, new_root)
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    of_old = of_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            of_old, of_new = node_hash(sibling, of_old), node_hash(sibling, of_new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            of_new = node_hash(of_new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and hmac.compare_digest(of_old, old_root) and hmac.compare_digest(of_new, new_root)


class Frontier:
    """A tree of which only the roots of its largest complete subtrees are kept: enough to grow it, and for its root."""

    def __init__(self, hashes: Iterable[bytes] = (), size: int = 0) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError("a frontier has one hash for each bit of its tree's size")

    def append(self, hash_of_node: bytes, height: int = 0) -> None:
        """Add a leaf hash, or the root of a complete subtree of this height; the size is a multiple of its leaves."""
        found, size = hash_of_node, self.size >> height
        while size & 1:
            found, size = node_hash(self.hashes.pop(), found), size >> 1
        self.hashes.append(found)
        self.size += 1 << height

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return joined(self.hashes)


def _split(number: int) -> int:
    """The largest power of two below `number`, which is over 1."""
    return 1 << (number - 1).bit_length() - 1
