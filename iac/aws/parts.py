"""Pieces that every template is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]

RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
"""What holds data or opens it outlives its stack."""


def resource(kind: str, properties: Mapping[str, Any], **attributes: Any) -> Json:
    """A resource; `attributes` are CloudFormation's own (DependsOn, DeletionPolicy)."""
    return {"Type": kind, "Properties": dict(properties), **attributes}


def ref(name: str) -> Json:
    """A reference to a resource or a parameter."""
    return {"Ref": name}


def attribute(name: str, what: str) -> Json:
    """An attribute of a resource."""
    return {"Fn::GetAtt": [name, what]}


def sub(text: str) -> Json:
    """A text with `${…}` filled in."""
    return {"Fn::Sub": text}


def camel(*words: str) -> str:
    """A logical id of these words."""
    return "".join(part[:1].upper() + part[1:] for word in words for part in re.split(r"[^A-Za-z0-9]+", word) if part)


def tags(stage: str, **more: str) -> list[Json]:
    """Tags of a resource."""
    return [{"Key": key, "Value": value} for key, value in sorted({"sceau": stage, **more}.items())]


def template(
    description: str, resources: Mapping[str, Json], *, parameters: Mapping[str, Json], outputs: Mapping[str, Any]
) -> Json:
    """A whole template, its parts in a fixed order."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        "Parameters": dict(sorted(parameters.items())),
        "Resources": dict(sorted(resources.items())),
        "Outputs": {name: {"Value": value} for name, value in sorted(outputs.items())},
    }


def allow(
    sid: str, actions: Iterable[str], resources: Iterable[Any], condition: Mapping[str, Any] | None = None
) -> Json:
    """A statement of a role's own policy."""
    statement: Json = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": dict(condition)} if condition else statement


def policy(statements: Iterable[Json]) -> Json:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
