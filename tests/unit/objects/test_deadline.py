"""The time that a caller has left, as adapters see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from sceau.objects import deadline
from sceau.objects.deadline import time_left, within


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is a second later than the one before."""
    ticks = count(100.0)
    monkeypatch.setattr(deadline, "monotonic", lambda: next(ticks))


def test_without_a_deadline_a_call_has_its_own_limit() -> None:
    assert time_left(7) == 7
    assert time_left(7) == 7


def test_a_deadline_comes_nearer_and_then_there_is_no_time() -> None:
    with within(3):
        assert [time_left(10) for _ in range(5)] == [2, 1, 0, 0, 0]
    assert time_left(10) == 10


def test_a_call_never_has_more_than_its_own_limit() -> None:
    with within(60):
        assert time_left(5) == 5


def test_who_asks_inside_can_shorten_a_deadline_and_never_lengthen_it() -> None:
    with within(10):
        with within(100):
            assert time_left(50) < 10
        with within(2):
            assert time_left(50) == 1
        assert time_left(50) > 1


def test_a_deadline_that_raises_ends_with_its_block() -> None:
    with pytest.raises(ZeroDivisionError), within(1):
        raise ZeroDivisionError
    assert time_left(9) == 9


def test_other_threads_do_not_have_it() -> None:
    with within(1), ThreadPoolExecutor(1) as pool:
        assert pool.submit(time_left, 9).result() == 9
