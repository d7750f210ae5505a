"""The function `upkeep`: a run over everything, what it logs, and what it must never undo."""

from __future__ import annotations

import io
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from fakes.clock import ManualClock
from fakes.objects import Fault, MemoryStore, PolicingStore, on
from sceau.audit.facts import OwnFacts
from sceau.audit.log.extending import LockKeeper, Locks
from sceau.cli.local_stage import ensure_local_stage
from sceau.cli.schedule import scheduled_event
from sceau.cli.serve import load_app
from sceau.envelope.messages import Envelope
from sceau.http import log, upkeep
from sceau.http.chalice_app import ScheduledApp, TaskFailed
from sceau.http.due import DueWork
from sceau.http.runtime import Runtime
from sceau.http.upkeep import LONGEST_RUN, Upkeep, build, record_lives
from sceau.identity.errors import Replayed
from sceau.identity.replay import SWEEP_MARGIN, MarkKind, ReplayMarks, minute_of
from sceau.identity.revocation import RevocationList, revoke
from sceau.keys.errors import KeyRightDenied
from sceau.keys.ports import KeyName, KeyService
from sceau.objects.errors import ObjectRightDenied, ObjectStoreUnavailable
from sceau.objects.findings import Finding
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import StoreOperation
from sceau.records.ids import encode_id
from sceau.records.repository import Records, document_name, dossier_name
from sceau.stage import Settings, load_stage, scoped_keys, scoped_store
from sceau_schemas.deployment import Chalicefile, read_chalicefile
from sceau_schemas.rules import RuleSettings
from unit.http.http_world import SERVER
from unit.records.listings import listing

ROOT = Path(__file__).resolve().parents[3]
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
AFTER = st.timedeltas(timedelta(0), 2 * DAY)
RECORD, LOST, OTHER = (encode_id(bytes([byte]) * 16) for byte in (0, 127, 255))


class NoKeys:
    """A key service that nobody may call."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"upkeep called the key service: {name}")


def unexpected(facts: OwnFacts) -> str:
    raise AssertionError(f"nothing was due: {facts.act}")


def upkeep_on(
    store: ObjectStore, clock: ManualClock, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> Upkeep:
    locks = Locks(store, clock=clock, retention=timedelta(days=3653), lives=lambda record: record_lives(store, record))
    records = Records(store, Envelope(cast(KeyService, NoKeys())))
    due = DueWork(store, records, unexpected, SERVER, settings=RuleSettings(), clock=clock)
    return Upkeep(
        store, clock, LockKeeper(store, locks, clock=clock, pool=ThreadPoolExecutor), due, random_bytes=random_bytes
    )


@pytest.fixture(scope="module")
def chalicefile() -> Chalicefile:
    return read_chalicefile(ROOT / "chalicefile")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> PolicingStore:
    return PolicingStore(MemoryStore(clock))


@pytest.fixture
def runtime(store: PolicingStore, clock: ManualClock, chalicefile: Chalicefile) -> Runtime:
    """The function as its stage builds it, with its rights only."""
    rights, spec = chalicefile.functions["upkeep"], chalicefile.stages["local"]
    keys: Any = NoKeys()
    return Runtime("upkeep", "local", spec, scoped_store(store, rights), scoped_keys(keys, rights), clock=clock)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """The function's log, as an operator finds it."""
    logger = logging.getLogger("sceau")
    before = (logger.handlers[:], logger.level, logger.propagate)
    stream = io.StringIO()
    log.configure(stream=stream)
    yield stream
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])  # not by assignment: the logger remembers which levels are on


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def furnish(store: PolicingStore, clock: ManualClock) -> list[str]:
    """Marks and documents, old and new. Returns the names that must stay.

    RECORD has a dossier that does not list its document; OTHER's dossier is damaged; LOST has none.
    """
    old = minute_of(clock() - DAY)
    new = minute_of(clock() + MINUTE)
    for minute in (old, new):
        store.create(f"replay/{minute}/{'a' * 64}", b"", durable=False)
        store.create(f"replay/{minute}/{'b' * 64}", b"", durable=False)
        store.create(f"revoked/{minute}/{'c' * 64}", b"")
    now = clock.now
    clock.now = now - 2 * DAY
    for record in (RECORD, LOST, OTHER):
        store.create(document_name(record, RECORD), b"sealed")
    store.replace(dossier_name(RECORD), listing(RECORD), expected=None)
    store.replace(dossier_name(OTHER), b"damaged", expected=None)
    event = "journal/events/2026-03-02/09/30/0.a"
    store.create(event, b"sealed", locked_until=now + DAY)
    clock.now = now
    return sorted(
        [
            *(f"replay/{new}/{letter * 64}" for letter in "ab"),
            f"revoked/{new}/{'c' * 64}",
            dossier_name(RECORD),
            document_name(LOST, RECORD),
            document_name(OTHER, RECORD),
            dossier_name(OTHER),
            event,
        ]
    )


