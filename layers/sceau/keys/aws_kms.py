"""The key service of AWS: KMS keys, each named by its ARN in the stage's region.

The encryption context is KMS's own EncryptionContext, so that key policies can speak of it. A key's versions are KMS
keys of their own, listed in the settings, oldest first: the last one wraps and signs. KMS's automatic rotation goes on
below that: it keeps the key id and hides which material was used. Form: `docs/formats/wrapped-data-key.md`.

Why one key for each purpose and version: a KMS key can be disabled or deleted, its rotated material can't.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final, NoReturn

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError as BotoConnectionError, HTTPClientError

from sceau.keys.errors import (
    KeyServiceError,
    KeyServiceUnavailable,
    KeyVersionGone,
    UnknownKey,
    UnwrapRefused,
)
from sceau.keys.ports import DATA_KEY_BYTES, SIGNING_KEYS, KeyName, PublicKey
from sceau.keys.retrying import Transient, retried
from sceau.keys.signatures import is_p256, raw_of_der
from sceau.keys.wrapped import IDENTIFIED_HEAD, Form

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0
CONNECTIONS: Final = 32

_LARGEST_BLOB: Final = 6144  # of KMS's Decrypt
_ALGORITHM: Final = "ECDSA_SHA_256"

_PASSING: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "ServiceUnavailable",
        "InternalFailure",
    }
)
_GONE: Final = frozenset({"DisabledException", "KMSInvalidStateException", "NotFoundException"})
_OTHER_KIND: Final = frozenset({"InvalidKeyUsageException", "UnsupportedOperationException"})
_REFUSED: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_INTERNAL: Final = 500


@dataclass(frozen=True, slots=True)
class KmsKey:
    """One version of a key: its ARN, and the UUID in it, which is the version's name."""

    arn: str
    key_id: uuid.UUID

    @classmethod
    def of(cls, arn: str) -> KmsKey:
        """The key of an ARN. Raises ValueError when the key's id is not a UUID (as of a multi-Region key)."""
        return cls(arn, uuid.UUID(arn.rpartition("/")[2]))


def connect(region: str) -> Any:
    """A client of KMS in `region`, with the usual chain of credentials. KMS is not called.

    Its retries are off: ours keep to the caller's time. Its endpoint is the region's, whatever the environment says.
    """
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "kms",
        region_name=region,
        endpoint_url=f"https://kms.{region}.amazonaws.com",
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=CONNECTIONS,
            retries={"total_max_attempts": 1},
        ),
    )


