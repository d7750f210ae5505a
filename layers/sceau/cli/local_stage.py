"""The `local` stage on disk: made once, whole or not at all.

Everything is made in a folder beside the real one, which is then renamed: a stage is never half made by us. A folder
that is incomplete all the same (somebody deleted a file) is said to be, and never repaired by guessing.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError

from sceau.cli.certificates import create_loopback_certificates
from sceau.cli.devissuer import create_issuer_file
from sceau.cli.files import write_private
from sceau.cli.key_making import create_keys, key_files, settle
from sceau.cli.people import CLIENTS, DevelopmentClient
from sceau.cli.s3_server import Credentials
from sceau.envelope.messages import Envelope
from sceau.identity.client import SigningKey, generate_client_key
from sceau.identity.clients import ClientStore
from sceau.identity.issuers import IssuerStore
from sceau.objects.filesystem import FilesystemStore
from sceau.stage import SettingsError, Stage, moved
from sceau_schemas.configuration import Client, TrustedIssuer
from sceau_schemas.stores import FilesystemStoreSpec

PARTS = ("tls/ca.pem", "tls/server.pem", "tls/server.key", "clients", "issuer.json")
_CREDENTIALS = "s3/credentials"


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """Where the parts of a local stage are.

    `store`: the part that holds its objects, or the way to them. `keys`: those that hold its keys.
    """

    path: Path
    store: str = "store"
    keys: tuple[str, ...] = ("keys.json",)

    @property
    def authority(self) -> Path:
        """Certificate of the authority that signs the stage's server certificate."""
        return self.path / "tls" / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.path / "tls" / "server.pem"

    @property
    def certificate_key(self) -> Path:
        """The server's key, 0600."""
        return self.path / "tls" / "server.key"

    @property
    def issuer(self) -> Path:
        """The development issuer's keys, 0600."""
        return self.path / "issuer.json"

    def client_key(self, client_id: str) -> SigningKey:
        """A development client's key pair. Raises SettingsError when its file can't be read as one."""
        path = self.path / "clients" / f"{client_id}.json"
        try:
            return SigningKey.from_jwk(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, JoseError):
            raise SettingsError(f"{path} can't be read as a client's key; delete the folder to begin anew") from None

    def missing(self) -> list[str]:
        """The parts that are not there."""
        return [part for part in (self.store, *PARTS, *self.keys) if not (self.path / part).exists()]


def folder_of(stage: Stage) -> LocalFolder:
    """Where a local stage's parts are. Raises SettingsError for any other stage."""
    if stage.spec.folder is None:
        raise SettingsError(f"stage {stage.name} is not a local stage")
    on_disk = isinstance(stage.spec.store, FilesystemStoreSpec)
    store = "store" if on_disk else _CREDENTIALS
    return LocalFolder(stage.base / stage.spec.folder, store, tuple(map(str, key_files(stage))))


def ensure_local_stage(stage: Stage) -> tuple[LocalFolder, bool]:
    """Make the stage's folder if it is absent; return it, and whether it was made now.

    Raises SettingsError with one sentence when the folder is there but incomplete, or can't be made.
    """
    folder = folder_of(stage)
    if folder.path.exists():
        missing = folder.missing()
        if missing:
            raise SettingsError(
                f"the stage in {folder.path} is incomplete; missing: {', '.join(missing)}; "
                "put it back from a backup, or delete the folder to begin anew"
            )
        return folder, False
    try:
        _make(stage, folder.path)
    except OSError as error:
        raise SettingsError(f"the stage can't be made in {folder.path}: {error.strerror or error}") from None
    return folder, True


def _make(stage: Stage, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        for name in ("tls", "clients"):
            (draft / name).mkdir(mode=0o700)
        drafted = Stage(stage.name, stage.file, moved(stage.spec, draft), stage.base)
        if isinstance(drafted.spec.store, FilesystemStoreSpec):
            FilesystemStore.create_root(drafted.spec.store.folder)
        else:
            (draft / "s3").mkdir(mode=0o700)
            Credentials.make().write(draft / _CREDENTIALS)
        for _ in create_keys(drafted):
            pass
        create_loopback_certificates(draft / "tls", datetime.now(UTC))
        create_issuer_file(draft / "issuer.json")
        if isinstance(drafted.spec.store, FilesystemStoreSpec):
            register_clients(drafted, LocalFolder(draft))  # else once its server runs
        settle(drafted, stage)
        os.rename(draft, path)  # noqa: PTH104 - Path.rename would replace an empty folder likewise; this says what it does
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def register_clients(stage: Stage, folder: LocalFolder) -> None:
    """Register the development clients as this version of the code has them, with the operations tool's rights.

    What is registered so already is left as it is; a client that an older version did not know gets its key now.
    """
    tool = stage.tool("operations")
    kept = ClientStore(tool.store, Envelope(tool.keys))
    for client in CLIENTS:
        path = folder.path / "clients" / f"{client.client_id}.json"
        if not path.exists():
            private, _ = generate_client_key()
            write_private(path, json.dumps(private).encode())
        registration = _registration(client, folder.client_key(client.client_id).registered_jwk())
        if kept.get(client.client_id) != registration:
            kept.put(registration)


def trust_issuers(stage: Stage, issuers: Sequence[TrustedIssuer]) -> None:
    """Trust the development issuer where it runs now; what is registered already is left as it is."""
    tool = stage.tool("operations")
    kept = IssuerStore(tool.store, Envelope(tool.keys))
    for issuer in issuers:
        if kept.get(issuer.name) != issuer:
            kept.put(issuer)


def _registration(client: DevelopmentClient, public: dict[str, Any]) -> Client:
    return Client(
        client_id=client.client_id,
        name=client.name,
        kind=client.kind,
        keys=(public,),
        structures=client.structures,
        scopes=client.scopes,
        grants=(client.grant,),
        azp=client.azp,
    )
