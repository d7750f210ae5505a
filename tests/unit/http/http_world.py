"""Stands for what is around the rooms under test: a WSGI server, Lambda, an authenticator, a journal."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sceau.access.matrix import shipped_rules
from sceau.access.model import Actor, ActorKind
from sceau.audit.facts import EventFacts, Identifier, Server
from sceau.http.gateway import Gateway, LambdaContext
from sceau.http.message import Request
from sceau.http.wrapper import Wrapper
from sceau.identity.errors import Reason, ResourceRefusal

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ORIGIN = "https://dossier.example.org"
SERVER = Server(Identifier("urn:ietf:rfc:3986", f"{ORIGIN}/#test"), "sceau test", ORIGIN)
LIMIT = 65536

Headers = Sequence[tuple[str, str]]


class Stream:
    """A request body as a server hands it over. It counts what is taken, and fails on careless reads."""

    def __init__(self, data: bytes, *, piece: int = 1 << 20) -> None:
        self._data = data
        self._piece = piece  # most that one read gives, whatever is asked
        self.taken = 0

    def read(self, size: int) -> bytes:
        assert size > 0, "read(0) and read(-1) tell nothing, or everything"
        part = self._data[self.taken : self.taken + min(size, self._piece)]
        self.taken += len(part)
        return part


def environ(
    method: str = "GET",
    path: str = "/",
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes | Stream = b"",
    length: int | str | None = None,
) -> dict[str, Any]:
    """What granian gives for a request: `path` is the decoded path as Latin-1, header names are CGI's.

    `length`: the Content-Length; None for a request without one (chunked).
    """
    given: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.input": body if isinstance(body, Stream) else Stream(body),
        "wsgi.input_terminated": True,
    }
    if length is not None:
        given["CONTENT_LENGTH"] = str(length)
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        given[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return given


@dataclass(slots=True)
class Response:
    """What a client would see. Header names are lowercase; a repeated header keeps every value."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        (value,) = self.headers[name]
        return value


def call(gateway: Gateway, environ: dict[str, Any]) -> Response:
    """Send a request through the gateway."""
    told: list[tuple[str, Headers]] = []
    body = b"".join(gateway(environ, lambda status, headers: told.append((status, headers))))
    ((status, headers),) = told
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return Response(int(status.split(" ")[0]), found, body)


def lambda_event(
    method: str,
    resource: str,
    path: str,
    *,
    query: Headers = (),
    headers: Headers = (),
    body: bytes = b"",
    parameters: Mapping[str, str] | None = None,
    request_id: str = "lambda-request",
) -> dict[str, Any]:
    """The REST API event (payload v1) as API Gateway makes it: parameters decoded, path and path parameters not."""
    pairs: dict[str, list[str]] = {}
    for name, value in query:
        pairs.setdefault(name, []).append(value)
    many: dict[str, list[str]] = {}
    for name, value in headers:
        many.setdefault(name, []).append(value)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in many.items()} or None,
        "multiValueHeaders": many or None,
        "queryStringParameters": {name: values[-1] for name, values in pairs.items()} or None,
        "multiValueQueryStringParameters": pairs or None,
        "pathParameters": dict(parameters) if parameters else None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "path": path,
            "httpMethod": method,
            "requestId": request_id,
            "identity": {"sourceIp": "192.0.2.7"},
        },
        "body": base64.b64encode(body).decode("ascii") if body else None,
        "isBase64Encoded": bool(body),
    }


def lambda_response(result: dict[str, Any]) -> Response:
    """What API Gateway sends for a Lambda's result, which must be JSON."""
    result = json.loads(json.dumps(result))
    body = base64.b64decode(result["body"]) if result.get("isBase64Encoded") else result["body"].encode()
    headers = {name.lower(): [value] for name, value in result["headers"].items()}
    return Response(result["statusCode"], headers, body)


def context(request_id: str = "lambda-request") -> LambdaContext:
    return LambdaContext("test", request_id, 10_000)


def request(
    method: str = "GET",
    path: str = "/fhir/DocumentReference",
    *,
    query: str = "",
    headers: Mapping[str, str | tuple[str, ...]] | None = None,
    body: bytes = b"",
    request_id: str = "request-1",
) -> Request:
    """A request as use cases see it."""
    given = {name: (value,) if isinstance(value, str) else value for name, value in (headers or {}).items()}
    return Request(method, path, query, given, body, request_id, "192.0.2.7")


def actor(record: str | None = "a" * 26, **changes: Any) -> Actor:
    """A patient who reads their own record, unless changed."""
    values: dict[str, Any] = {
        "kind": ActorKind.PATIENT,
        "client_id": "app",
        "subject": record or "nobody",
        "token_id": "token-1",
        "scopes": frozenset({"patient/*.cruds"}),
        "record_id": record,
    }
    return Actor(**values | changes)


@dataclass(slots=True)
class FakeAuthenticator:
    """Knows callers by their Authorization header; anybody else is refused."""

    callers: dict[str, Actor] = field(default_factory=lambda: {"DPoP good": actor()})
    raises: Exception | None = None
    nonce: str | Exception = "nonce-1"

    def authenticate(self, request: Request, now: datetime) -> Actor:
        if self.raises is not None:
            raise self.raises
        caller = self.callers.get(request.header("authorization") or "")
        if caller is None:
            raise ResourceRefusal("invalid_token", Reason.TOKEN, "not a token of ours", nonce="nonce-0")
        return caller

    def evidence(self, request: Request, now: datetime) -> bytes:
        return f"sent by {request.header('authorization')}".encode()

    def response_headers(self, request: Request, now: datetime) -> Mapping[str, str]:
        if isinstance(self.nonce, Exception):
            raise self.nonce
        return {"DPoP-Nonce": self.nonce}


@dataclass(slots=True)
class FakeJournal:
    """Keeps what is appended. `failing`: what the next appends raise, in order; None lets one through."""

    events: list[EventFacts] = field(default_factory=list)
    failing: list[Exception | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, facts: EventFacts) -> str:
        failure = self.failing.pop(0) if self.failing else None
        if failure is not None:
            raise failure
        with self.lock:
            self.events.append(facts)
            return f"event-{len(self.events)}"


@dataclass(slots=True)
class World:
    """A wrapper and what is around it."""

    authenticator: FakeAuthenticator = field(default_factory=FakeAuthenticator)
    journal: FakeJournal = field(default_factory=FakeJournal)
    counted: list[str] = field(default_factory=list)
    service: object = None
    named: str | None = None
    clock: Callable[[], datetime] = lambda: NOW

    def wrapper(self) -> Wrapper:
        return Wrapper(
            self.service,
            authenticator=self.authenticator,
            append=self.journal.append,
            named=lambda _: self.named,
            rules=lambda _: shipped_rules(),
            count_refusal=self.counted.append,
            server=SERVER,
            clock=self.clock,
            largest_body_bytes=LIMIT,
        )
