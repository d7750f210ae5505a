"""`sceau log verify` looks into what witnesses said, and says what of it is wrong, and where."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fakes.witness import FakeWitness
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.identity import Identities, LogSigner
from sceau.audit.log.notes import Note, parse_note
from sceau.audit.log.places import COSIGNED, COSIGNED_COPY, DATED, LOG, STAMP
from sceau.audit.log.policies import Policy, parse_policy
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verification, Verifier
from unit.audit.log.log_stand import ORIGIN, RETENTION, Inline
from unit.audit.log.test_witnessing import QUORUM, Stand


@pytest.fixture
def stand() -> Stand:
    """A log with two checkpoints, both cosigned by all three witnesses."""
    stand = Stand()
    for number in (300, 5):
        stand.grow(number)
        assert stand.run().quorum
    return stand


def policy(stand: Stand, rest: str = QUORUM) -> Policy:
    lines = (one.line.rpartition(" ")[0] for one in stand.witnesses.values())
    return parse_policy("\n".join([*lines, rest, ""]).encode())


def verify(stand: Stand, wanted: Policy | None = None) -> Verification:
    log = stand.log
    return Verifier(
        LiveSource(log.memory), log.vkeys, now=log.clock(), retention=RETENTION, policy=wanted, pool=Inline
    ).verify()


def said(stand: Stand, wanted: Policy | None = None) -> list[str]:
    return [str(finding) for finding in verify(stand, wanted).findings]


def copies(stand: Stand) -> list[str]:
    return [name for name in stand.log.names(DATED) if name.endswith(COSIGNED_COPY)]


def put(stand: Stand, name: str, data: bytes) -> None:
    """Put other bytes there, lock or not: as who has the disk does."""
    entries = stand.log.memory._entries
    entries[name] = dataclasses.replace(entries.get(name, entries[copies(stand)[0]]), data=data)


def with_signatures(stand: Stand, name: str, keep: Callable[[str], bool]) -> None:
    note = parse_note(stand.log.memory.read(name).data)
    put(stand, name, Note(note.text, tuple(one for one in note.signatures if keep(one.name))).encode())


def altered(stand: Stand, name: str, signer: str) -> None:
    note = parse_note(stand.log.memory.read(name).data)
    changed = [
        dataclasses.replace(one, value=one.value[:-1] + bytes([one.value[-1] ^ 1])) if one.name == signer else one
        for one in note.signatures
    ]
    put(stand, name, Note(note.text, tuple(changed)).encode())


def forged(stand: Stand, size: int, cosigner: FakeWitness) -> bytes:
    """A checkpoint of another tree, by the log's own keys, and cosigned."""
    log = stand.log
    identity = Identities(log.memory, log.keys, random_bytes=bytes).ensure(ORIGIN)
    note = parse_note(LogSigner(identity, log.keys).sign(Checkpoint(ORIGIN, size, bytes(32)).text()))
    line = cosigner.cosign(note.text, int(log.clock().timestamp()))
    return Note(note.text, (*note.signatures, line)).encode()


@dataclass(frozen=True)
class Case:
    """What is done to the copy of the first checkpoint, or to `cosigned`; what is said; whether only a policy tells."""

    tamper: Callable[[Stand, str], object]
    said: str
    policy: bool = False


CASES = {
    "garbage": Case(lambda s, name: put(s, name, b"nothing"), "the note has no signatures"),
    "nothing": Case(lambda s, name: put(s, name, b""), "the note has no signatures"),
    "the log's signature is altered": Case(lambda s, name: altered(s, name, ORIGIN), "the signature of .* is wrong"),
    "the log did not sign": Case(
        lambda s, name: with_signatures(s, name, lambda one: one != ORIGIN), "the note has no P-256 signature"
    ),
    "nobody cosigned": Case(
        lambda s, name: with_signatures(s, name, lambda one: one == ORIGIN), "carries no cosignature"
    ),
    "of a fork": Case(
        lambda s, name: put(s, name, forged(s, 300, s.witnesses["w1"])),
        "was signed for other entries: the first 300 of the log have another root",
    ),
    "a cosignature is altered": Case(lambda s, name: altered(s, name, "w2"), "the cosignature of w2 is wrong", True),
    "too few cosigned": Case(
        lambda s, name: with_signatures(s, name, lambda one: one in (ORIGIN, "w1")),
        "lacks cosignatures that the policy wants: w1 cosigned it",
        True,
    ),
    "somebody else cosigned": Case(
        lambda s, name: put(
            s, name, s.log.memory.read(name).data.partition(b"\n\xe2\x80\x94 w1")[0] + b"\n\xe2\x80\x94 x AAAAAAAA\n"
        ),
        "lacks cosignatures that the policy wants: no witness cosigned it",
        True,
    ),
}


