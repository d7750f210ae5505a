"""What stands before a container's gateway: only what came through the stage's front gets in, and the host's probes.

The front (a proxy that routes by method and path) proves itself on each request by a secret that it shares with the
containers: `Sceau-Front: <secret>`, or `Sceau-Front: <secret> for=<address>` to name its caller too. Both stand in one
header because WSGI reads `X_Y` as `X-Y`: a caller who sends a `Sceau_Front` through the front replaces the front's own
value by one without the secret, and shuts out nobody but itself.

A container reached past the front answers 403, before a byte of the body is read. Its health probe is open: the host's
prober knows no secret, and the answer says nothing but that the function can serve.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from sceau.fhir.outcome import Problem, operation_outcome
from sceau.http.gateway import StartResponse
from sceau.http.log import LogEvent, log
from sceau.http.message import FHIR_JSON

Wsgi = Callable[[dict[str, Any], StartResponse], list[bytes]]

FRONT_HEADER: Final = "Sceau-Front"
SCHEDULER_HEADER: Final = "Sceau-Scheduler"
_FRONT: Final = "HTTP_SCEAU_FRONT"
_SCHEDULER: Final = "HTTP_SCEAU_SCHEDULER"

_CALLER: Final = re.compile(r"for=([0-9A-Fa-f.:]{2,45})")
_SAID_EVERY: Final = timedelta(minutes=1)


class Secrets:
    """The values of a shared secret that are accepted now: one, or two while it is being replaced."""

    def __init__(self, values: Sequence[str]) -> None:
        if not values:
            raise ValueError("a check without a secret would let everybody in")
        self._digests = [hashlib.sha256(value.encode()).digest() for value in values]

    def __repr__(self) -> str:
        return f"Secrets({len(self._digests)})"

    def hold(self, given: str) -> bool:
        """Whether this is one of them; the time that it takes says nothing of how much of it was right."""
        # Of digests, so that lengths say nothing either; all of them, so that it does not matter which one it is.
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        return sum(hmac.compare_digest(digest, accepted) for accepted in self._digests) > 0


class HostDecides:
    """In place of a secret where the host itself lets nobody but its own scheduler through, and the settings say so."""

    def hold(self, given: str) -> bool:
        """Always: who is here has been let through."""
        return True


@dataclass(frozen=True, slots=True)
class PastTheFront:
    """How many requests did not come through the front, said in the log once a minute at most."""

    clock: Callable[[], datetime]
    _lock: threading.Lock
    _state: dict[str, Any]

    @classmethod
    def counting(cls, clock: Callable[[], datetime]) -> PastTheFront:
        """A count that begins now."""
        return cls(clock, threading.Lock(), {"count": 0, "said": None})

    def count(self) -> None:
        """One more."""
        now = self.clock()
        with self._lock:
            self._state["count"] += 1
            said = self._state["said"]
            if said is not None and now - said < _SAID_EVERY:
                return
            count, self._state["count"], self._state["said"] = self._state["count"], 0, now
        log(LogEvent.PAST_THE_FRONT, requests=count)


class Front:
    """A WSGI application that passes on what the front sent, with the caller's address as the front saw it."""

    def __init__(self, app: Wsgi, secrets: Secrets, *, open_paths: frozenset[str], refused: PastTheFront) -> None:
        self._app = app
        self._secrets = secrets
        self._open = open_paths
        self._refused = refused

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """Pass on, or answer 403. The secret goes no further than this."""
        given = environ.pop(_FRONT, "")
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] in self._open:
            return self._app(environ, start_response)
        secret, _, caller = given.partition(" ")
        if not self._secrets.hold(secret):
            self._refused.count()
            return refuse(start_response, HTTPStatus.FORBIDDEN, "this is reached through the service's address only")
        if caller:
            address = _address(caller)
            if address is None:
                return refuse(start_response, HTTPStatus.BAD_REQUEST, "the front names no address of its caller")
            environ["REMOTE_ADDR"] = address
        return self._app(environ, start_response)


class Triggered:
    """The WSGI application of scheduled functions: `POST /run/<function>` by the host's scheduler, and the probes.

    `run` does one run and may raise; `warm` raises when the function can't run. One run of each function at a time.
    """

    def __init__(
        self,
        runs: Mapping[str, tuple[Callable[[], object], Callable[[], None]]],
        secrets: Secrets | HostDecides,
        *,
        refused: PastTheFront,
    ) -> None:
        self._runs = {f"/run/{name}": run for name, (run, _) in runs.items()}
        self._warm = {f"/healthz/{name}": warm for name, (_, warm) in runs.items()}
        self._busy = {path: threading.Lock() for path in self._runs}
        self._secrets = secrets
        self._refused = refused

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """Answer one request."""
        given = environ.pop(_SCHEDULER, "")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "GET" and path in self._warm:
            return self._probe(self._warm[path], start_response)
        if not self._secrets.hold(given):
            self._refused.count()
            return refuse(start_response, HTTPStatus.FORBIDDEN, "this is called by the scheduler only")
        if path not in self._runs or method != "POST":
            return refuse(start_response, HTTPStatus.NOT_FOUND, "there is nothing at this address")
        if not self._busy[path].acquire(blocking=False):
            return refuse(start_response, HTTPStatus.CONFLICT, "a run is under way")
        try:
            self._runs[path]()
        except Exception:  # noqa: BLE001 - the app has logged what it was; the scheduler must see that it failed
            return _status(start_response, HTTPStatus.INTERNAL_SERVER_ERROR, "failed")
        finally:
            self._busy[path].release()
        return _status(start_response, HTTPStatus.OK, "done")

    def _probe(self, warm: Callable[[], None], start_response: StartResponse) -> list[bytes]:
        try:
            warm()
        except Exception as error:  # noqa: BLE001 - whatever keeps it from running, the probe's answer is the same
            log(LogEvent.UNAVAILABLE, error=type(error).__name__)
            return _status(start_response, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")
        return _status(start_response, HTTPStatus.OK, "ok")


def refuse(start_response: StartResponse, status: HTTPStatus, text: str) -> list[bytes]:
    """An answer to who is not the front. The connection ends: whatever else it holds is not read."""
    code = {HTTPStatus.FORBIDDEN: "forbidden", HTTPStatus.NOT_FOUND: "not-found"}.get(status, "processing")
    body = json.dumps(operation_outcome([Problem(code, text)], request_id=str(uuid.uuid4()))).encode()
    return _answer(start_response, status, FHIR_JSON, body, ("Connection", "close"))


def _status(start_response: StartResponse, status: HTTPStatus, text: str) -> list[bytes]:
    return _answer(start_response, status, "application/json", json.dumps({"status": text}).encode())


def _answer(
    start_response: StartResponse, status: HTTPStatus, content_type: str, body: bytes, *more: tuple[str, str]
) -> list[bytes]:
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *more,
    ]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


def _address(text: str) -> str | None:
    match = _CALLER.fullmatch(text)
    try:
        return str(ipaddress.ip_address(match[1])) if match else None
    except ValueError:
        return None
