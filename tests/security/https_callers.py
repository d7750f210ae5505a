"""Callers each part of whose request can be forged: `Client` asks for tokens, `Holder` has one and uses it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

from sceau.identity.assertions import ASSERTION_TYPE
from sceau.identity.client import SigningKey
from sceau.identity.dpop import token_hash
from sceau.identity.grants import ACCESS_TOKEN_TYPE
from sceau_schemas.configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from security.https_forging import FHIR, FORM, Answer, Json, body_of, now, signed, without_none

if TYPE_CHECKING:
    from security.https_site import Site


class Client:
    """A registered client (or one that says so) at the token endpoint; it knows the nonce of its proof key."""

    def __init__(self, site: Site, client_id: str, key: SigningKey | None = None) -> None:
        self.site = site
        self.client_id = client_id
        self.key = key or site.live.folder.client_key(client_id)
        self.proof_key = SigningKey.generate()
        self.url = site.origin + "/oauth/token"
        self.nonce: str | None = None
        self.nonce = self.post(self.form(scope="none"), self.proof()).headers["DPoP-Nonce"]

    def assertion(self, *, header: Mapping[str, Any] | None = None, key: Any = None, **changed: Any) -> str:
        """A client assertion that is good but for what is given; None leaves a member out."""
        claims, head = self.assertion_parts(header, **changed)
        return signed(key, head, claims) if key is not None else self.key.sign(head, claims)

    def assertion_parts(self, header: Mapping[str, Any] | None = None, **changed: Any) -> tuple[Json, Json]:
        """Claims and header of an assertion."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.site.origin,
            "iat": now(),
            "exp": now() + 60,
            "jti": secrets.token_urlsafe(16),
        }
        head = {"alg": "ES256", "kid": self.key.thumbprint, "typ": "JWT", **(header or {})}
        return without_none({**claims, **changed}), without_none(head)

    def proof(self, *, header: Mapping[str, Any] | None = None, key: Any = None, **changed: Any) -> str:
        """A DPoP proof for the token endpoint, good but for what is given."""
        return _proof(self.proof_key, {"htm": "POST", "htu": self.url, "nonce": self.nonce, **changed}, header, key)

    def form(self, **changed: str | None) -> dict[str, str]:
        """A client-credentials form, good but for what is given."""
        base = {
            "grant_type": CLIENT_CREDENTIALS,
            "scope": "system/DocumentReference.c",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        return without_none({**base, **changed})

    def exchange(self, subject_token: str, **changed: str | None) -> dict[str, str]:
        """A token-exchange form, good but for what is given."""
        own: dict[str, str | None] = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
        }
        return self.form(**{**own, **changed})

    def post(
        self,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | bytes,
        *proofs: str,
        path: str = "/oauth/token",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a form as it is given, with as many DPoP headers as are given."""
        data = form if isinstance(form, bytes) else urlencode(form).encode()
        sent = urllib3.HTTPHeaderDict({**FORM, **(headers or {})})
        for proof in proofs:
            sent.add("DPoP", proof)
        return self.site.http.request("POST", self.site.origin + path, body=data, headers=sent, redirect=False)

    def token(self, form: Mapping[str, str] | None = None) -> Holder:
        """A real token."""
        answer = self.post(self.form() if form is None else form, self.proof())
        assert answer.status == 200, answer.data
        return Holder(self.site, body_of(answer)["access_token"], self.proof_key, body_of(answer).get("patient"))


class Holder:
    """Who holds an access token and the key that it is bound to, each part of whose request can be forged."""

    def __init__(self, site: Site, token: str, key: SigningKey, record_id: str | None) -> None:
        self.site = site
        self.token = token
        self.key = key
        self.record = record_id or ""
        self.origin = site.origin
        self.nonce: str | None = None

    def proof(
        self, method: str, target: str, *, header: Mapping[str, Any] | None = None, key: Any = None, **changed: Any
    ) -> str:
        """A DPoP proof for one request, good but for what is given."""
        claims = {
            "htm": method,
            "htu": self.origin + target.partition("?")[0],
            "nonce": self.nonce,
            "ath": token_hash(self.token),
            **changed,
        }
        return _proof(self.key, claims, header, key)

    def headers(self, method: str, target: str, extra: Mapping[str, str] | None = None) -> urllib3.HTTPHeaderDict:
        """The headers of a good request."""
        sent = urllib3.HTTPHeaderDict(extra or {})
        sent["Authorization"] = f"DPoP {self.token}"
        sent["DPoP"] = self.proof(method, target)
        return sent

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Json | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        authorization: Sequence[str] | None = None,
        proofs: Sequence[str] | None = None,
        origin: str | None = None,
    ) -> Answer:
        """One request, exactly as given: no second try. `authorization`, `proofs`: in place of the good headers."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = urllib3.HTTPHeaderDict(FHIR if headers is None else headers)
        for value in [f"DPoP {self.token}"] if authorization is None else authorization:
            sent.add("Authorization", value)
        for value in [self.proof(method, target)] if proofs is None else proofs:
            sent.add("DPoP", value)
        address = (origin or self.origin) + target
        return self.site.http.request(method, address, body=data, headers=sent, redirect=False)

    def ask(
        self, method: str, target: str, body: bytes | Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request as an honest client makes it: it follows the nonce."""
        answer = self.send(method, target, body, headers)
        if answer.status == 401 and "use_dpop_nonce" in answer.headers.get("WWW-Authenticate", ""):
            self.nonce = answer.headers["DPoP-Nonce"]
            answer = self.send(method, target, body, headers)
        self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
        return answer

    def get(self, target: str, **headers: str) -> Answer:
        """An honest GET that wants FHIR, or what `headers` say."""
        return self.ask("GET", target, headers={"Accept": "application/fhir+json", **headers})


def _proof(own: SigningKey, claims: Mapping[str, Any], header: Mapping[str, Any] | None, key: Any) -> str:
    body = without_none({"jti": secrets.token_urlsafe(16), "iat": now(), **claims})
    head = without_none({"alg": "ES256", "typ": "dpop+jwt", "jwk": own.public_jwk(), **(header or {})})
    return signed(key, head, body) if key is not None else own.sign(head, body)
