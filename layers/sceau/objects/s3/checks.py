"""What Sceau relies on in a stage's buckets, measured. Settings are read; only objects under `probe/` are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sceau.objects.checks import clear, clocks_agree, race_to_create, race_to_swap, sweep_probes
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.findings import Finding, measured
from sceau.objects.s3.calls import Calls, Refused
from sceau.objects.s3.client import Connection, make_client
from sceau.objects.s3.store import S3Store
from sceau_schemas import soil
from sceau_schemas.stores import LOCKED_PREFIXES, S3Place

_LOCK: Final = timedelta(minutes=1)
_EVENTS: Final = "journal/events/"
_EVERYBODY: Final = ("/AllUsers", "/AuthenticatedUsers")


@dataclass(frozen=True, slots=True)
class Buckets:
    """A stage's buckets as they are looked at. `days`: the stage's retention. `clock` is ours, `home` the probes'."""

    connection: Connection
    days: int
    home: str
    clock: Callable[[], datetime]
    random_fraction: Callable[[], float]

    @property
    def spec(self) -> S3Place:
        """The stage's declaration."""
        return self.connection.spec


def check_buckets(buckets: Buckets) -> Iterator[Finding]:
    """All findings, bucket by bucket. The client is made here: whoever does not check pays nothing for it."""
    client = make_client(buckets.connection)
    calls = Calls(client, random_fraction=buckets.random_fraction)
    nobody = make_client(buckets.connection, anonymous=True)
    anonymous = Calls(nobody, random_fraction=buckets.random_fraction)
    locked = {buckets.spec.bucket_of(prefix) for prefix in LOCKED_PREFIXES}
    kept = {buckets.spec.bucket_of(prefix) for prefix in ("records/", "configuration/")} | locked
    for bucket in sorted(set(buckets.spec.buckets.values())):
        one = _Bucket(calls, anonymous, bucket, buckets)
        yield from one.settings(is_locked=bucket in locked, keeps_versions=bucket in kept)
        yield from one.behaviour(is_locked=bucket in locked)


