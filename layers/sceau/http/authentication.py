"""The use cases of the function `authentication`: HTTP in, HTTP out, without a framework.

Errors at `/oauth/…` are RFC 6749 JSON. What authenticates the callers is the request itself, so there is no wrapper:
`handle` gives each request its use case, and turns what nobody foresaw into a 500 without detail.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from pydantic_core import to_json

from sceau.access.model import ActorKind
from sceau.audit.accesses import SECRET_MODE
from sceau.audit.facts import (
    AuditAct,
    Client,
    Coding,
    Entered,
    EventFacts,
    Identifier,
    Outcome,
    Request as TracedRequest,
    Server,
    Structure,
    User,
)
from sceau.audit.shapes import GUARDIAN
from sceau.envelope.messages import Envelope
from sceau.fhir.ins import check_ins
from sceau.fhir.times import instant
from sceau.http.building import identity_settings, refusal_counter
from sceau.http.chalice_app import Handler
from sceau.http.journals import journal_of, server_identity
from sceau.http.log import LogEvent, log, reason_of
from sceau.http.message import JSON, Answer, Request
from sceau.http.runtime import Runtime
from sceau.http.wrapper import TRACE_HEADER
from sceau.identity.assertions import ClientAuthentication
from sceau.identity.authorization import AuthorizationServer, IssuedToken, Services, TokenRequest
from sceau.identity.clients import ClientDirectory, ClientStore
from sceau.identity.emergency import DECLARATION, MODE, Declarations
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason, Unavailable
from sceau.identity.facts import PROFESSION_SYSTEM, Bearer, TokenAct, TokenFacts, Trace
from sceau.identity.grants import ACCESS_TOKEN_TYPE, Grants
from sceau.identity.issuers import IssuerDirectory, IssuerStore
from sceau.identity.metadata import server_metadata, smart_configuration
from sceau.identity.nonce import NonceRole, Nonces
from sceau.identity.pseudonym import ensure_pseudonym_key
from sceau.identity.resource import NONCE_HEADER
from sceau.identity.settings import IdentitySettings
from sceau.identity.subjects import Subjects
from sceau.identity.tokens import TokenKeys, TokenSigner, TokenVerifier, jwks
from sceau.identity.upstream import Pools, Upstream, https_pools

LARGEST_FORM_BYTES: Final = 64 * 1024

_FORM: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_PUBLISHED: Final = {"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"}
_ACTS: Final = {TokenAct.ISSUE: AuditAct.ISSUE_TOKEN, TokenAct.REVOKE: AuditAct.REVOKE_TOKEN}


class Authentication:
    """The use cases. Safe under threads. `append` writes an event; it raises JournalUnavailable."""

    def __init__(
        self,
        settings: IdentitySettings,
        *,
        server: AuthorizationServer,
        keys: TokenKeys,
        append: Callable[[EventFacts], str],
        count_refusal: Callable[[str], None],
        identity: Server,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._server = server
        self._keys = keys
        self._append = append
        self._count_refusal = count_refusal
        self._identity = identity
        self._clock = clock

    def token(self, request: Request) -> Answer:
        """`POST /oauth/token`."""
        try:
            asked, trace = self._asked(request), self._trace(request)
            issued = self._server.issue(asked, now=self._clock(), trace=trace, count_refusal=self._count_refusal)
        except OAuthRefusal as refusal:
            return _refused(refusal)
        return _issued(issued)

    def revoke(self, request: Request) -> Answer:
        """`POST /oauth/revoke`: 200 also for a token that we don't know (RFC 7009, section 2.2)."""
        try:
            asked, trace = self._asked(request), self._trace(request)
            event_id = self._server.revoke(asked, now=self._clock(), trace=trace, count_refusal=self._count_refusal)
        except OAuthRefusal as refusal:
            return _refused(refusal)
        return Answer(200, headers={**_NO_STORE, **_traced(event_id)})

    def jwks(self, _: Request) -> Answer:
        """`GET /oauth/jwks`. Raises Unavailable."""
        return _json(200, jwks(self._keys.public(self._clock())), _PUBLISHED, "application/jwk-set+json")

    def authorization_server(self, _: Request) -> Answer:
        """`GET /.well-known/oauth-authorization-server`."""
        return _json(200, server_metadata(self._settings), _PUBLISHED)

    def smart_configuration(self, _: Request) -> Answer:
        """`GET /.well-known/smart-configuration`."""
        return _json(200, smart_configuration(self._settings), _PUBLISHED)

    def _asked(self, request: Request) -> TokenRequest:
        """The request's form and proofs. Raises OAuthRefusal, already counted."""
        try:
            return TokenRequest(request.method, _form(request), tuple(request.headers.get("dpop", ())))
        except OAuthRefusal as refusal:
            self._count_refusal(refusal.reason)
            raise

    def _trace(self, request: Request) -> Trace:
        return lambda facts: self._append(event_facts(facts, request, self._identity))


