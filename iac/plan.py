"""`python -m iac.plan --stage NAME`: what the host will be like, and whether the controls accept it.

Writes into `build/iac/NAME`: the variables and the plan (Terraform), or the templates (CloudFormation), and
`controls.json`. Nothing is changed on the host. Status 0 when every control holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

from iac.aws.functions import Packages
from iac.aws.network import out_of_reach
from iac.aws.templates import templates
from iac.container_host import plan as container_host
from iac.controls import aws as aws_plan, scaleway as scaleway_plan
from iac.controls.controls import CONTROLS
from iac.controls.model import Finding, Plan
from iac.derive.deployment import Deployment, derive
from iac.derive.stores import DerivationError
from iac.policies.language import PolicyNotUnderstood
from iac.scaleway import terraform
from iac.scaleway.inputs import variables
from iac.scaleway.values import value_findings
from iac.secrets import Around, Step, missing, refuse, unreachable, untrusted
from sceau_schemas.deployment import ChalicefileError, StageSpec, read_chalicefile
from sceau_schemas.infrastructure import AwsInfrastructure, Infrastructure, ScalewayInfrastructure
from sceau_schemas.stores import S3StoreSpec

ROOT: Final = Path(__file__).resolve().parents[1]
_FORMAT: Final = 1


class PlanRefused(Exception):
    """There is no plan to judge. The message is one sentence for the person who deploys."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage's plan: as the controls see it, and as it rests on the disk."""

    deployment: Deployment
    plan: Plan
    files: tuple[Path, ...]
    early: tuple[Finding, ...] = ()
    """What was found before the controls looked: values that the host's own tool lets pass."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m iac.plan", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--out", type=Path, help="where to write (build/iac/STAGE)")
    parser.add_argument("--manifest", type=Path, help="what was packaged (build/package/STAGE/manifest.json)")
    parser.add_argument("--without-state", action="store_true", help="plan as if nothing were there; needs no secret")
    options = parser.parse_args(arguments)
    out = options.out or options.root / "build" / "iac" / options.stage
    manifest = options.manifest or options.root / "build" / "package" / options.stage / "manifest.json"
    try:
        if on_own_servers(options.root, options.stage, manifest, with_secrets=not options.without_state):
            return 0
        found = make_plan(options.root, options.stage, out, manifest, with_state=not options.without_state)
    except (ChalicefileError, DerivationError, PlanRefused, PolicyNotUnderstood, terraform.TerraformFailed) as error:
        sys.stderr.write(f"sceau: {error}\n")
        return 1
    return _tell(found, out)


def on_own_servers(root: Path, stage: str, manifest: Path, *, with_secrets: bool) -> bool:
    """Whether the stage is on servers of the organisation; then nothing is made, and this says what is started."""
    file = read_chalicefile(root / "chalicefile")
    spec = file.stages.get(stage)
    if spec is None or spec.host not in container_host.HOSTS:
        return False
    image = _packaged(manifest, stage).get("image")
    if image is None:
        raise PlanRefused(f"what was packaged for stage {stage} has no image")
    refuse(untrusted(stage, spec), PlanRefused)
    if with_secrets:
        around = Around(stage, spec, manifest.parent, os.environ)
        refuse(chain(missing(around, Step.PLAN), container_host.lacking(stage, file)), PlanRefused)
    for sentence in container_host.told(spec, file, image):
        print(f"  {sentence}")
    print("  every secret is there" if with_secrets else "  secrets were not looked for")
    return True


def make_plan(root: Path, stage: str, out: Path, manifest: Path, *, with_state: bool) -> Planned:
    """Derive, and plan. Raises one of the errors that `main` tells in a sentence."""
    file = read_chalicefile(root / "chalicefile")
    spec = file.stages.get(stage)
    if spec is None:
        raise PlanRefused(f"the chalicefile declares no stage {stage!r}; it has {', '.join(sorted(file.stages))}")
    settings, store = hosted_settings(stage, spec)
    refuse(chain(unreachable(stage, spec), untrusted(stage, spec)), PlanRefused)
    if isinstance(settings, AwsInfrastructure):
        refuse(out_of_reach(stage, spec.log), PlanRefused)
    deployment = derive(file, stage, spec, store.buckets)
    out.mkdir(parents=True, exist_ok=True)
    packaged = _packaged(manifest, stage)
    if with_state:
        refuse(missing(Around(stage, spec, manifest.parent, os.environ), Step.PLAN), PlanRefused)
    if isinstance(settings, ScalewayInfrastructure):
        return _on_scaleway(deployment, settings, packaged, out, with_state=with_state)
    return _on_aws(deployment, settings, packaged, out)


def hosted_settings(stage: str, spec: StageSpec) -> tuple[Infrastructure, S3StoreSpec]:
    """What a hosted stage has beside a local one. Raises PlanRefused."""
    if spec.infrastructure is None:
        raise PlanRefused(f"stage {stage} has no infrastructure settings: there is nothing to plan on host {spec.host}")
    if not isinstance(spec.store, S3StoreSpec):
        raise PlanRefused(f"stage {stage} keeps its objects in a folder: a hosted stage needs S3 with Object Lock")
    return spec.infrastructure, spec.store


def _packaged(manifest: Path, stage: str) -> Mapping[str, Mapping[str, Any]]:
    """What was packaged, by name."""
    try:
        read = json.loads(manifest.read_text("utf-8"))
    except FileNotFoundError:
        raise PlanRefused(f"stage {stage} is not packaged: run `make package STAGE={stage}` first") from None
    if read.get("stage") != stage:
        raise PlanRefused(f"{manifest.name} is of stage {read.get('stage')!r}, not of {stage!r}")
    return {artefact["name"]: artefact for artefact in read["artefacts"]}


def _on_scaleway(
    deployment: Deployment,
    settings: ScalewayInfrastructure,
    packaged: Mapping[str, Mapping[str, Any]],
    out: Path,
    *,
    with_state: bool,
) -> Planned:
    if "image" not in packaged:
        raise PlanRefused(f"what was packaged for stage {deployment.stage} has no image")
    given = variables(deployment, settings, packaged["image"]["digest"])
    folder = terraform.workspace(out, given, state_backend(deployment, settings) if with_state else None)
    planned = terraform.plan(folder)
    resources = terraform.planned(folder, planned)
    early = tuple(Finding("values", address, text) for address, text in value_findings(resources))
    plan = scaleway_plan.read_plan(resources, deployment, settings)
    return Planned(deployment, plan, (folder / "plan.json", folder / "plan.bin"), early)


def state_backend(deployment: Deployment, settings: ScalewayInfrastructure) -> dict[str, Any]:
    """The state's bucket, as Terraform's S3 backend takes it. Credentials come from the environment (AWS_…)."""
    return {
        "bucket": settings.state,
        "key": f"{deployment.stage}.tfstate",
        "region": deployment.region,
        "endpoints": {"s3": f"https://s3.{deployment.region}.scw.cloud"},
        "use_lockfile": True,
        "skip_credentials_validation": True,
        "skip_region_validation": True,
        "skip_requesting_account_id": True,
    }


def _on_aws(
    deployment: Deployment, settings: AwsInfrastructure, packaged: Mapping[str, Mapping[str, Any]], out: Path
) -> Planned:
    digests = {name: str(artefact["sha256"]) for name, artefact in packaged.items()}
    if "layer" not in digests:
        raise PlanRefused(f"what was packaged for stage {deployment.stage} has no layer")
    packages = Packages(digests["layer"], {name: digest for name, digest in digests.items() if name != "layer"})
    made = templates(deployment, settings, packages)
    files = []
    for name, template in made.items():
        path = out / f"{name}.template.json"
        path.write_text(json.dumps(template, indent=1) + "\n", "utf-8")
        files.append(path)
    return Planned(deployment, aws_plan.read_plan(made, deployment, settings), tuple(files))


def _tell(found: Planned, out: Path) -> int:
    results = {control: list(control.findings(found.plan, found.deployment)) for control in CONTROLS}
    report = {
        "format": _FORMAT,
        "stage": found.deployment.stage,
        "host": found.deployment.host,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found.files},
        "accepted": not found.early and not any(results.values()),
        "controls": [
            {
                "name": control.name,
                "hds": control.hds,
                "others": control.others,
                "text": control.text,
                "held": not findings,
                "findings": [{"address": one.address, "text": one.text} for one in findings],
            }
            for control, findings in results.items()
        ],
    }
    (out / "controls.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    findings = [*found.early, *(one for held in results.values() for one in held)]
    for control, held in results.items():
        print(
            f"  {'held' if not held else 'BROKEN':<8}{control.name:<22}HDS {', '.join(control.hds):<12}  {control.text}"
        )
    print(f"  the plan and what the controls said of it are in {out}")
    for finding in findings:
        sys.stderr.write(f"sceau: {finding}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
