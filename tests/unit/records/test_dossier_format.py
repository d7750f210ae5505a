"""The stored bytes of a dossier, pinned: a change here needs a new format version and a way to read the old one."""

from __future__ import annotations

import hashlib

from sceau.records.dossier import clear_part, decode, encode, names_digest
from sceau_schemas.dossier import FolderVersion, SetFolder
from unit.records.test_dossier import EVENT, a_set, an_id, dossier

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


def test_a_folder_and_a_set_that_brought_it_are_pinned() -> None:
    """Members of the set rows that came with folders: what has none rests as before."""
    folder = a_set(1, an_id(2), an_id(3)).model_copy(
        update={"kind": "folder", "version": 2, "earlier": (FolderVersion(updated=4, event=EVENT, size=1),)}
    )
    brought = a_set(4, an_id(3)).model_copy(update={"folders": (SetFolder(id=an_id(1), version=2, listed=True),)})
    entries = f'["{an_id(2)}","{an_id(3)}"]'
    assert folder.model_dump_json(exclude_defaults=True) == (
        f'{{"id":"{an_id(1)}","kind":"folder","version":2,"updated":5,"event":"{EVENT}",'
        f'"earlier":[{{"updated":4,"event":"{EVENT}","size":1}}],"entries":{entries},"depositor":"laboratory"}}'
    )
    assert brought.model_dump_json(exclude_defaults=True) == (
        f'{{"id":"{an_id(4)}","updated":5,"event":"{EVENT}","entries":["{an_id(3)}"],'
        f'"folders":[{{"id":"{an_id(1)}","version":2,"listed":true}}],"depositor":"laboratory"}}'
    )
    again = decode(encode(dossier(1).with_set(folder, b"{}").with_set(brought, b"{}")), dossier(1).object_names)
    assert again.sets.row(an_id(1)) == folder
    assert again.sets.row(an_id(4)) == brought
