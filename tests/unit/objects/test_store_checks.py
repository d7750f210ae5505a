"""What `stage check` measures on any store: it holds on one that obeys, and is lost on each that does not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Lock, Thread
from typing import Any

import pytest

from fakes.clock import ManualClock
from fakes.objects import MemoryStore, PolicingStore, on
from sceau.objects import checks
from sceau.objects.checks import (
    LEFT_OVER,
    WRITERS,
    check_store,
    clear,
    clocks_agree,
    lock_holds,
    race_to_create,
    race_to_swap,
    sweep_probes,
)
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectStoreUnavailable
from sceau.objects.findings import PROBE, measured
from sceau.objects.ports import ObjectStore, StoredObject
from sceau.objects.scoped import StoreOperation

HOME = "probe/a/"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


def everything(store: ObjectStore) -> dict[str, bytes]:
    return {name: store.read(name).data for name in store.list("")}


def test_all_of_it_holds_on_a_store_that_obeys_and_nothing_but_probes_is_touched(
    store: MemoryStore, clock: ManualClock
) -> None:
    store.replace("records/a/dossier", b"sealed", expected=None)
    policing = PolicingStore(store)
    findings = list(check_store(policing, HOME, clock))
    assert [one.name for one in findings] == [
        "create-once under a race",
        "compare-and-swap under a race",
        "locks refuse deletion and shortening",
        "clocks agree",
    ]
    assert [one.name for one in findings if not one.held] == []
    assert all(call.name.startswith(HOME) for call in policing.calls)
    clear(store, HOME)
    assert set(everything(store)) == {"records/a/dossier", HOME + "locked"}, (
        "what is locked stays until its minute is over"
    )


class Obedient(MemoryStore):
    """To be spoilt."""


class CreatesTwice(Obedient):
    """Now and then a second create of a name returns, too."""

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        if name.endswith("3"):
            return
        super().create(name, data, locked_until=locked_until, durable=durable)


class LosesASwap(Obedient):
    """One swap is acknowledged and forgotten."""

    _guard = Lock()
    _left = 1

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        with self._guard:
            forget, self._left = self._left > 0, 0
        if forget and self.read(name).tag == expected:
            return str(expected)
        return super().replace(name, data, expected=expected)


class NeverSwaps(Obedient):
    """Everybody always lost."""

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        raise ObjectChanged(name)


class Deletes(Obedient):
    """A lock is a word."""

    def delete(self, name: str) -> None:
        with self._lock:
            del self._entries[name]


class Shortens(Obedient):
    """A lock can be made shorter."""

    def extend_lock(self, name: str, until: datetime) -> None:
        """Accepted."""


class ForgetsLocks(Obedient):
    """It accepts a lock, and has none."""

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        super().create(name, data, durable=durable)


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        (CreatesTwice, "create-once under a race"),
        (LosesASwap, "compare-and-swap under a race"),
        (NeverSwaps, "compare-and-swap under a race"),
        (Deletes, "locks refuse deletion and shortening"),
        (Shortens, "locks refuse deletion and shortening"),
        (ForgetsLocks, "locks refuse deletion and shortening"),
    ],
)
def test_a_store_that_does_not_obey_is_found(kind: type[Obedient], lost: str, clock: ManualClock) -> None:
    findings = list(check_store(kind(clock), HOME, clock))
    assert [one.name for one in findings if not one.held] == [lost]
    assert all(one.seen and "\n" not in one.seen for one in findings)


@pytest.mark.parametrize("seconds", [11, -11, 3600])
def test_clocks_that_differ_by_more_than_proofs_tolerate_are_found(seconds: int, clock: ManualClock) -> None:
    ahead = MemoryStore(ManualClock(clock() + timedelta(seconds=seconds)))
    held, seen = clocks_agree(ahead, clock)
    assert not held
    assert f"{abs(seconds)}.0 s {'ahead' if seconds > 0 else 'behind'}" in seen
    near = MemoryStore(ManualClock(clock() + timedelta(seconds=seconds / abs(seconds) * 10)))
    assert clocks_agree(near, clock)[0]


def test_what_can_not_be_measured_is_not_said_to_hold(store: MemoryStore, clock: ManualClock) -> None:
    broken = PolicingStore(store, faults=on(StoreOperation.READ))
    findings = list(check_store(broken, HOME, clock))
    assert [one.held for one in findings] == [False, False, False, True]
    assert "it could not be measured" in findings[0].seen


def test_an_event_s_race_is_run_under_a_lock(store: MemoryStore, clock: ManualClock) -> None:
    until = clock() + timedelta(minutes=1)
    assert race_to_create(store, HOME, until)[0]
    assert {store.locked_until(name) for name in store.list(HOME)} == {until}


def test_a_race_leaves_what_it_counted(store: MemoryStore) -> None:
    assert race_to_swap(store, HOME + "swap") == (True, "16 writers: 64 swaps acknowledged, 64 kept")
    assert store.read(HOME + "swap").data == b"64"


def test_a_lock_is_tried_for_a_minute(store: MemoryStore, clock: ManualClock) -> None:
    assert lock_holds(store, HOME + "locked", clock)[0]
    assert store.locked_until(HOME + "locked") == clock() + timedelta(minutes=1)


def test_a_mistake_of_ours_is_no_finding() -> None:
    with pytest.raises(ZeroDivisionError):
        measured("x", lambda: (bool(1 / 0), ""))


def test_probes_that_earlier_checks_left_go_once_their_lock_is_over(store: MemoryStore, clock: ManualClock) -> None:
    store.create(PROBE + "old/free", b"")
    store.create(PROBE + "old/locked", b"", locked_until=clock() + timedelta(days=1))
    store.replace("records/a/dossier", b"", expected=None)
    clock.advance(LEFT_OVER)
    store.create(PROBE + "new", b"")
    sweep_probes(store, clock)
    assert set(everything(store)) == {PROBE + "new", PROBE + "old/free", PROBE + "old/locked", "records/a/dossier"}
    clock.advance(timedelta(seconds=1))
    sweep_probes(store, clock)
    assert set(everything(store)) == {PROBE + "new", PROBE + "old/locked", "records/a/dossier"}
    clock.advance(timedelta(days=1))
    sweep_probes(store, clock)
    assert set(everything(store)) == {"records/a/dossier"}


def test_sweeping_goes_on_past_what_another_sweep_took(store: MemoryStore, clock: ManualClock) -> None:
    class Vanishing(MemoryStore):
        def written_at(self, name: str) -> datetime:
            if name.endswith("/a"):
                raise ObjectAbsent(name)
            if name.endswith("/b"):
                raise ObjectStoreUnavailable(name, maybe_written=False)
            return super().written_at(name)

        def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
            yield from sorted({PROBE + "a", *super().list(prefix, after=after)})

        def read(self, name: str) -> StoredObject:
            return super().read(name)

    vanishing = Vanishing(clock)
    for name in ("b", "c"):
        vanishing.create(PROBE + name, b"")
    clock.advance(timedelta(days=1))
    sweep_probes(vanishing, clock)
    assert list(vanishing.list(PROBE)) == [PROBE + "a", PROBE + "b"]


def test_writers_that_began_do_not_wait_for_those_that_could_not(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that is told to end while it checks its store would wait for them until it is killed."""

    class Ending(ThreadPoolExecutor):
        begun = 0

        def submit(self, *args: Any, **options: Any) -> Future[Any]:
            self.begun += 1
            if self.begun > WRITERS // 2:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            return super().submit(*args, **options)

    monkeypatch.setattr(checks, "ThreadPoolExecutor", Ending)
    raised: list[str] = []

    def check() -> None:
        try:
            race_to_swap(store, HOME + "swap")
        except RuntimeError as error:
            raised.append(str(error))

    thread = Thread(target=check, daemon=True)
    thread.start()
    thread.join(120)
    assert raised == ["cannot schedule new futures after interpreter shutdown"]
