"""Copies contents of a stage's objects into a backup: the present one, and what was before it since the last run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final, Protocol

from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import EarlierVersions, Listed, Listings, ObjectStore, StoredObject
from sceau.records.backup.format import Copy, sha256_of
from sceau.records.backup.places import has_versions

_A_SECOND: Final = timedelta(seconds=1)  # S3 dates versions to a second


class Source(ObjectStore, Listings, EarlierVersions, Protocol):
    """What is copied from."""


class Copier:
    """Writes contents to `target`. `newest`: the newest copy of what has versions, kept by whoever reads manifests."""

    def __init__(
        self,
        source: Source,
        target: ObjectStore,
        lock_end: Callable[[], datetime | None],
        clock: Callable[[], datetime],
    ) -> None:
        self.newest: dict[str, Copy] = {}
        self._source = source
        self._target = target
        self._lock_end = lock_end
        self._clock = clock

    def copied(self, listed: Listed, stored: StoredObject | None = None) -> tuple[Copy, ...] | str:
        """The copies of an object, `stored` if it was read already; or a sentence that says why there are none."""
        try:
            return self._versions(listed, stored or self._source.read(listed.name))
        except ObjectAbsent:
            return ()  # deleted since it was listed: the next run says so
        except ObjectStoreUnavailable as error:
            return f"{listed.name} could not be copied: {error}"

    def _versions(self, listed: Listed, stored: StoredObject) -> tuple[Copy, ...]:
        """What is there, and before it what was there since the last run, where the source keeps that.

        Not what lies behind a deletion: it is of another life of the record, which is over.
        """
        written = listed.written_at if listed.tag == stored.tag else self._written(listed.name)
        present = Copy(listed.name, sha256_of(stored.data), len(stored.data), stored.tag, written)
        earlier: list[Copy] = []
        if has_versions(listed.name):
            known = self.newest.get(listed.name)
            seen = {present.sha256, known.sha256 if known else None}
            history = self._source.history(listed.name)
            for version in reversed(list(takewhile(lambda one: not one.is_deletion, history))):
                if known is not None and version.written_at < known.written - _A_SECOND:
                    continue
                try:
                    data = self._source.read_version(listed.name, version.id)
                except ObjectAbsent:
                    continue  # its time was over meanwhile
                copy = Copy(listed.name, sha256_of(data), len(data), "", version.written_at)
                if copy.sha256 not in seen:
                    seen.add(copy.sha256)
                    self._put(copy, data)
                    earlier.append(copy)
        self._put(present, stored.data)
        return *earlier, present

    def _written(self, name: str) -> datetime:
        try:
            return self._source.written_at(name)
        except ObjectAbsent:
            return self._clock()  # deleted since it was read

    def _put(self, copy: Copy, data: bytes) -> None:
        """Write a content, if it is not there. One that was damaged in the backup is written again."""
        try:
            self._target.create(copy.object_name, data, locked_until=self._lock_end())
        except ObjectExists:
            found = self._target.read(copy.object_name)
            if sha256_of(found.data) != copy.sha256:
                self._target.replace(copy.object_name, data, expected=found.tag)
