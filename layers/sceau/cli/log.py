"""`sceau log …`: the auditor's verification, where the log stands, its keys, copies, and what repairs its index."""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sceau.audit.log.copying import copy_log
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.indexing import make_index
from sceau.audit.log.lateness import LIMIT
from sceau.audit.log.notes import VerifierKey, parse_note, parse_vkeys
from sceau.audit.log.places import VKEYS
from sceau.audit.log.policies import parse_policy
from sceau.audit.log.proofs import parse_proof, verify_event
from sceau.audit.log.reading import LogReader
from sceau.audit.log.status import AGES, Status, log_status
from sceau.audit.verify.signed import CheckStamp, Earlier, is_over
from sceau.audit.verify.sources import CopiedSource, LiveSource, Source
from sceau.audit.verify.whole import THREADS, Verification, Verifier
from sceau.http.sealing import identities_of, sealer_of
from sceau.http.upkeep import locks_of
from sceau.stage import Stage

_TOOL = "operations"
_SEALER = "journal"
_UPKEEP = "upkeep"
_LIMIT_MINUTES = LIMIT // timedelta(minutes=1)

Load = Callable[[argparse.Namespace], Stage]
Common = Callable[[argparse.ArgumentParser], None]


def add_log_commands(commands: Any, common: Common, load: Load) -> None:
    """Add `sceau log` with its actions, and `sceau verify-proof`."""
    command = commands.add_parser("log", help="verify the log of all traces, look at it, copy it")
    actions = command.add_subparsers(dest="action", required=True)
    verify = _action(actions, "verify", "verify the whole log and every event; 1 if anything is wrong", common)
    _takes_keys(verify)
    verify.add_argument("--checkpoint", type=Path, action="append", default=[], help="a signed checkpoint kept earlier")
    verify.add_argument("--policy", type=Path, help="a tlog-policy: what every cosigned checkpoint must satisfy")
    verify.add_argument("--stamp-roots", type=Path, metavar="PEM", help="whose certificates time stamps must lead to")
    verify.add_argument("--copy", type=Path, metavar="FOLDER", help="verify this copy, not the stage's store")
    verify.add_argument("--log-only", action="store_true", help="the log alone: events are not there, or not wanted")
    verify.add_argument("--old-partials", action="store_true", help="also compare partial tiles that are full by now")
    verify.set_defaults(run=lambda options: _verify(options, load))
    status = _action(actions, "status", "size, newest checkpoint, what waits; 1 if something waits too long", common)
    status.add_argument("--limit", type=int, default=_LIMIT_MINUTES, metavar="MINUTES", help="how long it may wait")
    status.set_defaults(run=lambda options: _status(load(options), timedelta(minutes=options.limit)))
    copy = _action(actions, "copy", "copy the log as plain files", common)
    copy.add_argument("to", type=Path, metavar="TO")
    copy.add_argument("--log-only", action="store_true", help="without the events, which are ciphertext")
    copy.set_defaults(run=lambda options: _copy(load(options), options.to, with_events=not options.log_only))
    for name, text, act in (
        ("keys", "print the public keys that the log ever signed with", _keys),
        ("prove-retention", "list every object whose lock ends before it may; 1 if there is one", _prove_retention),
        ("seal", "seal what is new now, as the schedule does", _seal),
        ("index", "make what is missing of the index by record", _index),
        ("rotate-key", "add an Ed25519 key, which signs beside the others from now on", _rotate),
        ("retire-keys", "let only the newest Ed25519 key sign from now on", _retire),
    ):
        _action(actions, name, text, common).set_defaults(run=lambda options, act=act: act(load(options)))
    proof = commands.add_parser("verify-proof", help="check, offline, that an event is in the log")
    proof.add_argument("event", type=Path, help="the AuditEvent, byte for byte as it was given")
    proof.add_argument("proof", type=Path, help="its .tlog-proof file")
    _takes_keys(proof)
    proof.add_argument("--policy", type=Path, help="a tlog-policy: which witnesses must have cosigned the checkpoint")
    proof.set_defaults(run=_verify_proof)


def _action(actions: Any, name: str, text: str, common: Common) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    common(action)
    return action


def _takes_keys(command: argparse.ArgumentParser) -> None:
    command.add_argument("--key", type=Path, required=True, help="the log's public keys: a vkey on each line")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LogUnavailable(f"{path} can't be read: {error.strerror}") from None


def _keys_in(path: Path) -> tuple[VerifierKey, ...]:
    try:
        return parse_vkeys(_read(path).decode("utf-8"))
    except UnicodeDecodeError:
        raise LogUnavailable(f"{path} is no file of verifier keys") from None


def _leads_to(roots: bytes) -> CheckStamp:
    """What checks a whole time stamp, by the certificates that the auditor trusts. Raises StampRefused."""
    from sceau.audit.log.stamping import authority_of, verify_stamp

    authority = authority_of("", roots.decode("utf-8", "replace"))
    return lambda stamp, note: verify_stamp(stamp, note, authority)


