"""Making and retiring versions of a stage's keys, where that is done from here: key files, and tokens of PKCS #11.

The keys of clouds are made by the infrastructure code, and listed in the chalicefile: this says so and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sceau.cli.softhsm import configure, create_token
from sceau.keys import keyfile
from sceau.keys.ports import KeyName
from sceau.stage import SettingsError, Stage, pkcs11_token
from sceau_schemas.key_services import LocalKeysSpec, Pkcs11KeysSpec, services_of

METHODS = ("aes-gcm", "aes-cbc-hmac")
"""How keys on a token wrap: `sceau.keys.pkcs11_objects.METHODS`, named here so that nothing of PKCS #11 is loaded."""


def create_keys(stage: Stage, *, method: str = METHODS[0]) -> Iterator[str]:
    """Make version 1 of every key that is not there; yield a line for each service. `method` is for tokens.

    Raises SettingsError, KeyServiceError.
    """
    for called, spec in services_of(stage.spec.key_service):
        made = _created(stage, spec, method)
        where = f"{called} service: " if called else ""
        yield f"{where}{', '.join(made)} made" if made else f"{where}all keys are there"


def rotate_key(stage: Stage, key: KeyName, *, method: str = METHODS[0]) -> Iterator[str]:
    """Add a version of a key, in use from then on; yield a line for each service."""
    for called, spec in services_of(stage.spec.key_service):
        if isinstance(spec, LocalKeysSpec):
            number = keyfile.add_version(stage.base / spec.file, key, clock=_now)
        elif isinstance(spec, Pkcs11KeysSpec):
            from sceau.keys.pkcs11_objects import create_version

            number = create_version(pkcs11_token(stage, spec), spec.prefix, key, method=method)
        else:
            raise SettingsError(_ELSEWHERE[spec.adapter])
        yield f"{called + ' service: ' if called else ''}version {number} of {key} wraps from now on"


def retire_version(stage: Stage, key: KeyName, number: int, *, service: str = "") -> str:
    """Disable a version in a key file, or destroy it on a token. What it wrapped does not open any more."""
    spec = dict(services_of(stage.spec.key_service)).get(service)
    if spec is None:
        raise SettingsError("this stage's keys are in custody: name the service, --service first or second")
    if isinstance(spec, LocalKeysSpec):
        keyfile.disable_version(stage.base / spec.file, key, number)
        return f"version {number} of {key} is disabled in {spec.file.name}"
    if isinstance(spec, Pkcs11KeysSpec):
        from sceau.keys.pkcs11_objects import destroy_version

        destroy_version(pkcs11_token(stage, spec), spec.prefix, key, number)
        return f"version {number} of {key} is destroyed on the token {spec.token}"
    raise SettingsError(_ELSEWHERE[spec.adapter])


def key_files(stage: Stage) -> Iterator[Path]:
    """The files that hold a stage's keys, or lead to them, as far as they are in its folder; relative to that."""
    folder = stage.spec.folder or Path()
    for _, spec in services_of(stage.spec.key_service):
        for _, value in spec:
            if isinstance(value, Path) and value.is_relative_to(folder):
                yield value.relative_to(folder)


def settle(drafted: Stage, stage: Stage) -> None:
    """Before a drafted stage's folder moves to its place: what names that place is written for it."""
    pairs = zip(services_of(drafted.spec.key_service), services_of(stage.spec.key_service), strict=True)
    for (_, draft), (_, spec) in pairs:
        if isinstance(spec, Pkcs11KeysSpec) and spec.softhsm_configuration is not None:
            tokens = (stage.base / spec.softhsm_configuration).parent / "tokens"
            configure(drafted.base / draft.softhsm_configuration, tokens)


def _created(stage: Stage, spec: Any, method: str) -> list[str]:
    if isinstance(spec, LocalKeysSpec):
        return _created_in_file(stage.base / spec.file)
    if isinstance(spec, Pkcs11KeysSpec):
        return _created_on_token(stage, spec, method)
    raise SettingsError(_ELSEWHERE[spec.adapter])


def _created_in_file(path: Path) -> list[str]:
    if not path.exists():
        keyfile.create_key_file(path, clock=_now)
        return list(KeyName)
    there = keyfile.read(path)[0].keys
    missing = [key for key in KeyName if key not in there]
    for key in missing:
        keyfile.add_version(path, key, clock=_now)
    return list(missing)


def _created_on_token(stage: Stage, spec: Pkcs11KeysSpec, method: str) -> list[str]:
    configuration, pin = spec.softhsm_configuration, spec.pin_file
    if configuration is not None and pin is not None and not (stage.base / configuration).exists():
        create_token(stage.base / configuration, spec.token, stage.base / pin)
    from sceau.keys.pkcs11_objects import create_version, list_versions

    token = pkcs11_token(stage, spec)
    there = list_versions(token, spec.prefix)
    missing = [key for key in KeyName if key not in there]
    for key in missing:
        create_version(token, spec.prefix, key, method=method)
    return list(missing)


def _now() -> datetime:
    return datetime.now(UTC)


_ELSEWHERE = {
    "aws_kms": "keys of AWS KMS are made by the infrastructure code; list their ARNs in the chalicefile, in order",
    "scaleway": "keys of Key Manager are made by the infrastructure code; list their ids in the chalicefile, in order",
}
