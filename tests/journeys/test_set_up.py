"""`make` on a clone that has nothing yet, where something is missing: one clear sentence, and nothing half made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.ports import free_port

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make` needs of a clone before anything is installed."""
    included = re.findall(r"^include (\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for name in ("Makefile", "requirements", *included):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def make_run(clone: Path, *variables: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    return subprocess.run(
        ["make", "run", *variables],
        cwd=clone,
        env={**kept, "PIP_CONFIG_FILE": os.devnull, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def sentences(run: subprocess.CompletedProcess[str]) -> list[str]:
    """What it says beside make's own last line."""
    assert run.returncode != 0
    return [line for line in run.stderr.splitlines() if not line.startswith("make")]


def test_a_package_index_that_can_not_be_reached_is_said_to_be(clone: Path) -> None:
    index = f"http://127.0.0.1:{free_port()}/simple"
    run = make_run(clone, f"PYTHON={sys.executable}", PIP_INDEX_URL=index, PIP_RETRIES="0", PIP_NO_CACHE_DIR="1")
    (told,) = sentences(run)
    assert "is the package index reachable?" in told
    assert (clone / "build" / "install.log").read_text()
    assert not (clone / ".venv" / ".runtime").exists()


def test_a_virtual_environment_that_was_half_made_is_said_to_be(clone: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(shutil.which("false") or "/bin/false")
    (told,) = sentences(make_run(clone))
    assert ".venv is incomplete" in told


def test_without_python_the_way_out_is_said(clone: Path) -> None:
    (told,) = sentences(make_run(clone, "PYTHON=no-such-python"))
    assert "no-such-python is not there" in told
    assert not (clone / ".venv").exists()
