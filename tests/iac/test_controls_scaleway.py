"""The controls on a stage on Scaleway: the real plan passes, and each line that a control is about breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fixtures import hosted
from fixtures.mutations import GONE, Line, added, broken, extended, one_more, without
from iac.controls.controls import CONTROLS, Control, judge
from iac.controls.scaleway import read_plan
from iac.policies.language import PolicyNotUnderstood

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform")]

DEPLOYMENT = hosted.deployment(hosted.SCALEWAY)
Resources = dict[str, dict[str, Any]]

BUCKET, LOCK, POLICY = (
    "scaleway_object_bucket",
    "scaleway_object_bucket_lock_configuration",
    "scaleway_object_bucket_policy",
)
ACL, ENCRYPTION = "scaleway_object_bucket_acl", "scaleway_object_bucket_server_side_encryption_configuration"
KEY, CONTAINER, IAM = "scaleway_key_manager_key", "scaleway_container", "scaleway_iam_policy"
TLS, DNS, HEAD = (
    "scaleway_edge_services_tls_stage",
    "scaleway_edge_services_dns_stage",
    "scaleway_edge_services_head_stage",
)
STRANGER = {"SCW": ["application_id:99999999-9999-4999-8999-999999999999"]}
REGIONAL = (
    BUCKET,
    LOCK,
    POLICY,
    ACL,
    ENCRYPTION,
    KEY,
    CONTAINER,
    "scaleway_container_namespace",
    "scaleway_container_trigger",
    "scaleway_cockpit_source",
    "scaleway_cockpit_alert_manager",
)


def kind_of(address: str, _values: Any) -> str:
    return next(part for part in address.split("[", maxsplit=1)[0].split(".") if part.startswith("scaleway_"))


def on(*names: str) -> Callable[[Mapping[str, Any], Any], bool]:
    return lambda values, _value: any(name in str(values.get("bucket") or values.get("name")) for name in names)


def right(_values: Mapping[str, Any], statement: Any) -> bool:
    return bool(statement["Effect"] == "Allow" and statement["Sid"] != "administration")


def listing(_values: Mapping[str, Any], statement: Any) -> bool:
    return right(_values, statement) and "s3:ListBucket" in statement["Action"]


REMOVES = "s3:DeleteObjectVersion"


def kept(statement: Any) -> bool:
    """About objects whose earlier versions stay."""
    below = ("records/", "configuration/", "journal/events/", "journal/log/")
    return any(one.partition("/")[2].startswith(below) for one in statement["Resource"])


def denial(_values: Mapping[str, Any], statement: Any) -> bool:
    return bool(statement["Effect"] == "Deny")


def administration(values: Mapping[str, Any], statement: Any) -> bool:
    return bool(statement["Sid"] == "administration" and values["bucket"] != "exemple-dmp-records")


def wraps(values: Mapping[str, Any], _value: Any) -> bool:
    return bool(values["usage"] == "symmetric_encryption")


LINES: dict[str, list[Line]] = {
    "french-soil": [
        *(Line(kind, "region", ("nl-ams", "pl-waw", "it-mil", None)) for kind in REGIONAL),
        Line("scaleway_edge_services_backend_stage", "container_backend_config.*.region", ("nl-ams", None)),
        Line(CONTAINER, "image", (f"rg.nl-ams.scw.cloud/x/y@sha256:{'a' * 64}", f"example.com/x@sha256:{'a' * 64}")),
    ],
    "write-once-audit": [
        Line(BUCKET, "versioning.*.enabled", (False, None)),
        Line(BUCKET, "versioning", ([],)),
        Line(BUCKET, "lifecycle_rule", ([{"enabled": True, "expiration": [{"days": 1}]}],)),
        Line(LOCK, "rule.*.default_retention.*.mode", ("GOVERNANCE",), on("events", "log")),
        Line(LOCK, "rule.*.default_retention.*.days", (3652, 0), on("events")),
        Line(LOCK, "rule.*.default_retention.*.days", (0,), on("log")),
        Line(LOCK, "", (GONE,), on("events", "log")),
        Line(BUCKET, "", (GONE,), on("events", "log")),
        Line(POLICY, "policy.Statement.*", (GONE,), lambda v, s: on("events")(v, s) and denial(v, s)),
    ],
    "no-public-access": [
        Line(ACL, "acl", ("public-read", "authenticated-read"), on("records", "events", "log", "trail")),
        Line(ACL, "", (GONE,)),
        Line(POLICY, "policy.Statement.*", (added(Principal="*"), added(Principal={"SCW": "*"})), right),
        Line(CONTAINER, "privacy", ("public", None)),
    ],
    "encryption": [
        Line(ENCRYPTION, "", (GONE,)),
        Line(ENCRYPTION, "rule.*.apply_server_side_encryption_by_default.*.sse_algorithm", ("rot13",)),
        Line(ENCRYPTION, "rule.*.apply_server_side_encryption_by_default", ([],)),
        Line(KEY, "usage", ("asymmetric_encryption",)),
        Line(KEY, "algorithm", ("rsa_oaep_2048_sha256", "aes_128_gcm")),
        Line(KEY, "origin", ("external", None)),
        Line(KEY, "", (GONE,)),
    ],
    "least-privilege": [
        Line(
            IAM,
            "rule.*",
            (
                added(permission_set_names=["AllProductsFullAccess"]),
                added(project_ids=[], organization_id="00000000-0000-4000-8000-000000000000"),
            ),
            lambda _, rule: bool(rule["project_ids"]),
        ),
        Line(
            IAM,
            "rule.*",
            (
                added(permission_set_names=["IAMManager"]),
                added(permission_set_names=["AuditTrailReadOnly"]),
                added(organization_id="99999999-9999-4999-8999-999999999999"),
                added(organization_id=None),
            ),
            lambda _, rule: bool(rule["organization_id"]),
        ),
        Line(
            IAM, "rule.*.permission_set_names", (one_more("KeyManagerFullAccess"), one_more("ObjectStorageFullAccess"))
        ),
        Line(IAM, "rule.*.condition", (None, 'resource.name == "x"', "true")),
        Line(IAM, "rule.*", (GONE,)),
        Line(IAM, "application_id", (None, "99999999-9999-4999-8999-999999999999")),
        Line(
            POLICY,
            "policy.Statement.*",
            (added(Action=["s3:*"]), added(Action="*"), added(Principal="*"), added(Principal=STRANGER), GONE),
            right,
        ),
        Line(
            POLICY,
            "policy.Statement.*",
            (extended("Action", "s3:DeleteObjectVersion"),),
            lambda v, s: right(v, s) and "s3:DeleteObject" in s["Action"],
        ),
        Line(
            POLICY,
            "policy.Statement.*",
            (extended("Action", REMOVES),),
            lambda v, s: right(v, s) and REMOVES not in s["Action"] and kept(s),
        ),
        Line(
            POLICY,
            "policy.Statement.*",
            (
                extended("Resource", "exemple-dmp-records/configuration/*"),
                extended("Resource", "exemple-dmp-records/*"),
                added(Principal=STRANGER),
                GONE,
            ),
            lambda v, s: right(v, s) and s["Sid"].startswith("expunge delete-versions"),
        ),
        Line(
            POLICY,
            "policy.Statement.*",
            (extended("Action", "s3:PutObjectAcl"),),
            lambda v, s: right(v, s) and "s3:PutObject" in s["Action"],
        ),
        Line(POLICY, "policy.Statement.*", (without("Condition"),), listing),
        Line(POLICY, "policy.Statement.*", (GONE, added(Effect="Allow")), denial),
        Line(POLICY, "policy.Statement.*.Condition.Null", ({"s3:if-none-match": "false"},)),
        Line(POLICY, "", (GONE,)),
    ],
    "tls-floor": [
        Line(CONTAINER, "https_connections_only", (False, None)),
        Line(TLS, "managed_certificate", (False,)),
        Line(TLS, "", (GONE,)),
        Line(DNS, "tls_stage_id", ("another",)),
        Line(DNS, "", (GONE,)),
        Line(HEAD, "head_stage_id", ("another",)),
        Line(HEAD, "", (GONE,)),
    ],
    "key-rotation": [
        Line(KEY, "rotation_policy", ([],), wraps),
        Line(KEY, "rotation_policy.*.rotation_period", ("8784h0m0s", "876000h", "soon", "0h0m0s"), wraps),
    ],
    "deletion-protection": [
        Line(BUCKET, "force_destroy", (True,)),
        Line(KEY, "unprotected", (True, None)),
    ],
    "log-retention": [
        Line("scaleway_cockpit_source", "retention_days", (7, 179)),
        Line(LOCK, "rule.*.default_retention.*.days", (3652,), on("trail")),
        Line(LOCK, "rule.*.default_retention.*.mode", ("GOVERNANCE",), on("trail")),
        Line(LOCK, "", (GONE,), on("trail")),
    ],
    "no-secret-in-plan": [
        Line(
            CONTAINER,
            "environment_variables",
            (added(AWS_SECRET_ACCESS_KEY="x"), added(SCEAU_FRONT_SECRET="y"), added(X="SCWABCDEFGHIJ0123456789"[:20])),
        ),
        Line(CONTAINER, "", (added(secret_environment_variables={"AWS_SECRET_ACCESS_KEY": "x"}),)),
        Line("scaleway_container_trigger", "cron.*.headers", (added(Authorization="Basic https://u:p@example.fr"),)),
        Line(CONTAINER, "description", ("-----BEGIN PRIVATE KEY-----",)),
    ],
    "image-by-digest": [
        Line(
            CONTAINER,
            "image",
            (
                "rg.fr-par.scw.cloud/exemple-dmp/sceau:latest",
                f"rg.fr-par.scw.cloud/exemple-dmp/sceau@sha256:{'0' * 64}",
                None,
            ),
        ),
        Line(CONTAINER, "", (GONE,)),
    ],
    "separate-trail-admin": [
        Line(BUCKET, "project_id", ("11111111-1111-4111-8111-111111111111",), on("events", "log", "trail")),
        Line(
            POLICY,
            "policy.Statement.*",
            (GONE, added(Principal={"SCW": ["application_id:44444444-4444-4444-8444-444444444444"]})),
            administration,
        ),
        Line(BUCKET, "", (GONE,), on("trail")),
        Line(
            IAM,
            "rule.*",
            (
                added(
                    permission_set_names=["ObjectStorageObjectsRead"],
                    project_ids=["33333333-3333-4333-8333-333333333333"],
                    condition=None,
                ),
            ),
        ),
    ],
}


def refused(control: Control, resources: Resources) -> bool:
    try:
        plan = read_plan(resources, DEPLOYMENT, hosted.scaleway_settings())
    except PolicyNotUnderstood:
        return control.name == "least-privilege"
    return any(control.findings(plan, DEPLOYMENT))


def test_the_plan_as_it_is_passes_every_control(resources: Resources) -> None:
    assert judge(read_plan(resources, DEPLOYMENT, hosted.scaleway_settings()), DEPLOYMENT) == []


def test_every_control_has_lines_to_break() -> None:
    assert set(LINES) == {control.name for control in CONTROLS}


@pytest.mark.parametrize("name", sorted(LINES))
def test_breaking_any_line_that_a_control_is_about_makes_it_fail(
    name: str, resources: Resources, counted: Callable[[int], None]
) -> None:
    [control] = [one for one in CONTROLS if one.name == name]
    cases, missed = 0, []
    for line in LINES[name]:
        before = cases
        for told, changed in broken(resources, kind_of, line):
            cases += 1
            if not refused(control, changed):
                missed.append(told)
        assert cases > before, f"{line.kind} {line.path} leads nowhere"
    assert missed == []
    counted(cases)