class AwsKmsKeyService:
    """The port on `client` (boto3's, of KMS); `keys` are the ARNs of each key, oldest first. Safe under threads.

    Nothing is asked when it is made. `sleep` (seconds) and `jitter` (0 to 1) are for pauses between attempts.
    """

    def __init__(
        self,
        client: Any,
        keys: Mapping[KeyName, Sequence[str]],
        *,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._keys = {name: tuple(map(KmsKey.of, arns)) for name, arns in keys.items() if arns}
        self._sleep = sleep
        self._jitter = jitter

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port."""
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        newest = self._versions(key, signing=False)[-1]
        try:
            answer = self._call("encrypt", KeyId=newest.arn, Plaintext=data_key, EncryptionContext=dict(context))
        except KeyVersionGone:
            raise KeyServiceUnavailable(f"the {key} key in use is disabled, deleted or not there") from None
        blob: bytes = answer["CiphertextBlob"]
        return IDENTIFIED_HEAD.pack(Form.AWS_KMS, newest.key_id.bytes) + blob

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See the port. A key id that the settings don't list is an alteration: keep retired keys listed."""
        versions = self._versions(key, signing=False)
        blob = wrapped[IDENTIFIED_HEAD.size :]
        if not 0 < len(blob) <= _LARGEST_BLOB or wrapped[0] != Form.AWS_KMS:
            raise UnwrapRefused("a wrapped data key has another form or length")
        _, key_id = IDENTIFIED_HEAD.unpack_from(wrapped)
        found = next((one for one in versions if one.key_id.bytes == key_id), None)
        if found is None:
            raise UnwrapRefused("a wrapped data key names a key that is not among this one's versions")
        answer = self._call("decrypt", KeyId=found.arn, CiphertextBlob=blob, EncryptionContext=dict(context))
        data_key: bytes = answer["Plaintext"]
        if len(data_key) != DATA_KEY_BYTES:
            raise UnwrapRefused("what was wrapped is no data key")
        return data_key

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """See the port."""
        if len(digest) != sha256().digest_size:
            raise ValueError(f"a SHA-256 digest has {sha256().digest_size} bytes")
        found = next((one for one in self._versions(key, signing=True) if str(one.key_id) == version), None)
        if found is None:
            raise KeyVersionGone(f"the {key} key has no such version")
        answer = self._call("sign", KeyId=found.arn, Message=digest, MessageType="DIGEST", SigningAlgorithm=_ALGORITHM)
        try:
            return raw_of_der(answer["Signature"])
        except ValueError:
            raise KeyServiceUnavailable("KMS gave a signature of another form") from None

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """See the port. A version's name is the id of its KMS key."""
        found = []
        for one in reversed(self._versions(key, signing=True)):
            try:
                answer = self._call("get_public_key", KeyId=one.arn)
            except KeyVersionGone:
                continue  # disabled, or deleted: not usable
            if not is_p256(answer["PublicKey"]):
                raise UnknownKey(f"a KMS key of {key} is no P-256 key")
            found.append(PublicKey(str(one.key_id), answer["PublicKey"]))
        return tuple(found)

    def metadata(self, key: KeyName) -> list[dict[str, Any]]:
        """What KMS tells of a key's versions, oldest first: no operation with the keys. For `sceau stage check`."""
        told = []
        for one in self._versions(key, signing=key in SIGNING_KEYS):
            described = dict(self._call("describe_key", KeyId=one.arn)["KeyMetadata"])
            if (described.get("KeySpec"), described.get("KeyState")) == ("SYMMETRIC_DEFAULT", "Enabled"):
                status = self._call("get_key_rotation_status", KeyId=one.arn)
                described["KeyRotationEnabled"] = status["KeyRotationEnabled"]
            told.append(described)
        return told

    def time(self) -> datetime:
        """KMS's clock, to the second: the date of an answer about the probe key."""
        newest = self._versions(KeyName.PROBE, signing=False)[-1]
        answer = self._call("describe_key", KeyId=newest.arn)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

    def _versions(self, key: KeyName, *, signing: bool) -> tuple[KmsKey, ...]:
        if key not in self._keys or (key in SIGNING_KEYS) is not signing:
            raise UnknownKey(f"the stage has no {'signing' if signing else 'wrapping'} key {key} in KMS")
        return self._keys[key]

    def _call(self, operation: str, **arguments: Any) -> Any:
        def once(_: float) -> Any:
            try:
                return getattr(self._client, operation)(**arguments)
            except ClientError as error:
                _raise(error)
            except (BotoConnectionError, HTTPClientError) as error:
                raise Transient(f"KMS was not reached ({type(error).__name__})") from None
            except BotoCoreError as error:
                # No credentials, a profile that is not there, …: texts of these name files and settings, not secrets.
                raise KeyServiceUnavailable(f"KMS can't be asked ({type(error).__name__})") from None

        return retried(once, sleep=self._sleep, random=self._jitter)


def _raise(error: ClientError) -> NoReturn:
    """As an error of the port. Messages of KMS name ARNs and accounts: only the code goes on."""
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    raised: KeyServiceError | Transient
    if code in _PASSING or status >= _INTERNAL:
        raised = Transient(f"KMS answered {code}")
    elif code in _REFUSED:
        raised = UnwrapRefused("a wrapped data key is altered, or of another key or context")
    elif code in _GONE:
        raised = KeyVersionGone(f"a version of a key in KMS can't be used ({code})")
    elif code in _OTHER_KIND:
        raised = UnknownKey(f"a KMS key is of another kind than its name needs ({code})")
    else:
        raised = KeyServiceUnavailable(f"KMS refused ({code})")
    raise raised from None
