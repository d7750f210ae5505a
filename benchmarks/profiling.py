"""Where the time of an act goes: `python -m benchmarks.profiling publish [rows]`, in this process, without HTTPS."""

from __future__ import annotations

import cProfile
import gc
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.functions import Functions, environ, functions_of
from benchmarks.https import ENTRIES, FHIR, RAW
from benchmarks.records import PEOPLE, RecordWriter, exam_search, nobodies, publication, whole_search
from benchmarks.stage import make_stage, quiet_log

ACTS = 120
BATCH = 10

Request = tuple[str, str, bytes, dict[str, str]]


def main(arguments: Sequence[str]) -> int:
    """Profile one act, done ACTS times."""
    act, rows = arguments[0], int(arguments[1]) if len(arguments) > 1 else 45
    with tempfile.TemporaryDirectory(prefix="sceau-profile-") as folder, quiet_log():
        local = make_stage(Path(folder) / "stage")
        writer = RecordWriter(local.stage)
        with functions_of(local) as functions:
            prepared = prepare(functions, writer, act, 2 * ACTS)
            gc.collect()
            gc.freeze()  # as the server does
            # In a thread, as the server does: the main thread gives its memory back and faults it in again, each time.
            with ThreadPoolExecutor(1) as thread:
                starts = range(0, ACTS, BATCH)
                batches = [
                    thread.submit(_cpu_ms, functions, prepared[start : start + BATCH]).result() for start in starts
                ]
                profile = cProfile.Profile()
                thread.submit(profile.runcall, _all, functions, prepared[ACTS:]).result()
    middle, least = statistics.median(batches), min(batches)
    print(f"{act}: {middle:.2f} ms of CPU (least of {len(batches)} batches: {least:.2f}), without profiler and HTTPS")
    if not rows:
        return 0
    stats = pstats.Stats(profile).strip_dirs()
    stats.sort_stats("cumulative").print_stats(rows)
    stats.sort_stats("tottime").print_stats(rows)
    return 0


def prepare(functions: Functions, writer: RecordWriter, act: str, count: int) -> list[dict[str, object]]:
    """WSGI requests for an act, each with a proof of its own."""
    session = functions.session("laboratory" if act == "publish" else "hospital-physician")
    session.request("GET", "/fhir/DocumentReference", headers=FHIR)  # learns the nonce
    origin = str(functions.local.settings.origin)
    requests: list[Request] = []
    if act == "publish":
        patients = [writer.write(patient, ENTRIES).patient for patient in nobodies(8)]
        requests = [("POST", "/fhir", publication(patients[number % 8]), FHIR) for number in range(count)]
    else:
        record = writer.write(PEOPLE["dominique"], ENTRIES)
        ids = record.readable
        targets = {"search": whole_search(record.patient), "exam": exam_search(record.patient)}
        for number in range(count):
            target = targets.get(act, f"/fhir/Binary/{ids[number % len(ids)]}")
            requests.append(("GET", target, b"", RAW if act == "retrieve" else FHIR))
    return [
        environ(method, origin + target, body, {**headers, **session.authorization(method, origin + target)})
        for method, target, body, headers in requests
    ]


def _cpu_ms(functions: Functions, prepared: list[dict[str, object]]) -> float:
    """CPU time per request."""
    started = time.thread_time()
    _all(functions, prepared)
    return (time.thread_time() - started) * 1000 / len(prepared)


def _all(functions: Functions, prepared: list[dict[str, object]]) -> None:
    for request in prepared:
        response = functions.answer(request)
        if response.status != 200:
            raise RuntimeError(f"answered {response.status}: {response.data[:300]!r}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
