"""What the S3 store says of writes whose answer was lost: the truth, found by asking again, or that nobody knows."""

from __future__ import annotations

import pytest

from fakes.s3_transport import Outcome, Reply, not_connected, timed_out, unreachable
from sceau.objects.errors import ObjectChanged, ObjectExists, ObjectStoreUnavailable
from unit.objects.s3_world import (
    ABSENT,
    BROKEN,
    CONFLICT,
    DENIED,
    DOCUMENT,
    DOSSIER,
    EVENT,
    MARK,
    NOW,
    SLOW_DOWN,
    TAKEN,
    WRITE,
    World,
    found,
    make_world,
    written,
)

LOST: dict[str, Outcome] = {
    "a time-out": timed_out(),
    "a server error": BROKEN,
    "too busy": SLOW_DOWN,
    "an empty 502": Reply(502),
    "a reset": ConnectionResetError(),
}
NOT_DONE: dict[str, Outcome] = {
    "nobody listening": unreachable(),
    "no connection in time": not_connected(),
    "a conflict": CONFLICT,
    "a body that came too slowly": Reply(400, "RequestTimeout"),
}


@pytest.fixture(params=LOST)
def lost(request: pytest.FixtureRequest) -> Outcome:
    return LOST[request.param]


@pytest.fixture(params=NOT_DONE)
def not_done(request: pytest.FixtureRequest) -> Outcome:
    return NOT_DONE[request.param]


@pytest.fixture
def world() -> World:
    return make_world()


# Create


@pytest.mark.parametrize("name", [DOCUMENT, EVENT])
def test_a_create_that_is_refused_the_second_time_was_ours_on_a_name_of_one_s_own(
    world: World, lost: Outcome, name: str
) -> None:
    world.script.then(lost, TAKEN)
    world.store.create(name, b"sealed")
    assert world.methods() == ["PUT", "PUT"]
    assert world.sent[0].headers["if-none-match"] == world.sent[1].headers["if-none-match"] == "*"
    assert world.sent[0].body == world.sent[1].body == b"sealed"


def test_a_create_that_was_not_done_the_first_time_is_done_the_second_time(world: World, lost: Outcome) -> None:
    world.script.then(lost, written())
    world.store.create(MARK, b"")
    assert world.methods() == ["PUT", "PUT"]


def test_a_create_that_is_refused_at_once_finds_the_name_taken_and_asks_no_more(world: World) -> None:
    for name in (DOCUMENT, EVENT, MARK):
        world.script.then(TAKEN)
        with pytest.raises(ObjectExists):
            world.store.create(name, b"")
    assert world.methods() == ["PUT"] * 3


@pytest.mark.parametrize("name", [DOCUMENT, EVENT, MARK])
def test_a_create_that_certainly_was_not_done_is_sent_again_and_a_refusal_then_is_another_s(
    world: World, not_done: Outcome, name: str
) -> None:
    world.script.then(not_done, TAKEN)
    with pytest.raises(ObjectExists):
        world.store.create(name, b"")
    assert world.methods() == ["PUT", "PUT"]


def test_a_name_that_several_want_is_known_again_by_what_only_its_writer_wrote(world: World, lost: Outcome) -> None:
    world.script.then(lost, TAKEN, found(b"", **{"x-amz-meta-sceau-write": WRITE.hex()}))
    world.store.create(MARK, b"")
    assert world.methods() == ["PUT", "PUT", "HEAD"]
    assert {one.headers["x-amz-meta-sceau-write"] for one in world.sent[:2]} == {WRITE.hex()}


def test_a_name_that_another_took_meanwhile_is_taken(world: World, lost: Outcome) -> None:
    world.script.then(lost, TAKEN, found(b"", **{"x-amz-meta-sceau-write": bytes(16).hex()}))
    with pytest.raises(ObjectExists):
        world.store.create(MARK, b"")
    world.script.then(lost, TAKEN, found(b""))
    with pytest.raises(ObjectExists):
        world.store.create("configuration/pseudonym", b"")


@pytest.mark.parametrize("answer", [DENIED, Reply(404)])
def test_who_may_not_look_or_finds_nothing_does_not_know_and_says_so(
    world: World, lost: Outcome, answer: Reply
) -> None:
    """A replay mark of which nobody knows whose it is must not let a proof pass."""
    world.script.then(lost, TAKEN, answer)
    with pytest.raises(ObjectStoreUnavailable) as unknown:
        world.store.create(MARK, b"")
    assert unknown.value.maybe_written


