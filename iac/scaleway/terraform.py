"""Runs Terraform: a plan as JSON, and the same configuration evaluated with made-up ids.

At the first plan, ids are unknown, and with them every bucket policy that names one: Terraform prints such a policy as
"known after apply", which no control can judge. So the same configuration is applied once more by `terraform test`
with mocks (nothing is touched, no credential is needed) and what the plan leaves open is filled in from there. Where
both say something, they must say the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from iac.scaleway.credentials import for_terraform

SOURCE: Final = Path(__file__).resolve().parent
VARIABLES: Final = "variables.tfvars.json"
_MOCKS: Final = "tests/evaluated.tftest.hcl"
_NAMESPACE: Final = uuid.UUID("5e0c7a58-6f3e-4a57-9b1c-1f2d3a4b5c6d")
_WITH_LOCALITY: Final = (
    "scaleway_container",
    "scaleway_container_namespace",
    "scaleway_container_trigger",
    "scaleway_cockpit_source",
    "scaleway_key_manager_key",
)
"""Resources whose ids read `region/uuid`."""

_IN_CODE: Final = re.compile(r"on .* line \d+|with |\d+: |├|╵|╷|Error: |This was checked|var\.\S+ is ")
"""Lines of an error that show where it is, not what it is."""

_QUIET: Final = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}

Resources = dict[str, dict[str, Any]]


class TerraformFailed(Exception):
    """Terraform can't plan this. The message is one sentence; what Terraform said rests beside the plan."""


def workspace(folder: Path, variables: Mapping[str, Any], backend: Mapping[str, Any] | None) -> Path:
    """Lay the configuration and its variables into `folder`. `backend`: where the state is; None: there is none."""
    kept = folder / ".terraform"
    for path in folder.iterdir() if folder.is_dir() else ():
        if path != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__", "tests"))
    (folder / VARIABLES).write_text(json.dumps(variables, indent=2), "utf-8")
    if backend is not None:
        text = json.dumps({"terraform": {"backend": {"s3": dict(backend)}}}, indent=2)
        (folder / "backend.tf.json").write_text(text, "utf-8")
    return folder


def plan(folder: Path) -> dict[str, Any]:
    """`init` and `plan`; return the plan as JSON. Raises TerraformFailed."""
    run(folder, "init", "-no-color")
    run(folder, "plan", "-no-color", f"-var-file={VARIABLES}", "-out=plan.bin")
    result: dict[str, Any] = json.loads(run(folder, "show", "-json", "plan.bin"))
    (folder / "plan.json").write_text(json.dumps(result, indent=1), "utf-8")
    return result


def planned(folder: Path, found: Mapping[str, Any]) -> Resources:
    """Every resource that there will be, by address, with what the plan can't know yet filled in."""
    changes = {
        change["address"]: change["change"]
        for change in found["resource_changes"]
        if change["mode"] == "managed" and change["change"]["after"] is not None
    }
    evaluated = _evaluate(folder, changes)
    result = {}
    for address, change in changes.items():
        if address not in evaluated:
            raise TerraformFailed(f"{address} is in the plan, and not in its evaluation")
        new = change["before"] is None
        result[address] = _filled(change["after"], change["after_unknown"], evaluated[address], address, new)
    return result


def _filled(after: Any, unknown: Any, evaluated: Any, where: str, new: bool) -> Any:
    if unknown is True:
        return evaluated
    if isinstance(after, dict) and isinstance(evaluated, dict):
        open_parts = unknown if isinstance(unknown, dict) else {}
        return {
            key: _filled(after.get(key), open_parts.get(key, False), evaluated.get(key), f"{where}.{key}", new)
            for key in {**after, **open_parts}
        }
    if isinstance(after, list) and isinstance(evaluated, list) and len(after) == len(evaluated):
        parts = unknown if isinstance(unknown, list) else [False] * len(after)
        return [
            _filled(a, u, e, f"{where}[{i}]", new)
            for i, (a, u, e) in enumerate(zip(after, parts, evaluated, strict=True))
        ]
    if new and after != evaluated:
        raise TerraformFailed(f"{where}: the plan and its evaluation differ")
    return after


