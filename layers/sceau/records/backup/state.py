"""What a backup holds: the stage as it was at the end of a run, and what an object was before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sceau.objects.errors import ObjectAbsent
from sceau.objects.ports import ObjectStore, Version, check_name
from sceau.records.backup.format import OBJECTS, BackupRefused, Copy, sha256_of
from sceau.records.backup.manifests import Manifests


def state_of(copies: Iterable[Copy]) -> dict[str, Copy]:
    """What is there after these copies, by name."""
    state: dict[str, Copy] = {}
    for copy in copies:
        if copy.sha256 is None:
            state.pop(copy.name, None)
        else:
            state[copy.name] = copy
    return state


class BackupVersions:
    """The earlier versions of the objects below a prefix, from a backup: `EarlierVersions`.

    Made, it reads all manifests once. Raises ObjectStoreUnavailable; BackupRefused when
    a manifest is not as it was written: what was then can't be told from such.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._copies: dict[str, list[Copy]] = {}
        manifests = Manifests(store)
        for copy in manifests.copies():
            if copy.name.startswith(prefix):
                self._copies.setdefault(copy.name, []).append(copy)
        self._copies = {
            name: [one for one in copies if (name, one.sha256) not in manifests.erased]
            for name, copies in self._copies.items()
        }
        if manifests.problems:
            raise BackupRefused(f"the backup was altered: {manifests.problems[0]} (`sceau backup verify` says it all)")

    def history(self, name: str) -> tuple[Version, ...]:
        """See `EarlierVersions.history`."""
        found = self._copies.get(check_name(name), [])
        return tuple(Version(one.sha256 or "", one.written, one.sha256 is None) for one in reversed(found))

    def read_version(self, name: str, version: str) -> bytes:
        """See `EarlierVersions.read_version`. Raises BackupRefused for a content that was altered."""
        if not version:
            raise ObjectAbsent(name)
        data = self._store.read(f"{OBJECTS}{check_name(name)}.{version}").data
        if sha256_of(data) != version:
            raise BackupRefused(f"a content of {name} in the backup was altered")
        return data


def version_at(history: Iterable[Version], at: datetime) -> Version | None:
    """The version that was there at a time, of a history, the newest first; None when nothing was there."""
    found = next((one for one in history if one.written_at <= at), None)
    return None if found is None or found.is_deletion else found
