"""The dossier as a value, as bytes, and in its place: packed, sealed, committed by compare-and-swap."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fakes.objects import MemoryStore
from fixtures.columns import check_columns
from sceau.envelope.messages import Envelope
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.records.commits import Commits
from sceau.records.dossier import Dossier, clear_part, decode, encode, split_object
from sceau.records.errors import CommitLost, DuplicateIdentifier, RecordDamaged
from sceau.records.ids import decode_id, document_id, encode_id, entry_uuid, record_id, split_document_id
from sceau.records.packing import pack
from sceau.records.repository import Loaded, Records, document_name, dossier_name
from sceau_schemas.dossier import (
    DossierHead,
    EntryRow,
    EntryVersion,
    SetRow,
    StoredCoding,
    StoredDocument,
    StoredIdentifier,
    StoredPatient,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
RECORD = encode_id(bytes(range(16)))
EVENT = "019ab000-0000-7000-8000-000000000000"


def an_id(number: int) -> str:
    return encode_id(number.to_bytes(16, "big"))


def head(version: int = 1) -> DossierHead:
    return DossierHead(
        record_id=RECORD,
        version=version,
        status="open",
        opened=1,
        updated=version,
        patient=StoredPatient(
            ins=StoredIdentifier(system="urn:oid:1.2.250.1.213.1.4.10", value="279035121518989"),
            birth_name="ESSAI",
            first_names=("ANNE",),
            birth_date="1979-03-01",
            sex="female",
            birth_place="51215",
        ),
        consents=(),
    )


def commits(version: int = 1) -> Commits:
    made = Commits()
    for _ in range(version):
        made = made.added(EVENT)
    return made


def next_version(of: Dossier) -> Dossier:
    return of.following(EVENT, at=2)


def entry(number: int, *, document: StoredDocument | None = None) -> EntryRow:
    own = an_id(number)
    stored = document or StoredDocument(
        object_name=document_name(RECORD, own),
        content_type="application/pdf",
        size=5,
        sha256="0" * 64,
        sealed_sha256="1" * 64,
    )
    return EntryRow(
        id=own,
        now=EntryVersion(
            version=1, updated=5, event=EVENT, status="current", labels=(StoredCoding(system="s", code="N"),)
        ),
        submission_set=an_id(999_999),
        document=stored,
        type_code="11502-2",
        identifiers=(StoredIdentifier(system="urn:ietf:rfc:3986", value=f"urn:oid:1.2.{number}"),),
        depositor="laboratory",
        terms={"type": ("http://loinc.org|11502-2",), "date": ("1/2",)},
    )


def a_set(number: int, *entries: str) -> SetRow:
    return SetRow(id=an_id(number), updated=5, event=EVENT, entries=entries, depositor="laboratory")


def dossier(entries: int) -> Dossier:
    made = Dossier(head(), commits())
    for number in range(1, entries + 1):
        made = made.with_entry(entry(number), f'{{"resource":{number}}}'.encode())
    return made.with_set(a_set(500_000, *made.entries.ids()), b'{"resourceType":"List"}')


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> LocalKeyService:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    create_key_file(path, clock=lambda: NOW)
    return LocalKeyService(path)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(lambda: NOW)


@pytest.fixture
def records(store: MemoryStore, keys: LocalKeyService) -> Records:
    return Records(store, Envelope(keys))


@pytest.mark.parametrize("count", [0, 1, 7, 200])
def test_what_was_encoded_is_decoded(count: int) -> None:
    original = dossier(count)
    again = decode(encode(original), original.clear)
    assert again.head == original.head
    assert again.commits == original.commits
    assert again.entries.rows() == original.entries.rows()
    assert again.sets.rows() == original.sets.rows()
    assert again.identifiers == original.identifiers
    assert again.object_names == original.object_names
    check_columns(again.entries)
    assert encode(again) == encode(original)
    for number in range(1, count + 1):
        assert again.entries.blob(an_id(number)) == f'{{"resource":{number}}}'.encode()


def test_a_folder_that_grows_keeps_its_place_its_blob_and_its_identifiers() -> None:
    number = StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:1.2.800")
    row = a_set(800, an_id(1)).model_copy(update={"kind": "folder", "identifiers": (number,)})
    before = dossier(2).with_set(row, b'{"title":"x"}')
    grown = row.model_copy(update={"version": 2, "entries": (an_id(1), an_id(2))})
    after = before.with_changed_set(grown)
    assert after.sets.row(an_id(800)) == grown
    assert before.sets.row(an_id(800)) == row
    assert after.sets.ids() == before.sets.ids()
    assert after.sets.blob(an_id(800)) == b'{"title":"x"}'
    assert after.find(number) == an_id(800)
    with pytest.raises(KeyError):
        before.with_changed_set(a_set(801))


def test_a_publication_copies_the_bytes_of_earlier_entries() -> None:
    before = encode(dossier(3))
    after = encode(dossier(3).with_entry(entry(4), b"{}"))
    for number in (1, 2, 3):
        row = pack(entry(number).model_dump_json(exclude_defaults=True).encode())
        assert row in before
        assert row in after


def test_a_changed_entry_keeps_its_blob_and_nothing_else_changes() -> None:
    original = dossier(3)
    row = original.entries.row(an_id(2))
    assert row is not None
    changed = row.model_copy(
        update={"now": row.now.model_copy(update={"status": "superseded", "version": 2}), "earlier": (row.now,)}
    )
    after = original.with_changed_entry(changed)
    assert after.entries.row(an_id(2)) == changed
    assert after.entries.blob(an_id(2)) == original.entries.blob(an_id(2))
    assert original.entries.row(an_id(2)) == row
    assert [r for r in after.entries.rows() if r.id != row.id] == [r for r in original.entries.rows() if r.id != row.id]


def test_a_business_identifier_is_unique_within_the_record() -> None:
    original = dossier(2)
    twin = entry(3).model_copy(update={"identifiers": entry(1).identifiers})
    with pytest.raises(DuplicateIdentifier):
        original.with_entry(twin, b"{}")
    with pytest.raises(DuplicateIdentifier):
        original.with_entry(entry(1), b"{}")
    assert original.find(entry(1).identifiers[0]) == an_id(1)
    assert original.find(StoredIdentifier(system="x", value="y")) is None


@given(st.integers(0, 4000), st.integers(1, 255))
def test_damaged_bytes_never_end_in_another_error(position: int, change: int) -> None:
    data = bytearray(encode(dossier(2)))
    data[position % len(data)] ^= change
    try:
        damaged = decode(bytes(data), b"")
        damaged.entries.rows()
        damaged.sets.rows()
        for row_id in damaged.entries.ids():
            damaged.entries.blob(row_id)
    except RecordDamaged:
        pass


@given(st.integers(0, 4000))
def test_cut_bytes_are_damaged(length: int) -> None:
    data = encode(dossier(2))
    with pytest.raises(RecordDamaged):
        decode(data[: length % len(data)], b"")


def test_the_clear_part_lists_the_documents_and_needs_no_key(records: Records, store: MemoryStore) -> None:
    made = dossier(3)
    records.commit(made, replacing=None)
    _, names, _ = split_object(store.read(dossier_name(RECORD)).data)
    assert list(names) == sorted(document_name(RECORD, an_id(number)) for number in (1, 2, 3))


def test_a_commit_is_what_is_loaded(records: Records) -> None:
    assert records.load(RECORD) is None
    records.commit(dossier(2), replacing=None)
    loaded = records.load(RECORD)
    assert loaded is not None
    assert loaded.dossier.entries.rows() == dossier(2).entries.rows()


def test_a_lost_race_changes_nothing(records: Records, store: MemoryStore) -> None:
    records.commit(dossier(1), replacing=None)
    loaded = records.load(RECORD)
    assert loaded is not None
    records.commit(next_version(loaded.dossier), replacing=loaded)
    before = store.read(dossier_name(RECORD))
    with pytest.raises(CommitLost):
        records.commit(next_version(loaded.dossier), replacing=loaded)
    with pytest.raises(CommitLost):
        records.commit(dossier(1), replacing=None)
    assert store.read(dossier_name(RECORD)) == before


def test_a_version_that_does_not_follow_is_never_written(records: Records, store: MemoryStore) -> None:
    records.commit(dossier(1), replacing=None)
    loaded = records.load(RECORD)
    assert loaded is not None
    unannounced = replace(next_version(loaded.dossier), commits=loaded.dossier.commits)
    for other in (loaded.dossier, next_version(next_version(loaded.dossier)), unannounced):
        with pytest.raises(ValueError, match="raises the version"):
            records.commit(other, replacing=loaded)
    assert store.read(dossier_name(RECORD)).tag == loaded.tag


def test_a_dossier_moved_to_another_record_does_not_open(records: Records, store: MemoryStore) -> None:
    records.commit(dossier(1), replacing=None)
    other = an_id(77)
    store.replace(dossier_name(other), store.read(dossier_name(RECORD)).data, expected=None)
    with pytest.raises(RecordDamaged):
        records.load(other)


def test_a_list_of_names_that_was_tampered_with_does_not_open(records: Records, store: MemoryStore) -> None:
    records.commit(dossier(2), replacing=None)
    stored = store.read(dossier_name(RECORD))
    clear, names, sealed = split_object(stored.data)
    store.replace(dossier_name(RECORD), clear_part(names[:1]) + sealed, expected=stored.tag)
    assert clear != clear_part(names[:1])
    with pytest.raises(RecordDamaged):
        records.load(RECORD)


def test_a_document_is_read_in_its_place_only(records: Records, store: MemoryStore) -> None:
    first, sealed_first = records.seal_document(RECORD, an_id(1), b"first", "text/plain")
    second, sealed_second = records.seal_document(RECORD, an_id(2), b"second", "text/plain")
    records.upload(first, sealed_first)
    records.upload(second, sealed_second)
    assert records.read_document(RECORD, an_id(1), first) == b"first"
    assert b"first" not in sealed_first
    swapped = replace_name(second, first)
    with pytest.raises(RecordDamaged):
        records.read_document(RECORD, an_id(1), swapped)
    lying = second.model_copy(update={"sealed_sha256": hashlib.sha256(sealed_first).hexdigest()})
    with pytest.raises(RecordDamaged):
        records.read_document(RECORD, an_id(2), lying)
    with pytest.raises(RecordDamaged):
        records.read_document(RECORD, an_id(2), second.model_copy(update={"sha256": first.sha256}))
    assert store.read(first.object_name).data == sealed_first


def replace_name(document: StoredDocument, other: StoredDocument) -> StoredDocument:
    return document.model_copy(update={"object_name": other.object_name, "sealed_sha256": other.sealed_sha256})


def test_a_document_that_is_gone_is_damage_not_absence(records: Records) -> None:
    document, _ = records.seal_document(RECORD, an_id(1), b"never uploaded", "text/plain")
    with pytest.raises(RecordDamaged):
        records.read_document(RECORD, an_id(1), document)


def test_loading_is_not_fooled_by_a_commit_with_another_tag(records: Records) -> None:
    records.commit(dossier(1), replacing=None)
    loaded = records.load(RECORD)
    assert loaded is not None
    stale = Loaded(loaded.dossier, "not-the-tag")
    with pytest.raises(CommitLost):
        records.commit(next_version(loaded.dossier), replacing=stale)


@given(st.binary(min_size=16, max_size=16))
def test_ids_round_trip(raw: bytes) -> None:
    text = encode_id(raw)
    assert text == base64.b32encode(raw).decode().rstrip("=").lower()
    assert decode_id(text) == raw
    assert entry_uuid(text).bytes == raw
    assert split_document_id(document_id(text, text)) == (text, text)


@pytest.mark.parametrize("text", ["", "a" * 25, "A" * 26, "a" * 25 + "1", "a" * 25 + "b", "a" * 27])
def test_what_no_id_can_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="id"):
        decode_id(text)


def test_the_record_id_is_a_keyed_hash_of_system_and_value() -> None:
    """Pinned: a changed derivation would lose every record."""
    key = bytes(range(32))
    assert record_id(key, "urn:oid:1.2.250.1.213.1.4.10", "279035121518989") == "mluvvjmb4u4kh6w3afx6q4wcgy"
    assert record_id(key, "urn:oid:1.2.250.1.213.1.4.8", "279035121518989") != "mluvvjmb4u4kh6w3afx6q4wcgy"
    assert record_id(bytes(32), "urn:oid:1.2.250.1.213.1.4.10", "279035121518989") != "mluvvjmb4u4kh6w3afx6q4wcgy"
