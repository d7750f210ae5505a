"""Brings entries and events together, each read once, in their own order, which is nearly the same.

What has found its other half is handed on and forgotten: memory holds what is out of order, not the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from sceau.audit.log.entries import LogEntry, name_digest

STEP = 1024
"""Names that are listed before the next entries are taken."""

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Pair(Generic[ItemT]):
    """An entry, its index in the log, and what is known of its event."""

    index: int
    entry: LogEntry
    event: ItemT


class Pairing(Generic[ItemT]):
    """Pairs entries, as they are given, with the events that `listing` yields as (name, whatever is known of it).

    In the end `entries` holds those without an event, by the digest of its name; `events` those without an entry;
    `twice` the indexes of entries that repeat one that was waiting then, with that one's.
    """

    def __init__(self, listing: Iterator[tuple[str, ItemT]]) -> None:
        self.entries: dict[bytes, tuple[int, LogEntry]] = {}
        self.events: dict[bytes, ItemT] = {}
        self.twice: list[tuple[int, int]] = []
        self._listing = listing
        self._found: list[Pair[ItemT]] = []

    def add(self, index: int, entry: LogEntry) -> None:
        """Take the next entry of the log."""
        event = self.events.pop(entry.name_sha256, None)
        if event is not None:
            self._found.append(Pair(index, entry, event))
        elif entry.name_sha256 in self.entries:
            self.twice.append((index, self.entries[entry.name_sha256][0]))
        else:
            self.entries[entry.name_sha256] = (index, entry)

    def found(self) -> list[Pair[ItemT]]:
        """The pairs found since this was last asked; lists more events while more entries wait than events do."""
        while len(self.entries) > len(self.events) and self._list():
            continue
        return self._take()

    def rest(self) -> Iterator[list[Pair[ItemT]]]:
        """List what is left, and give the pairs that it makes, some at a time."""
        while self._list():
            yield self._take()
        yield self._take()

    def _take(self) -> list[Pair[ItemT]]:
        taken, self._found = self._found, []
        return taken

    def _list(self) -> bool:
        """Take some more events from the listing; False at its end."""
        some = list(islice(self._listing, STEP))
        for name, event in some:
            digest = name_digest(name)
            known = self.entries.pop(digest, None)
            if known is None:
                self.events[digest] = event
            else:
                self._found.append(Pair(*known, event))
        return bool(some)
