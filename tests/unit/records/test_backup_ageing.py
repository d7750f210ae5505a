"""What was deleted on the stage leaves a backup in its time; what only vanished never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.objects import Fault, MemoryStore, PolicingStore, VersionedStore, on_calls
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import StoreOperation
from sceau.records.backup import ageing
from sceau.records.backup.format import FORMATS, MARKER, decode_end, encode_end, encode_marker, end_name
from sceau.records.backup.manifests import Manifests
from sceau.records.backup.state import BackupVersions, state_of
from sceau.records.ended import ended_name, expunged_name, leave_ended
from sceau.records.repository import dossier_name
from unit.http.rewrap_world import document
from unit.records.backup_world import STAGE, BackupWorld, advance
from unit.records.test_dossier import RECORD, an_id

DOSSIER = dossier_name(RECORD)
OTHER = an_id(99)
DAY = timedelta(days=1)
SECOND = {
    "runs/": frozenset({StoreOperation.CREATE}),
    "objects/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE, StoreOperation.DELETE_VERSIONS}),
    "sceau-backup": frozenset({StoreOperation.CREATE}),
}
"""How the objects of a backup change."""


@pytest.fixture(params=[MemoryStore, VersionedStore], ids=["no versions", "versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> BackupWorld:
    world = BackupWorld(tmp_path, memory=request.param)
    world.second = VersionedStore(world.clock)
    world.publish(OTHER, 2)
    world.publish_more(RECORD, 4)
    world.trace(OTHER)
    world.seal()
    return world


def vanish(world: BackupWorld, record_id: str = RECORD) -> None:
    for name in list(world.memory.list(f"records/{record_id}/")):
        world.memory.delete(name)


def delete(world: BackupWorld, record_id: str = RECORD) -> None:
    """As `upkeep` does it."""
    advance(world.clock, hours=1)
    for name in list(world.memory.list(f"records/{record_id}/documents/")):
        world.memory.delete(name)
    leave_ended(world.memory, world.clock(), record_id)
    advance(world.clock, seconds=1)
    world.memory.delete(dossier_name(record_id))


def held(world: BackupWorld, record_id: str = RECORD) -> list[str]:
    """What the backup holds of a record, hidden or not."""
    return [one.name for one in world.second.versions(f"objects/records/{record_id}/")]


def contents(world: BackupWorld) -> int:
    """Of how many the record has in the backup, once a run was made."""
    world.backup()
    return len(held(world))


def good(world: BackupWorld) -> None:
    found = world.verify()
    assert (found.findings, found.stray) == ([], 0)


def test_a_deleted_record_leaves_the_backup_with_all_its_versions_and_nothing_else_does(world: BackupWorld) -> None:
    world.backup()
    world.publish_more(RECORD, 5)
    world.backup()
    whole, others = held(world), held(world, OTHER)
    assert len(whole) >= 5 + 2, "five documents, two versions of its dossier, or more"
    delete(world)
    assert world.backup().aged_out == 0
    advance(world.clock, days=29)
    assert (world.backup().aged_out, held(world)) == (0, whole)
    good(world)
    advance(world.clock, days=1)
    report = world.backup()
    assert (report.records_aged_out, report.aged_out, report.problems) == (1, len(whole), [])
    assert held(world) == []
    assert held(world, OTHER) == others
    good(world)
    advance(world.clock, days=30)
    assert (world.backup().aged_out, world.backup().contents) == (0, 0)
    target = world.empty()
    assert world.restore(target).findings == []
    assert not list(target.list(f"records/{RECORD}/"))
    assert world.log_verified(target).good


def test_what_vanished_without_a_mark_is_kept_for_ever_and_told(world: BackupWorld) -> None:
    world.backup()
    before = held(world)
    vanish(world)
    world.backup()
    for days, told in ((33, 0), (2, 1), (3000, 1)):
        advance(world.clock, days=days)
        assert (world.backup().aged_out, held(world)) == (0, before)
        assert len(world.verify().findings) == told
    assert (
        f"records/{RECORD}/ is gone on the stage, and nothing says that its life was over"
        in (world.verify().findings[0])
    )


@pytest.mark.parametrize("half", [False, True], ids=["all of it", "half of it"])
def test_a_stage_that_is_suddenly_empty_takes_nothing_with_it(world: BackupWorld, half: bool) -> None:
    world.backup()
    before = held(world), held(world, OTHER)
    for name in list(world.memory.list("records/" + (RECORD if half else ""))):
        world.memory.delete(name)
    for days in (0, 31, 100):
        advance(world.clock, days=days)
        assert world.backup().aged_out == 0
    assert (held(world), held(world, OTHER)) == before


def test_a_mark_alone_takes_nothing_out(world: BackupWorld) -> None:
    world.memory.create(ended_name(world.clock() - 300 * DAY, RECORD), b"")
    for number, days in enumerate((0, 31, 31)):
        advance(world.clock, days=days)
        world.publish_more(RECORD, 10 + number)
        before = set(held(world))
        assert world.backup().aged_out == 0
        assert before < set(held(world))
    good(world)


def test_days_are_counted_from_the_run_that_saw_it_gone(world: BackupWorld) -> None:
    whole = contents(world)
    delete(world)
    advance(world.clock, days=100)
    assert world.backup().aged_out == 0
    advance(world.clock, days=29)
    assert world.backup().aged_out == 0
    advance(world.clock, days=1)
    assert world.backup().aged_out == whole


def test_of_two_lives_of_a_record_the_first_goes_and_the_second_stays(world: BackupWorld) -> None:
    whole = contents(world)
    delete(world)
    world.backup()
    advance(world.clock, days=1)
    world.publish(RECORD, 1)
    world.backup()
    advance(world.clock, days=30)
    assert world.backup().aged_out == whole
    second = held(world)
    assert len(second) == 2
    good(world)
    target = world.empty()
    world.restore(target)
    assert len(list(target.list(f"records/{RECORD}/"))) == 2
    # And vanishes, which the first life's mark says nothing of.
    vanish(world)
    for days in (0, 31, 31):
        advance(world.clock, days=days)
        assert (world.backup().aged_out, held(world)) == (0, second)


def test_a_record_deleted_and_opened_anew_between_two_runs(world: BackupWorld) -> None:
    """No run saw its dossier gone; and the host may still keep the first life's, behind a deletion."""
    whole = contents(world)
    delete(world)
    advance(world.clock, days=1)
    world.publish(RECORD, 0)
    world.publish_more(RECORD, 40)
    world.backup()
    advance(world.clock, days=15)
    world.publish_more(RECORD, 30)
    world.backup()
    advance(world.clock, days=15)
    report = world.backup()
    assert (report.aged_out, report.problems) == (whole, []), "its first dossier, too"
    good(world)
    state = state_of(Manifests(world.second).copies()).values()
    assert {one.object_name for one in state if RECORD in one.name and one.name.startswith("records/")} <= set(
        held(world)
    )
    target = world.empty()
    assert world.restore(target).findings == []


