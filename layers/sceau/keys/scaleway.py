"""The key service of Scaleway: Key Manager (v1alpha1), by its HTTP interface. NEVER RUN LIVE: see the README.

Why not the provider's SDK: docs/decisions/0014-key-manager-without-its-sdk.md. Wire facts: the SDK's models (PyPI
`scaleway` 2.12.0), and answers recorded by Scaleway's own Terraform provider, for the form of a refusal.

A key's versions are keys of Key Manager, listed in the settings, oldest first: the last one wraps and signs. Rotation
by Key Manager goes on below that, keeps the key's id, and its documented interface does not tell what was used.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import urllib3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from sceau.keys.context import bound
from sceau.keys.errors import KeyServiceNotUsable, KeyServiceUnavailable, KeyVersionGone, UnknownKey, UnwrapRefused
from sceau.keys.ports import DATA_KEY_BYTES, SIGNING_KEYS, KeyName, PublicKey
from sceau.keys.retrying import Transient, retried
from sceau.keys.signatures import RAW_BYTES, raw_of_der
from sceau.keys.wrapped import IDENTIFIED_HEAD, Form

ORIGIN: Final = "https://api.scaleway.com"
SECRET_KEY_VARIABLE: Final = "SCEAU_SCALEWAY_SECRET_KEY"  # noqa: S105 - a variable's name
"""Not SCW_…: these names are reserved in Scaleway's containers."""

CONNECTIONS: Final = 32
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 3.0

_SYMMETRIC: Final = {"symmetric_encryption": "aes_256_gcm"}
_SIGNING: Final = {"asymmetric_signing": "ec_p256_sha256"}
_LARGEST_ANSWER: Final = 64 * 1024
_LARGEST_CIPHERTEXT: Final = 4096
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _INTERNAL = 200, 401, 403, 404, 429, 500

SignatureForm = Literal["raw", "der"]


def pool(ca_file: str | None = None) -> urllib3.PoolManager:
    """Connections that stay open: with TLS anew, each call would cost two round trips more."""
    return urllib3.PoolManager(
        maxsize=CONNECTIONS, block=True, retries=False, cert_reqs="CERT_REQUIRED", ca_certs=ca_file
    )


