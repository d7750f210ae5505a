"""The journal on every store: an event rests, locked and whole, before anyone goes on; what was touched never opens."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fakes.clock import ManualClock
from fakes.key_stands import local
from fakes.keys import PolicingKeys, on as on_key
from fakes.objects import Fault, MemoryStore, PolicingStore, on, on_calls
from sceau.audit import sealed
from sceau.audit.balp import event_bytes
from sceau.audit.errors import EventAbsent, EventDamaged, JournalUnavailable
from sceau.audit.facts import EventFacts
from sceau.audit.ids import event_name, event_time, parse_event_name
from sceau.audit.journal import SENDINGS, Journal, JournalEvent, JournalReader
from sceau.audit.log.entries import entry_of
from sceau.audit.retention import AHEAD
from sceau.envelope import contexts
from sceau.envelope.batch import BatchOpener, BatchSealer
from sceau.envelope.messages import read_context
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation, ScopedKeys
from sceau.objects.errors import ObjectLocked, ObjectStoreUnavailable
from sceau.objects.filesystem import FilesystemStore
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import ScopedStore, StoreGrant, StoreOperation
from unit.audit.samples import COUNTS, EVENTS, OTHER_RECORD, RECORD, refused

RETENTION = timedelta(days=3653)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PREFIX = "journal/events/"
RETRIEVAL = EVENTS["retrieval"]
ELSEWHERE = replace(RETRIEVAL, record_id=OTHER_RECORD)


@dataclass
class Stand:
    """A journal on a store, with what a test needs to watch, break and tamper with it."""

    store: PolicingStore
    keys: PolicingKeys
    clock: ManualClock
    sealer: BatchSealer
    journal: Journal
    reader: JournalReader

    def names(self) -> list[str]:
        return list(self.store.inner.list(PREFIX))

    def object(self, record: str, event_id: str) -> bytes:
        return self.store.inner.read(event_name(record, event_id)).data

    def put(self, record: str, event_id: str, message: bytes) -> None:
        """Write an object as somebody with the store in hand would, under the name of an event."""
        self.store.create(event_name(record, event_id), message, locked_until=self.clock() + RETENTION)


def stand_on(inner: ObjectStore, keys: PolicingKeys, clock: ManualClock) -> Stand:
    store = PolicingStore(inner)
    sealer = BatchSealer(keys, KeyName.JOURNAL, clock=clock)
    journal = Journal(store, sealer, clock=clock, random_bytes=os.urandom, retention=RETENTION)
    return Stand(
        store, keys, clock, sealer, journal, JournalReader(store, BatchOpener(keys, KeyName.JOURNAL, clock=clock))
    )


def filesystem(folder: Path, clock: ManualClock) -> ObjectStore:
    FilesystemStore.create_root(folder)
    return FilesystemStore(folder, clock)


STORES: dict[str, Callable[[Path, ManualClock], ObjectStore]] = {
    "filesystem": filesystem,
    "memory": lambda _, clock: MemoryStore(clock),
}


@pytest.fixture(scope="module")
def key_service(tmp_path_factory: pytest.TempPathFactory) -> PolicingKeys:
    return PolicingKeys(local(tmp_path_factory.mktemp("keys")).keys)


@pytest.fixture(params=sorted(STORES))
def stand(request: pytest.FixtureRequest, tmp_path: Path, key_service: PolicingKeys) -> Iterator[Stand]:
    clock = ManualClock()
    keys = PolicingKeys(key_service.inner)
    made = stand_on(STORES[request.param](tmp_path / "store", clock), keys, clock)
    yield made
    assert made.store.misuses == [] and keys.misuses == []


def resealed(stand: Stand, plaintext: bytes, carried: contexts.Carried, event_id: str) -> bytes:
    """A message as only a holder of the journal key could make it."""
    return stand.sealer.seal(plaintext, contexts.event_to_seal(RECORD, event_id, carried))


# An append


def test_an_event_rests_before_append_returns_and_reads_back_byte_for_byte(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    assert stand.names() == [event_name(RECORD, event_id)]
    assert event_time(event_id) == stand.clock()
    event = stand.reader.read(RECORD, event_id)
    entry = entry_of(event_name(RECORD, event_id), stand.object(RECORD, event_id))
    assert event == JournalEvent(RECORD, event_id, event_bytes(RETRIEVAL, event_id), event.opening, 7, entry)
    assert stand.store.count(StoreOperation.CREATE_LOCKED) == 1


def test_an_append_neither_lists_nor_reads_and_needs_no_key_that_opens(stand: Stand) -> None:
    keys = ScopedKeys(stand.keys, {KeyName.JOURNAL: frozenset({KeyOperation.WRAP})})
    store = ScopedStore(stand.store, [StoreGrant(PREFIX, frozenset({StoreOperation.CREATE_LOCKED}))])
    sealer = BatchSealer(keys, KeyName.JOURNAL, clock=stand.clock)
    journal = Journal(store, sealer, clock=stand.clock, random_bytes=os.urandom, retention=RETENTION)
    event_id = journal.append(RETRIEVAL)
    assert {call.operation for call in stand.store.calls} == {StoreOperation.CREATE_LOCKED}
    assert stand.reader.read(RECORD, event_id).data == event_bytes(RETRIEVAL, event_id)


def test_an_event_of_no_record_stands_under_0(stand: Stand) -> None:
    for facts in (EVENTS["token for software"], COUNTS):
        event_id = stand.journal.append(facts)
        event = stand.reader.read("0", event_id)
        assert (event.data, event.dossier_version) == (event_bytes(facts, event_id), 0)


def test_the_commitment_and_the_dossier_version_can_be_read_without_a_key(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    event = stand.reader.read(RECORD, event_id)
    context = read_context(stand.object(RECORD, event_id))
    assert context["commitment"] == hashlib.sha256(event.opening + event.data).hexdigest()
    assert (context["record"], context["event"], context["dossier-version"]) == (RECORD, event_id, "7")


def test_the_commitment_hides_an_event_that_can_be_guessed(stand: Stand) -> None:
    openings = {stand.reader.read(RECORD, stand.journal.append(RETRIEVAL)).opening for _ in range(20)}
    assert len(openings) == 20


def test_nothing_of_an_event_is_clear_at_rest(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    message = stand.object(RECORD, event_id)
    for text in (b"AuditEvent", b"MARTIN", b"899700012345", b"lgc-cabinet-42", b"Binary"):
        assert text not in message


def test_an_event_is_locked_for_its_retention_and_can_not_be_deleted(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    name, message = event_name(RECORD, event_id), stand.object(RECORD, event_id)
    assert stand.store.inner.locked_until(name) == event_time(event_id) + RETENTION + AHEAD
    stand.clock.advance(RETENTION + AHEAD - timedelta(milliseconds=1))
    with pytest.raises(ObjectLocked):
        stand.store.inner.delete(name)
    with pytest.raises(ObjectLocked):
        stand.store.inner.replace(name, b"", expected=stand.store.inner.read(name).tag)
    assert stand.object(RECORD, event_id) == message
    stand.clock.advance(timedelta(milliseconds=1))
    stand.store.inner.delete(name)  # so the lock was what refused it


@pytest.mark.parametrize(
    "apart", [timedelta(seconds=61), timedelta(seconds=-61), timedelta(days=1), timedelta(days=-1)]
)
def test_a_clock_a_minute_off_the_store_s_writes_nothing(stand: Stand, apart: timedelta) -> None:
    ours = ManualClock(stand.clock() + apart)
    journal = Journal(stand.store, stand.sealer, clock=ours, random_bytes=os.urandom, retention=RETENTION)
    with pytest.raises(JournalUnavailable, match="apart"):
        journal.append(RETRIEVAL)
    assert stand.store.calls == [] and stand.names() == []
    ours.now = stand.clock() + apart / abs(apart) * timedelta(seconds=60)
    written = journal.append(RETRIEVAL)
    assert stand.names() == [event_name(RECORD, written)]


def test_a_store_that_does_not_tell_the_time_is_not_written_to(stand: Stand) -> None:
    def no_time() -> datetime:
        raise ObjectStoreUnavailable("the test's store does not answer", maybe_written=False)

    stand.store.time = no_time  # type: ignore[method-assign]
    with pytest.raises(JournalUnavailable, match="time"):
        stand.journal.append(RETRIEVAL)
    assert stand.store.calls == [] and stand.names() == []


def test_events_of_threads_are_all_there_each_under_its_own_record(stand: Stand) -> None:
    def append(number: int) -> tuple[str, str]:
        facts = replace(RETRIEVAL, request_id=f"request-{number}", record_id=RECORD if number % 2 else OTHER_RECORD)
        return str(facts.record_id), stand.journal.append(facts)

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(append, range(64)))
    assert sorted(event_name(record, event_id) for record, event_id in written) == stand.names()
    for number, (record, event_id) in enumerate(written):
        assert f'"request-{number}"'.encode() in stand.reader.read(record, event_id).data


def test_a_batch_of_events_costs_one_wrap(stand: Stand) -> None:
    ids = [stand.journal.append(RETRIEVAL) for _ in range(50)]
    assert stand.keys.count(KeyOperation.WRAP) == 1
    for event_id in ids:
        stand.reader.read(RECORD, event_id)
    assert stand.keys.count(KeyOperation.UNWRAP) == 1


def test_facts_that_make_no_event_write_nothing(stand: Stand) -> None:
    with pytest.raises(ValueError, match="names it"):
        stand.journal.append(replace(RETRIEVAL, data=None))
    assert stand.store.calls == [] and stand.names() == []


def test_a_journal_without_retention_is_refused(stand: Stand) -> None:
    with pytest.raises(ValueError, match="kept"):
        Journal(stand.store, stand.sealer, clock=stand.clock, random_bytes=os.urandom, retention=timedelta(0))


# An append that goes wrong


def test_a_store_that_fails_is_told_and_nothing_rests(stand: Stand) -> None:
    stand.store.faults = on(StoreOperation.CREATE_LOCKED, fault=Fault.FAILS)
    with pytest.raises(JournalUnavailable):
        stand.journal.append(RETRIEVAL)
    assert stand.names() == []
    assert len(stand.store.calls) == 1


def test_a_write_that_was_done_and_not_confirmed_is_sent_again_and_is_one_event(stand: Stand) -> None:
    stand.store.faults = on_calls(1, fault=Fault.FAILS_AFTER_WRITING)
    event_id = stand.journal.append(RETRIEVAL)
    assert stand.names() == [event_name(RECORD, event_id)]
    assert stand.reader.read(RECORD, event_id).data == event_bytes(RETRIEVAL, event_id)
    assert [call.name for call in stand.store.calls[:2]] == [event_name(RECORD, event_id)] * 2


def test_a_write_that_may_have_been_done_and_was_not_is_sent_again(stand: Stand) -> None:
    stand.store.faults = on_calls(1, 2, fault=Fault.FAILS_UNSURE)
    event_id = stand.journal.append(RETRIEVAL)
    assert stand.names() == [event_name(RECORD, event_id)]
    assert stand.reader.read(RECORD, event_id).data == event_bytes(RETRIEVAL, event_id)


def test_a_failure_after_an_open_answer_is_no_proof_that_nothing_was_written(stand: Stand) -> None:
    faults = {1: Fault.FAILS_AFTER_WRITING, 2: Fault.FAILS}
    stand.store.faults = lambda call: faults.get(call.number)
    event_id = stand.journal.append(RETRIEVAL)
    assert stand.names() == [event_name(RECORD, event_id)]


@pytest.mark.parametrize("fault", [Fault.FAILS_UNSURE, Fault.FAILS_AFTER_WRITING])
def test_a_store_that_never_confirms_is_asked_a_few_times_and_the_act_does_not_happen(
    stand: Stand, fault: Fault
) -> None:
    stand.store.faults = on(StoreOperation.CREATE_LOCKED, fault=fault)
    with pytest.raises(JournalUnavailable):
        stand.journal.append(RETRIEVAL)
    assert len(stand.store.calls) == SENDINGS
    assert len({call.name for call in stand.store.calls}) == 1
    assert len(stand.names()) == (1 if fault is Fault.FAILS_AFTER_WRITING else 0)


def test_a_name_that_another_has_taken_is_not_taken_for_ones_own(stand: Stand) -> None:
    """Were the random source to repeat itself, the other's event must not stand for ours."""
    taken: list[str] = []

    def take(call: object) -> None:
        name = getattr(call, "name", "")
        if not taken and name.startswith(PREFIX):
            taken.append(name)
            stand.store.inner.create(name, b"another's", locked_until=stand.clock() + RETENTION)

    stand.store.waits = take
    event_id = stand.journal.append(RETRIEVAL)
    assert event_name(RECORD, event_id) != taken[0]
    assert stand.names() == sorted([taken[0], event_name(RECORD, event_id)])
    assert stand.store.inner.read(taken[0]).data == b"another's"
    assert stand.reader.read(RECORD, event_id).data == event_bytes(RETRIEVAL, event_id)


