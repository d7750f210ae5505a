"""Policies (tlog-policy), cosignatures (tlog-cosignature): what is accepted, what is refused, who stands for whom."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from itertools import chain, combinations

import pytest

from fakes.witness import FakeWitness
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.cosignatures import WitnessKey, ml_dsa_message, parse_witness_key
from sceau.audit.log.errors import NoteRefused, PolicyRefused, QuorumMissed
from sceau.audit.log.notes import Note, Signature
from sceau.audit.log.policies import NONE, parse_policy
from unit.audit.log.log_keys import ORIGIN, Keys

KEYS = Keys()
ROOT = bytes(range(32))
TEXT = Checkpoint(ORIGIN, 70_000, ROOT).text()
TIME = 1_772_443_800
NAMES = ("w1", "w2", "w3")


def witness(name: str, *, post_quantum: bool = False) -> FakeWitness:
    return FakeWitness(name, lambda: datetime.fromtimestamp(TIME, UTC), lambda: KEYS.public, post_quantum)


WITNESSES = [witness("w1"), witness("w2"), witness("w3", post_quantum=True)]
LINES = "\n".join(one.line for one in WITNESSES)
TWO_OF_THREE = f"# two of three\n\n{LINES}\ngroup g 2 w1 w2 w3\nquorum g\n"


def signed(*cosignatures: Signature) -> Note:
    return Note(TEXT, (KEYS.sign_ed25519(TEXT), *cosignatures))


# Cosignatures


def test_the_bytes_are_frozen() -> None:
    """Ed25519 is deterministic; of ML-DSA the signed message is pinned."""
    assert WITNESSES[0].key.text() == "w1+f90a11a1+BKSCD2jY/O9kl+KQC2Z1/lW3dIDdhjF9p4dT9yNeZeam"
    assert WITNESSES[0].cosign(TEXT, TIME).line() == (
        "— w1 +QoRoQAAAABppViYonEnlKLbT7PRYQJ1lMbdwEoidEOuxlrDBwJNd7eHDU3nniIPsuV0Ewe8fvntavHcppeKxXx3PpjbY5p31G9tCg==\n"  # noqa: E501 - pinned
    )
    assert ml_dsa_message("w3", TEXT, TIME).hex() == (
        "737562747265652f76310a00" "027733" "0000000069a55898" "1b646f73736965722e6578616d706c652e6f72672f6a6f75726e616c"  # noqa: E501 - pinned
        "0000000000000000" "0000000000011170" + ROOT.hex()
    )  # fmt: skip


@pytest.mark.parametrize("one", WITNESSES, ids=NAMES)
def test_a_cosignature_says_when_and_is_over_this_very_checkpoint(one: FakeWitness) -> None:
    signature = one.cosign(TEXT, TIME)
    assert one.key.cosigned_at(TEXT, signature.value) == TIME
    assert parse_witness_key(one.key.text()) == one.key
    other = Checkpoint(ORIGIN, 70_001, ROOT).text()
    assert one.key.cosigned_at(other, signature.value) is None
    later = signature.value[:7] + bytes([signature.value[7] ^ 1]) + signature.value[8:]
    assert one.key.cosigned_at(TEXT, later) is None
    assert one.key.cosigned_at(TEXT, signature.value[:-1]) is None
    assert one.key.cosigned_at(TEXT, signature.value + b"\0") is None
    assert one.key.cosigned_at(TEXT, one.cosign(TEXT, 0).value) is None  # of no time: no statement on the newest
    assert one.key.cosigned_at(TEXT, one.cosign(TEXT, 1 << 63).value) is None
    assert WITNESSES[1].key.cosigned_at(TEXT, WITNESSES[0].cosign(TEXT, TIME).value) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w1",
        WITNESSES[0].key.text() + "\n",
        WITNESSES[0].key.text().replace("w1+", "w2+"),
        WITNESSES[0].key.text().replace("f90a11a1", "f90a11a2"),
        KEYS.v_ed25519.text(),  # a log's key cosigns nothing
        KEYS.v_p256.text(),
    ],
)
def test_what_is_no_witness_s_key_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        parse_witness_key(text)


def test_a_key_of_another_length_or_with_a_name_that_breaks_lines_is_refused() -> None:
    for name, public in (("w", bytes(31)), ("", bytes(32)), ("a b", bytes(32)), ("a+b", bytes(32))):
        with pytest.raises(NoteRefused):
            WitnessKey(name, 4, public)


# Policies


def subsets() -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(NAMES, size) for size in range(4)))


@pytest.mark.parametrize(
    ("rest", "enough"),
    [
        ("quorum none", subsets()),
        ("quorum w2", [names for names in subsets() if "w2" in names]),
        ("group g any w1 w2 w3\nquorum g", [names for names in subsets() if names]),
        ("group g all w1 w2 w3\nquorum g", [NAMES]),
        ("group g 2 w1 w2 w3\nquorum g", [names for names in subsets() if len(names) >= 2]),
        ("group a any w1 w2\ngroup b all a w3\nquorum b", [("w1", "w3"), ("w2", "w3"), NAMES]),
    ],
)
def test_the_quorum_is_met_by_whom_it_names_and_by_nobody_else(rest: str, enough: list[tuple[str, ...]]) -> None:
    policy = parse_policy(f"{LINES}\n{rest}\n".encode())
    assert [names for names in subsets() if policy.met_by(names)] == enough


def test_a_policy_is_read_with_tabs_comments_and_logs() -> None:
    text = f"\tlog  {KEYS.v_ed25519.text()}\t https://log.example.org \n  # x\n{LINES}\nquorum none"
    policy = parse_policy(text.encode())
    assert policy.logs == (KEYS.v_ed25519,)
    assert [(one.name, one.key, one.url) for one in policy.witnesses] == [
        (one.name, one.key, f"https://{one.name}.example/w") for one in WITNESSES
    ]
    assert policy.quorum == NONE
    assert parse_policy(f"witness w {WITNESSES[0].key.text()}\nquorum w\n".encode()).witnesses[0].url is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no quorum"),
        (LINES, "no quorum"),
        ("quorum none\nquorum none", "line 2: the policy has a second quorum"),
        ("quorum w1", "line 1: w1 is not defined"),
        ("quorum", "line 1: expected"),
        ("Quorum none", "line 1: begins with something else"),
        ("group g any w1\nquorum g", "line 1: w1 is not defined"),
        (f"{LINES}\ngroup g 0 w1\nquorum g", "line 4: a group's threshold"),
        (f"{LINES}\ngroup g 2 w1\nquorum g", "line 4: a group's threshold"),
        (f"{LINES}\ngroup g 01 w1\nquorum g", "line 4: a group's threshold"),
        (f"{LINES}\ngroup g most w1\nquorum g", "line 4: a group's threshold"),
        (f"{LINES}\ngroup g any\nquorum g", "line 4: expected"),
        (f"{LINES}\ngroup g any w1 w1\nquorum g", "line 4: w1 is in a group already"),
        (f"{LINES}\ngroup g any w1\ngroup h any w1\nquorum g", "line 5: w1 is in a group already"),
        (f"{LINES}\ngroup g any none\nquorum g", "line 4: none is not defined"),
        (f"{LINES}\ngroup w1 any w2\nquorum w1", "line 4: the name w1 is taken"),
        (f"witness none {WITNESSES[0].key.text()}\nquorum none", "line 1: the name none is taken"),
        (f"{LINES}\nwitness w4 {WITNESSES[0].key.text()}\nquorum none", "line 4: a witness's key stands twice"),
        (f"witness w {KEYS.v_ed25519.text()}\nquorum w", "line 1: a witness's key is of type"),
        (f"log {WITNESSES[0].key.text()}\nquorum none", "line 1: a key of a type"),
        (f"log {KEYS.v_p256.text()}\nlog {KEYS.v_p256.text()}\nquorum none", "line 2: a log's key stands twice"),
        (f"witness w {WITNESSES[0].key.text()} http://w.example\nquorum w", "line 1: a witness's address is an https"),
        (f"witness w {WITNESSES[0].key.text()} https://u@w.example\nquorum w", "line 1: a witness's address"),
        (f"witness w {WITNESSES[0].key.text()} https://w.example?x\nquorum w", "line 1: a witness's address"),
        (f"witness w {WITNESSES[0].key.text()} https://w.example:x\nquorum w", "line 1: a witness's address"),
        ("quorum none\r\n", "control characters"),
        ("quorum\u00a0none\n", "line 1: begins"),
        ("#\n" * 1001, "too many lines"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PolicyRefused, match=said):
        parse_policy(text.encode())


def test_a_policy_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(PolicyRefused, match="UTF-8"):
        parse_policy(b"# \xff\nquorum none\n")


# A note under a policy


def test_two_of_three_cosignatures_are_enough() -> None:
    policy = parse_policy(TWO_OF_THREE.encode())
    first, second, third = (one.cosign(TEXT, TIME + number) for number, one in enumerate(WITNESSES))
    assert policy.require(signed(first, third)) == {"w1": TIME, "w3": TIME + 2}
    assert policy.require(signed(first, second, third)) == {"w1": TIME, "w2": TIME + 1, "w3": TIME + 2}
    for few in (signed(), signed(second), signed(second, second)):
        with pytest.raises(QuorumMissed, match="lacks cosignatures"):
            policy.require(few)


def test_signatures_of_nobody_who_counts_are_ignored() -> None:
    policy = parse_policy(TWO_OF_THREE.encode())
    stranger = witness("w9")
    forged = Signature("w1", stranger.key.key_id, stranger.cosign(TEXT, TIME).value)  # another key's, under its name
    with pytest.raises(QuorumMissed):
        policy.require(signed(WITNESSES[0].cosign(TEXT, TIME), stranger.cosign(TEXT, TIME), forged))


def test_a_wrong_cosignature_of_somebody_who_counts_spoils_the_note() -> None:
    policy = parse_policy(TWO_OF_THREE.encode())
    first, second, third = (one.cosign(TEXT, TIME) for one in WITNESSES)
    wrong = Signature("w1", first.key_id, second.value)
    with pytest.raises(NoteRefused, match="cosignature of w1 is wrong"):
        policy.require(signed(wrong, second, third))


def test_a_key_id_is_in_canonical_base64_only() -> None:
    name, key_id, key = WITNESSES[0].key.text().split("+", 2)
    data = base64.b64decode(key)
    assert data[0] == 4
    with pytest.raises(NoteRefused):
        parse_witness_key(f"{name}+{key_id}+{key[:-1]}u")  # other last bits, the same bytes
