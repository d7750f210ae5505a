"""`sceau stage check NAME`: what Sceau relies on, measured on the live stage; a line each, and not 0 if one is lost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from sceau.cli.local_s3 import s3_of
from sceau.cli.local_stage import folder_of
from sceau.cli.process import answers
from sceau.cli.stage_commands import looked_at
from sceau.objects.findings import Finding
from sceau.stage import SettingsError, Stage
from sceau_schemas.stores import S3StoreSpec

_NAME_WIDTH = 52


def add_stage_check(
    actions: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add the action to those of `sceau stage`."""
    check = actions.add_parser(
        "check",
        help="races, locks, versions, place, encryption, public access, keys, clocks, on "
        "Scaleway what `stage prepare` made; writes under probe/ only; "
        "not 0 if something does not hold",
    )
    common(check)
    check.add_argument("stage", metavar="NAME", help="a stage of the chalicefile")
    check.add_argument("--report", type=Path, help="write what was found there too, as JSON, for `sceau evidence`")
    check.add_argument("--outputs", type=Path, help="what the host made (build/iac/NAME/outputs.json; Scaleway)")
    check.set_defaults(run=lambda options: _run(load(options), options.report, options.outputs))


def _run(stage: Stage, written: Path | None, outputs: Path | None) -> int:
    found: list[Finding] = []
    with reachable(stage):
        try:
            measured = stage.properties(stage.file.tools["operations"])
            return report(_kept(chain(measured, looked_at(stage, outputs)), found))
        finally:
            if written is not None:
                write_report(written, stage.name, found)


def _kept(findings: Iterable[Finding], found: list[Finding]) -> Iterator[Finding]:
    for finding in findings:
        found.append(finding)
        yield finding


def write_report(path: Path, stage: str, findings: Iterable[Finding], told_as: str = "findings") -> None:
    """What a check found, as `sceau evidence` reads it (docs/formats/evidence.md)."""
    told = [{"name": one.name, "held": one.held, "seen": one.seen} for one in findings]
    content = {"format": 1, "stage": stage, "at": datetime.now(UTC).isoformat(timespec="seconds"), told_as: told}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


@contextmanager
def reachable(stage: Stage, *, complete: bool = True) -> Iterator[None]:
    """Have a local stage's S3 server run meanwhile, unless somebody serves the stage now.

    `complete`: raise SettingsError when a part of a local stage is not there yet.
    """
    with ExitStack() as stack:
        spec = stage.spec.store
        if stage.spec.folder is not None:
            folder = folder_of(stage)
            if complete and folder.missing():
                raise SettingsError(f"there is no stage {stage.name} here yet: `make run STAGE={stage.name}` makes it")
            # An empty store needs its buckets, too, whoever serves it.
            if isinstance(spec, S3StoreSpec) and not (complete and answers(spec.origin)):
                stack.enter_context(s3_of(stage, folder))
        yield


def report(findings: Iterable[Finding]) -> int:
    """Print each finding as it is made; a sentence on standard error for each that does not hold; the exit status."""
    lost = []
    for finding in findings:
        print(f"{'holds' if finding.held else 'LOST '}  {finding.name:<{_NAME_WIDTH}} {finding.seen}")
        sys.stdout.flush()
        if not finding.held:
            lost.append(finding)
    for finding in lost:
        sys.stderr.write(f"sceau: {finding.name} does not hold: {finding.seen}\n")
    return 1 if lost else 0
