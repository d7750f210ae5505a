"""moto, for the modules that hold it to a port: it stands in for AWS as long as their tests run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.s3_servers import moto_place
from sceau.objects.s3.store import S3Store


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """moto's S3 with the buckets that tests share."""
    with moto_place(tmp_path_factory.mktemp("moto")) as place:
        yield place.store()
