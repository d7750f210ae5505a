"""A stage on Scaleway: the judged plan applied by Terraform, and what Terraform can't make by `sceau stage prepare`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from iac.deploying.errors import OUTPUTS
from iac.scaleway import terraform

_STAYS: Final = ("module.journal.", "module.trail.", "module.keys.")
"""The journal and the trail are another administrator's; keys are protected: what they sealed may be somewhere yet."""


def apply(folder: Path) -> Iterator[str]:
    """Apply `plan.bin` as it was judged: Terraform refuses it when the state moved since. Raises TerraformFailed."""
    terraform.run(folder, "init", "-no-color")
    terraform.run(folder, "apply", "-no-color", "-auto-approve", "plan.bin")
    yield "the plan was applied"
    (folder / OUTPUTS).write_text(terraform.run(folder, "output", "-json"), "utf-8")
    yield f"what `sceau stage prepare` needs of it is in {OUTPUTS}"


def take_down(folder: Path, variables: Mapping[str, Any], backend: Mapping[str, Any]) -> Iterator[str]:
    """Destroy all but journal, trail and keys, which are only forgotten. The caller saw that nothing is held."""
    terraform.workspace(folder, variables, backend)
    for path in sorted(folder.rglob("*.tf")):
        if ".terraform" not in path.relative_to(folder).parts:
            text = path.read_text("utf-8")
            path.write_text(text.replace("prevent_destroy = true", "prevent_destroy = false"), "utf-8")
    yield from destroy(folder)


def destroy(folder: Path) -> Iterator[str]:
    """The same, from a folder whose configuration lets everything be destroyed."""
    terraform.run(folder, "init", "-no-color")
    listed = terraform.run(folder, "state", "list").splitlines()
    staying = [address for address in listed if address.startswith(_STAYS)]
    if staying:
        terraform.run(folder, "state", "rm", *staying)
        yield f"{len(staying)} resources of journal, trail and keys stay, and are for a person to delete"
    terraform.run(folder, "plan", "-destroy", "-no-color", f"-var-file={terraform.VARIABLES}", "-out=destroy.bin")
    told = json.loads(terraform.run(folder, "show", "-json", "destroy.bin"))
    gone = [one["address"] for one in told.get("resource_changes", ()) if one["change"]["actions"] == ["delete"]]
    terraform.run(folder, "apply", "-no-color", "-auto-approve", "destroy.bin")
    yield f"{len(gone)} resources were destroyed"
