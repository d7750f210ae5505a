"""One live stage for all attacks over HTTPS, and one large log for all that is done to logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.key_stands import local
from fixtures.service import live_stage
from security.https_site import Record, Site
from security.log_world import Built, Found, World, build


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service, over HTTPS, on a stage of its own."""
    with live_stage(tmp_path_factory.mktemp("attacked") / "stage") as stage:
        yield Site(stage)


@pytest.fixture(scope="session")
def record(site: Site) -> Record:
    """A patient's open record, which the hospital may read."""
    made = Record(site, "dominique")
    made.grant("hospital")
    return made


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A real log of more than 66,000 entries; not to be touched."""
    return build(tmp_path_factory.mktemp("log"), local(tmp_path_factory.mktemp("keys")).keys)


@pytest.fixture
def world(built: Built, tmp_path: Path) -> World:
    """The same log, for a case of its own."""
    return built.world.linked(tmp_path / "store")


@pytest.fixture
def log(built: Built, tmp_path: Path) -> World:
    """The log alone, without its events, for a case of its own."""
    return built.world.linked(tmp_path / "store", log_only=True)


@pytest.fixture
def found(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Found:
    """Tell who found a case, and what they said, in the run's summary."""
    name = request.node.name
    case = name[name.index("[") + 1 : -1] if "[" in name else name.removeprefix("test_").replace("_", " ")
    return lambda said: record_property("found", f"{case}: {said}")
