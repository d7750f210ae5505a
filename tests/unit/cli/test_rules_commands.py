"""`sceau matrix` and `sceau access` on a stage: what they print, what they keep, and what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures.service import ROOT
from sceau.cli.local_stage import ensure_local_stage
from sceau.cli.main import main
from sceau.cli.rules import known_columns, known_types
from sceau.stage import Settings, load_stage

EDITION = ("--edition", "v1", "--effective-from", "2026-01-01", "--source", "JO")
HALF = "Type;10;60\n11488-4;oui;non\n68599-0;non;non\n"


def whole(professions: int = 19, types: int = 87) -> str:
    """A grid in which doctors read 11488-4, and nobody anything else; REMB is not in it."""
    columns = ["10", "60", *sorted(known_columns() - {"10", "60"})][:professions]
    rows = ["11488-4", "68599-0", *sorted(known_types() - {"11488-4", "68599-0", "REMB"})][:types]
    lines = [f"Type;{';'.join(columns)}"]
    lines += [
        ";".join([row, *("oui" if (column, row) == ("10", "11488-4") else "non" for column in columns)]) for row in rows
    ]
    return "\n".join(lines) + "\n"


GRID = whole()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules") / "stage"
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder))
    ensure_local_stage(stage)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A stage of its own for each test: making the keys takes time."""
    return Path(shutil.copytree(made, tmp_path / "stage"))


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.csv"
    path.write_text(GRID)
    return path


def run(folder: Path, *words: str) -> int:
    return main([*words, "--folder", str(folder)])


def test_a_grid_is_compared_loaded_and_shown(folder: Path, grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "matrix", "diff", str(grid), *EDITION) == 0
    compared = capsys.readouterr().out
    assert "10     68599-0            allow -> deny\n" in compared
    assert "10     11488-4" not in compared
    assert "60     11488-4            unknown -> deny\n" in compared
    assert "v1: 1 allow, 1652 deny, 0 unknown (unknown denies)\n" in compared
    assert run(folder, "matrix", "show") == 0
    shown = capsys.readouterr().out
    assert "v1" not in shown
    assert "arrete-2023-10-26-partial        2023-10-29  in force" in shown
    assert run(folder, "matrix", "load", str(grid), *EDITION) == 0
    loaded = capsys.readouterr().out
    assert loaded.startswith(compared)
    assert "in force from 2026-01-01" in loaded
    assert run(folder, "matrix", "show", "10") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "v1                               2026-01-01  in force  JO" in lines
    assert "11488-4            allow" in lines
    assert "REMB               unknown" in lines


def test_a_grid_of_a_later_arrete_may_have_more(folder: Path, grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_text(whole(20, 88))
    assert run(folder, "matrix", "load", str(grid), *EDITION, "--columns", "20", "--types", "88") == 0
    assert "v1: 1 allow, 1759 deny, 0 unknown" in capsys.readouterr().out


def test_an_edition_does_not_change(folder: Path, grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "matrix", "load", str(grid), *EDITION) == 0
    capsys.readouterr()
    assert run(folder, "matrix", "load", str(grid), *EDITION) == 1
    assert "there is an edition v1 already" in capsys.readouterr().err
    shipped = ("--edition", "arrete-2023-10-26-partial", *EDITION[2:])
    assert run(folder, "matrix", "load", str(grid), *shipped) == 1


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (HALF, EDITION, "the grid has 2 columns, and should have 19"),
        (whole(types=86), EDITION, "the grid has 86 types, and should have 87"),
        (HALF, (*EDITION, "--columns", "2"), "--columns is 19 or more: half a grid is not taken"),
        (HALF, (*EDITION, "--types", "2"), "--types is 87 or more: half a grid is not taken"),
        (whole(18), (*EDITION, "--columns", "18"), "--columns is 19 or more"),
        (GRID, (*EDITION, "--columns", "20"), "the grid has 19 columns, and should have 20"),
        (GRID.replace("Type;10;60", "Type;10;60;61x"), EDITION, "is no profession"),
        (GRID, ("--edition", "V 1", *EDITION[2:]), "version"),
        (
            GRID,
            ("--edition", "v1", "--effective-from", "2026-02-30", "--source", "JO"),
            "no day of the calendar",
        ),
        (GRID, ("--edition", "v1", "--effective-from", "demain", "--source", "JO"), "effective_from"),
        (None, EDITION, "can't be read"),
    ],
)
def test_a_grid_that_can_not_be_used_leaves_what_there_is(
    folder: Path, grid: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: tuple[str, ...], said: str
) -> None:
    grid.write_text(text) if text is not None else grid.unlink()
    before = {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()}
    assert run(folder, "matrix", "load", str(grid), *words) == 1
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()} == before


def test_an_explanation_says_the_article_and_the_edition(
    folder: Path, grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("access", "explain", "--act", "read-document", "--actor", "professional", "--type", "11488-4")
    assert run(folder, *asked, "--label", "MASQUE_PS", "--grant", "structure") == 0
    assert capsys.readouterr().out == (
        "deny  denied.masked\nrule    masked to professionals\n"
        "source  CSP R. 1111-49; in an emergency: not found\nmatrix  arrete-2023-10-26-partial\n"
    )
    assert run(folder, *asked, "--label", "INVISIBLE_PATIENT", "--grant", "medecin-traitant") == 0
    assert capsys.readouterr().out.splitlines()[::4] == [
        "allow  allowed.medecin-traitant",
        "warned  the patient can't see this document yet",
    ]
    run(folder, "matrix", "load", str(grid), *EDITION)
    capsys.readouterr()
    run(folder, *asked, "--grant", "structure", "--profession", "60")
    assert "denied.matrix\n" in capsys.readouterr().out
    run(folder, *asked, "--grant", "structure", "--profession", "60", "--shipped")
    assert "denied.matrix-unknown\n" in capsys.readouterr().out


def test_by_what_ships_no_stage_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("access", "explain", "--act", "search", "--actor", "patient", "--shipped")
    assert run(tmp_path / "nothing", *words) == 0
    assert capsys.readouterr().out.startswith("allow  allowed.holder\n")


def test_a_type_that_nobody_knows_is_no_question(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("access", "explain", "--act", "read-document", "--actor", "patient", "--type", "x")
    assert run(folder, *words) == 1
    assert capsys.readouterr().err == "sceau: x is no type of JDV_J07\n"


def test_the_tables_are_printed_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["access", "tables"]) == 0
    printed = capsys.readouterr().out
    for name in ("reading", "acts", "reasons", "settings"):
        assert f"<!-- {name} -->\n| " in printed


def test_the_codes_that_a_grid_may_have() -> None:
    assert {
        "10",
        "21",
        "26",
        "40",
        "50",
        "60",
        "69",
        "70",
        "80",
        "91",
        "92",
        "95",
        "93",
        "330",
        "353",
    } <= known_columns()
    assert not {code for code in known_columns() if "/" in code or code.startswith("G15_")}
    assert {"11488-4", "EXPPAT_3", "REMB"} <= known_types()
