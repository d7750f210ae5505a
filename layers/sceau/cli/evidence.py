"""`sceau evidence --stage NAME`: for an auditor, what each requirement rests on, where it is defined, what proved it
and when, or who owns what software can't show. Written as JSON (docs/formats/evidence.md) and as a page to print.

It proves nothing itself: it reads what `make plan`, `sceau stage check`, the smoke journey and the tests left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lxml import etree

from sceau.cli.evidence_page import page
from sceau.cli.evidence_table import BACKUP_CHECK, OWNERS, REQUIREMENTS, Requirement
from sceau.stage import SettingsError, Stage
from sceau_schemas.deployment import Responsibility

FORMAT: Final = 1
HELD, BROKEN, UNSEEN = "held", "broken", "not seen"
_DEFINED_CONTROLS: Final = "iac/controls/controls.py"
_DEFINED_CHECKS: Final = "layers/sceau/objects"
_DEFINED_BACKUPS: Final = "layers/sceau/records/backup/verifying.py"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that stands for a requirement: what it is, where it is defined, and how it came out, and when."""

    kind: str
    name: str
    defined: str
    outcome: str
    at: str | None = None
    seen: str = ""

    def as_json(self) -> Json:
        """For the report."""
        return {
            "kind": self.kind,
            "name": self.name,
            "defined": self.defined,
            "outcome": self.outcome,
            "at": self.at,
            "seen": self.seen,
        }


class Found:
    """What earlier steps left of a stage. Raises SettingsError for a file that is not what it must be."""

    def __init__(self, stage: str, folder: Path, tests: Path) -> None:
        self.sources: list[Json] = []
        self._stage = stage
        self.controls = self._read(folder / "controls.json", "plan")
        self.check = self._read(folder / "check.json", "live check")
        self.backup = self._read(folder / "backup.json", "verified backup")
        self.smoke = self._read(folder / "smoke.json", "smoke journey")
        self.deployed = self._read(folder / "deployed.json", "deployment")
        self._tests: dict[str, list[tuple[str, str]]] = {}
        self._of_others: dict[str, str] = {}
        for path in sorted(tests.glob("*.xml")):
            self._read_tests(path)

    def _read(self, path: Path, kind: str) -> Json:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            self.sources.append({"kind": kind, "file": path.name, "sha256": None, "at": None, "of": ""})
            return {}
        try:
            read: Json = json.loads(data)
            stage, at, version = read["stage"], str(read["at"]), read["format"]
        except (ValueError, KeyError, TypeError):
            raise SettingsError(f"{path.name} is not what Sceau writes there") from None
        if stage != self._stage or version != FORMAT:
            raise SettingsError(
                f"{path.name} is of stage {stage!r} and format {version!r}, not of {self._stage!r} and 1"
            )
        digests = ", ".join(f"{name} {digest}" for name, digest in sorted(read.get("plan", {}).items()))
        self.sources.append(_source(kind, path, data, at, digests))
        return read

    def _read_tests(self, path: Path) -> None:
        """A JUnit report: a test that was skipped has shown nothing, nor has one of a commit that is not deployed."""
        data = path.read_bytes()
        try:
            root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
        except etree.XMLSyntaxError:
            raise SettingsError(f"{path.name} is not a JUnit report") from None
        at, of = "", ""
        for suite in root.iter("testsuite"):
            at, of = suite.get("timestamp", at), suite.get("name", of)
            for case in suite.iter("testcase"):
                name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
                outcome = BROKEN if case.find("failure") is not None or case.find("error") is not None else HELD
                outcome = UNSEEN if case.find("skipped") is not None else outcome
                if self.deployed and not self._is_deployed(of):
                    self._of_others[name] = of
                    continue
                self._tests.setdefault(name, []).append((outcome, at))
        self.sources.append(_source("tests", path, data, at, of))

    def _is_deployed(self, suite: str) -> bool:
        """Whether a run was of the commit from which the deployed package was made. One that is not known is none."""
        commit = self.deployed.get("commit")
        return commit is not None and suite == f"sceau {commit}"

    def proofs(self, one: Requirement) -> Iterator[Proof]:
        """What stands for a requirement, as it came out."""
        for name in one.controls:
            yield self._control(name)
        for name in one.checks:
            yield self._check(name)
        for name in one.tests:
            yield self._test(name)

    def _control(self, name: str) -> Proof:
        for control in self.controls.get("controls", ()):
            if control["name"] == name:
                outcome = HELD if control["held"] else BROKEN
                seen = "; ".join(f"{finding['address']}: {finding['text']}" for finding in control["findings"][:3])
                return Proof("control", name, _DEFINED_CONTROLS, outcome, self.controls["at"], seen or control["text"])
        return Proof("control", name, _DEFINED_CONTROLS, UNSEEN, seen="run `make plan`")

    def _check(self, name: str) -> Proof:
        of_backup = name == BACKUP_CHECK
        read = self.backup if of_backup else self.check
        defined = _DEFINED_BACKUPS if of_backup else _DEFINED_CHECKS
        findings = [one for one in read.get("findings", ()) if one["name"].rpartition(": ")[2] == name]
        if not findings:
            how = "backup verify --report" if of_backup else "stage check"
            return Proof("live check", name, defined, UNSEEN, seen=f"run `sceau {how}`")
        lost = [one for one in findings if not one["held"]]
        seen = "; ".join(f"{one['name']}: {one['seen']}" for one in (lost or findings)[:3])
        return Proof("live check", name, defined, BROKEN if lost else HELD, read["at"], seen)

    def _test(self, name: str) -> Proof:
        runs = self._tests.get(name, [])
        outcomes = {outcome for outcome, _ in runs}
        outcome = BROKEN if BROKEN in outcomes else UNSEEN if UNSEEN in outcomes or not outcomes else HELD
        at = max((at for _, at in runs), default=None) or None
        file, _, function = name.partition("::")
        seen = f"{len(runs)} cases" if len(runs) > 1 else "" if runs else "run `make test` and `make test-slow`"
        if not runs and name in self._of_others:
            deployed = self.deployed.get("commit") or "no commit that is known"
            seen = f"it was run on {self._of_others[name] or 'no commit that is known'}, and {deployed} is deployed"
        return Proof("test", function, file, outcome, at, seen)


