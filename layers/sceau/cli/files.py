"""Files that the `sceau` command writes: never over an existing one, and private ones readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Create a file with mode 0600. Raises FileExistsError."""
    _write(path, data, 0o600)


def write_public(path: Path, data: bytes) -> None:
    """Create a file with mode 0644. Raises FileExistsError."""
    _write(path, data, 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
