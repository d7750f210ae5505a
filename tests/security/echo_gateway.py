"""The gateway on a real granian server, before an app that tells what it saw. Run as a process: `… echo_gateway PORT`.

The server's settings are those of `sceau.cli.serve`, less TLS: that is not what is attacked here.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

from chalice.app import Response

from sceau.http.chalice_app import ANY, SceauApp
from sceau.http.gateway import Gateway, Mount
from sceau.http.message import Answer, Request, json_answer

LIMIT = 65536
ROUTES = (("GET", "/fhir/X/{resource_id}"), ("POST", "/fhir/X"))


def application() -> Gateway:
    """The WSGI application, as granian's worker makes it."""
    app = SceauApp("echo", lambda: lambda request, use_case: use_case(None, request))
    served: list[str] = []

    def show(_: Any, request: Request) -> Answer:
        served.append(request.path)
        seen = {
            "method": request.method,
            "path": request.path,
            "query": request.query_pairs(),
            "headers": {name: list(values) for name, values in request.headers.items()},
            "parameters": dict(request.path_parameters),
            "body": base64.b64encode(request.body).decode(),
            "served": served,
        }
        return json_answer(200, seen)

    @app.route("/fhir/X/{resource_id}", methods=["GET"], content_types=ANY)
    def read(resource_id: str) -> Response:
        return app.serve(show, resource_id=resource_id)

    @app.route("/fhir/X", methods=["POST"], content_types=ANY)
    def write() -> Response:
        return app.serve(show)

    mounts = [Mount("echo", app, method, path) for method, path in ROUTES]
    return Gateway(mounts, largest_body_bytes=LIMIT, timeouts_seconds={"echo": 10})


def main(port: int) -> None:
    """Serve until SIGTERM."""
    from granian.constants import HTTPModes, Interfaces
    from granian.server.mp import MPServer

    from sceau.http.runtime import THREADS

    MPServer(
        f"{__spec__.name}:application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        http=HTTPModes.http1,
        factory=True,
        log_enabled=False,
        workers_kill_timeout=5,
    ).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
