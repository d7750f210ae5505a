"""Our access tokens: at+jwt (RFC 9068), ES256 under the stage's `tokens` key, at most 300 s, bound to a DPoP key.

The key service signs the SHA-256 digest of the JWS signing input; its r and s are the JWS signature as they are. A
token's `kid` is the thumbprint of the public key, so whoever has the key set needs no versions.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc.jwk import ECKey
from pydantic import ValidationError

from sceau.access.model import Actor, ActorKind, Declaration, Identifier, Mode
from sceau.identity.cache import BoundedAge
from sceau.identity.errors import JwsRefused, TokenRefused, Unavailable
from sceau.identity.jose import PublicJwk, claims, encode_part, read, select, verify
from sceau.identity.settings import MAX_TOKEN_SECONDS, IdentitySettings
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey
from sceau.keys.ports import KeyName, KeyService
from sceau_schemas.tokens import AccessTokenClaims, EmergencyClaims

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"
MAX_CHARS: Final = 8_192
KEYS_MAX_AGE: Final = timedelta(seconds=60)
KEYS_MIN_AGE: Final = timedelta(seconds=30)
CLOCK_TOLERANCE_SECONDS: Final = 10
"""How far the clock of the process that issued a token may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class _OwnKey:
    version: str
    public: PublicJwk


class TokenKeys:
    """The public halves of the `tokens` key, newest first. Safe under threads.

    Read again from the key service after 60 s, or for an unknown key id after 30 s.
    """

    def __init__(self, keys: KeyService) -> None:
        self._service = keys
        self._lock = threading.Lock()
        self._read_at: datetime | None = None
        self._keys: tuple[_OwnKey, ...] = ()

    def newest(self, now: datetime) -> tuple[str, str]:
        """Version and key id of the key to sign with. Raises Unavailable."""
        newest = self._fresh(now)[0]
        return newest.version, newest.public.thumbprint

    def public(self, now: datetime, *, kid: object = None) -> tuple[PublicJwk, ...]:
        """All public keys; with a `kid` that is not among them, read again if that is not too soon."""
        return tuple(one.public for one in self._fresh(now, kid))

    def forget(self) -> None:
        """Read again at the next use: the key service refused a version that we thought there was."""
        with self._lock:
            self._read_at = None

    def _fresh(self, now: datetime, kid: object = None) -> tuple[_OwnKey, ...]:
        with self._lock:
            age = None if self._read_at is None else abs(now - self._read_at)
            unknown = kid is not None and all(one.public.kid != kid for one in self._keys)
            if age is None or age >= KEYS_MAX_AGE or (unknown and age >= KEYS_MIN_AGE):
                self._keys = self._load()
                self._read_at = now
            return self._keys

    def _load(self) -> tuple[_OwnKey, ...]:
        try:
            found = self._service.public_keys(KeyName.TOKENS)
        except (KeyServiceUnavailable, UnknownKey):
            raise Unavailable("the key service did not give the public token keys") from None
        if not found:
            raise Unavailable("the stage has no token key")
        return tuple(_OwnKey(one.version, _public_jwk(one.spki)) for one in found)


def _public_jwk(spki: bytes) -> PublicJwk:
    loaded = load_der_public_key(spki)
    if not isinstance(loaded, EllipticCurvePublicKey) or not isinstance(loaded.curve, SECP256R1):
        raise Unavailable("the token key is not of the curve P-256")
    key = ECKey.import_key(loaded)
    kid = key.thumbprint()
    return PublicJwk(kid, frozenset({ALGORITHM}), kid, key)


def jwks(keys: Sequence[PublicJwk]) -> dict[str, Any]:
    """The JSON Web Key Set that verifies our tokens."""
    return {"keys": [{**key.as_dict(), "kid": key.kid, "use": "sig", "alg": ALGORITHM} for key in keys]}


class TokenSigner:
    """Signs tokens: one call of the key service each."""

    def __init__(self, keys: KeyService, public: TokenKeys) -> None:
        self._service = keys
        self._public = public

    def sign(self, token: AccessTokenClaims, now: datetime) -> str:
        """The signed token. Raises Unavailable."""
        try:
            return self._sign(token, now)
        except KeyVersionGone:
            self._public.forget()  # the newest version was disabled since we looked
        try:
            return self._sign(token, now)
        except KeyVersionGone:
            raise Unavailable("the key service has no usable token key") from None

    def _sign(self, token: AccessTokenClaims, now: datetime) -> str:
        version, kid = self._public.newest(now)
        header = {"alg": ALGORITHM, "kid": kid, "typ": TYPE}
        body = token.model_dump(mode="json", exclude_defaults=True)
        signed = f"{_json_part(header)}.{_json_part(body)}"
        digest = hashlib.sha256(signed.encode("ascii")).digest()
        try:
            signature = self._service.sign(KeyName.TOKENS, digest, version=version)
        except (KeyServiceUnavailable, UnknownKey):
            raise Unavailable("the key service did not sign") from None
        return f"{signed}.{encode_part(signature)}"


