"""A table of rows and opaque blobs, packed: most of a dossier's entries are copied as bytes, never parsed.

Layout: `docs/formats/dossier.md`.

    u32 count | count × 16-byte id | count × u32 row length | count × u32 blob length | rows | blobs | columns
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from sceau.records.columns import Columns
from sceau.records.errors import DuplicateIdentifier, RecordDamaged
from sceau.records.ids import decode_id, encode_id
from sceau.records.packing import find_aligned, pack, read_numbers, unpack, write_numbers
from sceau_schemas.dossier import EntryRow, SetRow, ShownEntry

_COUNT = struct.Struct("<I")
_ID_BYTES = 16

RowT = TypeVar("RowT", EntryRow, SetRow)
ReadT = TypeVar("ReadT", EntryRow, SetRow, ShownEntry)


class PackedTable(Generic[RowT]):
    """An immutable table of rows and blobs, in order of arrival. Every change gives a new table.

    `ids`, `rows`, `blobs`: packed, one after another, in the form in which they rest. `columns`: of entries only, which
    are searched; those of sets depend on what their reader may see.
    """

    def __init__(self, model: type[RowT]) -> None:
        self._model: type[RowT] = model
        self._ids = self._rows = self._blobs = b""
        self._row_lengths, self._blob_lengths = array("I"), array("I")
        self.columns = Columns()

    @classmethod
    def of(cls, model: type[RowT], rows: Iterable[tuple[RowT, bytes]]) -> PackedTable[RowT]:
        """A table of these rows and blobs, whose ids differ: as if they had been added one by one."""
        table, given = cls(model), list(rows)
        packed = [(pack(_encode(row)), pack(blob)) for row, blob in given]
        table._ids = b"".join([decode_id(row.id) for row, _ in given])
        table._rows, table._blobs = b"".join([row for row, _ in packed]), b"".join([blob for _, blob in packed])
        table._row_lengths = array("I", [len(row) for row, _ in packed])
        table._blob_lengths = array("I", [len(blob) for _, blob in packed])
        if model is EntryRow:
            table.columns = Columns.of(row for row, _ in given)
        return table

    def __len__(self) -> int:
        return len(self._row_lengths)

    def __contains__(self, row_id: str) -> bool:
        return self.position(row_id) is not None

    def position(self, row_id: str) -> int | None:
        """A row's place in the order of arrival; None for an id that it has not, or that is none."""
        try:
            return find_aligned(self._ids, decode_id(row_id), _ID_BYTES)
        except ValueError:
            return None

    def id_at(self, position: int) -> str:
        """The id of the row in a place."""
        return encode_id(self._raw_id(position))

    def ids(self) -> list[str]:
        """All ids, in order of arrival."""
        return [self.id_at(position) for position in range(len(self))]

    def rows(self) -> list[RowT]:
        """All rows, in order of arrival. Raises RecordDamaged."""
        return self._parsed([self._rows[begin:end] for begin, end in _bounds(self._row_lengths)], range(len(self)))

    def rows_at(self, positions: Sequence[int]) -> list[RowT]:
        """The rows in some places. Raises RecordDamaged."""
        return self._parsed(self._packed_at(positions), positions)

    def shown_at(self, positions: Sequence[int]) -> list[ShownEntry]:
        """Of the entries in some places, what fills their resources. Raises RecordDamaged."""
        return self._checked(_SHOWN, self._packed_at(positions), positions)

    def row(self, row_id: str) -> RowT | None:
        """One row, or None. Raises RecordDamaged."""
        position = self.position(row_id)
        if position is None:
            return None
        return self._parsed([_piece(self._rows, self._row_lengths, position)], [position])[0]

    def blob(self, row_id: str) -> bytes:
        """The unpacked blob of an existing row. Raises KeyError, RecordDamaged."""
        position = self.position(row_id)
        if position is None:
            raise KeyError(row_id)
        return unpack(_piece(self._blobs, self._blob_lengths, position))

    def blobs_at(self, positions: Iterable[int]) -> list[bytes]:
        """The unpacked blobs of the rows in some places. Raises RecordDamaged."""
        ends = [0, *accumulate(self._blob_lengths)]
        return [unpack(self._blobs[ends[one] : ends[one + 1]]) for one in positions]

    def added(self, row: RowT, blob: bytes) -> PackedTable[RowT]:
        """A table with one more row. Raises DuplicateIdentifier when the id is taken."""
        if row.id in self:
            raise DuplicateIdentifier("the id is taken")
        packed_row, packed_blob = pack(_encode(row)), pack(blob)
        table = PackedTable(self._model)
        table._ids = self._ids + decode_id(row.id)
        table._rows, table._blobs = self._rows + packed_row, self._blobs + packed_blob
        table._row_lengths = self._row_lengths + array("I", [len(packed_row)])
        table._blob_lengths = self._blob_lengths + array("I", [len(packed_blob)])
        if self._model is EntryRow:
            table.columns = self.columns.added(row)
        return table

    def replaced(self, row: RowT) -> PackedTable[RowT]:
        """A table in which an existing row has new values; its blob stays. Raises KeyError."""
        position = self.position(row.id)
        if position is None:
            raise KeyError(row.id)
        packed = pack(_encode(row))
        begin = sum(self._row_lengths[:position])
        table = PackedTable(self._model)
        table._ids, table._blobs, table._blob_lengths = self._ids, self._blobs, self._blob_lengths
        table._rows = self._rows[:begin] + packed + self._rows[begin + self._row_lengths[position] :]
        table._row_lengths = array("I", self._row_lengths)
        table._row_lengths[position] = len(packed)
        if self._model is EntryRow:
            table.columns = self.columns.replaced(position, row)
        return table

    def encode(self) -> Iterable[bytes]:
        """The table's bytes, in pieces."""
        yield _COUNT.pack(len(self))
        yield self._ids
        yield write_numbers(self._row_lengths)
        yield write_numbers(self._blob_lengths)
        yield self._rows
        yield self._blobs
        if self._model is EntryRow:
            yield self.columns.encode()

    @classmethod
    def decode(cls, model: type[RowT], data: bytes, start: int) -> tuple[PackedTable[RowT], int]:
        """Return the table at `start` of `data`, and where it ends. Raises RecordDamaged."""
        table = cls(model)
        try:
            (count,) = _COUNT.unpack_from(data, start)
        except struct.error:
            raise RecordDamaged("a table of the dossier is cut") from None
        begin = start + _COUNT.size
        after_ids = begin + count * _ID_BYTES
        after_rows = after_ids + count * _COUNT.size
        after_lengths = after_rows + count * _COUNT.size
        if after_lengths > len(data):
            raise RecordDamaged("a table of the dossier is cut")
        table._ids = data[begin:after_ids]
        table._row_lengths = read_numbers(data[after_ids:after_rows])
        table._blob_lengths = read_numbers(data[after_rows:after_lengths])
        rows_end = after_lengths + sum(table._row_lengths)
        end = rows_end + sum(table._blob_lengths)
        if end > len(data):
            raise RecordDamaged("a table of the dossier is cut")
        table._rows, table._blobs = data[after_lengths:rows_end], data[rows_end:end]
        if model is EntryRow:
            table.columns, end = Columns.decode(data, end, count)
        return table, end

    def _packed_at(self, positions: Sequence[int]) -> list[bytes]:
        ends = [0, *accumulate(self._row_lengths)]
        return [self._rows[ends[one] : ends[one + 1]] for one in positions]

    def _parsed(self, packed: list[bytes], positions: Sequence[int]) -> list[RowT]:
        return self._checked(_list_adapter(self._model), packed, positions)

    def _checked(self, adapter: TypeAdapter[list[ReadT]], packed: list[bytes], positions: Sequence[int]) -> list[ReadT]:
        data = b"[" + b",".join([unpack(one) for one in packed]) + b"]"
        try:
            rows = adapter.validate_json(data)
        except ValidationError:
            raise RecordDamaged("a row of the dossier is not of its format") from None
        if [decode_id(row.id) for row in rows] != [self._raw_id(position) for position in positions]:
            raise RecordDamaged("a row of the dossier stands under another id")
        return rows

    def _raw_id(self, position: int) -> bytes:
        return self._ids[position * _ID_BYTES : (position + 1) * _ID_BYTES]


def _bounds(lengths: array[int]) -> Iterable[tuple[int, int]]:
    return pairwise(accumulate(lengths, initial=0))


def _piece(data: bytes, lengths: array[int], position: int) -> bytes:
    begin = sum(lengths[:position])
    return data[begin : begin + lengths[position]]


def _encode(row: EntryRow | SetRow) -> bytes:
    return row.model_dump_json(exclude_defaults=True).encode()


_ADAPTERS: dict[type, TypeAdapter[list[EntryRow]] | TypeAdapter[list[SetRow]]] = {
    EntryRow: TypeAdapter(list[EntryRow]),
    SetRow: TypeAdapter(list[SetRow]),
}


_SHOWN = TypeAdapter(list[ShownEntry])


def _list_adapter(model: type[RowT]) -> TypeAdapter[list[RowT]]:
    return _ADAPTERS[model]  # type: ignore[return-value]  # the dict's keys and values agree, which mypy can't say
