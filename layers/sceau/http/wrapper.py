"""The one path of every authenticated request: authenticate → parse → decide → trace → act → answer.

A use case does the middle four with a `Call`. What it raises becomes an answer here and nowhere else; a refusal and a
failure known at the time are traced here, so that no use case can forget to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from sceau.access.matrix import Rules
from sceau.access.model import Actor, ActorKind
from sceau.audit.errors import EventAbsent, EventDamaged, EventLocked, JournalUnavailable
from sceau.audit.facts import EventFacts, Outcome, Server
from sceau.audit.log.errors import LogDamaged, LogUnavailable
from sceau.fhir.outcome import FhirError, Problem, operation_outcome
from sceau.http.attempts import entities_named
from sceau.http.call import Call
from sceau.http.log import LogEvent, log, place_of, reason_of
from sceau.http.message import Answer, Request, json_answer
from sceau.http.refusals import Refused
from sceau.identity.errors import ResourceRefusal, Unavailable
from sceau.keys.errors import KeyRightDenied, KeyServiceError, KeyVersionGone
from sceau.objects.errors import ObjectRightDenied, ObjectStoreError
from sceau.records.errors import RecordDamaged

ServiceT = TypeVar("ServiceT")
TRACE_HEADER = "Sceau-Trace"
"""Response header: the id of the request's audit event; several, when one request made several, newest last."""

MODE_HEADER = "Sceau-Mode"
"""Response header for professionals: the mode of access that the token is for (EX_0.3-1050: it shows all through)."""

UseCaseT = TypeVar("UseCaseT", bound=Callable[..., Answer])
_public_use_cases: set[object] = set()


def public(use_case: UseCaseT) -> UseCaseT:
    """Mark a use case that tells everybody the same and reads nothing of a record: it takes a Request, not a Call."""
    _public_use_cases.add(use_case)
    return use_case


def is_public(use_case: object) -> bool:
    """Whether a use case was marked so; all others need an authenticated caller."""
    return use_case in _public_use_cases


class Authenticator(Protocol):
    """What establishes who calls. `resource.ResourceServer` of the identity room."""

    def authenticate(self, request: Request, now: datetime) -> Actor:
        """The caller. Raises ResourceRefusal, or Unavailable."""

    def evidence(self, request: Request, now: datetime) -> bytes:
        """What shows later who sent a request that was authenticated. Raises Unavailable."""

    def response_headers(self, request: Request, now: datetime) -> Mapping[str, str]:
        """Headers for any answer to this caller (a fresh DPoP nonce)."""


