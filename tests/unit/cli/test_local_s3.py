"""The S3 server of a local stage: found, started, found running, and what is said when it can't be had."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.s3_servers import S3Servers, require_server
from fixtures.service import settings_of
from sceau.cli.local_s3 import s3_of
from sceau.cli.local_stage import LocalFolder, ensure_local_stage
from sceau.cli.s3_server import Binary, Credentials, find_server
from sceau.stage import SettingsError, Stage, load_stage

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Stage, LocalFolder]:
    """The stage `s3` as it is before its server runs."""
    stage = load_stage(settings_of(tmp_path / "stage", "s3"))
    folder, new = ensure_local_stage(stage)
    assert new
    return stage, folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any S3 server."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("GOPATH", str(tmp_path / "empty"))
    return tmp_path / "empty"


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\nexit 0\n", "utf-8")
    path.chmod(0o755)
    return path


def test_a_server_is_found_on_the_path_where_make_builds_it_and_where_go_installs_it(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = tmp_path / "checkout"
    assert find_server(base) is None
    installed = program(nowhere / "bin", "minio")
    assert find_server(base) == Binary("minio", installed)
    built = program(base / "build" / "bin", "versitygw")
    assert find_server(base) == Binary("versitygw", built)
    found = program(tmp_path / "path", "versitygw")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert find_server(base) == Binary("versitygw", found)
    assert find_server(base, ("minio",)) == Binary("minio", installed)


def test_what_is_secret_is_readable_by_its_owner_only_and_nowhere_else(made: tuple[Stage, LocalFolder]) -> None:
    _, folder = made
    credentials = Credentials.read(folder.path / "s3" / "credentials")
    assert credentials.secret_key not in repr(credentials)
    for name in ("credentials", "server.env"):
        assert stat.S_IMODE((folder.path / "s3" / name).stat().st_mode) == 0o600
    holding = [
        path
        for path in folder.path.rglob("*")
        if path.is_file() and credentials.secret_key in path.read_text("latin-1")
    ]
    assert sorted(path.name for path in holding) == ["credentials", "server.env"]


def test_no_server_is_a_sentence_that_says_how_to_get_one(
    made: tuple[Stage, LocalFolder], nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, folder = made
    elsewhere = Stage(stage.name, stage.file, stage.spec, nowhere)
    with pytest.raises(SettingsError, match=r"no S3 server here \(versitygw or minio\): `make s3-server` builds"):
        s3_of(elsewhere, folder).__enter__()
    assert (ROOT / "iac" / "local" / "s3.compose.yaml").is_file()


def test_another_server_than_the_one_that_made_the_data_is_not_started(made: tuple[Stage, LocalFolder]) -> None:
    stage, folder = made
    (folder.path / "s3" / "server").write_text("another-kind\n", "utf-8")
    with pytest.raises(SettingsError, match=r"no S3 server here \(another-kind\)"):
        s3_of(stage, folder).__enter__()


@pytest.mark.parametrize("damage", ["", "[default]\n", "\xff\xfe"])
def test_credentials_that_can_not_be_read_are_a_sentence(damage: str, made: tuple[Stage, LocalFolder]) -> None:
    stage, folder = made
    (folder.path / "s3" / "credentials").write_text(damage, "latin-1")
    with pytest.raises(SettingsError, match="credentials can't be read"):
        s3_of(stage, folder).__enter__()


@pytest.fixture
def stranger() -> Iterator[int]:
    """Somebody else's program on a port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield listening.getsockname()[1]


def test_a_stranger_on_the_port_is_not_taken_for_the_stage_s_server(stranger: int, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "stage", "s3").model_copy(
        update={"store_endpoint": f"https://127.0.0.1:{stranger}"}
    )
    stage = load_stage(settings)
    folder, _ = ensure_local_stage(stage)
    with pytest.raises(SettingsError, match=rf"port {stranger} is busy, and what answers there is not this stage's"):
        s3_of(stage, folder).__enter__()


def test_another_stage_s_server_is_not_taken_for_one_s_own(s3_servers: S3Servers, tmp_path: Path) -> None:
    place = s3_servers.place("versitygw")
    settings = settings_of(tmp_path / "stage", "s3").model_copy(update={"store_endpoint": place.spec.origin})
    stage = load_stage(settings)
    folder, _ = ensure_local_stage(stage)
    with pytest.raises(SettingsError, match="is not this stage's S3 server"):
        s3_of(stage, folder).__enter__()


def test_a_server_that_runs_already_is_used_and_left_running(made: tuple[Stage, LocalFolder]) -> None:
    require_server("versitygw")
    stage, folder = made
    with s3_of(stage, folder) as server:
        assert server is not None
        stage.store().create("probe/x", b"1")
        with s3_of(stage, folder) as second:
            assert second is None
        assert stage.store().read("probe/x").data == b"1"
    with s3_of(stage, folder) as again:
        assert again is not None
        assert stage.store().read("probe/x").data == b"1"
