"""What each host's infrastructure tells a function is what its package starts with: the same names, the same places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures import hosted
from iac.container_host.compose import compose_file
from iac.packaging import image, target
from iac.packaging.sources import function_sources
from sceau.cli.container.server import Container
from sceau.stage import Settings

ROOT = Path(__file__).resolve().parents[3]
_FILE = hosted.chalicefile()
ON_SCALEWAY, ON_AWS = (sorted(_FILE.deployed(_FILE.stages[stage])) for stage in (hosted.SCALEWAY, hosted.AWS))


@pytest.fixture
def chalicefile(tmp_path: Path) -> Path:
    """The chalicefile as a package has it, with the sample stages."""
    path = tmp_path / "chalicefile"
    path.write_text(hosted.text(), "utf-8")
    return path


@pytest.mark.parametrize("function", ON_SCALEWAY)
def test_scaleway_starts_the_image(function: str, chalicefile: Path) -> None:
    told: dict[str, Any] = hosted.scaleway_variables()["functions"][function]
    container = Container.from_environ({**told["environment"], "SCEAU_CHALICEFILE": str(chalicefile)})
    assert list(container.functions) == [function]
    assert told["port"] == image.PORT
    assert told["health"] == f"/healthz/{function}"
    memory = told["memory_bytes"]
    assert container.threads(memory) >= 1, "and it holds at least one of the largest requests"


@pytest.fixture(scope="module")
def lambdas() -> list[dict[str, Any]]:
    """The functions of AWS's templates."""
    every = [one for template in hosted.aws_templates().values() for one in template["Resources"].values()]
    return [one["Properties"] for one in every if one["Type"] == "AWS::Lambda::Function"]


@pytest.mark.parametrize("function", ON_AWS)
def test_aws_starts_the_zip(function: str, lambdas: list[dict[str, Any]]) -> None:
    (told,) = [one for one in lambdas if one["Environment"]["Variables"]["SCEAU_FUNCTION"] == function]
    variables = told["Environment"]["Variables"]
    packed = function_sources(ROOT, function)
    place = Path(variables["SCEAU_CHALICEFILE"])
    assert str(place.parent) == target.LAMBDA_TASK_ROOT
    assert place.name in packed
    module, _ = told["Handler"].split(".")
    assert f"{module}.py" in packed
    assert told["Runtime"] == target.LAMBDA_RUNTIME
    assert told["Architectures"] == [target.LAMBDA_ARCHITECTURE]
    plain = {name: value for name, value in variables.items() if isinstance(value, str)}
    assert Settings.from_environ(plain).stage == hosted.AWS


def test_the_compose_file_starts_the_image(chalicefile: Path, tmp_path: Path) -> None:
    file = hosted.chalicefile()
    text = compose_file(hosted.SCALEWAY, hosted.DIGEST, file.functions, file.stages[hosted.SCALEWAY])
    services = json.loads("\n".join(line for line in text.splitlines() if not line.startswith("#")))["services"]
    secret = tmp_path / "secret"
    secret.write_text("f" * 32)
    for name, function in file.functions.items():
        if function.routes:
            environ = services[name]["environment"] | {"SCEAU_CHALICEFILE": str(chalicefile)}
            environ |= {"SCEAU_FRONT_SECRET_FILE": str(secret)}
            assert list(Container.from_environ(environ).functions) == [name]
