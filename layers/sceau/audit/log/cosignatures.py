"""Cosignatures of witnesses on a checkpoint (C2SP tlog-cosignature). Pure.

A witness vouches for no entry: only that, as of a time, this is the largest tree of this log that it has seen, and that
it went on from all that it saw before. Two types: Ed25519 (0x04) and ML-DSA-44 (0x06).
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from sceau.audit.log.checkpoints import parse_checkpoint
from sceau.audit.log.errors import NoteRefused

COSIGNED_ED25519: Final = 0x04
COSIGNED_ML_DSA_44: Final = 0x06

_PUBLIC_BYTES = {COSIGNED_ED25519: 32, COSIGNED_ML_DSA_44: 1312}
_SIGNATURE_BYTES = {COSIGNED_ED25519: 64, COSIGNED_ML_DSA_44: 2420}
_ID_BYTES = 4
_TIME = struct.Struct(">Q")
_LATEST = (1 << 63) - 1
_VKEY = re.compile(r"([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key: the name that it signs under, its type, the key's raw bytes."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or re.search(r"[\s+]", self.name):
            raise NoteRefused("a witness's name is not empty, and has no space and no plus sign")
        if self.kind not in _PUBLIC_BYTES:
            raise NoteRefused("a witness's key is of type 0x04 (Ed25519) or 0x06 (ML-DSA-44)")
        if len(self.public) != _PUBLIC_BYTES[self.kind]:
            raise NoteRefused("a witness's key has another length than those of its type")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that tell the key in a signature line."""
        return hashlib.sha256(b"%s\n%c%s" % (self.name.encode(), self.kind, self.public)).digest()[:_ID_BYTES]

    def text(self) -> str:
        """The key as a vkey."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def cosigned_at(self, text: bytes, signature: bytes) -> int | None:
        """When (seconds since 1970) this key cosigned the checkpoint of this text; None: the signature is not its own.

        `signature`: what a signature line holds behind the key's id.
        """
        if len(signature) != _TIME.size + _SIGNATURE_BYTES[self.kind]:
            return None
        (time,) = _TIME.unpack(signature[: _TIME.size])
        if not 0 < time <= _LATEST:  # 0 would say nothing of there being no larger tree
            return None
        try:
            self._verify(signature[_TIME.size :], text, time)
        except InvalidSignature:
            return None
        return int(time)

    def _verify(self, signature: bytes, text: bytes, time: int) -> None:
        if self.kind == COSIGNED_ED25519:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, ed25519_message(text, time))
        else:
            MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, ml_dsa_message(self.name, text, time))


def ed25519_message(text: bytes, time: int) -> bytes:
    """What an Ed25519 cosignature signs of a checkpoint's text."""
    return b"cosignature/v1\ntime %d\n" % time + text


def ml_dsa_message(name: str, text: bytes, time: int) -> bytes:
    """What an ML-DSA-44 cosignature of the witness `name` signs. Raises NoteRefused for what is no checkpoint."""
    checkpoint = parse_checkpoint(text)
    return b"".join(
        (
            b"subtree/v1\n\0",
            _short(name),
            _TIME.pack(time),
            _short(checkpoint.origin),
            _TIME.pack(0),
            _TIME.pack(checkpoint.size),
            checkpoint.root,
        )
    )


def parse_witness_key(text: str) -> WitnessKey:
    """Parse a witness's vkey. Raises NoteRefused, also when its key id is not that of its key."""
    match = _VKEY.fullmatch(text)
    if match is None:
        raise NoteRefused("not a verifier key (NAME+ID+KEY)")
    try:
        data = base64.b64decode(match[3], validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != match[3]:
        raise NoteRefused("a verifier key is not in standard base64")
    key = WitnessKey(match[1], data[0], data[1:])
    if key.key_id.hex() != match[2]:
        raise NoteRefused("a verifier key's id is not that of its key")
    return key


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > 0xFF:  # noqa: PLR2004 - its length is one byte
        raise NoteRefused("a name is too long to be cosigned")
    return bytes([len(data)]) + data
