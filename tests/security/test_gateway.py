"""Smuggling between the server and the gateway: hostile bytes over plain sockets to a real granian process.

Each is refused, or the app sees it in one way only. `echo_gateway` is what runs; the limits that remain are pinned too.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.ports import free_port
from sceau.http.gateway import MAX_TARGET_BYTES
from security.echo_gateway import LIMIT

ROOT = Path(__file__).resolve().parents[2]
HOST = b"Host: localhost\r\n"
SMUGGLED = b"GET /fhir/X/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /fhir/X/last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
SECONDS = 60
"""A server that has not answered by then hangs."""


@dataclass(frozen=True)
class Response:
    """One response as the client read it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seen(self) -> dict[str, Any]:
        """What the app saw of the request."""
        assert self.status == 200, self
        found: dict[str, Any] = json.loads(self.body)
        return found

    def value(self, name: str) -> str | None:
        """The one value of a header as the app saw it."""
        values = self.seen["headers"].get(name)
        assert values is None or len(values) == 1
        return values[0] if values else None


class Server:
    """The process, and connections to it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS)

    def send(self, *raw: bytes) -> list[Response]:
        """Send bytes, and a last good request, over one connection; all responses until the server closes it.

        The last request is answered after the others, or not at all where the server gave up the connection.
        """
        with self.connect() as connection:
            with suppress(ConnectionError):  # refused before it was all sent: what came back is there to be read
                connection.sendall(b"".join(raw) + LAST)
            return responses(_all(connection))

    def one(self, *raw: bytes) -> Response:
        """The response to one request that leaves the connection in order."""
        first, last = self.send(*raw)
        assert last.seen["path"] == "/fhir/X/last"
        return first

    def refused(self, *raw: bytes) -> int:
        """The status of a request that the server refuses; nothing after it is served on that connection."""
        before = self.served()
        (only,) = self.send(*raw)
        assert only.headers["connection"] == "close"
        assert self.served() == before, "the app saw nothing"
        return only.status

    def served(self) -> int:
        """How many requests the app has seen, this one not counted."""
        (last,) = self.send()
        paths: list[str] = last.seen["served"]
        assert "/fhir/X/smuggled" not in paths
        return len([path for path in paths if path != "/fhir/X/last"])


def _all(connection: socket.socket) -> bytes:
    data = bytearray()
    with suppress(ConnectionError):  # a reset after the answer: the server did not want the rest of the request
        while piece := connection.recv(65536):
            data += piece
    return bytes(data)


def responses(data: bytes) -> list[Response]:
    """The responses that a connection carried; each says its length."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        found.append(Response(int(first.split(" ")[1]), headers, rest[:length]))
        data = rest[length:]
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    port = free_port()
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("layers", "schemas", "tests"))
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "security.echo_gateway", str(port)],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=output,
            stderr=output,
        )
        try:
            made = Server(port)
            _wait_for(made, process)
            yield made
        finally:
            process.terminate()
            process.wait(SECONDS)
        output.seek(0)
        assert output.read() == b"", "a server that is attacked prints nothing of what it was sent"


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    for _ in range(SECONDS * 50):
        assert process.poll() is None, "the server did not start"
        try:
            assert server.served() == 0
        except ConnectionRefusedError:
            pause.wait(0.02)
        else:
            return
    pytest.fail("the server does not listen")


