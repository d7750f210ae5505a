"""Counting what each version of a key still protects, without opening anything."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from fakes.clock import ManualClock
from fakes.keys import PolicingKeys
from fakes.objects import Fault, MemoryStore, PolicingStore, on
from sceau.audit.journal import Journal
from sceau.envelope import contexts
from sceau.envelope.batch import BatchSealer
from sceau.envelope.messages import Envelope
from sceau.keys.keyfile import add_version, create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.scoped import StoreOperation
from sceau.records.inventory import CONFIGURATION, EVENTS, RECORDS, take_inventory
from unit.audit.samples import EVENTS as SAMPLES
from unit.http.rewrap_world import RewrapWorld
from unit.records.test_dossier import RECORD


@pytest.fixture
def world(tmp_path: Path) -> RewrapWorld:
    """Two documents under version 1, a third and the dossier's next version under 2; events and clients under 1."""
    world = RewrapWorld(tmp_path, documents=2)
    envelope = Envelope(world.service)
    for name in ("clients/laboratory", "pseudonym"):
        whole = f"configuration/{name}"
        key, context = KeyName.CONFIGURATION, contexts.configuration(whole)
        if name == "pseudonym":
            key, context = KeyName.PSEUDONYM, contexts.pseudonym()
        world.memory.create(whole, envelope.seal(key, b"x", context))
    world.rotate(KeyName.DOSSIER, KeyName.CONTENT)
    world.publish_more(RECORD, 3)
    return world


def counted(world: RewrapWorld, *prefixes: str) -> dict[tuple[str, str], int]:
    inventory = take_inventory(world.memory, prefixes or (CONFIGURATION, RECORDS, EVENTS))
    assert inventory.unreadable == []
    return {(key, under.version): count for (key, under), count in inventory.counts.items()}


def test_every_sealed_object_is_counted_under_the_version_that_it_needs(world: RewrapWorld) -> None:
    journal = Journal(
        world.memory,
        BatchSealer(world.service, KeyName.JOURNAL, clock=world.clock),
        clock=world.clock,
        random_bytes=secrets.token_bytes,
        retention=world.until - world.clock(),
    )
    for _ in range(4):
        journal.append(SAMPLES["retrieval"])
    assert counted(world) == {
        ("dossier", "2"): 1,
        ("content", "1"): 2,
        ("content", "2"): 1,
        ("configuration", "1"): 1,
        ("pseudonym", "1"): 1,
        ("journal", "1"): 4,
    }
    assert counted(world, RECORDS) == {("dossier", "2"): 1, ("content", "1"): 2, ("content", "2"): 1}


def test_versions_are_in_their_order_and_not_in_that_of_their_digits(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "keys.json"
    create_key_file(path, clock=clock)
    store = MemoryStore(clock)
    for number in range(1, 12):
        sealed = Envelope(LocalKeyService(path)).seal(KeyName.CONFIGURATION, b"x", contexts.configuration(f"c{number}"))
        store.create(f"configuration/{number}", sealed)
        add_version(path, KeyName.CONFIGURATION, clock=clock)
    found = take_inventory(store, (CONFIGURATION,)).of("configuration")
    assert [under.version for under in found] == [str(number) for number in range(1, 12)]


def test_no_key_is_asked_and_nothing_written(world: RewrapWorld) -> None:
    keys, store = PolicingKeys(world.service), PolicingStore(world.memory)
    take_inventory(store)
    assert keys.calls == []
    assert {call.operation for call in store.calls} == {StoreOperation.LIST, StoreOperation.READ}


def test_what_is_no_sealed_object_is_named_and_hides_nothing_else(world: RewrapWorld) -> None:
    before = counted(world)
    world.memory.create(f"records/{RECORD}/documents/x", b"not sealed")
    world.memory.create("records/zz/dossier", b"no dossier")
    inventory = take_inventory(world.memory)
    assert inventory.unreadable == [f"records/{RECORD}/documents/x", "records/zz/dossier"]
    assert {(key, under.version): count for (key, under), count in inventory.counts.items()} == before


def test_a_count_that_is_not_whole_is_none(world: RewrapWorld) -> None:
    store = PolicingStore(world.memory, faults=on(StoreOperation.LIST, fault=Fault.FAILS_AFTER_WRITING))
    with pytest.raises(ObjectStoreUnavailable):
        take_inventory(store)
