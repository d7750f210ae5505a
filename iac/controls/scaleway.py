"""A Terraform plan of `iac/scaleway` as the controls see it.

What a resource leaves out counts as the provider's own default, which is the weaker one: a container without `privacy`
is public, a key without `unprotected = false` is read as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from iac.controls.model import Bucket, Code, Door, Key, Logs, Plan, Trail
from iac.controls.walk import texts
from iac.derive.deployment import Deployment
from iac.derive.keys import is_signing
from iac.policies.language import many
from iac.policies.requests import REMOVES, Call
from iac.policies.scaleway import ScalewayAccess
from iac.scaleway.inputs import WATCHER
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau_schemas.infrastructure import ScalewayInfrastructure

Values = Mapping[str, Any]
Resources = Mapping[str, Values]

_DIGEST: Final = re.compile(r".+@sha256:[0-9a-f]{64}")
_HOURS: Final = re.compile(r"(\d+)h(?:0m)?(?:0s)?")
# Named here, too: what is granted is held against what may be, not against itself.
_READ_OF_ORGANIZATION: Final = frozenset({"AuditTrailExportRead", "AuditTrailReadOnly", "IAMReadOnly"})
_GUARDS: Final = ("s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning", "s3:PutBucketPolicy")


class _Asked:
    """The policies, one call at a time."""

    def __init__(self, access: ScalewayAccess) -> None:
        self._access = access

    def object(self, role: str, call: Call, bucket: str, name: str) -> bool:
        return self._access.allows(role, call, bucket, name)

    def key(self, role: str, key: KeyName, operation: KeyOperation) -> bool:
        return self._access.allows_key(role, key.value, operation)


def read_plan(resources: Resources, deployment: Deployment, settings: ScalewayInfrastructure) -> Plan:
    """The plan. Raises PolicyNotUnderstood when a policy in it can't be judged."""
    access = ScalewayAccess(resources)
    return Plan(
        host="scaleway",
        owner=settings.project,
        deployer=f"application_id:{settings.deployer}",
        regions=tuple(_regions(resources)),
        buckets=tuple(_buckets(resources)),
        keys=tuple(_keys(resources)),
        code=tuple(_code(resources)),
        doors=tuple(_doors(resources)),
        logs=tuple(_logs(resources)),
        trails=tuple(
            Trail(address, values["name"], complete=True)
            for address, values in _of(resources, "scaleway_object_bucket")
            if values["project_id"] == settings.trail_project
        ),
        broad=tuple(_broad(resources, deployment, settings)),
        texts=tuple(one for address, values in resources.items() for one in texts(values, address)),
        access=_Asked(access),
        owners={
            role: frozenset(
                project
                for rule in access.rules.get(application, ())
                if any(name.startswith("ObjectStorage") for name in rule.sets)
                for project in rule.projects
            )
            for role, application in access.applications.items()
        },
    )


def _of(resources: Resources, kind: str) -> Iterator[tuple[str, Values]]:
    return ((address, values) for address, values in resources.items() if kind in address.split("[")[0].split("."))


def _by_bucket(resources: Resources, kind: str) -> dict[str, Values]:
    return {values["bucket"]: values for _, values in _of(resources, kind)}


def _regions(resources: Resources) -> Iterator[tuple[str, str]]:
    for address, values in resources.items():
        if isinstance(values.get("region"), str):
            yield address, values["region"]
        elif "region" in values:
            yield address, "the provider's default"
    for address, values in _of(resources, "scaleway_edge_services_backend_stage"):
        for backend in values["container_backend_config"]:
            yield address, backend.get("region") or "the provider's default"
    for address, values in _of(resources, "scaleway_container"):
        match = re.match(r"rg\.([a-z0-9-]+)\.scw\.cloud/", values.get("image") or "")
        yield f"{address}.image", match[1] if match else "an unknown registry"


