"""`sceau stage check`: a line for each property, a sentence for each that is lost, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceau.cli.local_stage import ensure_local_stage
from sceau.cli.main import main
from sceau.cli.stage_check import report
from sceau.keys.ports import KeyName
from sceau.objects.findings import Finding
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[3]
HOLDS = Finding("dmp-events: Object Lock", held=True, seen="on")
LOST = Finding("dmp-events: clocks agree", held=False, seen="the store's clock is 40.0 s ahead")


def test_all_that_holds_is_printed_and_the_status_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([HOLDS, HOLDS]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == ["holds  dmp-events: Object Lock                              on"] * 2
    assert told.err == ""


def test_what_is_lost_is_a_sentence_on_standard_error_and_the_status_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([HOLDS, LOST, HOLDS]) == 1
    told = capsys.readouterr()
    assert [line.split()[0] for line in told.out.splitlines()] == ["holds", "LOST", "holds"]
    assert told.err == "sceau: dmp-events: clocks agree does not hold: the store's clock is 40.0 s ahead\n"


def test_the_local_stage_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stage"
    ensure_local_stage(load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder)))
    assert main(["stage", "check", "local", "--folder", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["holds"] * (4 + len(KeyName) + 1)
    assert [line.split()[1:3] for line in lines[4:-1]] == [["key", key.value] for key in KeyName]
    assert "associated data binds" in lines[-1]
    store = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder)).store()
    assert [name.rpartition("/")[2] for name in store.list("probe/")] == ["locked"], "for its minute"


@pytest.mark.parametrize("stage", ["local", "s3"])
def test_a_local_stage_that_was_never_made_is_a_sentence(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stage", "check", stage, "--folder", str(tmp_path / "none")]) == 1
    expected = f"sceau: there is no stage {stage} here yet: `make run STAGE={stage}` makes it\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "none").exists()


def test_a_stage_that_nobody_declared_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage", "check", "production"]) == 1
    assert "declares no stage 'production'" in capsys.readouterr().err
