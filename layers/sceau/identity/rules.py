"""The rules in force on a stage: its settings, and the editions of the habilitation matrix that were loaded.

They rest as one sealed configuration object, which operations replace (`sceau matrix load`) and functions read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sceau.access.matrix import Rules, from_stored, shipped_matrix
from sceau.envelope.messages import Envelope
from sceau.identity.cache import BoundedAge
from sceau.identity.clients import MAX_AGE
from sceau.identity.configuration import SealedObjects
from sceau.objects.ports import ObjectStore
from sceau_schemas.rules import RuleSettings, StoredMatrices, StoredMatrix

_NAME: Final = "matrix"


class MatrixStore:
    """Editions at rest. Raises Unavailable, ConfigurationDamaged; `add` raises ConfigurationChanged when it races."""

    def __init__(self, store: ObjectStore, envelope: Envelope) -> None:
        self._objects = SealedObjects(store, envelope, StoredMatrices, "rules")

    def editions(self) -> tuple[StoredMatrix, ...]:
        """What was loaded, the oldest first."""
        found = self._objects.read(_NAME)
        return found[0].editions if found else ()

    def add(self, edition: StoredMatrix) -> None:
        """One more edition. Raises ValueError for a version that is there already; then nothing was written."""
        found = self._objects.read(_NAME)
        before = found[0].editions if found else ()
        if edition.version in {shipped_matrix().version, *(one.version for one in before)}:
            raise ValueError(f"there is an edition {edition.version} already: editions don't change")
        self._objects.write(_NAME, StoredMatrices(editions=(*before, edition)), expected=found[1] if found else None)


class RulesInForce:
    """The rules as functions see them: read at most every 60 s. Safe under threads."""

    def __init__(self, matrices: MatrixStore, settings: RuleSettings) -> None:
        self._matrices = matrices
        self._settings = settings
        self._cache = BoundedAge(self._load, max_age=MAX_AGE)

    def __call__(self, now: datetime) -> Rules:
        """Raises Unavailable, ConfigurationDamaged: without the rules nothing is decided."""
        return self._cache.get(_NAME, now)

    def _load(self, _: str) -> Rules:
        loaded = map(from_stored, self._matrices.editions())
        return Rules((shipped_matrix(), *loaded), self._settings)