def test_a_create_that_gets_no_answer_at_all_may_have_been_done(world: World, lost: Outcome) -> None:
    world.script.then(*[lost] * 6)
    with pytest.raises(ObjectStoreUnavailable) as unknown:
        world.store.create(EVENT, b"", locked_until=NOW)
    assert unknown.value.maybe_written
    assert len(world.sent) == 6


def test_a_call_that_was_uncertain_once_is_never_said_not_to_have_happened(world: World) -> None:
    for last in (unreachable(), DENIED, Reply(403, "ExpiredToken")):
        world.script.then(timed_out(), *([last] * (5 if isinstance(last, Exception) else 1)))
        with pytest.raises(ObjectStoreUnavailable) as unknown:
            world.store.create(EVENT, b"", locked_until=NOW)
        assert unknown.value.maybe_written


def test_a_call_that_never_left_is_said_not_to_have_happened(world: World) -> None:
    world.script.then(*[unreachable()] * 6)
    with pytest.raises(ObjectStoreUnavailable) as refused:
        world.store.create(EVENT, b"", locked_until=NOW)
    assert not refused.value.maybe_written
    world.script.then(DENIED)
    with pytest.raises(ObjectStoreUnavailable) as refused:
        world.store.replace(DOSSIER, b"", expected=None)
    assert not refused.value.maybe_written
    assert refused.value.reason == "AccessDenied"


# Compare-and-swap


@pytest.mark.parametrize("expected", [None, "e0"])
def test_a_swap_whose_answer_was_lost_recognises_its_own_commit(
    world: World, lost: Outcome, expected: str | None
) -> None:
    world.script.then(lost, TAKEN, found(b"ours", '"e1"'))
    assert world.store.replace(DOSSIER, b"ours", expected=expected) == "e1"
    assert world.methods() == ["PUT", "PUT", "GET"]


@pytest.mark.parametrize(
    "answers", [[found(b"another's")], [ABSENT], [DENIED, DENIED]], ids=["other bytes", "gone", "not shown"]
)
def test_a_swap_that_somebody_may_have_gone_on_from_is_not_said_to_be_lost(
    world: World, lost: Outcome, answers: list[Reply]
) -> None:
    world.script.then(lost, TAKEN, *answers)
    with pytest.raises(ObjectStoreUnavailable) as unknown:
        world.store.replace(DOSSIER, b"ours", expected="e0")
    assert unknown.value.maybe_written


def test_a_swap_that_was_not_done_the_first_time_is_done_the_second_time(world: World, lost: Outcome) -> None:
    world.script.then(lost, written('"e2"'))
    assert world.store.replace(DOSSIER, b"ours", expected="e1") == "e2"
    assert [one.headers["if-match"] for one in world.sent] == ['"e1"', '"e1"']


@pytest.mark.parametrize("refusal", [TAKEN, ABSENT, Reply(404, "NoSuchVersion")])
def test_a_swap_that_is_refused_at_once_has_lost_and_asks_no_more(world: World, refusal: Reply) -> None:
    world.script.then(refusal)
    with pytest.raises(ObjectChanged):
        world.store.replace(DOSSIER, b"ours", expected="e0")
    assert world.methods() == ["PUT"]


def test_a_swap_that_met_another_in_the_making_is_sent_again(world: World) -> None:
    world.script.then(CONFLICT, Reply(409, "OperationAborted"), TAKEN)
    with pytest.raises(ObjectChanged):
        world.store.replace(DOSSIER, b"ours", expected="e0")
    assert world.methods() == ["PUT"] * 3


# Deletion


def test_a_deletion_whose_answer_was_lost_is_sent_again(world: World, lost: Outcome) -> None:
    listing = (
        "<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>" + MARK + "</Key><VersionId>v1</VersionId>"
        "<IsLatest>true</IsLatest><LastModified>2026-03-02T09:00:00Z</LastModified><ETag>e</ETag></Version>"
        "</ListVersionsResult>"
    )
    world.script.then(Reply(body=listing.encode()), lost, Reply(204))
    world.store.delete(MARK)
    assert [(one.method, one.query.get("versionId")) for one in world.sent[1:]] == [("DELETE", "v1")] * 2
