"""The key service in an HSM, or in SoftHSM, by PKCS #11 (v2.40). Keys never leave the token.

Versions are objects, told by their labels: `<prefix>:<key>:<number>`, and beside an AES key that has no GCM its MAC key
`…:mac`. So each version wraps in one of two ways, fixed when it is made, and the wrapped form says which:

* AES-256-GCM with associated data (CKM_AES_GCM), where the token offers it and takes our nonces;
* else AES-256-CBC, then HMAC-SHA-256 over what it is bound to, IV and ciphertext (encrypt-then-MAC, two keys).

A data key is wrapped as data, not by C_WrapKey: that would need it as an object in the token, which many HSMs refuse,
and binds no context. Forms: `docs/formats/wrapped-data-key.md`.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from struct import error as struct_error
from typing import Any, Final, TypeVar

from pkcs11.exceptions import (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    KeyHandleInvalid,
    ObjectHandleInvalid,
    PKCS11Error,
)
from pkcs11.mechanisms import GCMParams, Mechanism

from sceau.keys.context import bound
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey, UnwrapRefused
from sceau.keys.pkcs11_library import kind
from sceau.keys.pkcs11_objects import Ring, WrappingVersion, describe, read_ring
from sceau.keys.pkcs11_token import Session, Token, TokenLost
from sceau.keys.ports import DATA_KEY_BYTES, KeyName, PublicKey
from sceau.keys.wrapped import NUMBERED_HEAD, Form

NOTICED_SECONDS: Final = 60.0
"""How long a session goes by what it found on the token: a new version counts everywhere after that."""

_ASKED_AGAIN_SECONDS: Final = 1.0
"""A key that the token does not have makes a session look again, but not at each request that wrong settings fail."""

_FRESH: Final = -1.0
"""What was found never counts. A version that a session does not know may have been made a moment ago, by another one:
"altered" would be a wrong verdict on a sound object. Only who writes objects can make a session look again so."""

_NONCE_BYTES: Final = 12
_IV_BYTES: Final = 16
_TAG_BYTES: Final = {Form.PKCS11_GCM: 16, Form.PKCS11_CBC_HMAC: sha256().digest_size}
_START_BYTES: Final = {Form.PKCS11_GCM: _NONCE_BYTES, Form.PKCS11_CBC_HMAC: _IV_BYTES}
_SIGNATURE_BYTES: Final = 64
_STALE = (KeyHandleInvalid, ObjectHandleInvalid)
_REFUSED = (EncryptedDataInvalid, EncryptedDataLenRange)

NumberT = TypeVar("NumberT")
ResultT = TypeVar("ResultT")


class _StaleObjects(Exception):
    """An object that was found before is there no more."""


class Pkcs11KeyService:
    """The port on a token. `prefix` begins the labels of the stage's keys; `random_bytes` gives nonces and IVs.

    Logs in when it is made: raises KeyServiceNotUsable, a sentence. `monotonic` (seconds) ages what was found.
    """

    def __init__(
        self,
        token: Token,
        prefix: str,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._prefix = prefix
        self._random_bytes = random_bytes
        self._monotonic = monotonic
        token.connect()

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port."""
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")

        def work(ring: Ring) -> bytes:
            versions = self._versions(ring, ring.wrapping, key)
            return self._seal(versions[max(versions)], key, data_key, context)

        return self._on_ring(work, knows=lambda ring: key in ring.wrapping)

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See the port. A version number that was never given out is an alteration: UnwrapRefused."""
        form, number = _head(wrapped)

        def work(ring: Ring) -> bytes:
            versions = self._versions(ring, ring.wrapping, key)
            version = versions.get(number)
            if version is None:
                if 0 < number < max(versions):
                    raise KeyVersionGone(f"version {number} of the {key} key is no longer on the token")
                raise UnwrapRefused("a wrapped data key names a version that never was")
            if version.form is not form:
                raise UnwrapRefused("a wrapped data key has another form than its version's")
            return self._open(version, key, wrapped, context)

        return self._on_ring(work, knows=lambda ring: number in ring.wrapping.get(key, {}), oldest=_FRESH)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """See the port."""
        if len(digest) != sha256().digest_size:
            raise ValueError(f"a SHA-256 digest has {sha256().digest_size} bytes")

        def work(ring: Ring) -> bytes:
            found = self._versions(ring, ring.signing, key).get(version)
            if found is None:
                raise KeyVersionGone(f"the token has no such version of the {key} key")
            signature: bytes = _called(lambda: found.private.sign(digest, mechanism=Mechanism.ECDSA))
            if len(signature) != _SIGNATURE_BYTES:
                raise TokenLost("a signature of another length")
            return signature

        return self._on_ring(work, knows=lambda ring: version in ring.signing.get(key, {}), oldest=_FRESH)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """See the port. A version's name is its number."""

        def work(ring: Ring) -> tuple[PublicKey, ...]:
            newest_first = sorted(self._versions(ring, ring.signing, key).items(), key=lambda one: -int(one[0]))
            return tuple(PublicKey(version, found.spki) for version, found in newest_first)

        return self._on_ring(work, knows=lambda ring: key in ring.signing)

    def metadata(self, key: KeyName) -> list[dict[str, Any]]:
        """Attributes of a key's versions, oldest first. For `sceau stage check`."""

        def work(ring: Ring) -> list[dict[str, Any]]:
            return [] if key in ring.faults else _called(lambda: describe(ring, key))

        return self._on_ring(work, knows=lambda ring: bool(ring.numbers(key)))

    def _versions(
        self, ring: Ring, kinds: Mapping[KeyName, Mapping[NumberT, ResultT]], key: KeyName
    ) -> Mapping[NumberT, ResultT]:
        if key in ring.faults:
            raise KeyServiceUnavailable(ring.faults[key])
        if key not in kinds:
            raise UnknownKey(f"the token has no key for this labelled {self._prefix}:{key}:<number>")
        return kinds[key]

    def _on_ring(
        self, work: Callable[[Ring], ResultT], *, knows: Callable[[Ring], bool], oldest: float = _ASKED_AGAIN_SECONDS
    ) -> ResultT:
        """Do `work` on the keys that a session finds; it looks again when they are old, gone, or not what is needed.

        `oldest`: seconds for which what it found counts although `knows` says that it lacks what is needed.
        """

        def in_session(session: Session) -> ResultT:
            ring = self._ring(session, oldest=NOTICED_SECONDS)
            if not knows(ring):
                ring = self._ring(session, oldest=oldest)
            try:
                return work(ring)
            except _StaleObjects:
                ring = self._ring(session, oldest=_FRESH)
            try:
                return work(ring)
            except _StaleObjects:
                raise TokenLost("keys that were just found are gone") from None

        return self._token.run(in_session)

    def _ring(self, session: Session, *, oldest: float) -> Ring:
        now = self._monotonic()
        kept: tuple[float, Ring] | None = session.kept.get(self._prefix)
        if kept is None or not kept[0] <= now <= kept[0] + oldest:
            session.require_login()
            try:
                kept = session.kept[self._prefix] = (now, read_ring(session.raw, self._prefix))
            except PKCS11Error as error:
                raise TokenLost(f"its keys can't be listed ({kind(error)})") from None
        return kept[1]

    def _seal(self, version: WrappingVersion, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        head = NUMBERED_HEAD.pack(version.form, version.number)
        start = self._random_bytes(_START_BYTES[version.form])
        sealed = _called(lambda: _encrypt(version, start, data_key, bound(head, key, context)))
        if len(sealed) != DATA_KEY_BYTES + _TAG_BYTES[version.form]:
            raise TokenLost("a wrapped key of another length")
        return head + start + sealed

    def _open(self, version: WrappingVersion, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        head, rest = wrapped[: NUMBERED_HEAD.size], wrapped[NUMBERED_HEAD.size :]
        start, sealed = rest[: _START_BYTES[version.form]], rest[_START_BYTES[version.form] :]
        associated = bound(head, key, context)
        try:
            return _decrypt(version, start, sealed, associated)
        except _STALE:
            raise _StaleObjects from None
        except _REFUSED:
            pass
        except PKCS11Error:
            # SoftHSM gives CKR_GENERAL_ERROR for a wrong tag, and for whatever else goes wrong: ask it something right.
            self._prove(version)
        raise UnwrapRefused("a wrapped data key is altered, or of another key or context")

    def _prove(self, version: WrappingVersion) -> None:
        """Raise unless the version wraps and unwraps at this moment."""
        start, data = self._random_bytes(_START_BYTES[version.form]), bytes(DATA_KEY_BYTES)
        sealed = _called(lambda: _encrypt(version, start, data, b"self-test"))
        if _called(lambda: _decrypt(version, start, sealed, b"self-test")) != data:
            raise TokenLost("what it encrypts it does not decrypt")


def _head(wrapped: bytes) -> tuple[Form, int]:
    try:
        form, number = NUMBERED_HEAD.unpack_from(wrapped)
        form = Form(form)
        length = NUMBERED_HEAD.size + _START_BYTES[form] + DATA_KEY_BYTES + _TAG_BYTES[form]
    except (struct_error, ValueError, KeyError):
        raise UnwrapRefused("a wrapped data key has another format") from None
    if len(wrapped) != length:
        raise UnwrapRefused("a wrapped data key has another length")
    return form, number


def _encrypt(version: WrappingVersion, start: bytes, data: bytes, associated: bytes) -> bytes:
    if version.form is Form.PKCS11_GCM:
        sealed: bytes = version.cipher.encrypt(
            data, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(start, associated, 128)
        )
        return sealed
    hidden: bytes = version.cipher.encrypt(data, mechanism=Mechanism.AES_CBC, mechanism_param=start)
    return hidden + _tag(version, associated + start + hidden)


def _decrypt(version: WrappingVersion, start: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The data. Raises UnwrapRefused for a wrong MAC, and PKCS11Error for a wrong GCM tag too."""
    if version.form is Form.PKCS11_GCM:
        data: bytes = version.cipher.decrypt(
            sealed, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(start, associated, 128)
        )
        return data
    hidden, tag = sealed[:DATA_KEY_BYTES], sealed[DATA_KEY_BYTES:]
    if not hmac.compare_digest(_tag(version, associated + start + hidden), tag):
        raise UnwrapRefused("a wrapped data key is altered, or of another key or context")
    plain: bytes = version.cipher.decrypt(hidden, mechanism=Mechanism.AES_CBC, mechanism_param=start)
    return plain


def _tag(version: WrappingVersion, data: bytes) -> bytes:
    tag: bytes = version.mac.sign(data, mechanism=Mechanism.SHA256_HMAC)
    return tag


def _called(call: Callable[[], ResultT]) -> ResultT:
    """A call that nothing but the token can make fail."""
    try:
        return call()
    except _STALE:
        raise _StaleObjects from None
    except PKCS11Error as error:
        raise TokenLost(f"a call failed ({kind(error)})") from None
