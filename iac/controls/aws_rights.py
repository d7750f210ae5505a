"""The statements of the templates: which grant too much, and where each role may reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from iac.derive.deployment import Deployment
from iac.derive.keys import PURPOSES
from iac.policies.aws import AwsAccess, Surroundings
from iac.policies.cells import OBJECTS, granted as cells_granted
from iac.policies.language import many
from iac.policies.requests import KEPT, REMOVES, Call
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau_schemas.infrastructure import AwsInfrastructure

Json = Mapping[str, Any]
Templates = Mapping[str, Json]

_INTERFACES: Final = "NetworkInterfaces"
"""The one statement of a role about everything: AWS names no resources for what it allows."""
_STORE, _KEYS = "vpce-00000001", "vpce-00000002"


class Asked:
    """The policies, one call at a time, as functions and tools really call: the ones through the endpoints."""

    PARAMETERS: Final[Mapping[str, str]] = {"StoreEndpoint": _STORE, "KeyEndpoint": _KEYS}

    def __init__(self, access: AwsAccess, deployment: Deployment) -> None:
        self._access = access
        self._region = deployment.region
        self._functions = {function.name for function in deployment.functions}

    def object(self, role: str, call: Call, bucket: str, name: str) -> bool:
        return self._access.allows(role, call, bucket, name, self._around(role, _STORE))

    def key(self, role: str, key: KeyName, operation: KeyOperation) -> bool:
        around = self._around(role, _KEYS)
        contexts = [{"format": "1", "purpose": purpose} for purpose in PURPOSES.get(key, ())] or [{}]
        return any(self._access.allows_key(role, key.value, operation, one, around) for one in contexts)

    def _around(self, role: str, endpoint: str) -> Surroundings:
        return Surroundings(self._region, endpoint if role in self._functions else None)


def by_account(templates: Templates, settings: AwsInfrastructure) -> dict[str, tuple[Json, ...]]:
    """The templates by the account that they are applied in."""
    found: dict[str, tuple[Json, ...]] = {}
    for name, template in templates.items():
        account = settings.journal_account if name == "journal" else settings.account
        found[account] = (*found.get(account, ()), template)
    return found


def every(templates: Templates, kind: str) -> Iterator[tuple[str, Json]]:
    """Every resource of a kind, with its place."""
    for name, template in templates.items():
        for logical, body in template["Resources"].items():
            if body["Type"] == kind:
                yield f"{name}.Resources.{logical}", body


def statements_of(templates: Templates, bucket_place: str) -> list[Json]:
    """The statements of a bucket's policy; none where it has no policy."""
    stack, _, logical = bucket_place.split(".")
    for body in templates[stack]["Resources"].values():
        if body["Type"] == "AWS::S3::BucketPolicy" and body["Properties"]["Bucket"] == {"Ref": logical}:
            return list(body["Properties"]["PolicyDocument"]["Statement"])
    return []


def owners(templates: Templates, settings: AwsInfrastructure) -> dict[str, frozenset[str]]:
    """The trail's bucket counts as an owner of its own: no role may be granted anything in it."""
    trail = f"arn:aws:s3:::{settings.prefix}-trail"
    return {
        _role(body): frozenset(
            "trail" if any(trail in one for one in many(statement["Resource"])) else settings.account
            for held in body["Properties"]["Policies"]
            for statement in held["PolicyDocument"]["Statement"]
            if any(action.startswith("s3:") for action in many(statement["Action"]))
        )
        for _, body in every(templates, "AWS::IAM::Role")
    }


def _role(body: Json) -> str:
    return next(str(tag["Value"]) for tag in body["Properties"]["Tags"] if tag["Key"] == "role")


def removable(access: AwsAccess, deployment: Deployment, settings: AwsInfrastructure) -> Iterator[tuple[str, str]]:
    """Kept versions that a bucket's policy would let a role remove for good whose right that is not.

    It says so by itself, whatever the roles' own policies are made to say one day.
    """
    around = Surroundings(deployment.region, _STORE)
    granted = {(cell.role, cell.what) for cell in cells_granted(deployment) if cell.operation == "delete-versions"}
    for kind, name in OBJECTS.items():
        bucket = deployment.buckets.of_name(name)
        for role, arn in zip(deployment.roles, _role_arns(deployment, settings), strict=True):
            if not name.startswith(KEPT) or (role, kind) in granted or bucket not in access.buckets:
                continue
            if not access.denies(arn, REMOVES, bucket, name, around):
                yield bucket, f"its policy would let {role} remove versions of a {kind} for good"


def broad(templates: Templates, deployment: Deployment, settings: AwsInfrastructure) -> Iterator[tuple[str, str]]:
    """Statements that grant more than what they name, or to somebody who has no role here."""
    for place, body in every(templates, "AWS::IAM::Role"):
        yield from ((place, text) for text in _broad_role(body, deployment, settings))
    for place, body in every(templates, "AWS::KMS::Key"):
        known = {settings.deployer, *_role_arns(deployment, settings)}
        for statement in body["Properties"]["KeyPolicy"]["Statement"]:
            yield from ((place, text) for text in _broad_key(statement, known))
    for place, body in every(templates, "AWS::S3::Bucket"):
        statements = statements_of(templates, place)
        yield from ((place, text) for text in _broad_bucket(statements, body, settings))
    for kind in (
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::User",
        "AWS::KMS::Grant",
        "AWS::S3::AccessPoint",
    ):
        for place, _ in every(templates, kind):
            yield place, "it gives rights beside the roles of the chalicefile"


