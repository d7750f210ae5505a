"""What an application may do on Scaleway: its IAM policies, and the buckets' own.

IAM allows only: a rule gives permission sets in projects, under a condition (CEL). An object needs IAM *and* the
bucket's policy (hosting.md, section 4).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iac.policies.language import PolicyNotUnderstood, Request, about, like, many, verdict
from iac.policies.requests import Call
from sceau.keys.scoped import KeyOperation

POLICY_VERSION = "2023-04-17"

_SETS: Mapping[str, tuple[str, ...]] = {
    "ObjectStorageObjectsRead": ("s3:GetObject*",),
    "ObjectStorageObjectsWrite": ("s3:PutObject*", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
    "ObjectStorageObjectsDelete": ("s3:DeleteObject*",),
    "ObjectStorageReadOnly": ("s3:Get*", "s3:List*"),
    "ObjectStorageBucketsRead": ("s3:GetBucket*", "s3:ListBucket*"),
    "KeyManagerKeyEncrypt": ("keys:wrap",),
    "KeyManagerKeyDecrypt": ("keys:unwrap",),
    "KeyManagerKeySign": ("keys:sign",),
    "KeyManagerReadOnly": ("keys:public", "keys:describe"),
    "AuditTrailExportRead": (),  # these three: of the organisation, neither an object nor a key
    "AuditTrailReadOnly": (),
    "IAMReadOnly": (),
}
"""What each permission set that we use holds (permission sets of 2026-03-20). Another one is not understood."""

_CONDITION = re.compile(r'resource\.id == "([0-9a-f-]{36})"')


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of an application's policy: what, in which projects, on which resources only (None: all of them)."""

    sets: tuple[str, ...]
    projects: tuple[str, ...]
    only: frozenset[str] | None
    organization: bool

    def gives(self, action: str, project: str, resource: str | None) -> bool:
        """Whether the rule allows an action. `resource`: the key's id; None for an object: no condition holds there."""
        if not self.organization and project not in self.projects:
            return False
        if self.only is not None and (resource is None or resource not in self.only):
            return False
        return any(like(pattern, action) for name in self.sets for pattern in permissions(name))


def permissions(name: str) -> tuple[str, ...]:
    """The actions of a permission set. PolicyNotUnderstood for one that we have no reason to grant."""
    if name not in _SETS:
        raise PolicyNotUnderstood(f"permission set {name}")
    return _SETS[name]


def condition(text: str | None) -> frozenset[str] | None:
    """The resource ids that a CEL condition names: `resource.id == "…"`, joined by `||`. None where there is none."""
    if text is None:
        return None
    found = [_CONDITION.fullmatch(part) for part in text.split(" || ")]
    if not all(found):
        raise PolicyNotUnderstood(f"condition {text!r}")
    return frozenset(match[1] for match in found if match)


@dataclass(frozen=True, slots=True)
class HeldBucket:
    """A bucket as its policy guards it: None where it has none."""

    name: str
    project: str
    policy: Mapping[str, Any] | None


class ScalewayAccess:
    """Who may do what, as a set of Terraform resources says it.

    `resources`: values by address, with every id filled in. Roles are told by the application's second tag.
    """

    def __init__(self, resources: Mapping[str, Mapping[str, Any]]) -> None:
        self.applications: dict[str, str] = {}
        self.rules: dict[str, list[Rule]] = {}
        self.buckets: dict[str, HeldBucket] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        self._about: dict[tuple[str, str], tuple[Mapping[str, Any], ...]] = {}
        policies: dict[str, Mapping[str, Any]] = {}
        for values in _of(resources, "scaleway_iam_application"):
            self.applications[values["tags"][1]] = values["id"]
        for values in _of(resources, "scaleway_iam_policy"):
            self.rules.setdefault(values["application_id"], []).extend(map(_rule, values["rule"]))
        for values in _of(resources, "scaleway_object_bucket_policy"):
            policy = json.loads(values["policy"])
            if policy.get("Version") != POLICY_VERSION:
                raise PolicyNotUnderstood(f"a bucket policy of version {policy.get('Version')!r}")
            policies[values["bucket"]] = policy
        for values in _of(resources, "scaleway_object_bucket"):
            name = values["name"]
            self.buckets[name] = HeldBucket(name, values["project_id"], policies.get(name))
        for values in _of(resources, "scaleway_key_manager_key"):
            self.keys[values["tags"][1]] = (values["id"].rpartition("/")[2], values["project_id"])

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that has an application."""
        return tuple(sorted(self.applications))

    def allows(self, role: str, call: Call, bucket: str, name: str) -> bool:
        """Whether a role's application may make this call on an object, or on the bucket."""
        held = self.buckets[bucket]
        application = self.applications[role]
        if not any(rule.gives(call.action, held.project, None) for rule in self.rules.get(application, ())):
            return False
        if held.policy is None:
            return True  # IAM alone decides
        resource = bucket if call.on_bucket else f"{bucket}/{name}"
        request = Request(f"application_id:{application}", call.action, resource, dict(call.context))
        return verdict(self._saying(held, call.action), request, _principal) is True

    def _saying(self, bucket: HeldBucket, action: str) -> tuple[Mapping[str, Any], ...]:
        """The statements of a bucket's policy about an action, looked for once."""
        found = self._about.get((bucket.name, action))
        if found is None:
            found = self._about[bucket.name, action] = about((bucket.policy or {}).get("Statement", ()), action)
        return found

    def allows_key(self, role: str, key: str, operation: KeyOperation) -> bool:
        """Whether a role's application may do this with the key of that purpose."""
        identifier, project = self.keys[key]
        rules = self.rules.get(self.applications[role], ())
        return any(rule.gives(f"keys:{operation.value}", project, identifier) for rule in rules)


def _principal(element: Any, principal: str) -> bool:
    if element == "*":
        return True
    if not isinstance(element, dict) or set(element) != {"SCW"}:
        raise PolicyNotUnderstood(f"principal {element!r}")
    return any(one in ("*", principal) for one in many(element["SCW"]))


def _of(resources: Mapping[str, Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    return (values for address, values in resources.items() if kind in address.split("[")[0].split("."))


def _rule(values: Mapping[str, Any]) -> Rule:
    return Rule(
        sets=tuple(values["permission_set_names"]),
        projects=tuple(values.get("project_ids") or ()),
        only=condition(values.get("condition")),
        organization=bool(values.get("organization_id")),
    )
