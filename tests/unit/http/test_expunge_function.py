"""The function `expunge` in process: what a host keeps of deleted records, and of no others, goes for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fakes.objects import Call, Fault
from fixtures.inprocess import Process, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.http import expunge as function, log
from sceau.objects.errors import ObjectRightDenied
from sceau.objects.scoped import StoreOperation
from sceau.records.ended import ended_name, expunged_name, is_told, parse_ended
from sceau.records.repository import dossier_name
from unit.faults.whole import read_whole
from unit.http.expunging import deleted_on_request, expunge, kept, runtime_of, versioned
from unit.http.published import bundle, good, laboratory_document, opened
from unit.http.test_decisions_end_to_end import HOLDER, Stand
from unit.http.test_record_life import INSURER, life, rests, upkeep

DAY = timedelta(days=1)
DAY_ZERO = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def full() -> World:
    process = opened(share=False)
    good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    stand = Stand(Process(versioned(process.world)))
    good(stand.grant("hospital"))
    return stand.process.world


@pytest.fixture
def stand(full: World) -> Stand:
    return Stand(Process(full.copy()))


def test_what_a_host_keeps_of_a_deleted_record_goes_for_good_after_its_days(stand: Stand) -> None:
    record, world = deleted_on_request(stand), stand.process.world
    (mark,) = rests(stand, "ended/")
    events = rests(stand, "journal/events/")
    hidden = kept(world)
    assert {one.name for one in hidden} > {dossier_name(record)} and all(one.hidden for one in hidden)
    assert rests(stand, "records/") == []
    stand.later(days=7)
    assert (expunge(stand.process).records, expunge(stand.process).waiting) == (0, 1), "not a moment before"
    assert kept(world) == hidden and rests(stand, "journal/events/") == events
    stand.later(minutes=1)
    report = expunge(stand.process)
    total = sum(one.versions + one.deletions for one in hidden)
    assert (report.records, report.removed, report.failed, report.finished) == (1, total, 0, True)
    assert kept(world) == []
    assert rests(stand, "ended/") == []
    assert rests(stand, "expunged/") == [expunged_name(mark)]
    left = rests(stand, "journal/events/")
    assert set(events) < set(left), "traces stay, and this is one"
    (made,) = set(left) - set(events)
    assert made.rpartition("/")[2].startswith(record)
    event = read_whole(world).events[made.rpartition(".")[2]]
    assert (event.action, event.type.code) == ("D", "destroy")
    assert event.entity[0].what is not None and event.entity[0].what.reference == f"Patient/{record}"
    assert [one.type for one in event.entity[0].detail or ()] == ["deleted-before"], "nothing of what it held"


def test_the_event_is_written_before_anything_goes_and_without_it_nothing_does(stand: Stand) -> None:
    deleted_on_request(stand)
    stand.later(days=8)
    before = kept(stand.process.world)
    stand.process.store.faults = lambda call: Fault.FAILS if call.operation is StoreOperation.CREATE_LOCKED else None
    report = expunge(stand.process)
    assert (report.failed, report.removed, kept(stand.process.world)) == (1, 0, before)
    stand.process.store.faults = lambda _: None
    stand.process.store.calls.clear()
    expunge(stand.process)
    order = [call.operation for call in stand.process.store.calls]
    assert order.index(StoreOperation.CREATE_LOCKED) < order.index(StoreOperation.DELETE_VERSIONS)


def test_where_the_clocks_differ_nothing_goes(stand: Stand) -> None:
    """Ours a year ahead of the store's: what was deleted now would look old enough."""
    deleted_on_request(stand)
    before = kept(stand.process.world)
    ours = stand.process.world.clock.now + timedelta(days=365)
    stand.process.clock = lambda: ours
    report = expunge(stand.process)
    assert (report.failed, report.removed, kept(stand.process.world)) == (1, 0, before)


