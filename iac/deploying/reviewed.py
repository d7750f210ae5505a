"""What was planned and judged: `controls.json`, and the files that it names by their digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from iac.deploying.errors import DeployRefused

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A judged plan: its files' digests, as they were when the controls looked."""

    folder: Path
    plan: dict[str, str]


def reviewed(folder: Path, stage: str) -> Reviewed:
    """The plan in `folder`, if every control held on it and nothing was changed since. Raises DeployRefused."""
    again = f"run `make plan STAGE={stage}` first"
    try:
        told: dict[str, Any] = json.loads((folder / "controls.json").read_text("utf-8"))
        named, broken = dict(told["plan"]), [one["name"] for one in told["controls"] if not one["held"]]
        is_its = told["stage"] == stage and told["format"] == _FORMAT and bool(told["controls"])
    except FileNotFoundError:
        raise DeployRefused(f"stage {stage} has no plan: {again}") from None
    except (ValueError, KeyError, TypeError):
        raise DeployRefused(f"controls.json is not what `make plan` writes: {again}") from None
    if not is_its:
        raise DeployRefused(f"the plan in {folder.name} is of another stage or format: {again}")
    if broken:
        raise DeployRefused(f"the control {broken[0]} does not hold on this plan: nothing is applied")
    if not told.get("accepted", False):
        raise DeployRefused("the plan holds values that must not be: nothing is applied")
    for name, digest in named.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise DeployRefused(f"{name} is not what the controls looked at: {again}")
    return Reviewed(folder, named)
