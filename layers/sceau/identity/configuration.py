"""Configuration objects at rest: sealed, one object each, replaced by compare-and-swap and never deleted.

A removed object is replaced by one that says so. Whoever reads must see what was written: an object that does not
open, or that stands under another name than its own, is damage and grants nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope
from sceau.identity.errors import ConfigurationChanged, ConfigurationDamaged, Unavailable
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore

PREFIX: Final = "configuration/"

M = TypeVar("M", bound=BaseModel)


class SealedObjects(Generic[M]):
    """The objects of one model under `configuration/<folder>/`."""

    def __init__(self, store: ObjectStore, envelope: Envelope, model: type[M], folder: str) -> None:
        self._store = store
        self._envelope = envelope
        self._model = model
        self._prefix = f"{PREFIX}{folder}/"

    def names(self) -> Iterator[str]:
        """The names below the folder, those of removed objects included. Raises Unavailable."""
        try:
            for name in self._store.list(self._prefix):
                yield name.removeprefix(self._prefix)
        except ObjectStoreUnavailable:
            raise Unavailable("the configuration can't be listed") from None

    def read(self, name: str) -> tuple[M, str] | None:
        """The object and its tag, or None when there is none. Raises Unavailable, ConfigurationDamaged."""
        whole = self._prefix + name
        try:
            stored = self._store.read(whole)
        except ObjectAbsent:
            return None
        except ObjectStoreUnavailable:
            raise Unavailable("the configuration can't be read") from None
        try:
            opened = self._envelope.open(KeyName.CONFIGURATION, stored.data, contexts.configuration(whole))
            return self._model.model_validate_json(opened.plaintext), stored.tag
        except KeyVersionGone:
            raise Unavailable(f"{whole} is sealed under a key version that is gone") from None
        except (KeyServiceUnavailable, UnknownKey):
            raise Unavailable("the key service did not open the configuration") from None
        except (MessageRefused, ValidationError):
            # The errors' own texts quote what was read.
            raise ConfigurationDamaged(f"the configuration object {whole} is damaged") from None

    def write(self, name: str, value: M, *, expected: str | None) -> str:
        """Seal and write `value` if the object still has the tag `expected` (None: if there is none); the new tag.

        Raises ConfigurationChanged; Unavailable, after which it may or may not have been written.
        """
        whole = self._prefix + name
        try:
            plaintext = value.model_dump_json().encode()
            sealed = self._envelope.seal(KeyName.CONFIGURATION, plaintext, contexts.configuration(whole))
            return self._store.replace(whole, sealed, expected=expected)
        except ObjectChanged:
            raise ConfigurationChanged(f"{whole} was changed by somebody else: look again, then repeat") from None
        except ObjectStoreUnavailable:
            raise Unavailable("the configuration can't be written") from None
        except (KeyServiceUnavailable, UnknownKey):
            raise Unavailable("the key service did not seal the configuration") from None
