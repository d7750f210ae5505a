"""One hosted stage, as every host's infrastructure is made from it: roles, functions, buckets, keys, routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from iac.derive.keys import KeyRight, key_rights
from iac.derive.stores import Buckets, DerivationError, StoreStatement, needed, store_statements
from sceau.keys.ports import KeyName
from sceau_schemas.deployment import Chalicefile, FunctionSpec, Rights, StageSpec
from sceau_schemas.key_services import unlisted
from sceau_schemas.overlay import keys_variable

EVENTS = "journal/events/"
"""Names of what is written once and kept for the stage's whole retention."""

LOCKED = (EVENTS, "journal/log/")
"""Names that rest in buckets with Object Lock (the log's objects are locked one by one)."""

OPERATIONS = "operations"
"""The tool of the people who run the stage."""

_ASKS_PROVIDERS = "authentication"
_ASKS_WITNESSES = "journal"

_LOG_DAYS = 1
"""The default retention of a locked bucket whose writer locks each object for itself: what it forgets, lasts a day."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function as a host runs it."""

    name: str
    memory_mb: int
    timeout_seconds: int
    routes: tuple[tuple[str, str], ...]
    """Methods and paths; `{name}` stands for one segment."""
    every: timedelta | None
    rate: str | None


@dataclass(frozen=True)  # without slots: it keeps what it was asked for
class Deployment:
    """Everything that a host's infrastructure follows from, its own settings aside."""

    stage: str
    host: str
    region: str
    origins: tuple[str, ...]
    retention_days: int
    largest_body_bytes: int
    functions: tuple[Function, ...]
    roles: Mapping[str, Rights]
    """Functions and tools by name, with the chalicefile's rights."""
    buckets: Buckets
    is_vouched_for: bool
    """Whether witnesses or a time-stamp authority are asked about the log."""
    keys_variable: str | None
    """By which variable each function is told which keys this infrastructure made; None: the chalicefile lists all."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The origins' host names."""
        return tuple(origin.removeprefix("https://").partition(":")[0] for origin in self.origins)

    @property
    def keys(self) -> tuple[KeyName, ...]:
        """Every key of a stage, whether a role of today holds a right on it or not."""
        return tuple(KeyName)

    def asks_outside(self, function: str) -> bool:
        """Whether a function asks somebody who is neither the store nor the key service."""
        return function == _ASKS_PROVIDERS or (function == _ASKS_WITNESSES and self.is_vouched_for)

    def store_statements(self) -> tuple[StoreStatement, ...]:
        """What each role may do on the store."""
        return tuple(
            statement
            for role, rights in self.roles.items()
            for statement in store_statements(role, rights.store, self.buckets)
        )

    @cached_property
    def store_rights(self) -> tuple[StoreStatement, ...]:
        """The same, without what another statement of the role says already: what a host's policies allow."""
        return needed(self.store_statements())

    def key_rights(self) -> tuple[KeyRight, ...]:
        """What each role may do with keys."""
        return tuple(right for role, rights in self.roles.items() for right in key_rights(role, rights.keys))

    def lock_days(self, bucket: str) -> int | None:
        """How long what is written to this bucket is locked by default; None where nothing is."""
        held = self.buckets.prefixes_of(bucket)
        if any(prefix.startswith(EVENTS) for prefix in held):
            return self.retention_days
        return _LOG_DAYS if any(prefix.startswith(LOCKED) for prefix in held) else None


def derive(file: Chalicefile, stage: str, spec: StageSpec, table: Mapping[str, str]) -> Deployment:
    """The deployment of `stage`; `table` says which bucket holds which names. Raises DerivationError."""
    buckets = Buckets(table)
    for prefix in LOCKED:
        others = [held for held in buckets.prefixes_of(buckets.of_name(prefix)) if not held.startswith(LOCKED)]
        if others:
            raise DerivationError(f"{prefix!r} needs a bucket with Object Lock: its own also holds {others[0]!r}")
    functions = file.deployed(spec)
    made = unlisted(spec.key_service)
    names = set(file.functions) & set(file.tools)
    if names:
        raise DerivationError(f"{min(names)!r} is a function and a tool: a role has one name")
    return Deployment(
        stage=stage,
        host=spec.host,
        region=spec.region,
        origins=spec.origins,
        retention_days=spec.retention_days,
        largest_body_bytes=spec.largest_body_bytes,
        functions=tuple(_function(name, one) for name, one in sorted(functions.items())),
        roles=dict(sorted({**functions, **file.tools_of(spec)}.items())),
        buckets=buckets,
        is_vouched_for=spec.log.policy is not None or spec.log.timestamps is not None,
        keys_variable=keys_variable(made[0]) if made else None,
    )


def _function(name: str, spec: FunctionSpec) -> Function:
    return Function(
        name=name,
        memory_mb=spec.memory_mb,
        timeout_seconds=spec.timeout_seconds,
        routes=tuple((route.method, route.path) for route in spec.routes),
        every=spec.schedule.every if spec.schedule else None,
        rate=spec.schedule.text if spec.schedule else None,
    )
