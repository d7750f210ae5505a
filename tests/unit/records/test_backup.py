"""Backups: what a run copies and in which order, what a verification finds, and what a restoration gives back."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.objects import Call, Fault, MemoryStore, PolicingStore, VersionedStore, on_calls
from fakes.witness import FakeWitness
from fixtures.damage import last_bit_flipped
from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.checkpoints import open_checkpoint
from sceau.audit.log.notes import parse_vkeys
from sceau.audit.log.places import CHECKPOINT, COSIGNED, COSIGNED_COPY, DATED, VKEYS
from sceau.audit.log.policies import parse_policy
from sceau.audit.log.witnessing import Witnesses, WitnessReport
from sceau.keys.errors import KeyRightDenied
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectAbsent, ObjectRightDenied, ObjectStoreUnavailable
from sceau.objects.ports import StoredObject
from sceau.objects.scoped import StoreOperation
from sceau.records.backup.copying import BATCH
from sceau.records.backup.format import BackupRefused, decode_part, end_name, parse_run_name, part_name, sha256_of
from sceau.records.backup.manifests import Manifests
from sceau.records.backup.state import state_of
from sceau.records.repository import dossier_name
from unit.audit.log.log_stand import Inline
from unit.http.rewrap_world import SECOND, document
from unit.records.backup_world import RETENTION, BackupWorld, advance
from unit.records.test_dossier import RECORD, an_id

SKIPPED = ("replay/", "revoked/", "probe/", "journal/records/", "journal/locks")


@pytest.fixture
def world(tmp_path: Path) -> BackupWorld:
    return BackupWorld(tmp_path)


def names_in(store: MemoryStore, prefix: str = "") -> set[str]:
    return set(store.list(prefix))


def held(world: BackupWorld) -> dict[str, str | None]:
    """What the backup says is there: digests by name."""
    return {name: copy.sha256 for name, copy in state_of(Manifests(world.second).copies()).items()}


def resting(store: MemoryStore) -> dict[str, str]:
    """What a store holds of that which a backup copies."""
    return {name: sha256_of(store.read(name).data) for name in store.list("") if not name.startswith(SKIPPED)}


# Copying


def test_a_run_copies_everything_sealed_as_it_rests_and_names_it_by_its_digest(world: BackupWorld) -> None:
    report = world.backup()
    assert report.problems == []
    assert held(world) == resting(world.memory)
    assert report.contents == len(held(world))
    for name, digest in held(world).items():
        assert world.second.read(f"objects/{name}.{digest}").data == world.memory.read(name).data


def test_what_expires_in_minutes_or_can_be_made_again_is_not_copied(world: BackupWorld) -> None:
    assert names_in(world.memory, "replay/") and names_in(world.memory, "journal/records/")
    world.backup()
    assert not any(name.startswith(SKIPPED) for name in held(world))


def test_it_holds_no_key_and_has_no_right_to_write_to_the_stage(world: BackupWorld) -> None:
    runtime = world.runtime("backup")
    for key in KeyName:
        with pytest.raises(KeyRightDenied):
            runtime.keys.unwrap(key, bytes(64), {})
        with pytest.raises(KeyRightDenied):
            runtime.keys.sign(key, bytes(32), version="1")
    for name in (dossier_name(RECORD), document(an_id(1)), "configuration/clients/lab", "journal/log/checkpoint"):
        for attempt in (runtime.store.delete, lambda one: runtime.store.create(one, b"x")):
            with pytest.raises(ObjectRightDenied):
                attempt(name)


def test_a_second_run_reads_only_what_is_new_or_has_changed(world: BackupWorld) -> None:
    world.backup()
    advance(world.clock, hours=1)
    source = PolicingStore(world.memory)
    quiet = world.backup(source=source)
    assert quiet.contents == 0
    assert [call.name for call in source.calls if call.operation is StoreOperation.READ] == [CHECKPOINT]
    world.publish_more(RECORD, 4)
    source.calls.clear()
    report = world.backup(source=source)
    assert report.contents == 2
    assert {call.name for call in source.calls if call.operation is StoreOperation.READ} == {
        dossier_name(RECORD),
        document(an_id(4)),
        CHECKPOINT,
    }
    assert held(world) == resting(world.memory)


def test_events_of_long_ago_are_not_listed_again_unless_asked_for(world: BackupWorld) -> None:
    world.backup()
    advance(world.clock, days=10)
    world.trace(RECORD)
    world.backup()
    advance(world.clock, days=10)
    source = PolicingStore(world.memory)
    assert world.backup(source=source).looked_at < world.backup(source=source, whole=True).looked_at
    assert held(world) == resting(world.memory)


def test_what_was_overwritten_in_place_is_copied_again_and_the_earlier_content_kept(world: BackupWorld) -> None:
    world.backup()
    before = held(world)[document(an_id(1))]
    world.memory.delete(document(an_id(1)))
    world.memory.create(document(an_id(1)), b"another")
    world.backup()
    assert held(world)[document(an_id(1))] == sha256_of(b"another")
    assert world.second.read(f"objects/{document(an_id(1))}.{before}")


def test_what_is_gone_is_marked_and_kept(world: BackupWorld) -> None:
    world.backup()
    before = held(world)
    world.memory.delete(document(an_id(1)))
    report = world.backup()
    assert report.gone == 1
    assert before.keys() - held(world).keys() == {document(an_id(1))}
    assert world.second.read(f"objects/{document(an_id(1))}.{before[document(an_id(1))]}")


def test_versions_between_two_runs_are_copied_where_the_host_keeps_them(tmp_path: Path) -> None:
    world = BackupWorld(tmp_path, memory=VersionedStore)
    world.backup()
    for number in (4, 5, 6):
        advance(world.clock, minutes=1)
        world.publish_more(RECORD, number)
    advance(world.clock, minutes=1)
    world.backup()
    versions = [one for one in Manifests(world.second).copies() if one.name == dossier_name(RECORD)]
    assert [one.tag == "" for one in versions] == [False, True, True, False]
    assert sorted(one.written for one in versions) == [one.written for one in versions]
    assert all(sha256_of(world.second.read(one.object_name).data) == one.sha256 for one in versions)
    assert world.backup().contents == 0


def test_a_dossier_comes_after_all_its_documents(world: BackupWorld) -> None:
    target = PolicingStore(world.second, changes={"": frozenset(StoreOperation)} | _anything())
    world.backup(target=target)
    order = [call.name for call in target.calls if call.operation is StoreOperation.CREATE]
    dossier = next(i for i, name in enumerate(order) if name.startswith(f"objects/{dossier_name(RECORD)}."))
    documents = [i for i, name in enumerate(order) if "/documents/" in name]
    assert len(documents) == 3 and max(documents) < dossier
    events = [i for i, name in enumerate(order) if name.startswith(f"objects/{EVENTS_PREFIX}")]
    tiles = [i for i, name in enumerate(order) if "/log/tile/" in name]
    checkpoints = [i for i, name in enumerate(order) if name.startswith(f"objects/{CHECKPOINT}")]
    assert dossier < min(events) and max(checkpoints) < min(tiles) and max(tiles) < min(events)


def test_a_document_published_while_a_run_lists_comes_along_with_its_dossier(world: BackupWorld) -> None:
    """The folder was listed before; the dossier, read after, lists it."""
    source = PolicingStore(world.memory)
    published: list[int] = []

    def publish(call: Call) -> None:
        if call.operation is StoreOperation.READ and call.name == dossier_name(RECORD) and not published:
            published.append(1)
            world.publish_more(RECORD, 9)

    source.waits = publish
    report = world.backup(source=source)
    assert report.problems == []
    assert document(an_id(9)) in held(world)
    assert world.verify().findings == []


def test_a_document_that_went_while_a_run_copies_leaves_a_newer_dossier(world: BackupWorld) -> None:
    """Rewrapped in between: the new dossier, and the new objects, are what is copied."""
    source = PolicingStore(world.memory, known=world.memory.list("records/"))
    moved: list[int] = []

    def move(call: Call) -> None:
        if call.operation is StoreOperation.READ and call.name == document(an_id(2)) and not moved:
            moved.append(1)
            world.rotate(KeyName.CONTENT)
            world.start().run()
            for number in (1, 2, 3):
                world.memory.delete(document(an_id(number)))

    source.waits = move
    report = world.backup(source=source)
    assert report.problems == []
    assert world.verify().findings == []
    assert f"{document(an_id(2))}.1" in held(world)


def test_a_dossier_whose_documents_are_lost_is_copied_and_told(world: BackupWorld) -> None:
    world.memory.delete(document(an_id(2)))
    report = world.backup()
    lost = f"{document(an_id(2))}, which {dossier_name(RECORD)} lists, is not in the backup"
    assert report.problems == [f"{dossier_name(RECORD)} lists 1 documents that are not there"]
    assert dossier_name(RECORD) in held(world)
    assert world.verify().findings == [lost]


# Dying, failing


def _anything() -> dict[str, frozenset[StoreOperation]]:
    every = frozenset(StoreOperation)
    return {"sceau-backup": every, "objects/": every, "runs/": every}


class Died(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("number", range(1, 60, 4))
def test_a_run_that_dies_is_gone_on_with_and_nothing_of_it_is_wrong(tmp_path: Path, number: int) -> None:
    world = BackupWorld(tmp_path)

    def die(call: Call) -> None:
        if call.number == number:
            raise Died

    target = PolicingStore(world.second, changes=_anything(), waits=die)
    ended = True
    try:
        world.backup(target=target)
    except Died:
        ended = False
    assert ended == (number > len(target.calls) or target.calls[-1].number < number)
    if not ended and names_in(world.second, "sceau-backup"):
        assert world.verify().findings == []
    report = world.backup()
    assert report.problems == []
    assert held(world) == resting(world.memory)
    assert world.verify().findings == [] and world.verify().stray == 0


def test_a_run_that_died_after_a_part_copies_no_content_twice(tmp_path: Path) -> None:
    world = BackupWorld(tmp_path, documents=BATCH + 20)
    target = PolicingStore(world.second, changes=_anything())

    def die(call: Call) -> None:
        if call.name == part_name(1, 2):
            raise Died

    target.waits = die
    with pytest.raises(Died):
        world.backup(target=target)
    source = PolicingStore(world.memory)
    report = world.backup(source=source)
    assert report.resumed
    first = {copy.name for copy in decode_part(world.second.read(part_name(1, 1)).data)}
    again = {call.name for call in source.calls if call.operation is StoreOperation.READ}
    assert len(first) >= BATCH and not first & again
    assert held(world) == resting(world.memory)


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.FAILS_AFTER_WRITING])
def test_a_second_store_that_fails_ends_the_run_and_the_next_one_ends_well(world: BackupWorld, fault: Fault) -> None:
    for number in (1, 2, 5, 9):
        target = PolicingStore(world.second, changes=_anything(), faults=on_calls(number, fault=fault))
        try:
            world.backup(target=target)
        except ObjectStoreUnavailable:
            continue
    assert world.backup().problems == []
    assert held(world) == resting(world.memory)
    assert world.verify().findings == []


def test_an_object_that_cant_be_read_is_told_and_the_others_are_copied(world: BackupWorld) -> None:
    source = PolicingStore(world.memory)
    source.faults = lambda call: (
        Fault.FAILS if call.operation is StoreOperation.READ and call.name == document(an_id(2)) else None
    )
    report = world.backup(source=source)
    assert any(problem.startswith(f"{document(an_id(2))} could not be copied") for problem in report.problems)
    assert document(an_id(3)) in held(world)
    assert world.backup().problems == []
    assert held(world) == resting(world.memory)


def test_two_runs_at_once_make_no_mixed_manifest(world: BackupWorld) -> None:
    target = PolicingStore(world.second, changes=_anything())
    began: list[int] = []

    def other(call: Call) -> None:
        if call.name == part_name(1, 1) and call.operation is StoreOperation.CREATE and not began:
            began.append(1)
            world.backup()

    target.waits = other
    with pytest.raises(BackupRefused, match="another run"):
        world.backup(target=target)
    assert world.verify().findings == []
    assert held(world) == resting(world.memory)


def test_a_backup_is_of_one_stage(world: BackupWorld) -> None:
    world.second.create("sceau-backup", b'{"format":"sceau-backup/1","stage":"another"}\n')
    with pytest.raises(BackupRefused, match="of stage another"):
        world.backup()
    assert names_in(world.second) == {"sceau-backup"}


def test_what_was_damaged_in_the_backup_is_healed_when_it_is_copied_again(world: BackupWorld) -> None:
    world.backup()
    copy = state_of(Manifests(world.second).copies())[document(an_id(1))]
    alter(world.second, copy.object_name, last_bit_flipped)
    alter(world.second, part_name(1, 1), lambda data: data[:-3])
    assert world.backup().problems, "a damaged manifest is told; what it named is copied again"
    assert sha256_of(world.second.read(copy.object_name).data) == copy.sha256


# Verifying


def alter(store: MemoryStore, name: str, change: Callable[[bytes], bytes]) -> None:
    stored = store.read(name)
    store.replace(name, change(stored.data), expected=stored.tag)


def test_a_backup_verifies_and_says_which_run_it_is_of(world: BackupWorld) -> None:
    began = world.clock()
    report = world.backup()
    found = world.verify(expected=report.digest)
    assert found.findings == []
    assert found.last is not None and found.last.began == began
    assert found.digest == report.digest
    assert (found.contents, found.present) == (report.contents, len(held(world)))


def test_whatever_is_altered_missing_or_added_is_found_and_named(world: BackupWorld) -> None:
    world.backup()
    world.publish_more(RECORD, 4)
    world.backup()
    dice = random.Random(5)  # noqa: S311 - the same choices each time
    for name in sorted(names_in(world.second)):
        stored = world.second.read(name)
        if stored.data:
            at = dice.randrange(len(stored.data))
            alter(world.second, name, lambda data, at=at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])  # type: ignore[misc]
            assert _complains(world, name), f"{name} was altered"
            _put_back(world, name, stored)
        world.second.delete(name)
        assert _complains(world, name), f"{name} was deleted"
        world.second.create(name, stored.data)
        assert world.verify().findings == []
    world.second.create("other", b"x")
    assert world.verify().findings == ["other is nothing of a backup"]


def _put_back(world: BackupWorld, name: str, stored: StoredObject) -> None:
    alter(world.second, name, lambda _: stored.data)


def _complains(world: BackupWorld, name: str) -> bool:
    """Whether a verification finds something. Of the newest end, whoever kept its digest does."""
    try:
        findings = world.verify().findings
    except BackupRefused:
        return name == "sceau-backup"
    if not findings and name == end_name(2):
        return True  # see the next test
    if name.endswith("/end"):
        return bool(findings)  # of an end, the next one says that one before it was altered
    return any(name in finding for finding in findings)


def test_a_run_that_is_taken_away_whole_is_found_by_who_kept_its_digest(world: BackupWorld) -> None:
    world.backup()
    world.publish_more(RECORD, 4)
    report = world.backup()
    for name in [name for name in names_in(world.second, "runs/") if parse_run_name(name)[0] == 2]:
        world.second.delete(name)
    assert world.verify().findings == []
    assert world.verify().stray > 0
    assert any("no run ended with the digest" in one for one in world.verify(expected=report.digest).findings)


def test_where_there_is_no_backup_nothing_verifies(world: BackupWorld) -> None:
    with pytest.raises(BackupRefused, match="no backup here"):
        world.verify()


# Restoring


def test_a_restored_stage_holds_the_same_objects_and_its_log_verifies(world: BackupWorld) -> None:
    world.backup()
    target = world.empty()
    done = world.restore(target)
    assert done.findings == []
    assert resting(target) == resting(world.memory)
    assert names_in(target, "journal/records/") == names_in(world.memory, "journal/records/")
    verified = world.log_verified(target)
    assert [str(one) for one in verified.findings] == [] and verified.good
    assert verified.events == verified.checkpoint.size if verified.checkpoint else False


def cosign(world: BackupWorld, store: MemoryStore) -> None:
    """The newest checkpoint is cosigned by the one witness that the policy wants."""
    witness = FakeWitness("w1", world.clock, lambda: parse_vkeys(store.read(VKEYS).data.decode()))
    policy = parse_policy(f"{witness.line}\nquorum w1\n".encode())
    asked = Witnesses(store, policy, witness, clock=world.clock, retention=RETENTION, pool=Inline).run()
    assert asked is not None and asked.quorum


def test_the_newest_checkpoint_that_was_cosigned_is_copied_and_comes_back(world: BackupWorld) -> None:
    cosign(world, world.memory)
    assert world.backup().problems == []
    assert {COSIGNED} < held(world).keys()
    target = world.empty()
    assert world.restore(target).findings == []
    assert resting(target) == resting(world.memory)
    (copy,) = (name for name in target.list(DATED) if name.endswith(COSIGNED_COPY))
    assert target.read(copy).data == target.read(COSIGNED).data
    assert target.locked_until(copy)
    assert target.locked_until(COSIGNED) is None
    assert world.log_verified(target).good


@pytest.mark.parametrize("at", [COSIGNED, CHECKPOINT])
def test_no_cosigned_checkpoint_is_copied_that_is_larger_than_the_log_that_is(world: BackupWorld, at: str) -> None:
    """The log grows, and is cosigned, when a run has read one of the two."""
    cosign(world, world.memory)
    source = PolicingStore(world.memory, known=world.memory.list(""))
    grew: list[str] = []

    def grow(call: Call) -> None:
        if call.operation is StoreOperation.READ and call.name == at and not grew:
            grew.append(at)
            world.trace(RECORD)
            world.seal()
            cosign(world, world.memory)

    source.waits_after = grow
    assert world.backup(source=source).problems == []
    assert grew
    target = world.empty()
    assert world.restore(target).findings == []
    verified = world.log_verified(target)
    assert [str(one) for one in verified.findings if "is an event that" not in str(one)] == []
    keys = parse_vkeys(target.read(VKEYS).data.decode())
    assert verified.checkpoint is not None
    for name in (COSIGNED, *(one for one in target.list(DATED) if one.endswith(COSIGNED_COPY))):
        assert open_checkpoint(target.read(name).data, keys)[0].size <= verified.checkpoint.size


def test_a_witness_that_saw_what_a_restored_stage_lost_refuses_its_log_for_good(world: BackupWorld) -> None:
    """docs/backup.md says so: the log goes on under its name and keys, from before what the witness saw."""
    witness = FakeWitness("w1", world.clock, lambda: parse_vkeys(world.memory.read(VKEYS).data.decode()))
    policy = parse_policy(f"{witness.line}\nquorum w1\n".encode())

    def asked() -> WitnessReport | None:
        world.trace(RECORD)
        world.seal()
        return Witnesses(world.memory, policy, witness, clock=world.clock, retention=RETENTION, pool=Inline).run()

    world.backup()
    lost = [asked() for _ in range(2)]
    assert all(one is not None and one.quorum for one in lost)
    target = world.empty()
    world.restore(target)
    world.memory = target
    reports = [asked() for _ in range(4)]
    assert [(one.ahead, one.refused, one.quorum) for one in reports if one] == [
        (1, 0, False),
        (0, 1, False),
        (0, 1, False),
        (0, 1, False),
    ]
    assert world.log_verified(target).good, "nothing in the store tells"


def test_what_is_locked_on_a_stage_is_locked_when_it_is_restored(world: BackupWorld) -> None:
    world.backup()
    target = world.empty()
    world.restore(target)
    for prefix in (EVENTS_PREFIX, DATED):
        assert names_in(target, prefix)
        for name in target.list(prefix):
            until, before = target.locked_until(name), world.memory.locked_until(name)
            assert until is not None and before is not None and until >= before
    assert target.locked_until(dossier_name(RECORD)) is None


def test_a_restored_stage_goes_on_being_written_and_sealed(world: BackupWorld) -> None:
    world.backup()
    target = world.empty()
    world.restore(target)
    lost, world.memory = world.memory, target
    lost_names = names_in(lost, "records/")
    world.publish_more(RECORD, 4)
    world.trace(RECORD)
    world.seal()
    assert world.log_verified(target).good
    world.check()
    assert names_in(lost, "records/") == lost_names


def test_a_backup_made_between_an_event_and_its_commit_and_the_log_is_a_state_one_could_have_died_in(
    world: BackupWorld,
) -> None:
    """Records are published, traced and sealed while a run is under way, before each of its reads."""
    source = PolicingStore(world.memory)
    dice, number = random.Random(11), 10  # noqa: S311 - the same choices each time

    def live(call: Call) -> None:
        nonlocal number
        if call.operation is StoreOperation.READ and dice.random() < 0.4:
            number += 1
            world.trace(RECORD)
            world.publish_more(RECORD, number)
            if dice.random() < 0.5:
                world.seal()

    for _ in range(3):
        source.waits = live
        assert world.backup(source=source).problems == []
    assert number > 15
    assert world.verify().findings == []
    target = world.empty()
    assert world.restore(target).findings == []
    verified = world.log_verified(target)
    assert [str(one) for one in verified.findings] == []
    world.memory = target
    world.check()
    world.seal()
    assert world.log_verified(target).good


def test_a_stage_that_is_not_empty_is_refused_and_left_alone(world: BackupWorld) -> None:
    world.backup()
    for name in ("records/x/dossier", "configuration/pseudonym", "journal/events/x", "due/x"):
        target = world.empty()
        target.create(name, b"x")
        with pytest.raises(BackupRefused, match="not empty"):
            world.restore(target)
        assert names_in(target) == {name}
    target = world.empty()
    target.create("probe/x", b"")
    assert world.restore(target).findings == [], "what `sceau stage check` left is no content"


def test_a_restoration_that_died_is_gone_on_with(world: BackupWorld) -> None:
    world.backup()
    target = world.empty()
    world.restore(target)
    for name in sorted(names_in(target, "records/"))[1:]:
        target.delete(name)
    done = world.restore(target, go_on=True)
    assert done.findings == [] and done.there > 0 and done.objects == 3
    assert resting(target) == resting(world.memory)


def test_going_on_does_not_pass_over_what_is_another(world: BackupWorld) -> None:
    world.backup()
    target = world.empty()
    target.create(dossier_name(RECORD), b"another")
    done = world.restore(target, go_on=True)
    assert done.findings == [f"{dossier_name(RECORD)} is there, and is another"]


def test_a_stage_comes_back_as_it_was_at_the_end_of_an_earlier_run(world: BackupWorld) -> None:
    world.backup()
    before = resting(world.memory)
    then = advance(world.clock, hours=2)
    world.publish_more(RECORD, 4)
    world.memory.delete(document(an_id(1)))
    world.backup()
    target = world.empty()
    assert world.restore(target, at=then + timedelta(minutes=1)).findings == []
    assert resting(target) == before
    with pytest.raises(BackupRefused, match="by then"):
        world.restore(world.empty(), at=then - timedelta(days=1))


def test_what_was_altered_in_the_backup_is_not_restored_and_told(world: BackupWorld) -> None:
    world.backup()
    state = state_of(Manifests(world.second).copies())
    alter(world.second, state[document(an_id(1))].object_name, last_bit_flipped)
    world.second.delete(state[document(an_id(2))].object_name)
    target = world.empty()
    findings = world.restore(target).findings
    assert len(findings) == 2
    for number in (1, 2):
        assert any(document(an_id(number)) in finding for finding in findings)
        with pytest.raises(ObjectAbsent):
            target.read(document(an_id(number)))
    assert target.read(document(an_id(3)))


def test_a_backup_of_another_stage_is_not_restored(world: BackupWorld) -> None:
    world.backup()
    target = world.empty()
    with pytest.raises(BackupRefused, match="of stage local"):
        world.restore(target, stage="another")
    assert names_in(target) == set()


def test_two_records_come_back_with_all_that_is_theirs(world: BackupWorld) -> None:
    world.publish(SECOND, 2)
    world.backup()
    target = world.empty()
    world.restore(target)
    world.memory = target
    world.check()
    world.check(SECOND)
