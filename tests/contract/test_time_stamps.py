"""Time stamps on checkpoints by an authority that we didn't write, OpenSSL's: kept when they verify, and only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from fakes.objects import Fault
from fixtures.damage import last_bit_flipped
from fixtures.tsa import OTHER_POLICY, POLICY, OpensslAuthority, require_openssl
from sceau.audit.log.asking import Ask, Reply
from sceau.audit.log.errors import LogUnavailable, NoReply, StampRefused
from sceau.audit.log.places import DATED, STAMP
from sceau.audit.log.stamping import Stamped, Stamper, authority_of, verify_stamp
from sceau.audit.verify.signed import CheckStamp, is_over
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verification, Verifier
from unit.audit.log.log_stand import RETENTION, Inline, LogStand

HOUR = timedelta(hours=1)
URL = "https://tsa.example.org/tsr"
REPLY = "application/timestamp-reply"


@dataclass
class Stand:
    """A log, an authority, and who asks it."""

    log: LogStand
    tsa: OpensslAuthority

    def stamper(self, ask: Ask | None = None, *, roots: str | None = None, policy: str | None = POLICY) -> Stamper:
        authority = authority_of(URL, roots or self.tsa.roots, policy)
        store, clock = self.log.store, self.log.clock
        return Stamper(store, authority, ask or self.tsa, every=HOUR, clock=clock, retention=RETENTION)

    def grow(self) -> None:
        self.log.append(5)
        self.log.seal()

    @property
    def stamps(self) -> list[str]:
        return [name for name in self.log.names(DATED) if name.endswith(STAMP)]

    def now(self) -> None:
        """The authority's clock is the machine's."""
        self.log.clock.now = datetime.now(UTC)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    require_openssl()
    stand = Stand(LogStand.new(), OpensslAuthority(tmp_path / "tsa"))
    stand.now()
    stand.grow()
    stand.now()
    return stand


def test_a_checkpoint_is_stamped_beside_it_locked_and_openssl_accepts_what_is_kept(stand: Stand) -> None:
    assert stand.stamper().run() == Stamped(stamped=1)
    (name,) = stand.stamps
    checkpoint = name.removesuffix(STAMP)
    stamp, note = stand.log.memory.read(name).data, stand.log.memory.read(checkpoint).data
    assert stand.tsa.accepts(stamp, note)
    assert not stand.tsa.accepts(stamp, note + b"x")
    time = verify_stamp(stamp, note, authority_of(URL, stand.tsa.roots, POLICY))
    assert abs(time - datetime.now(UTC)) < timedelta(minutes=1)
    until = stand.log.memory.locked_until(name)
    assert until is not None and until >= stand.log.clock() + RETENTION
    ((url, _, media_type),) = stand.tsa.asked
    assert (url, media_type) == (URL, "application/timestamp-query")
    assert stand.log.verify().good, "what stands beside a checkpoint is no stray"


def verified(stand: Stand, check: CheckStamp = is_over) -> Verification:
    log = stand.log
    return Verifier(
        LiveSource(log.memory), log.vkeys, now=log.clock(), retention=RETENTION, check_stamp=check, pool=Inline
    ).verify()


def test_whoever_verifies_the_log_sees_whether_a_stamp_is_of_its_checkpoint(stand: Stand) -> None:
    assert stand.stamper().run() == Stamped(stamped=1)
    assert (verified(stand).stamped, len(verified(stand).findings)) == (1, 0)
    (stamp,) = stand.stamps
    stand.grow()
    newest = stand.log.names(DATED)[-1]
    stand.log.memory.create(
        newest + STAMP, stand.log.memory.read(stamp).data, locked_until=datetime.max.replace(tzinfo=UTC)
    )
    found = verified(stand)
    assert [str(one) for one in found.findings] == [
        f"{newest}{STAMP}: the time stamp is of something else than the checkpoint that it stands beside"
    ]
    assert found.stamped == 1


def test_whose_stamp_it_is_only_who_trusts_an_authority_can_say(stand: Stand, tmp_path: Path) -> None:
    """A stamp by whoever it may be is over the checkpoint all the same."""
    other = OpensslAuthority(tmp_path / "other")
    assert stand.stamper(other, roots=other.roots).run() == Stamped(stamped=1)
    (stamp,) = stand.stamps
    assert verified(stand).good
    for tsa, good in ((other, True), (stand.tsa, False)):
        authority = authority_of(URL, tsa.roots)
        found = verified(stand, partial(verify_stamp, authority=authority))
        assert (found.good, found.stamped) == (good, int(good))
        assert good or str(next(iter(found.findings))).startswith(f"{stamp}: the time stamp does not verify")


def test_one_in_a_period_and_none_for_what_is_stamped(stand: Stand) -> None:
    stamper = stand.stamper()
    assert stamper.run() == Stamped(stamped=1)
    stand.grow()
    assert stamper.run() is None, "the period is not over"
    assert len(stand.tsa.asked) == 1
    stand.log.clock.now += 1.5 * HOUR
    stand.grow()
    assert stand.stamper().run() == Stamped(refused=1), "due again, but the authority's time is not ours any more"
    assert len(stand.tsa.asked) == 2
    assert len(stand.stamps) == 1


def test_a_log_without_a_checkpoint_has_nothing_to_stamp(tmp_path: Path) -> None:
    require_openssl()
    empty = Stand(LogStand.new(), OpensslAuthority(tmp_path / "tsa"))
    assert empty.stamper().run() is None
    assert empty.tsa.asked == []


def altered(reply: Reply) -> Reply:
    middle = len(reply.body) // 2
    return Reply(reply.status, reply.media_type, last_bit_flipped(reply.body[: middle + 1]) + reply.body[middle + 1 :])


FORGED: dict[str, Callable[[Stand, Path], Stamper]] = {
    "of another authority": lambda stand, path: stand.stamper(OpensslAuthority(path / "other")),
    "of another authority, which is trusted instead": lambda stand, path: stand.stamper(
        roots=OpensslAuthority(path / "other").roots
    ),
    "under another policy": lambda stand, _: stand.stamper(policy=OTHER_POLICY),
    "whose bytes were altered": lambda stand, _: stand.stamper(lambda *asked: altered(stand.tsa(*asked))),
    "that is none": lambda stand, _: stand.stamper(lambda *_: Reply(200, REPLY, b"0\x03\x02\x01\x00")),
    "that is empty": lambda stand, _: stand.stamper(lambda *_: Reply(200, REPLY, b"")),
    "to an earlier request": lambda stand, _: stand.stamper(replaying(stand)),
}


def replaying(stand: Stand) -> Ask:
    """Who answers each request with an answer to another one, over the same checkpoint."""
    first: list[Reply] = []
    note = stand.log.memory.read(stand.log.names(DATED)[0]).data

    def ask(url: str, body: bytes, kind: str) -> Reply:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        if not first:
            other = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
            first.append(stand.tsa(url, other.as_bytes(), kind))
        return first[0]

    return ask


@pytest.mark.parametrize("name", sorted(FORGED))
def test_a_stamp_that_does_not_verify_is_not_kept(stand: Stand, name: str, tmp_path: Path) -> None:
    stamped = FORGED[name](stand, tmp_path).run()
    assert stamped is not None
    assert (stamped.stamped, stamped.refused, stamped.alarms) == (0, 1, {"stamps_refused": 1})
    assert stand.stamps == []
    assert stand.stamper().run() == Stamped(stamped=1), "the next run is not kept from it"


def raising(*_: object) -> Reply:
    raise NoReply("no answer")


@pytest.mark.parametrize("ask", [raising, lambda *_: Reply(503, REPLY, b""), lambda *_: Reply(200, "text/html", b"x")])
def test_an_authority_that_does_not_answer_keeps_nothing_waiting(stand: Stand, ask: Ask) -> None:
    assert stand.stamper(ask).run() == Stamped(unanswered=1)
    assert stand.stamps == []


def test_two_periods_without_a_stamp_are_told(stand: Stand) -> None:
    stand.log.clock.now += 3 * HOUR
    found = stand.stamper(raising).run()
    assert found == Stamped(unanswered=1, overdue=True)
    assert found.troubles == {"stamps_overdue": 1}


def test_another_run_that_was_faster_is_no_trouble(stand: Stand) -> None:
    def ask(url: str, body: bytes, kind: str) -> Reply:
        stand.stamper().run()
        return stand.tsa(url, body, kind)

    assert stand.stamper(ask).run() is None
    assert len(stand.stamps) == 1


def test_a_store_that_fails_ends_the_run_and_the_next_one_stamps(stand: Stand) -> None:
    failed = 0
    for number in range(1, 20):
        stand.log.store.calls.clear()
        stand.log.store.faults = lambda call, number=number: Fault.FAILS if call.number == number else None  # type: ignore[misc]
        try:
            stamped = stand.stamper().run()
        except LogUnavailable:
            failed += 1
            assert stand.stamps == []
            continue
        assert stamped == Stamped(stamped=1)
        break
    assert failed >= 4
    assert stand.tsa.accepts(stand.log.memory.read(stand.stamps[0]).data, stand.log.checkpoint)


@pytest.mark.parametrize(
    ("certificates", "policy"), [("", None), ("-----BEGIN CERTIFICATE-----\nx", None), (None, "x")]
)
def test_an_authority_that_can_t_be_used_is_refused_at_once(
    stand: Stand, certificates: str | None, policy: str | None
) -> None:
    with pytest.raises(StampRefused):
        authority_of(URL, stand.tsa.roots if certificates is None else certificates, policy)
