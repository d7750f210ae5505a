"""The check before a container's gateway, and the address that a scheduler calls: who gets in, and what is told."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sceau.http.front import Front, HostDecides, PastTheFront, Secrets, Triggered

SECRET, NEXT = "s" * 32, "n" * 40
SCHEDULER = "c" * 32
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PROBE = "/healthz/ingest"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Behind:
    """The application behind the front: it keeps what reached it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.seen.append(environ)
        start_response("200 OK", [])
        return [b"through"]


class Unread(io.BytesIO):
    """A body that nobody may read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")


def environ(method: str = "POST", path: str = "/fhir", **headers: str) -> dict[str, Any]:
    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "REMOTE_ADDR": "10.0.0.9",
        "wsgi.input": Unread(),
        **named,
    }


def call(app: Callable[..., list[bytes]], request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    told: list[Any] = []
    body = b"".join(app(request, lambda status, headers: told.append((status, headers))))
    status, headers = told[0]
    return int(status.split(" ")[0]), dict(headers), body


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def front(behind: Behind) -> Front:
    refused = PastTheFront.counting(Clock())
    return Front(behind, Secrets([SECRET, NEXT]), open_paths=frozenset({PROBE}), refused=refused)


# The front


@pytest.mark.parametrize("secret", [SECRET, NEXT])
def test_what_the_front_sends_gets_in_and_the_secret_goes_no_further(secret: str, front: Front, behind: Behind) -> None:
    assert call(front, environ(sceau_front=secret))[0] == 200
    (seen,) = behind.seen
    assert secret not in repr(seen)
    assert seen["REMOTE_ADDR"] == "10.0.0.9"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        SECRET[:-1],
        SECRET + "s",
        SECRET.upper(),
        f"{SECRET},{SECRET}",
        f"{SECRET}\tfor=192.0.2.1",
        f" {SECRET}",
        f"x {SECRET}",
        f"for=192.0.2.1 {SECRET}",
        f"{SECRET},x",
        f"x,{SECRET}",
        "é" * 32,
    ],
)
def test_what_does_not_hold_the_whole_secret_is_refused_unread(given: str, front: Front, behind: Behind) -> None:
    status, headers, body = call(front, environ(sceau_front=given))
    assert status == 403
    assert headers["Connection"] == "close"
    assert json.loads(body)["issue"][0]["code"] == "forbidden"
    assert behind.seen == []


def test_without_any_header_nobody_gets_in(front: Front, behind: Behind) -> None:
    assert call(front, environ())[0] == 403
    assert behind.seen == []


def test_the_health_probe_is_open_and_nothing_beside_it(front: Front, behind: Behind) -> None:
    assert call(front, environ("GET", PROBE))[0] == 200
    for method, path in (("POST", PROBE), ("HEAD", PROBE), ("GET", PROBE + "/"), ("GET", "/healthz/retrieval")):
        assert call(front, environ(method, path))[0] == 403
    assert len(behind.seen) == 1


@pytest.mark.parametrize(
    ("said", "address"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1"), ("2001:DB8:0::1", "2001:db8::1")],
)
def test_the_caller_is_whom_the_front_saw(said: str, address: str, front: Front, behind: Behind) -> None:
    assert call(front, environ(sceau_front=f"{SECRET} for={said}"))[0] == 200
    assert behind.seen[0]["REMOTE_ADDR"] == address


@pytest.mark.parametrize("said", ["for=", "for=localhost", "for=1.2.3", "for=1.2.3.4 for=5.6.7.8", "1.2.3.4", " "])
def test_an_address_that_is_none_is_refused(said: str, front: Front, behind: Behind) -> None:
    assert call(front, environ(sceau_front=f"{SECRET} {said}"))[0] == 400
    assert behind.seen == []


def test_a_check_without_a_secret_is_not_made() -> None:
    with pytest.raises(ValueError, match="let everybody in"):
        Secrets([])
    assert SECRET not in repr(Secrets([SECRET]))


def test_who_came_past_the_front_is_counted_in_the_log_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refused = PastTheFront.counting(clock)
    front = Front(Behind(), Secrets([SECRET]), open_paths=frozenset(), refused=refused)
    with caplog.at_level(logging.INFO, "sceau"):
        for _ in range(100):
            call(front, environ(sceau_front="a" * 32))
        clock.now += timedelta(minutes=1)
        call(front, environ())
    assert [json.loads(record.message) for record in caplog.records] == [
        {"event": "past-the-front", "requests": 1},
        {"event": "past-the-front", "requests": 100},
    ]


# The scheduler


class Task:
    """A scheduled function: what it did, and how it fails."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def run(self) -> None:
        self.runs += 1
        self.meanwhile()
        if self.fails:
            raise self.fails

    def warm(self) -> None:
        if self.fails:
            raise self.fails


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def triggered(task: Task) -> Triggered:
    refused = PastTheFront.counting(Clock())
    return Triggered({"upkeep": (task.run, task.warm)}, Secrets([SCHEDULER]), refused=refused)