# --- one run -----------------------------------------------------------------------------------------------------


def test_a_run_sweeps_marks_and_documents_with_the_rights_of_the_function_and_without_a_key(
    runtime: Runtime, store: PolicingStore, clock: ManualClock, logged: io.StringIO
) -> None:
    stay = furnish(store, clock)
    figures = build(runtime)()
    assert list(store.inner.list("")) == stay
    assert figures == {
        "replay_swept": 2,
        "replay_kept": 2,
        "revoked_swept": 1,
        "revoked_kept": 1,
        "documents_swept": 1,
        "documents_kept": 2,
        "records_closed": 0,
        "records_deleted": 0,
        "dossiers_damaged": 1,
        "dossiers_missing": 1,
        "locks_looked_at": 0,
        "locks_extended": 0,
        "locks_absent": 0,
        "failed": 0,
        "finished": True,
        "seconds": 0.0,
    }
    assert store.misuses == []
    assert [line["event"] for line in lines(logged)] == ["swept", "damaged"]
    assert {**figures, "event": "swept"} == lines(logged)[0]


def test_the_log_tells_numbers_and_no_record(
    runtime: Runtime, store: PolicingStore, clock: ManualClock, logged: io.StringIO
) -> None:
    furnish(store, clock)
    store.faults = on(StoreOperation.DELETE, "replay/")
    build(runtime)()
    assert [line["event"] for line in lines(logged)] == ["swept", "damaged", "unavailable"]
    assert RECORD not in logged.getvalue()
    assert LOST not in logged.getvalue()
    assert OTHER not in logged.getvalue()
    assert "a" * 64 not in logged.getvalue()


def test_an_empty_store_is_swept_too(runtime: Runtime, logged: io.StringIO) -> None:
    assert not any(number for name, number in build(runtime)().items() if name != "finished")
    assert [line["event"] for line in lines(logged)] == ["swept"]


@pytest.mark.parametrize("prefix", ["replay/", "revoked/", "records/"])
@pytest.mark.parametrize("fault", Fault)
def test_a_listing_that_fails_keeps_nothing_else_from_being_swept(
    prefix: str, fault: Fault, runtime: Runtime, store: PolicingStore, clock: ManualClock
) -> None:
    stay = furnish(store, clock)
    store.faults = lambda call: fault if call.operation is StoreOperation.LIST and call.name == prefix else None
    report = upkeep_on(runtime.store, clock).run()
    assert report.failed == 1
    assert not report.finished
    left = set(store.inner.list(""))
    assert set(stay) <= left
    assert {name for name in left - set(stay) if not name.startswith(prefix)} == set()
    store.faults = lambda _: None
    assert upkeep_on(runtime.store, clock).run().finished
    assert sorted(store.inner.list("")) == stay


def test_a_flood_of_marks_does_not_keep_documents_from_being_swept(
    store: PolicingStore, clock: ManualClock, runtime: Runtime
) -> None:
    for number in range(500):
        store.create(f"replay/{minute_of(clock() - DAY)}/{number:064x}", b"", durable=False)
    store.create(document_name(RECORD, RECORD), b"")
    store.replace(dossier_name(RECORD), listing(RECORD), expected=None)
    clock.advance(2 * DAY)
    store.waits = lambda _: clock.advance(timedelta(seconds=1))
    report = upkeep_on(runtime.store, clock).run()
    assert 0 < report.replay.swept < 500
    assert not report.replay.finished
    assert report.documents.swept == 1
    assert report.seconds <= LONGEST_RUN.total_seconds()


def test_a_run_ends_before_its_host_ends_it(chalicefile: Chalicefile) -> None:
    """With room for calls that are under way when its time is over."""
    assert LONGEST_RUN + timedelta(seconds=30) <= timedelta(seconds=chalicefile.functions["upkeep"].timeout_seconds)