def test_a_random_source_that_repeats_itself_writes_no_event(stand: Stand) -> None:
    journals = [
        Journal(stand.store, stand.sealer, clock=stand.clock, random_bytes=bytes, retention=RETENTION) for _ in "ab"
    ]
    for _ in range(3):
        journals[0].append(RETRIEVAL)
    before = stand.names()
    with pytest.raises(JournalUnavailable):
        journals[1].append(RETRIEVAL)
    assert stand.names() == before


def test_a_key_service_that_is_away_stops_the_act_and_the_next_append_tries_again(stand: Stand) -> None:
    stand.keys.fails = on_key(KeyOperation.WRAP)
    with pytest.raises(JournalUnavailable):
        stand.journal.append(RETRIEVAL)
    assert stand.store.calls == [] and stand.names() == []
    stand.keys.fails = lambda _: False
    event_id = stand.journal.append(RETRIEVAL)
    assert stand.names() == [event_name(RECORD, event_id)]


def test_a_right_that_was_not_granted_stops_the_act(stand: Stand) -> None:
    store = ScopedStore(stand.store, [StoreGrant(PREFIX, frozenset({StoreOperation.READ}))])
    journal = Journal(store, stand.sealer, clock=stand.clock, random_bytes=os.urandom, retention=RETENTION)
    with pytest.raises(JournalUnavailable):
        journal.append(RETRIEVAL)
    assert stand.names() == []


