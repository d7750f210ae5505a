"""What the front refuses before any function sees it, and what it lets through, over real TLS connections."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from fixtures.live_world import FHIR, World, document_ids, issues, lab_document, parsed, submission
from sceau.cli.process import port_of
from sceau_schemas.deployment import Chalicefile

pytestmark = pytest.mark.xdist_group("live")

PIECE = b" " * 65536


@contextmanager
def connected(world: World) -> Iterator[http.client.HTTPSConnection]:
    """One connection that does what it is told."""
    context = ssl.create_default_context(cafile=str(world.live.folder.authority))
    connection = http.client.HTTPSConnection("localhost", port_of(world.origin), context=context, timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def told(answer: http.client.HTTPResponse) -> tuple[int, str]:
    """Status and text of an OperationOutcome."""
    outcome = json.loads(answer.read())
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["id"]
    return answer.status, outcome["issue"][0]["diagnostics"]


def largest(world: World) -> int:
    return world.live.stage.spec.largest_body_bytes


@pytest.mark.parametrize("path", ["/fhir", "/fhir/DocumentReference", "/fhir/Consent", "/oauth/token"])
def test_a_content_length_over_the_limit_is_413_before_a_byte_is_sent(world: World, path: str) -> None:
    limit = largest(world)
    with world.unchanged(events=0), connected(world) as connection:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(limit + 1))
        connection.endheaders()
        answer = connection.getresponse()
        status, text = told(answer)
        assert answer.headers["Connection"] == "close"
    assert status == 413
    assert f"{limit} bytes" in text


def test_a_chunked_body_over_the_limit_is_413(world: World) -> None:
    limit = largest(world)
    with world.unchanged(events=0), connected(world) as connection:
        connection.putrequest("POST", "/fhir")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            for _ in range(limit // len(PIECE) + 1):
                connection.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            connection.send(b"0\r\n\r\n")
        status, text = told(connection.getresponse())
    assert status == 413
    assert f"{limit} bytes" in text


def test_a_whole_body_one_byte_over_the_limit_is_413(world: World) -> None:
    patient, limit = world.opened(), largest(world)
    body = json.dumps(submission(patient)).encode()
    body += b" " * (limit + 1 - len(body))
    headers = {**FHIR, **world.caller("laboratory").authorization("POST", "/fhir")}
    with world.unchanged(events=0), connected(world) as connection:
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            # The server answers, and does not read on: a client may learn that while it still sends.
            connection.request("POST", "/fhir", body=body, headers=headers)
        status, text = told(connection.getresponse())
    assert status == 413
    assert f"{limit} bytes" in text


def test_a_body_of_exactly_the_limit_is_taken(world: World) -> None:
    patient, limit = world.opened(), largest(world)
    body = json.dumps(submission(patient)).encode()
    body += b" " * (limit - len(body))
    lab = world.caller("laboratory")
    headers = {**FHIR, **lab.authorization("POST", "/fhir")}
    with connected(world) as connection:
        pieces = (body[at : at + 65536] for at in range(0, limit, 65536))
        connection.request("POST", "/fhir", body=pieces, headers=headers, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    assert len(world.dossier(patient).entries.rows()) == 1


def test_a_large_document_comes_back_byte_for_byte(world: World) -> None:
    patient = world.opened()
    large = b"%PDF-1.7\n" + b"0123456789abcdef" * 250_000 + b"\nstartxref\n0\n%%EOF\n"
    document = lab_document(patient, "imaging-pdf", body_bytes=large)
    (own,) = document_ids(world.caller("laboratory").post("/fhir", submission(patient, document)))
    assert world.holder(patient).get(f"/fhir/Binary/{own}", Accept="*/*").data == document.data


def test_a_body_shorter_than_its_content_length_is_not_acted_upon(world: World) -> None:
    patient = world.opened()
    lab = world.caller("laboratory")
    headers = {**FHIR, **lab.authorization("POST", "/fhir")}
    body = json.dumps(submission(patient)).encode()
    with world.unchanged(events=0), connected(world) as connection:
        connection.putrequest("POST", "/fhir")
        for name, value in {**headers, "Content-Length": str(len(body) + 10)}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        with suppress(ssl.SSLError):  # the server has something to say
            connection.sock.unwrap()


def test_every_method_that_a_path_lacks_is_405_and_says_which_there_are(world: World) -> None:
    file: Chalicefile = world.live.stage.file
    methods: dict[str, set[str]] = {}
    for function in file.functions.values():
        for route in function.routes:
            methods.setdefault(route.path.replace("{resource_id}", "x"), set()).add(route.method)
    with world.unchanged(events=0):
        for path, known in methods.items():
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - known:
                answer = world.http.request(method, world.origin + path)
                assert issues(answer, 405)[0]["code"] == "not-supported"
                assert answer.headers["Allow"] == ", ".join(sorted(known))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/fhir//",
        "/fhir/Observation",
        "/fhir/DocumentReference/",
        "/fhir/DocumentReference/a/b",
        "/fhir/Binary",
        "/FHIR/DocumentReference",
        "//fhir",
        "/fhir/../fhir/DocumentReference",
        "/healthz",
        "/oauth",
    ],
)
def test_an_unknown_path_is_404(world: World, path: str) -> None:
    with world.unchanged(events=0), connected(world) as connection:  # a client library would tidy the path up
        connection.putrequest("GET", path)
        connection.endheaders()
        status, _ = told(connection.getresponse())
    assert status == 404


def test_an_endless_url_is_414(world: World) -> None:
    answer = world.holder(world.opened()).get("/fhir/DocumentReference?type=" + "a" * 17_000)
    assert issues(answer, 414)[0]["code"] == "too-long"


@pytest.mark.parametrize("query", ["type=%ff", "type=%00", "%ff=1", "&".join("a=1" for _ in range(500))])
def test_parameters_that_are_no_text_are_400(world: World, query: str) -> None:
    holder = world.holder(world.opened())
    issues(holder.get(f"/fhir/DocumentReference?patient={holder.record_id}&{query}"), 400)


def test_health_says_nothing_but_that(world: World) -> None:
    for function in ("authentication", "ingest", "retrieval", "consent", "traces"):
        answer = world.http.request("GET", f"{world.origin}/healthz/{function}")
        assert (answer.status, answer.data) == (200, b'{"status":"ok"}')


def test_the_capability_statement_needs_no_token(world: World) -> None:
    with world.unchanged(events=0):
        answer = world.http.request("GET", f"{world.origin}/fhir/metadata")
    statement = parsed(answer)
    assert answer.status == 200
    assert statement["resourceType"] == "CapabilityStatement"
    resources = {one["type"]: one for one in statement["rest"][0]["resource"]}
    assert {"AuditEvent", "Binary", "Consent", "DocumentReference", "List", "Patient"} <= resources.keys()
    assert {"type", "period", "patient"} <= {one["name"] for one in resources["DocumentReference"]["searchParam"]}


def test_without_a_token_nothing_is_told_and_nothing_is_kept(world: World) -> None:
    patient = world.opened()
    (own,) = world.publish(patient, lab_document(patient))
    with world.unchanged(events=0):
        for path in (f"/fhir/DocumentReference/{own}", f"/fhir/Binary/{own}", "/fhir/AuditEvent", "/fhir/Patient"):
            answer = world.http.request("GET", world.origin + path)
            assert issues(answer, 401)[0]["code"] == "login"
            assert answer.headers["WWW-Authenticate"].startswith("DPoP")
            assert "Sceau-Trace" not in answer.headers
