"""A STAND-IN for Scaleway's Key Manager, an HTTPS server on the loopback. It is not theirs, and proves nothing of it.

Written from the models of the provider's SDK (PyPI `scaleway` 2.12.0: paths, members, sizes, enums) and from the form
of refusals that the provider's own Terraform tests recorded (`invalid_arguments` with `details`). It checks every
member, size, header and token of a request, and what a client of ours must never send fails the test.
What it had to guess: the answers to keys that are disabled (409 `transient_state`) or of another usage (400).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import ssl
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET_KEY = "6f3b2a10-5c1d-4e8f-9a7b-1c2d3e4f5a6b"
REGION = "fr-par"

_PATH = re.compile(r"/key-manager/v1alpha1/regions/([a-z-]+)/keys/([0-9a-f-]{36})(?:/([a-z-]+))?")
_MOST = {"plaintext": 65_535, "ciphertext": 131_071, "associated_data": 131_071, "digest": 64}
_ALLOWED = {
    "encrypt": ({"plaintext"}, {"plaintext", "associated_data"}),
    "decrypt": ({"ciphertext"}, {"ciphertext", "associated_data"}),
    "sign": ({"digest"}, {"digest"}),
}
Answer = tuple[int, dict[str, Any]]


@dataclass
class StandInKey:
    """A key with its rotations; `materials[n - 1]` is that of rotation n."""

    key_id: str
    usage: dict[str, str]
    materials: list[bytes | ec.EllipticCurvePrivateKey] = field(default_factory=list)
    state: str = "enabled"
    protected: bool = True
    rotates: bool = True
    origin: str = "scaleway_kms"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the usual 5, clients that come together are let in a second later

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that hangs up is no error of ours
            super().handle_error(request, client_address)


class KeyManagerStandIn:
    """Serves until `close`. `fails` may give a status (or 0: cut off) for the request of that number, from 1."""

    def __init__(self, certificate: Path, certificate_key: Path, *, signatures: str = "der") -> None:
        self.keys: dict[str, StandInKey] = {}
        self.signatures = signatures
        self.requests: list[tuple[str, str]] = []
        self.misuses: list[str] = []
        self.fails: Callable[[int], int | None] = lambda _: None
        self._lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 65_536

            def do_GET(self) -> None:
                stand_in._serve(self, None)

            def do_POST(self) -> None:
                stand_in._serve(self, self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate_key)
        # Each handshake in the thread of its connection: one after the other, many clients would wait for a second.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.origin = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        assert self.misuses == [], "the adapter sent what Key Manager's interface does not have"

    def create(self, *, signing: bool) -> uuid.UUID:
        """A new key with its first rotation."""
        usage = {"asymmetric_signing": "ec_p256_sha256"} if signing else {"symmetric_encryption": "aes_256_gcm"}
        key = StandInKey(str(uuid.uuid4()), usage)
        self.keys[key.key_id] = key
        self.rotate(uuid.UUID(key.key_id))
        return uuid.UUID(key.key_id)

    def rotate(self, key_id: uuid.UUID) -> None:
        """What Key Manager does by itself: new material under the same id."""
        key = self.keys[str(key_id)]
        signing = "asymmetric_signing" in key.usage
        key.materials.append(ec.generate_private_key(ec.SECP256R1()) if signing else AESGCM.generate_key(256))

    def _serve(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        with self._lock:
            self.requests.append((handler.command, handler.path))
            failure = self.fails(len(self.requests))
        if failure == 0:
            handler.close_connection = True
            handler.connection.close()
            return
        status, answer = (failure, {"message": "it failed"}) if failure else self._answer(handler, body)
        content = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
        handler.wfile.flush()

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> Answer:
        if handler.headers.get("X-Auth-Token") != SECRET_KEY:
            return 401, {"type": "denied_authentication", "method": "api_key", "reason": "not_found"}
        match = _PATH.fullmatch(handler.path)
        if match is None or match[1] != REGION:
            return self._misused(f"no such path: {handler.command} {handler.path}")
        key = self.keys.get(match[2])
        if key is None:
            return 404, {"type": "not_found", "resource": "key", "resource_id": match[2]}
        verb = match[3]
        if body is None:
            return self._read(key, verb)
        if verb not in _ALLOWED or handler.headers.get("Content-Type") != "application/json":
            return self._misused(f"{verb} with {handler.headers.get('Content-Type')}")
        if key.state != "enabled":
            return 409, {"type": "transient_state", "resource": "key", "current_state": key.state}
        needed = "asymmetric_signing" if verb == "sign" else "symmetric_encryption"
        if needed not in key.usage:
            return 400, _invalid("key_id", "constraint")
        try:
            return 200, {"key_id": key.key_id} | _VERBS[verb](self, key, self._members(verb, body))
        except _Invalid as invalid:
            return 400, _invalid(invalid.argument, invalid.reason)

    def _members(self, verb: str, body: bytes) -> dict[str, bytes]:
        required, allowed = _ALLOWED[verb]
        given = json.loads(body)
        if not isinstance(given, dict) or set(given) - allowed:
            self.misuses.append(f"{verb}: members that the interface does not have: {sorted(set(given) - allowed)}")
            raise _Invalid("body", "unknown")
        for name in required - set(given):
            raise _Invalid(name, "required")
        return {name: self._decoded(name, value) for name, value in given.items()}

    def _decoded(self, name: str, value: object) -> bytes:
        try:
            data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
        except binascii.Error:
            raise _Invalid(name, "format") from None
        if not 1 <= len(data) <= _MOST[name]:
            self.misuses.append(f"{name} has {len(data)} bytes")
            raise _Invalid(name, "constraint")
        return data

    def _read(self, key: StandInKey, verb: str | None) -> Answer:
        if verb is None:
            return 200, {
                "id": key.key_id,
                "project_id": str(uuid.UUID(int=1)),
                "name": "a stand-in's key",
                "usage": key.usage,
                "state": key.state,
                "rotation_count": len(key.materials),
                "protected": key.protected,
                "locked": False,
                "tags": [],
                "rotation_policy": {"rotation_period": "7776000s"} if key.rotates else None,
                "origin": key.origin,
                "deletion_requested_at": None,
                "region": REGION,
            }
        private = key.materials[-1]
        if verb != "public-key":
            return self._misused(f"no such path: GET …/{verb}")
        if isinstance(private, bytes):
            return 400, _invalid("key_id", "constraint")
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return 200, {"pem": pem.decode()}

    def _misused(self, what: str) -> Answer:
        self.misuses.append(what)
        return 404, {"type": "not_found", "resource": "path"}

    def _encrypt(self, key: StandInKey, members: dict[str, bytes]) -> dict[str, Any]:
        return {"ciphertext": _text(_sealed(key, members["plaintext"], members.get("associated_data")))}

    def _decrypt(self, key: StandInKey, members: dict[str, bytes]) -> dict[str, Any]:
        sealed, associated = members["ciphertext"], members.get("associated_data")
        rotation = int.from_bytes(sealed[1:5])
        material = key.materials[rotation - 1] if 0 < rotation <= len(key.materials) else b""
        if sealed[:1] != b"\1" or not isinstance(material, bytes) or not material:
            raise _Invalid("ciphertext", "constraint")
        try:
            plaintext = AESGCM(material).decrypt(sealed[5:17], sealed[17:], associated)
        except (InvalidTag, ValueError):
            raise _Invalid("ciphertext", "constraint") from None
        newer = {"ciphertext": _text(_sealed(key, plaintext, associated))} if rotation < len(key.materials) else {}
        return {"plaintext": _text(plaintext), **newer}

    def _sign(self, key: StandInKey, members: dict[str, bytes]) -> dict[str, Any]:
        private, digest = key.materials[-1], members["digest"]
        if isinstance(private, bytes) or len(digest) != 32:
            raise _Invalid("digest", "constraint")
        signature = private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        if self.signatures == "raw":
            r, s = decode_dss_signature(signature)
            signature = r.to_bytes(32) + s.to_bytes(32)
        return {"signature": _text(signature)}


_VERBS: dict[str, Callable[[KeyManagerStandIn, StandInKey, dict[str, bytes]], dict[str, Any]]] = {
    "encrypt": KeyManagerStandIn._encrypt,
    "decrypt": KeyManagerStandIn._decrypt,
    "sign": KeyManagerStandIn._sign,
}


class _Invalid(Exception):
    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(argument)
        self.argument, self.reason = argument, reason


def _invalid(argument: str, reason: str) -> dict[str, Any]:
    details = [{"argument_name": argument, "help_message": "", "reason": reason}]
    return {"details": details, "message": "invalid argument(s)", "type": "invalid_arguments"}


def _sealed(key: StandInKey, plaintext: bytes, associated: bytes | None) -> bytes:
    material, nonce = key.materials[-1], uuid.uuid4().bytes[:12]
    assert isinstance(material, bytes)
    head = b"\1" + len(key.materials).to_bytes(4)
    return head + nonce + AESGCM(material).encrypt(nonce, plaintext, associated)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