def test_a_run_that_never_saw_the_first_mark_goes_by_the_second(world: BackupWorld) -> None:
    whole = contents(world)
    delete(world)
    (mark,) = world.memory.list("ended/")
    advance(world.clock, days=8)
    world.memory.delete(mark)
    world.memory.create(expunged_name(mark), b"")
    world.backup()
    advance(world.clock, days=30)
    assert world.backup().aged_out == whole
    good(world)


def test_what_outstays_its_time_is_told(world: BackupWorld) -> None:
    world.backup()
    delete(world)
    world.backup()
    advance(world.clock, days=33)
    good(world)
    advance(world.clock, days=2)
    assert world.verify().findings == [
        f"records/{RECORD}/ was deleted on the stage, and was to leave the backup more than 4 days ago"
    ]
    world.backup()
    good(world)


def test_what_aged_out_and_is_there_again_is_told(world: BackupWorld) -> None:
    world.backup()
    name = held(world)[0]
    data = world.second.read(name).data
    delete(world)
    world.backup()
    advance(world.clock, days=31)
    world.backup()
    world.second.create(name, data)
    assert world.verify().findings == [f"{name} aged out, and is there again"]


def test_what_is_locked_waits_and_is_told(world: BackupWorld) -> None:
    whole = contents(world)
    locked = held(world)[0]
    world.second.extend_lock(locked, world.clock() + 60 * DAY)
    delete(world)
    world.backup()
    advance(world.clock, days=31)
    report = world.backup()
    assert (report.aged_out, report.problems) == (whole - 1, [f"{locked} was to age out, and is locked"])
    assert held(world) == [locked]
    advance(world.clock, days=30)
    report = world.backup()
    assert (report.aged_out, report.problems, held(world)) == (1, [], [])
    good(world)


