"""The encryption context at the beginning of a message, read fast and without any key: for code that reads millions.

`messages.read_context` does the same by the SDK and looks at the whole header; this reads no further than the context.
A test holds both to the same answer.
"""

from __future__ import annotations

from struct import Struct, error as StructError  # noqa: N812 - an exception, named as one
from typing import Final

from sceau.envelope.errors import MessageRefused

_START: Final = b"\x02\x04\x78"
"""Message format 2, and the one algorithm suite that we accept (`docs/formats/sealed-message.md`)."""

_ID_BYTES = 32
_LENGTH = Struct(">H")


def claimed_context(message: bytes) -> dict[str, str]:
    """The encryption context that a message claims: NOT AUTHENTICATED, as that of `messages.read_context`.

    Raises MessageRefused when the bytes do not begin as a message of our form does.
    """
    try:
        return _context(message)
    except (IndexError, ValueError, StructError):
        raise MessageRefused("the message is truncated or not of our form") from None


def _context(message: bytes) -> dict[str, str]:
    if not message.startswith(_START):
        raise ValueError("another form")
    at = len(_START) + _ID_BYTES
    (length,) = _LENGTH.unpack(message[at : at + 2])
    data = message[at + 2 : at + 2 + length]
    if len(data) < length:
        raise ValueError("truncated")
    (pairs,) = _LENGTH.unpack(data[:2])
    context, at = {}, 2
    for _ in range(pairs):
        name, at = _text(data, at)
        context[name], at = _text(data, at)
    if at != length or len(context) != pairs:
        raise ValueError("more than its pairs, or a name twice")
    return context


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + (data[at] << 8 | data[at + 1])
    if end > len(data):
        raise ValueError("truncated")
    return data[at + 2 : end].decode("utf-8"), end
