"""The key service of Scaleway: Key Manager (v1alpha1), by its HTTP interface. NEVER RUN LIVE: see the README.

Why not the provider's SDK: docs/decisions/0014-key-manager-without-its-sdk.md. Wire facts: the SDK's models (PyPI
`scaleway` 2.12.0), and answers recorded by Scaleway's own Terraform provider, for the form of a refusal.

A key's versions are keys of Key Manager, listed in the settings, oldest first: the last one wraps and signs. Rotation
by Key Manager goes on below that, keeps the key's id, and its documented interface does not tell what was used.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from sceau.keys.context import bound
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey, UnwrapRefused
from sceau.keys.ports import DATA_KEY_BYTES, SIGNING_KEYS, KeyName, PublicKey
from sceau.keys.scaleway_http import NOT_FOUND, KeyManager, Refusal, bytes_of, text_of
from sceau.keys.signatures import RAW_BYTES, raw_of_der
from sceau.keys.wrapped import IDENTIFIED_HEAD, Form

_SYMMETRIC: Final = {"symmetric_encryption": "aes_256_gcm"}
_SIGNING: Final = {"asymmetric_signing": "ec_p256_sha256"}
_LARGEST_CIPHERTEXT: Final = 4096

SignatureForm = Literal["raw", "der"]


class ScalewayKeyService:
    """The port on Key Manager; `keys` are the ids of each key, oldest first. Safe under threads.

    Nothing is asked when this is made.
    """

    def __init__(self, manager: KeyManager, keys: Mapping[KeyName, Sequence[uuid.UUID]]) -> None:
        self._manager = manager
        self._keys = {name: tuple(ids) for name, ids in keys.items() if ids}
        self._public: dict[uuid.UUID, bytes] = {}
        self.signature_form: SignatureForm | None = None
        """Which form its signatures have: not documented, so found out with the first one, and then kept to."""

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port."""
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        newest = self._versions(key, signing=False)[-1]
        head = IDENTIFIED_HEAD.pack(Form.SCALEWAY, newest.bytes)
        body = {"plaintext": text_of(data_key), "associated_data": _associated(head, key, context)}
        try:
            answer = self._manager.ask("POST", newest, "encrypt", body)
        except Refusal as refusal:
            try:
                self._explain(newest, _SYMMETRIC, refusal)
            except KeyVersionGone:
                raise KeyServiceUnavailable(f"the {key} key in use is disabled, deleted or not there") from None
            raise KeyServiceUnavailable(f"Key Manager did not wrap ({refusal})") from None
        ciphertext = bytes_of(answer, "ciphertext")
        if not 0 < len(ciphertext) <= _LARGEST_CIPHERTEXT:
            raise KeyServiceUnavailable("Key Manager gave a ciphertext of another size")
        return head + ciphertext

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See the port. A key id that the settings don't list is an alteration: keep retired keys listed."""
        versions = self._versions(key, signing=False)
        head, ciphertext = wrapped[: IDENTIFIED_HEAD.size], wrapped[IDENTIFIED_HEAD.size :]
        if not 0 < len(ciphertext) <= _LARGEST_CIPHERTEXT or wrapped[0] != Form.SCALEWAY:
            raise UnwrapRefused("a wrapped data key has another form or length")
        _, key_id = IDENTIFIED_HEAD.unpack(head)
        found = next((one for one in versions if one.bytes == key_id), None)
        if found is None:
            raise UnwrapRefused("a wrapped data key names a key that is not among this one's versions")
        body = {"ciphertext": text_of(ciphertext), "associated_data": _associated(head, key, context)}
        try:
            answer = self._manager.ask("POST", found, "decrypt", body)
        except Refusal as refusal:
            if refusal.argument not in {"ciphertext", "associated_data"}:
                self._explain(found, _SYMMETRIC, refusal)
                raise KeyServiceUnavailable(f"Key Manager did not unwrap ({refusal})") from None
            raise UnwrapRefused("a wrapped data key is altered, or of another key or context") from None
        data_key = bytes_of(answer, "plaintext")
        if len(data_key) != DATA_KEY_BYTES:
            raise UnwrapRefused("what was wrapped is no data key")
        return data_key

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """See the port."""
        if len(digest) != sha256().digest_size:
            raise ValueError(f"a SHA-256 digest has {sha256().digest_size} bytes")
        found = next((one for one in self._versions(key, signing=True) if str(one) == version), None)
        if found is None:
            raise KeyVersionGone(f"the {key} key has no such version")
        try:
            answer = self._manager.ask("POST", found, "sign", {"digest": text_of(digest)})
        except Refusal as refusal:
            self._explain(found, _SIGNING, refusal)
            raise KeyServiceUnavailable(f"Key Manager did not sign ({refusal})") from None
        signature = bytes_of(answer, "signature")
        if self.signature_form is None:
            self.signature_form = _form_of(signature, digest, self._public_key(found))
        raw = _raw(signature, self.signature_form)
        if raw is None:
            raise KeyServiceUnavailable("Key Manager gave a signature of another form than before")
        return raw

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """See the port. A version's name is the id of its key."""
        found = []
        for one in reversed(self._versions(key, signing=True)):
            try:
                self._require(one, _SIGNING)
            except KeyVersionGone:
                continue
            found.append(PublicKey(str(one), self._public_key(one)))
        return tuple(found)

    def metadata(self, key: KeyName) -> list[dict[str, Any]]:
        """What Key Manager tells of a key's versions, oldest first; none of it secret. For `sceau stage check`."""
        told = []
        for one in self._versions(key, signing=key in SIGNING_KEYS):
            try:
                told.append(self._manager.ask("GET", one))
            except Refusal as refusal:
                raise KeyServiceUnavailable(f"Key Manager did not tell of a key of {key} ({refusal})") from None
        return told

    def time(self) -> datetime:
        """Key Manager's clock, to the second: the date of an answer about the probe key."""
        try:
            return self._manager.time(self._versions(KeyName.PROBE, signing=False)[-1])
        except Refusal as refusal:
            raise KeyServiceUnavailable(f"Key Manager did not tell of the probe key ({refusal})") from None

    def _versions(self, key: KeyName, *, signing: bool) -> tuple[uuid.UUID, ...]:
        if key not in self._keys or (key in SIGNING_KEYS) is not signing:
            raise UnknownKey(f"the stage has no {'signing' if signing else 'wrapping'} key {key} in Key Manager")
        return self._keys[key]

    def _public_key(self, key_id: uuid.UUID) -> bytes:
        if key_id not in self._public:
            try:
                pem = self._manager.ask("GET", key_id, "public-key").get("pem")
            except Refusal as refusal:
                self._explain(key_id, _SIGNING, refusal)
                raise KeyServiceUnavailable(f"Key Manager did not give a public key ({refusal})") from None
            self._public[key_id] = _spki(pem)
        return self._public[key_id]

    def _explain(self, key_id: uuid.UUID, usage: Mapping[str, str], refusal: Refusal) -> None:
        """What a refusal means, by the key's state. Returns when that does not explain it."""
        if refusal.status == NOT_FOUND:
            raise KeyVersionGone("a version of a key is not in Key Manager (any more)")
        self._require(key_id, usage)

    def _require(self, key_id: uuid.UUID, usage: Mapping[str, str]) -> None:
        """Raise KeyVersionGone or UnknownKey when the key is not enabled, or of another kind. Metadata only."""
        try:
            known = self._manager.ask("GET", key_id)
        except Refusal as refusal:
            if refusal.status == NOT_FOUND:
                raise KeyVersionGone("a version of a key is not in Key Manager (any more)") from None
            raise KeyServiceUnavailable(f"Key Manager did not tell a key's state ({refusal})") from None
        if known.get("state") != "enabled":
            raise KeyVersionGone("a version of a key is disabled, or about to be deleted")
        given = known.get("usage")
        if not isinstance(given, dict) or any(given.get(name) != algorithm for name, algorithm in usage.items()):
            raise UnknownKey("a key in Key Manager is of another kind than its name needs")


