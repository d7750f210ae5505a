"""`python -m iac.packaging build | sign | verify | lock-base`: the packages of a stage, in `build/package/<stage>`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from iac.packaging import signing
from iac.packaging.build import Package, build
from iac.packaging.commit import NAME as COMMIT, commit_of
from iac.packaging.debian import newest_base
from iac.packaging.errors import BuildError
from iac.packaging.interpreter import write_tree
from iac.packaging.sbom import NAME as SBOM, bill_of_materials
from iac.packaging.tree import File, Tree
from sceau_schemas.deployment import ChalicefileError

ROOT = Path(__file__).resolve().parents[2]
BASE_LOCK = Path(__file__).with_name("base.lock")
CACHE = ROOT / "build" / "cache"


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m iac.packaging")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("build", "sign", "verify"):
        command = commands.add_parser(name)
        command.add_argument("--stage", required=True)
        command.add_argument("--root", type=Path, default=ROOT)
        command.add_argument("--out", type=Path)
        command.add_argument("--cache", type=Path, default=CACHE)
        command.add_argument("--base-lock", type=Path, default=BASE_LOCK)
        command.add_argument("--key", type=Path)
    commands.add_parser("lock-base")
    options = parser.parse_args(arguments)
    try:
        if options.command == "lock-base":
            BASE_LOCK.write_text(newest_base(), "ascii")
            return 0
        out = options.out or options.root / "build" / "package" / options.stage
        match options.command:
            case "build":
                _build(options, out)
            case "sign":
                signing.sign(out, _key(options, "SCEAU_SIGNING_KEY"), _password())
            case "verify":
                signing.verify(out, _key(options, "SCEAU_VERIFYING_KEY"))
                print(f"{out.name}: the signature and every digest are right")
    except (BuildError, ChalicefileError) as error:
        sys.stderr.write(f"sceau: {error}\n")
        return 1
    return 0


def files_of(package: Package, version: str, commit: str | None = None) -> Tree:
    """Every file of a package: what is deployed, what says what it is, and the list of their digests."""
    files: Tree = dict(package.files)
    files["manifest.json"] = File(package.manifest())
    files[SBOM] = File(bill_of_materials(package, version))
    if commit is not None:
        files[COMMIT] = File(f"{commit}\n".encode())
    files[signing.DIGESTS] = File(signing.digest_list(files))
    return files


def _build(options: argparse.Namespace, out: Path) -> None:
    version = tomllib.loads((options.root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    package = build(options.root, options.stage, options.cache, options.base_lock)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        write_tree(files_of(package, version, commit_of(options.root)), draft)
        draft.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _print(package, out)


def _print(package: Package, out: Path) -> None:
    print(f"{'':<16}{'packed':>12}{'unpacked':>12}{'limit':>12}  sha256")
    for one in package.artefacts:
        numbers = f"{one.packed_bytes:>12,}{one.unpacked_bytes:>12,}{one.limit_bytes:>12,}"
        print(f"{one.name:<16}{numbers}  {one.sha256}")
    print(f"{len(package.wheels)} wheels, {len(package.debs)} Debian packages; all of it in {out}")


def _key(options: argparse.Namespace, variable: str) -> Path:
    given = options.key or (Path(os.environ[variable]) if os.environ.get(variable) else None)
    if given is None:
        raise BuildError(f"{variable} is not set: it names the key's PEM file")
    return Path(given)


def _password() -> bytes | None:
    text = os.environ.get("SCEAU_SIGNING_KEY_PASSWORD")
    return text.encode() if text else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
