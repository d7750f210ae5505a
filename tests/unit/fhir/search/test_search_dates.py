"""Dates: the interval that a precision covers, and the prefixes on intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from sceau.fhir.search.dates import EPOCH, Bound, Prefix, date_interval, parse_bound, stored_interval
from unit.fhir.search.search_rows import NOW, at, entry, found, span

PARIS = ZoneInfo("Europe/Paris")
FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01T00:00:00+00:00", "2026-12-31T23:59:59.999+00:00"),
        ("2024-02", "2024-02-01T00:00:00+00:00", "2024-02-29T23:59:59.999+00:00"),
        ("2026-12", "2026-12-01T00:00:00+00:00", "2026-12-31T23:59:59.999+00:00"),
        ("2026-12-31", "2026-12-31T00:00:00+00:00", "2026-12-31T23:59:59.999+00:00"),
        ("2026-06-10T09:00+02:00", "2026-06-10T07:00:00+00:00", "2026-06-10T07:00:59.999+00:00"),
        ("2026-06-10T09:00:30-05:30", "2026-06-10T14:30:30+00:00", "2026-06-10T14:30:30.999+00:00"),
        ("2026-06-10T09:00:30.5Z", "2026-06-10T09:00:30.500+00:00", "2026-06-10T09:00:30.599+00:00"),
        ("2026-06-10T09:00:30.123Z", "2026-06-10T09:00:30.123+00:00", "2026-06-10T09:00:30.123+00:00"),
        ("2026-06-10T09:00:30.123987Z", "2026-06-10T09:00:30.123+00:00", "2026-06-10T09:00:30.123+00:00"),
        ("2026-06-10T09:00:30", "2026-06-10T09:00:30+00:00", "2026-06-10T09:00:30.999+00:00"),
    ],
)
def test_a_date_covers_what_its_precision_says(text: str, first: str, last: str) -> None:
    assert date_interval(text) == (at(first), at(last))


def test_a_date_without_zone_is_of_the_given_zone() -> None:
    assert date_interval("2026-06-10", PARIS) == (at("2026-06-10T00:00:00+02:00"), at("2026-06-10T23:59:59.999+02:00"))


def test_a_local_day_of_25_hours_is_covered_whole() -> None:
    low, high = date_interval("2026-10-25", PARIS)
    assert high - low + 1 == 25 * 3_600_000


def test_the_last_year_that_can_be_written_is_covered() -> None:
    assert date_interval("9999") == (at("9999-01-01T00:00:00+00:00"), 253_402_300_799_999)
    assert date_interval("9999-12-31")[1] == 253_402_300_799_999


@pytest.mark.parametrize(
    "text",
    [
        *("", "26", "2026-6", "2026-13", "2026-02-30", "2026-06-10T", "2026-06-10T09", "2026-06-10Z", "20260610"),
        *("2026-06-10T24:00Z", "2026-06-10T09:60Z", "2026-06-10T09:00:60Z", "2026-06-10T09:00:00.Z", "2026-06-10\n"),
        *(
            "2026-06-10T09:00:00+02:60",
            "2026-06-10T09:00:00+25:00",
            "0000",
            "٢٠٢٦",
            "ge2026",
            " 2026",
            "2026-06-10T09:00 02:00",
        ),
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        date_interval(text)


@given(
    moment=st.datetimes(datetime(1000, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis
    pattern=st.sampled_from(FORMATS),
    zone=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30)), timezone(timedelta(hours=14))]),
)
def test_an_instant_is_in_the_interval_exactly_when_it_reads_the_same(
    moment: datetime, pattern: str, zone: tzinfo
) -> None:
    """Oracle: an instant belongs to a date when, written with the date's precision in its zone, it is that date."""
    text = moment.astimezone(zone).strftime(pattern)
    low, high = date_interval(text, zone)

    def reads(instant: int) -> str:
        return (EPOCH + timedelta(milliseconds=instant)).astimezone(zone).strftime(pattern)

    assert reads(low) == reads(high) == text
    assert reads(low - 1) != text
    assert reads(high + 1) != text


_small = st.integers(0, 12)
_spans = st.tuples(_small, _small).map(lambda pair: (min(pair), max(pair)))


