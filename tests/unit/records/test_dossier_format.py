"""The stored bytes of a dossier, pinned: a change here needs a new format version and a way to read the old one."""

from __future__ import annotations

import hashlib

from sceau.records.dossier import clear_part, decode, encode, names_digest
from unit.records.test_dossier import dossier

PINNED_CLEAR = "c62f24aae961044be82df1b7777c0ccaaa6b29c6fb1a504294d3d6ae9da93c3a"
PINNED_PLAINTEXT = "a2d9419ba8248ce7155fd44762665943ac227b66d7fff1f698fbdc9e8a210a27"


def test_the_clear_part_is_pinned() -> None:
    clear = clear_part(dossier(2).object_names)
    assert clear.startswith(b"sceau-dossier 1\nrecords/")
    assert clear.endswith(b"\n\n")
    assert hashlib.sha256(clear).hexdigest() == PINNED_CLEAR
    assert names_digest(clear).hex() == PINNED_CLEAR


def test_the_plaintext_is_pinned() -> None:
    plaintext = encode(dossier(2))
    assert plaintext.startswith(b"SDP1")
    assert hashlib.sha256(plaintext).hexdigest() == PINNED_PLAINTEXT
    assert encode(decode(plaintext, dossier(2).object_names)) == plaintext
