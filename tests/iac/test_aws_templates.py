"""The templates of a stage on AWS, held to the chalicefile both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures import hosted
from iac.aws.functions import Packages
from iac.aws.parts import camel
from iac.aws.templates import templates
from iac.derive.stores import DerivationError
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau_schemas.deployment import parse_chalicefile


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return hosted.aws_templates()


@pytest.fixture(scope="module")
def service(made: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = made["service"]["Resources"]
    return resources


def of(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: body["Properties"] for name, body in resources.items() if body["Type"] == kind}


def routes_of(resources: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Method, path and function of every method of the API, read back from the resources."""
    paths = of(resources, "AWS::ApiGateway::Resource")

    def path(name: str) -> str:
        parent = paths[name]["ParentId"]
        above = path(parent["Ref"]) if "Ref" in parent else ""
        return f"{above}/{paths[name]['PathPart']}"

    functions = {camel("alias", "of", one): one for one in hosted.functions()}
    found = set()
    for method in of(resources, "AWS::ApiGateway::Method").values():
        uri = method["Integration"]["Uri"]["Fn::Sub"]
        [alias] = [name for name in functions if f"${{{name}}}/invocations" in uri]
        found.add((method["HttpMethod"], path(method["ResourceId"]["Ref"]), functions[alias]))
    return found


def test_the_api_has_the_routes_of_the_chalicefile_and_no_others(service: dict[str, Any]) -> None:
    declared = {
        (route.method, route.path, name) for name, function in hosted.functions().items() for route in function.routes
    }
    assert routes_of(service) == declared


def test_every_function_runs_as_the_chalicefile_says(service: dict[str, Any]) -> None:
    functions = {
        body["FunctionName"].removeprefix("dmp-"): body for body in of(service, "AWS::Lambda::Function").values()
    }
    assert set(functions) == set(hosted.functions())
    for name, spec in hosted.functions().items():
        body = functions[name]
        assert (body["MemorySize"], body["Timeout"]) == (spec.memory_mb, spec.timeout_seconds)
        assert body["Handler"] == (f"app.{name}" if spec.schedule else "app.app")
        assert body["Role"] == {"Fn::GetAtt": [camel("role", name), "Arn"]}
        assert body["ReservedConcurrentExecutions"] >= 1
    rates = {
        rule["Name"]: rule["ScheduleExpression"]
        for rule in of(service, "AWS::Events::Rule").values()
        if "ScheduleExpression" in rule
    }
    assert rates == {f"dmp-{name}": spec.schedule.text for name, spec in hosted.functions().items() if spec.schedule}


def test_a_scheduled_function_loses_no_run_in_silence(service: dict[str, Any]) -> None:
    rules = [rule for rule in of(service, "AWS::Events::Rule").values() if "ScheduleExpression" in rule]
    assert rules
    for rule in rules:
        assert all("DeadLetterConfig" in target and "RetryPolicy" in target for target in rule["Targets"])
    alarms = {alarm["AlarmName"] for alarm in of(service, "AWS::CloudWatch::Alarm").values()}
    assert {"dmp-dead-letters", "dmp-upkeep-silent", "dmp-upkeep-errors", "dmp-front-5xx"} <= alarms


def test_only_who_asks_identity_providers_has_a_way_out(service: dict[str, Any]) -> None:
    outward = {
        body["FunctionName"]
        for body in of(service, "AWS::Lambda::Function").values()
        if any("Egress" in subnet["Ref"] for subnet in body["VpcConfig"]["SubnetIds"])
    }
    assert outward == {"dmp-authentication"}


def test_isolated_subnets_have_no_route_to_the_internet(made: dict[str, Any]) -> None:
    network = made["network"]["Resources"]
    routed = {route["RouteTableId"]["Ref"] for route in of(network, "AWS::EC2::Route").values()}
    assert routed
    assert not any("Isolated" in table for table in routed)


def test_two_domains_one_with_client_certificates_and_no_default_address(service: dict[str, Any]) -> None:
    domains = {body["DomainName"]: body for body in of(service, "AWS::ApiGateway::DomainName").values()}
    assert set(domains) == {"dmp.example.fr", "mtls.dmp.example.fr"}
    assert "MutualTlsAuthentication" not in domains["dmp.example.fr"]
    assert domains["mtls.dmp.example.fr"]["MutualTlsAuthentication"]["TruststoreVersion"] == "1"
    [api] = of(service, "AWS::ApiGateway::RestApi").values()
    assert api["DisableExecuteApiEndpoint"] is True
    assert api["BinaryMediaTypes"] == ["*/*"]


