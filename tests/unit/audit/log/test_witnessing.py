"""Witnesses are asked as the protocol wants; nothing waits for them, and nobody is believed without a signature."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakes.objects import Fault, no_faults, on_calls
from fakes.witness import FakeWitness, silent, told
from sceau.audit.log.asking import Reply
from sceau.audit.log.checkpoints import open_checkpoint
from sceau.audit.log.errors import LogDamaged, LogUnavailable
from sceau.audit.log.notes import parse_note
from sceau.audit.log.places import CHECKPOINT, COSIGNED, COSIGNED_COPY, DATED
from sceau.audit.log.policies import parse_policy
from sceau.audit.log.witnessing import LATEST, Witnesses, WitnessReport
from sceau.objects.ports import ObjectStore
from unit.audit.log.log_stand import RETENTION, Inline, LogStand

QUORUM = "group g 2 w1 w2 w3\nquorum g"


@dataclass
class Stand:
    """A log, its witnesses, and who asks them."""

    log: LogStand = field(default_factory=LogStand.new)
    rest: str = QUORUM
    witnesses: dict[str, FakeWitness] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("w1", "w2", "w3"):
            keys = lambda: self.log.vkeys  # noqa: E731 - asked when they are there
            self.witnesses[name] = FakeWitness(name, self.log.clock, keys, post_quantum=name == "w3")
        self.client = self.new_client()

    def new_client(self, store: ObjectStore | None = None) -> Witnesses:
        lines = "\n".join(one.line for one in self.witnesses.values())
        return Witnesses(
            store or self.log.memory,
            parse_policy(f"{lines}\n{self.rest}\n".encode()),
            self.ask,
            clock=self.log.clock,
            retention=RETENTION,
            pool=Inline,
        )

    def ask(self, url: str, body: bytes, media_type: str) -> Reply:
        return self.witnesses[str(urlsplit(url).hostname).removesuffix(".example")](url, body, media_type)

    def grow(self, number: int) -> None:
        self.log.append(number)
        self.log.seal()

    def run(self) -> WitnessReport:
        report = self.client.run()
        assert report is not None
        return report

    @property
    def cosigned(self) -> bytes:
        return self.log.memory.read(COSIGNED).data

    def cosigners(self, note: bytes) -> list[str]:
        return [one.name for one in parse_note(note).signatures if one.name in self.witnesses]


@pytest.fixture
def stand() -> Stand:
    return Stand()


def copies(log: LogStand) -> list[str]:
    """The dated copies that have their quorum."""
    return [name for name in log.names(DATED) if name.endswith(COSIGNED_COPY)]


def test_the_newest_checkpoint_is_cosigned_shown_and_kept_locked(stand: Stand) -> None:
    stand.grow(300)
    before = stand.log.checkpoint
    assert stand.run() == WitnessReport(asked=3, cosigned=3, quorum=True)
    assert stand.cosigners(stand.cosigned) == ["w1", "w2", "w3"]
    assert stand.cosigned.startswith(before)  # the log's own signatures are as they were
    assert stand.log.checkpoint == stand.cosigned
    dated, copy = stand.log.names(DATED)
    assert copy == dated + COSIGNED_COPY
    assert stand.log.memory.read(copy).data == stand.cosigned
    until = stand.log.memory.locked_until(copy)
    assert until is not None
    assert until >= stand.log.clock() + RETENTION
    assert open_checkpoint(stand.cosigned, stand.log.vkeys)[0].size == 300


def test_what_is_cosigned_is_not_asked_for_again(stand: Stand) -> None:
    stand.grow(3)
    stand.run()
    asked = [len(one.asked) for one in stand.witnesses.values()]
    assert stand.client.run() is None
    assert stand.new_client().run() is None
    assert [len(one.asked) for one in stand.witnesses.values()] == asked


def test_a_growing_log_is_proven_from_what_each_witness_saw_last(stand: Stand) -> None:
    for size in (1, 255, 1, 256, 700):
        stand.grow(size)
        assert stand.run().cosigned == 3
    assert {one.size for one in stand.witnesses.values()} == {1213}
    assert all(len(one.asked) == 5 for one in stand.witnesses.values())  # nobody had to be asked twice


def test_a_new_process_learns_where_a_witness_is(stand: Stand) -> None:
    """From the checkpoint that was cosigned; or, where that is gone, from the witness itself."""
    stand.grow(40)
    stand.run()
    stand.grow(40)
    stand.client = stand.new_client()
    assert stand.run().cosigned == 3
    stand.grow(40)
    stand.log.memory.delete(COSIGNED)
    stand.client = stand.new_client()
    assert stand.run().cosigned == 3
    assert [len(one.asked) for one in stand.witnesses.values()] == [4, 4, 4]


def test_the_request_is_of_the_form_that_is_specified(stand: Stand) -> None:
    stand.grow(5)
    stand.run()
    dated = [name for name in stand.log.names(DATED) if not name.endswith(COSIGNED_COPY)]
    first = stand.log.memory.read(dated[0]).data
    assert stand.witnesses["w1"].asked == [b"old 0\n\n" + first]
    stand.grow(2)
    stand.run()
    dated = [name for name in stand.log.names(DATED) if not name.endswith(COSIGNED_COPY)]
    second = stand.log.memory.read(dated[1]).data
    head, _, note = stand.witnesses["w1"].asked[1].partition(b"\n\n")
    assert note == second
    assert head.split(b"\n")[0] == b"old 5"
    assert all(len(base64.b64decode(line)) == 32 for line in head.split(b"\n")[1:])


# Without a quorum


@pytest.mark.parametrize(
    ("says", "counted"),
    [
        (silent, {"unanswered": 2}),
        (lambda _: Reply(500, "text/plain", b"oops"), {"unanswered": 2}),
        (lambda _: Reply(503, "text/html", b""), {"unanswered": 2}),
        (lambda _: Reply(404, "text/plain", b""), {"unknown": 2}),
        (lambda _: Reply(403, "text/plain", b""), {"unknown": 2}),
        (lambda _: Reply(302, "text/plain", b""), {"unknown": 2}),
        (lambda _: Reply(200, "text/plain", b""), {"unanswered": 2}),
        (lambda _: Reply(200, "text/plain", b"hello\n"), {"unanswered": 2}),
        (lambda _: Reply(422, "text/plain", b""), {"refused": 2}),
        (lambda _: Reply(409, "text/plain", b""), {"refused": 2}),
        (lambda _: told(0), {"refused": 2}),  # what it was told it says that it was not
    ],
)
def test_a_checkpoint_without_its_quorum_is_tried_again_and_the_log_goes_on(
    stand: Stand, says: Callable[[bytes], Reply], counted: dict[str, Any]
) -> None:
    stand.grow(10)
    stand.witnesses["w2"].says = stand.witnesses["w3"].says = says
    report = stand.run()
    assert report == replace(WitnessReport(asked=3, cosigned=1, overdue=True), **counted)
    assert stand.log.names(COSIGNED) == []
    assert copies(stand.log) == []
    assert stand.cosigners(stand.log.checkpoint) == ["w1"]  # what there is shows
    stand.grow(10)
    stand.log.require_good(events=20)
    for one in stand.witnesses.values():
        one.says = None
    assert stand.run() == WitnessReport(asked=3, cosigned=3, quorum=True)
    assert open_checkpoint(stand.cosigned, stand.log.vkeys)[0].size == 20


def test_the_newest_that_had_its_quorum_stays_until_another_has(stand: Stand) -> None:
    stand.grow(10)
    stand.run()
    kept = stand.cosigned
    stand.grow(10)
    stand.witnesses["w2"].says = stand.witnesses["w3"].says = silent
    assert not stand.run().overdue  # a moment is no reason to wake anybody
    assert stand.cosigned == kept
    stand.log.clock.advance(LATEST)
    stand.grow(1)
    assert stand.run().overdue
    assert stand.run().troubles == {"witnesses_overdue": 1}
    assert stand.cosigned == kept


def test_two_of_three_are_enough(stand: Stand) -> None:
    stand.grow(10)
    stand.witnesses["w1"].says = silent
    assert stand.run() == WitnessReport(asked=3, cosigned=2, unanswered=1, quorum=True)
    assert stand.cosigners(stand.cosigned) == ["w2", "w3"]


def test_a_policy_that_wants_nobody_still_shows_who_cosigned() -> None:
    stand = Stand(rest="quorum none")
    stand.grow(10)
    for one in stand.witnesses.values():
        one.says = silent
    assert stand.run() == WitnessReport(asked=3, unanswered=3, quorum=True)
    assert stand.log.names(COSIGNED) == []
    stand.witnesses["w1"].says = None
    assert stand.run().cosigned == 1
    assert stand.cosigners(stand.cosigned) == ["w1"]


# Attacks


def test_a_witness_that_saw_a_larger_log_says_that_this_one_was_put_back(stand: Stand) -> None:
    stand.grow(10)
    earlier = stand.log.copy()
    stand.grow(10)
    stand.run()
    stand.log.memory, stand.log.store = earlier.memory, earlier.store
    stand.client = stand.new_client()
    report = stand.run()
    assert (report.ahead, report.quorum) == (3, False)
    assert report.alarms == {"witnesses_ahead": 3}
    assert stand.log.names(COSIGNED) == []


def test_a_forked_log_gets_no_cosignature(stand: Stand) -> None:
    """The store was put back, and other events were sealed, more than before: the log's own keys sign it."""
    stand.grow(10)
    earlier = stand.log.copy()
    stand.grow(10)
    stand.run()
    stand.log.memory, stand.log.store = earlier.memory, earlier.store
    stand.grow(30)
    stand.client = stand.new_client()
    report = stand.run()
    assert (report.refused, report.cosigned) == (3, 0)
    assert report.alarms == {"witnesses_refused": 3}
    assert stand.cosigners(stand.log.checkpoint) == []


