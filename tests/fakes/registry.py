"""A container registry on the loopback with TLS, as the OCI distribution specification has it: what a push asks of one.

Polices: nobody is let in without the one user and password; a blob is what its digest says; a manifest is taken only
when all that it names is there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sceau.cli.certificates import create_loopback_certificates

_PATH = re.compile(r"/v2/(?P<name>[a-z0-9/-]+)/(?P<kind>blobs|manifests)/(?P<what>[^?]*)(?:\?(?P<query>.*))?")
_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """What it holds, and where it answers. `lies`: it gives other bytes for each manifest than it took."""

    password: str
    authority: Path
    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    lies: bool = False

    def lets_in(self, header: str | None) -> bool:
        """Whether a request says who asks."""
        return header == "Basic " + base64.b64encode(f"nologin:{self.password}".encode()).decode()

    def take_manifest(self, reference: str, data: bytes) -> int:
        """Keep it by its digest and by its tag; the status."""
        read, digest = json.loads(data), digest_of(data)
        named = [read["config"]["digest"], *(layer["digest"] for layer in read["layers"])]
        if not set(named) <= set(self.blobs) or (reference.startswith("sha256:") and reference != digest):
            return 400
        self.manifests |= {reference: data, digest: data}
        return 201


def digest_of(data: bytes) -> str:
    """As registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def serving(folder: Path, password: str) -> Iterator[Registry]:
    """An empty registry until the end of the block; its certificates are in `folder`."""
    create_loopback_certificates(folder, datetime.now(UTC))
    registry = Registry(password, folder / "ca.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": registry}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:
        held = self.registry
        if not self._is_let_in():
            return
        if self.path.rstrip("/") == "/v2":
            self._answer(200)
        elif (found := _PATH.fullmatch(self.path)) is not None:
            kept = held.blobs if found["kind"] == "blobs" else held.manifests
            data = kept.get(found["what"])
            if data is not None and found["kind"] == "manifests" and held.lies:
                data = data.replace(b"sha256:", b"sha256: ", 1)
            self._answer(404) if data is None else self._answer(200, data, {"Docker-Content-Digest": digest_of(data)})
        else:
            self._answer(404)

    do_HEAD = do_GET  # noqa: N815 - http.server calls it by this name

    def do_POST(self) -> None:
        self._read()
        if self._is_let_in():
            upload = uuid.uuid4().hex
            self.registry.uploads[upload] = b""
            self._answer(202, headers=self._upload_at(upload))

    def do_PATCH(self) -> None:
        data = self._read()
        if self._is_let_in():
            upload = self.path.partition("?")[0].rpartition("/")[2]
            self.registry.uploads[upload] += data
            end = len(self.registry.uploads[upload]) - 1
            self._answer(202, headers=self._upload_at(upload) | {"Range": f"0-{end}"})

    def do_PUT(self) -> None:
        data = self._read()
        if not self._is_let_in():
            return
        found = _PATH.fullmatch(self.path)
        assert found is not None
        if found["kind"] == "manifests":
            self._answer(self.registry.take_manifest(found["what"], data))
            return
        body = self.registry.uploads.pop(found["what"].rpartition("/")[2]) + data
        digest = (found["query"] or "").partition("digest=")[2].replace("%3A", ":")
        if digest_of(body) == digest:
            self.registry.blobs[digest] = body
        self._answer(201 if digest in self.registry.blobs else 400)

    def _is_let_in(self) -> bool:
        if self.registry.lets_in(self.headers["Authorization"]):
            return True
        self._answer(401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
        return False

    def _upload_at(self, upload: str) -> dict[str, str]:
        name = self.path.removeprefix("/v2/").partition("/blobs/")[0]
        return {"Location": f"/v2/{name}/blobs/uploads/{upload}"}

    def _read(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": _TYPE, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass
