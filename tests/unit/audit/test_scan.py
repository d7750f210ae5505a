"""All events of a period, whatever their record, by their names only."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from fakes.clock import ManualClock
from fakes.objects import MemoryStore, PolicingStore, on
from sceau.audit.errors import JournalUnavailable
from sceau.audit.ids import NO_RECORD, event_name
from sceau.audit.scan import scan
from sceau.objects.scoped import StoreOperation

START = datetime(2026, 6, 11, 23, 59, 30, tzinfo=UTC)
A, B = "a" * 26, "b" * 26


def event_id(at: datetime, number: int = 0) -> str:
    millis = int(at.timestamp() * 1000)
    return str(uuid.UUID(int=millis << 80 | 0x7 << 76 | 0b10 << 62 | number))


def at(seconds: float, number: int = 0) -> str:
    return event_id(START + timedelta(seconds=seconds), number)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore(ManualClock(START))
    until = START + timedelta(days=3653)
    for record, event in ((B, at(0)), (A, at(1)), (NO_RECORD, at(2)), (A, at(40)), (B, at(86_400)), (A, at(86_401))):
        store.create(event_name(record, event), b"x", locked_until=until)
    store.create("journal/events/2026-06-12/00/00/what-is-this", b"x", locked_until=until)
    return store


def found(store: MemoryStore, start: float, end: float, after: str | None = None) -> list[tuple[str, str]]:
    first, last = START + timedelta(seconds=start), START + timedelta(seconds=end)
    return [(record, event) for _, record, event in scan(store, first, last, after=after)]


def test_every_record_and_none_over_midnight(store: MemoryStore) -> None:
    assert found(store, 0, 86_402) == [
        (NO_RECORD, at(2)),  # of one minute, by name
        (A, at(1)),
        (B, at(0)),
        (A, at(40)),
        (A, at(86_401)),
        (B, at(86_400)),
    ]


def test_a_period_begins_and_ends_within_a_minute(store: MemoryStore) -> None:
    assert found(store, 1, 40) == [(NO_RECORD, at(2)), (A, at(1))]
    assert found(store, 40, 40.001) == [(A, at(40))]
    assert found(store, 41, 86_400) == []
    assert found(store, 10, 10) == []


def test_it_goes_on_behind_a_name(store: MemoryStore) -> None:
    names = [name for name, _, _ in scan(store, START, START + timedelta(days=2))]
    whole = found(store, 0, 172_800)
    for position, name in enumerate(names):
        assert found(store, 0, 172_800, after=name) == whole[position + 1 :]


def test_a_store_that_does_not_answer_is_said_to(store: MemoryStore) -> None:
    policed = PolicingStore(store)
    policed.faults = on(StoreOperation.LIST)
    with pytest.raises(JournalUnavailable):
        list(scan(policed, START, START + timedelta(days=1)))