def _evaluate(folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> Resources:
    copied = copy_to_evaluate(folder)
    (copied / "tests").mkdir(exist_ok=True)
    (copied / _MOCKS).write_text(_mocks(changes), "utf-8")
    run(copied, "init", "-no-color")
    lines = run(copied, "test", "-no-color", "-json", "-verbose", f"-filter={_MOCKS}", f"-var-file={VARIABLES}")
    for line in lines.splitlines():
        message = json.loads(line)
        if message["type"] == "test_state":
            return dict(_resources(message["test_state"]["root_module"]))
    raise TerraformFailed("terraform test gave no state")


def copy_to_evaluate(folder: Path) -> Path:
    """A copy that `terraform test` can take down again: it knows no way around `prevent_destroy`."""
    copied = folder / "evaluated"
    for path in sorted(folder.rglob("*.tf")):
        if path.is_relative_to(copied) or path.is_relative_to(folder / ".terraform"):
            continue
        target = copied / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8")
        target.write_text(text.replace("prevent_destroy = true", "prevent_destroy = false"), "utf-8")
    shutil.copy(folder / VARIABLES, copied / VARIABLES)
    return copied


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in module.get("resources", ()):
        yield resource["address"], resource["values"]
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _mocks(changes: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for address, change in sorted(changes.items()):
        known = (change["after"] or {}).get("id")
        parts.append(
            f'  override_resource {{\n    target = {address}\n    values = {{ id = "{known or _id(address)}" }}\n  }}\n'
        )
    overrides = "".join(parts)
    providers = [f'mock_provider "scaleway" {{\n{alias}{overrides}}}\n' for alias in ("", '  alias = "journal"\n')]
    return "\n".join([*providers, 'run "evaluated" {\n  command = apply\n}\n'])


def _id(address: str) -> str:
    """A made-up id of the form that the resource's have: the same for the same address."""
    made = uuid.uuid5(_NAMESPACE, hashlib.sha256(address.encode()).hexdigest())
    kind = next(part for part in address.split("[", maxsplit=1)[0].split(".") if part.startswith("scaleway_"))
    return f"fr-par/{made}" if kind in _WITH_LOCALITY else str(made)


def run(folder: Path, *arguments: str) -> str:
    """Run Terraform in `folder`, without questions and without asking its makers for news. Raises TerraformFailed."""
    program = shutil.which("terraform")
    if program is None:
        raise TerraformFailed("terraform is not there: install Terraform 1.11 or newer")
    cache = folder.parent / "terraform-plugins"  # the plan and its evaluation fetch the provider once
    cache.mkdir(exist_ok=True)
    try:
        with for_terraform(os.environ) as own:
            environ = {"TF_PLUGIN_CACHE_DIR": str(cache), **own, **_QUIET}
            done = subprocess.run(  # noqa: S603 - our own arguments, no shell
                [program, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
            )
    except ValueError as error:
        raise TerraformFailed(f"the profiles of Scaleway's tools can't be read: {error}") from None
    if done.returncode:
        log = folder / f"{arguments[0]}.log"
        log.write_text(done.stdout + done.stderr, "utf-8")
        raise TerraformFailed(f"terraform {arguments[0]}: {_first_error(done.stdout, done.stderr)} (all of it: {log})")
    return done.stdout


def _first_error(*outputs: str) -> str:
    lines: Sequence[str] = [line.strip("│ \t") for output in outputs for line in output.splitlines()]
    for index, line in enumerate(lines):
        if line.startswith("{") and '"severity":"error"' in line:
            return str(json.loads(line)["diagnostic"]["summary"])
        if line.startswith("Error: "):
            said = [part for part in lines[index + 1 : index + 16] if part and not _IN_CODE.match(part)]
            return " ".join([line.removeprefix("Error: ").rstrip(".") + ":", *said[:3]])
    return "failed without saying why"
