"""CloudFormation templates of `iac/aws` as the controls see them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from iac.controls.aws_rights import Asked, Templates, broad, by_account, every, owners, removable, statements_of
from iac.controls.model import Bucket, Code, Door, Key, Logs, Plan, Trail
from iac.controls.walk import texts
from iac.derive.deployment import Deployment
from iac.derive.keys import is_signing
from iac.policies.aws import AwsAccess
from iac.policies.language import many
from sceau.keys.ports import KeyName
from sceau_schemas.infrastructure import AwsInfrastructure

Json = Mapping[str, Any]

_ARN_REGION: Final = re.compile(r"arn:aws:[a-z0-9-]+:([a-z]{2}-[a-z]+-[0-9]):")
_SERVICE_REGION: Final = re.compile(r"com\.amazonaws\.([a-z0-9-]+)\.[a-z0-9]+")
_PACKAGE: Final = re.compile(r"([0-9a-f]{64})\.zip")
_NEW_TLS: Final = ("TLS_1_2",)
_TAKES_AWAY: Final = frozenset({"kms:ScheduleKeyDeletion", "kms:DisableKey"})
_GUARD: Final = "s3:PutBucketPolicy"


def read_plan(templates: Templates, deployment: Deployment, settings: AwsInfrastructure) -> Plan:
    """The plan. Raises PolicyNotUnderstood when it has a policy that can't be read at all."""
    access = AwsAccess(by_account(templates, settings), Asked.PARAMETERS)
    return Plan(
        host="aws",
        owner=settings.account,
        deployer=settings.deployer,
        regions=tuple(_regions(templates)),
        buckets=tuple(_buckets(templates, settings)),
        keys=tuple(_keys(templates)),
        code=tuple(_code(templates, settings)),
        doors=tuple(_doors(templates)),
        logs=tuple(
            Logs(place, body["Properties"].get("RetentionInDays"))
            for place, body in every(templates, "AWS::Logs::LogGroup")
        ),
        trails=tuple(
            Trail(place, body["Properties"]["S3BucketName"], complete=_complete(body["Properties"], deployment))
            for place, body in every(templates, "AWS::CloudTrail::Trail")
        ),
        broad=(*broad(templates, deployment, settings), *removable(access, deployment, settings)),
        texts=tuple(one for name, template in templates.items() for one in texts(template, name)),
        access=Asked(access, deployment),
        owners=owners(templates, settings),
        queues=tuple(
            (place, body["Properties"].get("SqsManagedSseEnabled") is True)
            for place, body in every(templates, "AWS::SQS::Queue")
        ),
    )


def _regions(templates: Templates) -> Iterator[tuple[str, str]]:
    for name, template in templates.items():
        for place, text in texts(template, name):
            for pattern in (_ARN_REGION, _SERVICE_REGION):
                yield from ((place, region) for region in pattern.findall(text))
            if place.endswith("aws:RequestedRegion"):
                yield place, text


def _buckets(templates: Templates, settings: AwsInfrastructure) -> Iterator[Bucket]:
    for place, body in every(templates, "AWS::S3::Bucket"):
        properties = body["Properties"]
        stack = place.split(".")[0]
        statements = statements_of(templates, place)
        lock = properties.get("ObjectLockConfiguration", {})
        retention = lock.get("Rule", {}).get("DefaultRetention", {})
        locked = properties.get("ObjectLockEnabled") is True and lock.get("ObjectLockEnabled") == "Enabled"
        yield Bucket(
            address=place,
            name=properties["BucketName"],
            owner=settings.journal_account if stack == "journal" else settings.account,
            versioned=properties.get("VersioningConfiguration", {}).get("Status") == "Enabled",
            lock_mode=retention.get("Mode") if locked else None,
            lock_days=int(retention.get("Days", 0)),
            encrypted=_encrypted(properties),
            private=_private(properties) and not any(_for_everybody(one) for one in statements),
            expires="LifecycleConfiguration" in properties,
            destroyable=not _retained(body),
            tls_only=_denies(statements, "aws:SecureTransport") and _denies(statements, "s3:TlsVersion"),
            administrators=frozenset(
                who
                for one in statements
                if one["Effect"] == "Deny" and _GUARD in many(one["Action"])
                for who in many(one.get("Condition", {}).get("ArnNotEquals", {}).get("aws:PrincipalArn", []))
            ),
        )


def _encrypted(properties: Json) -> bool:
    rules = properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
    return bool(rules) and all(
        one.get("ServerSideEncryptionByDefault", {}).get("SSEAlgorithm") in ("AES256", "aws:kms") for one in rules
    )


