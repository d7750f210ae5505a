"""What S3's answers say, in the words of the port."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.s3.calls import server_time

_ETAG = re.compile(r'(?:W/)?"?([\x21\x23-\x7e]+)"?')
TAG: Final = re.compile(r"[\x21\x23-\x7e]+")
"""What a tag may look like."""

MAY_BE_LOCKED: Final = frozenset({"AccessDenied", "InvalidRequest", "ObjectLocked"})
BESIDE: Final = frozenset(
    {"ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory"}
)
"""On file systems x and x/y can't both exist: versitygw and MinIO say so in these words."""


def tag_of(answer: Mapping[str, Any]) -> str:
    """The tag of an answer. Quotes and W/ go: hosts may differ in them between PUT and GET."""
    match = _ETAG.fullmatch(str(answer.get("ETag", "")))
    if match is None:
        raise ObjectStoreUnavailable("the store gave an object without a tag", maybe_written=True, reason="no ETag")
    return match[1]


def is_locked(head: Mapping[str, Any]) -> bool:
    """Whether an object's retention goes on, by the store's clock."""
    until, now = head.get("ObjectLockRetainUntilDate"), server_time(head)
    return until is not None and (now is None or until > now)


def whole_second(until: datetime) -> datetime:
    """S3 keeps whole seconds: rounded up, so that no retention ends before the time that was asked for."""
    if until.tzinfo is None:
        raise ValueError("the end of a retention must have a time zone")
    end = until.astimezone(UTC)
    return end if end.microsecond == 0 else end.replace(microsecond=0) + timedelta(seconds=1)


def no_lock(name: str) -> ObjectStoreUnavailable:
    """The bucket has no Object Lock. versitygw writes the object before it finds out, so it may be there."""
    sentence = f"{name}: the store refuses to lock it: its bucket needs Object Lock"
    return ObjectStoreUnavailable(sentence, maybe_written=True, reason="InvalidRequest")


def unknown(name: str) -> ObjectStoreUnavailable:
    """Answers were lost, and what is there does not tell either."""
    sentence = f"{name}: it is not known whether it was written"
    return ObjectStoreUnavailable(sentence, maybe_written=True, reason="not known")
