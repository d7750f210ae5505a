"""The variables of `iac/scaleway`, made from a deployment: what `terraform plan -var-file` is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from iac.derive.deployment import Deployment, Function
from iac.derive.keys import is_signing
from iac.derive.routes import check_disjoint, cron_of, path_regex
from iac.derive.stores import Demand, DerivationError, StoreStatement, conditional_names, needed
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation
from sceau_schemas.infrastructure import ScalewayInfrastructure

PORT: Final = 8080
_BYTES_PER_MB: Final = 1000 * 1000  # as the provider counts (scw.MB)

OBJECT_SETS: Final = {
    StoreOperation.READ: "ObjectStorageObjectsRead",
    StoreOperation.READ_VERSIONS: "ObjectStorageObjectsRead",
    # ObjectStorageBucketsRead alone did not allow a listing (third-party live test of 2026-08-18).
    StoreOperation.LIST: "ObjectStorageReadOnly",
    StoreOperation.CREATE: "ObjectStorageObjectsWrite",
    StoreOperation.CREATE_LOCKED: "ObjectStorageObjectsWrite",
    StoreOperation.REPLACE: "ObjectStorageObjectsWrite",
    StoreOperation.EXTEND_LOCK: "ObjectStorageObjectsWrite",
    StoreOperation.DELETE: "ObjectStorageObjectsDelete",
    StoreOperation.DELETE_VERSIONS: "ObjectStorageObjectsDelete",
}
"""The permission set that an application needs beside the bucket's policy, which narrows it to names."""

_WHERE: Final = "ObjectStorageBucketsRead"
"""What every application needs that asks a bucket where it is."""

KEY_SETS: Final = {
    KeyOperation.WRAP: "KeyManagerKeyEncrypt",
    KeyOperation.UNWRAP: "KeyManagerKeyDecrypt",
    KeyOperation.SIGN: "KeyManagerKeySign",
    KeyOperation.PUBLIC: "KeyManagerReadOnly",
    KeyOperation.DESCRIBE: "KeyManagerReadOnly",
}

WATCHER: Final = "operations"
WATCH_SETS: Final = ("AuditTrailExportRead", "AuditTrailReadOnly", "IAMReadOnly")
"""What the tool that looks at a stage reads of the whole organisation: the trail's export and alert rules, and the end
dates of API keys. None of it lets it read data, use a key, or change anything."""


def variables(deployment: Deployment, settings: ScalewayInfrastructure, digest: str) -> dict[str, Any]:
    """Every variable of the root module. `digest`: the packaged image's (`sha256:…`). Raises DerivationError."""
    statements = deployment.store_statements()
    served = [function for function in deployment.functions if function.routes]
    check_disjoint(route for function in served for route in function.routes)
    return {
        "stage": deployment.stage,
        "prefix": settings.prefix,
        "region": deployment.region,
        "organization": settings.organization,
        "project": settings.project,
        "journal_project": settings.journal_project,
        "trail_project": settings.trail_project,
        "journal_profile": settings.journal_profile,
        "deployer": settings.deployer,
        "journal_administrator": settings.journal_administrator,
        "image": f"{settings.image}@{digest}",
        "domains": list(deployment.hosts),
        "buckets": {bucket: _bucket(deployment, bucket) for bucket in deployment.buckets.names},
        "keys": {key.value: _key(is_signing(key), settings.key_rotation_days) for key in deployment.keys},
        "roles": {role: _role(deployment, role, deployment.store_rights) for role in deployment.roles},
        "conditional": {bucket: _conditional(statements, bucket) for bucket in deployment.buckets.names},
        "functions": {one.name: _function(deployment, one) for one in deployment.functions},
        "keys_variable": deployment.keys_variable,
        "unmatched": _least_entitled(deployment, served),
        "min_scale": settings.min_scale,
        "max_scale": settings.max_scale,
        "trail_days": deployment.retention_days,
        "log_days": settings.log_days,
        "alert_contacts": list(settings.alert_contacts),
    }


def _bucket(deployment: Deployment, bucket: str) -> dict[str, Any]:
    days = deployment.lock_days(bucket)
    return {"holds": list(deployment.buckets.prefixes_of(bucket)), "journal": days is not None, "lock_days": days}


def _key(signing: bool, rotation_days: int) -> dict[str, Any]:
    if signing:
        return {"usage": "asymmetric_signing", "algorithm": "ec_p256_sha256", "rotation_period": None}
    return {
        "usage": "symmetric_encryption",
        "algorithm": "aes_256_gcm",
        "rotation_period": f"{rotation_days * 24}h0m0s",
    }


def _role(deployment: Deployment, role: str, rights: Iterable[StoreStatement]) -> dict[str, Any]:
    own = [one for one in rights if one.role == role]
    sets: dict[bool, set[str]] = {True: set(), False: set()}
    for statement in own:
        name = OBJECT_SETS[statement.operation] if statement.operation else _WHERE
        sets[deployment.lock_days(statement.bucket) is not None].add(name)
    keys: dict[str, dict[str, None]] = {}
    for right in deployment.key_rights():
        if right.role == role:
            keys.setdefault(KEY_SETS[right.operation], {})[right.key.value] = None
    return {
        "function": role in {function.name for function in deployment.functions},
        "object_sets": sorted(sets[False]),
        "journal_sets": sorted(sets[True]),
        "organization_sets": list(WATCH_SETS) if role == WATCHER else [],
        "key_permissions": {name: list(held) for name, held in sorted(keys.items())},
        "statements": _statements(own),
    }


def _statements(own: Iterable[StoreStatement]) -> list[dict[str, Any]]:
    """One statement per right. What a write must carry is demanded of everybody at once: see `_conditional`."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    bare = (replace(one, demand=Demand.NOTHING, locked=False) for one in own)
    for one in needed(bare):
        pattern = (*one.names, *one.prefixes, "")[0]
        told = one.operation.value if one.operation else "locate"
        row = found.setdefault(
            (one.bucket, told, pattern),
            {
                "bucket": one.bucket,
                "sid": f"{one.role} {told} {pattern}".strip(),
                "actions": [],
                "names": list(one.names),
                "prefixes": list(one.prefixes),
            },
        )
        row["actions"] = sorted({*row["actions"], *one.actions})
    return list(found.values())


def _conditional(statements: Iterable[StoreStatement], bucket: str) -> dict[str, list[str]]:
    once, swap = conditional_names(one for one in statements if one.bucket == bucket)
    return {"once": list(once), "swap": list(swap)}


def _function(deployment: Deployment, function: Function) -> dict[str, Any]:
    environment = {
        "SCEAU_STAGE": deployment.stage,
        "SCEAU_FUNCTION": function.name,
        "SCEAU_TRANSPORT": "private",  # the host lets its own front and scheduler through, and nobody else
    }
    return {
        "memory_bytes": function.memory_mb * _BYTES_PER_MB,
        "cpu": max(250, function.memory_mb),
        "timeout_seconds": max(10, function.timeout_seconds),  # the host's shortest
        "port": PORT,
        "health": f"/healthz/{function.name}",
        "environment": environment,
        "routes": [{"method": method.lower(), "path": path_regex(path)} for method, path in sorted(function.routes)],
        "cron": cron_of(function.rate) if function.rate else None,
    }


def _least_entitled(deployment: Deployment, served: Iterable[Function]) -> str:
    """Where requests go that no route matches: the function that could do least with one."""
    names = [function.name for function in served]
    if not names:
        raise DerivationError("no function has routes: there is nothing to serve")
    return min(names, key=lambda name: (sum(len(held) for held in deployment.roles[name].keys.values()), name))