def get(path: bytes = b"/fhir/X/1", *headers: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def post(*headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /fhir/X HTTP/1.1\r\n" + HOST + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


CHUNKED = b"Transfer-Encoding: chunked"


def test_an_honest_request_is_seen_as_it_was_sent(server: Server) -> None:
    seen = server.one(post(b"Content-Length: 4", b"Content-Type: text/x", b"DPoP: p", body=b"\x00\xff\r\n")).seen
    assert base64.b64decode(seen["body"]) == b"\x00\xff\r\n"
    assert seen["headers"] == {
        "host": ["localhost"],
        "content-length": ["4"],
        "content-type": ["text/x"],
        "dpop": ["p"],
    }


# Headers


@pytest.mark.parametrize("name", [b"Authorization", b"DPoP"])
@pytest.mark.parametrize("second", [bytes, bytes.upper, bytes.lower])
def test_a_repeated_credential_is_seen_as_both_values_never_as_one_of_them(
    name: bytes, second: Any, server: Server
) -> None:
    # With a comma in it, neither is a token or a proof: both are base64url with dots.
    answer = server.one(get(b"/fhir/X/1", name + b": good", second(name) + b": bad"))
    assert answer.value(name.decode().lower()) == "good,bad"


def test_a_look_alike_of_content_type_or_length_is_not_the_real_one(server: Server) -> None:
    before = post(b"Content_Type: evil", b"Content_Length: 9", b"Content-Type: good", b"Content-Length: 2", body=b"{}")
    after = post(b"Content-Type: good", b"Content-Length: 2", b"Content_Type: evil", b"Content_Length: 9", body=b"{}")
    for raw in (before, after):
        answer = server.one(raw)
        assert answer.value("content-type") == "good"
        assert answer.value("content-length") == "2"
    alone = server.one(post(b"Content_Type: evil", b"Content_Length: 9"))
    assert alone.value("content-type") is None
    assert alone.value("content-length") is None


def test_known_limit_an_underscore_is_read_as_a_hyphen_and_the_later_header_wins(server: Server) -> None:
    # CGI's naming: WSGI can't tell X_Y from X-Y. So no header of a proxy (Client-Cert, X-Forwarded-For) may be trusted
    # here unless the proxy refuses names with underscores. `Authorization` and `DPoP` have no hyphen to be taken for.
    assert server.one(get(b"/fhir/X/1", b"X_Y: under")).value("x-y") == "under"
    assert server.one(get(b"/fhir/X/1", b"X_Y: under", b"X-Y: hyphen")).value("x-y") == "hyphen"
    assert server.one(get(b"/fhir/X/1", b"X-Y: hyphen", b"X_Y: under")).value("x-y") == "under"


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: DPoP a\r\n b",
        b"Authorization: DPoP a\r\n\tb",
        b" Authorization: DPoP a",
        b"Authorization : DPoP a",
        b"Authorization\t: DPoP a",
        b"Authorization: DPoP a\rX: b",
        b"Authorization: DPoP a\x00b",
        b"Authorization: DPoP a\x01",
        b"Authorization: DPoP a\x7f",
        b"Author\x00ization: DPoP a",
        b"Author ization: DPoP a",
        b"Auth\xc3\xb6rization: DPoP a",
        b": DPoP a",
        b"Authorization",
    ],
)
def test_a_header_that_two_parsers_could_read_in_two_ways_is_refused(header: bytes, server: Server) -> None:
    assert server.refused(get(b"/fhir/X/1", header)) == 400


def test_a_bare_line_feed_ends_a_header_and_hides_nothing_in_it(server: Server) -> None:
    answer = server.one(get(b"/fhir/X/1", b"X-One: a\nAuthorization: DPoP b"))
    assert answer.value("x-one") == "a"
    assert answer.value("authorization") == "DPoP b"


@pytest.mark.parametrize("value", [b"DPoP a\xff", b"DPoP \xc3\xa9", b"\x80"])
@pytest.mark.parametrize("name", ["authorization", "dpop", "content-type", "if-match"])
def test_a_value_beyond_ascii_is_seen_as_empty_never_as_a_part(name: str, value: bytes, server: Server) -> None:
    assert server.one(get(b"/fhir/X/1", name.encode() + b": " + value)).value(name) in ("", None)


def test_a_repeated_credential_beyond_ascii_does_not_leave_the_other_one_alone(server: Server) -> None:
    for values in ((b"good", b"b\xff"), (b"b\xff", b"good")):
        answer = server.one(get(b"/fhir/X/1", *(b"DPoP: " + value for value in values)))
        assert answer.value("dpop") in ("good,", ",good")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get(b"/fhir/X/1", b"X-One: " + b"a" * 600_000), 431),
        (get(b"/fhir/X/1", *(b"X-%d: a" % number for number in range(200))), 431),
        (get(b"/fhir/X/1", b"X-" + b"a" * 70_000 + b": a"), 431),
        (get(b"/fhir/X/" + b"a" * 70_000), 414),
    ],
    ids=["one large header", "many headers", "a large name", "a large target"],
)
def test_headers_and_targets_beyond_the_servers_limits_are_refused(raw: bytes, status: int, server: Server) -> None:
    assert server.refused(raw) in (status, 400)


def test_a_target_beyond_our_own_limit_is_refused_in_our_own_words(server: Server) -> None:
    answer = server.one(get(b"/fhir/X/" + b"a" * MAX_TARGET_BYTES))
    assert answer.status == 414
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


