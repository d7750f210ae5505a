"""`sceau restore`: a whole stage, from a backup, into an empty store. No key is needed, and none is used.

The journal comes first, then documents, then dossiers, and configuration last: a stage that is half restored serves
nobody. What is locked on a stage is locked as it comes, for as long as what is written now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.extending import is_full_tile
from sceau.audit.log.indexing import make_index
from sceau.audit.log.places import DATED
from sceau.audit.retention import lock_end
from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import covers
from sceau.records.backup.format import BackupRefused, Copy, sha256_of
from sceau.records.backup.manifests import Manifests, require_backup
from sceau.records.backup.places import CONFIGURATION, DOSSIERS, DUE, RECORDS
from sceau.records.backup.state import state_of
from sceau.records.ended import ENDED, EXPUNGED

_JOURNAL: Final = "journal/"
_PLACES: Final = (_JOURNAL, RECORDS, DUE, ENDED, EXPUNGED, CONFIGURATION)
_STEP: Final = 1024


@dataclass(slots=True)
class Restored:
    """What a restoration did. `there`: what an earlier try had restored. `aged_out`: objects that were there then, of
    records that were deleted since, and that the backup has let go. `findings`: what could not be restored, and why."""

    stage: str = ""
    as_of: datetime | None = None
    objects: int = 0
    bytes: int = 0
    there: int = 0
    aged_out: int = 0
    indexed: int = 0
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Restoration:
    """Restores from `backup` to `target`. `pool` runs what does not wait for others; `retention` is the stage's."""

    def __init__(
        self,
        backup: ObjectStore,
        target: ObjectStore,
        *,
        clock: Callable[[], datetime],
        pool: Executor,
        retention: timedelta,
    ) -> None:
        self._backup = backup
        self._target = target
        self._clock = clock
        self._pool = pool
        self._retention = retention

    def run(self, stage: str, *, at: datetime | None = None, go_on: bool = False) -> Restored:
        """Restore what the newest run found, or the newest that had ended `at` a time.

        `go_on`: an earlier try died: what is there already must be what the backup has. Raises BackupRefused (the
        store is not empty, or there is nothing to restore), ObjectStoreUnavailable, LogError.
        """
        started, done = self._clock(), Restored(stage)
        require_backup(self._backup, stage)
        if not go_on:
            self._require_empty()
        manifests = Manifests(self._backup)
        state = state_of(manifests.copies(until=at, ended_only=True))
        if manifests.last is None:
            raise BackupRefused("no run of the backup had ended by then" if at else "no run of the backup has ended")
        done.as_of = manifests.last.began
        done.findings += manifests.problems
        aged_out = [name for name, copy in state.items() if (name, copy.sha256) in manifests.erased]
        done.aged_out = len(aged_out)
        for name in aged_out:
            del state[name]
        for some in _in_order(state.values()):
            self._restore(some, done)
        done.indexed = make_index(self._target).made
        done.seconds = round((self._clock() - started).total_seconds(), 3)
        return done

    def _require_empty(self) -> None:
        for prefix in _PLACES:
            for name in self._target.list(prefix):
                raise BackupRefused(
                    f"the stage is not empty ({name} is there): a backup is restored into an empty one only "
                    "(--go-on after a try that died)"
                )

    def _restore(self, copies: Iterable[Copy], done: Restored) -> None:
        rest = iter(copies)
        while some := list(islice(rest, _STEP)):
            for copy, outcome in zip(some, self._pool.map(self._one, some), strict=True):
                if isinstance(outcome, str):
                    done.findings.append(outcome)
                elif outcome:
                    done.objects += 1
                    done.bytes += copy.size
                else:
                    done.there += 1

    def _one(self, copy: Copy) -> bool | str:
        """Whether it was restored now, or was there; or a sentence that says why it could not be."""
        try:
            data = self._backup.read(copy.object_name).data
        except ObjectAbsent:
            return f"{copy.name} is missing in the backup"
        except ObjectStoreUnavailable as error:
            return f"{copy.name} can't be read from the backup: {error}"
        if sha256_of(data) != copy.sha256:
            return f"{copy.name} was altered in the backup: it is not restored"
        try:
            self._target.create(copy.name, data, locked_until=self._lock_of(copy.name))
        except ObjectExists:
            return False if self._target.read(copy.name).data == data else f"{copy.name} is there, and is another"
        return True

    def _lock_of(self, name: str) -> datetime | None:
        locked = name.startswith((EVENTS_PREFIX, DATED)) or is_full_tile(name)
        return lock_end(self._clock(), self._retention) if locked else None


def _in_order(copies: Iterable[Copy]) -> list[list[Copy]]:
    """The journal, documents, dossiers, the rest, configuration; each by name."""
    steps: list[list[Copy]] = [[] for _ in range(5)]
    for copy in copies:
        steps[_step(copy.name)].append(copy)
    return [sorted(step, key=lambda one: one.name) for step in steps]


def _step(name: str) -> int:
    if name.startswith(_JOURNAL):
        return 0
    if name.startswith(CONFIGURATION):
        return 4
    if covers(DOSSIERS, name):
        return 2
    return 1 if name.startswith(RECORDS) else 3
