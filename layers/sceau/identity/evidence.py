"""The evidence of who sent a submission: what the caller signed, what we signed for it, and the keys that verify both.

Sealed with the event of the submission (docs/formats/submission-evidence.md). Years later, whoever is shown it can
check by themselves that the holder of that key called this address then, with this very token, and for whom the token
stood: no key set of then is needed, and no word of ours. It does not show what was sent: a DPoP proof does not cover a
body.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sceau.identity import dpop, tokens
from sceau.identity.errors import EvidenceRefused, JwsRefused, KeyRefused
from sceau.identity.jose import PublicJwk, claims, header_of, instant, public_jwk, read, strict_object, verify
from sceau_schemas.tokens import AccessTokenClaims

FORMAT: Final = "sceau-evidence/1"

_MEMBERS: Final = frozenset({"format", "token", "token_key", "proof", "proof_key"})


@dataclass(frozen=True, slots=True)
class Sender:
    """What evidence shows: for whom the token stood (its claims), and what its key's holder called, when (POSIX s)."""

    claims: AccessTokenClaims
    method: str
    url: str
    signed_at: int


def encode_evidence(token: str, token_key: PublicJwk, proof: str, proof_key: Mapping[str, Any]) -> bytes:
    """The evidence of one request: token and proof byte for byte, and the public keys that verify them."""
    found = {
        "format": FORMAT,
        "token": token,
        "token_key": _sorted(token_key.as_dict()),
        "proof": proof,
        "proof_key": _sorted(proof_key),
    }
    return json.dumps(found, separators=(",", ":")).encode("ascii")


def verify_evidence(data: bytes) -> Sender:
    """What evidence shows, when both signatures verify, and the proof is of this token and of its key.

    Whether `token_key` was ours at that time, who is shown it compares with the key set that we published (its
    thumbprint is the token's `kid`). Raises EvidenceRefused.
    """
    try:
        return _verified(strict_object(data))
    except (ValueError, JwsRefused, KeyRefused, ValidationError) as error:
        raise EvidenceRefused(f"the evidence does not hold: {error}") from None


def _verified(found: Mapping[str, Any]) -> Sender:
    if found.keys() != _MEMBERS or found["format"] != FORMAT:
        raise ValueError("another format")
    token_key = _key(found["token_key"], (tokens.ALGORITHM,))
    token = read(
        _text(found["token"]), algorithms=(tokens.ALGORITHM,), types=(tokens.TYPE,), max_chars=tokens.MAX_CHARS
    )
    if token.header.get("kid") != token_key.thumbprint:
        raise ValueError("the token names another key")
    verify(token, [PublicJwk(token_key.thumbprint, token_key.algorithms, token_key.thumbprint, token_key.key)])
    body = AccessTokenClaims.model_validate_json(token.payload)
    proof_key = _key(found["proof_key"], dpop.ALGORITHMS)
    proof = read(_text(found["proof"]), algorithms=dpop.ALGORITHMS, types=(dpop.TYPE,), max_chars=dpop.MAX_CHARS)
    if header_of(found["proof"].partition(".")[0]).get("jwk") != found["proof_key"]:
        raise ValueError("the proof brings another key")
    verify(proof, [PublicJwk(proof.header.get("kid"), proof_key.algorithms, proof_key.thumbprint, proof_key.key)])
    said = claims(proof)
    if not hmac.compare_digest(proof_key.thumbprint, body.cnf.jkt):
        raise ValueError("the token is bound to another key")
    if not hmac.compare_digest(str(said.get("ath")).encode(), dpop.token_hash(found["token"]).encode()):
        raise ValueError("the proof is of another token")
    return Sender(body, _text(said.get("htm")), _text(said.get("htu")), instant(said.get("iat")))


def _key(value: object, algorithms: tuple[str, ...]) -> PublicJwk:
    if not isinstance(value, dict):
        raise ValueError("a key is missing")  # noqa: TRY004 - one error for all that is malformed
    return public_jwk({name: one for name, one in value.items() if name != "kid"}, algorithms=algorithms)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is missing")  # noqa: TRY004 - as above
    return value


def _sorted(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: key[name] for name in sorted(key)}
