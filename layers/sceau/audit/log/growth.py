"""How a log grows by a batch: every bundle and tile that is written for it. Pure: replayed, it gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sceau.audit.log.hashes import leaf_hash
from sceau.audit.log.state import root_of_edge
from sceau.audit.log.tiles import ENTRIES, WIDTH, Edge, Tile, split_bundle


@dataclass(frozen=True, slots=True)
class Growth:
    """A log with a batch more: what is written for it, in the order of writing, and its right edge and root then."""

    written: Mapping[Tile, bytes]
    edge: Edge
    root: bytes


def grow(edge: Edge, entries: Sequence[bytes]) -> Growth:
    """What it takes to add `entries` to the log that ends in `edge`, which stays as it is.

    Bundles come before tiles, lower tiles before higher ones: whoever finds a hash finds what it is made of.
    """
    grown = edge.copy()
    written = []
    for entry in entries:
        written += grown.append(entry, leaf_hash(entry))
    written += grown.partial()
    ordered = dict(sorted(written, key=lambda one: one[0]))  # by level, bundles first
    return Growth(ordered, grown, root_of_edge(grown))


def entries_in(written: Mapping[Tile, bytes], size: int) -> list[bytes]:
    """The entries from `size` on that the bundles among `written` hold. Raises ValueError for a malformed bundle."""
    found: list[bytes] = []
    for tile, data in written.items():
        if tile.level == ENTRIES:
            found += split_bundle(data, tile.width)
    return found[size % WIDTH :]
