"""The S3 store and time: attempts inside the caller's deadline, pauses, bodies that drip, the store's own clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.s3_transport import Reply, Sent, timed_out, unreachable
from sceau.objects import deadline
from sceau.objects.deadline import within
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.s3 import calls
from sceau.objects.s3.calls import ATTEMPT_SECONDS, CALL_SECONDS, MOST_ATTEMPTS
from unit.objects.s3_world import BROKEN, DOCUMENT, DOSSIER, NOW, World, found, make_world, written


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The caller's deadline counts the same seconds."""
    world = make_world()
    monkeypatch.setattr(deadline, "monotonic", world.seconds)
    return world


def read_timeouts(world: World, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each attempt will wait for the store, as botocore takes it from the request's context."""
    seen: list[float] = []

    def note(request: object, **_: object) -> None:
        seen.append(request.context["read_timeout"])  # type: ignore[attr-defined]

    world.client.meta.events.register_first("before-send.s3", note, unique_id="note")
    return seen


def test_pauses_grow_and_a_random_share_of_each_is_taken(world: World) -> None:
    world.script.then(*[BROKEN] * MOST_ATTEMPTS)
    with pytest.raises(ObjectStoreUnavailable):
        world.store.read(DOSSIER)
    assert world.seconds.slept == [0.05, 0.1, 0.2, 0.4, 0.5]  # half of 0.1, 0.2, 0.4, 0.8, 1


def test_a_call_ends_within_its_own_limit_when_nobody_set_one(world: World) -> None:
    world.script.then(*[timed_out(world.seconds, ATTEMPT_SECONDS)] * MOST_ATTEMPTS)
    started = world.seconds.now
    with pytest.raises(ObjectStoreUnavailable):
        world.store.read(DOSSIER)
    assert world.seconds.now - started <= CALL_SECONDS + ATTEMPT_SECONDS
    assert len(world.sent) == 3


def test_a_nearer_deadline_is_kept_to_by_each_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = read_timeouts(world, monkeypatch)
    try:
        world.script.then(timed_out(world.seconds, 3), timed_out(world.seconds, 3))
        with within(4), pytest.raises(ObjectStoreUnavailable):
            world.store.create(DOCUMENT, b"x")
    finally:
        world.client.meta.events.unregister("before-send.s3", unique_id="note")
    assert len(seen) == 2
    assert seen[0] == 4
    assert 0 < seen[1] <= 1, "no attempt waits longer than its caller"


def test_an_attempt_waits_no_longer_than_half_a_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = read_timeouts(world, monkeypatch)
    try:
        world.script.then(written())
        world.store.create(DOCUMENT, b"x")
    finally:
        world.client.meta.events.unregister("before-send.s3", unique_id="note")
    assert seen == [ATTEMPT_SECONDS]
    assert ATTEMPT_SECONDS <= CALL_SECONDS / 2


def test_a_deadline_that_has_passed_sends_nothing_and_nothing_was_written(world: World) -> None:
    with within(0), pytest.raises(ObjectStoreUnavailable) as refused:
        world.store.create(DOCUMENT, b"x")
    assert world.sent == []
    assert not refused.value.maybe_written
    assert refused.value.reason == "deadline"


def test_no_pause_outlasts_the_deadline(world: World) -> None:
    world.script.then(unreachable())
    with within(0.04), pytest.raises(ObjectStoreUnavailable):
        world.store.read(DOSSIER)
    assert world.seconds.slept == []


# Bodies


def test_a_body_shorter_than_announced_is_asked_for_again(world: World) -> None:
    world.script.then(found(b"half", **{"content-length": "8"}), found(b"the whole"))
    assert world.store.read(DOSSIER).data == b"the whole"
    world.script.then(*[found(b"half", **{"content-length": "8"})] * MOST_ATTEMPTS)
    with pytest.raises(ObjectStoreUnavailable, match="connection lost") as refused:
        world.store.read(DOSSIER)
    assert not refused.value.maybe_written


def test_a_body_that_drips_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_PIECE_BYTES", 1)
    ticks = {"now": 1000.0}

    def dripping(_: Sent) -> Reply:
        return found(b"a long body")

    def clock() -> float:
        ticks["now"] += 2
        return ticks["now"]

    monkeypatch.setattr(world.calls, "_monotonic", clock)
    world.script.then(*[dripping] * MOST_ATTEMPTS)
    with pytest.raises(ObjectStoreUnavailable, match="time-out"):
        world.store.read(DOSSIER)


def test_an_answer_that_is_no_xml_is_asked_for_again(world: World) -> None:
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    world.script.then(Reply(body=b"<ListBucket"), Reply(body=listing))
    assert list(world.store.list("records/")) == []
    assert len(world.sent) == 2


# The store's clock


def test_the_store_s_time_is_that_of_its_last_answer_and_costs_no_call(world: World) -> None:
    world.script.then(found(b"", date="Mon, 02 Mar 2026 09:31:30 GMT"))
    world.store.read(DOSSIER)
    assert world.store.time() == NOW + timedelta(seconds=90)
    assert len(world.sent) == 1


def test_a_refusal_tells_the_time_too(world: World) -> None:
    world.script.then(Reply(404, "NoSuchKey", headers={"date": "Mon, 02 Mar 2026 09:29:00 GMT"}))
    with pytest.raises(Exception, match="dossier"):
        world.store.read(DOSSIER)
    assert world.store.time() == NOW - timedelta(seconds=60)


LOCATION = b"<LocationConstraint>fr-par</LocationConstraint>"


def test_a_store_that_was_not_heard_for_five_minutes_is_asked(world: World) -> None:
    world.script.then(Reply(body=LOCATION))
    assert world.store.time() == NOW
    world.seconds.now += 300
    assert world.store.time() == NOW
    assert len(world.sent) == 1
    world.seconds.now += 1
    world.script.then(Reply(body=LOCATION, headers={"date": "Mon, 02 Mar 2026 09:35:00 GMT"}))
    assert world.store.time() == NOW + timedelta(minutes=5)
    assert len(world.sent) == 2


def test_a_store_that_tells_no_time_is_not_believed(world: World) -> None:
    world.script.then(Reply(body=LOCATION, headers={"date": "soon"}))
    with pytest.raises(ObjectStoreUnavailable, match="time"):
        world.store.time()
