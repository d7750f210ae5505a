"""The service as a process of its own: started, waited for, killed, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

import sceau
import sceau_schemas
from sceau.cli.serve import environment
from sceau.cli.session import Service
from sceau.stage import Settings, SettingsError

START_SECONDS = 60.0
STOP_SECONDS = 15.0
_LAST_LINES = 20
_HOST = "127.0.0.1"


class ServiceNotStarted(Exception):
    """The service did not come up. The message is one sentence."""


def require_free_port(origin: str, what: str, variable: str) -> None:
    """Raise SettingsError, in one sentence, when something listens on the origin's port already."""
    port = port_of(origin)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            raise SettingsError(
                f"port {port} is busy: {what} can't start there (choose another with {variable})"
            ) from None


def answers(origin: str) -> bool:
    """Whether somebody listens on the origin's port of the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((_HOST, port_of(origin))) == 0


def _reason(log: Path) -> str:
    """Why, when the last lines of the service's log say it."""
    lines = log.read_text("utf-8", errors="replace").splitlines()[-_LAST_LINES:] if log.exists() else []
    told = [line for line in lines if '"event":"not-started"' in line]
    return f": {json.loads(told[-1])['reason']}" if told else ""


def _import_path() -> str:
    """Where our two packages are, for a process that did not inherit it."""
    roots = [Path(str(package.__file__)).resolve().parents[1] for package in (sceau, sceau_schemas)]
    return os.pathsep.join(map(str, roots))


def port_of(origin: str) -> int:
    """The port of an https origin."""
    return urlsplit(origin).port or 443


@dataclass(slots=True)
class RunningService:
    """The service's process. `start` returns once every function answers its health probe."""

    settings: Settings
    service: Service
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait for it. Raises ServiceNotStarted, with what it said last."""
        command = [sys.executable, "-m", "sceau.cli", "worker"]
        log = self.service.folder.path / "service.log"
        with log.open("ab") as out:
            # A session of its own: Ctrl-C reaches us, and we stop it in order; SIGKILL can take its worker with it.
            self.process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                command,
                env={**os.environ, **environment(self.settings), "PYTHONPATH": _import_path()},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._await_health(log)

    def kill(self) -> None:
        """SIGKILL for the process and its worker, as a power cut would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: requests under way are finished first."""
        self._signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until the process ends by itself; return its exit status."""
        return self.process.wait() if self.process else 0

    def _signal(self, number: signal.Signals) -> None:
        process = self.process
        if process is None or process.poll() is not None:
            return
        # To the whole group: a worker must not outlive its supervisor. Granian passes SIGTERM on by itself.
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.process = None

    def _await_health(self, log: Path) -> None:
        pool = self.service.pool()
        deadline = time.monotonic() + START_SECONDS
        waiting = ["authentication", "ingest", "retrieval", "consent", "traces"]
        while waiting:
            process = self.process
            if process is None or process.poll() is not None:
                raise ServiceNotStarted(
                    f"the service ended at its start{_reason(log)}: see service.log in the stage's folder"
                )
            if time.monotonic() > deadline:
                self.kill()
                raise ServiceNotStarted(f"the service did not answer within {START_SECONDS:.0f} s: see {log.name}")
            try:
                response = pool.request("GET", f"{self.service.origin}/healthz/{waiting[0]}", timeout=2.0)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
                continue
            if response.status == 200:  # noqa: PLR2004 - OK
                waiting.pop(0)
            else:
                time.sleep(0.05)