class Wrapper:
    """Runs use cases of one function for authenticated callers. Safe under threads.

    `named` reads off a request which record it names: an attempt that was refused before that was known is told there.
    """

    def __init__(
        self,
        service: object,
        *,
        authenticator: Authenticator,
        append: Callable[[EventFacts], str],
        named: Callable[[Request], str | None],
        rules: Callable[[datetime], Rules],
        count_refusal: Callable[[str], None],
        server: Server,
        clock: Callable[[], datetime],
        largest_body_bytes: int,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._append = append
        self._named = named
        self._rules = rules
        self._count_refusal = count_refusal
        self._server = server
        self._clock = clock
        self._largest = largest_body_bytes

    def __call__(self, request: Request, use_case: Callable[..., Answer]) -> Answer:
        """Answer one request."""
        started = time.perf_counter()
        call: Call | None = None
        try:
            self._check_size(request)
            if is_public(use_case):
                return self._finished(request, None, use_case(self._service, request), started)
            actor = self._authenticator.authenticate(request, self._clock())
            now = self._clock()
            evidence = partial(self._authenticator.evidence, request, now)
            call = Call(request, actor, now, self._server, self._append, self._rules(now), evidence)
            call.record_id = actor.record_id
            answer = use_case(self._service, call)
        except ResourceRefusal as refusal:
            answer = self._not_authenticated(request, refusal)
        except Exception as error:  # noqa: BLE001 - the one place where anything unforeseen becomes a 500, and is logged
            answer = self._failed(request, call, error)
        return self._finished(request, call, answer, started)

    def _check_size(self, request: Request) -> None:
        if len(request.body) > self._largest:
            text = f"the request's body is over this stage's limit of {self._largest} bytes"
            raise FhirError(413, Problem("too-long", text))

    def _not_authenticated(self, request: Request, refusal: ResourceRefusal) -> Answer:
        """Counted, not stored one by one: anybody can send these."""
        self._count_refusal(refusal.reason.value)
        log(LogEvent.NOT_AUTHENTICATED, request=request.request_id, reason=refusal.reason.value)
        problem = Problem("login", refusal.description, rule=refusal.reason.value)
        headers = {"WWW-Authenticate": refusal.www_authenticate}
        if refusal.nonce:
            headers["DPoP-Nonce"] = refusal.nonce
        return json_answer(refusal.status, operation_outcome([problem], request_id=request.request_id), headers)

    def _failed(self, request: Request, call: Call | None, error: Exception) -> Answer:
        """The answer to what was raised, traced when the caller is known; 503 if that event can't be written."""
        status, problems, reason, outcome = _classified(error, request)
        if call is not None and not isinstance(error, JournalUnavailable):
            try:
                call.record_id = call.record_id or self._named(request)
                data, *others = call.concerns() or entities_named(request, call.record_id) or (None,)
                call.trace(outcome=outcome, reason=reason, data=data, others=tuple(others))
            except (JournalUnavailable, Unavailable, ObjectStoreError, KeyServiceError) as unavailable:
                cause = reason_of(unavailable)
                log(LogEvent.UNAVAILABLE, request=request.request_id, error=type(unavailable).__name__, reason=cause)
                status, problems = 503, (_UNAVAILABLE,)
            except Exception as mistake:  # noqa: BLE001 - no event can be made of this: a mistake of ours
                _log_unexpected(mistake, request)
                status, problems = 500, (_INTERNAL,)
        return json_answer(status, operation_outcome(problems, request_id=request.request_id), _about(status))

    def _finished(self, request: Request, call: Call | None, answer: Answer, started: float) -> Answer:
        headers = {"Cache-Control": "no-store", "X-Request-Id": request.request_id}
        if call is not None:
            if call.events:
                headers[TRACE_HEADER] = ", ".join(call.events)
            if call.actor.kind is ActorKind.PROFESSIONAL:
                headers[MODE_HEADER] = call.actor.mode.value
            with suppress(Unavailable, ObjectStoreError, KeyServiceError):
                # The nonce is a courtesy: without the pseudonym key the next request asks for one again.
                headers |= self._authenticator.response_headers(request, self._clock())
        log(
            LogEvent.ANSWERED,
            request=request.request_id,
            status=answer.status,
            trace=call.events[-1] if call and call.events else None,
            millis=round((time.perf_counter() - started) * 1000, 1),
        )
        return answer.with_headers(headers)


_UNAVAILABLE = Problem(
    "transient",
    "the store, the key service or the journal is not available; send the same request again",
    severity="error",
)
_KEY_GONE = Problem(
    "transient",
    "the key that this is sealed under is disabled or destroyed; nothing else is affected; operations have been told",
    severity="error",
)
_INTERNAL = Problem("exception", "an internal error; the request id finds it in the log")


def _classified(error: Exception, request: Request) -> tuple[int, tuple[Problem, ...], str, Outcome]:
    """(status, problems, reason for the trace, outcome for the trace) of what was raised."""
    if isinstance(error, Refused):
        log(LogEvent.REFUSED, request=request.request_id, reason=error.reason)
        return error.status, (error.problem,), error.reason, Outcome.REFUSED
    if isinstance(error, FhirError):
        log(LogEvent.BAD_INPUT, request=request.request_id, status=error.status)
        return error.status, error.problems, f"refused.{error.status}", Outcome.REFUSED
    if isinstance(error, EventAbsent):
        return (
            404,
            (Problem("not-found", "there is no such resource in this record"),),
            "denied.unknown",
            Outcome.REFUSED,
        )
    if isinstance(error, (RecordDamaged, EventDamaged, LogDamaged)):
        log(LogEvent.DAMAGED, request=request.request_id, error=str(error))
        text = "what is stored does not pass its integrity checks; operations have been told"
        return 500, (Problem("exception", text),), "failed.damaged", Outcome.FAILED
    if isinstance(error, (KeyVersionGone, EventLocked)):
        log(LogEvent.KEY_GONE, request=request.request_id, error=str(error))
        return 503, (_KEY_GONE,), "failed.key-version-gone", Outcome.FAILED
    # A right that the chalicefile does not grant is a mistake of ours, and no retry helps.
    unavailable = (JournalUnavailable, LogUnavailable, Unavailable, ObjectStoreError, KeyServiceError)
    if isinstance(error, unavailable) and not isinstance(error, (ObjectRightDenied, KeyRightDenied)):
        log(LogEvent.UNAVAILABLE, request=request.request_id, error=type(error).__name__, reason=reason_of(error))
        return 503, (_UNAVAILABLE,), "failed.unavailable", Outcome.FAILED
    _log_unexpected(error, request)
    return 500, (_INTERNAL,), "failed.error", Outcome.FAILED


def _log_unexpected(error: Exception, request: Request) -> None:
    """The type and the place only: a message could carry what the client sent."""
    log(LogEvent.UNEXPECTED, request=request.request_id, error=type(error).__name__, place=place_of(error))


def _about(status: int) -> dict[str, str]:
    """What HTTP wants beside a status (RFC 9110): our own 405 is that of a patch."""
    return {405: {"Allow": "GET, PATCH"}, 503: {"Retry-After": "1"}}.get(status, {})
