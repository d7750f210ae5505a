"""The papers say what is: links lead somewhere, pages that code names exist, no machine's or index's address is in."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")
_PAGE = re.compile(r"docs/[a-z/0-9-]+\.md")
_TEST = re.compile(r"`(tests/[A-Za-z_/]+\.py)`")
_INDEX = re.compile(
    r"(--(extra-)?index-url|--find-links|files\.pythonhosted|pypi\.org|registry\.npmjs|proxy\.golang|repo1?\.maven)"
)


def tracked() -> list[Path]:
    """The files that git has, and those it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text("utf-8", errors="ignore")


def test_every_relative_link_of_a_page_leads_somewhere() -> None:
    pages = [path for path in tracked() if path.suffix == ".md"]
    assert pages
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in _LINK.findall(text_of(page))
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_page_and_test_that_is_named_exists() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml"} and path != Path(__file__)
        for name in (*_PAGE.findall(text_of(path)), *_TEST.findall(text_of(path)))
        if not (ROOT / name).exists()
    }
    assert missing == set()


def test_every_stored_format_has_a_page_that_names_its_pins() -> None:
    for page in (ROOT / "docs" / "formats").glob("*.md"):
        assert "tests/" in text_of(page), f"{page.name} does not say where its bytes are pinned"


def test_no_package_index_and_no_path_of_a_machine_is_in_the_repository() -> None:
    home = str(Path.home())
    for path in tracked():
        if path == Path(__file__) or path.name == "LICENSE":
            continue
        text = text_of(path)
        found = _INDEX.search(text)
        assert not found, f"{path.relative_to(ROOT)} names a package index: {found}"
        assert f"{ROOT.parent}/" not in text, f"{path.relative_to(ROOT)} holds a path of this machine"
        if len(home) > len("/root"):
            assert home not in text


def test_the_requirements_are_locked_with_hashes() -> None:
    for kind in ("runtime", "dev"):
        text = text_of(ROOT / "requirements" / f"{kind}.txt")
        pinned = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
        assert pinned
        for block in re.split(r"\n(?=[a-z0-9-]+==)", text):
            assert "--hash=sha256:" in block, block.splitlines()[0]
