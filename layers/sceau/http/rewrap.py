"""The function `rewrap`: moves records to the newest versions of their keys. Off, but during a rotation.

It may open everything of a record, so it is built only while its stage has it switched on, until a date. It goes around
the records; each that needs an older version is sealed anew: its stale documents into new objects, then its dossier,
which names them, by the one commit that every write makes. An event is written before that commit.

Runs may end anywhere: what is done is done, what is not shows by itself, without a note kept anywhere. If we die before
a commit, the old version stands, and new objects that nobody names are swept. The objects that a commit leaves behind
are swept too, some time after it. Two runs at once, and live traffic, lose races as all writers do, and try again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from sceau.audit.errors import JournalUnavailable
from sceau.audit.facts import OwnAct, OwnFacts, Server
from sceau.audit.journal import Journal
from sceau.envelope.messages import Envelope
from sceau.http.chalice_app import Task
from sceau.http.journals import journal_of, server_identity
from sceau.http.log import LogEvent, log
from sceau.http.runtime import Runtime
from sceau.keys.errors import KeyServiceError, KeyVersionGone
from sceau.keys.ports import DATA_KEY_BYTES
from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.records.errors import CommitLost, RecordDamaged
from sceau.records.ids import encode_id
from sceau.records.repository import Loaded, Records, dossier_name
from sceau.records.resealing import Staleness, moved, newest_versions, next_object_name, stale_parts
from sceau_schemas.dossier import StoredDocument

LONGEST_RUN: Final = timedelta(minutes=13)
"""Lambda's longest is 15."""

MOST_DOCUMENTS: Final = 50
"""Documents that one commit moves: a record with more gets several."""

_MOST_ATTEMPTS: Final = 20
_MOST_FAILURES: Final = 10
"""Records in a row for which store or key service failed: then they are down, and the run ends."""

_RECORDS = "records/"
_LONGEST_PAUSE_SECONDS = 0.2