def test_a_record_that_lives_keeps_everything_whatever_marks_say(stand: Stand) -> None:
    record, world = stand.head().record_id, stand.process.world
    for days in (0, 300):
        world.memory.create(ended_name(world.clock.now - timedelta(days=days), record), b"")
    world.memory.create("ended/2026-02-30/x", b"")
    stand.later(days=30)
    before, events = kept(world), rests(stand, "journal/events/")
    report = expunge(stand.process)
    assert (report.removed, kept(world), rests(stand, "journal/events/")) == (0, before, events)
    assert stand.sees(HOLDER) == 1


def test_a_record_that_vanished_without_a_mark_keeps_everything(stand: Stand) -> None:
    record, world = stand.head().record_id, stand.process.world
    for name in rests(stand, f"records/{record}/"):
        world.memory.delete(name)
    before = kept(world)
    assert before and all(one.hidden for one in before)
    stand.later(days=1000)
    assert (expunge(stand.process).removed, kept(world)) == (0, before)


def test_a_mark_that_was_dated_back_does_not_hurry_it(stand: Stand) -> None:
    """Whoever deletes a record by sabotage, and leaves marks: the store says when that was, so it can be undone."""
    record, world = stand.head().record_id, stand.process.world
    for name in rests(stand, f"records/{record}/"):
        world.memory.delete(name)
    world.memory.create(ended_name(world.clock.now - timedelta(days=365), record), b"")
    before = kept(world)
    stand.later(days=6)
    report = expunge(stand.process)
    assert (report.waiting, report.removed, kept(world)) == (1, 0, before)


def test_deletions_that_are_younger_than_the_mark_are_waited_for(stand: Stand) -> None:
    record, world = deleted_on_request(stand), stand.process.world
    stand.later(days=3)
    late = f"records/{record}/documents/{'b' * 26}"
    world.memory.create(late, b"sealed")
    world.memory.delete(late)
    stand.later(days=5)
    assert expunge(stand.process).records == 0
    assert [one.name for one in kept(world)] == [late]
    assert len(rests(stand, "ended/")) == 1
    stand.later(days=4)
    assert expunge(stand.process).records == 1
    assert kept(world) == []
    assert rests(stand, "ended/") == []


def test_a_record_opened_anew_meanwhile_loses_its_earlier_life_only(stand: Stand) -> None:
    record, world = deleted_on_request(stand), stand.process.world
    stand.later(days=2)
    assert stand.post(INSURER, bodies.consent_opening(DOMINIQUE)).status == 201
    good(stand.grant("practice"))
    present = stand.process.world.memory.read(dossier_name(record))
    stand.later(days=6)
    assert expunge(stand.process).records == 1
    assert [(one.name, one.versions, one.hidden, one.deletions) for one in kept(world)] == [
        (dossier_name(record), 2, False, 0)
    ], "the versions of its new life"
    assert world.memory.read(dossier_name(record)) == present
    assert stand.sees(HOLDER) == 0


