"""Who holds which right on AWS: the templates' policies against the chalicefile, cell by cell, and every way around.

No emulator enforces key policies or their encryption contexts, so the policies are judged by our own evaluator
(iac/policies); store rights are also enforced by a real S3 server (test_store_rights_enforced.py).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from fixtures import hosted
from iac.controls.aws_rights import Asked, by_account
from iac.derive.keys import PURPOSES
from iac.policies.aws import AwsAccess, Surroundings
from iac.policies.cells import ASK, OBJECTS, allowed, expected, granted
from iac.policies.requests import FORBIDDEN, Call, calls
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation

INSIDE = Surroundings("eu-west-3", Asked.PARAMETERS["StoreEndpoint"])
AT_KEYS = Surroundings("eu-west-3", Asked.PARAMETERS["KeyEndpoint"])
DEPLOYMENT = hosted.deployment(hosted.AWS)
ROLES = sorted(DEPLOYMENT.roles)
FUNCTIONS = sorted(hosted.functions())


@pytest.fixture(scope="module")
def access() -> AwsAccess:
    return AwsAccess(by_account(hosted.aws_templates(), hosted.aws_settings()), Asked.PARAMETERS)


def test_there_is_a_role_for_each_function_and_tool_and_no_other(access: AwsAccess) -> None:
    assert (
        sorted(access.roles)
        == ROLES
        == sorted([*FUNCTIONS, *hosted.chalicefile().tools_of(hosted.chalicefile().stages[hosted.AWS])])
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_do_what_the_chalicefile_grants_and_nothing_else(role: str, access: AwsAccess) -> None:
    wanted = {cell for cell in expected(DEPLOYMENT) if cell.role == role}
    found = {cell for cell in allowed(DEPLOYMENT, Asked(access, DEPLOYMENT)) if cell.role == role}
    assert wanted
    assert found == wanted


def test_what_the_host_gives_beyond_the_chalicefile_loses_nothing() -> None:
    beyond = {(cell.what, cell.operation) for cell in expected(DEPLOYMENT) - granted(DEPLOYMENT)}
    kinds = {operation for _, operation in beyond}
    assert kinds == {"create", "extend-lock", ASK}
    assert ("event", "create") not in beyond, "an event is created under lock, or not at all"


def listing(prefix: str | None, most: int | None = 1) -> Call:
    given = {"s3:prefix": prefix, "s3:max-keys": None if most is None else str(most)}
    context = tuple(sorted((key, value) for key, value in given.items() if value is not None))
    return Call("s3:ListBucket", context, on_bucket=True)


def listed_in(role: str, name: str) -> bool:
    return any(
        "list" in operations and name.startswith(pattern)
        for pattern, operations in DEPLOYMENT.roles[role].store.items()
    )


@pytest.mark.parametrize("role", FUNCTIONS)
def test_what_a_function_reads_and_may_be_absent_it_can_ask_for_by_its_whole_name_and_by_no_less(
    role: str, access: AwsAccess
) -> None:
    """S3 answers 403 for what is absent to whoever may not list: the adapter asks for a listing of that one name."""
    readable = {cell.what for cell in granted(DEPLOYMENT) if (cell.role, cell.operation) == (role, "read")}
    tried = 0
    for kind, name in OBJECTS.items():
        bucket = DEPLOYMENT.buckets.of_name(name)
        if kind == "document" or listed_in(role, name):
            continue  # a document's name is a dossier's, so it is there
        tried += 1
        assert access.allows(role, listing(name), bucket, name, INSIDE) == (kind in readable), kind
        assert not access.allows(role, listing(name, 2), bucket, name, INSIDE), "one name at a time"
        assert not access.allows(role, listing(name, None), bucket, name, INSIDE)
        parts = name.split("/")
        for above in (None, "", *("/".join(parts[:count]) + "/" for count in range(1, len(parts)))):
            if not (above and listed_in(role, above)):
                assert not access.allows(role, listing(above), bucket, name, INSIDE), f"the names below {above!r}"
    assert tried


@pytest.mark.parametrize("role", FUNCTIONS)
@pytest.mark.parametrize("beginning", ["r", "records", "records/a", f"records/{'a' * 26}", f"records/{'a' * 26}/d"])
def test_no_function_finds_a_record_by_the_beginning_of_its_name(role: str, beginning: str, access: AwsAccess) -> None:
    may = listed_in(role, "records/x")
    bucket = DEPLOYMENT.buckets.of_name("records/x")
    assert access.allows(role, listing(beginning), bucket, "", INSIDE) == (may and beginning.startswith("records/"))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("told", "call"), FORBIDDEN)
def test_no_role_can(told: str, call: Call, role: str, access: AwsAccess) -> None:
    for kind, name in OBJECTS.items():
        assert not access.allows(role, call, DEPLOYMENT.buckets.of_name(name), name, INSIDE), kind


@pytest.mark.parametrize(
    "around",
    [
        replace(INSIDE, endpoint=None),
        replace(INSIDE, endpoint="vpce-0123456789"),
        replace(INSIDE, tls=None),
        replace(INSIDE, tls="1.1"),
        replace(INSIDE, region="us-east-1"),
    ],
    ids=["without the endpoint", "by another endpoint", "without TLS", "with TLS 1.1", "in another region"],
)
def test_a_function_s_credentials_are_of_no_use_elsewhere(around: Surroundings, access: AwsAccess) -> None:
    for role, (kind, name) in product(FUNCTIONS, OBJECTS.items()):
        for operation in StoreOperation:
            for call in calls(operation, name, 3653):
                assert not access.allows(role, call, DEPLOYMENT.buckets.of_name(name), name, around), (
                    role,
                    kind,
                    operation,
                )


def lock(mode: str, days: int) -> tuple[tuple[str, str], ...]:
    return (("s3:object-lock-mode", mode), ("s3:object-lock-remaining-retention-days", str(days)))


ONCE = (("s3:if-none-match", "*"),)
BAD_EVENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "without a lock": ONCE,
    "in governance mode": (*ONCE, *lock("GOVERNANCE", 3653)),
    "for a month": (*ONCE, *lock("COMPLIANCE", 30)),
    "for a thousand years": (*ONCE, *lock("COMPLIANCE", 365000)),
    "over another": lock("COMPLIANCE", 3653),
    "over what it read": (("s3:if-match", '"0"'), *lock("COMPLIANCE", 3653)),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_an_event_is_not_written(name: str, access: AwsAccess) -> None:
    event = OBJECTS["event"]
    good = Call("s3:PutObject", (*ONCE, *lock("COMPLIANCE", 3653)))
    for role in FUNCTIONS:
        assert not access.allows(role, Call("s3:PutObject", BAD_EVENTS[name]), "exemple-dmp-events", event, INSIDE)
    assert access.allows("ingest", good, "exemple-dmp-events", event, INSIDE)


@pytest.mark.parametrize("role", ROLES)
def test_a_key_is_used_for_its_own_purpose_only(role: str, access: AwsAccess) -> None:
    rights = DEPLOYMENT.roles[role].keys
    around = AT_KEYS if role in FUNCTIONS else replace(AT_KEYS, endpoint=None)
    purposes = {purpose for found in PURPOSES.values() for purpose in found}
    for key in set(KeyName) - SIGNING_KEYS:
        for operation in (KeyOperation.WRAP, KeyOperation.UNWRAP):
            for purpose in purposes:
                may = access.allows_key(role, key, operation, {"format": "1", "purpose": purpose}, around)
                held = operation.value in rights.get(key.value, ())
                assert may == (held and purpose in PURPOSES[key]), (key, operation, purpose)
            for context in ({}, {"purpose": min(PURPOSES[key])}, {"format": "2", "purpose": min(PURPOSES[key])}):
                assert not access.allows_key(role, key, operation, context, around)


@pytest.mark.parametrize("role", FUNCTIONS)
def test_a_stolen_credential_opens_nothing_from_outside(role: str, access: AwsAccess) -> None:
    for key, operation in product(KeyName, KeyOperation):
        for purpose in PURPOSES.get(key, {"-"}):
            context = {"format": "1", "purpose": purpose}
            assert not access.allows_key(role, key, operation, context, Surroundings("eu-west-3", None))


@pytest.mark.parametrize("principal", ["deployer", "operators", "somebody"])
def test_who_administers_a_key_can_t_use_it(principal: str, access: AwsAccess) -> None:
    arn = f"arn:aws:iam::123456789012:role/{principal}"
    for key in KeyName:
        for action in (
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:Sign",
            "kms:GenerateDataKey",
            "kms:ReEncryptFrom",
            "kms:CreateGrant",
        ):
            context = {**AT_KEYS.context(arn), "kms:encryptioncontext:format": "1"}
            for purpose in PURPOSES.get(key, {"-"}):
                assert not access.may(arn, action, key, {**context, "kms:encryptioncontext:purpose": purpose})


@pytest.mark.parametrize("action", ["kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DisableKeyRotation"])
def test_nobody_who_deploys_or_runs_can_take_a_key_away(action: str, access: AwsAccess) -> None:
    accounts = ("123456789012", "210987654321")
    for key, account, role in product(KeyName, accounts, ("deployer", "operators", *(f"dmp-{name}" for name in ROLES))):
        arn = f"arn:aws:iam::{account}:role/{role}"
        assert not access.may(arn, action, key, AT_KEYS.context(arn))


def test_the_root_of_the_account_grants_no_use_of_a_key() -> None:
    for template in hosted.aws_templates().values():
        for body in template["Resources"].values():
            if body["Type"] == "AWS::KMS::Key":
                principals: list[Any] = [one["Principal"] for one in body["Properties"]["KeyPolicy"]["Statement"]]
                assert not any(":root" in str(principal) for principal in principals)
