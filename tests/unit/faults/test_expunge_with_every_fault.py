"""The end of a record with every call going wrong in turn, and with a death before and after each.

First `upkeep`, which deletes it; then `expunge`, which removes what the host keeps. After each: what can be read is as
it was; nothing went without its trace; and clean runs bring it to its end. The number of cases is printed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import product

import pytest

from fakes.keys import PolicingKeys, on_calls as on_key_calls
from fakes.objects import Call, Fault, PolicingStore, on_calls
from fixtures.inprocess import Process, World, chalicefile, key_service
from sceau.http.expunge import expunging_of
from sceau.http.runtime import Runtime
from sceau.http.upkeep import upkeep_of
from sceau.objects.ports import Kept
from sceau.records.repository import dossier_name
from sceau.stage import scoped_keys, scoped_store
from unit.faults.whole import read_whole
from unit.http.expunging import kept, versioned
from unit.http.published import bundle, good, laboratory_document, opened
from unit.http.test_decisions_end_to_end import HOLDER, Stand
from unit.http.test_record_life import life

Counted = Callable[[int], None]
Run = Callable[["Start"], object]

DAY = timedelta(days=1)

OTHER = "b" * 26
"""A record of which a version was replaced, and which nobody deletes."""


class Killed(BaseException):
    """The process dies here."""


class Start:
    """One start of scheduled functions on what rests, with a store and keys that can fail."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = PolicingStore(world.memory)
        self.keys = PolicingKeys(key_service())

    def runtime(self, function: str) -> Runtime:
        """A function's, with its own rights."""
        rights, world = chalicefile().functions[function], self.world
        store, keys = scoped_store(self.store, rights), scoped_keys(self.keys, rights)
        return Runtime(function, "local", world.spec, store, keys, clock=world.clock)


def upkeep(start: Start) -> object:
    return upkeep_of(start.runtime("upkeep")).run()


def expunge(start: Start) -> object:
    return expunging_of(start.runtime("expunge")).run()


@functools.cache
def requested() -> World:
    """A record whose deletion is due today."""
    process = opened(share=False)
    good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    stand = Stand(Process(versioned(process.world)))
    good(life(stand, HOLDER, active=False))
    good(life(stand, HOLDER, active=False, deletion=True))
    memory = stand.process.world.memory
    memory.replace(dossier_name(OTHER), b"2", expected=memory.replace(dossier_name(OTHER), b"1", expected=None))
    stand.later(days=30)
    return stand.process.world


@functools.cache
def deleted() -> World:
    """The same, deleted, and old enough to be expunged."""
    world = requested().copy()
    upkeep(Start(world))
    world.clock.advance(8 * DAY)
    return world


BASES: dict[str, tuple[Callable[[], World], Run]] = {"upkeep": (requested, upkeep), "expunge": (deleted, expunge)}


@functools.cache
def calls(name: str) -> tuple[list[Call], int]:
    """What an undisturbed run asks of the store, and how often the key service."""
    base, run = BASES[name]
    start = Start(base().copy())
    run(start)
    return list(start.store.calls), len(start.keys.calls)


def readable(world: World) -> dict[str, bytes]:
    return {name: world.memory.read(name).data for name in world.memory.list("records/")}


def behind(world: World) -> list[Kept]:
    return [one for one in kept(world) if OTHER not in one.name]


def check(name: str, world: World, start: Start) -> None:
    """What must hold whatever happened, and what clean runs make of it."""
    before = BASES[name][0]()
    assert start.store.misuses == [] and start.keys.misuses == []
    assert [one for one in kept(world) if OTHER in one.name] == [one for one in kept(before) if OTHER in one.name]
    if name == "expunge":
        assert readable(world) == readable(before)
        removed = sum(one.versions + one.deletions for one in behind(before)) - sum(
            one.versions + one.deletions for one in behind(world)
        )
        events = list(world.memory.list("journal/events/"))
        assert removed >= 0
        assert not removed or len(events) > len(list(before.memory.list("journal/events/"))), "without its trace"
    elif not any(OTHER not in one for one in readable(world)):
        assert list(world.memory.list("ended/")), "deleted, and nobody would look for what is kept of it"
    again = Start(world)
    upkeep(again)
    assert list(world.memory.list("due/")) in ([], list(before.memory.list("due/"))[-1:])
    world.clock.advance(8 * DAY)
    expunge(again)
    assert behind(world) == []
    assert list(world.memory.list("ended/")) == []
    assert len(list(world.memory.list("expunged/"))) >= 1
    assert readable(world) == {dossier_name(OTHER): b"2"}
    world.memory.delete(dossier_name(OTHER))  # it is no dossier: what follows reads all
    assert read_whole(world).dossiers == {}


@pytest.mark.parametrize("name", BASES)
def test_each_store_call_fails_in_turn(name: str, counted: Counted) -> None:
    base, run = BASES[name]
    cases = list(product(range(1, len(calls(name)[0]) + 1), Fault))
    for number, fault in cases:
        world = base().copy()
        start = Start(world)
        start.store.faults = on_calls(number, fault=fault)
        run(start)
        start.store.faults = lambda _: None
        check(name, world, start)
    assert len(cases) >= 27
    counted(len(cases))


@pytest.mark.parametrize("name", BASES)
def test_each_key_call_fails_in_turn(name: str, counted: Counted) -> None:
    base, run = BASES[name]
    for number in range(1, calls(name)[1] + 1):
        world = base().copy()
        start = Start(world)
        start.keys.fails = on_key_calls(number)
        run(start)
        start.keys.fails = lambda _: False
        check(name, world, start)
    counted(calls(name)[1])


@pytest.mark.parametrize("name", BASES)
def test_the_process_dies_before_and_after_each_store_call(name: str, counted: Counted) -> None:
    base, run = BASES[name]
    cases = list(product(range(1, len(calls(name)[0]) + 1), (False, True)))
    for number, after in cases:
        world = base().copy()
        start = Start(world)

        def dies(call: Call, number: int = number) -> None:
            if call.number == number:
                raise Killed

        setattr(start.store, "waits_after" if after else "waits", dies)
        with suppress(Killed):
            run(start)
        check(name, world, start)
    counted(len(cases))
