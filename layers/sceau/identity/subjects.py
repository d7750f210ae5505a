"""Subject tokens: what a trusted issuer signed about a person, and whether we take it from this client now.

Checked twice, as the CI-SIS volet wants it: locally (signature, issuer, times, relying party, assurance), which is
cheap and needs only the issuer's keys; then online (introspection, UserInfo), which sees revocation. Single use is
the caller's affair: it claims `SubjectToken.mark` last, when nothing else can fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from sceau.identity.clients import KnownClient
from sceau.identity.dpop import same_text
from sceau.identity.errors import JwsRefused, OAuthError, OAuthRefusal, Reason
from sceau.identity.issuers import IssuerDirectory
from sceau.identity.jose import claims, instant, read, short_id, verify
from sceau.identity.upstream import TokenInactive, Upstream
from sceau_schemas.configuration import RULES, TrustedIssuer
from sceau_schemas.tokens import PatientIdentity, UserInfo

CLOCK_TOLERANCE_SECONDS: Final = 10

_TYPES: Final = (None, "JWT", "at+jwt")
_ALGORITHMS: Final = ("RS256", "PS256", "ES256")  # each issuer's own list narrows it
_SAME: Final = ("iss", "sub", "jti", "acr", "azp")
_ACR: Final = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class SubjectToken:
    """A subject token that passed all local checks. Not asked about online yet."""

    issuer: TrustedIssuer
    text: str
    payload: bytes
    claims: Mapping[str, Any]
    jti: str
    azp: str
    acr: str
    auth_time: int | None
    expires: datetime

    def __repr__(self) -> str:
        return "SubjectToken(…)"

    @property
    def mark(self) -> tuple[str, str]:
        """What makes this token the same as another one."""
        return self.issuer.issuer, self.jti


class Subjects:
    """Reads subject tokens."""

    def __init__(self, issuers: IssuerDirectory, upstream: Upstream) -> None:
        self._issuers = issuers
        self._upstream = upstream

    def read(self, text: str, client: KnownClient, now: datetime) -> SubjectToken:
        """Verify a subject token locally. Raises OAuthRefusal, Unavailable."""
        try:
            return self._read(text, client, now)
        except JwsRefused:
            raise _refused(Reason.SUBJECT_TOKEN, "the subject token was not accepted") from None

    def _read(self, text: str, client: KnownClient, now: datetime) -> SubjectToken:
        token = read(text, algorithms=_ALGORITHMS, types=_TYPES)
        body = claims(token)
        issuer = self._issuers.by_address(body.get("iss"), now)
        if issuer is None or issuer.kind != RULES[client.registered.kind][2]:
            raise _refused(Reason.SUBJECT_ISSUER, "this client can't exchange tokens of this issuer")
        # The keys serve the issuer's own algorithms only.
        verify(token, self._upstream.keys(issuer, token.header.get("kid"), now))
        if body.get("typ", "Bearer") != "Bearer":  # Keycloak tells its kinds of tokens apart by this claim
            raise JwsRefused("an id token or another kind of token")
        expires = _check_times(body, issuer, now)
        azp, acr = _check_party(body, issuer, client), _check_assurance(body, issuer)
        auth_time = instant(body["auth_time"]) if "auth_time" in body else None
        jti = short_id(body.get("jti"))
        return SubjectToken(issuer, text, token.payload, body, jti, azp, acr, auth_time, expires)

    def confirm(self, token: SubjectToken) -> None:
        """Ask the issuer whether the token is active, if it answers that. Raises OAuthRefusal, Unavailable."""
        if token.issuer.introspection is None:
            return
        try:
            answer = self._upstream.introspect(token.issuer, token.issuer.introspection, token.text)
        except TokenInactive:
            raise _refused(Reason.SUBJECT_INACTIVE, "the issuer says that the subject token is not active") from None
        differs = any(name in answer and answer[name] != token.claims.get(name) for name in _SAME)
        if differs or answer.get("client_id", token.azp) != token.azp:
            raise _refused(Reason.SUBJECT_INACTIVE, "the issuer says something else about the subject token")

    def userinfo(self, token: SubjectToken) -> UserInfo:
        """The professional's UserInfo, of the same subject as the token. Raises OAuthRefusal, Unavailable."""
        url = token.issuer.userinfo_url
        if url is None:
            raise _refused(Reason.SUBJECT_IDENTITY, "the issuer has no UserInfo")
        try:
            info = UserInfo.model_validate_json(self._upstream.userinfo(token.issuer, url, token.text))
        except TokenInactive:
            raise _refused(Reason.SUBJECT_INACTIVE, "the issuer refused the subject token") from None
        except ValidationError:
            raise _refused(Reason.SUBJECT_IDENTITY, "the issuer's UserInfo is not of the form we know") from None
        if info.sub != token.claims.get("sub"):
            raise _refused(Reason.SUBJECT_IDENTITY, "the UserInfo is about somebody else")
        return info


