"""The log's entries: bytes that must never change (docs/formats/log-entry.md), and what they are made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fakes.clock import ManualClock
from fakes.key_stands import local
from sceau.audit.log.entries import (
    ENTRY_BYTES,
    NO_COMMITMENT,
    LogEntry,
    claimed_commitment,
    decode_entry,
    entry_of,
    name_digest,
)
from sceau.audit.log.hashes import leaf_hash
from sceau.envelope import contexts
from sceau.envelope.batch import BatchSealer
from sceau.keys.ports import KeyName

NAME = "journal/events/2026-03-02/09/30/a2b3c4d5e6f7ghijklmnopqrst.019ca5c8-6a40-7123-8456-789abcdef012"
ENTRY = LogEntry(bytes(range(32)), bytes(range(32, 64)), 2964, bytes(range(64, 96)))
PINNED = "01" + bytes(range(64)).hex() + "0000000000000b94" + bytes(range(64, 96)).hex()
LEAF = "33ab795c2eb1da9b32238e8ba8a505d993ad02f1dbda9f2ff6ab271477056374"
NAME_DIGEST = "9abe8c803f5e6297da2354f345fbe0269917c67f61a087a34ec2c7fe7cd1e649"


def test_the_bytes_are_frozen() -> None:
    assert ENTRY.encode().hex() == PINNED
    assert len(ENTRY.encode()) == ENTRY_BYTES == 105
    assert decode_entry(bytes.fromhex(PINNED)) == ENTRY
    assert leaf_hash(ENTRY.encode()).hex() == LEAF
    assert name_digest(NAME).hex() == NAME_DIGEST


def test_an_event_is_logged_by_digests_and_by_the_commitment_that_it_carries(tmp_path: Path) -> None:
    committed = hashlib.sha256(b"opening and event").digest()
    sealer = BatchSealer(local(tmp_path).keys, KeyName.JOURNAL, clock=ManualClock())
    record, event = NAME.rpartition("/")[2].split(".")
    carried = contexts.Carried(committed, 7)
    message = sealer.seal(b"opening and event", contexts.event_to_seal(record, event, carried))
    assert claimed_commitment(message) == committed
    entry = entry_of(NAME, message)
    assert entry == LogEntry(name_digest(NAME), hashlib.sha256(message).digest(), len(message), committed)
    assert record.encode() not in entry.encode()
    assert event.encode() not in entry.encode()


@pytest.mark.parametrize("message", [b"", b"\x02\x04\x78", b"not a message", bytes(9000)])
def test_what_is_no_sealed_event_is_logged_all_the_same(message: bytes) -> None:
    entry = entry_of(NAME, message)
    assert entry == LogEntry(name_digest(NAME), hashlib.sha256(message).digest(), len(message), NO_COMMITMENT)
    assert decode_entry(entry.encode()) == entry


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entry_are_refused(data: bytes) -> None:
    try:
        entry = decode_entry(data)
    except ValueError:
        return
    assert entry.encode() == data


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex(PINNED)[:-1],
        bytes.fromhex(PINNED) + b"\x00",
        b"\x02" + bytes.fromhex(PINNED)[1:],
        bytes.fromhex(PINNED)[:65] + b"\x80" + bytes.fromhex(PINNED)[66:],
        b"",
    ],
)
def test_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="entry"):
        decode_entry(data)


def test_what_no_event_has_is_not_encoded() -> None:
    for entry in (
        LogEntry(bytes(31), bytes(32), 1, bytes(32)),
        LogEntry(bytes(32), bytes(33), 1, bytes(32)),
        LogEntry(bytes(32), bytes(32), -1, bytes(32)),
        LogEntry(bytes(32), bytes(32), 1, b""),
    ):
        with pytest.raises(ValueError, match="entry"):
            entry.encode()
