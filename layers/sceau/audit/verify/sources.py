"""Where a verification reads: a live store, or a copy of one in a folder. Nothing is ever written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sceau.audit.log.errors import LogUnavailable
from sceau.objects.errors import ObjectAbsent, ObjectStoreError
from sceau.objects.ports import ImmutableObjects, Kept, check_name


class Source(Protocol):
    """What is verified. Methods raise LogUnavailable when an answer can't be had: then nothing is said of the log."""

    live: bool
    """Whether objects may still come while they are read, and locks and versions can be told."""

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when there is none."""

    def kept(self, prefix: str) -> Iterator[Kept]:
        """What is kept under names with this prefix, in the order of names; see `ImmutableObjects.versions`."""

    def locked_until(self, name: str) -> datetime | None:
        """When an object's lock ends; None when it has none, or is gone."""


class LiveSource:
    """A store."""

    live = True

    def __init__(self, store: ImmutableObjects) -> None:
        self._store = store

    def read(self, name: str) -> bytes | None:
        """See `Source`."""
        try:
            return self._store.read(name).data
        except ObjectAbsent:
            return None
        except ObjectStoreError as error:
            raise LogUnavailable(f"{name} can't be read") from error

    def kept(self, prefix: str) -> Iterator[Kept]:
        """See `Source`."""
        try:
            yield from self._store.versions(prefix)
        except ObjectStoreError as error:
            raise LogUnavailable(f"{prefix} can't be listed") from error

    def locked_until(self, name: str) -> datetime | None:
        """See `Source`."""
        try:
            return self._store.locked_until(name)
        except ObjectAbsent:
            return None
        except ObjectStoreError as error:
            raise LogUnavailable(f"the lock of {name} can't be read") from error


class CopiedSource:
    """A folder with one file per object, each `/` of its name a folder: what any tool that copies a bucket makes."""

    live = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """See `Source`."""
        try:
            return (self._folder / check_name(name)).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise LogUnavailable(f"{name} can't be read: {error.strerror}") from None

    def kept(self, prefix: str) -> Iterator[Kept]:
        """See `Source`. A copy has one content of each name."""
        if not self._folder.is_dir():
            raise LogUnavailable(f"there is no folder {self._folder}")
        return (Kept(name, 1, hidden=False) for name in self._names(prefix))

    def locked_until(self, name: str) -> datetime | None:
        """See `Source`. A copy knows of no lock."""
        raise LogUnavailable(f"a copy does not tell whether {name} is locked")

    def _names(self, prefix: str, folder: str = "") -> Iterator[str]:
        try:
            with os.scandir(self._folder / folder) as entries:
                found = sorted(entry.name + "/" if entry.is_dir() else entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise LogUnavailable(f"{folder} can't be listed: {error.strerror}") from None
        for one in found:
            name = folder + one
            if one.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._names(prefix, name)
            elif name.startswith(prefix):
                yield name
