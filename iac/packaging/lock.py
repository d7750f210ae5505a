"""The lock file of what the functions run on, and which of it goes where.

Chalice is installed whole where we develop. What is deployed is its one module: `chalice/app.py` needs none of the
packages that its command line asks for (pip, inquirer, …), so nothing that only they need is packaged.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iac.packaging.errors import BuildError

LEAF: Final = "chalice"
"""Packaged without what it says it needs."""

_PACKAGE: Final = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)(?: ; ([^\\]+?))? *\\?$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA: Final = re.compile(r"^    # (?:via|  ) *(.*)$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One line of the lock file: a version, the digests of all its files, and what asks for it."""

    name: str
    version: str
    hashes: frozenset[str]
    via: frozenset[str]
    marker: str | None = None

    def requirement(self) -> str:
        """The line again, for pip; without its marker: what is chosen is chosen for one platform."""
        return f"{self.name}=={self.version} " + " ".join(f"--hash=sha256:{one}" for one in sorted(self.hashes))


def read_lock(path: Path) -> dict[str, Locked]:
    """The locked packages by name. Raises BuildError for a file without digests."""
    blocks: list[list[str]] = []
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    found = {one.name: one for one in map(_locked, blocks)}
    if not found:
        raise BuildError(f"{path.name} locks nothing")
    return found


def _locked(block: list[str]) -> Locked:
    match = _PACKAGE.match(block[0])
    hashes = frozenset(_HASH.findall("\n".join(block)))
    if match is None or not hashes:
        raise BuildError(f"the lock file's line {block[0]!r} has no version, or no digest")
    via = [found[1].strip() for found in map(_VIA.match, block) if found and found[1].strip()]
    return Locked(match[1], match[2], hashes, frozenset(via), match[3])


def chosen(lock: dict[str, Locked], without: Collection[str] = ()) -> dict[str, Locked]:
    """What our requirements name, less `without`, and all that those need in turn."""
    kept: dict[str, Locked] = {}
    waiting = [one for one in lock.values() if any(asks.startswith("-r ") for asks in one.via)]
    missing = set(without) - set(lock)
    if missing:
        raise BuildError(f"the lock file has no {', '.join(sorted(missing))}")
    while waiting:
        one = waiting.pop()
        if one.name in without or one.name in kept:
            continue
        kept[one.name] = one
        if one.name != LEAF:
            waiting += [other for other in lock.values() if one.name in other.via and _applies(other)]
    return dict(sorted(kept.items()))


def _applies(one: Locked) -> bool:
    """Whether a package is for Linux and CPython, as far as the markers of our lock file tell."""
    return one.marker is None or not re.search(r"'win32'|!= 'CPython'|== 'PyPy'|== 'darwin'", one.marker)