def test_a_larger_log_that_another_run_of_ours_showed_is_no_alarm(stand: Stand) -> None:
    """Between our look at the log and the witness's, another process sealed and had it cosigned."""
    stand.grow(10)
    other = stand.new_client()
    honest = stand.witnesses["w1"].honest

    def faster(body: bytes) -> Reply:
        stand.witnesses["w1"].says = None
        stand.grow(5)
        assert other.run() is not None
        return honest(body)

    stand.witnesses["w1"].says = faster
    report = stand.run()
    assert (report.ahead, report.refused, report.alarms) == (0, 0, {})
    assert open_checkpoint(stand.cosigned, stand.log.vkeys)[0].size == 15
    assert open_checkpoint(stand.log.checkpoint, stand.log.vkeys)[0].size == 15


def test_a_cosignature_that_is_another_s_or_of_another_time_counts_for_nobody(stand: Stand) -> None:
    stand.grow(10)
    text = parse_note(stand.log.checkpoint).text
    now = int(stand.log.clock().timestamp())
    first, second, third = stand.witnesses.values()
    first.says = lambda _: Reply(200, "text/plain", second.cosign(text, now).line().encode())
    second.says = lambda _: Reply(200, "text/plain", second.cosign(text, now - 301).line().encode())
    third.says = lambda _: Reply(200, "text/plain", third.cosign(text + b"x\n", now).line().encode())
    third.says = lambda _: Reply(200, "text/plain", first.cosign(text, now).line().encode())
    assert stand.run() == WitnessReport(asked=3, unanswered=3, overdue=True)
    assert stand.cosigners(stand.log.checkpoint) == []


