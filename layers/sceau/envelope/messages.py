"""Seal and open one message under its own data key. What is in the bytes: `docs/formats/sealed-message.md`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sceau.envelope import sdk
from sceau.envelope.contexts import BATCH
from sceau.envelope.errors import MessageRefused
from sceau.keys.errors import UnwrapRefused
from sceau.keys.ports import DATA_KEY_BYTES, KeyName, KeyService

LARGEST_CONTEXT_BYTES = 4096
"""Names and values together. AWS KMS takes 8,192 bytes, with its own quoting."""

_RESERVED_PREFIX = "aws-crypto-"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a message held, and its whole encryption context: both authenticated."""

    plaintext: bytes
    context: dict[str, str]


class Envelope:
    """Seals and opens messages, each under a data key of its own, wrapped by `keys`. Safe under threads.

    `random_bytes` makes the data keys; the message ids come from the SDK, which takes them from the operating system.
    """

    def __init__(self, keys: KeyService, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._keys = keys
        self._random_bytes = random_bytes

    def seal(self, key: KeyName, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Seal under a new data key wrapped by `key`, bound to `context`: one call of the key service (wrap).

        Raises what the key service's `wrap` raises; ValueError for a context that can't be used (see `usable`).
        """
        whole = usable(context)
        data_key = self._random_bytes(DATA_KEY_BYTES)
        wrapped = self._keys.wrap(key, data_key, whole)
        return sdk.write(plaintext, whole, key=key, data_key=data_key, wrapped=wrapped)

    def open(
        self, key: KeyName, message: bytes, context: Mapping[str, str], *, carried: Collection[str] = ()
    ) -> Opened:
        """Open a message that must be of `key` and of exactly `context`: one call of the key service (unwrap).

        `carried` names what the message's context must have besides `context`, with whatever value; the values come
        back in `Opened.context`. A message of another place is refused before the key service is called.

        Raises MessageRefused; KeyVersionGone, KeyServiceUnavailable, UnknownKey, KeyRightDenied of the key service
        unchanged; ValueError for a context that can't be used.
        """
        whole, names = usable(context), carried_names(carried, context)

        def data_key_for(header: sdk.Header) -> bytes:
            check_place(header, key, whole, names)
            return unwrapped(self._keys, key, header.wrapped, header.context)

        return Opened(*sdk.read(message, data_key_for))


def read_context(message: bytes) -> dict[str, str]:
    """The encryption context that a message claims, read without any key: NOT AUTHENTICATED.

    Whoever can write the bytes chooses what this returns. For code that holds no key (the sealer, upkeep) and only
    compares or commits to it. The first 8 KiB of a message are enough. Raises MessageRefused for other bytes.
    """
    return sdk.read_header(message).context


def read_wrapped(message: bytes) -> tuple[str, bytes]:
    """The name of the key and the wrapped data key that a message claims, read without any key: NOT AUTHENTICATED.

    For counting what a version of a key still protects. The first 8 KiB of a message are enough. Raises MessageRefused.
    """
    header = sdk.read_header(message)
    return header.key, header.wrapped


def usable(context: Mapping[str, str]) -> dict[str, str]:
    """A copy of `context`, if every key service can bind it.

    Raises ValueError when it is empty, not ASCII, over LARGEST_CONTEXT_BYTES, or uses a name reserved by the SDK or
    for batches.
    """
    texts = [*context.keys(), *context.values()]
    if not context or not all(text and text.isascii() for text in texts):
        raise ValueError("an encryption context is not empty, and neither are its names and values, in ASCII")
    if sum(map(len, texts)) > LARGEST_CONTEXT_BYTES:
        raise ValueError(f"an encryption context has at most {LARGEST_CONTEXT_BYTES} bytes")
    if any(name.startswith(_RESERVED_PREFIX) for name in context) or BATCH in context:
        raise ValueError("an encryption context uses a reserved name")
    return dict(context)


def carried_names(carried: Collection[str], context: Mapping[str, str]) -> frozenset[str]:
    """`carried` as a set. Raises ValueError for a name that `context` fixes, or that is reserved."""
    if isinstance(carried, str) or any(
        name in context or name == BATCH or name.startswith(_RESERVED_PREFIX) for name in carried
    ):
        raise ValueError("a carried name is fixed by the context, or reserved")
    return frozenset(carried)


def check_place(header: sdk.Header, key: KeyName, context: Mapping[str, str], carried: Collection[str]) -> None:
    """Raise MessageRefused unless the header is of `key` and of exactly `context` and the `carried` names."""
    if header.key != key.value:
        raise MessageRefused("the message is of another key")
    fixed = {name: value for name, value in header.context.items() if name not in carried}
    if fixed != context or len(header.context) != len(fixed) + len(carried):
        raise MessageRefused("the message is of another place")


def unwrapped(keys: KeyService, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
    """The data key of a message. Raises MessageRefused for UnwrapRefused; the key service's other errors pass."""
    try:
        return keys.unwrap(key, wrapped, context)
    except UnwrapRefused:
        raise MessageRefused("the message's data key is altered, or of another place") from None
