"""A record's events, newest first: none is missing, none twice, whatever is sealed and when."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from fakes.objects import Call, Fault, on
from sceau.audit.errors import JournalUnavailable
from sceau.audit.history import RecordHistory
from sceau.audit.ids import event_time, parse_event_name
from sceau.audit.journal import JournalReader
from sceau.audit.log.places import PENDING, RECORDS, index_name, parse_index
from sceau.envelope.batch import BatchOpener
from sceau.keys.ports import KeyName
from sceau.objects.scoped import StoreOperation
from unit.audit.log.log_stand import DAY, HOUR, MINUTE, SECOND, LogStand
from unit.audit.samples import RECORD

EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def history_of(stand: LogStand) -> RecordHistory:
    opener = BatchOpener(stand.keys, KeyName.JOURNAL, clock=stand.clock)
    return RecordHistory(stand.store, JournalReader(stand.store, opener), clock=stand.clock)


def own(names: list[str], record: str = RECORD) -> list[str]:
    """The ids of a record's events, the newest first."""
    found = [parse_event_name(name) for name in names]
    return sorted((event for of, event in found if of == record), reverse=True)


def listed(stand: LogStand, start: datetime = EVER[0], end: datetime = EVER[1], after: str | None = None) -> list[str]:
    return [one.event_id for one in history_of(stand).newest_first(RECORD, start, end, after=after)]


def test_a_journal_that_was_never_sealed_is_read_by_its_names() -> None:
    stand = LogStand.new()
    assert listed(stand) == []
    names = stand.append(9, apart=HOUR * 30)
    assert listed(stand) == own(names)
    assert [one.index for one in history_of(stand).newest_first(RECORD, *EVER)] == [None] * 3


def test_what_is_sealed_and_what_is_not_come_in_one_order() -> None:
    stand = LogStand.new()
    old = stand.append(30, apart=MINUTE * 7)
    stand.seal()
    stand.clock.advance(DAY * 400)
    newer = stand.append(6, apart=MINUTE)
    stand.seal()
    newest = stand.append(6, apart=SECOND)
    happened = history_of(stand).newest_first(RECORD, *EVER)
    assert [one.event_id for one in happened] == own(old + newer + newest)
    assert [one.index for one in happened[:2]] == [None, None]
    indexed = {parse_index(name)[1]: parse_index(name)[2] for name in stand.names(f"{RECORDS}{RECORD}/")}
    assert {one.event_id: one.index for one in happened[2:]} == indexed


def test_a_sealer_that_was_out_for_days_hides_nothing() -> None:
    stand = LogStand.new()
    sealed = stand.append(6)
    stand.seal()
    waiting = stand.append(30, apart=HOUR * 5)
    stand.clock.advance(DAY * 3)
    assert listed(stand) == own(sealed + waiting)


def test_a_period_counts_to_the_millisecond_and_begins_where_it_says() -> None:
    stand = LogStand.new()
    names = stand.append(60, apart=MINUTE * 3)
    stand.seal()
    names += stand.append(6, apart=MINUTE)
    events = own(names)
    for first, last in itertools.pairwise([*events[::4], events[-1]]):
        start, end = event_time(last), event_time(first)
        assert listed(stand, start, end) == [one for one in events if start <= event_time(one) < end]
        tick = timedelta(milliseconds=1)
        assert listed(stand, start + tick, end + tick) == [one for one in events if start < event_time(one) <= end]
    assert listed(stand, EVER[1] - DAY, EVER[1]) == []


def test_pages_go_on_behind_any_event() -> None:
    stand = LogStand.new()
    names = stand.append(30, apart=MINUTE)
    stand.seal()
    events = own(names + stand.append(9))
    for number, one in enumerate(events):
        assert listed(stand, after=one) == events[number + 1 :]


def test_an_event_that_is_sealed_between_the_two_listings_is_met_once() -> None:
    stand = LogStand.new()
    names = stand.append(12, apart=SECOND)
    stand.seal()
    names += stand.append(12, apart=SECOND)
    sealing = [False]

    def seal(call: Call) -> Fault | None:
        if call.operation is StoreOperation.LIST and call.name.startswith(RECORDS) and not sealing[0]:
            sealing[0] = True
            stand.sealer(stand.memory).run()
        return None

    stand.store.faults = seal
    assert listed(stand) == own(names)
    assert sealing[0]


def test_what_no_checkpoint_holds_yet_has_no_place_in_the_log() -> None:
    stand = LogStand.new()
    names = stand.append(3)
    stand.seal()
    (event,) = own(names)
    assert history_of(stand).index_of(RECORD, event) is not None
    (later,) = own(stand.append(1))
    assert history_of(stand).index_of(RECORD, later) is None
    stand.memory.create(index_name(RECORD, later, 3), b"")  # of a batch that is being sealed
    assert history_of(stand).index_of(RECORD, later) is None
    assert listed(stand) == [later, event]


def test_strays_in_the_index_hide_nothing() -> None:
    stand = LogStand.new()
    names = stand.append(9, apart=MINUTE)
    stand.seal()
    for stray in ("0", "zz.1", f"{own(names)[1]}.00", f"{own(names)[1]}.x"):
        stand.memory.create(f"{RECORDS}{RECORD}/{stray}", b"")
    assert listed(stand) == own(names)


@pytest.mark.parametrize("operation", [StoreOperation.READ, StoreOperation.LIST])
def test_a_store_that_does_not_answer_gives_no_part_of_it(operation: StoreOperation) -> None:
    stand = LogStand.new()
    stand.append(9, apart=MINUTE)
    stand.seal()
    stand.store.faults = on(operation)
    with pytest.raises(JournalUnavailable):
        listed(stand)


def test_while_what_the_sealer_keeps_is_spoilt_nothing_is_shown_as_if_it_were_all() -> None:
    stand = LogStand.new()
    names = stand.append(9, apart=MINUTE)
    stand.seal()
    kept = stand.memory.read(PENDING)
    stand.memory.replace(PENDING, b"{}", expected=kept.tag)
    with pytest.raises(JournalUnavailable):
        listed(stand)
    stand.seal()  # which mends it
    assert listed(stand) == own(names)


def test_a_window_that_somebody_moved_ahead_does_not_hide_the_last_quarter_of_an_hour() -> None:
    stand = LogStand.new()
    names = stand.append(9, apart=SECOND)
    stand.seal()
    names += stand.append(6, apart=SECOND)
    kept = stand.memory.read(PENDING)
    state = json.loads(kept.data)
    state["start"] = "2099-01-01/00/00"
    stand.memory.replace(PENDING, json.dumps(state).encode(), expected=kept.tag)
    assert listed(stand) == own(names)


def test_it_costs_one_listing_of_ones_own_and_the_window_however_many_others_there_are() -> None:
    stand = LogStand.new()
    stand.append(300, apart=SECOND)
    stand.seal()
    stand.clock.advance(HOUR)
    stand.append(3)
    stand.seal()
    stand.store.calls.clear()
    listed(stand)
    operations = [call.operation for call in stand.store.calls]
    assert operations.count(StoreOperation.READ) == 1
    assert operations.count(StoreOperation.LIST) <= 3
