"""What no real S3 server shows when it is asked to: a scripted transport under a real boto3 client.

The client builds, signs and parses as ever; in place of the network it meets `Script`, which notes each request and
gives the next answer of a list. Time passes only where a script says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

DATE = "Mon, 02 Mar 2026 09:30:00 GMT"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it would have left."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the store. `code` makes it an S3 error document."""

    status: int = 200
    code: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if not self.code:
            return self.body
        return f"<Error><Code>{self.code}</Code><Message>m</Message></Error>".encode()


@dataclass(slots=True)
class Seconds:
    """A clock that only moves when somebody waits."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


Outcome = Reply | Exception | Callable[[Sent], "Reply | Exception"]


class Script:
    """Answers the requests of one client, in order. A request too many fails the test.

    One client serves many tests, since it is slow to make: `begin` forgets what was.
    """

    def __init__(self, client: Any) -> None:
        self.outcomes: list[Outcome] = []
        self.sent: list[Sent] = []
        client.meta.events.register_last("before-send.s3", self._answer)

    def begin(self, outcomes: Iterable[Outcome]) -> None:
        """Start anew with these answers."""
        self.outcomes, self.sent = list(outcomes), []

    def then(self, *outcomes: Outcome) -> None:
        """Add answers."""
        self.outcomes += outcomes

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        sent = _sent(request)
        self.sent.append(sent)
        assert self.outcomes, f"one request too many: {sent.method} {sent.path}"
        outcome = self.outcomes.pop(0)
        if not isinstance(outcome, (Reply, Exception)):
            outcome = outcome(sent)
        if isinstance(outcome, Exception):
            raise outcome
        content = outcome.content()
        headers = {"date": DATE, "content-length": str(len(content)), **outcome.headers}
        return AWSResponse(request.url, outcome.status, headers, _Raw(content))


class _Raw(BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, amount: int = 1024, **_: object) -> Any:
        while piece := self.read(amount):
            yield piece

    def release_conn(self) -> None:
        """Nothing is pooled."""


def timed_out(seconds: Seconds | None = None, after: float = 0.0) -> Callable[[Sent], Exception]:
    """The request went out, and no answer came."""

    def outcome(_: Sent) -> Exception:
        if seconds is not None:
            seconds.now += after
        lost: Exception = ReadTimeoutError(endpoint_url="")
        return lost

    return outcome


def unreachable() -> Exception:
    """Nobody listens there: nothing went out."""
    nobody: Exception = EndpointConnectionError(endpoint_url="")
    return nobody


def not_connected() -> Exception:
    """No connection came about in time: nothing went out."""
    late: Exception = ConnectTimeoutError(endpoint_url="")
    return late


def _sent(request: Any) -> Sent:
    parts = urlsplit(request.url)
    body = request.body
    data = body.getvalue() if isinstance(body, BytesIO) else (body or b"")
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Sent(request.method, parts.hostname or "", unquote(parts.path), query, headers, bytes(data))
