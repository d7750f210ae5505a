"""The key services that the contract suites run on. The next adapter adds a function and a line to ADAPTERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fakes.clock import ManualClock
from sceau.keys.keyfile import read
from sceau.keys.local import LocalKeyService, add_version, create_key_file, disable_version
from sceau.keys.ports import KeyName, KeyService
from sceau.keys.scoped import KeyOperation, ScopedKeys

clock = ManualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
"""Stands still: key versions need some time of creation."""


@dataclass(frozen=True)
class Stand:
    """A key service with one version of every key, and what an operator can do to it while it runs."""

    keys: KeyService
    add_version: Callable[[KeyName], object]
    disable_oldest: Callable[[KeyName], None]


def local(folder: Path) -> Stand:
    path = folder / "keys.json"
    create_key_file(path, clock=clock)

    def disable_oldest(key: KeyName) -> None:
        content, _ = read(path)
        disable_version(path, key, next(v.number for v in content.keys[key].versions if v.enabled))

    return Stand(LocalKeyService(path), lambda key: add_version(path, key, clock=clock), disable_oldest)


def scoped(folder: Path) -> Stand:
    """Everything granted: the cut must not change what is granted."""
    inner = local(folder)
    grants = {key: frozenset(KeyOperation) for key in KeyName}
    return Stand(ScopedKeys(inner.keys, grants), inner.add_version, inner.disable_oldest)


ADAPTERS: Mapping[str, Callable[[Path], Stand]] = {"local": local, "scoped": scoped}
