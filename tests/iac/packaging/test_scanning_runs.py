"""The scanners themselves: gitleaks on this repository and on planted secrets; pip-audit, with data or without."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.project import ROOT
from fixtures.tools import missing
from iac.scanning import dependencies, secrets
from iac.scanning.dependencies import ScanFailed

pytestmark = pytest.mark.slow


@pytest.fixture
def gitleaks() -> str:
    try:
        return secrets.find()
    except ScanFailed as error:
        missing(str(error))


def test_the_scanner_finds_a_planted_secret_and_nothing_in_the_repository(gitleaks: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    assert "no leaks found" in secrets.scan(ROOT)


def test_a_secret_that_was_committed_is_found_after_it_was_taken_out(gitleaks: str, tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.fr"]
    shutil.copy(ROOT / ".gitleaks.toml", tmp_path)
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path, check=True)
    for text in (secrets.planted(), ""):
        (tmp_path / "settings.py").write_text(text)
        subprocess.run([*git, "add", "--all"], cwd=tmp_path, check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", "x", "--allow-empty"], cwd=tmp_path, check=True)
    with pytest.raises(ScanFailed) as failed:
        secrets.scan(tmp_path)
    assert "settings.py" in str(failed.value)
    assert "AKIA" not in str(failed.value), "what was found is not said again"


def test_dependencies_are_scanned_where_advisories_can_be_reached_and_else_the_scan_fails() -> None:
    lock = ROOT / "requirements" / "runtime.txt"
    accepted = ROOT / "iac" / "scanning" / "accepted.toml"
    try:
        dependencies.scan([lock], accepted, dependencies.pip_audit, datetime.now(UTC).date())
    except ScanFailed as failed:
        # Without data it says so; with data, what it says names a locked package. It never passes unseen.
        said = str(failed)
        assert "was called good" in said or "could not be scanned" in said or "mended" in said
