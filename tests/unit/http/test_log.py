"""The operations log: one JSON line per event."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sceau.audit.errors import JournalUnavailable
from sceau.http.chalice_app import SceauApp, ScheduledApp
from sceau.http.log import LogEvent, configure, log, place_of, reason_of
from sceau.objects.errors import ObjectStoreUnavailable


@pytest.mark.parametrize(
    "library", ["boto3.resources", "botocore.endpoint", "botocore.hooks", "urllib3.connectionpool"]
)
def test_a_library_s_requests_are_written_at_no_level(library: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    configure(logging.DEBUG, io.StringIO())
    logging.getLogger(library).debug("Making request: %s", {"EncryptionContext": {"record": "r"}})
    logging.getLogger(library).info("the same")
    assert caplog.records == []
    logging.getLogger(library).warning("a pool is full")
    assert len(caplog.records) == 1


def test_a_function_of_a_host_that_logs_everything_writes_none_of_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)  # as a host does on the root logger, which is not ours

    def never() -> Any:
        raise AssertionError("nothing is asked of it")

    apps = (SceauApp, ScheduledApp)
    for make in apps:
        logging.getLogger("botocore").setLevel(logging.NOTSET)
        make("x", never)
        logging.getLogger("botocore.endpoint").debug("a body")
    assert [record for record in caplog.records if record.name.startswith("botocore")] == []


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The logger as it was: other tests listen to it too."""
    logger = logging.getLogger("sceau")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_a_line_is_json_with_the_event_first() -> None:
    stream = io.StringIO()
    configure(logging.DEBUG, stream)
    log(LogEvent.ANSWERED, request="r", status=200, trace=None)
    assert stream.getvalue() == '{"event":"answered","request":"r","status":200,"trace":null}\n'


def test_a_line_break_in_a_fact_does_not_make_a_second_line() -> None:
    stream = io.StringIO()
    configure(logging.DEBUG, stream)
    log(LogEvent.REFUSED, reason='x\n{"event":"answered"}')
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "refused"


def test_what_is_under_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure(logging.ERROR, stream)
    log(LogEvent.ANSWERED)
    log(LogEvent.UNAVAILABLE)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["unavailable"]


def test_configuring_twice_does_not_write_twice() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(logging.INFO, first)
    configure(logging.INFO, second)
    log(LogEvent.STARTED)
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_names_of_events_are_not_used_twice() -> None:
    names = [event.value[0] for event in LogEvent]
    assert len(set(names)) == len(names) == len(LogEvent.__members__)


def test_the_place_of_an_error_is_where_it_was_raised_and_not_what_it_says() -> None:
    def inner() -> None:
        raise ValueError("a secret")

    def outer() -> None:
        inner()

    try:
        outer()
    except ValueError as error:
        place = place_of(error)
    assert place.startswith("test_the_place_of_an_error_is_where_it_was_raised_and_not_what_it_says.<locals>.inner:")
    assert "secret" not in place.removeprefix("test_the_place")


def test_an_error_that_was_not_raised_has_no_place() -> None:
    assert place_of(ValueError("x")) == "unknown"


def test_the_store_s_own_word_is_found_behind_what_it_became_and_nobody_else_s() -> None:
    away = ObjectStoreUnavailable("records/a/dossier: …", maybe_written=False, reason="AccessDenied")
    assert reason_of(away) == "AccessDenied"
    caused, silenced = JournalUnavailable("not written"), JournalUnavailable("not written")
    caused.__cause__ = silenced.__context__ = away
    silenced.__suppress_context__ = True  # as `from None` does
    assert reason_of(caused) == reason_of(silenced) == "AccessDenied"
    assert reason_of(ObjectStoreUnavailable("x", maybe_written=False)) is None
    assert reason_of(UnicodeDecodeError("utf-8", b"secret", 0, 1, "of what was sent")) is None
    assert reason_of(None) is None