@pytest.mark.parametrize(("chosen", "first"), [(bytes(16), RECORD), (bytes([255]) * 16, OTHER)])
def test_a_run_begins_with_a_record_chosen_at_random(
    chosen: bytes, first: str, store: PolicingStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_DOCUMENTS", 1)
    names = {record: document_name(record, RECORD) for record in (RECORD, OTHER)}
    for record, name in names.items():
        store.create(name, b"")
        store.replace(dossier_name(record), listing(record), expected=None)
    clock.advance(2 * DAY)
    report = upkeep_on(store, clock, random_bytes=lambda size: chosen[:size]).run()
    assert report.documents.swept == 1
    assert names[first] not in list(store.inner.list(""))


# --- what sweeping must not undo -----------------------------------------------------------------------------------


@given(
    after=AFTER,
    swept_before=st.integers(-600, 300),
    behind=st.integers(0, int(SWEEP_MARGIN.total_seconds())),
)
def test_a_replay_is_refused_up_to_its_expiry_whenever_upkeep_runs(
    after: timedelta, swept_before: int, behind: int
) -> None:
    """By a clock that is up to the margin behind the one of upkeep."""
    clock = ManualClock()
    end = clock() + after
    store = PolicingStore(MemoryStore(clock))
    marks = ReplayMarks(store)
    marks.claim(MarkKind.PROOF, end, "proof")
    clock.now = end + timedelta(seconds=swept_before)
    upkeep_on(store, clock).run()
    if clock.now - timedelta(seconds=behind) < end:  # where it would still be accepted
        with pytest.raises(Replayed):
            marks.claim(MarkKind.PROOF, end, "proof")


@given(after=AFTER, before=st.integers(0, 600))
def test_a_revoked_token_stays_revoked_up_to_its_expiry(after: timedelta, before: int) -> None:
    clock = ManualClock()
    end = clock() + after
    store = PolicingStore(MemoryStore(clock))
    revoke(store, "jti", end)
    clock.now = end - timedelta(seconds=before)
    upkeep_on(store, clock).run()
    assert RevocationList(store).is_revoked("jti", end, clock())


# --- rights --------------------------------------------------------------------------------------------------------


def test_it_can_neither_open_nor_read_a_document_nor_delete_or_change_anything_else(
    runtime: Runtime, store: PolicingStore, clock: ManualClock
) -> None:
    furnish(store, clock)
    before = list(store.inner.list(""))
    for key in set(KeyName) - {KeyName.DOSSIER, KeyName.PROBE}:
        with pytest.raises(KeyRightDenied):
            runtime.keys.unwrap(key, bytes(64), {"purpose": "document"})
    for key in set(KeyName) - {KeyName.DOSSIER, KeyName.JOURNAL, KeyName.PROBE}:
        with pytest.raises(KeyRightDenied):
            runtime.keys.wrap(key, bytes(32), {"purpose": "document"})
    with pytest.raises(ObjectRightDenied):
        runtime.store.read(document_name(RECORD, RECORD))
    event = next(name for name in before if name.startswith("journal/"))
    for name in (event, "configuration/clients/lab", "configuration/pseudonym"):
        with pytest.raises(ObjectRightDenied):
            runtime.store.delete(name)
        with pytest.raises(ObjectRightDenied):
            runtime.store.replace(name, b"", expected=None)
        with pytest.raises(ObjectRightDenied):
            runtime.store.create(name, b"")
    for name in (event, "journal/log/checkpoint"):
        with pytest.raises(ObjectRightDenied):
            runtime.store.read(name)
    for prefix in ("configuration/", "journal/records/", "journal/"):
        with pytest.raises(ObjectRightDenied):
            runtime.store.list(prefix)
    assert list(store.inner.list("")) == before


# --- the app -------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "test")  # each app writes it: what it was comes back
    return load_app(ROOT / "functions" / "upkeep" / "app.py", "upkeep_under_test")


def test_what_a_host_calls_by_schedule_sweeps_and_answers_with_the_figures(
    app: Any, runtime: Runtime, store: PolicingStore, clock: ManualClock, logged: io.StringIO
) -> None:
    stay = furnish(store, clock)
    app.runtime_of = lambda _: runtime
    answer = app.upkeep(scheduled_event(), None)
    assert json.loads(json.dumps(answer))["documents_swept"] == 1
    assert list(store.inner.list("")) == stay
    app.upkeep(scheduled_event(), None)
    assert [line["event"] for line in lines(logged)] == ["swept", "damaged"] * 2


def test_a_run_that_fails_is_logged_without_its_message_and_told_on(logged: io.StringIO) -> None:
    attempts: list[None] = []

    def build_task() -> Any:
        attempts.append(None)
        if len(attempts) == 1:
            raise RuntimeError(f"secret of {RECORD}")
        return lambda: {"swept": 1}

    scheduled = ScheduledApp("upkeep", build_task)
    with pytest.raises(TaskFailed) as raised:
        scheduled.run()
    assert str(raised.value) == "upkeep: RuntimeError"
    (line,) = lines(logged)
    assert (line["event"], line["function"], line["error"]) == ("task-failed", "upkeep", "RuntimeError")
    assert RECORD not in logged.getvalue()
    assert scheduled.run() == {"swept": 1}, "the next run builds again"


def test_on_a_stage_without_a_store_the_function_does_not_start(tmp_path: Path, app: Any, logged: io.StringIO) -> None:
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=tmp_path / "none"))
    app.runtime_of = stage.runtime
    with pytest.raises(TaskFailed):
        app.upkeep(scheduled_event(), None)
    assert [line["error"] for line in lines(logged)] == ["ObjectStoreUnavailable"]


