"""Calls as one of the development actors: a token fetched as it really is, then requests bound to its key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import urllib3

from sceau.cli.devissuer import ISSUE_PATH
from sceau.cli.devpeople import PATIENTS
from sceau.cli.local_stage import LocalFolder
from sceau.cli.people import ACTORS, CLIENTS, DevelopmentActor
from sceau.identity.client import ApiClient, Emergency, HttpResponse, Prover, SigningKey, Token, TokenClient
from sceau_schemas.configuration import ClientKind

PATIENT = "dominique"
"""The journey's patient: the test identity of the ANS's public CDA samples."""


class IssuerRefused(Exception):
    """The development issuer gave no token."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a running local stage is."""

    origin: str
    issuer: str
    folder: LocalFolder
    _pools: list[urllib3.PoolManager] = field(default_factory=list, repr=False, compare=False)

    def pool(self) -> urllib3.PoolManager:
        """Connections that trust the stage's own authority and no other (public ones, where it has none of its own)."""
        if not self._pools:
            self._pools.append(
                urllib3.PoolManager(
                    cert_reqs="CERT_REQUIRED",
                    ca_certs=str(self.folder.authority) if self.folder.authority.is_file() else None,
                    retries=False,
                    timeout=60.0,
                    maxsize=64,
                )
            )
        return self._pools[0]

    def close(self) -> None:
        """Close the connections that are open."""
        for pool in self._pools:
            pool.clear()


def ins_of(person: str) -> str:
    """A development patient's INS, as `<system>|<value>`."""
    return PATIENTS[person].ins


class Session:
    """One actor with a token. `patient`: whom a professional's token is to name; `entering`: how, in an emergency."""

    def __init__(
        self, service: Service, actor: str, *, patient: str | None = PATIENT, entering: Emergency | None = None
    ) -> None:
        self.actor: DevelopmentActor = ACTORS[actor]
        self._service = service
        self._http = service.pool()
        self.prover = Prover(SigningKey.generate(), lambda: datetime.now(UTC))
        self.token: Token = self._fetch(patient, entering)
        self._api = ApiClient(self._http, origin=service.origin, token=self.token, prover=self.prover)

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """One request with the actor's token."""
        return self._api.request(method, target, body=body, headers=headers)

    def authorization(self, method: str, url: str) -> dict[str, str]:
        """The two headers that authenticate one request; a proof serves once, within a minute."""
        return self._api.authorization(method, url)

    def _fetch(self, patient: str | None, entering: Emergency | None) -> Token:
        client = next(one for one in CLIENTS if one.client_id == self.actor.client_id)
        tokens = TokenClient(
            self._http,
            origin=self._service.origin,
            issuer=self._service.origin,
            client_id=client.client_id,
            key=self._service.folder.client_key(client.client_id),
            prover=self.prover,
        )
        scope = " ".join(client.scopes)
        if self.actor.person is None:
            return tokens.client_credentials(scope)
        subject = self._subject_token(self.actor.person)
        named = ins_of(patient) if patient and client.kind is ClientKind.PROFESSIONAL_SOFTWARE else None
        return tokens.exchange(subject, scope, patient=named, entering=entering)

    def _subject_token(self, person: str) -> str:
        body = json.dumps({"person": person, "azp": self.actor.azp}).encode()
        response = self._http.request(
            "POST", self._service.issuer + ISSUE_PATH, body=body, headers={"Content-Type": "application/json"}
        )
        if response.status != 200:  # noqa: PLR2004 - OK
            raise IssuerRefused(f"the development issuer answered {response.status}")
        token: str = response.json()["access_token"]
        return token


def service_of(origin: str, issuer: str, folder: Path) -> Service:
    """The running service of a stage's folder."""
    return Service(origin, issuer, LocalFolder(folder))
