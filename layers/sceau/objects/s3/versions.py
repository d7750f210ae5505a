"""Versions of objects: what a host keeps of what was replaced or deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from sceau.objects.s3.calls import Calls, Refused

PAGE: Final = 1000

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(rf"[0-7][{_CROCKFORD}]{{25}}")  # https://github.com/ulid/spec: 48 bits of time, 80 of chance
_ULID_TIME = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def entries_of(calls: Calls, bucket: str, name: str) -> list[dict[str, Any]]:
    """The versions and deletion marks of one object, the newest first. Raises ObjectStoreUnavailable."""
    for key, entries in versions_by_key(calls, bucket, name):
        # Two of one second: the present one is newer, and a stable sort keeps S3's own order for the others.
        return sorted(entries, key=_newest_first, reverse=True) if key == name else []
    return []


def written_at(entry: dict[str, Any]) -> datetime:
    """When a version, or a mark, was written (UTC).

    versitygw dates a version anew when it is replaced, and a mark like what it hides; but the id that it gave it when
    it was written is a ULID, which says when that was. Other hosts' ids are none (AWS: 32 characters; MinIO: UUIDs).
    """
    version = str(entry["VersionId"])
    if not _ULID.fullmatch(version):
        dated: datetime = entry["LastModified"].astimezone(UTC)
        return dated
    milliseconds = 0
    for character in version[:_ULID_TIME]:
        milliseconds = milliseconds * len(_CROCKFORD) + _CROCKFORD.index(character)
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _newest_first(entry: dict[str, Any]) -> tuple[bool, Any]:
    return bool(entry.get("IsLatest")), written_at(entry)


def behind_deletion(entries: list[dict[str, Any]], before: datetime | None) -> list[dict[str, Any]]:
    """Of one object's versions and marks, the newest first: the newest mark older than `before` (None: of any age) and
    all that lies behind it, the oldest first."""
    for position, entry in enumerate(entries):
        if "ETag" not in entry and (before is None or written_at(entry) < before):
            return entries[position:][::-1]
    return []


def versions_by_key(
    calls: Calls, bucket: str, prefix: str, *, after: str = "", page_size: int = PAGE
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each key that begins with `prefix` and is greater than `after`, in byte order, with its versions and marks.

    A mark has no "ETag". Holds the versions of one key, and one page, in memory. Raises ObjectStoreUnavailable.
    """
    for key, entries in groupby(_entries(calls, bucket, prefix, after, page_size), lambda one: str(one["Key"])):
        if key > after:
            yield key, list(entries)


def _entries(calls: Calls, bucket: str, prefix: str, after: str, page_size: int) -> Iterator[dict[str, Any]]:
    """Versions and deletion marks, those of a key side by side: S3 gives them in two lists, each in order of keys."""
    more: dict[str, str] = {"KeyMarker": after} if after else {}
    while True:
        try:
            page = calls.read(
                "list_object_versions", prefix or bucket, Bucket=bucket, Prefix=prefix, MaxKeys=page_size, **more
            )
        except Refused as refused:
            raise refused.as_unavailable(prefix or bucket) from None
        both = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield from sorted(both, key=lambda one: str(one["Key"]))
        if not page.get("IsTruncated"):
            return
        more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}
