"""One live stage for all attacks over HTTPS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.service import live_stage
from security.https_site import Record, Site


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
