"""A local stage in a folder of its own: served by its real processes over HTTPS, or its functions built here."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sceau.cli.devissuer import DevIssuer, read_issuer_file
from sceau.cli.devserver import DevIssuerServer
from sceau.cli.local_s3 import s3_of
from sceau.cli.local_stage import LocalFolder, ensure_local_stage, register_clients, trust_issuers
from sceau.cli.process import RunningService, port_of
from sceau.cli.s3_server import S3Server
from sceau.cli.session import Service, Session
from sceau.http.log import configure
from sceau.stage import Settings, Stage, load_stage

ROOT = Path(__file__).resolve().parents[1]


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class LocalStage:
    """A stage on disk, with its development issuer, which is asked without a socket unless it is served."""

    settings: Settings
    stage: Stage
    folder: LocalFolder
    issuer: DevIssuer
    s3: S3Server | None = None
    """The S3 server that holds its objects, when it is not the file system that does."""


STAGE = os.environ.get("SCEAU_BENCH_STAGE") or "local"
"""The stage of the chalicefile that is measured: `local`, or `s3` (`make bench STAGE=s3`)."""


@contextmanager
def made_stage(folder: Path, *, port: int = 9443) -> Iterator[LocalStage]:
    """Make a stage of the kind that is measured in `folder`, with its S3 server if it has one, for the block."""
    if STAGE == "local":
        yield make_stage(folder, port=port)
        return
    endpoint = f"https://127.0.0.1:{_free_ports()}"
    settings = _settings(folder, port, stage=STAGE, store_endpoint=endpoint)
    stage = load_stage(settings)
    local, _ = ensure_local_stage(stage)
    with s3_of(stage, local) as server:
        register_clients(stage, local)
        made = _with_issuer(settings, stage, local)
        yield replace(made, s3=server)


def make_stage(folder: Path, *, port: int = 9443) -> LocalStage:
    """Make a local stage in `folder`, absent so far. `port`: where it would be served, its issuer on the next."""
    settings = _settings(folder, port, stage="local")
    stage = load_stage(settings)
    return _with_issuer(settings, stage, ensure_local_stage(stage)[0])


def _settings(folder: Path, port: int, **more: str) -> Settings:
    origins = {"origin": f"https://localhost:{port}", "issuer": f"https://127.0.0.1:{port + 1}"}
    return Settings.model_validate({"chalicefile": ROOT / "chalicefile", "folder": folder, **origins, **more})


def _with_issuer(settings: Settings, stage: Stage, local: LocalFolder) -> LocalStage:
    secrets = read_issuer_file(local.issuer)
    issuer = DevIssuer(secrets, origin=str(settings.issuer), audience=stage.spec.origins[0], clock=now)
    trust_issuers(stage, issuer.trusted_issuers(local.authority))
    return LocalStage(settings, stage, local, issuer)


@dataclass(frozen=True, slots=True)
class ServedStage:
    """A stage that is being served: by one process and its worker; the issuer by a thread of ours."""

    local: LocalStage
    service: Service
    running: RunningService

    def session(self, actor: str, patient: str = "dominique") -> Session:
        """An actor with a fresh token."""
        return Session(self.service, actor, patient=patient)

    def cpu_seconds(self) -> float:
        """User and system time that the service's processes have used so far."""
        process = self.running.process
        return sum(_cpu_seconds(pid) for pid in _family(process.pid)) if process else 0.0

    def store_cpu_seconds(self) -> float:
        """The same for the S3 server; 0 where the service's own processes are the store."""
        process = self.local.s3.process if self.local.s3 else None
        return sum(_cpu_seconds(pid) for pid in _family(process.pid)) if process else 0.0


@contextmanager
def served_stage(folder: Path) -> Iterator[ServedStage]:
    """Make a stage in `folder` and serve it on two free ports until the end of the block."""
    with made_stage(folder, port=_free_ports()) as local, _served(local) as served:
        yield served


@contextmanager
def _served(local: LocalStage) -> Iterator[ServedStage]:
    service = Service(str(local.settings.origin), str(local.settings.issuer), local.folder)
    server = DevIssuerServer(
        read_issuer_file(local.folder.issuer),
        stage_host=local.stage.spec.host,
        audience=service.origin,
        certificate=local.folder.certificate,
        certificate_key=local.folder.certificate_key,
        clock=now,
        port=port_of(service.issuer),
    )
    running = RunningService(local.settings, service)
    with server:
        running.start()
        try:
            yield ServedStage(local, service, running)
        finally:
            running.stop()


@contextmanager
def quiet_log() -> Iterator[None]:
    """Log as the service does, into nothing: for functions that are built in this process."""
    with Path(os.devnull).open("w") as nothing:
        configure(stream=nothing)
        yield


def measured(act: Callable[[], object], seconds_of: Callable[[], float]) -> float:
    """How much `seconds_of` grows while `act` runs, in milliseconds."""
    before = seconds_of()
    act()
    return (seconds_of() - before) * 1000


def _free_ports() -> int:
    """A port that is free now, and whose successor is too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def _family(pid: int) -> list[int]:
    """A process and its descendants (Linux)."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            children += map(int, (task / "children").read_text().split())
    return [pid, *(one for child in children for one in _family(child))]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