def _source(kind: str, path: Path, data: bytes, at: str, of: str) -> Json:
    return {"kind": kind, "file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "at": at, "of": of}


def report(stage: Stage, found: Found, now: datetime) -> Json:
    """The whole report."""
    spec = stage.spec
    rows = [_row(one, list(found.proofs(one)), spec.responsible) for one in REQUIREMENTS]
    return {
        "format": FORMAT,
        "stage": stage.name,
        "host": spec.host,
        "region": spec.region,
        "owner": spec.owner,
        "at": now.isoformat(timespec="seconds"),
        "sources": found.sources,
        "smoke": [
            {"name": one["name"], "held": one["held"], "seen": one["seen"]} for one in found.smoke.get("steps", ())
        ],
        "requirements": rows,
        "summary": {state: sum(row["state"] == state for row in rows) for state in STATES},
        "unnamed": sorted({row["owner"]["role"] for row in rows if row["owner"] and not row["owner"]["name"]}),
    }


STATES: Final = ("shown", "shown in part", "owner", "not shown", "broken")
"""All of it shown by software; part of it, the rest is its owner's; all its owner's; a proof is missing; one failed."""


def _row(one: Requirement, proofs: list[Proof], responsible: Mapping[Responsibility, str]) -> Json:
    outcomes = {proof.outcome for proof in proofs}
    if BROKEN in outcomes:
        state = "broken"
    elif UNSEEN in outcomes:
        state = "not shown"
    elif not proofs:
        state = "owner"
    else:
        state = "shown in part" if one.owner else "shown"
    owner = None
    if one.owner:
        owner = {"role": OWNERS[one.owner], "name": responsible.get(one.owner), "left": one.left}
    return {
        "framework": one.framework,
        "number": one.number,
        "text": one.text,
        "state": state,
        "proofs": [proof.as_json() for proof in proofs],
        "owner": owner,
    }


def add_evidence_command(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add `sceau evidence` to the command's parser."""
    command = commands.add_parser(
        "evidence", help="for an auditor: what each HDS requirement rests on, as JSON and HTML"
    )
    common(command)
    command.add_argument("--found", type=Path, help="what plan, check and smoke left (build/iac/STAGE)")
    command.add_argument("--tests", type=Path, help="JUnit reports of test runs (build/results)")
    command.add_argument("--out", type=Path, help="where to write (build/iac/STAGE)")
    command.set_defaults(run=lambda options: _run(load(options), options))


def _run(stage: Stage, options: argparse.Namespace) -> int:
    folder = options.found or stage.base / "build" / "iac" / stage.name
    out = options.out or folder
    found = Found(stage.name, folder, options.tests or stage.base / "build" / "results")
    made = report(stage, found, datetime.now(UTC))
    out.mkdir(parents=True, exist_ok=True)
    (out / "evidence.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
    (out / "evidence.html").write_text(page(made), "utf-8")
    for state, number in made["summary"].items():
        print(f"  {number:>3}  {state}")
    for role in made["unnamed"]:
        print(f"  the stage names nobody as: {role}")
    print(f"  {out / 'evidence.html'} and evidence.json")
    return 1 if made["summary"]["broken"] else 0
