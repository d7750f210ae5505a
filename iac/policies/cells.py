"""The rights of each role as cells: what it can do to one object of each kind, and with each key.

The same cells are worked out from the chalicefile (by the scope that each function is built with) and from a host's
policies; `tests/iac` compares them, and the control `least-privilege` does at every plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from iac.derive.deployment import Deployment
from iac.policies.requests import FORBIDDEN, KEPT, Call, calls, one_name
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreGrant, StoreOperation

_RECORD: Final = "a" * 26
_ENTRY: Final = "b" * 26

OBJECTS: Final[Mapping[str, str]] = {
    "dossier": f"records/{_RECORD}/dossier",
    "document": f"records/{_RECORD}/documents/{_ENTRY}",
    "event": f"journal/events/2026-11-23/10/00/{_RECORD}.0",
    "log": "journal/log/checkpoint",
    "log tile": "journal/log/tile/0/000",
    "dated checkpoint": "journal/log/checkpoints/2026-11-23/100000.0000000000000001",
    "record index": f"journal/records/{_RECORD}/x.1",
    "reconciliation": "journal/reconciliation",
    "locks": "journal/locks",
    "configuration": "configuration/clients/lab",
    "issuers": "configuration/issuers/psc",
    "pseudonym": "configuration/pseudonym",
    "log seed": "configuration/log-seed",
    "due": f"due/2026-11-23/{_RECORD}",
    "ended": f"ended/2026-11-23/{_RECORD}",
    "expunged": f"expunged/2026-11-23/{_RECORD}",
    "probe": "probe/x",
    "replay": "replay/20261123T1000/x",
    "revoked": "revoked/20261123T1000/x",
}
"""One object of each kind at rest (architecture.md, "At rest")."""


LOCATE: Final = "locate"
"""Every role may ask the buckets that it reaches where they are: it does at each start."""


ASK: Final = "ask whether it is there"
"""On AWS, where a read does not say so: by a listing of that one name. Goes with read, and with list."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One role may do one operation on one kind of object, or with one key."""

    role: str
    what: str
    operation: str


class Access(Protocol):
    """A host's policies, asked one call at a time."""

    def object(self, role: str, call: Call, bucket: str, name: str) -> bool:
        """Whether the role may make this call."""

    def key(self, role: str, key: KeyName, operation: KeyOperation) -> bool:
        """Whether the role may do this with the key, for the contexts that the key is for."""


def granted(deployment: Deployment) -> frozenset[Cell]:
    """What the chalicefile grants."""
    return frozenset(_granted(deployment))


def _granted(deployment: Deployment) -> Iterator[Cell]:
    for role, rights in deployment.roles.items():
        grants = [StoreGrant.parse(pattern, operations) for pattern, operations in rights.store.items()]
        for kind, name in OBJECTS.items():
            for operation in _operations(name):
                listing = operation is StoreOperation.LIST
                if any(
                    operation in grant.operations
                    and (grant.covers_all(folder(name)) if listing else grant.covers(name))
                    for grant in grants
                ):
                    yield Cell(role, kind, operation.value)
        for key, operations in rights.keys.items():
            for one in operations:
                yield Cell(role, f"key {key}", one)
        for bucket in {bucket for pattern in rights.store for bucket in deployment.buckets.of_pattern(pattern)}:
            yield Cell(role, f"bucket {bucket}", LOCATE)


IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "replace": ("create",),  # the first version of what is swapped is created
    "create-locked": ("extend-lock",),  # S3 has one action for setting a retention and for lengthening it
}
"""What a host can't tell apart from an operation that is granted, and gives with it. None of it loses anything."""

IMPLIED_ON: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    # No condition of this host's policies asks for a retention: the bucket's default puts every object under it.
    # And one permission set, KeyManagerReadOnly, tells what a key is and gives its public half.
    "scaleway": {"create-locked": ("create",), "public": ("describe",), "describe": ("public",)},
}


def expected(deployment: Deployment) -> frozenset[Cell]:
    """What a host's policies must allow, no more and no less: what is granted, as the host can say it.

    One name is held tighter than the chalicefile's patterns can: the pseudonym key is created once and never swapped.
    """
    found = set(granted(deployment))
    for cell in granted(deployment):
        for table in (IMPLIED, IMPLIED_ON.get(deployment.host, {})):
            found |= {Cell(cell.role, cell.what, other) for other in table.get(cell.operation, ())}
    if deployment.host == "aws":
        found |= set(_asked(deployment))
    return frozenset(cell for cell in found if (cell.what, cell.operation) != ("pseudonym", "replace"))


def _asked(deployment: Deployment) -> Iterator[Cell]:
    """Who may ask whether an object is there. A document always is: its name comes from a dossier."""
    for role, rights in deployment.roles.items():
        grants = [StoreGrant.parse(pattern, operations) for pattern, operations in rights.store.items()]
        for kind, name in OBJECTS.items():
            held = {operation for grant in grants if grant.covers(name) for operation in grant.operations}
            if StoreOperation.LIST in held or (StoreOperation.READ in held and kind != "document"):
                yield Cell(role, kind, ASK)


def _operations(name: str) -> Iterator[StoreOperation]:
    """What can be told apart on this name: where nothing is kept, `delete` takes the versions too."""
    return (one for one in StoreOperation if one is not StoreOperation.DELETE_VERSIONS or name.startswith(KEPT))


def allowed(deployment: Deployment, access: Access) -> frozenset[Cell]:
    """What a host's policies allow."""
    return frozenset(_allowed(deployment, access))


def _allowed(deployment: Deployment, access: Access) -> Iterator[Cell]:
    for role in deployment.roles:
        for kind, name in OBJECTS.items():
            bucket = deployment.buckets.of_name(name)
            for operation in _operations(name):
                subject = folder(name) if operation is StoreOperation.LIST else name
                wanted = calls(operation, subject, deployment.retention_days)
                if all(access.object(role, call, bucket, subject) for call in wanted):
                    yield Cell(role, kind, operation.value)
            if deployment.host == "aws" and access.object(role, one_name(name), bucket, name):
                yield Cell(role, kind, ASK)
            for told, call in FORBIDDEN:
                if access.object(role, call, bucket, name):
                    yield Cell(role, kind, told)
        for bucket in deployment.buckets.names:
            if access.object(role, Call("s3:GetBucketLocation", on_bucket=True), bucket, ""):
                yield Cell(role, f"bucket {bucket}", LOCATE)
        for key in KeyName:
            for right in KeyOperation:
                if access.key(role, key, right):
                    yield Cell(role, f"key {key.value}", right.value)


def folder(name: str) -> str:
    """The names beside this one, as a listing asks for them."""
    return name.rpartition("/")[0] + "/"
