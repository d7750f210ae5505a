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
_ALONE, _WITH_EVIDENCE = b"\x01", b"\x02"
_LENGTH_BYTES = 4


def commitment(opening: bytes, event: bytes) -> bytes:
    """SHA-256 of the opening (32 bytes) and the event's bytes. Raises ValueError for an opening of another length."""
    if len(opening) != OPENING_BYTES:
        raise ValueError(f"an opening has {OPENING_BYTES} bytes")
    return hashlib.sha256(opening + event).digest()


def encode(opening: bytes, event: bytes, evidence: bytes | None = None) -> bytes:
    """The plaintext that is sealed: version, opening, event; with evidence, the event's length before it.

    Raises ValueError for an opening of another length, and for empty evidence.
    """
    if len(opening) != OPENING_BYTES:
        raise ValueError(f"an opening has {OPENING_BYTES} bytes")
    if evidence is None:
        return _ALONE + opening + event
    if not evidence:
        raise ValueError("evidence is something")
    return _WITH_EVIDENCE + opening + len(event).to_bytes(_LENGTH_BYTES) + event + evidence


def decode(plaintext: bytes, committed: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return (opening, event, evidence or None). Raises EventDamaged for another format, or another event than the one
    committed to."""
    start = 1 + OPENING_BYTES
    version, opening, event = plaintext[:1], plaintext[1:start], plaintext[start:]
    evidence = None
    if version == _WITH_EVIDENCE:
        length, rest = int.from_bytes(event[:_LENGTH_BYTES]), event[_LENGTH_BYTES:]
        event, evidence = rest[:length], rest[length:]
        if not evidence:
            raise EventDamaged("an event is not of its format")
    elif version != _ALONE:
        raise EventDamaged("an event is not of its format")
    if len(opening) != OPENING_BYTES or not hmac.compare_digest(commitment(opening, event), committed):
        raise EventDamaged("an event is not the one that its commitment was made for")
    return opening, event, evidence
