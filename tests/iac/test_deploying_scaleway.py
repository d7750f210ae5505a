"""A judged plan is applied and taken down by Terraform itself, on the stand-in provider, which only remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures import hosted
from iac.deploying import scaleway
from iac.scaleway import terraform
from sceau.cli.scaleway_stage import Wanted

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform")]


@pytest.fixture(scope="module")
def applied(provider: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del provider
    folder = terraform.workspace(tmp_path_factory.mktemp("deploy") / "stage", hosted.scaleway_variables(), None)
    terraform.plan(folder)
    assert list(scaleway.apply(folder)) == [
        "the plan was applied",
        "what `sceau stage prepare` needs of it is in outputs.json",
    ]
    return folder


def test_what_was_planned_is_there_and_prepare_finds_what_it_needs(applied: Path) -> None:
    planned = json.loads((applied / "plan.json").read_text("utf-8"))["resource_changes"]
    listed = terraform.run(applied, "state", "list").splitlines()
    assert sorted(listed) == sorted(one["address"] for one in planned if one["mode"] == "managed")
    wanted = Wanted.read(
        applied / "outputs.json", stage="scaleway-sample", region="fr-par", settings=hosted.scaleway_settings()
    )
    assert set(wanted.containers) == set(hosted.functions())
    assert set(wanted.containers) < set(wanted.applications)


def test_a_plan_that_is_older_than_the_state_is_not_applied(applied: Path) -> None:
    with pytest.raises(terraform.TerraformFailed, match=r"[Ss]aved plan is stale"):
        list(scaleway.apply(applied))


def test_no_bucket_is_destroyed_as_the_configuration_stands(applied: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in applied.glob("*.tf*"):
        (copied / path.name).write_bytes(path.read_bytes())
    copy(applied / "modules", copied / "modules")
    (copied / "terraform.tfstate").write_bytes((applied / "terraform.tfstate").read_bytes())
    with pytest.raises(terraform.TerraformFailed, match="Instance cannot be destroyed"):
        list(scaleway.destroy(copied))


def copy(source: Path, target: Path) -> None:
    for path in source.rglob("*.tf"):
        (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        (target / path.relative_to(source)).write_bytes(path.read_bytes())


def test_all_but_journal_trail_and_keys_is_taken_down(applied: Path, tmp_path: Path) -> None:
    before = terraform.run(applied, "state", "list").splitlines()
    staying = [one for one in before if one.startswith(("module.journal.", "module.trail.", "module.keys."))]
    copied = terraform.copy_to_evaluate(applied)
    state: dict[str, Any] = json.loads((applied / "terraform.tfstate").read_text("utf-8"))
    (copied / "terraform.tfstate").write_text(json.dumps(state), "utf-8")
    told = list(scaleway.destroy(copied))
    assert told == [
        f"{len(staying)} resources of journal, trail and keys stay, and are for a person to delete",
        f"{len(before) - len(staying)} resources were destroyed",
    ]
    assert terraform.run(copied, "state", "list") == ""
