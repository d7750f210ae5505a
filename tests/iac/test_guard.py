"""The templates under cfn-guard, by rules of ours: clean as they are, and each rule notices what it is about."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fixtures import hosted
from fixtures.tools import program
from iac.controls.controls import CONTROLS

RULES = hosted.ROOT / "iac" / "aws" / "guard"

Templates = dict[str, dict[str, Any]]
Edit = Callable[[dict[str, Any]], object]


def judged(templates: Templates, folder: Path) -> dict[str, set[str]]:
    """What cfn-guard says of these templates: by `compliant`, `not_compliant`, `not_applicable`, the rules."""
    data = folder / "templates"
    data.mkdir()
    for name, template in templates.items():
        (data / f"{name}.template.json").write_text(json.dumps(template), "utf-8")
    command: list[str | Path] = [program("cfn-guard", hosted.ROOT), "validate", "--rules", RULES, "--data", data]
    command += ["--structured", "--output-format", "json", "--show-summary", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 19), done.stderr
    found: dict[str, set[str]] = {"compliant": set(), "not_compliant": set(), "not_applicable": set()}
    for report in json.loads(done.stdout):
        found["compliant"] |= set(report["compliant"])
        found["not_applicable"] |= set(report["not_applicable"])
        found["not_compliant"] |= {one["Rule"]["name"] for one in report["not_compliant"]}
    assert (done.returncode == 0) == (not found["not_compliant"])
    return {kind: {name.rpartition("/")[2] for name in names} for kind, names in found.items()}


@cache
def text() -> str:
    return json.dumps(hosted.aws_templates())


def synthesised() -> Templates:
    """The sample stage's templates, to be changed at will."""
    made: Templates = json.loads(text())
    return made


def rules() -> set[str]:
    """Every rule that is written."""
    text = "".join(path.read_text("utf-8") for path in RULES.glob("*.guard"))
    return set(re.findall(r"^rule (\w+)", text, re.MULTILINE))


def test_cfn_guard_finds_nothing_and_passes_over_no_rule(tmp_path: Path) -> None:
    found = judged(synthesised(), tmp_path)
    assert found["not_compliant"] == set()
    assert found["compliant"] == rules()


def test_each_rule_is_named_after_a_control() -> None:
    controls = {control.name.replace("-", "_") for control in CONTROLS}
    beside = {"only_by_our_domains": "no_public_access", "no_public_network": "no_public_access"}
    assert {rule for rule in rules() if not beside.get(rule, rule).startswith(tuple(controls))} == set()


def of(kind: str, edit: Edit) -> Callable[[Templates], None]:
    """Edit every resource of a kind."""

    def spoil(templates: Templates) -> None:
        edited = [
            edit(body)
            for template in templates.values()
            for body in template["Resources"].values()
            if body["Type"] == f"AWS::{kind}"
        ]
        assert edited, kind

    return spoil


def put(path: str, value: Any) -> Edit:
    """Set what a path leads to (`0`: the first element of a list); the value GONE takes it out."""

    def edit(body: dict[str, Any]) -> None:
        place: Any = body
        *way, last = path.split("/")
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is GONE:
            place.pop(last, None)
        else:
            place[int(last) if isinstance(place, list) else last] = value

    return edit


GONE = object()
BLOCK = "Properties/PublicAccessBlockConfiguration"
POLICY = "Properties/PolicyDocument/Statement"
LOCK = "Properties/ObjectLockConfiguration"


def appended(path: str, value: Any) -> Edit:
    def edit(body: dict[str, Any]) -> None:
        place: Any = body
        for step in path.split("/"):
            place = place[int(step)] if isinstance(place, list) else place[step]
        place.append(value)

    return edit


def statements_without(condition: str) -> Edit:
    def edit(body: dict[str, Any]) -> None:
        document = body["Properties"]["PolicyDocument"]
        document["Statement"] = [one for one in document["Statement"] if condition not in json.dumps(one)]

    return edit


def on_locked(edit: Edit) -> Edit:
    return lambda body: edit(body) if "ObjectLockEnabled" in body["Properties"] else None


def on_wrapping(edit: Edit) -> Edit:
    return lambda body: edit(body) if body["Properties"]["KeyUsage"] == "ENCRYPT_DECRYPT" else None


