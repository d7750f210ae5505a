"""A function reaches only the operations that it was granted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from fakes.key_stands import local
from fakes.keys import PolicingKeys
from sceau.keys.errors import KeyRightDenied
from sceau.keys.ports import SIGNING_KEYS, KeyName, KeyService
from sceau.keys.scoped import KeyOperation, ScopedKeys

CONTEXT = {"purpose": "document"}
DIGEST = sha256(b"").digest()
CELLS = [
    (key, operation)
    for key, operation in itertools.product(KeyName, KeyOperation)
    if operation is not KeyOperation.DESCRIBE  # of another port: tests/unit/test_rights_table.py
    and (key in SIGNING_KEYS) == (operation in {KeyOperation.SIGN, KeyOperation.PUBLIC})
]


@pytest.fixture
def service(tmp_path: Path) -> PolicingKeys:
    return PolicingKeys(local(tmp_path).keys)


def call(keys: KeyService, service: PolicingKeys, key: KeyName, operation: KeyOperation) -> object:
    calls: dict[KeyOperation, Callable[[], object]] = {
        KeyOperation.WRAP: lambda: keys.wrap(key, bytes(32), CONTEXT),
        KeyOperation.UNWRAP: lambda: keys.unwrap(key, service.inner.wrap(key, bytes(32), CONTEXT), CONTEXT),
        KeyOperation.SIGN: lambda: keys.sign(key, DIGEST, version="1"),
        KeyOperation.PUBLIC: lambda: keys.public_keys(key),
    }
    return calls[operation]()


@pytest.mark.parametrize(("key", "operation"), CELLS)
def test_one_grant_opens_one_cell_and_no_other(service: PolicingKeys, key: KeyName, operation: KeyOperation) -> None:
    keys = ScopedKeys(service, {key: {operation}})
    assert call(keys, service, key, operation)
    assert [(made.key, made.operation) for made in service.calls] == [(key, operation)]
    for other in CELLS:
        if other != (key, operation):
            with pytest.raises(KeyRightDenied, match=f"{other[1]} on the {other[0]} key"):
                call(keys, service, *other)
    assert len(service.calls) == 1


def test_without_grants_nothing_reaches_the_service(service: PolicingKeys) -> None:
    for grants in ({}, {key: frozenset[KeyOperation]() for key in KeyName}):
        for cell in CELLS:
            with pytest.raises(KeyRightDenied):
                call(ScopedKeys(service, grants), service, *cell)
    assert service.calls == []


def test_grants_can_not_be_widened_afterwards(service: PolicingKeys) -> None:
    operations = {KeyOperation.WRAP}
    grants = {KeyName.CONTENT: operations}
    keys = ScopedKeys(service, grants)
    operations.add(KeyOperation.UNWRAP)
    grants[KeyName.DOSSIER] = {KeyOperation.UNWRAP}
    for key in (KeyName.CONTENT, KeyName.DOSSIER):
        with pytest.raises(KeyRightDenied):
            call(keys, service, key, KeyOperation.UNWRAP)
    assert service.calls == []
