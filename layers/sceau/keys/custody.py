"""Two key services in one, both needed: neither the host nor the organisation alone can open what it holds.

A data key is parted in two: 32 random bytes, which the first service wraps, and the data key XOR these, which the
second wraps, bound to the first's wrapped bytes as well as to the context. Either part alone says nothing of the data
key, and parts of two keys don't fit together. Each operation asks each service once.

Purposes that don't need both are the first service's alone; so are signatures, which can't be parted.
Form: `docs/formats/wrapped-data-key.md`. Why not one in the other: docs/decisions/0015-custody-parts-the-data-key.md
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Set
from hashlib import sha256
from typing import Final

from sceau.keys.errors import UnwrapRefused
from sceau.keys.ports import DATA_KEY_BYTES, SIGNING_KEYS, KeyName, KeyService, PublicKey
from sceau.keys.wrapped import CUSTODY_HEAD, Form, custody_parts

PAIR: Final = "custody"
"""The pair that the second part's context has besides the context: SHA-256 of the first part, in hex."""


class CustodyKeyService:
    """The port on `first` and `second`; `both` are the keys that need the two. `random_bytes` parts the data keys.

    `single`: while a stage moves into custody, what the first service alone wrapped is unwrapped too. Without it a
    stage's own past would be a way around the second service for whoever holds the first.
    """

    def __init__(
        self,
        first: KeyService,
        second: KeyService,
        both: Set[KeyName],
        *,
        single: bool = False,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if both & SIGNING_KEYS:
            raise ValueError("a signing key is of one service")
        self._first = first
        self._second = second
        self._both = frozenset(both)
        self._single = single
        self._random_bytes = random_bytes

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port. If the second service fails, what the first wrapped is worth nothing and kept nowhere."""
        if key not in self._both:
            return self._first.wrap(key, data_key, context)
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        mask = self._random_bytes(DATA_KEY_BYTES)
        first = self._first.wrap(key, mask, context)
        second = self._second.wrap(key, _xor(data_key, mask), _second_context(first, context))
        return CUSTODY_HEAD.pack(Form.CUSTODY, len(first)) + first + second

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See the port."""
        if key not in self._both or (self._single and wrapped[:1] != bytes([Form.CUSTODY])):
            return self._first.unwrap(key, wrapped, context)
        try:
            first, second = custody_parts(wrapped)
        except ValueError:
            raise UnwrapRefused("a wrapped data key is not in the custody of two services") from None
        mask = self._first.unwrap(key, first, context)
        return _xor(self._second.unwrap(key, second, _second_context(first, context)), mask)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """See the port."""
        return self._first.sign(key, digest, version=version)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """See the port."""
        return self._first.public_keys(key)


def _second_context(first: bytes, context: Mapping[str, str]) -> dict[str, str]:
    if PAIR in context:
        raise ValueError("an encryption context uses a reserved name")
    return {**context, PAIR: sha256(first).hexdigest()}


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))
