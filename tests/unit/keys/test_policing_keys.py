"""The fake notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from fakes.key_stands import local
from fakes.keys import Call, MisusedKeyServiceError, PolicingKeys, on, on_calls
from sceau.keys.errors import KeyServiceUnavailable
from sceau.keys.ports import KeyName, KeyService
from sceau.keys.scoped import KeyOperation

CONTEXT = {"purpose": "document"}
KEY, OTHER_KEY = bytes(32), bytes([1] * 32)


@pytest.fixture
def keys(tmp_path: Path) -> PolicingKeys:
    return PolicingKeys(local(tmp_path).keys)


@pytest.mark.parametrize(
    ("misuse", "said"),
    [
        (lambda keys: keys.wrap(KeyName.CONTENT, OTHER_KEY, {}), "without a context"),
        (lambda keys: keys.unwrap(KeyName.CONTENT, b"", {}), "without a context"),
        (lambda keys: keys.wrap(KeyName.CONTENT, KEY, CONTEXT), "wrapped twice, now under content"),
        (lambda keys: keys.wrap(KeyName.JOURNAL, KEY, {"purpose": "event"}), "wrapped twice, now under journal"),
        (lambda keys: keys.sign(KeyName.TOKENS, b"not hashed", version="1"), "no SHA-256 digest"),
    ],
)
def test_misuse_is_raised_and_kept_and_does_not_reach_the_service(
    keys: PolicingKeys, misuse: Callable[[KeyService], object], said: str
) -> None:
    keys.wrap(KeyName.CONTENT, KEY, CONTEXT)
    with pytest.raises(MisusedKeyServiceError, match=said):
        misuse(keys)
    assert len(keys.misuses) == 1
    assert len(keys.calls) == 1


def test_a_key_whose_wrapping_failed_must_not_be_wrapped_again(keys: PolicingKeys) -> None:
    keys.fails = on_calls(1)
    with pytest.raises(KeyServiceUnavailable):
        keys.wrap(KeyName.CONTENT, KEY, CONTEXT)
    with pytest.raises(MisusedKeyServiceError):
        keys.wrap(KeyName.CONTENT, KEY, CONTEXT)


def test_it_counts_fails_on_demand_and_waits_first(keys: PolicingKeys) -> None:
    waited: list[Call] = []
    keys.waits = waited.append
    keys.fails = on(KeyOperation.UNWRAP, KeyName.CONTENT)
    wrapped = keys.wrap(KeyName.CONTENT, KEY, CONTEXT)
    with pytest.raises(KeyServiceUnavailable):
        keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT)
    keys.fails = on_calls(4)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == KEY
    with pytest.raises(KeyServiceUnavailable):
        keys.sign(KeyName.TOKENS, sha256().digest(), version="1")
    assert keys.public_keys(KeyName.TOKENS)
    assert [(call.number, call.operation) for call in waited] == [
        (1, KeyOperation.WRAP),
        (2, KeyOperation.UNWRAP),
        (3, KeyOperation.UNWRAP),
        (4, KeyOperation.SIGN),
        (5, KeyOperation.PUBLIC),
    ]
    assert keys.count() == 5
    assert keys.count(KeyOperation.UNWRAP) == 2
    assert keys.count(key=KeyName.CONTENT) == 3
    assert keys.count(KeyOperation.SIGN, KeyName.CONTENT) == 0
    assert keys.misuses == []
