"""The contract of the key-service port, on every adapter."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from fakes.key_stands import ADAPTERS, Stand, mark_flaws
from sceau.keys.errors import KeyVersionGone, UnknownKey, UnwrapRefused
from sceau.keys.ports import SIGNING_KEYS, KeyName, KeyService

WRAPPING_KEYS = sorted(set(KeyName) - SIGNING_KEYS)
CONTEXT = {"format": "1", "purpose": "document", "record": "aaaa", "entry": "bbbb"}
MESSAGE = b"what is signed"
DIGEST = sha256(MESSAGE).digest()


@pytest.fixture(params=sorted(ADAPTERS))
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    stand = ADAPTERS[request.param](tmp_path)
    mark_flaws(stand, request.node)
    yield stand
    stand.close()


@pytest.fixture
def keys(stand: Stand) -> KeyService:
    return stand.keys


def other_contexts() -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "empty", {}
    yield "one added", {**CONTEXT, "more": "x"}
    yield "values exchanged", {**CONTEXT, "record": CONTEXT["entry"], "entry": CONTEXT["record"]}
    yield (
        "border between name and value moved",
        {
            **{name: value for name, value in CONTEXT.items() if name != "entry"},
            "entryb": "bbb",
        },
    )
    for name, value in CONTEXT.items():
        rest = {other: text for other, text in CONTEXT.items() if other != name}
        yield f"{name} dropped", rest
        yield f"{name} changed", {**rest, name: value[:-1] + "z"}
        yield f"{name} longer", {**rest, name: value + "\0"}
        yield f"{name} empty", {**rest, name: ""}
        yield f"{name} renamed", {**rest, name.upper(): value}


def sampled(length: int) -> list[int]:
    """All positions of short bytes; of long ones, both ends and some between."""
    if length <= 160:
        return list(range(length))
    return sorted({*range(64), *range(length - 64, length), *range(64, length - 64, length // 32)})


@pytest.mark.parametrize("key", WRAPPING_KEYS)
def test_unwrap_returns_what_was_wrapped(keys: KeyService, key: KeyName) -> None:
    data_key = secrets.token_bytes(32)
    assert keys.unwrap(key, keys.wrap(key, data_key, CONTEXT), CONTEXT) == data_key


def test_order_of_the_context_does_not_matter(keys: KeyService) -> None:
    data_key = secrets.token_bytes(32)
    wrapped = keys.wrap(KeyName.CONTENT, data_key, CONTEXT)
    assert keys.unwrap(KeyName.CONTENT, wrapped, dict(reversed(CONTEXT.items()))) == data_key


def test_wrapping_twice_gives_different_bytes_that_hide_the_key(keys: KeyService) -> None:
    data_key = secrets.token_bytes(32)
    first, second = (keys.wrap(KeyName.CONTENT, data_key, CONTEXT) for _ in range(2))
    assert first != second
    assert data_key not in first + second


@pytest.mark.parametrize("other", [pytest.param(context, id=name) for name, context in other_contexts()])
def test_another_context_is_refused(keys: KeyService, other: Mapping[str, str]) -> None:
    data_key = secrets.token_bytes(32)
    wrapped = keys.wrap(KeyName.CONTENT, data_key, CONTEXT)
    with pytest.raises(UnwrapRefused):
        keys.unwrap(KeyName.CONTENT, wrapped, other)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == data_key


def test_an_altered_byte_anywhere_is_refused(keys: KeyService) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, secrets.token_bytes(32), CONTEXT)
    for position in sampled(len(wrapped)):
        for flip in (0x01, 0x80, 0xFF):
            altered = bytearray(wrapped)
            altered[position] ^= flip
            with pytest.raises(UnwrapRefused):
                keys.unwrap(KeyName.CONTENT, bytes(altered), CONTEXT)


def test_truncated_extended_and_foreign_bytes_are_refused(keys: KeyService) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, secrets.token_bytes(32), CONTEXT)
    shorter = [wrapped[:length] for length in sampled(len(wrapped))]
    for other in (*shorter, wrapped[1:], wrapped + b"\0", wrapped + wrapped, b"\0" + wrapped, bytes(len(wrapped))):
        with pytest.raises(UnwrapRefused):
            keys.unwrap(KeyName.CONTENT, other, CONTEXT)


@pytest.mark.parametrize("other", [key for key in WRAPPING_KEYS if key != KeyName.CONTENT])
def test_another_key_does_not_unwrap(keys: KeyService, other: KeyName) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, secrets.token_bytes(32), CONTEXT)
    with pytest.raises(UnwrapRefused):
        keys.unwrap(other, wrapped, CONTEXT)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_only_32_bytes_are_wrapped(keys: KeyService, size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        keys.wrap(KeyName.CONTENT, bytes(size), CONTEXT)


@pytest.mark.parametrize("key", sorted(SIGNING_KEYS))
def test_a_signing_key_does_not_wrap(keys: KeyService, key: KeyName) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, secrets.token_bytes(32), CONTEXT)
    with pytest.raises(UnknownKey):
        keys.wrap(key, secrets.token_bytes(32), CONTEXT)
    with pytest.raises(UnknownKey):
        keys.unwrap(key, wrapped, CONTEXT)


@pytest.mark.parametrize("key", WRAPPING_KEYS)
def test_a_wrapping_key_does_not_sign(keys: KeyService, key: KeyName) -> None:
    with pytest.raises(UnknownKey):
        keys.sign(key, DIGEST, version="1")
    with pytest.raises(UnknownKey):
        keys.public_keys(key)


def test_a_new_version_wraps_and_the_old_one_still_unwraps(stand: Stand) -> None:
    keys, old_key, new_key = stand.keys, secrets.token_bytes(32), secrets.token_bytes(32)
    old = keys.wrap(KeyName.CONTENT, old_key, CONTEXT)
    stand.add_version(KeyName.CONTENT)
    new = keys.wrap(KeyName.CONTENT, new_key, CONTEXT)
    assert keys.unwrap(KeyName.CONTENT, old, CONTEXT) == old_key
    assert keys.unwrap(KeyName.CONTENT, new, CONTEXT) == new_key

    stand.disable_oldest(KeyName.CONTENT)
    with pytest.raises(KeyVersionGone):
        keys.unwrap(KeyName.CONTENT, old, CONTEXT)
    assert keys.unwrap(KeyName.CONTENT, new, CONTEXT) == new_key


def test_rotating_one_key_leaves_the_others(stand: Stand) -> None:
    data_key = secrets.token_bytes(32)
    wrapped = stand.keys.wrap(KeyName.DOSSIER, data_key, CONTEXT)
    stand.add_version(KeyName.CONTENT)
    stand.disable_oldest(KeyName.CONTENT)
    assert stand.keys.unwrap(KeyName.DOSSIER, wrapped, CONTEXT) == data_key


def verify(spki: bytes, signature: bytes, message: bytes) -> None:
    public = load_der_public_key(spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)
    assert len(signature) == 64
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("key", sorted(SIGNING_KEYS))
def test_a_signature_verifies_over_the_message_elsewhere(keys: KeyService, key: KeyName) -> None:
    (public,) = keys.public_keys(key)
    signature = keys.sign(key, DIGEST, version=public.version)
    verify(public.spki, signature, MESSAGE)
    with pytest.raises(InvalidSignature):
        verify(public.spki, signature, MESSAGE + b".")


def test_the_signing_keys_are_different_keys(keys: KeyService) -> None:
    assert len({keys.public_keys(key)[0].spki for key in SIGNING_KEYS}) == len(SIGNING_KEYS)


def test_versions_of_a_signing_key_newest_first_each_signs_until_disabled(stand: Stand) -> None:
    keys = stand.keys
    (first,) = keys.public_keys(KeyName.TOKENS)
    stand.add_version(KeyName.TOKENS)
    second, old = keys.public_keys(KeyName.TOKENS)
    assert old == first
    assert second.version != first.version
    for public in (first, second):
        verify(public.spki, keys.sign(KeyName.TOKENS, DIGEST, version=public.version), MESSAGE)

    stand.disable_oldest(KeyName.TOKENS)
    assert keys.public_keys(KeyName.TOKENS) == (second,)
    with pytest.raises(KeyVersionGone):
        keys.sign(KeyName.TOKENS, DIGEST, version=first.version)
    verify(second.spki, keys.sign(KeyName.TOKENS, DIGEST, version=second.version), MESSAGE)


def test_an_unknown_version_does_not_sign(keys: KeyService) -> None:
    for version in ("", "0", "2", "latest"):
        with pytest.raises(KeyVersionGone):
            keys.sign(KeyName.TOKENS, DIGEST, version=version)


@pytest.mark.parametrize("size", [0, 20, 31, 33, 48, 64])
def test_only_32_byte_digests_are_signed(keys: KeyService, size: int) -> None:
    (public,) = keys.public_keys(KeyName.TOKENS)
    with pytest.raises(ValueError, match="32 bytes"):
        keys.sign(KeyName.TOKENS, bytes(size), version=public.version)


def test_threads_do_not_disturb_each_other(stand: Stand) -> None:
    keys = stand.keys
    (public,) = keys.public_keys(KeyName.TOKENS)

    def work(worker: int) -> None:
        for turn in range(25):
            data_key, context = secrets.token_bytes(32), {**CONTEXT, "record": f"{worker}.{turn}"}
            wrapped = keys.wrap(KeyName.CONTENT, data_key, context)
            message = f"{worker}.{turn}".encode()
            signature = keys.sign(KeyName.TOKENS, sha256(message).digest(), version=public.version)
            verify(public.spki, signature, message)
            assert keys.unwrap(KeyName.CONTENT, wrapped, context) == data_key

    with ThreadPoolExecutor(8) as pool:
        rotation = pool.submit(stand.add_version, KeyName.CONTENT)
        for done in [pool.submit(work, worker) for worker in range(8)]:
            done.result()
        rotation.result()
