"""Wycheproof's ECDSA (DER) and Ed25519 vectors through the verification of the log's signed notes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sceau.audit.log.errors import NoteRefused
from sceau.audit.log.notes import ECDSA_P256, ED25519, VerifierKey

SIGNATURES = {"ecdsa_secp256r1_sha256_test.json": (ECDSA_P256, 484), "ed25519_test.json": (ED25519, 151)}


def public_of(kind: int, group: dict[str, Any]) -> bytes:
    if kind == ECDSA_P256:
        return bytes.fromhex(group["publicKeyDer"])
    return base64.urlsafe_b64decode(group["publicKeyJwk"]["x"] + "=")


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_vector_is_judged_right(shared: Path, name: str) -> None:
    kind, number = SIGNATURES[name]
    judged = 0
    for group in json.loads((shared / "corpus" / "wycheproof" / name).read_bytes())["testGroups"]:
        key = VerifierKey("wycheproof", kind, public_of(kind, group))
        for test in group["tests"]:
            try:
                verified = key.verifies(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
            except NoteRefused:
                verified = False
            assert verified is (test["result"] == "valid"), test["comment"]
            judged += 1
    assert judged == number
