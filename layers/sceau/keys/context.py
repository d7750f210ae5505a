"""The one byte form of an encryption context, used as associated data by every key service of ours.

Frozen: see `docs/formats/wrapped-data-key.md`. A change makes every wrapped data key unreadable, hence the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack

from sceau.keys.ports import KeyName

_VERSION = b"\x01"
_LONGEST = 0xFFFF


def canonical(context: Mapping[str, str]) -> bytes:
    """Encode `context` so that two contexts have the same bytes only if they are equal, whatever their order.

    A version byte, the number of pairs, then name and value of each pair, sorted by the UTF-8 bytes of the name.
    Numbers and the length before each name and value are 2 bytes, big-endian. The form ends where its lengths
    say: more bytes may follow it without ambiguity.

    Raises ValueError when a text is not encodable in UTF-8 or exceeds 65,535 bytes, or there are more pairs than that.
    """
    if len(context) > _LONGEST:
        raise ValueError("an encryption context has too many pairs")
    pairs = sorted((name.encode(), value.encode()) for name, value in context.items())
    parts = [_VERSION, pack(">H", len(pairs))]
    for pair in pairs:
        for text in pair:
            if len(text) > _LONGEST:
                raise ValueError("a name or value of an encryption context is too long")
            parts += (pack(">H", len(text)), text)
    return b"".join(parts)


def bound(head: bytes, key: KeyName, context: Mapping[str, str]) -> bytes:
    """What a wrapped data key is bound to, as bytes: its head (format and version), the key's name, the context.

    Each part's end is known from itself (a head's length from its first byte), so no two of them collide.
    """
    name = key.encode()
    return head + bytes([len(name)]) + name + canonical(context)
