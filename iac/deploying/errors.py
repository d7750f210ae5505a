"""What ends a deployment, and where what comes of it is told."""

from typing import Final

OUTPUTS: Final = "outputs.json"
"""What the host made, as `terraform output -json` has it: by name, each with its `value`."""


class DeployRefused(Exception):
    """Nothing more is done. The message is one sentence for the person who deploys."""
