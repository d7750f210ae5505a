"""The HTTPS process of a laptop: granian in front of our gateway, all functions of the chalicefile behind it.

Each function's `app.py` is loaded under a name of its own (all are called `app`) and has only its own rights.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.util import Finalize
from pathlib import Path
from types import ModuleType
from typing import Any

from sceau.cli.schedule import Scheduled, start_schedule
from sceau.cli.signals import heed_signals
from sceau.http import log
from sceau.http.chalice_app import ScheduledApp
from sceau.http.gateway import Gateway, Mount
from sceau.http.runtime import THREADS
from sceau.identity.errors import IdentityError
from sceau.keys.errors import KeyServiceError
from sceau.objects.errors import ObjectStoreError
from sceau.stage import Settings, SettingsError, Stage, load_stage

SEALING = "journal"
"""The scheduled function whose rate a local stage may set for itself."""

KEPT_BYTES = 16 * 1024 * 1024
"""Memory that each thread keeps of what a request gave back, and the largest piece that is taken from it. glibc returns
it at once, and faulting it in again for the next request took a fifth of an act's CPU time."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""glibc's `mallopt` (malloc.h). Other C libraries have none."""

LOG_LEVEL = "SCEAU_LOG_LEVEL"
"""Environment variable: how much the service logs, by the name of the level. At `debug` its libraries log too."""

CANNOT_START = (SettingsError, ObjectStoreError, KeyServiceError, IdentityError)
"""What keeps a stage from being served, and says so in a sentence that holds no secret."""

_PR_SET_PDEATHSIG = 1


def application() -> Callable[..., list[bytes]]:
    """The WSGI application of a stage, as the environment names it. Called by each worker when it starts."""
    begin_worker()
    keep_memory()
    configure_log(os.environ)
    with said_in_a_sentence():
        return _application(load_stage(Settings.from_environ(os.environ)))


def _application(stage: Stage) -> Callable[..., list[bytes]]:
    mounts = list(mount_functions(stage))
    for app in {mount.function: mount.app for mount in mounts}.values():
        app.warm()  # type: ignore[attr-defined]  # every app.py makes a SceauApp; a start that can't work fails here
    tasks = list(scheduled_functions(stage))
    timeouts = {name: function.timeout_seconds for name, function in stage.file.functions.items()}
    log.log(log.LogEvent.STARTED, stage=stage.name, functions=len(timeouts))
    for task in tasks:
        start_schedule(task)
    # What is there now stays until the end: the collector need not look through it for every thousand new objects.
    gc.collect()
    gc.freeze()
    return Gateway(mounts, largest_body_bytes=stage.spec.largest_body_bytes, timeouts_seconds=timeouts)


@contextmanager
def said_in_a_sentence() -> Iterator[None]:
    """End a worker that can't start with one line of the log, which says why, and status 1: no stack trace."""
    try:
        yield
    except CANNOT_START as error:
        log.log(log.LogEvent.NOT_STARTED, error=type(error).__name__, reason=str(error))
        raise SystemExit(1) from None


def begin_worker() -> None:
    """What a granian worker needs to end as it should: with its parent, when it is told to, and not before its exit
    handlers have run.

    A child of `multiprocessing` ends without them, and the count of refusals before authentication would be lost.
    """
    _die_with_parent()
    heed_signals()
    Finalize(None, atexit._run_exitfuncs, exitpriority=1)  # what else would run them is not public


def configure_log(environ: Mapping[str, str]) -> None:
    """Log to standard error from the level that the environment names on; an unknown name is the usual level."""
    level = logging.getLevelNamesMapping().get(environ.get(LOG_LEVEL, "info").upper(), logging.INFO)
    log.configure(level)
    if level <= logging.DEBUG:
        logging.basicConfig(level=level)


def mount_functions(stage: Stage, only: Collection[str] | None = None) -> Iterator[Mount]:
    """Every route of every function that the chalicefile declares (or of some), with the app that serves it."""
    for name, function in stage.file.functions.items():
        if not function.routes or (only is not None and name not in only):
            continue
        app = load_app(stage.base / "functions" / name / "app.py", name).app
        for route in function.routes:
            yield Mount(name, app, route.method, route.path)


def scheduled_functions(stage: Stage) -> Iterator[Scheduled]:
    """Every function that the chalicefile declares with a schedule, built: a start that can't work fails here."""
    for name, function in stage.file.functions.items():
        if function.schedule is not None:
            every = function.schedule.every
            if name == SEALING and stage.spec.sealing_seconds is not None:
                every = timedelta(seconds=stage.spec.sealing_seconds)
            task, app = scheduled_function(stage, name, every)
            app.warm()
            yield task


def scheduled_function(stage: Stage, name: str, every: timedelta) -> tuple[Scheduled, ScheduledApp]:
    """One function with a schedule, and its app. Such a function's handler has its name: hosts call `app.<name>`."""
    module = load_app(stage.base / "functions" / name / "app.py", name)
    return Scheduled(name, every, getattr(module, name)), module.app


def load_app(path: Path, function: str) -> ModuleType:
    """Import one function's `app.py` under a unique name."""
    spec = importlib.util.spec_from_file_location(f"sceau_function_{function}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def serve(settings: Settings, *, certificate: Path, key: Path, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first."""
    from granian.constants import HTTPModes, Interfaces
    from granian.server.mp import MPServer

    _die_with_parent()
    os.environ |= environment(settings)
    server: Any = MPServer(
        "sceau.cli.serve:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        http=HTTPModes.http1,
        ssl_cert=certificate,
        ssl_key=key,
        factory=True,
        log_enabled=False,
        workers_kill_timeout=10,
    )
    server.serve()


def keep_memory() -> None:
    """Have this process keep what a request gave back.

    By a call, not by glibc's environment variables: those are read when a program starts, and a worker is forked.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for setting in (
            _M_TOP_PAD,
            _M_TRIM_THRESHOLD,
            _M_MMAP_THRESHOLD,
        ):  # one alone stops it from adapting the others
            mallopt(setting, KEPT_BYTES)


def environment(settings: Settings) -> dict[str, str]:
    """The environment that makes a process read the same settings."""
    given = settings.model_dump(exclude_none=True)
    return {f"SCEAU_{name.upper()}": str(value) for name, value in given.items()}


def _die_with_parent() -> None:
    """A parent killed with SIGKILL must not leave its child behind, holding the port. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
