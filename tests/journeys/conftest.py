"""One live stage for each worker's run of the journeys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.live_world import World
from fixtures.service import LiveStage, live_stage


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    """The service, over HTTPS, on a stage of its own."""
    with live_stage(tmp_path_factory.mktemp("live") / "stage") as stage:
        yield stage


@pytest.fixture(scope="session")
def world(live: LiveStage) -> World:
    """Callers and records on that stage, and what it keeps."""
    return World(live)
