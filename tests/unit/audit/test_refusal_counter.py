"""Refusals before authentication: counted, one event per process and minute, none lost while the process lives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import cast

import pytest

from fakes.clock import ManualClock
from sceau.audit.errors import JournalUnavailable
from sceau.audit.facts import EventFacts, RefusalCounts
from sceau.audit.journal import Journal
from sceau.audit.refusals import MOST_REASONS, OTHER, RefusalCounter
from unit.audit.samples import SERVER

SECOND = timedelta(seconds=1)


@dataclass
class Appended:
    """Stands for a journal: keeps the facts it was given, or is not available."""

    facts: list[RefusalCounts] = field(default_factory=list)
    available: bool = True
    tried: int = 0
    lock: Lock = field(default_factory=Lock)

    def append(self, facts: EventFacts | RefusalCounts) -> str:
        assert isinstance(facts, RefusalCounts)
        with self.lock:
            self.tried += 1
            if not self.available:
                raise JournalUnavailable("the test made it so")
            self.facts.append(facts)
            return f"event {len(self.facts)}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journal() -> Appended:
    return Appended()


@pytest.fixture
def counter(journal: Appended, clock: ManualClock) -> RefusalCounter:
    return RefusalCounter(cast(Journal, journal), SERVER, clock=clock)


def test_a_minute_of_refusals_is_one_event_at_the_next_request(
    counter: RefusalCounter, journal: Appended, clock: ManualClock
) -> None:
    clock.advance(10 * SECOND)
    start = clock()
    for reason in ("token.expired", "proof.replayed", "token.expired"):
        assert counter.settle() is None
        counter.count(reason)
        clock.advance(10 * SECOND)
    assert journal.facts == []
    clock.advance(timedelta(minutes=3))
    assert counter.settle() == "event 1"
    assert journal.facts == [
        RefusalCounts(SERVER, start, start + 20 * SECOND, {"token.expired": 2, "proof.replayed": 1})
    ]
    assert counter.settle() is None
    assert counter.close() is None
    assert journal.tried == 1


def test_a_minute_ends_at_its_full_minute(counter: RefusalCounter, journal: Appended, clock: ManualClock) -> None:
    clock.advance(59 * SECOND)
    counter.count("token.expired")
    clock.advance(timedelta(milliseconds=999))
    assert counter.settle() is None
    clock.advance(timedelta(milliseconds=1))
    assert counter.settle() == "event 1"


def test_refusals_that_go_on_do_not_put_the_event_off(counter: RefusalCounter, clock: ManualClock) -> None:
    counter.count("token.expired")
    clock.advance(50 * SECOND)
    counter.count("token.expired")
    clock.advance(20 * SECOND)
    counter.count("token.expired")
    assert counter.settle() == "event 1"


def test_no_refusal_no_event(counter: RefusalCounter, journal: Appended, clock: ManualClock) -> None:
    clock.advance(timedelta(hours=1))
    assert counter.settle() is None
    assert counter.close() is None
    assert journal.tried == 0


def test_a_shutdown_writes_what_is_counted(counter: RefusalCounter, journal: Appended) -> None:
    counter.count("token.expired")
    assert counter.close() == "event 1"
    assert journal.facts[0].counts == {"token.expired": 1}


def test_counts_outlive_a_journal_that_is_away_and_are_tried_once_a_minute(
    counter: RefusalCounter, journal: Appended, clock: ManualClock
) -> None:
    start = clock()
    counter.count("token.expired")
    journal.available = False
    clock.advance(60 * SECOND)
    for _ in range(5):
        assert counter.settle() is None
        counter.count("token.expired")
    assert journal.tried == 1
    with pytest.raises(JournalUnavailable):
        counter.close()
    journal.available = True
    clock.advance(60 * SECOND)
    assert counter.settle() == "event 1"
    assert journal.facts == [RefusalCounts(SERVER, start, start + 60 * SECOND, {"token.expired": 6})]


def test_what_is_no_reason_code_never_reaches_an_event(counter: RefusalCounter, journal: Appended) -> None:
    for text in ("Marie DUPONT", "", "x" * 65, "a\nb"):
        counter.count(text)
    counter.close()
    assert journal.facts[0].counts == {OTHER: 4}


def test_a_flood_of_reasons_stays_small(counter: RefusalCounter, journal: Appended) -> None:
    for number in range(1000):
        counter.count(f"reason.{number}")
    counter.close()
    counts = journal.facts[0].counts
    assert len(counts) == MOST_REASONS + 1
    assert sum(counts.values()) == 1000


def test_no_refusal_is_lost_or_counted_twice_between_threads(
    counter: RefusalCounter, journal: Appended, clock: ManualClock
) -> None:
    def refuse() -> None:
        for number in range(200):
            counter.count("token.expired")
            if number % 20 == 0:
                clock.advance(60 * SECOND)
            counter.settle()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(refuse) for _ in range(8)]:
            done.result()
    counter.close()
    assert sum(facts.counts["token.expired"] for facts in journal.facts) == 1600
    assert len(journal.facts) > 1
