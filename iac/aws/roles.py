"""One role per function and per tool, with the chalicefile's rights on the store and nothing else.

Rights on keys stand in the keys' own policies, which name these roles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from iac.aws.names import Names
from iac.aws.parts import Json, allow, camel, policy, resource, tags
from iac.aws.storage import statement_of
from sceau.objects.scoped import covers_all

_INTERFACES: Final = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
"""What the Lambda service does with a function's role to put it into the network. AWS names no resources for it."""


_MAY_BE_ABSENT: Final = {"records/": "records/*/dossier"}
"""Of all that is read there, what may not be there: a document's name comes from a dossier, so it is."""


def role_resources(names: Names) -> dict[str, Json]:
    """Every role."""
    functions = {function.name for function in names.deployment.functions}
    return {
        camel("role", role): resource(
            "AWS::IAM::Role",
            {
                "RoleName": names.of(role),
                "Description": f"Sceau {names.deployment.stage}: {'function' if role in functions else 'tool'} {role}",
                "MaxSessionDuration": 3600,
                "AssumeRolePolicyDocument": policy([_trust(names, is_function=role in functions)]),
                "Policies": [
                    {
                        "PolicyName": "rights",
                        "PolicyDocument": policy(_statements(names, role, is_function=role in functions)),
                    }
                ],
                "Tags": tags(names.deployment.stage, role=role),
            },
        )
        for role in names.deployment.roles
    }


def _trust(names: Names, *, is_function: bool) -> Json:
    statement: Json = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    if is_function:
        # Only for functions of this account: no other service's function can be handed this role.
        return {
            **statement,
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": names.settings.account}},
        }
    return {
        **statement,
        "Principal": {"AWS": names.settings.operators},
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    }


def _absence(names: Names, role: str) -> Iterator[Json]:
    """Who reads what may not be there can ask whether it is: by its whole name, one name at a time, never a folder.

    S3 answers 403 for what is absent to whoever may not list; the adapter then asks for a listing of that one name.
    """
    grants = names.deployment.roles[role].store
    listed = [pattern for pattern, operations in grants.items() if "list" in operations]
    found: dict[str, list[str]] = {}
    for pattern, operations in sorted(grants.items()):
        if "read" in operations and not any(covers_all(one, pattern.split("*")[0]) for one in listed):
            whole = _MAY_BE_ABSENT.get(pattern) or (f"{pattern}?*" if pattern.endswith("/") else pattern)
            for bucket in names.deployment.buckets.of_pattern(pattern):
                found.setdefault(bucket, []).append(whole)
    for index, (bucket, prefixes) in enumerate(sorted(found.items())):
        condition = {
            "StringLike": {"s3:prefix": prefixes},
            "StringNotLike": {"s3:prefix": "*/"},
            "NumericLessThanEquals": {"s3:max-keys": "1"},
        }
        yield allow(camel(role, "absence", str(index)), ["s3:ListBucket"], [names.bucket(bucket)], condition)


def _statements(names: Names, role: str, *, is_function: bool) -> Iterator[Json]:
    own = [one for one in names.deployment.store_rights if one.role == role]
    for index, one in enumerate(own):
        yield statement_of(names, one, index)
    yield from _absence(names, role)
    if is_function:
        region, account = names.deployment.region, names.settings.account
        group = f"arn:aws:logs:{region}:{account}:log-group:{names.log_group(role)}:*"
        yield allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], [group])
        yield allow("NetworkInterfaces", _INTERFACES, ["*"])
        # The service uses that, the code has no reason to (AWS Lambda developer guide, "Network interfaces").
        own_code = {
            "ArnEquals": {"lambda:SourceFunctionArn": f"arn:aws:lambda:{region}:{account}:function:{names.of(role)}"}
        }
        yield {**allow("NotByItsCode", _INTERFACES, ["*"], own_code), "Effect": "Deny"}
        if any(function.every for function in names.deployment.functions if function.name == role):
            yield allow(
                "DeadLetters", ["sqs:SendMessage"], [f"arn:aws:sqs:{region}:{account}:{names.of('dead-letters')}"]
            )
