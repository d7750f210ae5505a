"""The front of a laptop or a container: WSGI in, API Gateway events to the functions' apps, WSGI out.

So the code path behind it is the one of Lambda. `chalice local` won't do: it matches routes one by one, keeps stale
parameters, lacks request ids and repeated headers, and knows no limits (reference: chalice.md section 3).
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote

from sceau.fhir.outcome import Problem, operation_outcome
from sceau.http.message import FHIR_JSON, MAX_PARAMETERS, Answer, json_answer

App = Callable[[dict[str, Any], Any], dict[str, Any]]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

MAX_TARGET_BYTES = 16 * 1024
"""Longest path with query that is served; the path counts as it reads when it is decoded."""

_BASE = "/fhir"
"""The FHIR service's base, where transactions go."""

_READ_PIECE = 64 * 1024
_PARAMETER = re.compile(r"\\{([a-z_]+)\\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH_SAFE = "/!$&'()*+,;=:@"
"""Characters that a path holds as they are (RFC 3986, 3.3), beside letters, digits and `-._~`."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One route of one function's app."""

    function: str
    app: App
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What an app may ask of its host, in the form that Lambda gives it."""

    function_name: str
    aws_request_id: str
    remaining_millis: int

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_millis


class Gateway:
    """A WSGI application over the routes of one or several functions."""

    def __init__(
        self, mounts: Iterable[Mount], *, largest_body_bytes: int, timeouts_seconds: Mapping[str, int]
    ) -> None:
        self._exact: dict[str, dict[str, Mount]] = {}
        self._patterns: list[tuple[re.Pattern[str], str, dict[str, Mount]]] = []
        self._largest = largest_body_bytes
        self._timeouts = dict(timeouts_seconds)
        for mount in mounts:
            self._table(mount.path)[mount.method] = mount

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """Answer one WSGI request."""
        answer, headers = self._answer(environ)
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        names = {name.lower() for name, _ in headers}
        if "content-length" not in names and answer.status != HTTPStatus.NOT_MODIFIED:
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(status, headers)
        return [answer.body] if environ["REQUEST_METHOD"] != "HEAD" else [b""]

    def _table(self, path: str) -> dict[str, Mount]:
        if "{" not in path:
            return self._exact.setdefault(path, {})
        pattern = re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(path)))
        for known, _, methods in self._patterns:
            if known.pattern == pattern.pattern:
                return methods
        self._patterns.append((pattern, path, {}))
        return self._patterns[-1][2]

    def _find(self, path: str) -> tuple[dict[str, Mount], str, dict[str, str]] | None:
        if path == f"{_BASE}/":
            # R4 writes the base without a slash at its end; fhir-kit-client and fhirpy post transactions to it with
            # one. Only the route is the same: the event keeps the path as it was addressed, which the proof must name.
            path = _BASE
        if path in self._exact:
            return self._exact[path], path, {}
        for pattern, resource, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return methods, resource, match.groupdict()
        return None

    def _answer(self, environ: dict[str, Any]) -> tuple[Answer, list[tuple[str, str]]]:
        request_id = str(uuid.uuid4())
        if len(environ["PATH_INFO"]) + len(environ.get("QUERY_STRING", "")) > MAX_TARGET_BYTES:
            return _refusal(
                HTTPStatus.REQUEST_URI_TOO_LONG, "too-long", "the URL is too long; search by POST", request_id
            )
        path = _path(environ["PATH_INFO"])
        if path is None:
            return _refusal(HTTPStatus.BAD_REQUEST, "structure", "the URL's path can't be read", request_id)
        found = self._find(path)
        if found is None:
            return _refusal(HTTPStatus.NOT_FOUND, "not-found", "there is nothing at this address", request_id)
        methods, resource, parameters = found
        mount = methods.get(environ["REQUEST_METHOD"])
        if mount is None:
            allow = ", ".join(sorted(methods))
            text = "this address does not take this method"
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "not-supported", text, request_id, {"Allow": allow})
        declared = _declared_length(environ)
        body = self._body(environ, declared)
        # Where the rest of a body is not read, or will not come, the connection can't be used again.
        closing = {"Connection": "close"}
        if body is None:
            text = f"the request's body is over this stage's limit of {self._largest} bytes"
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long", text, request_id, closing)
        if declared is not None and len(body) != declared:
            # The server hands over what came before the connection broke as if it were all.
            text = "the request's body is not as long as its Content-Length says"
            return _refusal(HTTPStatus.BAD_REQUEST, "structure", text, request_id, closing)
        try:
            event = _event(
                environ, path=path, resource=resource, parameters=parameters, body=body, request_id=request_id
            )
        except (UnicodeDecodeError, ValueError):
            return _refusal(HTTPStatus.BAD_REQUEST, "structure", "the URL's parameters can't be read", request_id)
        context = LambdaContext(mount.function, request_id, self._timeouts[mount.function] * 1000)
        return _from_event(mount.app(event, context))

    def _body(self, environ: dict[str, Any], declared: int | None) -> bytes | None:
        """The body, or None when it is over the limit: no more than one byte above the limit is ever read."""
        if declared is not None and declared > self._largest:
            return None
        stream = environ["wsgi.input"]
        body = bytearray()
        while piece := stream.read(min(_READ_PIECE, self._largest + 1 - len(body))):
            body += piece
            if len(body) > self._largest:
                return None
        return bytes(body)


def _path(path_info: str) -> str | None:
    """The path, decoded (PEP 3333: bytes as Latin-1); None when it is not UTF-8 or holds a control character."""
    try:
        path = path_info.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
    return None if _CONTROL.search(path) else path


def _declared_length(environ: dict[str, Any]) -> int | None:
    """Content-Length, where there is one; the server has refused what is no number."""
    text = environ.get("CONTENT_LENGTH") or ""
    return int(text[:20]) if text.isascii() and text.isdigit() else None


def _event(
    environ: dict[str, Any], *, path: str, resource: str, parameters: dict[str, str], body: bytes, request_id: str
) -> dict[str, Any]:
    """The API Gateway (REST, payload v1) event of a WSGI request: path and path parameters are percent-encoded."""
    path = quote(path, safe=_PATH_SAFE)
    parameters = {name: quote(value, safe=_PATH_SAFE) for name, value in parameters.items()}
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        # HTTP_CONTENT_TYPE is a header `Content_Type`: it must not pass for the real one.
        headers.pop(name.replace("_", "-").lower(), None)
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    query = environ.get("QUERY_STRING") or ""
    pairs = parse_qs(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS) if query else None
    method = environ["REQUEST_METHOD"]
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in pairs.items()} if pairs else None,
        "multiValueQueryStringParameters": pairs or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "path": path,
            "httpMethod": method,
            "requestId": request_id,
            "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "identity": {"sourceIp": environ.get("REMOTE_ADDR", "")},
        },
        "body": base64.b64encode(body).decode("ascii") if body else None,
        "isBase64Encoded": bool(body),
    }


def _from_event(result: dict[str, Any]) -> tuple[Answer, list[tuple[str, str]]]:
    body = result.get("body") or ""
    data = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    headers = [(name, str(value)) for name, value in (result.get("headers") or {}).items()]
    headers += [(name, value) for name, values in (result.get("multiValueHeaders") or {}).items() for value in values]
    return Answer(int(result["statusCode"]), data), headers


def _refusal(
    status: int, code: str, text: str, request_id: str, headers: Mapping[str, str] | None = None
) -> tuple[Answer, list[tuple[str, str]]]:
    """An answer that no function gave: nothing was asked of the record, so there is nothing to trace."""
    answer = json_answer(status, operation_outcome([Problem(code, text)], request_id=request_id))
    return answer, [("Content-Type", FHIR_JSON), ("Cache-Control", "no-store"), *(headers or {}).items()]
