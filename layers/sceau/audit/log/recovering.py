"""Finds where the log stands: by what the sealer kept, if that is of the newest signed checkpoint; else by the log.

What the sealer kept may be lost, or an old one may have been put back: to go on from there would fork the log. The
dated checkpoints can be neither: they are locked. So the newest of them says where the log stands, and nothing is ever
signed that does not go on from it.

A locked object can be hidden, though: on S3 by a deletion mark, which breaks no lock. So marks over newer checkpoints
are looked for, and the checkpoint that is shown to everybody must be the one where the log stands, or the one that the
fixed batch leads to. Anything else there (a larger one, another root, none, one that is not signed as it must be) is
damage: somebody who hides the rest may have overlooked it, or spoilt it. (A host that hides all of them is beyond this:
witnesses, and whoever kept an earlier checkpoint, find that. SECURITY.md.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint
from sceau.audit.log.entries import name_digest
from sceau.audit.log.errors import LogDamaged, NoteRefused
from sceau.audit.log.gathering import WINDOW, indexed, is_event, minute_in
from sceau.audit.log.growth import grow
from sceau.audit.log.hashes import leaf_hash
from sceau.audit.log.identity import Identity
from sceau.audit.log.places import CHECKPOINT, DATED, LOG, PENDING, dated_name, parse_dated, tile_name
from sceau.audit.log.reading import LogReader
from sceau.audit.log.report import Report
from sceau.audit.log.state import Batch, LogState, decode_state, encode_state, minute_of, root_of_edge
from sceau.audit.log.tiles import ENTRIES, WIDTH, Edge, Tile, split_bundle
from sceau.audit.retention import CLOCK_TOLERANCE
from sceau.objects.errors import ObjectAbsent, ObjectChanged
from sceau.objects.ports import Kept, ObjectStore

_ALWAYS: Final = ("1970-01-01/00/00", "9999-12-31/23/59")


@dataclass(frozen=True, slots=True)
class _Shown:
    """The checkpoint that is shown to everybody, if one is, and its object's tag."""

    checkpoint: Checkpoint | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """What the log itself says: the state, its signed note, and the checkpoint before it (None: it is the first)."""

    state: LogState
    note: bytes
    before: Checkpoint | None


