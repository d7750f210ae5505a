"""What time does to records: closes those whose suspension nobody objected to, deletes those whose archive is over.

`consent` leaves marks (`sceau.records.due`); whether something is due, the dossier alone says. A record is ended by
the one commit that every write makes: its last version has nothing in it. What it reached is deleted after that, its
dossier at the very last. If we die anywhere, the mark is still there, and the next run goes on.

An event is written before each commit; it is not written where our clock and the store's differ, so a clock that went
wrong ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sceau.access.facts import life_of
from sceau.access.life import Cause, Due, End, ahead
from sceau.audit.errors import JournalUnavailable
from sceau.audit.facts import OwnAct, OwnFacts, Server
from sceau.fhir.search.dates import millis
from sceau.http.decisions import Moment
from sceau.http.lives import closed
from sceau.keys.errors import KeyServiceError
from sceau.objects.errors import ObjectAbsent, ObjectLocked, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore
from sceau.records.due import PREFIX, due_name, parse_due
from sceau.records.ended import leave_ended
from sceau.records.errors import CommitLost, RecordDamaged
from sceau.records.repository import Loaded, Records, dossier_name
from sceau.records.sweep import Budget
from sceau_schemas.dossier import ClosingMotive
from sceau_schemas.rules import RuleSettings

BY_TIME: Final = "upkeep"
"""Who closed a record that nobody objected for, as a consent's `by` says it."""

_MOTIVES: Final[dict[Cause, ClosingMotive]] = {Cause.SUSPENSION: "suspension", Cause.DEATH: "death"}
_ACTS: Final = {End.CLOSE: OwnAct.CLOSE, End.DELETE: OwnAct.DELETE}


@dataclass(slots=True)
class DueTally:
    """What one run did, in records. `waiting`: marks kept for what is due later that day, or as the settings say now.

    `failed`: left to the next run, since store, keys or journal did not answer, or somebody else was first.
    `finished`: every mark of the past was looked at.
    """

    closed: int = 0
    deleted: int = 0
    waiting: int = 0
    failed: int = 0
    damaged: list[str] = field(default_factory=list)
    finished: bool = True


class DueWork:
    """Carries out what is due. `append` writes an event and returns its id; `settings` are the stage's."""

    def __init__(
        self,
        store: ObjectStore,
        records: Records,
        append: Callable[[OwnFacts], str],
        server: Server,
        *,
        settings: RuleSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._records = records
        self._append = append
        self._server = server
        self._settings = settings
        self._clock = clock

    def run(self, budget: Budget) -> DueTally:
        """Look at every mark up to today."""
        tally = DueTally()
        try:
            for name in self._store.list(PREFIX):
                mark = parse_due(name)
                if mark is None:
                    continue
                day, record_id = mark
                if day > self._clock().astimezone(UTC).date():
                    break  # names are in order
                if budget.is_spent():
                    tally.finished = False
                    break
                self._look(name, record_id, budget, tally)
        except ObjectStoreUnavailable:
            tally.failed += 1
            tally.finished = False
        return tally

    def _look(self, name: str, record_id: str, budget: Budget, tally: DueTally) -> None:
        try:
            if self._is_done(name, record_id, budget, tally):
                _gone(self._store, name)
        except RecordDamaged:
            tally.damaged.append(record_id)
        except (ObjectStoreUnavailable, ObjectLocked, KeyServiceError, JournalUnavailable, CommitLost):
            tally.failed += 1

    def _is_done(self, name: str, record_id: str, budget: Budget, tally: DueTally) -> bool:
        """Carry out what is due on one record; whether its mark has served."""
        while True:
            loaded = self._records.load_remains(record_id)
            if loaded is None:
                if any(self._store.list(f"records/{record_id}/")):
                    raise RecordDamaged("a record that something is due on has lost its dossier")
                return True
            if loaded.dossier.head.status == "ended":
                return self._emptied(record_id, budget, tally)
            coming = ahead(life_of(loaded.dossier.head), self._settings)
            if not coming:
                return True  # opened again since
            if coming[0].at > self._clock():
                return self._comes_later(name, coming[0], record_id, tally)
            budget.deletions -= 1
            self._carry_out(loaded, coming[0], tally)

    def _comes_later(self, name: str, due: Due, record_id: str, tally: DueTally) -> bool:
        """Whether another mark will do. By other settings than when it was left, this may be the last one."""
        own = due_name(due.at, record_id)
        if own != name and any(one == own for one in self._store.list(own)):
            return True
        tally.waiting += 1
        return False

    def _carry_out(self, loaded: Loaded, due: Due, tally: DueTally) -> None:
        dossier = loaded.dossier
        facts = OwnFacts(
            _ACTS[due.end], self._server, dossier.record_id, dossier.head.version, {"cause": due.cause.value}
        )
        event = self._append(facts)
        at = millis(due.at)
        if due.end is End.DELETE:
            self._records.commit(dossier.ended(event, at=millis(self._clock())), replacing=loaded)
            return
        change = closed(dossier.head, Moment(at, BY_TIME, self._settings), _MOTIVES[due.cause])
        self._records.commit(dossier.following(event, at=at, **change.members(event)), replacing=loaded)
        tally.closed += 1

    def _emptied(self, record_id: str, budget: Budget, tally: DueTally) -> bool:
        """Delete what an ended record reached, its dossier last; whether all of it is gone.

        Where the store keeps versions, all of it is hidden by then: `expunge` follows the mark that is left.
        """
        own = dossier_name(record_id)
        for name in self._store.list(f"records/{record_id}/"):
            if name == own:
                continue
            if self._clock() >= budget.until:
                tally.finished = False
                return False
            _gone(self._store, name)
        # Before the dossier goes: without it, nobody would look here again. If we die between, both are there.
        leave_ended(self._store, self._clock(), record_id)
        _gone(self._store, own)
        tally.deleted += 1
        return True


def _gone(store: ObjectStore, name: str) -> None:
    try:
        store.delete(name)
    except ObjectAbsent:
        return  # another run was first
