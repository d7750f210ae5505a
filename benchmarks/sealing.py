"""Sealing a document against the AWS Encryption SDK alone: same suite, same frames, a key of its own in memory."""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

from benchmarks.figures import Bar, Figures, table
from sceau.envelope.contexts import document
from sceau.envelope.messages import Envelope
from sceau.envelope.sdk import FRAME_BYTES
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName
from sceau.records.ids import encode_id

MEBIBYTE = 1024 * 1024
ROUNDS = 40
_SHARE = Bar(0.9, least=True)


class _MemoryKeys(RawMasterKeyProvider):  # type: ignore[misc]  # the SDK has no types
    """The SDK's own provider of a raw key."""

    provider_id = "bench"

    def __init__(self) -> None:
        self._key = WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=secrets.token_bytes(32),
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )

    def _get_raw_key(self, key_id: Any) -> WrappingKey:
        return self._key


def sealing(figures: Figures) -> None:
    """1 MB, in turn: ours, the SDK's. The medians count."""
    content = secrets.token_bytes(MEBIBYTE)
    context = document(encode_id(bytes(16)), encode_id(bytes(16)))
    client = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    provider = _MemoryKeys()
    provider.add_master_key("bench")
    with tempfile.TemporaryDirectory(prefix="sceau-seal-") as folder:
        path = Path(folder) / "keys.json"
        create_key_file(path, clock=lambda: datetime.now(UTC))
        envelope = Envelope(LocalKeyService(path))
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda: envelope.seal(KeyName.CONTENT, content, context),
            "the SDK alone": lambda: client.encrypt(
                source=content,
                key_provider=provider,
                encryption_context=context,
                algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
                frame_length=FRAME_BYTES,
            ),
        }
        millis: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                millis[name].append((time.perf_counter() - started) * 1000)
    middle = {name: statistics.median(values) for name, values in millis.items()}
    rows = [(name, value, 1000 / value) for name, value in middle.items()]
    print(table("Sealing 1 MB", ("how", "ms", "MB/s"), rows))
    figures.add("seal.ours.mb_per_s", 1000 / middle["ours"])
    figures.add("seal.sdk.mb_per_s", 1000 / middle["the SDK alone"])
    figures.add("seal.ours_to_sdk", middle["the SDK alone"] / middle["ours"], _SHARE)
