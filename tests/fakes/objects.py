"""An object store in memory, and one that polices its callers, counts, fails and waits on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from itertools import count
from threading import Lock
from typing import TypeVar

from sceau.objects.errors import (
    ObjectAbsent,
    ObjectChanged,
    ObjectExists,
    ObjectLocked,
    ObjectStoreError,
    ObjectStoreUnavailable,
)
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
from sceau.objects.scoped import StoreOperation, covers

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    tag: str
    until: datetime | None
    written: datetime


class MemoryStore:
    """An `ObjectStore` in memory, for one process. It passes the contract suite too."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._tags = (f"tag-{number}" for number in count(1))
        self._lock = Lock()

    def copy(self, clock: Callable[[], datetime]) -> MemoryStore:
        """An independent store that holds the same now."""
        copied = MemoryStore(clock)
        with self._lock:
            copied._entries = dict(self._entries)
            copied._tags = (f"copy-{number}" for number in count(1))
        return copied

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        check_name(name)
        with self._lock:
            if name in self._entries:
                raise ObjectExists(name)
            self._entries[name] = _Entry(bytes(data), next(self._tags), locked_until, self._clock())

    def read(self, name: str) -> StoredObject:
        with self._lock:
            entry = self._get(name)
            return StoredObject(entry.data, entry.tag)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        check_prefix(prefix)
        with self._lock:
            names = sorted(name for name in self._entries if name.startswith(prefix) and name > after)
        # Like a real listing, it does not stand still while it is read.
        return (name for name in names if name in self._entries)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        return (Kept(name, 1, hidden=False) for name in self.list(prefix, after=after))

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        for name in self.list(prefix, after=after):
            entry = self._entries.get(name)
            if entry is not None:
                yield Listed(name, entry.tag, entry.written)

    def time(self) -> datetime:
        return self._clock()

    def extend_lock(self, name: str, until: datetime) -> None:
        with self._lock:
            entry = self._get(name)
            if entry.until is not None and until < entry.until:
                raise ObjectLocked(name)
            self._entries[name] = replace(entry, until=until)

    def locked_until(self, name: str) -> datetime | None:
        with self._lock:
            return self._get(name).until

    def written_at(self, name: str) -> datetime:
        with self._lock:
            return self._get(name).written

    def delete(self, name: str) -> None:
        with self._lock:
            self._check_unlocked(name, self._get(name))
            del self._entries[name]

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        del deleted_before, most
        check_name(name)
        return Expunged(0, 0)

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        check_name(name)
        with self._lock:
            entry = self._entries.get(name)
            if (entry.tag if entry else None) != expected:
                raise ObjectChanged(name)
            if entry:
                self._check_unlocked(name, entry)
            tag = next(self._tags)
            self._entries[name] = _Entry(bytes(data), tag, None, self._clock())
            return tag

    def spoil(self, name: str) -> None:
        """Alter an object, lock or not: as somebody at the disk could, and no code of ours."""
        with self._lock:
            entry = self._get(name)
            self._entries[name] = replace(entry, data=entry.data[:-1] + bytes([entry.data[-1] ^ 1]))

    def _get(self, name: str) -> _Entry:
        entry = self._entries.get(check_name(name))
        if entry is None:
            raise ObjectAbsent(name)
        return entry

    def _check_unlocked(self, name: str, entry: _Entry) -> None:
        if entry.until is not None and entry.until > self._clock():
            raise ObjectLocked(name)


