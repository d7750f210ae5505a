"""Reads the chalicefile and the settings, and builds the adapters. Nothing else does.

Only `sceau.cli` and each function's `app.py` import this module: whatever they build gets its store and its keys
passed in, with the rights of its own role and no others.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sceau.http.runtime import THREADS, Runtime, utc_now
from sceau.keys.ports import KeyName, KeyService
from sceau.keys.scoped import KeyOperation, NoKeys, ScopedKeys
from sceau.objects.findings import PROBE, Finding
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import ScopedStore, parse_grants
from sceau_schemas import soil
from sceau_schemas.deployment import Chalicefile, ChalicefileError, Rights, StageSpec, read_chalicefile
from sceau_schemas.key_services import AwsKmsKeysSpec, CustodyKeysSpec, Pkcs11KeysSpec, ScalewayKeysSpec, unlisted
from sceau_schemas.overlay import keys_variable, overlaid, settings_in
from sceau_schemas.stores import FilesystemBackupSpec, S3Place, S3StoreSpec

if TYPE_CHECKING:
    from sceau.keys.pkcs11_token import Token

ModelT = TypeVar("ModelT", bound=BaseModel)
KeyIdT = TypeVar("KeyIdT")


class SettingsError(Exception):
    """The process can't start. The message is one sentence for the person who starts it."""


class Settings(BaseModel):
    """The environment of a process. Unset optional values leave what the chalicefile says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    chalicefile: Path
    stage: str
    folder: Path | None = None
    """Local stages only: the folder that holds store, keys and certificates, in place of the chalicefile's paths."""
    origin: str | None = None
    """Local stages only: the origin to serve, in place of the chalicefile's."""
    issuer: str | None = None
    """Local stages only: the development issuer's origin, in place of the chalicefile's."""
    store_endpoint: str | None = None
    """Local stages on an S3 server only: its endpoint, in place of the chalicefile's."""
    values: dict[str, str] = Field(default={}, exclude=True)
    """Keys of the stage from `SCEAU_STAGE__…`, in place of the chalicefile's (`sceau_schemas.overlay`)."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read `SCEAU_CHALICEFILE`, `SCEAU_STAGE`, `SCEAU_FOLDER`, and the others by the same rule."""
        names = {name: f"SCEAU_{name.upper()}" for name in cls.model_fields if name != "values"}
        given = {name: environ[variable] for name, variable in names.items() if environ.get(variable)}
        try:
            return cls.model_validate({**given, "values": settings_in(environ)})
        except ValidationError as error:
            missing = names[str(error.errors()[0]["loc"][0])]
            raise SettingsError(f"{missing} is not set (or not usable): it is needed to start") from None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as read: the whole chalicefile, the stage's own part, and where relative paths begin."""

    name: str
    file: Chalicefile
    spec: StageSpec
    base: Path

    def runtime(self, function: str) -> Runtime:
        """A function on this stage, with its rights only. Raises SettingsError for a function nobody declared."""
        rights = self.file.functions.get(function)
        if rights is None:
            raise SettingsError(f"the chalicefile declares no function {function!r}")
        if rights.on_demand and function not in self.spec.switched_on:
            raise SettingsError(self._is_off(function))
        return Runtime(
            function,
            self.name,
            self.spec,
            scoped_store(self.store(rights), rights),
            scoped_keys(self.keys(), rights),
            tuple(route for one in self.file.functions.values() for route in one.routes),
            # It writes probes: a role without that right gets nothing to measure with.
            properties=(lambda: self.properties(rights)) if PROBE in rights.store else tuple,
        )

    def tool(self, name: str) -> Runtime:
        """A tool of operations, with its rights only. One without a right on keys needs no way to them."""
        rights = self.file.tools.get(name)
        if rights is None:
            raise SettingsError(f"the chalicefile declares no tool {name!r}")
        if rights.on_demand and name not in self.spec.switched_on:
            raise SettingsError(self._is_off(name))
        keys: KeyService = scoped_keys(self.keys(), rights) if rights.keys else NoKeys()
        return Runtime(name, self.name, self.spec, scoped_store(self.store(rights), rights), keys)

    def _is_off(self, role: str) -> str:
        return (
            f"{role} is off on stage {self.name}: switch it on, until a date, in "
            f"[stages.{self.name}.switched_on] of the chalicefile"
        )

    def store(self, rights: Rights | None = None) -> ObjectStore:
        """The stage's store, with every right: never hand it out unscoped.

        `rights`: of the role that will have it, so that only what it can reach is asked where it is. Raises
        SettingsError, ObjectStoreUnavailable.
        """
        patterns = ("",) if rights is None else tuple(rights.store)
        return _STORES[self.spec.store.adapter](self, self.spec.store, patterns)

    def backup(self, folder: Path | None = None, *, make: bool = False) -> ObjectStore:
        """The second store: the one in `folder`, or the stage's own. `make`: a folder that is not there is made.

        Raises SettingsError, ObjectStoreUnavailable.
        """
        if folder is not None:
            spec: Any = FilesystemBackupSpec(adapter="filesystem", folder=folder.resolve())
        elif self.spec.backup is None:
            raise SettingsError(f"stage {self.name} declares no backup in the chalicefile: name a folder")
        else:
            spec = self.spec.backup
        if isinstance(spec, FilesystemBackupSpec) and make:
            from sceau.objects.filesystem import create_root

            create_root(self.base / spec.folder)
        return _STORES[spec.adapter](self, spec, ("",))

    def keys(self) -> KeyService:
        """The stage's key service, with every right: never hand it out unscoped."""
        return _KEY_SERVICES[self.spec.key_service.adapter](self, self.spec.key_service)

    def properties(self, rights: Rights) -> Iterator[Finding]:
        """What Sceau relies on, measured one by one on the live stage: on objects below `probe/`, with the probe key,
        and of all else on metadata only.

        `rights`: of who measures, the keys that it may ask about. Raises ObjectStoreUnavailable when not even that can
        be begun.
        """
        yield from _store_properties(self, f"{PROBE}{secrets.token_hex(8)}/")
        yield from _key_properties(self, rights)


