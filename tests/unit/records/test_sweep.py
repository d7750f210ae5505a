"""Sweeping: what goes, what stays, and that nothing that a dossier reaches, or may come to reach, ever goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fakes.clock import ManualClock
from fakes.objects import Call, Fault, Faults, MemoryStore, PolicingStore, no_faults, on, on_calls
from sceau.envelope.messages import Envelope
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.objects.scoped import StoreOperation
from sceau.records.dossier import Dossier, clear_part, split_object
from sceau.records.errors import RecordDamaged
from sceau.records.repository import Records, document_name, dossier_name
from sceau.records.sweep import (
    UNCHANGED_FOR,
    UNREACHED_FOR,
    Budget,
    RecordsTally,
    listed_documents,
    sweep_documents,
    sweep_marks,
)
from sceau_schemas.dossier import StoredDocument
from unit.records.listings import listing
from unit.records.test_dossier import NOW, RECORD, an_id, commits, dossier, entry, head, next_version

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OTHER = an_id(77)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> LocalKeyService:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    create_key_file(path, clock=lambda: NOW)
    return LocalKeyService(path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def store(clock: ManualClock) -> PolicingStore:
    return PolicingStore(MemoryStore(clock))


@pytest.fixture
def records(store: PolicingStore, keys: LocalKeyService) -> Records:
    return Records(store, Envelope(keys))


def upload(store: PolicingStore, number: int, record: str = RECORD) -> str:
    name = document_name(record, an_id(number))
    store.create(name, b"sealed")
    return name


def reach_nothing(store: PolicingStore, *records: str) -> None:
    """Give these records a dossier that lists no document: whatever they hold is unreachable."""
    for record in records:
        store.replace(dossier_name(record), listing(record), expected=None)


def publish(records: Records, store: PolicingStore, *numbers: int) -> list[str]:
    """A record whose dossier reaches these documents."""
    names = [upload(store, number) for number in numbers]
    made = Dossier(head(), commits())
    for number in numbers:
        made = made.with_entry(entry(number), b"{}")
    records.commit(made, replacing=None)
    return names


def sweep(
    store: PolicingStore,
    clock: Callable[[], object],
    *,
    deletions: int = 1000,
    lasting: timedelta = HOUR,
    start: str = "a",
) -> RecordsTally:
    assert isinstance(clock, ManualClock)
    return sweep_documents(store, Budget(deletions, clock() + lasting, clock), start=start)


def documents(store: PolicingStore) -> list[str]:
    return [name for name in store.inner.list("records/") if "/documents/" in name]


def numbers(tally: RecordsTally) -> tuple[int, int, int]:
    return tally.swept, tally.kept, tally.failed


# --- documents ---------------------------------------------------------------------------------------------------


def test_what_no_dossier_reached_within_a_day_is_deleted_and_nothing_else(
    records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    reached = publish(records, store, 1, 2)
    upload(store, 3)
    before = store.inner.read(dossier_name(RECORD))
    clock.advance(UNREACHED_FOR + MINUTE)
    young = upload(store, 4)
    tally = sweep(store, clock)
    assert documents(store) == sorted([*reached, young])
    assert store.inner.read(dossier_name(RECORD)) == before
    assert numbers(tally) == (1, 3, 0)
    assert tally.finished
    assert tally.damaged == tally.without_dossier == []
    assert store.misuses == []


def test_a_day_is_a_whole_day(records: Records, store: PolicingStore, clock: ManualClock) -> None:
    publish(records, store, 1)
    left = upload(store, 2)
    clock.advance(UNREACHED_FOR)
    assert numbers(sweep(store, clock)) == (0, 2, 0)
    assert left in documents(store)
    clock.advance(timedelta(microseconds=1))
    assert numbers(sweep(store, clock)) == (1, 1, 0)
    assert left not in documents(store)


def test_a_document_from_the_future_is_kept(records: Records, store: PolicingStore, clock: ManualClock) -> None:
    publish(records, store, 1)
    clock.advance(HOUR)
    left = upload(store, 2)
    clock.advance(-2 * HOUR)
    sweep(store, clock)
    assert left in documents(store)


def test_what_is_reached_stays_however_old_it_is(records: Records, store: PolicingStore, clock: ManualClock) -> None:
    names = publish(records, store, *range(1, 8))
    clock.advance(timedelta(days=4000))
    assert numbers(sweep(store, clock)) == (0, 7, 0)
    assert documents(store) == sorted(names)
    assert store.count(StoreOperation.DELETE) == 0


def test_a_record_that_holds_no_document_is_not_even_read(
    records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    publish(records, store)
    clock.advance(2 * UNREACHED_FOR)
    assert numbers(sweep(store, clock)) == (0, 0, 0)
    assert store.count(StoreOperation.READ) == 0


def test_documents_of_a_record_whose_dossier_is_gone_are_kept_and_told_until_it_is_restored(
    records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    reached = publish(records, store, 1, 2)
    left = upload(store, 3)
    reach_nothing(store, OTHER)
    upload(store, 4, OTHER)
    lost = store.inner.read(dossier_name(RECORD)).data
    store.inner.delete(dossier_name(RECORD))
    clock.advance(timedelta(days=4000))
    for swept_elsewhere in (1, 0):
        tally = sweep(store, clock)
        assert documents(store) == sorted([*reached, left])
        assert tally.without_dossier == [RECORD]
        assert tally.damaged == []
        assert numbers(tally) == (swept_elsewhere, 3, 0), "only the other record's document went"
        assert tally.finished
    store.replace(dossier_name(RECORD), lost, expected=None)
    clock.advance(UNCHANGED_FOR + MINUTE)
    tally = sweep(store, clock)
    assert documents(store) == reached
    assert tally.without_dossier == []
    assert numbers(tally) == (1, 2, 0)


def test_objects_that_are_neither_dossier_nor_document_are_left(clock: ManualClock) -> None:
    inner = MemoryStore(clock)
    for name in ("records/note", f"records/{RECORD}/documents", f"records/{RECORD}/notes/a", f"records/{OTHER}/x"):
        inner.create(name, b"")
    before = list(inner.list(""))
    clock.advance(2 * UNREACHED_FOR)
    assert numbers(sweep(PolicingStore(inner), clock)) == (0, 0, 0)
    assert list(inner.list("")) == before


# --- damage ------------------------------------------------------------------------------------------------------


def _cut_off(data: bytes) -> bytes:
    return data[:40]


def _not_a_dossier(data: bytes) -> bytes:
    return b"x" + data


def _empty(_: bytes) -> bytes:
    return b""


def _shorter_list(data: bytes) -> bytes:
    _, names, sealed = split_object(data)
    return clear_part(names[1:]) + sealed


def _longer_list(data: bytes) -> bytes:
    _, names, sealed = split_object(data)
    return clear_part(sorted([*names, document_name(RECORD, an_id(9))])) + sealed


def _no_sealed_part(data: bytes) -> bytes:
    return split_object(data)[0]


def _cut_in_the_header(data: bytes) -> bytes:
    clear, _, sealed = split_object(data)
    return clear + sealed[:50]


DAMAGES = [_cut_off, _not_a_dossier, _empty, _shorter_list, _longer_list, _no_sealed_part, _cut_in_the_header]


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_of_a_record_with_a_damaged_dossier_is_deleted_and_it_is_told(
    damage: Callable[[bytes], bytes], records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    publish(records, store, 1, 2, 3)
    upload(store, 4)
    reach_nothing(store, OTHER)
    elsewhere = upload(store, 5, OTHER)
    stored = store.inner.read(dossier_name(RECORD))
    store.replace(dossier_name(RECORD), damage(stored.data), expected=stored.tag)
    before = [name for name in documents(store) if name != elsewhere]
    clock.advance(2 * UNREACHED_FOR)
    tally = sweep(store, clock)
    assert documents(store) == before
    assert tally.damaged == [RECORD]
    assert numbers(tally) == (1, 4, 0), "the other record's document went"
    assert tally.finished


def test_the_dossier_of_another_record_in_its_place_is_damage(
    records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    publish(records, store, 1)
    upload(store, 2, OTHER)
    store.replace(dossier_name(OTHER), store.inner.read(dossier_name(RECORD)).data, expected=None)
    before = documents(store)
    clock.advance(2 * UNREACHED_FOR)
    assert sweep(store, clock).damaged == [OTHER]
    assert documents(store) == before


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 2000), change=st.integers(1, 255))
def test_no_damaged_byte_makes_a_reached_document_unreachable(
    keys: LocalKeyService, position: int, change: int
) -> None:
    clock = ManualClock(NOW)
    store = PolicingStore(MemoryStore(clock))
    names = publish(Records(store, Envelope(keys)), store, 1, 2)
    stored = store.inner.read(dossier_name(RECORD))
    data = bytearray(stored.data)
    data[position % len(data)] ^= change
    store.replace(dossier_name(RECORD), bytes(data), expected=stored.tag)
    clock.advance(2 * UNREACHED_FOR)
    sweep(store, clock)
    assert documents(store) == names


def test_the_list_is_read_without_any_key(records: Records, store: PolicingStore) -> None:
    assert listed_documents(store, RECORD) is None
    records.commit(dossier(3), replacing=None)
    listed = listed_documents(store, RECORD)
    assert listed == frozenset(document_name(RECORD, an_id(number)) for number in (1, 2, 3))
    stored = store.inner.read(dossier_name(RECORD))
    store.replace(dossier_name(RECORD), _shorter_list(stored.data), expected=stored.tag)
    with pytest.raises(RecordDamaged):
        listed_documents(store, RECORD)


# --- races -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upload_at", range(1, 12))
@pytest.mark.parametrize("commit_after", range(12))
def test_a_publication_at_any_moment_of_a_sweep_keeps_its_document(
    upload_at: int, commit_after: int, keys: LocalKeyService
) -> None:
    """Exhaustive: the document comes before the sweep's call `upload_at`, its commit `commit_after` calls later."""
    clock = ManualClock(NOW)
    store = PolicingStore(MemoryStore(clock))
    behind = PolicingStore(store.inner)  # the publisher's own view: not counted, and not held
    publisher = Records(behind, Envelope(keys))
    old = publish(publisher, behind, 1)
    left = [upload(behind, number) for number in (2, 3)]
    clock.advance(2 * UNREACHED_FOR)
    done: list[str] = []

    def meanwhile(call: Call) -> None:
        if call.number == upload_at:
            done.append(upload(behind, 4))
        if call.number == upload_at + commit_after:
            loaded = publisher.load(RECORD)
            assert loaded is not None
            publisher.commit(next_version(loaded.dossier).with_entry(entry(4), b"{}"), replacing=loaded)

    store.waits = meanwhile
    sweep(store, clock)
    assert 4 <= store.count() <= 13
    assert {*old, *done} <= set(documents(store)) <= {*old, *done, *left}
    clock.advance(UNCHANGED_FOR + MINUTE)  # a commit in the middle keeps the rest until the dossier has stood again
    sweep(store, clock)
    assert documents(store) == sorted([*old, *done])


