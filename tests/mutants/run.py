"""`make mutants`: changes the rules of access in small ways, and sees whether their tests notice.

Puts a project together in build/mutants (the package, the tests of `tests/unit/access`, every 7th situation of the
whole space), runs mutmut on `sceau/access` there, prints what survived with the reason that `survivors.toml` gives, and
fails below 95 % killed, where a survivor has no reason, or where a function has more of them than were looked at when
its reason was written. Arguments name modules (`life`): then only these are changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = ROOT / "build" / "mutants"
LEAST: Final = 0.95
ENVIRON: Final = {"SCEAU_SPACE_STEP": "7", "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
_CAUGHT: Final = ("killed", "timeout", "segfault", "caught by type check")


def assemble() -> None:
    """The project, anew: what an earlier run left could hide a change."""
    shutil.rmtree(WORK, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "layers" / "sceau", WORK / "sceau", ignore=ignored)
    shutil.copytree(ROOT / "schemas" / "sceau_schemas", WORK / "sceau_schemas", ignore=ignored)
    shutil.copytree(ROOT / "tests" / "unit" / "access", WORK / "tests" / "unit" / "access", ignore=ignored)
    shutil.copytree(ROOT / "docs", WORK / "docs")
    shutil.copy(ROOT / "tests" / "mutants" / "profile.py", WORK / "tests" / "conftest.py")
    shutil.copy(ROOT / "tests" / "mutants" / "pyproject.toml", WORK / "pyproject.toml")


def mutmut(*arguments: str) -> str:
    """What mutmut prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=WORK, env=os.environ | ENVIRON, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mutmut {arguments[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def results() -> dict[str, str]:
    """Each mutant's name and what became of it."""
    found = {}
    for line in mutmut("results", "--all", "true").splitlines():
        name, colon, status = line.strip().rpartition(": ")
        if colon and "__mutmut_" in name:
            found[name] = status
    return found


def changed_lines(name: str) -> str:
    """The lines that a mutant takes out and puts in, without their indentation."""
    diff = mutmut("show", name).splitlines()
    lines = [line for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def main() -> int:
    """Run, tell, and return the status."""
    assemble()
    patterns = [f"sceau.access.{module}.*" for module in sys.argv[1:]]
    mutmut("run", "--max-children", os.environ.get("MUTANTS_AT_ONCE", "2"), *patterns)
    wanted = patterns or ["*"]
    statuses = {name: status for name, status in results().items() if any(fnmatchcase(name, one) for one in wanted)}
    counted = Counter(statuses.values())
    caught = sum(counted[status] for status in _CAUGHT)
    share = caught / len(statuses) if statuses else 0.0
    groups = tomllib.loads((ROOT / "tests" / "mutants" / "survivors.toml").read_text())["group"]
    explained = {one["where"]: one for one in groups}
    alive: Counter[str] = Counter()
    unexplained = 0
    for name, status in sorted(statuses.items()):
        if status in _CAUGHT:
            continue
        function = name.rpartition("__mutmut_")[0]
        alive[function] += 1
        reason = explained[function]["reason"] if function in explained else "NO REASON IN survivors.toml"
        unexplained += function not in explained
        sys.stdout.write(f"{name}: {status}\n{changed_lines(name)}\n  {reason}\n\n")
    for function, one in explained.items():
        if alive[function] > one["alive"]:
            unexplained += 1
            sys.stdout.write(f"{function}: {alive[function]} are alive, and {one['alive']} were looked at\n\n")
    sys.stdout.write(
        f"{len(statuses)} mutants of the rules of access, {caught} killed: {share:.1%} ({dict(counted)})\n"
    )
    if share < LEAST or unexplained:
        sys.stderr.write(f"sceau: at least {LEAST:.0%} must be killed, and each survivor explained\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
