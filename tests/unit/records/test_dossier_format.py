"""The stored bytes of a dossier, pinned: a change here needs a new format version and a way to read the old one."""

from __future__ import annotations

import hashlib

from sceau.records.dossier import clear_part, decode, encode, names_digest
from sceau_schemas.dossier import FolderVersion, SetFolder, StoredConsent, StoredIdentifier
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


def test_decisions_that_came_with_the_access_rules_are_pinned() -> None:
    """A head and a row without them rest as before: the digests above."""
    doctor = StoredIdentifier(system="urn:oid:1.2.250.1.71.4.2.1", value="899700000105")
    proposed = StoredConsent(
        id=an_id(1),
        version=1,
        updated=5,
        event=EVENT,
        kind="medecin_traitant",
        status="proposed",
        grantee=doctor,
        by="x",
    )
    opposed = StoredConsent(
        id=an_id(2), version=1, updated=5, event=EVENT, kind="opposition", status="active", mode="centre_15", by="x"
    )
    assert proposed.model_dump_json(exclude_defaults=True) == (
        f'{{"id":"{an_id(1)}","version":1,"updated":5,"event":"{EVENT}","kind":"medecin_traitant","status":"proposed",'
        '"grantee":{"system":"urn:oid:1.2.250.1.71.4.2.1","value":"899700000105"},"by":"x"}'
    )
    assert opposed.model_dump_json(exclude_defaults=True) == (
        f'{{"id":"{an_id(2)}","version":1,"updated":5,"event":"{EVENT}","kind":"opposition","status":"active",'
        '"mode":"centre_15","by":"x"}'
    )
    head = dossier(1).head
    closed = head.model_copy(
        update={"status": "closed", "closed": 7, "closing_reason": "départ", "consents": (proposed, opposed)}
    )
    (row,) = dossier(1).entries.rows()
    own = dossier(1).with_head(closed).with_changed_entry(row.model_copy(update={"holders_own": True}))
    again = decode(encode(own), own.object_names)
    assert again.head == closed
    assert '"status":"closed","opened":' in closed.model_dump_json(exclude_defaults=True)
    assert '"closed":7,"closing_reason":"départ",' in closed.model_dump_json(exclude_defaults=True)
    assert '"holders_own":true' in again.entries.rows()[0].model_dump_json(exclude_defaults=True)
