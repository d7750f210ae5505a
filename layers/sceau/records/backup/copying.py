"""`sceau backup run`: copies what is new to the second store. No key is needed, and none is used.

What has been copied is a state that the stage could have died in, whatever goes on meanwhile: of each record the
dossier is read before the documents that it lists are, and rests in the backup after them; then the log is copied, as
its checkpoint of that moment has it, and events last: each event comes before what it announces, and before it is
sealed.

A run may die anywhere. What it copied lies there under its digest; what its manifests name is known to the next run,
which goes on with them. Nothing of a backup is ever replaced, but contents that were damaged in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Final, TypeGuard

from sceau.audit.ids import EVENTS_PREFIX
from sceau.audit.log.checkpoints import parse_checkpoint
from sceau.audit.log.errors import NoteRefused
from sceau.audit.log.notes import parse_note
from sceau.audit.log.places import CHECKPOINT, COSIGNED, DATED, PENDING, RECONCILIATION, TILES, VKEYS
from sceau.audit.retention import clocks_agree
from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import Listed, ObjectStore, StoredObject
from sceau.objects.scoped import covers
from sceau.records.backup.ageing import Ageing, age_out
from sceau.records.backup.contents import Copier, Source
from sceau.records.backup.format import (
    MARKER,
    BackupRefused,
    Copy,
    Erasure,
    Line,
    RunEnd,
    encode_end,
    encode_marker,
    encode_part,
    end_name,
    part_name,
    sha256_of,
)
from sceau.records.backup.manifests import Manifests, require_backup
from sceau.records.backup.places import (
    CONFIGURATION,
    DOSSIERS,
    DUE,
    RECORDS,
    has_versions,
    is_of_log,
    record_of,
)
from sceau.records.dossier import split_object
from sceau.records.ended import ENDED, EXPUNGED
from sceau.records.errors import RecordDamaged

BATCH: Final = 256
"""Objects that are copied before a part of the manifest names them: what a run that dies copies again."""

EVENTS_AGAIN: Final = timedelta(days=2)
"""How far before the last run's beginning events are looked for: their names say when they were written."""

_ATTEMPTS = 3


@dataclass(slots=True)
class Report:
    """What a run did. `aged_out`: contents that it took out, of `records_aged_out`.

    `problems`: a sentence for each object that could not be copied, or taken out, as it should be.
    """

    run: int = 0
    looked_at: int = 0
    contents: int = 0
    bytes: int = 0
    gone: int = 0
    aged_out: int = 0
    records_aged_out: int = 0
    resumed: bool = False
    problems: list[str] = field(default_factory=list)
    digest: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Dossier:
    """A dossier as read, and the documents that it lists."""

    listed: Listed
    stored: StoredObject
    names: tuple[str, ...]


