"""The local key file: its form, how it is checked when read, how it is written. See `docs/formats/local-key-file.md`.

Every writing is whole or absent: a temporary file in the same folder, synced, then linked or renamed into place.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from sceau.keys.errors import KeyServiceError, UnknownKey
from sceau.keys.ports import DATA_KEY_BYTES, SIGNING_KEYS, KeyName

FORMAT: Literal["sceau-local-keys/1"] = "sceau-local-keys/1"
_LARGEST_FILE = 4 * 1024 * 1024
_LARGEST_NUMBER = 0xFFFFFFFF

type_of_key = {key: "p-256" if key in SIGNING_KEYS else "aes-256" for key in KeyName}


class KeyFileRefused(KeyServiceError):
    """The key file can't be used or changed; the message is a sentence for the operator."""


class _Part(BaseModel):
    # Inputs are keys: pydantic must not quote them in its errors.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class StoredVersion(_Part):
    """One version of a key. `material` is base64: 32 bytes of AES key, or a P-256 private key in PKCS#8 DER."""

    number: PositiveInt = Field(le=_LARGEST_NUMBER)
    created: AwareDatetime
    enabled: bool
    material: str = Field(repr=False)


class StoredKey(_Part):
    """A key and its versions, oldest first; the last one is in use."""

    type: Literal["aes-256", "p-256"]
    versions: tuple[StoredVersion, ...] = Field(min_length=1)


class KeyFile(_Part):
    """The whole file."""

    format: Literal["sceau-local-keys/1"]
    keys: dict[KeyName, StoredKey]


class _Format(BaseModel):
    format: object = None


Stamp = tuple[int, int, int, int, int]


def stamp(status: os.stat_result) -> Stamp:
    """What changes whenever the file is replaced, rewritten, or its rights change."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read(path: Path) -> tuple[KeyFile, Stamp]:
    """Read and check the file. Raises KeyFileRefused with a sentence that says what is wrong and quotes no key."""
    content, found = _read_guarded(path)
    try:
        return _ordered(path, KeyFile.model_validate_json(content)), found
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    try:
        version = _Format.model_validate_json(content).format
    except ValidationError:
        raise KeyFileRefused(f"the key file {path} is not a JSON object") from None
    if version != FORMAT:
        raise KeyFileRefused(f"the key file {path} is not of the format {FORMAT}, the only one known here")
    place = ".".join(str(step) for step in first["loc"])
    raise KeyFileRefused(f"the key file {path} is malformed at {place}: {first['msg']}")


def _read_guarded(path: Path) -> tuple[bytes, Stamp]:
    """The file's bytes, if it is a plain file of ours that nobody else may read."""
    try:
        # Not through a link (a replacement would replace the link), and not waiting on a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileRefused(f"the key file {path} cannot be opened: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileRefused(f"the key file {path} is not a regular file")
        if status.st_uid != os.geteuid():
            raise KeyFileRefused(f"the key file {path} belongs to another user")
        if status.st_mode & 0o077:
            raise KeyFileRefused(f"the key file {path} is open to its group or to others: chmod 600 it")
        if status.st_size > _LARGEST_FILE:
            raise KeyFileRefused(f"the key file {path} is larger than {_LARGEST_FILE} bytes")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(), stamp(status)
    finally:
        os.close(descriptor)


def _ordered(path: Path, content: KeyFile) -> KeyFile:
    for name, key in content.keys.items():
        numbers = [version.number for version in key.versions]
        if numbers != sorted(set(numbers)):
            raise KeyFileRefused(f"the key file {path} is malformed: versions of {name} are not in rising order")
        if not key.versions[-1].enabled:
            raise KeyFileRefused(f"the key file {path} is malformed: the newest version of {name} is disabled")
        if key.type != type_of_key[name]:
            raise KeyFileRefused(f"the key file {path} is malformed: {name} must be of type {type_of_key[name]}")
        for version in key.versions:
            try:
                decoded(key, version)
            except ValueError:
                raise KeyFileRefused(
                    f"the key file {path} is malformed: version {version.number} of {name} holds no {key.type} key"
                ) from None
    return content


