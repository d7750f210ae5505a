"""A record is brought back to what it was: whole, traced before it happens, by a function that is off otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fakes.objects import Call, Fault, PolicingStore, VersionedStore, on
from sceau.audit.errors import JournalUnavailable
from sceau.http.expunge import expunging_of
from sceau.http.journals import journal_of, server_identity
from sceau.http.runtime import SwitchedOff
from sceau.http.undoing import NothingToRestore, Undoing, Undone
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectChanged, ObjectStoreUnavailable
from sceau.objects.ports import EarlierVersions
from sceau.objects.scoped import ScopedStore, StoreOperation
from sceau.records.backup.state import BackupVersions
from sceau.records.ended import leave_ended, parse_ended
from sceau.records.errors import RecordDamaged
from sceau.records.repository import dossier_name
from unit.http.rewrap_world import document
from unit.records.backup_world import BackupWorld, advance
from unit.records.test_dossier import RECORD, an_id

DOSSIER = dossier_name(RECORD)


def undo(
    world: BackupWorld, at: datetime, *, backup: bool = False, store: PolicingStore | None = None, on: bool = True
) -> Undone:
    """`sceau restore --record … --at TIME`, with or without a backup."""
    runtime = world.runtime("rewrap", store, on=on)
    assert isinstance(runtime.store, ScopedStore)
    sources: list[EarlierVersions] = [runtime.store]
    if backup:
        sources.append(BackupVersions(world.second, f"records/{RECORD}/"))
    return Undoing(runtime, journal_of(runtime), server_identity(runtime), sources).run(RECORD, at)


@pytest.fixture
def world(tmp_path: Path) -> BackupWorld:
    """On a host that keeps versions."""
    return BackupWorld(tmp_path, memory=VersionedStore)


def overwrite(world: BackupWorld, data: bytes) -> None:
    tag = world.memory.read(DOSSIER).tag
    world.memory.replace(DOSSIER, data, expected=tag)


def garbage(world: BackupWorld) -> None:
    overwrite(world, b"sceau-dossier 1\n\nnothing of ours")


def emptied(world: BackupWorld) -> None:
    """By someone with `ingest`'s rights: a valid next version, in which nothing is left."""
    loaded = world.records.load(RECORD)
    assert loaded is not None
    bare = type(loaded.dossier)(loaded.dossier.head, loaded.dossier.commits)
    event = world.events().popitem()[0]
    world.records.commit(bare.following(event, at=loaded.dossier.head.updated), replacing=loaded)


def deleted(world: BackupWorld) -> None:
    """By someone with the host's rights."""
    world.memory.delete(DOSSIER)
    for number in (1, 2, 3):
        world.memory.delete(document(an_id(number)))


def documents_overwritten(world: BackupWorld) -> None:
    for number in (1, 2):
        world.memory.delete(document(an_id(number)))
        world.memory.create(document(an_id(number)), b"another")


def put_back_an_old_one(world: BackupWorld) -> None:
    """A rollback: the host shows an earlier dossier as the present one."""
    first = world.memory.read(DOSSIER).data
    for number in (7, 8):
        world.publish_more(RECORD, number)
        advance(world.clock, minutes=1)
    overwrite(world, first)


ATTACKS: dict[str, Callable[[BackupWorld], None]] = {
    "a dossier overwritten with what is none": garbage,
    "a dossier overwritten with an empty one": emptied,
    "dossier and documents deleted": deleted,
    "documents overwritten": documents_overwritten,
    "an old dossier put back": put_back_an_old_one,
}


