"""What a role may do on AWS: its own policies, the buckets', and the keys'.

Within one account either side may allow and none may deny; across accounts both must allow. A key's policy decides
alone, since it does not name the account's root (AWS KMS developer guide, "Default key policy").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iac.policies.language import PolicyNotUnderstood, Request, about, many, verdict
from iac.policies.requests import Call
from sceau.keys.scoped import KeyOperation

Json = Mapping[str, Any]
Template = Mapping[str, Any]

_KEY_ACTIONS: Final = {
    KeyOperation.WRAP: "kms:Encrypt",
    KeyOperation.UNWRAP: "kms:Decrypt",
    KeyOperation.SIGN: "kms:Sign",
    KeyOperation.PUBLIC: "kms:GetPublicKey",
    KeyOperation.DESCRIBE: "kms:DescribeKey",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a call comes in: from which account, through which endpoint, by which TLS, to which region."""

    region: str
    endpoint: str | None
    tls: str | None = "1.3"

    def context(self, principal: str) -> dict[str, str]:
        """Condition keys that the service fills."""
        known = {
            "aws:principalarn": principal,
            "aws:principalaccount": principal.split(":")[4],
            "aws:requestedregion": self.region,
            "aws:securetransport": "true" if self.tls else "false",
            "aws:principalisawsservice": "false",
        }
        if self.tls:
            known["s3:tlsversion"] = self.tls
        if self.endpoint:
            known["aws:sourcevpce"] = self.endpoint
        return known


class AwsAccess:
    """Who may do what, as the templates say it.

    `templates`: by account, so that what is in another one is known; `parameters`: values of their parameters.
    """

    def __init__(self, templates: Mapping[str, tuple[Template, ...]], parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        self.roles: dict[str, tuple[str, tuple[Json, ...]]] = {}
        self.buckets: dict[str, tuple[str, tuple[Json, ...]]] = {}
        self.keys: dict[str, tuple[Json, ...]] = {}
        self._about: dict[tuple[str, str], tuple[Json, ...]] = {}
        for account, held in templates.items():
            for template in held:
                self._read(account, template["Resources"])

    def _read(self, account: str, resources: Mapping[str, Json]) -> None:
        for body in resources.values():
            properties = body["Properties"]
            match body["Type"]:
                case "AWS::IAM::Role":
                    self._role(account, properties)
                case "AWS::S3::Bucket":
                    self.buckets.setdefault(properties["BucketName"], (account, ()))
                case "AWS::KMS::Key":
                    self.keys[_tag(properties, "purpose")] = self._statements(properties["KeyPolicy"])
        for body in resources.values():
            if body["Type"] == "AWS::S3::BucketPolicy":
                bucket = resources[body["Properties"]["Bucket"]["Ref"]]["Properties"]["BucketName"]
                self.buckets[bucket] = (account, self._statements(body["Properties"]["PolicyDocument"]))

    def _role(self, account: str, properties: Json) -> None:
        if properties.get("ManagedPolicyArns") or properties.get("PermissionsBoundary"):
            raise PolicyNotUnderstood("a role with policies that are not its own")
        statements = [one for held in properties["Policies"] for one in self._statements(held["PolicyDocument"])]
        arn = f"arn:aws:iam::{account}:role/{properties['RoleName']}"
        self.roles[_tag(properties, "role")] = (arn, tuple(statements))

    def _statements(self, document: Json) -> tuple[Json, ...]:
        if document.get("Version") != "2012-10-17":
            raise PolicyNotUnderstood(f"a policy of version {document.get('Version')!r}")
        return tuple(self._resolved(statement) for statement in document["Statement"])

    def _resolved(self, value: Any) -> Any:
        """The value with its parameters filled in. Another intrinsic function in a policy is not understood."""
        if isinstance(value, dict):
            if set(value) == {"Ref"} and value["Ref"] in self._parameters:
                return self._parameters[value["Ref"]]
            if any(key == "Ref" or key.startswith("Fn::") for key in value):
                raise PolicyNotUnderstood(f"{value!r} in a policy")
            return {key: self._resolved(one) for key, one in value.items()}
        return [self._resolved(one) for one in value] if isinstance(value, list) else value

    def allows(self, role: str, call: Call, bucket: str, name: str, around: Surroundings) -> bool:
        """Whether a role may make this call on an object, or on the bucket."""
        principal, own = self.roles[role]
        account, guarding = self.buckets[bucket]
        resource = f"arn:aws:s3:::{bucket}" + ("" if call.on_bucket else f"/{name}")
        request = Request(principal, call.action, resource, {**around.context(principal), **dict(call.context)})
        own, guarding = self._saying(role, own, call.action), self._saying(bucket, guarding, call.action)
        said = (verdict(own, request, None), verdict(guarding, request, _principal))
        if False in said:
            return False
        return all(said) if principal.split(":")[4] != account else any(said)

    def denies(self, principal: str, call: Call, bucket: str, name: str, around: Surroundings) -> bool:
        """Whether the bucket's own policy refuses somebody this call on an object, whatever else allows it."""
        request = Request(principal, call.action, f"arn:aws:s3:::{bucket}/{name}", around.context(principal))
        return verdict(self._saying(bucket, self.buckets[bucket][1], call.action), request, _principal) is False

    def _saying(self, whose: str, statements: tuple[Json, ...], action: str) -> tuple[Json, ...]:
        """The statements about an action, looked for once."""
        found = self._about.get((whose, action))
        if found is None:
            found = self._about[whose, action] = about(statements, action)
        return found

    def allows_key(
        self, role: str, key: str, operation: KeyOperation, context: Mapping[str, str], around: Surroundings
    ) -> bool:
        """Whether a role may do this with the key of that purpose, for this encryption context."""
        principal, _ = self.roles[role]
        filled = {f"kms:encryptioncontext:{name.lower()}": value for name, value in context.items()}
        if operation is KeyOperation.SIGN:
            filled |= {"kms:signingalgorithm": "ECDSA_SHA_256", "kms:messagetype": "DIGEST"}
        return self.may(principal, _KEY_ACTIONS[operation], key, {**around.context(principal), **filled})

    def may(self, principal: str, action: str, key: str, context: Mapping[str, str]) -> bool:
        """Whether any principal may call the key service so."""
        request = Request(principal, action, f"key/{key}", context)
        return verdict(self.keys.get(key, ()), request, _principal) is True


def _principal(element: Any, principal: str) -> bool:
    if element == "*":
        return True
    if not isinstance(element, dict):
        raise PolicyNotUnderstood(f"principal {element!r}")
    if set(element) == {"Service"}:
        return False
    if set(element) != {"AWS"}:
        raise PolicyNotUnderstood(f"principal {element!r}")
    root = f"arn:aws:iam::{principal.split(':')[4]}:root"
    return any(one in ("*", principal, root) for one in many(element["AWS"]))


def _tag(properties: Json, key: str) -> str:
    found: Iterator[str] = (tag["Value"] for tag in properties["Tags"] if tag["Key"] == key)
    return next(found)
