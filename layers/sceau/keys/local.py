"""The key service of the `local` stage: a key file, opened by this process.

The wrapped form is `docs/formats/wrapped-data-key.md`. It keeps keys from whoever reads the store, not from whoever
reads this process or its files: other stages use a host's key service or an HSM.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sceau.keys import keyfile
from sceau.keys.context import bound
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey, UnwrapRefused
from sceau.keys.keyfile import KeyFileRefused, add_version, create_key_file, disable_version
from sceau.keys.ports import DATA_KEY_BYTES, KeyName, PublicKey

__all__ = ["KeyFileRefused", "LocalKeyService", "add_version", "create_key_file", "disable_version"]

_FORMAT = 1
_HEAD = Struct(">BI")
_NONCE_BYTES = 12
_WRAPPED_BYTES = _HEAD.size + _NONCE_BYTES + DATA_KEY_BYTES + 16
_DIGEST_BYTES = sha256().digest_size
_ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class _WrappingKey:
    newest: int
    enabled: Mapping[int, AESGCM]


@dataclass(frozen=True, slots=True)
class _SigningKey:
    enabled: Mapping[str, ec.EllipticCurvePrivateKey]
    public: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class _Ring:
    """The keys of one reading of the file, parsed."""

    stamp: keyfile.Stamp
    wrapping: Mapping[KeyName, _WrappingKey]
    signing: Mapping[KeyName, _SigningKey]


class LocalKeyService:
    """The port on the key file at `path`; `random_bytes` gives the nonces.

    Keys are parsed once; each operation looks whether the file was replaced since (one `lstat`) and then reads it
    again, so a new or disabled version counts at once in every process. A file that has become unreadable or wrong
    raises KeyServiceUnavailable; at construction it raises KeyFileRefused.
    """

    def __init__(self, path: Path, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._path = path
        self._random_bytes = random_bytes
        self._ring = _load(path)

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port."""
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        known = self._wrapping(key)
        head = _HEAD.pack(_FORMAT, known.newest)
        nonce = self._random_bytes(_NONCE_BYTES)
        return head + nonce + known.enabled[known.newest].encrypt(nonce, data_key, bound(head, key, context))

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See the port. A version number that was never given out is an alteration: UnwrapRefused."""
        known = self._wrapping(key)
        if len(wrapped) != _WRAPPED_BYTES:
            raise UnwrapRefused("a wrapped data key has another length")
        head, sealed = wrapped[: _HEAD.size], wrapped[_HEAD.size :]
        form, number = _HEAD.unpack(head)
        if form != _FORMAT:
            raise UnwrapRefused("a wrapped data key has another format")
        cipher = known.enabled.get(number)
        if cipher is None:
            if 0 < number < known.newest:
                raise KeyVersionGone(f"version {number} of the {key} key is disabled or gone")
            raise UnwrapRefused("a wrapped data key names a version that never was")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound(head, key, context))
        except InvalidTag:
            raise UnwrapRefused("a wrapped data key is altered, or of another key or context") from None

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """See the port."""
        if len(digest) != _DIGEST_BYTES:
            raise ValueError(f"a SHA-256 digest has {_DIGEST_BYTES} bytes")
        private = self._signing(key).enabled.get(version)
        if private is None:
            raise KeyVersionGone(f"the {key} key has no such version, or it is disabled")
        r, s = decode_dss_signature(private.sign(digest, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """See the port. A version's name is its number in the key file."""
        return self._signing(key).public

    def metadata(self, key: KeyName) -> list[dict[str, Any]]:
        """What the file tells of a key's versions, oldest first. For `sceau stage check`."""
        try:
            found = keyfile.read(self._path)[0].keys[key]
        except KeyFileRefused as error:
            raise KeyServiceUnavailable(str(error)) from None
        except KeyError:
            raise UnknownKey(f"the key file has no key named {key}") from None
        return [{"number": one.number, "type": found.type, "enabled": one.enabled} for one in found.versions]

    def _wrapping(self, key: KeyName) -> _WrappingKey:
        try:
            return self._current().wrapping[key]
        except KeyError:
            raise UnknownKey(f"the key file has no wrapping key named {key}") from None

    def _signing(self, key: KeyName) -> _SigningKey:
        try:
            return self._current().signing[key]
        except KeyError:
            raise UnknownKey(f"the key file has no signing key named {key}") from None

    def _current(self) -> _Ring:
        # Threads that find the file replaced each read it; the last assignment wins, and if it is the older reading,
        # the next operation reads again. So no lock is needed.
        ring = self._ring
        try:
            if ring.stamp != keyfile.stamp(os.lstat(self._path)):
                ring = self._ring = _load(self._path)
        except (OSError, KeyFileRefused) as error:
            raise KeyServiceUnavailable("the local key file cannot be used any more") from error
        return ring


def _load(path: Path) -> _Ring:
    content, found = keyfile.read(path)
    wrapping: dict[KeyName, _WrappingKey] = {}
    signing: dict[KeyName, _SigningKey] = {}
    for name, key in content.keys.items():
        ciphers: dict[int, AESGCM] = {}
        privates: dict[str, ec.EllipticCurvePrivateKey] = {}
        for version in key.versions:
            if not version.enabled:
                continue
            material = keyfile.decoded(key, version)
            if isinstance(material, bytes):
                ciphers[version.number] = AESGCM(material)
            else:
                privates[str(version.number)] = material
        if key.type == "aes-256":
            wrapping[name] = _WrappingKey(key.versions[-1].number, ciphers)
        else:
            signing[name] = _SigningKey(privates, _published(privates))
    return _Ring(found, wrapping, signing)


def _published(privates: Mapping[str, ec.EllipticCurvePrivateKey]) -> tuple[PublicKey, ...]:
    """Newest first; `privates` is oldest first, as the file is."""
    der, spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return tuple(
        PublicKey(version, private.public_key().public_bytes(der, spki))
        for version, private in reversed(list(privates.items()))
    )
