"""A second opinion: the plain AWS Encryption SDK reads our messages, and its messages of other forms are refused.

The master key here knows the raw wrapping key and `docs/formats/wrapped-data-key.md`, and uses none of our code.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_encryption_sdk
import pytest
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy
from aws_encryption_sdk.key_providers.base import MasterKey, MasterKeyConfig
from aws_encryption_sdk.materials_managers import EncryptionMaterials
from aws_encryption_sdk.materials_managers.base import CryptoMaterialsManager
from aws_encryption_sdk.materials_managers.default import DefaultCryptoMaterialsManager
from aws_encryption_sdk.streaming_client import StreamDecryptor
from aws_encryption_sdk.structures import DataKey, EncryptedDataKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fakes.clock import ManualClock
from fakes.key_stands import Stand, local
from sceau.envelope import contexts, sdk
from sceau.envelope.batch import BatchSealer
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope, read_context
from sceau.keys.ports import KeyName

CONTEXT = contexts.document("a" * 26, "b" * 26)
PLAINTEXT = b"Compte rendu"
OURS = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
MIB = 1024 * 1024


class HandMadeConfig(MasterKeyConfig):  # type: ignore[misc]  # the SDK has no types
    provider_id = "sceau"


class HandMadeKey(MasterKey):  # type: ignore[misc]  # the SDK has no types
    """A wrapping key of a local key file, version 1, as its two format pages describe it."""

    provider_id = "sceau"
    _config_class = HandMadeConfig
    raw: bytes

    @classmethod
    def of(cls, path: Path, name: str) -> HandMadeKey:
        key = cls(key_id=name)
        (version,) = json.loads(path.read_text())["keys"][name]["versions"]
        key.raw = base64.b64decode(version["material"])
        return key

    def _bound(self, encryption_context: dict[str, str]) -> bytes:
        def text(value: str) -> bytes:
            return len(value.encode()).to_bytes(2, "big") + value.encode()

        pairs = b"".join(text(name) + text(encryption_context[name]) for name in sorted(encryption_context))
        count = len(encryption_context).to_bytes(2, "big")
        return b"\x01\x00\x00\x00\x01" + bytes([len(self.key_id)]) + bytes(self.key_id) + b"\x01" + count + pairs

    def _generate_data_key(self, algorithm: Any, encryption_context: dict[str, str]) -> Any:
        data_key = os.urandom(algorithm.kdf_input_len)
        return DataKey(self.key_provider, data_key, self._wrapped(data_key, encryption_context))

    def _encrypt_data_key(self, data_key: Any, algorithm: Any, encryption_context: dict[str, str]) -> Any:
        return EncryptedDataKey(self.key_provider, self._wrapped(data_key.data_key, encryption_context))

    def _wrapped(self, data_key: bytes, encryption_context: dict[str, str]) -> bytes:
        nonce = os.urandom(12)
        sealed = AESGCM(self.raw).encrypt(nonce, data_key, self._bound(encryption_context))
        return b"\x01\x00\x00\x00\x01" + nonce + sealed

    def _decrypt_data_key(self, encrypted_data_key: Any, algorithm: Any, encryption_context: dict[str, str]) -> Any:
        wrapped = encrypted_data_key.encrypted_data_key
        bound = self._bound(self.narrowed(encryption_context))
        data_key = AESGCM(self.raw).decrypt(wrapped[5:17], wrapped[17:], bound)
        return DataKey(self.key_provider, data_key, wrapped)

    @staticmethod
    def narrowed(context: dict[str, str]) -> dict[str, str]:
        """What the data key is bound to: the batch's three pairs, or everything."""
        return {name: context[name] for name in ("format", "purpose", "batch")} if "batch" in context else context


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return local(tmp_path)


@pytest.fixture
def content_key(stand: Stand, tmp_path: Path) -> HandMadeKey:
    return HandMadeKey.of(tmp_path / "keys.json", "content")


@pytest.fixture
def envelope(stand: Stand) -> Envelope:
    return Envelope(stand.keys)


def made_by_the_sdk(key: HandMadeKey, *, policy: str = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT", **changes: Any) -> bytes:
    """A message that we accept, unless `changes` make it another."""
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy[policy])
    wanted = {"encryption_context": dict(CONTEXT), "algorithm": OURS, "frame_length": MIB, **changes}
    if "materials_manager" not in wanted:
        wanted["key_provider"] = key
    message, _ = client.encrypt(source=PLAINTEXT, **wanted)
    assert isinstance(message, bytes)
    return message


# Our messages, read by the SDK alone.


