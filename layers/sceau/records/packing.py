"""How the parts of a dossier are packed: compressed pieces, numbers side by side, equal pieces side by side.

A row or blob is a zlib stream on its own, begun with a dictionary of what nearly all of them hold. The dictionary is
part of the format: without it no stream opens. It holds public names only (elements, code systems), and no stream holds
another's content, so its size tells nothing of a neighbour.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from pathlib import Path
from typing import Final

from sceau.records.errors import RecordDamaged

LARGEST_UNPACKED: Final = 8 * 1024 * 1024
"""Bytes of one row or blob: far above any resource that a request can carry without its document."""

_LEVEL: Final = 6
_DICTIONARY: Final = Path(__file__).with_name("dossier-2.dictionary").read_bytes()


def pack(data: bytes) -> bytes:
    """Compress."""
    packer = zlib.compressobj(_LEVEL, zdict=_DICTIONARY)
    return packer.compress(data) + packer.flush()


def unpack(data: bytes) -> bytes:
    """What `pack` was given. Raises RecordDamaged, also for more than LARGEST_UNPACKED."""
    unpacker = zlib.decompressobj(zdict=_DICTIONARY)
    try:
        plain = unpacker.decompress(data, LARGEST_UNPACKED)
    except zlib.error:
        raise RecordDamaged("a part of the dossier does not unpack") from None
    if not unpacker.eof or unpacker.unused_data:
        raise RecordDamaged("a part of the dossier is cut or too large")
    return plain


def read_numbers(data: bytes) -> array[int]:
    """Numbers of 32 bits, little-endian. Raises ValueError for half a number."""
    numbers = array("I")
    numbers.frombytes(data)
    return _swapped(numbers)


def write_numbers(numbers: array[int]) -> bytes:
    """The bytes that `read_numbers` reads."""
    return _swapped(numbers).tobytes()


def find_aligned(packed: bytes, wanted: bytes, step: int) -> int | None:
    """The number of the piece, of `step` bytes each, that begins with `wanted`; None when there is none."""
    at = packed.find(wanted)
    while at >= 0 and at % step:
        at = packed.find(wanted, at + 1)
    return at // step if at >= 0 else None


def _swapped(numbers: array[int]) -> array[int]:
    """Between this machine's order and the format's."""
    if sys.byteorder == "little":
        return numbers
    swapped = array("I", numbers)
    swapped.byteswap()
    return swapped
