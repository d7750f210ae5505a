"""All functions of a stage in this process, behind the real front; called like urllib3, without a socket.

For what can't be seen from outside: calls at the ports, and where the time goes.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

from benchmarks.stage import LocalStage
from sceau.cli.serve import environment, mount_functions
from sceau.cli.session import Service, Session
from sceau.http.gateway import Gateway
from sceau.keys.ports import KeyService
from sceau.objects.ports import ObjectStore
from sceau.stage import Stage


class Response(io.BytesIO):
    """An answer, as far as urllib3's callers in this project look at one."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        super().__init__(data)
        self.status = status
        self.headers = headers
        self.data = data

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.data)

    def release_conn(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Functions:
    """The functions behind the front, and the development issuer beside them."""

    local: LocalStage
    gateway: Gateway

    def session(self, actor: str, patient: str = "dominique") -> Session:
        """An actor with a fresh token."""
        settings = self.local.settings
        connections: Any = [self]
        service = Service(str(settings.origin), str(settings.issuer), self.local.folder, connections)
        return Session(service, actor, patient=patient)

    def request(
        self,
        method: str,
        url: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> Response:
        """Send a request to the front, or to the issuer, whose address it is."""
        sent = body.encode() if isinstance(body, str) else body or b""
        given = dict(headers or {})
        if url.startswith(str(self.local.settings.issuer)):
            address = urlsplit(url)
            lowered = {"host": address.netloc, **{name.lower(): value for name, value in given.items()}}
            status, answer = self.local.issuer.answer(method, address.path, lowered, sent)
            return Response(status, {}, json.dumps(answer).encode())
        return self.answer(environ(method, url, sent, given))

    def answer(self, request: dict[str, Any]) -> Response:
        """Answer a WSGI request."""
        told: list[tuple[str, list[tuple[str, str]]]] = []
        body = b"".join(self.gateway(request, lambda status, headers: told.append((status, headers))))
        ((status, headers),) = told
        return Response(int(status.partition(" ")[0]), dict(headers), body)


def environ(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The WSGI environment that the server would make of a request."""
    address = urlsplit(url)
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote(address.path, "latin-1"),
        "QUERY_STRING": address.query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        made[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return made


@contextmanager
def functions_of(
    local: LocalStage, *, store: ObjectStore | None = None, keys: KeyService | None = None
) -> Iterator[Functions]:
    """Build all functions of a stage, each with its own rights on `store` and `keys` (None: the stage's own)."""
    own_store, own_keys = store or local.stage.store(), keys or local.stage.keys()
    pool: list[Functions] = []
    with (
        patch.object(Stage, "store", lambda *_: own_store),
        patch.object(Stage, "keys", lambda _: own_keys),
        patch("sceau.http.authentication.https_pools", lambda: lambda _: pool[0]),
        patch.dict(os.environ, environment(local.settings)),
    ):
        mounts = list(mount_functions(local.stage))
        timeouts = {name: function.timeout_seconds for name, function in local.stage.file.functions.items()}
        largest = local.stage.spec.largest_body_bytes
        pool.append(Functions(local, Gateway(mounts, largest_body_bytes=largest, timeouts_seconds=timeouts)))
        for app in {mount.function: mount.app for mount in mounts}.values():
            app.warm()  # type: ignore[attr-defined]  # every app.py makes a SceauApp
        yield pool[0]
