"""Trying a key service again: how often, how long, and within the caller's own time."""

from __future__ import annotations

import pytest

from sceau.keys.errors import KeyServiceUnavailable, UnwrapRefused
from sceau.keys.retrying import ATTEMPTS, LONGEST_SECONDS, Transient, retried
from sceau.objects.deadline import within


class Calls:
    """Fails `failures` times, then answers; notes what it was given and how long was waited before."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or Transient("throttled")
        self.given: list[float] = []
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> str:
        self.given.append(seconds)
        if len(self.given) <= self.failures:
            raise self.error
        return "done"

    def run(self, random: float = 1.0) -> str:
        return retried(self, sleep=self.pauses.append, random=lambda: random)


def test_what_works_at_once_is_asked_once() -> None:
    calls = Calls(0)
    assert calls.run() == "done"
    assert calls.pauses == []
    assert 0 < calls.given[0] <= LONGEST_SECONDS


def test_what_passes_is_tried_again_after_growing_pauses() -> None:
    calls = Calls(3)
    assert calls.run() == "done"
    assert calls.pauses == [0.05, 0.1, 0.2]


def test_pauses_are_random_down_to_half() -> None:
    calls = Calls(2)
    calls.run(random=0.0)
    assert calls.pauses == [0.025, 0.05]


def test_attempts_end_and_the_last_reason_is_told() -> None:
    calls = Calls(100)
    with pytest.raises(KeyServiceUnavailable, match=r"^throttled$"):
        calls.run()
    assert len(calls.given) == ATTEMPTS


def test_nothing_is_sent_when_the_caller_has_no_time_left() -> None:
    calls = Calls(0)
    with within(-1), pytest.raises(KeyServiceUnavailable, match="no time was left"):
        calls.run()
    assert calls.given == []


def test_an_attempt_is_given_no_more_than_the_caller_has() -> None:
    calls = Calls(0)
    with within(0.5):
        calls.run()
    assert calls.given[0] <= 0.5


def test_no_pause_is_begun_that_would_outlast_the_caller() -> None:
    calls = Calls(100)
    with within(0.04), pytest.raises(KeyServiceUnavailable, match=r"^throttled$"):
        calls.run()
    assert calls.pauses == []
    assert len(calls.given) == 1


def test_a_refusal_is_not_tried_again() -> None:
    calls = Calls(1, UnwrapRefused("altered"))
    with pytest.raises(UnwrapRefused):
        calls.run()
    assert len(calls.given) == 1
