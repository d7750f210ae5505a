"""`sceau smoke --stage NAME`: whether a deployed stage answers as it must, asked from outside, on synthetic data only.

Without any credential: each function is well, what is public is public, everything else refuses whoever shows no token,
and old TLS is refused. With the development's actors (`--actors`, their clients registered on a stage of test
identities) the whole first journey is played too, on the ANS's test patient.
"""

from __future__ import annotations

import argparse
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

from sceau.cli.documents import journey_documents
from sceau.cli.journey import Journey, Step, StepFailed
from sceau.cli.local_stage import folder_of
from sceau.cli.session import IssuerRefused, Service, service_of
from sceau.cli.stage_check import report, write_report
from sceau.identity.client import TokenNotGiven
from sceau.objects.findings import Finding
from sceau.stage import SettingsError, Stage

_SECONDS: Final = 30.0
_OPEN: Final = re.compile(r"/healthz/.*|/oauth/.*|/(?:fhir/)?\.well-known/.*|/openapi\..*|/fhir/metadata")
"""Routes for whoever shows no token."""
_TEST_IDENTITIES: Final = frozenset({"urn:oid:1.2.250.1.213.1.4.10", "urn:oid:1.2.250.1.213.1.4.11"})
_OK, _BAD, _UNAUTHENTICATED, _FORBIDDEN, _ABSENT = 200, 400, 401, 403, 404

Measure = Callable[[], tuple[bool, str]]


class Doors:
    """What a caller without a token meets at one origin."""

    def __init__(self, stage: Stage, origin: str, http: urllib3.PoolManager, authority: Path | None) -> None:
        self._stage = stage
        self._origin = origin
        self._http = http
        self._authority = authority

    def findings(self) -> Iterator[Finding]:
        """One after the other."""
        for name, function in sorted(self._stage.file.deployed(self._stage.spec).items()):
            if function.routes:
                yield self._finding(f"{name} is well", partial(self._answers, "GET", f"/healthz/{name}", (_OK,)))
        yield self._finding("it says what it can do", self._metadata)
        yield self._finding("it names its own addresses", self._addresses)
        yield self._finding("it publishes keys, and no private one", self._keys)
        yield self._finding(
            "no token without a client's proof", lambda: self._answers("POST", "/oauth/token", (_BAD, _UNAUTHENTICATED))
        )
        yield self._finding("nothing else opens without a token", self._closed)
        yield self._finding(
            "what is not there is not served", lambda: self._answers("GET", "/admin/", (_FORBIDDEN, _ABSENT))
        )
        yield self._finding("TLS older than 1.2 is refused", self._old_tls)

    def _finding(self, name: str, measure: Measure) -> Finding:
        try:
            return Finding(name, *measure())
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
            return Finding(name, held=False, seen=f"it did not answer as it must: {type(error).__name__}")

    def _ask(self, method: str, path: str) -> urllib3.BaseHTTPResponse:
        return self._http.request(method, self._origin + path, redirect=False)

    def _answers(self, method: str, path: str, expected: tuple[int, ...]) -> tuple[bool, str]:
        status = self._ask(method, path).status
        return status in expected, f"{method} {path} answered {status}"

    def _metadata(self) -> tuple[bool, str]:
        told = self._ask("GET", "/fhir/metadata").json()
        return told["resourceType"] == "CapabilityStatement", f"a {told['resourceType']}, FHIR {told['fhirVersion']}"

    def _addresses(self) -> tuple[bool, str]:
        told = self._ask("GET", "/.well-known/smart-configuration").json()
        origins = self._stage.spec.origins
        foreign = [name for name, one in told.items() if name.endswith("_endpoint") and not one.startswith(origins)]
        return not foreign, f"{len(foreign)} addresses lead elsewhere"

    def _keys(self) -> tuple[bool, str]:
        keys = self._ask("GET", "/oauth/jwks").json()["keys"]
        private = [key for key in keys if "d" in key or key["kty"] == "oct"]
        return bool(keys) and not private, f"{len(keys)} keys, {len(private)} private"

    def _closed(self) -> tuple[bool, str]:
        tried, opened = 0, []
        for function in self._stage.file.deployed(self._stage.spec).values():
            for route in function.routes:
                if _OPEN.fullmatch(route.path):
                    continue
                tried += 1
                path = re.sub(r"\{[a-z_]+\}", "x", route.path)
                if self._ask(route.method, path).status != _UNAUTHENTICATED:
                    opened.append(f"{route.method} {route.path}")
        return not opened, f"{tried} routes tried, {len(opened)} did not refuse with 401" + (
            f", the first {opened[0]}" if opened else ""
        )

    def _old_tls(self) -> tuple[bool, str]:
        parts = urlsplit(self._origin)
        context = ssl.create_default_context(cafile=str(self._authority) if self._authority else None)
        context.set_ciphers("ALL:@SECLEVEL=0")  # else our own library would be what refuses
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # to try it is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        address = (parts.hostname or "", parts.port or 443)
        try:
            with (
                closing(socket.create_connection(address, timeout=_SECONDS)) as plain,
                context.wrap_socket(plain, server_hostname=parts.hostname) as sealed,
            ):
                return False, f"it spoke {sealed.version()}"
        except ssl.SSLError as error:
            return True, f"refused: {error.reason or 'the handshake ended'}"
        except OSError:
            return True, "refused: the connection ended"


