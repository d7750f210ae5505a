"""What of a stage is copied, by its names."""

from __future__ import annotations

from typing import Final

from sceau.audit.log.places import DATED, LOG, beside_of, parse_dated
from sceau.audit.log.tiles import WIDTH, hashes_at, parse_path
from sceau.objects.scoped import covers

RECORDS: Final = "records/"
DOSSIERS: Final = "records/*/dossier"
DOCUMENTS: Final = "records/*/documents/"
CONFIGURATION: Final = "configuration/"
DUE: Final = "due/"


def record_of(name: str) -> str:
    """The id of the record that a name below `records/` is of."""
    return name.split("/")[1]


def has_versions(name: str) -> bool:
    """What is replaced, and of which the source may keep what it was."""
    return covers(DOSSIERS, name) or name.startswith(CONFIGURATION)


def is_of_log(name: str, size: int) -> bool:
    """Whether a log of this size has this tile, dated checkpoint, or what stands beside one.

    What is malformed is copied, to be looked at.
    """
    try:
        if name.startswith(DATED):
            return parse_dated(name, beside_of(name))[1] <= size
        tile = parse_path(name.removeprefix(LOG))
    except ValueError:
        return True
    return tile.index * WIDTH + tile.width <= hashes_at(tile.level, size)
