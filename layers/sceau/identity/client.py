"""The client's side: assertions, proofs, tokens, and calls with them. For the `sceau` command, the journey and tests.

It follows the server's nonces by itself: an answer that asks for one is followed by one more try.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey

from sceau.identity import emergency
from sceau.identity.assertions import ASSERTION_TYPE, JWT_TYPE
from sceau.identity.dpop import token_hash
from sceau.identity.grants import ACCESS_TOKEN_TYPE
from sceau.identity.settings import REVOKE_PATH, TOKEN_PATH
from sceau_schemas.configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

ASSERTION_SECONDS: Final = 60
_NONCE_HEADER: Final = "DPoP-Nonce"
_WANTS_NONCE: Final = "use_dpop_nonce"


class HttpResponse(Protocol):
    """What is needed of an answer; urllib3's have it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def data(self) -> bytes: ...


class Http(Protocol):
    """What is needed of urllib3's PoolManager."""

    def request(
        self, method: str, url: str, body: bytes | None = None, *, headers: Mapping[str, str], redirect: bool
    ) -> HttpResponse: ...


class TokenNotGiven(Exception):
    """The token endpoint refused. `error`: its code; `status`: its HTTP status."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(f"{error} ({status}): {description}")
        self.status = status
        self.error = error


def generate_client_key() -> tuple[dict[str, Any], dict[str, Any]]:
    """A new client key: its private JWK, to be kept by the client, and the public one, to be registered."""
    key = SigningKey.generate()
    return key.private_jwk(), key.registered_jwk()


class SigningKey:
    """A P-256 key pair of a client: its own, or one that tokens are bound to."""

    def __init__(self, key: ECKey) -> None:
        self._key = key
        self.thumbprint = key.thumbprint()

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key pair."""
        return cls(ECKey.generate_key("P-256"))

    @classmethod
    def from_jwk(cls, private: Mapping[str, Any]) -> SigningKey:
        """A key pair from its private JWK."""
        return cls(ECKey.import_key({name: private[name] for name in ("kty", "crv", "x", "y", "d")}))

    def private_jwk(self) -> dict[str, Any]:
        """The private JWK, to be kept in a file that only its owner can read."""
        return dict(self._key.as_dict(private=True))

    def public_jwk(self, **members: str) -> dict[str, Any]:
        """The public JWK with further members; with `kid`, as a client registers it."""
        return {**self._key.as_dict(private=False), **members}

    def registered_jwk(self) -> dict[str, Any]:
        """The public JWK as a client registers it: with the thumbprint as its id."""
        return self.public_jwk(kid=self.thumbprint, use="sig", alg="ES256")

    def sign(self, header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
        """A compact JWS, ES256."""
        return jws.serialize_compact({"alg": "ES256", **header}, json.dumps(body), self._key, algorithms=["ES256"])


@dataclass(frozen=True, slots=True)
class Prover:
    """Makes DPoP proofs with one key."""

    key: SigningKey
    clock: Callable[[], datetime]

    def proof(self, method: str, url: str, *, nonce: str | None = None, access_token: str | None = None) -> str:
        """A proof for one request; `url` may have a query."""
        body: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url.partition("?")[0].partition("#")[0],
            "iat": int(self.clock().timestamp()),
        }
        if nonce is not None:
            body["nonce"] = nonce
        if access_token is not None:
            body["ath"] = token_hash(access_token)
        return self.key.sign({"typ": "dpop+jwt", "jwk": self.key.public_jwk()}, body)


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency access to ask for: a whole declaration, or in its place the one that an earlier token came with.

    `mode`: `bris_de_glace` or `centre_15`.
    """

    mode: str
    reason: str | None = None
    unable_to_consent: bool = False
    immediate_risk: bool = False
    declaration: str | None = None

    def parameters(self) -> dict[str, str]:
        """As the token endpoint takes it."""
        given = {
            emergency.MODE: self.mode,
            emergency.REASON: self.reason,
            emergency.UNABLE: "true" if self.unable_to_consent else None,
            emergency.RISK: "true" if self.immediate_risk else None,
            emergency.DECLARATION: self.declaration,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as its client holds it. `declaration`: of the emergency access that it is for."""

    access_token: str
    seconds: int
    scope: str
    record_id: str | None
    event_id: str | None
    declaration: str | None = None

    def __repr__(self) -> str:
        return "Token(…)"


