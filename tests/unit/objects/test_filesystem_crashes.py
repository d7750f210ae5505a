"""Dying at any point, and power loss after any return.

The writer is killed before each of its system calls in turn. Power loss can't be had in a test; instead a ledger of
what is written and not yet fsynced must be clean whenever a call returns.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import ManualClock
from sceau.objects import durable_files
from sceau.objects.durable_files import Folders
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectExists, ObjectStoreUnavailable
from sceau.objects.filesystem import FilesystemStore

CALLS = ("open", "write", "fsync", "close", "link", "replace", "unlink", "mkdir", "rmdir")
DOSSIER, DOCUMENT, EVENT, MARK = "records/a/dossier", "records/a/documents/new", "events/1/2/a", "replay/1/a"
FIRST, LATER = datetime(2030, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return made_store(tmp_path / "store")


def made_store(root: Path) -> FilesystemStore:
    FilesystemStore.create_root(root)
    store = FilesystemStore(root, ManualClock())
    store.replace(DOSSIER, b"old", expected=None)
    store.create(EVENT, b"event", locked_until=FIRST)
    store.create(MARK, b"", durable=False)
    return store


def state(store: FilesystemStore) -> dict[str, tuple[bytes, datetime | None]]:
    return {name: (store.read(name).data, store.locked_until(name)) for name in store.list("")}


def create(store: FilesystemStore) -> None:
    store.create(DOCUMENT, b"new" * 1000)


def create_mark(store: FilesystemStore) -> None:
    store.create("replay/2/a", b"", durable=False)


def create_locked(store: FilesystemStore) -> None:
    store.create("events/1/3/b", b"event", locked_until=LATER)


def create_first_dossier(store: FilesystemStore) -> None:
    store.replace("records/b/dossier", b"new", expected=None)


def replace(store: FilesystemStore) -> None:
    store.replace(DOSSIER, b"new" * 1000, expected=store.read(DOSSIER).tag)


def extend(store: FilesystemStore) -> None:
    store.extend_lock(EVENT, LATER)


def delete(store: FilesystemStore) -> None:
    store.delete(MARK)


ACTS = [create, create_mark, create_locked, create_first_dossier, replace, extend, delete]
ONCE = {create: ObjectExists, create_mark: ObjectExists, create_locked: ObjectExists, delete: ObjectAbsent}
"""What an act answers when it took effect already."""


def dies(act: Callable[[], None], number: int) -> bool:
    """Run `act` in a process that dies, cleaning up nothing, before its system call `number`. False: it got through."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in {0, 9}, "the act failed in the child"
        return status == 9
    try:
        left = number

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if not left:
                    os._exit(9)
                return real(*args, **options)

            return call

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        act()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("act", ACTS)
def test_a_writer_that_dies_before_any_system_call_leaves_the_old_state_or_the_new(
    tmp_path: Path, act: Callable[[FilesystemStore], None]
) -> None:
    old = state(made_store(tmp_path / "old"))
    reference = made_store(tmp_path / "new")
    act(reference)
    new = state(reference)
    assert old != new
    seen = []
    number = 1
    while True:
        writer = made_store(tmp_path / str(number))
        if not dies(partial(act, writer), number):
            break
        survivor = FilesystemStore(tmp_path / str(number), ManualClock())
        seen.append(state(survivor))
        assert seen[-1] in (old, new)
        assert state(writer) == seen[-1], "a process that lived on sees the same"
        # The survivor ends the work, whatever the dead one held or left.
        if seen[-1] == new and act in ONCE:
            with pytest.raises(ONCE[act]):
                act(survivor)
        elif seen[-1] == old or act in {replace, extend}:
            act(survivor)
        assert state(survivor) == new
        number += 1
    assert number > 5
    assert seen[0] == old
    assert seen[-1] == new
    assert seen == sorted(seen, key=lambda found: found == new), "once new, always new"


def test_a_store_whose_maker_dies_before_any_system_call_is_no_store_or_a_whole_one(tmp_path: Path) -> None:
    number, usable = 1, []
    while dies(lambda: FilesystemStore.create_root(tmp_path / str(number) / "store"), number):  # noqa: B023 - runs now
        root = tmp_path / str(number) / "store"
        try:
            create(FilesystemStore(root, ManualClock()))
        except ObjectStoreUnavailable:
            FilesystemStore.create_root(root)
            made_store(root)
        else:
            usable.append(number)
        number += 1
    assert usable == list(range(usable[0], number))
    assert 5 < usable[0] < number