class VersionedStore(MemoryStore):
    """One that keeps what was replaced or deleted, as an S3 bucket with versions does: `EarlierVersions`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self._kept: dict[str, list[tuple[Version, bytes]]] = {}
        self._ids = count(1)

    @classmethod
    def of(cls, memory: MemoryStore, clock: Callable[[], datetime]) -> VersionedStore:
        """One that holds what `memory` does now, each as its first version."""
        store = cls(clock)
        store._entries = dict(memory._entries)
        store._tags = (f"kept-{number}" for number in count(1))
        for name, entry in store._entries.items():
            version = Version(f"v{next(store._ids)}", entry.written, is_deletion=False)
            store._kept[name] = [(version, entry.data)]
        return store

    def copy(self, clock: Callable[[], datetime]) -> VersionedStore:
        copied = VersionedStore(clock)
        with self._lock:
            copied._entries = dict(self._entries)
            copied._tags = (f"copy-{number}" for number in count(1))
            copied._kept = {name: list(kept) for name, kept in self._kept.items()}
            copied._ids = count(1 + sum(map(len, self._kept.values())))
        return copied

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        check_prefix(prefix)
        with self._lock:
            kept = {name: versions for name, versions in self._kept.items() if versions}
        for name in sorted(one for one in kept if one.startswith(prefix) and one > after):
            contents = sum(not version.is_deletion for version, _ in kept[name])
            deletions = len(kept[name]) - contents
            yield Kept(name, contents, hidden=kept[name][-1][0].is_deletion, deletions=deletions)

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        with self._lock:
            kept = self._kept.get(check_name(name), [])
            deletions = [number for number, (version, _) in enumerate(kept) if version.is_deletion]
            old = [number for number in deletions if kept[number][0].written_at < deleted_before]
            going = min(most, old[-1] + 1) if old else 0
            del kept[:going]
            return Expunged(going, deletions[-1] + 1 - going if deletions else 0)

    def history(self, name: str) -> tuple[Version, ...]:
        return tuple(version for version, _ in reversed(self._kept.get(check_name(name), [])))

    def read_version(self, name: str, version: str) -> bytes:
        for one, data in self._kept.get(check_name(name), []):
            if one.id == version and not one.is_deletion:
                return data
        raise ObjectAbsent(name)

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        super().create(name, data, locked_until=locked_until, durable=durable)
        self._keep(name, data)

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        tag = super().replace(name, data, expected=expected)
        self._keep(name, data)
        return tag

    def delete(self, name: str) -> None:
        super().delete(name)
        self._keep(name, None)

    def _keep(self, name: str, data: bytes | None) -> None:
        kept = self._kept.setdefault(name, [])
        kept.append((Version(f"v{next(self._ids)}", self._clock(), is_deletion=data is None), data or b""))


class MisusedStoreError(AssertionError):
    """The code under test did what no code of ours may do with an object store."""


class Fault(Enum):
    """How a call goes wrong."""

    FAILS = "nothing is done, and the caller is told so"
    FAILS_UNSURE = "nothing is done, and the caller is told that it may have been"
    FAILS_AFTER_WRITING = "it is done, and the caller is told that it may have been; a listing breaks off at its end"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, in the order of arrival; `number` counts from 1. `name` is the prefix when the operation is LIST."""

    number: int
    operation: StoreOperation
    name: str


Faults = Callable[[Call], Fault | None]

CHANGES: Mapping[str, frozenset[StoreOperation]] = {
    "records/*/dossier": frozenset({StoreOperation.REPLACE, StoreOperation.DELETE, StoreOperation.DELETE_VERSIONS}),
    "records/*/documents/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE, StoreOperation.DELETE_VERSIONS}),
    "journal/events/": frozenset({StoreOperation.CREATE_LOCKED, StoreOperation.EXTEND_LOCK}),
    "journal/log/": frozenset(
        {StoreOperation.CREATE, StoreOperation.CREATE_LOCKED, StoreOperation.REPLACE, StoreOperation.EXTEND_LOCK}
    ),
    "journal/records/": frozenset({StoreOperation.CREATE}),
    "journal/reconciliation": frozenset({StoreOperation.REPLACE}),
    "journal/locks": frozenset({StoreOperation.REPLACE}),
    "configuration/pseudonym": frozenset({StoreOperation.CREATE}),
    "configuration/log-seed": frozenset({StoreOperation.REPLACE}),
    "configuration/": frozenset({StoreOperation.REPLACE, StoreOperation.DELETE}),
    "due/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE}),
    "ended/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE}),
    "expunged/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE}),
    "replay/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE}),
    "revoked/": frozenset({StoreOperation.CREATE, StoreOperation.DELETE}),
    "probe/": frozenset(StoreOperation),
}
"""How each kind of object changes (architecture.md, "At rest"); the first pattern that covers a name decides."""

