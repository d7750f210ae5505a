"""Known holes in the locked dependencies, by pip-audit, where advisories can be reached.

pip-audit says "no known vulnerabilities" too when it could not ask. So it is first given a version with a hole that
everybody knows: if it does not find that one, it has no data, and the scan fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

KNOWN: Final = ("pyyaml", "5.3")
"""A version with a hole since 2020 (CVE-2020-1747)."""

Audit = Callable[[Path], "subprocess.CompletedProcess[str]"]


class ScanFailed(Exception):
    """The scan found something, or could not be made. The message is for the person who reads the pipeline's log."""


@dataclass(frozen=True, slots=True)
class Hole:
    """One advisory about one locked version."""

    package: str
    version: str
    advisory: str
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"mended in {', '.join(self.fixed_in)}" if self.fixed_in else "not mended yet"
        return f"{self.package} {self.version}: {self.advisory}, {fixed}"


def scan(requirements: Sequence[Path], accepted: Path, audit: Audit, today: date) -> list[Hole]:
    """Scan the lock files; return the holes that are accepted for now. Raises ScanFailed for all others."""
    _require_data(audit)
    let_pass = read_accepted(accepted, today)
    found = [hole for path in requirements for hole in _holes(audit(path), path.name)]
    wrong = [hole for hole in found if hole.advisory not in let_pass]
    if wrong:
        raise ScanFailed("\n".join(sorted({str(hole) for hole in wrong})))
    return found


def _require_data(audit: Audit) -> None:
    with tempfile.TemporaryDirectory(prefix="sceau-scan-") as folder:
        path = Path(folder) / "known.txt"
        path.write_text(f"{KNOWN[0]}=={KNOWN[1]}\n", "utf-8")
        found = _holes(audit(path), path.name)
    if not [hole for hole in found if hole.package == KNOWN[0]]:
        raise ScanFailed("no advisories can be reached: a version with a known hole was called good")


def _holes(done: subprocess.CompletedProcess[str], name: str) -> list[Hole]:
    """What pip-audit found; it ends with 1 when it found something."""
    try:
        report: dict[str, Any] = json.loads(done.stdout)
        dependencies: list[dict[str, Any]] = list(report["dependencies"])
    except (ValueError, KeyError, TypeError):
        raise ScanFailed(f"{name} could not be scanned: {_last(done.stderr)}") from None
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    if skipped or not dependencies:
        raise ScanFailed(f"{name} was not scanned whole: {', '.join(skipped) or 'nothing was'} was skipped")
    return [
        Hole(one["name"], one["version"], vulnerability["id"], tuple(vulnerability.get("fix_versions", ())))
        for one in dependencies
        for vulnerability in one["vulns"]
    ]


def read_accepted(path: Path, today: date) -> frozenset[str]:
    """Advisories that somebody looked at and accepts until a day, with a reason. After that day they count again."""
    entries = tomllib.loads(path.read_text("utf-8")).get("accepted", [])
    for entry in entries:
        if set(entry) != {"advisory", "until", "reason"} or not entry["reason"] or not isinstance(entry["until"], date):
            raise ScanFailed(f"{path.name}: an accepted advisory has `advisory`, `until` (a day) and `reason`")
    return frozenset(entry["advisory"] for entry in entries if entry["until"] >= today)


def pip_audit(path: Path) -> subprocess.CompletedProcess[str]:
    """Ask pip-audit about pinned requirements; nothing is installed or resolved."""
    command = [sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    command += ["--format", "json", "--requirement", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "the scanner said nothing"
