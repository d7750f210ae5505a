"""Chalice, made safe under threads, with one entry for every route: request in, use case, answer out.

Chalice 1.34 keeps the current request in an attribute of the app: with 8 threads, 199 of 200 requests saw another's
(reference: chalice.md section 3). Context variables give each thread its own.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote

from chalice.app import Chalice, Response

from sceau.fhir.outcome import Problem, operation_outcome
from sceau.http.log import LogEvent, hush, log, place_of, reason_of
from sceau.http.message import FHIR_JSON, JSON, Answer, Request, json_answer
from sceau.objects.deadline import within

ANY = ["*/*"]
"""Content types of every route: Chalice lets all pass, and our wrapper answers 415 in FHIR's own form."""

ANSWER_SECONDS = 2.0
"""Kept back of a request's time: what can't be done by then is answered for, with 503, before the host cuts."""

_PROBE_HEADERS: dict[str, str | list[str]] = {"Content-Type": "application/json", "Cache-Control": "no-store"}

_request: ContextVar[Any] = ContextVar("chalice_request", default=None)
_context: ContextVar[Any] = ContextVar("chalice_context", default=None)

Handler = Callable[[Request, Callable[[Any, Any], Answer]], Answer]

Task = Callable[[], dict[str, int | float]]
"""What a scheduled function does; it gives the figures of its run."""

ValueT = TypeVar("ValueT")


class SceauApp(Chalice):
    """One function's Chalice app. `build` makes what serves its requests, once, at the first request."""

    def __init__(self, name: str, build: Callable[[], Handler]) -> None:
        # `env`: Chalice would add its version to the process's AWS_EXECUTION_ENV, once more for every app in it.
        super().__init__(app_name=name, env={})
        self.api.binary_types = ANY
        self.debug = False
        hush()
        self._build = _Once(build)

    @property
    def current_request(self) -> Any:
        """This thread's request."""
        return _request.get()

    @current_request.setter
    def current_request(self, value: Any) -> None:
        _request.set(value)

    @property
    def lambda_context(self) -> Any:
        """This thread's Lambda context."""
        return _context.get()

    @lambda_context.setter
    def lambda_context(self, value: Any) -> None:
        _context.set(value)

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer an API Gateway (REST, payload v1) event."""
        headers = event.get("headers") or {}
        if not any(name.lower() == "accept" for name in headers):
            # Chalice answers 400 to a missing Accept when every type is binary; ours decides what is acceptable.
            event = {**event, "headers": {**headers, "Accept": "*/*"}}
        if event.get("pathParameters"):
            decoded = {name: unquote(value) for name, value in event["pathParameters"].items()}
            event = {**event, "pathParameters": decoded}
        answer: dict[str, Any] = super().__call__(event, context)
        return answer

    def serve(self, use_case: Callable[[Any, Any], Answer], **path_parameters: str) -> Response:
        """Run a use case on the current request. What is raised never reaches Chalice, which would log its message."""
        answer = self._answer(use_case, path_parameters)
        headers: dict[str, str | list[str]] = dict(answer.headers)
        if answer.content_type:
            headers["Content-Type"] = answer.content_type
        if answer.content_type in (FHIR_JSON, JSON):
            return _Text(body=answer.body.decode(), status_code=answer.status, headers=headers)
        return Response(body=answer.body, status_code=answer.status, headers=headers)

    def _answer(self, use_case: Callable[[Any, Any], Answer], path_parameters: Mapping[str, str]) -> Answer:
        event = self.current_request.to_original_event()
        request_id = str((event.get("requestContext") or {}).get("requestId") or "")
        try:
            with within(self._seconds_left()):
                handler = self._build.value()
        except Exception as error:  # noqa: BLE001 - whatever keeps the function from serving, the next request tries again
            log(LogEvent.UNAVAILABLE, request=request_id, error=type(error).__name__, reason=reason_of(error))
            problem = Problem("transient", "the service can't serve now; send the same request again")
            return _failure(503, problem, request_id, {"Retry-After": "1"})
        try:
            with within(self._seconds_left()):
                return handler(_to_request(event, self.current_request, path_parameters), use_case)
        except Exception as error:  # noqa: BLE001 - handlers answer for what they raise; this is for their own mistakes
            log(LogEvent.UNEXPECTED, request=request_id, error=type(error).__name__, place=place_of(error))
            problem = Problem("exception", "an internal error; the request id finds it in the log")
            return _failure(500, problem, request_id)

    def _seconds_left(self) -> float:
        """What the host still gives this request, but for the time that the answer needs."""
        return float(self.lambda_context.get_remaining_time_in_millis()) / 1000 - ANSWER_SECONDS

    def health(self) -> Response:
        """Answer a health probe: the function starts and can build what it serves with. No secret, no count."""
        try:
            self.warm()
        except Exception as error:  # noqa: BLE001 - whatever keeps it from serving, the probe's answer is the same
            log(LogEvent.UNAVAILABLE, error=type(error).__name__, reason=reason_of(error))
            return Response(body=b'{"status":"unavailable"}', status_code=503, headers=_PROBE_HEADERS)
        return Response(body=b'{"status":"ok"}', headers=_PROBE_HEADERS)

    def warm(self) -> None:
        """Build now what the first request would build: a start that can't work fails here."""
        self._build.value()


