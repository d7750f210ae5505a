"""The front that container hosts are given, attacked: a real nginx with the file that `make package` writes.

Behind it a container's process with every function. What the front says itself is what the service would say.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from fixtures.container import FRONT_SECRET, SCHEDULER_SECRET, ContainerProcess, container_process
from fixtures.fronts import front, require_nginx
from fixtures.packaged_stage import PackagedStage, packaged_stage

pytestmark = pytest.mark.slow

SECRET_QUERY = "/fhir/Patient?identifier=urn:oid:1.2.250.1.213.1.4.10|279035121518989"


@dataclass
class House:
    """A served stage: the front's logs, and what stands behind."""

    stage: PackagedStage
    logs: Path
    behind: ContainerProcess

    def request(
        self, method: str, target: str, body: bytes | None = None, *headers: tuple[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """One request over TLS, its headers as they are given: repeated ones too."""
        context = ssl.create_default_context(cafile=str(self.stage.folder.authority))
        connection = HTTPSConnection("localhost", self.stage.port, timeout=20, context=context)
        try:
            connection.putrequest(method, target)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    require_nginx()
    folder = tmp_path_factory.mktemp("front")
    with packaged_stage(folder / "stage") as stage, container_process("all", folder / "stage") as behind:
        addresses = dict.fromkeys(stage.stage.file.functions, f"127.0.0.1:{behind.port}")
        with front(stage, addresses, folder / "nginx", FRONT_SECRET) as logs:
            yield House(stage, logs, behind)


def outcome(body: bytes) -> str:
    found = json.loads(body)
    assert found["resourceType"] == "OperationOutcome"
    return str(found["issue"][0]["code"])


def test_every_route_is_led_to_a_function_and_nothing_else_is(house: House) -> None:
    for function in house.stage.stage.file.functions.values():
        for route in function.routes:
            path = route.path.replace("{resource_id}", "a.b")
            status, headers, _ = house.request(route.method, path, b"{}" if route.method != "GET" else None)
            assert status not in (404, 405, 502, 503), f"{route.method} {path}"
            assert headers["strict-transport-security"]
    for path in ("/", "/fhir/Nothing", "/run/upkeep", "/fhir/Patient/a/b", "/healthz/upkeep", "/oauth"):
        status, headers, body = house.request("GET", path)
        assert (status, outcome(body)) == (404, "not-found")
        assert headers["cache-control"] == "no-store"


def test_a_method_that_an_address_does_not_take_is_told_with_those_that_it_does(house: House) -> None:
    status, headers, body = house.request("DELETE", "/fhir/DocumentReference")
    assert (status, headers["allow"], outcome(body)) == (405, "GET, PATCH, POST", "not-supported")


@pytest.mark.parametrize(
    "headers",
    [
        [("Sceau-Front", f"{'x' * 40} for=192.0.2.66")],
        [("Sceau_Front", f"{'x' * 40} for=192.0.2.66")],
        [("sceau-front", ""), ("SCEAU-FRONT", "for=192.0.2.66")],
        [("Sceau_Front", f"{FRONT_SECRET} for=192.0.2.66")],
    ],
)
def test_no_caller_speaks_as_the_front(headers: list[tuple[str, str]], house: House) -> None:
    # The front replaces the header and drops its look-alikes: the request is served as its caller's own.
    assert house.request("GET", "/fhir/metadata", None, *headers)[0] == 200


def test_no_caller_speaks_as_the_scheduler(house: House) -> None:
    for name in ("Sceau-Scheduler", "Sceau_Scheduler"):
        assert house.request("POST", "/run/upkeep", b"{}", (name, SCHEDULER_SECRET))[0] == 404


def test_a_body_over_the_stage_s_limit_is_refused_in_its_words(house: House) -> None:
    largest = house.stage.stage.spec.largest_body_bytes
    context = ssl.create_default_context(cafile=str(house.stage.folder.authority))
    connection = HTTPSConnection("localhost", house.stage.port, timeout=20, context=context)
    connection.putrequest("POST", "/fhir")
    connection.putheader("Content-Length", str(largest + 1))
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert (answer.status, outcome(body)) == (413, "too-long")
    assert f"{largest} bytes" in json.loads(body)["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/fhir/" + "a" * 40_000, [], 414),
        ("/fhir/metadata", [("X-Large", "a" * 40_000)], 431),
        ("/fhir/%zz", [], 400),
    ],
)
def test_what_can_t_be_read_is_refused_as_an_outcome(
    target: str, headers: list[tuple[str, str]], status: int, house: House
) -> None:
    told, _, body = house.request("GET", target, None, *headers)
    assert told == status
    outcome(body)


def test_a_request_whose_length_can_be_read_in_two_ways_is_refused(house: House) -> None:
    chunked = ("Transfer-Encoding", "chunked")
    assert house.request("POST", "/fhir", b"0\r\n\r\n", chunked)[0] == 400
    assert house.request("POST", "/fhir", b"", ("Content-Length", "5"))[0] == 400


def test_a_document_of_16_mib_passes_and_waits_in_no_file_that_stays(house: House) -> None:
    body = b'{"resourceType":"Bundle","x":"' + b"a" * (house.stage.stage.spec.largest_body_bytes - 32) + b'"}'
    assert len(body) <= house.stage.stage.spec.largest_body_bytes
    status, _, _ = house.request("POST", "/fhir", body, ("Content-Type", "application/fhir+json"))
    assert status == 401, "it was read whole, and its sender is nobody"
    assert [path for path in (house.logs / "client_body").rglob("*") if path.is_file()] == []


def test_callers_who_ask_too_often_are_told_to_wait_and_the_log_knows_no_query(tmp_path: Path) -> None:
    require_nginx()
    slower = {"rate=50r/s": "rate=1r/m", "burst=200": "burst=3"}  # so that no machine is too slow to ask too often
    with packaged_stage(tmp_path / "stage") as stage:
        addresses = dict.fromkeys(stage.stage.file.functions, "127.0.0.1:9")
        with front(stage, addresses, tmp_path / "nginx", FRONT_SECRET, slower) as logs:
            context = ssl.create_default_context(cafile=str(stage.folder.authority))
            connection = HTTPSConnection("localhost", stage.port, timeout=20, context=context)
            told = []
            for _ in range(6):
                connection.request("GET", SECRET_QUERY)
                answer = connection.getresponse()
                told.append((answer.status, answer.headers.get("Retry-After")))
                body = answer.read()
            connection.close()
        assert told[:4] == [(503, "1")] * 4, "four are let through to a function that is away"
        assert told[4:] == [(429, "1")] * 2
        assert outcome(body) == "throttled"
        logged = "".join(path.read_text() for path in logs.glob("*.log"))
    assert '"status":429' in logged
    assert "279035121518989" not in logged
    assert "identifier" not in logged


def test_a_function_that_is_away_is_503_and_quotes_nobody(tmp_path: Path) -> None:
    require_nginx()
    with packaged_stage(tmp_path / "stage") as stage:
        addresses = dict.fromkeys(stage.stage.file.functions, "127.0.0.1:9")
        with front(stage, addresses, tmp_path / "nginx", FRONT_SECRET) as logs:
            context = ssl.create_default_context(cafile=str(stage.folder.authority))
            connection = HTTPSConnection("localhost", stage.port, timeout=20, context=context)
            connection.request("GET", SECRET_QUERY)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
        assert (answer.status, answer.headers["Retry-After"], outcome(body)) == (503, "1", "transient")
        logged = "".join(path.read_text() for path in logs.glob("*.log"))
    assert '"status":503' in logged
    assert "279035121518989" not in logged
