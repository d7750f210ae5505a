"""What the file-system store does to files and folders so that power loss takes back nothing that was acknowledged."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sceau.objects.errors import ObjectStoreUnavailable

_MOST_SETTLED = 10_000


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Report operating-system errors that came before anything took effect."""
    try:
        yield
    except OSError as error:
        raise ObjectStoreUnavailable(f"{name}: {error.strerror}", maybe_written=False) from error


@contextmanager
def effect(name: str) -> Iterator[None]:
    """Around the one call that takes effect. A refusal did nothing; an input/output error leaves it open."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EIO:
            raise ObjectStoreUnavailable(f"{name}: {error.strerror}", maybe_written=True) from error
        raise


def write_file(path: Path, *parts: bytes, durable: bool) -> None:
    """Write a new file that only its owner can read; its content is on the disk when this returns, if `durable`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for part in parts:
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(folder: Path) -> None:
    """Put the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_durable_folder(folder: Path) -> None:
    """Make the folder, and those above, readable by their owner only, if they are missing."""
    if not folder.is_dir():
        make_durable_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        fsync_folder(folder.parent)


class Folders:
    """The folders below `top`: makes them, removes empty ones, and makes their entries durable. Safe under threads."""

    def __init__(self, top: Path) -> None:
        self._top = top
        # Their own entries, and those of all folders above them, are known to be on the disk.
        self._settled = {top}
        # Their last fsync failed.
        self._doubtful: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make what is missing of `folder`, but never `top`: when that is missing, its disk may be away.

        Nothing is durable yet: `settle` does that once there is an entry worth it. Dying inside leaves empty folders.
        """
        if folder != self._top:
            self.make(folder.parent)
            try:
                folder.mkdir(mode=0o700)
            except (FileExistsError, FileNotFoundError, NotADirectoryError):
                return  # there already, or something is in the way: who wants to use it is told
            self._settled.discard(folder)

    def prune(self, folder: Path) -> None:
        """Remove `folder`, and those above, as far as they are empty. Not durable before `settle`."""
        while folder != self._top:
            try:
                folder.rmdir()  # the kernel refuses unless it is empty, so no new object can go with it
            except OSError:
                return
            self._settled.discard(folder)
            folder = folder.parent

    def settle(self, folder: Path) -> None:
        """Make the entries of `folder` durable. ObjectStoreUnavailable(maybe_written=True) when that fails."""
        try:
            self._fsync_upwards(folder)
        except OSError as error:
            self._doubtful.add(folder)
            message = f"a folder could not be made durable: {error.strerror}"
            raise ObjectStoreUnavailable(message, maybe_written=True) from error

    def require_settled(self, folder: Path) -> None:
        """Try again what failed in `settle`; ObjectStoreUnavailable(maybe_written=False) when it fails again.

        A writer whose folder could not be made durable is told that it may have written, and looks. It must not find
        its write there, and take it as done, while the disk may still forget it.
        """
        if folder in self._doubtful:
            with reported("a folder could not be made durable"):
                self._fsync_upwards(folder)
            self._doubtful.discard(folder)

    def _fsync_upwards(self, folder: Path) -> None:
        """fsync `folder`, and those above that may have a new entry, whether we made it or another writer did.

        So a process does once per folder; most calls fsync one. (A folder that others removed and made again meanwhile
        passes for settled; file systems that journal in order, ext4 and XFS, keep it with its first entry's fsync.)
        """
        fsynced = set()
        while True:
            try:
                fsync_folder(folder)
            except (FileNotFoundError, NotADirectoryError):  # it became empty and was removed: its parent shows that
                if folder == self._top:
                    raise
                self._settled.discard(folder)
            else:
                if folder in self._settled:
                    break
                fsynced.add(folder)
            folder = folder.parent
        if len(self._settled) > _MOST_SETTLED:
            self._settled = {self._top}
        self._settled |= fsynced
