"""The wheels of the locked packages for the platform of Lambda and of the image, unpacked and pruned.

pip fetches them from the index that the machine has, with the lock's digests and as wheels only: a package that has no
wheel for the platform ends the build (Chalice's own packager warns, leaves it out, and exits 0).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from iac.packaging.errors import BuildError
from iac.packaging.lock import LEAF, Locked
from iac.packaging.target import ABIS, PLATFORMS, PYTHON
from iac.packaging.tree import File, Tree, kept, merged

AWS_SERVICES: Final = frozenset({"s3", "kms", "sts"})
"""Services whose description botocore keeps: those that our adapters call, and STS, which credentials may come from."""

_BOTOCORE_FILES: Final = frozenset(
    {"endpoints.json", "partitions.json", "sdk-default-configuration.json", "_retry.json"}
)
_NOT_RUN: Final = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".cpp", ".hpp", ".html", ".rst"})
_FOLDERS_NOT_RUN: Final = frozenset({"tests", "testing_data", "examples", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel as the index has it."""

    package: Locked
    file: str
    sha256: str
    licence: str
    tree: Tree


def fetch_wheels(packages: Mapping[str, Locked], cache: Path) -> list[Wheel]:
    """Every package's wheel, unpacked. `cache` keeps what was fetched, by what was asked for."""
    asked = "\n".join(one.requirement() for one in packages.values()) + "\n"
    key = hashlib.sha256("\n".join([asked, PYTHON, *PLATFORMS, *ABIS]).encode()).hexdigest()[:16]
    folder = cache / f"wheels-{key}"
    if not folder.is_dir():
        _download(asked, folder)
    wheels = sorted(folder.glob("*.whl"), key=lambda path: path.name.lower())
    by_name = {_normal(path.name.partition("-")[0]): path for path in wheels}
    if set(by_name) != set(packages) or len(wheels) != len(packages):
        raise BuildError(f"what was fetched is not what is locked: delete {folder.name} in the build's cache")
    return [_wheel(package, by_name[name]) for name, package in packages.items()]


def _download(asked: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".wheels-", dir=folder.parent))
    try:
        (draft / "requirements.txt").write_text(asked, "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON]
        command += [option for name in PLATFORMS for option in ("--platform", name)]
        command += [option for name in ABIS for option in ("--abi", name)]
        command += ["--dest", str(draft), "--requirement", str(draft / "requirements.txt")]
        environ = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - pip
        if done.returncode:
            raise BuildError(_reason(done.stderr))
        (draft / "requirements.txt").unlink()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _reason(said: str) -> str:
    """pip's complaint, as a sentence."""
    missing = re.search(r"No matching distribution found for (\S+)", said)
    if missing:
        return f"{missing[1]} has no wheel for {PLATFORMS[0]} and Python {PYTHON}, or the index does not answer"
    if "DO NOT MATCH THE HASHES" in said:
        return "the index gave a file whose digest is not the locked one"
    lines = [line for line in said.splitlines() if line.strip()]
    return f"pip could not fetch the wheels: {lines[-1] if lines else 'it said nothing'}"


def _wheel(package: Locked, path: Path) -> Wheel:
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest not in package.hashes:
        raise BuildError(f"{path.name} is not what the lock file says: delete it in the build's cache")
    tree: Tree = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = _installed(info.filename)
            if name is not None and not info.is_dir():
                tree[name] = File(archive.read(info), executable=name.endswith(".so") or ".so." in name)
    licence = _licence(tree)
    return Wheel(package, path.name, digest, licence, kept(tree, lambda name: _runs(package.name, name)))


def _installed(name: str) -> str | None:
    """Where a wheel's file goes below the folder of packages; None for what is no part of it (scripts, headers)."""
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/"):
        raise BuildError(f"a wheel holds {name!r}, which leads out of it")
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    return name


def _runs(package: str, path: PurePosixPath) -> bool:
    """Whether a file is needed to run, or says whose it is (metadata and licences stay)."""
    parts = path.parts
    if parts[0].endswith(".dist-info"):
        return (
            path.name == "METADATA" or "licenses" in parts or path.name.upper().startswith(("LICEN", "NOTICE", "COPY"))
        )
    if path.suffix in _NOT_RUN or _FOLDERS_NOT_RUN & set(parts[:-1]) or path.name == "py.typed":
        return False
    if package == LEAF:
        return path in (PurePosixPath("chalice/__init__.py"), PurePosixPath("chalice/app.py"))
    if parts[:2] == ("botocore", "data"):
        return parts[2] in (AWS_SERVICES if len(parts) > 3 else _BOTOCORE_FILES)  # noqa: PLR2004 - a service's folder
    return parts[:2] != ("boto3", "data")  # the resources' descriptions: we call clients only


def _licence(tree: Tree) -> str:
    """What a wheel's metadata says of its licence."""
    for path, entry in tree.items():
        if path.endswith(".dist-info/METADATA") and isinstance(entry, File):
            head = entry.data.decode("utf-8", "replace").partition("\n\n")[0]
            for pattern in (
                r"^License-Expression: (.+)$",
                r"^Classifier: License :: OSI Approved :: (.+)$",
                r"^License: (.+)$",
            ):
                found = re.search(pattern, head, re.MULTILINE)
                if found:
                    return found[1].strip()
    return ""


def as_tree(wheels: Iterable[Wheel]) -> Tree:
    """All wheels as they are installed."""
    return merged(*(wheel.tree for wheel in wheels))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
