"""A log entry: what the log says of one event. Frozen: see `docs/formats/log-entry.md`.

It holds hashes only, each of something that nobody can guess: of the event object's name (which holds the record-id
and a random part: in clear it would tell how often a record is visited), of its sealed bytes, and a commitment that
hides what it commits to. So the log can be shown to anybody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct

from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.header import claimed_context

_VERSION = 1
_FORM = Struct(">B32s32sQ32s")
ENTRY_BYTES = _FORM.size
NO_COMMITMENT = bytes(32)
"""Stands where the object carries no commitment that can be read: it is logged all the same, and reported."""

_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What is logged of an event: digests of its object's name and bytes, their number, the commitment it carries."""

    name_sha256: bytes
    sealed_sha256: bytes
    sealed_bytes: int
    commitment: bytes

    def encode(self) -> bytes:
        """The entry's bytes. Raises ValueError for values that no event has."""
        digests = (self.name_sha256, self.sealed_sha256, self.commitment)
        if any(len(one) != _DIGEST_BYTES for one in digests) or not 0 <= self.sealed_bytes < 1 << 63:
            raise ValueError("not what an event's entry holds")
        return _FORM.pack(_VERSION, self.name_sha256, self.sealed_sha256, self.sealed_bytes, self.commitment)


def decode_entry(data: bytes) -> LogEntry:
    """Parse an entry. Raises ValueError for another version, another length, or a number out of range."""
    if len(data) != ENTRY_BYTES or data[0] != _VERSION:
        raise ValueError("not an entry of a version that is known here")
    _, name, sealed, size, commitment = _FORM.unpack(data)
    entry = LogEntry(name, sealed, size, commitment)
    entry.encode()
    return entry


def name_digest(name: str) -> bytes:
    """The digest of an event object's name, as its entry holds it."""
    return hashlib.sha256(name.encode("ascii")).digest()


def entry_of(name: str, message: bytes) -> LogEntry:
    """The entry of the event that rests under `name` as `message`, made without any key.

    What is no sealed event of ours has an entry too, with NO_COMMITMENT: nothing is left out of the log because
    somebody spoilt it.
    """
    commitment = claimed_commitment(message) or NO_COMMITMENT
    return LogEntry(name_digest(name), hashlib.sha256(message).digest(), len(message), commitment)


def claimed_commitment(message: bytes) -> bytes | None:
    """The commitment in a sealed event's clear header; None when there is none that can be read. NOT authenticated."""
    try:
        return contexts.read_carried(claimed_context(message)).commitment
    except MessageRefused:
        return None