@pytest.mark.parametrize("size", [0, 12, MIB, 2 * MIB + 1])
def test_the_plain_sdk_opens_our_message(envelope: Envelope, content_key: HandMadeKey, size: int) -> None:
    plaintext = os.urandom(size)
    message = envelope.seal(KeyName.CONTENT, plaintext, CONTEXT)
    client = aws_encryption_sdk.EncryptionSDKClient(max_encrypted_data_keys=1)
    opened, header = client.decrypt(source=message, key_provider=content_key)
    assert opened == plaintext
    assert header.algorithm is OURS
    assert header.encryption_context == CONTEXT
    assert header.frame_length == MIB


def test_the_plain_sdk_opens_our_batched_message(stand: Stand, tmp_path: Path) -> None:
    context = contexts.event_to_seal("a" * 26, "1", contexts.Carried(bytes(32), 1))
    message = BatchSealer(stand.keys, KeyName.JOURNAL, clock=ManualClock()).seal(PLAINTEXT, context)
    client = aws_encryption_sdk.EncryptionSDKClient(max_encrypted_data_keys=1)
    opened, header = client.decrypt(source=message, key_provider=HandMadeKey.of(tmp_path / "keys.json", "journal"))
    assert opened == PLAINTEXT
    assert header.encryption_context == {**context, "batch": read_context(message)["batch"]}


# The SDK's messages, read by us.


def test_we_open_a_message_of_our_form_that_the_plain_sdk_made(envelope: Envelope, content_key: HandMadeKey) -> None:
    message = made_by_the_sdk(content_key)
    assert envelope.open(KeyName.CONTENT, message, CONTEXT).plaintext == PLAINTEXT


OTHER_SUITES = [Algorithm.get_by_id(number) for number in (0x0014, 0x0078, 0x0114, 0x0178, 0x0378)]


@pytest.mark.parametrize("suite", OTHER_SUITES, ids=lambda suite: f"{suite.algorithm_id:#06x}")
def test_a_message_without_commitment_is_refused(envelope: Envelope, content_key: HandMadeKey, suite: Any) -> None:
    message = made_by_the_sdk(content_key, policy="FORBID_ENCRYPT_ALLOW_DECRYPT", algorithm=suite)
    with pytest.raises(MessageRefused):
        envelope.open(KeyName.CONTENT, message, read_signed(message, content_key))
    with pytest.raises(MessageRefused):
        read_context(message)


def read_signed(message: bytes, key: HandMadeKey) -> dict[str, str]:
    """The message's context as the SDK reads it, without the public key that signing suites add."""
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    plaintext, header = client.decrypt(source=message, key_provider=key)
    assert plaintext == PLAINTEXT
    return {name: value for name, value in header.encryption_context.items() if not name.startswith("aws-")}


def test_a_signed_message_is_refused_for_its_suite(envelope: Envelope, content_key: HandMadeKey) -> None:
    signed = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    message = made_by_the_sdk(content_key, algorithm=signed)
    assert read_signed(message, content_key) == CONTEXT
    with pytest.raises(MessageRefused, match="another algorithm suite"):
        envelope.open(KeyName.CONTENT, message, CONTEXT)


class Twisted(CryptoMaterialsManager):  # type: ignore[misc]  # the SDK has no types
    """Standard materials, with the set of encrypted data keys changed."""

    def __init__(self, key: HandMadeKey, twist: Callable[[Any, dict[str, str]], set[Any]]) -> None:
        self._plain = DefaultCryptoMaterialsManager(master_key_provider=key)
        self._twist = twist

    def get_encryption_materials(self, request: Any) -> Any:
        made = self._plain.get_encryption_materials(request)
        return EncryptionMaterials(
            algorithm=made.algorithm,
            data_encryption_key=made.data_encryption_key,
            encrypted_data_keys=self._twist(made.data_encryption_key, made.encryption_context),
            encryption_context=made.encryption_context,
        )

    def decrypt_materials(self, request: Any) -> Any:
        return self._plain.decrypt_materials(request)


def test_a_message_with_two_or_no_data_keys_is_refused(
    envelope: Envelope, content_key: HandMadeKey, tmp_path: Path
) -> None:
    journal_key = HandMadeKey.of(tmp_path / "keys.json", "journal")

    def of(*keys: HandMadeKey) -> Twisted:
        return Twisted(
            content_key, lambda data_key, context: {k.encrypt_data_key(data_key, OURS, context) for k in keys}
        )

    message = made_by_the_sdk(content_key, materials_manager=of(content_key))
    assert envelope.open(KeyName.CONTENT, message, CONTEXT).plaintext == PLAINTEXT
    for keys in [(content_key, journal_key), (content_key, content_key), ()]:
        message = made_by_the_sdk(content_key, materials_manager=of(*keys))
        with pytest.raises(MessageRefused):
            envelope.open(KeyName.CONTENT, message, CONTEXT)
        with pytest.raises(MessageRefused):
            read_context(message)


