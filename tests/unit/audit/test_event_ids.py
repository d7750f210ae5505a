"""Event ids and the names of events."""

from __future__ import annotations

import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from fakes.clock import ManualClock
from sceau.audit.errors import JournalUnavailable
from sceau.audit.ids import CLOCK_TOLERANCE, EventIds, check_event_id, event_name, event_time, parse_event_name

RECORD = "a2b3c4d5e6f7ghijklmnopqrst"
MILLISECOND = timedelta(milliseconds=1)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
RECORDS = st.one_of(st.just("0"), st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=26, max_size=26))


def ids_at(time: datetime) -> EventIds:
    return EventIds(ManualClock(time), os.urandom)


def test_the_form_is_frozen() -> None:
    ids = EventIds(ManualClock(datetime(2026, 3, 2, 9, 30, 15, 123_999, tzinfo=UTC)), lambda size: b"\xff" * size)
    first, second = ids.new(), ids.new()
    assert first == "019cade2-4cd3-77ff-bfff-ffffffffffff"
    assert second == "019cade2-4cd3-7800-bfff-ffffffffffff"
    assert event_name(RECORD, first) == f"journal/events/2026-03-02/09/30/{RECORD}.{first}"
    assert event_name("0", second) == f"journal/events/2026-03-02/09/30/0.{second}"


@given(time=TIMES)
def test_an_id_is_a_uuid_of_version_7_and_tells_its_millisecond(time: datetime) -> None:
    text = ids_at(time).new()
    value = uuid.UUID(text)
    assert (value.version, value.variant, str(value)) == (7, uuid.RFC_4122, text)
    assert event_time(text) <= time < event_time(text) + MILLISECOND


@given(steps=st.lists(st.integers(-59_000, 2_000), max_size=60), seed=st.integers(0, 2**32))
def test_ids_strictly_increase_whatever_a_clock_within_its_tolerance_does(steps: list[int], seed: int) -> None:
    start = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    clock = ManualClock(start)
    ids = EventIds(clock, random.Random(seed).randbytes)  # noqa: S311 - repeatable
    made = [ids.new()]
    for step in steps:
        # Never more than 59 s behind the highest time seen.
        highest = event_time(made[-1])
        clock.now = max(highest - timedelta(seconds=59), clock.now + step * MILLISECOND)
        made.append(ids.new())
    assert made == sorted(made) and len(set(made)) == len(made)
    assert [event_time(one) for one in made] == sorted(event_time(one) for one in made)


def test_ten_thousand_ids_of_one_millisecond_increase() -> None:
    ids = ids_at(datetime(2026, 3, 2, tzinfo=UTC))
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert event_time(made[-1]) - event_time(made[0]) <= 5 * MILLISECOND


def test_threads_never_get_the_same_id() -> None:
    ids = ids_at(datetime(2026, 3, 2, tzinfo=UTC))
    with ThreadPoolExecutor(8) as pool:
        made = [batch.result() for batch in [pool.submit(lambda: [ids.new() for _ in range(500)]) for _ in range(8)]]
    assert all(batch == sorted(batch) for batch in made)
    assert len({one for batch in made for one in batch}) == 4000


def test_processes_with_the_same_clock_never_get_the_same_id() -> None:
    time = datetime(2026, 3, 2, tzinfo=UTC)
    assert len({ids_at(time).new() for _ in range(1000)}) == 1000


def test_a_clock_that_went_back_too_far_makes_no_id_until_it_is_right_again() -> None:
    start = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    clock = ManualClock(start)
    ids = EventIds(clock, os.urandom)
    before = ids.new()
    clock.now = start - CLOCK_TOLERANCE
    assert ids.new() > before
    clock.now -= MILLISECOND
    with pytest.raises(JournalUnavailable):
        ids.new()
    clock.now = start
    assert ids.new() > before


@given(record=RECORDS, time=TIMES)
def test_a_name_and_its_record_and_id_give_each_other(record: str, time: datetime) -> None:
    event_id = ids_at(time).new()
    name = event_name(record, event_id)
    assert parse_event_name(name) == (record, event_id)
    assert name.startswith(f"journal/events/{time:%Y-%m-%d/%H/%M}/")


@given(times=st.lists(TIMES, min_size=2, max_size=6))
def test_the_names_of_a_record_sort_by_time(times: list[datetime]) -> None:
    names = [event_name(RECORD, ids_at(time).new()) for time in sorted(times)]
    assert [name[:31] for name in names] == sorted(name[:31] for name in names)
    distinct = {event_time(parse_event_name(name)[1]): name for name in names}
    assert list(distinct.values()) == sorted(distinct.values())


def test_a_name_is_in_utc_wherever_the_clock_is() -> None:
    paris = timezone(timedelta(hours=2))
    event_id = ids_at(datetime(2026, 7, 1, 0, 30, tzinfo=paris)).new()
    assert event_name("0", event_id).startswith("journal/events/2026-06-30/22/30/0.")


GOOD = "019cade2-4cd3-77ff-bfff-ffffffffffff"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        GOOD.upper(),
        GOOD.replace("-", ""),
        f"{{{GOOD}}}",
        f"urn:uuid:{GOOD}",
        GOOD + "\n",
        "019cade2-4cd3-47ff-bfff-ffffffffffff",  # version 4
        "019cade2-4cd3-77ff-ffff-ffffffffffff",  # another variant
        "ffffffff-ffff-7fff-bfff-ffffffffffff",  # year 10889
        "../../../../etc/passwd",
    ],
)
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_event_id(text)
    with pytest.raises(ValueError, match=r"."):
        event_name("0", text)


@pytest.mark.parametrize("record", ["", "1", "00", "A" * 26, "a" * 25, "a" * 27, "a/b", "0\n", ".."])
def test_what_is_no_record_id_is_refused(record: str) -> None:
    with pytest.raises(ValueError, match="record-id"):
        event_name(record, GOOD)


@pytest.mark.parametrize(
    "name",
    [
        f"journal/events/2026-03-02/09/31/0.{GOOD}",  # not the id's minute
        f"journal/events/2026-03-02/0.{GOOD}",
        f"journal/events/2026-03-02/09/30/00.{GOOD}",
        f"journal/events/2026-03-02/09/30/{GOOD}",
        f"journal/events/2026-03-02/09/30/0.{GOOD}.x",
        f"journal/event/2026-03-02/09/30/0.{GOOD}",
        f"journal/events/２026-03-02/09/30/0.{GOOD}",
        "journal/events/2026-03-02/09/30/0." + "-" * 36,
    ],
)
def test_what_is_no_event_name_is_refused(name: str) -> None:
    assert parse_event_name(f"journal/events/2026-03-02/09/30/0.{GOOD}") == ("0", GOOD)
    with pytest.raises(ValueError, match=r"."):
        parse_event_name(name)