# One line for each adapter, imported when a stage has it: a function that starts loads no other.


def _filesystem(stage: Stage, spec: Any, _: tuple[str, ...]) -> ObjectStore:
    from sceau.objects.filesystem import FilesystemStore

    return FilesystemStore(stage.base / spec.folder, utc_now)


def _s3(stage: Stage, spec: S3Place, patterns: tuple[str, ...]) -> ObjectStore:
    from sceau.objects.s3.calls import Calls
    from sceau.objects.s3.client import Connection, make_client
    from sceau.objects.s3.store import S3Store

    client = make_client(Connection(spec, stage.base, THREADS))
    store = S3Store(Calls(client, random_fraction=secrets.SystemRandom().random), spec.buckets)
    for bucket, answer in store.locations(sorted(spec.buckets_of(patterns))).items():
        if answer not in soil.answers_of_store(spec.host_name, spec.region):
            raise SettingsError(
                f"stage {stage.name}: bucket {bucket} answers that it is in {answer}, and not in {spec.region}; "
                f"French soil is {soil.the_list()}"
            )
    return store


def _store_properties(stage: Stage, home: str) -> Iterator[Finding]:
    spec = stage.spec.store
    if not isinstance(spec, S3StoreSpec):
        from sceau.objects.checks import check_store, clear, sweep_probes

        store = stage.store()
        sweep_probes(store, utc_now)
        yield from check_store(store, home, utc_now)
        clear(store, home)
        return
    from sceau.objects.s3.checks import Buckets, check_buckets
    from sceau.objects.s3.client import Connection

    connection = Connection(spec, stage.base, THREADS)
    yield from check_buckets(
        Buckets(connection, stage.spec.retention_days, home, utc_now, secrets.SystemRandom().random)
    )


