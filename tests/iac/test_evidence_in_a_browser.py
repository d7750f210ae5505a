"""The auditor's page in a real browser: it shows, nothing is cut off or fetched, and it prints on A4."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.tools import missing
from sceau.cli.evidence_table import REQUIREMENTS
from sceau.cli.main import main

pytestmark = pytest.mark.slow

Browse = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Chromium without a window, on files only."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("the evidence page is not looked at in a browser: Chromium is not there")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=120)

    return run


@pytest.fixture
def page(tmp_path: Path) -> Path:
    main(["evidence", "--stage", "local", "--found", str(tmp_path), "--tests", str(tmp_path)])
    return tmp_path / "evidence.html"


def test_the_page_shows_every_requirement_within_its_width(browse: Browse, page: Path) -> None:
    probe = "<script>document.title = [innerWidth, document.documentElement.scrollWidth].join(' ')</script>"
    text = page.read_text("utf-8")
    assert text.count("Content-Security-Policy") == 1
    measured = page.with_name("measured.html")  # the page itself lets no script run
    measured.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", probe + "</body>"), "utf-8")
    for width in ("900", "420"):
        shown = browse("--dump-dom", f"--window-size={width},1200", measured.as_uri()).stdout
        assert shown.count("<article") == len(REQUIREMENTS)
        title = re.search(r"<title>(\d+) (\d+)</title>", shown)
        assert title is not None
        assert int(title[2]) <= int(title[1]), f"cut off at {width}"


def test_the_page_s_own_policy_lets_no_script_run(browse: Browse, page: Path) -> None:
    planted = page.with_name("planted.html")
    planted.write_text(
        page.read_text("utf-8").replace("</body>", "<script>document.title='ran'</script></body>"), "utf-8"
    )
    assert "<title>ran</title>" not in browse("--dump-dom", planted.as_uri()).stdout


def test_it_prints_on_a4(browse: Browse, page: Path) -> None:
    printed = page.with_suffix(".pdf")
    browse("--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri())
    data = printed.read_bytes()
    sizes = {tuple(round(float(one)) for one in box.split()) for box in re.findall(rb"/MediaBox \[([0-9. ]+)\]", data)}
    assert sizes <= {(0, 0, 595, 842), (0, 0, 596, 842), (0, 0, 594, 841)}
    assert sizes
    assert 4 <= len(re.findall(rb"/Type /Page\b", data)) <= 20
