"""Store rights, enforced by a real S3 server: each role's credentials try everything on everybody's objects.

On AWS each role is a user under its own policy; on Scaleway the buckets' policies name the users. Every call that the
chalicefile does not grant must be refused, and every one that it grants must get through. Conditions on writes and
locks are left out (the server never fills them): those are judged by our evaluator, as rights on keys are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fixtures import hosted, store_with_users as users
from iac.derive.deployment import Deployment
from iac.policies.cells import ASK, OBJECTS, expected, folder
from iac.policies.requests import KEPT

pytestmark = pytest.mark.slow

ROLES = sorted(hosted.deployment(hosted.AWS).roles)
DENIED = {"AccessDenied"}
LATER = datetime.now(UTC) + timedelta(days=2)

CALLS: dict[str, Callable[[Any, str, str], object]] = {
    "read": lambda s3, bucket, name: s3.get_object(Bucket=bucket, Key=name),
    "read a version": lambda s3, bucket, name: s3.get_object(
        Bucket=bucket, Key=name, VersionId="01ARZ3NDEKTSV4RRFFQ69G5FAV"
    ),
    "list": lambda s3, bucket, name: s3.list_objects_v2(Bucket=bucket, Prefix=folder(name)),
    "versions": lambda s3, bucket, name: s3.list_object_versions(Bucket=bucket, Prefix=folder(name)),
    "write": lambda s3, bucket, name: s3.put_object(Bucket=bucket, Key=name, Body=b"x", IfNoneMatch="*"),
    "lock": lambda s3, bucket, name: s3.put_object_retention(
        Bucket=bucket, Key=name, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": LATER}, ChecksumAlgorithm="SHA256"
    ),
    "delete": lambda s3, bucket, name: s3.delete_object(Bucket=bucket, Key=name),
    "delete for good": lambda s3, bucket, name: s3.delete_object(
        Bucket=bucket, Key=name, VersionId="01ARZ3NDEKTSV4RRFFQ69G5FAV"
    ),
    "list everything": lambda s3, bucket, name: s3.list_objects_v2(Bucket=bucket),
    "change the policy": lambda s3, bucket, name: s3.delete_bucket_policy(Bucket=bucket),
    "suspend versions": lambda s3, bucket, name: s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
}


def granted(deployment: Deployment, role: str) -> set[tuple[str, str]]:
    """The (kind, call) pairs that must get through: the role's cells, as calls."""
    found = set()
    for cell in expected(deployment):
        if cell.role != role or cell.what.startswith(("key ", "bucket ")):
            continue
        if cell.operation == ASK:
            continue  # a condition on the listed name, which versitygw knows none of: tests/iac/test_aws_rights.py
        match cell.operation:
            case "read":
                calls = ["read"]
            case "list":
                calls = ["list", "versions"]
            case "read-versions":
                calls = ["read a version"]
            case "create" | "replace":
                calls = ["write"]
            case "create-locked":
                calls = ["write", "lock"]
            case "extend-lock":
                calls = ["lock"]
            case "delete-versions":
                calls = ["delete for good"]
            case "delete":
                calls = ["delete" if OBJECTS[cell.what].startswith(KEPT) else "delete for good"]
            case other:
                raise AssertionError(f"no call tries {other}")
        found |= {(cell.what, call) for call in calls}
    return found


def tried(site: users.Site, deployment: Deployment, role: str) -> set[tuple[str, str]]:
    """The (kind, call) pairs that the server let through, whatever it then met."""
    found = set()
    s3 = site.client(role)
    for kind, name in OBJECTS.items():
        for call, attempt in CALLS.items():
            try:
                attempt(s3, deployment.buckets.of_name(name), name)
            except ClientError as error:
                if error.response["Error"]["Code"] in DENIED:
                    continue
            found.add((kind, call))
    return found