def test_what_somebody_hid_in_the_backup_goes_too(world: BackupWorld) -> None:
    world.backup()
    world.second.delete(held(world)[0])
    delete(world)
    world.backup()
    advance(world.clock, days=31)
    assert world.backup().problems == []
    assert held(world) == []


def test_what_a_run_left_unnamed_goes_with_its_record_and_no_sooner(world: BackupWorld) -> None:
    world.backup()
    left = f"objects/{document(an_id(55))}.{'0' * 64}"
    world.second.create(left, b"sealed: of a run that died")
    world.second.create(f"objects/{dossier_name(OTHER)}.{'0' * 64}", b"the same, of another")
    delete(world)
    world.backup()
    assert left in held(world)
    advance(world.clock, days=31)
    world.backup()
    assert held(world) == []
    assert world.verify().stray == 1


def test_where_our_clock_and_the_stage_s_differ_nothing_ages_out(
    world: BackupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.backup()
    delete(world)
    world.backup()
    advance(world.clock, days=31)
    before, source = held(world), PolicingStore(world.memory)
    monkeypatch.setattr(source, "time", lambda: world.clock() - 31 * DAY)
    report = world.backup(source=source)
    assert (report.aged_out, held(world)) == (0, before)
    assert report.problems == ["our clock and the stage's differ: nothing ages out by it"]


def test_one_run_takes_out_so_many_records_at_most(world: BackupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.backup()
    for record in (RECORD, OTHER):
        delete(world, record)
    world.backup()
    advance(world.clock, days=31)
    monkeypatch.setattr(ageing, "MOST_RECORDS", 1)
    assert [world.backup().records_aged_out for _ in range(3)] == [1, 1, 0]
    assert held(world) == held(world, OTHER) == []


def test_a_state_of_before_is_restored_without_what_aged_out(world: BackupWorld) -> None:
    world.backup()
    then = advance(world.clock, days=1)
    delete(world)
    world.backup()
    advance(world.clock, days=31)
    world.backup()
    target = world.empty()
    done = world.restore(target, at=then)
    assert (done.findings, done.aged_out) == ([], 5)
    assert not list(target.list(f"records/{RECORD}/"))
    assert len(list(target.list(f"records/{OTHER}/"))) == 3


def test_no_version_of_it_is_offered_for_restoring_it(world: BackupWorld) -> None:
    world.backup()
    delete(world)
    world.backup()
    before = BackupVersions(world.second, f"records/{RECORD}/").history(DOSSIER)
    assert [one.is_deletion for one in before][:2] == [True, False]
    advance(world.clock, days=31)
    world.backup()
    history = BackupVersions(world.second, f"records/{RECORD}/").history(DOSSIER)
    assert [one.is_deletion for one in history] == [True]


def test_a_backup_that_was_begun_under_format_1_goes_on(world: BackupWorld) -> None:
    whole = contents(world)
    old = FORMATS[0]
    end = decode_end(world.second.read(end_name(1)).data)
    for name, data in (
        (end_name(1), encode_end(replace(end, format=old))),
        (MARKER, encode_marker(STAGE).replace(b"sceau-backup/2", old.encode())),
    ):
        world.second.replace(name, data, expected=world.second.read(name).tag)
    delete(world)
    world.backup()
    advance(world.clock, days=31)
    assert world.backup().aged_out == whole
    good(world)


def doing(world: BackupWorld, second: ObjectStore) -> int:
    """A run; how many contents aged out, 0 when it ended with an error."""
    try:
        return world.backup(target=second).aged_out
    except ObjectStoreUnavailable:
        return 0


@pytest.mark.parametrize("fault", Fault)
def test_each_call_of_the_second_store_fails_in_turn(tmp_path: Path, fault: Fault) -> None:
    number, done = 0, False
    while not done:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        world = BackupWorld(folder)
        world.second = VersionedStore(world.clock)
        world.publish(OTHER, 1)
        world.backup()
        delete(world)
        world.backup()
        advance(world.clock, days=31)
        others = held(world, OTHER)
        second = PolicingStore(world.second, changes=SECOND)
        second.faults = on_calls(number, fault=fault)
        doing(world, second)
        done = len(second.calls) < number
        world.backup()
        assert held(world) == []
        assert held(world, OTHER) == others
        good(world)
    assert number > 20
