"""`sceau backup …` and `sceau restore`: copies of the whole store, and what was lost brought back from them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from sceau.cli.evidence_table import BACKUP_CHECK
from sceau.cli.keys import time_of
from sceau.cli.stage_check import reachable, write_report
from sceau.http.journals import journal_of, server_identity
from sceau.http.runtime import THREADS, Runtime, utc_now
from sceau.http.undoing import Undoing
from sceau.objects.filesystem import create_root
from sceau.objects.findings import Finding
from sceau.objects.ports import EarlierVersions
from sceau.objects.scoped import ScopedStore
from sceau.records.backup.copying import BackupRun
from sceau.records.backup.restoring import Restoration
from sceau.records.backup.state import BackupVersions
from sceau.records.backup.verifying import Verified, verify_backup
from sceau.records.ids import decode_id
from sceau.stage import SettingsError, Stage
from sceau_schemas.stores import FilesystemStoreSpec, S3BackupSpec

_MOST_TOLD = 50

Common = Callable[[argparse.ArgumentParser], None]
Load = Callable[[argparse.Namespace], Stage]


def add_backup_commands(commands: Any, common: Common, load: Load) -> None:
    """Add `sceau backup` with its actions, and `sceau restore`."""
    command = commands.add_parser("backup", help="copy the whole store, sealed as it is, to a second one; verify it")
    actions = command.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="copy what is new; not 0 if something could not be copied")
    run.add_argument("--whole", action="store_true", help="look at every event, not only at those since the last run")
    run.set_defaults(run=lambda options: _run(options, load(options)))
    verify = actions.add_parser("verify", help="every object against its digest; 1 if one is missing or altered")
    verify.add_argument("--expect", metavar="DIGEST", help="what an earlier run printed: it must be in the backup")
    verify.add_argument(
        "--report", type=Path, metavar="FILE", help="for `sceau evidence` (build/iac/STAGE/backup.json)"
    )
    verify.set_defaults(run=lambda options: _verify(options, load(options)))
    restore = commands.add_parser(
        "restore", help="an empty stage from a backup; or, with --record, one record as it was at a time"
    )
    restore.add_argument("--record", metavar="RECORD_ID", help="this record only, on the live stage")
    restore.add_argument("--at", type=time_of, metavar="TIME", help="as it was then (2026-11-26T10:00Z)")
    restore.add_argument("--go-on", action="store_true", help="after a try that died: what is there must be the same")
    restore.set_defaults(run=lambda options: _restore(options, load(options)))
    for one, option in ((run, "--to"), (verify, "--from"), (restore, "--from")):
        common(one)
        one.add_argument(
            option, dest="place", type=Path, metavar="FOLDER", help="a folder, in place of the stage's `backup`"
        )


def _run(options: argparse.Namespace, stage: Stage) -> int:
    with reachable(stage), ThreadPoolExecutor(THREADS) as pool:
        runtime = stage.tool("backup")
        target = stage.backup(options.place, make=True)
        spec = stage.spec.backup if options.place is None else None
        days = spec.lock_days if isinstance(spec, S3BackupSpec) else None
        backup = BackupRun(
            _scoped(runtime),
            target,
            clock=runtime.clock,
            pool=pool,
            forgets_after=_forgets_after(stage),
            locked_for=timedelta(days=days) if days else None,
        )
        report = backup.run(stage.name, whole=options.whole)
    print(f"run {report.run}{', which went on with one that had died' if report.resumed else ''}:")
    print(f"{report.looked_at} objects looked at, {report.contents} contents copied ({report.bytes} bytes)")
    print(f"{report.gone} objects were gone since the last run; in {report.seconds:.2f} s")
    if report.records_aged_out:
        print(f"{report.aged_out} contents of {report.records_aged_out} deleted records aged out")
    print(f"its digest, to keep elsewhere: {report.digest}")
    return _tell(report.problems)


def _forgets_after(stage: Stage) -> timedelta:
    return timedelta(days=stage.spec.rules.deleted_backup_days)


def _scoped(runtime: Runtime) -> ScopedStore:
    if not isinstance(runtime.store, ScopedStore):
        raise TypeError("a tool has a store with its own rights only")
    return runtime.store


def _verify(options: argparse.Namespace, stage: Stage) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        found = verify_backup(
            stage.backup(options.place),
            pool,
            now=utc_now(),
            forgets_after=_forgets_after(stage),
            expected=options.expect,
        )
    if found.last is None:
        print(f"stage {found.stage}: no run has ended yet")
    else:
        print(f"stage {found.stage}: run {found.last.run} began {found.last.began:%Y-%m-%d %H:%M:%S} UTC")
        print(f"its digest: {found.digest}")
    print(f"contents read and compared: {found.contents} ({found.bytes} bytes), of which present: {found.present}")
    if found.stray:
        print(f"objects that no run names: {found.stray} (a run died, or is at work)")
    if options.report is not None:
        write_report(options.report, stage.name, [_as_evidence(found)])
    return _tell(found.findings)


def _as_evidence(found: Verified) -> Finding:
    """A backup in which no run has ended shows nothing, whole as it may be."""
    if found.last is None:
        return Finding(BACKUP_CHECK, held=False, seen="no run has ended yet")
    seen = (
        f"run {found.last.run} of {found.last.began:%Y-%m-%d %H:%M:%S} UTC, digest {found.digest}, "
        f"{found.contents} contents compared, {len(found.findings)} missing, altered or foreign"
    )
    return Finding(BACKUP_CHECK, not found.findings, seen)


def _restore(options: argparse.Namespace, stage: Stage) -> int:
    if options.record is None:
        return _restore_stage(options, stage)
    if options.at is None or options.go_on:
        raise SettingsError("--record needs --at, and no --go-on: a record is brought back to what it was at a time")
    return _restore_record(options, stage)


def _restore_stage(options: argparse.Namespace, stage: Stage) -> int:
    with reachable(stage, complete=False), ThreadPoolExecutor(THREADS) as pool:
        if isinstance(stage.spec.store, FilesystemStoreSpec):
            create_root(stage.base / stage.spec.store.folder)
        runtime = stage.tool("restore")
        runtime.require_switched_on()
        retention = timedelta(days=stage.spec.retention_days)
        backup = stage.backup(options.place)
        restoration = Restoration(backup, runtime.store, clock=runtime.clock, pool=pool, retention=retention)
        done = restoration.run(stage.name, at=options.at, go_on=options.go_on)
    there = f", {done.there} were there already" if done.there else ""
    print(f"restored: {done.objects} objects ({done.bytes} bytes){there}; index objects made: {done.indexed}")
    if done.aged_out:
        print(f"{done.aged_out} objects of then are not in the backup any more: their records were deleted since")
    print(f"the stage is as it was at {done.as_of:%Y-%m-%d %H:%M:%S} UTC, or a little later; in {done.seconds:.2f} s")
    print("now: `sceau log verify`, with the keys and checkpoints that you keep elsewhere")
    return _tell(done.findings)


def _restore_record(options: argparse.Namespace, stage: Stage) -> int:
    record_id = _record_id(options.record)
    with reachable(stage):
        runtime = stage.runtime("rewrap")
        sources: list[EarlierVersions] = [_scoped(runtime)]
        if options.place is not None or stage.spec.backup is not None:
            sources.append(BackupVersions(stage.backup(options.place), f"records/{record_id}/"))
        undoing = Undoing(runtime, journal_of(runtime), server_identity(runtime), sources)
        done = undoing.run(record_id, options.at)
    print(f"back to version {done.back_to}, written {done.written_at:%Y-%m-%d %H:%M:%S} UTC")
    print(f"the record had version {done.found} and has {done.version} now; documents brought back: {done.documents}")
    return _tell([f"{name} is lost: no source has it" for name in done.lost])


def _record_id(text: str) -> str:
    try:
        decode_id(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no record id: 26 lowercase letters and digits") from None
    return text


def _tell(findings: Sequence[str]) -> int:
    for finding in findings[:_MOST_TOLD]:
        sys.stderr.write(f"sceau: {finding}\n")
    if len(findings) > _MOST_TOLD:
        sys.stderr.write(f"sceau: and {len(findings) - _MOST_TOLD} more\n")
    return 1 if findings else 0
