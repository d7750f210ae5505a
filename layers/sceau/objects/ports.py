"""The two consistency needs of the record, as ports.

`ImmutableObjects` holds what is written once (documents, events, replay marks); `ReplaceableObjects` holds the small
objects replaced by compare-and-swap (dossiers, configuration). One adapter serves both.

All adapters guarantee, and `tests/contract/test_objects.py` proves:
* a call that returns has made its effect durable (it survives power loss), save `create(durable=False)`;
* reads see every write that returned before they began (strong consistency), across processes;
* a call that raises anything but `ObjectStoreUnavailable(maybe_written=True)` has changed nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from sceau.objects.errors import InvalidObjectName

MAX_NAME_BYTES = 900  # S3 allows 1,024; a part has 255 at most on a file system
_NAME = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]{1,255})*")
_PREFIX = re.compile(r"(?!.*(?:^|/)\.{1,2}/)(?:[A-Za-z0-9._-]{1,255}/)*[A-Za-z0-9._-]{0,255}")


def check_name(name: str) -> str:
    """Return `name` when it is a valid object name, else raise `InvalidObjectName`."""
    if len(name) > MAX_NAME_BYTES or not _NAME.fullmatch(name):
        raise InvalidObjectName("not a valid object name")
    return name


def check_prefix(prefix: str) -> str:
    """Return `prefix` when it can begin valid object names, else raise `InvalidObjectName`."""
    if len(prefix) > MAX_NAME_BYTES or not _PREFIX.fullmatch(prefix):
        raise InvalidObjectName("not a valid prefix of object names")
    return prefix


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as read: its bytes, and the tag that a compare-and-swap must name (opaque, another for other bytes)."""

    data: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store keeps under one name: how many contents, whether a deletion hides them from reading, and how many
    deletions are among them."""

    name: str
    versions: int
    hidden: bool
    deletions: int = 0


@dataclass(frozen=True, slots=True)
class Expunged:
    """What `expunge` did under one name: contents and deletions that it removed for good, and those that it left.

    `left`: what lies behind a deletion that is too young, or was more than it was asked to remove. 0: nothing that was
    deleted is kept there any more.
    """

    removed: int
    left: int


class ImmutableObjects(Protocol):
    """Objects that are written once."""

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        """Write a new object; of any number of racing creates of one name exactly one returns.

        `locked_until` (aware datetime): until then nobody can delete, replace or unlock it (Object Lock, COMPLIANCE).
        `durable=False` is for replay marks, and for the log's index, which can be made again: other processes see the
        object at once, power loss may forget it.
        Raises ObjectExists, InvalidObjectName, ObjectStoreUnavailable.
        """

    def read(self, name: str) -> StoredObject:
        """Return the object. Raises ObjectAbsent, InvalidObjectName, ObjectStoreUnavailable."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield, in ascending byte order, the names that begin with `prefix` and are greater than `after`.

        An object that exists during the whole listing is yielded once. Raises InvalidObjectName,
        ObjectStoreUnavailable, also while iterating.
        """

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        """Yield, as `list` does, everything that is kept under names that begin with `prefix`: also what `list` hides.

        Whoever verifies write-once storage needs it: a lock keeps a content, but on S3 a newer one, or a delete marker,
        may be put before it, and `read` then finds that. A name is yielded once, in the order of `list`, with the
        number of its contents (delete markers are none) and whether it is hidden (its newest version is a delete
        marker). Of an object that `create` wrote and nobody touched: 1, not hidden.

        On S3: ListObjectVersions, grouped by key. A store that keeps no earlier versions yields what `list` does, each
        as 1 and not hidden: it cannot tell that there was something before, and must not be used where that matters.
        Raises InvalidObjectName, ObjectStoreUnavailable, also while iterating.
        """

    def time(self) -> datetime:
        """The time by the store's own clock (aware, UTC), to a second or so.

        Locks and dates count by it, so a writer compares it with its own clock before it writes. It costs no call: an
        S3 adapter keeps the difference between the `Date` header of the store's last answer and its own clock, not
        older than 5 minutes, and asks (any call that answers) when it has none. Raises ObjectStoreUnavailable.
        """

    def extend_lock(self, name: str, until: datetime) -> None:
        """Make the retention end later, never earlier.

        Raises ObjectAbsent, ObjectLocked (it would be shortened), ObjectStoreUnavailable.
        """

    def locked_until(self, name: str) -> datetime | None:
        """When the object's retention ends; None when it has none. Raises ObjectAbsent, ObjectStoreUnavailable."""

    def written_at(self, name: str) -> datetime:
        """When the object's content was written (aware, UTC), by the store's clock and to a second or so.

        Never earlier than that; `extend_lock` may make it later. So what looks old is old. It tells nothing that a
        listing of a host does not (S3 lists it as LastModified): who may list may ask.
        Raises ObjectAbsent, InvalidObjectName, ObjectStoreUnavailable.
        """

    def delete(self, name: str) -> None:
        """Remove the object. Raises ObjectAbsent, ObjectLocked (retention not over), ObjectStoreUnavailable."""

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        """Remove for good what the store kept of an object that was deleted: earlier contents, and the deletions.

        Only what lies behind a deletion that the store itself dates before `deleted_before` (aware) is removed, and
        that deletion, the oldest first; `most` of them. So what can be read is never touched, nor what it replaced
        since it was written anew, nor what a younger deletion hides; and dying on the way brings nothing back. Call it
        again until nothing is `left`. A store that keeps no earlier contents has nothing to do.

        Raises InvalidObjectName, ObjectLocked (one that is to go is under retention; ObjectStoreUnavailable where the
        host does not say why it refuses), ObjectStoreUnavailable: some may be removed by then.
        """


class ReplaceableObjects(Protocol):
    """Small objects replaced whole by compare-and-swap."""

    def read(self, name: str) -> StoredObject:
        """Return the object and its tag. Raises ObjectAbsent, InvalidObjectName, ObjectStoreUnavailable."""

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        """Write `data` if the object's tag is still `expected` (None: if there is no object); return the new tag.

        Raises ObjectChanged, ObjectLocked, InvalidObjectName, ObjectStoreUnavailable.
        """


@dataclass(frozen=True, slots=True)
class Version:
    """One content that a store kept under a name, or the deletion that hid those before it.

    `id` is opaque; `written_at` is of the store's clock (aware, UTC).
    """

    id: str
    written_at: datetime
    is_deletion: bool


@runtime_checkable
class EarlierVersions(Protocol):
    """What a store keeps of what was replaced or deleted. S3 buckets with versions have it; the file system has not."""

    def history(self, name: str) -> tuple[Version, ...]:
        """The versions of an object, the newest first; empty when nothing was ever there, or all of it is gone.

        Raises InvalidObjectName, ObjectStoreUnavailable.
        """

    def read_version(self, name: str, version: str) -> bytes:
        """One version's content. Raises ObjectAbsent (for a deletion), InvalidObjectName, ObjectStoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it: its name, its present tag, and when that content was written (aware, UTC)."""

    name: str
    tag: str
    written_at: datetime


@runtime_checkable
class Listings(Protocol):
    """A listing that also tells what changed since another one. Both adapters have it."""

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """What `ImmutableObjects.list` yields, each with its tag and its date: whoever may list may ask.

        An object that is replaced while it is listed comes with the one or the other tag. Raises InvalidObjectName,
        ObjectStoreUnavailable, also while iterating.
        """


class ObjectStore(ImmutableObjects, ReplaceableObjects, Protocol):
    """What an adapter offers."""
