"""`sceau clients …` and `sceau issuers …`: who may ask for tokens, and whose tokens are exchanged.

Both rest as sealed configuration objects. The command has the rights of the operations tool: configuration, and no key
that opens health data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from sceau.envelope.messages import Envelope
from sceau.identity.clients import ClientRefused, ClientStore
from sceau.identity.issuers import IssuerRefused, IssuerStore
from sceau.objects.ports import ObjectStore
from sceau.stage import SettingsError, Stage
from sceau_schemas.configuration import Client, TrustedIssuer

_SECRET = "(kept sealed)"  # noqa: S105 - what is printed in a secret's place


class _Store(Protocol):
    """What ClientStore and IssuerStore have in common."""

    def get(self, name: str, /) -> Any: ...

    def list(self) -> Any: ...

    def put(self, one: Any, /) -> None: ...

    def remove(self, name: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Registry:
    """One kind of registration: how it is called, where it rests, what it is, and how a line of the list shows one."""

    what: str
    store: Callable[[ObjectStore, Envelope], _Store]
    model: type[BaseModel]
    name_of: Callable[[Any], str]
    line: Callable[[Any], str]


_REGISTRIES = {
    "clients": _Registry(
        "client", ClientStore, Client, lambda one: one.client_id, lambda one: f"{one.kind.value:<22} {one.name}"
    ),
    "issuers": _Registry(
        "issuer", IssuerStore, TrustedIssuer, lambda one: one.name, lambda one: f"{one.kind:<22} {one.issuer}"
    ),
}


def add_registry_commands(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add the two commands with their actions list, show, put and remove."""
    for name, registry in _REGISTRIES.items():
        what = registry.what
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
            one.set_defaults(run=lambda options, registry=registry: _run(options, load(options), registry))


def _run(options: argparse.Namespace, stage: Stage, registry: _Registry) -> int:
    tool = stage.tool("operations")
    store = registry.store(tool.store, Envelope(tool.keys))
    if options.action == "list":
        for one in store.list():
            print(f"{registry.name_of(one):<24} {'' if one.enabled else 'disabled '}{registry.line(one)}")
    elif options.action == "put":
        given = _read(options.name, registry.model)
        try:
            store.put(given)
        except (ClientRefused, IssuerRefused) as error:
            raise SettingsError(str(error)) from None
        print(f"{registry.what} {registry.name_of(given)} is registered; functions see it within 60 s")
    elif options.action == "remove":
        if not store.remove(options.name):
            raise SettingsError(f"there is no {registry.what} {options.name}")
        print(f"{registry.what} {options.name} is removed; functions see it within 60 s")
    else:
        found = store.get(options.name)
        if found is None:
            raise SettingsError(f"there is no {registry.what} {options.name}")
        print(json.dumps(_without_secrets(found.model_dump(mode="json")), indent=2))
    return 0


def _without_secrets(shown: dict[str, Any]) -> dict[str, Any]:
    if shown.get("introspection"):
        shown["introspection"]["password"] = _SECRET
    return shown


def _read(name: str, model: type[BaseModel]) -> Any:
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
