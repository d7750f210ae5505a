"""Our own code as it is packaged: what runs on a host, and nothing that is for developing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from iac.packaging.errors import BuildError
from iac.packaging.tree import File, Tree

_KINDS: Final = frozenset({".py", ".tsv", ".dictionary"})
_IN_THE_CONTAINER: Final = ("cli/__init__.py", "cli/schedule.py", "cli/serve.py", "cli/signals.py", "cli/container")
"""Of the command's room, what the image runs. The rest of it makes local stages, and plays every actor."""


def layer_sources(root: Path, *, container: bool) -> Tree:
    """`sceau` and `sceau_schemas`, as they stand beside the wheels."""
    found: Tree = {}
    for base, package in ((root / "layers", "sceau"), (root / "schemas", "sceau_schemas")):
        for path in sorted((base / package).rglob("*")):
            below = path.relative_to(base / package)
            if path.is_file() and "__pycache__" not in path.parts and _is_deployed(package, below, container=container):
                if path.suffix not in _KINDS:
                    raise BuildError(f"{path.relative_to(root)} is no kind of file that is packaged")
                found[f"{package}/{below.as_posix()}"] = File(path.read_bytes())
    return found


def _is_deployed(package: str, path: Path, *, container: bool) -> bool:
    if package != "sceau" or path.parts[0] != "cli":
        return True
    return container and any(path.is_relative_to(one) for one in _IN_THE_CONTAINER)


def function_sources(root: Path, function: str) -> Tree:
    """One function's zip: its app, and the chalicefile that it reads its rights from."""
    return {
        "app.py": File((root / "functions" / function / "app.py").read_bytes()),
        "chalicefile": File((root / "chalicefile").read_bytes()),
    }


def home_sources(root: Path, functions: list[str]) -> Tree:
    """The image's own folder: every function's app, and the chalicefile."""
    apps = {f"functions/{name}/app.py": File((root / "functions" / name / "app.py").read_bytes()) for name in functions}
    return {"chalicefile": File((root / "chalicefile").read_bytes()), **apps}


def refuse_strays(root: Path) -> None:
    """Raise BuildError when a folder that is packaged holds what nobody committed. Without git there is no telling."""
    command = [
        "git",
        "ls-files",
        "--others",
        "--exclude-standard",
        "--",
        "layers",
        "schemas",
        "functions",
        "chalicefile",
    ]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return
    strays = done.stdout.split("\n")[0] if done.returncode == 0 else ""
    if strays:
        raise BuildError(f"{strays} is not committed: commit it or take it away, then package")
