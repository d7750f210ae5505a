"""The controls on a stage on AWS: the real templates pass, and each line that a control is about breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fixtures import hosted
from fixtures.mutations import GONE, Line, added, broken, extended, one_more, without
from iac.controls.aws import read_plan
from iac.controls.controls import CONTROLS, Control, judge
from iac.policies.language import PolicyNotUnderstood

DEPLOYMENT = hosted.deployment(hosted.AWS)
TEMPLATES = hosted.aws_templates()
Resources = dict[str, dict[str, Any]]

BUCKET, POLICY, KEY, ROLE = "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::IAM::Role"
FUNCTION, DOMAIN, API = "AWS::Lambda::Function", "AWS::ApiGateway::DomainName", "AWS::ApiGateway::RestApi"
STATEMENTS = "Properties.PolicyDocument.Statement.*"
IRELAND = "eu-west-1"
REMOVES = "s3:DeleteObjectVersion"
ARN = "arn:aws:s3:::exemple-dmp"


def flat(templates: Mapping[str, Any]) -> Resources:
    return {f"{name}.{logical}": body for name, one in templates.items() for logical, body in one["Resources"].items()}


def folded(resources: Resources) -> dict[str, Any]:
    made: dict[str, Any] = {name: {**one, "Resources": {}} for name, one in TEMPLATES.items()}
    for address, body in resources.items():
        name, logical = address.split(".")
        made[name]["Resources"][logical] = body
    return made


def kind_of(_address: str, body: Mapping[str, Any]) -> str:
    return str(body["Type"])


def named(*parts: str) -> Callable[[Mapping[str, Any], Any], bool]:
    return lambda body, _value: any(part in str(body["Properties"].get("BucketName", "")) for part in parts)


def denies(_body: Mapping[str, Any], statement: Any) -> bool:
    return bool(statement["Effect"] == "Deny")


def allows(_body: Mapping[str, Any], statement: Any) -> bool:
    return bool(statement["Effect"] == "Allow")


def sid(*names: str) -> Callable[[Mapping[str, Any], Any], bool]:
    return lambda _body, statement: statement.get("Sid") in names


def moved(text: Any) -> Any:
    return text.replace("eu-west-3", IRELAND) if isinstance(text, str) else text


def store_right(_body: Mapping[str, Any], statement: Any) -> bool:
    return statement["Effect"] == "Allow" and any(action.startswith("s3:") for action in statement["Action"])


def conditioned(body: Mapping[str, Any], statement: Any) -> bool:
    return store_right(body, statement) and "Condition" in statement


def uses_a_key(_body: Mapping[str, Any], statement: Any) -> bool:
    return statement["Sid"] not in ("Administration", "NotTakenAway")


def with_context(_body: Mapping[str, Any], statement: Any) -> bool:
    return any(action in ("kms:Encrypt", "kms:Decrypt") for action in statement["Action"])


def wrapping(body: Mapping[str, Any], _value: Any) -> bool:
    return bool(body["Properties"]["KeyUsage"] == "ENCRYPT_DECRYPT")


def of_the_journal(body: Mapping[str, Any]) -> bool:
    return body["Properties"]["Bucket"]["Ref"] in ("BucketExempleDmpEvents", "BucketExempleDmpLog")


def guarding(body: Mapping[str, Any], statement: Any) -> bool:
    return of_the_journal(body) and statement["Sid"] == "GuardsStay"


def guards(body: Mapping[str, Any], value: Any) -> bool:
    return of_the_journal(body) and isinstance(value, str)


def kept(statement: Any) -> bool:
    """About objects whose earlier versions stay."""
    below = ("records/", "configuration/", "journal/events/", "journal/log/")
    return any(one.partition("/")[2].startswith(below) for one in statement["Resource"])


STAR_ACTION, STAR_RESOURCE = added(Action=["s3:*"]), added(Resource=["*"])
EVERYBODY = {
    "Sid": "Open",
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::exemple-dmp-records/*"],
}

LINES: dict[str, list[Line]] = {
    "french-soil": [
        Line(DOMAIN, "Properties.RegionalCertificateArn", (moved,)),
        Line("AWS::EC2::VPCEndpoint", "Properties.ServiceName", (moved,)),
        Line(POLICY, f"{STATEMENTS}.Condition.StringNotEquals.aws:RequestedRegion", (IRELAND,)),
        Line(
            "AWS::EC2::VPCEndpoint",
            "Properties.PolicyDocument.Statement.*.Resource.*",
            (moved,),
            lambda _b, v: "eu-west-3" in v,
        ),
        Line(
            ROLE,
            "Properties.Policies.*.PolicyDocument.Statement.*.Resource.*",
            (moved,),
            lambda _b, v: "eu-west-3" in v,
        ),
        Line(POLICY, f"{STATEMENTS}.Condition.StringEquals.aws:SourceArn", (moved,)),
    ],
    "write-once-audit": [
        Line(BUCKET, "Properties.VersioningConfiguration.Status", ("Suspended", GONE)),
        Line(BUCKET, "Properties.VersioningConfiguration", (GONE,)),
        Line(BUCKET, "Properties.ObjectLockEnabled", (False, GONE), named("events", "log")),
        Line(BUCKET, "Properties.ObjectLockConfiguration", (GONE,), named("events", "log")),
        Line(
            BUCKET, "Properties.ObjectLockConfiguration.ObjectLockEnabled", ("Disabled", GONE), named("events", "log")
        ),
        Line(
            BUCKET,
            "Properties.ObjectLockConfiguration.Rule.DefaultRetention.Mode",
            ("GOVERNANCE",),
            named("events", "log"),
        ),
        Line(BUCKET, "Properties.ObjectLockConfiguration.Rule.DefaultRetention.Days", (3652, 0), named("events")),
        Line(BUCKET, "Properties", (added(LifecycleConfiguration={"Rules": []}),)),
    ],
    "no-public-access": [
        Line(BUCKET, "Properties.PublicAccessBlockConfiguration", (GONE,)),
        Line(BUCKET, "Properties.PublicAccessBlockConfiguration.*", (False, GONE)),
        Line(BUCKET, "Properties.OwnershipControls", (GONE,)),
        Line(BUCKET, "Properties.OwnershipControls.Rules.*.ObjectOwnership", ("ObjectWriter",)),
        Line(BUCKET, "Properties", (added(AccessControl="PublicRead"),)),
        Line(POLICY, "Properties.PolicyDocument.Statement", (one_more(EVERYBODY),)),
        Line(API, "Properties.DisableExecuteApiEndpoint", (False, GONE)),
        Line(
            "AWS::EC2::SecurityGroup",
            "Properties",
            (added(SecurityGroupIngress=[{"IpProtocol": "tcp", "CidrIp": "0.0.0.0/0"}]),),
        ),
    ],
    "encryption": [
        Line(BUCKET, "Properties.BucketEncryption", (GONE,)),
        Line(BUCKET, "Properties.BucketEncryption.ServerSideEncryptionConfiguration", ([],)),
        Line(
            BUCKET,
            "Properties.BucketEncryption.ServerSideEncryptionConfiguration.*.ServerSideEncryptionByDefault.SSEAlgorithm",
            ("rot13",),
        ),
        Line(KEY, "Properties.KeySpec", ("RSA_2048", "HMAC_256")),
        Line(KEY, "Properties.KeyUsage", ("GENERATE_VERIFY_MAC",)),
        Line(KEY, "", (GONE,)),
        Line("AWS::SQS::Queue", "Properties.SqsManagedSseEnabled", (False, GONE)),
    ],
    "least-privilege": [
        Line(ROLE, "Properties.Policies.*.PolicyDocument.Statement.*", (STAR_ACTION, STAR_RESOURCE, GONE), store_right),
        Line(ROLE, "Properties.Policies.*.PolicyDocument.Statement.*", (without("Condition"),), conditioned),
        Line(
            ROLE,
            "Properties.Policies.*.PolicyDocument.Statement.*",
            (extended("Action", "kms:Decrypt*"), extended("Action", "s3:Put*")),
            allows,
        ),
        Line(ROLE, "Properties.AssumeRolePolicyDocument.Statement.*.Condition", (GONE,)),
        Line(
            ROLE,
            "Properties.AssumeRolePolicyDocument.Statement.*.Principal",
            ({"AWS": "*"}, {"Service": "ec2.amazonaws.com"}),
        ),
        Line(ROLE, "Properties", (added(ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"]),)),
        Line(KEY, "Properties.KeyPolicy.Statement.*", (GONE,), uses_a_key),
        Line(
            KEY,
            "Properties.KeyPolicy.Statement.*.Condition",
            (GONE,),
            lambda body, v: "StringEquals" in v and "kms:EncryptionContext:format" in v["StringEquals"],
        ),
        Line(
            KEY,
            "Properties.KeyPolicy.Statement.*.Condition.StringEquals.kms:EncryptionContext:purpose",
            (GONE, ["another"]),
        ),
        Line(KEY, "Properties.KeyPolicy.Statement.*.Condition.StringEquals.kms:EncryptionContext:format", (GONE, "2")),
        Line(KEY, "Properties.KeyPolicy.Statement.*.Condition.StringEquals.kms:MessageType", (GONE, "RAW")),
        Line(
            KEY,
            "Properties.KeyPolicy.Statement.*",
            (added(Principal="*"), added(Principal={"AWS": "arn:aws:iam::123456789012:root"}), added(Action=["kms:*"])),
            allows,
        ),
        Line(
            KEY,
            "Properties.KeyPolicy.Statement.*.Principal.AWS",
            (one_more("arn:aws:iam::999999999999:role/stranger"),),
        ),
        Line(
            POLICY,
            STATEMENTS,
            (GONE,),
            sid(
                "OurRolesOnly",
                "FunctionsByEndpointOnly",
                "RegionOnly",
                "LocksStay",
                "VersionsStay",
                "ReadByAdministratorOnly",
                "TlsOnly",
                "NewTlsOnly",
            ),
        ),
        # What is kept of records is one function's to remove, and of nothing else anybody's.
        Line(
            ROLE,
            "Properties.Policies.*.PolicyDocument.Statement.*",
            (extended("Action", REMOVES),),
            lambda b, v: store_right(b, v) and REMOVES not in v["Action"] and kept(v),
        ),
        Line(
            ROLE,
            "Properties.Policies.*.PolicyDocument.Statement.*.Resource",
            tuple(one_more(f"{ARN}-{place}") for place in ("records/configuration/*", "events/*", "log/*")),
            lambda b, v: v == [f"{ARN}-records/records/*"] and b["Properties"]["RoleName"].endswith("-expunge"),
        ),
        Line(POLICY, STATEMENTS, (added(Resource=[f"{ARN}-records/x"]),), sid("VersionsStay", "VersionsOfRecordsStay")),
        Line(
            POLICY,
            f"{STATEMENTS}.Condition.ArnNotEquals.aws:PrincipalArn",
            tuple(one_more(f"arn:aws:iam::123456789012:role/dmp-{role}") for role in ("upkeep", "backup")),
            lambda _b, v: v == ["arn:aws:iam::123456789012:role/dmp-expunge"],
        ),
        Line(POLICY, STATEMENTS, (without("Condition"), GONE), sid("VersionsOfRecordsStay")),
        Line(POLICY, f"{STATEMENTS}.Condition", (GONE,), lambda _b, v: "ArnEquals" in v and "StringNotEquals" not in v),
        Line(
            POLICY,
            STATEMENTS,
            (added(Action=["s3:*"]), added(Principal={"AWS": "*"})),
            lambda b, v: v["Effect"] == "Allow",
        ),
    ],
    "tls-floor": [
        Line(DOMAIN, "Properties.SecurityPolicy", ("TLS_1_0", GONE)),
        Line(
            POLICY,
            STATEMENTS,
            (GONE, added(Condition={}), added(Action=["s3:GetObject"]), added(Effect="Allow")),
            sid("TlsOnly", "NewTlsOnly"),
        ),
        Line(POLICY, f"{STATEMENTS}.Condition.NumericLessThan.s3:TlsVersion", ("1.0",)),
        Line(POLICY, f"{STATEMENTS}.Condition.Bool.aws:SecureTransport", ("true",)),
        Line(POLICY, "", (GONE,)),
    ],
    "key-rotation": [
        Line(KEY, "Properties.EnableKeyRotation", (False, GONE)),
        Line(KEY, "Properties.RotationPeriodInDays", (366, 2560, 0)),
    ],
    "deletion-protection": [
        Line(BUCKET, "DeletionPolicy", ("Delete", GONE)),
        Line(BUCKET, "UpdateReplacePolicy", ("Delete", GONE)),
        Line(KEY, "DeletionPolicy", ("Delete", GONE)),
        Line(KEY, "UpdateReplacePolicy", ("Delete", GONE)),
        Line(KEY, "Properties.PendingWindowInDays", (7,)),
        Line(
            KEY,
            "Properties.KeyPolicy.Statement.*",
            (GONE, added(Action=["kms:DisableKey"]), added(Effect="Allow")),
            sid("NotTakenAway"),
        ),
    ],
    "log-retention": [
        Line("AWS::Logs::LogGroup", "Properties.RetentionInDays", (1, 150)),
        Line(BUCKET, "Properties.ObjectLockConfiguration.Rule.DefaultRetention.Days", (3652,), named("trail")),
        Line(BUCKET, "Properties.ObjectLockConfiguration.Rule.DefaultRetention.Mode", ("GOVERNANCE",), named("trail")),
        Line(BUCKET, "Properties.ObjectLockConfiguration", (GONE,), named("trail")),
        Line("AWS::CloudTrail::Trail", "Properties.S3BucketName", ("elsewhere",)),
    ],
    "no-secret-in-plan": [
        Line(
            FUNCTION,
            "Properties.Environment.Variables",
            (added(SCEAU_PIN="1234"), added(DATABASE_PASSWORD="x"), added(X="AKIAIOSFODNN7EXAMPLE")),
        ),
        Line(FUNCTION, "Properties.Description", ("-----BEGIN EC PRIVATE KEY-----", "https://user:secret@example.fr")),
        Line(API, "Properties.Description", ("ghp_" + "a" * 36,)),
    ],
    "image-by-digest": [
        Line(FUNCTION, "Properties.Code.S3Key", ("latest.zip", f"{'0' * 64}.zip", GONE)),
        Line("AWS::Lambda::Version", "Properties.CodeSha256", (GONE, "AAAA")),
        Line("AWS::Lambda::LayerVersion", "Properties.Content.S3Key", ("layer.zip",)),
        Line(FUNCTION, "", (GONE,)),
    ],
    "separate-trail-admin": [
        Line(POLICY, STATEMENTS, (GONE,), guarding),
        Line(
            POLICY,
            f"{STATEMENTS}.Condition.ArnNotEquals.aws:PrincipalArn",
            ("arn:aws:iam::123456789012:role/deployer",),
            guards,
        ),
        Line("AWS::CloudTrail::Trail", "Properties.IsLogging", (False,)),
        Line("AWS::CloudTrail::Trail", "Properties.IsMultiRegionTrail", (False, GONE)),
        Line("AWS::CloudTrail::Trail", "Properties.IncludeGlobalServiceEvents", (False, GONE)),
        Line("AWS::CloudTrail::Trail", "Properties.EnableLogFileValidation", (False, GONE)),
        Line("AWS::CloudTrail::Trail", "Properties.EventSelectors", (GONE, [])),
        Line("AWS::CloudTrail::Trail", "Properties.EventSelectors.*.IncludeManagementEvents", (False,)),
        Line("AWS::CloudTrail::Trail", "Properties.EventSelectors.*.ReadWriteType", ("WriteOnly",)),
        Line("AWS::CloudTrail::Trail", "Properties.EventSelectors.*.DataResources.*.Values.*", (GONE,)),
        Line("AWS::CloudTrail::Trail", "", (GONE,)),
        Line(
            ROLE,
            "Properties.Policies.*.PolicyDocument.Statement",
            (
                one_more(
                    {
                        "Sid": "X",
                        "Effect": "Allow",
                        "Action": ["s3:GetObject"],
                        "Resource": ["arn:aws:s3:::dmp-trail/*"],
                    }
                ),
            ),
        ),
    ],
}


def test_the_templates_as_they_are_pass_every_control() -> None:
    assert judge(read_plan(TEMPLATES, DEPLOYMENT, hosted.aws_settings()), DEPLOYMENT) == []


def test_every_control_has_lines_to_break() -> None:
    assert set(LINES) == {control.name for control in CONTROLS}


def refused(control: Control, templates: dict[str, Any]) -> bool:
    try:
        plan = read_plan(templates, DEPLOYMENT, hosted.aws_settings())
    except PolicyNotUnderstood:
        return control.name == "least-privilege"
    return any(control.findings(plan, DEPLOYMENT))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "least-privilege" else ()) for name in sorted(LINES)]
)
def test_breaking_any_line_that_a_control_is_about_makes_it_fail(name: str, counted: Callable[[int], None]) -> None:
    [control] = [one for one in CONTROLS if one.name == name]
    whole, cases, missed = flat(TEMPLATES), 0, []
    for line in LINES[name]:
        before = cases
        for told, changed in broken(whole, kind_of, line):
            cases += 1
            if not refused(control, folded(changed)):
                missed.append(told)
        assert cases > before, f"{line.kind} {line.path} leads nowhere"
    assert missed == []
    counted(cases)
