"""Every secret that a stage's plan or deployment needs: what it is, whether it is there, and where it is to be put.

Looked for before anything else is done: `make plan` without one ends with the sentence of that one. Never is a secret
read further than to see that it is there, and none is in a sentence. What the functions themselves need is not here:
on AWS they have roles, on Scaleway `sceau stage prepare` makes their keys, and settings that would need more
(`unreachable`) are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigNotFound, ConfigParseError
from cryptography.x509 import load_pem_x509_certificates
from pydantic import BaseModel

from iac.packaging import signing
from iac.packaging.errors import BuildError
from iac.scaleway import credentials
from sceau.audit.log.errors import PolicyRefused, StampRefused
from sceau.audit.log.policies import parse_policy
from sceau.audit.log.stamping import authority_of
from sceau_schemas.deployment import StageSpec
from sceau_schemas.infrastructure import ScalewayInfrastructure
from sceau_schemas.key_services import services_of
from sceau_schemas.stores import S3Place

JOURNAL_PROFILE: Final = "SCEAU_JOURNAL_PROFILE"
_KEYS_OF: Final = {"aws": "aws_kms", "scaleway": "scaleway"}
"""The one key service to which a function of this host has access without a secret of its own."""


class Step(IntEnum):
    """When a secret is first needed; what a step needs, those after it need, too."""

    PLAN = 1
    APPLY = 2


@dataclass(frozen=True, slots=True)
class Around:
    """A stage, and where its secrets are looked for."""

    stage: str
    spec: StageSpec
    package: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Secret:
    """`wrong`: what is the matter with it here, or None; `put`: what has to be done."""

    name: str
    step: Step
    host: str | None
    wrong: Callable[[Around], str | None]
    put: str


def missing(around: Around, step: Step) -> Iterator[str]:
    """A sentence for each secret that is needed by this step and is not there."""
    for one in SECRETS:
        if one.step <= step and one.host in (None, around.spec.host):
            wrong = one.wrong(around)
            if wrong is not None:
                yield f"stage {around.stage}: {one.name} {wrong}: {one.put.format(stage=around.stage)}"


def _signature(around: Around) -> str | None:
    return None if (around.package / signing.SIGNATURE).is_file() else "is missing"


def _verifying_key(around: Around) -> str | None:
    if _signature(around):
        return None  # that is told already
    named = around.environ.get("SCEAU_VERIFYING_KEY")
    if not named:
        return "is missing"
    if not Path(named).is_file():
        return "is not where it is said to be"
    try:
        signing.verify(around.package, Path(named))
    except BuildError as error:
        return f"does not accept the package ({error})"
    return None


def _deployer_on_scaleway(around: Around) -> str | None:
    there = [bool(around.environ.get(name)) for name in (credentials.ACCESS_KEY, credentials.SECRET_KEY)]
    return None if all(there) else "is there by half" if any(there) else "is missing"


def _journal_on_scaleway(around: Around) -> str | None:
    settings = around.spec.infrastructure
    if not isinstance(settings, ScalewayInfrastructure) or settings.journal_profile is None:
        return None  # the deployer's own: the control `separate-trail-admin` has its say
    try:
        found = credentials.profiles(around.environ).get(settings.journal_profile)
    except ValueError as error:
        return f"can't be read from {credentials.config_file(around.environ).name} ({error})"
    if found is None:
        return "is missing"
    if not (found.get("access_key") and found.get("secret_key")):
        return "is there by half"
    if found["access_key"] == around.environ.get(credentials.ACCESS_KEY):
        return "is the deployer's"
    return None


def _state(around: Around) -> str | None:
    pair = [bool(around.environ.get(name)) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    if all(pair) or (not any(pair) and _aws_profile(around.environ, around.environ.get("AWS_PROFILE") or "default")):
        return None
    return "is there by half" if any(pair) else "is missing"


_FEDERATED: Final = ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")
_BY_MACHINE: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


def _deployer_on_aws(around: Around) -> str | None:
    given = around.environ
    if any(given.get(name) for name in _BY_MACHINE):
        return None
    token = given.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if all(given.get(name) for name in _FEDERATED) and token:
        return None if Path(token).is_file() and Path(token).stat().st_size else "has no token in its file"
    return _state(around)


def _journal_on_aws(around: Around) -> str | None:
    named = around.environ.get(JOURNAL_PROFILE)
    if not named:
        return "is missing"
    return None if _aws_profile(around.environ, named) else "is in no profile of that name"


def _aws_profile(environ: Mapping[str, str], name: str) -> bool:
    """Whether AWS's own files have a profile that can give credentials."""
    home = Path(environ.get("HOME") or "/") / ".aws"
    for variable, usual, section in (
        ("AWS_SHARED_CREDENTIALS_FILE", home / "credentials", name),
        ("AWS_CONFIG_FILE", home / "config", name if name == "default" else f"profile {name}"),
    ):
        try:
            read = raw_config_parse(str(environ.get(variable) or usual))
        except (ConfigNotFound, ConfigParseError):
            continue  # its text is nobody's business, and it gives nothing
        if any(one in read.get(section, {}) for one in _GIVING):
            return True
    return False


