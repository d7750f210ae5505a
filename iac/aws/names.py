"""Names and ARNs that follow from the settings alone: what one stack makes, another can name before it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iac.derive.deployment import Deployment
from sceau.keys.ports import KeyName
from sceau_schemas.infrastructure import AwsInfrastructure

STORE_ENDPOINT: Final = "StoreEndpoint"
KEY_ENDPOINT: Final = "KeyEndpoint"
"""Parameters: the VPC endpoints through which functions reach the store and the key service."""

ENDPOINT_PARAMETER: Final = {"Type": "String", "AllowedPattern": "^vpce-[0-9a-f]{8,17}$"}


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stage."""

    deployment: Deployment
    settings: AwsInfrastructure

    def of(self, what: str) -> str:
        """The name of a thing of this stage."""
        return f"{self.settings.prefix}-{what}"

    def role(self, role: str) -> str:
        """A role's ARN."""
        return f"arn:aws:iam::{self.settings.account}:role/{self.of(role)}"

    @property
    def roles(self) -> list[str]:
        """Every role's ARN."""
        return [self.role(name) for name in self.deployment.roles]

    def bucket(self, name: str) -> str:
        """A bucket's ARN."""
        return f"arn:aws:s3:::{name}"

    @property
    def trail(self) -> str:
        """The ARN of the service's trail."""
        return f"arn:aws:cloudtrail:{self.deployment.region}:{self.settings.account}:trail/{self.of('trail')}"

    @property
    def trail_bucket(self) -> str:
        """The bucket that the trail is written to."""
        return self.of("trail")

    def log_group(self, function: str) -> str:
        """A function's log group."""
        return f"/aws/lambda/{self.of(function)}"

    def alias(self, key: KeyName) -> str:
        """A key's alias."""
        return f"alias/{self.of(key.value)}"
