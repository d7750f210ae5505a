"""When a record's life ends by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sceau.access.life import Cause, Due, End, Life, ahead
from sceau_schemas.rules import RuleSettings

SETTINGS = RuleSettings()
NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


def test_an_open_record_has_no_end_whatever_was_asked_before() -> None:
    assert ahead(Life(), SETTINGS) == ()
    assert ahead(Life(deletion_requested=NOW), SETTINGS) == ()


def test_a_suspension_closes_after_six_weeks_and_the_archive_is_counted_from_then() -> None:
    closing = NOW + timedelta(weeks=6)
    assert ahead(Life(suspended=NOW), SETTINGS) == (
        Due(End.CLOSE, Cause.SUSPENSION, closing),
        Due(End.DELETE, Cause.ARCHIVE, closing.replace(year=2037)),
    )


def test_an_archive_lasts_ten_years() -> None:
    assert ahead(Life(closed=NOW), SETTINGS) == (Due(End.DELETE, Cause.ARCHIVE, NOW.replace(year=2036)),)


def test_what_was_closed_on_a_leap_day_ends_on_the_last_of_february() -> None:
    (due,) = ahead(Life(closed=datetime(2028, 2, 29, 12, tzinfo=UTC)), SETTINGS)
    assert due.at == datetime(2038, 2, 28, 12, tzinfo=UTC)


def test_a_request_is_carried_out_after_the_setting_and_always_within_three_months() -> None:
    asked = NOW + timedelta(days=3)
    (due,) = ahead(Life(closed=NOW, deletion_requested=asked), SETTINGS)
    assert due == Due(End.DELETE, Cause.REQUEST, asked + timedelta(days=30))
    longest = RuleSettings(deletion_request_days=89)
    (due,) = ahead(Life(closed=NOW, deletion_requested=asked), longest)
    assert due.at < asked + timedelta(days=90)
    with pytest.raises(ValueError, match="deletion_request_days"):
        RuleSettings(deletion_request_days=90)


def test_a_request_near_the_archive_s_end_does_not_prolong_it() -> None:
    end = NOW.replace(year=2036)
    (due,) = ahead(Life(closed=NOW, deletion_requested=end - timedelta(days=1)), SETTINGS)
    assert due == Due(End.DELETE, Cause.ARCHIVE, end)


def test_the_end_of_the_calendar_is_no_error() -> None:
    late = datetime(9998, 12, 31, tzinfo=UTC)
    (due,) = ahead(Life(closed=late), SETTINGS)
    assert due.at.year == 9999
