"""The care structures that exist, as far as a stage was told: what an authorisation may name.

Operations load the national directory's numbers (`sceau structures load`); they rest as one sealed configuration
object. Without it nobody can say which structure exists, and only the form of a number is checked.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from sceau.envelope.messages import Envelope
from sceau.identity.cache import BoundedAge
from sceau.identity.clients import MAX_AGE
from sceau.identity.configuration import SealedObjects
from sceau.objects.ports import ObjectStore
from sceau_schemas.dossier import Stored

_NAME: Final = "structures"
_BYTES: Final = 8
"""Of each number's hash. By 300,000 numbers one that is none passes once in 60,000,000,000,000 times."""


class StoredDirectory(Stored):
    """`configuration/rules/structures`, before it is sealed. `numbers`: sorted hashes, 8 bytes each, in base64."""

    format: Literal[1] = 1
    source: Annotated[str, Field(min_length=1, max_length=300)]
    numbers: str


class Directory:
    """Numbers of structures (IdNat_Struct), to be asked one by one."""

    def __init__(self, packed: bytes) -> None:
        self._known = frozenset(packed[start : start + _BYTES] for start in range(0, len(packed), _BYTES))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, str) and _hash(number) in self._known


class DirectoryStore:
    """The directory at rest. Raises Unavailable, ConfigurationDamaged; `put` ConfigurationChanged when it races."""

    def __init__(self, store: ObjectStore, envelope: Envelope) -> None:
        self._objects = SealedObjects(store, envelope, StoredDirectory, "rules")

    def read(self) -> Directory | None:
        """What was loaded last; None: nothing ever was."""
        found = self._objects.read(_NAME)
        return None if found is None else Directory(base64.b64decode(found[0].numbers))

    def put(self, numbers: Iterable[str], source: str) -> int:
        """Keep these numbers in place of what was there; return how many."""
        packed = b"".join(sorted({_hash(number) for number in numbers}))
        found = self._objects.read(_NAME)
        stored = StoredDirectory(source=source, numbers=base64.b64encode(packed).decode())
        self._objects.write(_NAME, stored, expected=found[1] if found else None)
        return len(packed) // _BYTES


class Structures:
    """The directory as functions see it: read at most every 60 s. Safe under threads."""

    def __init__(self, directory: DirectoryStore) -> None:
        self._cache: BoundedAge[str, Directory | None] = BoundedAge(lambda _: directory.read(), max_age=MAX_AGE)

    def may_exist(self, number: str, now: datetime) -> bool:
        """Whether a structure has this IdNat_Struct; true where nobody loaded a directory."""
        known = self._cache.get(_NAME, now)
        return known is None or number in known


def _hash(number: str) -> bytes:
    return hashlib.sha256(number.encode()).digest()[:_BYTES]