MAY_BE_ABSENT = (
    "records/*/dossier",
    "configuration/",
    "journal/events/",
    "journal/log/",
    "journal/reconciliation",
    "journal/locks",
    "probe/",
)
"""Names that may be read without knowing that they were ever written (an event's: its id comes from a caller); all
others are learnt from an object."""

MAY_BE_FORGOTTEN = ("replay/", "journal/records/", "probe/")
"""Names that power loss may take back: nobody needs them by then, or they can be made again."""


def no_faults(_: Call) -> None:
    """For `faults`: all goes well."""


def on_calls(*numbers: int, fault: Fault = Fault.FAILS) -> Faults:
    """For `faults`: the calls of these numbers."""
    return lambda call: fault if call.number in numbers else None


def on(operation: StoreOperation, pattern: str = "", *, fault: Fault = Fault.FAILS) -> Faults:
    """For `faults`: each call of this operation, on names that `pattern` covers (listings: on that prefix), or any."""
    return lambda call: (
        fault
        if call.operation is operation and (not pattern or pattern == call.name or covers(pattern, call.name))
        else None
    )


class PolicingStore:
    """`inner`, watched.

    * `calls` lists what was called, failed calls included; `locked_until` counts as a read, `written_at` and `versions`
      as a listing; `time` is no call.
    * `faults(call)` says how a call goes wrong, if it does. Can be set at any time.
    * `waits(call)` is called first, outside any lock: block there to hold a call, move a clock, or order two threads.
      `waits_after(call)` likewise once the call took effect, before it answers.
    * `known`: names that others wrote, and may delete.
    * Misuse raises MisusedStoreError, an AssertionError; `misuses` keeps it, for a test of code that may swallow it:
      a change that `changes` does not have for the name (so: an event without a lock, a document replaced); a name
      outside it; `durable=False` but for MAY_BE_FORGOTTEN; a lock without time zone; reading what was never written.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        changes: Mapping[str, frozenset[StoreOperation]] = CHANGES,
        faults: Faults = no_faults,
        waits: Callable[[Call], object] = lambda _: None,
        waits_after: Callable[[Call], object] = lambda _: None,
        known: Iterable[str] = (),
    ) -> None:
        self.inner = inner
        self.changes = changes
        self.faults = faults
        self.waits = waits
        self.waits_after = waits_after
        self.calls: list[Call] = []
        self.misuses: list[str] = []
        self._ever_written = set(known)
        self._lock = Lock()

    def count(self, operation: StoreOperation | None = None, prefix: str = "") -> int:
        """How many calls there were, of `operation` if given, on names that begin with `prefix`."""
        with self._lock:
            return sum(operation in {None, call.operation} and call.name.startswith(prefix) for call in self.calls)

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        operation = StoreOperation.CREATE if locked_until is None else StoreOperation.CREATE_LOCKED
        self._require_change(operation, name)
        self._require(durable or _covered(MAY_BE_FORGOTTEN, name), f"power loss may forget {name}")
        self._require(locked_until is None or locked_until.tzinfo is not None, f"{name}: a lock without time zone")
        self._call(operation, name, lambda: self.inner.create(name, data, locked_until=locked_until, durable=durable))

    def read(self, name: str) -> StoredObject:
        return self._read(name, lambda: self.inner.read(name))

    def locked_until(self, name: str) -> datetime | None:
        return self._read(name, lambda: self.inner.locked_until(name))

    def written_at(self, name: str) -> datetime:
        return self._call(StoreOperation.LIST, name, lambda: self.inner.written_at(name))

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        self._require_change(StoreOperation.REPLACE, name)
        return self._call(StoreOperation.REPLACE, name, lambda: self.inner.replace(name, data, expected=expected))

    def delete(self, name: str) -> None:
        self._require_change(StoreOperation.DELETE, name)
        self._call(StoreOperation.DELETE, name, lambda: self.inner.delete(name))

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        self._require_change(StoreOperation.DELETE_VERSIONS, name)
        self._require(deleted_before.tzinfo is not None, f"{name}: a date without time zone")
        return self._call(
            StoreOperation.DELETE_VERSIONS,
            name,
            lambda: self.inner.expunge(name, deleted_before=deleted_before, most=most),
        )

    def extend_lock(self, name: str, until: datetime) -> None:
        self._require_change(StoreOperation.EXTEND_LOCK, name)
        self._require(until.tzinfo is not None, f"{name}: a lock without time zone")
        self._call(StoreOperation.EXTEND_LOCK, name, lambda: self.inner.extend_lock(name, until))

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        return self._listing(prefix, lambda: self.inner.list(prefix, after=after))

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        inner = self.inner
        assert isinstance(inner, Listings)
        return self._listing(prefix, lambda: inner.entries(prefix, after=after))

    def history(self, name: str) -> tuple[Version, ...]:
        inner = self.inner
        if not isinstance(inner, EarlierVersions):
            return ()
        return self._call(StoreOperation.READ_VERSIONS, name, lambda: inner.history(name))

    def read_version(self, name: str, version: str) -> bytes:
        inner = self.inner
        assert isinstance(inner, EarlierVersions)
        return self._call(StoreOperation.READ_VERSIONS, name, lambda: inner.read_version(name, version))

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        return self._listing(prefix, lambda: self.inner.versions(prefix, after=after))

    def time(self) -> datetime:
        return self.inner.time()

    def _listing(self, prefix: str, listing: Callable[[], Iterator[_T]]) -> Iterator[_T]:
        call = self._arrive(StoreOperation.LIST, prefix)
        fault = self.faults(call)
        if fault in {Fault.FAILS, Fault.FAILS_UNSURE}:
            raise _unavailable(call, maybe_written=False)
        names = listing()
        self.waits_after(call)
        return names if fault is None else _broken_off(names, call)

    def _read(self, name: str, read: Callable[[], _T]) -> _T:
        try:
            return self._call(StoreOperation.READ, name, read)
        except ObjectAbsent:
            known = name in self._ever_written or _covered(MAY_BE_ABSENT, name)
            self._require(known, f"{name} was read, and never written")
            raise

    def _call(self, operation: StoreOperation, name: str, act: Callable[[], _T]) -> _T:
        call = self._arrive(operation, name)
        fault = self.faults(call)
        reading = operation in {StoreOperation.READ, StoreOperation.READ_VERSIONS, StoreOperation.LIST}
        if fault in {Fault.FAILS, Fault.FAILS_UNSURE}:
            raise _unavailable(call, maybe_written=fault is Fault.FAILS_UNSURE and not reading)
        try:
            answer = act()
        except ObjectStoreError:
            if fault is None:
                raise
        else:
            if not reading:
                with self._lock:
                    self._ever_written.add(name)
            if fault is None:
                self.waits_after(call)
                return answer
        # Done, or refused: the answer is lost either way.
        self.waits_after(call)
        raise _unavailable(call, maybe_written=not reading)

    def _arrive(self, operation: StoreOperation, name: str) -> Call:
        with self._lock:
            call = Call(len(self.calls) + 1, operation, name)
            self.calls.append(call)
        self.waits(call)
        return call

    def _require_change(self, operation: StoreOperation, name: str) -> None:
        check_name(name)
        allowed = next((self.changes[pattern] for pattern in self.changes if covers(pattern, name)), frozenset())
        self._require(operation in allowed, f"{name} must not be changed by {operation}")

    def _require(self, held: bool, misuse: str) -> None:
        if not held:
            self.misuses.append(misuse)
            raise MisusedStoreError(misuse)


def _covered(patterns: tuple[str, ...], name: str) -> bool:
    return any(covers(pattern, name) for pattern in patterns)


def _unavailable(call: Call, *, maybe_written: bool) -> ObjectStoreUnavailable:
    message = f"the test made call {call.number}, {call.operation} {call.name}, fail"
    return ObjectStoreUnavailable(message, maybe_written=maybe_written)


def _broken_off(names: Iterator[_T], call: Call) -> Iterator[_T]:
    yield from names
    raise _unavailable(call, maybe_written=False)
