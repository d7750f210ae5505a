"""A key service cut down to what one function was granted.

The host's own rights say the same; this holds on every stage, the local one included, and costs a dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum

from sceau.keys.errors import KeyRightDenied
from sceau.keys.ports import KeyName, KeyService, PublicKey


class KeyOperation(StrEnum):
    """What may be granted on a key. `public` is the reading of public keys; `describe` that of what a key is and not
    what it does: usage, state, rotation, protection. It is no operation of the port: `sceau.keys.checks` asks for it.
    """

    WRAP = "wrap"
    UNWRAP = "unwrap"
    SIGN = "sign"
    PUBLIC = "public"
    DESCRIBE = "describe"


class ScopedKeys:
    """`service`, but an operation that `grants` does not list raises KeyRightDenied before it reaches the service.

    A key without an entry has no operation. The grants are copied: a later change of the mapping has no effect.
    """

    def __init__(self, service: KeyService, grants: Mapping[KeyName, Set[KeyOperation]]) -> None:
        self._service = service
        self._grants = {key: frozenset(operations) for key, operations in grants.items()}

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See the port; raises KeyRightDenied too."""
        self._require(key, KeyOperation.WRAP)
        return self._service.wrap(key, data_key, context)

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See the port; raises KeyRightDenied too."""
        self._require(key, KeyOperation.UNWRAP)
        return self._service.unwrap(key, wrapped, context)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """See the port; raises KeyRightDenied too."""
        self._require(key, KeyOperation.SIGN)
        return self._service.sign(key, digest, version=version)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """See the port; raises KeyRightDenied too."""
        self._require(key, KeyOperation.PUBLIC)
        return self._service.public_keys(key)

    def _require(self, key: KeyName, operation: KeyOperation) -> None:
        if operation not in self._grants.get(key, frozenset()):
            raise KeyRightDenied(f"this function was not granted {operation} on the {key} key")


class NoKeys:
    """The key service of a role that has no right on any key: everything raises KeyRightDenied, and nobody is asked."""

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """Refused."""
        raise self._denied(key)

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Refused."""
        raise self._denied(key)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        """Refused."""
        raise self._denied(key)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        """Refused."""
        raise self._denied(key)

    @staticmethod
    def _denied(key: KeyName) -> KeyRightDenied:
        return KeyRightDenied(f"this role was granted nothing on the {key} key, nor on any other")
