"""The official grid: taken whole, or not at all; every fault is named with its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sceau.access.grid import Expected, GridRefused, read_grid
from sceau_schemas.rules import StoredMatrix

COLUMNS = ("10", "21", "60", "330")
TYPES = ("11488-4", "68599-0", "ATTEST-RESID")
EXPECTED = Expected(frozenset({*COLUMNS, "40"}), frozenset({*TYPES, "REMB"}), 3, 3)
GOOD = """Matrice d'habilitation;;;;
Catégorie;Type;10 - Médecin;G15_60;330 Coordonnateur
10;11488-4 CR de consultation;X;oui;non
11;68599-0;x;0;N
95;ATTEST-RESID;non;-;–
"""


def taken(text: str | bytes, expected: Expected = EXPECTED) -> StoredMatrix:
    data = text.encode() if isinstance(text, str) else text
    return read_grid(data, expected, version="v1", effective_from="2026-07-01", source="JO")


def test_a_whole_grid_is_taken() -> None:
    assert taken(GOOD) == StoredMatrix(
        version="v1",
        effective_from="2026-07-01",
        source="JO",
        allow={"10": ("11488-4", "68599-0"), "60": ("11488-4",)},
        deny={"10": ("ATTEST-RESID",), "330": TYPES, "60": ("68599-0", "ATTEST-RESID")},
    )


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("–", "non").encode("cp1252"),
        lambda text: text.replace(";", ",").encode(),
        lambda text: text.replace(";", "\t").encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: (text + ";;;;\n\n").encode(),
    ],
)
def test_a_grid_is_read_as_spreadsheets_write_it(written: Callable[[str], bytes]) -> None:
    assert taken(written(GOOD)) == taken(GOOD)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("G15_60", "61", "'61' is no profession or role that is known (TRE_G15, TRE_R85)"),
        ("G15_60", "10", "the column 10 stands twice"),
        ("68599-0;", "68599-9;", "line 4: '11 68599-9' is no document type that is known (JDV_J07)"),
        ("68599-0;", "11488-4;", "line 4: the type 11488-4 stands twice"),
        ("x;0;N", "x;peut-être;N", "line 4, 60 and 68599-0: 'peut-être' says neither allow nor deny"),
        ("x;0;N", "x;;N", "line 4, 60 and 68599-0: '' says neither allow nor deny"),
        ("x;0;N", "x;0", "line 4, 330 and 68599-0: '' says neither allow nor deny"),
        ("95;ATTEST-RESID;non;-;–\n", "", "the grid has 2 types, and should have 3"),
        (";G15_60;", ";;", "the grid has 2 columns, and should have 3"),
        ("10 - Médecin;G15_60;330 Coordonnateur", "a;b;c", "no line has codes of professions: the head is missing"),
    ],
)
def test_a_fault_is_named_and_nothing_is_taken(before: str, after: str, problem: str) -> None:
    assert before in GOOD
    with pytest.raises(GridRefused) as refused:
        taken(GOOD.replace(before, after))
    assert problem in refused.value.problems


def test_half_a_grid_is_refused_by_the_size_that_the_arrete_gives() -> None:
    with pytest.raises(GridRefused) as refused:
        taken(GOOD, Expected(EXPECTED.columns, EXPECTED.types))
    assert refused.value.problems == (
        "the grid has 3 columns, and should have 19",
        "the grid has 3 types, and should have 87",
    )


def test_an_empty_cell_denies_where_the_caller_says_so() -> None:
    found = taken(GOOD.replace("x;0;N", "x;;N"), Expected(EXPECTED.columns, EXPECTED.types, 3, 3, blank_denies=True))
    assert found == taken(GOOD)


def test_many_problems_are_told_in_part() -> None:
    lines = "".join(f"9;nothing-{number};x;x;x\n" for number in range(30))
    with pytest.raises(GridRefused) as refused:
        taken(GOOD + lines)
    assert len(refused.value.problems) == 30
    assert str(refused.value).splitlines()[-1] == "… and 10 more"
    assert len(str(refused.value).splitlines()) == 21
