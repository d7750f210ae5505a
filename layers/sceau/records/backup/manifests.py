"""Reads the manifests of a backup, in order, and says what of them is not as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sceau.objects.errors import ObjectAbsent
from sceau.objects.ports import ObjectStore
from sceau.records.backup.format import (
    MARKER,
    RUNS,
    BackupRefused,
    Copy,
    Erasure,
    Line,
    RunEnd,
    decode_end,
    decode_marker,
    decode_part,
    encode_end,
    end_name,
    parse_run_name,
    part_name,
    sha256_of,
)


@dataclass(slots=True)
class Manifests:
    """The runs of a backup. Go through `copies` to its end: then the other members are true.

    `last`: the newest run that ended, and `last_digest` that of its end. `open_parts`: digests of the parts of a run
    after it that has not ended: it died, or is at work. `problems`: sentences, each of which names an object.
    `erased`: contents (name and digest) that aged out, in whichever run, also in one after `until`.
    """

    store: ObjectStore
    last: RunEnd | None = None
    last_digest: str | None = None
    open_parts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    erased: set[tuple[str, str]] = field(default_factory=set)
    _before: str | None = None

    @property
    def next_run(self) -> int:
        """The number of the run that goes on from here."""
        return self.last.run + 1 if self.last else 1

    def copies(self, *, until: datetime | None = None, ended_only: bool = False) -> Iterator[Copy]:
        """The same without erasures."""
        return (line for line in self.lines(until=until, ended_only=ended_only) if isinstance(line, Copy))

    def lines(self, *, until: datetime | None = None, ended_only: bool = False) -> Iterator[Line]:
        """Every copy and every erasure, in the order in which they were made.

        `until`: of the runs that had ended by then. `ended_only`: not of a run that has not ended. Raises
        ObjectStoreUnavailable.
        """
        expected, is_open, over = 1, False, False
        for run, parts in groupby(self._names(), lambda one: one[0]):
            numbers = [part for _, part in parts]
            if run != expected or is_open:
                missing = expected - 1 if is_open else expected
                self.problems.append(f"{end_name(missing)} is missing, and a later run is there")
            expected, is_open = run + 1, numbers[-1] is not None
            end = self._end(run) if numbers[-1] is None else None
            if end is None and numbers[-1] is None:
                continue  # told already
            over = over or (end is not None and until is not None and end.ended > until)
            if end is not None and not over:
                self.last, self.last_digest = end, sha256_of(encode_end(end))
                self.digests.append(self.last_digest)
            told = not over and not (end is None and ended_only)
            for line in self._parts(run, [number for number in numbers if number is not None], end):
                if isinstance(line, Erasure):
                    self.erased.add((line.name, line.sha256))
                elif line.sha256 is not None:
                    self.erased.discard((line.name, line.sha256))  # copied again since
                if told:
                    yield line

    def _names(self) -> Iterator[tuple[int, int | None]]:
        for name in self.store.list(RUNS):
            try:
                yield parse_run_name(name)
            except ValueError:
                self.problems.append(f"{name} is nothing that a run makes")

    def _end(self, run: int) -> RunEnd | None:
        name = end_name(run)
        data = self.store.read(name).data
        try:
            end = decode_end(data)
        except ValueError:
            self.problems.append(f"{name} was altered: it is no end of a run")
            return None
        if end.run != run or end.before != self._before:
            self.problems.append(f"{name} was altered, or one before it: it does not follow the run before")
        if encode_end(end) != data:
            self.problems.append(f"{name} was altered: it is not written as an end is")
        self._before = sha256_of(encode_end(end))
        return end

    def _parts(self, run: int, numbers: list[int], end: RunEnd | None) -> Iterator[Line]:
        wanted = list(range(1, (len(end.parts) if end else max(numbers, default=0)) + 1))
        for number in numbers:
            if number not in wanted:
                self.problems.append(f"{part_name(run, number)} is no part of its run")
        for number in wanted:
            name, copies = part_name(run, number), None
            try:
                data = self.store.read(name).data
                copies = decode_part(data)
            except ObjectAbsent:
                self.problems.append(f"{name} is missing")
                continue
            except ValueError:
                copies = None
            digest = sha256_of(data)
            if copies is None or (end is not None and digest != end.parts[number - 1]):
                self.problems.append(f"{name} was altered")
                continue
            if end is None:
                self.open_parts.append(digest)
            yield from copies


def require_backup(store: ObjectStore, stage: str | None = None) -> str:
    """The stage that the backup in `store` is of. Raises BackupRefused: none is there, or another stage's."""
    try:
        found = decode_marker(store.read(MARKER).data)
    except ObjectAbsent:
        raise BackupRefused("there is no backup here") from None
    except ValueError:
        raise BackupRefused("what is here is no backup of this version of Sceau") from None
    if stage is not None and found != stage:
        raise BackupRefused(f"the backup here is of stage {found}, not of {stage}")
    return found
