"""The packaged image into the registry that the plan names, by skopeo, and read back there by its digest.

The deployer's key goes to skopeo in a file that lives as long as the run: a command line is for everybody on the
machine to read, and skopeo's own file of credentials would stay.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from iac.deploying.errors import DeployRefused
from iac.packaging.image import NAME
from iac.scaleway.credentials import SECRET_KEY

_USER: Final = "nologin"
"""The registry knows who asks by the secret key alone; the name is what its documentation says."""

_SECRET_FAMILIES: Final = ("SCW_", "AWS_", "SCEAU_")
"""Variables that skopeo has no use for, secrets among them."""


def push(manifest: Path, plan: Path, repository: str, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Push what was packaged, if it is what `plan` (plan.json) will start. Safe to repeat. Raises DeployRefused.

    `manifest`: the package's manifest.json; the caller saw that its signature is right. `repository`: without tag and
    digest.
    """
    digest = _packaged(manifest)
    if _planned(plan) != f"{repository}@{digest}":
        raise DeployRefused("the plan is of another image than what is packaged: run `make plan` again")
    program = shutil.which("skopeo")
    if program is None:
        raise DeployRefused("skopeo is not there: the image can't be pushed (Debian: skopeo)")
    with _signed_in(repository, environ) as own:
        # By a tag as well: a registry may tidy away a manifest that has none.
        tagged = f"docker://{repository}:{digest.replace(':', '-')}"
        copy = ("copy", "--quiet", "--preserve-digests", "--retry-times", "3")
        _run([program, *copy, f"oci:{manifest.parent / 'image'}:{NAME}", tagged], own, plan.parent)
        read = _run([program, "inspect", "--raw", f"docker://{repository}@{digest}"], own, plan.parent)
    if f"sha256:{hashlib.sha256(read).hexdigest()}" != digest:
        raise DeployRefused("the registry gives another manifest for the image's digest: nothing is applied")
    yield f"the image is in its registry: {repository}@{digest}"


def _packaged(manifest: Path) -> str:
    """The image's digest. The layout's index must lead to it: skopeo takes what the index says."""
    try:
        [digest] = [one["digest"] for one in json.loads(manifest.read_bytes())["artefacts"] if one["name"] == "image"]
        [led_to] = [
            one["digest"] for one in json.loads((manifest.parent / "image/index.json").read_bytes())["manifests"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        raise DeployRefused("the package holds no image: run `make package` again") from None
    if digest != led_to:
        raise DeployRefused("the packaged image is not the one that its manifest names: run `make package` again")
    return str(digest)


def _planned(plan: Path) -> str:
    try:
        return str(json.loads(plan.read_bytes())["variables"]["image"]["value"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DeployRefused(f"{plan.name} names no image: run `make plan` again") from None


@contextmanager
def _signed_in(repository: str, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment to run skopeo in: with a file for this registry, without anybody's keys."""
    secret = environ.get(SECRET_KEY)
    if not secret:
        raise DeployRefused(f"{SECRET_KEY} is not there: the image can't be pushed")
    told = base64.b64encode(f"{_USER}:{secret}".encode()).decode()
    with tempfile.TemporaryDirectory(prefix="sceau-registry-") as folder:  # mode 0700
        file = Path(folder) / "auth.json"
        file.write_text(json.dumps({"auths": {repository.partition("/")[0]: {"auth": told}}}), "utf-8")
        clean = {name: value for name, value in environ.items() if not name.startswith(_SECRET_FAMILIES)}
        yield clean | {"REGISTRY_AUTH_FILE": str(file)}


def _run(command: list[str], environ: Mapping[str, str], folder: Path) -> bytes:
    done = subprocess.run(command, env=environ, capture_output=True, check=False)  # noqa: S603 - ours, no shell
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        log = folder / "push.log"
        log.write_text(said + "\n", "utf-8")
        last = said.splitlines()[-1:] or ["it did not say why"]
        raise DeployRefused(f"the image was not pushed, and nothing is applied: {last[0][:300]} (all of it: {log})")
    return done.stdout