@given(asked=_spans, stored=_spans)
def test_prefixes_agree_with_sets_of_instants(asked: tuple[int, int], stored: tuple[int, int]) -> None:
    """Oracle: intervals as sets of instants, each prefix as FHIR's sentence about them."""
    wanted, have = set(range(asked[0], asked[1] + 1)), set(range(stored[0], stored[1] + 1))
    oracle: dict[Prefix, bool] = {
        "eq": have <= wanted,
        "ne": not have <= wanted,
        "gt": any(x > max(wanted) for x in have),
        "lt": any(x < min(wanted) for x in have),
        "ge": any(x > max(wanted) for x in have) or bool(have & wanted),
        "le": any(x < min(wanted) for x in have) or bool(have & wanted),
        "sa": all(x > max(wanted) for x in have),
        "eb": all(x < min(wanted) for x in have),
        "ap": bool(have & wanted),
    }
    assert {prefix: Bound(prefix, *asked).accepts(*stored) for prefix in oracle} == oracle


@given(asked=_spans, start=_small, prefix=st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]))
def test_an_open_period_behaves_like_a_very_long_one(asked: tuple[int, int], start: int, prefix: Prefix) -> None:
    bound = Bound(prefix, *asked)
    assert bound.accepts(*stored_interval(f"{start}/")) is bound.accepts(start, 10**15)
    assert bound.accepts(*stored_interval(f"/{start}")) is bound.accepts(-(10**15), start)


def test_a_plus_that_the_url_turned_into_a_space_is_understood() -> None:
    plus, space = (parse_bound(f"ge2026-06-10T09:00{sign}02:00", now=NOW) for sign in "+ ")
    assert plus == space


def test_approximately_widens_by_a_tenth_of_the_distance_from_now() -> None:
    then = NOW - timedelta(days=100)
    bound = parse_bound("ap" + then.strftime("%Y-%m-%dT%H:%M:%SZ"), now=NOW)
    nine, eleven = at((then - timedelta(days=9)).isoformat()), at((then - timedelta(days=11)).isoformat())
    assert bound.accepts(nine, nine)
    assert not bound.accepts(eleven, eleven)


def test_the_same_prefix_approximates_the_same_for_dates_to_come() -> None:
    then = NOW + timedelta(days=100)
    bound = parse_bound("ap" + then.strftime("%Y-%m-%dT%H:%M:%SZ"), now=NOW)
    assert bound.accepts(at((then + timedelta(days=9)).isoformat()), 10**15)
    assert not bound.accepts(at((then + timedelta(days=11)).isoformat()), 10**15)


STAYS = {
    1: span("2026-05-20T00:00:00+00:00", "2026-06-01T08:00:00+00:00"),
    2: span("2026-06-10T00:00:00+00:00", "2026-06-12T00:00:00+00:00"),
    3: span("2026-06-30T20:00:00+00:00", ""),
    4: span("2026-08-01T00:00:00+00:00", "2026-08-02T00:00:00+00:00"),
}


@pytest.mark.parametrize(
    ("pairs", "numbers"),
    [
        ([("period", "2026-06")], [2]),
        ([("period", "eq2026")], [1, 2, 4]),
        ([("period", "ne2026")], [3]),
        ([("period", "ge2026-06-01"), ("period", "le2026-06-30")], [1, 2, 3]),
        ([("period", "sa2026-06")], [4]),
        ([("period", "eb2026-06-02")], [1]),
        ([("period", "gt2026-07-31")], [3, 4]),
        ([("period", "lt2026-06-01")], [1]),
        ([("period", "2026-06,2026-08")], [2, 4]),
        ([("period:missing", "true")], [5]),
        ([("period:missing", "false")], [1, 2, 3, 4]),
    ],
)
def test_periods_are_found_by_prefix_precision_repetition_and_comma(
    pairs: list[tuple[str, str]], numbers: list[int]
) -> None:
    rows = [entry(number, terms={"period": (stay,)}) for number, stay in STAYS.items()]
    assert found([*rows, entry(5)], *pairs) == numbers


def test_each_date_parameter_reads_its_own_term() -> None:
    names = ["date", "creation", "period", "period-start", "period-end"]
    june = span("2026-06-10T00:00:00+00:00", "2026-06-10T23:59:59.999+00:00")
    rows = [entry(number, terms={name: (june,)}) for number, name in enumerate(names, start=1)]
    for number, name in enumerate(names, start=1):
        assert found(rows, (name, "2026-06-10")) == [number]
        assert found(rows, (name, "2026-06-11")) == []


def test_last_updated_is_of_the_present_version() -> None:
    rows = [entry(1, updated=at("2026-06-10T09:00:00+00:00")), entry(2, updated=at("2026-06-11T09:00:00+00:00"))]
    assert found(rows, ("_lastUpdated", "ge2026-06-11")) == [2]
