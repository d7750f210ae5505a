"""Stateless DPoP nonces (RFC 9449, section 8): proof that a DPoP proof was not made in advance.

A nonce is base64url(format byte | minute | HMAC-SHA-256(k, minute | jkt)), k derived from the stage's pseudonym key
for the role. It counts during its minute and the two after. It does not stop a replay within that time: the replay
marks do.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from enum import StrEnum
from struct import Struct
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sceau.identity.errors import JwsRefused
from sceau.identity.jose import decode_part, encode_part

PREVIOUS_MINUTES: Final = 2
"""How many minutes after its own a nonce still counts."""

_FORMAT: Final = 1
_HEAD: Final = Struct(">BI")


class NonceRole(StrEnum):
    """Who gives the nonce out: one of the token endpoint does not count at the FHIR endpoints, nor the reverse."""

    TOKEN = "token"  # noqa: S105 - a role
    RESOURCE = "resource"


class Nonces:
    """Makes and checks the nonces of one role. Every process with the same pseudonym key agrees."""

    def __init__(self, pseudonym_key: bytes, role: NonceRole) -> None:
        info = f"sceau dpop-nonce {_FORMAT} {role}".encode()
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(pseudonym_key)

    def current(self, jkt: str, now: datetime) -> str:
        """The nonce to give to the holder of the key with this thumbprint."""
        return self._nonce(_minute(now), jkt)

    def accepts(self, nonce: object, jkt: str, now: datetime) -> bool:
        """Whether `nonce` was given to this key and still counts."""
        if not isinstance(nonce, str) or len(nonce) > 100:  # noqa: PLR2004 - ours have 50 characters
            return False
        try:
            raw = decode_part(nonce)
        except JwsRefused:
            return False
        if len(raw) <= _HEAD.size:
            return False
        _, minute = _HEAD.unpack(raw[: _HEAD.size])
        if not 0 <= _minute(now) - minute <= PREVIOUS_MINUTES:
            return False
        return hmac.compare_digest(nonce, self._nonce(minute, jkt))

    def _nonce(self, minute: int, jkt: str) -> str:
        head = _HEAD.pack(_FORMAT, minute)
        return encode_part(head + hmac.digest(self._key, head + jkt.encode(), hashlib.sha256))


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60