def _verify(options: argparse.Namespace, load: Load) -> int:
    keys = _keys_in(options.key)
    earlier = [Earlier(str(path), _read(path)) for path in options.checkpoint]
    retention = timedelta(0)
    source: Source
    if options.copy:
        source = CopiedSource(options.copy)
    else:
        stage = load(options)
        source, retention = LiveSource(stage.tool(_TOOL).store), timedelta(days=stage.spec.retention_days)
    verifier = Verifier(
        source,
        keys,
        earlier=earlier,
        now=datetime.now(UTC),
        retention=retention,
        policy=parse_policy(_read(options.policy)) if options.policy is not None else None,
        check_stamp=_leads_to(_read(options.stamp_roots)) if options.stamp_roots is not None else is_over,
        with_events=not options.log_only,
        with_old_partials=options.old_partials,
    )
    found = verifier.verify()
    for finding in found.findings:
        sys.stderr.write(f"sceau: {finding}\n")
    _print_verified(found, live=source.live, with_events=not options.log_only)
    return 0 if found.good else 1


def _print_verified(found: Verification, *, live: bool, with_events: bool) -> None:
    if found.checkpoint is None:
        print("There is no checkpoint that these keys signed: nothing could be verified.")
        return
    checkpoint = found.checkpoint
    print(f"{checkpoint.origin}: {checkpoint.size} entries, root {base64.b64encode(checkpoint.root).decode()}")
    print(f"checkpoints of this log that were compared: {found.checkpoints}")
    if found.cosigned:
        print(f"cosigned checkpoints: {found.cosigned}, the newest of {found.cosigned_size} entries")
    if found.stamped:
        print(f"time stamps over their checkpoints: {found.stamped}")
    if with_events:
        kept = "locked and alone under their names" if live else "which a copy can say nothing more of"
        print(f"events compared with their entries: {found.events}, {kept}; {found.waiting} younger ones wait")
    print("Everything is as it must be." if found.good else f"NOT AS IT MUST BE: {len(found.findings)} findings.")


def _status(stage: Stage, limit: timedelta) -> int:
    now = datetime.now(UTC)
    status = log_status(stage.tool(_TOOL).store, now)
    age = f"{status.date:%Y-%m-%d %H:%M:%S} UTC, {_age(now - status.date)} ago" if status.date else "none yet"
    print(f"entries            {status.size}")
    print(f"newest checkpoint  {age}")
    print(f"being sealed       {status.fixed}")
    print(f"waiting            {sum(status.waiting)}{_by_age(status)}")
    if status.ahead:
        print("there are events of the future: they are sealed when their time has come")
    if status.is_late(now, limit) and status.oldest is not None:
        sys.stderr.write(
            f"sceau: an event of {status.oldest:%Y-%m-%d %H:%M:%S} UTC is not in the log yet: "
            f"the newest checkpoint is older than its limit of {limit // timedelta(minutes=1)} minutes\n"
        )
        return 1
    return 0


def _by_age(status: Status) -> str:
    borders = [*(f"up to {_age(age)}" for age in AGES), f"over {_age(AGES[-1])}"]
    parts = [f"{number} {border}" for number, border in zip(status.waiting, borders, strict=True) if number]
    return f" ({', '.join(parts)})" if parts else ""


def _age(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"  # noqa: PLR2004 - two hours


def _copy(stage: Stage, folder: Path, *, with_events: bool) -> int:
    try:
        files = copy_log(stage.tool(_TOOL).store, folder, with_events=with_events)
    except OSError as error:
        raise LogUnavailable(f"the copy can't be written: {error.strerror}") from None
    print(f"{files} files in {folder}")
    return 0


def _keys(stage: Stage) -> int:
    text = LogReader(stage.tool(_TOOL).store).object(VKEYS)
    if text is None:
        raise LogUnavailable("the log has no keys yet: its first checkpoint makes them")
    print(text.decode(), end="")
    return 0


def _prove_retention(stage: Stage) -> int:
    number = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for one in locks_of(stage.runtime(_UPKEEP)).too_short(pool):
            end = f"is locked until {one.end:%Y-%m-%d}" if one.end else "is not locked"
            print(f"{one.name}: {end}, and must be until {one.due:%Y-%m-%d}")
            number += 1
    print(f"objects whose lock ends before it may: {number}")
    return 1 if number else 0


def _seal(stage: Stage) -> int:
    report = sealer_of(stage.runtime(_SEALER)).run()
    print(", ".join(f"{name} {value}" for name, value in report.figures().items()))
    return 1 if report.alarms else 0


def _index(stage: Stage) -> int:
    tally = make_index(stage.runtime(_SEALER).store)
    print(f"index objects made: {tally.made}, there already: {tally.there}")
    if tally.without_event:
        sys.stderr.write(f"sceau: entries whose event is gone: {tally.without_event}; see `sceau log verify`\n")
    return 1 if tally.without_event else 0


def _rotate(stage: Stage) -> int:
    identity = identities_of(stage.runtime(_SEALER)).rotate()
    print(f"{identity.keys[0].text()}")
    return 0


def _retire(stage: Stage) -> int:
    before = identities_of(stage.runtime(_SEALER))
    identity = before.retire()
    print(f"{len(identity.seeds)} Ed25519 key signs from now on; the others' public keys stay on the list")
    return 0


def _verify_proof(options: argparse.Namespace) -> int:
    data = _read(options.proof)
    proven = verify_event(_read(options.event), data, _keys_in(options.key))
    checkpoint = proven.checkpoint
    if options.policy is not None:
        times = parse_policy(_read(options.policy)).require(parse_note(parse_proof(data).checkpoint))
        for name, seconds in sorted(times.items()):
            print(f"cosigned by {name} at {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC")
    print(
        f"event {proven.event_id} is entry {proven.index} of {checkpoint.origin}, which has {checkpoint.size} entries"
    )
    return 0
