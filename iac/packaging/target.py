"""What packages are built for. One target for every host: what CI runs is what is deployed.

x86_64: the machines that build and test can run it, so each package's bytes are run before they are deployed, and
Scaleway runs nothing else. Python 3.13: Debian 13's, and a runtime of Lambda on Amazon Linux 2023 (glibc 2.34).
"""

from __future__ import annotations

from typing import Final

PYTHON: Final = "3.13"
LAMBDA_RUNTIME: Final = "python3.13"
LAMBDA_ARCHITECTURE: Final = "x86_64"
OCI_ARCHITECTURE: Final = "amd64"
PLATFORMS: Final = (
    "manylinux_2_34_x86_64",
    "manylinux_2_28_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_12_x86_64",
    "manylinux_2_5_x86_64",
)
"""Oldest glibc first would be no safer: both runtimes have 2.34 or newer."""
ABIS: Final = ("cp313", "abi3", "none")

LAMBDA_LAYER_ROOT: Final = "/opt"
LAMBDA_TASK_ROOT: Final = "/var/task"
