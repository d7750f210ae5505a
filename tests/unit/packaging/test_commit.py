"""The commit that a package was made from: told where it is sure, and nothing otherwise."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from iac.packaging.__main__ import files_of
from iac.packaging.build import Package
from iac.packaging.commit import NAME, commit_of, packaged_from
from iac.packaging.signing import DIGESTS
from iac.packaging.tree import File

GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@example.fr", "-c", "commit.gpgsign=false")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "file").write_text("one")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"], ["tag", "v1"]):
        subprocess.run([*GIT, *command], cwd=root, check=True)
    return root


def test_a_checkout_tells_its_commit_until_it_is_changed(checkout: Path) -> None:
    head = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    assert commit_of(checkout) == head.stdout.strip()
    (checkout / "file").write_text("two")
    assert commit_of(checkout) is None


def test_what_is_no_checkout_tells_none_even_within_one(checkout: Path, tmp_path: Path) -> None:
    (checkout / "build").mkdir()
    assert commit_of(checkout / "build") is None
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    assert commit_of(tmp_path / "empty") is None


def test_it_is_in_the_package_and_among_what_is_signed(tmp_path: Path) -> None:
    package = Package("s", "lambda", {}, (), (), (), {})
    files = files_of(package, "1", COMMIT)
    assert files[NAME] == File(f"{COMMIT}\n".encode())
    listed = files[DIGESTS]
    assert isinstance(listed, File)
    assert f"  {NAME}\n".encode() in listed.data
    assert NAME not in files_of(package, "1")
    assert packaged_from(tmp_path) is None
    (tmp_path / NAME).write_text(f"{COMMIT}\n")
    assert packaged_from(tmp_path) == COMMIT
    (tmp_path / NAME).write_text("main\n")
    assert packaged_from(tmp_path) is None
