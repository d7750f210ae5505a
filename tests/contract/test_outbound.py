"""How witnesses and authorities are reached: HTTPS that somebody vouches for, no redirect, no endless answer."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sceau.audit.log.asking import Reply
from sceau.audit.log.errors import NoReply
from sceau.cli.certificates import create_loopback_certificates
from sceau.http.outbound import https_ask
from sceau.identity.bounded import MOST_BYTES


class _Handler(BaseHTTPRequestHandler):
    """Answers by the path that is asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, sent, kind = 200, b"got " + self.headers["Content-Type"].encode() + b" " + body, "Text/Plain; charset=x"
        if self.path == "/moved":
            status, sent = 302, b""
        elif self.path == "/long":
            sent = b"x" * (MOST_BYTES + 1)
        elif self.path == "/limit":
            sent = b"x" * MOST_BYTES
        elif self.path == "/conflict":
            status, sent, kind = 409, b"5\n", "text/x.tlog.size"
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/other")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    create_loopback_certificates(folder, datetime.now(UTC))
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_asked_and_answered_passes_as_it_is(folder: Path, address: str) -> None:
    ask = https_ask((folder / "ca.pem").read_text())
    assert ask(f"{address}/a", b"body", "text/plain") == Reply(200, "text/plain", b"got text/plain body")
    assert ask(f"{address}/conflict", b"", "text/plain") == Reply(409, "text/x.tlog.size", b"5\n")
    assert len(ask(f"{address}/limit", b"", "text/plain").body) == MOST_BYTES


def test_a_redirect_is_not_followed(folder: Path, address: str) -> None:
    ask = https_ask((folder / "ca.pem").read_text())
    assert ask(f"{address}/moved", b"", "text/plain").status == 302


@pytest.mark.parametrize("path", ["/long"])
def test_an_endless_answer_is_none(folder: Path, address: str, path: str) -> None:
    with pytest.raises(NoReply):
        https_ask((folder / "ca.pem").read_text())(f"{address}{path}", b"", "text/plain")


def test_a_server_that_nobody_vouches_for_is_not_believed(address: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    create_loopback_certificates(tmp_path / "other", datetime.now(UTC))
    for authorities in (None, (tmp_path / "other" / "ca.pem").read_text()):
        with pytest.raises(NoReply, match=r"^no answer$"):
            https_ask(authorities)(f"{address}/a", b"", "text/plain")


def test_nothing_but_https_is_asked_and_authorities_are_pem() -> None:
    with pytest.raises(NoReply):
        https_ask()("http://127.0.0.1:9/", b"", "text/plain")
    with pytest.raises(ValueError, match="PEM"):
        https_ask("x")
