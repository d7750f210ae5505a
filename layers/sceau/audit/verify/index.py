"""Checks the index by record against the events that were found: an object for each, none besides.

It is no evidence, and can be made again; but a patient's query goes by it.
"""

from __future__ import annotations

from collections.abc import Callable

from sceau.audit.ids import event_name
from sceau.audit.log.entries import decode_entry, name_digest
from sceau.audit.log.places import RECORDS, parse_index
from sceau.audit.log.tiles import WIDTH
from sceau.audit.verify.events import EventsCheck, number_of
from sceau.audit.verify.findings import Findings
from sceau.audit.verify.sources import Source

Bundle = Callable[[int], list[bytes] | None]
"""Gives the entries of a bundle."""


class IndexCheck:
    """Checks the index of a log of `size`; `begun` tells whether one of another size is in the making."""

    def __init__(self, source: Source, size: int, begun: Callable[[int], bool], findings: Findings) -> None:
        self._source = source
        self._size = size
        self._begun = begun
        self._findings = findings

    def check(self, events: EventsCheck, bundle: Bundle) -> None:
        """Compare as a whole; only when that differs, look at each object."""
        count, total = 0, 0
        for kept in self._source.kept(RECORDS):
            try:
                index = parse_index(kept.name)[2]
            except ValueError:
                self._findings.add(kept.name, "is no index object's name")
                continue
            if index >= self._size:
                if not self._begun(index + 1):
                    self._findings.add(kept.name, f"lies beyond the log, which has {self._size} entries")
                continue
            count, total = count + 1, total + number_of(kept.name)
        if (count, total) != (events.paired, events.index_sum):
            self._look(bundle)

    def _look(self, bundle: Bundle) -> None:
        """Name the objects that are wrong, and the entries that have none."""
        seen = bytearray(self._size)
        known: tuple[int, list[bytes] | None] = (-1, None)
        for kept in self._source.kept(RECORDS):
            try:
                record, event_id, index = parse_index(kept.name)
            except ValueError:
                continue
            if index >= self._size:
                continue
            if known[0] != index // WIDTH:
                known = (index // WIDTH, bundle(index // WIDTH))
            entries = known[1]
            if entries is None:
                continue  # said of the bundle
            if digest_of(entries[index % WIDTH]) != name_digest(event_name(record, event_id)):
                self._findings.add(kept.name, f"is wrong: entry {index} of the log is of another event")
            elif kept.hidden:
                self._findings.add(kept.name, "is hidden by a deletion")
            else:
                seen[index] = 1
        for index, found in enumerate(seen):
            if not found:
                self._findings.add(f"entry {index}", f"has no index object below {RECORDS}: `sceau log index` makes it")


def digest_of(entry: bytes) -> bytes | None:
    """The name digest of an entry; None for what is none."""
    try:
        return decode_entry(entry).name_sha256
    except ValueError:
        return None
