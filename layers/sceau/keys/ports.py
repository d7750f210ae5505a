"""The key service, as a port: wrap and unwrap data keys with associated data, sign digests.

Keys are named by purpose; a key has versions. New data keys are wrapped under the newest version; the wrapped bytes
say which version they need. `tests/contract/test_keys.py` holds every adapter to this text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

DATA_KEY_BYTES = 32


class KeyName(StrEnum):
    """The keys of a stage, one per purpose."""

    DOSSIER = "dossier"
    CONTENT = "content"
    JOURNAL = "journal"
    CONFIGURATION = "configuration"
    PSEUDONYM = "pseudonym"
    LOG = "log"
    PROBE = "probe"
    TOKENS = "tokens"
    CHECKPOINTS = "checkpoints"


SIGNING_KEYS = frozenset({KeyName.TOKENS, KeyName.CHECKPOINTS})
"""ECDSA P-256 keys; all others wrap data keys (AES-256)."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One version of a signing key: the version's name, and the DER SubjectPublicKeyInfo."""

    version: str
    spki: bytes


class KeyService(Protocol):
    """What an adapter offers. Safe under threads."""

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """Wrap 32 bytes under the newest version of `key`, bound to `context`.

        Raises UnknownKey, KeyServiceUnavailable; ValueError when `data_key` is not 32 bytes.
        """

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Return the data key. Raises UnwrapRefused, UnknownKey, KeyVersionGone, KeyServiceUnavailable."""

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """Sign a SHA-256 digest (32 bytes) with ECDSA P-256: 64 bytes, r then s, big-endian (the JWS form).

        Raises UnknownKey, KeyVersionGone, KeyServiceUnavailable; ValueError when `digest` is not 32 bytes.
        """

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """All usable versions of a signing key, newest first. Raises UnknownKey, KeyServiceUnavailable."""
