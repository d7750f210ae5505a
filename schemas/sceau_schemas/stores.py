"""The stores that a stage may have, as the `chalicefile` declares them. Never a credential in here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_ENDPOINT = re.compile(r"https://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_PREFIX = r"^(?:[a-z0-9-]+/)*$"
_BUCKET = r"^[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]$"  # S3's names without dots: a certificate's wildcard is one label

LOCKED_PREFIXES = ("journal/events/", "journal/log/")
"""Names that are locked when they are written, or later: they lead to buckets with Object Lock."""


class FilesystemStoreSpec(BaseModel):
    """Objects in a folder; relative to the chalicefile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Literal["filesystem"]
    folder: Path


def _endpoint(value: object) -> str:
    if not isinstance(value, str) or not _ENDPOINT.fullmatch(value):
        raise ValueError("an endpoint reads like 'https://s3.fr-par.scw.cloud'")
    return value


class S3Place(BaseModel):
    """Objects in S3 buckets.

    `endpoint` may be left out for AWS. `region`: what requests are signed for, and what the buckets must answer.
    `buckets`: from a prefix of object names to a bucket; the longest prefix wins, and "" has all others.
    `ca_file`: the authority of an own server's certificate; `credentials_file`: an AWS credentials file with a profile
    `default`, in place of the usual chain (environment, role of the container or the function). Paths are relative to
    the chalicefile.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Literal["s3"]
    endpoint: Annotated[str, BeforeValidator(_endpoint)] | None = None
    region: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    addressing: Literal["path", "virtual"]
    buckets: dict[Annotated[str, Field(pattern=_PREFIX)], Annotated[str, Field(pattern=_BUCKET)]]
    ca_file: Path | None = None
    credentials_file: Path | None = None

    @model_validator(mode="after")
    def _names_have_buckets(self) -> Self:
        if "" not in self.buckets:
            raise ValueError('buckets: "" must name the bucket of all names that no longer prefix has')
        return self

    @property
    def origin(self) -> str:
        """Where requests go: the endpoint, or AWS's of the region."""
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com"

    @property
    def host_name(self) -> str:
        """The host name in the origin."""
        return urlsplit(self.origin).hostname or ""

    def bucket_of(self, name: str) -> str:
        """The bucket of an object name."""
        return self.buckets[max((prefix for prefix in self.buckets if name.startswith(prefix)), key=len)]

    def buckets_of(self, patterns: Iterable[str]) -> frozenset[str]:
        """The buckets of the names that these patterns cover, as rights on the store are written."""
        found = set()
        for pattern in patterns:
            start = pattern.partition("*")[0]
            found |= {self.bucket_of(start), *(self.buckets[one] for one in self.buckets if one.startswith(start))}
        return frozenset(found)


class S3StoreSpec(S3Place):
    """A stage's store in S3 buckets: what is locked there has buckets with Object Lock."""

    @model_validator(mode="after")
    def _locks_have_buckets(self) -> Self:
        records = self.bucket_of("records/")
        for prefix in LOCKED_PREFIXES:
            if self.bucket_of(prefix) == records:
                raise ValueError(f'buckets: "{prefix}" needs a bucket with Object Lock, apart from that of records')
        return self


class FilesystemBackupSpec(FilesystemStoreSpec):
    """A backup on a disk."""


class S3BackupSpec(S3Place):
    """A backup in a bucket, of another provider than the stage's store if it is worth its name.

    `lock_days`: each object is locked for so long as it comes (the bucket needs Object Lock): nobody takes the backup
    away with the stage.
    """

    lock_days: Annotated[int, Field(strict=True, ge=1, le=3653)] | None = None


StoreSpec = Annotated[FilesystemStoreSpec | S3StoreSpec, Field(discriminator="adapter")]

BackupSpec = Annotated[FilesystemBackupSpec | S3BackupSpec, Field(discriminator="adapter")]
