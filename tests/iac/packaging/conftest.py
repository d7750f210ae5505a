"""Both kinds of package, built once for all tests of this folder. Needs a package index, apt and a mirror of Debian."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.packages import CACHE, VERSION, Built
from fixtures.project import IMAGE, ROOT, ZIPS, copy_project
from fixtures.tools import missing
from iac.packaging import debian
from iac.packaging.__main__ import files_of
from iac.packaging.build import build
from iac.packaging.errors import BuildError
from iac.packaging.interpreter import Interpreter, write_tree

TO_RENEW: list[str] = []
"""Said at the run's end. It is no warning: those are errors here."""


@pytest.fixture(scope="session")
def base_lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's lock of the base; a fresh one where the mirror has dropped what is locked.

    Debian's mirrors keep the newest versions only. That the lock must be renewed is no fault of a change under test;
    `make package` itself ends, with that sentence.
    """
    locked = ROOT / "iac" / "packaging" / "base.lock"
    try:
        debian.fetch_base(debian.read_base_lock(locked), CACHE)
    except BuildError as error:
        if "no longer has" not in str(error):
            if shutil.which("apt-get") is None:
                missing(f"packages are not built here: {error}")
            raise
        fresh = tmp_path_factory.mktemp("lock") / "base.lock"
        fresh.write_text(debian.newest_base(), "ascii")
        TO_RENEW.append(f"iac/packaging/base.lock must be renewed: {error}")
        return fresh
    return locked


@pytest.fixture(scope="session")
def make(base_lock: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Build a stage's package in a copy of the project."""
    root = copy_project(tmp_path_factory.mktemp("project"))

    def one(stage: str) -> Built:
        package = build(root, stage, CACHE, base_lock)
        files = files_of(package, VERSION)
        folder = tmp_path_factory.mktemp(stage)
        write_tree(files, folder)
        return Built(package, files, folder)

    return one


@pytest.fixture(scope="session")
def zips(make: Callable[[str], Built]) -> Built:
    return make(ZIPS)


@pytest.fixture(scope="session")
def image(make: Callable[[str], Built]) -> Built:
    return make(IMAGE)


@pytest.fixture(scope="session")
def interpreter(base_lock: Path, tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """The locked interpreter, unpacked."""
    root = tmp_path_factory.mktemp("base")
    write_tree(debian.unpacked(debian.fetch_base(debian.read_base_lock(base_lock), CACHE)), root)
    return Interpreter(root)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what was measured; the run's summary tells it."""
    return lambda text: record_property("measured", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was measured, and that the base must be locked anew."""
    for sentence in TO_RENEW:
        terminalreporter.write_line(sentence)
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(str(text))
