"""`make bench`: measures, prints tables, writes `build/bench.json`. Names of parts as arguments measure these only."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.backup import backup
from benchmarks.calls import calls
from benchmarks.deciding import deciding
from benchmarks.figures import Figures
from benchmarks.https import OverHttps
from benchmarks.logs import sealing_large_log, sealing_log, sealing_shares
from benchmarks.sealing import sealing
from benchmarks.stage import ROOT, STAGE, served_stage
from benchmarks.starts import starts
from benchmarks.traces import traces_among_many
from benchmarks.wraps import wraps

Part = Callable[[Figures], None]

SERVED: dict[str, Callable[[OverHttps], None]] = {
    "publish": OverHttps.publish,
    "retrieve": OverHttps.retrieve,
    "search": OverHttps.search,
    "sizes": OverHttps.sizes,
}
ALONE: dict[str, Part] = {
    "calls": calls,
    "decide": deciding,
    "starts": starts,
    "sealing": sealing,
    "log": sealing_log,
    "wraps": wraps,
}
LARGE: dict[str, Part] = {"log-large": sealing_large_log, "backup": backup, "traces-large": traces_among_many}
"""What takes long: measured when it is named."""


def main(arguments: Sequence[str]) -> int:
    """Measure the parts that are named, all when none is."""
    unknown = [name for name in arguments if name not in {*SERVED, *ALONE, *LARGE}]
    if unknown:
        print(f"there is no part {unknown[0]!r}; there are {', '.join([*SERVED, *ALONE, *LARGE])}", file=sys.stderr)
        return 2
    wanted = list(arguments) or [*SERVED, *ALONE]
    started = time.perf_counter()
    figures = Figures(prefix="" if STAGE == "local" else f"{STAGE}.")
    figures.add("load_at_start", os.getloadavg()[0])
    print(
        f"stage {STAGE}, Python {platform.python_version()}, granian {version('granian')}, {os.cpu_count()} cores, ",
        end="",
    )
    print(f"load {os.getloadavg()[0]:.2f} at the start (CPU per act compares across machines, rates do not)")
    served = [name for name in wanted if name in SERVED]
    if served:
        with (
            tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder,
            served_stage(Path(folder) / "stage") as stage,
        ):
            over_https = OverHttps(stage, figures)
            for name in served:
                SERVED[name](over_https)
    for name in wanted:
        if name not in SERVED:
            (ALONE | LARGE)[name](figures)
    sealing_shares(figures)
    path = ROOT / "build" / "bench.json"
    if not arguments and STAGE == "local":
        path.unlink(missing_ok=True)
    figures.write(path)
    print("\nBars\n  " + "\n  ".join(figures.verdicts))
    print(f"\n{len(figures.values)} figures in {path.relative_to(ROOT)}, {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