def _form(request: Request) -> dict[str, str]:
    """The form, strictly: each parameter once, empty ones as absent (RFC 6749, section 3.2). Raises OAuthRefusal."""
    if "authorization" in request.headers:
        text = "clients authenticate with private_key_jwt in the form, not with an Authorization header"
        raise OAuthRefusal(OAuthError.INVALID_CLIENT, Reason.CLIENT, text)
    if request.media_type() != _FORM:
        raise _malformed(f"the body is {_FORM}")
    if len(request.body) > LARGEST_FORM_BYTES:
        raise _malformed(f"the form is over {LARGEST_FORM_BYTES} bytes")
    try:
        pairs = request.form_pairs()
    except ValueError:
        raise _malformed("the form is not UTF-8, or has too many parameters") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise _malformed("a parameter stands twice")
    return {name: value for name, value in pairs if value}


def _malformed(description: str) -> OAuthRefusal:
    return OAuthRefusal(OAuthError.INVALID_REQUEST, Reason.MALFORMED, description)


def _issued(issued: IssuedToken) -> Answer:
    body: dict[str, Any] = {
        "access_token": issued.access_token,
        "token_type": "DPoP",
        "expires_in": issued.seconds,
        "scope": issued.scope,
    }
    if issued.exchanged:
        body["issued_token_type"] = ACCESS_TOKEN_TYPE
    if issued.record_id is not None:
        body["patient"] = issued.record_id  # SMART: the id of the Patient that the token is about
    if issued.emergency is not None:
        # With the declaration, further tokens of this emergency access can be had until it ends.
        body[MODE] = issued.emergency.mode.value
        body[f"{DECLARATION}_until"] = instant(issued.emergency.until * 1000)
        body[DECLARATION] = issued.declaration
    return _json(200, body, {**_NO_STORE, NONCE_HEADER: issued.nonce, **_traced(issued.event_id)})


def _refused(refusal: OAuthRefusal) -> Answer:
    headers = {**_NO_STORE, **_traced(refusal.event_id)}
    if refusal.nonce is not None:
        headers[NONCE_HEADER] = refusal.nonce
    if refusal.error is OAuthError.TEMPORARILY_UNAVAILABLE:
        headers["Retry-After"] = "1"
    body = {"error": refusal.error.value, "error_description": refusal.description}
    return _json(refusal.status, body, headers)


def _traced(event_id: str | None) -> dict[str, str]:
    return {} if event_id is None else {TRACE_HEADER: event_id}


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str], content_type: str = JSON) -> Answer:
    return Answer(status, to_json(body), content_type, headers)


def event_facts(facts: TokenFacts, request: Request, server: Server) -> EventFacts:
    """The audit event of an act at `/oauth/…`."""
    bearer = facts.bearer
    return EventFacts(
        act=_ACTS[facts.act],
        server=server,
        client=Client(facts.client_id, server.origin, request.source_ip, facts.client_name),
        outcome=Outcome(facts.outcome.value),
        reason=facts.reason.value,
        user=_user(bearer),
        structure=_structure(bearer),
        token_id=facts.token_id,
        record_id=facts.record_id,
        entered=_entered(bearer),
        request=TracedRequest(request.method, request.path, urlencode(facts.request).encode()),
        request_id=request.request_id or None,
    )


