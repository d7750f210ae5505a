"""Wycheproof's JWS, JWK and ECDSA vectors through our own front check, key import and verification.

We accept less than Wycheproof calls valid, for the reasons listed here, and nothing that it calls invalid.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jws import JWSRegistry

from sceau.identity import jose
from sceau.identity.errors import JwsRefused, KeyRefused

EVERY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
PRIVATE = ("d", "p", "q", "dp", "dq", "qi")

SYMMETRIC = "HMAC: no shared secrets here"
EMPTY = "empty payload: no token of ours has one"
LABEL = "the key's own `alg` is another than the token's"
CHARACTER = "a character outside base64url, which RFC 7515 lets decoders ignore and we don't"

STRICTER: dict[str, dict[int, str]] = {
    "json_web_signature_test.json": {
        **dict.fromkeys([1, 348, 352, 357, 358, 359, 376, 377], SYMMETRIC),
        **dict.fromkeys([259, 264, 268, 272, 320, 325], EMPTY),
        **dict.fromkeys([346, 347, 350, 351], LABEL),
        **dict.fromkeys([372, 373], CHARACTER),
    },
    "json_web_key_test.json": dict.fromkeys([2, 13, 14, 15], SYMMETRIC),
    "json_web_crypto_test.json": dict.fromkeys([1, 48], SYMMETRIC),
}
NUMBER = {"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 48}


def vectors(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in json.loads(path.read_bytes())["testGroups"]:
        key = group.get("public") or group.get("private")
        for test in group["tests"]:
            if isinstance(test.get("jws"), str):  # the others are JWE, or the JSON form
                yield key, test


def accepted(key: dict[str, Any], text: str) -> bool:
    members = key.get("keys", [key])
    public = [
        {name: value for name, value in one.items() if one.get("kty") == "oct" or name not in PRIVATE}
        for one in members
    ]
    try:
        token = jose.read(text, algorithms=EVERY, types=(None, "JWT"))
        jose.verify(token, [jose.public_jwk(one, algorithms=EVERY) for one in public])
    except (JwsRefused, KeyRefused):
        return False
    return True


@pytest.mark.parametrize("name", NUMBER)
def test_nothing_invalid_is_accepted_and_all_that_is_valid_but_for_named_reasons(shared: Path, name: str) -> None:
    path = shared / "corpus" / "wycheproof" / name
    tests = list(vectors(path))
    wrongly_accepted = [t["tcId"] for key, t in tests if t["result"] == "invalid" and accepted(key, t["jws"])]
    refused = [t["tcId"] for key, t in tests if t["result"] == "valid" and not accepted(key, t["jws"])]
    assert wrongly_accepted == []
    assert refused == sorted(STRICTER[name])
    assert len(tests) == NUMBER[name]


def test_every_ecdsa_vector_of_the_jws_form_is_judged_right(shared: Path) -> None:
    """Signatures over arbitrary bytes, with keys imported as ours are: by the algorithm that verifies JWS."""
    groups = json.loads((shared / "corpus" / "wycheproof" / "ecdsa_secp256r1_sha256_p1363_test.json").read_bytes())
    es256 = JWSRegistry.algorithms["ES256"]
    judged = 0
    for group in groups["testGroups"]:
        point = {name: int(group["publicKey"][f"w{name}"], 16).to_bytes(32, "big") for name in ("x", "y")}
        members = {name: jose.encode_part(value) for name, value in point.items()}
        key = jose.public_jwk({"kty": "EC", "crv": "P-256", **members}, algorithms=("ES256",))
        for test in group["tests"]:
            verified = es256.verify(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]), key.key)
            assert verified is (test["result"] == "valid"), test["comment"]
            judged += 1
    assert judged == groups["numberOfTests"] == 262