def _private(properties: Json) -> bool:
    blocked = properties.get("PublicAccessBlockConfiguration", {})
    wanted = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    ownership = properties.get("OwnershipControls", {}).get("Rules", [])
    return (
        all(blocked.get(name) is True for name in wanted)
        and "AccessControl" not in properties
        and [one["ObjectOwnership"] for one in ownership] == ["BucketOwnerEnforced"]
    )


def _for_everybody(statement: Json) -> bool:
    return statement["Effect"] == "Allow" and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})


def _retained(body: Json) -> bool:
    return body.get("DeletionPolicy") == "Retain" and body.get("UpdateReplacePolicy") == "Retain"


_TRANSPORT: Final = {
    "aws:SecureTransport": {"Bool": {"aws:SecureTransport": "false"}},
    "s3:TlsVersion": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
}


def _denies(statements: list[Json], key: str) -> bool:
    """Whether a statement refuses everybody everything over what is not TLS, or old TLS."""
    return any(
        one["Effect"] == "Deny"
        and one.get("Principal") == "*"
        and many(one["Action"]) == ("s3:*",)
        and len(many(one["Resource"])) > 1
        and one.get("Condition") == _TRANSPORT[key]
        for one in statements
    )


def _keys(templates: Templates) -> Iterator[Key]:
    for place, body in every(templates, "AWS::KMS::Key"):
        properties = body["Properties"]
        purpose = next(tag["Value"] for tag in properties["Tags"] if tag["Key"] == "purpose")
        signing = is_signing(KeyName(purpose))
        wanted = ("ECC_NIST_P256", "SIGN_VERIFY") if signing else ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
        rotates = properties.get("EnableKeyRotation") is True
        guarded = any(
            one["Effect"] == "Deny" and one.get("Principal") == "*" and set(many(one["Action"])) >= _TAKES_AWAY
            for one in properties["KeyPolicy"]["Statement"]
        )
        yield Key(
            address=place,
            purpose=purpose,
            strong=(properties.get("KeySpec"), properties.get("KeyUsage")) == wanted,
            signing=signing,
            rotation_days=properties.get("RotationPeriodInDays", 365) if rotates else None,
            protected=_retained(body) and guarded and properties.get("PendingWindowInDays", 30) == 30,  # noqa: PLR2004
        )


def _code(templates: Templates, settings: AwsInfrastructure) -> Iterator[Code]:
    versions = {
        body["Properties"]["FunctionName"]["Ref"]: body["Properties"].get("CodeSha256")
        for _, body in every(templates, "AWS::Lambda::Version")
    }
    for place, body in every(templates, "AWS::Lambda::Function"):
        properties = body["Properties"]
        package = _PACKAGE.fullmatch(properties["Code"].get("S3Key", ""))
        digest = base64.b64encode(bytes.fromhex(package[1])).decode() if package else ""
        yield Code(
            address=place,
            function=properties["FunctionName"].removeprefix(f"{settings.prefix}-"),
            artefact=properties["Code"].get("S3Key", ""),
            pinned=bool(digest) and versions.get(place.rpartition(".")[2]) == digest,
            private=True,
        )
    for place, body in every(templates, "AWS::Lambda::LayerVersion"):
        key = body["Properties"]["Content"].get("S3Key", "")
        yield Code(place, "layer", key, pinned=_PACKAGE.fullmatch(key) is not None, private=True)


def _doors(templates: Templates) -> Iterator[Door]:
    for place, body in every(templates, "AWS::ApiGateway::DomainName"):
        yield Door(place, tls=body["Properties"].get("SecurityPolicy") in _NEW_TLS, wanted=True, open=True)
    for place, body in every(templates, "AWS::ApiGateway::RestApi"):
        shut = body["Properties"].get("DisableExecuteApiEndpoint") is True
        yield Door(place, tls=False, wanted=False, open=not shut)
    for kind in ("AWS::Lambda::Url", "AWS::ApiGatewayV2::Api", "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        for place, _ in every(templates, kind):
            yield Door(place, tls=False, wanted=False, open=True)
    for place, body in every(templates, "AWS::EC2::SecurityGroup"):
        for rule in body["Properties"].get("SecurityGroupIngress", ()):
            if rule.get("CidrIp") or rule.get("CidrIpv6"):
                yield Door(place, tls=False, wanted=False, open=True)


def _complete(properties: Json, deployment: Deployment) -> bool:
    """Whether a trail tells every management call and every call on objects of our buckets, and can be believed."""
    wanted = {f"arn:aws:s3:::{name}/" for name in deployment.buckets.names}
    selectors = properties.get("EventSelectors", [])
    told = {value for one in selectors for data in one.get("DataResources", ()) for value in data["Values"]}
    return (
        all(
            properties.get(name) is True
            for name in ("IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents", "EnableLogFileValidation")
        )
        and bool(selectors)
        and all(one.get("IncludeManagementEvents") is True and one.get("ReadWriteType") == "All" for one in selectors)
        and told >= wanted
    )
