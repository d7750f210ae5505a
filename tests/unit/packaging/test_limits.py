"""What ends a build: stages that have no package, files that nobody committed, sizes over a limit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from iac.packaging.__main__ import main
from iac.packaging.build import (
    LARGEST_IMAGE,
    LARGEST_UNZIPPED,
    LARGEST_ZIPPED,
    Artefact,
    Package,
    build,
    require_limits,
)
from iac.packaging.errors import BuildError
from iac.packaging.sources import refuse_strays

ROOT = Path(__file__).resolve().parents[3]


def package(kind: str, *artefacts: Artefact) -> Package:
    return Package("s", kind, {}, artefacts, (), (), {})


def artefact(name: str, role: str, packed: int, unpacked: int, limit: int) -> Artefact:
    return Artefact(name, "00", packed, unpacked, limit, {"role": role})


def test_a_function_counts_with_its_layer() -> None:
    layer = artefact("layer", "layer", LARGEST_ZIPPED - 10, 1000, LARGEST_ZIPPED)
    require_limits(package("lambda", layer, artefact("ingest", "function", 10, 10, LARGEST_ZIPPED)))
    with pytest.raises(BuildError) as failed:
        require_limits(package("lambda", layer, artefact("ingest", "function", 11, 10, LARGEST_ZIPPED)))
    assert str(failed.value) == "ingest with its layer is 30000001 bytes packed, over the limit of 30000000"


def test_what_lambda_unpacks_has_its_limit_too() -> None:
    layer = artefact("layer", "layer", 1000, LARGEST_UNZIPPED, LARGEST_ZIPPED)
    require_limits(package("lambda", layer))
    with pytest.raises(
        BuildError, match=r"^traces with its layer is 262144001 bytes unpacked, over Lambda's 262144000$"
    ):
        require_limits(package("lambda", layer, artefact("traces", "function", 10, 1, LARGEST_ZIPPED)))


def test_an_image_over_its_limit_is_none() -> None:
    require_limits(package("image", artefact("image", "image", LARGEST_IMAGE, 10**9, LARGEST_IMAGE)))
    with pytest.raises(BuildError, match=r"^image is 120000001 bytes packed, over the limit of 120000000$"):
        require_limits(package("image", artefact("image", "image", LARGEST_IMAGE + 1, 1, LARGEST_IMAGE)))


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("local", "stage local is a local stage: it runs from the checkout, and nothing is packaged for it"),
        ("nowhere", "the chalicefile declares no stage 'nowhere'; it has local"),
    ],
)
def test_a_stage_without_a_package_is_told_before_anything_is_fetched(
    stage: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chalicefile").write_bytes((ROOT / "chalicefile").read_bytes())
    with pytest.raises(BuildError) as failed:
        build(tmp_path, stage, tmp_path / "cache", tmp_path / "no.lock")
    assert str(failed.value).startswith(said)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')
    assert main(["build", "--stage", stage, "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"sceau: {said}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chalicefile", "pyproject.toml"]


def test_a_file_that_nobody_committed_ends_the_build(tmp_path: Path) -> None:
    refuse_strays(tmp_path)  # no git, no telling
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "layers").mkdir()
    (tmp_path / "notes.txt").touch()  # packaged nowhere
    refuse_strays(tmp_path)
    (tmp_path / "layers" / "backdoor.py").touch()
    with pytest.raises(BuildError, match=r"^layers/backdoor\.py is not committed: commit it or take it away"):
        refuse_strays(tmp_path)
    subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
    refuse_strays(tmp_path)
