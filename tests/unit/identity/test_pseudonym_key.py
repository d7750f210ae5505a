"""The stage's keyed-hash key: made once, whoever starts first, and never again."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from fakes.clock import ManualClock
from fakes.key_stands import local
from fakes.keys import PolicingKeys, on as key_on
from fakes.objects import Call, Fault, MemoryStore, PolicingStore, on
from sceau.envelope import contexts
from sceau.envelope.messages import Envelope
from sceau.identity.errors import ConfigurationDamaged, Unavailable
from sceau.identity.pseudonym import NAME, ensure_pseudonym_key, load_pseudonym_key
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation


@pytest.fixture
def store() -> PolicingStore:
    return PolicingStore(MemoryStore(ManualClock()))


@pytest.fixture
def keys(tmp_path: Path) -> PolicingKeys:
    return PolicingKeys(local(tmp_path).keys)


def ensure(store: PolicingStore, keys: PolicingKeys) -> bytes:
    return ensure_pseudonym_key(store, Envelope(keys), random_bytes=secrets.token_bytes)


def test_the_first_start_makes_the_key_and_all_others_read_it(store: PolicingStore, keys: PolicingKeys) -> None:
    key = ensure(store, keys)
    assert len(key) == 32
    assert ensure(store, keys) == load_pseudonym_key(store, Envelope(keys)) == key
    assert store.count(StoreOperation.CREATE) == 1
    assert key not in store.inner.read(NAME).data


def test_of_8_racing_first_starts_all_get_the_same_key(store: PolicingStore, keys: PolicingKeys) -> None:
    together = Barrier(8)

    def wait(call: Call) -> None:
        if call.operation is StoreOperation.CREATE:
            together.wait(120)

    store.waits = wait
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: ensure(store, keys), range(8)))
    assert len(found) == 1


@pytest.mark.parametrize("fault", Fault)
def test_after_a_failed_first_start_the_next_one_has_one_key(
    store: PolicingStore, keys: PolicingKeys, fault: Fault
) -> None:
    store.faults = on(StoreOperation.CREATE, fault=fault)
    with pytest.raises(Unavailable):
        ensure(store, keys)
    store.faults = lambda _: None
    assert ensure(store, keys) == ensure(store, keys)


def test_without_store_or_key_service_there_is_no_key(store: PolicingStore, keys: PolicingKeys) -> None:
    with pytest.raises(Unavailable, match="authentication"):
        load_pseudonym_key(store, Envelope(keys))
    keys.fails = key_on(KeyOperation.WRAP)
    with pytest.raises(Unavailable):
        ensure(store, keys)
    keys.fails = lambda _: False
    ensure(store, keys)
    keys.fails = key_on(KeyOperation.UNWRAP)
    with pytest.raises(Unavailable):
        ensure(store, keys)
    store.faults = on(StoreOperation.READ)
    with pytest.raises(Unavailable):
        load_pseudonym_key(store, Envelope(keys))


def test_a_key_of_another_place_or_length_is_damage_and_is_not_replaced(
    store: PolicingStore, keys: PolicingKeys
) -> None:
    envelope = Envelope(keys)
    store.inner.create(NAME, envelope.seal(KeyName.PSEUDONYM, b"k" * 32, contexts.configuration("configuration/x")))
    with pytest.raises(ConfigurationDamaged):
        ensure(store, keys)
    store.inner.delete(NAME)
    store.inner.create(NAME, envelope.seal(KeyName.PSEUDONYM, b"k" * 31, contexts.pseudonym()))
    with pytest.raises(ConfigurationDamaged):
        ensure(store, keys)
    assert store.count(StoreOperation.CREATE) == 0
