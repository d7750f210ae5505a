"""How many requests a container serves at a time: as many as its memory holds when each has the largest body."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sceau.stage import SettingsError

MIB: Final = 1024 * 1024

MOST_THREADS: Final = 16
"""Requests served at a time where memory does not bound them: they wait for store and keys more than they compute."""

RESTING_BYTES: Final = 150 * MIB
"""What the two processes hold when nothing is asked of them."""

BYTES_PER_BODY_BYTE: Final = 7
"""What a request holds at its worst, for each byte of the largest body: as base64 in the event, as bytes, as parsed
JSON, as the document decoded, as it is sealed. Reading a document back holds less."""

_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container reads its own limit: control groups of version 2, and of version 1."""


def threads_for(memory_bytes: int, largest_body_bytes: int) -> int:
    """Requests to serve at a time, 1 to 16. Raises SettingsError when not even one has room."""
    each = largest_body_bytes * BYTES_PER_BODY_BYTE
    threads = (memory_bytes - RESTING_BYTES) // each
    if threads < 1:
        needed = -(-(RESTING_BYTES + each) // MIB)
        raise SettingsError(
            f"{memory_bytes // MIB} MB of memory hold no request of {largest_body_bytes} bytes: "
            f"give the function {needed} MB, or the stage a smaller largest_body_bytes"
        )
    return min(threads, MOST_THREADS)


def kernel_limit(paths: tuple[Path, ...] = _LIMITS) -> int | None:
    """The memory that the kernel lets this container have, in bytes; None where it sets no limit."""
    for path in paths:
        try:
            text = path.read_text("ascii").strip()
        except OSError:
            continue
        # Version 2 writes "max" for no limit; version 1 a number larger than any machine's memory.
        if text.isdigit() and int(text) < 1 << 50:
            return int(text)
    return None