def test_what_stands_where_the_cosigned_checkpoint_should_is_replaced(stand: Stand) -> None:
    stand.grow(10)
    stand.log.memory.replace(COSIGNED, b"nothing\n", expected=None)
    assert stand.run().quorum
    assert open_checkpoint(stand.cosigned, stand.log.vkeys)[0].size == 10


@pytest.mark.parametrize("put", [b"nothing\n", None])
def test_what_the_sealer_must_find_in_the_newest_checkpoint_s_place_stays_there(
    stand: Stand, put: bytes | None
) -> None:
    """Cosignatures are added to the checkpoint that they are of, and put nothing else away."""
    stand.grow(10)
    stand.log.memory.delete(CHECKPOINT)
    if put is not None:
        stand.log.memory.replace(CHECKPOINT, put, expected=None)
    assert stand.run().quorum
    assert (CHECKPOINT in stand.log.names()) == (put is not None)
    if put is not None:
        assert stand.log.checkpoint == put
    stand.log.append(1)
    with pytest.raises(LogDamaged, match=CHECKPOINT):
        stand.log.sealer().run()


# Faults


def test_there_is_nothing_to_ask_before_the_first_checkpoint_or_without_addresses(stand: Stand) -> None:
    assert stand.client.run() is None
    stand.grow(1)
    lines = "\n".join(one.line.rpartition(" ")[0] for one in stand.witnesses.values())
    policy = parse_policy(f"{lines}\n{QUORUM}\n".encode())
    client = Witnesses(stand.log.memory, policy, stand.ask, clock=stand.log.clock, retention=RETENTION, pool=Inline)
    assert client.run() is None


@pytest.mark.parametrize("fault", list(Fault))
def test_each_call_of_the_store_fails_in_turn_and_the_next_run_ends_the_work(stand: Stand, fault: Fault) -> None:
    stand.grow(300)
    number, failed = 0, 0
    while True:
        number += 1
        tried = Stand(log=stand.log.copy())
        tried.client = tried.new_client(tried.log.store)
        tried.log.store.faults = on_calls(number, fault=fault)
        with suppress(LogUnavailable):
            tried.client.run()
            failed -= 1
        failed += 1
        if len(tried.log.store.calls) < number:
            break
        tried.log.store.faults = no_faults
        tried.client.run()
        assert tried.log.store.misuses == []
        assert open_checkpoint(tried.cosigned, tried.log.vkeys)[0].size == 300
        assert open_checkpoint(tried.log.checkpoint, tried.log.vkeys)[0].size == 300
        assert len(copies(tried.log)) == 1
    assert failed == number - 1 > 6


def test_a_run_is_bounded_by_what_it_asks(stand: Stand) -> None:
    """A witness that says every time that it saw another size is asked twice, and no more."""
    stand.grow(10)
    sizes = iter(range(1, 100))
    stand.witnesses["w1"].says = lambda _: told(next(sizes))
    assert stand.run().unanswered == 1
    assert len(stand.witnesses["w1"].asked) == 2
    assert timedelta(0) < LATEST