def furnish(site: users.Site, deployment: Deployment) -> None:
    """The buckets, and one object of each kind. Those that may be deleted are put there again by nobody."""
    s3 = site.client()
    for bucket in deployment.buckets.names:
        s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=deployment.lock_days(bucket) is not None)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for name in OBJECTS.values():
        s3.put_object(Bucket=deployment.buckets.of_name(name), Key=name, Body=b"of somebody")


@contextmanager
def on_aws(folder: Path) -> Iterator[users.Site]:
    """A server with the roles' users under AWS's synthesised policies, and an object of each kind."""
    with users.running(folder) as site:
        users.make_users(site, ROLES)
        furnish(site, hosted.deployment(hosted.AWS))
        users.grant_as_on_aws(site, hosted.aws_templates()["service"])
        yield site


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[users.Site]:
    with on_aws(tmp_path_factory.mktemp("aws")) as site:
        yield site


@pytest.fixture(scope="module")
def scaleway(resources_text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[users.Site]:
    resources: dict[str, dict[str, Any]] = json.loads(resources_text)
    applications = {
        f"application_id:{values['id']}": values["tags"][1]
        for address, values in resources.items()
        if ".scaleway_iam_application." in address
    }
    with users.running(tmp_path_factory.mktemp("scaleway")) as site:
        users.make_users(site, ROLES)
        furnish(site, hosted.deployment(hosted.SCALEWAY))
        for address, values in resources.items():
            if ".scaleway_object_bucket_policy." in address:
                statements = [
                    translated(one, applications)
                    for one in json.loads(values["policy"])["Statement"]
                    if one["Effect"] == "Allow" and one["Principal"]["SCW"][0] in applications
                ]
                site.client().put_bucket_policy(Bucket=values["bucket"], Policy=users.as_document(statements))
        yield site


def translated(statement: dict[str, Any], applications: dict[str, str]) -> dict[str, Any]:
    """Scaleway's way of writing a statement, in AWS's."""
    return {
        **statement,
        "Principal": {"AWS": [users.user_arn(applications[one]) for one in statement["Principal"]["SCW"]]},
        "Resource": [f"arn:aws:s3:::{one}" for one in statement["Resource"]],
    }


@pytest.mark.parametrize("role", ROLES)
def test_on_aws_a_role_gets_through_with_what_it_holds_and_nothing_else(
    role: str, aws: users.Site, counted: Callable[[int], None]
) -> None:
    deployment = hosted.deployment(hosted.AWS)
    assert tried(aws, deployment, role) == granted(deployment, role)
    counted(len(OBJECTS) * len(CALLS))


@pytest.mark.xdist_group("terraform")
@pytest.mark.parametrize("role", ROLES)
def test_on_scaleway_an_application_gets_through_with_what_it_holds_and_nothing_else(
    role: str, scaleway: users.Site, counted: Callable[[int], None]
) -> None:
    deployment = hosted.deployment(hosted.SCALEWAY)
    assert tried(scaleway, deployment, role) == granted(deployment, role)
    counted(len(OBJECTS) * len(CALLS))


def test_what_was_refused_is_as_it_was(tmp_path: Path) -> None:
    """On a server of its own: roles that may delete have done so elsewhere."""
    deployment = hosted.deployment(hosted.AWS)
    with on_aws(tmp_path) as site:
        for role in ("ingest", "journal", "authentication"):
            tried(site, deployment, role)
        for kind in ("dossier", "event", "log", "configuration", "pseudonym", "log seed"):
            name = OBJECTS[kind]
            kept = site.client().get_object(Bucket=deployment.buckets.of_name(name), Key=name)["Body"].read()
            assert kept == b"of somebody", kind


def test_a_stranger_gets_nothing(aws: users.Site) -> None:
    deployment = hosted.deployment(hosted.AWS)
    aws.users["stranger"] = ("AKIAAAAAAAAAAAAAAAAA", "x" * 40)
    s3 = aws.client("stranger")
    for name in OBJECTS.values():
        with pytest.raises(ClientError):
            s3.get_object(Bucket=deployment.buckets.of_name(name), Key=name)
