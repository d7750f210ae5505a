"""SoftHSM2 (Debian: `softhsm2`) for tests: a token of this process's own, in a folder that goes when it ends.

The module can be initialised once in a process, so all tests of one share it, each with keys of its own prefix.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pkcs11 import Attribute

from fixtures.tools import missing
from sceau.keys.errors import KeyServiceNotUsable
from sceau.keys.pkcs11_library import find_module, shared_library

MODULE = Path("libsofthsm2.so")
PIN = "482915"
SO_PIN = "73015524"

_prefixes = itertools.count(1)


@dataclass(frozen=True)
class SoftToken:
    """A token as a deployment would see it."""

    module: Path
    label: str
    pin_file: Path
    folder: Path


def require_softhsm() -> Path:
    """The module. Skips the test with a sentence when SoftHSM is not there."""
    with suppress(KeyServiceNotUsable):
        found = find_module(Path(), MODULE)
        if shutil.which("softhsm2-util") is not None:
            return found
    return missing("SoftHSM2 is not installed (Debian: softhsm2), so no HSM was tested")


@cache
def _home() -> Path:
    """The process's folder of tokens; SoftHSM reads where it is when it is initialised."""
    memory = Path("/dev/shm")  # noqa: S108 - a key that is made is synced several times: on a disk that takes 0.1 s
    folder = Path(tempfile.mkdtemp(prefix="sceau-softhsm-", dir=memory if os.access(memory, os.W_OK) else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    for label in ("sceau", "second"):
        init_token(label)
    return folder


def init_token(label: str) -> None:
    """Make a token; a module that is initialised already sees it when it is started again."""
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
    subprocess.run(command, check=True, capture_output=True)


def soft_token(label: str = "sceau") -> SoftToken:
    """The process's token of that label: `sceau` or `second`."""
    module, home = require_softhsm(), _home()
    shared_library(module).use_softhsm(home / "softhsm2.conf")  # another test may have had a stage of its own
    pin_file = home / "pin"
    if not pin_file.exists():
        pin_file.touch(mode=0o600)
        pin_file.write_text(PIN + "\n")
    return SoftToken(module, label, pin_file, home / "tokens")


def new_prefix() -> str:
    """A prefix that no other test of the process has."""
    return f"test{next(_prefixes)}"


def remove_keys(token: Any, prefix: str) -> None:
    """Destroy a test's keys on a `Token`: every listing goes through all that are there."""

    def work(session: Any) -> None:
        for found in list(session.raw.get_objects({})):
            if found[Attribute.LABEL].startswith(f"{prefix}:"):
                found.destroy()

    token.run(work, writing=True)
