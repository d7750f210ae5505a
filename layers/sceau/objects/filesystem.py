"""The object store on a local file system. Layout, file format and crash behaviour: docs/formats/filesystem-store.md.

An object is one file that is never changed in place: it is written whole under another name, made durable, and only
then linked or renamed to its own. So whoever dies at any point leaves the old object or the new one, never a part.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sceau.objects.durable_files import Folders, effect, fsync_folder, make_durable_folder, reported, write_file
from sceau.objects.errors import (
    InvalidObjectName,
    ObjectAbsent,
    ObjectChanged,
    ObjectExists,
    ObjectLocked,
    ObjectStoreUnavailable,
)
from sceau.objects.ports import Expunged, Kept, Listed, StoredObject, check_name, check_prefix

_MARKER_NAME = "sceau-store"
_MARKER_TEXT = b"sceau filesystem store 1\n"
_FOLDERS = ("objects", "temporary", "locks")
_MAGIC = b"SCEAUOB1"
_HEADER = struct.Struct(">8sQ16s")  # magic and version, end of retention, tag
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST_MS = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_PART = re.compile(r"[A-Za-z0-9._-]{1,255}")
_LINK_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class _Header:
    """What stands before an object's data. `retention_ms`: milliseconds since 1970, 0 for none."""

    retention_ms: int
    tag: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(_MAGIC, self.retention_ms, self.tag)


def create_root(root: Path) -> None:
    """Make `root` (and its parents) an empty store; leave it alone when it is a store already.

    Never makes a store around other people's files. Raises ObjectStoreUnavailable.
    """
    marker, new_marker = root / _MARKER_NAME, root / f"{_MARKER_NAME}.new"
    try:
        make_durable_folder(root)
        if not marker.exists():
            if not {entry.name for entry in root.iterdir()} <= {*_FOLDERS, new_marker.name}:
                raise ObjectStoreUnavailable(f"{root} is not empty, and not a store of Sceau", maybe_written=False)
            root.chmod(0o700)
            for folder in _FOLDERS:
                (root / folder).mkdir(mode=0o700, exist_ok=True)
            new_marker.unlink(missing_ok=True)
            write_file(new_marker, _MARKER_TEXT, durable=True)
            fsync_folder(root)
            # Dying above leaves a folder that is not a store yet; the next create_root ends the work.
            new_marker.replace(marker)
        fsync_folder(root)
        with suppress(PermissionError):  # an earlier call may have died between making `root` and this
            fsync_folder(root.parent)
    except OSError as error:
        raise ObjectStoreUnavailable(f"can't make a store at {root}: {error.strerror}", maybe_written=True) from error


