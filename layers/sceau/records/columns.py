"""What searches and decisions compare of a table's rows, by column: so that neither has to read the rows.

A column has a number for each row: that of the row's values in a pool of distinct ones, 0 where it has none. Whoever
asks something of a column asks it once of each distinct value, and then only looks numbers up. Everything here follows
from the rows (`cells`). Byte layout: `docs/formats/dossier.md`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sceau.records.errors import RecordDamaged
from sceau.records.packing import read_numbers, write_numbers
from sceau_schemas.dossier import EntryFacts, EntryRow, SetRow

FACTS: Final = "row.facts"
"""What decisions need of an entry (`EntryFacts`, JSON)."""

_COUNT: Final = struct.Struct("<I")
_NAME: Final = struct.Struct("<B")
_CELL_BYTES: Final = 4
_VALUES: Final = "\x1f"  # between the values of a cell
_CELLS: Final = "\x1e"  # between cells; no text of FHIR holds either of them (`fhir.parse` refuses them)

Cells = Mapping[str, tuple[str, ...]]
Values = tuple[str, ...]


def cells(row: EntryRow | SetRow) -> Cells:
    """A row's values by column. The terms, under their names, and under `row.…` what the row has of its own.

    | column | values |
    |---|---|
    | `row.facts` | JSON |
    | `row.status` `row.kind` | a code |
    | `row.archived` | `true` or `false`; none where the extension is absent |
    | `row.labels` `row.identifiers` | `<system>|<code>` each |
    | `row.replaces` | ids |
    | `row.updated` | `<milliseconds>/<milliseconds>` |
    """
    found = dict(row.terms)
    found["row.identifiers"] = tuple(f"{one.system}|{one.value}" for one in row.identifiers)
    if isinstance(row, SetRow):
        found["row.kind"] = (row.kind,)
        if row.terms.get("isArchived") == ("|true",):
            found["row.archived"] = ("true",)
        found["row.updated"] = (f"{row.updated}/{row.updated}",)
        return found
    now = row.now
    found[FACTS] = (row.facts().model_dump_json(exclude_defaults=True),)
    found["row.status"] = (now.status,)
    found["row.labels"] = tuple(f"{label.system or ''}|{label.code}" for label in now.labels)
    found["row.updated"] = (f"{now.updated}/{now.updated}",)
    found["row.replaces"] = row.replaces
    if now.archived is not None:
        found["row.archived"] = ("true" if now.archived else "false",)
    return found


@dataclass(frozen=True, slots=True)
class Columns:
    """An immutable set of columns over `count` rows. Every change gives a new one."""

    count: int = 0
    pool: tuple[str, ...] = ("",)
    numbers: Mapping[str, array[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[EntryRow | SetRow]) -> Columns:
        """The columns of rows."""
        return _built([cells(row) for row in rows])

    def column(self, name: str) -> Sequence[int]:
        """The numbers of a column, by row."""
        return self.numbers.get(name) or _nothing(self.count)

    def values(self, number: int) -> Values:
        """The values that a number stands for. Raises RecordDamaged."""
        try:
            text = self.pool[number]
        except IndexError:
            raise RecordDamaged("a column of the dossier names what is not there") from None
        return tuple(text.split(_VALUES)) if text else ()

    def holding(self, name: str, accepts: Callable[[Values], bool], rows: Sequence[int]) -> Sequence[int]:
        """Those of `rows` whose values in a column `accepts` takes. It is asked once of each distinct value."""
        column = self.column(name)
        present = set(column if len(rows) == self.count else map(column.__getitem__, rows))
        wanted = {number for number in present if accepts(self.values(number))}
        if len(wanted) == len(present):
            return rows
        return [row for row in rows if column[row] in wanted]

    def added(self, row: EntryRow | SetRow) -> Columns:
        """The columns with one more row."""
        return self._with({self.count: {**dict.fromkeys(self.numbers, ()), **cells(row)}})

    def replaced(self, position: int, row: EntryRow | SetRow) -> Columns:
        """The columns with another row in a place; values that no row has any more are dropped."""
        changed = self._with({position: {**dict.fromkeys(self.numbers, ()), **cells(row)}})
        used = sorted({0}.union(*changed.numbers.values()))
        if len(used) == len(changed.pool):
            return changed
        renumbered = {old: new for new, old in enumerate(used)}
        numbers = {
            name: array("I", [renumbered[number] for number in column]) for name, column in changed.numbers.items()
        }
        return Columns(changed.count, tuple([changed.pool[number] for number in used]), numbers)

    def read_as(self, changed: Mapping[int, Cells]) -> Columns:
        """The columns with other values in some places, for one reader: what no row has any more stays in the pool."""
        return self._with(changed) if changed else self

    def _with(self, changed: Mapping[int, Cells]) -> Columns:
        known = {text: number for number, text in enumerate(self.pool)}
        pool, numbers = list(self.pool), dict(self.numbers)
        own: dict[str, array[int]] = {}
        for position, row in changed.items():
            for name, values in row.items():
                if name not in numbers and not values:
                    continue
                if name not in own:
                    own[name] = array("I", numbers[name]) if name in numbers else _nothing(self.count)
                    numbers[name] = own[name]
                column = own[name]
                if position == len(column):
                    column.append(0)
                text = _cell(values)
                if text not in known:
                    known[text] = len(pool)
                    pool.append(text)
                column[position] = known[text]
        return Columns(max(self.count, max(changed) + 1), tuple(pool), numbers)

    def encode(self) -> bytes:
        """The bytes that rest."""
        pool = _CELLS.join(self.pool).encode()
        parts = [_COUNT.pack(len(pool)), pool, _COUNT.pack(len(self.numbers))]
        for name, column in self.numbers.items():
            raw = name.encode()
            parts += [_NAME.pack(len(raw)), raw, write_numbers(column)]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes, start: int, count: int) -> tuple[Columns, int]:
        """The columns of `count` rows at `start` of `data`, and where they end. Raises RecordDamaged."""
        try:
            raw, at = _piece(data, start)
            pool = tuple(raw.decode().split(_CELLS))
            (columns,) = _COUNT.unpack_from(data, at)
            at += _COUNT.size
            numbers: dict[str, array[int]] = {}
            for _ in range(columns):
                (length,) = _NAME.unpack_from(data, at)
                name = data[at + _NAME.size : at + _NAME.size + length].decode()
                at += _NAME.size + length
                numbers[name] = read_numbers(data[at : at + count * _CELL_BYTES])
                at += count * _CELL_BYTES
        except (struct.error, ValueError):
            raise RecordDamaged("the columns of a table are not of their format") from None
        if any(len(column) != count for column in numbers.values()):
            raise RecordDamaged("a column of the dossier is cut")
        return cls(count, pool, numbers), at


def read_facts(values: Values) -> EntryFacts:
    """The facts that a cell of FACTS holds. Raises RecordDamaged."""
    try:
        return EntryFacts.model_validate_json(values[0])
    except (ValueError, IndexError):
        raise RecordDamaged("the facts of an entry are not of their format") from None


def _built(rows: Sequence[Cells]) -> Columns:
    known, pool = {"": 0}, [""]
    numbers: dict[str, array[int]] = {}
    for position, row in enumerate(rows):
        for name, values in row.items():
            if not values:
                continue
            text = _cell(values)
            number = known.get(text)
            if number is None:
                number = known[text] = len(pool)
                pool.append(text)
            column = numbers.get(name)
            if column is None:
                column = numbers[name] = _nothing(len(rows))
            column[position] = number
    return Columns(len(rows), tuple(pool), numbers)


def _cell(values: Values) -> str:
    """A cell's text. Raises ValueError for what would break the others: nothing that was parsed can."""
    text = _VALUES.join(values)
    if _CELLS in text or text.count(_VALUES) != max(0, len(values) - 1):
        raise ValueError("a value of a row has a separator in it")
    return text


def _nothing(count: int) -> array[int]:
    return array("I", bytes(count * _CELL_BYTES))


def _piece(data: bytes, start: int) -> tuple[bytes, int]:
    """A piece that follows its length, and where it ends."""
    (length,) = _COUNT.unpack_from(data, start)
    begin = start + _COUNT.size
    return data[begin : begin + length], begin + length
