"""Buckets and their policies. Roles say what each may do (roles.py); a bucket's policy says what nobody may.

The journal's buckets may be another account's, so their policy also allows there what the roles are granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from iac.aws.names import STORE_ENDPOINT, Names
from iac.aws.parts import RETAINED, Json, camel, policy, ref, resource, tags
from iac.derive.deployment import LOCKED
from iac.derive.stores import RECOVERABLE, Demand, StoreStatement, conditional_names
from sceau.objects.scoped import StoreOperation

_OBJECTS: Final = ["s3:*Object*"]
_GUARDS: Final = [
    "s3:DeleteBucket*",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
]
"""What changes how a bucket guards its objects."""


def bucket_resources(names: Names, bucket: str, *, administrator: str) -> dict[str, Json]:
    """A bucket and its policy."""
    deployment = names.deployment
    days = deployment.lock_days(bucket)
    logical = camel("bucket", bucket)
    properties = bucket_properties(names, bucket, days)
    return {
        logical: resource("AWS::S3::Bucket", properties, **RETAINED),
        f"{logical}Policy": resource(
            "AWS::S3::BucketPolicy",
            {"Bucket": ref(logical), "PolicyDocument": policy(_statements(names, bucket, administrator))},
            **RETAINED,
        ),
    }


def bucket_properties(names: Names, bucket: str, lock_days: int | None) -> Json:
    """A private, versioned, encrypted bucket; locked by default for `lock_days`."""
    properties: Json = {
        "BucketName": bucket,
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
        "Tags": tags(names.deployment.stage),
    }
    if lock_days is not None:
        retention = {"Mode": "COMPLIANCE", "Days": lock_days}
        properties["ObjectLockEnabled"] = True
        properties["ObjectLockConfiguration"] = {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": retention},
        }
    return properties


def transport_statements(arn: str) -> Iterator[Json]:
    """What holds for every bucket: TLS 1.2 or newer."""
    yield deny("TlsOnly", ["s3:*"], [arn, f"{arn}/*"], {"Bool": {"aws:SecureTransport": "false"}})
    yield deny("NewTlsOnly", ["s3:*"], [arn, f"{arn}/*"], {"NumericLessThan": {"s3:TlsVersion": "1.2"}})


def deny(sid: str, actions: Iterable[str], resources: Iterable[str], condition: Json | None = None) -> Json:
    """A statement that no other can undo."""
    statement: Json = {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return {**statement, "Condition": condition} if condition else statement


def _statements(names: Names, bucket: str, administrator: str) -> Iterator[Json]:
    deployment, arn = names.deployment, names.bucket(bucket)
    objects = f"{arn}/*"
    own = [one for one in deployment.store_statements() if one.bucket == bucket]
    functions = [names.role(function.name) for function in deployment.functions]
    yield from transport_statements(arn)
    yield deny("OurRolesOnly", _OBJECTS, [objects], {"ArnNotEquals": {"aws:PrincipalArn": names.roles}})
    yield deny(
        "FunctionsByEndpointOnly",
        [*_OBJECTS, "s3:ListBucket*"],
        [arn, objects],
        {"ArnEquals": {"aws:PrincipalArn": functions}, "StringNotEquals": {"aws:SourceVpce": ref(STORE_ENDPOINT)}},
    )
    yield deny("RegionOnly", ["s3:*"], [arn, objects], {"StringNotEquals": {"aws:RequestedRegion": deployment.region}})
    yield deny("GuardsStay", _GUARDS, [arn], {"ArnNotEquals": {"aws:PrincipalArn": administrator}})
    yield from _versions_stay(names, arn, own)
    yield from _conditional(arn, own)
    if deployment.lock_days(bucket) is not None:
        for index, one in enumerate(one for one in deployment.store_rights if one.bucket == bucket):
            yield {
                **statement_of(names, one, index),
                "Principal": {"AWS": f"arn:aws:iam::{names.settings.account}:root"},
                "Condition": _with_principal(condition_of(names, one), names.role(one.role)),
            }


def _versions_stay(names: Names, arn: str, own: Iterable[StoreStatement]) -> Iterator[Json]:
    """Nobody removes a version for good, but the one role whose right that is, on the names that it has it on."""
    kept = [f"{arn}/{name}*" for name in (*RECOVERABLE, *LOCKED)]
    held = [one for one in own if one.operation is StoreOperation.DELETE_VERSIONS]
    expunged = {f"{arn}/{name}" for one in held for name in one.names}
    yield deny("LocksStay", ["s3:BypassGovernanceRetention"], kept)
    yield deny("VersionsStay", ["s3:DeleteObjectVersion"], [one for one in kept if one not in expunged])
    if expunged:
        roles = sorted({names.role(one.role) for one in held})
        condition = {"ArnNotEquals": {"aws:PrincipalArn": roles}}
        yield deny("VersionsOfRecordsStay", ["s3:DeleteObjectVersion"], sorted(expunged), condition)


def _with_principal(condition: Json, role: str) -> Json:
    return {**condition, "ArnEquals": {"aws:PrincipalArn": role}}


def _conditional(arn: str, own: Iterable[StoreStatement]) -> Iterator[Json]:
    """Nothing is overwritten that was not read before, whatever a role's policy says."""
    once, swap = conditional_names(own)
    for sid, found, keys in (
        ("WrittenOnce", once, ("s3:if-none-match",)),
        ("WrittenOnceOrSwapped", swap, ("s3:if-none-match", "s3:if-match")),
    ):
        if found:
            resources = [f"{arn}/{name}" for name in found]
            yield deny(sid, ["s3:PutObject"], resources, {"Null": dict.fromkeys(keys, "true")})


def statement_of(names: Names, one: StoreStatement, index: int) -> Json:
    """A right on the store as a statement of the role that holds it."""
    arn = names.bucket(one.bucket)
    statement: Json = {
        "Sid": camel(one.role, one.operation.value if one.operation else "locate", str(index)),
        "Effect": "Allow",
        "Action": list(one.actions),
        "Resource": [f"{arn}/{name}" for name in one.names] or [arn],
    }
    condition = condition_of(names, one)
    return {**statement, "Condition": condition} if condition else statement


def condition_of(names: Names, one: StoreStatement) -> Json:
    """What a request must carry."""
    condition: dict[str, Any] = {}
    if one.prefixes:
        condition["StringLike"] = {"s3:prefix": list(one.prefixes)}
    if one.demand is not Demand.NOTHING:
        condition["Null"] = {"s3:if-none-match" if one.demand is Demand.ONCE else "s3:if-match": "false"}
    if one.locked:
        days = names.deployment.retention_days
        condition["StringEquals"] = {"s3:object-lock-mode": "COMPLIANCE"}
        # A day less: the days that remain are counted from when the request arrives. A bound above: nobody may lock
        # an object for a thousand years.
        condition["NumericGreaterThanEquals"] = {"s3:object-lock-remaining-retention-days": str(days - 1)}
        condition["NumericLessThanEquals"] = {"s3:object-lock-remaining-retention-days": str(days + 1)}
    return condition