def _associated(head: bytes, key: KeyName, context: Mapping[str, str]) -> str:
    """A digest, whatever the context's size: the interface names no largest size for associated data."""
    return text_of(sha256(bound(head, key, context)).digest())


def _spki(pem: object) -> bytes:
    try:
        loaded = load_pem_public_key(pem.encode()) if isinstance(pem, str) else None
    except ValueError:
        loaded = None
    if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise UnknownKey("a key in Key Manager has no public key of P-256")
    return loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _form_of(signature: bytes, digest: bytes, spki: bytes) -> SignatureForm:
    """The form in which a signature verifies. Raises KeyServiceUnavailable when it does in neither."""
    public = load_der_public_key(spki)
    forms: tuple[SignatureForm, ...] = ("raw", "der")
    for form in forms:
        raw = _raw(signature, form)
        if raw is None or not isinstance(public, ec.EllipticCurvePublicKey):
            continue
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        try:
            public.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        except InvalidSignature:
            continue
        return form
    raise KeyServiceUnavailable("Key Manager gave a signature that does not verify, raw or DER")


def _raw(signature: bytes, form: SignatureForm) -> bytes | None:
    if form == "raw":
        return signature if len(signature) == RAW_BYTES else None
    try:
        return raw_of_der(signature)
    except ValueError:
        return None
