"""`python -m iac.scanning dependencies | base | secrets`: status 0 only when it looked, and found nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from iac.packaging.debian import newest_base
from iac.packaging.errors import BuildError
from iac.scanning import dependencies, secrets
from iac.scanning.dependencies import ScanFailed

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = Path(__file__).with_name("accepted.toml")
BASE_LOCK = ROOT / "iac" / "packaging" / "base.lock"


def main(arguments: Sequence[str]) -> int:
    """Run one scan; return the exit status."""
    try:
        match list(arguments):
            case ["dependencies"]:
                lock = ROOT / "requirements" / "runtime.txt"
                known = dependencies.scan([lock], ACCEPTED, dependencies.pip_audit, datetime.now(UTC).date())
                print(f"{lock.name}: no hole that is not accepted ({len(known)} accepted)")
            case ["base"]:
                print(newer_base(BASE_LOCK.read_text("ascii"), newest_base()))
            case ["secrets"]:
                print(secrets.scan(ROOT))
            case _:
                sys.stderr.write(f"{__doc__}\n")
                return 2
    except (ScanFailed, BuildError) as error:
        sys.stderr.write(f"sceau: {error}\n")
        return 1
    return 0


def newer_base(locked: str, newest: str) -> str:
    """Raise ScanFailed when Debian has newer packages than are locked: a stable release changes for faults only."""
    if locked != newest:
        before, after = (dict(line.split(" ")[:2] for line in text.splitlines()[1:]) for text in (locked, newest))
        changed = {name: version for name, version in after.items() if before.get(name) != version}
        newer = [f"{name} {before.get(name, '-')} -> {version}" for name, version in sorted(changed.items())]
        raise ScanFailed("the image's base is not Debian's newest; `make lock-base` takes it:\n" + "\n".join(newer))
    return f"the image's base is Debian's newest ({len(newest.splitlines()) - 1} packages)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
