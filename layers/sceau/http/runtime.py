"""What a function is built from: its own rights on store and keys, the stage's settings, a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sceau.keys.ports import KeyService
from sceau.objects.findings import Finding
from sceau.objects.ports import ObjectStore
from sceau_schemas.deployment import Route, StageSpec
from sceau_schemas.stores import FilesystemStoreSpec

THREADS = 16
"""Requests that a process serves at a time: they wait for the store and the network more than for the processor.
Adapters keep as many connections open."""


def utc_now() -> datetime:
    """The process's clock."""
    return datetime.now(UTC)


class SwitchedOff(Exception):
    """A function that its stage has not switched on, or not any more. The message is a sentence for operations."""


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

    def require_switched_on(self) -> None:
        """Raise SwitchedOff unless the stage has this function switched on, and still at this time."""
        until = self.spec.switched_on.get(self.function)
        how = f"switch it on, until a date, in [stages.{self.stage}.switched_on] of the chalicefile"
        if until is None:
            raise SwitchedOff(f"{self.function} is off on stage {self.stage}: {how}")
        if self.clock() >= until:
            raise SwitchedOff(f"{self.function} was switched on for stage {self.stage} until {until:%Y-%m-%d}: {how}")

    @property
    def calls_at_once(self) -> int:
        """How many calls of the store it is worth having under way, for what has thousands to make.

        A store behind a network is waited for. Files are there at once, and threads that make and link many of them
        only wait for one another, in the kernel: the log was sealed at half the rate with two, and with sixteen.
        """
        return 1 if isinstance(self.spec.store, FilesystemStoreSpec) else THREADS

    @property
    def origin(self) -> str:
        """The origin that stands in the addresses we give."""
        return self.spec.origins[0]
