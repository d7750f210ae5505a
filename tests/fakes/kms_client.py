"""A stand-in for AWS KMS behind boto3's real client: its requests are serialised, checked and answered here.

It does what moto does not: a disabled or deleted key does not work, a digest is signed as the digest that it is, a key
of another kind refuses. Written from the KMS API reference; grants and policies are not modelled. Never a network call.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

REGION = "eu-west-3"
ACCOUNT = "111122223333"


@dataclass
class StandInKey:
    """One KMS key."""

    arn: str
    key: bytes | ec.EllipticCurvePrivateKey
    state: str = "Enabled"
    rotates: bool = True
    origin: str = "AWS_KMS"


@dataclass(frozen=True)
class _Http:
    """What botocore asks of an answer that was not sent."""

    status_code: int
    headers: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class StandInKms:
    """Keys, and `client()`s of them. `fails` may give an error code (and status) for the call of that number from 1."""

    def __init__(self) -> None:
        self.keys: dict[str, StandInKey] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.ahead = timedelta()
        self.fails: Callable[[int], str | Exception | None] = lambda _: None

    def create(self, *, signing: bool) -> str:
        """A new key; returns its ARN."""
        key = ec.generate_private_key(ec.SECP256R1()) if signing else AESGCM.generate_key(256)
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{uuid.uuid4()}"
        self.keys[arn] = StandInKey(arn, key)
        _owners[arn] = self
        return arn

    def client(self) -> Any:
        """boto3's client, the process's one (each takes a second to make); nothing that it asks leaves the process."""
        return _client()

    def answer(self, operation: str, body: dict[str, Any]) -> tuple[_Http, dict[str, Any]]:
        """What KMS answers to a request's body."""
        self.calls.append((operation, body))
        failure = self.fails(len(self.calls))
        if isinstance(failure, Exception):
            raise failure
        if failure is not None:
            return _refusal(body, failure, 500 if failure == "KMSInternalException" else 400)
        try:
            answer = _OPERATIONS[operation](self._key(body["KeyId"], described=operation == "DescribeKey"), body)
        except _Refused as refused:
            return _refusal(body, refused.code, 400)
        headers = {"date": format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)}
        return _Http(200), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}}

    def _key(self, arn: str, *, described: bool) -> StandInKey:
        if arn not in self.keys:
            raise _Refused("NotFoundException")
        key = self.keys[arn]
        if described:
            return key  # in every state
        if key.state == "Disabled":
            raise _Refused("DisabledException")
        if key.state == "PendingDeletion":
            raise _Refused("KMSInvalidStateException")
        return key


_owners: dict[str, StandInKms] = {}


@cache
def _client() -> Any:
    client = boto3.session.Session().client(
        "kms",
        region_name=REGION,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="not-a-secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-call.kms", _dispatch)
    return client


def _dispatch(model: Any, params: dict[str, Any], **_: Any) -> tuple[_Http, dict[str, Any]]:
    body = json.loads(params["body"])
    owner = _owners.get(body["KeyId"])
    return owner.answer(model.name, body) if owner else _refusal(body, "NotFoundException", 400)


def _refusal(body: dict[str, Any], code: str, status: int) -> tuple[_Http, dict[str, Any]]:
    """As KMS words it: its messages quote ARNs."""
    error = {"Code": code, "Message": f"{body['KeyId']} of {ACCOUNT}"}
    return _Http(status), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}


def _associated(body: dict[str, Any]) -> bytes:
    return json.dumps(body.get("EncryptionContext") or {}, sort_keys=True).encode()


def _encrypt(key: StandInKey, body: dict[str, Any]) -> dict[str, Any]:
    plaintext = base64.b64decode(body["Plaintext"])
    if not isinstance(key.key, bytes):
        raise _Refused("InvalidKeyUsageException")
    nonce = uuid.uuid4().bytes[:12]
    blob = key.arn[-36:].encode() + nonce + AESGCM(key.key).encrypt(nonce, plaintext, _associated(body))
    return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def _decrypt(key: StandInKey, body: dict[str, Any]) -> dict[str, Any]:
    blob = base64.b64decode(body["CiphertextBlob"])
    if not isinstance(key.key, bytes):
        raise _Refused("InvalidKeyUsageException")
    if blob[:36] != key.arn[-36:].encode():
        try:
            uuid.UUID(blob[:36].decode())
        except ValueError:
            raise _Refused("InvalidCiphertextException") from None
        raise _Refused("IncorrectKeyException")
    try:
        plaintext = AESGCM(key.key).decrypt(blob[36:48], blob[48:], _associated(body))
    except (InvalidTag, ValueError):
        raise _Refused("InvalidCiphertextException") from None
    return {"Plaintext": plaintext, "KeyId": key.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def _sign(key: StandInKey, body: dict[str, Any]) -> dict[str, Any]:
    message = base64.b64decode(body["Message"])
    if isinstance(key.key, bytes):
        raise _Refused("InvalidKeyUsageException")
    if (body["MessageType"], body["SigningAlgorithm"]) != ("DIGEST", "ECDSA_SHA_256") or len(message) != 32:
        raise _Refused("ValidationException")
    signature = key.key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))
    return {"Signature": signature, "KeyId": key.arn, "SigningAlgorithm": "ECDSA_SHA_256"}


def _public(key: StandInKey, _: dict[str, Any]) -> dict[str, Any]:
    if isinstance(key.key, bytes):
        raise _Refused("UnsupportedOperationException")
    der = key.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    curve = "ECC_NIST_P256" if isinstance(key.key.curve, ec.SECP256R1) else "ECC_NIST_P384"
    return {
        "PublicKey": der,
        "KeyId": key.arn,
        "KeySpec": curve,
        "KeyUsage": "SIGN_VERIFY",
        "SigningAlgorithms": ["ECDSA_SHA_256" if curve == "ECC_NIST_P256" else "ECDSA_SHA_384"],
    }


def _describe(key: StandInKey, _: dict[str, Any]) -> dict[str, Any]:
    signing = not isinstance(key.key, bytes)
    return {
        "KeyMetadata": {
            "KeyId": key.arn[-36:],
            "Arn": key.arn,
            "KeyUsage": "SIGN_VERIFY" if signing else "ENCRYPT_DECRYPT",
            "KeySpec": "ECC_NIST_P256" if signing else "SYMMETRIC_DEFAULT",
            "KeyState": key.state,
            "Origin": key.origin,
            "MultiRegion": False,
        }
    }


def _rotation(key: StandInKey, _: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(key.key, bytes):
        raise _Refused("UnsupportedOperationException")
    return {"KeyRotationEnabled": key.rotates, "KeyId": key.arn}


_OPERATIONS: dict[str, Callable[[StandInKey, dict[str, Any]], dict[str, Any]]] = {
    "Encrypt": _encrypt,
    "Decrypt": _decrypt,
    "Sign": _sign,
    "GetPublicKey": _public,
    "DescribeKey": _describe,
    "GetKeyRotationStatus": _rotation,
}
