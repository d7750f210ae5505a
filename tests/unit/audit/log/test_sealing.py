"""The sealer: each event is logged once, in a log that verifies, whenever it came and whatever the clocks say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.clock import ManualClock
from fakes.objects import Call, on
from sceau.audit.ids import EVENTS_PREFIX, event_name, parse_event_name
from sceau.audit.log import reconciling
from sceau.audit.log.checkpoints import open_checkpoint
from sceau.audit.log.entries import NO_COMMITMENT, decode_entry, name_digest
from sceau.audit.log.errors import ClockRefused
from sceau.audit.log.gathering import WINDOW
from sceau.audit.log.growth import grow
from sceau.audit.log.places import DATED, LOG, PENDING, RECONCILIATION, RECORDS, TILES, parse_index
from sceau.audit.log.reading import LogReader
from sceau.audit.log.state import decode_state
from sceau.audit.retention import AHEAD
from sceau.keys.scoped import KeyOperation, ScopedKeys
from sceau.objects.scoped import ScopedStore, StoreOperation
from sceau.stage import scoped_keys, scoped_store
from sceau_schemas.deployment import read_chalicefile
from unit.audit.log.log_stand import DAY, HOUR, MINUTE, ORIGIN, RETENTION, SECOND, LogStand

SIZES = (1, 255, 256, 257, 511, 512, 513)


@pytest.fixture
def stand() -> LogStand:
    return LogStand.new()


def logged(stand: LogStand) -> list[bytes]:
    """The name digests in the log's entries, in their order."""
    reader, checkpoint = LogReader(stand.memory), open_checkpoint(stand.checkpoint, stand.vkeys)[0]
    entries = [one for number in range(-(-checkpoint.size // 256)) for one in reader.entries(number, checkpoint.size)]
    return [decode_entry(entry).name_sha256 for entry in entries]


def put(stand: LogStand, name: str, data: bytes = b"sealed", *, until: timedelta = RETENTION + AHEAD) -> None:
    """Write an object below `journal/events/` as a compromised function could."""
    stand.memory.create(name, data, locked_until=stand.clock() + until)


# --- what is logged ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_each_event_is_logged_once_and_everything_verifies(stand: LogStand, size: int) -> None:
    names = stand.append(size, apart=timedelta(milliseconds=100))
    report = stand.seal()
    assert (report.sealed, report.size, report.alarms, report.finished) == (size, size, {}, True)
    assert sorted(logged(stand)) == sorted(map(name_digest, names))
    stand.require_good(events=size)
    index = [parse_index(name) for name in stand.names(RECORDS)]
    assert sorted(number for _, _, number in index) == list(range(size))
    digests = logged(stand)
    assert all(name_digest(event_name(record, event)) == digests[number] for record, event, number in index)


def test_a_log_grows_over_tile_borders_and_from_batch_to_batch(stand: LogStand) -> None:
    kept = []
    for number in (1, 254, 1, 1, 300, 2):
        stand.append(number, apart=timedelta(milliseconds=100))
        assert stand.seal().sealed == number
        kept.append(stand.checkpoint)
    stand.require_good(*kept, events=559)
    assert len(stand.names(DATED)) == 6, "a dated copy of each"


def test_many_events_are_sealed_in_batches_of_a_bounded_size(stand: LogStand) -> None:
    stand.append(700, apart=timedelta(milliseconds=100))
    report = stand.seal(most=200)
    assert (report.sealed, report.batches) == (700, 4)
    stand.require_good(events=700)


def test_without_new_events_nothing_is_written(stand: LogStand) -> None:
    stand.append(10)
    stand.seal()
    before = {name: stand.memory.read(name) for name in stand.names()}
    calls = len(stand.store.calls)
    for _ in range(3):
        stand.clock.advance(MINUTE)
        assert stand.seal().sealed == 0
    assert before == {name: stand.memory.read(name) for name in stand.names()}
    written = [
        call for call in stand.store.calls[calls:] if call.operation not in (StoreOperation.READ, StoreOperation.LIST)
    ]
    assert written == []


def test_a_stage_that_gets_another_address_keeps_its_log_and_the_log_s_name(stand: LogStand) -> None:
    """The origin is sealed with the keys: what the chalicefile says names a log that is begun, and no other."""
    stand.append(3)
    stand.seal()
    stand.append(2)
    other = stand.sealer()
    other._origin = "another.example.org/journal"
    assert other.run().sealed == 2
    assert open_checkpoint(stand.checkpoint, stand.vkeys)[0].origin == ORIGIN
    stand.require_good(events=5)


def test_an_empty_journal_has_no_log_yet(stand: LogStand) -> None:
    assert stand.seal().sealed == 0
    assert stand.names(LOG) == []


def test_full_tiles_and_dated_checkpoints_are_locked_and_the_rest_is_not(stand: LogStand) -> None:
    stand.append(300, apart=timedelta(milliseconds=100))
    stand.seal()
    due = stand.clock() + RETENTION + AHEAD
    locked = {name: stand.memory.locked_until(name) for name in stand.names(LOG)}
    full = {f"{LOG}tile/entries/000", f"{LOG}tile/0/000"}
    assert {name for name, end in locked.items() if end == due} == full | set(stand.names(DATED))
    assert {name for name, end in locked.items() if end is None} == set(locked) - full - set(stand.names(DATED))


def test_the_checkpoint_carries_both_signatures_and_its_dated_copy_the_same_bytes(stand: LogStand) -> None:
    stand.append(3)
    stand.seal()
    checkpoint, note = open_checkpoint(stand.checkpoint, stand.vkeys)
    assert (checkpoint.origin, checkpoint.size, len(note.signatures)) == (ORIGIN, 3, 2)
    (copy,) = stand.names(DATED)
    assert stand.memory.read(copy).data == stand.checkpoint


def test_the_log_tells_no_record_and_no_event(stand: LogStand) -> None:
    names = stand.append(20)
    stand.seal()
    stand.append(1)
    sealer = stand.sealer()
    stand.store.faults = on(StoreOperation.REPLACE, f"{LOG}tile/")  # so that a batch is fixed, and waits
    with pytest.raises(Exception, match="store"):
        sealer.run()
    parts = {part for name in names for part in parse_event_name(name)}
    for name in stand.names(LOG):
        data = stand.memory.read(name).data
        assert not [part for part in parts if part.encode() in data or part in name]


@pytest.mark.parametrize(("old", "new"), [(1, 1), (250, 6), (250, 5), (255, 257), (513, 1), (1, 1000)])
def test_a_batch_costs_the_calls_that_the_architecture_page_says(stand: LogStand, old: int, new: int) -> None:
    stand.append(old, apart=timedelta(milliseconds=10))
    stand.seal()
    stand.append(new, apart=timedelta(milliseconds=10))
    stores, keys = len(stand.store.calls), len(stand.keys.calls)
    stand.seal()
    edge = LogReader(stand.memory).edge(old)
    growth = grow(edge, [b"an entry"] * new)
    full = sum(tile.full for tile in growth.written)
    partial = len(growth.written) - full
    unchanged = len({tile for tile, _ in edge.partial()} & set(growth.written))
    of_run, of_window = 7, old // 256
    assert len(stand.store.calls) - stores == 3 * new + 3 * full + 2 * partial + unchanged + 7 + of_run + of_window
    assert len(stand.keys.calls) - keys == 2 + 2


# --- with which rights -------------------------------------------------------------------------------------------


def test_the_function_s_rights_are_enough_and_none_opens_an_event(stand: LogStand) -> None:
    from pathlib import Path

    rights = read_chalicefile(Path(__file__).resolve().parents[4] / "chalicefile").functions["journal"]
    stand.append(300, apart=timedelta(milliseconds=100))
    sealer = stand.sealer(scoped_store(stand.store, rights))
    sealer._keys = scoped_keys(stand.keys, rights)
    assert isinstance(sealer._store, ScopedStore) and isinstance(sealer._keys, ScopedKeys)
    assert sealer.run().sealed == 300
    stand.require_good(events=300)
    assert not {key for key in rights.keys if key in ("journal", "dossier", "content")}
    opened = {call.key.value for call in stand.keys.calls if call.operation is KeyOperation.UNWRAP}
    assert opened <= {"log"}


# --- late, early, damaged ----------------------------------------------------------------------------------------


def test_an_event_that_comes_late_for_its_minute_is_sealed_by_the_next_run(stand: LogStand) -> None:
    names = stand.append(30, apart=10 * SECOND)
    late = {name: stand.memory._entries.pop(name) for name in names[3:6]}  # not there yet: their writers are slow
    assert stand.seal().sealed == 27
    stand.clock.advance(2 * MINUTE)
    stand.append(5)
    stand.memory._entries.update(late)
    assert stand.seal().sealed == 8
    stand.require_good(events=35)
    assert stand.seal().sealed == 0


def test_an_event_older_than_the_window_is_found_by_reconciliation_and_sealed_once(stand: LogStand) -> None:
    names = stand.append(300, apart=10 * SECOND)
    lost = {name: stand.memory._entries.pop(name) for name in (names[5], names[200])}
    stand.seal()
    stand.clock.advance(3 * HOUR)
    stand.append(40)
    stand.seal()
    stand.memory._entries.update(lost)
    found = stand.verify()
    assert {finding.place for finding in found.findings} == set(lost), "until then the auditor is told"
    late = []
    for _ in range(6):
        stand.clock.advance(HOUR)
        late.append(stand.seal().late)
    assert sorted(late) == [0, 0, 0, 0, 0, 2]
    stand.require_good(events=340)


def test_reconciliation_goes_on_where_it_was_and_does_a_bounded_part_per_run(
    stand: LogStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "EVENTS_PER_RUN", 50)
    monkeypatch.setattr(reconciling, "BUNDLES_PER_RUN", 1)
    names = stand.append(1200, apart=5 * SECOND)
    lost = {names[1]: stand.memory._entries.pop(names[1])}
    stand.seal(most=300)
    stand.clock.advance(DAY)
    stand.append(1)
    stand.seal()
    stand.memory._entries.update(lost)
    late, runs = 0, 0
    while not late:
        stand.clock.advance(10 * MINUTE)
        before = len(stand.store.calls)
        report = stand.seal()
        late, runs = report.late, runs + 1
        assert report.looked_back <= 50
        reads = [call for call in stand.store.calls[before:] if "/tile/entries/" in call.name]
        assert len(reads) <= 1 + 2 * bool(late) + 1
        assert runs < 90
    assert runs > 2, "one bundle a run: it takes some to read the whole log for an event that is nowhere"
    for _ in range(60):
        stand.clock.advance(10 * MINUTE)
        assert stand.seal().late == 0
    stand.require_good(events=1201)


def test_a_lost_place_of_reconciliation_costs_a_pass_and_no_event_is_logged_twice(stand: LogStand) -> None:
    stand.append(600, apart=10 * SECOND)
    stand.seal()
    stand.clock.advance(3 * HOUR)
    stand.append(1)
    for garbage in (b"", b"{}", b"[]", b'{"format":"sceau-reconciliation/1"}', b"\xff"):
        tag = stand.memory.read(RECONCILIATION).tag if RECONCILIATION in stand.names() else None
        stand.memory.replace(RECONCILIATION, garbage, expected=tag)
        stand.clock.advance(HOUR)
        for _ in range(3):
            assert stand.seal().late == 0
    for name in stand.names(RECORDS):
        stand.memory.delete(name)  # nor does it when the index is lost: only the log itself is asked
    stand.clock.advance(2 * HOUR)
    assert [stand.seal().late for _ in range(3)] == [0, 0, 0]
    assert {str(finding.place).partition(" ")[0] for finding in stand.verify().findings} == {"entry"}
    assert open_checkpoint(stand.checkpoint, stand.vkeys)[0].size == 601


def test_days_without_sealing_are_caught_up_with_in_their_order(stand: LogStand) -> None:
    stand.append(50)
    stand.seal()
    for _ in range(5):
        stand.clock.advance(DAY)
        stand.append(100, apart=MINUTE)
    report = stand.seal(most=64)
    assert (report.sealed, report.batches) == (500, 8)
    state = decode_state(stand.memory.read(PENDING).data)
    assert len(state.first) < 100, "what is remembered of minutes does not grow with the gap"
    stand.require_good(events=550)


def test_a_run_that_may_not_last_any_longer_leaves_the_rest_to_the_next(stand: LogStand) -> None:
    stand.append(500, apart=timedelta(milliseconds=100))
    for expected in (200, 200, 100):
        report = stand.sealer(most=200).run(until=stand.clock())
        assert (report.sealed, report.finished) == (expected, False)
    assert stand.sealer(most=200).run(until=stand.clock() + MINUTE).finished
    stand.require_good(events=500)


def test_a_journal_that_is_older_than_its_log_is_logged_from_its_first_event(stand: LogStand) -> None:
    for _ in range(3):
        stand.append(10)
        stand.clock.advance(DAY)
    assert stand.seal().sealed == 30
    stand.require_good(events=30)


def test_an_event_from_a_little_ahead_is_sealed_and_one_from_tomorrow_when_its_time_has_come(stand: LogStand) -> None:
    ahead, stand.clock.now = stand.clock.now, stand.clock.now + 50 * SECOND
    stand.append(2)
    stand.clock.now += DAY
    tomorrow = stand.append(1)
    stand.clock.now = ahead
    report = stand.seal()
    assert (report.sealed, report.ahead) == (2, 1)
    assert stand.require_good(events=2).waiting == 1
    stand.clock.now += DAY + MINUTE
    assert stand.seal().sealed == 1
    assert name_digest(tomorrow[0]) in logged(stand)
    stand.require_good(events=3)


@pytest.mark.parametrize("apart", [timedelta(seconds=61), -timedelta(seconds=61), DAY, -DAY])
def test_a_sealer_whose_clock_is_wrong_seals_nothing(stand: LogStand, apart: timedelta) -> None:
    stand.append(5)
    before = stand.names()
    sealer = stand.sealer()
    sealer._clock = ManualClock(stand.clock() + apart)
    with pytest.raises(ClockRefused):
        sealer.run()
    assert stand.names() == before
    assert [call for call in stand.store.calls if call.operation is not StoreOperation.READ] == []


def test_dated_checkpoints_keep_their_order_when_a_clock_steps_back(stand: LogStand) -> None:
    stand.append(3)
    stand.seal()
    stand.clock.advance(-40 * SECOND)
    stand.append(3)
    stand.seal()
    sizes = [int(name.rpartition(".")[2]) for name in stand.names(DATED)]
    assert sizes == [3, 6]
    stand.require_good(events=6)


def test_what_is_no_event_is_logged_when_it_has_an_event_s_name_and_told_when_it_has_not(stand: LogStand) -> None:
    (name,) = stand.append(1)
    damaged = name[:-4] + ("1111" if name.endswith("0000") else "0000")
    put(stand, damaged, b"no sealed message")
    put(stand, f"{name.rpartition('/')[0]}/note.txt")
    report = stand.seal()
    assert (report.sealed, report.alarms) == (2, {"strays": 1})
    assert set(logged(stand)) == {name_digest(name), name_digest(damaged)}
    assert {str(finding) for finding in stand.verify().findings} == {
        f"{damaged}: was no sealed event when it was logged, as entry {logged(stand).index(name_digest(damaged))}",
        f"{name.rpartition('/')[0]}/note.txt: is no event's name",
    }
    entry = LogReader(stand.memory).entries(0, 2)[logged(stand).index(name_digest(damaged))]
    assert decode_entry(entry).commitment == NO_COMMITMENT


def test_an_event_whose_lock_is_too_short_is_logged_and_told(stand: LogStand) -> None:
    (name,) = stand.append(1)
    others = [name[:-4] + end for end in ("0001", "0002")]
    put(stand, others[0], stand.memory.read(name).data, until=RETENTION - DAY)
    stand.memory.create(others[1], stand.memory.read(name).data)
    report = stand.seal()
    assert (report.sealed, report.alarms) == (3, {"unlocked": 2})
    said = {finding.place: finding.what for finding in stand.verify().findings}
    assert "is locked until" in said[others[0]]
    assert said[others[1]] == "is not locked"


@pytest.mark.parametrize("kind", [TILES, DATED])
def test_a_lock_of_the_log_s_own_that_the_store_did_not_keep_is_told(
    stand: LogStand, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lock is read back: a store that says it wrote one, and did not, is seen by the run that wrote it."""
    stand.append(256, apart=timedelta(milliseconds=10))
    known = stand.memory.locked_until
    monkeypatch.setattr(stand.memory, "locked_until", lambda name: None if name.startswith(kind) else known(name))
    assert stand.seal().alarms == {"unlocked": 2 if kind == TILES else 1}  # a bundle, and a tile of its hashes


def test_another_run_that_goes_on_while_this_one_looks_is_no_damage(stand: LogStand) -> None:
    """Its checkpoints are newer than the state that this one read: that is no state that somebody put back."""
    stand.append(3)
    stand.seal()
    other = stand.sealer(stand.memory)
    ran: list[list[str]] = []

    def meanwhile(call: Call) -> None:
        if call.operation is StoreOperation.LIST and call.name == DATED and not ran:
            ran.append(stand.append(2))
            other.run()
            ran.append(stand.append(2))
            other.run()

    stand.store.waits = meanwhile
    report = stand.seal()
    assert (report.sealed, report.rebuilt, report.finished, report.alarms) == (0, False, False, {})
    assert (stand.seal().sealed, stand.seal().finished) == (0, True)
    stand.require_good(events=7)


def test_one_event_that_can_not_be_read_does_not_keep_the_others_waiting(stand: LogStand) -> None:
    names = stand.append(100)
    stand.store.faults = on(StoreOperation.READ, names[40])
    report = stand.seal()
    assert (report.sealed, report.alarms) == (99, {"unread": 1})
    stand.store.faults = lambda _: None
    assert stand.seal().sealed == 1
    stand.require_good(events=100)


def test_a_store_that_is_out_is_not_asked_for_each_event(stand: LogStand) -> None:
    stand.append(500, apart=timedelta(milliseconds=10))
    stand.store.faults = on(StoreOperation.READ, EVENTS_PREFIX)
    report = stand.seal()
    assert (report.sealed, report.alarms, report.finished) == (0, {"unread": 500}, False)
    assert stand.store.count(StoreOperation.READ, EVENTS_PREFIX) == 8 * 8, "8 of each 64"


def test_an_event_that_is_listed_and_not_there_is_told(stand: LogStand) -> None:
    names = stand.append(3)

    def take_away(call: Call) -> None:
        if call.name == names[1]:
            stand.memory._entries.pop(names[1], None)

    stand.store.waits = take_away
    stand.store._ever_written.add(names[1])
    report = stand.sealer().run()
    assert (report.sealed, report.alarms) == (2, {"vanished": 1})


def test_the_window_is_longer_than_any_writer_is_late() -> None:
    assert WINDOW >= 5 * (2 * MINUTE + 30 * SECOND)