def _local_keys(stage: Stage, spec: Any) -> KeyService:
    from sceau.keys.local import LocalKeyService

    return LocalKeyService(stage.base / spec.file)


_STORES: Mapping[str, Callable[[Stage, Any, tuple[str, ...]], ObjectStore]] = {"filesystem": _filesystem, "s3": _s3}


def _pkcs11(stage: Stage, spec: Pkcs11KeysSpec) -> KeyService:
    from sceau.keys.pkcs11 import Pkcs11KeyService

    return Pkcs11KeyService(pkcs11_token(stage, spec), spec.prefix)


def pkcs11_token(stage: Stage, spec: Pkcs11KeysSpec) -> Token:
    """The token of a stage's keys, not yet asked. Raises KeyServiceNotUsable."""
    from sceau.keys.pkcs11_library import find_module, shared_library
    from sceau.keys.pkcs11_token import PinSource, shared_token

    module = find_module(stage.base, spec.module)
    if spec.softhsm_configuration is not None:
        shared_library(module, stage.base / spec.softhsm_configuration)
    pin_file = None if spec.pin_file is None else stage.base / spec.pin_file
    return shared_token(module, spec.token, PinSource(pin_file, spec.pin_descriptor))


def _aws_kms(stage: Stage, spec: AwsKmsKeysSpec) -> KeyService:
    from sceau.keys.aws_kms import AwsKmsKeyService, connect

    keys = _listed(stage, spec.keys)
    return AwsKmsKeyService(connect(spec.region), keys)


def _scaleway(stage: Stage, spec: ScalewayKeysSpec) -> KeyService:
    from sceau.keys.scaleway import ScalewayKeyService
    from sceau.keys.scaleway_http import KeyManager, pool, read_secret_key

    keys = _listed(stage, spec.keys)
    file = None if spec.secret_key_file is None else stage.base / spec.secret_key_file
    manager = KeyManager(pool(), spec.region, read_secret_key(file, os.environ))
    return ScalewayKeyService(manager, keys)


def _listed(stage: Stage, keys: Mapping[Any, tuple[KeyIdT, ...]] | None) -> dict[KeyName, tuple[KeyIdT, ...]]:
    if keys is None:
        (called,) = unlisted(stage.spec.key_service)  # of the two services of custody, one at most
        raise SettingsError(
            f"stage {stage.name}: its infrastructure makes its keys, and nobody tells which they are: "
            f"{keys_variable(called)} is not set"
        )
    return {KeyName(name): ids for name, ids in keys.items()}


def _custody(stage: Stage, spec: CustodyKeysSpec) -> KeyService:
    from sceau.keys.custody import CustodyKeyService

    first, second = (_KEY_SERVICES[one.adapter](stage, one) for one in (spec.first, spec.second))
    return CustodyKeyService(first, second, frozenset(map(KeyName, spec.purposes)), single=spec.single)


_KEY_SERVICES: Mapping[str, Callable[[Stage, Any], KeyService]] = {
    "local": _local_keys,
    "pkcs11": _pkcs11,
    "aws_kms": _aws_kms,
    "scaleway": _scaleway,
    "custody": _custody,
}


def _key_properties(stage: Stage, rights: Rights) -> Iterator[Finding]:
    from sceau.keys import checks

    spec, grants = stage.spec.key_service, key_grants(rights)

    def of(one: Any, only: frozenset[KeyName], called: str = "") -> Iterator[Finding]:
        granted = {key: operations for key, operations in grants.items() if key in only}
        make = partial(_KEY_SERVICES[one.adapter], stage, one)
        yield from checks.check_service(one.adapter, make, granted, utc_now, called)

    if not isinstance(spec, CustodyKeysSpec):
        yield from of(spec, frozenset(KeyName))
        return
    both = frozenset(map(KeyName, spec.purposes)) | {KeyName.PROBE}
    yield from of(spec.first, frozenset(KeyName), "first service: ")
    yield from of(spec.second, both, "second service: ")
    # And both together, with the probe key, whatever the stage's purposes are.
    probing = spec.model_copy(update={"purposes": (KeyName.PROBE.value,), "single": False})
    yield from checks.check_probe(lambda: _custody(stage, probing), grants, "custody: ")


