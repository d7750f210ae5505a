"""What we ask of trusted issuers over HTTPS: their keys, whether a token is active, and who the person is.

Everything fails closed: an issuer that does not answer, answers something else, or redirects grants nothing (503).
No redirect is followed, answers are bounded in size and time, certificates are verified against the issuer's bundle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import urllib3

from sceau.identity import bounded
from sceau.identity.errors import KeyRefused, Unavailable
from sceau.identity.jose import PublicJwk, key_set, strict_object
from sceau_schemas.configuration import IntrospectionAccess, TrustedIssuer

READ_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 5.0
KEYS_MAX_AGE: Final = timedelta(minutes=10)
KEYS_MIN_AGE: Final = timedelta(seconds=30)
"""An unknown key id makes us ask again, but no more often than this: it costs an attacker nothing to name one."""
KEYS_RETRY: Final = timedelta(seconds=5)
"""After a failure nobody asks again within this time: the callers would queue up behind an issuer that is down."""

_OK: Final = 200
_UNAUTHORIZED: Final = (401, 403)

Pools = Callable[[str | None], urllib3.PoolManager]
"""The connections for a CA bundle (a PEM file's path; None: the system's authorities)."""


def https_pools() -> Pools:
    """Connections that verify certificates, TLS 1.2 at least, kept per CA bundle. Safe under threads."""
    lock = threading.Lock()
    made: dict[str | None, urllib3.PoolManager] = {}

    def pool(ca_bundle: str | None) -> urllib3.PoolManager:
        with lock:
            if ca_bundle not in made:
                made[ca_bundle] = urllib3.PoolManager(
                    cert_reqs="CERT_REQUIRED", ca_certs=ca_bundle, maxsize=8, retries=False
                )
            return made[ca_bundle]

    return pool


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            return strict_object(self.body)
        except ValueError:
            raise Unavailable("a trusted issuer did not answer in JSON") from None


class TokenInactive(Exception):
    """The issuer says that the token is not, or no longer, active."""


class Upstream:
    """The trusted issuers. `monotonic` measures how long an answer takes, in seconds."""

    def __init__(self, pools: Pools, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pools = pools
        self._monotonic = monotonic
        self._keys: dict[str, _IssuerKeys] = {}
        self._lock = threading.Lock()

    def keys(self, issuer: TrustedIssuer, kid: object, now: datetime) -> tuple[PublicJwk, ...]:
        """The issuer's keys, asked for again when they are 10 minutes old, or lack `kid` and are 30 s old.

        Raises Unavailable.
        """
        with self._lock:
            kept = self._keys.setdefault(issuer.jwks_url, _IssuerKeys())
        return kept.get(kid, now, lambda: self._load_keys(issuer))

    def _load_keys(self, issuer: TrustedIssuer) -> tuple[PublicJwk, ...]:
        reply = self._ask("GET", issuer.jwks_url, issuer.ca_bundle, {})
        if reply.status != _OK:
            raise Unavailable("a trusted issuer did not give its keys")
        try:
            return key_set(reply.json(), algorithms=issuer.algorithms)
        except KeyRefused:
            raise Unavailable("a trusted issuer gave keys that can't be used") from None

    def introspect(self, issuer: TrustedIssuer, access: IntrospectionAccess, token: str) -> dict[str, Any]:
        """What the issuer says about an active token (RFC 7662). Raises TokenInactive, Unavailable."""
        headers = urllib3.make_headers(basic_auth=f"{access.user}:{access.password}")
        reply = self._ask("POST", access.url, issuer.ca_bundle, headers, form=urlencode({"token": token}))
        if reply.status != _OK:
            raise Unavailable("a trusted issuer did not introspect the token")
        answer = reply.json()
        if answer.get("active") is not True:
            raise TokenInactive
        return answer

    def userinfo(self, issuer: TrustedIssuer, url: str, token: str) -> bytes:
        """The UserInfo of the token's person: a JSON object as sent. Raises TokenInactive, Unavailable."""
        reply = self._ask("GET", url, issuer.ca_bundle, {"Authorization": f"Bearer {token}"})
        if reply.status in _UNAUTHORIZED:
            raise TokenInactive
        if reply.status != _OK:
            raise Unavailable("a trusted issuer did not give the UserInfo")
        reply.json()
        return reply.body

    def _ask(
        self, method: str, url: str, ca_bundle: str | None, headers: Mapping[str, str], form: str | None = None
    ) -> _Reply:
        sent = {"Accept": "application/json", **headers}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        patience = bounded.Patience(READ_SECONDS, TOTAL_SECONDS, self._monotonic)
        try:
            got = bounded.ask(self._pools(ca_bundle), method, url, body=form, headers=sent, patience=patience)
        except bounded.TooMuch:
            raise Unavailable("a trusted issuer answered too much, or too slowly") from None
        except bounded.NoAnswer:
            raise Unavailable("a trusted issuer does not answer") from None
        return _Reply(got.status, got.body)


class _IssuerKeys:
    """One issuer's keys as last loaded. Safe under threads: one loads at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tried: datetime | None = None
        self._loaded: datetime | None = None
        self._keys: tuple[PublicJwk, ...] = ()

    def get(self, kid: object, now: datetime, load: Callable[[], tuple[PublicJwk, ...]]) -> tuple[PublicJwk, ...]:
        with self._lock:
            old = self._loaded is None or abs(now - self._loaded) >= KEYS_MAX_AGE
            unknown = kid is not None and all(key.kid != kid for key in self._keys)
            since = KEYS_MIN_AGE if self._tried is None else abs(now - self._tried)
            if old and since < KEYS_RETRY:
                raise Unavailable("a trusted issuer did not give its keys a moment ago")
            if old or (unknown and since >= KEYS_MIN_AGE):
                self._tried = now
                self._keys = load()
                self._loaded = now
            return self._keys
