"""Figures by name, the bars that they are held to, and how they are shown and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure should not be above (or, with `least`, below)."""

    limit: float
    least: bool = False

    def verdict(self, value: float) -> str:
        """Whether a value is within the bar, and the bar."""
        met = value >= self.limit if self.least else value <= self.limit
        return f"{'met' if met else 'NOT MET'} ({'at least' if self.least else 'at most'} {self.limit:g})"


@dataclass(slots=True)
class Figures:
    """What was measured so far. A name is made of dots and ends with its unit: `publish.1.cpu_ms`.

    `prefix` begins all names: figures of several stages are kept in one file.
    """

    values: dict[str, float] = field(default_factory=dict)
    verdicts: list[str] = field(default_factory=list)
    prefix: str = ""

    def add(self, name: str, value: float, bar: Bar | None = None) -> str:
        """Keep a figure; return its verdict, empty without a bar."""
        self.values[name] = round(value, 4)
        if bar is None:
            return ""
        verdict = bar.verdict(value)
        self.verdicts.append(f"{name:<34} {value:>9.2f}  {verdict}")
        return verdict

    def write(self, path: Path) -> None:
        """Keep the figures as one flat JSON object. Figures of parts that were not measured this time stay."""
        kept: dict[str, float] = json.loads(path.read_bytes()) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        named = {f"{self.prefix}{name}": value for name, value in self.values.items()}
        path.write_text(json.dumps(dict(sorted({**kept, **named}.items())), indent=1) + "\n")


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """A table as text: texts to the left, numbers to the right, with two digits unless they are whole by nature."""
    shown = [list(heads), *([f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(heads))]
    to_left = [isinstance(cell, str) for cell in rows[0]]
    lines = [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, to_left, strict=True)
        )
        for row in shown
    ]
    return "\n".join([f"\n{title}", *(f"  {line.rstrip()}" for line in lines)])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
