"""What ages out of a backup: the contents of records that were deleted on the stage, all that they ever were.

Three things must be so, for long enough each: the stage left a mark that the record's life is over; a run saw the
object gone; and the content is older than the mark. So what only vanished, by a mistake, by sabotage or since a store
was half there, stays: nothing marked it. Nor does what came later under the same name go with what was before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final

from sceau.objects.errors import ObjectAbsent, ObjectLocked, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import covers
from sceau.records.backup.format import OBJECTS, Erasure, Line, content_name
from sceau.records.backup.places import DOCUMENTS, DOSSIERS, RECORDS, record_of
from sceau.records.ended import ENDED, parse_ended

MOST_RECORDS: Final = 1_000
"""Records that one run takes out: a mistake must not empty a backup in one."""

OVERDUE_AFTER: Final = timedelta(days=4)
"""By how much a record may outstay its time before `backup verify` tells: runs come every three days at least."""

_TOLERANCE: Final = timedelta(minutes=5)
"""What was copied while its record ended may be dated by the copier's clock; clocks differ by less than this."""

_MOST_FAILURES: Final = 10
_STEP: Final = 1_000


@dataclass(slots=True)
class AgedOut:
    """What went of one record, and sentences on what could not."""

    erasures: list[Erasure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Contents:
    """The contents of one name, by digest: those of its present life, with the date when each was written, and those
    before, also with the time when they were seen gone. What was taken out is not among them."""

    open: dict[str, datetime] = field(default_factory=dict)
    gone: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)


class Ageing:
    """Learns from a backup's lines, in their order, which records may be due. `after`: how long they stay.

    It keeps little of each line; `contents_of` then says the rest of the records that are.
    """

    def __init__(self, after: timedelta) -> None:
        self.after = after
        self._gone: dict[str, datetime] = {}
        self._dossiers: dict[str, datetime] = {}
        self._marks: dict[str, dict[date, datetime]] = {}

    def learn(self, line: Line) -> None:
        """The next line."""
        if isinstance(line, Erasure):
            self._gone.pop(line.name, None)
        elif line.name.startswith(RECORDS):
            if line.sha256 is None:
                self._gone[line.name] = line.written
                self._dossiers.pop(line.name, None)
            elif covers(DOSSIERS, line.name):
                before = self._dossiers.get(line.name)
                ends = self.lives_ended(record_of(line.name))
                if before is not None and any(before <= ended < line.written for ended in ends):
                    self._gone[line.name] = line.written
                self._dossiers[line.name] = line.written
        elif line.sha256 is not None and (mark := parse_ended(line.name)) is not None:
            day, record_id = mark
            marks = self._marks.setdefault(record_id, {})
            if line.name.startswith(ENDED):
                marks[day] = line.written
            else:  # no run saw the first mark: all that is known is the day
                marks.setdefault(day, datetime.combine(day + timedelta(days=1), time.min, UTC))

    def candidates(self, now: datetime) -> list[str]:
        """Records of which objects were seen gone long enough ago, the longest first. Marked ones may be due."""
        found: dict[str, datetime] = {}
        for name, gone in self._gone.items():
            if gone <= now - self.after:
                found[record_of(name)] = min(gone, found.get(record_of(name), gone))
        return sorted(found, key=lambda record_id: found[record_id])

    def is_marked(self, record_id: str) -> bool:
        """Whether the stage ever said that the record's life was over."""
        return record_id in self._marks

    def lives_ended(self, record_id: str) -> list[datetime]:
        """The times up to which contents are of a life of the record that is over by its marks."""
        return sorted(mark + _TOLERANCE for mark in self._marks.get(record_id, {}).values())

    def is_over(self, record_id: str, written: datetime, gone: datetime, now: datetime) -> bool:
        """Whether a content's time is over: a mark that is old enough ended the life that it was of."""
        limit = now - self.after
        ends = self.lives_ended(record_id)
        return gone <= limit and any(written <= ended <= limit + _TOLERANCE for ended in ends)


def contents_of(lines: Iterable[Line], records: Collection[str], ageing: Ageing) -> dict[str, dict[str, Contents]]:
    """Per record and name, what all lines say of its contents."""
    found: dict[str, dict[str, Contents]] = {}
    for line in lines:
        if not line.name.startswith(RECORDS) or record_of(line.name) not in records:
            continue
        one = found.setdefault(record_of(line.name), {}).setdefault(line.name, Contents())
        if isinstance(line, Erasure):
            one.gone.pop(line.sha256, None)
            one.open.pop(line.sha256, None)
        elif line.sha256 is not None:
            one.gone.pop(line.sha256, None)
            one.open[line.sha256] = line.written
        else:
            one.gone |= {sha256: (written, line.written) for sha256, written in one.open.items()}
            one.open.clear()
    for record_id, names in found.items():
        for life in ageing.lives_ended(record_id):
            _part(names, life)
    return found


