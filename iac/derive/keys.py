"""Rights on keys: which role may wrap, unwrap or sign with which key, and for what.

What a key may be used for is what the encryption contexts say: a request to the key service names the context's
`purpose`, and hosts that can hold a right to it do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sceau.envelope import contexts
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.scoped import KeyOperation

_ID = "a" * 26
_DIGEST = bytes(32)

PURPOSES: Mapping[KeyName, frozenset[str]] = {
    KeyName.DOSSIER: frozenset({contexts.dossier(_ID, _DIGEST)["purpose"]}),
    KeyName.CONTENT: frozenset({contexts.document(_ID, _ID)["purpose"]}),
    KeyName.JOURNAL: frozenset({contexts.EVENT}),
    KeyName.CONFIGURATION: frozenset({contexts.configuration("configuration/x")["purpose"]}),
    KeyName.PSEUDONYM: frozenset({contexts.pseudonym()["purpose"]}),
    KeyName.LOG: frozenset({contexts.log_seed()["purpose"]}),
    KeyName.PROBE: frozenset({"probe"}),
}
"""The purposes that a wrapping key serves, as `sceau.envelope.contexts` names them in its contexts."""

FORMAT = contexts.FORMAT


@dataclass(frozen=True, slots=True)
class KeyRight:
    """One role may do one operation with one key."""

    role: str
    key: KeyName
    operation: KeyOperation


def key_rights(role: str, grants: Mapping[Any, Iterable[str]]) -> Iterator[KeyRight]:
    """The rights of one role, in a fixed order."""
    for key, operations in sorted(grants.items()):
        for operation in sorted(map(KeyOperation, operations)):
            yield KeyRight(role, KeyName(key), operation)


def is_signing(key: KeyName) -> bool:
    """Whether the key signs (ECDSA P-256); all others wrap data keys."""
    return key in SIGNING_KEYS
