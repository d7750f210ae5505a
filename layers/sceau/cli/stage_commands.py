"""`sceau stage prepare`: what a host needs that its infrastructure code can't make; and how `stage check` sees it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from sceau.cli.scaleway_api import HostRefused, ScalewayApi
from sceau.cli.scaleway_stage import Wanted, prepare, read_back
from sceau.keys.errors import KeyServiceNotUsable
from sceau.keys.scaleway_http import read_secret_key
from sceau.objects.findings import Finding
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
    secret = os.environ.get(_SECRET)
    if not secret:
        raise SettingsError(f"{_SECRET} is not set: the deployer's API key is needed")
    api, wanted = _api(secret), wanted_of(stage, options.outputs)
    done = 0
    for sentence in prepare(api, wanted, lambda: datetime.now(UTC)):
        print(f"  {sentence}")
        done += 1
    print(f"Stage {stage.name} is prepared{'' if done else ': it was already'}.")
    return 0


def looked_at(stage: Stage, outputs: Path | None) -> Iterator[Finding]:
    """What `sceau stage prepare` made, as the host has it now, asked by `operations`; nothing on another host."""
    if not isinstance(stage.spec.infrastructure, ScalewayInfrastructure):
        return
    try:
        secret = read_secret_key(None, os.environ)
        wanted = wanted_of(stage, outputs)
    except (HostRefused, KeyServiceNotUsable) as error:
        yield Finding("what `sceau stage prepare` made", held=False, seen=f"it could not be read: {error}")
        return
    yield from read_back(_api(secret), wanted, lambda: datetime.now(UTC))


def wanted_of(stage: Stage, outputs: Path | None) -> Wanted:
    """What the stage wants of its host, by what Terraform made. Raises HostRefused."""
    path = outputs or stage.base / "build" / "iac" / stage.name / "outputs.json"
    return Wanted.read(path, stage=stage.name, region=stage.spec.region, settings=stage.spec.infrastructure)


def _api(secret: str) -> ScalewayApi:
    return ScalewayApi(urllib3.PoolManager(retries=False, cert_reqs="CERT_REQUIRED"), secret)
