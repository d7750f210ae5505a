"""The habilitation matrix (arrêté of 26 October 2023, CSP R. 1111-46) as dated data: which profession sees which type.

A cell is allowed, denied or unknown; what is not known denies. Only cells with a source are shipped: the official grid
was not at hand, `sceau matrix load` takes it. An edition is in force from its day (in Paris) until the next one's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from sceau.access.clocks import paris_date
from sceau_schemas.rules import RuleSettings, StoredMatrix

PROFESSIONS: Final = 19
DOCUMENT_TYPES: Final = 87
"""The grid of the arrêté: so many professions or disciplines, by so many document types."""

_TABLE: Final = Path(__file__).with_name("tables") / "matrix.tsv"


class Cell(StrEnum):
    """What the matrix says of a profession and a type."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Matrix:
    """One edition. `rows`: per column (profession or role code), what is known of each type code."""

    version: str
    effective_from: date
    source: str
    rows: Mapping[str, Mapping[str, Cell]] = field(repr=False)

    def row(self, profession: str | None, role: str | None = None) -> Mapping[str, Cell]:
        """What is known for a professional: by the role where the edition has that role, else by the profession."""
        if role is not None and role in self.rows:
            return self.rows[role]
        return self.rows.get(profession, {}) if profession is not None else {}

    def cell(self, profession: str | None, type_code: str, role: str | None = None) -> Cell:
        """What is known of one type for a professional."""
        return self.row(profession, role).get(type_code, Cell.UNKNOWN)

    def count(self) -> dict[Cell, int]:
        """Cells by state. Unknown: those of the arrêté's grid that the edition does not say."""
        known = [cell for row in self.rows.values() for cell in row.values()]
        missing = sum(max(DOCUMENT_TYPES - len(row), 0) for row in self.rows.values())
        missing += max(PROFESSIONS - len(self.rows), 0) * DOCUMENT_TYPES
        return {Cell.ALLOW: known.count(Cell.ALLOW), Cell.DENY: known.count(Cell.DENY), Cell.UNKNOWN: missing}


@dataclass(frozen=True, slots=True)
class Change:
    """A cell that two editions say differently."""

    column: str
    type_code: str
    before: Cell
    after: Cell


def changes(before: Matrix, after: Matrix) -> list[Change]:
    """What `after` says otherwise than `before`, by column and type."""
    found = []
    for column in sorted({*before.rows, *after.rows}):
        old, new = before.rows.get(column, {}), after.rows.get(column, {})
        for type_code in sorted({*old, *new}):
            pair = old.get(type_code, Cell.UNKNOWN), new.get(type_code, Cell.UNKNOWN)
            if pair[0] is not pair[1]:
                found.append(Change(column, type_code, *pair))
    return found


@dataclass(frozen=True, slots=True)
class Rules:
    """What a decision is given beside the facts: the editions of the matrix, and the stage's settings."""

    editions: tuple[Matrix, ...]
    settings: RuleSettings

    def matrix(self, now: datetime) -> Matrix | None:
        """The edition in force; None before the first: then every cell is unknown."""
        today = paris_date(now)
        begun = [one for one in self.editions if one.effective_from <= today]
        return max(begun, key=lambda one: (one.effective_from, self.editions.index(one)), default=None)


def from_stored(stored: StoredMatrix) -> Matrix:
    """An edition as decisions use it."""
    rows: dict[str, dict[str, Cell]] = {}
    for cell, columns in ((Cell.ALLOW, stored.allow), (Cell.DENY, stored.deny)):
        for column, types in columns.items():
            rows.setdefault(column, {}).update(dict.fromkeys(types, cell))
    return Matrix(stored.version, date.fromisoformat(stored.effective_from), stored.source, rows)


def to_stored(matrix: Matrix) -> StoredMatrix:
    """The same edition as it rests."""
    columns: dict[Cell, dict[str, tuple[str, ...]]] = {Cell.ALLOW: {}, Cell.DENY: {}}
    for column, row in sorted(matrix.rows.items()):
        for cell, kept in columns.items():
            if types := tuple(sorted(code for code, value in row.items() if value is cell)):
                kept[column] = types
    return StoredMatrix(
        version=matrix.version,
        effective_from=matrix.effective_from.isoformat(),
        source=matrix.source,
        allow=columns[Cell.ALLOW],
        deny=columns[Cell.DENY],
    )


@dataclass(frozen=True, slots=True)
class ShippedCell:
    """A line of the shipped table. `in_force`: false for cells that were published and never took effect."""

    column: str
    type_code: str
    cell: Cell
    in_force: bool
    source: str


def read_table(lines: Iterable[str]) -> tuple[Matrix, tuple[ShippedCell, ...]]:
    """The shipped edition and all its lines, those that are not in force too. Raises ValueError."""
    head: dict[str, str] = {}
    cells: list[ShippedCell] = []
    for line in lines:
        text = line.rstrip("\n")
        if text.startswith("# "):
            name, colon, value = text[2:].partition(": ")
            if colon:
                head[name] = value
        elif text:
            column, type_code, cell, status, source = text.split("\t")
            cells.append(ShippedCell(column, type_code, Cell(cell), status == "in-force", source))
    rows: dict[str, dict[str, Cell]] = {}
    for one in cells:
        if one.in_force and rows.setdefault(one.column, {}).setdefault(one.type_code, one.cell) is not one.cell:
            raise ValueError(f"{one.column} and {one.type_code} stand twice, with different states")
    matrix = Matrix(head["version"], date.fromisoformat(head["effective_from"]), head["source"], rows)
    return matrix, tuple(cells)


@functools.cache
def shipped_matrix() -> Matrix:
    """The edition that ships with the code."""
    with _TABLE.open(encoding="utf-8") as lines:
        return read_table(lines)[0]


@functools.cache
def shipped_rules() -> Rules:
    """What holds on a stage that loaded no grid and changed no setting."""
    return Rules((shipped_matrix(),), RuleSettings())
