"""The key services that the contract suites run on. The next adapter adds a function and a line to ADAPTERS.

What a stand-in or an emulator is known to get wrong is a flaw of its stand: the suite marks those tests as expected to
fail, strictly, so that a flaw that went away is noticed too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fakes.clock import ManualClock
from fakes.softhsm import new_prefix, remove_keys, soft_token
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
    close: Callable[[], None] = lambda: None
    flaws: Mapping[str, str] = field(default_factory=dict)
    """By the name of a test of the suite: what the thing under test gets wrong."""


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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


def pkcs11(_: Path, *, label: str = "sceau", method: str = "aes-gcm") -> Stand:
    """SoftHSM2. The module and its token are the process's, the keys this stand's."""
    from sceau.keys.pkcs11 import NOTICED_SECONDS, Pkcs11KeyService
    from sceau.keys.pkcs11_objects import create_version, destroy_version, list_versions
    from sceau.keys.pkcs11_token import PinSource, shared_token

    soft, prefix, seconds = soft_token(label), new_prefix(), Seconds()
    held = shared_token(soft.module, soft.label, PinSource(file=soft.pin_file))
    for key in KeyName:
        create_version(held, prefix, key, method=method)

    def add_version(key: KeyName) -> None:
        create_version(held, prefix, key, method=method)
        seconds.now += NOTICED_SECONDS + 1  # what a running service needs to notice

    def disable_oldest(key: KeyName) -> None:
        destroy_version(held, prefix, key, list_versions(held, prefix)[key][0])
        seconds.now += NOTICED_SECONDS + 1  # public keys; an operation on a key that is gone notices at once

    return Stand(
        Pkcs11KeyService(held, prefix, monotonic=seconds),
        add_version,
        disable_oldest,
        close=partial(remove_keys, held, prefix),
    )


ADAPTERS: Mapping[str, Callable[[Path], Stand]] = {
    "local": local,
    "scoped": scoped,
    "pkcs11": pkcs11,
    "pkcs11 without GCM": partial(pkcs11, method="aes-cbc-hmac"),
}