def _user(bearer: Bearer | None) -> User | None:
    if bearer is None:
        return None
    if bearer.professional is not None:
        role = Coding(PROFESSION_SYSTEM, bearer.profession) if bearer.profession else None
        identifier = Identifier(bearer.professional.system, bearer.professional.value)
        return User(identifier, name=bearer.name, role=role)
    if bearer.kind is ActorKind.PATIENT and bearer.record_id is not None:
        return User(Identifier("", bearer.record_id), reference=f"Patient/{bearer.record_id}")
    if bearer.kind is ActorKind.REPRESENTATIVE:
        return User(Identifier("", bearer.subject), role=GUARDIAN)
    return None


def _entered(bearer: Bearer | None) -> Entered | None:
    entry = bearer.emergency if bearer else None
    if entry is None:
        return Entered(SECRET_MODE) if bearer is not None and bearer.secret else None
    return Entered(entry.mode.value, datetime.fromtimestamp(entry.until, UTC), entry.reason, entry.event)


def _structure(bearer: Bearer | None) -> Structure | None:
    if bearer is None or not bearer.structures:
        return None
    first = bearer.structures[0]
    return Structure(Identifier(first.system, first.value), bearer.structure_name)


def build(runtime: Runtime, *, pools: Pools | None = None) -> Handler:
    """The handler of the function: it makes the stage's pseudonym key at the first start.

    Raises Unavailable when the store or the key service does not answer.
    """
    settings = identity_settings(runtime)
    envelope = Envelope(runtime.keys)
    pseudonym_key = ensure_pseudonym_key(runtime.store, envelope, random_bytes=secrets.token_bytes)
    journal = journal_of(runtime)
    refusals = refusal_counter(runtime, journal)
    keys = TokenKeys(runtime.keys)
    subjects = Subjects(IssuerDirectory(IssuerStore(runtime.store, envelope)), Upstream(pools or https_pools()))
    accepted = runtime.spec.identifiers
    server = AuthorizationServer(
        Services(
            settings=settings,
            store=runtime.store,
            clients=ClientAuthentication(settings, ClientDirectory(ClientStore(runtime.store, envelope))),
            subjects=subjects,
            grants=Grants(
                settings,
                subjects,
                pseudonym_key=pseudonym_key,
                check_ins=lambda system, value: check_ins(system, value, accepted),
                declarations=Declarations(
                    pseudonym_key, life=timedelta(minutes=runtime.spec.rules.bris_de_glace_minutes)
                ),
            ),
            nonces=Nonces(pseudonym_key, NonceRole.TOKEN),
            signer=TokenSigner(runtime.keys, keys),
            verifier=TokenVerifier(settings, keys),
            random_bytes=secrets.token_bytes,
        )
    )
    service = Authentication(
        settings,
        server=server,
        keys=keys,
        append=journal.append,
        count_refusal=refusals.count,
        identity=server_identity(runtime),
        clock=runtime.clock,
    )

    def handle(request: Request, use_case: Callable[[Any, Any], Answer]) -> Answer:
        refusals.settle()
        return answered(service, request, use_case)

    return handle


def answered(service: Authentication, request: Request, use_case: Callable[[Any, Any], Answer]) -> Answer:
    """Run a use case and log it; what it did not foresee is 503 or 500."""
    started = time.perf_counter()
    try:
        answer = use_case(service, request)
    except Unavailable as error:
        log(LogEvent.UNAVAILABLE, request=request.request_id, error=type(error).__name__, reason=reason_of(error))
        body = {"error": OAuthError.TEMPORARILY_UNAVAILABLE.value}
        answer = _json(503, body, {**_NO_STORE, "Retry-After": "1"})
    except Exception as error:  # noqa: BLE001 - the one place where anything unforeseen becomes a 500, and is logged
        # The type only: a message could carry what the client sent.
        log(LogEvent.UNEXPECTED, request=request.request_id, error=type(error).__name__)
        answer = _json(500, {"error": "server_error"}, _NO_STORE)
    log(
        LogEvent.ANSWERED,
        request=request.request_id,
        status=answer.status,
        trace=answer.headers.get(TRACE_HEADER),
        millis=round((time.perf_counter() - started) * 1000, 1),
    )
    return answer.with_headers({"X-Request-Id": request.request_id})
