"""The development issuer as an HTTPS server of its own, on the loopback of a `local` stage and nowhere else."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

from sceau.cli.devissuer import DevIssuer, DevIssuerRefused, IssuerSecrets

_LARGEST_BODY_BYTES: Final = 64 * 1024


class DevIssuerServer:
    """Serves `issuer` in a thread, between `start` and `stop` or as a context manager.

    `stage_host`: the stage's host, which must be `local`. `audience`: the stage's issuer. `port` 0 takes a free one;
    `issuer.origin` tells it. Raises DevIssuerRefused when it can't start.
    """

    def __init__(
        self,
        kept: IssuerSecrets,
        *,
        stage_host: str,
        audience: str,
        certificate: Path,
        certificate_key: Path,
        clock: Callable[[], datetime],
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if stage_host != "local":
            raise DevIssuerRefused("the development issuer runs on a local stage only: it gives a token to anybody")
        address = ip_address(host)
        if address.version != 4 or not address.is_loopback:  # noqa: PLR2004 - IPv4: the server's one family
            raise DevIssuerRefused("the development issuer listens on the loopback only, by an IPv4 address")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, certificate_key)
        except (OSError, ssl.SSLError):
            raise DevIssuerRefused(f"{certificate} and its key can't be used as a server's certificate") from None
        try:
            self._server = _Server((host, port), context)
        except OSError:
            raise DevIssuerRefused(f"port {port} of {host} is taken: the development issuer can't start") from None
        origin = f"https://{host}:{self._server.server_address[1]}"
        self.issuer = self._server.issuer = DevIssuer(kept, origin=origin, audience=audience, clock=clock)
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Serve in a thread."""
        serve = partial(self._server.serve_forever, poll_interval=0.05)  # how soon `stop` is noticed, in seconds
        self._thread = threading.Thread(target=serve, name="development-issuer", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, and free the port."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(server: DevIssuerServer) -> None:
    """Serve until interrupted (Ctrl-C)."""
    with server:
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    issuer: DevIssuer

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        # The handshake is made by the connection's own thread: one that never speaks must not hold up the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "sceau-development-issuer"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        self._serve("GET", b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LARGEST_BODY_BYTES:
            self.close_connection = True
            self._send(413, {"error": "too_large"})
            return
        self._serve("POST", self.rfile.read(int(length)))

    def _serve(self, method: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(*self.server.issuer.answer(method, self.path.partition("?")[0], headers, body))

    def _send(self, status: int, value: Mapping[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: paths and headers could hold tokens."""
