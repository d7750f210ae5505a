"""The three stacks of a stage, in the order in which they are applied, and by whom.

`network` and `service` by the deployer; `journal` by the journal's administrator, in the journal's account.
"""

from __future__ import annotations

from typing import Final

from iac.aws.api import api_resources
from iac.aws.functions import Packages, function_parameters, function_resources, key_outputs
from iac.aws.keys import key_resources
from iac.aws.names import ENDPOINT_PARAMETER, KEY_ENDPOINT, STORE_ENDPOINT, Names
from iac.aws.network import network_template
from iac.aws.parts import Json, attribute, camel, template
from iac.aws.roles import role_resources
from iac.aws.storage import bucket_resources
from iac.aws.watch import alarm_resources, schedule_resources, trail_bucket_resources, trail_resources
from iac.derive.deployment import Deployment
from iac.derive.routes import check_disjoint
from iac.derive.stores import DerivationError
from sceau_schemas.infrastructure import AwsInfrastructure

LARGEST_BODY_BYTES: Final = 4_194_304
"""Lambda carries 6 MB each way, base64 included."""


def templates(deployment: Deployment, settings: AwsInfrastructure, packages: Packages) -> dict[str, Json]:
    """The templates by stack name. Raises DerivationError with one sentence."""
    _check(deployment, settings, packages)
    names = Names(deployment, settings)
    return {
        "network": network_template(names),
        "journal": _journal(names),
        "service": _service(names, packages),
    }


def _check(deployment: Deployment, settings: AwsInfrastructure, packages: Packages) -> None:
    if deployment.largest_body_bytes > LARGEST_BODY_BYTES:
        raise DerivationError(f"largest_body_bytes: Lambda carries {LARGEST_BODY_BYTES} bytes at most")
    if settings.mutual_tls and settings.mutual_tls.domain not in deployment.hosts:
        raise DerivationError(f"mutual_tls: {settings.mutual_tls.domain} is none of the stage's origins")
    missing = sorted({function.name for function in deployment.functions} - set(packages.functions))
    if missing:
        raise DerivationError(f"function {missing[0]!r} was not packaged")
    check_disjoint(route for function in deployment.functions for route in function.routes)


def _journal(names: Names) -> Json:
    locked = [name for name in names.deployment.buckets.names if names.deployment.lock_days(name) is not None]
    resources: dict[str, Json] = {}
    for bucket in locked:
        resources |= bucket_resources(names, bucket, administrator=names.settings.journal_administrator)
    resources |= trail_bucket_resources(names)
    return template(
        f"Sceau, stage {names.deployment.stage}: journal and trail, of another administrator",
        resources,
        parameters={STORE_ENDPOINT: ENDPOINT_PARAMETER},
        outputs={},
    )


def _service(names: Names, packages: Packages) -> Json:
    deployment = names.deployment
    resources: dict[str, Json] = {}
    for bucket in deployment.buckets.names:
        if deployment.lock_days(bucket) is None:
            resources |= bucket_resources(names, bucket, administrator=names.settings.deployer)
    for parts in (
        role_resources(names),
        key_resources(names),
        function_resources(names, packages),
        api_resources(names),
        schedule_resources(names),
        trail_resources(names),
        alarm_resources(names),
    ):
        resources |= parts
    return template(
        f"Sceau, stage {deployment.stage}: functions, keys, records, front",
        resources,
        parameters={STORE_ENDPOINT: ENDPOINT_PARAMETER, KEY_ENDPOINT: ENDPOINT_PARAMETER, **function_parameters()},
        outputs={
            **key_outputs(names),
            **{
                camel("target", host): attribute(camel("domain", host), "RegionalDomainName")
                for host in deployment.hosts
            },
        },
    )
