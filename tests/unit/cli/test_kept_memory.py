"""The local server's worker keeps what a request gave back. In a process of its own: there is no way back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROBE = """
import ctypes, os, sys

from sceau.cli.serve import keep_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
PIECE = 8 * 1024 * 1024


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if sys.argv[1] == "kept":
    keep_memory()
before = resident()
piece = libc.malloc(PIECE)
ctypes.memset(piece, 1, PIECE)
libc.free(piece)
print((resident() - before) // (1024 * 1024))
"""


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(os, "confstr"), reason="glibc's allocator")
@pytest.mark.parametrize(("how", "kept"), [("kept", True), ("given back", False)])
def test_what_a_request_gave_back_stays_for_the_next_one(how: str, kept: bool) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "layers"), str(ROOT / "schemas")))}
    environ = {name: value for name, value in environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", PROBE, how], env=environ, capture_output=True, text=True, check=True)
    assert (int(done.stdout) >= 7) is kept
