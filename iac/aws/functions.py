"""The functions: one Lambda each from its own package, and one layer for all. Packages are named by their SHA-256."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from iac.aws.keys import logical
from iac.aws.names import Names
from iac.aws.network import ZONES
from iac.aws.parts import RETAINED, Json, attribute, camel, ref, resource, sub, tags
from iac.derive.deployment import Function

RUNTIME: Final = "python3.13"
ARCHITECTURE: Final = "x86_64"
KEY_IDS: Final = "KeyIds"  # the output of the service's stack


@dataclass(frozen=True, slots=True)
class Packages:
    """SHA-256 of what was packaged, in hexadecimal: the layer, and each function's zip."""

    layer: str
    functions: Mapping[str, str]


def function_parameters() -> dict[str, Json]:
    """Parameters that the network's stack gives."""
    subnet = {"Type": "AWS::EC2::Subnet::Id"}
    return {
        "FunctionGroup": {"Type": "AWS::EC2::SecurityGroup::Id"},
        **{camel(kind, "subnet", zone): subnet for kind in ("egress", "isolated") for zone in ZONES},
    }


def function_resources(names: Names, packages: Packages) -> dict[str, Json]:
    """Layer, functions, their versions and aliases, their logs, and where failed runs go."""
    layer = camel("layer", packages.layer[:12])
    parts: dict[str, Json] = {
        layer: resource(
            "AWS::Lambda::LayerVersion",
            {
                "LayerName": names.of("layer"),
                "Description": f"sha256 {packages.layer}",
                "CompatibleRuntimes": [RUNTIME],
                "CompatibleArchitectures": [ARCHITECTURE],
                "Content": {"S3Bucket": names.settings.artifacts, "S3Key": f"{packages.layer}.zip"},
            },
        ),
        "DeadLetters": resource(
            "AWS::SQS::Queue",
            {
                "QueueName": names.of("dead-letters"),
                "MessageRetentionPeriod": 1209600,
                "SqsManagedSseEnabled": True,
                "Tags": tags(names.deployment.stage),
            },
            **RETAINED,
        ),
    }
    for function in names.deployment.functions:
        parts |= _function(names, function, packages.functions[function.name], layer)
    return parts


def handler(function: Function) -> str:
    """The handler in the function's package: Chalice's app, or its scheduled function."""
    return f"app.{function.name}" if function.every else "app.app"


def live(function: str) -> Json:
    """The ARN by which a function is called: its alias, which names one version."""
    return ref(camel("alias", "of", function))


def _function(names: Names, function: Function, digest: str, layer: str) -> dict[str, Json]:
    own, group = camel("function", function.name), camel("logs", function.name)
    version = camel("version", function.name, digest[:12])
    subnet = "egress" if names.deployment.asks_outside(function.name) else "isolated"
    properties: Json = {
        "FunctionName": names.of(function.name),
        "Description": f"Sceau {names.deployment.stage}: {function.name}",
        "Runtime": RUNTIME,
        "Architectures": [ARCHITECTURE],
        "Handler": handler(function),
        "Code": {"S3Bucket": names.settings.artifacts, "S3Key": f"{digest}.zip"},
        "Layers": [ref(layer)],
        "Role": attribute(camel("role", function.name), "Arn"),
        "MemorySize": function.memory_mb,
        "Timeout": function.timeout_seconds,
        "ReservedConcurrentExecutions": 1 if function.every else names.settings.concurrency,
        "Environment": {"Variables": _environment(names, function)},
        "LoggingConfig": {"LogGroup": ref(group), "LogFormat": "Text"},
        "VpcConfig": {
            "SecurityGroupIds": [ref("FunctionGroup")],
            "SubnetIds": [ref(camel(subnet, "subnet", zone)) for zone in ZONES],
        },
        "Tags": tags(names.deployment.stage, function=function.name),
    }
    if function.every:
        properties["DeadLetterConfig"] = {"TargetArn": attribute("DeadLetters", "Arn")}
    return {
        group: resource(
            "AWS::Logs::LogGroup",
            {
                "LogGroupName": names.log_group(function.name),
                "RetentionInDays": names.settings.log_days,
                "Tags": tags(names.deployment.stage, function=function.name),
            },
            **RETAINED,
        ),
        own: resource("AWS::Lambda::Function", properties),
        # The version is published only if the code is what was packaged.
        version: resource(
            "AWS::Lambda::Version",
            {"FunctionName": ref(own), "CodeSha256": base64.b64encode(bytes.fromhex(digest)).decode()},
        ),
        camel("alias", "of", function.name): resource(
            "AWS::Lambda::Alias",
            {"FunctionName": ref(own), "FunctionVersion": attribute(version, "Version"), "Name": "live"},
        ),
    }


def _environment(names: Names, function: Function) -> Json:
    variable = names.deployment.keys_variable
    return {
        "SCEAU_CHALICEFILE": "/var/task/chalicefile",  # each function's zip has it beside its app.py
        "SCEAU_STAGE": names.deployment.stage,
        "SCEAU_FUNCTION": function.name,
        **({variable: _key_ids(names, '["${%s.Arn}"]')} if variable else {}),
    }


def key_outputs(names: Names) -> Json:
    """The keys that this stack makes, by purpose: who operates the stage needs to know them."""
    return {KEY_IDS: _key_ids(names, '"${%s.Arn}"')}


def _key_ids(names: Names, form: str) -> Json:
    keys = ",".join(f'"{key.value}":{form % logical(key)}' for key in names.deployment.keys)
    return sub(f"{{{keys}}}")
