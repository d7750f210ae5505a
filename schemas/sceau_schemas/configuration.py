"""Configuration that rests sealed: the clients that may ask for tokens, and the issuers whose tokens we exchange.

Format: `docs/formats/configuration.md`. A removed object keeps its name and says so: configuration is replaced by
compare-and-swap and never deleted, so an earlier version can be brought back.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sceau_schemas.dossier import Stored, StoredIdentifier

ConfigurationId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""A client's id or an issuer's name: it is part of an object name."""

HttpsUrl = Annotated[str, Field(pattern=r"^https://[^\s?#]{1,500}$")]
"""No query, no fragment: an issuer's address is compared as text."""

Text = Annotated[str, Field(min_length=1, max_length=200)]

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LEVEL = re.compile(r"(patient|user|system|ops)/")


class ClientKind(StrEnum):
    """What a client is. It fixes the grants, the level of the scopes and the kind of actor: see `RULES`."""

    SOFTWARE = "software"
    INSURER = "insurer"
    PATIENT_APP = "patient-app"
    PROFESSIONAL_SOFTWARE = "professional-software"
    OPERATIONS = "operations"


Grant = Literal["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]
IssuerKind = Literal["prosanteconnect", "patient"]
SubjectAlgorithm = Literal["RS256", "PS256", "ES256"]

CLIENT_CREDENTIALS: Grant = "client_credentials"
TOKEN_EXCHANGE: Grant = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a grant type, not a secret

RULES: dict[ClientKind, tuple[Grant, str, IssuerKind | None]] = {
    ClientKind.SOFTWARE: (CLIENT_CREDENTIALS, "system", None),
    ClientKind.INSURER: (CLIENT_CREDENTIALS, "system", None),
    ClientKind.OPERATIONS: (CLIENT_CREDENTIALS, "ops", None),
    ClientKind.PROFESSIONAL_SOFTWARE: (TOKEN_EXCHANGE, "user", "prosanteconnect"),
    ClientKind.PATIENT_APP: (TOKEN_EXCHANGE, "patient", "patient"),
}
"""Per kind of client: its one grant, the one level of its scopes, and whose tokens it may bring."""


class Client(Stored):
    """A registered client. It authenticates with private_key_jwt under one of `keys` (public JWKs, each with a kid)."""

    client_id: ConfigurationId
    name: Text
    kind: ClientKind
    keys: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=10)]
    structures: tuple[StoredIdentifier, ...] = ()  # identifiers of the structures that it works for
    scopes: Annotated[tuple[str, ...], Field(min_length=1)]  # the ceiling
    grants: Annotated[tuple[Grant, ...], Field(min_length=1)]
    azp: tuple[Text, ...] = ()  # relying parties (client ids at the issuer) whose tokens it may exchange
    enabled: bool = True

    @field_validator("keys")
    @classmethod
    def _public_keys_with_ids(cls, keys: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        if any(not _PRIVATE_MEMBERS.isdisjoint(key) for key in keys):
            raise ValueError("a key holds private members: register the public key only")
        kids = [key.get("kid") for key in keys]
        if not all(isinstance(kid, str) and kid for kid in kids) or len(set(kids)) != len(kids):
            raise ValueError("each key has its own kid")
        return keys

    @model_validator(mode="after")
    def _within_the_kind(self) -> Self:
        grant, level, exchanged = RULES[self.kind]
        if set(self.grants) != {grant}:
            raise ValueError(f"a client of kind {self.kind} has the grant {grant}, and no other")
        if not all(scope.startswith(f"{level}/") for scope in self.scopes):
            raise ValueError(f"a client of kind {self.kind} has scopes of the level {level}/, and no other")
        if bool(self.azp) != (exchanged is not None):
            raise ValueError("azp lists relying parties for a client that exchanges tokens, and only then")
        needs = self.kind in (ClientKind.SOFTWARE, ClientKind.PROFESSIONAL_SOFTWARE)
        if needs and not self.structures:
            raise ValueError(f"a client of kind {self.kind} names the structures that it works for")
        return self


class IntrospectionAccess(Stored):
    """Where and how we ask an issuer about a token (RFC 7662, HTTP Basic)."""

    url: HttpsUrl
    user: Text
    password: Annotated[str, Field(min_length=1, max_length=500, repr=False)]


class TrustedIssuer(Stored):
    """An issuer whose tokens are exchanged for ours."""

    name: ConfigurationId
    kind: IssuerKind
    issuer: HttpsUrl  # compared with `iss` as text
    jwks_url: HttpsUrl
    userinfo_url: HttpsUrl | None = None
    introspection: IntrospectionAccess | None = None
    algorithms: Annotated[tuple[SubjectAlgorithm, ...], Field(min_length=1)]
    acr: Annotated[tuple[Text, ...], Field(min_length=1)]  # levels of assurance that suffice, as the tokens carry them
    max_age_seconds: Annotated[int, Field(ge=10, le=600)]  # of a subject token, from its `iat`
    audience: Text | None = None  # that a subject token must name; None: it names none (Pro Santé Connect)
    ca_bundle: str | None = None  # PEM file that signs the issuer's TLS certificate; None: the system's
    enabled: bool = True

    @model_validator(mode="after")
    def _asked_online(self) -> Self:
        # The CI-SIS volet has the authorization server introspect the token, and take the identity from UserInfo.
        if self.kind == "prosanteconnect" and (self.introspection is None or self.userinfo_url is None):
            raise ValueError("an issuer of kind prosanteconnect has introspection and userinfo_url")
        if self.kind == "patient" and self.audience is None:
            raise ValueError("an issuer of kind patient names the audience of its tokens")
        return self


class StoredClient(Stored):
    """`configuration/clients/<client-id>`, before it is sealed."""

    format: Literal[1] = 1
    client: Client | None  # None: removed


class StoredIssuer(Stored):
    """`configuration/issuers/<name>`, before it is sealed."""

    format: Literal[1] = 1
    issuer: TrustedIssuer | None  # None: removed
