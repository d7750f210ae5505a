"""The keyed-hash key of a stage: 32 random bytes that make record-ids of INS, and DPoP nonces.

Created once, by the first start of `authentication`, and never replaced: with another key every record would have
another name. All others read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope
from sceau.identity.errors import ConfigurationDamaged, Unavailable
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects

NAME: Final = "configuration/pseudonym"
KEY_BYTES: Final = 32


def load_pseudonym_key(store: ImmutableObjects, envelope: Envelope) -> bytes:
    """Read the key. Raises Unavailable when it can't be read or does not exist yet (start `authentication` first)."""
    try:
        sealed = store.read(NAME).data
    except ObjectAbsent:
        raise Unavailable("the stage has no pseudonym key yet: its authentication function makes it") from None
    except ObjectStoreUnavailable:
        raise Unavailable("the pseudonym key can't be read") from None
    try:
        key = envelope.open(KeyName.PSEUDONYM, sealed, contexts.pseudonym()).plaintext
    except MessageRefused:
        raise ConfigurationDamaged("the pseudonym key does not open") from None
    except KeyVersionGone:
        raise Unavailable("the pseudonym key is sealed under a key version that is gone") from None
    except (KeyServiceUnavailable, UnknownKey):
        raise Unavailable("the key service did not open the pseudonym key") from None
    if len(key) != KEY_BYTES:
        raise ConfigurationDamaged("the pseudonym key has another length")
    return key


def ensure_pseudonym_key(store: ImmutableObjects, envelope: Envelope, *, random_bytes: Callable[[int], bytes]) -> bytes:
    """Read the key, or make it if there is none. Of racing first starts one wins, and all return the winner's key.

    Raises Unavailable. If we die after the create, the next start reads what this one wrote.
    """
    try:
        store.read(NAME)
    except ObjectAbsent:
        _create(store, envelope, random_bytes(KEY_BYTES))
    except ObjectStoreUnavailable:
        raise Unavailable("the pseudonym key can't be read") from None
    return load_pseudonym_key(store, envelope)


def _create(store: ImmutableObjects, envelope: Envelope, key: bytes) -> None:
    try:
        sealed = envelope.seal(KeyName.PSEUDONYM, key, contexts.pseudonym())
        store.create(NAME, sealed)
    except ObjectExists:
        return  # another process was first: its key counts
    except ObjectStoreUnavailable:
        raise Unavailable("the pseudonym key could not be created") from None
    except (KeyServiceUnavailable, UnknownKey):
        raise Unavailable("the key service did not seal the pseudonym key") from None
