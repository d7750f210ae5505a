"""The key services that the contract suites run on. The next adapter adds a function and a line to ADAPTERS.

What a stand-in or an emulator is known to get wrong is a flaw of its stand: the suite marks those tests as expected to
fail, strictly, so that a flaw that went away is noticed too.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from fakes.clock import ManualClock
from fakes.key_manager import REGION, SECRET_KEY, KeyManagerStandIn
from fakes.kms_client import StandInKms
from fakes.softhsm import new_prefix, remove_keys, soft_token
from sceau.cli.certificates import create_loopback_certificates
from sceau.keys.custody import CustodyKeyService
from sceau.keys.keyfile import read
from sceau.keys.local import LocalKeyService, add_version, create_key_file, disable_version
from sceau.keys.ports import SIGNING_KEYS, KeyName, KeyService, PublicKey
from sceau.keys.scoped import KeyOperation, ScopedKeys

clock = ManualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
"""Stands still: key versions need some time of creation."""


@dataclass(frozen=True)
class Stand:
    """A key service with one version of every key, and what an operator can do to it while it runs."""

    keys: KeyService
    add_version: Callable[[KeyName], object]
    disable_oldest: Callable[[KeyName], None]
    close: Callable[[], None] = lambda: None
    flaws: Mapping[str, str] = field(default_factory=dict)
    """By a test's name, a case's, or a test's in a module (`test_keys.py::…`): what the stand gets wrong."""


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def local(folder: Path) -> Stand:
    path = folder / "keys.json"
    create_key_file(path, clock=clock)

    def disable_oldest(key: KeyName) -> None:
        content, _ = read(path)
        disable_version(path, key, next(v.number for v in content.keys[key].versions if v.enabled))

    return Stand(LocalKeyService(path), lambda key: add_version(path, key, clock=clock), disable_oldest)


def scoped(folder: Path) -> Stand:
    """Everything granted: the cut must not change what is granted."""
    inner = local(folder)
    grants = {key: frozenset(KeyOperation) for key in KeyName}
    return Stand(ScopedKeys(inner.keys, grants), inner.add_version, inner.disable_oldest)


def pkcs11(_: Path, *, label: str = "sceau", method: str = "aes-gcm") -> Stand:
    """SoftHSM2. The module and its token are the process's, the keys this stand's."""
    from sceau.keys.pkcs11 import NOTICED_SECONDS, Pkcs11KeyService
    from sceau.keys.pkcs11_objects import create_version, destroy_version, list_versions
    from sceau.keys.pkcs11_token import PinSource, shared_token

    soft, prefix, seconds = soft_token(label), new_prefix(), Seconds()
    held = shared_token(soft.module, soft.label, PinSource(file=soft.pin_file))
    for key in KeyName:
        create_version(held, prefix, key, method=method)

    def add_version(key: KeyName) -> None:
        create_version(held, prefix, key, method=method)
        seconds.now += NOTICED_SECONDS + 1  # what a running service needs to notice

    def disable_oldest(key: KeyName) -> None:
        destroy_version(held, prefix, key, list_versions(held, prefix)[key][0])
        seconds.now += NOTICED_SECONDS + 1  # public keys; an operation on a key that is gone notices at once

    return Stand(
        Pkcs11KeyService(held, prefix, monotonic=seconds),
        add_version,
        disable_oldest,
        close=partial(remove_keys, held, prefix),
    )


class Reconfigured:
    """What calls see of a process that was started again with other settings: where versions are listed in them."""

    def __init__(self, make: Callable[[], KeyService]) -> None:
        self._make = make
        self._present = make()

    def restart(self) -> None:
        self._present = self._make()

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        return self._present.wrap(key, data_key, context)

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return self._present.unwrap(key, wrapped, context)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        return self._present.sign(key, digest, version=version)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        return self._present.public_keys(key)


_NOW_AND_THEN = "by what is drawn: "


def mark_flaws(stand: Stand, node: pytest.Item) -> None:
    """Expect a test to fail where its stand is known to be wrong: strictly, unless what it draws decides."""
    function = node.name.partition("[")[0]
    names = (node.name, function, f"{node.path.name}::{function}")
    flaw = next((stand.flaws[name] for name in names if name in stand.flaws), None)
    if flaw:
        node.add_marker(pytest.mark.xfail(reason=flaw, strict=not flaw.startswith(_NOW_AND_THEN)))


def _no_sleep(seconds: float) -> None:
    raise AssertionError(f"nothing was to be tried again, and yet {seconds} s were waited for it")


def _at_once(_: float) -> None:
    """For stands over sockets: a machine under load may cut a call, which is tried again (`test_scaleway.py`)."""


def aws_keys(kms: StandInKms, arns: Mapping[KeyName, Sequence[str]]) -> KeyService:
    """The adapter of KMS on a stand-in."""
    from sceau.keys.aws_kms import AwsKmsKeyService

    return AwsKmsKeyService(kms.client(), arns, sleep=_no_sleep)


def aws_kms_stand_in(_: Path) -> Stand:
    """KMS as its reference describes it."""
    kms = StandInKms()
    arns = {key: [kms.create(signing=key in SIGNING_KEYS)] for key in KeyName}
    keys = Reconfigured(lambda: aws_keys(kms, arns))

    def add_version(key: KeyName) -> None:
        arns[key].append(kms.create(signing=key in SIGNING_KEYS))
        keys.restart()

    def disable_oldest(key: KeyName) -> None:
        next(found for arn in arns[key] if (found := kms.keys[arn]).state == "Enabled").state = "Disabled"

    return Stand(keys, add_version, disable_oldest)


_MOTO_DISABLED = "moto: a disabled key works on"
_MOTO_ALTERED = "moto: a ciphertext whose key id is altered is AccessDenied, as if a right were missing"
_MOTO_DIGEST = "moto: MessageType=DIGEST is hashed once more"


