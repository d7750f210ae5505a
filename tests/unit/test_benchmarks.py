"""The benchmarks import, count and write: what they measure is never judged by a test."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.calls import EXPECTED, count_calls
from benchmarks.figures import Bar, Figures, percentile, table
from benchmarks.run import main
from benchmarks.stage import ROOT, quiet_log


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_each_module_can_be_imported(name: str) -> None:
    assert import_module(f"benchmarks.{name}").__doc__


def test_the_calls_are_counted_at_the_ports(tmp_path: Path) -> None:
    with quiet_log():
        found = count_calls(tmp_path)
    assert {name: (one.store.total(), one.keys.total()) for name, one in found.items()} == EXPECTED


def test_a_part_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sarch"]) == 2
    assert "'sarch'" in capsys.readouterr().err


def test_figures_are_flat_and_those_of_other_parts_stay(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    for name, value in (("a.cpu_ms", 1.23456), ("b.cpu_ms", 2)):
        figures = Figures()
        figures.add(name, value)
        figures.write(path)
    assert json.loads(path.read_bytes()) == {"a.cpu_ms": 1.2346, "b.cpu_ms": 2}


def test_a_bar_says_whether_it_is_met() -> None:
    figures = Figures()
    assert figures.add("cpu_ms", 8.0, Bar(8)).startswith("met")
    assert figures.add("cpu_ms", 8.1, Bar(8)).startswith("NOT MET")
    assert figures.add("rate", 0.89, Bar(0.9, least=True)).startswith("NOT MET")
    assert len(figures.verdicts) == 3


def test_percentiles_and_tables() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0
    assert table("t", ("what", "ms"), [["a", 1.5], ["bcd", 12.25]]).splitlines()[2:] == [
        "  what     ms",
        "  a      1.50",
        "  bcd   12.25",
    ]
