"""Attacks on a container that is reached past its front, and on the address that only the scheduler may call.

A real server process on plain HTTP, as behind a front. After each refusal the store is as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.at_rest import files_below
from fixtures.container import FRONT_SECRET, SCHEDULER_SECRET, ContainerProcess, container_process, local_folder
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[2]
FRONT = {"Sceau-Front": FRONT_SECRET}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return local_folder(tmp_path_factory.mktemp("container") / "stage")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Iterator[ContainerProcess]:
    """Every function in one container."""
    with container_process("all", folder) as running:
        yield running


@pytest.fixture(scope="module")
def upkeep(whole: ContainerProcess, folder: Path) -> Iterator[ContainerProcess]:
    """The scheduled function in a container of its own; the stage's pseudonym key is there."""
    with container_process("upkeep", folder) as running:
        yield running


def state(folder: Path) -> dict[str, str]:
    """Every object that a request could write, with a digest of its bytes; log and probes are their schedules'."""
    scheduled = ("journal/log/", "journal/records/", "journal/reconciliation", "journal/locks", "probe/")
    found = files_below(folder / "store" / "objects")
    asked = {name: data for name, data in found.items() if not name.startswith(scheduled)}
    assert asked
    return {name: hashlib.sha256(data).hexdigest() for name, data in asked.items()}


def routes() -> list[tuple[str, str]]:
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local"))
    every = [route for function in stage.file.functions.values() for route in function.routes]
    return [(route.method, route.path.replace("{resource_id}", "a.b")) for route in every]


def test_no_route_is_reached_past_the_front(whole: ContainerProcess) -> None:
    before = state(whole.folder)
    asked = [(method, path) for method, path in routes() if not path.startswith("/healthz/")]
    assert len(asked) > 15
    for method, path in asked:
        status, headers, body = whole.request(method, path, b"{}" if method != "GET" else None)
        assert status == 403, path
        assert headers["Connection"] == "close"
        assert json.loads(body)["resourceType"] == "OperationOutcome"
    assert state(whole.folder) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sceau-Front": "f" * 46},
        {"Sceau-Front": FRONT_SECRET[:-1]},
        {"Sceau-Front": FRONT_SECRET.upper()},
        {"Sceau-Front": f"x,{FRONT_SECRET}"},
        {"Sceau-Front": SCHEDULER_SECRET},
        {"Sceau-Scheduler": FRONT_SECRET},
        {"Authorization": f"Bearer {FRONT_SECRET}"},
        {"Host": "localhost", "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1;host=localhost"},
    ],
)
def test_nothing_but_the_whole_secret_gets_in(headers: dict[str, str], whole: ContainerProcess) -> None:
    assert whole.request("GET", "/oauth/jwks", headers=headers)[0] == 403
    assert whole.request("GET", "/oauth/jwks", headers=FRONT)[0] == 200


def test_a_caller_who_imitates_the_front_s_header_through_the_front_shuts_itself_out(whole: ContainerProcess) -> None:
    # WSGI reads both as one header: the later one wins, or both are joined. Neither way is the caller someone else.
    for first, second in (("Sceau_Front", "Sceau-Front"), ("Sceau-Front", "Sceau_Front"), ("Sceau-Front",) * 2):
        for forged in ("for=192.0.2.66", f"{'x' * 32} for=192.0.2.66"):
            named = {first: forged, second: FRONT_SECRET}
            lines = [f"{name}: {value}" for name, value in named.items()]
            if first == second:
                lines = [f"{first}: {forged}", f"{second}: {FRONT_SECRET}"]
            with whole.connect() as connection:
                request = ["GET /oauth/jwks HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]
                connection.sendall("\r\n".join(request).encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            status = int(answer.split(b" ")[1])
            assert status in (200, 403)
            assert status == 403 or first != second, "joined, they are not the secret"


def test_a_large_body_past_the_front_is_not_read(whole: ContainerProcess) -> None:
    with whole.connect() as connection:
        head = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n"
        connection.sendall(head)  # and nothing of the body
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 403 ")


def test_the_probe_says_nothing_but_that_the_function_serves(whole: ContainerProcess) -> None:
    for function in ("authentication", "ingest", "retrieval", "consent", "traces"):
        status, _, body = whole.request("GET", f"/healthz/{function}")
        assert (status, json.loads(body)) == (200, {"status": "ok"})


def test_a_container_serves_its_own_function_only(whole: ContainerProcess, folder: Path) -> None:
    with container_process("retrieval", folder) as retrieval:
        assert retrieval.request("GET", "/fhir/metadata", headers=FRONT)[0] == 200
        for method, path in (("POST", "/oauth/token"), ("POST", "/fhir"), ("GET", "/fhir/Consent")):
            assert retrieval.request(method, path, b"{}", FRONT)[0] in (404, 405)
        for function in ("authentication", "ingest"):
            assert retrieval.request("GET", f"/healthz/{function}")[0] == 403, "no probe of another's"


def test_the_secret_is_in_no_log_and_no_answer(whole: ContainerProcess, upkeep: ContainerProcess) -> None:
    answers = [running.request("GET", "/x", headers=FRONT) for running in (whole, upkeep)]
    said = b"".join(body + str(headers).encode() for _, headers, body in answers)
    said += b"".join(path.read_bytes() for path in whole.folder.glob("*.log"))
    assert b"past-the-front" in said
    assert FRONT_SECRET.encode() not in said
    assert SCHEDULER_SECRET.encode() not in said


def test_only_the_scheduler_starts_a_run(upkeep: ContainerProcess) -> None:
    before = state(upkeep.folder)
    for headers in ({}, FRONT, {"Sceau-Scheduler": SCHEDULER_SECRET[:-1]}, {"Sceau-Scheduler": FRONT_SECRET}):
        assert upkeep.request("POST", "/run/upkeep", b"{}", headers)[0] == 403
    log = (upkeep.folder / "upkeep.log").read_bytes()
    assert b'"swept"' not in log
    assert state(upkeep.folder) == before
    assert upkeep.request("POST", "/run/upkeep", b"{}", {"Sceau-Scheduler": SCHEDULER_SECRET})[0] == 200
    assert b'"swept"' in (upkeep.folder / "upkeep.log").read_bytes()


def test_a_container_with_routes_has_no_address_for_runs(whole: ContainerProcess) -> None:
    for headers in ({"Sceau-Scheduler": SCHEDULER_SECRET}, FRONT | {"Sceau-Scheduler": SCHEDULER_SECRET}):
        assert whole.request("POST", "/run/upkeep", b"{}", headers)[0] in (403, 404)
