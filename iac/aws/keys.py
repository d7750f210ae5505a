"""KMS keys, one per purpose. Each policy names the roles that may use the key, and for which encryption contexts.

The account's root is no principal: with it, any IAM policy of the account could grant the use of a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from iac.aws.names import KEY_ENDPOINT, Names
from iac.aws.parts import RETAINED, Json, camel, policy, ref, resource, tags
from iac.derive.keys import FORMAT, PURPOSES, KeyRight, is_signing
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation

ACTIONS: Final = {
    KeyOperation.WRAP: ["kms:Encrypt"],
    KeyOperation.UNWRAP: ["kms:Decrypt"],
    KeyOperation.SIGN: ["kms:Sign"],
    KeyOperation.PUBLIC: ["kms:GetPublicKey"],
    KeyOperation.DESCRIBE: ["kms:DescribeKey", "kms:GetKeyRotationStatus"],
}

_ADMINISTRATION: Final = [
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
"""What maintains a key without using it, and without taking it away."""

_TAKES_AWAY: Final = ["kms:DisableKey", "kms:DisableKeyRotation", "kms:ScheduleKeyDeletion"]
_DELETION_DAYS: Final = 30


def logical(key: KeyName) -> str:
    """The key's logical id."""
    return camel("key", key.value)


def key_resources(names: Names) -> dict[str, Json]:
    """Every key and its alias."""
    parts: dict[str, Json] = {}
    for key in names.deployment.keys:
        parts[logical(key)] = resource(
            "AWS::KMS::Key",
            {
                "Description": f"Sceau {names.deployment.stage}: {key.value}",
                "Enabled": True,
                "KeySpec": "ECC_NIST_P256" if is_signing(key) else "SYMMETRIC_DEFAULT",
                "KeyUsage": "SIGN_VERIFY" if is_signing(key) else "ENCRYPT_DECRYPT",
                "KeyPolicy": policy(_statements(names, key)),
                "PendingWindowInDays": _DELETION_DAYS,
                "Tags": tags(names.deployment.stage, purpose=key.value),
                **(
                    {}
                    if is_signing(key)
                    else {"EnableKeyRotation": True, "RotationPeriodInDays": names.settings.key_rotation_days}
                ),
            },
            # A policy may only name principals that are there.
            DependsOn=sorted(camel("role", role) for role in names.deployment.roles),
            **RETAINED,
        )
        parts[camel("alias", key.value)] = resource(
            "AWS::KMS::Alias", {"AliasName": names.alias(key), "TargetKeyId": ref(logical(key))}
        )
    return parts


def _statements(names: Names, key: KeyName) -> Iterator[Json]:
    yield {
        "Sid": "Administration",
        "Effect": "Allow",
        "Principal": {"AWS": [names.settings.deployer]},
        "Action": _ADMINISTRATION,
        "Resource": "*",
    }
    yield {
        "Sid": "NotTakenAway",
        "Effect": "Deny",
        "Principal": "*",
        "Action": _TAKES_AWAY,
        "Resource": "*",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": names.settings.journal_administrator}},
    }
    for right in names.deployment.key_rights():
        if right.key == key:
            yield {
                "Sid": camel(right.role, right.operation.value),
                "Effect": "Allow",
                "Principal": {"AWS": [names.role(right.role)]},
                "Action": ACTIONS[right.operation],
                "Resource": "*",
                **_condition(names, right),
            }


def _condition(names: Names, right: KeyRight) -> Json:
    """What a request must say. Functions also come by the endpoint: a stolen credential is of no use elsewhere."""
    wanted: Json = {}
    match right.operation:
        case KeyOperation.WRAP | KeyOperation.UNWRAP:
            wanted["kms:EncryptionContext:format"] = FORMAT
            wanted["kms:EncryptionContext:purpose"] = sorted(PURPOSES[right.key])
        case KeyOperation.SIGN:
            wanted["kms:SigningAlgorithm"] = "ECDSA_SHA_256"
            wanted["kms:MessageType"] = "DIGEST"
        case KeyOperation.PUBLIC | KeyOperation.DESCRIBE:
            pass
    if right.role in {function.name for function in names.deployment.functions}:
        wanted["aws:SourceVpce"] = ref(KEY_ENDPOINT)
    return {"Condition": {"StringEquals": wanted}} if wanted else {}
