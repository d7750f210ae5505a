"""The commands of `sceau`, and what each prints. A failure is one sentence on standard error, and a status not 0."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import urllib3

from sceau.audit.errors import JournalUnavailable
from sceau.audit.log.errors import LogError
from sceau.cli.backup import add_backup_commands
from sceau.cli.devissuer import DevIssuerRefused, read_issuer_file
from sceau.cli.devserver import DevIssuerServer
from sceau.cli.documents import journey_documents
from sceau.cli.evidence import add_evidence_command
from sceau.cli.journey import Journey, Step, StepFailed
from sceau.cli.keys import add_keys_command
from sceau.cli.local_s3 import s3_of
from sceau.cli.local_stage import LocalFolder, ensure_local_stage, folder_of, register_clients, trust_issuers
from sceau.cli.log import add_log_commands
from sceau.cli.people import ACTORS
from sceau.cli.process import RunningService, ServiceNotStarted, port_of, require_free_port
from sceau.cli.registry import add_registry_commands
from sceau.cli.rules import add_rules_commands
from sceau.cli.scaleway_api import HostRefused
from sceau.cli.session import IssuerRefused, Service, Session
from sceau.cli.smoke import add_smoke_command
from sceau.cli.stage_check import add_stage_check
from sceau.cli.stage_commands import add_stage_commands
from sceau.cli.structures import add_structures_commands
from sceau.cli.upkeep import add_upkeep_command
from sceau.http.runtime import SwitchedOff
from sceau.http.undoing import NothingToRestore
from sceau.identity.client import Emergency, TokenNotGiven
from sceau.identity.errors import IdentityError
from sceau.keys.errors import KeyServiceError
from sceau.objects.errors import ObjectStoreError
from sceau.records.backup.format import BackupRefused
from sceau.records.errors import CommitLost
from sceau.stage import Settings, SettingsError, Stage, load_stage
from sceau_schemas.stores import S3StoreSpec

_CHALICEFILE = "chalicefile"
_ONE_SENTENCE = (
    SettingsError,
    ServiceNotStarted,
    StepFailed,
    DevIssuerRefused,
    IssuerRefused,
    TokenNotGiven,
    IdentityError,
    ObjectStoreError,
    KeyServiceError,
    HostRefused,
    LogError,
    SwitchedOff,
    BackupRefused,
    NothingToRestore,
    CommitLost,
    JournalUnavailable,
)


@dataclass(frozen=True, slots=True)
class _Local:
    """A local stage that is being served by this process."""

    settings: Settings
    stage: Stage
    service: Service
    running: RunningService


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="sceau", description="A shared medical record that you deploy yourself.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text, act in (
        ("run", "make the local stage if it is absent, serve it, play the journey, serve on until Ctrl-C", _run),
        ("journey", "the same, and exit after the journey", _journey),
        ("serve", "serve the local stage until Ctrl-C", _serve),
        ("worker", argparse.SUPPRESS, _worker),
    ):
        command = commands.add_parser(name, help=text)
        _common(command)
        command.set_defaults(run=act)
    token = commands.add_parser("token", help="fetch a token of a running local stage as one of its actors")
    _common(token)
    token.add_argument("actor", choices=sorted(ACTORS))
    token.add_argument("--curl", metavar="PATH", help="print a curl line that calls this path instead")
    token.add_argument("--mode", choices=("bris_de_glace", "centre_15"), help="professionals: enter in an emergency")
    token.add_argument("--reason", metavar="TEXT", help="why, in words: required for bris_de_glace")
    token.add_argument("--unable", action="store_true", help="declare that the patient can't express their will")
    token.add_argument("--risk", action="store_true", help="declare an immediate risk for the patient")
    token.set_defaults(run=_token)
    add_registry_commands(commands, _common, lambda options: load_stage(_settings(options)))
    add_keys_command(commands, _common, lambda options: load_stage(_settings(options)))
    add_rules_commands(commands, _common, lambda options: load_stage(_settings(options)))
    add_structures_commands(commands, _common, lambda options: load_stage(_settings(options)))
    add_upkeep_command(commands, _common, lambda options: load_stage(_settings(options)))
    add_log_commands(commands, _common, lambda options: load_stage(_settings(options)))
    add_evidence_command(commands, _common, lambda options: load_stage(_settings(options)))
    add_backup_commands(commands, _common, lambda options: load_stage(_settings(options)))
    add_smoke_command(commands, _common, lambda options: load_stage(_settings(options)))
    stages = add_stage_commands(commands, _common, lambda options: load_stage(_settings(options)))
    add_stage_check(stages, _common_but_stage, lambda options: load_stage(_settings(options)))
    options = parser.parse_args(arguments)
    # As Ctrl-C: what was started is stopped in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except _ONE_SENTENCE as error:
        sys.stderr.write(f"sceau: {error}\n")
    except urllib3.exceptions.HTTPError:
        sys.stderr.write("sceau: the service does not answer: is it running? (`make serve`)\n")
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    return 1


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stage", default=os.environ.get("SCEAU_STAGE", "local"), help="a stage of the chalicefile")
    _common_but_stage(command)


def _common_but_stage(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--port", type=int, help="local stages: serve here, the issuer and the S3 server on the next ports"
    )
    command.add_argument("--folder", type=Path, help="local stages: keep the stage in this folder")


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of a command: its options, then the environment, then the chalicefile."""
    environ = dict(os.environ)
    environ.setdefault("SCEAU_CHALICEFILE", str(_find_chalicefile()))
    environ["SCEAU_STAGE"] = options.stage
    if options.folder:
        environ["SCEAU_FOLDER"] = str(options.folder)
    if options.port:
        environ["SCEAU_ORIGIN"] = f"https://localhost:{options.port}"
        environ["SCEAU_ISSUER"] = f"https://127.0.0.1:{options.port + 1}"
    settings = Settings.from_environ(environ)
    if options.port and isinstance(load_stage(settings).spec.store, S3StoreSpec):
        settings = settings.model_copy(update={"store_endpoint": f"https://127.0.0.1:{options.port + 2}"})
    return settings


