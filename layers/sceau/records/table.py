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
from typing import Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from sceau.records.errors import DuplicateIdentifier, RecordDamaged
from sceau.records.ids import decode_id, encode_id
from sceau_schemas.dossier import EntryRow, SetRow

_KEY = struct.Struct("<16sII")
_COUNT = struct.Struct("<I")
MAX_BLOB_BYTES = 8 * 1024 * 1024
"""Largest unpacked blob: far above any resource that a request can carry without its document."""

RowT = TypeVar("RowT", EntryRow, SetRow)


class _Slot(NamedTuple):
    key: bytes
    row: bytes
    blob: bytes


class PackedTable(Generic[RowT]):
    """An immutable table of rows and blobs. Every change gives a new table and shares the untouched bytes."""

    def __init__(self, model: type[RowT], slots: tuple[_Slot, ...] = ()) -> None:
        self._model: type[RowT] = model
        self._slots = slots
        self._index: dict[bytes, int] = {slot.key: place for place, slot in enumerate(slots)}
        if len(self._index) != len(slots):
            raise RecordDamaged("an id stands twice in a table of the dossier")

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, row_id: str) -> bool:
        return decode_id(row_id) in self._index

    def ids(self) -> list[str]:
        """All ids, in order of arrival."""
        return [encode_id(slot.key) for slot in self._slots]

    def rows(self) -> list[RowT]:
        """All rows, in order of arrival. Raises RecordDamaged."""
        data = b"[" + b",".join(slot.row for slot in self._slots) + b"]"
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
            row: RowT = self._model.model_validate_json(self._slots[position].row)
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
            data = unpacker.decompress(self._slots[position].blob, MAX_BLOB_BYTES)
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
        slot = _Slot(key, _encode(row), zlib.compress(blob, 6))
        return PackedTable(self._model, (*self._slots, slot))

    def replaced(self, row: RowT) -> PackedTable[RowT]:
        """A table in which an existing row has new values; its blob stays. Raises KeyError."""
        key = decode_id(row.id)
        position: int = self._index[key]
        slot = _Slot(key, _encode(row), self._slots[position].blob)
        return PackedTable(self._model, (*self._slots[:position], slot, *self._slots[position + 1 :]))

    def encode(self) -> Iterable[bytes]:
        """The table's bytes, in pieces."""
        yield _COUNT.pack(len(self._slots))
        yield b"".join([_KEY.pack(key, len(row), len(blob)) for key, row, blob in self._slots])
        yield from (slot.row for slot in self._slots)
        yield from (slot.blob for slot in self._slots)

    @classmethod
    def decode(cls, model: type[RowT], data: memoryview) -> tuple[PackedTable[RowT], memoryview]:
        """Return the table at the beginning of `data`, and what follows it. Raises RecordDamaged."""
        try:
            (count,) = _COUNT.unpack_from(data)
            keys_end = _COUNT.size + count * _KEY.size
            if keys_end > len(data):
                raise RecordDamaged("a table of the dossier is cut")
            keys = list(_KEY.iter_unpack(data[_COUNT.size : keys_end]))
        except struct.error:
            raise RecordDamaged("a table of the dossier is cut") from None
        row_ends = list(accumulate((length for _, length, _ in keys), initial=keys_end))
        blob_ends = list(accumulate((length for _, _, length in keys), initial=row_ends[-1]))
        if blob_ends[-1] > len(data):
            raise RecordDamaged("a table of the dossier is cut")
        packed = bytes(data[: blob_ends[-1]])
        slots = tuple(
            _Slot(key, packed[row:row_end], packed[blob:blob_end])
            for (key, _, _), (row, row_end), (blob, blob_end) in zip(
                keys, pairwise(row_ends), pairwise(blob_ends), strict=True
            )
        )
        return cls(model, slots), data[blob_ends[-1] :]

    def _position(self, row_id: str) -> int | None:
        try:
            return self._index.get(decode_id(row_id))
        except ValueError:
            return None


def _encode(row: EntryRow | SetRow) -> bytes:
    return row.model_dump_json(exclude_defaults=True).encode()


_ADAPTERS: dict[type, TypeAdapter[list[EntryRow]] | TypeAdapter[list[SetRow]]] = {
    EntryRow: TypeAdapter(list[EntryRow]),
    SetRow: TypeAdapter(list[SetRow]),
}


def _list_adapter(model: type[RowT]) -> TypeAdapter[list[RowT]]:
    return _ADAPTERS[model]  # type: ignore[return-value]  # the dict's keys and values agree, which mypy can't say
