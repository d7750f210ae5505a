"""The front: a REST API whose every method leads to one function, its two domains, and its own answers.

Explicit resources and methods, not Chalice's swagger: each app has a swagger of its own (2.0, so five APIs to merge),
and what is written out here can be linted, compared in a change set, and deployed into an emulator.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Final

from iac.aws.functions import live
from iac.aws.names import Names
from iac.aws.parts import Json, attribute, camel, ref, resource, sub, tags
from iac.derive.deployment import Function

STAGE: Final = "v1"
_RATE: Final = 200
_BURST: Final = 400
_FHIR_JSON: Final = "'application/fhir+json'"

_ANSWERS: Final = {
    "MISSING_AUTHENTICATION_TOKEN": (404, "not-found", "there is nothing at this address"),
    "REQUEST_TOO_LARGE": (413, "too-long", "the body is larger than this stage takes"),
    "THROTTLED": (429, "throttled", "too many requests; send it again later"),
    "QUOTA_EXCEEDED": (429, "throttled", "too many requests; send it again later"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "not-supported", "this media type is not taken here"),
    "INTEGRATION_TIMEOUT": (503, "timeout", "it is not known whether this was done; send the same request again"),
    "INTEGRATION_FAILURE": (503, "transient", "the service can't serve now; send the same request again"),
    "DEFAULT_4XX": (None, "invalid", "the request was refused before it reached the service"),
    "DEFAULT_5XX": (503, "transient", "the service can't serve now; send the same request again"),
}
"""Answers that no function gives: status (None: as it is), OperationOutcome code, text."""


def api_resources(names: Names) -> dict[str, Json]:
    """API, methods, gateway answers, deployment, stage, domains."""
    served = [function for function in names.deployment.functions if function.routes]
    parts: dict[str, Json] = {
        "Api": resource(
            "AWS::ApiGateway::RestApi",
            {
                "Name": names.of("api"),
                "Description": f"Sceau, stage {names.deployment.stage}",
                # Reached by its domains only: the default address knows neither of their certificates.
                "DisableExecuteApiEndpoint": True,
                "EndpointConfiguration": {"Types": ["REGIONAL"]},
                "BinaryMediaTypes": ["*/*"],
                "Tags": tags(names.deployment.stage),
            },
        )
    }
    parts |= _paths(sorted({path for function in served for _, path in function.routes}))
    methods = {logical: body for function in served for logical, body in _methods(function)}
    parts |= methods
    parts |= {camel("permission", function.name): _permission(names, function) for function in served}
    parts |= {camel("answer", kind.lower()): _answer(kind) for kind in _ANSWERS}
    parts |= _stage(names, methods)
    parts |= dict(_domains(names))
    return parts


def _paths(paths: list[str]) -> dict[str, Json]:
    parts: dict[str, Json] = {}
    for path in paths:
        segments = path.strip("/").split("/")
        for depth in range(1, len(segments) + 1):
            own = _path(segments[:depth])
            parent = ref(_path(segments[: depth - 1])) if depth > 1 else attribute("Api", "RootResourceId")
            parts[own] = resource(
                "AWS::ApiGateway::Resource",
                {"RestApiId": ref("Api"), "ParentId": parent, "PathPart": segments[depth - 1]},
            )
    return parts


def _path(segments: list[str]) -> str:
    """A logical id; segments that differ in signs only (`.well-known`, `{id}`, `$proof`) stay apart."""
    told = [segment.replace("{", "by-").replace("$", "dollar-").replace(".", "dot-") for segment in segments]
    return camel("path", *told)


def _methods(function: Function) -> Iterator[tuple[str, Json]]:
    for method, path in function.routes:
        segments = path.strip("/").split("/")
        yield (
            camel(method.lower(), *[_path(segments)]),
            resource(
                "AWS::ApiGateway::Method",
                {
                    "RestApiId": ref("Api"),
                    "ResourceId": ref(_path(segments)),
                    "HttpMethod": method,
                    # Who calls is for the function to find out: a token bound to a key, or none for public answers.
                    "AuthorizationType": "NONE",
                    "RequestParameters": {
                        f"method.request.path.{segment[1:-1]}": True for segment in segments if segment.startswith("{")
                    },
                    "Integration": {
                        "Type": "AWS_PROXY",
                        "IntegrationHttpMethod": "POST",
                        "TimeoutInMillis": function.timeout_seconds * 1000,
                        "Uri": sub(
                            "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
                            f"${{{camel('alias', 'of', function.name)}}}/invocations"
                        ),
                    },
                },
            ),
        )


def _permission(names: Names, function: Function) -> Json:
    return resource(
        "AWS::Lambda::Permission",
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": live(function.name),
            "Principal": "apigateway.amazonaws.com",
            "SourceAccount": names.settings.account,
            "SourceArn": sub(
                f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{Api}}/{STAGE}/*"
            ),
        },
    )


def _answer(kind: str) -> Json:
    status, code, text = _ANSWERS[kind]
    outcome = {
        "resourceType": "OperationOutcome",
        "id": "$context.requestId",
        "issue": [{"severity": "error", "code": code, "diagnostics": text}],
    }
    properties: Json = {
        "RestApiId": ref("Api"),
        "ResponseType": kind,
        "ResponseParameters": {
            "gatewayresponse.header.Content-Type": _FHIR_JSON,
            "gatewayresponse.header.Cache-Control": "'no-store'",
        },
        "ResponseTemplates": {"application/json": json.dumps(outcome)},
    }
    if status is not None:
        properties["StatusCode"] = str(status)
    if code == "throttled":
        properties["ResponseParameters"]["gatewayresponse.header.Retry-After"] = "'1'"
    return resource("AWS::ApiGateway::GatewayResponse", properties)


def _stage(names: Names, methods: dict[str, Json]) -> dict[str, Json]:
    # A deployment is a picture of the methods: another set of them needs another one, so its name says which it is.
    digest = hashlib.sha256(json.dumps([methods, _ANSWERS], sort_keys=True).encode()).hexdigest()
    deployment = camel("deployment", digest[:12])
    return {
        deployment: resource(
            "AWS::ApiGateway::Deployment",
            {"RestApiId": ref("Api"), "Description": f"routes {digest[:12]}"},
            DependsOn=sorted([*methods, *(camel("answer", kind.lower()) for kind in _ANSWERS)]),
        ),
        "Stage": resource(
            "AWS::ApiGateway::Stage",
            {
                "RestApiId": ref("Api"),
                "DeploymentId": ref(deployment),
                "StageName": STAGE,
                "TracingEnabled": False,
                "MethodSettings": [
                    {
                        "HttpMethod": "*",
                        "ResourcePath": "/*",
                        "MetricsEnabled": True,
                        # Requests are health data: none is written down by the front.
                        "DataTraceEnabled": False,
                        "LoggingLevel": "OFF",
                        "ThrottlingRateLimit": _RATE,
                        "ThrottlingBurstLimit": _BURST,
                        "CachingEnabled": False,
                    }
                ],
                "Tags": tags(names.deployment.stage),
            },
        ),
    }


def _domains(names: Names) -> Iterator[tuple[str, Json]]:
    settings = names.settings
    mutual = settings.mutual_tls
    for host in names.deployment.hosts:
        own = camel("domain", host)
        properties: Json = {
            "DomainName": host,
            "EndpointConfiguration": {"Types": ["REGIONAL"]},
            "RegionalCertificateArn": settings.certificate,
            "SecurityPolicy": "TLS_1_2",
            "Tags": tags(names.deployment.stage),
        }
        if mutual is not None and host == mutual.domain:
            properties["RegionalCertificateArn"] = mutual.certificate
            properties["MutualTlsAuthentication"] = {
                "TruststoreUri": mutual.truststore,
                "TruststoreVersion": mutual.truststore_version,
            }
        yield own, resource("AWS::ApiGateway::DomainName", properties)
        yield (
            camel("mapping", host),
            resource(
                "AWS::ApiGateway::BasePathMapping",
                {"DomainName": ref(own), "RestApiId": ref("Api"), "Stage": ref("Stage")},
            ),
        )