def _buckets(resources: Resources) -> Iterator[Bucket]:
    locks = _by_bucket(resources, "scaleway_object_bucket_lock_configuration")
    encryption = _by_bucket(resources, "scaleway_object_bucket_server_side_encryption_configuration")
    access_lists = _by_bucket(resources, "scaleway_object_bucket_acl")
    policies = _by_bucket(resources, "scaleway_object_bucket_policy")
    for address, values in _of(resources, "scaleway_object_bucket"):
        name = values["name"]
        retention = locks[name]["rule"][0]["default_retention"][0] if name in locks else {}
        statements = json.loads(policies[name]["policy"])["Statement"] if name in policies else []
        yield Bucket(
            address=address,
            name=name,
            owner=values["project_id"],
            versioned=any(one.get("enabled") for one in values.get("versioning") or ()),
            lock_mode=retention.get("mode"),
            lock_days=int(retention.get("days") or 0) + 365 * int(retention.get("years") or 0),
            encrypted=name in encryption and all(_encrypts(rule) for rule in encryption[name]["rule"]),
            private=(
                access_lists.get(name, {}).get("acl") == "private"
                and not any(one["Effect"] == "Allow" and _anybody(one["Principal"]) for one in statements)
            ),
            expires=bool(values.get("lifecycle_rule")),
            destroyable=bool(values.get("force_destroy")),
            tls_only=True,  # the host's policies know no such condition: the client's endpoint is HTTPS (settings)
            administrators=frozenset(
                who for one in statements if _guards(one) for who in many(one["Principal"]["SCW"])
            ),
        )


def _encrypts(rule: Values) -> bool:
    return any(
        one["sse_algorithm"] in ("AES256", "aws:kms")
        for one in rule.get("apply_server_side_encryption_by_default") or ()
    )


def _anybody(principal: Any) -> bool:
    return principal == "*" or "*" in many(principal["SCW"])


def _guards(statement: Values) -> bool:
    return statement["Effect"] == "Allow" and bool(set(_GUARDS) & set(many(statement["Action"])))


def _keys(resources: Resources) -> Iterator[Key]:
    for address, values in _of(resources, "scaleway_key_manager_key"):
        purpose = values["tags"][1]
        signing = is_signing(KeyName(purpose))
        wanted = ("asymmetric_signing", "ec_p256_sha256") if signing else ("symmetric_encryption", "aes_256_gcm")
        periods = [one["rotation_period"] for one in values.get("rotation_policy") or ()]
        hours = _HOURS.fullmatch(periods[0]) if periods else None
        yield Key(
            address=address,
            purpose=purpose,
            strong=(values["usage"], values["algorithm"]) == wanted and values.get("origin") == "scaleway_kms",
            signing=signing,
            rotation_days=int(hours[1]) / 24 if hours else None,
            protected=values.get("unprotected") is False,
        )


def _code(resources: Resources) -> Iterator[Code]:
    for address, values in _of(resources, "scaleway_container"):
        image = values.get("image") or ""
        yield Code(
            address=address,
            function=values["name"],
            artefact=image,
            pinned=_DIGEST.fullmatch(image) is not None,
            private=values.get("privacy") == "private",
        )


def _doors(resources: Resources) -> Iterator[Door]:
    for address, values in _of(resources, "scaleway_container"):
        public = values.get("privacy") != "private"
        yield Door(address, tls=values.get("https_connections_only") is True, wanted=False, open=public)
    heads = {values["head_stage_id"] for _, values in _of(resources, "scaleway_edge_services_head_stage")}
    tls = {
        values["id"]
        for _, values in _of(resources, "scaleway_edge_services_tls_stage")
        if values.get("managed_certificate") or values.get("secrets")
    }
    for address, values in _of(resources, "scaleway_edge_services_dns_stage"):
        behind_tls = values.get("tls_stage_id") in tls and values["id"] in heads
        yield Door(address, tls=behind_tls, wanted=True, open=True)
    for kind in ("scaleway_container_domain", "scaleway_container_token", "scaleway_function", "scaleway_lb"):
        for address, _ in _of(resources, kind):
            yield Door(address, tls=False, wanted=False, open=True)


def _logs(resources: Resources) -> Iterator[Logs]:
    for address, values in _of(resources, "scaleway_cockpit_source"):
        yield Logs(address, values.get("retention_days") or 0)


