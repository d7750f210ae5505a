"""Properties that Sceau relies on, measured on the live store and not believed. Nothing outside `probe/` is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Barrier
from typing import Final, TypeVar

from sceau.objects.errors import (
    ObjectAbsent,
    ObjectChanged,
    ObjectExists,
    ObjectLocked,
    ObjectStoreUnavailable,
)
from sceau.objects.findings import PROBE, Finding, measured
from sceau.objects.ports import ObjectStore

WRITERS: Final = 16
RACES: Final = 8
SWAPS: Final = 4
"""Swaps by each writer."""

CLOCKS_APART: Final = timedelta(seconds=10)
"""What tokens and proofs tolerate either way, too."""

LEFT_OVER: Final = timedelta(hours=1)
"""Older probe objects are of an earlier check that could not delete them: they were locked, or it died."""

_START_SECONDS = 30.0
_MOST_TRIES = 400

ResultT = TypeVar("ResultT")


def check_store(store: ObjectStore, home: str, clock: Callable[[], datetime]) -> Iterator[Finding]:
    """What every store must do, on objects below `home` (in `probe/`, ending with "/"): races, locks, clock."""
    yield measured("create-once under a race", lambda: race_to_create(store, f"{home}create/"))
    yield measured("compare-and-swap under a race", lambda: race_to_swap(store, f"{home}swap"))
    yield measured("locks refuse deletion and shortening", lambda: lock_holds(store, f"{home}locked", clock))
    yield measured("clocks agree", lambda: clocks_agree(store, clock))


def race_to_create(store: ObjectStore, home: str, locked_until: datetime | None = None) -> tuple[bool, str]:
    """16 writers want the same names: one gets each, and its content stands. With `locked_until`, as events are."""

    def race(me: int) -> set[int]:
        won = set()
        for number in range(RACES):
            with suppress(ObjectExists):
                store.create(f"{home}{number}", b"%d" % me, locked_until=locked_until)
                won.add(number)
        return won

    wins = at_once(race)
    twice = sum(sum(number in won for won in wins) != 1 for number in range(RACES))
    lost = sum(number not in wins[int(store.read(f"{home}{number}").data)] for number in range(RACES))
    seen = f"{WRITERS} writers, {RACES} names: {twice} without exactly one winner, {lost} without its winner's content"
    return twice == lost == 0, seen


def race_to_swap(store: ObjectStore, name: str) -> tuple[bool, str]:
    """16 writers count in one object: no update is lost."""
    store.create(name, b"0")

    def count(_: int) -> int:
        done = 0
        for _ in range(_MOST_TRIES):
            found = store.read(name)
            try:
                store.replace(name, b"%d" % (int(found.data) + 1), expected=found.tag)
            except ObjectChanged:
                continue
            done += 1
            if done == SWAPS:
                break
        return done

    done = sum(at_once(count))
    kept = int(store.read(name).data)
    return kept == done > 0, f"{WRITERS} writers: {done} swaps acknowledged, {kept} kept"


def at_once(act: Callable[[int], ResultT]) -> list[ResultT]:
    """What `act` gives for each of 16 writers, all begun at the same time. Raises what one of them raised.

    RuntimeError: not all could begin. A process that is ending gives no more threads, and would wait for those that it
    has: none of them may wait for the others then.
    """
    start = Barrier(WRITERS)

    def begin(me: int) -> ResultT:
        start.wait(_START_SECONDS)
        return act(me)

    with ThreadPoolExecutor(WRITERS) as pool:
        try:
            results = pool.map(begin, range(WRITERS))
        except RuntimeError:
            start.abort()
            raise
        return list(results)


def lock_holds(store: ObjectStore, name: str, clock: Callable[[], datetime]) -> tuple[bool, str]:
    """An object under a short lock is neither deleted nor unlocked earlier."""
    until = clock() + timedelta(minutes=1)
    store.create(name, b"locked", locked_until=until)
    accepted = []
    with suppress(ObjectLocked):
        store.extend_lock(name, until - timedelta(seconds=30))
        accepted.append("shortening")
    with suppress(ObjectLocked):
        store.delete(name)
        accepted.append("deletion")
    if accepted:
        return False, f"accepted: {', '.join(accepted)}"
    end = store.locked_until(name)
    return end is not None and end >= until, "a probe's deletion and shortening were refused"


def clocks_agree(store: ObjectStore, clock: Callable[[], datetime]) -> tuple[bool, str]:
    """The store's clock and ours: locks count by its, events and tokens by ours."""
    apart = store.time() - clock()
    seconds = apart.total_seconds()
    return abs(
        apart
    ) <= CLOCKS_APART, f"the store's clock is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}"


def sweep_probes(store: ObjectStore, clock: Callable[[], datetime]) -> None:
    """Delete what earlier checks left; what is still locked stays for the next time."""
    for name in store.list(PROBE):
        with suppress(ObjectAbsent, ObjectLocked, ObjectStoreUnavailable):
            if clock() - store.written_at(name) > LEFT_OVER:
                store.delete(name)


def clear(store: ObjectStore, home: str) -> None:
    """Delete what this check wrote, as far as it is not locked."""
    for name in store.list(home):
        with suppress(ObjectAbsent, ObjectLocked, ObjectStoreUnavailable):
            store.delete(name)
