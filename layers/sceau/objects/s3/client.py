"""boto3's low-level client as Sceau wants it: one place that it talks to, bodies signed, no retries of its own."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.loaders
import botocore.session
from botocore import UNSIGNED
from botocore.client import Config
from botocore.exceptions import BotoCoreError

from sceau.objects.errors import ObjectStoreUnavailable
from sceau_schemas.stores import S3Place

CONNECT_SECONDS = 2.0
"""For a connection with TLS. The last attempt may pass the caller's deadline by so much."""

_AWS_DOMAIN = ".amazonaws.com"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a store: the stage's declaration, with its relative paths resolved.

    `connections`: kept open and used again; as many as there are threads that ask.
    """

    spec: S3Place
    base: Path
    connections: int


class WrongAddress(Exception):
    """A request was about to leave for another host than the store's. It did not."""


def make_client(connection: Connection, *, anonymous: bool = False) -> Any:
    """A client, safe under threads. It costs a tenth of a second, and asks nobody yet. `anonymous`: it signs nothing.

    Raises ObjectStoreUnavailable when a file that the settings name can't be used.
    """
    spec, base = connection.spec, connection.base
    core = botocore.session.Session()
    core.register_component("data_loader", _descriptions())
    core.set_config_variable("region", spec.region)
    if spec.credentials_file is not None:
        _use_file_only(core, base / spec.credentials_file)
    elif not spec.host_name.endswith(_AWS_DOMAIN):
        # Not on AWS: there is no instance to ask for a role, and asking its address costs seconds.
        core.get_component("credential_provider").remove("iam-role")
    verify: bool | str = True
    if spec.ca_file is not None:
        authority = base / spec.ca_file
        if not authority.is_file():
            raise _unusable(f"the certificate authority's file {authority.name} of the store is missing")
        verify = str(authority)
    config = Config(
        signature_version=UNSIGNED if anonymous else "s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=CONNECT_SECONDS,  # each call sets its own
        max_pool_connections=connection.connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # The body's SHA-256 is in the signature; no trailing checksums, which older servers refuse and nothing signs.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": spec.addressing, "payload_signing_enabled": True, "use_accelerate_endpoint": False},
        ignore_configured_endpoint_urls=True,
    )
    try:
        session = boto3.session.Session(botocore_session=core, region_name=spec.region)
        client = session.client("s3", endpoint_url=spec.origin, verify=verify, config=config)
    except (BotoCoreError, ValueError, OSError) as error:
        raise _unusable(f"the store's client can't be made ({type(error).__name__})") from error
    client.meta.events.register_first("before-send.s3", _Guard(spec).check)
    client.meta.events.register_last("before-call.s3", _stay)
    return client


@functools.cache
def _descriptions() -> Any:
    """botocore's descriptions of S3, read once: a process that serves several functions would keep 12 MB for each."""
    return botocore.loaders.create_loader()


class _Guard:
    """Whatever an answer, an environment variable or a file says: requests go to the declared host or nowhere."""

    def __init__(self, spec: S3Place) -> None:
        parts = urlsplit(spec.origin)
        self._port = parts.port or 443
        names = {spec.host_name}
        if spec.addressing == "virtual":
            names |= {f"{bucket}.{spec.host_name}" for bucket in spec.buckets.values()}
        self._names = frozenset(names)

    def check(self, request: Any, **_: object) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "https" or parts.hostname not in self._names or (parts.port or 443) != self._port:
            raise WrongAddress


def _stay(context: dict[str, Any], **_: object) -> None:
    """Follow no bucket to another region: botocore would, once for each call. This says that it has."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _use_file_only(core: Any, file: Path) -> None:
    """Take credentials from this file and nowhere else: a variable of the environment must not win over it."""
    if not file.is_file():
        raise _unusable(f"the credentials file {file.name} of the store is missing")
    core.set_config_variable("credentials_file", str(file))
    core.set_config_variable("profile", "default")
    resolver = core.get_component("credential_provider")
    for provider in [one.METHOD for one in resolver.providers]:
        if provider != "shared-credentials-file":
            resolver.remove(provider)


def _unusable(sentence: str) -> ObjectStoreUnavailable:
    return ObjectStoreUnavailable(sentence, maybe_written=False, reason="settings")