class StateKeeper:
    """Loads and keeps the log's state. What the store raises passes, ObjectChanged too: another run was faster."""

    def __init__(self, store: ObjectStore, log: LogReader, identity: Identity) -> None:
        self._store = store
        self._log = log
        self._identity = identity

    def load(self, first_minute: Callable[[], str], report: Report) -> tuple[LogState, str | None]:
        """The log's state, and the tag that a compare-and-swap of it must name (None: there is nothing yet).

        `first_minute` says where a log without entries begins to look for events. Raises LogDamaged, LogUnavailable.
        """
        state, tag = self._stored()
        newest = self._newest_after(state)
        if state is None and newest is None:
            self._require_unbegun(tag)
            return LogState(self._identity.origin, Edge(), None, first_minute()), tag
        if state is not None and self._is_newest(state, newest):
            self._require_shown({_checkpoint_of(state), _checkpoint_of(state, state.batch)}, tag)
            return state, tag
        if self._stored()[1] != tag:
            raise ObjectChanged(PENDING)  # another run went on while we looked: nothing is lost
        rebuilt = self._rebuilt()
        # We may have died between the dated copy and showing it. Shown before it is kept: dying here changes nothing.
        shown = self._require_shown({_checkpoint_of(rebuilt.state), rebuilt.before}, tag)
        if shown.checkpoint != _checkpoint_of(rebuilt.state):
            self._store.replace(CHECKPOINT, rebuilt.note, expected=shown.tag)
        kept = self.keep(rebuilt.state, tag)
        report.rebuilt = True
        return rebuilt.state, kept

    def keep(self, state: LogState, tag: str | None) -> str:
        """Put `state` in the place of the one with `tag`; return its tag. Raises ObjectChanged: it was not there."""
        return self._store.replace(PENDING, encode_state(state), expected=tag)

    def _stored(self) -> tuple[LogState | None, str | None]:
        try:
            stored = self._store.read(PENDING)
        except ObjectAbsent:
            return None, None
        try:
            state = decode_state(stored.data)
        except ValueError:
            return None, stored.tag  # damaged: the log itself says where it stands
        return state, stored.tag

    def _newest_after(self, state: LogState | None) -> str | None:
        """The newest dated checkpoint after the one that `state` is of. Raises LogDamaged when one is hidden there."""
        after = dated_name(state.date, state.size) if state and state.date else ""
        newest = None
        for kept in self._store.versions(DATED, after=after):
            if _is_dated(kept.name):
                newest = _visible(kept)
        return newest

    def _require_unbegun(self, tag: str | None) -> None:
        """Raise LogDamaged when anything of a log is kept, hidden or not: a second one would be a fork of the first."""
        for kept in self._store.versions(LOG):
            if kept.name != PENDING or kept.hidden:
                self._stop(tag, f"what the sealer kept is lost, and {kept.name} says that there was a log")

    def _require_shown(self, allowed: Collection[Checkpoint | None], tag: str | None) -> _Shown:
        """The checkpoint that is shown. Raises LogDamaged when it is none of `allowed` (None: that there is none)."""
        try:
            there = self._store.read(CHECKPOINT)
        except ObjectAbsent:
            if None not in allowed:
                self._stop(tag, f"{CHECKPOINT} is missing: a log that was begun is never without one")
            return _Shown(None, None)
        try:
            shown, _ = open_checkpoint(there.data, self._identity.keys)
        except NoteRefused as error:
            self._stop(tag, f"{CHECKPOINT} is not this log's: {error}")
        if shown not in allowed:
            sizes = sorted(one.size for one in allowed if one is not None)
            wrong = "another root" if shown.size in sizes else f"{shown.size} entries"
            known = " or ".join(str(size) for size in sizes) or "none"
            self._stop(
                tag, f"{CHECKPOINT} has {wrong}, and the log stands at {known}: it, or what is newer, was put back"
            )
        return _Shown(shown, there.tag)

    def _stop(self, tag: str | None, what: str) -> NoReturn:
        """Raise LogDamaged, unless another run went on while we looked."""
        if self._stored()[1] != tag:
            raise ObjectChanged(PENDING)
        raise LogDamaged(what)

    def _is_newest(self, state: LogState, newer: str | None) -> bool:
        """Whether `state` is of the newest checkpoint that was signed, or of the one before it with what led to it."""
        batch = state.batch
        if newer is not None and (batch is None or newer != dated_name(batch.date, state.size + len(batch.entries))):
            return False  # it was put back, or somebody lost it
        if state.origin != self._identity.origin:
            return False
        return state.date is None or self._dated(dated_name(state.date, state.size)) == _checkpoint_of(state)

    def _dated(self, name: str) -> Checkpoint | None:
        """The checkpoint of a dated copy, if there is one that this log signed."""
        return self._opened(self._log.object(name))

    def _opened(self, data: bytes | None) -> Checkpoint | None:
        try:
            return open_checkpoint(data, self._identity.keys)[0] if data is not None else None
        except NoteRefused:
            return None

    def _rebuilt(self) -> _Rebuilt:
        """The state by the newest dated checkpoint that this log signed, and by the tiles."""
        dated = [kept for kept in self._store.versions(DATED) if _is_dated(kept.name)]
        while dated and self._dated(_visible(dated[-1])) is None:
            if dated.pop().versions != 1:  # ours may be behind it
                raise LogDamaged("something else was written over the newest dated checkpoint")
        names = [
            kept.name for kept in dated
        ]  # what was left out nobody of ours put there: the sealer signs by its name
        if not names:
            raise LogDamaged("what the sealer kept is lost, and no checkpoint says where the log stands")
        date, size = parse_dated(names[-1])
        note = self._log.object(names[-1]) or b""
        checkpoint = self._opened(note)
        edge = self._log.edge(size)
        if checkpoint != Checkpoint(self._identity.origin, size, root_of_edge(edge)):
            raise LogDamaged("the log's right edge does not lead to its newest checkpoint")
        if [leaf_hash(entry) for entry in edge.entries] != (edge.hashes[0] if edge.hashes else []):
            raise LogDamaged("the log's last entries are not those of their hashes")
        start = date - WINDOW
        earlier = [parse_dated(name) for name in names]
        before = max((one for at, one in earlier if at < start - 2 * CLOCK_TOLERANCE), default=0)
        first = self._first_of(minute_of(start), before, edge)
        state = LogState(checkpoint.origin, edge, date, minute_of(start), first, self._begun(edge, date))
        return _Rebuilt(state, note, next((one for one in map(self._dated, reversed(names[:-1])) if one), None))

    def _first_of(self, start: str, before: int, edge: Edge) -> dict[str, int]:
        """For each minute from `start` on the lowest index of an entry of its events; all are from `before` on."""
        entries = [one for at in range(before // WIDTH, edge.size // WIDTH) for one in self._log.entries(at, edge.size)]
        indexes = {digest: index for index, digest in indexed(entries + edge.entries, before // WIDTH * WIDTH)}
        first: dict[str, int] = {}
        for name in self._store.list(EVENTS_PREFIX, after=f"{EVENTS_PREFIX}{start}/"):
            index = indexes.get(name_digest(name)) if is_event(name) else None
            if index is not None:
                first[minute_in(name)] = min(index, first.get(minute_in(name), index))
        return first

    def _begun(self, edge: Edge, date: datetime) -> Batch | None:
        """The batch that bundles beyond the newest checkpoint are of. Full ones are locked, so it must be sealed."""
        entries: list[bytes] = []
        index = edge.size // WIDTH
        while (whole := self._bundle(Tile(ENTRIES, index))) is not None:
            entries += whole
            index += 1
        entries += self._longest_partial(index)
        known = len(edge.entries)
        if entries[:known] != edge.entries[: len(entries)]:
            raise LogDamaged("a bundle beyond the newest checkpoint does not go on from it")
        if len(entries) <= known:
            return None
        return Batch(tuple(entries[known:]), grow(edge, entries[known:]).root, *_ALWAYS, date)

    def _bundle(self, tile: Tile) -> list[bytes] | None:
        data = self._log.object(tile_name(tile))
        try:
            return None if data is None else split_bundle(data, tile.width)
        except ValueError as error:
            raise LogDamaged(f"{tile_name(tile)}: {error}") from None

    def _longest_partial(self, index: int) -> list[bytes]:
        names = self._store.list(f"{tile_name(Tile(ENTRIES, index))}.p/")
        tiles = {tile_name(tile): tile for tile in (Tile(ENTRIES, index, width) for width in range(1, WIDTH))}
        longest = max((tiles[name] for name in names if name in tiles), default=None)
        return (self._bundle(longest) if longest else None) or []


def _checkpoint_of(state: LogState, batch: Batch | None = None) -> Checkpoint | None:
    """The checkpoint of a state, or with the batch that was fixed on it; None when the log has no entries yet."""
    if batch is not None:
        return Checkpoint(state.origin, state.size + len(batch.entries), batch.root)
    return Checkpoint(state.origin, state.size, state.root) if state.size else None


def _visible(kept: Kept) -> str:
    """The name of a dated checkpoint. Raises LogDamaged when it is hidden: it can't be said where the log stands."""
    if kept.hidden:
        raise LogDamaged(f"{kept.name} is hidden by a deletion: take the mark away")
    return kept.name


def _is_dated(name: str) -> bool:
    try:
        parse_dated(name)
    except ValueError:
        return False
    return True
