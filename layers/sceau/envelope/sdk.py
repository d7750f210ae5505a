"""The AWS Encryption SDK, held to the one form of message that we accept. No key service is called from here.

What the SDK leaves open and this module closes:

* it ignores what follows a message: here trailing bytes are refused;
* it takes any suite with commitment, any frame size, unframed messages: here one suite and one frame size;
* `EncryptionSDKClient.decrypt` logs an error with a stack trace for each refused message, and reads in steps of 8 KiB
  that copy a whole frame each: here the stream is read by frames and closed quietly;
* it takes several encrypted data keys, and sees equal ones as one: here exactly one, of ours.

Its other log lines on our path are debug lines with lengths and frame numbers only (a test holds it to that).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import Algorithm
from aws_encryption_sdk.materials_managers import DecryptionMaterials, EncryptionMaterials
from aws_encryption_sdk.materials_managers.base import CryptoMaterialsManager
from aws_encryption_sdk.structures import DataKey, EncryptedDataKey, MasterKeyInfo
from cryptography.exceptions import InvalidTag

from sceau.envelope.errors import MessageRefused

PROVIDER = "sceau"
FRAME_BYTES = 1024 * 1024

_SUITE = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_CLIENT = EncryptionSDKClient(
    commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, max_encrypted_data_keys=1
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a message says of itself; not authenticated until the message is opened with the right data key."""

    key: str
    wrapped: bytes
    context: dict[str, str]


def write(plaintext: bytes, context: Mapping[str, str], *, key: str, data_key: bytes, wrapped: bytes) -> bytes:
    """Seal `plaintext` under `data_key`, with `context` and the wrapped key in the header."""
    stream = _CLIENT.stream(
        mode="e",
        source=io.BytesIO(plaintext),
        source_length=len(plaintext),
        materials_manager=_Given(key, data_key, wrapped),
        encryption_context=dict(context),
        algorithm=_SUITE,
        frame_length=FRAME_BYTES,
    )
    return _drain(stream)


def read(message: bytes, data_key_for: Callable[[Header], bytes]) -> tuple[bytes, dict[str, str]]:
    """Open `message` under the data key that `data_key_for` gives for its header (or refuses to, by raising).

    Returns the plaintext and the encryption context, both authenticated.

    Raises MessageRefused for whatever is wrong with the bytes; errors of `data_key_for` pass unchanged.
    """
    source = io.BytesIO(message)
    stream = _CLIENT.stream(mode="d", source=source, materials_manager=_Asking(data_key_for))
    try:
        header = stream.header
        if header.frame_length != FRAME_BYTES:  # 0 in unframed messages, the SDK sees to that
            raise MessageRefused("the message has other frames than ours")
        plaintext = _drain(stream)
    except (AWSEncryptionSDKClientError, InvalidTag, UnicodeDecodeError):
        # Their texts quote parts of the message.
        raise MessageRefused("the message is altered, truncated or not of our form") from None
    finally:
        # The SDK's own close complains of a message that was not read to its end, and would again when collected.
        io.IOBase.close(stream)
    if source.tell() != len(message):
        raise MessageRefused("something follows the message")
    return plaintext, header.encryption_context


def read_header(message: bytes) -> Header:
    """Parse the header without a key: NOT authenticated. The start of a message is enough, if it holds the header.

    Raises MessageRefused when there is no header of our form.
    """
    found: list[Header] = []

    def note(header: Header) -> NoReturn:
        found.append(header)
        raise MessageRefused("not read further than its header")

    try:
        read(message, note)
    except MessageRefused:
        if not found:
            raise
    return found[0]


def _drain(stream: Any) -> bytes:
    chunks = []
    while chunk := stream.read(FRAME_BYTES):
        chunks.append(chunk)
    stream.close()  # raises unless the final frame was read
    return b"".join(chunks)


class _Given(CryptoMaterialsManager):  # type: ignore[misc]  # the SDK has no types
    """Gives the SDK the data key that we made, already wrapped."""

    def __init__(self, key: str, data_key: bytes, wrapped: bytes) -> None:
        self._provider = MasterKeyInfo(provider_id=PROVIDER, key_info=key.encode())
        self._data_key = data_key
        self._wrapped = wrapped

    def get_encryption_materials(self, request: Any) -> Any:
        return EncryptionMaterials(
            algorithm=_SUITE,
            data_encryption_key=DataKey(self._provider, self._data_key, self._wrapped),
            encrypted_data_keys={EncryptedDataKey(self._provider, self._wrapped)},
            encryption_context=request.encryption_context,
        )

    def decrypt_materials(self, request: Any) -> NoReturn:
        raise NotImplementedError("this one only seals")


class _Asking(CryptoMaterialsManager):  # type: ignore[misc]  # the SDK has no types
    """Asks for the data key of a parsed header, once the header is of our form."""

    def __init__(self, data_key_for: Callable[[Header], bytes]) -> None:
        self._data_key_for = data_key_for

    def get_encryption_materials(self, request: Any) -> NoReturn:
        raise NotImplementedError("this one only opens")

    def decrypt_materials(self, request: Any) -> Any:
        if request.algorithm is not _SUITE:
            raise MessageRefused("the message has another algorithm suite than ours")
        if len(request.encrypted_data_keys) != 1:
            raise MessageRefused("the message has not exactly one encrypted data key")
        (found,) = request.encrypted_data_keys
        if found.key_provider.provider_id != PROVIDER:
            raise MessageRefused("the message has a data key of another provider")
        header = Header(
            key=found.key_provider.key_info.decode(),
            wrapped=found.encrypted_data_key,
            context=request.encryption_context,
        )
        data_key = DataKey(found.key_provider, self._data_key_for(header), header.wrapped)
        return DecryptionMaterials(data_key=data_key, verification_key=None)
