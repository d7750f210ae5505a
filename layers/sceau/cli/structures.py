"""`sceau structures …`: which care structures exist, by the national directory. Rights: the operations tool's."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sceau.envelope.messages import Envelope
from sceau.identity.structures import DirectoryStore
from sceau.stage import SettingsError, Stage

_FORMS: Final = (
    (re.compile(r"1[0-9AB]{9}|3[0-9]{14}|2[0-9]{9}|4[0-9]{11,20}|0[0-9A-Z]{1,40}"), ""),  # IdNat_Struct
    (re.compile(r"[0-9][0-9AB][0-9]{7}"), "1"),  # FINESS
    (re.compile(r"[0-9]{14}"), "3"),  # SIRET
)


def add_structures_commands(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add `structures` (load, show)."""
    command = commands.add_parser("structures", help="the care structures that exist, for authorisations to name")
    actions = command.add_subparsers(dest="action", required=True)
    loading = actions.add_parser("load", help="take a file of numbers in place of those that were loaded before")
    common(loading)
    loading.add_argument("file", metavar="FILE", help="one IdNat_Struct, FINESS or SIRET a line; # begins a comment")
    loading.add_argument("--source", required=True, help="where it comes from, and of which day")
    loading.set_defaults(run=lambda options: _load(options, load(options)))
    showing = actions.add_parser("show", help="say how many are known")
    common(showing)
    showing.set_defaults(run=lambda options: _show(load(options)))


def _load(options: argparse.Namespace, stage: Stage) -> int:
    """Read all, then keep all: a file with a fault changes nothing."""
    try:
        text = Path(options.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{options.file} can't be read as text") from None
    numbers = frozenset(_numbers(text))
    if not numbers:
        raise SettingsError("the file names no structure, and nothing was changed")
    print(f"{_store(stage).put(numbers, options.source)} structures; functions know them within 60 s")
    return 0


def _show(stage: Stage) -> int:
    known = _store(stage).read()
    print(
        "no directory was loaded: any number of the right form passes" if known is None else f"{len(known)} structures"
    )
    return 0


def _numbers(text: str) -> Iterator[str]:
    for count, line in enumerate(text.splitlines(), 1):
        number = line.partition("#")[0].strip()
        if not number:
            continue
        prefix = next((before for form, before in _FORMS if form.fullmatch(number)), None)
        if prefix is None:
            raise SettingsError(f"line {count} is no number of a structure, and nothing was changed")
        yield prefix + number


def _store(stage: Stage) -> DirectoryStore:
    tool = stage.tool("operations")
    return DirectoryStore(tool.store, Envelope(tool.keys))
