"""A backup on every kind of second store: made, resumed, verified, altered, restored from; locked where that can be."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.objects import MemoryStore
from fixtures.s3_servers import KINDS, LOCKED, Place, S3Servers
from sceau.objects.errors import ObjectLocked
from sceau.objects.filesystem import FilesystemStore
from sceau.objects.ports import ObjectStore
from sceau.objects.s3.store import S3Store
from sceau.objects.scoped import ScopedStore
from sceau.records.backup.copying import BackupRun, Report
from sceau.records.backup.manifests import Manifests
from sceau.records.backup.restoring import Restoration
from sceau.records.backup.state import BackupVersions, state_of
from sceau.records.backup.verifying import verify_backup
from sceau.records.repository import dossier_name
from unit.http.rewrap_world import document
from unit.records.backup_world import RETENTION, STAGE, BackupWorld
from unit.records.test_backup_ageing import delete
from unit.records.test_dossier import RECORD, an_id


def now() -> datetime:
    return datetime.now(UTC)


def _folder(request: pytest.FixtureRequest) -> ObjectStore:
    root = request.getfixturevalue("tmp_path") / "second"
    FilesystemStore.create_root(root)
    return FilesystemStore(root, now)


def _server(kind: str) -> Callable[[pytest.FixtureRequest], ObjectStore]:
    def opened(request: pytest.FixtureRequest) -> ObjectStore:
        servers: S3Servers = request.getfixturevalue("s3_servers")
        return servers.place(kind).fresh().store()

    return opened


SECOND = {"filesystem": _folder, **{kind: _server(kind) for kind in KINDS}}


@pytest.fixture(params=sorted(SECOND))
def second(request: pytest.FixtureRequest) -> ObjectStore:
    return SECOND[request.param](request)


@pytest.fixture
def world(tmp_path: Path) -> BackupWorld:
    return BackupWorld(tmp_path)


DAYS = timedelta(days=30)


def run(world: BackupWorld, second: ObjectStore, *, locked_for: timedelta | None = None) -> Report:
    store = world.runtime("backup").store
    assert isinstance(store, ScopedStore)
    with ThreadPoolExecutor(8) as pool:
        backup = BackupRun(store, second, clock=world.clock, pool=pool, forgets_after=DAYS, locked_for=locked_for)
        return backup.run(STAGE)


def findings(world: BackupWorld, second: ObjectStore) -> list[str]:
    with ThreadPoolExecutor(8) as pool:
        return verify_backup(second, pool, now=world.clock(), forgets_after=DAYS).findings


def test_a_backup_is_made_gone_on_with_verified_and_restored_from(world: BackupWorld, second: ObjectStore) -> None:
    assert run(world, second).problems == []
    world.publish_more(RECORD, 4)
    world.trace(RECORD)
    world.seal()
    more = run(world, second)
    assert more.problems == [] and more.contents < run(world, second).looked_at
    assert findings(world, second) == []
    target = MemoryStore(world.clock)
    with ThreadPoolExecutor(8) as pool:
        restoration = Restoration(
            second, world.runtime("restore", target).store, clock=world.clock, pool=pool, retention=RETENTION
        )
        assert restoration.run(STAGE).findings == []
    assert world.log_verified(target).good
    world.memory = target
    world.check()


def test_what_is_altered_or_missing_there_is_named(world: BackupWorld, second: ObjectStore) -> None:
    run(world, second)
    state = state_of(Manifests(second).copies())
    altered, gone = (state[document(an_id(number))].object_name for number in (1, 2))
    second.replace(altered, b"another", expected=second.read(altered).tag)
    second.delete(gone)
    assert sorted(findings(world, second)) == sorted([f"{altered} was altered", f"{gone} is missing"])


def test_every_version_of_a_record_can_be_read_from_there(world: BackupWorld, second: ObjectStore) -> None:
    contents = []
    for number in (4, 5):
        run(world, second)
        contents.append(world.memory.read(dossier_name(RECORD)).data)
        world.clock.advance(timedelta(minutes=1))
        world.publish_more(RECORD, number)
    run(world, second)
    contents.append(world.memory.read(dossier_name(RECORD)).data)
    versions = BackupVersions(second, f"records/{RECORD}/")
    history = versions.history(dossier_name(RECORD))
    assert [versions.read_version(dossier_name(RECORD), one.id) for one in reversed(history)] == contents


def test_a_deleted_record_leaves_every_kind_of_backup_with_all_that_its_store_keeps(
    world: BackupWorld, second: ObjectStore
) -> None:
    """Also what somebody has hidden there by a deletion, and what was written a second time."""
    run(world, second)
    world.publish_more(RECORD, 4)
    run(world, second)
    held = list(second.list(f"objects/records/{RECORD}/"))
    assert len(held) >= 6
    second.delete(held[0])
    second.replace(held[1], b"another", expected=second.read(held[1]).tag)
    delete(world)
    assert run(world, second).gone
    world.clock.advance(timedelta(days=29))
    assert run(world, second).aged_out == 0
    world.clock.advance(timedelta(days=1))
    report = run(world, second)
    assert (report.aged_out, report.problems) == (len(held), [])
    assert list(second.versions(f"objects/records/{RECORD}/")) == []
    assert findings(world, second) == []
    target = MemoryStore(world.clock)
    with ThreadPoolExecutor(8) as pool:
        store = world.runtime("restore", target).store
        done = Restoration(second, store, clock=world.clock, pool=pool, retention=RETENTION).run(STAGE)
    assert (done.findings, list(target.list("records/"))) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
def test_with_object_lock_nobody_takes_a_backup_away_before_its_time(
    world: BackupWorld, kind: str, s3_servers: S3Servers
) -> None:
    place: Place = s3_servers.place(kind).fresh()
    locked = next(bucket for bucket in place.spec.buckets.values() if bucket.startswith(LOCKED))
    second = S3Store(place.calls(), {"": locked})
    world.clock.now = now()
    assert run(world, second, locked_for=timedelta(minutes=1)).problems == []
    world.publish_more(RECORD, 4)
    assert run(world, second, locked_for=timedelta(minutes=1)).problems == []
    for name in second.list(""):
        assert second.locked_until(name) is not None
        with pytest.raises(ObjectLocked):
            second.delete(name)
    assert findings(world, second) == []
