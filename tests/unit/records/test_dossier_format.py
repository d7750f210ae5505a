"""The stored bytes of a dossier, pinned: a change here needs a new format version and a way to read the old one."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import sceau.records
from sceau.records.dossier import clear_part, decode, encode, names_digest
from sceau.records.packing import pack, unpack
from sceau_schemas.dossier import FolderVersion, SetFolder, StoredConsent, StoredIdentifier
from unit.records.test_dossier import EVENT, a_set, an_id, dossier

PINNED_CLEAR = "c62f24aae961044be82df1b7777c0ccaaa6b29c6fb1a504294d3d6ae9da93c3a"
PINNED_DICTIONARY = "bfeeca7527c8c011a3b4db017d000576bd3593c97cc540ea63371f6edc20a986"
PINNED_PACKED = "78bb266d0e8023aa8d88ad9825aa60ad003a0700eb26226e"
PINNED_PLAINTEXT = base64.b64decode(
    "U0RQMiwBAAB7InJlY29yZF9pZCI6ImFhYXFlYXllYXVkYW9jYWpiaWZxeWRpb2I0IiwidmVyc2lvbiI6MSwic3RhdHVzIjoib3BlbiIsIm9wZW"
    "5lZCI6MSwidXBkYXRlZCI6MSwicGF0aWVudCI6eyJpbnMiOnsic3lzdGVtIjoidXJuOm9pZDoxLjIuMjUwLjEuMjEzLjEuNC4xMCIsInZhbHVl"
    "IjoiMjc5MDM1MTIxNTE4OTg5In0sImJpcnRoX25hbWUiOiJFU1NBSSIsImZpcnN0X25hbWVzIjpbIkFOTkUiXSwiYmlydGhfZGF0ZSI6IjE5Nz"
    "ktMDMtMDEiLCJzZXgiOiJmZW1hbGUiLCJiaXJ0aF9wbGFjZSI6IjUxMjE1In0sImNvbnNlbnRzIjpbXX0BAAAAAZqwAAAAcACAAAAAAAAAAAIA"
    "AAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAApoAAACZAAAAEgAAABIAAAB4uyZtDoCDduoTcYFUAt19U6TuvqFlYpKBgYGuAYgwBx"
    "EWMC4MED8igDTgh6vnjtXBKUbJGSZE9emBigtTEytTE0tTEvOTE7OSMtMKK1My85NMkHr7eAOGwGQnrEAwRRoIMKAQYBlIMKQQoA9EGBqaArOg"
    "EbnDEcgJ1RBjGAAY1flFoHqmUomYTjzMLUh9MUN9I1DvBgD2UdFQeLsmbQ6Ag3bqE3GBTALdfVOk7r6hZWKSgYGBrgGIMAcRFjAuDBA/IoA04I"
    "er547VwSlGyRkmRPXpgYoLUxMrUxNLUxLzkxOzkjLTCitTMvOTTJB6+3gDhsBkJ6xAMEUaCDCgEGAZSDCkEKAPRBgamgKzoBG5wxEoCRVjGAAY"
    "1flFoHqmUomYTjzMLUh9MUN9I1DvBgAHH9FZeLsmbQ6AQ9RswK57LQAnvAUQeLsmbQ6AQ9RsSlZGtQAnvgURwAAAAB5odHRwOi8vbG9pbmMub3"
    "JnfDExNTAyLTIeMS8yHnVybjppZXRmOnJmYzozOTg2fHVybjpvaWQ6MS4yLjEeeyJzdGF0dXMiOiJjdXJyZW50IiwibGFiZWxzIjpbIk4iXSwi"
    "dHlwZV9jb2RlIjoiMTE1MDItMiIsImRlcG9zaXRvciI6ImxhYm9yYXRvcnkifR5jdXJyZW50HnN8Th41LzUedXJuOmlldGY6cmZjOjM5ODZ8dX"
    "JuOm9pZDoxLjIuMgcAAAAEdHlwZQEAAAABAAAABGRhdGUCAAAAAgAAAA9yb3cuaWRlbnRpZmllcnMDAAAACAAAAAlyb3cuZmFjdHMEAAAABAAA"
    "AApyb3cuc3RhdHVzBQAAAAUAAAAKcm93LmxhYmVscwYAAAAGAAAAC3Jvdy51cGRhdGVkBwAAAAcAAAABAAAAAAAAAAAAAAAAAAAAAAehIEkAAA"
    "AQAAAAeLsmbQ6Ag3bqE7GBJNOk1ETkgSBTpL69oWVikoGBga4BiDAHERYwLgygjhVhtQIEQAGLUzJTCa0fCUyz+UWggqpSqRYAa008GHi7Jm0O"
    "gMM+3l8LAGg9CGECAAAAqtEZ+joj+YzU92HdOsTZIwAAAAAAAAAAAAAAAAAAAAGghL6xpj/MaiNgbCpQ4FpPAAAAAAAAAAAAAAAAAAAAAg=="
)
"""`encode(dossier(2))`. Another zlib may compress otherwise: what is pinned is that these bytes open, as this."""


def test_the_clear_part_is_pinned() -> None:
    clear = dossier(2).clear
    assert clear == clear_part(dossier(2).object_names)
    assert clear.startswith(b"sceau-dossier 1\nrecords/")
    assert clear.endswith(b"\n\n")
    assert hashlib.sha256(clear).hexdigest() == PINNED_CLEAR
    assert names_digest(clear).hex() == PINNED_CLEAR


def test_the_dictionary_is_pinned() -> None:
    """Without these bytes no row and no blob opens."""
    folder = Path(str(sceau.records.__file__)).parent
    assert hashlib.sha256((folder / "dossier-2.dictionary").read_bytes()).hexdigest() == PINNED_DICTIONARY


def test_the_plaintext_is_pinned() -> None:
    assert PINNED_PLAINTEXT.startswith(b"SDP2")
    expected, found = dossier(2), decode(PINNED_PLAINTEXT, dossier(2).clear)
    assert found.head == expected.head
    assert found.commits == expected.commits
    assert found.entries.rows() == expected.entries.rows()
    assert found.entries.columns == expected.entries.columns
    assert found.entries.columns.encode() == expected.entries.columns.encode()
    assert found.sets.rows() == expected.sets.rows()
    assert [found.entries.blob(one) for one in found.entries.ids()] == [b'{"resource":1}', b'{"resource":2}']
    assert found.identifiers == expected.identifiers
    assert encode(found) == PINNED_PLAINTEXT


def test_what_is_packed_is_a_zlib_stream_with_the_dictionary() -> None:
    text = b'{"resourceType":"DocumentReference","masterIdentifier":{"system":"urn:ietf:rfc:3986","value":"x"}}'
    assert unpack(bytes.fromhex(PINNED_PACKED)) == text
    assert unpack(pack(text)) == text
    assert len(pack(text)) < len(text) / 2


def test_a_folder_and_a_set_that_brought_it_are_pinned() -> None:
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
    again = decode(encode(dossier(1).with_set(folder, b"{}").with_set(brought, b"{}")), dossier(1).clear)
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
    own = replace(dossier(1), head=closed).with_changed_entry(row.model_copy(update={"holders_own": True}))
    again = decode(encode(own), own.clear)
    assert again.head == closed
    assert '"status":"closed","opened":' in closed.model_dump_json(exclude_defaults=True)
    assert '"closed":7,"closing_reason":"départ",' in closed.model_dump_json(exclude_defaults=True)
    assert '"holders_own":true' in again.entries.rows()[0].model_dump_json(exclude_defaults=True)
