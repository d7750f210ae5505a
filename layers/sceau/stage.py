"""Reads the chalicefile and the settings, and builds the adapters. Nothing else does.

Only `sceau.cli` and each function's `app.py` import this module: whatever they build gets its store and its keys
passed in, with the rights of its own role and no others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sceau.http.runtime import Runtime, utc_now
from sceau.keys.ports import KeyName, KeyService
from sceau.keys.scoped import KeyOperation, ScopedKeys
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import ScopedStore, parse_grants
from sceau_schemas.deployment import Chalicefile, ChalicefileError, Rights, StageSpec, read_chalicefile


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

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read `SCEAU_CHALICEFILE`, `SCEAU_STAGE`, `SCEAU_FOLDER`, `SCEAU_ORIGIN`, `SCEAU_ISSUER`."""
        names = {name: f"SCEAU_{name.upper()}" for name in cls.model_fields}
        given = {name: environ[variable] for name, variable in names.items() if environ.get(variable)}
        try:
            return cls.model_validate(given)
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
        return Runtime(
            function,
            self.name,
            self.spec,
            scoped_store(self.store(), rights),
            scoped_keys(self.keys(), rights),
            tuple(route for one in self.file.functions.values() for route in one.routes),
        )

    def tool(self, name: str) -> Runtime:
        """A tool of operations, with its rights only."""
        rights = self.file.tools.get(name)
        if rights is None:
            raise SettingsError(f"the chalicefile declares no tool {name!r}")
        return Runtime(name, self.name, self.spec, scoped_store(self.store(), rights), scoped_keys(self.keys(), rights))

    def store(self) -> ObjectStore:
        """The stage's store, with every right: never hand it out unscoped."""
        from sceau.objects.filesystem import FilesystemStore

        return FilesystemStore(self.base / self.spec.store.folder, utc_now)

    def keys(self) -> KeyService:
        """The stage's key service, with every right: never hand it out unscoped."""
        from sceau.keys.local import LocalKeyService

        return LocalKeyService(self.base / self.spec.key_service.file)


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
    base = settings.chalicefile.resolve().parent
    local = {"SCEAU_FOLDER": settings.folder, "SCEAU_ORIGIN": settings.origin, "SCEAU_ISSUER": settings.issuer}
    used = [name for name, value in local.items() if value]
    if used and spec.host != "local":
        raise SettingsError(f"{used[0]} is for local stages only")
    if settings.folder:
        folder = settings.folder.resolve()
        moved_store = spec.store.model_copy(update={"folder": folder / spec.store.folder.name})
        moved_keys = spec.key_service.model_copy(update={"file": folder / spec.key_service.file.name})
        spec = spec.model_copy(update={"store": moved_store, "key_service": moved_keys})
    if settings.origin:
        spec = _checked(spec, "SCEAU_ORIGIN", origins=(settings.origin,))
    if settings.issuer:
        spec = _checked(spec, "SCEAU_ISSUER", development_issuer=settings.issuer)
    return Stage(settings.stage, file, spec, base)


def runtime_of(function: str, environ: Mapping[str, str] | None = None) -> Runtime:
    """The function's runtime as the process's environment says: what each `app.py` calls at its first request."""
    return load_stage(Settings.from_environ(os.environ if environ is None else environ)).runtime(function)


def scoped_store(store: ObjectStore, rights: Rights) -> ScopedStore:
    """The store with the rights of one role."""
    return ScopedStore(store, parse_grants(rights.store))


def scoped_keys(keys: KeyService, rights: Rights) -> ScopedKeys:
    """The key service with the rights of one role."""
    grants = {KeyName(key): frozenset(map(KeyOperation, operations)) for key, operations in rights.keys.items()}
    return ScopedKeys(keys, grants)


def _checked(spec: StageSpec, setting: str, **changes: object) -> StageSpec:
    """The same stage with some values replaced, checked like the chalicefile. `setting` is where they come from."""
    try:
        return StageSpec.model_validate({**spec.model_dump(), **changes})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{setting}: {message}") from None
