"""What an operation of ours asks of S3, as a policy sees it: each operation is some calls, all of which must pass."""

from __future__ import annotations

from dataclasses import dataclass

from iac.derive.deployment import LOCKED
from iac.derive.stores import RECOVERABLE
from sceau.objects.scoped import StoreOperation

_ONCE = {"s3:if-none-match": "*"}
_SWAP = {"s3:if-match": '"0"'}


@dataclass(frozen=True, slots=True)
class Call:
    """An S3 action with the condition keys that the request itself fills; `prefix` for a listing."""

    action: str
    context: tuple[tuple[str, str], ...] = ()
    on_bucket: bool = False


def _call(action: str, **context: str) -> Call:
    return Call(action, tuple(sorted(context.items())))


def calls(operation: StoreOperation, name: str, retention_days: int) -> tuple[Call, ...]:
    """The calls of one operation on an object, or of a listing of the names that begin with `name`."""
    lock = {"s3:object-lock-mode": "COMPLIANCE", "s3:object-lock-remaining-retention-days": str(retention_days)}
    match operation:
        case StoreOperation.READ:
            return (_call("s3:GetObject"), _call("s3:GetObjectRetention"))
        case StoreOperation.READ_VERSIONS:
            return (_call("s3:GetObjectVersion"),)
        case StoreOperation.LIST:
            return tuple(
                Call(action, (("s3:prefix", name),), on_bucket=True)
                for action in ("s3:ListBucket", "s3:ListBucketVersions")
            )
        case StoreOperation.CREATE:
            return (_call("s3:PutObject", **_ONCE),)
        case StoreOperation.CREATE_LOCKED:
            return (_call("s3:PutObject", **_ONCE, **lock), _call("s3:PutObjectRetention", **lock))
        case StoreOperation.REPLACE:
            return (_call("s3:PutObject", **_SWAP), _call("s3:PutObject", **_ONCE))
        case StoreOperation.DELETE:
            return (_call("s3:DeleteObject" if name.startswith(RECOVERABLE) else "s3:DeleteObjectVersion"),)
        case StoreOperation.DELETE_VERSIONS:
            return (REMOVES,)
        case StoreOperation.EXTEND_LOCK:
            return (_call("s3:PutObjectRetention", **lock),)


def one_name(name: str) -> Call:
    """A listing of one whole name: whether it is there."""
    return Call("s3:ListBucket", (("s3:max-keys", "1"), ("s3:prefix", name)), on_bucket=True)


FORBIDDEN: tuple[tuple[str, Call], ...] = (
    ("overwrites without having read", _call("s3:PutObject")),
    ("goes around a governance lock", _call("s3:BypassGovernanceRetention")),
    ("changes who may read an object", _call("s3:PutObjectAcl")),
    ("lifts a legal hold", _call("s3:PutObjectLegalHold")),
    ("changes the bucket's policy", Call("s3:PutBucketPolicy", on_bucket=True)),
    ("takes the bucket's policy away", Call("s3:DeleteBucketPolicy", on_bucket=True)),
    ("changes the bucket's lock", Call("s3:PutBucketObjectLockConfiguration", on_bucket=True)),
    ("suspends versions", Call("s3:PutBucketVersioning", on_bucket=True)),
    ("sets a lifecycle rule", Call("s3:PutLifecycleConfiguration", on_bucket=True)),
    ("deletes the bucket", Call("s3:DeleteBucket", on_bucket=True)),
)
"""What no role of the chalicefile may do to any object or bucket, whatever else it may."""

REMOVES = _call("s3:DeleteObjectVersion")
"""What takes a version away for good."""

KEPT = (*RECOVERABLE, *LOCKED)
"""Names whose earlier versions stay. Elsewhere what deletes does so with every version: that is one right there."""
