"""Both ports on S3 buckets.

Create-once is a PUT with `If-None-Match: *`, compare-and-swap one with `If-Match`; retention is Object Lock in
COMPLIANCE mode, given object by object. A tag is the object's ETag without its dress, opaque.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from heapq import merge
from typing import Any, Final

from sceau.objects.errors import (
    InvalidObjectName,
    ObjectAbsent,
    ObjectChanged,
    ObjectExists,
    ObjectLocked,
    ObjectStoreUnavailable,
)
from sceau.objects.ports import Expunged, Kept, Listed, StoredObject, Version, check_name
from sceau.objects.s3.answers import (
    BESIDE,
    MAY_BE_LOCKED,
    TAG,
    is_locked,
    no_lock,
    tag_of,
    unknown,
    whole_second,
)
from sceau.objects.s3.calls import Calls, Refused
from sceau.objects.s3.naming import Naming, asked
from sceau.objects.s3.versions import PAGE, behind_deletion, entries_of, versions_by_key, written_at
from sceau.objects.scoped import covers

OWN_NAMES: Final = ("records/*/documents/", "journal/events/")
"""Names that hold random bits of the one who creates them: nobody else has them. So if such a create is refused after
an answer of its own was lost, what is there is ours. Other names (marks, the pseudonym key) several may want."""

RECOVERABLE: Final = ("records/", "configuration/")
"""What is deleted there is only marked as deleted: versions stay, until they are old (architecture.md, "At rest"). All
else goes with all its versions, so that sweeping marks leaves nothing behind."""

LOCKABLE: Final = ("journal/", "probe/")
"""Where objects may be locked. S3 would let a newer version cover a locked one: before one is replaced there, its lock
is looked at. Elsewhere nothing is ever locked, and no commit pays for that."""

_WRITE = "sceau-write"
"""User metadata of a create that several may want: sixteen random bytes by which its writer knows it again."""


class S3Store:
    """An `ObjectStore` in S3 buckets; safe between threads and between processes.

    `buckets`: from a prefix of names to a bucket, "" for all others; the longest wins. `random_bytes` marks creates.
    """

    def __init__(
        self,
        calls: Calls,
        buckets: Mapping[str, str],
        *,
        own_names: Iterable[str] = OWN_NAMES,
        recoverable: Iterable[str] = RECOVERABLE,
        lockable: Iterable[str] = LOCKABLE,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._calls = calls
        self._naming = Naming(buckets)
        self._own_names = tuple(own_names)
        self._recoverable = tuple(recoverable)
        self._lockable = tuple(lockable)
        self._random_bytes = random_bytes

    def create(self, name: str, data: bytes, *, locked_until: datetime | None = None, durable: bool = True) -> None:
        """See `ImmutableObjects.create`. All objects are durable here. ValueError: a retention without durability."""
        if locked_until is not None and not durable:
            raise ValueError("an object under retention must be durable")
        own = any(covers(pattern, check_name(name)) for pattern in self._own_names)
        write = "" if own else self._random_bytes(16).hex()
        more: dict[str, Any] = {} if own else {"Metadata": {_WRITE: write}}
        if locked_until is not None:
            more |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": whole_second(locked_until)}
        try:
            self._put(name, data, IfNoneMatch="*", **more)
        except Refused as refused:
            if locked_until is not None and refused.code == "InvalidRequest":
                raise no_lock(name) from None
            if not refused.precondition:
                raise self._unexpected(name, refused) from None
            if not refused.uncertain:
                raise ObjectExists(name) from None
            if not own:
                self._require_written(name, write)

    def read(self, name: str) -> StoredObject:
        """See `ImmutableObjects.read`."""
        try:
            answer = self._calls.read("get_object", name, **self._naming.place(name))
        except Refused as refused:
            if refused.code == "AccessDenied" and self._is_known_absent(name):
                raise ObjectAbsent(name) from None
            raise self._unexpected(name, refused) from None
        return StoredObject(answer["Body"], tag_of(answer))

    def replace(self, name: str, data: bytes, *, expected: str | None) -> str:
        """See `ReplaceableObjects.replace`.

        After an attempt that left it open, the object is read: our own bytes there mean that it was us. Other bytes
        mean that somebody went on from ours or came before us, which can't be told here: maybe_written.
        """
        self._naming.place(name)
        if expected is None:
            condition = {"IfNoneMatch": "*"}
        elif TAG.fullmatch(expected):
            condition = {"IfMatch": f'"{expected}"'}
            if name.startswith(self._lockable):
                self._require_unlocked(name, expected)
        else:
            raise ObjectChanged(name)  # the tag of no object
        try:
            answer = self._put(name, data, **condition)
            if "ETag" in answer:
                return tag_of(answer)
            # Else the connection ended in the middle of the answer's head: 200, and no tag.
        except Refused as refused:
            # A host that has no object to compare with answers 404.
            if not refused.precondition and not (refused.absent and expected is not None):
                raise self._unexpected(name, refused) from None
            if not refused.uncertain:
                raise ObjectChanged(name) from None
        try:
            found = self.read(name)
        except (ObjectAbsent, ObjectStoreUnavailable) as error:
            raise unknown(name) from error
        if found.data != data:
            raise unknown(name)
        return found.tag

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See `ImmutableObjects.list`. One page of 1,000 names at a time, each from behind the last name seen."""
        return (name for name, _ in self._listed(prefix, after))

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """See `Listings.entries`: a listing of S3 has it all."""
        for name, found in self._listed(prefix, after):
            yield Listed(name, tag_of(found), found["LastModified"].astimezone(UTC))

    def _listed(self, prefix: str, after: str) -> Iterator[tuple[str, dict[str, Any]]]:
        parts = (self._entries(owner, start, after) for owner, start in self._naming.parts(prefix))
        return merge(*parts, key=lambda one: one[0])

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Kept]:
        """See `ImmutableObjects.versions`."""
        return merge(
            *(self._kept(owner, start, after) for owner, start in self._naming.parts(prefix)), key=lambda one: one.name
        )

    def history(self, name: str) -> tuple[Version, ...]:
        """See `EarlierVersions.history`: in the order in which S3 keeps them, which is that of their writing."""
        place = self._naming.place(name)
        return tuple(
            Version(str(one["VersionId"]), written_at(one), is_deletion="ETag" not in one)
            for one in entries_of(self._calls, place["Bucket"], name)
        )

    def read_version(self, name: str, version: str) -> bytes:
        """See `EarlierVersions.read_version`."""
        try:
            answer = self._calls.read("get_object", name, **self._naming.place(name), VersionId=version)
        except Refused as refused:
            if refused.code in {"InvalidArgument", "NoSuchVersion"}:  # what can be no version's id
                raise ObjectAbsent(name) from None
            raise self._unexpected(name, refused) from None
        data: bytes = answer["Body"]
        return data

    def time(self) -> datetime:
        """See `ImmutableObjects.time`: by the Date of the store's last answer."""
        return self._calls.time(lambda: self.locations([self._naming.bucket_of("")]))

    def extend_lock(self, name: str, until: datetime) -> None:
        """See `ImmutableObjects.extend_lock`."""
        end, present = whole_second(until), self.locked_until(name)
        if present is not None and end <= present:
            if end < present:
                raise ObjectLocked(name)
            return
        retention = {"Mode": "COMPLIANCE", "RetainUntilDate": end}
        try:
            self._calls.change(
                "put_object_retention",
                name,
                **self._naming.place(name),
                Retention=retention,
                ChecksumAlgorithm="SHA256",
            )
        except Refused as refused:
            later = self.locked_until(name)
            if later is not None and later > end:  # somebody was faster, and further
                raise ObjectLocked(name) from None
            raise self._unexpected(name, refused) from None

    def locked_until(self, name: str) -> datetime | None:
        """See `ImmutableObjects.locked_until`; whole seconds, never before what was asked for.

        A host tells only those who may ask for retention (on AWS, s3:GetObjectRetention): to others it is None.
        """
        end: datetime | None = self._head(name, self._naming.place(name)).get("ObjectLockRetainUntilDate")
        return end.astimezone(UTC) if end else None

    def written_at(self, name: str) -> datetime:
        """See `ImmutableObjects.written_at`: LastModified of a listing, so no right to read is needed."""
        place = self._naming.place(name)
        try:
            answer = self._calls.read("list_objects_v2", name, Bucket=place["Bucket"], Prefix=name, MaxKeys=1)
        except Refused as refused:
            raise refused.as_unavailable(name) from None
        for found in answer.get("Contents", ()):
            if found["Key"] == name:
                written: datetime = found["LastModified"]
                return written.astimezone(UTC)
        raise ObjectAbsent(name)

    def delete(self, name: str) -> None:
        """See `ImmutableObjects.delete`. What `recoverable` has is marked as deleted, all else goes for good."""
        place = self._naming.place(name)
        versions = [one for one in entries_of(self._calls, place["Bucket"], name) if "ETag" in one]
        if not any(version.get("IsLatest") for version in versions):
            raise ObjectAbsent(name)
        if name.startswith(self._recoverable):
            self._delete(name, place)
            return
        # The oldest first: dying on the way, we leave the present version, and never an older one in its place.
        for version in sorted(versions, key=lambda one: (bool(one.get("IsLatest")), one["LastModified"])):
            self._delete(name, {**place, "VersionId": version["VersionId"]})

    def expunge(self, name: str, *, deleted_before: datetime, most: int) -> Expunged:
        """See `ImmutableObjects.expunge`."""
        place = self._naming.place(name)
        found = entries_of(self._calls, place["Bucket"], name)
        behind = behind_deletion(found, deleted_before)
        going = behind[: max(most, 0)]
        for entry in going:
            self._delete(name, {**place, "VersionId": str(entry["VersionId"])})
        return Expunged(len(going), len(behind_deletion(found, None)) - len(going))

    def locations(self, buckets: Iterable[str] | None = None) -> dict[str, str]:
        """Each bucket's own answer to where it is, in lowercase. Raises ObjectStoreUnavailable, with a sentence."""
        found = {}
        for bucket in self._naming.all() if buckets is None else buckets:
            try:
                answer = self._calls.read("get_bucket_location", bucket, Bucket=bucket)
            except Refused as refused:
                raise refused.as_unavailable(bucket) from None
            found[bucket] = str(answer.get("LocationConstraint") or "us-east-1").lower()  # S3 says so of that region
        return found

    def _put(self, name: str, data: bytes, **more: Any) -> dict[str, Any]:
        # The same digest is in the signature; given once more, the host keeps it beside the object. With a lock, AWS
        # asks for the algorithm's name, too.
        checksum = b64encode(hashlib.sha256(data).digest()).decode("ascii")
        more |= {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
        return self._calls.change("put_object", name, **self._naming.place(name), Body=bytes(data), **more)

    def _require_written(self, name: str, write: str) -> None:
        """After a create that left it open, and found the name taken: was it ours? Raises ObjectExists if not."""
        try:
            answer = self._head(name, self._naming.place(name))
        except (ObjectAbsent, ObjectStoreUnavailable) as error:
            raise unknown(name) from error  # also: whoever may not read can't know
        if answer.get("Metadata", {}).get(_WRITE) != write:
            raise ObjectExists(name)

    def _require_unlocked(self, name: str, expected: str) -> None:
        """Raises ObjectChanged, ObjectLocked."""
        try:
            head = self._head(name, self._naming.place(name))
        except ObjectAbsent:
            raise ObjectChanged(name) from None
        if tag_of(head) != expected:
            raise ObjectChanged(name)
        if is_locked(head):
            raise ObjectLocked(name)

    def _head(self, name: str, place: dict[str, str]) -> dict[str, Any]:
        try:
            return self._calls.read("head_object", name, **place)
        except Refused as refused:
            raise self._unexpected(name, refused) from None

    def _entries(self, owner: str, prefix: str, after: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What S3 lists, by name: what begins with `prefix`, as far as no longer declared prefix has it."""
        bucket, position, begin = self._naming.bucket_of(owner), after, asked(prefix)
        while True:
            start = {"StartAfter": position} if position else {}
            try:
                page = self._calls.read(
                    "list_objects_v2", prefix or bucket, Bucket=bucket, Prefix=begin, MaxKeys=PAGE, **start
                )
            except Refused as refused:
                raise refused.as_unavailable(prefix or bucket) from None
            for found in page.get("Contents", ()):
                position = found["Key"]
                if position > after and position.startswith(prefix) and self._naming.is_own(owner, position):
                    yield position, found
            if not page.get("IsTruncated") or not page.get("Contents"):
                return

    def _kept(self, owner: str, prefix: str, after: str) -> Iterator[Kept]:
        found = versions_by_key(self._calls, self._naming.bucket_of(owner), asked(prefix), after=after)
        for key, entries in found:
            if key.startswith(prefix) and self._naming.is_own(owner, key):
                contents = [one for one in entries if "ETag" in one]
                hidden = not any(one.get("IsLatest") for one in contents)
                yield Kept(key, len(contents), hidden=hidden, deletions=len(entries) - len(contents))

    def _delete(self, name: str, place: dict[str, str]) -> None:
        for again in (True, False):
            try:
                self._calls.change("delete_object", name, **place)
            except Refused as refused:
                if refused.absent:
                    return
                head = self._head(name, place) if refused.code in MAY_BE_LOCKED else {}
                if is_locked(head):
                    raise ObjectLocked(name) from None
                if again and head.get("ObjectLockRetainUntilDate"):
                    continue  # it was locked when we asked, and is not any more
                raise self._unexpected(name, refused) from None
            return

    def _is_known_absent(self, name: str) -> bool:
        """Whether a listing of this one name says that it is not there.

        AWS refuses to read what is absent, in the words of a missing right, to whoever may not list. Absence is never
        taken from a refusal: a store that does not let us list this name, or shows it, has refused.
        """
        bucket = self._naming.place(name)["Bucket"]
        try:
            answer = self._calls.read("list_objects_v2", name, Bucket=bucket, Prefix=name, MaxKeys=1)
        except (Refused, ObjectStoreUnavailable):
            return False
        return all(found["Key"] != name for found in answer.get("Contents", ()))

    @staticmethod
    def _unexpected(name: str, refused: Refused) -> ObjectAbsent | InvalidObjectName | ObjectStoreUnavailable:
        if refused.absent:
            return ObjectAbsent(name)
        if refused.code in BESIDE:
            return InvalidObjectName("the store can't hold this name beside others that are there")
        return refused.as_unavailable(name)
