"""Hypothesis profiles, and where the corpus of the ANS is when it is there."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fixtures.s3_servers import S3Servers
from fixtures.tools import missing

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# CI gives one commit one verdict: it draws the same examples each time. Work on the code draws new ones.
settings.register_profile(
    "ci", derandomize=True, max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command under test sends the log to its standard error, which ends with the test."""
    loggers = (logging.getLogger(), *map(logging.getLogger, ("sceau", "boto3", "botocore", "s3transfer", "urllib3")))
    before = [(logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (level, propagate) in zip(loggers, before, strict=True):
        # Exactly this type: pytest's own handlers are others.
        logger.handlers[:] = [handler for handler in logger.handlers if type(handler) is not logging.StreamHandler]
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Callable[[int], None]:
    """Say how many cases an exhaustive test went through; the run's summary tells the sum for each module."""
    return lambda number: record_property("cases", number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many cases the exhaustive tests went through, and who found what was tampered with."""
    cases: Counter[str] = Counter()
    found: list[str] = []
    for report in terminalreporter.stats.get("passed", []):
        for name, number in report.user_properties:
            if name == "cases":
                cases[report.location[0]] += number
            elif name == "found":
                found.append(str(number))
    for module, number in sorted(cases.items()):
        terminalreporter.write_line(f"{module}: {number} cases")
    for line in found:
        terminalreporter.write_line(f"found: {line}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public documents and profiles beside the project. Without it its tests skip."""
    if not SHARED.is_dir():
        missing("the shared folder with the ANS's documents is not there")
    return SHARED


@pytest.fixture(scope="session")
def s3_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Servers]:
    """Real S3 servers, each started when a test first asks for it."""
    with ExitStack() as stack:
        yield S3Servers(tmp_path_factory.mktemp("s3"), stack)
