"""The fault harness, unchanged, with a real S3 server in place of memory: acts of each kind that writes, and one read.

The others call the store no differently, and run on memory alone. Every call of the store fails in turn, in all three
ways; and the process dies before and after each.
"""

from __future__ import annotations

import functools
import random
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from fakes.objects import MemoryStore
from fixtures.inprocess import World
from fixtures.s3_servers import BUCKETS, Place, S3Servers
from sceau.objects.s3.buckets import make_buckets
from sceau.objects.s3.calls import Calls
from sceau.objects.s3.store import S3Store
from unit.faults import test_every_act_with_every_fault as harness

pytestmark = pytest.mark.slow

ACTS = ("open", "grant", "publish with folder", "replace", "mask", "delete", "close", "retrieve")


class OnServer(S3Store):
    """What a `MemoryStore` holds, in new buckets of a real server. Its time is the test's: the acts are of that day."""

    def __init__(self, place: Place, client: Any, source: MemoryStore, clock: Callable[[], datetime]) -> None:
        own = secrets.token_hex(6)
        buckets = {prefix: f"{bucket}-{own}" for prefix, bucket in BUCKETS.items()}
        make_buckets(client, place.spec.region, {buckets[""]}, {buckets["journal/events/"]})
        super().__init__(Calls(client, random_fraction=random.random), buckets)
        self._made_of = place, client, source
        self._clock = clock
        for name in source.list(""):
            self.create(name, source.read(name).data, locked_until=source.locked_until(name))

    def copy(self, clock: Callable[[], datetime]) -> OnServer:
        return OnServer(*self._made_of, clock)

    def time(self) -> datetime:
        return self._clock()


@pytest.fixture
def on_server(s3_servers: S3Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case works on a copy of its state that lies on the server."""
    place = s3_servers.place("versitygw")
    client = place.client()
    in_memory = harness.base

    @functools.cache
    def base(name: str) -> World:
        world = in_memory(name)
        memory: Any = OnServer(place, client, world.memory, world.clock)
        return World(memory, world.clock)

    monkeypatch.setattr(harness, "base", base)
    # What a process counted is written when it ends: here the server ends before, and each would wait for it.
    monkeypatch.setattr("sceau.http.building.atexit.register", lambda _: None)


@pytest.mark.usefixtures("on_server")
@pytest.mark.parametrize("name", ACTS)
def test_each_store_call_fails_in_turn(name: str, counted: harness.Counted) -> None:
    harness.test_each_store_call_fails_in_turn(name, counted)


@pytest.mark.usefixtures("on_server")
@pytest.mark.parametrize("name", ACTS)
def test_the_process_dies_before_and_after_each_store_call(name: str, counted: harness.Counted) -> None:
    harness.test_the_process_dies_before_and_after_each_store_call(name, counted)
