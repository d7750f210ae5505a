"""A patient's traces among a million events of others: on the file-system store, the whole act (ITI-81)."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.events import EventWriter, SteppingClock
from benchmarks.figures import Bar, Figures, table
from benchmarks.functions import functions_of
from benchmarks.https import FHIR
from benchmarks.stage import make_stage, now, quiet_log
from sceau.audit.ids import EventIds
from sceau.audit.log.places import index_name
from sceau.cli.session import Session
from sceau.http.sealing import sealer_of

OTHERS = 1_000_000
RECORDS = tuple(chr(97 + number % 26) * 24 + chr(97 + number // 26) * 2 for number in range(500))
OWN = 300
"""Events of the patient."""

RECENT = 5_000
"""Events of others in the last quarter of an hour, which are not sealed yet and stand beside the patient's own."""

ROUNDS = 15
BARS = {"traces.newest_50_ms": Bar(100)}
"""A filter that few pass opens all that the patient has, whatever others have: it has none."""

PAGES = {"traces.newest_50_ms": "_count=50", "traces.filtered_ms": "_count=50&subtype=ITI-81&outcome=4"}


def traces_among_many(figures: Figures) -> None:
    """The newest 50 of a patient's events, and a filter that must open all of them."""
    with tempfile.TemporaryDirectory(prefix="sceau-bench-traces-") as folder, quiet_log():
        local = make_stage(Path(folder) / "stage")
        root = local.folder.path / "store"
        with functions_of(local) as functions:
            holder = functions.session("patient")
            for _ in range(OWN - 1):
                _asked(holder, "/fhir/Consent")
            sealer_of(local.stage.runtime("journal")).run()
            _index_of_others(root, now() - timedelta(days=365))
            writer = EventWriter(
                root,
                local.stage.keys(),
                SteppingClock(now() - timedelta(minutes=14)),
                RECORDS,
                timedelta(minutes=14) / RECENT,
            )
            writer.write(RECENT)
            rows: list[list[str | float]] = []
            for name, query in PAGES.items():
                taken = sorted(_seconds(functions.session("patient"), query) for _ in range(ROUNDS))
                middle = statistics.median(taken) * 1000
                rows.append([query, middle, taken[-1] * 1000, figures.add(name, middle, BARS.get(name))])
    print(table(f"Traces of a patient ({OWN}) among {OTHERS} of others", ("query", "ms", "longest", "bar"), rows))


def _index_of_others(root: Path, since: datetime) -> None:
    clock = SteppingClock(since)
    ids = EventIds(clock, bytes)
    for record in RECORDS:
        (root / "objects" / index_name(record, ids.new(), 0)).parent.mkdir(parents=True, exist_ok=True)
    for number in range(OTHERS):
        clock.now += timedelta(milliseconds=25)
        (root / "objects" / index_name(RECORDS[number % len(RECORDS)], ids.new(), number + OWN)).touch()


def _seconds(holder: Session, query: str) -> float:
    started = time.perf_counter()
    _asked(holder, f"/fhir/AuditEvent?{query}")
    return time.perf_counter() - started


def _asked(holder: Session, target: str) -> None:
    answer = holder.request("GET", target, None, FHIR)
    if answer.status != 200:
        raise RuntimeError(f"{target}: {answer.status} {json.loads(answer.data)}")