def test_the_front_s_own_answers_are_operation_outcomes(service: dict[str, Any]) -> None:
    answers = of(service, "AWS::ApiGateway::GatewayResponse")
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= {body["ResponseType"] for body in answers.values()}
    for body in answers.values():
        outcome = json.loads(body["ResponseTemplates"]["application/json"])
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["severity"] == "error"
        assert body["ResponseParameters"]["gatewayresponse.header.Content-Type"] == "'application/fhir+json'"


def test_the_front_writes_no_request_down(service: dict[str, Any]) -> None:
    [stage] = of(service, "AWS::ApiGateway::Stage").values()
    assert "AccessLogSetting" not in stage
    [settings] = stage["MethodSettings"]
    assert (settings["DataTraceEnabled"], settings["LoggingLevel"], settings["CachingEnabled"]) == (False, "OFF", False)


def test_another_set_of_routes_is_another_deployment() -> None:
    def deployment_of(routes: list[str]) -> str:
        data = hosted.data()
        data["functions"]["traces"]["routes"] += routes
        file = parse_chalicefile(data)
        made = templates(hosted.deployment(hosted.AWS, file), hosted.aws_settings(), hosted.packages())
        [name] = of(made["service"]["Resources"], "AWS::ApiGateway::Deployment")
        return name

    assert deployment_of([]) == deployment_of([])
    assert deployment_of([]) != deployment_of(["GET /fhir/AuditEvent/{resource_id}/$other"])


def test_one_key_per_purpose_and_signing_keys_sign_only(service: dict[str, Any]) -> None:
    keys = {
        next(tag["Value"] for tag in body["Tags"] if tag["Key"] == "purpose"): body["KeyUsage"]
        for body in of(service, "AWS::KMS::Key").values()
    }
    assert keys == {key.value: "SIGN_VERIFY" if key in SIGNING_KEYS else "ENCRYPT_DECRYPT" for key in KeyName}


def test_the_trail_rests_in_a_bucket_of_the_other_stack(made: dict[str, Any]) -> None:
    [trail] = of(made["service"]["Resources"], "AWS::CloudTrail::Trail").values()
    names = {
        stack: {body["BucketName"] for body in of(made[stack]["Resources"], "AWS::S3::Bucket").values()}
        for stack in made
    }
    assert trail["S3BucketName"] in names["journal"]
    assert names["service"] == {"exemple-dmp-records"}


def test_each_stack_s_buckets_are_administered_by_who_applies_it(made: dict[str, Any]) -> None:
    settings = hosted.aws_settings()
    for stack, administrator in (("service", settings.deployer), ("journal", settings.journal_administrator)):
        guards = [
            statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
            for policy in of(made[stack]["Resources"], "AWS::S3::BucketPolicy").values()
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Sid"] == "GuardsStay"
        ]
        assert set(guards) == {administrator}, "else nobody could ever change such a policy again"


def test_policies_are_smaller_than_aws_takes(made: dict[str, Any]) -> None:
    def size(document: object) -> int:
        return len(json.dumps(document, separators=(",", ":")))

    for template in made.values():
        for body in template["Resources"].values():
            properties = body["Properties"]
            match body["Type"]:
                case "AWS::IAM::Role":
                    assert size(properties["Policies"]) < 10_240
                case "AWS::S3::BucketPolicy":
                    assert size(properties["PolicyDocument"]) < 20_480
                case "AWS::KMS::Key":
                    assert size(properties["KeyPolicy"]) < 32_768


def test_the_templates_are_small_enough_and_the_same_each_time(made: dict[str, Any]) -> None:
    assert hosted.aws_templates() == made
    for template in made.values():
        assert len(json.dumps(template)) < 1_000_000
        assert len(template["Resources"]) < 500


def test_a_body_that_lambda_can_t_carry_is_refused() -> None:
    data = hosted.data()
    data["stages"][hosted.AWS]["largest_body_bytes"] = 4194305
    with pytest.raises(DerivationError, match="largest_body_bytes: Lambda carries 4194304 bytes at most"):
        templates(hosted.deployment(hosted.AWS, parse_chalicefile(data)), hosted.aws_settings(), hosted.packages())


def test_a_function_that_was_not_packaged_is_refused() -> None:
    held = hosted.packages()
    few = Packages(held.layer, {name: digest for name, digest in held.functions.items() if name != "ingest"})
    with pytest.raises(DerivationError, match="function 'ingest' was not packaged"):
        templates(hosted.deployment(hosted.AWS), hosted.aws_settings(), few)


def test_a_domain_for_certificates_that_is_no_origin_is_refused() -> None:
    data = hosted.data()
    data["stages"][hosted.AWS]["origins"] = ["https://dmp.example.fr"]
    with pytest.raises(DerivationError, match=r"mutual_tls: mtls\.dmp\.example\.fr is none of the stage's origins"):
        templates(hosted.deployment(hosted.AWS, parse_chalicefile(data)), hosted.aws_settings(), hosted.packages())
