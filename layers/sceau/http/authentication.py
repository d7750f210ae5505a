"""The use cases of the function `authentication`: HTTP in, HTTP out, without a framework.

Errors at `/oauth/…` are RFC 6749 JSON. The function needs no wrapper of its own: what authenticates its callers is the
request itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json

from sceau.http.message import JSON, Answer, Request
from sceau.http.wrapper import TRACE_HEADER
from sceau.identity.authorization import AuthorizationServer, IssuedToken, TokenRequest
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.facts import CountRefusal, Trace
from sceau.identity.grants import ACCESS_TOKEN_TYPE
from sceau.identity.metadata import server_metadata, smart_configuration
from sceau.identity.resource import NONCE_HEADER
from sceau.identity.settings import IdentitySettings
from sceau.identity.tokens import TokenKeys, jwks

LARGEST_FORM_BYTES: Final = 64 * 1024

_FORM: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_PUBLISHED: Final = {"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"}


class Authentication:
    """The use cases. Safe under threads."""

    def __init__(self, settings: IdentitySettings, server: AuthorizationServer, keys: TokenKeys) -> None:
        self._settings = settings
        self._server = server
        self._keys = keys

    def token(self, request: Request, *, now: datetime, trace: Trace, count_refusal: CountRefusal) -> Answer:
        """`POST /oauth/token`."""
        try:
            asked = _token_request(request, count_refusal)
            return _issued(self._server.issue(asked, now=now, trace=trace, count_refusal=count_refusal))
        except OAuthRefusal as refusal:
            return _refused(refusal)

    def revoke(self, request: Request, *, now: datetime, trace: Trace, count_refusal: CountRefusal) -> Answer:
        """`POST /oauth/revoke`: 200 also for a token that we don't know (RFC 7009, section 2.2)."""
        try:
            asked = _token_request(request, count_refusal)
            event_id = self._server.revoke(asked, now=now, trace=trace, count_refusal=count_refusal)
        except OAuthRefusal as refusal:
            return _refused(refusal)
        return Answer(200, headers={**_NO_STORE, **_traced(event_id)})

    def jwks(self, now: datetime) -> Answer:
        """`GET /oauth/jwks`. Raises Unavailable."""
        return _json(200, jwks(self._keys.public(now)), _PUBLISHED, "application/jwk-set+json")

    def server_metadata(self) -> Answer:
        """`GET /.well-known/oauth-authorization-server`."""
        return _json(200, server_metadata(self._settings), _PUBLISHED)

    def smart_configuration(self) -> Answer:
        """`GET /.well-known/smart-configuration`."""
        return _json(200, smart_configuration(self._settings), _PUBLISHED)


def _token_request(request: Request, count_refusal: CountRefusal) -> TokenRequest:
    """The request's form and proofs. Raises OAuthRefusal, already counted."""
    try:
        return TokenRequest(request.method, _form(request), tuple(request.headers.get("dpop", ())))
    except OAuthRefusal as refusal:
        count_refusal(refusal.reason)
        raise


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
