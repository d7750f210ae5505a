"""What a stage's buckets hold: a stage with any object in them, in any version, is not destroyed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from iac.derive.deployment import Deployment


def held(deployment: Deployment, client: Callable[[str], Any], now: datetime) -> Iterator[str]:
    """A sentence for each bucket that holds something or can't be looked into: who can't know destroys nothing."""
    for bucket in deployment.buckets.names:
        s3 = client(bucket)
        try:
            found = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("NoSuchBucket", "404"):
                yield f"bucket {bucket} can't be looked into ({code})"
            continue
        except BotoCoreError as error:
            yield f"bucket {bucket} can't be looked into ({type(error).__name__})"
            continue
        versions = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        if versions:
            yield f"bucket {bucket} holds {_what(s3, bucket, versions[0], now)}"


def _what(s3: Any, bucket: str, version: dict[str, Any], now: datetime) -> str:
    """Never the object's name: a sentence may go into anybody's log."""
    try:
        answer = s3.get_object_retention(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        until: datetime = answer["Retention"]["RetainUntilDate"]
    except (ClientError, BotoCoreError, KeyError):
        return "data"
    return f"data that is locked until {until.astimezone(UTC):%Y-%m-%d}" if until > now else "data"