def _json_part(value: dict[str, Any]) -> str:
    return encode_part(json.dumps(value, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """An access token of ours that is valid now, revocation apart."""

    claims: AccessTokenClaims
    expires: datetime

    def __repr__(self) -> str:
        return "VerifiedToken(…)"


class TokenVerifier:
    """Verifies our own tokens locally, as every function does. Safe under threads."""

    def __init__(self, settings: IdentitySettings, keys: TokenKeys) -> None:
        self._settings = settings
        self._keys = keys
        # A client sends its token with each request: what a key of ours signed, it has signed.
        self._signed = BoundedAge(_signed_claims, max_age=timedelta(seconds=MAX_TOKEN_SECONDS))

    def verify(self, text: str, now: datetime) -> VerifiedToken:
        """Check signature, type, issuer, audience and times. Raises TokenRefused, Unavailable. Not: revocation."""
        try:
            token = read(text, algorithms=(ALGORITHM,), types=(TYPE,), max_chars=MAX_CHARS)
            key = select(token, self._keys.public(now, kid=token.header.get("kid")))
            found = self._signed.get((text, key), now)
        except (JwsRefused, ValidationError):
            raise TokenRefused("not an access token of this service") from None
        if found.iss != self._settings.issuer or found.aud != self._settings.audience:
            raise TokenRefused("an access token of another issuer, or for another audience")
        seconds = now.timestamp()
        if found.exp <= seconds:
            raise TokenRefused("the access token has expired")
        if found.iat > seconds + CLOCK_TOLERANCE_SECONDS or not 0 < found.exp - found.iat <= MAX_TOKEN_SECONDS:
            raise TokenRefused("the access token's times are not of our making")
        return VerifiedToken(found, datetime.fromtimestamp(found.exp, UTC))

    def key_of(self, text: str, now: datetime) -> PublicJwk:
        """The key that signed a token that `verify` passed. Raises TokenRefused, Unavailable."""
        try:
            token = read(text, algorithms=(ALGORITHM,), types=(TYPE,), max_chars=MAX_CHARS)
            return select(token, self._keys.public(now, kid=token.header.get("kid")))
        except JwsRefused:
            raise TokenRefused("not an access token of this service") from None


def _signed_claims(given: tuple[str, PublicJwk]) -> AccessTokenClaims:
    """The claims of a token that the key has signed. Raises JwsRefused, ValidationError."""
    text, key = given
    token = read(text, algorithms=(ALGORITHM,), types=(TYPE,), max_chars=MAX_CHARS)
    verify(token, (key,))
    claims(token)  # for duplicate members, which the model's own parser lets pass
    return AccessTokenClaims.model_validate_json(token.payload)


def actor_of(token: AccessTokenClaims) -> Actor:
    """The caller that a verified token stands for. Raises TokenRefused when its claims don't fit its kind."""
    iua, own = token.extensions.ihe_iua, token.extensions.sceau
    kind = ActorKind(own.kind)
    professional = _identifier(iua.national_provider_identifier)
    actor = Actor(
        kind=kind,
        client_id=token.client_id,
        subject=token.sub,
        token_id=token.jti,
        scopes=frozenset(token.scope.split(" ")),
        record_id=iua.person_id,
        structures=tuple(_parsed(text) for text in own.structures),
        display=iua.subject_name,
        structure_display=iua.subject_organization,
        role=own.role,
        sectors=frozenset(own.sectors),
        specialties=frozenset(own.specialties),
        regulates=own.regulates,
        secret=own.secret,
    )
    if kind is ActorKind.PROFESSIONAL:
        profession = iua.subject_role[0].code if len(iua.subject_role) == 1 else None
        if professional is None or profession is None or iua.person_id is None or len(actor.structures) != 1:
            raise TokenRefused("a professional's token names person, profession, structure and patient")
        return _entered(replace(actor, professional=professional, profession=profession), own.emergency)
    if own.emergency is not None:
        raise TokenRefused("only professionals enter in an emergency")
    if kind is ActorKind.PATIENT and (iua.person_id is None or iua.person_id != token.sub):
        raise TokenRefused("a patient's token is about that patient")
    if kind is ActorKind.REPRESENTATIVE and (iua.person_id is None or iua.person_id == token.sub):
        raise TokenRefused("a representative's token is about somebody else")
    return actor


def _entered(actor: Actor, claims: EmergencyClaims | None) -> Actor:
    if claims is None:
        return actor
    declaration = Declaration(
        datetime.fromtimestamp(claims.until, UTC),
        reason_given=claims.reason_given,
        unable_to_consent=claims.unable_to_consent,
        immediate_risk=claims.immediate_risk,
        event=claims.event,
    )
    return replace(actor, mode=Mode(claims.mode), declaration=declaration)


def _identifier(text: str | None) -> Identifier | None:
    return None if text is None else _parsed(text)


def _parsed(text: str) -> Identifier:
    system, _, value = text.partition("|")
    return Identifier(system, value)