def _broad(resources: Resources, deployment: Deployment, settings: ScalewayInfrastructure) -> Iterator[tuple[str, str]]:
    """Rules and statements that grant more than what they name, or less than what looking at a stage takes."""
    watching = 0
    for address, values in _of(resources, "scaleway_iam_policy"):
        if not values.get("application_id"):
            yield address, "it is for no application of ours"
        for rule in values["rule"]:
            if _watches(rule, values, resources, settings):
                watching += 1
            elif rule.get("organization_id") or not rule.get("project_ids"):
                yield address, "a rule holds for a whole organisation"
            for name in rule["permission_set_names"]:
                if name.startswith("KeyManager") and not rule.get("condition"):
                    yield address, f"{name} without a condition holds for every key"
    if not watching:
        yield WATCHER, "it can't read back the audit trail's settings and the end dates of API keys"
    yield from _broad_buckets(resources, deployment, settings)
    for address, _ in (*_of(resources, "scaleway_iam_group"), *_of(resources, "scaleway_iam_group_membership")):
        yield address, "a group gives rights that no role of the chalicefile has"
    for kind in deployment.buckets.names:
        if not any(values["bucket"] == kind for _, values in _of(resources, "scaleway_object_bucket_policy")):
            yield kind, "without a policy, IAM opens the bucket to every application of its project"


def _watches(rule: Values, policy: Values, resources: Resources, settings: ScalewayInfrastructure) -> bool:
    """Whether this is the one rule for an organisation that there is: read-only, and for who looks at the stage."""
    applications = {values["id"]: values["tags"][1] for _, values in _of(resources, "scaleway_iam_application")}
    return (
        applications.get(policy.get("application_id")) == WATCHER
        and rule.get("organization_id") == settings.organization
        and not rule.get("project_ids")
        and frozenset(rule["permission_set_names"]) == _READ_OF_ORGANIZATION
    )


def _broad_buckets(
    resources: Resources, deployment: Deployment, settings: ScalewayInfrastructure
) -> Iterator[tuple[str, str]]:
    known = {values["id"] for _, values in _of(resources, "scaleway_iam_application")}
    known |= {settings.deployer, settings.journal_administrator}
    removable = _removable(resources, deployment)
    for address, values in _of(resources, "scaleway_object_bucket_policy"):
        for statement in json.loads(values["policy"])["Statement"]:
            if statement["Effect"] == "Allow":
                yield from ((address, text) for text in _broad_statement(statement, values["bucket"], known))
                if REMOVES.action in many(statement["Action"]) and not _pairs(statement) <= removable:
                    told = repr(statement.get("Sid", "a statement"))
                    yield address, f"{told} removes versions for good that are not this application's to remove"


def _removable(resources: Resources, deployment: Deployment) -> set[tuple[str, str]]:
    """Who may remove versions of what, by the chalicefile: of marks that are swept, and of records by one function."""
    applications = {
        values["tags"][1]: f"application_id:{values['id']}" for _, values in _of(resources, "scaleway_iam_application")
    }
    return {
        (applications.get(one.role, ""), f"{one.bucket}/{name}")
        for one in deployment.store_rights
        if REMOVES.action in one.actions
        for name in one.names
    }


def _pairs(statement: Values) -> set[tuple[str, str]]:
    """Whom a statement names, with each thing that it is about."""
    principal = statement["Principal"]
    who = many(principal["SCW"]) if isinstance(principal, dict) else (str(principal),)
    return {(one, resource) for one in who for resource in many(statement["Resource"])}


def _broad_statement(statement: Values, bucket: str, known: set[str]) -> Iterator[str]:
    sid = statement.get("Sid", "a statement")
    if _anybody(statement["Principal"]):
        yield f"{sid!r} is for everybody"
        return
    strangers = [who for who in many(statement["Principal"]["SCW"]) if who.removeprefix("application_id:") not in known]
    if strangers:
        yield f"{sid!r} is for somebody who has no role here"
    if any("*" in action for action in many(statement["Action"])):
        yield f"{sid!r} allows actions that it does not name"
    if any(resource in ("*", f"{bucket}/*", f"{bucket}*") for resource in many(statement["Resource"])):
        yield f"{sid!r} is about every object"
    lists = "s3:ListBucket" in many(statement["Action"]) and statement.get("Sid") != "administration"
    if lists and not statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix"):
        yield f"{sid!r} lists every name"