def _find_chalicefile() -> Path:
    """The chalicefile of this checkout or of the current folder."""
    for folder in (Path.cwd(), *Path(__file__).resolve().parents):
        if (folder / _CHALICEFILE).is_file():
            return folder / _CHALICEFILE
    raise SettingsError("there is no chalicefile here: run this from the project's folder")


@contextmanager
def _served(options: argparse.Namespace) -> Iterator[_Local]:
    """Make the stage if it is absent, start issuer and service; stop both at the end."""
    settings = _settings(options)
    stage = load_stage(settings)
    folder, made = ensure_local_stage(stage)
    print(f"The stage in {folder.path} was {'made' if made else 'there already'}.")
    service = _service(stage, folder)
    require_free_port(service.origin, "the service", "PORT=")
    require_free_port(service.issuer, "the development issuer", "PORT=")
    issuer = DevIssuerServer(
        read_issuer_file(folder.issuer),
        stage_host=stage.spec.host,
        audience=service.origin,
        certificate=folder.certificate,
        certificate_key=folder.certificate_key,
        clock=lambda: datetime.now(UTC),
        port=port_of(service.issuer),
    )
    with s3_of(stage, folder), issuer:
        register_clients(stage, folder)
        trust_issuers(stage, issuer.issuer.trusted_issuers(folder.authority))
        running = RunningService(settings, service)
        running.start()
        try:
            yield _Local(settings, stage, service, running)
        finally:
            running.stop()
            service.close()


def _service(stage: Stage, folder: LocalFolder) -> Service:
    if stage.spec.development_issuer is None:
        raise SettingsError(f"stage {stage.name} has no development issuer: nobody could log in")
    return Service(stage.spec.origins[0], stage.spec.development_issuer, folder)