def allowed(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::1:role/x"]}, "Action": ["s3:GetObject"], **more}


BUCKET, KEY, ROLE, FUNCTION = "S3::Bucket", "KMS::Key", "IAM::Role", "Lambda::Function"
OWN = "Properties/Policies/0/PolicyDocument/Statement/0"
BROKEN: dict[str, list[tuple[str, Edit]]] = {
    "french_soil": [
        ("ApiGateway::DomainName", put("Properties/RegionalCertificateArn", "arn:aws:acm:us-east-1:1:certificate/x")),
    ],
    "no_public_network": [
        ("EC2::Subnet", put("Properties/MapPublicIpOnLaunch", True)),
        ("EC2::SecurityGroup", put("Properties/SecurityGroupIngress", [{"CidrIp": "0.0.0.0/0"}])),
    ],
    "least_privilege_of_endpoints": [
        ("EC2::VPCEndpoint", put("Properties/PolicyDocument/Statement/0/Condition", GONE)),
        ("EC2::VPCEndpoint", put("Properties/PolicyDocument/Statement/0/Resource", ["*"])),
        ("EC2::VPCEndpoint", put("Properties/PolicyDocument", GONE)),
        ("EC2::VPCEndpoint", put("Properties/ServiceName", "com.amazonaws.us-east-1.s3")),
    ],
    "no_public_access": [
        *((BUCKET, put(f"{BLOCK}/{name}", False)) for name in ("BlockPublicAcls", "BlockPublicPolicy")),
        *((BUCKET, put(f"{BLOCK}/{name}", False)) for name in ("IgnorePublicAcls", "RestrictPublicBuckets")),
        (BUCKET, put(BLOCK, GONE)),
        (BUCKET, put("Properties/AccessControl", "PublicRead")),
        (BUCKET, put("Properties/WebsiteConfiguration", {"IndexDocument": "x"})),
        (BUCKET, put("Properties/OwnershipControls/Rules/0/ObjectOwnership", "ObjectWriter")),
    ],
    "no_public_access_by_policy": [
        ("S3::BucketPolicy", appended(POLICY, allowed(Principal="*"))),
        ("S3::BucketPolicy", appended(POLICY, allowed(Principal={"AWS": "*"}))),
        ("S3::BucketPolicy", appended(POLICY, allowed(Action=["s3:*"]))),
    ],
    "no_public_access_to_functions": [
        ("Lambda::Permission", put("Properties/Principal", "*")),
        ("Lambda::Permission", put("Properties/SourceArn", GONE)),
    ],
    "encryption": [(BUCKET, put("Properties/BucketEncryption", GONE))],
    "encryption_of_queues": [("SQS::Queue", put("Properties/SqsManagedSseEnabled", False))],
    "write_once_audit": [
        (BUCKET, put("Properties/VersioningConfiguration/Status", "Suspended")),
        (BUCKET, put("Properties/LifecycleConfiguration", {"Rules": []})),
        (BUCKET, on_locked(put(f"{LOCK}/Rule/DefaultRetention/Mode", "GOVERNANCE"))),
        (BUCKET, on_locked(put(LOCK, GONE))),
    ],
    "deletion_protection": [
        *((kind, put("DeletionPolicy", "Delete")) for kind in (BUCKET, KEY, "S3::BucketPolicy", "Logs::LogGroup")),
        (KEY, put("UpdateReplacePolicy", GONE)),
    ],
    "tls_floor": [
        ("S3::BucketPolicy", statements_without("aws:SecureTransport")),
        ("S3::BucketPolicy", statements_without("s3:TlsVersion")),
    ],
    "tls_floor_of_domains": [("ApiGateway::DomainName", put("Properties/SecurityPolicy", "TLS_1_0"))],
    "only_by_our_domains": [("ApiGateway::RestApi", put("Properties/DisableExecuteApiEndpoint", False))],
    "key_rotation": [
        (KEY, on_wrapping(put("Properties/EnableKeyRotation", False))),
        (KEY, on_wrapping(put("Properties/RotationPeriodInDays", 2560))),
        (KEY, put("Properties/MultiRegion", True)),
        (KEY, put("Properties/Enabled", False)),
    ],
    "least_privilege_on_keys": [
        (KEY, put("Properties/KeyPolicy/Statement/0/Principal", {"AWS": ["arn:aws:iam::1:root"]})),
        (KEY, put("Properties/KeyPolicy/Statement/0/Principal", "*")),
        (KEY, put("Properties/KeyPolicy/Statement/0/Principal", {"AWS": ["*"]})),
        (KEY, put("Properties/KeyPolicy/Statement/0/Action", ["kms:*"])),
    ],
    "least_privilege": [
        (ROLE, put("Properties/ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"])),
        (ROLE, put(f"{OWN}/Action", ["s3:*"])),
        (ROLE, put(f"{OWN}/Action", ["*"])),
        (ROLE, put(f"{OWN}/NotAction", ["s3:GetObject"])),
        (ROLE, put("Properties/AssumeRolePolicyDocument/Statement/0/Condition", GONE)),
    ],
    "image_by_digest": [
        (FUNCTION, put("Properties/Code/S3Key", "latest.zip")),
        (FUNCTION, put("Properties/ReservedConcurrentExecutions", GONE)),
        (FUNCTION, put("Properties/VpcConfig", GONE)),
        ("Lambda::LayerVersion", put("Properties/Content/S3Key", "latest.zip")),
    ],
    "no_secret_in_plan": [
        (FUNCTION, put("Properties/Environment/Variables/AWS_SECRET_ACCESS_KEY", "x")),
        (FUNCTION, put("Properties/Environment/Variables/SCEAU_SCALEWAY_SECRET_KEY", "x")),
    ],
    "log_retention": [("Logs::LogGroup", put("Properties/RetentionInDays", 30))],
    "log_retention_without_data": [
        ("ApiGateway::Stage", put("Properties/MethodSettings/0/DataTraceEnabled", True)),
        ("ApiGateway::Stage", put("Properties/MethodSettings/0/LoggingLevel", "INFO")),
        ("ApiGateway::Stage", put("Properties/TracingEnabled", True)),
    ],
    "separate_trail_admin": [
        ("CloudTrail::Trail", put("Properties/EnableLogFileValidation", False)),
        ("CloudTrail::Trail", put("Properties/IsLogging", False)),
        ("CloudTrail::Trail", put("Properties/S3BucketName", "exemple-dmp-records")),
    ],
}
"""Of each rule, the lines that it is about, broken one at a time."""


def test_every_rule_is_broken() -> None:
    assert set(BROKEN) == rules()


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_template_fails_by_its_rule(rule: str, tmp_path: Path) -> None:
    for number, (kind, edit) in enumerate(BROKEN[rule]):
        templates = synthesised()
        of(kind, edit)(templates)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert rule in judged(templates, folder)["not_compliant"], f"{rule} ({number}): {kind}"
