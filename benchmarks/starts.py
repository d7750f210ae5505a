"""A function that starts cold: import and first answer, resident memory, and the imports that cost most."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Bar, Figures, table
from benchmarks.functions import Functions, Response, environ, functions_of
from benchmarks.https import FHIR
from benchmarks.records import PEOPLE, RecordWriter, WrittenRecord, exam_search, publication
from benchmarks.stage import ROOT, LocalStage, made_stage, now, quiet_log
from sceau.cli.serve import environment
from sceau.cli.session import Session
from sceau.http.gateway import Gateway, Mount
from sceau.identity.client import Prover, SigningKey, TokenClient

TIMES = 3
ENTRIES = 20
HEAVIEST = "ingest"
"""The function whose imports are listed."""

_SECOND, _MEMORY = Bar(1000), Bar(150)
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)")
_HEADS = ("function", "import ms", "answer ms", "process to answer ms", "memory MB")


def starts(figures: Figures) -> None:
    """Start each function TIMES times, each time with a real act; the medians count."""
    rows: list[list[str | float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="sceau-starts-") as folder,
        quiet_log(),
        made_stage(Path(folder) / "stage") as local,
    ):
        _start_all(local, figures, rows)
    print(table(f"Cold start, median of {TIMES} (the interpreter's own start is in the whole)", _HEADS, rows))
    costly = _costly_imports()
    for number, (module, millis, _) in enumerate(costly, 1):
        figures.add(f"import.{number:02}.{module}.ms", millis)
    print(table(f"Costliest imports of {HEAVIEST}", ("module", "own ms", "with its imports ms"), costly))


def _start_all(local: LocalStage, figures: Figures, rows: list[list[str | float]]) -> None:
    record = RecordWriter(local.stage).write(PEOPLE["dominique"], ENTRIES)
    with functions_of(local) as functions:
        first = _FirstRequests(functions, record)
        for name in local.stage.file.deployed(local.stage.spec):
            _start(local, name, first.event(name))  # writes the bytecode
            runs = [_start(local, name, first.event(name)) for _ in range(TIMES)]
            middle = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
            figures.add(f"start.{name}.import_ms", middle["import_ms"])
            figures.add(f"start.{name}.first_answer_ms", middle["whole_ms"], _SECOND)
            figures.add(f"start.{name}.memory_mb", middle["memory_mb"], _MEMORY)
            rows.append([name, *(middle[what] for what in ("import_ms", "answer_ms", "whole_ms", "memory_mb"))])


class _FirstRequests:
    """API Gateway events of real acts, not yet sent."""

    def __init__(self, functions: Functions, record: WrittenRecord) -> None:
        self._functions = functions
        self._record = record
        self._origin = str(functions.local.settings.origin)
        self._sessions: dict[str, Session] = {}

    def event(self, function: str) -> Any:
        """The event of a function's most usual act; None for a function that runs by schedule."""
        patient = self._record.patient
        match function:
            case "authentication":
                return self._captured(function, _token_request(self._functions))
            case "ingest":
                return self._act(function, "laboratory", "POST", "/fhir", publication(patient))
            case "retrieval":
                return self._act(function, "hospital-physician", "GET", exam_search(patient))
            case "consent":
                return self._act(function, "patient", "GET", "/fhir/Consent")
            case "traces":
                return self._act(function, "patient", "GET", f"/fhir/AuditEvent?date=ge{now():%Y-%m-%d}")
        return None

    def _act(self, function: str, actor: str, method: str, target: str, body: bytes = b"") -> Any:
        if actor not in self._sessions:
            self._sessions[actor] = self._functions.session(actor)
            self._sessions[actor].request("GET", "/fhir/Patient", headers=FHIR)  # learns the nonce
        url = self._origin + target
        headers = {**FHIR, **self._sessions[actor].authorization(method, url)}
        return self._captured(function, environ(method, url, body, headers))

    def _captured(self, function: str, request: dict[str, Any]) -> Any:
        """What the front would hand to the function."""
        events: list[dict[str, Any]] = []

        def keep(event: dict[str, Any], _: Any) -> dict[str, Any]:
            events.append(event)
            return {"statusCode": 200, "body": ""}

        file = self._functions.local.stage.file
        mounts = [Mount(function, keep, route.method, route.path) for route in file.functions[function].routes]
        largest = self._functions.local.stage.spec.largest_body_bytes
        front = Gateway(mounts, largest_body_bytes=largest, timeouts_seconds={function: 30})
        Functions(self._functions.local, front).answer(request)
        return events[0]


@dataclass(slots=True)
class _HeldBack:
    """Sends the first request, which learns the nonce; keeps the second, which would get the token."""

    functions: Functions
    sent: bool = False
    kept: dict[str, Any] | None = None

    def request(
        self, method: str, url: str, body: bytes | None = None, *, headers: Mapping[str, str], **_: object
    ) -> Response:
        if not self.sent:
            self.sent = True
            return self.functions.request(method, url, body, headers)
        self.kept = environ(method, url, body or b"", headers)
        token = json.dumps({"access_token": "", "expires_in": 1, "scope": ""}).encode()
        return Response(200, {}, token)


def _token_request(functions: Functions) -> dict[str, Any]:
    http, local = _HeldBack(functions), functions.local
    client = TokenClient(
        http,
        origin=str(local.settings.origin),
        issuer=str(local.settings.origin),
        client_id="laboratory",
        key=local.folder.client_key("laboratory"),
        prover=Prover(SigningKey.generate(), now),
    )
    client.client_credentials("system/DocumentReference.crs")
    if http.kept is None:
        raise RuntimeError("the token endpoint asked for no nonce")
    return http.kept


def _start(local: LocalStage, function: str, event: Any) -> dict[str, float]:
    """Start the function in a process of its own, with an event (None: it is run as by schedule)."""
    command = [sys.executable, str(ROOT / "benchmarks" / "first_answer.py"), str(_app(function))]
    started = time.perf_counter()
    done = subprocess.run(
        command, input=json.dumps(event), env=_clean_environment(local), capture_output=True, text=True, check=False
    )
    whole = (time.perf_counter() - started) * 1000
    report = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"status": done.stderr[-300:]}
    if report["status"] != 200:
        raise RuntimeError(f"{function} answered {report['status']}")
    return {**report, "whole_ms": whole}


def _app(function: str) -> Path:
    return ROOT / "functions" / function / "app.py"


def _clean_environment(local: LocalStage | None = None) -> dict[str, str]:
    """As a host would have it: our packages, the stage's settings, and bytecode that is kept."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    path = os.pathsep.join([str(ROOT / "layers"), str(ROOT / "schemas")])
    return {**kept, "PYTHONPATH": path, **(environment(local.settings) if local else {})}


def _costly_imports() -> list[tuple[str, float, float]]:
    """The ten modules whose own import takes longest: name, its own milliseconds, those with what it imports."""
    command = [sys.executable, "-X", "importtime", str(_app(HEAVIEST))]
    done = subprocess.run(command, env=_clean_environment(), capture_output=True, text=True, check=True)
    found = [(name, int(own) / 1000, int(whole) / 1000) for own, whole, name in _IMPORT.findall(done.stderr)]
    return sorted(found, key=lambda one: -one[1])[:10]
