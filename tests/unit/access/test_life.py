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
    longest = RuleSettings(deletion_request_days=84, deleted_versions_days=1, deleted_backup_days=1)
    (due,) = ahead(Life(closed=NOW, deletion_requested=asked), longest)
    assert due.at < asked + timedelta(days=89)
    with pytest.raises(ValueError, match="deletion_request_days"):
        RuleSettings(deletion_request_days=85)


@pytest.mark.parametrize("later", ["deleted_versions_days", "deleted_backup_days"])
def test_what_host_and_backup_keep_is_within_the_same_three_months(later: str) -> None:
    RuleSettings.model_validate({"deletion_request_days": 30, later: 55})
    with pytest.raises(ValueError, match="within three months"):
        RuleSettings.model_validate({"deletion_request_days": 30, later: 56})
    with pytest.raises(ValueError, match=later):
        RuleSettings.model_validate({"deletion_request_days": 1, later: 0})


def test_a_death_closes_at_once_unless_the_stage_says_later() -> None:
    at_once = ahead(Life(died=NOW), SETTINGS)
    assert at_once == (Due(End.CLOSE, Cause.DEATH, NOW), Due(End.DELETE, Cause.ARCHIVE, NOW.replace(year=2036)))
    closing = NOW + timedelta(days=90)
    later = RuleSettings(death_closing_days=90)
    assert ahead(Life(died=NOW), later) == (
        Due(End.CLOSE, Cause.DEATH, closing),
        Due(End.DELETE, Cause.ARCHIVE, closing.replace(year=2037)),
    )
    assert ahead(Life(died=NOW, closed=NOW), later) == ahead(Life(closed=NOW), later), "it was closed already"


@pytest.mark.parametrize(("suspended", "cause"), [(0, Cause.SUSPENSION), (60, Cause.DEATH)])
def test_of_a_suspension_and_a_death_the_earlier_end_closes(suspended: int, cause: Cause) -> None:
    life = Life(suspended=NOW + timedelta(days=suspended), died=NOW)
    closing, archive = ahead(life, RuleSettings(death_closing_days=50))
    assert (closing.end, closing.cause) == (End.CLOSE, cause)
    assert archive.at == closing.at.replace(year=closing.at.year + 10)


def test_every_delay_of_a_record_s_end_is_a_named_setting() -> None:
    """Each of them moves one end, and says where it comes from."""
    begun = {"suspended": Life(suspended=NOW), "died": Life(died=NOW), "closed": Life(closed=NOW)}
    begun["asked"] = Life(closed=NOW, deletion_requested=NOW)
    moved = {
        "suspension_days": "suspended",
        "death_closing_days": "died",
        "archive_years": "closed",
        "deletion_request_days": "asked",
    }
    for name, what in moved.items():
        field = RuleSettings.model_fields[name]
        more = SETTINGS.model_copy(update={name: getattr(SETTINGS, name) + 1})
        assert ahead(begun[what], more)[0].at > ahead(begun[what], SETTINGS)[0].at, name
        assert field.description
        assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra["source"]


def test_a_request_near_the_archive_s_end_does_not_prolong_it() -> None:
    end = NOW.replace(year=2036)
    (due,) = ahead(Life(closed=NOW, deletion_requested=end - timedelta(days=1)), SETTINGS)
    assert due == Due(End.DELETE, Cause.ARCHIVE, end)


def test_the_end_of_the_calendar_is_no_error() -> None:
    late = datetime(9998, 12, 31, tzinfo=UTC)
    (due,) = ahead(Life(closed=late), SETTINGS)
    assert due.at.year == 9999
