"""Locks last as long as records live: made longer before they run out, never shorter, for all that is written once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from fakes.objects import Call, Fault, on
from sceau.audit.ids import EVENTS_PREFIX, event_time, parse_event_name
from sceau.audit.log import extending
from sceau.audit.log.extending import PLACE, LockKeeper, Locks, LocksTally
from sceau.audit.log.places import DATED, LOG, TILES
from sceau.audit.log.tiles import parse_path
from sceau.audit.retention import AHEAD, clocks_agree, due_end, lock_end
from sceau.objects.scoped import StoreOperation
from unit.audit.log.log_stand import DAY, HOUR, MINUTE, RECORDS, RETENTION, Inline, LogStand

LIVING = {RECORDS[0], RECORDS[1]}


@pytest.fixture
def stand() -> LogStand:
    """A sealed journal of three records, of which the last no longer lives."""
    stand = LogStand.new()
    stand.append(300, apart=timedelta(milliseconds=100))
    stand.seal()
    return stand


def locks(stand: LogStand) -> Locks:
    return Locks(stand.store, clock=stand.clock, retention=RETENTION, lives=LIVING.__contains__)


def run(stand: LogStand, until: datetime | None = None) -> LocksTally:
    keeper = LockKeeper(stand.store, locks(stand), clock=stand.clock, pool=Inline)
    tally = keeper.run(until or stand.clock() + HOUR)
    assert stand.store.misuses == []
    return tally


def ends(stand: LogStand) -> dict[str, datetime | None]:
    return {name: stand.memory.locked_until(name) for name in stand.names("journal/")}


def is_written_once(name: str) -> bool:
    return name.startswith((EVENTS_PREFIX, DATED)) or (
        name.startswith(TILES) and parse_path(name.removeprefix(LOG)).full
    )


def is_living(name: str) -> bool:
    return not name.startswith(EVENTS_PREFIX) or parse_event_name(name)[0] in LIVING


def test_a_fresh_lock_is_long_enough_and_stays(stand: LogStand) -> None:
    before = ends(stand)
    tally = run(stand)
    assert (tally.looked, tally.extended, tally.failed, tally.finished) == (303, 0, 0, True)
    assert {name: end for name, end in ends(stand).items() if name != PLACE} == before
    assert stand.store.count(StoreOperation.EXTEND_LOCK) == 0


def test_before_half_of_what_was_added_is_used_up_locks_of_living_records_and_of_the_log_are_made_longer(
    stand: LogStand,
) -> None:
    before = ends(stand)
    stand.clock.advance(AHEAD / 2 + DAY)
    tally = run(stand)
    after = ends(stand)
    extended = {name for name in before if is_written_once(name) and is_living(name)}
    assert tally.extended == len(extended) == 203
    assert {after[name] for name in extended} == {lock_end(stand.clock(), RETENTION)}
    assert {name: after[name] for name in before if name not in extended} == {
        name: before[name] for name in before if name not in extended
    }
    assert list(locks(stand).too_short(Inline())) == []


def test_a_record_that_no_longer_lives_keeps_its_locks_to_their_end(stand: LogStand) -> None:
    name = next(name for name in stand.names(EVENTS_PREFIX) if not is_living(name))
    end = stand.memory.locked_until(name)
    assert end == event_time(parse_event_name(name)[1]) + RETENTION + AHEAD
    for _ in range(3):
        stand.clock.advance(2 * 365 * DAY)
        run(stand)
    assert stand.memory.locked_until(name) == end


@given(steps=st.lists(st.integers(1, 80), min_size=1, max_size=12))
def test_with_a_pass_every_few_weeks_nothing_ever_ends_before_it_may(steps: list[int]) -> None:
    stand = LogStand.new()
    stand.append(6)
    stand.seal()
    for days in steps:
        stand.clock.advance(days * DAY)
        assert list(locks(stand).too_short(Inline())) == []
        before = ends(stand)
        run(stand)
        for name, end in ends(stand).items():
            was = before.get(name)
            assert was is None or (end is not None and end >= was), "a lock is never made shorter"


def test_what_has_no_lock_gets_one_and_is_counted(stand: LogStand) -> None:
    event = stand.names(EVENTS_PREFIX)[0]
    name = event[:-4] + ("1111" if event.endswith("0000") else "0000")
    stand.memory.create(name, b"sealed")
    assert [one.name for one in locks(stand).too_short(Inline())] == [name]
    tally = run(stand)
    assert (tally.unlocked, tally.extended) == (1, 1)
    assert list(locks(stand).too_short(Inline())) == []


def test_a_pass_goes_on_where_the_last_run_ended_and_rests_when_it_is_done(
    stand: LogStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extending, "STEP", 50)
    stand.clock.advance(AHEAD)
    looked = []
    for _ in range(7):
        started = stand.clock()

        def tick(call: Call) -> None:
            if call.operation is StoreOperation.EXTEND_LOCK:
                stand.clock.now += timedelta(seconds=1)

        stand.store.waits_after = tick
        tally = run(stand, until=started + timedelta(seconds=10))
        looked.append(tally.looked)
        if tally.finished:
            break
    assert sum(looked) == 303
    assert len(looked) > 3 and max(looked) < 303
    assert tally.finished
    calls = len(stand.store.calls)
    assert run(stand).finished
    assert len(stand.store.calls) == calls + 1, "a day's rest: the place is read, and nothing else"
    stand.clock.advance(DAY + MINUTE)
    assert run(stand).looked == 303


@pytest.mark.parametrize("fault", list(Fault))
def test_a_lock_that_can_not_be_made_longer_keeps_no_other_from_it(stand: LogStand, fault: Fault) -> None:
    stand.clock.advance(AHEAD)
    name = next(name for name in stand.names(EVENTS_PREFIX) if is_living(name))
    stand.store.faults = on(StoreOperation.EXTEND_LOCK, name, fault=fault)
    tally = run(stand)
    assert (tally.failed, tally.extended) == (1, 202)
    stand.store.faults = lambda _: None
    stand.clock.advance(DAY + MINUTE)
    run(stand)
    assert list(locks(stand).too_short(Inline())) == []


@pytest.mark.parametrize("off", [timedelta(seconds=61), timedelta(days=-1), 365 * DAY])
def test_a_clock_that_is_not_the_store_s_makes_no_lock_longer(
    stand: LogStand, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    """A year ahead, it would lock everything for a year too long, and nobody could take that back."""
    stand.clock.advance(100 * DAY)
    before, there = ends(stand), stand.clock()
    monkeypatch.setattr(stand.memory, "time", lambda: there - off)
    tally = run(stand)
    assert (tally.looked, tally.extended, tally.failed, tally.finished) == (0, 0, 1, False)
    assert ends(stand) == before
    monkeypatch.setattr(stand.memory, "time", lambda: there + MINUTE)
    assert run(stand).extended > 0


def test_a_listing_that_fails_ends_the_run_and_the_next_one_goes_on(stand: LogStand) -> None:
    stand.clock.advance(AHEAD)
    stand.store.faults = on(StoreOperation.LIST, EVENTS_PREFIX)
    assert run(stand).failed == 1
    stand.store.faults = lambda _: None
    assert run(stand).finished
    assert list(locks(stand).too_short(Inline())) == []


@pytest.mark.parametrize("place", [b"", b"{}", b'{"format":"sceau-locks/1","after":"../x","ended":1}', b"\xff", b"[]"])
def test_a_place_that_is_none_begins_a_pass(stand: LogStand, place: bytes) -> None:
    stand.memory.replace(PLACE, place, expected=None)
    stand.clock.advance(AHEAD)
    assert run(stand).looked == 303


def test_no_object_is_read_to_keep_its_lock(stand: LogStand) -> None:
    stand.clock.advance(AHEAD)
    before = len(stand.store.calls)
    run(stand)
    read = [call for call in stand.store.calls[before:] if call.operation is StoreOperation.READ]
    assert len(read) == 1 + 303, "the place, and where each lock ends"


def test_the_terms_are_those_of_the_rule() -> None:
    now = datetime.fromisoformat("2026-03-02T09:30:00+00:00")
    event = now - 100 * DAY
    assert due_end(event, now, RETENTION, lives=True) == now + RETENTION
    assert due_end(event, now, RETENTION, lives=False) == event + RETENTION
    assert due_end(None, now, RETENTION, lives=False) == now + RETENTION, "the log lives on"
    assert lock_end(now, RETENTION) == now + RETENTION + AHEAD
    assert clocks_agree(now, now + MINUTE) and not clocks_agree(now, now - MINUTE - timedelta(milliseconds=1))
