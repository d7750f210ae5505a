"""What the infrastructure of a hosted stage needs beside the stage itself: names, accounts, administrators, periods.

Part of the `chalicefile` (`[stages.NAME.infrastructure]`). No secret is a setting: credentials of the deployer come
from its environment, those of the functions are made by `sceau stage prepare` and never pass through a plan.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_ROLE_ARN = r"^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$"

Uuid = Annotated[str, Field(pattern=_UUID)]
Prefix = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,19}$")]
Contact = Annotated[str, Field(pattern=r"^[^@\s]+@[a-z0-9.-]+\.[a-z]{2,}$")]
HostName = Annotated[str, Field(pattern=r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$")]

LOG_DAYS = 180
"""Technical logs are kept for at least six months (CNIL, délibération 2021-122 on logging: six months to one year)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScalewayInfrastructure(_Strict):
    """A stage on Scaleway. Three projects: what may write a trail may not be what administers it."""

    host: Literal["scaleway"]
    prefix: Prefix
    """Begins the name of everything; bucket names are the chalicefile's own."""
    organization: Uuid
    project: Uuid
    """Functions, keys and the records' buckets."""
    journal_project: Uuid
    """The journal's bucket. May have another administrator: see `journal_profile`."""
    trail_project: Uuid
    """The bucket of the audit trail's export. No function may hold any right in it."""
    journal_profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """The provider's profile with the credentials of the journal's administrator. None: the deployer's own."""
    deployer: Uuid
    """The IAM application that applies the plan. Bucket policies name it, else it would lock itself out."""
    journal_administrator: Uuid
    """The IAM application that administers journal and trail."""
    image: Annotated[str, Field(pattern=r"^rg\.fr-par\.scw\.cloud/[a-z0-9-]+/[a-z0-9-]+$")]
    """Where the image is, without tag and digest: the digest is that of what was packaged."""
    alert_contacts: Annotated[tuple[Contact, ...], Field(min_length=1)]
    key_rotation_days: Annotated[int, Field(strict=True, ge=1, le=365)]
    credential_days: Annotated[int, Field(strict=True, ge=1, le=90)]
    """How long an API key of a function lives; `sceau stage prepare` makes the next one before that."""
    log_days: Annotated[int, Field(strict=True, ge=LOG_DAYS, le=365)]
    state: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
    """The bucket of Terraform's state: made by hand, versioned, read by the deployer only. No secret is in it."""
    min_scale: Annotated[int, Field(strict=True, ge=0, le=50)]
    max_scale: Annotated[int, Field(strict=True, ge=1, le=50)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len({self.project, self.journal_project, self.trail_project}) < 3:  # noqa: PLR2004 - the three of them
            raise ValueError("project, journal_project and trail_project are three projects")
        if self.deployer == self.journal_administrator:
            raise ValueError("deployer and journal_administrator are two applications")
        if self.min_scale > self.max_scale:
            raise ValueError("min_scale is at most max_scale")
        return self


class MutualTls(_Strict):
    """The second domain, for clients with a certificate: `truststore` holds the authorities that are accepted."""

    domain: HostName
    certificate: Annotated[str, Field(pattern=r"^arn:aws:acm:eu-west-3:[0-9]{12}:certificate/[0-9a-f-]{36}$")]
    truststore: Annotated[str, Field(pattern=r"^s3://[a-z0-9-]{3,63}/[A-Za-z0-9._/-]+\.pem$")]
    truststore_version: Annotated[str, Field(min_length=1)]


class AwsInfrastructure(_Strict):
    """A stage on AWS. Two stacks: the service, and the journal and trail, which may be another account's."""

    host: Literal["aws"]
    prefix: Prefix
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    journal_account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    deployer: Annotated[str, Field(pattern=_ROLE_ARN)]
    """The role that applies the service's stack."""
    operators: Annotated[str, Field(pattern=_ROLE_ARN)]
    """Whoever may become the tool `operations`, with a second factor."""
    journal_administrator: Annotated[str, Field(pattern=_ROLE_ARN)]
    """The role that applies the journal's stack. Only it may change what guards journal and trail."""
    artifacts: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,63}$")]
    """The bucket to which packages are uploaded, each under its own SHA-256."""
    certificate: Annotated[str, Field(pattern=r"^arn:aws:acm:eu-west-3:[0-9]{12}:certificate/[0-9a-f-]{36}$")]
    mutual_tls: MutualTls | None = None
    alert_contacts: Annotated[tuple[Contact, ...], Field(min_length=1)]
    key_rotation_days: Annotated[int, Field(strict=True, ge=90, le=365)]
    log_days: Literal[180, 365, 400, 545, 731]
    concurrency: Annotated[int, Field(strict=True, ge=1, le=1000)]
    """Reserved for each function with routes: one that is flooded starves no other."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.deployer == self.journal_administrator:
            raise ValueError("deployer and journal_administrator are two roles")
        return self


Infrastructure = Annotated[ScalewayInfrastructure | AwsInfrastructure, Field(discriminator="host")]
