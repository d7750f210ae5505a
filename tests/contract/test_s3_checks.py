"""`stage check` on buckets: it holds on real servers, and each thing that is wrong with a bucket is found."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from fixtures.s3_servers import CONNECTIONS, KINDS, Place, S3Servers, moto_place
from sceau.objects.findings import Finding
from sceau.objects.s3.buckets import make_buckets
from sceau.objects.s3.checks import Buckets, check_buckets
from sceau.objects.s3.client import Connection

pytestmark = pytest.mark.slow  # each check runs races of 16 writers in three buckets

DAYS = 3653


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, s3_servers: S3Servers) -> Place:
    return s3_servers.place(request.param)


@pytest.fixture
def place(server: Place) -> Place:
    """New buckets as a stage has them, on a real server."""
    own = token_hex(4)
    buckets = {"": f"dmp-records-{own}", "journal/events/": f"dmp-events-{own}", "journal/log/": f"dmp-log-{own}"}
    place = server.elsewhere(buckets=buckets)
    client, region = place.client(), place.spec.region
    make_buckets(client, region, [buckets[""]], [buckets["journal/log/"]])
    make_buckets(client, region, [], [buckets["journal/events/"]], days=DAYS)
    return place


def check(place: Place, *, days: int = DAYS) -> dict[str, Finding]:
    home = f"probe/{token_hex(8)}/"
    looked = Buckets(
        Connection(place.spec, place.base, CONNECTIONS), days, home, lambda: datetime.now(UTC), random.random
    )
    return {_short(place, one.name): one for one in check_buckets(looked)}


def _short(place: Place, name: str) -> str:
    """A finding's name with the bucket's role in place of its name."""
    roles = {place.spec.bucket_of(prefix): role for role, prefix in ROLES.items()}
    bucket, _, rest = name.partition(": ")
    return f"{roles[bucket]}: {rest}"


ROLES = {"records": "records/", "events": "journal/events/", "log": "journal/log/"}


def lost(findings: dict[str, Finding]) -> set[str]:
    return {name for name, one in findings.items() if not one.held}


def test_all_holds_on_a_real_server_and_only_probes_are_touched(place: Place, counted: Callable[[int], None]) -> None:
    store = place.store()
    tag = store.replace("records/a/dossier", b"sealed", expected=None)
    findings = check(place)
    assert lost(findings) == set(), {name: findings[name].seen for name in lost(findings)}
    for role in ROLES:
        for name in ("on French soil", "versions are kept", "encryption at rest", "closed to the public"):
            assert f"{role}: {name}" in findings
        assert f"{role}: create-once under a race" in findings
        assert f"{role}: clocks agree" in findings
    for role in ("events", "log"):
        assert f"{role}: Object Lock" in findings
        assert f"{role}: locks refuse deletion and shortening" in findings
    assert {name for name in findings if "compare-and-swap" in name} == {
        "records: compare-and-swap under a race",
        "log: compare-and-swap under a race",
    }
    counted(len(findings))
    client = place.client()
    for role, prefix in ROLES.items():
        bucket = place.spec.bucket_of(prefix)
        page = client.list_object_versions(Bucket=bucket)
        left = [one["Key"] for one in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]]
        assert {name for name in left if not name.startswith("probe/")} == (
            {"records/a/dossier"} if role == "records" else set()
        )
        for name in left:
            if name.startswith("probe/"):
                until = client.head_object(Bucket=bucket, Key=name)["ObjectLockRetainUntilDate"]
                assert (until - datetime.now(UTC)).total_seconds() < 90, "a probe is locked for a minute, not for years"
    assert store.read("records/a/dossier").tag == tag


def test_a_bucket_in_another_place_is_found(place: Place) -> None:
    findings = check(place.elsewhere(region="fr-elsewhere"))
    assert lost(findings) >= {f"{role}: on French soil" for role in ROLES}


def test_missing_versions_are_found(place: Place) -> None:
    place.client().put_bucket_versioning(
        Bucket=place.spec.bucket_of("records/"), VersioningConfiguration={"Status": "Suspended"}
    )
    findings = check(place)
    assert lost(findings) == {"records: versions are kept"}
    assert "Suspended" in findings["records: versions are kept"].seen


def test_a_bucket_for_events_without_object_lock_is_found(place: Place) -> None:
    swapped = place.spec.buckets | {"journal/events/": place.spec.bucket_of("records/"), "": "dmp-" + token_hex(6)}
    make_buckets(place.client(), place.spec.region, [swapped[""]], [])
    findings = check(place.elsewhere(buckets=swapped))
    assert {"events: Object Lock", "events: locks refuse deletion and shortening"} <= lost(findings)
    assert findings["events: Object Lock"].seen == "Object Lock is off"


def test_a_default_retention_shorter_than_the_stage_s_is_found(place: Place) -> None:
    findings = check(place, days=DAYS + 1)
    assert lost(findings) == {"events: Object Lock"}
    assert findings["events: Object Lock"].seen == "on, by default COMPLIANCE for 3653 days; 3654 needed"


def test_a_weaker_mode_by_default_is_found(place: Place) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": DAYS}}
    place.client().put_object_lock_configuration(
        Bucket=place.spec.bucket_of("journal/events/"),
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    assert lost(check(place)) == {"events: Object Lock"}


@pytest.mark.parametrize(("action", "what"), [("s3:GetObject", "read"), ("s3:ListBucket", "list")])
def test_a_bucket_that_is_open_to_everybody_is_found(place: Place, action: str, what: str) -> None:
    bucket = place.spec.bucket_of("records/")
    resource = f"arn:aws:s3:::{bucket}/*" if action == "s3:GetObject" else f"arn:aws:s3:::{bucket}"
    statement = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": [action], "Resource": [resource]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    place.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    findings = check(place)
    assert lost(findings) == {"records: closed to the public"}
    assert f"open to everybody: {what}" in findings["records: closed to the public"].seen


def test_a_missing_bucket_is_found_and_the_others_are_looked_at(place: Place) -> None:
    findings = check(place.elsewhere(buckets=place.spec.buckets | {"": "dmp-nowhere"}))
    assert all(name.startswith("records:") for name in lost(findings))
    assert "a bucket of the store does not exist" in findings["records: on French soil"].seen
    assert "records: can be worked with" in lost(findings)


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Place]:
    with moto_place(tmp_path) as place:
        yield place


def test_a_store_that_lets_locks_be_shortened_is_found(moto: Place) -> None:
    """moto does: it plays AWS, and is one of the stores that `stage check` is there to find."""
    own = {"": "dmp-records", "journal/events/": "dmp-events", "journal/log/": "dmp-log"}
    place = moto.elsewhere(buckets=own)
    client: Any = place.client()
    make_buckets(client, "eu-west-3", ["dmp-records"], ["dmp-log"])
    make_buckets(client, "eu-west-3", [], ["dmp-events"], days=DAYS)
    findings = check(place)
    locks = "locks refuse deletion and shortening"
    assert {f"events: {locks}", f"log: {locks}"} <= lost(findings)
    assert "shortening" in findings[f"events: {locks}"].seen
    assert findings["events: on French soil"].seen == "it answers eu-west-3"
    # On a public host, encryption must be set: moto has none until it is.
    assert "records: encryption at rest" in lost(findings)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    client.put_bucket_encryption(Bucket="dmp-records", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert "records: encryption at rest" not in lost(check(place))
