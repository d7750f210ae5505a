"""Evidence of who sent a submission: bytes that must not change, what it shows by itself, and what it does not pass."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from sceau.identity.errors import EvidenceRefused
from sceau.identity.evidence import encode_evidence, verify_evidence
from sceau.identity.jose import PublicJwk, encode_part, public_jwk

Json = dict[str, Any]
ISSUED = int(datetime(2026, 3, 2, 9, 30, tzinfo=UTC).timestamp())
URL = "https://dossier.example.org/fhir"


class Key:
    """A P-256 key that is the same each time; its signatures are not, since ECDSA's are random."""

    def __init__(self, secret: int) -> None:
        self._private = derive_private_key(secret, SECP256R1())
        numbers = self._private.public_key().public_numbers()
        self.jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": encode_part(numbers.x.to_bytes(32)),
            "y": encode_part(numbers.y.to_bytes(32)),
        }

    @property
    def public(self) -> PublicJwk:
        return public_jwk(self.jwk, algorithms=("ES256",))

    def sign(self, header: Json, body: Json) -> str:
        parts = [encode_part(json.dumps(part, separators=(",", ":")).encode()) for part in (header, body)]
        signed = ".".join(parts)
        r, s = decode_dss_signature(self._private.sign(signed.encode(), ECDSA(SHA256())))
        return f"{signed}.{encode_part(r.to_bytes(32) + s.to_bytes(32))}"


OURS, THEIRS, OTHER = Key(1001), Key(1002), Key(1003)


def token(key: Key = OURS, bound_to: Key = THEIRS, **changes: Any) -> str:
    body: Json = {
        "iss": "https://dossier.example.org",
        "sub": "laboratory",
        "aud": URL,
        "client_id": "laboratory",
        "exp": ISSUED + 300,
        "iat": ISSUED,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA",
        "scope": "system/DocumentReference.crus",
        "cnf": {"jkt": bound_to.public.thumbprint},
        "act": {"client": "laboratory"},
        "extensions": {"ihe_iua": {}, "sceau": {"kind": "software"}},
    }
    return key.sign({"alg": "ES256", "kid": key.public.thumbprint, "typ": "at+jwt"}, body | changes)


def proof(of: str, key: Key = THEIRS, brings: Key | None = None, **changes: Any) -> str:
    body = {
        "htm": "POST",
        "htu": URL,
        "iat": ISSUED + 10,
        "jti": "p1",
        "ath": encode_part(hashlib.sha256(of.encode()).digest()),
    }
    return key.sign({"alg": "ES256", "typ": "dpop+jwt", "jwk": (brings or key).jwk}, body | changes)


def evidence(access: str | None = None, sent: str | None = None, *, ours: Key = OURS, theirs: Key = THEIRS) -> bytes:
    access = access or token()
    return encode_evidence(access, ours.public, sent or proof(access), theirs.jwk)


def test_the_bytes_are_frozen() -> None:
    access, sent = token(), "x.y.z"
    keys = [json.dumps(key.jwk, separators=(",", ":")) for key in (OURS, THEIRS)]
    expected = f'{{"format":"sceau-evidence/1","token":"{access}","token_key":{keys[0]},'
    expected += f'"proof":"{sent}","proof_key":{keys[1]}}}'
    shuffled = dict(reversed(THEIRS.jwk.items()))
    assert encode_evidence(access, OURS.public, sent, shuffled) == expected.encode()
    assert keys[0].startswith('{"crv":"P-256","kty":"EC","x":"')


def test_it_shows_by_itself_who_called_what_and_when() -> None:
    sender = verify_evidence(evidence())
    assert (sender.method, sender.url, sender.signed_at) == ("POST", URL, ISSUED + 10)
    assert (sender.claims.client_id, sender.claims.cnf.jkt) == ("laboratory", THEIRS.public.thumbprint)


def _resigned(text: str) -> str:
    """The same with one bit of its signature turned."""
    head, _, signature = text.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[40] ^= 1
    return f"{head}.{encode_part(bytes(raw))}"


ACCESS = token()
FORGED: dict[str, Callable[[], bytes]] = {
    "a token of another key of the signer's name": lambda: evidence(token(OTHER)),
    "another public key for the token": lambda: evidence(ours=OTHER),
    "a token whose signature was altered": lambda: evidence(_resigned(ACCESS), proof(_resigned(ACCESS))),
    "a proof whose signature was altered": lambda: evidence(ACCESS, _resigned(proof(ACCESS))),
    "a proof by a key that the token is not bound to": lambda: evidence(ACCESS, proof(ACCESS, OTHER), theirs=OTHER),
    "a proof that brings a key which did not sign it": lambda: evidence(ACCESS, proof(ACCESS, OTHER, brings=THEIRS)),
    "a proof that brings another key than is shown": lambda: evidence(ACCESS, proof(ACCESS), theirs=OTHER),
    "a proof of another token": lambda: evidence(ACCESS, proof(token(jti="BBBBBBBBBBBBBBBBBBBBBB"))),
    "a proof without a token": lambda: evidence(ACCESS, proof(ACCESS, ath=None)),
    "a proof without an address": lambda: evidence(ACCESS, proof(ACCESS, htu=None)),
    "a token that is none of ours in form": lambda: evidence(token(scope="")),
    "another format": lambda: evidence().replace(b"evidence/1", b"evidence/2"),
    "a member more": lambda: evidence()[:-1] + b',"x":1}',
    "a member twice": lambda: evidence()[:-1] + b',"format":"sceau-evidence/1"}',
    "no JSON": lambda: b"x",
    "nothing": lambda: b"{}",
    "a key that is no key": lambda: evidence().replace(b'"kty":"EC"', b'"kty":"oct"', 1),
}


@pytest.mark.parametrize("name", sorted(FORGED))
def test_forged_evidence_shows_nothing(name: str) -> None:
    with pytest.raises(EvidenceRefused, match="does not hold"):
        verify_evidence(FORGED[name]())