def test_what_was_cosigned_is_verified_with_the_log(stand: Stand) -> None:
    for wanted in (None, policy(stand), policy(stand, "quorum w3"), policy(stand, "quorum none")):
        found = verify(stand, wanted)
        assert [str(one) for one in found.findings] == []
        assert (found.cosigned, found.cosigned_size, found.stamped) == (2, 305, 0)


@pytest.mark.parametrize("where", ["a dated copy", "the newest"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_done_to_a_cosigned_checkpoint_is_said_with_its_place(stand: Stand, name: str, where: str) -> None:
    case = CASES[name]
    place = copies(stand)[0] if where == "a dated copy" else COSIGNED
    if where == "the newest":
        put(stand, COSIGNED, stand.log.memory.read(copies(stand)[0]).data)  # an older one is no damage
        assert said(stand, policy(stand)) == []
    case.tamper(stand, place)
    (finding,) = said(stand, policy(stand) if case.policy else None)
    assert re.match(rf"{re.escape(place)}: .*{case.said}", finding), finding
    if case.policy:
        assert said(stand) == [], "who the witnesses are, only a policy says"


def test_a_cosigned_copy_of_another_size_is_out_of_its_place(stand: Stand) -> None:
    first, second = copies(stand)
    put(stand, first, stand.log.memory.read(second).data)
    assert said(stand) == [f"{first}: holds a checkpoint of 305 entries, out of its order"]


@pytest.mark.parametrize("beside", [COSIGNED_COPY, STAMP])
def test_what_stands_beside_no_checkpoint_tells_that_one_is_gone(stand: Stand, beside: str) -> None:
    dated = copies(stand)[0].removesuffix(COSIGNED_COPY)
    if beside == STAMP:
        for name in (dated + COSIGNED_COPY, COSIGNED):
            stand.log.memory._entries.pop(name)
        put(stand, dated + STAMP, b"a stamp of what is gone")
    stand.log.memory._entries.pop(dated)
    assert said(stand) == [f"{dated}{beside}: stands beside no dated checkpoint"]


def test_a_cosigned_checkpoint_of_a_larger_log_tells_that_it_was_cut(stand: Stand) -> None:
    put(stand, COSIGNED, forged(stand, 400, stand.witnesses["w2"]))
    assert said(stand) == [
        f"{COSIGNED}: was signed for 400 entries, and the log has 305: it was cut, or rolled back",
    ]


def test_with_a_policy_a_log_without_cosigned_checkpoints_is_not_as_it_must_be(stand: Stand) -> None:
    stand.log.memory.delete(COSIGNED)
    assert said(stand) == []
    assert said(stand, policy(stand, "quorum none")) == []
    assert said(stand, policy(stand)) == [
        f"{COSIGNED}: is missing: no checkpoint is shown that has what the policy wants"
    ]


def test_what_is_no_time_stamp_is_said_with_its_place(stand: Stand) -> None:
    place = copies(stand)[1].removesuffix(COSIGNED_COPY) + STAMP
    for data in (b"", b"nothing", b"0\x03\x02\x01\x00", b"0\x05\x30\x03\x02\x01\x02"):
        put(stand, place, data)
        (finding,) = said(stand)
        assert finding.startswith(f"{place}: is no time stamp"), finding
    assert place.startswith(LOG)


def test_what_is_cosigned_while_a_log_is_verified_is_no_finding(stand: Stand) -> None:
    """It is newer than the checkpoint that is verified."""
    source = LiveSource(stand.log.memory)
    read = source.read
    grew: list[str] = []

    def reading(name: str) -> bytes | None:
        if name == COSIGNED and not grew:
            grew.append(name)
            stand.grow(4)
            assert stand.run().quorum
        return read(name)

    source.read = reading  # type: ignore[method-assign]  # the log grows while it is read
    log = stand.log
    found = Verifier(
        source, log.vkeys, now=log.clock(), retention=RETENTION, policy=policy(stand), pool=Inline
    ).verify()
    assert grew
    assert [str(one) for one in found.findings] == []
    assert (found.checkpoint.size if found.checkpoint else 0, found.cosigned_size) == (305, 305)
