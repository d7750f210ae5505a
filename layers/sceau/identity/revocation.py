"""Revoked tokens: `revoked/<minute of expiry>/<sha256 of jti>`, created once, listed by every process.

A process lists again at most every 30 s, so a revoked token is refused everywhere within that time. Whoever can't
list refuses: without the list nobody knows.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sceau.identity.errors import Unavailable
from sceau.identity.replay import minute_of
from sceau.objects.errors import ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects

PREFIX: Final = "revoked/"
REFRESH: Final = timedelta(seconds=30)
OLDEST_USABLE: Final = timedelta(seconds=60)
"""While one thread lists again, the others go on with a list no older than this."""


def revoked_name(jti: str, expires: datetime) -> str:
    """The object that says that a token is revoked."""
    return f"{PREFIX}{minute_of(expires)}/{hashlib.sha256(jti.encode()).hexdigest()}"


def revoke(store: ImmutableObjects, jti: str, expires: datetime) -> None:
    """Revoke a token until it expires. Doing it twice is doing it once. Raises Unavailable (send it again)."""
    try:
        store.create(revoked_name(jti, expires), b"")
    except ObjectExists:
        return
    except ObjectStoreUnavailable:
        raise Unavailable("the store of revocations does not answer") from None


@dataclass(frozen=True, slots=True)
class _Listing:
    at: datetime
    names: frozenset[str]


class RevocationList:
    """What this process knows to be revoked. Safe under threads."""

    def __init__(self, store: ImmutableObjects) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._listing: _Listing | None = None

    def is_revoked(self, jti: str, expires: datetime, now: datetime) -> bool:
        """Whether the token with this id and expiry was revoked at the last listing, 30 s ago at most.

        Raises Unavailable when the store can't be listed.
        """
        return revoked_name(jti, expires) in self._fresh(now).names

    def _fresh(self, now: datetime) -> _Listing:
        listing = self._listing
        if listing is not None and _age(listing, now) < REFRESH:
            return listing
        usable = listing is not None and _age(listing, now) < OLDEST_USABLE
        if not self._lock.acquire(blocking=not usable):
            if listing is None:  # unreachable: only a usable listing lets the lock be skipped
                raise Unavailable("there is no list of revocations yet")
            return listing
        try:
            current = self._listing
            if current is None or _age(current, now) >= REFRESH:
                current = self._listing = self._list(now)
            return current
        finally:
            self._lock.release()

    def _list(self, now: datetime) -> _Listing:
        # Tokens that expired two minutes ago are refused for that already.
        after = f"{PREFIX}{minute_of(now - timedelta(minutes=2))}"
        try:
            return _Listing(now, frozenset(self._store.list(PREFIX, after=after)))
        except ObjectStoreUnavailable:
            raise Unavailable("the list of revocations can't be read") from None


def _age(listing: _Listing, now: datetime) -> timedelta:
    return abs(now - listing.at)  # a clock set back must not keep an old list alive
