"""Sweeping: what is over, or was never reached, is deleted. No key is needed, and none is used.

A document is unreachable when its record's dossier does not list it: its attempt to publish lost its race or died
before the commit. Deleting it is safe once it is a day old, whatever happens meanwhile: a list of documents only grows;
each attempt to publish uploads under fresh ids and ends within 30 s (no function that serves requests runs longer), so
a document that nobody committed by then will never be committed. A younger one may just be waiting for its commit, and
is kept. The store's clock, which dates the document, and ours may differ by all of that day but 30 s.

Where the dossier is damaged, or is not there, nobody can say what it reached: all documents of that record are kept,
and the record is told. No publication leads there: none begins before the record's first dossier is committed.

A dossier may drop a document (a rewrap, a deletion on request) that readers who hold the older dossier still want for
some seconds: nothing of a record is deleted until its dossier has stood for a few minutes. Earlier versions of objects
are not swept here: the file-system store keeps none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import read_context
from sceau.objects.errors import ObjectAbsent, ObjectLocked, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects
from sceau.objects.scoped import covers
from sceau.records.dossier import names_digest, split_object
from sceau.records.errors import RecordDamaged
from sceau.records.repository import dossier_name

UNREACHED_FOR: Final = timedelta(days=1)
"""How old an unreachable document must be."""

UNCHANGED_FOR: Final = timedelta(minutes=5)
"""How long a dossier must have stood before what it does not reach is deleted: a request ends within 30 s."""

_RECORDS = "records/"
_DOCUMENTS = "records/*/documents/"
_HEADER_BYTES = 8192
"""Enough of a sealed message to read what it says of itself."""


@dataclass(slots=True)
class Budget:
    """How much one sweep may do: so many deletions tried, and none after `until`."""

    deletions: int
    until: datetime
    clock: Callable[[], datetime]

    def is_spent(self) -> bool:
        """Whether the sweep must end here. The next one goes on with what is left."""
        return self.deletions <= 0 or self.clock() >= self.until


@dataclass(slots=True)
class Tally:
    """What one sweep did, in objects.

    `failed`: the store did not answer for them; a deletion may have been done all the same. `finished`: everything was
    looked at; otherwise the budget was spent, or the listing broke off.
    """

    swept: int = 0
    kept: int = 0
    failed: int = 0
    finished: bool = True


@dataclass(slots=True)
class RecordsTally(Tally):
    """The same for documents, and the ids of the records whose dossier is damaged, or is gone: all theirs is kept."""

    damaged: list[str] = field(default_factory=list)
    without_dossier: list[str] = field(default_factory=list)


def sweep_marks(store: ImmutableObjects, prefix: str, is_over: Callable[[str], bool], budget: Budget) -> Tally:
    """Delete the marks below `prefix` whose name says that they are over."""
    tally = Tally()
    try:
        for name in store.list(prefix):
            if budget.is_spent():
                tally.finished = False
                break
            if is_over(name):
                _delete(store, name, budget, tally)
            else:
                tally.kept += 1
    except ObjectStoreUnavailable:
        _break_off(tally)
    return tally


def sweep_documents(store: ImmutableObjects, budget: Budget, *, start: str) -> RecordsTally:
    """Delete the documents that no dossier reached within a day.

    Goes once around the records, from the first whose id is greater than `start`: give a random one, so that where runs
    end early, each record's turn comes all the same. A record whose dossier is damaged or gone is left as it is, and
    told.
    """
    tally = RecordsTally()
    try:
        for record_id, names in groupby(_around(store, f"{_RECORDS}{start}"), _record_of):
            documents = [name for name in names if covers(_DOCUMENTS, name)]
            if budget.is_spent():
                tally.finished = False
                break
            if documents:
                _sweep_record(store, record_id, documents, budget, tally)
    except ObjectStoreUnavailable:
        _break_off(tally)
    return tally


def listed_documents(store: ImmutableObjects, record_id: str) -> frozenset[str] | None:
    """The names of the documents that a record's dossier reaches, read without a key; None when it has no dossier.

    The list must be the one that the sealed part was made with, in its place. Who can write objects can forge both:
    this finds damage, not malice. Raises RecordDamaged, ObjectStoreUnavailable.
    """
    try:
        stored = store.read(dossier_name(record_id))
    except ObjectAbsent:
        return None
    clear, names, sealed = split_object(stored.data)
    try:
        claimed = read_context(sealed[:_HEADER_BYTES])
    except MessageRefused:
        raise RecordDamaged("a dossier object without its sealed part") from None
    if claimed != contexts.dossier(record_id, names_digest(clear)):
        raise RecordDamaged("a dossier object with another list of documents than it was sealed with")
    return frozenset(names)


def _sweep_record(
    store: ImmutableObjects, record_id: str, documents: Sequence[str], budget: Budget, tally: RecordsTally
) -> None:
    try:
        listed = listed_documents(store, record_id)
    except RecordDamaged:
        tally.damaged.append(record_id)
        tally.kept += len(documents)
        return
    except ObjectStoreUnavailable:
        tally.failed += 1
        tally.kept += len(documents)
        return
    if listed is None:
        # No act of ours leads here: a dossier was lost or taken away. Its documents may be all that is left to restore.
        tally.without_dossier.append(record_id)
        tally.kept += len(documents)
        return
    unreachable = [name for name in documents if name not in listed]
    tally.kept += len(documents) - len(unreachable)
    if not unreachable or not _has_stood(store, record_id, budget, tally):
        tally.kept += len(unreachable)
        return
    for name in unreachable:
        if budget.is_spent():
            tally.finished = False
            tally.kept += 1
        else:
            _sweep_unreachable(store, name, budget, tally)


def _has_stood(store: ImmutableObjects, record_id: str, budget: Budget, tally: Tally) -> bool:
    """Whether the dossier was last replaced long enough ago. It was read before: a newer one just keeps all for now."""
    try:
        return budget.clock() - store.written_at(dossier_name(record_id)) > UNCHANGED_FOR
    except ObjectAbsent:
        return False
    except ObjectStoreUnavailable:
        tally.failed += 1
        return False


def _sweep_unreachable(store: ImmutableObjects, name: str, budget: Budget, tally: Tally) -> None:
    try:
        written = store.written_at(name)
    except ObjectAbsent:
        return  # another sweep was first
    except ObjectStoreUnavailable:
        tally.failed += 1
        return
    if budget.clock() - written <= UNREACHED_FOR:
        tally.kept += 1
    else:
        _delete(store, name, budget, tally)


def _delete(store: ImmutableObjects, name: str, budget: Budget, tally: Tally) -> None:
    budget.deletions -= 1
    try:
        store.delete(name)
    except ObjectAbsent:
        return  # another sweep was first
    except (ObjectLocked, ObjectStoreUnavailable):
        tally.failed += 1  # the others are tried all the same; this one again by the next sweep
    else:
        tally.swept += 1


def _around(store: ImmutableObjects, start: str) -> Iterator[str]:
    """All names of records, those after `start` first. `start` is no folder's name and '/': it parts no record."""
    yield from store.list(_RECORDS, after=start)
    for name in store.list(_RECORDS):
        if name > start:
            return
        yield name


def _record_of(name: str) -> str:
    return name.split("/")[1]


def _break_off(tally: Tally) -> None:
    """A listing failed: what it did not show comes next time."""
    tally.failed += 1
    tally.finished = False