class TaskFailed(Exception):
    """A scheduled function's run failed. It is logged; the message names the function and the kind of error only."""


class ScheduledApp(Chalice):
    """The Chalice app of a function that runs by schedule, or when somebody calls it.

    `build` makes its task, once, at the first run.

    There is no request: Chalice sets neither `current_request` nor `lambda_context` (reference: chalice.md section 2).
    """

    def __init__(self, name: str, build: Callable[[], Task]) -> None:
        super().__init__(app_name=name, env={})  # as above
        self.debug = False
        hush()
        self._build = _Once(build)

    def run(self) -> dict[str, int | float]:
        """Do it once; return its figures. Raises TaskFailed, so that the host counts and reports the failure too."""
        try:
            return self._build.value()()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged without its message, and told on
            kind = type(error).__name__
            log(LogEvent.TASK_FAILED, function=self.app_name, error=kind, place=place_of(error))
            raise TaskFailed(f"{self.app_name}: {kind}") from None

    def warm(self) -> None:
        """Build now what the first run would build: a start that can't work fails here."""
        self._build.value()


class _Text(Response):
    """An answer that travels as the text that it is: in base64, a Lambda's 6 MB would hold a quarter less of it."""

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().to_dict(None)
        return answer


class _Once(Generic[ValueT]):
    """Builds a value at first use. A build that fails is tried again: the next start of a store may succeed."""

    def __init__(self, build: Callable[[], ValueT]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._value: ValueT | None = None

    def value(self) -> ValueT:
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._build()
        return self._value


def _failure(status: int, problem: Problem, request_id: str, headers: Mapping[str, str] | None = None) -> Answer:
    outcome = operation_outcome([problem], request_id=request_id or None)
    return json_answer(status, outcome, {"Cache-Control": "no-store", "X-Request-Id": request_id, **(headers or {})})


def _to_request(event: Mapping[str, Any], chalice_request: Any, path_parameters: Mapping[str, str]) -> Request:
    context = event.get("requestContext") or {}
    return Request(
        method=event["httpMethod"],
        path=event["path"],
        query=_query(event),
        headers=_headers(event),
        body=chalice_request.raw_body or b"",
        request_id=str(context.get("requestId") or ""),
        source_ip=str((context.get("identity") or {}).get("sourceIp") or ""),
        path_parameters=dict(path_parameters),
    )


def _headers(event: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Every value of every header. Names that differ by case only are one header: none of its values may hide."""
    many = event.get("multiValueHeaders") or {name: [value] for name, value in (event.get("headers") or {}).items()}
    headers: dict[str, tuple[str, ...]] = {}
    for name, values in many.items():
        headers[name.lower()] = headers.get(name.lower(), ()) + tuple(values)
    return headers


def _query(event: Mapping[str, Any]) -> str:
    """The query string again: API Gateway hands the parameters over decoded, grouped by name."""
    pairs = event.get("multiValueQueryStringParameters") or {}
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, values in pairs.items() for value in values
    )


def encode_body(data: bytes) -> str:
    """A body as an event carries it."""
    return base64.b64encode(data).decode("ascii")
