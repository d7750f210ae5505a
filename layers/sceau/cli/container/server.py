"""The server of a container: granian (WSGI) before the gateway, with the routes of one function or of all.

Stopping: on SIGTERM the process takes no new connection, and answers the requests that are under way. What is not
answered by then ends as a crash would end it: the event that was written before the act stays, and is shown as not
completed. The host must wait for longer than STOP_SECONDS before it kills.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sceau.cli.container.capacity import MIB, kernel_limit, threads_for
from sceau.cli.container.settings import ContainerSettings
from sceau.cli.schedule import scheduled_event, start_schedule
from sceau.cli.serve import (
    begin_worker,
    configure_log,
    mount_functions,
    said_in_a_sentence,
    scheduled_function,
)
from sceau.http.front import Front, HostDecides, PastTheFront, Secrets, Triggered, Wsgi
from sceau.http.gateway import Gateway
from sceau.http.log import LogEvent, log
from sceau.http.runtime import utc_now
from sceau.stage import Settings, SettingsError, Stage, load_stage
from sceau_schemas.deployment import FunctionSpec

STOP_SECONDS: Final = 30
"""How long requests under way may take when the process was told to stop: a function with routes answers in 29 s."""

_STOP_SCHEDULED_SECONDS: Final = 300
"""The same for a container whose scheduler called: a run ends by itself within its function's time."""

_PROBED_THREADS: Final = 3
"""A run, its host's probe, and somebody who is refused."""


@dataclass(frozen=True, slots=True)
class Container:
    """What this process serves, as its environment and the chalicefile say."""

    stage: Stage
    settings: ContainerSettings

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Container:
        """Read everything. Raises SettingsError with one sentence."""
        container = cls(load_stage(Settings.from_environ(environ)), ContainerSettings.from_environ(environ))
        settings = container.settings
        if settings.private:
            return container  # the host keeps everybody else out: it is told so by name, never by leaving a secret out
        if container.only_scheduled:
            if not settings.scheduler_secrets:
                raise SettingsError(
                    "SCEAU_SCHEDULER_SECRET is not set: nobody could call this function (`run` runs it once without)"
                )
        elif settings.certificate is None and not settings.front_secrets:
            raise SettingsError(
                "SCEAU_FRONT_SECRET is not set: without TLS, only a front that proves itself is answered"
            )
        return container

    @property
    def functions(self) -> dict[str, FunctionSpec]:
        """The functions served here."""
        return {name: self.stage.file.functions[name] for name in self.settings.functions_of(self.stage)}

    def threads(self, limit: int | None) -> int:
        """Requests to serve at a time, under the kernel's `limit` in bytes and what the chalicefile says."""
        if self.only_scheduled:
            return _PROBED_THREADS
        declared = max(function.memory_mb for function in self.functions.values()) * MIB
        memory = declared if limit is None else min(limit, declared)
        return threads_for(memory, self.stage.spec.largest_body_bytes)

    @property
    def only_scheduled(self) -> bool:
        """Whether no function here has routes."""
        return not any(function.routes for function in self.functions.values())


def application() -> Wsgi:
    """The WSGI application, as the environment says. Called by the worker when it starts."""
    begin_worker()
    configure_log(os.environ)
    with said_in_a_sentence():
        container = Container.from_environ(os.environ)
        app = build(container)
    log(LogEvent.STARTED, stage=container.stage.name, functions=len(container.functions))
    # What is there now stays until the end: the collector need not look through it for every thousand new objects.
    gc.collect()
    gc.freeze()
    return app


def build(container: Container) -> Wsgi:
    """The functions behind the front. Their stores and keys are built now: settings that can't work end the start."""
    settings = container.settings
    refused = PastTheFront.counting(utc_now)
    app = _scheduled(container, refused) if container.only_scheduled else _routed(container)
    if not settings.front_secrets or container.only_scheduled:
        return app
    probes = frozenset(f"/healthz/{name}" for name in container.functions)
    return Front(app, Secrets(settings.front_secrets), open_paths=probes, refused=refused)


def _routed(container: Container) -> Wsgi:
    stage = container.stage
    mounts = list(mount_functions(stage, container.functions))
    for name, app in {mount.function: mount.app for mount in mounts}.items():
        stage.runtime(name)
        # A store or a key service that does not answer yet is no reason to end: the probe tells, and asks again.
        app.health()  # type: ignore[attr-defined]  # every app.py makes a SceauApp
    for name, function in container.functions.items():
        if function.schedule is not None:  # `all` is the whole service: it keeps the schedule too
            start_schedule(scheduled_function(stage, name, function.schedule.every)[0])
    timeouts = {name: function.timeout_seconds for name, function in container.functions.items()}
    return Gateway(mounts, largest_body_bytes=stage.spec.largest_body_bytes, timeouts_seconds=timeouts)


def _scheduled(container: Container, refused: PastTheFront) -> Wsgi:
    runs = {}
    for name, function in container.functions.items():
        container.stage.runtime(name)
        # Called from outside, so its own rate does not matter; one that is called on demand has none.
        every = function.schedule.every if function.schedule else timedelta.max
        task, app = scheduled_function(container.stage, name, every)
        runs[name] = (lambda task=task: task.handler(scheduled_event(), None)), app.warm
    secrets = container.settings.scheduler_secrets
    return Triggered(runs, Secrets(secrets) if secrets else HostDecides(), refused=refused)


def serve(environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM. Raises SettingsError before anything listens."""
    from granian.constants import HTTPModes, Interfaces
    from granian.server.mp import MPServer

    container = Container.from_environ(environ)
    settings = container.settings
    server: Any = MPServer(
        f"{__name__}:application",
        address=settings.address,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=container.threads(kernel_limit()),
        http=HTTPModes.http1,
        ssl_cert=settings.certificate,
        ssl_key=settings.key,
        factory=True,
        log_enabled=False,
        workers_kill_timeout=_STOP_SCHEDULED_SECONDS if container.only_scheduled else STOP_SECONDS,
    )
    server.serve()
