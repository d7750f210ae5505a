"""The commit that a package was made from: what ties what is deployed to the runs of its tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

NAME: Final = "COMMIT"
"""The file of the package that holds it."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def commit_of(root: Path) -> str | None:
    """The checkout's commit; None where there is no checkout, or where it was changed since."""
    if not (root / ".git").exists():
        return None  # git would tell of a checkout around it
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"],  # noqa: S607 - from the path
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    told = done.stdout.strip()
    return told if _COMMIT.fullmatch(told) else None


def packaged_from(package: Path) -> str | None:
    """What a package in a folder says that it was made from."""
    try:
        told = (package / NAME).read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    return told if _COMMIT.fullmatch(told) else None
