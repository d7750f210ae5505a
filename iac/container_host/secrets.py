"""The secrets of a stage on servers of its own: files of one folder beside the compose file, looked at before a start.

Each function has its own credentials and nobody else's: that is looked at, too. No secret is in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from sceau_schemas.deployment import FunctionSpec, StageSpec
from sceau_schemas.key_services import Pkcs11KeysSpec, ScalewayKeysSpec, services_of
from sceau_schemas.stores import S3StoreSpec

PAGE: Final = "docs/deploy/container-host.md"
RUN_SECRETS: Final = Path("/run/secrets")
"""Where a compose file's secrets are, in a container."""

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{32,256}")
_ACCESS: Final = "AWS_ACCESS_KEY_ID"
_STORE: Final = (_ACCESS, "AWS_SECRET_ACCESS_KEY")
_OWN_FILE: Final = "SCEAU_STAGE__STORE__CREDENTIALS_FILE"
_KEY_MANAGER: Final = "SCEAU_SCALEWAY_SECRET_KEY"
_MOST_SECRETS: Final = 2


@dataclass(frozen=True, slots=True)
class SecretFile:
    """`wrong`: what is the matter with its bytes, or None; `made`: how it comes to be."""

    name: str
    what: str
    made: str
    wrong: Callable[[bytes], str | None]


def pins(spec: StageSpec) -> tuple[Path, ...]:
    """Where containers find the PINs of the stage's tokens, as far as a compose file can put them there."""
    services = [one for _, one in services_of(spec.key_service) if isinstance(one, Pkcs11KeysSpec)]
    return tuple(one.pin_file for one in services if one.pin_file is not None and one.pin_file.parent == RUN_SECRETS)


def pin_name(function: str, pin: Path) -> str:
    """The file with a function's PIN."""
    return f"{function}.{pin.name}"


def files(functions: Mapping[str, FunctionSpec], spec: StageSpec) -> Iterator[SecretFile]:
    """Every file of the folder."""
    yield SecretFile("front_secret", "what the front proves itself by", "`openssl rand -hex 32`", _front_secret)
    yield SecretFile(
        "front.env", "the front's own copy of it", "SCEAU_FRONT_SECRET=, the first line of front_secret", _front_env
    )
    yield SecretFile("tls_certificate.pem", "the front's certificate", "your authority", _certificate)
    yield SecretFile("tls_key.pem", "the key of the front's certificate", "your authority", _key)
    for name in functions:
        what, made = f"the credentials of {name}", "you, from the table of rights"
        yield SecretFile(f"{name}.env", what, made, lambda data: _environment(data, spec))
        for pin in pins(spec):
            yield SecretFile(pin_name(name, pin), f"the PIN of {name}", "the HSM's administrator", _pin)


def missing(stage: str, functions: Mapping[str, FunctionSpec], spec: StageSpec, folder: Path) -> Iterator[str]:
    """A sentence for each file that is not there, or not what it must be."""
    held: dict[str, bytes] = {}
    for one in files(functions, spec):
        path = folder / one.name
        where = f"{one.made} makes {path.name} in the folder of secrets ({PAGE})"
        try:
            mode, data = path.stat().st_mode, path.read_bytes()
        except OSError:
            yield f"stage {stage}: {one.what} is missing: {where}"
            continue
        wrong = "can be read by others than its owner" if mode & 0o077 else one.wrong(data)
        if wrong:
            yield f"stage {stage}: {one.what} {wrong}: {where}"
        else:
            held[one.name] = data
    yield from _between(stage, functions, held)


def _between(stage: str, functions: Mapping[str, FunctionSpec], held: Mapping[str, bytes]) -> Iterator[str]:
    """What is wrong only of two files together."""
    if {"front_secret", "front.env"} <= set(held):
        sent = _settings(held["front.env"]).get("SCEAU_FRONT_SECRET", "")
        if sent.encode() not in held["front_secret"].split():
            yield f"stage {stage}: front.env and front_secret hold different secrets ({PAGE})"
    if {"tls_certificate.pem", "tls_key.pem"} <= set(held) and not _is_pair(
        held["tls_certificate.pem"], held["tls_key.pem"]
    ):
        yield f"stage {stage}: tls_key.pem is not the key of tls_certificate.pem ({PAGE})"
    seen: dict[str, str] = {}
    for name in functions:
        key = _settings(held.get(f"{name}.env", b"")).get(_ACCESS)
        if key and key in seen:
            yield f"stage {stage}: {seen[key]} and {name} have the same credentials: each has its own ({PAGE})"
        elif key:
            seen[key] = name


def _front_secret(data: bytes) -> str | None:
    values = data.split()
    if values and len(values) <= _MOST_SECRETS and all(map(_TOKEN.fullmatch, values)):
        return None
    return "is not one secret, or two, of 32 to 256 characters"


def _front_env(data: bytes) -> str | None:
    return None if _settings(data).get("SCEAU_FRONT_SECRET") else "does not set SCEAU_FRONT_SECRET"


def _certificate(data: bytes) -> str | None:
    try:
        return None if load_pem_x509_certificates(data) else "is no certificate"
    except ValueError:
        return "is no certificate"


def _key(data: bytes) -> str | None:
    try:
        load_pem_private_key(data, None)
    except (ValueError, TypeError):
        return "is no PEM key without a password"
    return None


def _pin(data: bytes) -> str | None:
    return None if data.strip() else "is empty"


def _environment(data: bytes, spec: StageSpec) -> str | None:
    given = _settings(data)
    own_file = isinstance(spec.store, S3StoreSpec) and spec.store.credentials_file is not None
    wanted = [] if own_file or given.get(_OWN_FILE) else list(_STORE)
    for _, one in services_of(spec.key_service):
        if isinstance(one, ScalewayKeysSpec) and one.secret_key_file is None:
            wanted.append(_KEY_MANAGER)
    absent = [name for name in wanted if not given.get(name)]
    return f"do not set {absent[0]}" if absent else None


def _settings(data: bytes) -> dict[str, str]:
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    return dict(_pair(line) for line in lines if line and not line.startswith("#"))


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _is_pair(certificate: bytes, key: bytes) -> bool:
    public = [
        load_pem_x509_certificates(certificate)[0].public_key(),
        load_pem_private_key(key, None).public_key(),
    ]
    first, second = (one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in public)
    return first == second