# A read


def test_one_flipped_bit_anywhere_is_refused(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    message = stand.object(RECORD, event_id)
    others = [stand.journal.append(RETRIEVAL) for _ in range(3)]
    for position in range(0, len(message), 37):
        stand.clock.advance(timedelta(milliseconds=1))
        broken = message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]
        inner = MemoryStore(stand.clock)
        inner.create(event_name(RECORD, event_id), broken)
        reader = JournalReader(inner, BatchOpener(stand.keys, KeyName.JOURNAL, clock=stand.clock))
        with pytest.raises(EventDamaged):
            reader.read(RECORD, event_id)
    assert all(stand.reader.read(RECORD, one) for one in [event_id, *others])


@pytest.mark.parametrize("broken", [b"", b"x", b"\x02" * 200])
def test_what_is_no_sealed_message_is_refused(stand: Stand, broken: bytes) -> None:
    event_id = "019cade2-4cd3-77ff-bfff-ffffffffffff"
    stand.put(RECORD, event_id, broken)
    with pytest.raises(EventDamaged):
        stand.reader.read(RECORD, event_id)


def test_a_cut_or_lengthened_event_is_refused(stand: Stand) -> None:
    message = stand.object(RECORD, stand.journal.append(RETRIEVAL))
    for number, broken in enumerate((message[:-1], message + b"\0", message + message)):
        event_id = f"019cade2-4cd3-77ff-bfff-{number:012}"
        stand.put(RECORD, event_id, broken)
        with pytest.raises(EventDamaged):
            stand.reader.read(RECORD, event_id)