_moto_keys: dict[KeyName, str] = {}
"""Keys that further stands of the process use again: moto makes an RSA key beside each, which takes 0.2 s."""


@cache
def _moto_client() -> Any:
    """Made while moto is on; it takes a second."""
    return boto3.client("kms", region_name="eu-west-3")


def aws_kms_moto(_: Path) -> Stand:
    """moto's KMS: what it gets wrong is marked (versions 5.2: tools.md, section 2)."""
    from moto import mock_aws

    from sceau.keys.aws_kms import AwsKmsKeyService

    mocked = mock_aws()
    mocked.start(reset=False)
    client = _moto_client()

    def create(key: KeyName) -> str:
        kind = {"KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256"} if key in SIGNING_KEYS else {}
        return str(client.create_key(**kind)["KeyMetadata"]["Arn"])

    if len(client.list_keys()["Keys"]) < len(KeyName):
        _moto_keys.clear()  # another test's moto began anew
    arns = {key: [_moto_keys.get(key) or _moto_keys.setdefault(key, create(key))] for key in KeyName}
    keys = Reconfigured(lambda: AwsKmsKeyService(client, arns, sleep=_no_sleep))
    disabled: set[str] = set()

    def add_version(key: KeyName) -> None:
        arns[key].append(create(key))
        keys.restart()

    def disable_oldest(key: KeyName) -> None:
        arn = next(arn for arn in arns[key] if arn not in disabled)
        _moto_keys.pop(key, None)
        client.disable_key(KeyId=arn.rpartition("/")[2])  # moto takes no ARN here
        disabled.add(arn)

    flaws = {
        "test_a_new_version_wraps_and_the_old_one_still_unwraps": _MOTO_DISABLED,
        "test_versions_of_a_signing_key_newest_first_each_signs_until_disabled": _MOTO_DIGEST,
        "test_a_signature_verifies_over_the_message_elsewhere": _MOTO_DIGEST,
        "test_keys.py::test_threads_do_not_disturb_each_other": _MOTO_DIGEST,
        "test_an_altered_byte_anywhere_is_refused[aws_kms on moto]": _MOTO_ALTERED,
        "test_an_altered_byte_anywhere_is_refused[aws_kms on moto-1]": _MOTO_ALTERED,
        "test_whatever_is_done_to_the_bytes_ends_in_a_refusal[aws_kms on moto]": f"{_NOW_AND_THEN}{_MOTO_ALTERED}",
        "test_a_key_version_that_is_gone_is_said_to_be_so": _MOTO_DISABLED,
        "test_another_context_is_refused[aws_kms on moto-border between name and value moved]": (
            "moto: the encryption context is bound as names and values without borders"
        ),
    }
    return Stand(keys, add_version, disable_oldest, close=partial(mocked.stop, remove_data=False), flaws=flaws)


@cache
def certificates() -> Path:
    """A folder with the loopback's certificates, for stand-ins that are servers."""
    folder = Path(tempfile.mkdtemp(prefix="sceau-stands-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    create_loopback_certificates(folder, datetime.now(UTC))
    return folder


def key_manager(signatures: str = "der") -> KeyManagerStandIn:
    """A stand-in for Key Manager, serving."""
    folder = certificates()
    return KeyManagerStandIn(folder / "server.pem", folder / "server.key", signatures=signatures)


def scaleway_stand_in(_: Path, *, signatures: str = "der") -> Stand:
    """The stand-in for Key Manager, not Scaleway's own: it was never called."""
    from sceau.keys.scaleway import ScalewayKeyService
    from sceau.keys.scaleway_http import KeyManager, pool

    stand_in = key_manager(signatures)
    ids = {key: [stand_in.create(signing=key in SIGNING_KEYS)] for key in KeyName}
    http = pool(str(certificates() / "ca.pem"))
    keys = Reconfigured(
        lambda: ScalewayKeyService(KeyManager(http, REGION, SECRET_KEY, origin=stand_in.origin, sleep=_at_once), ids)
    )

    def add_version(key: KeyName) -> None:
        ids[key].append(stand_in.create(signing=key in SIGNING_KEYS))
        keys.restart()

    def disable_oldest(key: KeyName) -> None:
        found = (stand_in.keys[str(key_id)] for key_id in ids[key])
        next(one for one in found if one.state == "enabled").state = "disabled"

    def close() -> None:
        http.clear()
        stand_in.close()

    return Stand(keys, add_version, disable_oldest, close)


def custody(folder: Path, *, other: Callable[[Path], Stand]) -> Stand:
    """Two services, both needed for every wrapping key; an operator rotates both."""
    first, second = local(folder), other(folder)

    def both(act: str) -> Callable[[KeyName], None]:
        def done(key: KeyName) -> None:
            for one in (first, second):
                getattr(one, act)(key)

        return done

    keys = CustodyKeyService(first.keys, second.keys, set(KeyName) - SIGNING_KEYS)
    return Stand(keys, both("add_version"), both("disable_oldest"), second.close)


ADAPTERS: Mapping[str, Callable[[Path], Stand]] = {
    "local": local,
    "scoped": scoped,
    "pkcs11": pkcs11,
    "pkcs11 without GCM": partial(pkcs11, method="aes-cbc-hmac"),
    "aws_kms on moto": aws_kms_moto,
    "aws_kms on a stand-in": aws_kms_stand_in,
    "scaleway on a stand-in": scaleway_stand_in,
    "scaleway on a stand-in, raw signatures": partial(scaleway_stand_in, signatures="raw"),
    "custody": partial(custody, other=scaleway_stand_in),
    "custody with an HSM": partial(custody, other=partial(pkcs11, label="second")),
}
