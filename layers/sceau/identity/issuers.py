"""Trusted issuers: whose tokens are exchanged for ours, under which conditions.

`configuration/issuers/<name>`. Few, so they are read together, no more than 60 s late.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sceau.envelope.messages import Envelope
from sceau.identity.cache import BoundedAge
from sceau.identity.configuration import SealedObjects
from sceau.identity.errors import ConfigurationDamaged
from sceau.objects.ports import ObjectStore
from sceau_schemas.configuration import StoredIssuer, TrustedIssuer

MAX_AGE: Final = timedelta(seconds=60)


class IssuerRefused(ValueError):
    """An issuer that can't be trusted as it is. The message says why."""


class IssuerStore:
    """Issuers at rest. Raises Unavailable, ConfigurationDamaged; writes raise ConfigurationChanged when they race."""

    def __init__(self, store: ObjectStore, envelope: Envelope) -> None:
        self._objects = SealedObjects(store, envelope, StoredIssuer, "issuers")

    def get(self, name: str) -> TrustedIssuer | None:
        """The issuer, or None when it is unknown or removed."""
        found = self._objects.read(name)
        if found is None or found[0].issuer is None:
            return None
        if found[0].issuer.name != name:
            raise ConfigurationDamaged("an issuer stands under another name than its own")
        return found[0].issuer

    def list(self) -> list[TrustedIssuer]:
        """All issuers, by name."""
        return [issuer for name in self._objects.names() if (issuer := self.get(name)) is not None]

    def put(self, issuer: TrustedIssuer) -> None:
        """Trust an issuer, or change how. Raises IssuerRefused when another name has the same address."""
        if any(other.issuer == issuer.issuer and other.name != issuer.name for other in self.list()):
            raise IssuerRefused("another trusted issuer has this address")
        found = self._objects.read(issuer.name)
        self._objects.write(issuer.name, StoredIssuer(issuer=issuer), expected=found[1] if found else None)

    def remove(self, name: str) -> bool:
        """Trust an issuer no longer; False when there was none."""
        found = self._objects.read(name)
        if found is None or found[0].issuer is None:
            return False
        self._objects.write(name, StoredIssuer(issuer=None), expected=found[1])
        return True


class IssuerDirectory:
    """Issuers as the token endpoint sees them: all read at most every 60 s. Safe under threads."""

    def __init__(self, issuers: IssuerStore) -> None:
        self._issuers = issuers
        self._cache: BoundedAge[None, tuple[TrustedIssuer, ...]] = BoundedAge(self._load, max_age=MAX_AGE)

    def by_address(self, issuer: object, now: datetime) -> TrustedIssuer | None:
        """The enabled issuer with this `iss`, compared as text; None when there is none. Raises Unavailable."""
        found = [one for one in self._cache.get(None, now) if one.issuer == issuer]
        return found[0] if len(found) == 1 else None

    def _load(self, _: None) -> tuple[TrustedIssuer, ...]:
        return tuple(issuer for issuer in self._issuers.list() if issuer.enabled)