def decoded(key: StoredKey, version: StoredVersion) -> bytes | ec.EllipticCurvePrivateKey:
    """The key itself. Raises ValueError when it is not of the key's type."""
    try:
        material = base64.b64decode(version.material, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if key.type == "aes-256":
        if len(material) != DATA_KEY_BYTES:
            raise ValueError("not 32 bytes")
        return material
    try:
        private = serialization.load_der_private_key(material, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # not DER, or encrypted, or of a kind unknown to OpenSSL
        raise ValueError("not a private key") from None
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return private
    raise ValueError("not a P-256 key")


def create_key_file(
    path: Path, *, clock: Callable[[], datetime], random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> None:
    """Create the file, readable by its owner only, with version 1 of every key. Durable when it returns.

    Raises KeyFileRefused, changing nothing, when something is there already or the folder can't be written.
    """
    created = clock()
    keys = {
        name: StoredKey.model_validate({"type": type_of_key[name], "versions": (_new(name, 1, created, random_bytes),)})
        for name in KeyName
    }
    with _folder(path) as folder:
        _write(path, folder, KeyFile(format=FORMAT, keys=keys), replace=False)


def add_version(
    path: Path,
    key: KeyName,
    *,
    clock: Callable[[], datetime],
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> int:
    """Add a version of `key`, from then on the one in use; return its number. Older versions stay as they are.

    A key that the file lacks (it is older than the key's name) gets its version 1. Running services notice.
    Raises KeyFileRefused, changing nothing.
    """
    with _folder(path) as folder:
        content, _ = read(path)
        old = content.keys[key].versions if key in content.keys else ()
        new = _new(key, old[-1].number + 1 if old else 1, clock(), random_bytes)
        _write(path, folder, _with_versions(content, key, (*old, new)), replace=True)
    return new.number


def disable_version(path: Path, key: KeyName, number: int) -> None:
    """Disable an older version: what it wrapped does not open, what it signed is no longer published.

    Raises UnknownKey when there is no such version, KeyFileRefused when it is the one in use; then nothing changes.
    """
    with _folder(path) as folder:
        content, _ = read(path)
        old = content.keys[key].versions if key in content.keys else ()
        if number not in {version.number for version in old}:
            raise UnknownKey(f"the key file has no version {number} of {key}")
        if number == old[-1].number:
            raise KeyFileRefused(f"version {number} of {key} is in use: add a version first")
        new = tuple(v.model_copy(update={"enabled": False}) if v.number == number else v for v in old)
        _write(path, folder, _with_versions(content, key, new), replace=True)


def _with_versions(content: KeyFile, key: KeyName, versions: tuple[StoredVersion, ...]) -> KeyFile:
    changed = StoredKey.model_validate({"type": type_of_key[key], "versions": versions})
    return content.model_copy(update={"keys": {**content.keys, key: changed}})


def _new(key: KeyName, number: int, created: datetime, random_bytes: Callable[[int], bytes]) -> StoredVersion:
    if key in SIGNING_KEYS:
        material = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    else:
        material = random_bytes(DATA_KEY_BYTES)
    return StoredVersion(
        number=number, created=created.astimezone(UTC), enabled=True, material=base64.b64encode(material).decode()
    )


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """The folder's descriptor, locked: one change at a time, between processes too; a crash lets go of it."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        raise KeyFileRefused(f"the folder of the key file {path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(path: Path, folder: int, content: KeyFile, *, replace: bool) -> None:
    """Put `content` at `path`, whole. If we die on the way, the old state stands, beside a temporary file (0600).

    If only the last sync fails, the new state is there, but it is not known whether it would survive a power cut.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.model_dump_json(indent=2).encode() + b"\n")
                file.flush()
                os.fsync(descriptor)
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # unlike a rename, refused when something is there
        finally:
            temporary.unlink(missing_ok=True)
        os.fsync(folder)
    except FileExistsError:
        raise KeyFileRefused(f"there is already something at {path}: no key file was created") from None
    except OSError as error:
        raise KeyFileRefused(f"the key file {path} cannot be written: {error.strerror}") from None
