"""Finds where the log stands: by what the sealer kept, if that is of the newest signed checkpoint; else by the log.

What the sealer kept may be lost, or an old one may have been put back: to go on from there would fork the log. The
dated checkpoints can be neither: they are locked. So the newest of them says where the log stands, and nothing is ever
signed that does not go on from it. (A host that hides locked objects is beyond this: witnesses, and whoever kept an
earlier checkpoint, find that. SECURITY.md.)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint
from sceau.audit.log.entries import name_digest
from sceau.audit.log.errors import LogDamaged, NoteRefused
from sceau.audit.log.gathering import WINDOW, indexed, is_event, minute_in
from sceau.audit.log.growth import grow
from sceau.audit.log.hashes import leaf_hash
from sceau.audit.log.identity import Identity
from sceau.audit.log.places import DATED, PENDING, dated_name, parse_dated, tile_name
from sceau.audit.log.reading import LogReader
from sceau.audit.log.report import Report
from sceau.audit.log.state import Batch, LogState, decode_state, encode_state, minute_of, root_of_edge
from sceau.audit.log.tiles import ENTRIES, WIDTH, Edge, Tile, split_bundle
from sceau.audit.retention import CLOCK_TOLERANCE
from sceau.objects.errors import ObjectAbsent, ObjectChanged
from sceau.objects.ports import ObjectStore

_ALWAYS: Final = ("1970-01-01/00/00", "9999-12-31/23/59")


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
            return LogState(self._identity.origin, Edge(), None, first_minute()), tag
        if state is not None and self._is_newest(state, newest):
            return state, tag
        if self._stored()[1] != tag:
            raise ObjectChanged(PENDING)  # another run went on while we looked: nothing is lost
        rebuilt = self._rebuilt()
        kept = self.keep(rebuilt, tag)
        report.rebuilt = True
        return rebuilt, kept

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
        """The newest dated checkpoint after the one that `state` is of."""
        after = dated_name(state.date, state.size) if state and state.date else ""
        newest = None
        for name in self._store.list(DATED, after=after):
            if _is_dated(name):
                newest = name
        return newest

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
        data = self._log.object(name)
        try:
            return open_checkpoint(data, self._identity.keys)[0] if data is not None else None
        except NoteRefused:
            return None

    def _rebuilt(self) -> LogState:
        """The state by the newest dated checkpoint that this log signed, and by the tiles."""
        names = [name for name in self._store.list(DATED) if _is_dated(name)]
        while names and self._dated(names[-1]) is None:
            names.pop()  # nobody of ours put it there: the sealer names it by date and size, and signs it
        if not names:
            raise LogDamaged("what the sealer kept is lost, and no checkpoint says where the log stands")
        date, size = parse_dated(names[-1])
        checkpoint = self._dated(names[-1])
        edge = self._log.edge(size)
        if checkpoint != Checkpoint(self._identity.origin, size, root_of_edge(edge)):
            raise LogDamaged("the log's right edge does not lead to its newest checkpoint")
        if [leaf_hash(entry) for entry in edge.entries] != (edge.hashes[0] if edge.hashes else []):
            raise LogDamaged("the log's last entries are not those of their hashes")
        start = date - WINDOW
        earlier = [parse_dated(name) for name in names]
        before = max((one for at, one in earlier if at < start - 2 * CLOCK_TOLERANCE), default=0)
        first = self._first_of(minute_of(start), before, edge)
        return LogState(checkpoint.origin, edge, date, minute_of(start), first, self._begun(edge, date))

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


def _checkpoint_of(state: LogState) -> Checkpoint:
    return Checkpoint(state.origin, state.size, state.root)


def _is_dated(name: str) -> bool:
    try:
        parse_dated(name)
    except ValueError:
        return False
    return True
