"""Makes buckets on a server of one's own: the loopback's, and those of tests. A host's are made by `iac/`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sceau.objects.errors import ObjectStoreUnavailable

_THERE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def make_buckets(client: Any, region: str, buckets: Iterable[str], locked: Iterable[str], *, days: int = 0) -> None:
    """Make the buckets that are not there yet, with versions; those of `locked` with Object Lock.

    `days`: what comes into a locked bucket without a retention of its own is locked for so long, in COMPLIANCE mode;
    0 for none. Raises ObjectStoreUnavailable.
    """
    try:
        for bucket in buckets:
            _make(client, region, bucket)
        for bucket in locked:
            _make(client, region, bucket, ObjectLockEnabledForBucket=True)
            if days:
                rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}}
                client.put_object_lock_configuration(
                    Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
                )
    except (BotoCoreError, ClientError) as error:
        sentence = f"the store did not make its buckets ({type(error).__name__})"
        raise ObjectStoreUnavailable(sentence, maybe_written=True) from error


def _make(client: Any, region: str, bucket: str, **more: Any) -> None:
    try:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region}, **more)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _THERE:
            raise
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
