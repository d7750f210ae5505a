"""docs/threats.md says what proves each measure: every test and control that it names must be there."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from iac.controls.controls import CONTROLS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "threats.md"
_EVENT = re.compile(r"^E\d+$")
_TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
_CONTROL = re.compile(r"`control:([a-z0-9-]+)`")


@dataclass(frozen=True)
class Row:
    """One line of a table of paths."""

    path: str
    events: frozenset[str]
    measure: str
    tests: tuple[tuple[str, str], ...]
    controls: tuple[str, ...]


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a page: rows of cells, its head first."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def events_of(text: str) -> set[str]:
    (table,) = [table for table in tables(text) if table[0][0] == "event"]
    return {row[0] for row in table[2:]}


def rows_of(text: str) -> list[Row]:
    found = []
    for table in tables(text):
        if table[0][0] == "path":
            for path, events, measure, proof in table[2:]:
                tests, controls = tuple(_TEST.findall(proof)), tuple(_CONTROL.findall(proof))
                found.append(Row(path, frozenset(events.split()), measure, tests, controls))
    return found


@cache
def functions_of(file: str) -> frozenset[str]:
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)
    )


CONTROLS_THERE = frozenset(control.name for control in CONTROLS)


def missing(text: str) -> list[str]:
    """What a page names and nobody has."""
    wrong = [f"{file}::{test}" for row in rows_of(text) for file, test in row.tests if test not in functions_of(file)]
    wrong += [f"control:{name}" for row in rows_of(text) for name in row.controls if name not in CONTROLS_THERE]
    return wrong


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


def test_every_test_and_control_that_the_page_names_is_there(page: str) -> None:
    assert missing(page) == []


def test_every_control_stands_against_something(page: str) -> None:
    assert {name for row in rows_of(page) for name in row.controls} == CONTROLS_THERE


def test_every_measure_is_proven(page: str) -> None:
    rows = rows_of(page)
    assert len(rows) > 30
    assert [row.path for row in rows if not row.tests and not row.controls] == []
    assert [row.path for row in rows if not row.measure] == []


def test_every_feared_event_has_paths_and_every_path_an_event(page: str) -> None:
    events, rows = events_of(page), rows_of(page)
    assert all(_EVENT.match(event) for event in events)
    assert {event for row in rows for event in row.events} == events


def test_nothing_that_looks_like_a_proof_goes_unread(page: str) -> None:
    read = sum(len(row.tests) for row in rows_of(page))
    assert page.count("::test_") == read, "each stands in a table of paths, in the form that this test reads"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("::test_a_forged_token`", "::test_a_forged_token_that_is_gone`"),
        ("`tests/security/test_xml.py::", "`tests/security/test_gone.py::"),
        ("`tests/security/test_https_resource.py::test_an_expired_token`", "`control:nobody-has-it`"),
    ],
)
def test_a_name_that_is_gone_is_found(before: str, after: str, page: str) -> None:
    assert before in page
    assert missing(page.replace(before, after, 1))
