"""What a function is built from: its own rights on store and keys, the stage's settings, a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sceau.keys.ports import KeyService
from sceau.objects.findings import Finding
from sceau.objects.ports import ObjectStore
from sceau_schemas.deployment import Route, StageSpec

THREADS = 16
"""Requests that a process serves at a time: they wait for the store and the network more than for the processor.
Adapters keep as many connections open."""


def utc_now() -> datetime:
    """The process's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Runtime:
    """One function on one stage. `store` and `keys` refuse what the chalicefile does not grant the function."""

    function: str
    stage: str
    spec: StageSpec
    store: ObjectStore
    keys: KeyService
    routes: tuple[Route, ...] = ()
    """All routes of the stage, other functions' included: what the CapabilityStatement tells."""
    clock: Callable[[], datetime] = field(default=utc_now)
    properties: Callable[[], Iterable[Finding]] = tuple
    """Measures what Sceau relies on, on the live stage; nothing for a role that may write no probes."""

    @property
    def origin(self) -> str:
        """The origin that stands in the addresses we give."""
        return self.spec.origins[0]
