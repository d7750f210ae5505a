"""A container that its host stops: what is under way is answered, what is not begun is refused, counts are written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fixtures.container import FRONT_SECRET, ContainerProcess, container_process, local_folder

FORM = b"grant_type=client_credentials&scope=system/DocumentReference.crs"


def head(length: int) -> bytes:
    lines = [
        "POST /oauth/token HTTP/1.1",
        "Host: localhost",
        f"Sceau-Front: {FRONT_SECRET}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {length}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def events(folder: Path) -> int:
    """How many events the stage's journal holds."""
    return len([path for path in (folder / "store/objects/journal/events").rglob("*") if path.is_file()])


def await_refusal(running: ContainerProcess) -> None:
    """Until the server takes no new connection."""
    pause = threading.Event()
    for _ in range(1200):
        try:
            running.connect().close()
        except ConnectionRefusedError:
            return
        pause.wait(0.05)
    pytest.fail("the server still takes connections")


def test_a_request_under_way_is_answered_and_no_new_one_is_taken(tmp_path: Path) -> None:
    folder = local_folder(tmp_path / "stage")
    with container_process("authentication", folder) as running:
        with running.connect() as connection, running.connect():  # the second one stays idle: it holds up nothing
            connection.sendall(head(len(FORM)) + FORM[:5])
            assert running.request("GET", "/healthz/authentication")[0] == 200, "the first request has its thread"
            running.process.terminate()
            await_refusal(running)
            assert running.process.poll() is None, "it waits for the request"
            connection.sendall(FORM[5:])
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 "), "the form was read to its end, and has no assertion"
        assert running.process.wait(120) == 0
    assert b'"answered"' in (folder / "authentication.log").read_bytes()


def test_refusals_that_were_counted_are_written_when_the_process_stops(tmp_path: Path) -> None:
    folder = local_folder(tmp_path / "stage")
    with container_process("all", folder) as running:
        assert running.request("GET", "/fhir/Patient", headers={"Sceau-Front": FRONT_SECRET})[0] == 401
        assert events(folder) == 0
        assert running.stop() == 0
    assert events(folder) == 1, "the count of refusals before authentication is an event"
