"""Seals the one batch that was fixed: bundles, tiles, index, checkpoint, in this order; checked before it is signed.

Every step can be done again, by this process or another, and does nothing the second time. If we die anywhere here, the
next run does the same steps with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sceau.audit.ids import EVENTS_PREFIX, parse_event_name
from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint
from sceau.audit.log.entries import decode_entry, name_digest
from sceau.audit.log.errors import LogDamaged, LogUnavailable, NoteRefused
from sceau.audit.log.growth import Growth, entries_in, grow
from sceau.audit.log.identity import LogSigner
from sceau.audit.log.places import CHECKPOINT, dated_name, index_name, tile_name
from sceau.audit.log.state import Batch, LogState
from sceau.audit.log.tiles import Tile
from sceau.audit.retention import due_end, lock_end
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectExists, ObjectLocked
from sceau.objects.ports import ObjectStore

SLICE = 64
"""Index objects that one thread creates before it takes more."""

ATTEMPTS = 10
"""How often the newest checkpoint is shown, when others show theirs at the same time."""

Names = Sequence[str | None]
"""For each entry of a batch the name of its event's object; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was sealed: the log then, the names of the batch's events, and how many of the log's locks are too short."""

    growth: Growth
    names: Names
    unlocked: int


class Publisher:
    """Writes and signs batches. What the store raises passes; `pool` runs calls that don't wait for one another."""

    def __init__(
        self, store: ObjectStore, *, clock: Callable[[], datetime], retention: timedelta, pool: Executor
    ) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._pool = pool

    def publish(self, state: LogState, batch: Batch, signer: LogSigner, names: Names | None) -> Published:
        """Seal `batch`, which was fixed on top of `state`; `names` are its events' if they are known already.

        Raises LogDamaged when what rests is not what was fixed: then nothing was signed. Raises LogUnavailable.
        """
        growth = grow(state.edge, batch.entries)
        if growth.root != batch.root:
            raise LogDamaged("the batch that was fixed does not lead to the root that was fixed with it")
        for _, tiles in groupby(growth.written, lambda tile: tile.level):
            list(self._pool.map(lambda tile: self._write(tile, growth.written[tile]), tiles))
        unlocked = self._check(state, growth)
        known = self._names_of(batch) if names is None else names
        self._index(state.size, known)
        unlocked += self._announce(Checkpoint(state.origin, growth.edge.size, growth.root), batch, signer)
        return Published(growth, known, unlocked)

    def _write(self, tile: Tile, data: bytes) -> None:
        """Write a tile. What is there already is compared when it is read again."""
        name = tile_name(tile)
        if tile.full:
            try:
                self._store.create(name, data, locked_until=lock_end(self._clock(), self._retention))
            except ObjectExists:
                return
        else:
            self._write_partial(name, data)

    def _write_partial(self, name: str, data: bytes) -> None:
        try:
            self._store.replace(name, data, expected=None)
        except ObjectChanged:
            there = self._store.read(name)
            if there.data != data:  # nobody of ours wrote that, and it can be made again
                self._replace(name, data, there.tag)

    def _replace(self, name: str, data: bytes, tag: str | None) -> bool:
        try:
            self._store.replace(name, data, expected=tag)
        except (ObjectChanged, ObjectLocked):
            return False  # what rests is read again before it counts
        return True

    def _check(self, state: LogState, growth: Growth) -> int:
        """Read everything again and hash it again: a checkpoint that says what does not rest can't be taken back."""
        names = [tile_name(tile) for tile in growth.written]
        found = dict(zip(growth.written, self._pool.map(self._read, names), strict=True))
        for tile, data in growth.written.items():
            if found[tile] != data:
                raise LogDamaged(f"{tile_name(tile)} is not what was fixed for it")
        again = grow(state.edge, entries_in(found, state.size))
        if (again.root, again.written) != (growth.root, growth.written):
            raise LogDamaged("what was written does not lead to the root that was fixed")
        return self._count_short([tile_name(tile) for tile in growth.written if tile.full])

    def _count_short(self, names: Sequence[str]) -> int:
        """Read back the locks of these, which are the log's own, and count those that end before they may."""
        due = due_end(None, self._clock(), self._retention, lives=True)
        return sum(end is None or end < due for end in self._pool.map(self._store.locked_until, names))

    def _read(self, name: str) -> bytes:
        try:
            return self._store.read(name).data
        except ObjectAbsent:
            raise LogDamaged(f"{name} is gone as soon as it was written") from None

    def _names_of(self, batch: Batch) -> Names:
        """The names of the batch's events, found by the digests in its entries, when another run had gathered them."""
        digests = [decode_entry(entry).name_sha256 for entry in batch.entries]
        wanted: dict[bytes, str | None] = dict.fromkeys(digests)
        for name in self._store.list(EVENTS_PREFIX, after=f"{EVENTS_PREFIX}{batch.first_minute}/"):
            if name > f"{EVENTS_PREFIX}{batch.last_minute}/~":  # "~" sorts behind all names
                break
            digest = name_digest(name)
            if digest in wanted:
                wanted[digest] = name
        return [wanted[digest] for digest in digests]

    def _index(self, size: int, names: Names) -> None:
        """Make the index objects. They can be made again from log and events, so they wait for no disk of their own:
        what follows, the checkpoint, makes them durable too on file systems that journal in order."""
        numbered = list(enumerate(names, size))
        list(self._pool.map(self._index_slice, [numbered[at : at + SLICE] for at in range(0, len(numbered), SLICE)]))

    def _index_slice(self, numbered: Sequence[tuple[int, str | None]]) -> None:
        for index, name in numbered:
            if name is None:
                continue
            try:
                self._store.create(index_name(*parse_event_name(name), index), b"", durable=False)
            except ObjectExists:
                continue

    def _announce(self, checkpoint: Checkpoint, batch: Batch, signer: LogSigner) -> int:
        """Sign, keep the dated copy, and show that copy as the newest. Of two that sign at once, one copy counts.

        Returns 1 when the copy's lock is too short, else 0.
        """
        note = signer.sign(checkpoint.text())
        name = dated_name(batch.date, checkpoint.size)
        try:
            require_own(note, checkpoint, signer)
        except LogDamaged as error:
            raise LogUnavailable(f"a key does not sign as it must: {error}") from None
        try:
            self._store.create(name, note, locked_until=lock_end(self._clock(), self._retention))
        except ObjectExists:
            note = self._store.read(name).data
            require_own(note, checkpoint, signer)
        if not any(self._shown(checkpoint, note, signer) for _ in range(ATTEMPTS)):
            raise LogUnavailable("the newest checkpoint can't be shown: something keeps its place")
        return self._count_short((name,))

    def _shown(self, checkpoint: Checkpoint, note: bytes, signer: LogSigner) -> bool:
        """Whether the newest checkpoint is this one (maybe with cosignatures), or a larger one of ours.

        Raises LogDamaged: what is none of ours, or has another root, stays there: it may be all that tells of a fork.
        """
        try:
            there = self._store.read(CHECKPOINT)
        except ObjectAbsent:
            return self._replace(CHECKPOINT, note, None)
        try:
            found, _ = open_checkpoint(there.data, signer.identity.keys)
        except NoteRefused as error:
            raise LogDamaged(f"{CHECKPOINT} is not this log's: {error}") from None
        if found.size == checkpoint.size and found.root != checkpoint.root:
            raise LogDamaged(f"{CHECKPOINT} has another root than the log at its size")
        return found.size >= checkpoint.size or self._replace(CHECKPOINT, note, there.tag)


def require_own(note: bytes, checkpoint: Checkpoint, signer: LogSigner) -> None:
    """Raise LogDamaged unless `note` is this very checkpoint, signed by keys of this log."""
    try:
        found, _ = open_checkpoint(note, signer.identity.keys)
    except NoteRefused as error:
        raise LogDamaged(f"a checkpoint of this log is not signed as it must be: {error}") from None
    if found != checkpoint:
        raise LogDamaged(f"a checkpoint of {found.size} entries says something else than the log")