def test_a_message_with_the_same_data_key_twice_is_refused(envelope: Envelope, content_key: HandMadeKey) -> None:
    class Twin(EncryptedDataKey):  # type: ignore[misc]  # the SDK has no types
        """The SDK keeps data keys in a set; these stay two there."""

        __eq__ = object.__eq__
        __hash__ = object.__hash__

    def twice(data_key: Any, context: dict[str, str]) -> set[Any]:
        wrapped = content_key.encrypt_data_key(data_key, OURS, context).encrypted_data_key
        return {Twin(content_key.key_provider, wrapped) for _ in range(2)}

    message = made_by_the_sdk(content_key, materials_manager=Twisted(content_key, twice))
    assert aws_encryption_sdk.EncryptionSDKClient().decrypt(source=message, key_provider=content_key)[0] == PLAINTEXT
    with pytest.raises(MessageRefused):
        envelope.open(KeyName.CONTENT, message, CONTEXT)


def test_a_data_key_of_another_provider_is_refused(envelope: Envelope, content_key: HandMadeKey) -> None:
    class Foreign(HandMadeKey):
        class _config_class(MasterKeyConfig):  # type: ignore[misc]  # noqa: N801 - both as the SDK has it
            provider_id = "other"

        provider_id = "other"

    foreign = Foreign(key_id="content")
    foreign.raw = content_key.raw
    with pytest.raises(MessageRefused, match="another provider"):
        envelope.open(KeyName.CONTENT, made_by_the_sdk(foreign), CONTEXT)


@pytest.mark.parametrize("frame_length", [0, 4096, MIB - 128, MIB + 128])
def test_other_frames_and_unframed_messages_are_refused(
    envelope: Envelope, content_key: HandMadeKey, frame_length: int
) -> None:
    message = made_by_the_sdk(content_key, frame_length=frame_length)
    with pytest.raises(MessageRefused, match="other frames"):
        envelope.open(KeyName.CONTENT, message, CONTEXT)


def test_another_data_key_than_the_one_committed_to_is_refused(envelope: Envelope, content_key: HandMadeKey) -> None:
    def another(_: Any, context: dict[str, str]) -> set[Any]:
        return {content_key.encrypt_data_key(DataKey(content_key.key_provider, bytes(32), b""), OURS, context)}

    message = made_by_the_sdk(content_key, materials_manager=Twisted(content_key, another))
    with pytest.raises(MessageRefused):
        envelope.open(KeyName.CONTENT, message, CONTEXT)


# What the SDK does that we rely on, or keep from happening.


def test_the_sdk_alone_takes_what_follows_a_message(envelope: Envelope, content_key: HandMadeKey) -> None:
    # If this fails, the SDK has learnt it, and our own check may go.
    message = envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    opened, _ = aws_encryption_sdk.EncryptionSDKClient().decrypt(source=message + b"more", key_provider=content_key)
    assert opened == PLAINTEXT


# The SDK's stream complains when it is collected, too, in Python's development mode and from 3.13 on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_sdk_alone_logs_errors_and_contexts_and_our_way_does_not(
    envelope: Envelope, content_key: HandMadeKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    message = envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    with pytest.raises(MessageRefused):
        envelope.open(KeyName.CONTENT, message[:-1], CONTEXT)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert CONTEXT["record"] not in caplog.text
    client = aws_encryption_sdk.EncryptionSDKClient()
    with pytest.raises(aws_encryption_sdk.AWSEncryptionSDKClientError):
        client.decrypt(source=message[:-1], key_provider=content_key)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG, logging.INFO, logging.ERROR}
    assert CONTEXT["record"] in caplog.text
    caplog.clear()  # the records hold the stream: let it go while the filter above stands
    gc.collect()


def test_a_refused_message_is_not_complained_about_again_when_collected(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK's stream raises when it is closed early, and Python closes it when it is collected (3.13 then reports it).
    closed: list[object] = []
    message = envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    monkeypatch.setattr(StreamDecryptor, "close", lambda stream: closed.append(type(stream)))
    for other in (message[:-1], message[:50], b""):
        with pytest.raises(MessageRefused):
            envelope.open(KeyName.CONTENT, other, CONTEXT)
    gc.collect()
    assert closed == []


def test_the_given_materials_only_seal_and_the_asking_ones_only_open() -> None:
    with pytest.raises(NotImplementedError):
        sdk._Given("content", bytes(32), b"").decrypt_materials(None)
    with pytest.raises(NotImplementedError):
        sdk._Asking(lambda _: bytes(32)).get_encryption_materials(None)
