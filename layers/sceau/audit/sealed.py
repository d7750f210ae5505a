"""What is sealed of an event: the event's bytes, and the opening of the commitment to them.

The commitment stands in the sealed message's clear header, and later in the log, so that a patient can check that
the event shown is the one logged. SHA-256 over a random opening hides what a reader without it could guess.
Frozen: see `docs/formats/audit-event.md`.
"""

from __future__ import annotations

import hashlib
import hmac

from sceau.audit.errors import EventDamaged

OPENING_BYTES = 32
_VERSION = b"\x01"


def commitment(opening: bytes, event: bytes) -> bytes:
    """SHA-256 of the opening (32 bytes) and the event's bytes. Raises ValueError for an opening of another length."""
    if len(opening) != OPENING_BYTES:
        raise ValueError(f"an opening has {OPENING_BYTES} bytes")
    return hashlib.sha256(opening + event).digest()


def encode(opening: bytes, event: bytes) -> bytes:
    """The plaintext that is sealed: version, opening, event. Raises ValueError for an opening of another length."""
    if len(opening) != OPENING_BYTES:
        raise ValueError(f"an opening has {OPENING_BYTES} bytes")
    return _VERSION + opening + event


def decode(plaintext: bytes, committed: bytes) -> tuple[bytes, bytes]:
    """Return (opening, event). Raises EventDamaged for another format, or another event than the one committed to."""
    start = len(_VERSION) + OPENING_BYTES
    if not plaintext.startswith(_VERSION) or len(plaintext) < start:
        raise EventDamaged("an event is not of its format")
    opening, event = plaintext[len(_VERSION) : start], plaintext[start:]
    if not hmac.compare_digest(commitment(opening, event), committed):
        raise EventDamaged("an event is not the one that its commitment was made for")
    return opening, event
