"""Least privilege on an object store: each function gets it with only the operations that `chalicefile` grants it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sceau.objects.errors import ObjectAbsent, ObjectRightDenied
from sceau.objects.ports import (
    EarlierVersions,
    Expunged,
    Kept,
    Listed,
    Listings,
    ObjectStore,
    StoredObject,
    Version,
    check_name,
    check_prefix,
)

_PATTERN = re.compile(r"(?:(?:\*|(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,255})/)*(?:\*|(?!\.{1,2}$)[A-Za-z0-9._-]{1,255})/?")


class StoreOperation(StrEnum):
    """What can be granted. `create` and `create-locked` stand apart: neither includes the other."""

    READ = "read"  # also: until when an object is locked
    READ_VERSIONS = "read-versions"  # what it was before it was replaced or deleted
    LIST = "list"  # also: when an object was written, its tag, and how many versions there are
    CREATE = "create"
    CREATE_LOCKED = "create-locked"
    REPLACE = "replace"
    DELETE = "delete"
    DELETE_VERSIONS = "delete-versions"  # for good, what is kept of objects that were deleted
    EXTEND_LOCK = "extend-lock"  # also: until when an object is locked


@dataclass(frozen=True, slots=True)
class StoreGrant:
    """Operations on the names that `pattern` covers.

    A pattern that ends with '/' covers all names that begin with it, any other one name. A segment '*' stands for
    exactly one segment of the name: `records/*/dossier`, `records/*/documents/`, `journal/events/`.
    """

    pattern: str
    operations: frozenset[StoreOperation]

    @classmethod
    def parse(cls, pattern: str, operations: Iterable[str]) -> StoreGrant:
        """The grant as settings write it. ValueError names the bad pattern or operation."""
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not a pattern of object names such as 'records/*/dossier' or 'due/'")
        known = frozenset(StoreOperation)
        granted = frozenset(operations)
        if not granted or not granted <= known:
            wrong = ", ".join(sorted(map(repr, granted - known))) or "none"
            raise ValueError(f"operations on {pattern!r}: {wrong}; expected some of {', '.join(sorted(known))}")
        return cls(pattern, frozenset(map(StoreOperation, granted)))

    def covers(self, name: str) -> bool:
        """Whether the pattern covers this valid object name."""
        return covers(self.pattern, name)

    def covers_all(self, prefix: str) -> bool:
        """Whether the pattern covers every name that begins with this valid prefix."""
        return covers_all(self.pattern, prefix)


def parse_grants(grants: Mapping[str, Iterable[str]]) -> tuple[StoreGrant, ...]:
    """Grants from a mapping of patterns to operations, as settings hold them. Raises ValueError like `parse`."""
    return tuple(StoreGrant.parse(pattern, operations) for pattern, operations in grants.items())


def covers(pattern: str, name: str) -> bool:
    """Whether `pattern` covers the valid object name `name`."""
    wanted = pattern.split("/")
    given = name.split("/")
    if wanted[-1] == "":
        # A prefix ends with '/', so at least one more segment follows: "due/" does not cover "due".
        return len(given) >= len(wanted) and _match(wanted[:-1], given)
    return len(given) == len(wanted) and _match(wanted, given)


def covers_all(pattern: str, prefix: str) -> bool:
    """Whether `pattern` covers every name that begins with the valid prefix `prefix`.

    Only a prefix pattern can, and only by segments that `prefix` spells out to their '/': names of "due2/…" begin with
    "due", and all names begin with "".
    """
    wanted = pattern.split("/")
    whole = prefix.split("/")[:-1]
    return wanted[-1] == "" and len(whole) >= len(wanted) - 1 and _match(wanted[:-1], whole)


def _match(wanted: list[str], given: list[str]) -> bool:
    return all(want in ("*", have) for want, have in zip(wanted, given, strict=False))


class ScopedStore:
    """An `ObjectStore` that passes on what one of `grants` allows and raises ObjectRightDenied for all else."""

    def __init__(self, store: ObjectStore, grants: Iterable[StoreGrant]) -> None:
        self._store = store
        self._grants = tuple(grants)

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        """See the port. Needs `create`, or `create-locked` if `locked_until` is given."""
        self._need(StoreOperation.CREATE if locked_until is None else StoreOperation.CREATE_LOCKED, name)
        self._store.create(name, data, locked_until=locked_until, durable=durable)

    def read(self, name: str) -> StoredObject:
        """See the port. Needs `read`."""
        self._need(StoreOperation.READ, name)
        return self._store.read(name)

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        """See the port. Needs `replace`, also for the first version."""
        self._need(StoreOperation.REPLACE, name)
        return self._store.replace(name, data, expected=expected)

    def extend_lock(self, name: str, until: datetime) -> None:
        """See the port. Needs `extend-lock`."""
        self._need(StoreOperation.EXTEND_LOCK, name)
        self._store.extend_lock(name, until)

    def locked_until(self, name: str) -> datetime | None:
        """See the port. Needs `read`, or `extend-lock`: who may only make a lock longer must see where it ends."""
        self._need(StoreOperation.READ, name, StoreOperation.EXTEND_LOCK)
        return self._store.locked_until(name)

    def written_at(self, name: str) -> datetime:
        """See the port. Needs `list` on the name: listings of hosts show it, and it needs no right to read."""
        self._need(StoreOperation.LIST, name)
        return self._store.written_at(name)

    def delete(self, name: str) -> None:
        """See the port. Needs `delete`."""
        self._need(StoreOperation.DELETE, name)
        self._store.delete(name)

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        """See the port. Needs `delete-versions`, which `delete` does not include."""
        self._need(StoreOperation.DELETE_VERSIONS, name)
        return self._store.expunge(name, deleted_before=deleted_before, most=most)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See the port. Needs `list` on every name that begins with `prefix`, from one grant."""
        self._need_listing(prefix)
        return self._store.list(prefix, after=after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        """See the port. Needs what `list` needs: it tells names, and whether something stands before them."""
        self._need_listing(prefix)
        return self._store.versions(prefix, after=after)

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """See `Listings`. Needs what `list` needs. Raises TypeError for a store that has no such listing."""
        self._need_listing(prefix)
        if not isinstance(self._store, Listings):
            raise TypeError("this store's listings tell names only")
        return self._store.entries(prefix, after=after)

    def history(self, name: str) -> tuple[Version, ...]:
        """See `EarlierVersions`. Needs `read-versions`. Empty where the store keeps no earlier versions."""
        self._need(StoreOperation.READ_VERSIONS, name)
        return self._store.history(name) if isinstance(self._store, EarlierVersions) else ()

    def read_version(self, name: str, version: str) -> bytes:
        """See `EarlierVersions`. Needs `read-versions`."""
        self._need(StoreOperation.READ_VERSIONS, name)
        if not isinstance(self._store, EarlierVersions):
            raise ObjectAbsent(name)
        return self._store.read_version(name, version)

    def time(self) -> datetime:
        """See the port. Needs no right: every answer of a store tells it."""
        return self._store.time()

    def _need_listing(self, prefix: str) -> None:
        check_prefix(prefix)
        if not any(StoreOperation.LIST in grant.operations and grant.covers_all(prefix) for grant in self._grants):
            raise ObjectRightDenied(f"no right to {StoreOperation.LIST} {prefix!r}")

    def _need(self, operation: StoreOperation, name: str, *instead: StoreOperation) -> None:
        check_name(name)  # first: '..' must not match a pattern
        enough = {operation, *instead}
        if not any(enough & grant.operations and grant.covers(name) for grant in self._grants):
            raise ObjectRightDenied(f"no right to {operation} {name}")
