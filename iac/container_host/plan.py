"""`make plan` of a stage on servers of its own: nothing is made there, so it looks at what will be started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from iac.container_host import secrets
from iac.container_host.compose import COMPOSE
from sceau_schemas.deployment import Chalicefile, StageSpec

HOSTS: Final = ("container", "ovhcloud", "outscale")
"""Hosts that we make no infrastructure for: the image runs on servers of the organisation."""

SECRETS: Final = "SCEAU_SECRETS"


def lacking(stage: str, file: Chalicefile, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each secret of the stage that is not there."""
    spec = file.stages[stage]
    folder = environ.get(SECRETS)
    if not folder or not Path(folder).is_dir():
        yield (
            f"stage {stage}: the folder of its secrets is missing: {SECRETS} names it, as it will stand beside "
            f"{COMPOSE} ({secrets.PAGE})"
        )
        return
    yield from secrets.missing(stage, file.deployed(spec), spec, Path(folder))


def told(spec: StageSpec, file: Chalicefile, image: Mapping[str, Any]) -> Iterator[str]:
    """What will be started."""
    yield f"one container for each of {', '.join(file.deployed(spec))}, and the front"
    yield f"from the image {image['digest']}"
