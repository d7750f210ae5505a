"""Who holds which right on Scaleway: the plan's IAM and bucket policies against the chalicefile, cell by cell.

Judged by our own evaluator (iac/policies): the host has no emulator. Whether the host itself understands every
element as its documentation says was never seen live.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from fixtures import hosted
from iac.controls.scaleway import read_plan
from iac.policies.cells import OBJECTS, allowed, expected, granted
from iac.policies.requests import FORBIDDEN, Call
from iac.policies.scaleway import ScalewayAccess
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform")]

DEPLOYMENT = hosted.deployment(hosted.SCALEWAY)
ROLES = sorted(DEPLOYMENT.roles)
Resources = dict[str, dict[str, Any]]


@pytest.fixture
def access(resources: Resources) -> ScalewayAccess:
    return ScalewayAccess(resources)


def test_there_is_an_application_for_each_function_and_tool_and_no_other(access: ScalewayAccess) -> None:
    assert list(access.roles) == ROLES
    assert len(set(access.applications.values())) == len(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_an_application_can_do_what_the_chalicefile_grants_and_nothing_else(role: str, resources: Resources) -> None:
    plan = read_plan(resources, DEPLOYMENT, hosted.scaleway_settings())
    wanted = {cell for cell in expected(DEPLOYMENT) if cell.role == role}
    assert wanted
    assert {cell for cell in allowed(DEPLOYMENT, plan.access) if cell.role == role} == wanted


def test_what_the_host_gives_beyond_the_chalicefile_loses_nothing() -> None:
    beyond = {(cell.what, cell.operation) for cell in expected(DEPLOYMENT) - granted(DEPLOYMENT)}
    assert {operation for _, operation in beyond} == {"create", "extend-lock", "public", "describe"}


@pytest.mark.parametrize(("told", "call"), FORBIDDEN)
def test_no_application_can(told: str, call: Call, access: ScalewayAccess) -> None:
    for role, (kind, name) in product(ROLES, OBJECTS.items()):
        assert not access.allows(role, call, DEPLOYMENT.buckets.of_name(name), name), (role, kind)


def test_every_right_on_a_key_names_that_key(access: ScalewayAccess) -> None:
    identifiers = {identifier for identifier, _ in access.keys.values()}
    for rules in access.rules.values():
        for rule in rules:
            if any(name.startswith("KeyManager") for name in rule.sets):
                assert rule.only
                assert rule.only <= identifiers


READS = {"public", "describe"}


def test_an_application_uses_no_key_but_its_own(access: ScalewayAccess) -> None:
    for role, key, operation in product(ROLES, KeyName, KeyOperation):
        # One permission set tells what a key is and gives its public half: neither uses the key.
        alike = READS if operation.value in READS else {operation.value}
        held = bool(alike & set(DEPLOYMENT.roles[role].keys.get(key.value, ())))
        assert access.allows_key(role, key.value, operation) == held


def test_no_application_reaches_the_trail(access: ScalewayAccess) -> None:
    for role in ROLES:
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            assert not access.allows(role, Call(action), "dmp-trail", "audit-trail/x")
        assert not access.allows(role, Call("s3:ListBucket", (("s3:prefix", ""),), on_bucket=True), "dmp-trail", "")


def test_only_who_the_chalicefile_says_lists_a_bucket(access: ScalewayAccess) -> None:
    whole = Call("s3:ListBucket", (("s3:prefix", ""),), on_bucket=True)
    for role, bucket in product(ROLES, DEPLOYMENT.buckets.names):
        assert not access.allows(role, whole, bucket, "")
        assert not access.allows(role, Call("s3:ListBucket", (), on_bucket=True), bucket, "")