class _Bucket:
    """One bucket under examination."""

    def __init__(self, calls: Calls, anonymous: Calls, bucket: str, buckets: Buckets) -> None:
        self._calls = calls
        self._anonymous = anonymous
        self._bucket = bucket
        self._buckets = buckets
        self._store = S3Store(calls, {"": bucket})

    def settings(self, *, is_locked: bool, keeps_versions: bool) -> Iterator[Finding]:
        """What the bucket says of itself."""
        yield self._finding("on French soil", self._location)
        if keeps_versions:
            yield self._finding("versions are kept", self._versioning)
        if is_locked:
            yield self._finding("Object Lock", self._object_lock)
        yield self._finding("encryption at rest", self._encryption)
        yield self._finding("closed to the public", self._closed)

    def behaviour(self, *, is_locked: bool) -> Iterator[Finding]:
        """What the bucket does. Locks are tried on the bucket itself: our adapter would refuse before it."""
        home, clock = self._buckets.home, self._buckets.clock
        try:
            sweep_probes(self._store, clock)
        except ObjectStoreUnavailable as error:
            yield Finding(f"{self._bucket}: can be worked with", held=False, seen=str(error))
            return
        yield self._finding(
            "create-once under a race", lambda: race_to_create(self._store, f"{home}create/", self._short_lock())
        )
        if not self._locks_by_itself():
            yield self._finding("compare-and-swap under a race", lambda: race_to_swap(self._store, f"{home}swap"))
        if is_locked:
            yield self._finding("locks refuse deletion and shortening", self._lock_holds)
        yield self._finding("clocks agree", lambda: clocks_agree(self._store, clock))
        clear(self._store, home)

    def _short_lock(self) -> datetime | None:
        """Where the bucket locks by itself, and for years, each probe brings the shortest lock of its own."""
        return (self._store.time() + _LOCK).replace(microsecond=0) if self._locks_by_itself() else None

    def _locks_by_itself(self) -> bool:
        """Whether what comes without a retention gets one. Nothing is swapped there: each version would be kept."""
        try:
            return bool(self._lock_settings().get("Rule", {}).get("DefaultRetention"))
        except (Refused, ObjectStoreUnavailable):
            return True  # who can't know risks no lock of ten years

    def _lock_settings(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._ask("get_object_lock_configuration").get("ObjectLockConfiguration", {})
        except Refused as refused:
            if refused.code != "ObjectLockConfigurationNotFoundError":
                raise
            return {}
        return found

    def _finding(self, name: str, measure: Callable[[], tuple[bool, str]]) -> Finding:
        def told() -> tuple[bool, str]:
            try:
                return measure()
            except Refused as refused:
                raise refused.as_unavailable(self._bucket) from None

        return measured(f"{self._bucket}: {name}", told)

    def _ask(self, operation: str, **more: Any) -> dict[str, Any]:
        return self._calls.read(operation, self._bucket, Bucket=self._bucket, **more)

    def _location(self) -> tuple[bool, str]:
        spec = self._buckets.spec
        answer = self._store.locations([self._bucket])[self._bucket]
        expected = soil.answers_of_store(spec.host_name, spec.region)
        if answer in expected:
            return True, f"it answers {answer}"
        return False, f"it answers {answer}, and not {spec.region}; French soil is {soil.the_list()}"

    def _versioning(self) -> tuple[bool, str]:
        status = self._ask("get_bucket_versioning").get("Status", "never set")
        return status == "Enabled", f"versioning is {status}"

    def _object_lock(self) -> tuple[bool, str]:
        lock = self._lock_settings()
        if lock.get("ObjectLockEnabled") != "Enabled":
            return False, "Object Lock is off"
        rule = lock.get("Rule", {}).get("DefaultRetention", {})
        days = int(rule.get("Days", 0)) + 365 * int(rule.get("Years", 0))
        told = f"on, by default {rule['Mode']} for {days} days" if rule else "on, object by object"
        if self._bucket != self._buckets.spec.bucket_of(_EVENTS):
            return True, told
        return rule.get("Mode") == "COMPLIANCE" and days >= self._buckets.days, f"{told}; {self._buckets.days} needed"

    def _encryption(self) -> tuple[bool, str]:
        spec = self._buckets.spec
        if soil.place_of_store(spec.host_name, spec.region) is None:
            return True, "a server of one's own: its owner encrypts its disks (and all objects are sealed by Sceau)"
        try:
            answer = self._ask("get_bucket_encryption")
        except Refused as refused:
            if refused.code != "ServerSideEncryptionConfigurationNotFoundError":
                raise
            return False, "no encryption is set"
        rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
        named = [one.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "") for one in rules]
        return any(named), f"by default {', '.join(filter(None, named)) or 'none'}"

    def _closed(self) -> tuple[bool, str]:
        """Nobody without credentials may list or read: tried, and the access list looked at."""
        name = f"{self._buckets.home}public"
        self._store.create(name, b"", locked_until=self._short_lock())
        opened = [
            what
            for what, operation, more in (
                ("list", "list_objects_v2", {"MaxKeys": 1, "Prefix": name}),
                ("read", "get_object", {"Key": name}),
            )
            if self._is_open(operation, name, more)
        ]
        grants = self._ask("get_bucket_acl").get("Grants", ())
        public = [one for one in grants if str(one.get("Grantee", {}).get("URI", "")).endswith(_EVERYBODY)]
        if public:
            opened.append("by its access list")
        return not opened, f"open to everybody: {', '.join(opened)}" if opened else "who has no credentials is refused"

    def _is_open(self, operation: str, name: str, more: dict[str, Any]) -> bool:
        try:
            self._anonymous.read(operation, name, Bucket=self._bucket, **more)
        except Refused as refused:
            if refused.status in (401, 403):
                return False
            raise
        return True

    def _lock_holds(self) -> tuple[bool, str]:
        """A probe under a minute's lock: its version is not deleted, its lock neither shortened nor bypassed."""
        name = f"{self._buckets.home}locked"
        until = (self._store.time() + _LOCK).replace(microsecond=0)
        self._store.create(name, b"locked", locked_until=until)
        head = self._ask("head_object", Key=name)
        version = {"Key": name, "VersionId": head.get("VersionId", "null")}
        earlier = {"Mode": "COMPLIANCE", "RetainUntilDate": until - _LOCK / 2}
        governed = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
        accepted = [
            what
            for what, operation, more in (
                ("shortening", "put_object_retention", {"Retention": earlier, "ChecksumAlgorithm": "SHA256"}),
                ("a weaker mode", "put_object_retention", {"Retention": governed, "ChecksumAlgorithm": "SHA256"}),
                ("deletion", "delete_object", {}),
                ("deletion past governance", "delete_object", {"BypassGovernanceRetention": True}),
            )
            if self._is_accepted(operation, name, {**version, **more})
        ]
        mode, end = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
        kept = mode == "COMPLIANCE" and end is not None and end.astimezone(UTC) >= until
        if accepted or not kept:
            return False, f"locked as {mode} until {end}; accepted: {', '.join(accepted) or 'nothing'}"
        return self._store.read(name).data == b"locked", "a probe's deletion, shortening and weakening were refused"

    def _is_accepted(self, operation: str, name: str, more: dict[str, Any]) -> bool:
        try:
            self._calls.change(operation, name, Bucket=self._bucket, **more)
        except Refused as refused:
            return refused.absent  # an earlier attempt of this check took it away
        return True
