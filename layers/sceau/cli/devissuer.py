"""The development issuer: stands in for Pro Santé Connect and for a patient's identity provider, on the loopback.

A real issuer: discovery, keys, introspection, UserInfo, tokens that expire. What it lacks is people: whoever reaches
`POST /issue` gets a token for any of the invented ones. So it runs on a `local` stage only, listens on the loopback
only (`devserver`), and refuses what a web page could make a browser send.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from sceau.cli.devpeople import PATIENTS, PROFESSIONALS
from sceau.cli.files import write_private
from sceau.identity.errors import JwsRefused
from sceau.identity.jose import claims, instant, public_jwk, read, verify
from sceau_schemas.configuration import IntrospectionAccess, TrustedIssuer

TOKEN_SECONDS: Final = 120
"""Life of a token of Pro Santé Connect (auth.md, section 0)."""

PSC_PATH: Final = "/auth/realms/esante-wallet"
PATIENT_PATH: Final = "/patients"
ISSUE_PATH: Final = "/issue"

_OIDC: Final = f"{PSC_PATH}/protocol/openid-connect"
_CERTS, _USERINFO, _INTROSPECT = f"{_OIDC}/certs", f"{_OIDC}/userinfo", f"{_OIDC}/token/introspect"
_ACR_PSC: Final = "eidas3"
_ACR_PATIENT: Final = "eidas2"


class DevIssuerRefused(Exception):
    """The development issuer can't start. The message is one sentence for the person who starts it."""


@dataclass(frozen=True, slots=True)
class IssuerSecrets:
    """The issuer's keys and the credentials for its introspection, as kept in the stage's folder (0600)."""

    professionals: RSAKey
    patients: ECKey
    user: str
    password: str

    def __repr__(self) -> str:
        return "IssuerSecrets(…)"


def create_issuer_file(path: Path) -> None:
    """Make the issuer's keys and credentials. Raises FileExistsError."""
    content = {
        "format": 1,
        "professionals": RSAKey.generate_key(2048).as_dict(private=True),
        "patients": ECKey.generate_key("P-256").as_dict(private=True),
        "user": "sceau",
        "password": secrets.token_urlsafe(24),
    }
    write_private(path, json.dumps(content).encode())


def read_issuer_file(path: Path) -> IssuerSecrets:
    """Read what `create_issuer_file` made. Raises DevIssuerRefused."""
    try:
        info = path.stat()
        if stat.S_IMODE(info.st_mode) & 0o077 or info.st_uid != os.getuid():
            raise DevIssuerRefused(f"{path} must be readable by its owner only")
        content = json.loads(path.read_bytes())
        professionals, patients = RSAKey.import_key(content["professionals"]), ECKey.import_key(content["patients"])
        return IssuerSecrets(professionals, patients, content["user"], content["password"])
    except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
        raise DevIssuerRefused(
            f"{path} can't be read as the development issuer's keys ({type(error).__name__})"
        ) from None