# Lengths


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 5", b"Content-Length: 3"),
        (b"Content-Length: 3", b"Content-Length: 5"),
        (b"Content-Length: 5, 3",),
        (b"Content-Length: +5",),
        (b"Content-Length: -5",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 5 5",),
        (b"Content-Length: 99999999999999999999999",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: \x0bchunked",),
        (b"Transfer-Encoding: xchunked", b"Content-Length: 5"),
        (b"Transfer-Encoding: identity", b"Content-Length: 5"),
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(headers: tuple[bytes, ...], server: Server) -> None:
    assert server.refused(post(*headers, body=b"12345"), SMUGGLED) == 400


def test_chunks_before_http_1_1_are_refused(server: Server) -> None:
    raw = b"POST /fhir/X HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n\r\n" + chunked(b"abc")
    assert server.refused(raw, SMUGGLED) == 400


@pytest.mark.parametrize("order", [(b"Content-Length: 4", CHUNKED), (CHUNKED, b"Content-Length: 4")])
def test_with_both_lengths_the_chunks_count_and_the_connection_ends(order: tuple[bytes, ...], server: Server) -> None:
    # RFC 9112, 6.3: chunks win; what follows them on this connection is not to be believed.
    (answer,) = server.send(post(*order, body=chunked(b"abc")), SMUGGLED)
    assert base64.b64decode(answer.seen["body"]) == b"abc"
    assert answer.value("content-length") is None
    assert answer.headers["connection"] == "close"
    server.served()


def test_two_equal_lengths_are_one(server: Server) -> None:
    answer = server.one(post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"))
    assert base64.b64decode(answer.seen["body"]) == b"abc"
    assert answer.value("content-length") == "3"


def test_a_chunked_body_is_whole_and_its_trailer_is_no_header(server: Server) -> None:
    body = b"3;name=value\r\nabc\r\n1\r\nd\r\n0\r\nAuthorization: DPoP evil\r\n\r\n"
    answer = server.one(post(CHUNKED, body=body))
    assert base64.b64decode(answer.seen["body"]) == b"abcd"
    assert answer.value("authorization") is None


def test_a_body_on_a_get_does_not_become_the_next_request(server: Server) -> None:
    answer = server.one(get(b"/fhir/X/1", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED)
    assert base64.b64decode(answer.seen["body"]) == SMUGGLED
    server.served()


@pytest.mark.parametrize("target", [b"/nowhere", b"/fhir/X/1"])
def test_the_body_of_a_refused_request_does_not_become_the_next_request(target: bytes, server: Server) -> None:
    head = b"POST " + target + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
    first, *rest = server.send(head + SMUGGLED)
    assert first.status in (404, 405)
    assert [answer.seen["path"] for answer in rest] in ([], ["/fhir/X/last"])
    server.served()


# Limits


@pytest.mark.parametrize(
    "raw",
    [
        post(b"Content-Length: %d" % (LIMIT + 1), body=b"x" * (LIMIT + 1)),
        post(b"Content-Length: %d" % (LIMIT + 1), body=SMUGGLED),
        post(b"Content-Length: 999999999999", body=SMUGGLED),
        post(CHUNKED, body=chunked(b"x" * (LIMIT + 1))),
        post(CHUNKED, body=chunked(*[b"x" * 1000] * 66)),
        post(CHUNKED, body=chunked(b"x" * LIMIT, SMUGGLED)),
    ],
    ids=["said and sent", "said", "said absurdly", "one chunk", "many chunks", "the last chunk"],
)
def test_a_body_over_the_limit_is_413_in_bytes_and_the_connection_ends(raw: bytes, server: Server) -> None:
    before = server.served()
    (answer,) = server.send(raw, SMUGGLED)
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert f"{LIMIT} bytes" in json.loads(answer.body)["issue"][0]["diagnostics"]
    assert server.served() == before


@pytest.mark.parametrize(
    "raw", [post(b"Content-Length: %d" % LIMIT, body=b"x" * LIMIT), post(CHUNKED, body=chunked(*[b"x" * 8192] * 8))]
)
def test_a_body_at_the_limit_is_whole(raw: bytes, server: Server) -> None:
    assert base64.b64decode(server.one(raw).seen["body"]) == b"x" * LIMIT


def test_a_client_that_waits_for_leave_to_send_too_much_does_not_get_it(server: Server) -> None:
    raw = post(b"Content-Length: 999999999", b"Expect: 100-continue")
    with server.connect() as connection:
        connection.sendall(raw)
        (answer,) = responses(_all(connection))
    assert answer.status == 413


def test_a_body_that_breaks_off_never_reaches_the_app_as_if_it_were_whole(server: Server) -> None:
    before = server.served()
    with server.connect() as connection:
        connection.sendall(post(b"Content-Length: 100", body=b'{"resourceType":"Binary"}'))
        connection.shutdown(socket.SHUT_WR)
        assert [answer.status for answer in responses(_all(connection))] in ([400], [])
    assert server.served() == before


# Targets


@pytest.mark.parametrize(
    "target",
    [
        b"http://localhost/fhir/X/1?a=b",
        b"https://evil.example:99/fhir/X/1?a=b",
        b"http://user@evil.example/fhir/X/1?a=b",
        b"/fhir/X/1?a=b#fragment",
    ],
)
def test_of_an_absolute_target_only_path_and_query_count(target: bytes, server: Server) -> None:
    # `htu` is compared with the origins of the chalicefile, so whose name the request line gives is nothing to us.
    seen = server.one(get(target)).seen
    assert (seen["path"], seen["query"], seen["headers"]["host"]) == ("/fhir/X/1", [["a", "b"]], ["localhost"])


@pytest.mark.parametrize(
    "target",
    [
        b"/fhir/X/../X/1",
        b"/fhir/./X/1",
        b"/fhir/X/1/..",
        b"/fhir/X/1/../../X/1",
        b"/fhir/x/%2e%2e/X/1",
        b"//fhir/X/1",
        b"/fhir//X/1",
        b"/fhir/X//1",
        b"/fhir/X/1/",
        b"/fhir/X/a%2Fb",
        b"/fhir/X/..%2f..%2fX%2f1",
        b"/fhir\\X\\1",
        b"/fhir/X",
        b"*",
    ],
)
def test_a_path_is_never_tidied_up_into_a_route(target: bytes, server: Server) -> None:
    before = server.served()
    assert server.one(get(target)).status in (404, 405)
    assert server.served() == before


@pytest.mark.parametrize(
    ("target", "path", "parameter"),
    [
        (b"/fhir/X/..", "/fhir/X/..", ".."),
        (b"/fhir/X/%2e%2E", "/fhir/X/..", ".."),
        (b"/fhir/X/a%252Fb", "/fhir/X/a%252Fb", "a%2Fb"),
        (b"/fhir/X/%25%32%66", "/fhir/X/%252f", "%2f"),
        (b"/fhir/X/a;b=c", "/fhir/X/a;b=c", "a;b=c"),
        (b"/fhir/X/%C3%A9", "/fhir/X/%C3%A9", "é"),
        (b"/fhir/X/\xc3\xa9", "/fhir/X/%C3%A9", "é"),
        (b"/fhir%2FX/1", "/fhir/X/1", "1"),
        (b"/%66hir/X/1", "/fhir/X/1", "1"),
    ],
)
def test_a_path_is_decoded_once_and_the_app_sees_the_one_that_was_routed(
    target: bytes, path: str, parameter: str, server: Server
) -> None:
    seen = server.one(get(target)).seen
    assert (seen["path"], seen["parameters"]) == (path, {"resource_id": parameter})


@pytest.mark.parametrize(
    "target", [b"/fhir/X/a%00b", b"/fhir/X/a%0d%0aX:%20b", b"/fhir/X/%ff", b"/fhir/X/%C3", b"/fhir/X/1?a=%FF"]
)
def test_what_is_no_text_in_a_target_is_refused_in_our_own_words(target: bytes, server: Server) -> None:
    before = server.served()
    answer = server.one(get(target))
    assert answer.status == 400
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"
    assert server.served() == before


@pytest.mark.parametrize("target", [b"/fhir/X/a\x00b", b"/fhir/X/\xff", b"/fhir/X/1 /fhir/X/2", b"/fhir/X/a\tb", b""])
def test_a_request_line_that_two_parsers_could_read_in_two_ways_is_refused(target: bytes, server: Server) -> None:
    assert server.refused(get(target)) == 400


@pytest.mark.parametrize("method", [b"get", b"Get", b"TRACE", b"OPTIONS", b"PRI"])
def test_a_method_is_what_it_is(method: bytes, server: Server) -> None:
    before = server.served()
    answer = server.one(method + get()[3:])
    assert answer.status == 405
    assert answer.headers["allow"] == "GET"
    assert server.served() == before


def test_a_head_request_has_no_body_that_the_next_answer_could_be_taken_for(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"HEAD" + get()[3:] + LAST)
        head, _, rest = _all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    (last,) = responses(rest)
    assert last.seen["path"] == "/fhir/X/last"


def test_an_upgrade_to_another_protocol_is_not_taken(server: Server) -> None:
    raw = get(
        b"/fhir/X/1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAA"
    )
    assert server.one(raw).seen["path"] == "/fhir/X/1"


def test_many_attackers_do_not_disturb_an_honest_client(server: Server) -> None:
    attackers = [server.connect() for _ in range(20)]
    try:
        for connection in attackers:
            connection.sendall(b"GET /fhir/X/1 HTTP/1.1\r\nHost: loc")  # and nothing more
        assert server.one(get()).status == 200
    finally:
        for connection in attackers:
            connection.close()
