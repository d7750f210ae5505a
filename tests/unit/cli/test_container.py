"""A container's settings: one sentence for each mistake, and as many requests at a time as its memory holds."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sceau.cli.container.__main__ import main
from sceau.cli.container.capacity import MIB, kernel_limit, threads_for
from sceau.cli.container.server import Container, build
from sceau.cli.container.settings import ContainerSettings
from sceau.http.front import Front, Triggered
from sceau.http.gateway import Gateway
from sceau.keys.keyfile import create_key_file
from sceau.objects.filesystem import create_root
from sceau.stage import SettingsError

ROOT = Path(__file__).resolve().parents[3]
SECRET = "f" * 32
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A container's environment on a stage of its own, with what every function needs but its name."""
    folder = tmp_path / "stage"
    folder.mkdir()
    create_root(folder / "store")
    create_key_file(folder / "keys.json", clock=lambda: NOW)
    return {
        "SCEAU_CHALICEFILE": str(ROOT / "chalicefile"),
        "SCEAU_STAGE": "local",
        "SCEAU_FOLDER": str(folder),
        "SCEAU_TRANSPORT": "plain",
        "SCEAU_FRONT_SECRET": SECRET,
        "SCEAU_SCHEDULER_SECRET": SECRET,
    }


def sentence(environ: dict[str, str], **changes: str) -> str:
    """What is said instead of starting; no secret is in it."""
    with pytest.raises(SettingsError) as refused:
        Container.from_environ(environ | changes)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SCEAU_FUNCTION": ""}, "SCEAU_FUNCTION is not set: the name of a function, or `all`, is needed to start"),
        ({"SCEAU_FUNCTION": "nobody"}, "SCEAU_FUNCTION: the chalicefile declares no function 'nobody'"),
        ({"SCEAU_FUNCTION": "operations"}, "SCEAU_FUNCTION: the chalicefile declares no function 'operations'"),
        ({"SCEAU_TRANSPORT": ""}, "SCEAU_TRANSPORT is not `tls`, `plain` or `private`: it is needed to start"),
        ({"SCEAU_TRANSPORT": "http"}, "SCEAU_TRANSPORT is not `tls`, `plain` or `private`: it is needed to start"),
        (
            {"SCEAU_TRANSPORT": "tls"},
            "SCEAU_TLS_CERTIFICATE names no file: with SCEAU_TRANSPORT=tls it is needed to start",
        ),
        (
            {"SCEAU_FRONT_SECRET": ""},
            "SCEAU_FRONT_SECRET is not set: without TLS, only a front that proves itself is answered",
        ),
        (
            {"SCEAU_FUNCTION": "upkeep", "SCEAU_SCHEDULER_SECRET": ""},
            "SCEAU_SCHEDULER_SECRET is not set: nobody could call this function (`run` runs it once without)",
        ),
        (
            {"SCEAU_FRONT_SECRET": "a" * 31},
            "SCEAU_FRONT_SECRET: a secret has 32 to 256 characters, letters, digits and ._~+/=- only",
        ),
        (
            {"SCEAU_FRONT_SECRET": "a" * 31 + ","},
            "SCEAU_FRONT_SECRET: a secret has 32 to 256 characters, letters, digits and ._~+/=- only",
        ),
        ({"SCEAU_FRONT_SECRET": " ".join([SECRET] * 3)}, "SCEAU_FRONT_SECRET holds more than two secrets"),
        (
            {"SCEAU_FRONT_SECRET_FILE": "/nowhere"},
            "SCEAU_FRONT_SECRET and SCEAU_FRONT_SECRET_FILE are both set: set one",
        ),
        (
            {"SCEAU_FRONT_SECRET": "", "SCEAU_FRONT_SECRET_FILE": "/nowhere"},
            "SCEAU_FRONT_SECRET_FILE can't be read",
        ),
        ({"PORT": "0"}, "PORT is not a port number"),
        ({"PORT": "65536"}, "PORT is not a port number"),
        ({"PORT": "eighty"}, "PORT is not a port number"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_starts(
    changes: dict[str, str], said: str, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"SCEAU_FUNCTION": "ingest"} | changes
    assert sentence(environ, **given) == said
    assert main([], environ | given) == 1
    assert capsys.readouterr().err == f"sceau: {said}\n"


def test_a_secret_is_read_from_a_file_and_two_count_while_one_replaces_the_other(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n{'g' * 64}\n")
    environ["SCEAU_FRONT_SECRET"] = ""
    settings = ContainerSettings.from_environ(
        environ | {"SCEAU_FUNCTION": "ingest", "SCEAU_FRONT_SECRET_FILE": str(tmp_path / "secret")}
    )
    assert settings.front_secrets == (SECRET, "g" * 64)
    assert SECRET not in repr(settings)


def test_an_empty_secret_file_is_not_no_secret(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    given = {"SCEAU_FUNCTION": "ingest", "SCEAU_FRONT_SECRET": "", "SCEAU_FRONT_SECRET_FILE": str(tmp_path / "secret")}
    assert sentence(environ, **given) == "SCEAU_FRONT_SECRET_FILE is empty"


def test_a_function_with_routes_stands_behind_the_front(environ: dict[str, str]) -> None:
    assert isinstance(build(Container.from_environ(environ | {"SCEAU_FUNCTION": "retrieval"})), Front)


def test_a_scheduled_function_is_the_scheduler_s(environ: dict[str, str]) -> None:
    given = environ | {"SCEAU_FUNCTION": "upkeep", "SCEAU_FRONT_SECRET": ""}
    assert isinstance(build(Container.from_environ(given)), Triggered)


def test_without_a_secret_only_a_host_that_is_said_to_keep_everybody_out_is_believed(environ: dict[str, str]) -> None:
    environ |= {"SCEAU_FRONT_SECRET": "", "SCEAU_SCHEDULER_SECRET": ""}
    for function in ("retrieval", "upkeep"):
        assert "SECRET is not set" in sentence(environ, SCEAU_FUNCTION=function)
    private = environ | {"SCEAU_TRANSPORT": "private"}
    assert isinstance(build(Container.from_environ(private | {"SCEAU_FUNCTION": "retrieval"})), Gateway)
    assert isinstance(build(Container.from_environ(private | {"SCEAU_FUNCTION": "upkeep"})), Triggered)
    with_secret = private | {"SCEAU_FUNCTION": "retrieval", "SCEAU_FRONT_SECRET": SECRET}
    assert isinstance(build(Container.from_environ(with_secret)), Front), "a secret that is set counts there too"


def test_with_tls_of_its_own_a_container_may_be_the_front(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "x.pem").touch()
    tls = {"SCEAU_TRANSPORT": "tls", "SCEAU_TLS_CERTIFICATE": str(tmp_path / "x.pem")}
    given = environ | tls | {"SCEAU_TLS_KEY": str(tmp_path / "x.pem"), "SCEAU_FUNCTION": "retrieval"}
    assert isinstance(build(Container.from_environ(given)), Front), "a secret that is set counts there too"
    assert isinstance(build(Container.from_environ(given | {"SCEAU_FRONT_SECRET": ""})), Gateway)


def test_a_store_that_is_not_there_ends_the_start(environ: dict[str, str]) -> None:
    shutil.rmtree(Path(environ["SCEAU_FOLDER"]) / "store")
    container = Container.from_environ(environ | {"SCEAU_FUNCTION": "retrieval"})
    with pytest.raises(Exception, match="store"):
        build(container)


def test_the_one_shot_command_runs_scheduled_functions_only(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)  # as an app reads it
    assert main(["run", "upkeep"], environ) == 0
    assert main(["run", "ingest"], environ) == 1
    assert "the chalicefile declares no scheduled function 'ingest'" in capsys.readouterr().err
    assert main(["fly"], environ) == 2


# Memory


@pytest.mark.parametrize(
    ("memory_mb", "body", "threads"),
    [(1024, 16 * MIB, 7), (512, 16 * MIB, 3), (512, 4 * MIB, 12), (1024, 4 * MIB, 16), (10240, 16 * MIB, 16)],
)
def test_a_container_serves_as_many_requests_at_a_time_as_its_memory_holds(
    memory_mb: int, body: int, threads: int
) -> None:
    assert threads_for(memory_mb * MIB, body) == threads


def test_memory_that_holds_no_request_ends_the_start() -> None:
    said = "^256 MB of memory hold no request of 16777216 bytes: give the function 262 MB, or the stage a smaller"
    with pytest.raises(SettingsError, match=said):
        threads_for(256 * MIB, 16 * MIB)
    assert threads_for(262 * MIB, 16 * MIB) == 1


@pytest.mark.parametrize(
    ("text", "limit"), [("max", None), ("536870912", 512 * MIB), ("9223372036854771712", None), ("", None)]
)
def test_the_kernel_s_limit_is_read_where_there_is_one(text: str, limit: int | None, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text(f"{text}\n")
    assert kernel_limit((tmp_path / "absent", tmp_path / "limit")) == limit


def test_the_smaller_of_the_kernel_s_limit_and_the_chalicefile_s_counts(environ: dict[str, str]) -> None:
    container = Container.from_environ(environ | {"SCEAU_FUNCTION": "ingest"})
    assert container.threads(None) == container.threads(8192 * MIB) == 7
    assert container.threads(512 * MIB) == 3
    every = Container.from_environ(environ | {"SCEAU_FUNCTION": "all"})
    assert every.threads(None) == 7
