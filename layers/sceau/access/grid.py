"""Reads the official habilitation grid from a table: one column per profession or role, one line per document type.

Whole or not at all: every code known, every cell said, as many columns and types as the arrêté has. Pure: which codes
are known is an argument.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sceau.access.matrix import DOCUMENT_TYPES, PROFESSIONS, Cell
from sceau_schemas.rules import StoredMatrix

_CODE: Final = re.compile(r"(?:G15_)?([A-Za-z0-9][A-Za-z0-9_-]*)")
_SAID: Final = {
    **dict.fromkeys(("x", "oui", "o", "1", "allow", "autorisé", "✓", "✔"), Cell.ALLOW),
    **dict.fromkeys(("non", "n", "0", "deny", "refusé", "-", "–", "✗"), Cell.DENY),
}
_MOST_TOLD: Final = 20


class GridRefused(ValueError):
    """The grid can't be used; `problems` says why, each in a sentence that names the place."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = len(problems) - _MOST_TOLD
        told = [*problems[:_MOST_TOLD], *([f"… and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(told))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a grid must be: how many columns and types, which codes are known, whether an empty cell denies."""

    columns: Collection[str]
    types: Collection[str]
    column_count: int = PROFESSIONS
    type_count: int = DOCUMENT_TYPES
    blank_denies: bool = False


def read_grid(data: bytes, expected: Expected, *, version: str, effective_from: str, source: str) -> StoredMatrix:
    """The edition that a grid says. `data`: CSV with `;`, `,` or tabs, UTF-8 or Windows-1252, as spreadsheets export.

    The first line with two known column codes is the head; lines above it are titles. In the lines below, the first
    cell that is a known type code says the type. Raises GridRefused, ValueError (pydantic's) for version or day.
    """
    rows = _rows(data)
    head = next((at for at, row in enumerate(rows) if len(_columns(row, expected)) > 1), None)
    if head is None:
        raise GridRefused(["no line has codes of professions: the head is missing"])
    problems: list[str] = []
    columns = _head(rows[head], expected, problems)
    cells: dict[str, dict[str, Cell]] = {column: {} for column in columns.values()}
    seen: set[str] = set()
    for number, row in enumerate(rows[head + 1 :], head + 2):
        if any(cell.strip() for cell in row):
            _line(row, number, columns, expected, cells, seen, problems)
    for what, found, wanted in (
        ("columns", len(columns), expected.column_count),
        ("types", len(seen), expected.type_count),
    ):
        if found != wanted:
            problems.append(f"the grid has {found} {what}, and should have {wanted}")
    if problems:
        raise GridRefused(problems)
    return StoredMatrix(
        version=version,
        effective_from=effective_from,
        source=source,
        allow=_of(cells, Cell.ALLOW),
        deny=_of(cells, Cell.DENY),
    )


def _rows(data: bytes) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    delimiter = max(";,\t", key=text.count)
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def _code(cell: str) -> str:
    """The code at the beginning of a cell: `10`, `10 - Médecin`, `G15_10`. Empty: none."""
    match = _CODE.match(cell.strip())
    return match[1] if match else ""


def _columns(row: Sequence[str], expected: Expected) -> list[str]:
    return [code for cell in row if (code := _code(cell)) in expected.columns]


def _head(row: Sequence[str], expected: Expected, problems: list[str]) -> dict[int, str]:
    """Which column of the table is which profession: those from the first known one on."""
    columns: dict[int, str] = {}
    for position, cell in enumerate(row):
        code = _code(cell)
        if code in expected.columns:
            if code in columns.values():
                problems.append(f"the column {code} stands twice")
            columns[position] = code
        elif columns and cell.strip():
            problems.append(f"{cell.strip()[:40]!r} is no profession or role that is known (TRE_G15, TRE_R85)")
    return columns


def _line(
    row: Sequence[str],
    number: int,
    columns: dict[int, str],
    expected: Expected,
    cells: dict[str, dict[str, Cell]],
    seen: set[str],
    problems: list[str],
) -> None:
    before = row[: min(columns)]
    type_code = next((code for cell in before if (code := _code(cell)) in expected.types), None)
    if type_code is None:
        problems.append(f"line {number}: {' '.join(before).strip()[:40]!r} is no document type that is known (JDV_J07)")
        return
    if type_code in seen:
        problems.append(f"line {number}: the type {type_code} stands twice")
    seen.add(type_code)
    for position, column in columns.items():
        text = row[position].strip().casefold() if position < len(row) else ""
        cell = Cell.DENY if not text and expected.blank_denies else _SAID.get(text)
        if cell is None:
            problems.append(f"line {number}, {column} and {type_code}: {text[:20]!r} says neither allow nor deny")
        else:
            cells[column][type_code] = cell


def _of(cells: dict[str, dict[str, Cell]], wanted: Cell) -> dict[str, tuple[str, ...]]:
    return {
        column: types
        for column, row in sorted(cells.items())
        if (types := tuple(sorted(code for code, cell in row.items() if cell is wanted)))
    }
