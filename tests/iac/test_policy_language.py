"""The evaluator of ours, on the rules that AWS and Scaleway document."""

from __future__ import annotations

from typing import Any

import pytest

from iac.policies.language import PolicyNotUnderstood, Request, applies, like, verdict
from iac.policies.scaleway import Rule, condition

ME = "arn:aws:iam::123456789012:role/me"


def asked(action: str = "s3:GetObject", resource: str = "arn:aws:s3:::b/k", **context: Any) -> Request:
    return Request(
        ME, action, resource, {name.replace("__", ":").replace("_", "-"): value for name, value in context.items()}
    )


def statement(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", **more}


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("*", "", True),
        ("a*c", "abbc", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("records/*/dossier", "records/x/dossier", True),
        ("records/*/dossier", "records/x/dossiers", False),
        ("records/*/dossier", "records/x/y/dossier", True),  # S3's star passes over slashes
        ("[a]", "a", False),
        ("a*", "a\nb", True),
    ],
)
def test_wildcards(pattern: str, value: str, matches: bool) -> None:
    assert like(pattern, value) is matches


def test_what_nothing_is_about_is_not_allowed() -> None:
    assert verdict([statement()], asked("s3:PutObject"), None) is None


def test_a_denial_wins_whatever_its_place() -> None:
    for statements in ([statement(), statement("Deny")], [statement("Deny"), statement()]):
        assert verdict(statements, asked(), None) is False


def test_actions_are_compared_without_case_and_resources_with_it() -> None:
    assert verdict([statement(Action="S3:getobject")], asked(), None) is True
    assert verdict([statement(Resource="arn:aws:s3:::B/*")], asked(), None) is None


def test_not_action_and_not_resource_turn_the_match_around() -> None:
    other = {"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}
    assert verdict([other], asked(), None) is True
    assert verdict([other], asked("s3:PutObject"), None) is None
    assert verdict([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/*"}], asked(), None) is None


CONDITIONS: list[tuple[dict[str, dict[str, Any]], dict[str, Any], bool]] = [
    ({"StringEquals": {"s3:prefix": ["a", "b"]}}, {"s3__prefix": "b"}, True),
    ({"StringEquals": {"s3:prefix": "a"}}, {"s3__prefix": "A"}, False),
    ({"StringEquals": {"s3:prefix": "a"}}, {}, False),
    ({"StringLike": {"s3:prefix": "a/*"}}, {"s3__prefix": "a/b"}, True),
    ({"StringNotEquals": {"s3:prefix": "a"}}, {"s3__prefix": "b"}, True),
    ({"StringNotEquals": {"s3:prefix": ["a", "b"]}}, {"s3__prefix": "b"}, False),
    ({"StringNotEquals": {"s3:prefix": "a"}}, {}, True),  # a negated operator holds where the key is not there
    ({"StringEqualsIfExists": {"s3:prefix": "a"}}, {}, True),
    ({"StringEqualsIfExists": {"s3:prefix": "a"}}, {"s3__prefix": "b"}, False),
    ({"Null": {"s3:prefix": "true"}}, {}, True),
    ({"Null": {"s3:prefix": "true"}}, {"s3__prefix": ""}, False),
    ({"Null": {"s3:prefix": "false"}}, {"s3__prefix": "x"}, True),
    ({"Bool": {"aws:securetransport": "false"}}, {"aws__securetransport": "false"}, True),
    ({"Bool": {"aws:securetransport": "false"}}, {}, False),
    ({"ArnLike": {"aws:principalarn": "arn:aws:iam::1:role/*"}}, {"aws__principalarn": "arn:aws:iam::1:role/x"}, True),
    ({"ArnNotEquals": {"aws:principalarn": ["a", "b"]}}, {"aws__principalarn": "c"}, True),
    ({"NumericLessThan": {"s3:tlsversion": "1.2"}}, {"s3__tlsversion": "1.1"}, True),
    ({"NumericLessThan": {"s3:tlsversion": "1.2"}}, {"s3__tlsversion": "1.2"}, False),
    ({"NumericGreaterThanEquals": {"s3:days": "10"}}, {"s3__days": "9"}, False),
    ({"NumericLessThanEquals": {"s3:days": "10"}}, {"s3__days": "10"}, True),
    ({"ForAllValues:StringEquals": {"s3:prefix": ["a", "b"]}}, {"s3__prefix": ("a", "b")}, True),
    ({"ForAllValues:StringEquals": {"s3:prefix": ["a"]}}, {"s3__prefix": ("a", "b")}, False),
    ({"ForAllValues:StringEquals": {"s3:prefix": ["a"]}}, {}, True),
    ({"ForAnyValue:StringEquals": {"s3:prefix": ["a"]}}, {"s3__prefix": ("a", "b")}, True),
    ({"ForAnyValue:StringEquals": {"s3:prefix": ["a"]}}, {}, False),
    (
        {"StringEquals": {"s3:prefix": "a", "s3:days": "1"}},
        {"s3__prefix": "a"},
        False,
    ),  # keys of one block: all of them
]


@pytest.mark.parametrize(("wanted", "given", "holds"), CONDITIONS)
def test_conditions(wanted: dict[str, dict[str, Any]], given: dict[str, Any], holds: bool) -> None:
    assert applies(statement(Condition=wanted), asked(**given), None) is holds


@pytest.mark.parametrize(
    "bad",
    [
        {"Effect": "Maybe", "Action": "*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "NotPrincipal": "*"},
        {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"},
        {"Effect": "Allow", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "Resource": {"Ref": "x"}},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"},  # in a role's own policy
    ],
)
def test_what_is_not_understood_is_no_permission(bad: dict[str, Any]) -> None:
    with pytest.raises(PolicyNotUnderstood):
        verdict([bad], asked(aws__SourceIp="10.0.0.1"), None)


def test_a_rule_of_scaleway_holds_for_the_keys_that_it_names() -> None:
    key, other = "0" * 8 + "-0000-4000-8000-" + "0" * 12, "1" * 8 + "-0000-4000-8000-" + "0" * 12
    only = condition(f'resource.id == "{key}"')
    rule = Rule(("KeyManagerKeyDecrypt",), ("project",), only, organization=False)
    assert rule.gives("keys:unwrap", "project", key)
    assert not rule.gives("keys:unwrap", "project", other)
    assert not rule.gives("keys:unwrap", "another", key)
    assert not rule.gives("keys:wrap", "project", key)
    assert not rule.gives("keys:unwrap", "project", None)


@pytest.mark.parametrize(
    "text", ['resource.name == "x"', 'resource.id != "x"', "true", 'resource.id == "x" || !has(resource.id)', ""]
)
def test_a_condition_of_another_form_is_not_understood(text: str) -> None:
    with pytest.raises(PolicyNotUnderstood):
        condition(text)
