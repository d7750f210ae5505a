"""A loopback HTTP proxy for FHIR clients that know bearer headers only: it authenticates each request with DPoP.

Plain HTTP comes in; the request goes on over HTTPS as it is but for Authorization and DPoP, which are the actor's. So
what a client sends, and what it makes of the answers, is its own. Answers name the service itself, not the proxy.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from fixtures.live_world import Caller

_OF_ONE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})
_NOT_SENT_ON: Final = _OF_ONE_CONNECTION | {"host", "content-length", "accept-encoding", "authorization", "dpop"}
_NOT_SENT_BACK: Final = _OF_ONE_CONNECTION | {"content-length", "date", "server"}


class DpopProxy:
    """Serves between `with` and its end. `base`: the FHIR base that a client is given."""

    def __init__(self, caller: Caller) -> None:
        self._server = _Server(("127.0.0.1", 0), caller)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.base = f"{self.origin}/fhir"

    @property
    def requests(self) -> list[tuple[str, str, int]]:
        """Method, target and status of every request so far."""
        return self._server.seen

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="dpop-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], caller: Caller) -> None:
        super().__init__(address, _Handler)
        self.caller = caller
        self.lock = threading.Lock()  # a caller is for one thread at a time
        self.seen: list[tuple[str, str, int]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))) or None
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_SENT_ON}
        with self.server.lock:
            answer = self.server.caller.call(self.command, self.path, body, headers)
            self.server.seen.append((self.command, self.path, answer.status))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_SENT_BACK:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        self.wfile.write(answer.data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: a test's failure shows what was asked."""
