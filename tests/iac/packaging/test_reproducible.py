"""The same bytes on every machine: two builds that share nothing but the source and the locks."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from fixtures.packages import CACHE, Built
from fixtures.project import IMAGE, ROOT, ZIPS, copy_project
from iac.packaging.errors import BuildError
from iac.packaging.lock import Locked
from iac.packaging.signing import DIGESTS
from iac.packaging.tree import File
from iac.packaging.wheels import fetch_wheels

pytestmark = pytest.mark.slow

ANOTHER_MACHINE = """
import os, runpy, sys, time
os.umask(0o077)
time.time = lambda: 2_000_000_000.0
sys.argv = ["packaging", *sys.argv[1:]]
runpy.run_module("iac.packaging", run_name="__main__")
"""


def elsewhere(stage: str, folder: Path, base_lock: Path) -> Path:
    """Build in another folder, with other file modes, another clock, other dates, another user's settings."""
    root = copy_project(folder / "somewhere" / "else")
    for path in root.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.suffix == ".py" else 0o600)
        os.utime(path, (1_111_111_111, 1_111_111_111))
    (root / "layers" / "sceau" / "__pycache__").mkdir()
    (root / "layers" / "sceau" / "__pycache__" / "stage.cpython-311.pyc").write_bytes(b"of another machine")
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("layers", "schemas", "")),
        "PYTHONHASHSEED": "7",
        "TZ": "Pacific/Apia",
        "LC_ALL": "C",
        "HOME": str(folder),
    }
    command = [sys.executable, "-c", ANOTHER_MACHINE, "build", "--stage", stage, "--root", str(root)]
    command += ["--cache", str(CACHE), "--base-lock", str(base_lock)]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root / "build" / "package" / stage


@pytest.mark.parametrize("stage", [ZIPS, IMAGE])
def test_two_builds_are_the_same_bytes(
    stage: str, request: pytest.FixtureRequest, tmp_path: Path, base_lock: Path
) -> None:
    here: Built = request.getfixturevalue("zips" if stage == ZIPS else "image")
    there = elsewhere(stage, tmp_path, base_lock)
    assert (there / DIGESTS).read_bytes() == (here.folder / DIGESTS).read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", DIGESTS], cwd=there, check=True)


def test_one_changed_byte_of_the_source_changes_the_digest(zips: Built) -> None:
    files = {path: entry for path, entry in zips.files.items() if isinstance(entry, File)}
    listed = (zips.folder / DIGESTS).read_text()
    for path, entry in files.items():
        if path != DIGESTS:
            assert f"{hashlib.sha256(entry.data).hexdigest()}  {path}\n" in listed


# What must not be packaged in silence


def sdist(folder: Path) -> tuple[str, bytes]:
    """A package that has no wheel."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        text = b"Metadata-Version: 2.1\nName: native-thing\nVersion: 1.0\n"
        info = tarfile.TarInfo("native_thing-1.0/PKG-INFO")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    (folder / "native_thing-1.0.tar.gz").write_bytes(out.getvalue())
    return "native-thing", out.getvalue()


@pytest.mark.parametrize("wheel", [None, "native_thing-1.0-cp313-cp313-macosx_11_0_arm64.whl"])
def test_a_package_without_a_wheel_for_the_target_ends_the_build(
    wheel: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    name, data = sdist(links)
    hashes = {hashlib.sha256(data).hexdigest()}
    if wheel:
        (links / wheel).write_bytes(b"PK")
        hashes.add(hashlib.sha256(b"PK").hexdigest())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    locked = Locked(name, "1.0", frozenset(hashes), frozenset())
    with pytest.raises(BuildError, match=r"native-thing==1\.0 has no wheel for manylinux_2_34_x86_64 and Python 3\.13"):
        fetch_wheels({name: locked}, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir()), "nothing is kept of what failed"


def test_an_index_that_gives_other_bytes_than_the_locked_ones_ends_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "thing-1.0-py3-none-any.whl").write_bytes(b"PK")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    with pytest.raises(BuildError, match="the index gave a file whose digest is not the locked one"):
        fetch_wheels({"thing": Locked("thing", "1.0", frozenset({"0" * 64}), frozenset())}, tmp_path / "cache")
