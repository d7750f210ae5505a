"""`make bench-peer`: the same acts against HAPI FHIR's JPA server and us, in turn, in one run; prints the ratios.

The peer answers without authentication, encryption or traces. Needs Java, Maven, wrk and ../shared/tools/hapi-peer.
Arguments: seconds of warm-up (the peer's JIT warms for many minutes: the longer, the fairer), seconds of each leg.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from benchmarks.figures import Figures, table
from benchmarks.https import OverHttps
from benchmarks.stage import ROOT, served_stage

PEER = ROOT.parent / "shared" / "tools" / "hapi-peer"
CLIENTS = 4
START_SECONDS = 180
STEPS = {"publish": "post ITI-65", "retrieve": "get Binary raw", "search": "search_nocache"}
"""Our act, and what the peer's load script calls the same: a 50 KB bundle, a raw binary, a search of 200 entries."""


def main(arguments: list[str]) -> int:
    """Measure both and print the table."""
    warm = int(arguments[0]) if arguments else 60
    each = int(arguments[1]) if len(arguments) > 1 else 15
    missing = [tool for tool in ("java", "mvn", "wrk") if shutil.which(tool) is None]
    if missing or not PEER.is_dir():
        print(f"the peer can't run here: {', '.join(missing) or str(PEER)} is missing", file=sys.stderr)
        return 1
    peer = _peer_figures(warm, each)
    figures = Figures()
    with (
        tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder,
        served_stage(Path(folder) / "stage") as stage,
    ):
        over_https = OverHttps(stage, figures)
        for act in STEPS:
            getattr(over_https, act)()
    rows: list[list[str | float]] = []
    for act, name in STEPS.items():
        ours, theirs = figures.values, peer[name]
        pairs = (
            ("CPU ms", ours[f"{act}.{CLIENTS}.cpu_ms"], theirs["ms_cpu"]),
            ("p50 ms", ours[f"{act}.{CLIENTS}.p50_ms"], theirs["p50"]),
        )
        for what, own, other in pairs:
            rows.append([f"{act}, {what}", own, other, own / other])
            figures.add(f"peer.{act}.{what.replace(' ', '_').lower()}.ratio", own / other)
    print(table(f"Sceau and HAPI FHIR JPA, {CLIENTS} clients", ("act", "Sceau", "HAPI", "Sceau / HAPI"), rows))
    print(
        f"\nHAPI: {warm} s of warm-up on publications, {max(5, warm // 3)} s on each read; H2 in memory; no token, no"
    )
    print("encryption, no trace. Sceau: DPoP-bound tokens, sealed documents, a traced event for each act, fsync.")
    figures.write(ROOT / "build" / "bench.json")
    return 0


def _peer_figures(warm: int, each: int) -> dict[str, dict[str, float]]:
    out = ROOT / "build" / "peer.json"
    with _running_peer() as (port, pid):
        command = [sys.executable, str(PEER / "bench" / "bench.py"), "--base", f"http://127.0.0.1:{port}/fhir"]
        command += ["--pid", str(pid), "--secs", str(each), "--warm", str(warm), "--clients", str(CLIENTS)]
        command += ["--steps", "post,binary,search_nocache", "--out", str(out)]
        subprocess.run(command, check=True)
    rows = json.loads(out.read_bytes())["rows"]
    return {row["step"]: row for row in rows}


@contextmanager
def _running_peer() -> Iterator[tuple[int, int]]:
    """Build the peer in build/ and run it on a free loopback port; yields port and process id."""
    folder = ROOT / "build" / "hapi-peer"
    if not folder.exists():
        shutil.copytree(PEER, folder)
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)  # noqa: S607 - what is copied is read-only
    subprocess.run(["mvn", "-q", "-B", "package"], cwd=folder, check=True)  # noqa: S607 - from the path, as checked
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with (ROOT / "build" / "peer.log").open("wb") as log:
        process = subprocess.Popen([str(folder / "run.sh"), str(port)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the peer did not start: see build/peer.log")
            time.sleep(1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        response = urllib3.request("GET", f"http://127.0.0.1:{port}/fhir/metadata", timeout=5.0, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return response.status == 200


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
