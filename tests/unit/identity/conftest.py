"""One issuer's keys per session (RSA keys take time to make), one world per test."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceau.cli.devissuer import IssuerSecrets, create_issuer_file, read_issuer_file
from unit.identity.identity_world import World, make_world


@pytest.fixture(scope="session")
def issuer_secrets(tmp_path_factory: pytest.TempPathFactory) -> IssuerSecrets:
    path = tmp_path_factory.mktemp("issuer") / "issuer.json"
    create_issuer_file(path)
    return read_issuer_file(path)


@pytest.fixture
def world(tmp_path: Path, issuer_secrets: IssuerSecrets) -> World:
    return make_world(tmp_path, issuer_secrets)
