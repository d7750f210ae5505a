"""Moving records to the newest versions of their keys: whole, traced, resumable, and beside live traffic."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from fakes.key_stands import aws_keys
from fakes.keys import PolicingKeys, on, on_calls as on_key_calls
from fakes.kms_client import StandInKms
from fakes.objects import Call, Fault, PolicingStore, on_calls
from sceau.http.rewrap import MOST_DOCUMENTS, Report
from sceau.http.runtime import SwitchedOff
from sceau.keys.custody import CustodyKeyService
from sceau.keys.errors import KeyServiceUnavailable
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation
from sceau.records.errors import CommitLost
from sceau.records.repository import dossier_name
from sceau.records.sweep import UNREACHED_FOR, Budget, sweep_documents
from unit.http.rewrap_world import SECOND, RewrapWorld, document
from unit.records.test_dossier import RECORD, an_id

BOTH = (KeyName.DOSSIER, KeyName.CONTENT)
WRITES = {StoreOperation.CREATE, StoreOperation.CREATE_LOCKED, StoreOperation.REPLACE, StoreOperation.DELETE}


@pytest.fixture
def world(tmp_path: Path) -> RewrapWorld:
    return RewrapWorld(tmp_path)


def test_everything_of_a_record_moves_to_the_newest_versions(world: RewrapWorld) -> None:
    before = world.check()
    world.rotate(*BOTH)
    report = world.start().run()
    after = world.check()
    assert (report.rewrapped, report.documents, report.is_complete) == (1, 3, True)
    assert world.needed() == {"dossier": {"2": 1}, "content": {"2": 3}}
    assert after.object_names == tuple(sorted(f"{document(an_id(number))}.1" for number in (1, 2, 3)))
    assert after.head.version == before.head.version + 1
    world.disable(*BOTH)
    world.check()


def test_nothing_but_where_its_documents_are_changes_in_a_record(world: RewrapWorld) -> None:
    before = world.check()
    world.rotate(*BOTH)
    world.start().run()
    after = world.check()
    places = {"object_name", "sealed_sha256"}
    for old, new in zip(before.entries.rows(), after.entries.rows(), strict=True):
        assert new.model_dump(exclude={"document"}) == old.model_dump(exclude={"document"})
        assert new.document.model_dump(exclude=places) == old.document.model_dump(exclude=places)
        assert after.entries.blob(new.id) == before.entries.blob(old.id)
    assert after.sets.rows() == before.sets.rows()
    changed = {"version"}
    assert after.head.model_dump(exclude=changed) == before.head.model_dump(exclude=changed)
    assert after.identifiers == before.identifiers


def test_a_rotated_dossier_key_moves_the_dossier_alone(world: RewrapWorld) -> None:
    world.rotate(KeyName.DOSSIER)
    store = PolicingStore(world.memory)
    world.start(store=store).run()
    assert store.count(StoreOperation.CREATE) == 0
    assert world.needed() == {"dossier": {"2": 1}, "content": {"1": 3}}
    world.check()


def test_where_nothing_is_stale_nothing_is_opened_and_nothing_written(world: RewrapWorld) -> None:
    store, keys = PolicingStore(world.memory), PolicingKeys(world.service)
    report = world.start(store=store, keys=keys).run()
    assert (report.looked_at, report.rewrapped, report.is_complete) == (1, 0, True)
    assert not [call for call in store.calls if call.operation in WRITES]
    assert [(call.operation, call.key) for call in keys.calls] == [
        (KeyOperation.WRAP, KeyName.DOSSIER),
        (KeyOperation.WRAP, KeyName.CONTENT),
    ]


def test_a_second_run_finds_nothing_to_do_and_a_second_rotation_counts_on(world: RewrapWorld) -> None:
    for expected in (".1", ".2"):
        world.rotate(KeyName.CONTENT)
        world.start().run()
        assert world.start().run().rewrapped == 0
        assert all(name.endswith(expected) for name in world.check().object_names)


def test_a_document_is_opened_and_a_commit_made_only_after_its_event_rests(world: RewrapWorld) -> None:
    world.rotate(*BOTH)
    store, keys = PolicingStore(world.memory), PolicingKeys(world.service)
    order: list[str] = []
    store.waits_after = lambda call: order.append(f"{call.operation} {call.name.split('/')[0]}")
    keys.waits = lambda call: order.append(f"{call.operation} {call.key}")
    world.start(store=store, keys=keys).run()
    event = order.index("create-locked journal")
    assert event < order.index("unwrap content") < order.index("create records") < order.index("replace records")
    assert order.count("create-locked journal") == order.count("replace records") == 1


def test_the_event_tells_the_act_and_the_keys_and_nothing_of_what_the_record_holds(world: RewrapWorld) -> None:
    world.rotate(*BOTH)
    world.start().run()
    event = world.events()[world.check().commits.last]
    assert (event.action, event.outcome) == ("U", "0")
    assert event.type.code == "encrypt"
    text = event.model_dump_json()
    assert "dossier-key" in text
    assert "local 2" in text
    for number in (1, 2, 3):
        assert an_id(number) not in text


def test_a_record_with_many_documents_gets_several_commits_each_with_its_event(tmp_path: Path) -> None:
    world = RewrapWorld(tmp_path, documents=2 * MOST_DOCUMENTS + 5)
    world.rotate(*BOTH)
    report = world.start().run()
    after = world.check()
    assert report.documents == 2 * MOST_DOCUMENTS + 5
    assert after.head.version == 4
    assert len(set(list(after.commits)[1:])) == 3
    assert world.needed()["content"] == {"2": 2 * MOST_DOCUMENTS + 5}


# Off, but during a rotation.


def test_it_does_nothing_while_it_is_off(world: RewrapWorld) -> None:
    world.rotate(*BOTH)
    store, keys = PolicingStore(world.memory), PolicingKeys(world.service)
    with pytest.raises(SwitchedOff, match="rewrap is off on stage local"):
        world.start(store=store, keys=keys, on=False).run()
    assert (store.calls, keys.calls) == ([], [])


def test_it_does_nothing_once_its_time_is_over_though_it_started_before(world: RewrapWorld) -> None:
    world.rotate(*BOTH)
    store = PolicingStore(world.memory)
    running = world.start(store=store)
    world.clock.now = world.until
    with pytest.raises(SwitchedOff, match="until 2026-04-01"):
        running.run()
    assert store.calls == []


# Versions that are gone, and damage.


def test_what_a_version_that_is_gone_held_is_told_and_all_else_moves(tmp_path: Path) -> None:
    world = RewrapWorld(tmp_path, documents=1)
    world.rotate(KeyName.CONTENT)
    world.publish_more(RECORD, 2)
    world.rotate(*BOTH)
    world.disable(KeyName.CONTENT)
    report = world.start().run()
    assert (report.gone, report.documents, report.rewrapped, report.is_complete) == (1, 1, 1, False)
    assert world.needed() == {"dossier": {"2": 1}, "content": {"1": 1, "3": 1}}
    again = world.start().run()
    assert (again.gone, again.documents, again.rewrapped) == (1, 0, 0)
    assert len(world.events()) == 2, "what could not be opened was announced"


def test_a_record_whose_dossier_can_not_be_opened_is_told_and_the_others_move(world: RewrapWorld) -> None:
    world.rotate(KeyName.DOSSIER)
    world.publish(SECOND, 2)
    world.rotate(*BOTH)
    world.disable(KeyName.DOSSIER)
    report = world.start().run()
    assert (report.gone, report.rewrapped, report.documents) == (1, 1, 2)
    world.check(SECOND)


def test_a_damaged_record_is_told_and_left_and_the_others_move(world: RewrapWorld) -> None:
    world.publish(SECOND, 2)
    stored = world.memory.read(dossier_name(RECORD))
    world.memory.replace(dossier_name(RECORD), stored.data[:-1], expected=stored.tag)
    world.rotate(*BOTH)
    report = world.start().run()
    assert report.damaged == [RECORD]
    assert world.memory.read(dossier_name(RECORD)).data == stored.data[:-1]
    assert (report.rewrapped, report.documents) == (1, 2)
    world.check(SECOND)


def test_the_key_service_away_before_anything_is_an_error_and_away_later_is_counted(world: RewrapWorld) -> None:
    world.rotate(*BOTH)
    keys = PolicingKeys(world.service, fails=on_key_calls(1))
    with pytest.raises(KeyServiceUnavailable):
        world.start(keys=keys).run()
    keys = PolicingKeys(world.service, fails=on(KeyOperation.UNWRAP))
    report = world.start(keys=keys).run()
    assert (report.failed, report.rewrapped, report.is_complete) == (1, 0, False)
    world.check()


# Wherever it ends, the next run goes on.


def test_a_run_ends_when_its_time_is_over_and_the_next_goes_on(world: RewrapWorld) -> None:
    world.publish(SECOND, 2)
    world.rotate(*BOTH)
    store = PolicingStore(world.memory, waits=lambda _: world.clock.advance(timedelta(seconds=1)))
    report = world.start(store=store).run(longest=timedelta(seconds=3))
    assert (report.finished, report.looked_at) == (False, 1)
    assert world.start().run().is_complete
    assert world.needed() == {"dossier": {"2": 2}, "content": {"2": 5}}


@pytest.mark.parametrize("fault", list(Fault))
def test_whichever_call_of_the_store_fails_the_record_is_whole_and_the_next_run_ends_the_work(
    fault: Fault, world: RewrapWorld, counted: Callable[[int], None]
) -> None:
    world.rotate(*BOTH)
    calls = PolicingStore(world.copy().memory)
    whole = world.copy()
    whole.memory = calls.inner  # type: ignore[assignment]
    whole.start(store=calls).run()
    for number in range(1, len(calls.calls) + 1):
        trial = world.copy()
        store = PolicingStore(trial.memory, faults=on_calls(number, fault=fault))
        trial.start(store=store).run()
        assert store.misuses == []
        trial.check()
        assert trial.start().run().is_complete
        trial.check()
        assert trial.needed() == {"dossier": {"2": 1}, "content": {"2": 3}}
    counted(len(calls.calls))


def test_whichever_call_of_the_key_service_fails_likewise(world: RewrapWorld, counted: Callable[[int], None]) -> None:
    world.rotate(*BOTH)
    keys = PolicingKeys(world.service)
    world.copy().start(keys=keys).run()
    for number in range(3, len(keys.calls) + 1):
        trial = world.copy()
        trial.start(keys=PolicingKeys(world.service, fails=on_key_calls(number))).run()
        trial.check()
        assert trial.start().run().is_complete
        assert trial.needed() == {"dossier": {"2": 1}, "content": {"2": 3}}
    counted(len(keys.calls) - 2)


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [False, True])
def test_wherever_it_dies_the_record_is_whole_and_what_is_left_behind_is_swept(
    after: bool, world: RewrapWorld, counted: Callable[[int], None]
) -> None:
    world.rotate(*BOTH)
    whole = world.copy()
    calls = PolicingStore(whole.memory)
    whole.start(store=calls).run()
    for number in range(1, len(calls.calls) + 1):
        trial = world.copy()

        def die(call: Call, at: int = number) -> None:
            if call.number == at:
                raise Died

        store = PolicingStore(trial.memory)
        store.waits, store.waits_after = (store.waits, die) if after else (die, store.waits_after)
        with pytest.raises(Died):
            trial.start(store=store).run()
        trial.check()
        assert trial.start().run().is_complete
        reached = trial.check().object_names
        trial.clock.advance(UNREACHED_FOR + timedelta(minutes=10))
        sweep_documents(trial.memory, Budget(1000, trial.clock() + timedelta(hours=1), trial.clock), start=an_id(1))
        left = [name for name in trial.memory.list("records/") if "/documents/" in name]
        assert left == list(reached)
        trial.check()
    counted(len(calls.calls))


# Beside live traffic.


def test_a_publication_at_any_moment_is_neither_lost_nor_disturbed(
    world: RewrapWorld, counted: Callable[[int], None]
) -> None:
    world.rotate(*BOTH)
    whole = world.copy()
    calls = PolicingStore(whole.memory)
    whole.start(store=calls).run()
    for number in range(1, len(calls.calls) + 1):
        trial = world.copy()

        def publish(call: Call, at: int = number, trial: RewrapWorld = trial) -> None:
            if call.number == at:
                trial.publish_more(RECORD, 9)

        report = trial.start(store=PolicingStore(trial.memory, waits=publish)).run()
        dossier = trial.check()
        assert an_id(9) in dossier.entries
        assert report.is_complete
        assert trial.needed() == {"dossier": {"2": 1}, "content": {"2": 4}}
    counted(len(calls.calls))


def test_two_runs_and_a_writer_at_once_lose_nothing(tmp_path: Path) -> None:
    world = RewrapWorld(tmp_path, documents=8)
    world.rotate(*BOTH)

    def write() -> None:
        numbers = count(20)  # each attempt has ids of its own
        for _ in range(20):
            while True:
                try:
                    world.publish_more(RECORD, next(numbers))
                except CommitLost:
                    continue
                break

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(world.start().run) for _ in range(2)]
        pool.submit(write).result()
        assert all(run.result().failed == 0 for run in runs)
    world.start().run()
    dossier = world.check()
    assert len(dossier.entries) == 28
    assert world.needed() == {"dossier": {"2": 1}, "content": {"2": 28}}


def test_a_record_that_changes_before_every_commit_is_told_and_not_fought_for(
    world: RewrapWorld, tmp_path: Path
) -> None:
    (tmp_path / "then").mkdir()
    shutil.copy(world.path, tmp_path / "then" / "keys.json")
    writer = world.copy()
    writer.memory = world.memory
    writer.service = LocalKeyService(tmp_path / "then" / "keys.json")  # has not noticed the new version yet
    world.rotate(KeyName.DOSSIER)
    numbers = iter(range(10, 1000))

    def publish(call: Call) -> None:
        if call.operation is StoreOperation.REPLACE:
            writer.publish_more(RECORD, next(numbers))

    report = world.start(store=PolicingStore(world.memory, waits=publish)).run()
    assert (report.busy, report.rewrapped, report.is_complete) == (1, 0, False)
    world.check()
    assert world.start().run().is_complete


# Other key services.


def test_where_a_provider_hides_its_rotation_what_was_written_before_a_time_moves_once(tmp_path: Path) -> None:
    kms = StandInKms()
    world = RewrapWorld(
        tmp_path, keys=aws_keys(kms, {key: [kms.create(signing=key in SIGNING_KEYS)] for key in KeyName})
    )
    world.clock.advance(timedelta(days=1))
    rotated = world.clock()
    assert world.start().run().rewrapped == 0, "its versions can't be told apart"
    world.clock.advance(timedelta(hours=1))
    assert world.start().run(written_before=rotated).documents == 3
    assert world.start().run(written_before=rotated).rewrapped == 0
    assert all(name.endswith(".1") for name in world.check().object_names)


def test_records_move_into_custody(tmp_path: Path, world: RewrapWorld) -> None:
    (tmp_path / "second").mkdir()
    create_key_file(tmp_path / "second" / "keys.json", clock=world.clock)
    second = LocalKeyService(tmp_path / "second" / "keys.json")
    first = world.service
    world.service = CustodyKeyService(first, second, frozenset(BOTH), single=True)
    assert world.start().run().documents == 3
    world.service = CustodyKeyService(first, second, frozenset(BOTH))
    world.check()
    assert world.needed() == {"dossier": {"1 and 1": 1}, "content": {"1 and 1": 3}}


def test_figures_for_the_log_are_numbers() -> None:
    figures = Report(damaged=["x"]).figures()
    assert all(isinstance(value, int | float) for value in figures.values())
    assert "x" not in json.dumps(figures)