class FilesystemStore:
    """An `ObjectStore` in a folder of a local file system; safe between threads and between processes.

    `root` was made by `create_root`; `clock` gives the time (aware) that retention is compared with; `random_bytes`
    gives tags. Raises ObjectStoreUnavailable when `root` is not such a folder.
    """

    def __init__(
        self, root: Path, clock: Callable[[], datetime], *, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._objects, self._temporary, self._locks = (root / folder for folder in _FOLDERS)
        self._marker = root / _MARKER_NAME
        self._folders = Folders(self._objects)
        try:
            marker = self._marker.read_bytes()
        except OSError as error:
            message = f"{root} is not a store of Sceau, or can't be read ({error.strerror})"
            raise ObjectStoreUnavailable(message, maybe_written=False) from error
        if marker != _MARKER_TEXT:
            raise ObjectStoreUnavailable(f"{root} is a store of another version of Sceau", maybe_written=False)

    create_root = staticmethod(create_root)

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        """See `ImmutableObjects.create`. ValueError: a retention without durability, or out of range."""
        if locked_until is not None and not durable:
            raise ValueError("an object under retention must be durable")
        path = self._place(name)
        header = _Header(_milliseconds(locked_until), self._random_bytes(16))
        with reported(name), self._written(header, data, durable=durable) as written:
            created = self._link(name, written, path)
        if durable:
            # Also when the name was taken: "exists" is how a writer whose first answer was lost learns that its object
            # was written, so it must not be said of what power loss may take back.
            self._folders.settle(path.parent)
        if not created:
            raise ObjectExists(name)

    def read(self, name: str) -> StoredObject:
        """See `ImmutableObjects.read`."""
        header, data = self._require(name, self._load(name, self._place(name)))
        return StoredObject(data, header.tag.hex())

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        """See `ReplaceableObjects.replace`. The tag is compared before the retention is."""
        path = self._place(name)
        header = _Header(0, self._random_bytes(16))
        self._check_replaceable(name, path, expected)  # before the cost of writing; decided below
        with reported(name), self._written(header, data) as written, self._exclusive(name):
            self._check_replaceable(name, path, expected)
            if expected is not None:
                with effect(name):
                    written.replace(path)
            elif not self._link(name, written, path):  # `create` does not take the lock: the link decides between us
                raise ObjectChanged(name)
        # The lock is free again. Who builds on what we just put there makes it durable with its own, by the same fsync.
        self._folders.settle(path.parent)
        return header.tag.hex()

    def extend_lock(self, name: str, until: datetime) -> None:
        """See `ImmutableObjects.extend_lock`. The tag stays."""
        path = self._place(name)
        end = _milliseconds(until)
        with reported(name), self._exclusive(name):
            header, data = self._require(name, self._load(name, path))
            if end < header.retention_ms:
                raise ObjectLocked(name)
            if end > header.retention_ms:
                with self._written(_Header(end, header.tag), data) as written, effect(name):
                    written.replace(path)
        self._folders.settle(path.parent)

    def locked_until(self, name: str) -> datetime | None:
        """See `ImmutableObjects.locked_until`; whole milliseconds, never before what was asked for."""
        header, _ = self._require(name, self._load(name, self._place(name), with_data=False))
        return _EPOCH + header.retention_ms * _MILLISECOND if header.retention_ms else None

    def written_at(self, name: str) -> datetime:
        """See `ImmutableObjects.written_at`: the file's time of modification, so by the machine's clock."""
        path = self._place(name)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._require_root()
            raise ObjectAbsent(name) from None
        except OSError as error:
            raise ObjectStoreUnavailable(f"{name}: {error.strerror}", maybe_written=False) from error
        if stat.S_ISDIR(found.st_mode):
            raise ObjectAbsent(name)
        return datetime.fromtimestamp(found.st_mtime, UTC)

    def delete(self, name: str) -> None:
        """See `ImmutableObjects.delete`. Folders that become empty go too."""
        path = self._place(name)
        with reported(name), self._exclusive(name):
            header, _ = self._require(name, self._load(name, path, with_data=False, remnant=True))
            self._check_unlocked(name, header)
            with effect(name):
                path.unlink()
        # Dying here leaves an empty folder, or an object that power loss may bring back: nobody was told.
        self._folders.prune(path.parent)
        self._folders.settle(path.parent)

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        """See `ImmutableObjects.expunge`: this store keeps nothing of what was deleted."""
        del deleted_before, most
        self._place(name)
        return Expunged(0, 0)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See `ImmutableObjects.list`. Holds the entries of one folder per level in memory."""
        folder, slash, stem = check_prefix(prefix).rpartition("/")
        return self._names(folder + slash, stem, after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        """See `ImmutableObjects.versions`: this store keeps one content of each name, and nothing of what was there."""
        return (Kept(name, 1, hidden=False) for name in self.list(prefix, after=after))

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """See `Listings.entries`. Reads each object's header."""
        for name in self.list(prefix, after=after):
            with suppress(ObjectAbsent):  # deleted since it was listed
                try:
                    header, _ = self._require(name, self._load(name, self._place(name), with_data=False, remnant=True))
                except ObjectStoreUnavailable:
                    self._require_root()
                    header = _Header(0, b"")  # damaged: it has no tag that could be the one it had
                yield Listed(name, header.tag.hex(), self.written_at(name))

    def time(self) -> datetime:
        """See `ImmutableObjects.time`: the clock that retention is compared with."""
        return self._clock()

    def sweep_temporary(self, older_than: timedelta) -> int:
        """Remove what writers that died left in the temporary folder; give the number of files.

        A live writer takes seconds: give hours.
        """
        limit = (self._clock() - older_than).timestamp()
        swept = 0
        with reported("the temporary folder"):
            for path in self._temporary.iterdir():
                with suppress(FileNotFoundError):  # its writer ended, or another sweeper is here
                    if path.stat().st_mtime < limit:
                        path.unlink()
                        swept += 1
        return swept

    def _place(self, name: str) -> Path:
        path = self._objects / check_name(name)
        self._folders.require_settled(path.parent)
        return path

    def _load(
        self, name: str, path: Path, *, with_data: bool = True, remnant: bool = False
    ) -> tuple[_Header, bytes] | None:
        """The header of an object, and its data if asked for; None when there is none.

        After power loss, what was created with `durable=False` may be empty or zeros. Such a remnant still counts as
        existing (a replay mark must), has no retention, and can be deleted (`remnant`) but not read.
        """
        try:
            with path.open("rb", buffering=0) as file:
                head = file.read(_HEADER.size)
                data = file.readall() if with_data else b""
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._require_root()
            return None
        except OSError as error:
            raise ObjectStoreUnavailable(f"{name}: {error.strerror}", maybe_written=False) from error
        if remnant and not head.strip(b"\0"):
            return _Header(0, b""), data
        magic, retention_ms, tag = _HEADER.unpack(head) if len(head) == _HEADER.size else (b"", 0, b"")
        if magic != _MAGIC or retention_ms > _LATEST_MS:
            # Its retention is not known, so nothing may be done to it.
            raise ObjectStoreUnavailable(f"the file of {name} is damaged", maybe_written=False)
        return _Header(retention_ms, tag), data

    def _require_root(self) -> None:
        """Nothing may be called absent when the whole disk is."""
        if not self._marker.exists():
            raise ObjectStoreUnavailable("the store's folder is gone", maybe_written=False)

    @staticmethod
    def _require(name: str, loaded: tuple[_Header, bytes] | None) -> tuple[_Header, bytes]:
        if loaded is None:
            raise ObjectAbsent(name)
        return loaded

    def _check_replaceable(self, name: str, path: Path, expected: str | None) -> None:
        loaded = self._load(name, path, with_data=False)
        if (loaded[0].tag.hex() if loaded else None) != expected:
            raise ObjectChanged(name)
        if loaded:
            self._check_unlocked(name, loaded[0])

    def _check_unlocked(self, name: str, header: _Header) -> None:
        if header.retention_ms > (self._clock() - _EPOCH) // _MILLISECOND:
            raise ObjectLocked(name)

    @contextmanager
    def _exclusive(self, name: str) -> Iterator[None]:
        """Keep out all others who would replace, relock or delete this object (and those that share its lock file).

        The kernel frees the lock when its holder dies. Lock files stay: removing one would part its holders.
        """
        path = self._locks / f"{zlib.crc32(name.encode()) & 0xFF:02x}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _written(self, header: _Header, data: bytes, *, durable: bool = True) -> Iterator[Path]:
        """A file with this content, durable before anyone can see it under an object's name.

        Dying inside leaves a file that no listing shows; after `_link` it is a second name of the object's file.
        """
        path = self._temporary / os.urandom(16).hex()
        try:
            write_file(path, header.encode(), data, durable=durable)
            yield path
        finally:
            with suppress(OSError):  # the outcome is decided; what stays is swept
                path.unlink()

    def _link(self, name: str, written: Path, path: Path) -> bool:
        """Give the file its object's name; False when the name is taken. Of all racing callers one gets True."""
        for _ in range(_LINK_ATTEMPTS):
            try:
                with effect(name):
                    path.hardlink_to(written)
            except FileExistsError:
                if path.is_dir():
                    raise InvalidObjectName("objects exist whose names begin with this name and '/'") from None
                return False
            except NotADirectoryError:
                raise InvalidObjectName("an object has the name of a folder of this name") from None
            except FileNotFoundError:
                self._folders.make(path.parent)  # and again if a deletion removes it, empty, before the link
            else:
                return True
        raise OSError(errno.EAGAIN, "the folder can't be made, or vanishes each time")

    def _names(self, folder: str, stem: str, after: str) -> Iterator[str]:
        """Names in `folder` ('' or ending with '/') whose rest begins with `stem`.

        A folder sorts as its name and '/', as its objects' whole names do: 'a.b' comes before 'a/b'.
        """
        try:
            with os.scandir(self._objects / folder) as entries:
                found = sorted(
                    {
                        entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                        for entry in entries
                        if entry.name.startswith(stem) and _PART.fullmatch(entry.name) and not entry.is_symlink()
                    }
                )
        except (FileNotFoundError, NotADirectoryError):  # never there, or gone meanwhile
            self._require_root()
            return
        except OSError as error:
            raise ObjectStoreUnavailable(f"can't list {folder}: {error.strerror}", maybe_written=False) from error
        for entry_name in found:
            name = folder + entry_name
            if not name.endswith("/"):
                if name > after:
                    yield name
            elif name > after or after.startswith(name):
                yield from self._names(name, "", after)


def _milliseconds(until: datetime | None) -> int:
    """Milliseconds since 1970, rounded up: a retention never ends before the time that was asked for."""
    if until is None:
        return 0
    if until.tzinfo is None:
        raise ValueError("the end of a retention must have a time zone")
    milliseconds = -((_EPOCH - until) // _MILLISECOND)
    if not 0 < milliseconds <= _LATEST_MS:
        raise ValueError("the end of a retention is out of range")
    return milliseconds