_GIVING: Final = ("aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url")

SECRETS: Final = (
    Secret(
        "the package's signature",
        Step.PLAN,
        None,
        _signature,
        "`make sign STAGE={stage}` makes it, with the key that SCEAU_SIGNING_KEY names (docs/deploy/pipelines.md)",
    ),
    Secret(
        "the public key of who signs packages",
        Step.PLAN,
        None,
        _verifying_key,
        "SCEAU_VERIFYING_KEY names its PEM file (docs/deploy/pipelines.md)",
    ),
    Secret(
        "the deployer's API key",
        Step.PLAN,
        "scaleway",
        _deployer_on_scaleway,
        "it stands in SCW_ACCESS_KEY and SCW_SECRET_KEY (docs/deploy/scaleway.md, step 3)",
    ),
    Secret(
        "the journal administrator's API key",
        Step.PLAN,
        "scaleway",
        _journal_on_scaleway,
        "it stands in the profile that `journal_profile` names, access_key and secret_key, in the file that "
        "SCW_CONFIG_PATH names, or in ~/.config/scw/config.yaml (docs/deploy/scaleway.md, step 3)",
    ),
    Secret(
        "the key of the state's bucket",
        Step.PLAN,
        "scaleway",
        _state,
        "the deployer's API key stands in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, too, or in the profile that "
        "AWS_PROFILE names (docs/deploy/scaleway.md, step 3)",
    ),
    Secret(
        "the deployer's access",
        Step.APPLY,
        "aws",
        _deployer_on_aws,
        "a session of `aws sso login` in AWS_PROFILE, or the pipeline's identity in AWS_ROLE_ARN and "
        "AWS_WEB_IDENTITY_TOKEN_FILE (docs/deploy/aws.md, step 4)",
    ),
    Secret(
        "the journal administrator's access",
        Step.APPLY,
        "aws",
        _journal_on_aws,
        "SCEAU_JOURNAL_PROFILE names a profile of ~/.aws/config that gives a session as that role (docs/deploy/aws.md, "
        "step 4)",
    ),
)
"""In the order in which they are asked for."""


def unreachable(stage: str, spec: StageSpec) -> Iterator[str]:
    """Settings of a stage on functions that need a secret which no function there is given: a sentence for each."""
    own = _KEYS_OF[spec.host]
    for called, service in services_of(spec.key_service):
        where = ".".join(part for part in ("key_service", called) if part)
        if service.adapter != own:
            yield (
                f"stage {stage}: {where}: functions on {spec.host} are given no secret for {service.adapter}: use {own}"
                " there, or servers of your own (docs/deploy/container-host.md)"
            )
        else:
            yield from _files(stage, spec, where, service)
    yield from _files(stage, spec, "store", spec.store)
    if isinstance(spec.backup, S3Place) and spec.backup.credentials_file is None:
        yield (
            f"stage {stage}: backup: credentials_file is missing: the second store has credentials of its own, in a "
            "file of who runs `sceau backup` (docs/backup.md)"
        )


def untrusted(stage: str, spec: StageSpec) -> Iterator[str]:
    """Whom the log's settings trust and can't be read: a sentence for each. Otherwise `journal` would find out."""
    log = spec.log
    try:
        if log.policy is not None:
            parse_policy(log.policy.encode())
    except PolicyRefused as error:
        yield f"stage {stage}: log.policy: {error}"
    stamps = log.timestamps
    try:
        if stamps is not None:
            authority_of(stamps.url, stamps.certificates, stamps.policy)
    except StampRefused as error:
        yield f"stage {stage}: log.timestamps: {error}"
    for where, pem in (("log.tls", log.tls), ("log.timestamps.tls", stamps.tls if stamps else None)):
        try:
            if pem is not None:
                load_pem_x509_certificates(pem.encode())
        except ValueError:
            yield f"stage {stage}: {where}: no certificates can be read there"


def _files(stage: str, spec: StageSpec, where: str, part: BaseModel) -> Iterator[str]:
    for name, value in part:
        if isinstance(value, Path):
            yield f"stage {stage}: {where}.{name}: no function on {spec.host} has a file {value.name}: leave it out"


def refuse(found: Iterator[str], error: Callable[[str], Exception]) -> None:
    """Raise the first sentence as this error."""
    first = next(found, None)
    if first is not None:
        raise error(first)
