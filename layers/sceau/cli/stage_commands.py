"""`sceau stage prepare`: what a host needs that its infrastructure code can't make."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from sceau.cli.scaleway_api import ScalewayApi
from sceau.cli.scaleway_stage import Wanted, prepare
from sceau.stage import SettingsError, Stage
from sceau_schemas.infrastructure import ScalewayInfrastructure

_SECRET = "SCW_SECRET_KEY"  # noqa: S105 - the name of the variable, as the host's own tools have it


def add_stage_commands(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], stage_of: Callable[[argparse.Namespace], Stage]
) -> Any:
    """Add `sceau stage …` to the command's parser; return the group, for further actions."""
    group = commands.add_parser("stage", help="prepare or check a stage").add_subparsers(dest="act", required=True)
    command = group.add_parser("prepare", help="make what the host's infrastructure code can't; safe to repeat")
    common(command)
    command.add_argument("--outputs", type=Path, help="`terraform output -json` (build/iac/STAGE/outputs.json)")
    command.set_defaults(run=lambda options: _prepare(options, stage_of(options)))
    return group


def _prepare(options: argparse.Namespace, stage: Stage) -> int:
    if not isinstance(stage.spec.infrastructure, ScalewayInfrastructure):
        print(f"Nothing to prepare on host {stage.spec.host}: its infrastructure code makes it all.")
        return 0
    api, wanted = hosted(stage, options.outputs)
    done = 0
    for sentence in prepare(api, wanted, lambda: datetime.now(UTC)):
        print(f"  {sentence}")
        done += 1
    print(f"Stage {stage.name} is prepared{'' if done else ': it was already'}.")
    return 0


def hosted(stage: Stage, outputs: Path | None) -> tuple[ScalewayApi, Wanted]:
    """The host's API as the deployer, and what the stage wants of it. Raises SettingsError, HostRefused."""
    secret = os.environ.get(_SECRET)
    if not secret:
        raise SettingsError(f"{_SECRET} is not set: the deployer's API key is needed")
    path = outputs or stage.base / "build" / "iac" / stage.name / "outputs.json"
    wanted = Wanted.read(path, stage=stage.name, region=stage.spec.region, settings=stage.spec.infrastructure)
    return ScalewayApi(urllib3.PoolManager(retries=False, cert_reqs="CERT_REQUIRED"), secret), wanted
