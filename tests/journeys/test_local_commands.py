"""`make run` and its like where something is in the way: one clear sentence on standard error, and a status not 0."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.ports import free_port
from sceau.cli import main as command
from sceau.cli.journey import Journey, StepFailed
from sceau.cli.local_stage import PARTS, ensure_local_stage
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage as `make run` makes it."""
    folder = tmp_path_factory.mktemp("local") / "stage"
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder))
    made, new = ensure_local_stage(stage)
    assert new
    assert not made.missing()
    return folder


@pytest.fixture
def folder(whole_stage: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(whole_stage, tmp_path / "stage"))


def sentence(capsys: pytest.CaptureFixture[str], folder: Path, port: int | None = None) -> str:
    """What the command says on standard error: one line, with a status of 1."""
    assert command.main(["journey", "--folder", str(folder), "--port", str(port or free_port(2))]) == 1
    told = capsys.readouterr().err
    assert told.startswith("sceau: ")
    assert told.endswith("\n")
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize("part", PARTS)
def test_a_stage_that_lacks_a_part_is_not_repaired_by_guessing(
    part: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = folder / part
    if lost.is_dir():
        shutil.rmtree(lost)
    else:
        lost.unlink()
    told = sentence(capsys, folder)
    assert f"missing: {part};" in told
    assert str(folder) in told
    assert not lost.exists()


@pytest.mark.parametrize("there", [Path.mkdir, Path.touch], ids=["an empty folder", "a file"])
def test_something_else_in_the_stages_place_is_left_alone(
    there: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stage"
    there(folder)
    assert "incomplete" in sentence(capsys, folder)
    assert folder.is_file() or not list(folder.iterdir())


SPOILT: dict[str, tuple[str, str]] = {
    "the key file": ("keys.json", "keys.json"),
    "the server's certificate": ("tls/server.pem", "server.pem"),
    "the server's key": ("tls/server.key", "server.pem and its key"),
    "the issuer's keys": ("issuer.json", "issuer.json"),
    "a client's key": ("clients/laboratory.json", "laboratory.json"),
    "the store's marker": ("store/sceau-store", "store"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_part_that_can_not_be_read_is_named(what: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, named = SPOILT[what]
    (folder / name).write_bytes(b"{}" if name.endswith(".json") else b"x")
    assert named in sentence(capsys, folder)


def test_a_key_file_that_others_can_read_is_not_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "keys.json").chmod(0o644)
    assert "chmod 600" in sentence(capsys, folder)


@pytest.mark.parametrize(("taken", "what"), [(0, "the service"), (1, "the development issuer")])
def test_a_busy_port_is_named_with_the_way_out(
    taken: int, what: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port(2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + taken))
        other.listen()
        told = sentence(capsys, folder, port)
    assert f"port {port + taken} is busy: {what}" in told
    assert "PORT=" in told


@pytest.mark.xdist_group("live")
def test_a_step_that_fails_ends_the_journey_and_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Journey) -> None:
        raise StepFailed("step 4: GET /fhir/DocumentReference answered 503")

    monkeypatch.setattr(Journey, "play", fails)
    assert "step 4" in sentence(capsys, folder)


def test_a_token_without_a_stage_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["token", "patient", "--folder", str(tmp_path / "none")]) == 1
    assert "make run" in capsys.readouterr().err


def test_a_token_while_nothing_is_served_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["token", "laboratory", "--folder", str(folder), "--port", str(free_port(2))]
    assert command.main(arguments) == 1
    assert "is it running?" in capsys.readouterr().err
