"""The entries of a dossier as one packed table: fixed-width keys, searchable rows, opaque blobs.

A publication appends and a supersession swaps one row; neither parses the others. A search parses the rows, and the
blobs only of what it returns. Layout: `docs/formats/dossier.md`.

    u32 count | count × (16-byte id, u32 row length, u32 blob length) | rows, one after another | blobs, likewise
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from sceau.records.errors import DuplicateIdentifier, RecordDamaged
from sceau.records.ids import decode_id, encode_id
from sceau_schemas.dossier import EntryRow, SetRow

_KEY = struct.Struct("<16sII")
_COUNT = struct.Struct("<I")
MAX_BLOB_BYTES = 8 * 1024 * 1024
"""Largest unpacked blob: far above any resource that a request can carry without its document."""

RowT = TypeVar("RowT", EntryRow, SetRow)


class PackedTable(Generic[RowT]):
    """An immutable table of rows and blobs. Every change gives a new table and shares the untouched bytes.

    `keys`, `rows`, `blobs`: side by side, in order of arrival, in the form in which they rest.
    """

    def __init__(
        self,
        model: type[RowT],
        keys: tuple[bytes, ...] = (),
        rows: tuple[bytes, ...] = (),
        blobs: tuple[bytes, ...] = (),
    ) -> None:
        self._model: type[RowT] = model
        self._keys, self._rows, self._blobs = keys, rows, blobs
        self._index: dict[bytes, int] = dict(zip(keys, range(len(keys)), strict=True))
        if len(self._index) != len(keys):
            raise RecordDamaged("an id stands twice in a table of the dossier")

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, row_id: str) -> bool:
        return decode_id(row_id) in self._index

    def ids(self) -> list[str]:
        """All ids, in order of arrival."""
        return [encode_id(key) for key in self._keys]

    def rows(self) -> list[RowT]:
        """All rows, in order of arrival. Raises RecordDamaged."""
        data = b"[" + b",".join(self._rows) + b"]"
        try:
            rows: list[RowT] = _list_adapter(self._model).validate_json(data)
        except ValidationError:
            raise RecordDamaged("a row of the dossier is not of its format") from None
        if [row.id for row in rows] != self.ids():
            raise RecordDamaged("a row of the dossier stands under another id")
        return rows

    def row(self, row_id: str) -> RowT | None:
        """One row, or None. Raises RecordDamaged."""
        position = self._position(row_id)
        if position is None:
            return None
        try:
            row: RowT = self._model.model_validate_json(self._rows[position])
        except ValidationError:
            raise RecordDamaged("a row of the dossier is not of its format") from None
        if row.id != row_id:
            raise RecordDamaged("a row of the dossier stands under another id")
        return row

    def blob(self, row_id: str) -> bytes:
        """The unpacked blob of an existing row. Raises KeyError, RecordDamaged."""
        position = self._position(row_id)
        if position is None:
            raise KeyError(row_id)
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(self._blobs[position], MAX_BLOB_BYTES)
        except zlib.error:
            raise RecordDamaged("a blob of the dossier does not unpack") from None
        if not unpacker.eof:
            raise RecordDamaged("a blob of the dossier is cut or too large")
        return data

    def added(self, row: RowT, blob: bytes) -> PackedTable[RowT]:
        """A table with one more row. Raises DuplicateIdentifier when the id is taken."""
        key = decode_id(row.id)
        if key in self._index:
            raise DuplicateIdentifier("the id is taken")
        packed = zlib.compress(blob, 6)
        return PackedTable(self._model, (*self._keys, key), (*self._rows, _encode(row)), (*self._blobs, packed))

    def replaced(self, row: RowT) -> PackedTable[RowT]:
        """A table in which an existing row has new values; its blob stays. Raises KeyError."""
        position: int = self._index[decode_id(row.id)]
        rows = (*self._rows[:position], _encode(row), *self._rows[position + 1 :])
        return PackedTable(self._model, self._keys, rows, self._blobs)

    def encode(self) -> Iterable[bytes]:
        """The table's bytes, in pieces."""
        yield _COUNT.pack(len(self._keys))
        yield b"".join(map(_KEY.pack, self._keys, map(len, self._rows), map(len, self._blobs)))
        yield from self._rows
        yield from self._blobs

    @classmethod
    def decode(cls, model: type[RowT], data: bytes, start: int) -> tuple[PackedTable[RowT], int]:
        """Return the table at `start` of `data`, and where it ends. Raises RecordDamaged."""
        try:
            (count,) = _COUNT.unpack_from(data, start)
        except struct.error:
            raise RecordDamaged("a table of the dossier is cut") from None
        first_key = start + _COUNT.size
        first_row = first_key + count * _KEY.size
        if first_row > len(data):
            raise RecordDamaged("a table of the dossier is cut")
        keys, rows, blobs = zip(*_KEY.iter_unpack(data[first_key:first_row]), strict=True) if count else ((), (), ())
        row_ends = list(accumulate(rows, initial=first_row))
        blob_ends = list(accumulate(blobs, initial=row_ends[-1]))
        if blob_ends[-1] > len(data):
            raise RecordDamaged("a table of the dossier is cut")
        return cls(model, keys, _cut(data, row_ends), _cut(data, blob_ends)), blob_ends[-1]

    def _position(self, row_id: str) -> int | None:
        try:
            return self._index.get(decode_id(row_id))
        except ValueError:
            return None


def _cut(data: bytes, ends: list[int]) -> tuple[bytes, ...]:
    return tuple([data[begin:end] for begin, end in pairwise(ends)])


def _encode(row: EntryRow | SetRow) -> bytes:
    return row.model_dump_json(exclude_defaults=True).encode()


_ADAPTERS: dict[type, TypeAdapter[list[EntryRow]] | TypeAdapter[list[SetRow]]] = {
    EntryRow: TypeAdapter(list[EntryRow]),
    SetRow: TypeAdapter(list[SetRow]),
}


def _list_adapter(model: type[RowT]) -> TypeAdapter[list[RowT]]:
    return _ADAPTERS[model]  # type: ignore[return-value]  # the dict's keys and values agree, which mypy can't say