def _part(names: dict[str, Contents], ended: datetime) -> None:
    """A record that was deleted and opened anew between two runs: no run saw its dossier gone, which was replaced.

    The mark alone does not say so: as long as a document of before is there, it is the same life.
    """
    if any(written <= ended for name, one in names.items() if covers(DOCUMENTS, name) for written in one.open.values()):
        return
    for one in (one for name, one in names.items() if covers(DOSSIERS, name)):
        later = [written for written in one.open.values() if written > ended]
        for sha256 in [sha256 for sha256, written in one.open.items() if later and written <= ended]:
            one.gone[sha256] = (one.open.pop(sha256), min(later))


def outstaying(lines: Collection[Line], ageing: Ageing, now: datetime) -> Iterator[str]:
    """A sentence for each record that was to leave the backup some days ago; and for each that vanished unmarked."""
    then = now - OVERDUE_AFTER
    candidates = ageing.candidates(then)
    contents = contents_of(lines, frozenset(candidates), ageing)
    for record_id in sorted(candidates):
        names = contents.get(record_id, {}).values()
        left = [both for one in names for both in one.gone.values()]
        if any(ageing.is_over(record_id, written, gone, then) for written, gone in left):
            yield f"records/{record_id}/ was deleted on the stage, and was to leave the backup more than 4 days ago"
        elif left and not any(one.open for one in names):
            yield f"records/{record_id}/ is gone on the stage, and nothing says that its life was over: it is kept"


def age_out(target: ObjectStore, lines: Iterable[Line], ageing: Ageing, now: datetime) -> Iterator[AgedOut]:
    """Take out what is due, record by record. `lines`: all of the backup's, gone through only if something may be."""
    candidates = filter(ageing.is_marked, ageing.candidates(now))
    records = list(islice(candidates, MOST_RECORDS))
    contents = contents_of(lines, frozenset(records), ageing) if records else {}
    failures = 0
    for record_id in records:
        aged = _take_out(target, record_id, contents.get(record_id, {}), ageing, now)
        failures += bool(aged.problems)
        yield aged
        if failures == _MOST_FAILURES:
            return  # the store is away: the next run goes on


def _take_out(
    target: ObjectStore, record_id: str, contents: dict[str, Contents], ageing: Ageing, now: datetime
) -> AgedOut:
    aged, kept = AgedOut(), set[str]()
    for name, one in sorted(contents.items()):
        kept |= {content_name(name, sha256) for sha256 in one.open}
        for sha256, (written, gone) in sorted(one.gone.items()):
            content = content_name(name, sha256)
            over = ageing.is_over(record_id, written, gone, now)
            if over and _removed(target, content, aged.problems):
                aged.erasures.append(Erasure(name, sha256, now))
            else:
                kept.add(content)
    if aged.erasures and not aged.problems:
        _sweep_unnamed(target, record_id, kept, ageing, now, aged.problems)
    return aged


def _sweep_unnamed(
    target: ObjectStore, record_id: str, kept: set[str], ageing: Ageing, now: datetime, problems: list[str]
) -> None:
    """What runs left that died before they named it. A young one may be of a run that is at work."""
    for name in list(target.list(f"{OBJECTS}{RECORDS}{record_id}/")):
        if name not in kept:
            with suppress(ObjectAbsent):
                written = target.written_at(name)
                if ageing.is_over(record_id, written, written, now):
                    _removed(target, name, problems)


def _removed(target: ObjectStore, name: str, problems: list[str]) -> bool:
    """Take one object out, with everything that its store keeps of it; whether it is gone."""
    try:
        with suppress(ObjectAbsent):  # taken out by a run that died, or hidden by somebody's deletion
            target.delete(name)
        # What a deletion hides goes too, whoever made it and when: by the store's own clock, which dates it.
        ever = target.time() + timedelta(days=1)
        while (done := target.expunge(name, deleted_before=ever, most=_STEP)).left:
            if not done.removed:
                problems.append(f"{name} was to age out, and its store keeps it")
                return False
    except ObjectLocked:
        problems.append(f"{name} was to age out, and is locked")
        return False
    except ObjectStoreUnavailable as error:
        problems.append(f"{name} was to age out, and could not be taken out: {error}")
        return False
    return True
