"""The templates under other people's eyes: cfn-lint with AWS's own schemas, and an emulator that builds the stacks.

moto knows part of CloudFormation. What it is spared here is written down, each with its reason; everything else is
deployed as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from fixtures import hosted
from fixtures.moto_stacks import for_moto, with_real_zips
from fixtures.tools import needed_module

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")]

Json = dict[str, Any]
REGION = "eu-west-3"
UNKNOWN_TO_MOTO = {
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGateway::DomainName",
    "AWS::ApiGateway::GatewayResponse",
    "AWS::ApiGateway::Stage",
    "AWS::CloudTrail::Trail",
    "AWS::CloudWatch::Alarm",
    "AWS::Lambda::Alias",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
}
"""It passes over them without a word: cfn-lint and our own tests are what looks at these."""


@pytest.mark.parametrize("name", ["network", "journal", "service"])
def test_cfn_lint_finds_nothing(name: str, tmp_path: Path) -> None:
    needed_module("cfnlint")
    path = tmp_path / f"{name}.template.json"
    path.write_text(json.dumps(hosted.aws_templates()[name]), "utf-8")
    command = [
        shutil.which("cfn-lint") or ".venv/bin/cfn-lint",
        "--regions",
        REGION,
        "--include-checks",
        "I",
        "--template",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=hosted.ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_cfn_lint_would_find_something(tmp_path: Path) -> None:
    needed_module("cfnlint")
    template = hosted.aws_templates()["service"]
    template["Resources"]["Stage"]["Properties"]["Tracing"] = True
    path = tmp_path / "service.template.json"
    path.write_text(json.dumps(template), "utf-8")
    command = [shutil.which("cfn-lint") or ".venv/bin/cfn-lint", "--regions", REGION, "--template", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=hosted.ROOT)
    assert done.returncode != 0
    assert "Tracing" in done.stdout


@pytest.fixture(scope="module")
def cloud() -> Iterator[dict[str, Any]]:
    """The three stacks, deployed in their order."""
    needed_module("openapi_spec_validator")
    with mock_aws():
        clients = {
            name: boto3.client(name, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
            for name in ("cloudformation", "s3", "lambda", "apigateway", "iam", "kms", "logs", "events", "sns", "ec2")
        }
        templates = uploaded(hosted.aws_templates(), clients["s3"])
        outputs: dict[str, str] = {}
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for name in ("network", "journal", "service"):
                outputs |= deploy(clients["cloudformation"], name, for_moto(templates[name]), outputs)
        found = (re.search(r"Tried to parse (\S+) but it's not supported", str(one.message)) for one in told)
        passed_over = {match[1] for match in found if match}
        assert passed_over == UNKNOWN_TO_MOTO
        yield clients


def uploaded(templates: dict[str, Json], s3: Any) -> dict[str, Json]:
    """The templates with the digests of real zips, which are uploaded under them as a deployment would."""
    bucket = hosted.aws_settings().artifacts
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    read, zips = with_real_zips(templates)
    for digest, data in zips.items():
        s3.put_object(Bucket=bucket, Key=f"{digest}.zip", Body=data)
    return read


def deploy(cloudformation: Any, name: str, template: Json, known: dict[str, str]) -> dict[str, str]:
    parameters = [{"ParameterKey": key, "ParameterValue": known[key]} for key in template["Parameters"]]
    cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(template), Parameters=parameters, Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def test_every_resource_that_moto_knows_is_made(cloud: dict[str, Any]) -> None:
    for name, template in hosted.aws_templates().items():
        pages = cloud["cloudformation"].get_paginator("list_stack_resources").paginate(StackName=name)
        made = {one["LogicalResourceId"] for page in pages for one in page["StackResourceSummaries"]}
        expected = {
            logical
            for logical, body in template["Resources"].items()
            if body["Type"] not in UNKNOWN_TO_MOTO and not logical.startswith(("Layer", "Version"))
        }
        assert expected <= made, sorted(expected - made)


def test_the_functions_run_under_roles_of_their_own(cloud: dict[str, Any]) -> None:
    functions = cloud["lambda"].list_functions()["Functions"]
    assert {one["FunctionName"] for one in functions} == {f"dmp-{name}" for name in hosted.functions()}
    for one in functions:
        assert one["Role"].endswith(f":role/{one['FunctionName']}")
        assert one["VpcConfig"]["SubnetIds"]
    for role in cloud["iam"].list_roles()["Roles"]:
        policies = cloud["iam"].list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        assert policies == ["rights"]


def test_the_api_has_every_path(cloud: dict[str, Any]) -> None:
    [api] = cloud["apigateway"].get_rest_apis()["items"]
    items = cloud["apigateway"].get_resources(restApiId=api["id"], limit=500)["items"]
    made = {(method, item["path"]) for item in items for method in item.get("resourceMethods", {})}
    declared = {
        (route.method, route.path.replace("$", "")) for one in hosted.functions().values() for route in one.routes
    }
    assert made == declared


def test_every_key_has_its_alias_and_its_policy(cloud: dict[str, Any]) -> None:
    aliases = {
        one["AliasName"]: one["TargetKeyId"]
        for one in cloud["kms"].list_aliases()["Aliases"]
        if "dmp" in one["AliasName"]
    }
    assert set(aliases) == {f"alias/dmp-{key.value}" for key in hosted.deployment(hosted.AWS).keys}
    for identifier in aliases.values():
        policy: Any = cloud["kms"].get_key_policy(KeyId=identifier, PolicyName="default")["Policy"]
        assert {"Administration", "NotTakenAway"} <= {statement["Sid"] for statement in policy["Statement"]}


def test_the_buckets_are_there(cloud: dict[str, Any]) -> None:
    made = {bucket["Name"] for bucket in cloud["s3"].list_buckets()["Buckets"]}
    assert {"exemple-dmp-records", "exemple-dmp-events", "exemple-dmp-log", "dmp-trail"} <= made
