"""What is kept of tokens and proofs that were seen before spares time, and opens nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sceau.identity.dpop import claimed_thumbprint, verify_proof
from sceau.identity.errors import JwsRefused, ProofRefused, TokenRefused
from sceau.identity.jose import header_of
from unit.identity.identity_world import World, key_of
from unit.identity.test_access_tokens import claims_of, sign, verifier
from unit.identity.test_dpop import CHECK, KEY, NOW, proof


def altered(token: str) -> str:
    """The same token or proof, one bit of its signature aside."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def test_a_token_seen_before_expires_all_the_same(world: World) -> None:
    token, known = sign(world, claims_of(world)), verifier(world)
    for _ in range(2):
        assert known.verify(token, world.clock()).claims == claims_of(world)
    world.clock.advance(timedelta(seconds=300))
    with pytest.raises(TokenRefused, match="expired"):
        known.verify(token, world.clock())


def test_a_token_like_one_seen_before_is_none(world: World) -> None:
    token, known = sign(world, claims_of(world)), verifier(world)
    known.verify(token, world.clock())
    with pytest.raises(TokenRefused):
        known.verify(altered(token), world.clock())
    head, _, signature = token.split(".")
    other = sign(world, claims_of(world, client_id="other")).split(".")[1]
    with pytest.raises(TokenRefused):
        known.verify(f"{head}.{other}.{signature}", world.clock())


def test_a_token_seen_before_ends_with_its_key(world: World) -> None:
    token, known = sign(world, claims_of(world)), verifier(world)
    known.verify(token, world.clock())
    world.add_token_key()
    world.disable_token_key()
    world.clock.advance(timedelta(seconds=60))
    with pytest.raises(TokenRefused):
        known.verify(token, world.clock())


def test_a_token_refused_before_is_refused_again(world: World) -> None:
    known = verifier(world)
    for _ in range(2):
        with pytest.raises(TokenRefused):
            known.verify(altered(sign(world, claims_of(world))), world.clock())


def test_a_header_seen_before_helps_no_other_signature() -> None:
    good, of_thief = proof(), proof(key=key_of("thief"))
    for one, key in ((good, KEY), (of_thief, key_of("thief"))):
        assert verify_proof((one,), CHECK, NOW).jkt == claimed_thumbprint(one) == key.thumbprint
    mixed = ".".join((good.split(".")[0], *of_thief.split(".")[1:]))
    for one in (altered(good), mixed):
        with pytest.raises(ProofRefused):
            verify_proof((one,), CHECK, NOW)


@pytest.mark.parametrize("part", ["", "e30=", "W10", "eyJhIjoxLCJhIjoyfQ", "_w"])
def test_a_header_that_is_none_is_refused_each_time(part: str) -> None:
    for _ in range(2):
        with pytest.raises(JwsRefused):
            header_of(part)