def trigger(secret: str = SCHEDULER, method: str = "POST", path: str = "/run/upkeep") -> dict[str, Any]:
    return environ(method, path, sceau_scheduler=secret)


def test_the_scheduler_starts_a_run(triggered: Triggered, task: Task) -> None:
    status, _, body = call(triggered, trigger())
    assert (status, json.loads(body), task.runs) == (200, {"status": "done"}, 1)


@pytest.mark.parametrize("secret", ["", "c" * 31, "c" * 33, SECRET, f"{SCHEDULER} ", f"{SCHEDULER},x"])
def test_nobody_else_does(secret: str, triggered: Triggered, task: Task) -> None:
    assert call(triggered, trigger(secret))[0] == 403
    assert call(triggered, environ("POST", "/run/upkeep", sceau_front=SECRET))[0] == 403
    assert task.runs == 0


def test_where_the_host_decides_its_scheduler_needs_no_secret(task: Task) -> None:
    app = Triggered({"upkeep": (task.run, task.warm)}, HostDecides(), refused=PastTheFront.counting(Clock()))
    assert call(app, trigger(""))[0] == 200
    assert call(app, trigger("", path="/run/ingest"))[0] == 404
    assert task.runs == 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/run/upkeep"), ("POST", "/run/ingest"), ("POST", "/healthz/x")])
def test_a_scheduler_that_calls_something_else_starts_nothing(
    method: str, path: str, triggered: Triggered, task: Task
) -> None:
    assert call(triggered, trigger(method=method, path=path))[0] == 404
    assert task.runs == 0


def test_a_run_that_fails_is_seen_to_fail_without_its_reason(triggered: Triggered, task: Task) -> None:
    task.fails = RuntimeError("records/aaaa is damaged")
    status, _, body = call(triggered, trigger())
    assert (status, json.loads(body)) == (500, {"status": "failed"})
    task.fails = None
    assert call(triggered, trigger())[0] == 200, "and the next one comes all the same"


def test_two_runs_are_never_under_way_at_once(triggered: Triggered, task: Task) -> None:
    inner: list[int] = []

    def again() -> None:
        thread = threading.Thread(target=lambda: inner.append(call(triggered, trigger())[0]))
        thread.start()
        thread.join()

    task.meanwhile = again
    assert call(triggered, trigger())[0] == 200
    assert (inner, task.runs) == ([409], 1)


def test_the_probe_of_a_scheduled_function_says_whether_it_can_run(triggered: Triggered, task: Task) -> None:
    assert call(triggered, environ("GET", "/healthz/upkeep"))[0] == 200
    task.fails = RuntimeError("no store")
    status, _, body = call(triggered, environ("GET", "/healthz/upkeep"))
    assert (status, json.loads(body)) == (503, {"status": "unavailable"})
    assert task.runs == 0