class Ledger:
    """What power loss could take back now: entries of folders that changed, and content, since their last fsync."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.dirty: set[Path] = set()
        self.early: list[Path] = []
        self.fsyncs = 0
        self._paths: dict[int, Path] = {}
        self._unwatched = {root / "temporary", root / "locks"}
        self._real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            if name != "close":
                monkeypatch.setattr(os, name, getattr(self, "_" + name))

    def _entry(self, path: Path) -> None:
        if path.parent not in self._unwatched:
            self.dirty.add(path.parent)

    def _open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor: int = self._real["open"](path, flags, mode)
        self._paths[descriptor] = Path(path)
        if flags & os.O_CREAT:
            self._entry(Path(path))
        return descriptor

    def _write(self, descriptor: int, data: bytes) -> int:
        self.dirty.add(self._paths[descriptor])
        return int(self._real["write"](descriptor, data))

    def _fsync(self, descriptor: int) -> None:
        self._real["fsync"](descriptor)
        self.fsyncs += 1
        self.dirty.discard(self._paths[descriptor])

    def _shown(self, source: Path, target: Path) -> None:
        if source in self.dirty:
            self.early.append(target)
        self._entry(target)

    def _link(self, source: Path, target: Path) -> None:
        self._real["link"](source, target)
        self._shown(Path(source), Path(target))

    def _replace(self, source: Path, target: Path) -> None:
        self._real["replace"](source, target)
        self._shown(Path(source), Path(target))

    def _unlink(self, path: Path) -> None:
        self._real["unlink"](path)
        self.dirty.discard(Path(path))
        self._entry(Path(path))

    def _mkdir(self, path: Path, mode: int = 0o777) -> None:
        self._real["mkdir"](path, mode)
        self._entry(Path(path))

    def _rmdir(self, path: Path) -> None:
        self._real["rmdir"](path)
        self.dirty.discard(Path(path))
        self._entry(Path(path))


@pytest.mark.parametrize("act", [act for act in ACTS if act is not create_mark])
def test_nothing_acknowledged_waits_for_an_fsync(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[FilesystemStore], None]
) -> None:
    ledger = Ledger(monkeypatch, tmp_path / "store")
    act(store)
    assert ledger.early == [], "content was shown before it was durable"
    assert ledger.dirty == set()
    assert ledger.fsyncs > 0


def test_folders_that_another_writer_made_and_did_not_fsync_are_made_durable_too(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(monkeypatch, tmp_path / "store")
    other = FilesystemStore(tmp_path / "store", ManualClock())
    other.create("probe/deep/mark", b"", durable=False)
    assert tmp_path / "store/objects" in ledger.dirty
    store.create("probe/deep/kept", b"kept")
    assert ledger.dirty == set()


def test_exists_is_not_said_of_what_a_dead_writer_did_not_fsync(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("records/a/documents/other", b"")
    ledger = Ledger(monkeypatch, tmp_path / "store")
    dead = FilesystemStore(tmp_path / "store", ManualClock())
    with monkeypatch.context() as dying:
        dying.setattr(Folders, "settle", lambda *_: None)
        create(dead)
    assert ledger.dirty == {tmp_path / "store/objects/records/a/documents"}
    with pytest.raises(ObjectExists):
        create(store)
    assert ledger.dirty == set()


def test_a_folder_removed_and_made_again_is_made_durable_again(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(monkeypatch, tmp_path / "store")
    other = FilesystemStore(tmp_path / "store", ManualClock())
    name, mark = "due/2026-03-02/a", "due/2026-03-02/mark"
    for remover in (store, other, store):
        store.create(name, b"")
        assert ledger.dirty == set()
        remover.delete(name)
        assert ledger.dirty == set()
    other.create(mark, b"", durable=False)
    store.create(name, b"")
    assert ledger.dirty == set()


def test_forgetting_which_folders_are_durable_costs_no_durability(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_files, "_MOST_SETTLED", 2)
    ledger = Ledger(monkeypatch, tmp_path / "store")
    for number in range(5):
        store.create(f"due/{number}/a", b"")
        assert ledger.dirty == set()
    assert ledger.fsyncs < 5 * 5


def test_a_store_that_vanishes_before_its_folder_is_durable_may_have_the_object(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link_and_vanish(source: Path, target: Path) -> None:
        real(source, target)
        (tmp_path / "store").rename(tmp_path / "away")

    monkeypatch.setattr(os, "link", link_and_vanish)
    with pytest.raises(ObjectStoreUnavailable) as raised:
        create(store)
    assert raised.value.maybe_written


def test_a_swap_that_has_lost_already_writes_nothing(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(monkeypatch, tmp_path / "store")
    with pytest.raises(ObjectChanged):
        store.replace(DOSSIER, b"new", expected=None)
    assert ledger.fsyncs == 0


def test_a_folder_that_others_remove_meanwhile_is_no_failure(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link_and_vanish(source: Path, target: Path) -> None:
        real(source, target)
        monkeypatch.undo()
        FilesystemStore(tmp_path / "store", ManualClock()).delete("due/1/a")

    monkeypatch.setattr(os, "link", link_and_vanish)
    store.create("due/1/a", b"")
    assert list(store.list("due/")) == []


def test_a_settled_folder_costs_one_fsync_for_the_file_and_one_for_the_folder(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(store)
    ledger = Ledger(monkeypatch, tmp_path / "store")
    store.create(DOCUMENT + "er", b"newer")
    assert ledger.fsyncs == 2


def test_a_mark_that_need_not_survive_power_loss_costs_no_fsync(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(monkeypatch, tmp_path / "store")
    create_mark(store)
    with pytest.raises(ObjectExists):
        create_mark(store)
    assert ledger.fsyncs == 0


def test_a_new_store_is_durable_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "above" / "store"
    ledger = Ledger(monkeypatch, root)
    watched_replace = os.replace

    def replace_by_marker(source: Path, target: Path) -> None:
        assert ledger.dirty == set(), "the marker says that all the rest is there"
        watched_replace(source, target)

    monkeypatch.setattr(os, "replace", replace_by_marker)
    FilesystemStore.create_root(root)
    assert ledger.early == []
    assert ledger.dirty == set()


def test_what_an_interrupted_maker_of_a_store_left_is_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(monkeypatch, tmp_path / "store")
    (tmp_path / "store").mkdir()
    assert ledger.dirty == {tmp_path}
    FilesystemStore.create_root(tmp_path / "store")
    assert ledger.dirty == set()