def journey_findings(stage: Stage, service: Service) -> Iterator[Finding]:
    """The first journey, a finding for each call. The service is not killed in it: it is not ours to kill."""
    steps: list[Step] = []
    journey = Journey(service, journey_documents(stage.base), lambda: None, steps.append)
    try:
        journey.play()
    except (StepFailed, IssuerRefused, TokenNotGiven, urllib3.exceptions.HTTPError) as error:
        yield from map(_of_step, steps[:-1])
        told = str(error) if isinstance(error, StepFailed | IssuerRefused | TokenNotGiven) else type(error).__name__
        yield Finding("the journey", held=False, seen=f"it ended after {len(steps)} calls: {told}")
        return
    yield from map(_of_step, steps)


def _of_step(step: Step) -> Finding:
    return Finding(f"step {step.number}: {step.who}", held=True, seen=f"{step.request} answered {step.status}")


def add_smoke_command(
    commands: Any, common: Callable[[argparse.ArgumentParser], None], load: Callable[[argparse.Namespace], Stage]
) -> None:
    """Add `sceau smoke` to the command's parser."""
    command = commands.add_parser("smoke", help="ask a deployed stage from outside; synthetic data only")
    common(command)
    command.add_argument("--report", type=Path, help="write what was found there too, as JSON, for `sceau evidence`")
    command.add_argument("--actors", type=Path, help="play the journey with the actors of this local stage's folder")
    command.add_argument("--issuer", help="the identity provider of those actors (the local stage's own)")
    command.set_defaults(run=lambda options: _run(load(options), options))


def _run(stage: Stage, options: argparse.Namespace) -> int:
    service = _service(stage, options.actors, options.issuer)
    found: list[Finding] = []
    authority = folder_of(stage).authority if stage.spec.folder is not None else None
    http = urllib3.PoolManager(
        cert_reqs="CERT_REQUIRED", ca_certs=str(authority) if authority else None, retries=False, timeout=_SECONDS
    )

    def all_of_it() -> Iterator[Finding]:
        for origin in stage.spec.origins[:1]:
            for finding in Doors(stage, origin, http, authority).findings():
                found.append(finding)
                yield finding
        if service is not None:
            for finding in journey_findings(stage, service):
                found.append(finding)
                yield finding

    try:
        status = report(all_of_it())
        if service is None:
            print("       the journey was not played: it needs --actors and a stage of test identities")
        return status
    finally:
        http.clear()
        if options.report is not None:
            write_report(options.report, stage.name, found, "steps")


def _service(stage: Stage, actors: Path | None, issuer: str | None) -> Service | None:
    """The stage as the actors call it; None where they don't. Raises SettingsError before anything real is touched."""
    spec = stage.spec
    issuer = issuer or spec.development_issuer
    if actors is None and spec.folder is not None:
        actors = folder_of(stage).path
    if actors is None:
        return None
    if not set(spec.identifiers) <= _TEST_IDENTITIES:
        raise SettingsError(f"stage {stage.name} takes real identities: no journey is played there")
    if issuer is None:
        raise SettingsError("--issuer is missing: whoever gives those actors their identity")
    return service_of(spec.origins[0], issuer, actors)