def _role_arns(deployment: Deployment, settings: AwsInfrastructure) -> list[str]:
    return [f"arn:aws:iam::{settings.account}:role/{settings.prefix}-{role}" for role in deployment.roles]


def _broad_role(body: Json, deployment: Deployment, settings: AwsInfrastructure) -> Iterator[str]:
    for held in body["Properties"]["Policies"]:
        for statement in held["PolicyDocument"]["Statement"]:
            if statement["Effect"] != "Allow" or statement.get("Sid") == _INTERFACES:
                continue
            yield from _broad_right(statement, _role(body), deployment)
    interfaces = [
        action
        for held in body["Properties"]["Policies"]
        for one in held["PolicyDocument"]["Statement"]
        if one.get("Sid") == _INTERFACES
        for action in many(one["Action"])
    ]
    if any(not action.startswith("ec2:") or "*" in action for action in interfaces):
        yield f"{_INTERFACES!r} is for network interfaces only"
    for statement in body["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        who = statement.get("Principal")
        if who == {"Service": "lambda.amazonaws.com"}:
            if statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount") != settings.account:
                yield "a function of another account could be given this role"
        elif who != {"AWS": settings.operators} or "Bool" not in statement.get("Condition", {}):
            yield "somebody could become this role who must not, or without a second factor"


def _broad_right(statement: Json, role: str, deployment: Deployment) -> Iterator[str]:
    told, actions = repr(statement.get("Sid")), many(statement.get("Action", ["*"]))
    if any("*" in action for action in actions):
        yield f"{told} allows actions that it does not name"
    buckets = {f"arn:aws:s3:::{name}/*" for name in deployment.buckets.names}
    if any(one == "*" or one in buckets for one in many(statement.get("Resource", ["*"]))):
        yield f"{told} is about everything"
    writes = {"s3:PutObject", "s3:PutObjectRetention"} & set(actions)
    if writes and not {"Null", "StringEquals"} & set(statement.get("Condition", {})):
        yield f"{told} writes whatever is there already"
    if "s3:ListBucket" in actions and not statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix"):
        yield f"{told} lists every name"
    if _removes_beyond(statement, role, deployment):
        yield f"{told} removes versions for good that are not this role's to remove"


def _removes_beyond(statement: Json, role: str, deployment: Deployment) -> bool:
    """Whether a statement removes versions of others than the marks that the role sweeps, and those it expunges."""
    if REMOVES.action not in many(statement.get("Action", [])):
        return False
    own = {
        f"arn:aws:s3:::{one.bucket}/{name}"
        for one in deployment.store_rights
        if one.role == role and REMOVES.action in one.actions
        for name in one.names
    }
    return not set(many(statement.get("Resource", ["*"]))) <= own


def _broad_key(statement: Json, known: set[str]) -> Iterator[str]:
    if statement["Effect"] != "Allow":
        return
    who = statement.get("Principal")
    if not isinstance(who, dict) or set(who) != {"AWS"} or not set(many(who["AWS"])) <= known:
        yield f"{statement.get('Sid')!r} is for somebody who has no role here"
    if any("*" in action for action in many(statement.get("Action", ["*"]))):
        yield f"{statement.get('Sid')!r} allows actions that it does not name"
    uses = {"kms:Encrypt", "kms:Decrypt", "kms:Sign"} & set(many(statement.get("Action", [])))
    said = statement.get("Condition", {}).get("StringEquals", {})
    if uses & {"kms:Encrypt", "kms:Decrypt"} and not {
        "kms:EncryptionContext:format",
        "kms:EncryptionContext:purpose",
    } <= set(said):
        yield f"{statement.get('Sid')!r} asks for no encryption context"
    if "kms:Sign" in uses and said.get("kms:MessageType") != "DIGEST":
        yield f"{statement.get('Sid')!r} would sign what is no digest"


def _broad_bucket(statements: list[Json], body: Json, settings: AwsInfrastructure) -> Iterator[str]:
    trail = body["Properties"]["BucketName"] == f"{settings.prefix}-trail"
    wanted = {"TlsOnly", "NewTlsOnly"} | (
        {"ReadByAdministratorOnly"}
        if trail
        else {"OurRolesOnly", "FunctionsByEndpointOnly", "RegionOnly", "LocksStay", "VersionsStay"}
    )
    denied = {
        statement.get("Sid")
        for statement in statements
        if statement["Effect"] == "Deny" and statement["Principal"] == "*"
    }
    for missing in sorted(wanted - denied):
        yield f"its policy does not deny what {missing!r} does"
    for statement in statements:
        if statement["Effect"] != "Allow":
            continue
        if any("*" in action for action in many(statement["Action"])):
            yield f"{statement.get('Sid')!r} allows actions that it does not name"
        who = statement["Principal"]
        if who == {"AWS": f"arn:aws:iam::{settings.account}:root"}:
            if "aws:PrincipalArn" not in statement.get("Condition", {}).get("ArnEquals", {}):
                yield f"{statement.get('Sid')!r} is for a whole account"
        elif not trail or who != {"Service": "cloudtrail.amazonaws.com"}:
            yield f"{statement.get('Sid')!r} is for somebody who has no role here"
