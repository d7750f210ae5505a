"""What is AWS's own: KMS's errors by their codes, keys of other kinds, retries, the wrapped form. On a stand-in."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from cryptography.hazmat.primitives.asymmetric import ec

from fakes.kms_client import REGION, StandInKms
from sceau.keys.aws_kms import AwsKmsKeyService, connect
from sceau.keys.errors import (
    KeyServiceError,
    KeyServiceUnavailable,
    KeyVersionGone,
    UnknownKey,
    UnwrapRefused,
)
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.retrying import ATTEMPTS
from sceau.objects.deadline import within

CONTEXT = {"format": "1", "purpose": "document"}
DATA_KEY = bytes(range(32, 64))


@pytest.fixture
def kms() -> StandInKms:
    return StandInKms()


@pytest.fixture
def arns(kms: StandInKms) -> dict[KeyName, list[str]]:
    return {key: [kms.create(signing=key in SIGNING_KEYS)] for key in KeyName}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def keys(kms: StandInKms, arns: dict[KeyName, list[str]], pauses: list[float]) -> AwsKmsKeyService:
    return AwsKmsKeyService(kms.client(), arns, sleep=pauses.append, jitter=lambda: 1.0)


def all_operations(keys: AwsKmsKeyService, arns: dict[KeyName, list[str]], wrapped: bytes) -> list[Callable[[], Any]]:
    version = arns[KeyName.TOKENS][0].rpartition("/")[2]
    return [
        lambda: keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT),
        lambda: keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT),
        lambda: keys.sign(KeyName.TOKENS, bytes(32), version=version),
        lambda: keys.public_keys(KeyName.TOKENS),
    ]


def outcome(ask: Callable[[], Any]) -> type[KeyServiceError]:
    with pytest.raises(KeyServiceError) as refused:
        ask()
    assert "arn:" not in str(refused.value)
    assert "111122223333" not in str(refused.value), "neither account nor key in a message"
    assert refused.value.__cause__ is None
    return type(refused.value)


# What is sent, and what it becomes.


def test_the_context_is_kms_s_own_encryption_context(
    keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert kms.calls == [
        (
            "Encrypt",
            {
                "KeyId": arns[KeyName.CONTENT][0],
                "Plaintext": base64.b64encode(DATA_KEY).decode(),
                "EncryptionContext": CONTEXT,
            },
        )
    ]


def test_a_blob_is_opened_by_the_key_that_its_head_names_and_no_other(
    keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT)
    operation, sent = kms.calls[-1]
    assert (operation, sent["KeyId"], sent["EncryptionContext"]) == ("Decrypt", arns[KeyName.CONTENT][0], CONTEXT)


def test_pinned_wrapped_key() -> None:
    class Client:
        """Gives what KMS would: opaque bytes."""

        def encrypt(self, **_: Any) -> dict[str, Any]:
            return {"CiphertextBlob": b"opaque"}

        def decrypt(self, **sent: Any) -> dict[str, Any]:
            assert sent["CiphertextBlob"] == b"opaque"
            return {"Plaintext": DATA_KEY}

    arn = "arn:aws:kms:eu-west-3:111122223333:key/0a8f1c52-1d2e-4f3a-8b4c-5d6e7f809a1b"
    keys = AwsKmsKeyService(Client(), {KeyName.CONTENT: [arn]})
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert wrapped.hex() == "040a8f1c521d2e4f3a8b4c5d6e7f809a1b6f7061717565"
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY


def test_a_multi_region_key_is_no_key_of_ours() -> None:
    arn = "arn:aws:kms:eu-west-3:111122223333:key/mrk-0a8f1c521d2e4f3a8b4c5d6e7f809a1b"
    with pytest.raises(ValueError, match="badly formed"):
        AwsKmsKeyService(None, {KeyName.CONTENT: [arn]})


def test_what_was_wrapped_under_a_key_that_the_settings_no_longer_list_is_refused_without_a_call(
    keys: AwsKmsKeyService, kms: StandInKms
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    calls = len(kms.calls)
    with pytest.raises(UnwrapRefused):
        keys.unwrap(KeyName.CONTENT, b"\x04" + uuid.uuid4().bytes + wrapped[17:], CONTEXT)
    assert len(kms.calls) == calls


# Keys that can't be used.


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_key_that_is_off_is_a_version_that_is_gone(
    state: str, keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    for key in (KeyName.CONTENT, KeyName.TOKENS):
        kms.keys[arns[key][0]].state = state
    wrap, unwrap, sign, public = all_operations(keys, arns, wrapped)
    assert [outcome(wrap), outcome(unwrap), outcome(sign)] == [KeyServiceUnavailable, KeyVersionGone, KeyVersionGone]
    assert public() == (), "and nothing says why: who signs finds no key"
    keys.wrap(KeyName.DOSSIER, bytes(range(32)), CONTEXT)


def test_a_key_that_was_deleted_is_gone(
    keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    del kms.keys[arns[KeyName.CONTENT][0]]
    wrap, unwrap, *_ = all_operations(keys, arns, wrapped)
    assert (outcome(wrap), outcome(unwrap)) == (KeyServiceUnavailable, KeyVersionGone)


def test_a_key_of_another_kind_is_told(keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    content, tokens = kms.keys[arns[KeyName.CONTENT][0]], kms.keys[arns[KeyName.TOKENS][0]]
    content.key, tokens.key = tokens.key, content.key
    assert [outcome(ask) for ask in all_operations(keys, arns, wrapped)] == [UnknownKey] * 4


def test_a_signing_key_of_another_curve_is_told(
    keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    kms.keys[arns[KeyName.TOKENS][0]].key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(UnknownKey, match="no P-256 key"):
        keys.public_keys(KeyName.TOKENS)
    with pytest.raises(KeyServiceUnavailable, match="another form"):
        keys.sign(KeyName.TOKENS, bytes(32), version=arns[KeyName.TOKENS][0].rpartition("/")[2])


def test_a_key_that_the_settings_do_not_name_is_unknown(kms: StandInKms) -> None:
    keys = AwsKmsKeyService(kms.client(), {KeyName.CONTENT: []})
    with pytest.raises(UnknownKey):
        keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    with pytest.raises(UnknownKey):
        keys.public_keys(KeyName.TOKENS)


# Failures.

PASSING = [
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "KMSInternalException",
    "DependencyTimeoutException",
    "KeyUnavailableException",
    EndpointConnectionError(endpoint_url="https://kms.eu-west-3.amazonaws.com"),
    ReadTimeoutError(endpoint_url="https://kms.eu-west-3.amazonaws.com"),
]


@pytest.mark.parametrize("failure", PASSING, ids=str)
def test_what_passes_is_tried_again(
    failure: str | Exception,
    keys: AwsKmsKeyService,
    kms: StandInKms,
    arns: dict[KeyName, list[str]],
    pauses: list[float],
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    for ask in all_operations(keys, arns, wrapped):
        before = len(kms.calls)
        kms.fails = lambda number, first=before: failure if number <= first + 2 else None  # type: ignore[misc]
        ask()
        assert len(kms.calls) == before + 3
    assert pauses == [0.05, 0.1] * 4


@pytest.mark.parametrize("failure", PASSING, ids=str)
def test_what_does_not_pass_is_unavailable_after_a_bounded_number_of_attempts(
    failure: str | Exception, keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    kms.fails = lambda _: failure
    for ask in all_operations(keys, arns, wrapped):
        before = len(kms.calls)
        assert outcome(ask) is KeyServiceUnavailable
        assert len(kms.calls) == before + ATTEMPTS


@pytest.mark.parametrize(
    "failure",
    [
        "AccessDeniedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "ValidationException",
        "SomethingNew",
        NoCredentialsError(),
    ],
    ids=str,
)
def test_what_does_not_help_to_try_again_is_unavailable_at_once(
    failure: str | Exception, keys: AwsKmsKeyService, kms: StandInKms, arns: dict[KeyName, list[str]]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    kms.fails = lambda _: failure
    for ask in all_operations(keys, arns, wrapped):
        before = len(kms.calls)
        assert outcome(ask) is KeyServiceUnavailable
        assert len(kms.calls) == before + 1


def test_a_caller_without_time_sends_nothing(keys: AwsKmsKeyService, kms: StandInKms) -> None:
    with within(-1), pytest.raises(KeyServiceUnavailable):
        keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert kms.calls == []


def test_the_client_keeps_to_the_region_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://kms.us-east-1.amazonaws.com")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "https://kms.us-east-1.amazonaws.com")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    client = connect(REGION)
    assert client.meta.endpoint_url == "https://kms.eu-west-3.amazonaws.com"
    assert client.meta.region_name == REGION
    assert client.meta.config.retries["total_max_attempts"] == 1
