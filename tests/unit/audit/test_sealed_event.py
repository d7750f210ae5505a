"""The plaintext of a sealed event, and its commitment: bytes that must never change (docs/formats/audit-event.md)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, strategies as st

from sceau.audit.errors import EventDamaged
from sceau.audit.sealed import OPENING_BYTES, commitment, decode, encode

OPENING = bytes(range(32))
EVENT = b'{"resourceType":"AuditEvent","id":"019cade2-4cd3-77ff-bfff-ffffffffffff"}'
COMMITTED = bytes.fromhex("3b087dd070cc5dbc10459712eb66f85249f9b7d7231eb6b4283c40c6fc769a6c")


def test_the_bytes_are_frozen() -> None:
    assert encode(OPENING, EVENT) == b"\x01" + OPENING + EVENT
    assert commitment(OPENING, EVENT) == hashlib.sha256(OPENING + EVENT).digest() == COMMITTED


def test_the_bytes_with_evidence_are_frozen() -> None:
    """The commitment is to the event alone: a patient who checks it needs no evidence, and is shown none."""
    whole = encode(OPENING, EVENT, b"evidence")
    assert whole == b"\x02" + OPENING + bytes([0, 0, 0, len(EVENT)]) + EVENT + b"evidence"
    assert decode(whole, COMMITTED) == (OPENING, EVENT, b"evidence")
    for spoilt in (whole[:-8], whole[:33], whole[:36], b"\x02" + OPENING + b"\xff" * 4 + EVENT + b"evidence"):
        with pytest.raises(EventDamaged):
            decode(spoilt, COMMITTED)
    with pytest.raises(ValueError, match="something"):
        encode(OPENING, EVENT, b"")


@given(opening=st.binary(min_size=OPENING_BYTES, max_size=OPENING_BYTES), event=st.binary(max_size=200))
def test_what_is_encoded_decodes_under_its_commitment_only(opening: bytes, event: bytes) -> None:
    committed = commitment(opening, event)
    assert decode(encode(opening, event), committed) == (opening, event, None)
    with pytest.raises(EventDamaged):
        decode(encode(opening, event + b" "), committed)
    with pytest.raises(EventDamaged):
        decode(encode(opening, event), commitment(opening, event + b" "))


@pytest.mark.parametrize(
    "plaintext", [b"", b"\x01", b"\x01" + OPENING[:-1], b"\x02" + OPENING + EVENT, OPENING + EVENT]
)
def test_another_format_is_refused(plaintext: bytes) -> None:
    with pytest.raises(EventDamaged):
        decode(plaintext, COMMITTED)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_opening_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32"):
        encode(b"x" * size, EVENT)
    with pytest.raises(ValueError, match="32"):
        commitment(b"x" * size, EVENT)