# Once a day: what the stage relies on


HOLDS = Finding("dmp-events: Object Lock", held=True, seen="on, by default COMPLIANCE for 3653 days")
LOST_LOCK = Finding("dmp-events: locks refuse deletion and shortening", held=False, seen="accepted: deletion")
TODAY, YESTERDAY = "probe/daily/2026-03-02", "probe/daily/2026-03-01"


class Measured:
    """What a stage finds, and how often it was asked."""

    def __init__(self, *findings: Finding | ObjectStoreUnavailable) -> None:
        self.findings = findings
        self.times = 0

    def __call__(self) -> Iterator[Finding]:
        self.times += 1
        for finding in self.findings:
            if isinstance(finding, ObjectStoreUnavailable):
                raise finding
            yield finding


def alarms(logged: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(logged) if line["event"] == "property-lost"]


def test_the_first_run_of_a_day_measures_the_stage_and_the_others_do_not(
    runtime: Runtime, store: PolicingStore, clock: ManualClock, logged: io.StringIO
) -> None:
    store.create(YESTERDAY, b"")
    measured = Measured(HOLDS, HOLDS)
    task = build(replace(runtime, properties=measured))
    figures = task()
    assert (figures["properties_checked"], figures["properties_lost"]) == (2, 0)
    assert list(store.inner.list("probe/")) == [TODAY], "the mark of another day goes"
    for _ in range(2):
        clock.advance(timedelta(hours=1))
        assert "properties_checked" not in task()
    assert measured.times == 1
    clock.advance(DAY)
    assert task()["properties_checked"] == 2
    assert alarms(logged) == []


def test_what_does_not_hold_raises_the_alarm(runtime: Runtime, logged: io.StringIO) -> None:
    figures = build(replace(runtime, properties=Measured(HOLDS, LOST_LOCK)))()
    assert (figures["properties_checked"], figures["properties_lost"]) == (2, 1)
    (alarm,) = alarms(logged)
    assert alarm == {
        "event": "property-lost",
        "function": "upkeep",
        "property": LOST_LOCK.name,
        "seen": LOST_LOCK.seen,
    }
    assert log.LogEvent.PROPERTY_LOST.value[1] == logging.CRITICAL


def test_a_stage_that_can_not_be_measured_raises_the_alarm_and_is_tried_again(
    runtime: Runtime, store: PolicingStore, logged: io.StringIO
) -> None:
    away = Measured(HOLDS, ObjectStoreUnavailable("a bucket of the store does not exist", maybe_written=False))
    task = build(replace(runtime, properties=away))
    task()
    task()
    assert away.times == 2, "a check that broke off is no check"
    assert [one["property"] for one in alarms(logged)] == ["daily check"] * 2
    assert list(store.inner.list("probe/")) == []


def test_a_store_that_is_away_raises_the_alarm_and_sweeping_goes_on(
    runtime: Runtime, store: PolicingStore, clock: ManualClock, logged: io.StringIO
) -> None:
    furnish(store, clock)
    store.faults = on(StoreOperation.LIST, "probe/daily/")
    figures = build(replace(runtime, properties=Measured(HOLDS)))()
    assert figures["documents_swept"] == 1
    assert [one["property"] for one in alarms(logged)] == ["daily check"]


def test_two_runs_at_once_both_end_well(runtime: Runtime, store: PolicingStore) -> None:
    def meanwhile() -> Iterator[Finding]:
        store.inner.create(TODAY, b"")
        store.inner.delete(YESTERDAY)
        yield HOLDS

    store.create(YESTERDAY, b"")
    assert build(replace(runtime, properties=meanwhile))()["properties_checked"] == 1


def test_a_role_without_the_right_to_probes_gets_nothing_to_measure_with(tmp_path: Path) -> None:
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=tmp_path / "stage"))
    ensure_local_stage(stage)
    assert list(stage.runtime("ingest").properties()) == []
    findings = list(stage.runtime("upkeep").properties())
    assert [one.name for one in findings if not one.held] == []
    keys = [f"key {key}" for key in KeyName]
    assert [one.name for one in findings[4:]] == [*keys, "associated data binds"]