def test_an_event_moved_to_another_record_is_refused(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    stand.put(OTHER_RECORD, event_id, stand.object(RECORD, event_id))
    with pytest.raises(EventDamaged):
        stand.reader.read(OTHER_RECORD, event_id)
    assert stand.reader.read(RECORD, event_id).event_id == event_id


def test_an_event_under_the_name_of_another_is_refused(stand: Stand) -> None:
    first = stand.journal.append(RETRIEVAL)
    later = "019cade2-4cd3-77ff-bfff-ffffffffffff"
    stand.put(RECORD, later, stand.object(RECORD, first))
    with pytest.raises(EventDamaged):
        stand.reader.read(RECORD, later)


def test_an_event_that_is_not_the_one_committed_to_is_refused(stand: Stand) -> None:
    """Whoever holds the journal key could seal another text under an old commitment: it is found all the same."""
    event_id, opening = "019cade2-4cd3-77ff-bfff-ffffffffffff", b"o" * 32
    event = event_bytes(RETRIEVAL, event_id)
    carried = contexts.Carried(sealed.commitment(opening, event), 7)
    altered = event.replace(b"MARTIN", b"MARTEN")
    stand.put(RECORD, event_id, resealed(stand, sealed.encode(opening, altered), carried, event_id))
    with pytest.raises(EventDamaged):
        stand.reader.read(RECORD, event_id)


def test_an_event_of_another_format_version_is_refused(stand: Stand) -> None:
    event_id, opening = "019cade2-4cd3-77ff-bfff-ffffffffffff", b"o" * 32
    carried = contexts.Carried(sealed.commitment(opening, b"{}"), 7)
    stand.put(RECORD, event_id, resealed(stand, b"\x02" + opening + b"{}", carried, event_id))
    with pytest.raises(EventDamaged):
        stand.reader.read(RECORD, event_id)


def test_errors_say_nothing_of_the_event(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    stand.put(OTHER_RECORD, event_id, stand.object(RECORD, event_id))
    with pytest.raises(EventDamaged) as error:
        stand.reader.read(OTHER_RECORD, event_id)
    assert "MARTIN" not in f"{error.value!r} {error.value.__cause__!r}"


@pytest.mark.parametrize("event_id", ["019cade2-4cd3-77ff-bfff-ffffffffffff", "x", "", "../x"])
def test_an_event_that_is_not_there_is_absent(stand: Stand, event_id: str) -> None:
    stand.journal.append(RETRIEVAL)
    reader = JournalReader(stand.store.inner, BatchOpener(stand.keys, KeyName.JOURNAL, clock=stand.clock))
    with pytest.raises(EventAbsent):
        reader.read(RECORD, event_id)


def test_an_event_of_one_record_is_absent_from_another(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    reader = JournalReader(stand.store.inner, BatchOpener(stand.keys, KeyName.JOURNAL, clock=stand.clock))
    for record in (OTHER_RECORD, "0", "not a record"):
        with pytest.raises(EventAbsent):
            reader.read(record, event_id)


def test_a_store_or_key_service_that_is_away_is_not_damage(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    stand.keys.fails = on_key(KeyOperation.UNWRAP)
    with pytest.raises(JournalUnavailable):
        stand.reader.read(RECORD, event_id)
    stand.keys.fails = lambda _: False
    stand.store.faults = on(StoreOperation.READ)
    with pytest.raises(JournalUnavailable):
        stand.reader.read(RECORD, event_id)
    stand.store.faults = on(StoreOperation.LIST)
    with pytest.raises(JournalUnavailable):
        list(stand.reader.event_ids(RECORD, stand.clock(), stand.clock() + DAY))
    stand.store.faults = on(StoreOperation.LIST, fault=Fault.FAILS_AFTER_WRITING)  # breaks off
    with pytest.raises(JournalUnavailable):
        list(stand.reader.event_ids(RECORD, stand.clock(), stand.clock() + DAY))


# A record's events


def spread(stand: Stand) -> list[str]:
    """Events of two records and of none over three days; the ids of RECORD's."""
    mine = []
    for step in (timedelta(0), MINUTE, 59 * MINUTE, 14 * HOUR, timedelta(seconds=1), DAY, 3 * MINUTE):
        stand.clock.advance(step)
        stand.journal.append(ELSEWHERE)
        mine.append(stand.journal.append(RETRIEVAL))
        stand.journal.append(COUNTS)
        mine.append(stand.journal.append(refused(RETRIEVAL)))
        stand.journal.append(ELSEWHERE)
    return mine


def test_a_records_events_and_no_others_in_order_of_time(stand: Stand) -> None:
    start = stand.clock()
    mine = spread(stand)
    end = stand.clock() + MINUTE
    assert list(stand.reader.event_ids(RECORD, start, end)) == mine
    assert list(stand.reader.event_ids(RECORD, start, end, newest_first=True)) == mine[::-1]
    assert len(list(stand.reader.event_ids(OTHER_RECORD, start, end))) == len(mine)
    assert len(list(stand.reader.event_ids("0", start, end))) == len(mine) // 2
    for event_id in mine:
        assert json.loads(stand.reader.read(RECORD, event_id).data)["id"] == event_id


def test_a_period_has_its_start_and_not_its_end(stand: Stand) -> None:
    start = stand.clock()
    mine = spread(stand)
    times = sorted({event_time(event_id) for event_id in mine})
    for first in times:
        for last in times:
            for newest_first in (False, True):
                found = sorted(stand.reader.event_ids(RECORD, first, last, newest_first=newest_first))
                assert found == [event_id for event_id in mine if first <= event_time(event_id) < last]
    assert list(stand.reader.event_ids(RECORD, start - 9 * DAY, start)) == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_continue_where_the_last_one_ended(stand: Stand, newest_first: bool) -> None:
    start = stand.clock()
    mine = spread(stand)
    end = stand.clock() + MINUTE
    pages: list[str] = []
    for _ in mine:
        rest = stand.reader.event_ids(RECORD, start, end, after=pages[-1] if pages else None, newest_first=newest_first)
        pages += [next(rest)]
    assert pages == (mine[::-1] if newest_first else mine)
    assert list(stand.reader.event_ids(RECORD, start, end, after=pages[-1], newest_first=newest_first)) == []


def test_a_listing_opens_nothing_and_leaves_days_outside_the_period_alone(stand: Stand) -> None:
    start = stand.clock()
    spread(stand)
    stand.store.calls.clear()
    list(stand.reader.event_ids(RECORD, start, start + HOUR))
    assert {call.operation for call in stand.store.calls} == {StoreOperation.LIST}
    assert {call.name for call in stand.store.calls} == {f"{PREFIX}{start:%Y-%m-%d}/"}


def test_what_is_no_event_among_the_names_is_passed_over(stand: Stand) -> None:
    event_id = stand.journal.append(RETRIEVAL)
    minute = event_name(RECORD, event_id).rpartition("/")[0]
    day = minute.rpartition("/")[0].rpartition("/")[0]
    for name in (
        f"{minute}/{RECORD}.x",
        f"{minute}/{RECORD}.{event_id}x",
        f"{day}/00",
        f"{minute}/x/{RECORD}.{event_id}",
    ):
        stand.store.inner.create(name, b"")
    assert list(stand.reader.event_ids(RECORD, stand.clock(), stand.clock() + DAY)) == [event_id]


def test_no_record_no_listing(stand: Stand) -> None:
    for record in ("", "a", RECORD + "/", "../" + RECORD):
        with pytest.raises(ValueError, match="record-id"):
            list(stand.reader.event_ids(record, stand.clock(), stand.clock() + DAY))
    assert stand.store.calls == []


class CountedStore(MemoryStore):
    """Counts the names that are read of its listings."""

    seen = 0

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        for name in super().list(prefix, after=after):
            self.seen += 1
            yield name


def test_a_record_among_many_others_events_is_found_in_few_listings(key_service: PolicingKeys) -> None:
    """Ten busy minutes, with an event of ours in each between those of others."""
    clock = ManualClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    counted = CountedStore(clock)
    store = PolicingStore(counted)
    milliseconds = int(clock().timestamp()) * 1000
    expected = []
    for minute in range(10):
        time = f"{milliseconds + minute * 60_000:012x}"
        ids = [f"{time[:8]}-{time[8:]}-7000-8000-{number:012x}" for number in range(2400)]
        expected.append(ids[0])
        for record, event_id in [(RECORD, ids[0]), *zip(["2" * 26, "z" * 26] * 1200, ids, strict=True)]:
            store.create(event_name(record, event_id), b"", locked_until=clock() + RETENTION)
    reader = JournalReader(store, BatchOpener(key_service, KeyName.JOURNAL, clock=clock))
    assert list(reader.event_ids(RECORD, clock(), clock() + HOUR)) == expected
    assert store.count(StoreOperation.LIST) <= 2 * 10 + 1
    assert counted.seen <= (2 * 10 + 1) * 1001


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40 * 60 * 60 * 1000), st.sampled_from([RECORD, OTHER_RECORD])), max_size=12
    ),
    bounds=st.tuples(st.integers(-1, 13), st.integers(-1, 13)),
    newest_first=st.booleans(),
    cursor=st.none() | st.integers(0, 11),
)
def test_any_history_any_period_any_page(
    key_service: PolicingKeys,
    steps: list[tuple[int, str]],
    bounds: tuple[int, int],
    newest_first: bool,
    cursor: int | None,
) -> None:
    clock = ManualClock()
    stand = stand_on(MemoryStore(clock), key_service, clock)
    times, mine = [clock()], []
    for milliseconds, record in steps:
        clock.advance(timedelta(milliseconds=milliseconds))
        times.append(clock())
        event_id = stand.journal.append(replace(RETRIEVAL, record_id=record))
        if record == RECORD:
            mine.append(event_id)
    # Bounds are times of events, and a minute before the first and behind the last.
    start, end = (times[min(max(bound, 0), len(times) - 1)] + bound // 13 * MINUTE for bound in bounds)
    after = mine[cursor] if cursor is not None and cursor < len(mine) else None
    expected = [
        event_id
        for event_id in mine
        if start <= event_time(event_id) < end
        and (after is None or (event_id < after if newest_first else event_id > after))
    ]
    found = list(stand.reader.event_ids(RECORD, start, end, after=after, newest_first=newest_first))
    assert found == (expected[::-1] if newest_first else expected)
    assert all(parse_event_name(name)[0] in (RECORD, OTHER_RECORD) for name in stand.names())


def test_every_kind_of_event_can_be_written_and_read(key_service: PolicingKeys) -> None:
    clock = ManualClock()
    stand = stand_on(MemoryStore(clock), key_service, clock)
    everything: list[EventFacts] = [*EVENTS.values(), *(refused(facts) for facts in EVENTS.values())]
    for facts in everything:
        event_id = stand.journal.append(facts)
        assert stand.reader.read(facts.record_id or "0", event_id).data == event_bytes(facts, event_id)
