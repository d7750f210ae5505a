"""Versions of objects: what a host keeps of what was replaced or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from sceau.objects.s3.calls import Calls, Refused

PAGE: Final = 1000


def entries_of(calls: Calls, bucket: str, name: str) -> list[dict[str, Any]]:
    """The versions and deletion marks of one object, the newest first. Raises ObjectStoreUnavailable."""
    for key, entries in versions_by_key(calls, bucket, name):
        # Two of one second: the present one is newer, and a stable sort keeps S3's own order for the others.
        return sorted(entries, key=_newest_first, reverse=True) if key == name else []
    return []


def _newest_first(entry: dict[str, Any]) -> tuple[bool, Any]:
    return bool(entry.get("IsLatest")), entry["LastModified"]


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
