"""The function `journal`: with its rights only, what a run logs, and when it raises an alarm."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.objects import on
from sceau.audit.log.errors import ClockRefused, LogDamaged, LogUnavailable
from sceau.audit.log.lateness import LIMIT
from sceau.audit.log.places import DATED, PENDING
from sceau.http import log, sealing, upkeep
from sceau.http.runtime import Runtime
from sceau.objects.scoped import StoreOperation
from sceau.stage import scoped_keys, scoped_store
from sceau_schemas.deployment import read_chalicefile
from unit.audit.log.log_stand import MINUTE, SECOND, LogStand

ROOT = Path(__file__).resolve().parents[3]
CHALICEFILE = read_chalicefile(ROOT / "chalicefile")

Task = Callable[[], dict[str, int | float]]


@pytest.fixture
def stand() -> LogStand:
    return LogStand.new()


def runtime(stand: LogStand, name: str) -> Runtime:
    rights, spec = CHALICEFILE.functions[name], CHALICEFILE.stages["local"]
    keys: Any = stand.keys
    return Runtime(name, "local", spec, scoped_store(stand.store, rights), scoped_keys(keys, rights), clock=stand.clock)


@pytest.fixture
def task(stand: LogStand) -> Task:
    return sealing.build(runtime(stand, "journal"))


@pytest.fixture
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the function logged, since this was last asked."""
    logger = logging.getLogger("sceau")
    before = (logger.handlers[:], logger.level, logger.propagate)
    stream = io.StringIO()
    log.configure(stream=stream)

    def lines() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield lines
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


Logged = Callable[[], list[dict[str, Any]]]


def test_a_run_seals_what_is_new_and_logs_numbers_only(stand: LogStand, task: Task, logged: Logged) -> None:
    stand.append(3)
    figures = task()
    assert figures["sealed"] == 3
    (line,) = logged()
    assert (line["event"], line["sealed"], line["size"], line["finished"]) == ("sealed", 3, 3, True)
    assert all(isinstance(value, int | float) for name, value in line.items() if name != "event")
    stand.require_good(events=3)
    assert task()["sealed"] == 0
    assert logged() == []  # nothing happened


@pytest.mark.parametrize("soon", [True, False])
def test_a_checkpoint_older_than_its_limit_is_an_alarm_once_a_run_comes(
    stand: LogStand, task: Task, logged: Logged, soon: bool
) -> None:
    """Whether the event came soon after the checkpoint, or long after it."""
    stand.append(1, apart=timedelta(0))
    stand.clock.advance(LIMIT)
    task()
    assert [line["event"] for line in logged()] == ["sealed"]
    stand.clock.advance(SECOND if soon else 10 * MINUTE)
    stand.append(1, apart=timedelta(0))
    stand.clock.advance(LIMIT + SECOND)
    task()
    late, sealed = sorted(logged(), key=lambda line: str(line["event"]))
    assert late == {"event": "log-late", "function": "journal", "oldest_seconds": 901, "limit_seconds": 900}
    assert sealed["sealed"] == 1
    task()
    assert logged() == []


def test_a_run_that_fails_tells_that_the_checkpoint_is_too_old_all_the_same(
    stand: LogStand, task: Task, logged: Logged
) -> None:
    stand.append(1)
    stand.clock.advance(LIMIT)
    stand.store.faults = on(StoreOperation.REPLACE, PENDING)
    with pytest.raises(LogUnavailable):
        task()
    assert [line["event"] for line in logged()] == ["log-late"]


def test_upkeep_raises_the_alarm_when_nothing_seals(stand: LogStand, logged: Logged) -> None:
    watch = upkeep.build(runtime(stand, "upkeep"))
    stand.append(2)
    watch()
    assert "log-late" not in [line["event"] for line in logged()]
    stand.clock.advance(LIMIT + MINUTE)
    watch()
    (late,) = (line for line in logged() if line["event"] == "log-late")
    assert late["function"] == "upkeep"
    stand.seal()
    watch()
    assert "log-late" not in [line["event"] for line in logged()]


def test_upkeep_says_when_it_can_not_look(stand: LogStand, logged: Logged) -> None:
    watch = upkeep.build(runtime(stand, "upkeep"))
    stand.store.faults = on(StoreOperation.LIST, "journal/events/")
    watch()
    assert "unavailable" in [line["event"] for line in logged()]


def test_what_somebody_must_look_at_is_an_alarm(stand: LogStand, task: Task, logged: Logged) -> None:
    """An event that the store lists and does not give: the others are sealed, and it is told."""
    (lost, _) = stand.append(2)
    stand.store.faults = on(StoreOperation.READ, lost)
    assert task()["sealed"] == 1
    assert [line for line in logged() if line["event"] == "damaged"] == [
        {"event": "damaged", "function": "journal", "unread": 1}
    ]


def test_a_log_that_contradicts_itself_is_an_alarm_and_is_not_gone_on_with(
    stand: LogStand, task: Task, logged: Logged
) -> None:
    stand.append(2)
    task()
    before = stand.memory.read(PENDING)
    first = stand.checkpoint
    stand.append(1)
    task()
    logged()
    for name in stand.names(DATED)[1:]:
        stand.memory._entries.pop(name)
    stand.memory.replace(PENDING, before.data, expected=stand.memory.read(PENDING).tag)
    stand.append(2)
    with pytest.raises(LogDamaged):
        task()
    (line,) = [line for line in logged() if line["event"] == "damaged"]
    assert line["function"] == "journal"
    assert "has 3 entries, and the log stands at 2" in str(line["error"])
    assert stand.checkpoint != first


@pytest.mark.parametrize("off", [timedelta(seconds=61), timedelta(seconds=-61)])
def test_a_clock_more_than_a_minute_away_writes_nothing(
    stand: LogStand, logged: Logged, off: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.append(1)
    before = {name: stand.memory.read(name).data for name in stand.names()}
    there = stand.clock()
    monkeypatch.setattr(stand.memory, "time", lambda: there - off)
    with pytest.raises(ClockRefused):
        sealing.build(runtime(stand, "journal"))()
    assert {name: stand.memory.read(name).data for name in stand.names()} == before
    monkeypatch.setattr(stand.memory, "time", lambda: there + MINUTE)
    assert sealing.build(runtime(stand, "journal"))()["sealed"] == 1
