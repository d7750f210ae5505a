"""What time alone changes: majority, on the day; the month after which a document shows itself."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, strategies as st

from sceau.access.clocks import NOTICE_AFTER, is_surely_minor, may_be_minor, paris_date, paris_time, visible_from
from sceau.access.model import Act, ActorKind, Grant
from unit.access.space import HOSPITAL, actor, document, record, verdict


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(first: str, years: int) -> st.SearchStrategy[datetime]:
    """Half hours of so many years."""
    return st.integers(0, years * 365 * 48).map(lambda half: at(first) + timedelta(minutes=30 * half))


@pytest.mark.parametrize(
    ("utc", "shown"),
    [
        ("2026-01-15T10:30", "2026-01-15T11:30+01:00"),
        ("2026-03-29T00:59", "2026-03-29T01:59+01:00"),
        ("2026-03-29T01:00", "2026-03-29T03:00+02:00"),
        ("2026-07-31T22:30", "2026-08-01T00:30+02:00"),
        ("2026-10-25T00:59", "2026-10-25T02:59+02:00"),
        ("2026-10-25T01:00", "2026-10-25T02:00+01:00"),
        ("2026-12-31T23:30", "2027-01-01T00:30+01:00"),
    ],
)
def test_clocks_in_paris(utc: str, shown: str) -> None:
    assert paris_time(at(utc)).isoformat(timespec="minutes") == shown
    assert paris_time(datetime.fromisoformat(shown)).isoformat(timespec="minutes") == shown


def test_the_machine_s_own_zone_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX+9:45")
        time.tzset()
        for moment in (at("2026-03-29T01:00"), at("2026-10-25T00:59"), at("2026-12-31T23:30")):
            shown = paris_time(moment)
            assert shown == moment
            assert shown.utcoffset() == timedelta(hours=1 if moment.month == 12 else 2)
            assert paris_date(moment) == shown.date()
    time.tzset()


@pytest.mark.parametrize(
    ("deposited", "visible"),
    [
        ("2026-01-15T10:30", "2026-02-15T10:30"),
        ("2026-01-31T10:30", "2026-02-28T10:30"),
        ("2024-01-31T10:30", "2024-02-29T10:30"),
        ("2026-02-28T10:30", "2026-03-28T10:30"),
        ("2026-11-30T23:59", "2026-12-30T23:59"),
        ("2026-12-31T00:00", "2027-01-31T00:00"),
        ("2026-03-31T00:00", "2026-04-30T00:00"),
    ],
)
def test_a_month_is_the_calendars(deposited: str, visible: str) -> None:
    assert visible_from(at(deposited)) == at(visible)


def test_the_ends_of_the_calendar_are_times_like_others() -> None:
    assert visible_from(at("9999-12-15T00:00")) == datetime.max.replace(tzinfo=UTC)
    assert visible_from(at("9999-11-15T00:00")) == at("9999-12-15T00:00")
    assert is_surely_minor("9999-01-01", at("9999-12-30T00:00"))
    assert may_be_minor("9981-12-31", at("9999-12-30T00:00"))
    assert is_surely_minor("9982", at("9999-12-30T00:00"))
    for end in (None, at("9999-12-31T23:59")):
        grant = Grant(HOSPITAL, at("9999-12-31T00:00"), end)
        assert not verdict(Act.SEARCH, actor(), record(grant)).allowed
        assert verdict(Act.SEARCH, actor(), record(grant), now=at("9999-12-31T12:00")).allowed


def test_the_notice_comes_before_the_document() -> None:
    assert timedelta(weeks=2) == NOTICE_AFTER


def test_the_document_shows_itself_at_the_minute_and_not_before() -> None:
    deposited = at("2026-01-31T10:30")
    about = document("INVISIBLE_PATIENT", deposited=deposited)
    patient = actor(ActorKind.PATIENT)
    before, after = at("2026-02-28T10:29:59.999999"), at("2026-02-28T10:30")
    assert not verdict(Act.READ_ENTRY, patient, record(), about, now=before).allowed
    assert verdict(Act.READ_ENTRY, patient, record(), about, now=after).allowed
    unwritten = document("INVISIBLE_PATIENT", deposited=None)
    assert not verdict(Act.READ_ENTRY, patient, record(), unwritten, now=after).allowed


@pytest.mark.parametrize(
    ("birth", "now", "surely", "maybe"),
    [
        ("2008-11-23", "2026-11-22T22:59:59", True, True),
        ("2008-11-23", "2026-11-22T23:00:00", False, False),  # midnight in Paris, in winter
        ("2008-07-01", "2026-06-30T21:59:59", True, True),
        ("2008-07-01", "2026-06-30T22:00:00", False, False),  # in summer
        ("2008-02-29", "2026-02-28T12:00", True, True),
        ("2008-02-29", "2026-03-01T00:00", False, False),
        ("2008-02", "2026-01-31T12:00", True, True),
        ("2008-02", "2026-02-01T12:00", False, True),
        ("2008-02", "2026-03-01T12:00", False, False),
        ("2007-02", "2025-02-27T12:00", False, True),
        ("2007-02", "2025-02-28T12:00", False, False),
        ("2008", "2025-12-31T12:00", True, True),
        ("2008", "2026-01-01T12:00", False, True),
        ("2008", "2026-12-30T12:00", False, True),
        ("2008", "2026-12-31T12:00", False, False),
        (None, "2026-12-31T12:00", False, True),
    ],
)
def test_majority_comes_on_the_day_and_doubt_goes_both_ways(
    birth: str | None, now: str, surely: bool, maybe: bool
) -> None:
    assert is_surely_minor(birth, at(now)) is surely
    assert may_be_minor(birth, at(now)) is maybe


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-03-28T23:30", "2026-03-29"),
        ("2026-03-29T00:59:59", "2026-03-29"),
        ("2026-03-29T22:00", "2026-03-30"),
        ("2026-03-28T22:59", "2026-03-28"),
        ("2026-10-24T22:00", "2026-10-25"),
        ("2026-10-25T22:59", "2026-10-25"),
        ("2026-10-25T23:00", "2026-10-26"),
    ],
)
def test_the_day_in_paris(now: str, day: str) -> None:
    assert paris_date(at(now)) == date.fromisoformat(day)


@given(hours("1997-01-01", 40))
def test_the_day_in_paris_is_that_of_the_time_zone_database(now: datetime) -> None:
    try:
        paris = ZoneInfo("Europe/Paris")
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone database")
    assert paris_date(now) == now.astimezone(paris).date()


@given(hours("1990-01-01", 100))
def test_a_month_has_28_to_31_days(deposited: datetime) -> None:
    assert timedelta(days=28) <= visible_from(deposited) - deposited <= timedelta(days=31)


def test_representatives_lose_the_record_on_the_day() -> None:
    facts = record(birth_date="2008-11-23")
    parent = actor(ActorKind.REPRESENTATIVE)
    assert verdict(Act.SEARCH, parent, facts, now=at("2026-11-22T22:59:59")).allowed
    assert not verdict(Act.SEARCH, parent, facts, now=at("2026-11-22T23:00")).allowed
