"""Scanning of dependencies: what it finds ends the pipeline, and so does a scanner that could not look."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from iac.scanning.__main__ import newer_base
from iac.scanning.dependencies import KNOWN, ScanFailed, read_accepted, scan

TODAY = date(2026, 11, 26)
HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["51.0"]}


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(dependencies), "fixes": []})


def locked(name: str = "cryptography", *vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "50.0.2", "vulns": list(vulnerabilities)}


KNOWN_HOLE = report({"name": KNOWN[0], "version": KNOWN[1], "vulns": [{"id": "PYSEC-2020-96"}]})


def audit(known: str, found: str, stderr: str = "") -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """A pip-audit that answers so for the version with a known hole, and so for the lock file."""

    def answer(path: Path) -> subprocess.CompletedProcess[str]:
        text = known if path.name == "known.txt" else found
        return subprocess.CompletedProcess([], 1, text, stderr)

    return answer


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    path = tmp_path / "accepted.toml"
    path.write_text("")
    return path


def run(known: str, found: str, accepted: Path, stderr: str = "") -> list[str]:
    return [str(one) for one in scan([Path("runtime.txt")], accepted, audit(known, found, stderr), TODAY)]


def test_dependencies_without_a_hole_pass(accepted: Path) -> None:
    assert run(KNOWN_HOLE, report(locked()), accepted) == []


def test_a_hole_ends_the_pipeline_and_says_where_it_is_mended(accepted: Path) -> None:
    with pytest.raises(ScanFailed) as failed:
        run(KNOWN_HOLE, report(locked("cryptography", HOLE)), accepted)
    assert str(failed.value) == "cryptography 50.0.2: PYSEC-2026-1, mended in 51.0"


@pytest.mark.parametrize(
    "known", [report({"name": KNOWN[0], "version": KNOWN[1], "vulns": []}), report(locked("other", HOLE))]
)
def test_a_scanner_that_does_not_find_the_known_hole_has_no_data(known: str, accepted: Path) -> None:
    with pytest.raises(ScanFailed, match="no advisories can be reached"):
        run(known, report(locked()), accepted)


@pytest.mark.parametrize("said", ["", "not json", "[]", "{}", '{"dependencies": null}'])
def test_a_scanner_that_gives_no_report_is_no_pass(said: str, accepted: Path) -> None:
    with pytest.raises(ScanFailed, match=r"known\.txt"):
        run(said, report(locked()), accepted)
    with pytest.raises(ScanFailed, match=r"runtime\.txt"):
        run(KNOWN_HOLE, said, accepted, "ERROR: the service timed out")


def test_what_was_skipped_was_not_scanned(accepted: Path) -> None:
    skipped = {"name": "lxml", "skip_reason": "the service did not answer"}
    with pytest.raises(ScanFailed, match=r"runtime\.txt was not scanned whole: lxml was skipped"):
        run(KNOWN_HOLE, report(locked(), skipped), accepted)
    with pytest.raises(ScanFailed, match="nothing was was skipped"):
        run(KNOWN_HOLE, report(), accepted)


def test_an_accepted_hole_passes_until_its_day(accepted: Path) -> None:
    found = report(locked("cryptography", HOLE))
    accepted.write_text('[[accepted]]\nadvisory = "PYSEC-2026-1"\nuntil = 2026-11-26\nreason = "not reached"\n')
    assert len(run(KNOWN_HOLE, found, accepted)) == 1
    accepted.write_text('[[accepted]]\nadvisory = "PYSEC-2026-1"\nuntil = 2026-11-25\nreason = "not reached"\n')
    with pytest.raises(ScanFailed, match="PYSEC-2026-1"):
        run(KNOWN_HOLE, found, accepted)


@pytest.mark.parametrize(
    "entry",
    [
        'advisory = "x"',
        'advisory = "x"\nuntil = 2027-01-01\nreason = ""',
        'advisory = "x"\nuntil = "soon"\nreason = "y"',
    ],
)
def test_nothing_is_accepted_without_a_day_and_a_reason(entry: str, accepted: Path) -> None:
    accepted.write_text(f"[[accepted]]\n{entry}\n")
    with pytest.raises(ScanFailed, match="`until` \\(a day\\) and `reason`"):
        read_accepted(accepted, TODAY)


def test_a_base_that_debian_has_renewed_is_told() -> None:
    before = "# base\nlibc6 2.41-1 sha256:00\nzlib1g 1:1.3 sha256:01\n"
    assert newer_base(before, before) == "the image's base is Debian's newest (2 packages)"
    with pytest.raises(ScanFailed, match=r"libc6 2\.41-1 -> 2\.41-2$"):
        newer_base(before, before.replace("2.41-1", "2.41-2"))
