"""`python -m sceau.cli.container [serve | run FUNCTION | repeat FUNCTION | probe]`: what an image's entry point is.

`serve`            serve until SIGTERM (the default)
`run FUNCTION`     run a function without routes once; status 0 when it did what it should. For hosts with a job
                   scheduler, and for functions that are called on demand
`repeat FUNCTION`  run it now and by its rate, until SIGTERM. For hosts that have no scheduler
`probe`            ask the server of this container for its health, as the environment says where it listens
"""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

from sceau.cli.container.server import serve
from sceau.cli.container.settings import ContainerSettings
from sceau.cli.schedule import Scheduled, repeat, scheduled_event
from sceau.cli.serve import configure_log, scheduled_function
from sceau.http.chalice_app import TaskFailed
from sceau.stage import Settings, SettingsError, load_stage

_PROBE_SECONDS = 5
_NEVER = timedelta.max


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; return the exit status."""
    try:
        match list(arguments):
            case [] | ["serve"]:
                serve(environ)
            case ["run", function]:
                return _run(_task(function, environ))
            case ["repeat", function]:
                _repeat(_task(function, environ, repeated=True))
            case ["probe"]:
                return _probe(environ)
            case _:
                sys.stderr.write(__doc__ or "")
                return 2
    except SettingsError as error:
        sys.stderr.write(f"sceau: {error}\n")
        return 1
    return 0


def _task(function: str, environ: Mapping[str, str], *, repeated: bool = False) -> Scheduled:
    configure_log(environ)
    stage = load_stage(Settings.from_environ(environ))
    spec = stage.file.functions.get(function)
    if spec is None or not (spec.schedule or (spec.on_demand and not repeated)):
        raise SettingsError(f"the chalicefile declares no scheduled function {function!r}")
    if spec.on_demand:
        stage.runtime(function)  # a sentence, while the stage has it switched off
    return scheduled_function(stage, function, spec.schedule.every if spec.schedule else _NEVER)[0]


def _run(function: Scheduled) -> int:
    try:
        function.handler(scheduled_event(), None)
    except TaskFailed as error:
        sys.stderr.write(f"sceau: {error}\n")
        return 1
    return 0


def _repeat(function: Scheduled) -> None:
    """Until SIGTERM, which lets a run under way come to its end."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    repeat(function, told.wait)


def _probe(environ: Mapping[str, str]) -> int:
    """0 when every function that is served here says that it can serve."""
    settings = ContainerSettings.from_environ(environ)
    stage = load_stage(Settings.from_environ(environ))
    functions = settings.functions_of(stage)
    # Where all are served together, those that run by schedule have no address of their own.
    probed = [name for name in functions if len(functions) == 1 or stage.file.functions[name].routes]
    return 0 if all(_is_healthy(settings, name) for name in probed) else 1


def _is_healthy(settings: ContainerSettings, function: str) -> bool:
    connection = _connection(settings)
    try:
        connection.request("GET", f"/healthz/{function}")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _connection(settings: ContainerSettings) -> HTTPConnection:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.address, settings.address)  # noqa: S104
    if settings.certificate is None:
        return HTTPConnection(host, settings.port, timeout=_PROBE_SECONDS)
    # Whether this process answers, not who it is: that it holds the right certificate is for its callers to check.
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, settings.port, timeout=_PROBE_SECONDS, context=context)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