@pytest.mark.parametrize("backup", [False, True], ids=["from the host's versions", "with a backup, too"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_sabotaged_is_undone(world: BackupWorld, attack: str, backup: bool) -> None:
    before = world.check()
    world.backup()
    at = advance(world.clock, hours=1)
    ATTACKS[attack](world)
    advance(world.clock, minutes=10)
    done = undo(world, at, backup=backup)
    after = world.check()
    assert after.entries.ids() == before.entries.ids()
    assert after.sets.rows() == before.sets.rows()
    assert (done.back_to, done.version, done.lost) == (before.head.version, after.head.version, [])
    assert after.head.version == done.found + 1 > before.head.version
    world.publish_more(RECORD, 20)
    world.check()


def test_a_record_that_is_restored_is_not_expunged_any_more(world: BackupWorld) -> None:
    """Whoever deleted it by sabotage left the mark, too; another record's stays."""
    before = world.check()
    at = advance(world.clock, hours=1)
    deleted(world)
    other = an_id(99)
    for record in (RECORD, other):
        leave_ended(world.memory, world.clock(), record)
    advance(world.clock, minutes=10)
    undo(world, at)
    assert [parse_ended(name) for name in world.memory.list("ended/")] == [(world.clock().date(), other)]
    advance(world.clock, days=30)
    expunging_of(world.runtime("expunge")).run()
    assert next(world.memory.list("ended/"), None) is None, "it did run, and had the other record's mark to go by"
    kept = next(world.memory.versions(DOSSIER))
    assert (kept.versions, kept.deletions) == (2, 1), "what was before the sabotage, the deletion, and what undid it"
    assert world.check().entries.ids() == before.entries.ids()


@pytest.mark.parametrize("attack", [garbage, emptied, deleted, documents_overwritten])
def test_where_the_host_keeps_no_versions_the_backup_has_them(
    tmp_path: Path, attack: Callable[[BackupWorld], None]
) -> None:
    world = BackupWorld(tmp_path)
    before = world.check()
    world.backup()
    at = advance(world.clock, hours=1)
    attack(world)
    advance(world.clock, hours=1)
    world.backup()
    with pytest.raises(NothingToRestore):
        undo(world, at)
    undo(world, at, backup=True)
    assert world.check().entries.ids() == before.entries.ids()


def test_versions_go_on_rising_above_all_that_is_known(world: BackupWorld) -> None:
    """Also when an old dossier was put back: events say which versions there were."""
    world.check()
    at = advance(world.clock, hours=1)
    put_back_an_old_one(world)
    highest = 3
    advance(world.clock, minutes=1)
    done = undo(world, at)
    assert (done.back_to, done.found, done.version) == (1, highest, highest + 1)
    assert len(world.check().commits) == highest + 1


def test_the_undone_versions_stay_in_the_list_of_commits(world: BackupWorld) -> None:
    at = advance(world.clock, hours=1)
    emptied(world)
    advance(world.clock, minutes=1)
    loaded = world.records.load(RECORD)
    assert loaded is not None
    undo(world, at)
    assert list(world.check().commits)[:-1] == list(loaded.dossier.commits)


def test_the_event_rests_before_anything_of_the_record_changes_and_says_what_was_done(world: BackupWorld) -> None:
    at = advance(world.clock, hours=1)
    documents_overwritten(world)
    garbage(world)
    advance(world.clock, minutes=1)
    store = PolicingStore(world.memory, known=world.memory.list(""))
    undo(world, at, store=store)
    changes = {StoreOperation.CREATE, StoreOperation.CREATE_LOCKED, StoreOperation.REPLACE, StoreOperation.DELETE}
    order = [f"{call.operation} {call.name.split('/')[0]}" for call in store.calls if call.operation in changes]
    assert order == ["create-locked journal", "create records", "create records", "replace records"]
    event = world.events()[world.check().commits.last]
    assert (event.type.code, event.action, event.outcome) == ("restore", "U", "0")
    text = event.model_dump_json()
    assert "restored-version" in text and f"{at:%Y-%m-%dT%H:%M:%SZ}" in text


def test_without_its_event_nothing_happens(world: BackupWorld) -> None:
    at = advance(world.clock, hours=1)
    garbage(world)
    before = world.memory.read(DOSSIER)
    store = PolicingStore(world.memory, known=world.memory.list(""), faults=on(StoreOperation.CREATE_LOCKED))
    with pytest.raises(JournalUnavailable):
        undo(world, at, store=store)
    assert world.memory.read(DOSSIER) == before
    assert store.count(StoreOperation.CREATE) == store.count(StoreOperation.REPLACE) == 0


def test_a_lost_race_is_run_again_on_what_is_there_then(world: BackupWorld) -> None:
    before = world.check()
    at = advance(world.clock, hours=1)
    store = PolicingStore(world.memory, known=world.memory.list(""))
    raced: list[int] = []

    def race(call: Call) -> None:
        if call.operation is StoreOperation.REPLACE and len(raced) < 2:
            raced.append(1)
            world.publish_more(RECORD, 10 + len(raced))

    store.waits = race
    done = undo(world, at, store=store)
    assert done.version == before.head.version + 3
    assert world.check().entries.ids() == before.entries.ids()


@pytest.mark.parametrize("operation", [StoreOperation.CREATE, StoreOperation.REPLACE])
def test_a_try_that_fails_leaves_the_record_and_the_next_one_ends_well(
    world: BackupWorld, operation: StoreOperation
) -> None:
    before = world.check()
    at = advance(world.clock, hours=1)
    documents_overwritten(world)
    dossier = world.memory.read(DOSSIER)
    store = PolicingStore(world.memory, known=world.memory.list(""), faults=on(operation, fault=Fault.FAILS))
    with pytest.raises(ObjectStoreUnavailable):
        undo(world, at, store=store)
    assert world.memory.read(DOSSIER) == dossier
    undo(world, at)
    assert world.check().entries.ids() == before.entries.ids()


def test_what_no_source_has_any_more_is_named_as_lost(tmp_path: Path) -> None:
    world = BackupWorld(tmp_path)
    world.backup()
    at = advance(world.clock, hours=1)
    world.memory.delete(document(an_id(1)))
    copy = next(name for name in world.second.list(f"objects/{document(an_id(1))}"))
    world.second.delete(copy)
    done = undo(world, at, backup=True)
    assert done.lost == [document(an_id(1))]
    assert world.memory.read(document(an_id(2)))


def test_where_a_deletion_mark_stands_in_the_way_a_sentence_says_so(world: BackupWorld) -> None:
    """versitygw takes the mark of a deleted dossier for an object (tests/contract/test_s3_servers.py)."""
    at = advance(world.clock, hours=1)
    known = set(world.memory.list(""))
    deleted(world)
    advance(world.clock, minutes=1)

    class Marked(PolicingStore):
        def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
            if name == DOSSIER and expected is None:
                raise ObjectChanged(name)
            return super().replace(name, data, expected=expected)

    with pytest.raises(NothingToRestore, match="deletion mark"):
        undo(world, at, store=Marked(world.memory, known=known))
    assert len(set(world.memory.list(f"records/{RECORD}/documents/"))) == 3, "made once, though it was tried five times"


def test_a_time_before_the_record_restores_nothing_and_writes_no_event(world: BackupWorld) -> None:
    events = set(world.memory.list("journal/events/"))
    before = world.memory.read(DOSSIER)
    with pytest.raises(NothingToRestore, match="no version"):
        undo(world, world.clock() - timedelta(days=30))
    assert world.memory.read(DOSSIER) == before
    assert set(world.memory.list("journal/events/")) == events


def test_it_is_off_unless_switched_on_and_then_writes_nothing(world: BackupWorld) -> None:
    events = set(world.memory.list("journal/events/"))
    with pytest.raises(SwitchedOff):
        undo(world, world.clock(), on=False)
    world.until = world.clock() - timedelta(seconds=1)
    with pytest.raises(SwitchedOff):
        undo(world, world.clock())
    assert set(world.memory.list("journal/events/")) == events


def test_a_forged_version_in_the_history_is_passed_over(world: BackupWorld) -> None:
    """Of before the time, but it does not open in its place: the one before it does."""
    before = world.check()
    advance(world.clock, hours=1)
    garbage(world)
    at = advance(world.clock, hours=1)
    done = undo(world, at)
    assert done.back_to == before.head.version
    assert world.check().entries.ids() == before.entries.ids()


def test_a_version_under_a_key_that_is_gone_cant_be_brought_back(world: BackupWorld) -> None:
    at = advance(world.clock, hours=1)
    world.rotate(KeyName.DOSSIER)
    world.start().run()
    world.disable(KeyName.DOSSIER)
    with pytest.raises(NothingToRestore):
        undo(world, at)
    world.check()


def test_nobody_is_served_from_a_damaged_record_meanwhile(world: BackupWorld) -> None:
    garbage(world)
    with pytest.raises(RecordDamaged):
        world.records.load(RECORD)
