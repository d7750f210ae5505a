"""A plan as the controls see it, whichever host it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from iac.derive.deployment import Deployment
from iac.policies.cells import Access, Cell, allowed


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it will be. `owner`: the project or account that it belongs to."""

    address: str
    name: str
    owner: str
    versioned: bool
    lock_mode: str | None
    lock_days: int
    encrypted: bool
    private: bool
    expires: bool
    """Whether a rule of the host deletes or moves objects by itself."""
    destroyable: bool
    tls_only: bool
    administrators: frozenset[str]
    """Who may change what guards it, as its policy says; empty where the policy says nothing."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it will be."""

    address: str
    purpose: str
    strong: bool
    """Whether usage and algorithm are the ones that the purpose needs."""
    signing: bool
    rotation_days: float | None
    protected: bool


@dataclass(frozen=True, slots=True)
class Code:
    """A function as it will run."""

    address: str
    function: str
    artefact: str
    pinned: bool
    private: bool


@dataclass(frozen=True, slots=True)
class Door:
    """A way in from outside."""

    address: str
    tls: bool
    """TLS 1.2 or newer is asked for (or, where the host has no setting for it, that TLS is spoken at all)."""
    wanted: bool
    """Whether it is one of the stage's own; any other way in must be shut."""
    open: bool


@dataclass(frozen=True, slots=True)
class Logs:
    """Technical logs. `days`: how long they are kept; None: for ever."""

    address: str
    days: float | None


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the host's own record of what was done to it goes."""

    address: str
    bucket: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of one stage. `broad`: statements that grant more than named things; `texts`: every text in it.

    `access`: its policies, to be asked.
    """

    host: str
    owner: str
    """The project or account of the functions."""
    deployer: str
    regions: tuple[tuple[str, str], ...]
    buckets: tuple[Bucket, ...]
    keys: tuple[Key, ...]
    code: tuple[Code, ...]
    doors: tuple[Door, ...]
    logs: tuple[Logs, ...]
    trails: tuple[Trail, ...]
    broad: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...]
    access: Access
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Owners (projects, accounts) in which each role holds any right on objects."""
    queues: tuple[tuple[str, bool], ...] = ()
    """Whatever else holds what passes through: its address, and whether it is encrypted."""

    def cells(self, deployment: Deployment) -> frozenset[Cell]:
        """What each role could do. Raises PolicyNotUnderstood for a policy that can't be judged."""
        return allowed(deployment, self.access)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a control does not accept: where, and why, in one sentence."""

    control: str
    address: str
    text: str

    def __str__(self) -> str:
        return f"{self.control}: {self.address}: {self.text}"
