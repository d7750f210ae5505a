"""`sceau structures`: what is kept, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.service import ROOT
from sceau.cli.local_stage import ensure_local_stage
from sceau.cli.main import main
from sceau.envelope.messages import Envelope
from sceau.identity.structures import Directory, DirectoryStore
from sceau.stage import Settings, load_stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("structures") / "stage"
    ensure_local_stage(load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=made)))
    return made


def run(folder: Path, *words: str) -> int:
    return main(["structures", *words, "--folder", str(folder)])


def known(folder: Path) -> Directory | None:
    tool = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder)).tool("operations")
    return DirectoryStore(tool.store, Envelope(tool.keys)).read()


def test_numbers_are_loaded_in_place_of_those_before(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "show") == 0
    assert capsys.readouterr().out.startswith("no directory was loaded")
    file = tmp_path / "finess.txt"
    file.write_text("# extract\n1750000001\n2A0000014  # Corsica\n12345678901234\n\n750000001\n")
    assert run(folder, "load", str(file), "--source", "FINESS, 2026-11-01") == 0
    assert capsys.readouterr().out.startswith("3 structures")
    found = known(folder)
    assert found is not None
    assert all(number in found for number in ("1750000001", "12A0000014", "312345678901234"))
    assert "1750000002" not in found
    assert 1750000001 not in found
    file.write_text("1750000002\n")
    assert run(folder, "load", str(file), "--source", "FINESS, 2026-12-01") == 0
    assert run(folder, "show") == 0
    assert capsys.readouterr().out.endswith("1 structures\n")


@pytest.mark.parametrize("text", ["", "# none\n", "1750000003\nzwei\n", "1750000003\n17\n"])
def test_a_file_with_a_fault_changes_nothing(
    folder: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = known(folder)
    file = tmp_path / "finess.txt"
    file.write_text(text)
    assert run(folder, "load", str(file), "--source", "x") != 0
    assert "nothing was changed" in capsys.readouterr().err
    after = known(folder)
    assert (before and len(before)) == (after and len(after))


def test_a_file_that_is_not_there_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "load", "/nowhere", "--source", "x") != 0
    assert "can't be read" in capsys.readouterr().err
