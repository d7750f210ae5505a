"""Checks the events against the log's entries: each entry has its event, unaltered, locked, alone under its name; each
event has its entry.

Entries come in the log's order, events in that of their names; both are nearly that of time. So they are read side by
side, and what has found its other half is forgotten: memory holds what is out of order, not the journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sceau.audit.ids import EVENTS_PREFIX, NO_RECORD, event_time, parse_event_name
from sceau.audit.log.entries import NO_COMMITMENT, decode_entry
from sceau.audit.log.pairing import Pair, Pairing
from sceau.audit.log.places import index_name
from sceau.audit.retention import CLOCK_TOLERANCE
from sceau.audit.verify.findings import Findings
from sceau.audit.verify.layout import check_written_once
from sceau.audit.verify.sources import Source
from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.header import claimed_context
from sceau.objects.ports import Kept

SLICE = 64
"""Events that one thread reads before it takes more."""


@dataclass(frozen=True, slots=True)
class Version:
    """The highest dossier version that a record's events saw, when, and which event did."""

    number: int
    time: datetime
    name: str


class EventsCheck:
    """Takes entries as the tree's check reads them, and compares. `retention`: how long events are locked at least.

    When it has finished, `pairing` holds the entries whose event was not found, and the events that have no entry.
    """

    def __init__(self, source: Source, retention: timedelta, findings: Findings, pool: Executor) -> None:
        self.paired = 0
        self.index_sum = 0
        """Of the SHA-256 of all names that the index by record must have, as numbers: order does not matter to it."""
        self.pairing: Pairing[Kept] = Pairing(self._events())
        self._source = source
        self._retention = retention
        self._findings = findings
        self._pool = pool
        self._versions: dict[str, Version] = {}

    def add(self, first: int, entries: list[bytes]) -> None:
        """Compare a bundle's entries, of which the first has this index in the log."""
        for number, data in enumerate(entries, first):
            try:
                self.pairing.add(number, decode_entry(data))
            except ValueError as error:
                self._findings.add(f"entry {number}", str(error))
        self._compare(self.pairing.found())

    def finish(self) -> None:
        """List what is left of the journal, and compare what is left to compare."""
        for pairs in self.pairing.rest():
            self._compare(pairs)

    def _events(self) -> Iterator[tuple[str, Kept]]:
        for kept in self._source.kept(EVENTS_PREFIX):
            try:
                parse_event_name(kept.name)
            except ValueError:
                self._findings.add(kept.name, "is no event's name")
                continue
            yield kept.name, kept

    def _compare(self, pairs: list[Pair[Kept]]) -> None:
        self.paired += len(pairs)
        slices = [pairs[at : at + SLICE] for at in range(0, len(pairs), SLICE)]
        for found in self._pool.map(self._check_slice, slices):
            for pair, version in found:
                record, event_id = parse_event_name(pair.event.name)
                self._check_version(pair.event.name, record, event_time(event_id), version)
                self.index_sum += number_of(index_name(record, event_id, pair.index))

    def _check_slice(self, pairs: list[Pair[Kept]]) -> list[tuple[Pair[Kept], int]]:
        return [(pair, self._check(pair)) for pair in pairs]

    def _check(self, pair: Pair[Kept]) -> int:
        """Compare an event's object with its entry; return the dossier version that it says, 0 if none."""
        name, entry = pair.event.name, pair.entry
        due = event_time(parse_event_name(name)[1]) + self._retention
        check_written_once(self._source, pair.event, due, self._findings)
        message = self._source.read(name)
        if message is None:
            self._findings.add(name, f"is gone: entry {pair.index} of the log is of it")
            return 0
        if len(message) != entry.sealed_bytes or hashlib.sha256(message).digest() != entry.sealed_sha256:
            self._findings.add(name, f"is not what was logged as entry {pair.index}: its bytes were altered")
            return 0
        try:
            carried = contexts.read_carried(claimed_context(message))
        except MessageRefused:
            self._findings.add(name, f"was no sealed event when it was logged, as entry {pair.index}")
            return 0
        if carried.commitment != entry.commitment or entry.commitment == NO_COMMITMENT:
            self._findings.add(name, f"carries another commitment than entry {pair.index} of the log")
        return carried.dossier_version

    def _check_version(self, name: str, record: str, time: datetime, number: int) -> None:
        """A dossier's version never goes down: it would be an old one, put back (SECURITY.md).

        Events closer in time than two clocks may be apart are not compared.
        """
        if record == NO_RECORD or not number:
            return
        highest = self._versions.get(record)
        if highest is None or number > highest.number:
            self._versions[record] = Version(number, time, name)
        elif number < highest.number and time > highest.time + 2 * CLOCK_TOLERANCE:
            self._findings.add(
                name,
                f"saw version {number} of its record's dossier, after {highest.name} saw version {highest.number}: "
                "an old dossier was put back",
            )


def number_of(name: str) -> int:
    """The SHA-256 of a name, as a number."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")