def patient_identity(token: SubjectToken) -> PatientIdentity:
    """The INS and the traits that a patient issuer signed. Raises OAuthRefusal."""
    try:
        return PatientIdentity.model_validate_json(token.payload)
    except ValidationError:
        text = "the subject token lacks the INS or one of the identity traits"
        raise _refused(Reason.SUBJECT_IDENTITY, text) from None


def check_binding(token: SubjectToken, jkt: str) -> None:
    """A subject token that is itself bound to a DPoP key comes with a proof of that key. Raises OAuthRefusal.

    One bound to a TLS certificate (`x5t#S256`) can't be checked without mTLS: see the deviations in SECURITY.md.
    """
    confirmation = token.claims.get("cnf")
    bound = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if bound is not None and not (isinstance(bound, str) and same_text(bound, jkt)):
        raise _refused(Reason.SUBJECT_BOUND, "the subject token is bound to another key")


def _check_times(body: Mapping[str, Any], issuer: TrustedIssuer, now: datetime) -> datetime:
    """When the token expires by its own word: its mark's minute must not depend on our settings."""
    seconds = now.timestamp()
    issued, expires = instant(body.get("iat")), instant(body.get("exp"))
    last = min(expires, issued + issuer.max_age_seconds)
    not_before = instant(body["nbf"]) if "nbf" in body else issued
    if last <= seconds or max(issued, not_before) > seconds + CLOCK_TOLERANCE_SECONDS:
        raise _refused(Reason.SUBJECT_STALE, "the subject token is expired, too old, or from the future")
    return datetime.fromtimestamp(expires, UTC)


def _check_party(body: Mapping[str, Any], issuer: TrustedIssuer, client: KnownClient) -> str:
    """The relying party that the token was made for: one whose tokens this client may bring.

    Tokens of Pro Santé Connect name no audience: without this rule a token that another software obtained would do.
    """
    azp = body.get("azp")
    if not isinstance(azp, str) or azp not in client.registered.azp:
        raise _refused(Reason.SUBJECT_AZP, "the subject token was made for another relying party")
    audience = body.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if issuer.audience is not None and (not isinstance(named, list) or issuer.audience not in named):
        raise _refused(Reason.SUBJECT_AZP, "the subject token is not meant for this service")
    return azp


def _check_assurance(body: Mapping[str, Any], issuer: TrustedIssuer) -> str:
    """The level of assurance that was reached (not the one that was asked for)."""
    acr = body.get("acr")
    if not isinstance(acr, str) or not _ACR.fullmatch(acr) or acr not in issuer.acr:
        raise _refused(Reason.SUBJECT_ACR, "the person was not authenticated strongly enough")
    return acr


def _refused(reason: Reason, description: str) -> OAuthRefusal:
    return OAuthRefusal(OAuthError.INVALID_GRANT, reason, description)
