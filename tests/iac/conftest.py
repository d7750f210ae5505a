"""What the suites of iac/ share: the stand-in provider, one plan of the sample stage, the templates."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import hosted
from iac.scaleway import terraform

_CREDENTIALS = ("SCW_", "AWS_")


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Terraform's configuration for this session: the stand-in provider from a folder, no registry, no credential."""
    hosted.needed("go", "terraform")
    configuration = hosted.build_provider(tmp_path_factory.mktemp("mirror"))
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_CREDENTIALS):
                patch.delenv(name)
        patch.setenv("TF_CLI_CONFIG_FILE", str(configuration))
        patch.setenv("SCEAU_PROVIDER_SCHEMA", str(hosted.SCHEMA))
        yield configuration


@pytest.fixture(scope="session")
def planned(provider: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The workspace of the sample stage, and its plan as Terraform gives it."""
    folder = terraform.workspace(tmp_path_factory.mktemp("plan") / "stage", hosted.scaleway_variables(), None)
    return folder, terraform.plan(folder)


@pytest.fixture(scope="session")
def resources_text(planned: tuple[Path, dict[str, Any]]) -> str:
    """Every planned resource with its values, as JSON: each test reads a copy of its own."""
    return json.dumps(terraform.planned(*planned))


@pytest.fixture
def resources(resources_text: str) -> dict[str, dict[str, Any]]:
    """The planned resources, to be changed at will."""
    read: dict[str, dict[str, Any]] = json.loads(resources_text)
    return read
