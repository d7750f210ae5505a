"""The image gets into its registry before Terraform names it: the signed bytes, by their digest, and no key is seen."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.registry import Registry, serving
from fixtures import hosted
from fixtures.moto_stacks import judged
from fixtures.tools import missing
from iac.deploying.__main__ import Work, apply, work_of
from iac.deploying.errors import DeployRefused
from iac.deploying.pushing import push
from iac.packaging.image import Image, Layer, assembled
from iac.packaging.interpreter import write_tree
from iac.packaging.tree import File

SECRET = "5e0c7a58-6f3e-4a57-9b1c-1f2d3a4b5c6d"
SAMPLE = assembled([Layer(tar.decode(), tar, gzip.compress(tar, mtime=0)) for tar in (b"a layer", b"another")])

_STAND_IN = """#!/bin/sh
printf '%s\\n' "{name} $*" >>"{folder}/commands"
env >>"{folder}/environment"
file="$REGISTRY_AUTH_FILE"
test -z "$file" || {{ cat "$file" >"{folder}/auth"; stat -c %a "$(dirname "$file")" >"{folder}/mode"; }}
{act}
"""


def lay_out(root: Path, repository: str, image: Image = SAMPLE) -> tuple[Path, Path]:
    """A package's manifest, and a plan that will start it from `repository`."""
    package, planned = root / "build" / "package" / hosted.SCALEWAY, root / "build" / "iac" / hosted.SCALEWAY
    write_tree({f"image/{path}": file for path, file in image.layout.items()}, package)
    planned.mkdir(parents=True)
    manifest, plan = package / "manifest.json", planned / "plan.json"
    artefacts = [{"name": "image", "file": "image", "digest": image.digest}]
    manifest.write_text(json.dumps({"format": 1, "stage": hosted.SCALEWAY, "artefacts": artefacts}), "utf-8")
    plan.write_text(json.dumps({"variables": {"image": {"value": f"{repository}@{image.digest}"}}}), "utf-8")
    return manifest, plan


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    if shutil.which("skopeo") is None:
        missing("skopeo is not here: nothing was pushed")
    (tmp_path / "tls").mkdir()
    with serving(tmp_path / "tls", SECRET) as started:
        yield started


def environ(registry: Registry, secret: str = SECRET) -> dict[str, str]:
    return {**os.environ, "SSL_CERT_FILE": str(registry.authority), "SCW_SECRET_KEY": secret}


def test_skopeo_brings_the_very_bytes_to_a_registry_and_again_changes_nothing(
    registry: Registry, tmp_path: Path
) -> None:
    repository = f"{registry.address}/exemple-dmp/sceau"
    manifest, plan = lay_out(tmp_path, repository)
    told = list(push(manifest, plan, repository, environ(registry)))
    assert told == [f"the image is in its registry: {repository}@{SAMPLE.digest}"]
    held = {name: file.data for name, file in SAMPLE.layout.items() if hasattr(file, "data")}
    pushed = {f"blobs/sha256/{digest.removeprefix('sha256:')}": data for digest, data in registry.blobs.items()}
    there = registry.manifests[SAMPLE.digest]
    assert {**pushed, f"blobs/sha256/{SAMPLE.digest.removeprefix('sha256:')}": there}.items() <= held.items()
    assert len(pushed) == 3, "its configuration and two layers"
    assert set(registry.manifests) == {SAMPLE.digest, SAMPLE.digest.replace(":", "-")}
    assert list(push(manifest, plan, repository, environ(registry))) == told
    assert registry.manifests[SAMPLE.digest] == there


def test_a_registry_that_does_not_let_us_in_or_keeps_something_else_ends_it(registry: Registry, tmp_path: Path) -> None:
    repository = f"{registry.address}/exemple-dmp/sceau"
    manifest, plan = lay_out(tmp_path, repository)
    with pytest.raises(DeployRefused, match="the image was not pushed, and nothing is applied") as refused:
        list(push(manifest, plan, repository, environ(registry, "another")))
    assert "another" not in str(refused.value) + (plan.parent / "push.log").read_text("utf-8")
    assert not registry.blobs
    registry.lies = True
    with pytest.raises(DeployRefused, match="nothing is applied"):
        list(push(manifest, plan, repository, environ(registry)))


Spoil = Callable[[Path, Path], object]


