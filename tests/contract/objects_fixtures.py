"""The adapters that `test_objects.py` holds to the port, and what other processes do in it.

A new adapter adds one line to `STORES`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from secrets import token_bytes

import pytest

from fakes.clock import ManualClock
from fakes.objects import MemoryStore, PolicingStore, VersionedStore
from fixtures.s3_servers import KINDS, S3Servers, open_store
from sceau.fhir.outcome import FhirError
from sceau.http.commit import commit_with_retries
from sceau.objects.errors import ObjectChanged, ObjectExists
from sceau.objects.filesystem import FilesystemStore
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import ScopedStore, StoreGrant, StoreOperation
from sceau.records.errors import CommitLost


def utc_now() -> datetime:
    return datetime.now(UTC)


OpenStore = Callable[[], ObjectStore]
"""Opens the same store in another process: picklable."""


@dataclass(frozen=True)
class StoreCase:
    """An adapter under test.

    `clock` is what it compares retention with, None when its server keeps its own: what needs a date to pass is then
    skipped. `elsewhere` opens it in another process, None when there it can't be. `dated_by` is the clock that
    `written_at` goes by.
    """

    store: ObjectStore
    clock: ManualClock | None
    elsewhere: OpenStore | None = None
    dated_by: Callable[[], datetime] = utc_now
    records: str = "records/"
    """Where what is deleted is kept, by stores that keep it; a prefix that the adapter lets the test write to."""

    def now(self) -> datetime:
        return self.clock() if self.clock else utc_now()


def open_filesystem(root: Path) -> FilesystemStore:
    return FilesystemStore(root, ManualClock())


def _filesystem(request: pytest.FixtureRequest) -> StoreCase:
    root = request.getfixturevalue("tmp_path") / "store"
    FilesystemStore.create_root(root)
    clock = ManualClock()
    return StoreCase(FilesystemStore(root, clock), clock, partial(open_filesystem, root))


def _memory(_: pytest.FixtureRequest) -> StoreCase:
    clock = ManualClock()
    return StoreCase(MemoryStore(clock), clock, dated_by=clock)


def _policing(_: pytest.FixtureRequest) -> StoreCase:
    clock = ManualClock()
    return StoreCase(PolicingStore(MemoryStore(clock)), clock, dated_by=clock, records="probe/records/")


def _versioned(_: pytest.FixtureRequest) -> StoreCase:
    clock = ManualClock()
    return StoreCase(VersionedStore(clock), clock, dated_by=clock)


def _scoped(_: pytest.FixtureRequest) -> StoreCase:
    clock = ManualClock()
    store = ScopedStore(VersionedStore(clock), [StoreGrant("probe/", frozenset(StoreOperation))])
    return StoreCase(store, clock, dated_by=clock, records="probe/records/")


def _on_server(kind: str, request: pytest.FixtureRequest) -> StoreCase:
    servers: S3Servers = request.getfixturevalue("s3_servers")
    return StoreCase(servers.store(kind), None, partial(open_store, servers.place(kind)))


def _moto(request: pytest.FixtureRequest) -> StoreCase:
    """It plays AWS inside this process."""
    reason = MOTO_IS_WRONG.get(request.function.__name__)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=f"moto: {reason}", strict=True, run=not reason.startswith("race")))
    return StoreCase(request.getfixturevalue("moto"), None)


STORES: dict[str, Callable[[pytest.FixtureRequest], StoreCase]] = {
    "filesystem": _filesystem,
    "memory": _memory,
    "versioned": _versioned,
    "policing": _policing,
    "scoped": _scoped,
    **{kind: partial(_on_server, kind) for kind in KINDS},
    "moto": _moto,
}

SHARED_STORES = ("filesystem", *KINDS)
"""Those of `STORES` with an `elsewhere`."""

MOTO_IS_WRONG = {
    "test_16_threads_that_count_in_one_object_lose_no_update": "race: it loses compare-and-swaps",
    "test_of_16_threads_that_swap_from_one_tag_exactly_one_wins": "race: it loses compare-and-swaps",
    "test_of_16_threads_that_create_one_name_exactly_one_wins": "race: it lets two create one name",
    "test_creators_and_deleters_of_one_folder_do_not_disturb_each_other": "race: its listing of versions breaks",
}
"""What moto 5.2.5 gets wrong, by test. A race that it loses only sometimes is not run on it: it would prove nothing."""


def whole_body(number: int) -> bytes:
    """200 KB that tell their number, and whether they are whole."""
    body = struct.pack(">Q", number) * 25_000
    return body + sha256(body).digest()


def number_of(body: bytes) -> int:
    """The number of a whole body; an assertion fails for a part of one, or a mixture."""
    assert sha256(body[:-32]).digest() == body[-32:], "not a whole body"
    return int(struct.unpack(">Q", body[:8])[0])


def race_to_create(open_store: OpenStore, prefix: str, races: int, start: Barrier, won: Connection) -> None:
    """Create the same names as all other racers; send our content, and the numbers of the names that we created."""
    store = open_store()
    content = token_bytes(8)
    mine = []
    start.wait(120)
    for race in range(races):
        try:
            store.create(f"{prefix}{race:04}", content)
        except ObjectExists:
            continue
        mine.append(race)
    won.send((content, mine))


def count_up(store: ObjectStore, name: str, times: int) -> None:
    """Add 1 to the number in the object, `times` times, by compare-and-swap."""
    for _ in range(times):
        while True:
            current = store.read(name)
            try:
                store.replace(name, b"%d" % (int(current.data) + 1), expected=current.tag)
            except ObjectChanged:
                continue
            break


def commit_elsewhere(open_store: OpenStore, name: str, times: int, start: Barrier, tried: Connection) -> None:
    """Add 1 as often, as the service commits to a dossier: pausing at random after a lost race. Send how many tries."""
    store, tries = open_store(), 0

    def attempt() -> None:
        nonlocal tries
        tries += 1
        current = store.read(name)
        try:
            store.replace(name, b"%d" % (int(current.data) + 1), expected=current.tag)
        except ObjectChanged:
            raise CommitLost(name) from None

    start.wait(120)
    done = 0
    while done < times:
        with suppress(FhirError):  # 409 after many lost races: its caller sends it again
            commit_with_retries(attempt, sleep=time.sleep, random_bytes=token_bytes)
            done += 1
    tried.send(tries)


def count_up_elsewhere(open_store: OpenStore, name: str, times: int, start: Barrier) -> None:
    store = open_store()
    start.wait(120)
    count_up(store, name, times)


def write_until_killed(open_store: OpenStore, prefix: str, acknowledged: Connection) -> None:
    """Create a document and replace the dossier, over and over; send each number once its two calls returned."""
    store = open_store()
    tag = None
    for number in count():
        body = whole_body(number)
        store.create(f"{prefix}documents/{number:06}", body)
        tag = store.replace(f"{prefix}dossier", body, expected=tag)
        acknowledged.send(number)