def test_what_a_dossier_has_just_dropped_stays_for_readers_who_hold_the_older_one(
    records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    (old,) = publish(records, store, 1)
    clock.advance(2 * UNREACHED_FOR)
    loaded = records.load(RECORD)
    assert loaded is not None
    row = entry(1)
    moved = row.model_copy(update={"document": row.document.model_copy(update={"object_name": f"{old}.1"})})
    store.create(f"{old}.1", b"sealed anew")
    records.commit(next_version(loaded.dossier).with_moved_document(moved), replacing=loaded)
    sweep(store, clock)
    clock.advance(UNCHANGED_FOR)
    assert numbers(sweep(store, clock)) == (0, 2, 0)
    clock.advance(timedelta(microseconds=1))
    assert numbers(sweep(store, clock)) == (1, 1, 0)
    assert documents(store) == [f"{old}.1"]


def test_a_document_of_yesterday_that_is_committed_late_but_before_the_sweep_is_kept(
    records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    name = upload(store, 1)
    clock.advance(2 * UNREACHED_FOR)
    records.commit(Dossier(head(), commits()).with_entry(entry(1), b"{}"), replacing=None)
    sweep(store, clock)
    assert documents(store) == [name]


@pytest.mark.parametrize("gone_before", [StoreOperation.LIST, StoreOperation.DELETE])
def test_two_sweeps_at_once_disturb_nobody(
    gone_before: StoreOperation, records: Records, store: PolicingStore, clock: ManualClock
) -> None:
    publish(records, store, 1)
    left = upload(store, 2)
    clock.advance(2 * UNREACHED_FOR)

    def other(call: Call) -> None:
        if call.operation is gone_before and call.name == left:
            store.waits = lambda _: None
            assert sweep(store, clock).swept == 1

    store.waits = other
    assert numbers(sweep(store, clock)) == (0, 1, 0)
    assert left not in documents(store)


# --- a store that fails ------------------------------------------------------------------------------------------


def swept_world(keys: LocalKeyService, faults: Faults = no_faults) -> tuple[PolicingStore, ManualClock, list[str]]:
    """Two records, of which one reaches nothing; three documents to go, and the names of those that must stay."""
    clock = ManualClock(NOW)
    inner = MemoryStore(clock)
    made = PolicingStore(inner)
    stay = publish(Records(made, Envelope(keys)), made, 1, 2)
    upload(made, 3)
    upload(made, 4)
    reach_nothing(made, OTHER)
    upload(made, 5, OTHER)
    clock.advance(2 * UNREACHED_FOR)
    return PolicingStore(inner, faults=faults), clock, stay


@pytest.mark.parametrize("fault", Fault)
def test_whichever_call_fails_nothing_reached_goes_and_the_next_sweep_ends_the_work(
    fault: Fault, keys: LocalKeyService
) -> None:
    whole, clock, _ = swept_world(keys)
    assert numbers(sweep(whole, clock)) == (3, 2, 0)
    for number in range(1, whole.count() + 1):
        store, clock, stay = swept_world(keys, on_calls(number, fault=fault))
        before = store.inner.read(dossier_name(RECORD))
        tally = sweep(store, clock)
        # A listing may fail after all that was asked of it.
        assert tally.failed == 1 or (tally.failed == 0 and documents(store) == stay), f"call {number}"
        assert set(stay) <= set(documents(store))
        assert store.inner.read(dossier_name(RECORD)) == before
        sweep(store, clock)
        assert documents(store) == stay
        assert store.misuses == []


def test_one_object_that_can_not_be_deleted_does_not_keep_the_others(keys: LocalKeyService) -> None:
    store, clock, stay = swept_world(keys)
    stuck = document_name(RECORD, an_id(3))
    store.faults = on(StoreOperation.DELETE, stuck)
    assert numbers(sweep(store, clock)) == (2, 2, 1)
    assert documents(store) == sorted([*stay, stuck])


def test_a_dossier_that_can_not_be_read_now_condemns_nothing(keys: LocalKeyService) -> None:
    store, clock, _ = swept_world(keys)
    store.faults = on(StoreOperation.READ, dossier_name(RECORD))
    before = [name for name in documents(store) if name.startswith(f"records/{RECORD}/")]
    tally = sweep(store, clock)
    assert [name for name in documents(store) if name.startswith(f"records/{RECORD}/")] == before
    assert numbers(tally) == (1, 4, 1)
    assert tally.damaged == [], "nobody knows"


# --- bounds ------------------------------------------------------------------------------------------------------


def test_a_sweep_deletes_no_more_than_its_budget_and_the_next_goes_on(keys: LocalKeyService) -> None:
    store, clock, stay = swept_world(keys)
    for left in (2, 1, 0):
        tally = sweep(store, clock, deletions=1)
        assert tally.swept == 1
        assert len(documents(store)) == len(stay) + left
    assert documents(store) == stay


def test_a_sweep_ends_when_its_time_is_over(keys: LocalKeyService) -> None:
    store, clock, stay = swept_world(keys)
    store.waits = lambda _: clock.advance(MINUTE)
    tally = sweep(store, clock, lasting=4 * MINUTE)
    assert not tally.finished
    assert store.count() <= 6
    assert set(stay) < set(documents(store))


def test_where_sweeps_end_early_every_record_has_its_turn(store: PolicingStore, clock: ManualClock) -> None:
    first, second, between, third = sorted(an_id(number) for number in (10, 20, 30, 40))
    reach_nothing(store, first, second, third)
    for record in (first, second, third):
        upload(store, 1, record)
    clock.advance(2 * UNREACHED_FOR)
    swept: list[str] = []
    for start in (between, third, "a"):
        before = set(documents(store))
        assert sweep(store, clock, deletions=1, start=start).swept == 1
        swept += before - set(documents(store))
    assert swept == [document_name(record, an_id(1)) for record in (third, first, second)]


@settings(max_examples=50, deadline=None)
@given(
    held=st.sets(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=20),
    lost=st.sets(st.integers(0, 40)),
    start=st.integers(0, 41),
)
def test_from_wherever_it_starts_a_sweep_meets_every_document_once(
    held: set[tuple[int, int]], lost: set[int], start: int
) -> None:
    """Records `held` have documents that nothing reaches; of those, `lost` have no dossier."""
    clock = ManualClock(NOW)
    store = PolicingStore(MemoryStore(clock))
    for record, number in held:
        upload(store, number, an_id(record))
    met = {record for record, _ in held}
    reach_nothing(store, *(an_id(record) for record in met - lost))
    clock.advance(2 * UNREACHED_FOR)
    tally = sweep(store, clock, start=an_id(start))
    stay = sorted(document_name(an_id(record), an_id(number)) for record, number in held if record in lost)
    assert documents(store) == stay
    assert numbers(tally) == (len(held) - len(stay), len(stay), 0)
    assert sorted(tally.without_dossier) == sorted(an_id(record) for record in met & lost)
    assert store.count(StoreOperation.READ) == len(met), "no record is met twice"


# --- marks -------------------------------------------------------------------------------------------------------


def marks(clock: ManualClock, count: int) -> PolicingStore:
    store = PolicingStore(MemoryStore(clock))
    for number in range(count):
        store.create(f"replay/{number}/a", b"", durable=False)
    return store


def over(name: str) -> bool:
    return name < "replay/3"


def test_marks_that_are_over_go_and_the_others_stay(clock: ManualClock) -> None:
    store = marks(clock, 5)
    store.create("revoked/0/a", b"")
    tally = sweep_marks(store, "replay/", over, Budget(100, clock() + HOUR, clock))
    assert list(store.inner.list("")) == ["replay/3/a", "replay/4/a", "revoked/0/a"]
    assert (tally.swept, tally.kept, tally.failed, tally.finished) == (3, 2, 0, True)


@pytest.mark.parametrize("fault", Fault)
def test_a_mark_that_fails_is_counted_and_the_others_go(clock: ManualClock, fault: Fault) -> None:
    store = marks(clock, 5)
    store.faults = on(StoreOperation.DELETE, "replay/1/a", fault=fault)
    tally = sweep_marks(store, "replay/", over, Budget(100, clock() + HOUR, clock))
    assert (tally.swept, tally.kept, tally.failed) == (2, 2, 1)


def test_a_listing_of_marks_that_breaks_off_is_not_the_end_of_the_world(clock: ManualClock) -> None:
    store = marks(clock, 5)
    store.faults = on(StoreOperation.LIST, fault=Fault.FAILS_AFTER_WRITING)
    tally = sweep_marks(store, "replay/", over, Budget(100, clock() + HOUR, clock))
    assert (tally.swept, tally.kept, tally.failed, tally.finished) == (3, 2, 1, False)


def test_marks_are_deleted_within_the_budget(clock: ManualClock) -> None:
    store = marks(clock, 5)
    tally = sweep_marks(store, "replay/", over, Budget(2, clock() + HOUR, clock))
    assert (tally.swept, tally.finished) == (2, False)
    store.waits = lambda _: clock.advance(HOUR)
    tally = sweep_marks(store, "replay/", over, Budget(100, clock() + HOUR, clock))
    assert (tally.swept, tally.finished) == (0, False)


def test_a_stored_document_names_its_object_as_the_sweep_reads_it() -> None:
    """The list holds whole names: a shorter form would make every document unreachable."""
    stored: StoredDocument = entry(1).document
    assert stored.object_name == document_name(RECORD, an_id(1))
