"""A commit of which the store does not know whether it was done: the dossier itself says, whoever went on from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.objects import Fault, MemoryStore, PolicingStore, on
from sceau.envelope.messages import Envelope
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.scoped import StoreOperation
from sceau.records.dossier import Dossier
from sceau.records.errors import CommitLost
from sceau.records.repository import Loaded, Records
from unit.records.test_dossier import NOW, RECORD, dossier

REPLACE, READ = StoreOperation.REPLACE, StoreOperation.READ
OURS, THEIRS = "019ab000-0000-7000-8000-00000000000a", "019ab000-0000-7000-8000-00000000000b"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> LocalKeyService:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    create_key_file(path, clock=lambda: NOW)
    return LocalKeyService(path)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(lambda: NOW)


@pytest.fixture
def store(memory: MemoryStore) -> PolicingStore:
    return PolicingStore(memory)


@pytest.fixture
def records(store: PolicingStore, keys: LocalKeyService) -> Records:
    return Records(store, Envelope(keys))


@pytest.fixture
def behind(memory: MemoryStore, keys: LocalKeyService) -> Records:
    """Somebody else's process, on a store that answers."""
    return Records(memory, Envelope(keys))


def current(records: Records) -> Loaded:
    loaded = records.load(RECORD)
    assert loaded is not None
    return loaded


def following(loaded: Loaded, event: str) -> Dossier:
    """The version after the loaded one, announced by this event."""
    return loaded.dossier.following(event, at=5)


def test_a_commit_whose_answer_was_lost_is_found_done(records: Records, store: PolicingStore, behind: Records) -> None:
    behind.commit(dossier(1), replacing=None)
    loaded = current(records)
    store.faults = on(REPLACE, fault=Fault.FAILS_AFTER_WRITING)
    tag = records.commit(following(loaded, OURS), replacing=loaded)
    assert tag == current(behind).tag
    assert current(behind).dossier.commits.last == OURS


def test_a_first_commit_whose_answer_was_lost_is_found_done(
    records: Records, store: PolicingStore, behind: Records
) -> None:
    store.faults = on(REPLACE, fault=Fault.FAILS_AFTER_WRITING)
    assert records.commit(dossier(1), replacing=None) == current(behind).tag


def overtaken(store: PolicingStore, act: Callable[[], object]) -> None:
    """While our swap's answer is lost, somebody acts."""
    store.faults = on(REPLACE, fault=Fault.FAILS_AFTER_WRITING)
    store.waits_after = lambda call: act() if call.operation is REPLACE else None


def test_a_commit_that_others_went_on_from_is_found_done(
    records: Records, store: PolicingStore, behind: Records
) -> None:
    """The store alone can't know: what is there now is another's."""
    behind.commit(dossier(1), replacing=None)
    loaded = current(records)

    def go_on() -> None:
        seen = current(behind)
        behind.commit(following(seen, THEIRS), replacing=seen)

    overtaken(store, go_on)
    tag = records.commit(following(loaded, OURS), replacing=loaded)
    present = current(behind)
    assert tag == present.tag
    assert list(present.dossier.commits)[1:] == [OURS, THEIRS]


def test_a_commit_in_whose_place_another_stands_has_lost(
    records: Records, store: PolicingStore, behind: Records
) -> None:
    behind.commit(dossier(1), replacing=None)
    loaded = current(records)
    behind.commit(following(loaded, THEIRS), replacing=loaded)
    store.faults = on(REPLACE, fault=Fault.FAILS_UNSURE)
    with pytest.raises(CommitLost):
        records.commit(following(loaded, OURS), replacing=loaded)
    assert list(current(behind).dossier.commits)[1:] == [THEIRS]


@pytest.mark.parametrize("opened", [False, True])
def test_a_commit_that_may_still_come_is_not_said_to_have_lost(
    opened: bool, records: Records, store: PolicingStore, behind: Records
) -> None:
    """Nothing is there yet: a request on its way could still arrive."""
    loaded = None
    if opened:
        behind.commit(dossier(1), replacing=None)
        loaded = current(records)
    store.faults = on(REPLACE, fault=Fault.FAILS_UNSURE)
    with pytest.raises(ObjectStoreUnavailable) as unknown:
        records.commit(following(loaded, OURS) if loaded else dossier(1), replacing=loaded)
    assert unknown.value.maybe_written


def test_a_store_that_does_not_answer_either_leaves_it_open(
    records: Records, store: PolicingStore, behind: Records
) -> None:
    behind.commit(dossier(1), replacing=None)
    loaded = current(records)
    swap, look = on(REPLACE, fault=Fault.FAILS_AFTER_WRITING), on(READ)
    store.faults = lambda call: swap(call) or look(call)
    with pytest.raises(ObjectStoreUnavailable) as unknown:
        records.commit(following(loaded, OURS), replacing=loaded)
    assert unknown.value.maybe_written


def test_a_commit_that_certainly_was_not_done_asks_no_more(
    records: Records, store: PolicingStore, behind: Records
) -> None:
    behind.commit(dossier(1), replacing=None)
    loaded = current(records)
    store.faults = on(REPLACE)
    reads = store.count(READ)
    with pytest.raises(ObjectStoreUnavailable) as refused:
        records.commit(following(loaded, OURS), replacing=loaded)
    assert not refused.value.maybe_written
    assert store.count(READ) == reads
