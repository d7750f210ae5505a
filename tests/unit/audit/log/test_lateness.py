"""The alarm condition: a checkpoint is too old when something came after it and waited for longer than the limit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.objects import on
from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.lateness import LIMIT, overdue
from sceau.audit.log.places import DATED
from sceau.objects.scoped import StoreOperation
from unit.audit.log.log_stand import DAY, MINUTE, SECOND, LogStand


@pytest.fixture
def stand() -> LogStand:
    return LogStand.new()


def waited(stand: LogStand) -> timedelta | None:
    return overdue(stand.store, stand.clock())


def test_an_empty_journal_is_not_late_and_one_that_nobody_seals_is(stand: LogStand) -> None:
    assert waited(stand) is None
    stand.append(1, apart=timedelta(0))
    stand.clock.advance(LIMIT)
    assert waited(stand) is None
    stand.clock.advance(SECOND)
    assert waited(stand) == LIMIT + SECOND


@pytest.mark.parametrize("pause", [timedelta(0), DAY, 40 * DAY])
def test_a_checkpoint_that_nothing_came_after_is_new_however_old_it_is(stand: LogStand, pause: timedelta) -> None:
    stand.append(3)
    stand.seal()
    stand.clock.advance(pause + LIMIT + 5 * MINUTE)
    assert waited(stand) is None
    stand.append(1, apart=timedelta(0))
    stand.clock.advance(LIMIT + SECOND)
    assert waited(stand) == LIMIT + SECOND
    stand.seal()
    assert waited(stand) is None


def test_what_came_with_the_checkpoint_may_be_in_it_and_is_not_counted(stand: LogStand) -> None:
    """By a clock that is a minute ahead of the sealer's."""
    stand.clock.advance(MINUTE)
    stand.append(1, apart=timedelta(0))
    stand.clock.advance(-MINUTE)
    stand.seal()
    stand.clock.advance(LIMIT + 5 * MINUTE)
    assert waited(stand) is None


def test_names_that_are_none_hide_nothing(stand: LogStand) -> None:
    stand.memory.create(f"{EVENTS_PREFIX}2026/stray", b"")
    stand.append(1, apart=timedelta(0))
    stand.clock.advance(LIMIT + SECOND)
    until = stand.clock() + DAY
    stand.memory.create(f"{DATED}{stand.clock():%Y-%m-%d}/none", b"", locked_until=until)
    assert waited(stand) == LIMIT + SECOND


def test_it_takes_two_listings_and_reads_nothing(stand: LogStand) -> None:
    stand.append(300)
    stand.seal()
    stand.store.calls.clear()
    assert waited(stand) is None
    assert [call.operation for call in stand.store.calls] == [StoreOperation.LIST] * 2


def test_a_store_that_does_not_answer_is_not_taken_for_a_log_in_time(stand: LogStand) -> None:
    stand.store.faults = on(StoreOperation.LIST)
    with pytest.raises(LogUnavailable):
        waited(stand)
