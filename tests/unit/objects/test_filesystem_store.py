"""What the file-system store is beyond the port: its bytes, its modes, its refusals, what a bad disk makes of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import ManualClock
from sceau.objects.errors import InvalidObjectName, ObjectAbsent, ObjectChanged, ObjectExists, ObjectStoreUnavailable
from sceau.objects.filesystem import FilesystemStore

DAY = timedelta(days=1)
TAG = bytes(range(16))
NAME = "journal/events/2026-03-02/09/30/0.a"
PINNED = (
    b"SCEAUOB1"  # magic and version
    b"\x00\x00\x01\xe6\x2a\x40\xdf\x89"  # 2036-03-02T09:30:00.457Z, in ms since 1970
    b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"  # the tag
    b"sealed"
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "made" / "store"
    FilesystemStore.create_root(root)
    return root


@pytest.fixture
def store(root: Path, clock: ManualClock) -> FilesystemStore:
    return FilesystemStore(root, clock)


def files(root: Path) -> dict[str, bytes]:
    """Every file below the store but lock files (which are empty and stay), with its bytes."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith("locks/")}


class Failing:
    """Makes a function of `os` fail with `code` on the calls whose arguments `hits` accepts, while it is on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, function: str, code: int, hits: Callable[..., bool]) -> None:
        self.on = True
        real = getattr(os, function)

        def call(*args: Any, **options: Any) -> Any:
            if self.on and hits(*args):
                raise OSError(code, os.strerror(code))
            return real(*args, **options)

        monkeypatch.setattr(os, function, call)


def is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


# --- format ------------------------------------------------------------------------------------------------------


def test_the_bytes_of_an_object_are_those_of_the_format_page(root: Path, clock: ManualClock) -> None:
    store = FilesystemStore(root, clock, random_bytes=lambda size: TAG[:size])
    until = datetime(2036, 3, 2, 9, 30, 0, 456_001, tzinfo=UTC)
    store.create(NAME, b"sealed", locked_until=until)
    store.create("probe/empty", b"")
    assert files(root) == {
        "sceau-store": b"sceau filesystem store 1\n",
        f"objects/{NAME}": PINNED,
        "objects/probe/empty": b"SCEAUOB1" + bytes(8) + TAG,
    }
    assert {path.name for path in root.iterdir()} == {"sceau-store", "objects", "temporary", "locks"}


def test_an_object_written_by_an_earlier_release_is_read(root: Path, store: FilesystemStore) -> None:
    path = root / "objects" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(PINNED)
    found = store.read(NAME)
    assert (found.data, found.tag) == (b"sealed", TAG.hex())
    assert store.locked_until(NAME) == datetime(2036, 3, 2, 9, 30, 0, 457_000, tzinfo=UTC)


def test_only_the_owner_can_read_anything(root: Path, store: FilesystemStore) -> None:
    umask = os.umask(0)
    try:
        store.create("records/a/documents/b", b"")
        tag = store.replace("records/a/dossier", b"1", expected=None)
        store.replace("records/a/dossier", b"2", expected=tag)
        store.extend_lock("records/a/documents/b", datetime(2030, 1, 1, tzinfo=UTC))
    finally:
        os.umask(umask)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}


def test_lock_files_are_bounded_in_number(root: Path, store: FilesystemStore) -> None:
    for number in range(600):
        store.create(f"probe/{number}", b"", durable=False)
        store.delete(f"probe/{number}")
    assert 1 < len(list((root / "locks").iterdir())) <= 256


# --- the root ----------------------------------------------------------------------------------------------------


def test_a_root_that_is_no_store_is_refused_and_stays_as_it_is(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for root in ("missing", "empty", "file", "file/below"):
        with pytest.raises(ObjectStoreUnavailable, match="is not a store"):
            FilesystemStore(tmp_path / root, clock)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]


def test_a_store_of_a_later_version_is_refused(root: Path, clock: ManualClock) -> None:
    (root / "sceau-store").write_bytes(b"sceau filesystem store 2\n")
    with pytest.raises(ObjectStoreUnavailable, match="another version"):
        FilesystemStore(root, clock)


def test_a_store_is_not_made_around_other_peoples_files(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_bytes(b"hers")
    mode = tmp_path.stat().st_mode
    for root in (tmp_path, tmp_path / "letters.txt", tmp_path / "letters.txt" / "below"):
        with pytest.raises(ObjectStoreUnavailable):
            FilesystemStore.create_root(root)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
    assert tmp_path.stat().st_mode == mode


def test_making_a_store_again_leaves_its_objects(root: Path, store: FilesystemStore) -> None:
    store.create("probe/a", b"1")
    before = files(root)
    FilesystemStore.create_root(root)
    assert files(root) == before


@pytest.mark.parametrize("made", [[], ["objects"], ["objects", "temporary", "locks"], ["sceau-store.new"]])
def test_a_store_whose_making_was_interrupted_is_completed(tmp_path: Path, clock: ManualClock, made: list[str]) -> None:
    root = tmp_path / "store"
    root.mkdir(mode=0o755)
    for name in made:
        (root / name).write_bytes(b"scea") if name.endswith(".new") else (root / name).mkdir()
    with pytest.raises(ObjectStoreUnavailable):
        FilesystemStore(root, clock)
    FilesystemStore.create_root(root)
    FilesystemStore(root, clock).create("probe/a", b"")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_when_the_disk_is_away_nothing_is_called_absent_and_nothing_is_made(root: Path, store: FilesystemStore) -> None:
    tag = store.replace("records/a/dossier", b"", expected=None)
    away = root.rename(root.with_name("away"))
    root.mkdir()  # the empty mount point
    operations: list[Callable[[], object]] = [
        lambda: store.read("records/a/dossier"),
        lambda: store.locked_until("records/a/dossier"),
        lambda: store.written_at("records/a/dossier"),
        lambda: store.delete("records/a/dossier"),
        lambda: store.extend_lock("records/a/dossier", datetime(2030, 1, 1, tzinfo=UTC)),
        lambda: store.create("records/a/documents/b", b""),
        lambda: store.create("top", b"", durable=False),
        lambda: store.replace("records/a/dossier", b"2", expected=tag),
        lambda: store.replace("records/b/dossier", b"2", expected=None),
        lambda: list(store.list("revoked/")),
        lambda: store.sweep_temporary(DAY),
    ]
    for operation in operations:
        with pytest.raises(ObjectStoreUnavailable) as raised:
            operation()
        assert not raised.value.maybe_written
    assert list(root.iterdir()) == []
    assert (away / "objects/records/a/dossier").exists()


def test_folders_of_objects_that_went_away_are_not_made_anew(root: Path, store: FilesystemStore) -> None:
    (root / "objects").rmdir()
    for name in ("a", "a/b/c"):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            store.create(name, b"")
        assert not raised.value.maybe_written
    assert not (root / "objects").exists()


# --- names that a file system can't hold ---------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "wanted"), [("x/y", "x"), ("x/y/z", "x/y"), ("x", "x/y"), ("x", "x/y/z/w")])
def test_a_name_and_names_below_it_do_not_stand_together(
    root: Path, store: FilesystemStore, held: str, wanted: str
) -> None:
    store.create(held, b"held")
    before = files(root)
    writes: list[Callable[[], object]] = [
        lambda: store.create(wanted, b"2"),
        lambda: store.create(wanted, b"2", durable=False),
        lambda: store.replace(wanted, b"2", expected=None),
    ]
    for write in writes:
        with pytest.raises(InvalidObjectName):
            write()
    with pytest.raises(ObjectChanged):
        store.replace(wanted, b"2", expected=TAG.hex())
    lookups: list[Callable[[str], object]] = [store.read, store.locked_until, store.delete]
    for look in lookups:
        with pytest.raises(ObjectAbsent):
            look(wanted)
    assert files(root) == before
    assert list(store.list("x")) == [held]
    store.delete(held)
    store.create(wanted, b"2")  # no empty folder stays in the way


# --- retention ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "until",
    [
        datetime(2036, 1, 1),  # noqa: DTZ001 - without time zone: that is the point
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1960, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_a_retention_that_cannot_be_kept_is_refused(root: Path, store: FilesystemStore, until: datetime) -> None:
    store.create("probe/a", b"")
    before = files(root)
    with pytest.raises(ValueError, match="retention"):
        store.create("probe/b", b"", locked_until=until)
    with pytest.raises(ValueError, match="retention"):
        store.extend_lock("probe/a", until)
    assert files(root) == before


def test_what_is_locked_is_durable(root: Path, store: FilesystemStore) -> None:
    with pytest.raises(ValueError, match="durable"):
        store.create("probe/a", b"", locked_until=datetime(2036, 1, 1, tzinfo=UTC), durable=False)
    assert list(store.list("")) == []


def test_extending_a_retention_keeps_the_tag(store: FilesystemStore) -> None:
    store.create("probe/a", b"1")
    before = store.read("probe/a")
    store.extend_lock("probe/a", datetime(2036, 1, 1, tzinfo=UTC))
    assert store.read("probe/a") == before


# --- damaged files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged",
    [PINNED[:31], b"SCEAUOB2" + PINNED[8:], PINNED[8:], b"SCEAUOB1" + b"\xff" * 24],
    ids=["cut off", "of a later version", "without magic", "with an impossible date"],
)
def test_nothing_is_done_to_a_file_whose_header_is_not_understood(
    root: Path, store: FilesystemStore, damaged: bytes
) -> None:
    store.create("probe/a", b"")
    (root / "objects/probe/a").write_bytes(damaged)
    before = files(root)
    operations: list[Callable[[], object]] = [
        lambda: store.read("probe/a"),
        lambda: store.locked_until("probe/a"),
        lambda: store.delete("probe/a"),
        lambda: store.extend_lock("probe/a", datetime(2036, 1, 1, tzinfo=UTC)),
        lambda: store.replace("probe/a", b"2", expected=TAG.hex()),
        lambda: store.replace("probe/a", b"2", expected=None),
    ]
    for operation in operations:
        with pytest.raises(ObjectStoreUnavailable, match="damaged") as raised:
            operation()
        assert not raised.value.maybe_written
    with pytest.raises(ObjectExists):
        store.create("probe/a", b"2")
    assert files(root) == before


@pytest.mark.parametrize("remnant", [b"", bytes(7), bytes(32)])
def test_what_power_loss_left_of_a_mark_still_marks_and_can_be_swept(
    root: Path, store: FilesystemStore, remnant: bytes
) -> None:
    store.create("replay/1/a", b"", durable=False)
    (root / "objects/replay/1/a").write_bytes(remnant)
    assert list(store.list("replay/")) == ["replay/1/a"]
    with pytest.raises(ObjectExists):
        store.create("replay/1/a", b"", durable=False)
    with pytest.raises(ObjectStoreUnavailable):
        store.read("replay/1/a")
    store.delete("replay/1/a")
    assert list(store.list("replay/")) == []


# --- a bad disk --------------------------------------------------------------------------------------------------


@pytest.fixture
def dossier(store: FilesystemStore) -> str:
    """The tag of `records/a/dossier`, there before the disk goes bad."""
    return store.replace("records/a/dossier", b"old", expected=None)


def every_write(store: FilesystemStore, tag: str) -> Iterator[Callable[[], object]]:
    yield lambda: store.create("records/a/documents/new", b"new")
    yield lambda: store.create("records/a/locked", b"new", locked_until=datetime(2036, 1, 1, tzinfo=UTC))
    yield lambda: store.replace("records/b/dossier", b"new", expected=None)
    yield lambda: store.replace("records/a/dossier", b"new", expected=tag)
    yield lambda: store.extend_lock("records/a/dossier", datetime(2036, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("function", ["write", "fsync"])
def test_a_disk_that_does_not_take_the_content_keeps_the_old_state(
    root: Path, store: FilesystemStore, dossier: str, monkeypatch: pytest.MonkeyPatch, function: str, code: int
) -> None:
    before = files(root)
    written = 0

    def hits(descriptor: int, *_: object) -> bool:
        nonlocal written
        written += 1
        # Of a write: the data, after the header went well.
        return not is_folder(descriptor) and (function == "fsync" or written % 2 == 0)

    Failing(monkeypatch, function, code, hits)
    for write in every_write(store, dossier):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            write()
        assert not raised.value.maybe_written
        assert files(root) == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_refused_link_or_rename_keeps_the_old_state(
    root: Path, store: FilesystemStore, dossier: str, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    before = files(root)
    Failing(monkeypatch, "link", code, lambda *_: True)
    Failing(monkeypatch, "replace", code, lambda *_: True)
    for write in every_write(store, dossier):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            write()
        assert not raised.value.maybe_written
        assert files(root) == before


def test_an_io_error_in_the_call_that_takes_effect_leaves_the_outcome_open(
    store: FilesystemStore, dossier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for function in ("link", "replace"):
        Failing(monkeypatch, function, errno.EIO, lambda *_: True)
    for write in every_write(store, dossier):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            write()
        assert raised.value.maybe_written
    Failing(monkeypatch, "unlink", errno.EIO, lambda path, *_: "objects" in str(path))
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.delete("records/a/dossier")
    assert raised.value.maybe_written


def test_a_write_whose_folder_could_not_be_made_durable_may_have_happened(
    store: FilesystemStore, dossier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Failing(monkeypatch, "fsync", errno.EIO, is_folder)
    for write in every_write(store, dossier):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            write()
        assert raised.value.maybe_written
        disk.on = False
        store.read("records/a/dossier")  # the disk is well again: settles the folder
        disk.on = True
    disk.on = False
    assert store.read("records/a/documents/new").data == b"new"
    assert store.read("records/a/dossier").data == b"new"
    store.create("probe/a", b"")
    disk.on = True
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.delete("probe/a")
    assert raised.value.maybe_written
    disk.on = False
    with pytest.raises(ObjectAbsent):
        store.delete("probe/a")


def test_a_writer_in_doubt_does_not_find_its_write_before_it_is_durable(
    store: FilesystemStore, dossier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Failing(monkeypatch, "fsync", errno.EIO, is_folder)
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.replace("records/a/dossier", b"new", expected=dossier)
    assert raised.value.maybe_written
    for _ in range(2):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            store.read("records/a/dossier")
        assert not raised.value.maybe_written
    disk.on = False
    assert store.read("records/a/dossier").data == b"new"


def test_a_create_sent_again_in_doubt_is_not_told_exists_before_it_is_durable(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Failing(monkeypatch, "fsync", errno.EIO, is_folder)
    for _ in range(2):
        with pytest.raises(ObjectStoreUnavailable):
            store.create("probe/a", b"mine")
    disk.on = False
    with pytest.raises(ObjectExists):
        store.create("probe/a", b"mine")
    assert store.read("probe/a").data == b"mine"


def test_a_folder_that_cannot_be_read_is_a_failure_not_an_absence(
    store: FilesystemStore, dossier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, "scandir", errno.EACCES, lambda path: str(path).endswith("records/a"))
    with pytest.raises(ObjectStoreUnavailable):
        list(store.list("records/"))
    assert list(store.list("probe/")) == []


def test_an_object_that_cannot_be_opened_is_a_failure_not_an_absence(root: Path, store: FilesystemStore) -> None:
    (root / "objects/loop").symlink_to("loop")
    with pytest.raises(ObjectStoreUnavailable):
        store.read("loop")


def test_content_is_whole_when_the_kernel_takes_it_in_pieces(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    data = bytes(range(256)) * 4
    store.create("probe/a", data)
    assert store.read("probe/a").data == data


# --- age ---------------------------------------------------------------------------------------------------------


def test_an_object_was_written_when_its_file_says_so(root: Path, store: FilesystemStore) -> None:
    store.create(NAME, b"")
    os.utime(root / "objects" / NAME, (1_772_443_800.25, 1_772_443_800.25))
    assert store.written_at(NAME) == datetime(2026, 3, 2, 9, 30, 0, 250_000, tzinfo=UTC)


def test_a_folder_has_no_age_and_a_disk_that_fails_is_not_absence(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("probe/a", b"")
    with pytest.raises(ObjectAbsent):
        store.written_at("probe")
    Failing(monkeypatch, "stat", errno.EIO, lambda path: str(path).endswith("/probe/a"))
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.written_at("probe/a")
    assert not raised.value.maybe_written


# --- temporary files and listing ---------------------------------------------------------------------------------


def test_left_temporary_files_are_never_listed_and_old_ones_are_swept(
    root: Path, store: FilesystemStore, clock: ManualClock
) -> None:
    store.create("probe/a", b"1")
    for name, age in (("old", 3 * DAY), ("young", timedelta(hours=1))):
        (root / "temporary" / name).write_bytes(b"left by a writer that died")
        written = (clock() - age).timestamp()
        os.utime(root / "temporary" / name, (written, written))
    assert list(store.list("")) == ["probe/a"]
    assert store.sweep_temporary(DAY) == 1
    assert [path.name for path in (root / "temporary").iterdir()] == ["young"]
    assert list(store.list("")) == ["probe/a"]


def test_what_is_not_ours_is_not_listed(root: Path, store: FilesystemStore) -> None:
    store.create("probe/a", b"")
    (root / "objects/lost+found").mkdir()
    (root / "objects/lost+found/a").write_bytes(b"")
    (root / "objects/probe/~a").write_bytes(b"")
    (root / "objects/probe/link").symlink_to("a")
    (root / "objects/up").symlink_to("..")
    assert list(store.list("")) == ["probe/a"]


def test_a_listing_walks_only_folders_that_can_hold_what_is_asked_for(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 5):
        for hour in range(3):
            store.create(f"events/{day}/{hour}/a", b"", durable=False)
    store.create("other/1/a", b"", durable=False)
    walked: list[str] = []
    real = os.scandir

    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        walked.append(str(path).partition("/objects/")[2])
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    names = store.list("events/", after="events/3/1/a")
    assert walked == [], "nothing is read before it is asked for"
    assert next(names) == "events/3/2/a"
    assert walked == ["events", "events/3", "events/3/1", "events/3/2"]
    assert list(names) == ["events/4/0/a", "events/4/1/a", "events/4/2/a"]
    walked.clear()
    assert list(store.list("events/2/1")) == ["events/2/1/a"]
    assert walked == ["events/2", "events/2/1"]


def test_a_listing_goes_on_when_folders_vanish_under_it(root: Path, store: FilesystemStore) -> None:
    for minute in range(4):
        store.create(f"replay/{minute}/a", b"", durable=False)
    names = store.list("replay/")
    assert next(names) == "replay/0/a"
    for minute in (0, 1, 2):
        store.delete(f"replay/{minute}/a")
    store.create("replay/2", b"", durable=False)  # a file where the folder was
    assert list(names) == ["replay/3/a"]
    assert not (root / "objects/replay/1").exists()


def test_a_create_holds_when_its_new_folder_is_removed_before_the_link(
    store: FilesystemStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir
    removed: list[Path] = []

    def mkdir(path: Path, mode: int = 0o777) -> None:
        real(path, mode)
        if not removed:
            removed.append(path)
            path.rmdir()

    monkeypatch.setattr(os, "mkdir", mkdir)
    store.create("replay/1/a", b"")
    assert removed
    assert list(store.list("")) == ["replay/1/a"]


def test_the_folder_that_is_removed_each_time_ends_in_a_failure(
    store: FilesystemStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mkdir", lambda *_: None)
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.create("replay/1/a", b"")
    assert not raised.value.maybe_written
    assert files(root) == {"sceau-store": b"sceau filesystem store 1\n"}
