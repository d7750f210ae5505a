"""What ends a deployment."""


class DeployRefused(Exception):
    """Nothing more is done. The message is one sentence for the person who deploys."""
