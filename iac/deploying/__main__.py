"""`python -m iac.deploying apply|destroy --stage NAME`: from a judged plan to a stage that was looked at; and back.

apply: what was packaged is put where the host finds it, then the plan that `make plan` left is applied, if every
control held on it; then `sceau stage prepare` (Scaleway), `sceau stage check`, `sceau smoke` and `sceau evidence`,
which is made in any case. destroy: only where no bucket holds anything.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3

from iac.deploying import aws, pushing, scaleway
from iac.deploying.acting import as_operations, made_keys, write_settings
from iac.deploying.errors import OUTPUTS, DeployRefused
from iac.deploying.holdings import held
from iac.deploying.reviewed import reviewed
from iac.derive.deployment import Deployment, derive
from iac.derive.stores import DerivationError
from iac.packaging.commit import packaged_from
from iac.plan import ROOT, PlanRefused, hosted_settings, state_backend
from iac.scaleway.inputs import variables
from iac.scaleway.terraform import TerraformFailed
from iac.secrets import JOURNAL_PROFILE, Around, Step, missing, refuse
from sceau.cli.main import main as sceau
from sceau_schemas.deployment import ChalicefileError, read_chalicefile
from sceau_schemas.infrastructure import AwsInfrastructure, Infrastructure, ScalewayInfrastructure
from sceau_schemas.stores import S3StoreSpec

_NO_IMAGE: Final = f"sha256:{'0' * 64}"  # nothing is started while a stage is taken down


def client(service: str, whose: str, store: S3StoreSpec) -> Any:
    """A client with the environment's credentials; for the journal, those of its administrator's profile."""
    profile = os.environ.get(JOURNAL_PROFILE) if whose == "journal" else None
    endpoint = store.origin if service == "s3" and store.endpoint else None
    return boto3.Session(profile_name=profile).client(service, region_name=store.region, endpoint_url=endpoint)


@dataclass(frozen=True, slots=True)
class Work:
    """One stage, where its plan and package are, and who carries out what is not ours to know."""

    stage: str
    settings: Infrastructure
    deployment: Deployment
    store: S3StoreSpec
    folder: Path
    manifest: Path
    client: Callable[[str, str, S3StoreSpec], Any] = client
    command: Callable[[Sequence[str]], int] = sceau
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    lacking: Callable[[], Iterator[str]] = field(default=lambda: iter(()))
    """A sentence for each secret that is not there."""

    def of(self, service: str, whose: str) -> Any:
        """A client of an AWS service for the stack `whose`."""
        return self.client(service, whose, self.store)

    def of_bucket(self, bucket: str) -> Any:
        """The client that may look into a bucket."""
        return self.of("s3", "journal" if self.deployment.lock_days(bucket) is not None else "service")


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m iac.deploying", description=__doc__)
    parser.add_argument("act", choices=("apply", "destroy"))
    parser.add_argument("--stage", required=True)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--confirm", default="", help="destroy: the stage's name once more")
    options = parser.parse_args(arguments)
    try:
        work = work_of(options.root, options.stage)
        return apply(work) if options.act == "apply" else destroy(work, options.confirm)
    except (ChalicefileError, DerivationError, PlanRefused, TerraformFailed, DeployRefused) as error:
        sys.stderr.write(f"sceau: {error}\n")
        return 1


def work_of(root: Path, stage: str) -> Work:
    """What there is to do for a stage. Raises one of the errors that `main` tells in a sentence."""
    file = read_chalicefile(root / "chalicefile")
    spec = file.stages.get(stage)
    if spec is None:
        raise PlanRefused(f"the chalicefile declares no stage {stage!r}; it has {', '.join(sorted(file.stages))}")
    settings, store = hosted_settings(stage, spec)
    deployment = derive(file, stage, spec, store.buckets)
    build = root / "build"
    package = build / "package" / stage
    return Work(
        stage,
        settings,
        deployment,
        store,
        build / "iac" / stage,
        package / "manifest.json",
        lacking=partial(missing, Around(stage, spec, package, os.environ), Step.APPLY),
    )


def apply(work: Work) -> int:
    """Apply what was judged, look at what came of it, and write the evidence of both."""
    plan = reviewed(work.folder, work.stage)
    try:
        package = work.manifest.read_bytes()
    except FileNotFoundError:
        raise DeployRefused(
            f"stage {work.stage} is not packaged: run `make package STAGE={work.stage}` first"
        ) from None
    refuse(work.lacking(), DeployRefused)
    if isinstance(work.settings, AwsInfrastructure):
        _say(aws.upload(work.manifest, work.settings.artifacts, work.of("s3", "service")))
        _say(aws.apply(plan.folder, work.settings.prefix, work.settings.artifacts, work.of))
    else:
        # What is applied starts it by its digest: it must be there before.
        _say(pushing.push(work.manifest, plan.folder / "plan.json", work.settings.image))
        _say(scaleway.apply(plan.folder))
    deployed = {
        "format": 1,
        "stage": work.stage,
        "at": work.now().isoformat(timespec="seconds"),
        "plan": plan.plan,
        "package": hashlib.sha256(package).hexdigest(),
        "commit": packaged_from(work.manifest.parent),
    }
    (work.folder / "deployed.json").write_text(json.dumps(deployed, indent=1) + "\n", "utf-8")
    keys = made_keys(work.folder / OUTPUTS, work.deployment.keys_variable)
    write_settings(work.folder / "stage.env", keys)
    failed = []
    for told, arguments in _looks(work):
        with as_operations(keys) if told == "stage check" else nullcontext():
            status = work.command(arguments)
        if status:
            failed.append(told)
            if told == "prepare":
                break  # no function has its credentials: there is nothing to look at
    if work.command(["evidence", "--stage", work.stage]):
        failed.append("evidence")
    if failed:
        raise DeployRefused(f"stage {work.stage} is deployed, and {', '.join(failed)} did not hold: see above")
    print(f"  stage {work.stage} is deployed and was looked at")
    return 0


def _looks(work: Work) -> list[tuple[str, list[str]]]:
    found = [
        ("stage check", ["stage", "check", work.stage, "--report", str(work.folder / "check.json")]),
        ("smoke", ["smoke", "--stage", work.stage, "--report", str(work.folder / "smoke.json")]),
    ]
    if isinstance(work.settings, ScalewayInfrastructure):
        found.insert(0, ("prepare", ["stage", "prepare", "--stage", work.stage]))
    return found


def destroy(work: Work, confirmed: str) -> int:
    """Take the stage down, if none of its buckets holds anything."""
    holding = list(held(work.deployment, work.of_bucket, work.now()))
    if holding:
        raise DeployRefused(f"stage {work.stage} is not destroyed: {'; '.join(holding)}")
    if confirmed != work.stage:
        raise DeployRefused(
            f"nothing is destroyed before you say so: make destroy STAGE={work.stage} CONFIRM={work.stage}"
        )
    if isinstance(work.settings, AwsInfrastructure):
        _say(aws.take_down(work.settings.prefix, work.of))
    else:
        given = variables(work.deployment, work.settings, _NO_IMAGE)
        folder = work.folder.with_name(f"{work.folder.name}-destroy")
        _say(scaleway.take_down(folder, given, state_backend(work.deployment, work.settings)))
    return 0


def _say(sentences: Any) -> None:
    for sentence in sentences:
        print(f"  {sentence}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