class TokenClient:
    """A registered client at the token endpoint of `origin`. `issuer` is the audience of its assertions."""

    def __init__(
        self, http: Http, *, origin: str, issuer: str, client_id: str, key: SigningKey, prover: Prover
    ) -> None:
        self._http = http
        self._origin = origin
        self._issuer = issuer
        self._client_id = client_id
        self._key = key
        self._prover = prover
        self._nonce: str | None = None

    def client_credentials(self, scope: str, *, patient: str | None = None) -> Token:
        """A token for the client itself. `patient`: `<system>|<INS>`. Raises TokenNotGiven."""
        form = {"grant_type": CLIENT_CREDENTIALS, "scope": scope}
        return self._token(form, patient)

    def exchange(
        self,
        subject_token: str,
        scope: str,
        *,
        patient: str | None = None,
        software: Mapping[str, str] | None = None,
        entering: Emergency | None = None,
        secret: bool = False,
    ) -> Token:
        """A token for the person whom `subject_token` is about (RFC 8693). Raises TokenNotGiven.

        `software`: claims of the actor token (`lps_nom`, `lps_id`, `lps_version`, `situation_exercice`). `entering`:
        how, when not in the normal mode. `secret`: a minor's connexion secrète.
        """
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "scope": scope,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
        }
        if secret:
            form["connexion_secrete"] = "true"  # noqa: S105 - a mode
        if software is not None:
            form |= {"actor_token": self._signed(software), "actor_token_type": JWT_TYPE}
        if entering is not None:
            form |= entering.parameters()
        return self._token(form, patient)

    def revoke(self, access_token: str) -> None:
        """Revoke a token of this client. Raises TokenNotGiven."""
        form = {"token": access_token, **self._authentication()}
        response = self._post(self._origin + REVOKE_PATH, form, {})
        if response.status != 200:  # noqa: PLR2004 - OK
            raise _not_given(response)

    def assertion(self, *, audience: str | None = None) -> str:
        """A fresh client assertion."""
        return self._signed({"jti": secrets.token_urlsafe(16)}, audience)

    def _token(self, form: dict[str, str], patient: str | None) -> Token:
        url = self._origin + TOKEN_PATH
        if patient is not None:
            form = {**form, "patient": patient}
        for _ in range(2):
            proof = self._prover.proof("POST", url, nonce=self._nonce)
            response = self._post(url, {**form, **self._authentication()}, {"DPoP": proof})
            self._nonce = response.headers.get(_NONCE_HEADER, self._nonce)
            if response.status == 200:  # noqa: PLR2004 - OK
                return _token(response)
            refusal = _not_given(response)
            if refusal.error != _WANTS_NONCE:
                break
        raise refusal

    def _authentication(self) -> dict[str, str]:
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}

    def _signed(self, claims: Mapping[str, str], audience: str | None = None) -> str:
        now = int(self._prover.clock().timestamp())
        body = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": audience or self._issuer,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            **claims,
        }
        return self._key.sign({"kid": self._key.thumbprint, "typ": "JWT"}, body)

    def _post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> HttpResponse:
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **headers}
        return self._http.request("POST", url, urlencode(form).encode(), headers=sent, redirect=False)


class ApiClient:
    """Calls the API of `origin` with one token and the key that it is bound to. For one thread."""

    def __init__(self, http: Http, *, origin: str, token: Token, prover: Prover) -> None:
        self._http = http
        self._origin = origin
        self._token = token
        self._prover = prover
        self._nonce: str | None = None

    def request(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """One request; `target` is a path with its query, or an address below the same origin."""
        url = target if urlsplit(target).scheme else self._origin + target
        for _ in range(2):
            sent = {**(headers or {}), **self.authorization(method, url)}
            response = self._http.request(method, url, body, headers=sent, redirect=False)
            self._nonce = response.headers.get(_NONCE_HEADER, self._nonce)
            wanted = response.status == 401 and _WANTS_NONCE in response.headers.get("WWW-Authenticate", "")  # noqa: PLR2004
            if not wanted:
                break
        return response

    def authorization(self, method: str, url: str) -> dict[str, str]:
        """The headers that authenticate one request."""
        access_token = self._token.access_token
        proof = self._prover.proof(method, url, nonce=self._nonce, access_token=access_token)
        return {"Authorization": f"DPoP {access_token}", "DPoP": proof}


def _token(response: HttpResponse) -> Token:
    body = json.loads(response.data)
    return Token(
        body["access_token"],
        body["expires_in"],
        body["scope"],
        body.get("patient"),
        response.headers.get("Sceau-Trace"),
        body.get(emergency.DECLARATION),
    )


def _not_given(response: HttpResponse) -> TokenNotGiven:
    try:
        body = json.loads(response.data)
        return TokenNotGiven(response.status, str(body["error"]), str(body.get("error_description", "")))
    except (ValueError, KeyError, TypeError):
        return TokenNotGiven(response.status, "unknown", "the answer is not of the form of RFC 6749")