def read_secret_key(file: Path | None, environ: Mapping[str, str]) -> str:
    """The secret key of the IAM API key: from a file, or else from the environment.

    Raises KeyServiceNotUsable, a sentence that does not quote it.
    """
    where = f"the file {file}" if file else SECRET_KEY_VARIABLE
    try:
        text = file.read_text("ascii").strip() if file else environ.get(SECRET_KEY_VARIABLE, "")
    except OSError as error:
        raise KeyServiceNotUsable(f"{where} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = "?"
    if not text:
        raise KeyServiceNotUsable(f"{where} does not hold the secret key of Scaleway's API")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise KeyServiceNotUsable(f"what {where} holds is no secret key of Scaleway's API, which is a UUID") from None


class _Refusal(Exception):
    """Key Manager answered with a status of 400 or more that is not worth another try. `argument`: what it named."""

    def __init__(self, status: int, argument: str | None) -> None:
        super().__init__(f"Key Manager answered {status}")
        self.status = status
        self.argument = argument


class ScalewayKeyService:
    """The port on Key Manager in `region`; `keys` are the ids of each key, oldest first. Safe under threads.

    `secret_key` is that of an IAM API key. Nothing is asked when this is made. `sleep` (seconds) and `jitter` (0 to 1)
    are for pauses between attempts.
    """

    def __init__(
        self,
        http: urllib3.PoolManager,
        region: str,
        keys: Mapping[KeyName, Sequence[uuid.UUID]],
        secret_key: str,
        *,
        origin: str = ORIGIN,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._http = http
        self._base = f"{origin}/key-manager/v1alpha1/regions/{region}/keys/"
        self._keys = {name: tuple(ids) for name, ids in keys.items() if ids}
        self._headers = {"X-Auth-Token": secret_key, "Accept": "application/json", "User-Agent": "sceau"}
        self._sleep = sleep
        self._jitter = jitter
        self._public: dict[uuid.UUID, bytes] = {}
        self.signature_form: SignatureForm | None = None
        """Which form its signatures have: not documented, so found out with the first one, and then kept to."""

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port."""
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        newest = self._versions(key, signing=False)[-1]
        head = IDENTIFIED_HEAD.pack(Form.SCALEWAY, newest.bytes)
        body = {"plaintext": _text(data_key), "associated_data": _associated(head, key, context)}
        try:
            answer = self._ask("POST", newest, "encrypt", body)
        except _Refusal as refusal:
            try:
                self._explain(newest, _SYMMETRIC, refusal)
            except KeyVersionGone:
                raise KeyServiceUnavailable(f"the {key} key in use is disabled, deleted or not there") from None
            raise KeyServiceUnavailable(f"Key Manager did not wrap ({refusal})") from None
        ciphertext = _bytes(answer, "ciphertext")
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
        body = {"ciphertext": _text(ciphertext), "associated_data": _associated(head, key, context)}
        try:
            answer = self._ask("POST", found, "decrypt", body)
        except _Refusal as refusal:
            if refusal.argument not in {"ciphertext", "associated_data"}:
                self._explain(found, _SYMMETRIC, refusal)
                raise KeyServiceUnavailable(f"Key Manager did not unwrap ({refusal})") from None
            raise UnwrapRefused("a wrapped data key is altered, or of another key or context") from None
        data_key = _bytes(answer, "plaintext")
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
            answer = self._ask("POST", found, "sign", {"digest": _text(digest)})
        except _Refusal as refusal:
            self._explain(found, _SIGNING, refusal)
            raise KeyServiceUnavailable(f"Key Manager did not sign ({refusal})") from None
        signature = _bytes(answer, "signature")
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

    def _versions(self, key: KeyName, *, signing: bool) -> tuple[uuid.UUID, ...]:
        if key not in self._keys or (key in SIGNING_KEYS) is not signing:
            raise UnknownKey(f"the stage has no {'signing' if signing else 'wrapping'} key {key} in Key Manager")
        return self._keys[key]

    def _public_key(self, key_id: uuid.UUID) -> bytes:
        if key_id not in self._public:
            try:
                pem = self._ask("GET", key_id, "public-key").get("pem")
            except _Refusal as refusal:
                self._explain(key_id, _SIGNING, refusal)
                raise KeyServiceUnavailable(f"Key Manager did not give a public key ({refusal})") from None
            self._public[key_id] = _spki(pem)
        return self._public[key_id]

    def _explain(self, key_id: uuid.UUID, usage: Mapping[str, str], refusal: _Refusal) -> None:
        """What a refusal means, by the key's state. Returns when that does not explain it."""
        if refusal.status == _NOT_FOUND:
            raise KeyVersionGone("a version of a key is not in Key Manager (any more)")
        self._require(key_id, usage)

    def _require(self, key_id: uuid.UUID, usage: Mapping[str, str]) -> None:
        """Raise KeyVersionGone or UnknownKey when the key is not enabled, or of another kind. Metadata only."""
        try:
            known = self._ask("GET", key_id)
        except _Refusal as refusal:
            if refusal.status == _NOT_FOUND:
                raise KeyVersionGone("a version of a key is not in Key Manager (any more)") from None
            raise KeyServiceUnavailable(f"Key Manager did not tell a key's state ({refusal})") from None
        if known.get("state") != "enabled":
            raise KeyVersionGone("a version of a key is disabled, or about to be deleted")
        given = known.get("usage")
        if not isinstance(given, dict) or any(given.get(name) != algorithm for name, algorithm in usage.items()):
            raise UnknownKey("a key in Key Manager is of another kind than its name needs")

    def _ask(
        self, method: str, key_id: uuid.UUID, verb: str | None = None, body: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        url = f"{self._base}{key_id}" + (f"/{verb}" if verb else "")
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": "application/json"}

        def once(seconds: float) -> dict[str, Any]:
            timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=min(READ_SECONDS, seconds))
            try:
                response = self._http.request(
                    method, url, body=data, headers=headers, timeout=timeout, redirect=False, preload_content=False
                )
                try:
                    content = response.read(_LARGEST_ANSWER + 1)
                finally:
                    response.release_conn()
            except urllib3.exceptions.HTTPError as error:
                raise Transient(f"Key Manager was not reached ({type(error).__name__})") from None
            return _checked(response.status, content, str(key_id) if verb and method == "POST" else None)

        return retried(once, sleep=self._sleep, random=self._jitter)


def _checked(status: int, content: bytes, key_id: str | None) -> dict[str, Any]:
    """The answer's members. Raises Transient, KeyServiceUnavailable, _Refusal. Texts of answers go nowhere."""
    if status == _TOO_MANY or status >= _INTERNAL:
        raise Transient(f"Key Manager answered {status}")
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise KeyServiceUnavailable(f"Key Manager refused our API key ({status})")
    try:
        answer = json.loads(content) if len(content) <= _LARGEST_ANSWER else None
    except ValueError:
        answer = None
    if status != _OK:
        raise _Refusal(status, _argument_of(answer))
    if not isinstance(answer, dict):
        raise KeyServiceUnavailable("Key Manager gave an answer of another form")
    if key_id is not None and answer.get("key_id") != key_id:
        raise KeyServiceUnavailable("Key Manager answered for another key")
    return answer


def _argument_of(answer: object) -> str | None:
    """The argument that an `invalid_arguments` refusal names."""
    if not isinstance(answer, dict) or answer.get("type") != "invalid_arguments":
        return None
    details = answer.get("details")
    first = details[0] if isinstance(details, list) and details else None
    name = first.get("argument_name") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None


def _associated(head: bytes, key: KeyName, context: Mapping[str, str]) -> str:
    """A digest, whatever the context's size: the interface names no largest size for associated data."""
    return _text(sha256(bound(head, key, context)).digest())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(answer: Mapping[str, Any], member: str) -> bytes:
    value = answer.get(member)
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raise KeyServiceUnavailable("Key Manager gave an answer that is not base64") from None


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
    from cryptography.hazmat.primitives.serialization import load_der_public_key

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