@dataclass(slots=True)
class Report:
    """What a run did, in records; `documents` in documents, `gone` in objects whose version is gone.

    `busy`: records that changed too often. `finished`: all were looked at.
    """

    looked_at: int = 0
    rewrapped: int = 0
    documents: int = 0
    gone: int = 0
    busy: int = 0
    failed: int = 0
    damaged: list[str] = field(default_factory=list)
    finished: bool = True
    seconds: float = 0.0

    def figures(self) -> dict[str, int | float]:
        """Numbers only, for the log."""
        return {
            "records": self.looked_at,
            "rewrapped": self.rewrapped,
            "documents": self.documents,
            "gone": self.gone,
            "busy": self.busy,
            "damaged": len(self.damaged),
            "failed": self.failed,
            "finished": self.finished,
            "seconds": self.seconds,
        }

    @property
    def is_complete(self) -> bool:
        """Whether every record was looked at, and none is left that could not be moved."""
        return self.finished and not (self.gone or self.busy or self.damaged or self.failed)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What moving one record takes."""

    records: Records
    journal: Journal
    server: Server
    sleep: Callable[[float], None]
    random_bytes: Callable[[int], bytes]


class Rewrap:
    """Moves the records of a stage. `sleep` waits (seconds) after lost races; `random_bytes` makes keys and choices."""

    def __init__(
        self,
        runtime: Runtime,
        journal: Journal,
        server: Server,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = runtime.store
        self._keys = runtime.keys
        self._clock = runtime.clock
        self._require_on = runtime.require_switched_on
        self._random_bytes = random_bytes
        records = Records(runtime.store, Envelope(runtime.keys, random_bytes=random_bytes))
        self._tools = _Tools(records, journal, server, sleep, random_bytes)

    def run(self, *, written_before: datetime | None = None, longest: timedelta | None = LONGEST_RUN) -> Report:
        """Go once around the records, from one chosen at random, for at most `longest` (None: to the end).

        `written_before`: see `Staleness`. Raises SwitchedOff; what the key service's `wrap` raises, before any change.
        """
        self._require_on()
        started, report = self._clock(), Report()
        newest = newest_versions(self._keys, self._random_bytes(2 * DATA_KEY_BYTES))
        staleness = Staleness(self._store, newest, written_before)
        in_a_row = 0
        try:
            for record_id in self._around():
                if longest is not None and self._clock() - started > longest:
                    report.finished = False
                    break
                before = report.failed
                self._record(record_id, staleness, report)
                in_a_row = in_a_row + 1 if report.failed > before else 0
                if in_a_row == _MOST_FAILURES:
                    report.finished = False
                    break
        except ObjectStoreUnavailable:
            report.failed += 1
            report.finished = False
        report.seconds = round((self._clock() - started).total_seconds(), 3)
        return report

    def _record(self, record_id: str, staleness: Staleness, report: Report) -> None:
        report.looked_at += 1
        try:
            if _Move(self._tools, record_id, staleness, report).to_the_end():
                report.rewrapped += 1
        except ObjectAbsent:
            pass  # documents without a dossier: `upkeep` tells of them
        except RecordDamaged:
            report.damaged.append(record_id)
        except KeyVersionGone:
            report.gone += 1  # of the dossier: nobody can open this record
        except CommitLost:
            report.busy += 1
        except (ObjectStoreUnavailable, KeyServiceError, JournalUnavailable):
            report.failed += 1

    def _around(self) -> Iterator[str]:
        """Every record once, from one chosen at random: where runs end early, each has its turn all the same."""
        start = f"{_RECORDS}{encode_id(self._random_bytes(16))}"
        yield from self._ids(after=start)
        for record_id in self._ids():
            if f"{_RECORDS}{record_id}" > start:
                return
            yield record_id

    def _ids(self, *, after: str = "") -> Iterator[str]:
        for record_id, _ in groupby(self._store.list(_RECORDS, after=after), lambda name: name.split("/")[1]):
            yield record_id


class _Move:
    """One record's way to the newest versions. New objects are made once, whatever becomes of the commits."""

    def __init__(self, tools: _Tools, record_id: str, staleness: Staleness, report: Report) -> None:
        self._tools = tools
        self._record_id = record_id
        self._staleness = staleness
        self._report = report
        self._made: dict[str, StoredDocument] = {}
        self._gone: set[str] = set()
        self._event: str | None = None

    def to_the_end(self) -> bool:
        """Commit until nothing is stale; return whether anything was. Raises CommitLost after too many lost races."""
        changed, lost = False, 0
        while True:
            stale = stale_parts(self._staleness, self._record_id, most=MOST_DOCUMENTS, skipped=frozenset(self._gone))
            if not stale:
                return changed
            try:
                if self._commit(stale.documents, also_dossier=stale.dossier):
                    changed = True
                lost = 0
            except CommitLost:
                lost += 1
                if lost == _MOST_ATTEMPTS:
                    raise
                jitter = int.from_bytes(self._tools.random_bytes(2), "big") / 65536
                self._tools.sleep(jitter * _LONGEST_PAUSE_SECONDS)

    def _commit(self, names: tuple[str, ...], *, also_dossier: bool) -> bool:
        loaded = self._tools.records.load(self._record_id)
        if loaded is None:
            raise ObjectAbsent(dossier_name(self._record_id))
        self._make(loaded, names)
        moves = {name: self._made[name] for name in names if name in self._made}
        if not moves and not also_dossier:
            return False  # all of them need versions that are gone
        if self._event is None:
            self._event = self._announce(loaded)
        after = moved(loaded.dossier.following(self._event, at=loaded.dossier.head.updated), moves)
        self._tools.records.commit(after, replacing=loaded)
        self._event = None  # the next commit has an event of its own
        self._report.documents += len(moves)
        return True

    def _make(self, loaded: Loaded, names: tuple[str, ...]) -> None:
        """A new object for each of these documents that has none yet."""
        for row in loaded.dossier.entries.rows():
            old = row.document
            if old.object_name not in names or old.object_name in self._made:
                continue
            if self._event is None:
                self._event = self._announce(loaded)
            name = next_object_name(old.object_name)
            try:
                stored, sealed = self._tools.records.reseal_document(self._record_id, row.id, old, name)
            except KeyVersionGone:
                self._gone.add(old.object_name)
                self._report.gone += 1
                continue
            self._made[old.object_name] = self._upload(stored, sealed)

    def _upload(self, stored: StoredDocument, sealed: bytes) -> StoredDocument:
        while True:
            try:
                self._tools.records.upload(stored, sealed)
            except ObjectExists:
                # Of a run that died before its commit, or of one that runs now: its content can't be told, ours can.
                stored = stored.model_copy(update={"object_name": next_object_name(stored.object_name)})
            else:
                return stored

    def _announce(self, loaded: Loaded) -> str:
        newest = self._staleness.newest
        details = {f"{key}-key": f"{newest[key].form.name.lower()} {newest[key].version}" for key in newest}
        facts = OwnFacts(OwnAct.REWRAP, self._tools.server, self._record_id, loaded.dossier.head.version, details)
        return self._tools.journal.append(facts)


def build(runtime: Runtime) -> Task:
    """The function's task: one run, logged."""
    rewrap = Rewrap(runtime, journal_of(runtime), server_identity(runtime))

    def task() -> dict[str, int | float]:
        report = rewrap.run()
        log(LogEvent.REWRAPPED, **report.figures())
        if report.damaged or report.gone:
            damaged = len(report.damaged)
            log(LogEvent.DAMAGED, function=runtime.function, dossiers_damaged=damaged, versions_gone=report.gone)
        if report.failed:
            log(LogEvent.UNAVAILABLE, function=runtime.function, failed=report.failed)
        return report.figures()

    return task