def test_a_run_is_bounded_in_records_and_the_next_one_goes_on(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    record, world = deleted_on_request(stand), stand.process.world
    others = [letter * 26 for letter in "bcd"]
    for other in others:
        world.memory.create(dossier_name(other), b"sealed")
        world.memory.delete(dossier_name(other))
        world.memory.create(ended_name(world.clock.now, other), b"")
    stand.later(days=8)
    monkeypatch.setattr(function, "MOST_RECORDS", 3)
    first = expunge(stand.process)
    assert (first.records, first.finished) == (3, False)
    second = expunge(stand.process)
    assert (second.records, second.finished, kept(world)) == (1, True, [])
    assert len(rests(stand, "expunged/")) == len({record, *others})


def test_a_run_is_bounded_in_time_also_within_one_object(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted_on_request(stand)
    stand.later(days=8)
    monkeypatch.setattr(function, "STEP", 1)
    clock = stand.process.world.clock
    stand.process.store.waits_after = lambda call: (
        clock.advance(timedelta(minutes=2)) if call.operation is StoreOperation.DELETE_VERSIONS else None
    )
    first = expunge(stand.process)
    assert (first.removed, first.records, first.finished) == (2, 0, False)
    assert len(rests(stand, "ended/")) == 1
    stand.process.store.waits_after = lambda _: None
    assert expunge(stand.process).records == 1
    assert kept(stand.process.world) == []


def test_two_runs_at_once_disturb_nobody(stand: Stand) -> None:
    deleted_on_request(stand)
    stand.later(days=8)
    other, begun = Process(stand.process.world), list[Call]()

    def waits(call: Call) -> None:
        if call.operation is StoreOperation.DELETE_VERSIONS and not begun:
            begun.append(call)
            assert expunge(other).records == 1

    stand.process.store.waits = waits
    report = expunge(stand.process)
    assert begun and report.failed == 0
    assert kept(stand.process.world) == []
    assert rests(stand, "ended/") == []
    assert len(rests(stand, "expunged/")) == 1


def test_on_a_store_that_keeps_nothing_a_deletion_is_through_at_once(full: World) -> None:
    process = opened(share=False)
    stand = Stand(process)
    deleted_on_request(stand)
    (mark,) = rests(stand, "ended/")
    events = rests(stand, "journal/events/")
    stand.later(days=8)
    assert expunge(process).removed == 0
    assert rests(stand, "expunged/") == [expunged_name(mark)]
    assert rests(stand, "journal/events/") == events, "nothing was done, and nothing is traced"


def test_marks_that_every_backup_has_seen_are_swept(stand: Stand) -> None:
    deleted_on_request(stand)
    stand.later(days=8)
    expunge(stand.process)
    stand.later(days=172)
    assert expunge(stand.process).marks.swept == 0
    stand.later(days=1)
    assert expunge(stand.process).marks.swept == 1
    assert rests(stand, "expunged/") == []


def test_a_dossier_does_not_go_before_its_mark_is_there(stand: Stand) -> None:
    """Else nobody would ever look at what the host keeps of it."""
    record = stand.head().record_id
    stand.process.store.faults = lambda call: Fault.FAILS if call.name.startswith("ended/") else None
    good(life(stand, HOLDER, active=False))
    stand.later(days=3653)
    assert upkeep(stand).due.failed == 1
    assert rests(stand, "records/") == [dossier_name(record)]
    stand.process.store.faults = lambda _: None
    assert upkeep(stand).due.deleted == 1
    assert rests(stand, "ended/") == [ended_name(stand.process.world.clock.now, record)]


def test_the_function_can_read_nothing_and_delete_nothing_that_can_be_read(stand: Stand) -> None:
    record, store = stand.head().record_id, runtime_of(stand.process, "expunge").store
    for attempt in (store.read, store.delete, store.locked_until):
        with pytest.raises(ObjectRightDenied):
            attempt(dossier_name(record))
    for name in ("configuration/clients/lab", "journal/events/2026-01-01/00/00/0.x", "due/2026-01-01/x"):
        with pytest.raises(ObjectRightDenied):
            store.expunge(name, deleted_before=stand.process.clock(), most=1)


def test_the_task_logs_numbers_and_no_record(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    record = deleted_on_request(stand)
    stand.later(days=8)
    told: list[tuple[log.LogEvent, dict[str, object]]] = []
    monkeypatch.setattr(function, "log", lambda event, **facts: told.append((event, facts)))
    stand.process.store.faults = lambda call: Fault.FAILS if call.operation is StoreOperation.DELETE_VERSIONS else None
    task = function.build(runtime_of(stand.process, "expunge"))
    assert task()["failed"] == 1
    assert [event for event, _ in told] == [log.LogEvent.EXPUNGED, log.LogEvent.UNAVAILABLE]
    stand.process.store.faults = lambda _: None
    assert task()["records_expunged"] == 1
    assert record not in str(told)


def test_marks_are_parsed_strictly() -> None:
    name = ended_name(DAY_ZERO, "a" * 26)
    assert name == f"ended/2026-03-01/{'a' * 26}"
    assert parse_ended(name) == (DAY_ZERO.date(), "a" * 26)
    assert parse_ended(expunged_name(name)) == (DAY_ZERO.date(), "a" * 26)
    for bad in ("ended/2026-13-01/" + "a" * 26, "due/2026-03-01/" + "a" * 26, name + "a", name[:-1], "ended/x"):
        assert parse_ended(bad) is None
        assert not is_told(bad, DAY_ZERO + 1000 * DAY)
