"""Registered clients: who may ask for tokens, with which keys, for what at most.

`configuration/clients/<client-id>`. Functions read them through `ClientDirectory`, no more than 60 s late; operations
change them through `ClientStore`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sceau.access.model import ActorKind, Identifier
from sceau.access.scopes import is_scope
from sceau.envelope.messages import Envelope
from sceau.identity.cache import BoundedAge
from sceau.identity.configuration import SealedObjects
from sceau.identity.errors import ConfigurationDamaged, KeyRefused
from sceau.identity.jose import PublicJwk, public_jwk
from sceau.objects.ports import ObjectStore
from sceau_schemas.configuration import Client, ClientKind, StoredClient

MAX_AGE: Final = timedelta(seconds=60)

ASSERTION_ALGORITHMS: Final = ("ES256", "ES384", "PS256", "RS384")
"""For client assertions: SMART wants servers to take ES384 and RS384, FAPI 2.0 allows ES256 and PS256.

RS384 (PKCS #1 v1.5) is outside FAPI 2.0: a client that follows it uses one of the other three.
"""

ACTOR_KINDS: Final = {
    ClientKind.SOFTWARE: ActorKind.SOFTWARE,
    ClientKind.INSURER: ActorKind.INSURER,
    ClientKind.PATIENT_APP: ActorKind.PATIENT,
    ClientKind.PROFESSIONAL_SOFTWARE: ActorKind.PROFESSIONAL,
    ClientKind.OPERATIONS: ActorKind.OPERATIONS,
}

CLINICAL_RESOURCES: Final = frozenset(
    {"*", "AuditEvent", "Binary", "Bundle", "Communication", "Consent", "DocumentReference", "List", "Patient"}
)
"""What no scope of operations may name: operations never read health data (architecture.md)."""

_IDENTIFIER: Final = re.compile(r"[^\s|]{1,200}\|[^\s|]{1,200}")


class ClientRefused(ValueError):
    """A client that can't be registered as it is. The message says what is wrong with it."""


class _NoClient(Exception):
    pass


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client as the token endpoint uses it: its registration, with its keys ready to verify."""

    registered: Client
    keys: tuple[PublicJwk, ...]

    @property
    def actor_kind(self) -> ActorKind:
        """What its tokens' bearers are."""
        return ACTOR_KINDS[self.registered.kind]

    @property
    def structures(self) -> tuple[Identifier, ...]:
        """The structures that it works for."""
        return tuple(Identifier(one.system, one.value) for one in self.registered.structures)


def known_client(client: Client) -> KnownClient:
    """Import the keys of a client and check its scopes. Raises ClientRefused."""
    try:
        keys = tuple(public_jwk(key, algorithms=ASSERTION_ALGORITHMS) for key in client.keys)
    except KeyRefused as refused:
        raise ClientRefused(f"a key of client {client.client_id} can't be used: {refused}") from None
    wrong = [scope for scope in client.scopes if not is_scope(scope)]
    if wrong:
        raise ClientRefused(f"{wrong[0]!r} is not a scope such as system/DocumentReference.crs")
    if not all(_IDENTIFIER.fullmatch(f"{one.system}|{one.value}") for one in client.structures):
        raise ClientRefused("an identifier of a structure has a system and a value, without spaces or '|'")
    clinical = [scope for scope in client.scopes if is_clinical(scope)]
    if client.kind is ClientKind.OPERATIONS and clinical:
        raise ClientRefused(f"operations can't have the scope {clinical[0]!r}")
    return KnownClient(client, keys)


def is_clinical(scope: str) -> bool:
    """Whether a scope (of valid grammar) reaches health data."""
    return scope.partition("/")[2].partition(".")[0] in CLINICAL_RESOURCES


class ClientStore:
    """Clients at rest. Raises Unavailable, ConfigurationDamaged; writes raise ConfigurationChanged when they race."""

    def __init__(self, store: ObjectStore, envelope: Envelope) -> None:
        self._objects = SealedObjects(store, envelope, StoredClient, "clients")

    def get(self, client_id: str) -> Client | None:
        """The client, or None when it is unknown or removed."""
        found = self._objects.read(client_id)
        if found is None or found[0].client is None:
            return None
        if found[0].client.client_id != client_id:
            raise ConfigurationDamaged("a client stands under another name than its own")
        return found[0].client

    def list(self) -> list[Client]:
        """All clients, by id."""
        return [client for name in self._objects.names() if (client := self.get(name)) is not None]

    def put(self, client: Client) -> None:
        """Register a client, or replace its registration. Raises ClientRefused too; then nothing was written."""
        known_client(client)
        found = self._objects.read(client.client_id)
        self._objects.write(client.client_id, StoredClient(client=client), expected=found[1] if found else None)

    def remove(self, client_id: str) -> bool:
        """Remove a client; False when there was none. It gets no token from the next reading of its object on."""
        found = self._objects.read(client_id)
        if found is None or found[0].client is None:
            return False
        self._objects.write(client_id, StoredClient(client=None), expected=found[1])
        return True


class ClientDirectory:
    """Clients as functions see them: each read at most every 60 s. Safe under threads."""

    def __init__(self, clients: ClientStore) -> None:
        self._clients = clients
        self._cache = BoundedAge(self._load, max_age=MAX_AGE)

    def get(self, client_id: str, now: datetime) -> KnownClient | None:
        """The client if it is registered and enabled, else None. Raises Unavailable, ConfigurationDamaged.

        `client_id` must have the form of one: it becomes part of an object name. Unknown ids are asked for each time,
        so that a new client can start at once.
        """
        try:
            return self._cache.get(client_id, now)
        except _NoClient:
            return None

    def _load(self, client_id: str) -> KnownClient:
        client = self._clients.get(client_id)
        if client is None or not client.enabled:
            raise _NoClient
        try:
            return known_client(client)
        except ClientRefused:
            raise ConfigurationDamaged("a registered client can't be used") from None