class DevIssuer:
    """What the issuer signs and answers, without a socket (`devserver` has that). Safe under threads.

    `origin`: where it is reached. `audience`: what patients' tokens are for, the stage's issuer.
    """

    def __init__(self, kept: IssuerSecrets, *, origin: str, audience: str, clock: Callable[[], datetime]) -> None:
        self.origin = origin
        self._kept = kept
        self._audience = audience
        self._clock = clock
        self._inactive: set[str] = set()
        self._lock = threading.Lock()

    def trusted_issuers(self, ca_bundle: Path) -> tuple[TrustedIssuer, TrustedIssuer]:
        """How a stage registers the two issuers: professionals, patients."""
        psc, patients = self.origin + PSC_PATH, self.origin + PATIENT_PATH
        access = IntrospectionAccess(url=self.origin + _INTROSPECT, user=self._kept.user, password=self._kept.password)
        professionals = TrustedIssuer(
            name="prosanteconnect-dev",
            kind="prosanteconnect",
            issuer=psc,
            jwks_url=self.origin + _CERTS,
            userinfo_url=self.origin + _USERINFO,
            introspection=access,
            algorithms=("RS256",),
            acr=("eidas2", "eidas3"),
            max_age_seconds=TOKEN_SECONDS,
            ca_bundle=str(ca_bundle),
        )
        people = TrustedIssuer(
            name="patients-dev",
            kind="patient",
            issuer=patients,
            jwks_url=f"{patients}/jwks",
            algorithms=("ES256",),
            acr=("eidas2", "eidas3"),
            max_age_seconds=TOKEN_SECONDS,
            audience=self._audience,
            ca_bundle=str(ca_bundle),
        )
        return professionals, people

    def token_for(self, person: str, azp: str, **changed: Any) -> str:
        """A token about one of the people, made for the relying party `azp`. Raises LookupError for nobody.

        `changed` replaces claims (None removes one): tests make the tokens that must be refused.
        """
        now = int(self._clock().timestamp())
        common = {
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "auth_time": now - 30,
            "jti": secrets.token_hex(16),
            "azp": azp,
        }
        if person in PROFESSIONALS:
            professional = PROFESSIONALS[person]
            body = {
                **common,
                "iss": self.origin + PSC_PATH,
                "sub": professional.subject,
                "typ": "Bearer",
                "acr": _ACR_PSC,
                "scope": "openid scope_all",
                **professional.claims(),
            }
            return self._signed("RS256", self._kept.professionals, {**body, **changed})
        patient = PATIENTS[person]
        body = {
            **common,
            "iss": self.origin + PATIENT_PATH,
            "sub": sha256(f"{azp}|{patient.ins}".encode()).hexdigest() + "v1",
            "aud": self._audience,
            "acr": _ACR_PATIENT,
            **patient.claims(),
        }
        return self._signed("ES256", self._kept.patients, {**body, **changed})

    def deactivate(self, jti: str) -> None:
        """Make introspection say that the token with this id is not active."""
        with self._lock:
            self._inactive.add(jti)

    def _signed(self, algorithm: str, key: RSAKey | ECKey, body: Mapping[str, Any]) -> str:
        header = {"alg": algorithm, "typ": "JWT", "kid": key.thumbprint()}
        kept = {name: value for name, value in body.items() if value is not None}
        return jws.serialize_compact(header, json.dumps(kept), key, algorithms=[algorithm])

    def active(self, token: str) -> dict[str, Any] | None:
        """The claims of one of our professionals' tokens, if it is active."""
        try:
            parsed = read(token, algorithms=("RS256",), types=("JWT",))
            key = self._kept.professionals
            verify(parsed, [public_jwk({**key.as_dict(private=False), "kid": key.thumbprint()}, algorithms=("RS256",))])
            body = claims(parsed)
            fresh = instant(body.get("exp")) > self._clock().timestamp()
        except JwsRefused:
            return None
        with self._lock:
            return body if fresh and body.get("jti") not in self._inactive else None

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """The answer to one HTTP request: status and JSON."""
        match method, path:
            case "GET", _ if path in self._published():
                return 200, self._published()[path]
            case "GET", _ if path == _USERINFO:
                return self._userinfo(headers)
            case "POST", _ if path == _INTROSPECT:
                return self._introspect(headers, body)
            case "POST", _ if path == ISSUE_PATH:
                return self._issue(headers, body)
        return 404, {"error": "not_found"}

    def _published(self) -> dict[str, dict[str, Any]]:
        psc, patients = self.origin + PSC_PATH, self.origin + PATIENT_PATH
        return {
            f"{PSC_PATH}/.well-known/wallet-openid-configuration": {
                "issuer": psc,
                "jwks_uri": self.origin + _CERTS,
                "userinfo_endpoint": self.origin + _USERINFO,
                "introspection_endpoint": self.origin + _INTROSPECT,
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            f"{PATIENT_PATH}/.well-known/openid-configuration": {
                "issuer": patients,
                "jwks_uri": f"{patients}/jwks",
                "id_token_signing_alg_values_supported": ["ES256"],
            },
            _CERTS: _key_set(self._kept.professionals, "RS256"),
            f"{PATIENT_PATH}/jwks": _key_set(self._kept.patients, "ES256"),
        }

    def _userinfo(self, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        body = self.active(token) if scheme == "Bearer" else None
        found = [one for one in PROFESSIONALS.values() if body is not None and one.subject == body.get("sub")]
        return (200, found[0].userinfo()) if found else (401, {"error": "invalid_token"})

    def _introspect(self, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        given = headers.get("authorization", "")
        wanted = "Basic " + base64.b64encode(f"{self._kept.user}:{self._kept.password}".encode()).decode("ascii")
        if not (given.isascii() and compare_digest(given, wanted)):
            return 401, {"error": "invalid_client"}
        found = self.active(parse_qs(body.decode("ascii", "replace")).get("token", [""])[0])
        if found is None:
            return 200, {"active": False}
        return 200, {
            **found,
            "active": True,
            "client_id": found.get("azp"),
            "username": found.get("preferred_username"),
        }

    def _issue(self, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        # A page in the developer's browser must not get tokens: no cross-site form is JSON, none hides its Origin.
        if headers.get("content-type") != "application/json" or "origin" in headers:
            return 403, {"error": "forbidden", "error_description": "send JSON, and not from a web page"}
        if headers.get("host", "") != self.origin.removeprefix("https://"):
            return 403, {"error": "forbidden", "error_description": "address the issuer by its own name"}
        try:
            asked = json.loads(body)
            token = self.token_for(str(asked["person"]), str(asked["azp"]))
        except (ValueError, TypeError, LookupError, RecursionError):
            people = ", ".join([*PATIENTS, *PROFESSIONALS])
            return 400, {
                "error": "invalid_request",
                "error_description": f"person (one of {people}) and azp are needed",
            }
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


def _key_set(key: RSAKey | ECKey, algorithm: str) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig", "alg": algorithm}]}
