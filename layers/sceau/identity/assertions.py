"""What a client signs with its own key: the assertion that authenticates it (RFC 7523), and the actor token.

Shared secrets are not accepted anywhere. The assertion's audience is exactly one string, the token address (SMART) or
the issuer (FAPI 2.0): an array would let one assertion serve elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sceau.identity.clients import ASSERTION_ALGORITHMS, ClientDirectory, KnownClient
from sceau.identity.errors import JwsRefused, OAuthError, OAuthRefusal, Reason
from sceau.identity.jose import claims, instant, read, short_id, verify
from sceau.identity.settings import IdentitySettings
from sceau_schemas.tokens import Software

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
MAX_SECONDS: Final = 300
"""How far ahead an assertion may expire (SMART: five minutes)."""
CLOCK_TOLERANCE_SECONDS: Final = 10
"""How far a client's clock may be ahead of ours (FAPI 2.0)."""

_TYPES: Final = (None, "JWT", "client-authentication+jwt")
_ACTOR_TYPES: Final = (None, "JWT")
_CLIENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """An assertion whose signature and claims are right. It authenticates once its replay mark is written."""

    client: KnownClient
    jti: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class ActorToken:
    """What the user's software says about itself and the chosen practice situation (CI-SIS volet, `actor_token`)."""

    software: Software
    situation: str | None


class ClientAuthentication:
    """Authenticates clients by private_key_jwt."""

    def __init__(self, settings: IdentitySettings, directory: ClientDirectory) -> None:
        self._settings = settings
        self._directory = directory

    def verify(self, form: Mapping[str, str], now: datetime) -> VerifiedAssertion:
        """Verify the client assertion in a request's form.

        Raises OAuthRefusal (invalid_client, with one text whether the client is known or not), Unavailable.
        """
        if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
            raise _refused("authenticate with private_key_jwt: client_assertion and client_assertion_type")
        if "client_secret" in form:
            raise _refused("one way of authenticating only, and no secrets")
        try:
            return self._verify(form["client_assertion"], form.get("client_id"), now)
        except JwsRefused:
            raise _refused("the client assertion was not accepted") from None

    def _verify(self, text: str, client_id: str | None, now: datetime) -> VerifiedAssertion:
        assertion = read(text, algorithms=ASSERTION_ALGORITHMS, types=_TYPES)
        body = claims(assertion)
        subject = body.get("sub")
        if not isinstance(subject, str) or not _CLIENT_ID.fullmatch(subject) or body.get("iss") != subject:
            raise JwsRefused("iss and sub are the client's id")
        if client_id is not None and client_id != subject:
            raise JwsRefused("another client_id than the assertion's")
        client = self._directory.get(subject, now)
        if client is None:
            raise JwsRefused("no such client")
        verify(assertion, client.keys)
        expires = _check_times_and_audience(body, self._settings, now)
        return VerifiedAssertion(client, short_id(body.get("jti")), expires)

    def verify_actor_token(self, text: str, client: KnownClient, now: datetime) -> ActorToken:
        """Verify an actor token, which the exchanging client itself signs. Raises JwsRefused.

        It has no replay mark of its own: it counts only beside an assertion of the same client, which has.
        """
        token = read(text, algorithms=ASSERTION_ALGORITHMS, types=_ACTOR_TYPES)
        body = claims(token)
        if body.get("iss") != client.registered.client_id:
            raise JwsRefused("the actor token is of another client")
        verify(token, client.keys)
        _check_times_and_audience(body, self._settings, now)
        software = Software(
            nom=_text(body.get("lps_nom")), id=_text(body.get("lps_id")), version=_text(body.get("lps_version"))
        )
        return ActorToken(software, _text(body.get("situation_exercice")))


def _check_times_and_audience(body: Mapping[str, Any], settings: IdentitySettings, now: datetime) -> datetime:
    """When the signed statement expires. Raises JwsRefused."""
    audience = body.get("aud")
    if not isinstance(audience, str) or audience not in settings.assertion_audiences:
        raise JwsRefused("aud is exactly one string: the token address or the issuer")
    seconds, expires = now.timestamp(), instant(body.get("exp"))
    if not seconds < expires <= seconds + MAX_SECONDS + CLOCK_TOLERANCE_SECONDS:
        raise JwsRefused("exp is past, or too far ahead")
    for name in ("iat", "nbf"):
        if name in body and instant(body[name]) > seconds + CLOCK_TOLERANCE_SECONDS:
            raise JwsRefused("issued in the future")
    return datetime.fromtimestamp(expires, UTC)


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise JwsRefused("a claim of the actor token is not a short text")
    return value


def _refused(description: str) -> OAuthRefusal:
    return OAuthRefusal(OAuthError.INVALID_CLIENT, Reason.CLIENT, description)
