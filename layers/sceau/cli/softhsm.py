"""SoftHSM2 in a stage's folder: an HSM of software, for development. Whoever has the folder has its keys.

Nothing runs: SoftHSM is a module in the processes that use it, and its token a folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from sceau.cli.files import write_private
from sceau.stage import SettingsError

_UTILITY = "softhsm2-util"


def create_token(configuration: Path, label: str, pin_file: Path) -> None:
    """Make the configuration, a token beside it with a random PIN, and the file with the PIN (0600).

    Raises SettingsError with a sentence when SoftHSM is not installed or does not do it.
    """
    if shutil.which(_UTILITY) is None:
        raise SettingsError(
            "SoftHSM2, which holds this stage's keys, is not installed (Debian: apt-get install softhsm2)"
        )
    pin, officer = (str(10**11 + secrets.randbelow(9 * 10**11)) for _ in range(2))
    tokens = configuration.parent / "tokens"
    tokens.mkdir(mode=0o700, parents=True)
    configure(configuration, tokens)
    write_private(pin_file, pin.encode())
    # The PINs stand in the command line of a process that lives a moment, on a machine of development: softhsm2-util
    # knows no other way but a terminal.
    command = [_UTILITY, "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", officer]
    environment = {**os.environ, "SOFTHSM2_CONF": str(configuration)}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603 - softhsm2-util, no shell
    if done.returncode != 0:
        raise SettingsError(f"{_UTILITY} did not make a token (status {done.returncode})")


def configure(configuration: Path, tokens: Path) -> None:
    """Write the configuration: SoftHSM takes no path relative to it, so it names where the tokens will be."""
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        "utf-8",
    )