def load_stage(settings: Settings) -> Stage:
    """Read the chalicefile and pick the stage. Raises SettingsError with one sentence."""
    try:
        file = read_chalicefile(settings.chalicefile)
    except ChalicefileError as error:
        raise SettingsError(str(error)) from None
    spec = file.stages.get(settings.stage)
    if spec is None:
        known = ", ".join(sorted(file.stages))
        raise SettingsError(f"the chalicefile declares no stage {settings.stage!r}; it has {known}")
    try:
        spec = overlaid(spec, settings.values)
    except ChalicefileError as error:
        raise SettingsError(str(error)) from None
    base = settings.chalicefile.resolve().parent
    local = {"SCEAU_FOLDER": settings.folder, "SCEAU_ORIGIN": settings.origin, "SCEAU_ISSUER": settings.issuer}
    local["SCEAU_STORE_ENDPOINT"] = settings.store_endpoint
    used = [name for name, value in local.items() if value]
    if used and spec.host != "local":
        raise SettingsError(f"{used[0]} is for local stages only")
    if settings.folder:
        spec = moved(spec, settings.folder.resolve())
    if settings.origin:
        spec = _checked(spec, "SCEAU_ORIGIN", origins=(settings.origin,))
    if settings.issuer:
        spec = _checked(spec, "SCEAU_ISSUER", development_issuer=settings.issuer)
    if settings.store_endpoint:
        if not isinstance(spec.store, S3StoreSpec):
            raise SettingsError(f"SCEAU_STORE_ENDPOINT: stage {settings.stage} has no S3 server")
        store = {**spec.store.model_dump(), "endpoint": settings.store_endpoint}
        spec = _checked(spec, "SCEAU_STORE_ENDPOINT", store=store)
    return Stage(settings.stage, file, spec, base)


def moved(spec: StageSpec, folder: Path) -> StageSpec:
    """A local stage with everything that is in its folder in `folder` instead."""
    if spec.folder is None:
        raise SettingsError("only a local stage has a folder")
    store, keys = (_moved_paths(part, spec.folder, folder) for part in (spec.store, spec.key_service))
    backup = _moved_paths(spec.backup, spec.folder, folder) if spec.backup else None
    return spec.model_copy(update={"folder": folder, "store": store, "backup": backup, "key_service": keys})


def _moved_paths(part: ModelT, before: Path, after: Path) -> ModelT:
    changed: dict[str, object] = {}
    for name, value in part:
        if isinstance(value, Path) and value.is_relative_to(before):
            changed[name] = after / value.relative_to(before)
        elif isinstance(value, BaseModel):
            changed[name] = _moved_paths(value, before, after)
    return part.model_copy(update=changed)


def runtime_of(function: str, environ: Mapping[str, str] | None = None) -> Runtime:
    """The function's runtime as the process's environment says: what each `app.py` calls at its first request."""
    return load_stage(Settings.from_environ(os.environ if environ is None else environ)).runtime(function)


def scoped_store(store: ObjectStore, rights: Rights) -> ScopedStore:
    """The store with the rights of one role."""
    return ScopedStore(store, parse_grants(rights.store))


def scoped_keys(keys: KeyService, rights: Rights) -> ScopedKeys:
    """The key service with the rights of one role."""
    return ScopedKeys(keys, key_grants(rights))


def key_grants(rights: Rights) -> dict[KeyName, frozenset[KeyOperation]]:
    """The operations that a role was granted on each key."""
    return {KeyName(key): frozenset(map(KeyOperation, operations)) for key, operations in rights.keys.items()}


def _checked(spec: StageSpec, setting: str, **changes: object) -> StageSpec:
    """The same stage with some values replaced, checked like the chalicefile. `setting` is where they come from."""
    try:
        return StageSpec.model_validate({**spec.model_dump(), **changes})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{setting}: {message}") from None
