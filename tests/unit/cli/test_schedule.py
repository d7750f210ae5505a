"""Scheduled functions of a local stage: what starts them, and that no failure of theirs ends anything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sceau.cli.schedule import Scheduled, repeat, start_schedule
from sceau.cli.serve import scheduled_functions
from sceau.http.chalice_app import TaskFailed
from sceau.keys.keyfile import create_key_file
from sceau.objects.filesystem import FilesystemStore
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[3]
HOUR = timedelta(hours=1)


class Runs:
    """A handler that does in turn what it is told to: an error is raised."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self._outcomes = iter(outcomes)
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any], context: Any) -> object:
        assert context is None
        self.events.append(event)
        if (error := next(self._outcomes)) is not None:
            raise error
        return {}


class Waits:
    """Ends after so many waits, and keeps how long they were to be."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) == self._number


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    monkeypatch.setattr(logging.getLogger("sceau"), "propagate", True)
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_it_runs_at_once_and_again_at_its_rate() -> None:
    runs, waits = Runs(None, None, None), Waits(3)
    repeat(Scheduled("upkeep", HOUR, runs), waits)
    assert waits.seconds == [3600.0] * 3
    assert len({event["id"] for event in runs.events}) == 3
    assert {event["detail-type"] for event in runs.events} == {"Scheduled Event"}


def test_a_run_that_fails_is_logged_once_and_the_next_one_comes(logged: pytest.LogCaptureFixture) -> None:
    runs, waits = Runs(TaskFailed("logged by the app"), ValueError("secret"), None), Waits(3)
    repeat(Scheduled("upkeep", HOUR, runs), waits)
    assert len(runs.events) == 3
    (record,) = logged.records
    assert '"event":"task-failed"' in record.message
    assert '"error":"ValueError"' in record.message
    assert "secret" not in record.message


def test_a_thread_runs_it_and_does_not_keep_the_process() -> None:
    ran, end = threading.Event(), threading.Event()

    def handler(_: dict[str, Any], __: Any) -> None:
        assert threading.current_thread().daemon
        ran.set()
        end.wait(120)

    start_schedule(Scheduled("upkeep", HOUR, handler))
    assert ran.wait(120)
    end.set()


def test_every_function_with_a_schedule_is_found_and_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "test")  # each app writes it: what it was comes back
    for name in ("SCEAU_CHALICEFILE", "SCEAU_STAGE", "SCEAU_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=tmp_path))
    declared = {name: spec.schedule.every for name, spec in stage.file.functions.items() if spec.schedule}
    assert declared == {"expunge": 6 * HOUR, "journal": timedelta(minutes=1), "upkeep": HOUR}
    with pytest.raises(Exception, match="SCEAU_CHALICEFILE is not set"):
        list(scheduled_functions(stage))  # built now, not an hour later: it asks for its settings
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(ROOT / "chalicefile"))
    monkeypatch.setenv("SCEAU_STAGE", "local")
    monkeypatch.setenv("SCEAU_FOLDER", str(tmp_path))
    FilesystemStore.create_root(tmp_path / "store")
    create_key_file(tmp_path / "keys.json", clock=lambda: datetime.now(UTC))
    built = {task.name: task.every for task in scheduled_functions(stage)}
    seconds = timedelta(seconds=5)
    assert built == {"expunge": 6 * HOUR, "journal": seconds, "upkeep": HOUR}, "a local stage seals every few seconds"
