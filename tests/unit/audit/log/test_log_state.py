"""What the sealer keeps: bytes that must never change (docs/formats/log.md), and what is refused of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import ManualClock
from fakes.key_stands import local
from fakes.objects import MemoryStore
from sceau.audit.log.entries import LogEntry
from sceau.audit.log.errors import LogDamaged, LogUnavailable
from sceau.audit.log.growth import entries_in, grow
from sceau.audit.log.identity import FORMAT, NAME, Identities, Identity, LogSigner, decode_identity
from sceau.audit.log.notes import ECDSA_P256, ED25519, parse_note, verified
from sceau.audit.log.places import dated_name, index_name, parse_dated, parse_index
from sceau.audit.log.reconciling import Place, decode_place
from sceau.audit.log.state import Batch, LogState, decode_state, encode_state, lowest_index, with_minutes
from sceau.audit.log.tiles import Edge
from sceau.keys.ports import KeyName
from unit.audit.log.log_keys import Keys
from unit.audit.samples import EVENT_ID, RECORD

ORIGIN = "dossier.example.org/journal"
DATE = datetime(2026, 3, 2, 9, 41, 40, tzinfo=UTC)
KEYS = Keys()


def entry(number: int) -> bytes:
    digest = hashlib.sha256(b"%d" % number).digest()
    return LogEntry(digest, digest, number, digest).encode()


EDGE = grow(Edge(), [entry(number) for number in range(258)]).edge
BATCH = Batch(
    (entry(258),), grow(EDGE, [entry(258)]).root, "2026-03-02/09/40", "2026-03-02/09/41", DATE + timedelta(seconds=5)
)
STATE = LogState(ORIGIN, EDGE, DATE, "2026-03-02/09/26", {"2026-03-02/09/39": 200}, BATCH)
PINNED = "8c484532c429738e97d9831a8510ebffa70d08deccb2ab3272d19bbda48e4d5d"


def test_the_bytes_are_frozen() -> None:
    data = encode_state(STATE)
    assert hashlib.sha256(data).hexdigest() == PINNED
    assert decode_state(data).batch == BATCH
    found = json.loads(data)
    assert {name: found[name] for name in ("format", "origin", "size", "date", "start", "first")} == {
        "format": "sceau-log-pending/1",
        "origin": ORIGIN,
        "size": 258,
        "date": "20260302T094140Z",
        "start": "2026-03-02/09/26",
        "first": {"2026-03-02/09/39": 200},
    }
    assert encode_state(decode_state(data)) == data


def test_the_names_are_frozen() -> None:
    dated = "journal/log/checkpoints/2026-03-02/094140.0000000000000258"
    assert dated_name(DATE, 258) == dated
    assert parse_dated(dated) == (DATE, 258)
    index = f"journal/records/{RECORD}/{EVENT_ID}.258"
    assert index_name(RECORD, EVENT_ID, 258) == index
    assert parse_index(index) == (RECORD, EVENT_ID, 258)
    assert parse_index(f"journal/records/0/{EVENT_ID}.0") == ("0", EVENT_ID, 0)


@pytest.mark.parametrize(
    "name",
    [
        "journal/log/checkpoints/2026-03-02/094140.258",
        "journal/log/checkpoints/2026-13-02/094140.0000000000000258",
        "journal/log/checkpoints/2026-03-02/094199.0000000000000258",
        "journal/log/checkpoints/2026-03-02/0941401.000000000000025",
        "journal/log/checkpoint",
    ],
)
def test_another_name_is_no_dated_checkpoint(name: str) -> None:
    with pytest.raises(ValueError, match=r"not the name|time data|unconverted|second"):
        parse_dated(name)


@pytest.mark.parametrize(
    "name",
    [
        f"journal/records/{RECORD}/{EVENT_ID}",
        f"journal/records/{RECORD}/{EVENT_ID}.01",
        f"journal/records/{RECORD}/{EVENT_ID}.-1",
        f"journal/records/1/{EVENT_ID}.1",
        f"journal/records/{RECORD}/{EVENT_ID[:-1]}.1",
        f"journal/records/{RECORD}/{EVENT_ID.upper()}.1",
        f"journal/records/{RECORD}/019ca5c8-6a40-4123-8456-789abcdef012.1",
    ],
)
def test_another_name_is_no_index_object(name: str) -> None:
    with pytest.raises(ValueError, match=r"not|UUID"):
        parse_index(name)


def _edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    found = json.loads(encode_state(STATE))
    change(found)
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        _edited(lambda state: state.update(format="sceau-log-pending/2")),
        _edited(lambda state: state.update(size=259)),
        _edited(lambda state: state.update(size=-1)),
        _edited(lambda state: state.update(size="258")),
        _edited(lambda state: state.update(root="00" * 32)),
        _edited(lambda state: state.update(date=None)),
        _edited(lambda state: state.update(date="yesterday")),
        _edited(lambda state: state.update(start="2026-03-02")),
        _edited(lambda state: state.update(start=7)),
        _edited(lambda state: state.update(first=[])),
        _edited(lambda state: state["tiles"].pop()),
        _edited(lambda state: state["tiles"].__setitem__(0, state["tiles"][1])),
        _edited(lambda state: state.update(entries="")),
        _edited(lambda state: state.pop("batch")),
        _edited(lambda state: state["batch"].update(digest="00" * 32)),
        _edited(lambda state: state["batch"].update(count=2)),
        _edited(lambda state: state["batch"].update(entries="", count=0)),
        _edited(lambda state: state["batch"].update(date=None)),
        _edited(lambda state: state["batch"].update(events=["2026-03-02/09/40"])),
    ],
)
def test_what_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_state(data)


def test_an_empty_log_has_a_state() -> None:
    state = LogState(ORIGIN, Edge(), None, "2026-03-02/09/26")
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


def test_minutes_lead_to_the_lowest_index_of_their_events() -> None:
    first = with_minutes({"b": 7}, ["c", "a", "a", "b"], 10)
    assert first == {"b": 7, "c": 10, "a": 11}
    assert lowest_index(first, 14) == 7
    assert lowest_index({}, 14) == 14


def test_growing_is_the_same_each_time_and_says_what_it_wrote() -> None:
    entries = [entry(number) for number in range(258, 600)]
    growth = grow(EDGE, entries)
    again = grow(EDGE, entries_in(growth.written, EDGE.size))
    assert (growth.root, growth.written) == (again.root, again.written)
    assert EDGE.size == 258
    assert [tile.level for tile in growth.written] == sorted(tile.level for tile in growth.written)


def test_a_place_of_reconciliation_is_read_back_and_anything_else_is_the_beginning() -> None:
    name = f"journal/events/2026-03-02/09/30/{RECORD}.{EVENT_ID}"
    place = Place(name, (), 3, 4, 2, 3, 1772444500)
    assert decode_place(place.encode()) == place
    for data in (b"", b"[]", b"{}", place.encode().replace(b"/1", b"/2"), place.encode().replace(b"[]", b'["x"]')):
        assert decode_place(data) == Place()


# --- the log's keys ----------------------------------------------------------------------------------------------


def test_the_identity_s_bytes_are_frozen() -> None:
    identity = Identity("a.example/j", (KEYS.seed,), (KEYS.v_ed25519,))
    seed = "8rS0uYmTYNuMq38oTDhaebhjQUb9gYVghe6PrnTtFmA="
    expected = {"format": FORMAT, "origin": "a.example/j", "seeds": [seed], "keys": [KEYS.v_ed25519.text()]}
    assert json.loads(identity.encode()) == expected
    assert FORMAT == "sceau-log-seed/1"
    assert decode_identity(identity.encode()) == identity
    assert KEYS.seed not in repr(identity).encode() and "seeds" not in repr(identity)


def identities(tmp_path: Path) -> tuple[Identities, MemoryStore, Any]:
    stand = local(tmp_path)
    store = MemoryStore(ManualClock())
    numbers = iter(range(1, 100))
    made = Identities(store, stand.keys, random_bytes=lambda length: bytes([next(numbers)]) * length)
    return made, store, stand


def test_the_first_start_makes_the_seed_and_later_ones_read_it(tmp_path: Path) -> None:
    made, store, stand = identities(tmp_path)
    first = made.ensure(ORIGIN)
    assert first == made.ensure("another.example/journal"), "a log keeps its name"
    assert first.origin == ORIGIN
    assert {key.kind for key in first.keys} == {ED25519, ECDSA_P256}
    assert first.seeds[0] not in store.read(NAME).data
    text = b"a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    note = parse_note(LogSigner(first, stand.keys).sign(text))
    assert set(verified(note, first.keys)) == set(first.keys)


def test_both_keys_rotate_with_an_overlap_and_the_old_ones_verify_what_they_signed(tmp_path: Path) -> None:
    made, _, stand = identities(tmp_path)
    old = made.ensure(ORIGIN)
    before = LogSigner(old, stand.keys).sign(b"text\n")
    made.rotate()
    stand.add_version(KeyName.CHECKPOINTS)
    both = made.ensure(ORIGIN)
    assert len(both.keys) == 4
    note = parse_note(LogSigner(both, stand.keys).sign(b"text\n"))
    assert set(verified(note, old.keys)) == set(old.keys), "who knows the old keys only goes on"
    assert set(verified(note, both.keys)) == set(both.keys)
    made.retire()
    stand.disable_oldest(KeyName.CHECKPOINTS)
    new = made.ensure(ORIGIN)
    note = parse_note(LogSigner(new, stand.keys).sign(b"text\n"))
    assert verified(note, old.keys) == ()
    assert len(verified(note, new.keys)) == 2
    assert set(verified(parse_note(before), new.keys)) == set(old.keys), "what they signed is verified for ever"


def test_a_seed_that_does_not_open_stops_the_log_and_is_not_made_anew(tmp_path: Path) -> None:
    made, store, _ = identities(tmp_path)
    made.ensure(ORIGIN)
    stored = store.read(NAME)
    store.replace(NAME, stored.data[:-1] + bytes([stored.data[-1] ^ 1]), expected=stored.tag)
    with pytest.raises(LogDamaged):
        made.ensure(ORIGIN)
    assert store.read(NAME).data != stored.data


def test_a_log_without_identity_has_no_key_to_rotate(tmp_path: Path) -> None:
    made, store, _ = identities(tmp_path)
    for change in (made.rotate, made.retire):
        with pytest.raises(LogDamaged):
            change()
    assert list(store.list("")) == []


def test_a_key_service_that_does_not_answer_signs_nothing(tmp_path: Path) -> None:
    from fakes.keys import PolicingKeys

    made, _, stand = identities(tmp_path)
    identity = made.ensure(ORIGIN)
    keys = PolicingKeys(stand.keys, fails=lambda _: True)
    with pytest.raises(LogUnavailable):
        LogSigner(identity, keys).sign(b"text\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(format="sceau-log-seed/2"),
        lambda found: found.update(seeds=[]),
        lambda found: found.update(seeds=["AAAA"]),
        lambda found: found.update(origin="a b"),
        lambda found: found.update(keys=["x"]),
    ],
)
def test_another_identity_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads(Identity(ORIGIN, (KEYS.seed,), KEYS.public).encode())
    change(found)
    with pytest.raises(Exception, match=r"format|seed|origin|verifier key"):
        decode_identity(json.dumps(found).encode())


def test_states_differ_when_their_batches_do() -> None:
    assert encode_state(STATE) != encode_state(replace(STATE, batch=None))