def _run(options: argparse.Namespace) -> int:
    with _served(options) as local:
        _play(local)
        _print_how_to(local)
        _wait(local)
    return 0


def _journey(options: argparse.Namespace) -> int:
    with _served(options) as local:
        _play(local)
    return 0


def _serve(options: argparse.Namespace) -> int:
    with _served(options) as local:
        _print_how_to(local)
        _wait(local)
    return 0


def _worker(options: argparse.Namespace) -> int:
    """The service's own process. It reads the environment that its parent made."""
    from sceau.cli.serve import serve

    settings = Settings.from_environ(os.environ)
    stage = load_stage(settings)
    folder = folder_of(stage)
    serve(
        settings,
        certificate=folder.certificate,
        key=folder.certificate_key,
        host="127.0.0.1",
        port=port_of(stage.spec.origins[0]),
    )
    return 0


def _token(options: argparse.Namespace) -> int:
    stage = load_stage(_settings(options))
    folder = folder_of(stage)
    if folder.missing():
        raise SettingsError("there is no local stage here yet: `make run` makes it")
    entering = None
    if options.mode or options.reason or options.unable or options.risk:
        entering = Emergency(options.mode or "normal", options.reason, options.unable, options.risk)
    session = Session(_service(stage, folder), options.actor, entering=entering)
    if options.curl is None:
        print(session.token.access_token)
        return 0
    url = stage.spec.origins[0] + options.curl
    session.request("GET", options.curl, headers={"Accept": "application/fhir+json"})  # learns the nonce of the day
    headers = session.authorization("GET", url)
    lines = [f"  -H '{name}: {value}'" for name, value in headers.items()]
    print(" \\\n".join([f"curl --cacert {folder.authority}", *lines, f"  '{url}'"]))
    return 0


def _play(local: _Local) -> None:
    documents = journey_documents(local.stage.base)
    print(f"The journey, on {documents.source}:\n")

    def restart() -> None:
        local.running.kill()
        print("      the service was killed with SIGKILL; starting it again")
        local.running.start()

    journey = Journey(local.service, documents, restart, _print_step)
    journey.play()
    print(f"\n{len(journey.steps)} calls answered as they must.")


def _print_step(step: Step) -> None:
    trace = step.trace.split(", ")[-1] or "-"
    print(f"{step.number:>3}  {step.who:<20} {step.request:<58} {step.status}  {step.millis:6.0f} ms  {trace}")
    if step.remark:
        print(f"{'':>5}{step.remark}")
    sys.stdout.flush()


def _print_how_to(local: _Local) -> None:
    origin, folder = local.service.origin, local.service.folder.path
    port = f" --port {port_of(origin)}" if local.settings.origin else ""
    example = f"/fhir/AuditEvent?date=ge{datetime.now(UTC):%Y-%m-%d}"
    print(
        f"""
Serving {origin}. Call it yourself:

  curl --cacert {local.service.folder.authority} {origin}/.well-known/smart-configuration

A token is bound to a key, so each call needs a proof of its own; this prints a curl line with both:

  {_own_name()} token patient{port} --curl '{example}'

Actors: {", ".join(sorted(ACTORS))}. The service logs to {folder / "service.log"}. Ctrl-C ends it."""
    )
    sys.stdout.flush()


def _own_name() -> str:
    """How this command is called from a shell: by the script that `make` puts into the virtual environment."""
    script = Path(sys.executable).with_name("sceau")
    return str(script) if script.is_file() else f"PYTHONPATH=layers:schemas {sys.executable} -m sceau.cli"


def _wait(local: _Local) -> None:
    with suppress(KeyboardInterrupt):
        status = local.running.wait()
        raise ServiceNotStarted(f"the service ended by itself (status {status}): see service.log in the stage's folder")
    print("\nStopping.")
