"""Secrets in the repository and its history, by gitleaks with its own rules and `.gitleaks.toml`.

It is first shown a folder with a secret in it: a scanner that does not find that one checks nothing.
"""

from __future__ import annotations

import secrets
import shutil
import string
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from iac.scanning.dependencies import ScanFailed

INSTALL: Final = "go install github.com/zricethezav/gitleaks/v8@v8.30.1"


def scan(root: Path) -> str:
    """Scan a checkout; return what gitleaks says last. Raises ScanFailed when it found something or can't look."""
    gitleaks = find()
    with tempfile.TemporaryDirectory(prefix="sceau-scan-") as folder:
        (Path(folder) / "settings.py").write_text(planted(), "utf-8")
        done = _run(gitleaks, root, "dir", folder)
    if done.returncode != 1:
        raise ScanFailed("the scanner did not find a secret that was planted: nothing was checked")
    # What is checked out and how it came to be; other branches have pipelines of their own.
    done = _run(gitleaks, root, "git", "--log-opts=HEAD", str(root))
    if done.returncode:
        raise ScanFailed(done.stdout.strip() or done.stderr.strip())
    return done.stderr.strip().splitlines()[-1]


def find() -> str:
    """gitleaks' path. Raises ScanFailed when it is not there: no scan is no pass."""
    found = shutil.which("gitleaks") or shutil.which("gitleaks", path=str(Path.home() / "go" / "bin"))
    if found is None:
        raise ScanFailed(f"gitleaks is not there: {INSTALL}")
    return found


def planted() -> str:
    """A line as somebody might commit it, with a key that opens nothing: an AWS access key of random characters.

    None comes twice: the scanner passes over what repeats itself too much to be a key.
    """
    alphabet = string.ascii_uppercase + "234567"
    key = "AKIA" + "".join(secrets.SystemRandom().sample(alphabet, 16))
    return f'aws_access_key_id = "{key}"\n'


def _run(gitleaks: str, root: Path, *what: str) -> subprocess.CompletedProcess[str]:
    command = [gitleaks, *what[:1], "--no-banner", "--no-color", "--redact", "--verbose"]
    command += ["--config", str(root / ".gitleaks.toml"), *what[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
