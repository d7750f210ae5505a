"""The network: functions reach the store and the key service by endpoints, and nothing else.

Only who asks others has a way out (through a NAT gateway): the function that asks identity providers, and the journal's
where the stage has witnesses or a time-stamp authority. The others are in subnets without a route to the internet: what
is stolen there can't leave by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from iac.aws.keys import ACTIONS
from iac.aws.names import Names
from iac.aws.parts import Json, allow, attribute, camel, policy, ref, resource, tags, template
from sceau.audit.log.policies import parse_policy
from sceau_schemas.log import LogSpec

ZONES: Final = ("a", "b")
_RANGE: Final = "10.20.0.0/16"
_PORT: Final = 443
_SUBNETS: Final = {"public": 0, "egress": 16, "isolated": 32}
"""Kinds of subnets, and where the third byte of their addresses begins."""


def out_of_reach(stage: str, log: LogSpec) -> Iterator[str]:
    """Whom the journal would ask on a port that no function gets out by: a sentence for each."""
    asked = {}
    if log.policy is not None:
        witnesses = parse_policy(log.policy.encode()).witnesses
        asked = {f"log.policy: witness {one.name}": one.url for one in witnesses if one.url is not None}
    if log.timestamps is not None:
        asked["log.timestamps"] = log.timestamps.url
    for who, url in asked.items():
        try:
            port = urlsplit(url).port or _PORT
        except ValueError:
            yield f"stage {stage}: {who} has an address that can't be read"
            continue
        if port != _PORT:
            yield f"stage {stage}: {who} answers on port {port}: functions on aws get out by port {_PORT} only"


def network_template(names: Names) -> Json:
    """The first stack. Its outputs are parameters of the others."""
    stage = names.deployment.stage
    resources = {
        "Network": resource(
            "AWS::EC2::VPC",
            {"CidrBlock": _RANGE, "EnableDnsSupport": True, "EnableDnsHostnames": True, "Tags": tags(stage)},
        ),
        "Gateway": resource("AWS::EC2::InternetGateway", {"Tags": tags(stage)}),
        "GatewayAttachment": resource(
            "AWS::EC2::VPCGatewayAttachment", {"VpcId": ref("Network"), "InternetGatewayId": ref("Gateway")}
        ),
    }
    for index, zone in enumerate(ZONES):
        resources |= _zone(stage, index, zone)
    resources |= _endpoints(names)
    outputs = {
        "StoreEndpoint": ref("StoreEndpoint"),
        "KeyEndpoint": ref("KeyEndpoint"),
        "FunctionGroup": attribute("FunctionGroup", "GroupId"),
        **{
            camel(kind, "subnet", zone): ref(camel(kind, "subnet", zone))
            for kind in ("egress", "isolated")
            for zone in ZONES
        },
    }
    return template(f"Sceau, stage {stage}: network", resources, parameters={}, outputs=outputs)


def _zone(stage: str, index: int, zone: str) -> dict[str, Json]:
    parts: dict[str, Json] = {}
    for kind, start in _SUBNETS.items():
        subnet, table = camel(kind, "subnet", zone), camel(kind, "routes", zone)
        parts[subnet] = resource(
            "AWS::EC2::Subnet",
            {
                "VpcId": ref("Network"),
                "CidrBlock": f"10.20.{start + index}.0/24",
                "AvailabilityZone": {"Fn::Select": [index, {"Fn::GetAZs": ""}]},
                "MapPublicIpOnLaunch": False,
                "Tags": tags(stage, subnet=f"{kind}-{zone}"),
            },
        )
        parts[table] = resource("AWS::EC2::RouteTable", {"VpcId": ref("Network"), "Tags": tags(stage)})
        parts[camel(kind, "association", zone)] = resource(
            "AWS::EC2::SubnetRouteTableAssociation", {"SubnetId": ref(subnet), "RouteTableId": ref(table)}
        )
    parts[camel("public", "route", zone)] = resource(
        "AWS::EC2::Route",
        {
            "RouteTableId": ref(camel("public", "routes", zone)),
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": ref("Gateway"),
        },
        DependsOn="GatewayAttachment",
    )
    parts[camel("address", zone)] = resource(
        "AWS::EC2::EIP", {"Domain": "vpc", "Tags": tags(stage)}, DependsOn="GatewayAttachment"
    )
    parts[camel("nat", zone)] = resource(
        "AWS::EC2::NatGateway",
        {
            "AllocationId": attribute(camel("address", zone), "AllocationId"),
            "SubnetId": ref(camel("public", "subnet", zone)),
            "Tags": tags(stage),
        },
    )
    parts[camel("egress", "route", zone)] = resource(
        "AWS::EC2::Route",
        {
            "RouteTableId": ref(camel("egress", "routes", zone)),
            "DestinationCidrBlock": "0.0.0.0/0",
            "NatGatewayId": ref(camel("nat", zone)),
        },
    )
    return parts


def _endpoints(names: Names) -> dict[str, Json]:
    deployment = names.deployment
    buckets = [arn for name in deployment.buckets.names for arn in (names.bucket(name), f"{names.bucket(name)}/*")]
    own = {"StringEquals": {"aws:PrincipalAccount": names.settings.account}}
    return {
        "FunctionGroup": resource(
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": "Functions: they call, nobody calls them",
                "VpcId": ref("Network"),
                "SecurityGroupEgress": [
                    {
                        "IpProtocol": "tcp",
                        "FromPort": _PORT,
                        "ToPort": _PORT,
                        "CidrIp": "0.0.0.0/0",
                        "Description": "HTTPS",
                    }
                ],
                "Tags": tags(deployment.stage),
            },
        ),
        "EndpointGroup": resource(
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": "Endpoint of the key service: called by functions only",
                "VpcId": ref("Network"),
                "SecurityGroupIngress": [
                    {
                        "IpProtocol": "tcp",
                        "FromPort": _PORT,
                        "ToPort": _PORT,
                        "SourceSecurityGroupId": attribute("FunctionGroup", "GroupId"),
                        "Description": "HTTPS of functions",
                    }
                ],
                "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "127.0.0.1/32", "Description": "answers only"}],
                "Tags": tags(deployment.stage),
            },
        ),
        "StoreEndpoint": resource(
            "AWS::EC2::VPCEndpoint",
            {
                "VpcId": ref("Network"),
                "ServiceName": f"com.amazonaws.{deployment.region}.s3",
                "VpcEndpointType": "Gateway",
                "RouteTableIds": [
                    ref(camel(kind, "routes", zone)) for kind in ("egress", "isolated") for zone in ZONES
                ],
                "PolicyDocument": policy([{**allow("OwnBuckets", ["s3:*"], buckets, own), "Principal": "*"}]),
            },
        ),
        "KeyEndpoint": resource(
            "AWS::EC2::VPCEndpoint",
            {
                "VpcId": ref("Network"),
                "ServiceName": f"com.amazonaws.{deployment.region}.kms",
                "VpcEndpointType": "Interface",
                "PrivateDnsEnabled": True,
                "SubnetIds": [ref(camel("isolated", "subnet", zone)) for zone in ZONES],
                "SecurityGroupIds": [attribute("EndpointGroup", "GroupId")],
                "PolicyDocument": policy(
                    [
                        {
                            **allow(
                                "OwnKeys",
                                sorted({action for actions in ACTIONS.values() for action in actions}),
                                [f"arn:aws:kms:{deployment.region}:{names.settings.account}:key/*"],
                                own,
                            ),
                            "Principal": "*",
                        }
                    ]
                ),
            },
        ),
    }
