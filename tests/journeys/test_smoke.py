"""`sceau smoke` against a served stage: what holds is seen to hold, and a door that is open is found."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from fixtures.ports import free_port
from fixtures.service import LiveStage
from sceau.cli.main import main
from sceau.cli.smoke import Doors, journey_findings
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[2]


def command(live: LiveStage, *more: str) -> list[str]:
    port = live.service.origin.rpartition(":")[2]
    return ["smoke", "--stage", "local", "--folder", str(live.folder.path), "--port", port, *more]


def test_a_stage_that_is_served_holds_and_the_report_says_so(
    live: LiveStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(command(live, "--issuer", live.service.issuer, "--report", str(tmp_path / "smoke.json")))
    told = capsys.readouterr()
    assert (status, told.err) == (0, "")
    read = json.loads((tmp_path / "smoke.json").read_text("utf-8"))
    assert (read["format"], read["stage"]) == (1, "local")
    assert all(step["held"] for step in read["steps"])
    names = [step["name"] for step in read["steps"]]
    assert {"ingest is well", "nothing else opens without a token", "step 5a: hospital-physician"} <= set(names)
    assert "upkeep is well" not in names, "it has no routes"
    closed = next(step for step in read["steps"] if step["name"] == "nothing else opens without a token")
    assert int(closed["seen"].split(" ")[0]) >= 20


def test_what_does_not_answer_is_lost(live: LiveStage) -> None:
    http = urllib3.PoolManager(retries=False, timeout=2)
    found = list(Doors(live.stage, f"https://localhost:{free_port()}", http, live.folder.authority).findings())
    assert [one.name for one in found if one.held] == ["TLS older than 1.2 is refused"]


@pytest.fixture
def old(live: LiveStage) -> Iterator[str]:
    """A server that still speaks TLS 1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(live.folder.certificate, live.folder.certificate_key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain, _ = server.accept()
            with plain, context.wrap_socket(plain, server_side=True) as sealed:
                sealed.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}"
        thread.join(10)


def test_old_tls_is_found(live: LiveStage, old: str) -> None:
    doors = Doors(live.stage, old, urllib3.PoolManager(), live.folder.authority)
    held, seen = doors._old_tls()
    assert (held, seen) == (False, "it spoke TLSv1.1")


def test_a_journey_that_fails_says_where(live: LiveStage) -> None:
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local"))
    nobody = type(live.service)(f"https://localhost:{free_port()}", live.service.issuer, live.folder)
    [found] = journey_findings(stage, nobody)
    assert not found.held
    assert found.seen.startswith("it ended after 0 calls")


def test_no_journey_is_played_on_real_identities(
    live: LiveStage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "chalicefile").read_text("utf-8") + (ROOT / "tests" / "fixtures" / "hosted.toml").read_text("utf-8")
    (tmp_path / "chalicefile").write_text(text, "utf-8")
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    asked = ["smoke", "--stage", "aws-sample", "--actors", str(live.folder.path), "--issuer", live.service.issuer]
    assert main(asked) == 1
    assert capsys.readouterr().err == "sceau: stage aws-sample takes real identities: no journey is played there\n"
