"""What the foreign clients need: where it is missing their tests skip and say so."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

import pytest

from clients.dpop_proxy import DpopProxy
from fixtures import tools
from fixtures.live_world import Caller, Json, World
from fixtures.service import LiveStage, live_stage
from sceau.cli.devissuer import ISSUE_PATH

HERE = Path(__file__).resolve().parent
OLDEST_NODE = (20, 19)
SECONDS = 60

FoundModule = Callable[[str], Any]
Proxied = Callable[[Caller], AbstractContextManager[DpopProxy]]


def missing(what: str) -> Never:
    """Skip, or fail where nothing may be skipped."""
    tools.missing(f"{what}: `make test-clients` installs what it can")


@dataclass(frozen=True, slots=True)
class Node:
    """Runs a step of one of the scripts here. `authority`: whom that process trusts beside the public authorities."""

    program: str
    authority: Path

    def run(self, script: str, step: str, **given: Any) -> Any:
        """The step's result. What it is given goes through a pipe: keys among it must not be seen by `ps`."""
        done = subprocess.run(
            [self.program, str(HERE / script)],
            input=json.dumps({"step": step, **given}),
            env={"PATH": os.environ.get("PATH", ""), "NODE_EXTRA_CA_CERTS": str(self.authority)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    """The service, over HTTPS, on a stage of its own."""
    with live_stage(tmp_path_factory.mktemp("clients") / "stage") as stage:
        yield stage


@pytest.fixture(scope="session")
def world(live: LiveStage) -> World:
    """Callers and records on that stage, and what it keeps."""
    return World(live)


@pytest.fixture(scope="session")
def _node_program() -> str:
    program = shutil.which("node")
    if program is None:
        missing("node is not there")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        missing(f"node {version} is older than {'.'.join(map(str, OLDEST_NODE))}")
    if _packages(HERE / "package-lock.json") != _packages(HERE / "node_modules" / ".package-lock.json"):
        missing("tests/clients/node_modules is not what package-lock.json says")
    return program


@pytest.fixture(scope="session")
def node(_node_program: str, live: LiveStage) -> Node:
    """Node with the locked clients."""
    return Node(_node_program, live.folder.authority)


@pytest.fixture(scope="session")
def python_client() -> FoundModule:
    """Import one of the Python clients."""

    def found(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing(f"{error.name} is not installed")

    return found


@pytest.fixture
def subject_token(world: World) -> Callable[[str, str], str]:
    """What the development issuer gives out over HTTPS for (person, relying party)."""

    def issued(person: str, azp: str) -> str:
        body = json.dumps({"person": person, "azp": azp}).encode()
        url = world.live.service.issuer + ISSUE_PATH
        answer = world.http.request("POST", url, body=body, headers={"Content-Type": "application/json"})
        assert answer.status == 200, answer.data
        return str(answer.json()["access_token"])

    return issued


@pytest.fixture
def client_key(world: World) -> Callable[[str], Json]:
    """The private JWK of a registered client, as it would be kept by its software."""

    def key(client_id: str) -> Json:
        found = world.live.folder.client_key(client_id)
        return {**found.private_jwk(), "kid": found.thumbprint, "alg": "ES256"}

    return key


def _packages(lock: Path) -> dict[str, str]:
    """Package to version, of a lock or of what npm notes about what it installed."""
    if not lock.exists():
        return {}
    found = json.loads(lock.read_text("utf-8"))["packages"]
    return {name: str(one["version"]) for name, one in found.items() if name}
