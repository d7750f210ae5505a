"""`sceau upkeep run`: what the schedule does, once and now, with the rights of the function and no others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from sceau.http.upkeep import Report, upkeep_of
from sceau.records.repository import dossier_name
from sceau.stage import Stage

_FUNCTION = "upkeep"


def add_upkeep_command(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add the command with its one action."""
    command = commands.add_parser("upkeep", help="sweep expired marks and unreachable documents now")
    run = command.add_subparsers(dest="action", required=True).add_parser(
        "run", help="sweep once and print what was done; not 0 if something is damaged or missing or the store failed"
    )
    common(run)
    run.set_defaults(run=lambda options: _run(load(options)))


def _run(stage: Stage) -> int:
    runtime = stage.runtime(_FUNCTION)
    report = upkeep_of(runtime).run()
    _print(report)
    complaints = _complaints(report)
    for complaint in complaints:
        sys.stderr.write(f"sceau: {complaint}\n")
    return 1 if complaints else 0


def _print(report: Report) -> None:
    print(f"{'':<16}{'swept':>8}{'kept':>8}")
    for what, tally in (
        ("replay marks", report.replay),
        ("revocations", report.revoked),
        ("documents", report.documents),
    ):
        print(f"{what:<16}{tally.swept:>8}{tally.kept:>8}{'' if tally.finished else '  not all were looked at'}")
    due = report.due
    print(f"{'records':<16}{due.deleted:>8}{due.closed:>8}  deleted, and closed, since their time was over")
    locks = report.locks
    print(f"{'locks':<16}{locks.extended:>8}{locks.looked - locks.extended:>8}  made longer, and long enough")
    print(f"in {report.seconds:.2f} s")


def _complaints(report: Report) -> list[str]:
    """One sentence for each thing that somebody must look at."""
    said = [
        f"{dossier_name(record)} is damaged; nothing of that record was deleted" for record in report.documents.damaged
    ]
    said += [
        f"{dossier_name(record)} is gone; nothing of that record was deleted"
        for record in report.documents.without_dossier
    ]
    said += [f"{dossier_name(record)} is damaged: what is due on it was not done" for record in report.due.damaged]
    if report.locks.unlocked:
        said.append(f"objects of the journal that had no lock: {report.locks.unlocked}; they have one now")
    if report.failed:
        said.append(f"calls that the store did not answer: {report.failed}; run it again")
    return said
