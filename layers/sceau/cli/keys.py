"""`sceau keys …`: make and retire versions of a stage's keys, count what each protects, move records to the newest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from sceau.cli.key_making import METHODS, create_keys, retire_version, rotate_key
from sceau.http.journals import journal_of, server_identity
from sceau.http.rewrap import Report, Rewrap
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.wrapped import WrappedUnder
from sceau.records.inventory import CONFIGURATION, EVENTS, RECORDS, Inventory, take_inventory
from sceau.records.repository import dossier_name
from sceau.stage import SettingsError, Stage
from sceau_schemas.key_services import AwsKmsKeysSpec, LocalKeysSpec, Pkcs11KeysSpec, services_of

_STAYS = {
    KeyName.JOURNAL: "events are locked: needed until the last one's retention ends",
    KeyName.PSEUDONYM: "made once, never sealed anew",
    KeyName.LOG: "made once, never sealed anew",
    KeyName.CONFIGURATION: "`sceau clients put`, `sceau issuers put` seal anew",
}
_HIDDEN = "(its provider may turn it over by itself, and hides when)"

Load = Callable[[argparse.Namespace], Stage]


def add_keys_command(commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Load) -> None:
    """Add the command with its actions."""
    command = commands.add_parser("keys", help="make, rotate, retire and count the versions of a stage's keys")
    actions = command.add_subparsers(dest="action", required=True)

    def action(name: str, text: str, run: Callable[[argparse.Namespace, Stage], int]) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = actions.add_parser(name, help=text)
        common(one)
        one.set_defaults(run=lambda options: run(options, load(options)))
        return one

    create = action("create", "make version 1 of every key that is not there (key file, HSM)", _create)
    rotate = action("rotate", "add a version of a key, in use from then on (key file, HSM)", _rotate)
    retire = action("retire", "disable (key file) or destroy (HSM) an older version that nothing needs", _retire)
    status = action("status", "count what each version still protects, without opening anything", _status)
    rewrap = action("rewrap", "move records to the newest versions, while the function rewrap is switched on", _rewrap)
    for one in (create, rotate):
        one.add_argument("--method", choices=METHODS, default=METHODS[0], help="how a key on a token wraps")
    for one in (rotate, retire):
        one.add_argument("key", choices=[key.value for key in KeyName])
    retire.add_argument("version", type=int)
    retire.add_argument("--service", choices=("first", "second"), default="", help="of keys in custody")
    retire.add_argument("--even-so", action="store_true", help="though something needs it: it will not open any more")
    status.add_argument("--without-journal", action="store_true", help="do not count events: there may be very many")
    rewrap.add_argument(
        "--written-before",
        type=time_of,
        metavar="TIME",
        help="also what was written before this time, where a provider hides its own rotation (2026-11-26T10:00Z)",
    )


def _create(options: argparse.Namespace, stage: Stage) -> int:
    return _print(create_keys(stage, method=options.method))


def _rotate(options: argparse.Namespace, stage: Stage) -> int:
    return _print(rotate_key(stage, KeyName(options.key), method=options.method))


def _retire(options: argparse.Namespace, stage: Stage) -> int:
    key = KeyName(options.key)
    if key not in SIGNING_KEYS and not options.even_so:
        inventory = _inventory(stage, _places(key))
        needed = sum(
            count for under, count in inventory.of(key).items() if _needs(under, options.version, options.service)
        )
        if needed or inventory.unreadable:
            raise SettingsError(
                f"{needed} objects need version {options.version} of {key}, and {len(inventory.unreadable)} can't be "
                "read: `sceau keys rewrap` moves records (--even-so to do it all the same)"
            )
    return _print([retire_version(stage, key, options.version, service=options.service)])


def _needs(under: WrappedUnder, version: int, service: str) -> bool:
    first, _, second = under.version.partition(" and ")
    return str(version) in {"first": (first,), "second": (second,), "": (first, second)}[service]


def _status(options: argparse.Namespace, stage: Stage) -> int:
    prefixes = (CONFIGURATION, RECORDS) if options.without_journal else (CONFIGURATION, RECORDS, EVENTS)
    inventory = _inventory(stage, prefixes)
    for key in KeyName:
        if key not in SIGNING_KEYS:
            _print_key(key, inventory)
    for note in _notes(stage):
        print(note)
    for name in inventory.unreadable[:20]:
        sys.stderr.write(f"sceau: {name} is no sealed object of ours\n")
    return 1 if inventory.unreadable else 0


def _print_key(key: KeyName, inventory: Inventory) -> None:
    found = inventory.of(key)
    if not found:
        print(f"{key:<14} nothing")
    for number, (under, count) in enumerate(found.items()):
        remark = _STAYS.get(key, "") if number == 0 else ""
        form = under.form.name.lower().replace("_", "-")
        print(f"{key if number == 0 else '':<14} {form:<16} version {under.version:<40} {count:>9}  {remark}".rstrip())


def _notes(stage: Stage) -> Iterator[str]:
    """What the numbers don't say."""
    yield "Earlier versions of objects that the host keeps are not counted: retire a version after they are gone too."
    for called, spec in services_of(stage.spec.key_service):
        where = f"{called} service" if called else "key service"
        if not isinstance(spec, LocalKeysSpec | Pkcs11KeysSpec):
            provider = "AWS KMS" if isinstance(spec, AwsKmsKeysSpec) else "Key Manager"
            yield f"The {where}'s versions are keys of {provider}, by id {_HIDDEN}."


def _rewrap(options: argparse.Namespace, stage: Stage) -> int:
    runtime = stage.runtime("rewrap")
    rewrap = Rewrap(runtime, journal_of(runtime), server_identity(runtime))
    report = rewrap.run(written_before=options.written_before, longest=None)
    _print_report(report)
    return 0 if report.is_complete else 1


def _print_report(report: Report) -> None:
    print(f"{report.looked_at} records looked at in {report.seconds:.2f} s")
    print(f"{report.rewrapped} records sealed anew, with {report.documents} documents")
    for count, what in (
        (report.gone, "objects need a version that is gone"),
        (report.busy, "records changed too often: run it again"),
        (report.failed, "records for which the store, the key service or the journal failed: run it again"),
    ):
        if count:
            sys.stderr.write(f"sceau: {count} {what}\n")
    for record_id in report.damaged:
        sys.stderr.write(f"sceau: {dossier_name(record_id)} is damaged, or names what is\n")
    if not report.finished:
        sys.stderr.write("sceau: not all records were looked at: run it again\n")


def _inventory(stage: Stage, prefixes: tuple[str, ...]) -> Inventory:
    def told(number: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number} objects looked at")

    return take_inventory(stage.tool("inventory").store, prefixes, looked_at=told)


def _places(key: KeyName) -> tuple[str, ...]:
    """Below which names a key's objects are."""
    if key in {KeyName.DOSSIER, KeyName.CONTENT}:
        return (RECORDS,)
    return (EVENTS,) if key is KeyName.JOURNAL else (CONFIGURATION,)


def time_of(text: str) -> datetime:
    """A time as an option gives it, in UTC where it says no zone."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} does not read like 2026-11-26T10:00Z") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _print(lines: Any) -> int:
    for line in lines:
        print(line)
    return 0
