"""`sceau log copy`: a log, and if wanted its events, as plain files: for verifiers that read a folder, and to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.places import (
    CHECKPOINT,
    COSIGNED,
    DATED,
    RECORDS,
    VKEYS,
    beside_of,
    parse_dated,
    parse_index,
    tile_name,
)
from sceau.audit.log.reading import LogReader
from sceau.audit.log.tiles import ENTRIES, WIDTH, hashes_at, levels, tile_at
from sceau.objects.errors import ObjectAbsent, ObjectStoreError
from sceau.objects.ports import ObjectStore


def copy_log(store: ObjectStore, folder: Path, *, with_events: bool) -> int:
    """Copy the log as its newest checkpoint has it, and no more, into `folder`; return the number of files.

    Files that are there with the right size are kept when they can't have changed, so a copy is brought up to date by
    copying again. Raises LogUnavailable, LogDamaged; OSError of the folder.
    """
    log, files = LogReader(store), 0
    cosigned = log.object(COSIGNED)  # read first: the checkpoint that is copied is as large, or larger
    newest = log.checkpoint()
    if newest is None:
        return 0
    size, note = newest[0].size, newest[1]
    try:
        for name in _names(store, size, with_events=with_events):
            path = folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(store.read(name).data)
            files += 1
        for name, data in ((CHECKPOINT, note), (VKEYS, store.read(VKEYS).data), (COSIGNED, cosigned)):
            if data is not None:
                (folder / name).write_bytes(data)
                files += 1
    except ObjectAbsent as error:
        raise LogUnavailable(f"{error} is gone since it was listed") from None
    except ObjectStoreError as error:
        raise LogUnavailable("the log can't be read") from error
    return files


def _names(store: ObjectStore, size: int, *, with_events: bool) -> Iterator[str]:
    """What belongs to a log of this size."""
    for level in (ENTRIES, *range(levels(size))):
        for index in range(-(-hashes_at(level, size) // WIDTH)):
            yield tile_name(tile_at(level, index, size))
    yield from (name for name in store.list(DATED) if _size(name, _dated_size) <= size)
    if with_events:
        yield from store.list(EVENTS_PREFIX)
        yield from (name for name in store.list(RECORDS) if _size(name, lambda index: parse_index(index)[2]) < size)


def _dated_size(name: str) -> int:
    return parse_dated(name, beside_of(name))[1]


def _size(name: str, size_of: Callable[[str], int]) -> int:
    """The size, or the index, that a name says; what is malformed is copied, for whoever verifies the copy."""
    try:
        return size_of(name)
    except ValueError:
        return -1
