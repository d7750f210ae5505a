"""Who outside vouches for a stage's log, as its settings say: asked at the end of each run, waited for by nobody."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fakes.witness import FakeWitness, silent, told
from fixtures.inprocess import World, chalicefile, key_service
from sceau.audit.log.asking import Ask, Reply
from sceau.audit.log.errors import PolicyRefused, StampRefused
from sceau.audit.log.notes import parse_vkeys
from sceau.audit.log.places import COSIGNED, VKEYS
from sceau.http.journals import journal_of
from sceau.http.runtime import Runtime
from sceau.http.vouching import Vouching
from sceau.stage import scoped_keys, scoped_store
from sceau_schemas.log import LogSpec, TimestampSpec
from unit.audit.samples import EVENTS


def runtime(world: World, spec: LogSpec) -> Runtime:
    """The function `journal` with its own rights, on a stage with these settings."""
    rights = chalicefile().functions["journal"]
    stage = world.spec.model_copy(update={"log": spec})
    store, keys = scoped_store(world.memory, rights), scoped_keys(key_service(), rights)
    return Runtime("journal", "local", stage, store, keys, (), world.clock)


@pytest.fixture
def world() -> World:
    return World.new()


@pytest.fixture
def sealed(world: World) -> World:
    """A stage with an event in its log."""
    rights = chalicefile().functions["ingest"]
    store, keys = scoped_store(world.memory, rights), scoped_keys(key_service(), rights)
    ingest = Runtime("ingest", "local", world.spec, store, keys, (), world.clock)
    journal_of(ingest).append(EVENTS["retrieval"])
    world.seal()
    return world


def witness_of(world: World) -> FakeWitness:
    return FakeWitness("w1", world.clock, lambda: parse_vkeys(world.memory.read(VKEYS).data.decode()))


def asker(ask: Ask, asked: list[str | None] | None = None) -> Callable[[str | None], Ask]:
    def make(authorities: str | None) -> Ask:
        if asked is not None:
            asked.append(authorities)
        return ask

    return make


def test_a_stage_without_them_asks_nobody(sealed: World) -> None:
    vouching = Vouching(runtime(sealed, LogSpec()), asker=asker(silent))  # type: ignore[arg-type]
    assert vouching.run() == {}


def test_witnesses_are_asked_with_the_functions_own_rights(sealed: World) -> None:
    witness, pem = witness_of(sealed), "-----BEGIN CERTIFICATE-----\nx"
    asked: list[str | None] = []
    spec = LogSpec(policy=f"{witness.line}\nquorum w1\n", tls=pem)
    vouching = Vouching(runtime(sealed, spec), asker=asker(witness, asked))
    figures = vouching.run()
    assert (figures["witnesses_cosigned"], figures["witnesses_quorum"]) == (1, 1)
    assert asked == [pem]
    assert b"\xe2\x80\x94 w1 " in sealed.memory.read(COSIGNED).data
    assert vouching.run() == {}, "nothing new"


@pytest.mark.parametrize(
    ("says", "event", "figure"),
    [
        (lambda _: Reply(422, "text/plain", b""), "damaged", "witnesses_refused"),
        (lambda _: told(99), "damaged", "witnesses_ahead"),
        (lambda _: Reply(404, "text/plain", b""), "unavailable", "witnesses_unknown"),
        (silent, "unavailable", "witnesses_overdue"),
    ],
)
def test_what_must_be_looked_at_is_logged(
    sealed: World,
    says: Any,
    event: str,
    figure: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("sceau"), "propagate", True)
    witness = witness_of(sealed)
    witness.says = says
    sealed.clock.advance(timedelta(minutes=30))
    vouching = Vouching(runtime(sealed, LogSpec(policy=f"{witness.line}\nquorum w1\n")), asker=asker(witness))
    with caplog.at_level(logging.INFO, "sceau"):
        assert vouching.run()[figure] == 1
    lines = [json.loads(record.message) for record in caplog.records]
    assert any(line["event"] == event and line.get(figure) == 1 for line in lines)
    assert all("example" not in record.message for record in caplog.records), "no address in a log"


def test_settings_that_can_t_be_used_keep_the_function_from_starting(sealed: World) -> None:
    with pytest.raises(PolicyRefused, match="line 1"):
        Vouching(runtime(sealed, LogSpec(policy="witness x\n")), asker=asker(silent))  # type: ignore[arg-type]
    stamps = TimestampSpec(url="https://tsa.example.org/", every="day", certificates="-----BEGIN CERTIFICATE-----\nx")
    with pytest.raises(StampRefused):
        Vouching(runtime(sealed, LogSpec(timestamps=stamps)), asker=asker(silent))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://tsa.example.org/"},
        {"url": "https://user@tsa.example.org/"},
        {"every": "minute"},
        {"certificates": "x"},
        {"policy": "not an oid"},
        {"more": 1},
    ],
)
def test_a_time_stamp_authority_is_declared_whole(wrong: dict[str, Any]) -> None:
    good = {"url": "https://tsa.example.org/tsr", "every": "hour", "certificates": "-----BEGIN CERTIFICATE-----\nx"}
    assert TimestampSpec.model_validate(good).period == timedelta(hours=1)
    with pytest.raises(ValidationError):
        TimestampSpec.model_validate(good | wrong)