def another_image(manifest: Path, plan: Path) -> None:
    del plan
    other = assembled([Layer("other", b"other", gzip.compress(b"other", mtime=0))])
    index = other.layout["index.json"]
    assert isinstance(index, File)
    (manifest.parent / "image" / "index.json").write_bytes(index.data)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda manifest, _: manifest.write_text("{}"), "the package holds no image"),
        (lambda manifest, _: (manifest.parent / "image" / "index.json").unlink(), "the package holds no image"),
        (another_image, "is not the one that its manifest names"),
        (lambda _, plan: plan.write_text("{}"), "plan.json names no image"),
        (
            lambda _, plan: plan.write_text(json.dumps({"variables": {"image": {"value": f"rg/x@{hosted.DIGEST}"}}})),
            "the plan is of another image than what is packaged",
        ),
    ],
)
def test_what_is_not_the_package_that_was_planned_is_not_pushed(spoil: Spoil, said: str, tmp_path: Path) -> None:
    manifest, plan = lay_out(tmp_path, "rg/x")
    spoil(manifest, plan)
    stand_in(tmp_path, "skopeo", "exit 0")
    with pytest.raises(DeployRefused, match=said):
        list(push(manifest, plan, "rg/x", {"PATH": str(tmp_path), "SCW_SECRET_KEY": SECRET}))
    assert not (tmp_path / "commands").exists()


def stand_in(folder: Path, name: str, act: str) -> None:
    """A program that notes how it was run."""
    program = folder / name
    program.write_text(_STAND_IN.format(name=name, folder=folder, act=act), "utf-8")
    program.chmod(0o755)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stand-ins for skopeo and Terraform, which are all that is on the path beside the system's own."""
    outputs: dict[str, Any] = {"key_ids": {"value": {}}, "applications": {"value": {}}, "containers": {"value": {}}}
    (tmp_path / "outputs").write_text(json.dumps(outputs))
    blob = tmp_path / "build/package" / hosted.SCALEWAY / "image/blobs/sha256" / SAMPLE.digest.removeprefix("sha256:")
    stand_in(tmp_path, "skopeo", f'test "$1" = copy || cat "{blob}"')
    stand_in(tmp_path, "terraform", f'test "$1" != output || cat "{tmp_path}/outputs"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SCW_ACCESS_KEY", "SCWDEPLOYER")
    monkeypatch.setenv("SCW_SECRET_KEY", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return tmp_path


@pytest.fixture
def work(desk: Path) -> Work:
    hosted.write_root(desk, hosted.SCALEWAY)
    _, plan = lay_out(desk, hosted.scaleway_settings().image)
    judged(plan.parent, {plan.name: hashlib.sha256(plan.read_bytes()).hexdigest()}, stage=hosted.SCALEWAY)
    asked: list[Sequence[str]] = []

    def command(arguments: Sequence[str]) -> int:
        asked.append(arguments)
        return 0

    return replace(work_of(desk, hosted.SCALEWAY), command=command, lacking=lambda: iter(()))


def test_deploying_pushes_before_it_applies_and_shows_nobody_the_key(work: Work, desk: Path) -> None:
    (work.manifest.parent / "COMMIT").write_text(f"{'0a' * 20}\n")
    assert apply(work) == 0
    assert json.loads((work.folder / "deployed.json").read_text("utf-8"))["commit"] == "0a" * 20
    lines = (desk / "commands").read_text("utf-8").splitlines()
    image = hosted.scaleway_settings().image
    layout = f"oci:{work.manifest.parent / 'image'}:sceau"
    assert lines[:2] == [
        f"skopeo copy --quiet --preserve-digests --retry-times 3 {layout} "
        f"docker://{image}:{SAMPLE.digest.replace(':', '-')}",
        f"skopeo inspect --raw docker://{image}@{SAMPLE.digest}",
    ]
    assert [line.split()[:2] for line in lines[2:]] == [
        ["terraform", "init"],
        ["terraform", "apply"],
        ["terraform", "output"],
    ]
    seen = (desk / "commands").read_text("utf-8") + (desk / "environment").read_text("utf-8")
    assert f"SCW_SECRET_KEY={SECRET}" not in seen
    told: dict[str, Any] = json.loads((desk / "auth").read_text("utf-8"))
    assert list(told["auths"]) == ["rg.fr-par.scw.cloud"]
    assert (desk / "mode").read_text("utf-8") == "700\n"
    [kept] = {line for line in seen.splitlines() if line.startswith("REGISTRY_AUTH_FILE=")}
    assert not Path(kept.partition("=")[2]).exists(), "the file lives as long as the run"


@pytest.mark.parametrize("how", ["it fails", "it is not there"])
def test_what_was_not_pushed_is_not_applied(how: str, work: Work, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "it fails":
        stand_in(desk, "skopeo", "echo first >&2; echo denied >&2; exit 1")
        said = r"nothing is applied: denied \(all of it"
    else:
        (desk / "skopeo").unlink()
        monkeypatch.setenv("PATH", str(desk))
        said = "skopeo is not there"
    with pytest.raises(DeployRefused, match=said):
        apply(work)
    assert "terraform" not in ((desk / "commands").read_text("utf-8") if (desk / "commands").exists() else "")
    assert not (work.folder / "deployed.json").exists()
