"""The whole service in process on a store that keeps versions, and the function `expunge` on it."""

from __future__ import annotations

from fakes.objects import VersionedStore
from fixtures.inprocess import Process, World, chalicefile, key_service
from sceau.http.expunge import Report, expunging_of
from sceau.http.runtime import Runtime
from sceau.objects.ports import Kept
from sceau.stage import scoped_keys, scoped_store
from unit.http.published import good
from unit.http.test_decisions_end_to_end import HOLDER, Stand
from unit.http.test_record_life import life, upkeep


def runtime_of(process: Process, function: str) -> Runtime:
    """A function's, with its own rights and no others."""
    rights = chalicefile().functions[function]
    spec = process.world.spec
    store, keys = scoped_store(process.store, rights), scoped_keys(key_service(), rights)
    return Runtime(function, "local", spec, store, keys, clock=process.clock)


def expunge(process: Process) -> Report:
    """One run."""
    return expunging_of(runtime_of(process, "expunge")).run()


def versioned(world: World) -> World:
    """The same, on a host that keeps versions."""
    return World(VersionedStore.of(world.memory, world.clock), world.clock)


def deleted_on_request(stand: Stand) -> str:
    """The holder closes the record and has it deleted; `upkeep` does it. Returns the record's id."""
    record = stand.head().record_id
    good(life(stand, HOLDER, active=False))
    good(life(stand, HOLDER, active=False, deletion=True))
    stand.later(days=30)
    assert upkeep(stand).due.deleted == 1
    return record


def kept(world: World, prefix: str = "records/") -> list[Kept]:
    """Everything that the host has below a prefix, hidden or not."""
    return list(world.memory.versions(prefix))
