"""The locked interpreter, run from its unpacked packages: no root, no container, only the machine's kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from iac.packaging.errors import BuildError
from iac.packaging.tree import Entry, File, Folder, Link

_SCRIPT = Path(__file__).with_name("inside.py")


def write_tree(tree: Mapping[str, Entry], folder: Path) -> None:
    """Write a tree to a disk, as the user who runs this."""
    for path, entry in sorted(tree.items()):
        where = folder / path
        where.parent.mkdir(parents=True, exist_ok=True)
        match entry:
            case File(data, executable):
                where.write_bytes(data)
                where.chmod(0o755 if executable else 0o644)
            case Link(target):
                where.symlink_to(target)
            case Folder(mode):
                where.mkdir(exist_ok=True)
                where.chmod(mode)


class Interpreter:
    """Runs `inside.py` with the interpreter of an unpacked base."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def command(self, *options: str) -> list[str]:
        """How the interpreter is started."""
        usr = self._root / "usr"
        loader = usr / "lib64" / "ld-linux-x86-64.so.2"
        return [
            *(str(loader), "--library-path", str(usr / "lib" / "x86_64-linux-gnu")),
            *(str(usr / "bin" / "python3.13"), *options),
        ]

    def environ(self) -> dict[str, str]:
        """What the interpreter sees of the environment: where it is, and a fixed order of sets."""
        return {"PYTHONHOME": str(self._root / "usr"), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def run(self, data: bytes, *arguments: str) -> bytes:
        """Put a tar through `inside.py`."""
        if sys.platform != "linux" or os.uname().machine != "x86_64":
            raise BuildError("packages are built on Linux on x86_64: the locked interpreter runs nowhere else")
        # -S, -s, -P, -B: no site, no folder of the user or of the script, nothing written beside the sources.
        command = self.command("-S", "-s", "-P", "-B", str(_SCRIPT), *arguments)
        done = subprocess.run(command, input=data, env=self.environ(), capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise BuildError(f"the locked interpreter failed: {lines[-1] if lines else 'it said nothing'}")
        return done.stdout