class BackupRun:
    """One run: `source`, with the rights of the tool `backup`, to `target`. `pool` runs what does not wait for others.

    `forgets_after`: how long what was deleted with its record stays. `locked_for`: every object of the backup is locked
    for so long, where its store can (None: it is not).
    """

    def __init__(
        self,
        source: Source,
        target: ObjectStore,
        *,
        clock: Callable[[], datetime],
        pool: Executor,
        forgets_after: timedelta,
        locked_for: timedelta | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._pool = pool
        self._locked_for = locked_for
        self._copier = Copier(source, target, self._lock_end, clock)
        self._tags: dict[str, str] = {}
        self._digests: list[str] = []
        self._waiting: list[Line] = []
        self._ageing = Ageing(forgets_after)
        self._report = Report()

    def run(self, stage: str, *, whole: bool = False) -> Report:
        """Copy what is new. `whole`: look at all events, not only at those since the last run.

        Raises BackupRefused; ObjectStoreUnavailable when a listing, or the second store, fails: run it again.
        """
        began, report = self._clock(), self._report
        self._begin(stage)
        manifests = Manifests(self._target)
        since = None
        for line in manifests.lines():
            self._learn(line)
        if manifests.last is not None and not whole:
            since = manifests.last.began - EVENTS_AGAIN
        report.problems += manifests.problems
        report.run, self._digests = manifests.next_run, manifests.open_parts
        report.resumed = bool(self._digests)
        self._everything(since)
        self._flush()
        self._age_out()
        end = RunEnd(
            report.run,
            began,
            self._clock(),
            tuple(self._digests),
            manifests.last_digest,
            report.contents,
            len(report.problems),
        )
        data = encode_end(end)
        self._put_manifest(end_name(report.run), data)
        report.digest = sha256_of(data)
        report.seconds = round((self._clock() - began).total_seconds(), 3)
        return report

    def _age_out(self) -> None:
        """Take out what was deleted on the stage long enough ago: first the contents, then their lines are written.

        If we die between, the next run does it again: what is there no more is as good as taken out.
        """
        now = self._clock()
        if not clocks_agree(now, self._source.time()):
            self._report.problems.append("our clock and the stage's differ: nothing ages out by it")
            return
        for aged in age_out(self._target, Manifests(self._target).lines(), self._ageing, now):
            self._report.aged_out += len(aged.erasures)
            self._report.records_aged_out += bool(aged.erasures)
            self._report.problems += aged.problems
            for erasure in aged.erasures:
                self._learn(erasure)
                self._waiting.append(erasure)
            if len(self._waiting) >= BATCH:
                self._flush()
        self._flush()

    def _begin(self, stage: str) -> None:
        try:
            self._target.create(MARKER, encode_marker(stage), locked_until=self._lock_end())
        except ObjectExists:
            require_backup(self._target, stage)

    def _learn(self, copy: Line) -> None:
        self._ageing.learn(copy)
        if isinstance(copy, Erasure):
            return
        if copy.sha256 is None:
            self._tags.pop(copy.name, None)
            self._copier.newest.pop(copy.name, None)
            return
        self._tags[copy.name] = copy.tag
        if has_versions(copy.name):
            self._copier.newest[copy.name] = copy

    def _everything(self, since: datetime | None) -> None:
        for prefix in (CONFIGURATION, DUE, ENDED, EXPUNGED, RECONCILIATION):
            self._prefix(prefix)
        self._records()
        self._log()
        self._prefix(EVENTS_PREFIX, after=f"{EVENTS_PREFIX}{since:%Y-%m-%d}" if since else "")

    def _log(self) -> None:
        """The log as one checkpoint has it; it grows meanwhile, and what came later is left.

        That checkpoint is read first, but for the newest one that witnesses cosigned: read before it, that one is never
        larger, so a restored log holds what it is of.
        """
        size = 0
        self._copy_all(self._named(COSIGNED))
        for listed in self._named(CHECKPOINT):
            stored = self._source.read(listed.name)
            try:
                size = parse_checkpoint(parse_note(stored.data).text).size
            except NoteRefused:
                self._report.problems.append(f"{CHECKPOINT} is none: of the log, only its keys were copied")
            found = Listed(listed.name, stored.tag, listed.written_at)
            if self._is_new(found):
                self._keep(self._copier.copied(found, stored))
        for name in (VKEYS, PENDING):
            self._copy_all(self._named(name))
        self._prefix(DATED, only=lambda name: is_of_log(name, size))
        self._prefix(TILES, only=lambda name: is_of_log(name, size))

    def _named(self, name: str) -> list[Listed]:
        return [one for one in self._source.entries(name) if one.name == name]

    def _prefix(self, prefix: str, *, after: str = "", only: Callable[[str], bool] = lambda _: True) -> None:
        gone = {name for name in self._tags if name.startswith(prefix) and name > after}
        entries = (one for one in self._source.entries(prefix, after=after) if only(one.name))
        while some := list(islice(entries, BATCH)):
            gone -= {one.name for one in some}
            self._copy_all(some)
        self._mark_gone(gone)

    def _records(self) -> None:
        gone = {name for name in self._tags if name.startswith(RECORDS)}
        waiting: list[Listed] = []
        for _, group in groupby(self._source.entries(RECORDS), lambda one: record_of(one.name)):
            for one in group:
                gone.discard(one.name)
                self._report.looked_at += 1
                if self._is_new(one):
                    waiting.append(one)
            if len(waiting) >= BATCH:
                self._some_records(waiting, gone)
                waiting = []
        self._some_records(waiting, gone)
        self._mark_gone(gone)

    def _some_records(self, new: Sequence[Listed], gone: set[str]) -> None:
        dossiers = [one for one in new if covers(DOSSIERS, one.name)]
        others = [one for one in new if not covers(DOSSIERS, one.name)]
        read = [one for one in self._pool.map(self._read_dossier, dossiers) if self._is_usable(one)]
        here = {one.name for one in others}
        for dossier in read:
            for name in dossier.names:
                gone.discard(name)
                if name not in self._tags and name not in here:
                    here.add(name)
                    others.append(Listed(name, "", self._clock()))  # it came after we had listed its folder
        self._copy_all(others)
        settled = [one for one in map(self._with_documents, read) if one is not None]
        for copies in self._pool.map(lambda one: self._copier.copied(one.listed, one.stored), settled):
            self._keep(copies)
        self._flush()

    def _read_dossier(self, listed: Listed) -> _Dossier | str | None:
        try:
            stored = self._source.read(listed.name)
        except ObjectAbsent:
            return None
        except ObjectStoreUnavailable as error:
            return f"{listed.name} could not be read: {error}"
        try:
            return _Dossier(listed, stored, split_object(stored.data)[1])
        except RecordDamaged:
            return _Dossier(listed, stored, ())  # copied as it is: `upkeep` and `backup verify` tell of it

    def _is_usable(self, read: _Dossier | str | None) -> TypeGuard[_Dossier]:
        if isinstance(read, str):
            self._report.problems.append(read)
        return isinstance(read, _Dossier)

    def _with_documents(self, dossier: _Dossier) -> _Dossier | None:
        """The dossier, once its documents are copied.

        Where one of them was gone already, a newer dossier does without it: that one is taken.
        """
        for _ in range(_ATTEMPTS):
            if all(name in self._tags for name in dossier.names):
                return dossier
            again = self._read_dossier(dossier.listed)
            if not self._is_usable(again):
                return None
            dossier = again
            self._copy_all([Listed(name, "", self._clock()) for name in dossier.names if name not in self._tags])
        missing = sum(name not in self._tags for name in dossier.names)
        if missing:
            self._report.problems.append(f"{dossier.listed.name} lists {missing} documents that are not there")
        return dossier

    def _copy_all(self, listed: Iterable[Listed]) -> None:
        listed = list(listed)
        self._report.looked_at += len(listed)
        for copies in self._pool.map(self._copy, [one for one in listed if self._is_new(one)]):
            self._keep(copies)
        if len(self._waiting) >= BATCH:
            self._flush()

    def _is_new(self, listed: Listed) -> bool:
        return not listed.tag or self._tags.get(listed.name) != listed.tag

    def _copy(self, listed: Listed) -> tuple[Copy, ...] | str:
        return self._copier.copied(listed)

    def _keep(self, copies: tuple[Copy, ...] | str) -> None:
        if isinstance(copies, str):
            self._report.problems.append(copies)
            return
        for copy in copies:
            self._learn(copy)
            self._waiting.append(copy)
            if copy.sha256 is None:
                self._report.gone += 1
            else:
                self._report.contents += 1
                self._report.bytes += copy.size

    def _mark_gone(self, names: Iterable[str]) -> None:
        now = self._clock()
        self._keep(tuple(Copy(name, None, 0, "", now) for name in sorted(names)))

    def _flush(self) -> None:
        """Name what was copied in a part of the manifest: from then on it is in the backup."""
        while self._waiting:
            some, self._waiting = self._waiting[: 4 * BATCH], self._waiting[4 * BATCH :]
            data = encode_part(some)
            self._put_manifest(part_name(self._report.run, len(self._digests) + 1), data)
            self._digests.append(sha256_of(data))

    def _put_manifest(self, name: str, data: bytes) -> None:
        try:
            self._target.create(name, data, locked_until=self._lock_end())
        except ObjectExists:
            raise BackupRefused("another run of this backup is at work") from None

    def _lock_end(self) -> datetime | None:
        return self._clock() + self._locked_for if self._locked_for else None
