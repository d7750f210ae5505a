"""`sceau clients …` and `sceau issuers …`: who may ask for tokens, and whose tokens are exchanged.

Both rest as sealed configuration objects. The command has the rights of the operations tool: configuration, and no key
that opens health data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sceau.envelope.messages import Envelope
from sceau.identity.clients import ClientRefused, ClientStore
from sceau.identity.issuers import IssuerRefused, IssuerStore
from sceau.stage import SettingsError, Stage
from sceau_schemas.configuration import Client, TrustedIssuer

_SECRET = "(kept sealed)"  # noqa: S105 - what is printed in a secret's place


def add_registry_commands(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add the two commands with their actions list, show, put and remove."""
    for name, what, run in (("clients", "client", _clients), ("issuers", "issuer", _issuers)):
        command = commands.add_parser(name, help=f"list, show, put or remove a registered {what}")
        actions = command.add_subparsers(dest="action", required=True)
        for action, argument, text in (
            ("list", None, f"print the {name}"),
            ("show", what, f"print one {what} as JSON, without secrets"),
            ("put", "file", f"register or replace a {what} from a JSON file (- for standard input)"),
            ("remove", what, f"remove a {what}"),
        ):
            one = actions.add_parser(action, help=text)
            common(one)
            if argument is not None:
                one.add_argument("name", metavar=argument.upper())
            one.set_defaults(run=lambda options, run=run: run(options, load(options)))


def _clients(options: argparse.Namespace, stage: Stage) -> int:
    tool = stage.tool("operations")
    store = ClientStore(tool.store, Envelope(tool.keys))
    if options.action == "list":
        for client in store.list():
            print(
                f"{client.client_id:<24} {client.kind.value:<22} {'' if client.enabled else 'disabled '}{client.name}"
            )
        return 0
    if options.action == "put":
        client = _read(options.name, Client)
        try:
            store.put(client)
        except ClientRefused as error:
            raise SettingsError(str(error)) from None
        print(f"client {client.client_id} is registered; functions see it within 60 s")
        return 0
    if options.action == "remove":
        return _removed("client", options.name, store.remove(options.name))
    found = store.get(options.name)
    if found is None:
        raise SettingsError(f"there is no client {options.name}")
    print(found.model_dump_json(indent=2))
    return 0


def _issuers(options: argparse.Namespace, stage: Stage) -> int:
    tool = stage.tool("operations")
    store = IssuerStore(tool.store, Envelope(tool.keys))
    if options.action == "list":
        for issuer in store.list():
            print(f"{issuer.name:<24} {issuer.kind:<18} {'' if issuer.enabled else 'disabled '}{issuer.issuer}")
        return 0
    if options.action == "put":
        issuer = _read(options.name, TrustedIssuer)
        try:
            store.put(issuer)
        except IssuerRefused as error:
            raise SettingsError(str(error)) from None
        print(f"issuer {issuer.name} is trusted; functions see it within 60 s")
        return 0
    if options.action == "remove":
        return _removed("issuer", options.name, store.remove(options.name))
    found = store.get(options.name)
    if found is None:
        raise SettingsError(f"there is no issuer {options.name}")
    shown = found.model_dump(mode="json")
    if shown.get("introspection"):
        shown["introspection"]["password"] = _SECRET
    print(json.dumps(shown, indent=2))
    return 0


def _removed(what: str, name: str, removed: bool) -> int:
    if not removed:
        raise SettingsError(f"there is no {what} {name}")
    print(f"{what} {name} is removed; functions see it within 60 s")
    return 0


def _read(name: str, model: Any) -> Any:
    """A registration from a JSON file. Raises SettingsError that names the element, never its value."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return model.model_validate_json(data)
    except OSError as error:
        raise SettingsError(f"{name} can't be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SettingsError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
