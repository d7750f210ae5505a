"""The S3 server of a local stage: made once, started with the stage, stopped with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sceau.cli.files import write_public
from sceau.cli.local_stage import LocalFolder
from sceau.cli.process import answers
from sceau.cli.s3_server import Binary, Credentials, S3Server, find_server
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.s3.buckets import make_buckets
from sceau.objects.s3.client import Connection, make_client
from sceau.stage import SettingsError, Stage
from sceau_schemas import soil
from sceau_schemas.stores import LOCKED_PREFIXES, S3StoreSpec

_EVENTS = "journal/events/"


@contextmanager
def s3_of(stage: Stage, folder: LocalFolder) -> Iterator[S3Server | None]:
    """Serve the stage's buckets during the block, when they are this machine's own.

    None when the stage has none here, or when they are served already: by a container, or by `make run` next door.

    Raises SettingsError or ObjectStoreUnavailable, with one sentence.
    """
    spec = stage.spec.store
    if not isinstance(spec, S3StoreSpec) or not soil.is_loopback(spec.host_name) or spec.credentials_file is None:
        yield None
        return
    if answers(spec.origin):
        _use(stage, spec)
        yield None
        return
    credentials = Credentials.read(stage.base / spec.credentials_file)
    data, port = folder.path.resolve() / "s3", urlsplit(spec.origin).port or 443
    binary = _binary(stage.base, data / "server")
    server = S3Server(binary, data, port, folder.certificate, folder.certificate_key, credentials, spec.region)
    server.start()
    try:
        _make(stage, spec)
        yield server
    finally:
        server.stop()


def _use(stage: Stage, spec: S3StoreSpec) -> None:
    """Take what answers on the port for the stage's server, if it has the certificate and knows the credentials."""
    try:
        _make(stage, spec)
    except ObjectStoreUnavailable:
        raise SettingsError(
            f"port {urlsplit(spec.origin).port} is busy, and what answers there is not this stage's S3 server "
            "(choose another with PORT=)"
        ) from None


def _binary(base: Path, kept: Path) -> Binary:
    """The server that made the data, or the first one that is there: neither reads the other's."""
    made_by = (kept.read_text("utf-8").strip(),) if kept.exists() else None
    binary = find_server(base) if made_by is None else find_server(base, made_by)
    if binary is None:
        wanted = made_by[0] if made_by else "versitygw or minio"
        raise SettingsError(
            f"there is no S3 server here ({wanted}): `make s3-server` builds versitygw where Go is there; "
            "iac/local/s3.compose.yaml has one for a container engine"
        )
    if made_by is None:
        write_public(kept, f"{binary.kind}\n".encode())
    return binary


def _make(stage: Stage, spec: S3StoreSpec) -> None:
    client = make_client(Connection(spec, stage.base, 1))
    events = spec.bucket_of(_EVENTS)
    locked = {spec.bucket_of(prefix) for prefix in LOCKED_PREFIXES} - {events}
    make_buckets(client, spec.region, {*spec.buckets.values()} - locked - {events}, locked)
    make_buckets(client, spec.region, (), [events], days=stage.spec.retention_days)
