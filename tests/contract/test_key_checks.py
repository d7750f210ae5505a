"""What `sceau stage check` measures of key services: what holds is told, what is lost found, nothing else used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.key_manager import REGION, SECRET_KEY
from fakes.key_stands import aws_keys, certificates, key_manager
from fakes.keys import PolicingKeys
from fakes.kms_client import StandInKms
from fakes.softhsm import new_prefix, remove_keys, soft_token
from sceau.keys.checks import check_probe, check_service
from sceau.keys.custody import CustodyKeyService
from sceau.keys.errors import KeyServiceNotUsable
from sceau.keys.keyfile import add_version, create_key_file, disable_version
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.findings import Finding

DESCRIBED: Mapping[KeyName, Set[KeyOperation]] = {key: {KeyOperation.DESCRIBE} for key in KeyName}
ALL: Mapping[KeyName, Set[KeyOperation]] = {
    **DESCRIBED,
    KeyName.PROBE: {KeyOperation.DESCRIBE, KeyOperation.WRAP, KeyOperation.UNWRAP},
}
KEYS = [f"key {key}" for key in KeyName]
SEALS = "associated data binds"


def utc() -> datetime:
    return datetime.now(UTC)


def check(adapter: str, service: Any, grants: Mapping[KeyName, Set[KeyOperation]] = ALL) -> dict[str, Finding]:
    findings = list(check_service(adapter, lambda: service, grants, utc))
    assert len({one.name for one in findings}) == len(findings)
    return {one.name: one for one in findings}


def lost(found: Mapping[str, Finding]) -> dict[str, str]:
    return {name: one.seen for name, one in found.items() if not one.held}


# A key file.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    create_key_file(tmp_path / "keys.json", clock=utc)
    return tmp_path / "keys.json"


def test_a_key_file_is_told_with_its_versions(file: Path) -> None:
    add_version(file, KeyName.CONTENT, clock=utc)
    disable_version(file, KeyName.CONTENT, 1)
    found = check("local", LocalKeyService(file))
    assert list(found) == [*KEYS, SEALS]
    assert lost(found) == {}
    assert found["key content"].seen == "aes-256; 2 versions, 1 disabled; in a file, not protected"
    assert found[SEALS].seen == "4 wrong ones: all refused"


def test_a_key_file_that_others_may_read_holds_for_nothing(file: Path) -> None:
    service = LocalKeyService(file)
    file.chmod(0o644)
    found = check("local", service)
    assert set(lost(found)) == {*KEYS, SEALS}
    assert "chmod 600" in found["key content"].seen


# Who may only ask what keys are uses none; who may not even that learns nothing.


def test_metadata_rights_wrap_nothing_and_ask_about_the_granted_keys_only(file: Path) -> None:
    policing = PolicingKeys(LocalKeyService(file))
    policing.metadata = LocalKeyService(file).metadata  # type: ignore[attr-defined]
    assert list(check("local", policing, DESCRIBED)) == KEYS
    assert list(check("local", policing, {KeyName.LOG: {KeyOperation.DESCRIBE}})) == ["key log"]
    assert check("local", policing, {}) == {}
    assert policing.calls == []


def test_only_the_probe_key_wraps_and_unwraps(file: Path) -> None:
    policing = PolicingKeys(LocalKeyService(file))
    policing.metadata = LocalKeyService(file).metadata  # type: ignore[attr-defined]
    check("local", policing)
    assert {call.key for call in policing.calls} == {KeyName.PROBE}


def test_a_service_that_can_not_be_built_is_a_finding() -> None:
    def make() -> Any:
        raise KeyServiceNotUsable("the token sceau is locked")

    (finding,) = check_service("pkcs11", make, ALL, utc, "second service: ")
    assert finding == Finding("second service: key service", held=False, seen="the token sceau is locked")


class Unbound:
    """A key service that takes its associated data and forgets it."""

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        return data_key

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return wrapped


def test_associated_data_that_bind_nothing_are_found() -> None:
    (finding,) = check_probe(Unbound, ALL)  # type: ignore[arg-type]
    assert not finding.held
    assert "another value, one pair more, one pair less, a byte changed opened all the same" in finding.seen


# A token.


@pytest.mark.parametrize("method", ["aes-gcm", "aes-cbc-hmac"])
def test_a_token_s_keys_are_told_by_their_method_and_attributes(method: str) -> None:
    from sceau.keys.pkcs11 import Pkcs11KeyService
    from sceau.keys.pkcs11_objects import create_version
    from sceau.keys.pkcs11_token import PinSource, shared_token

    soft, prefix = soft_token(), new_prefix()
    token = shared_token(soft.module, soft.label, PinSource(file=soft.pin_file))
    try:
        for key in (KeyName.PROBE, KeyName.CONTENT, KeyName.CONTENT, KeyName.TOKENS):
            create_version(token, prefix, key, method=method)
        found = check("pkcs11", Pkcs11KeyService(token, prefix))
        assert set(found) == {*KEYS, SEALS}
        assert set(KEYS) - set(lost(found)) == {"key probe", "key content", "key tokens"}, "the others are not there"
        assert (
            found["key content"].seen
            == f"{method}; 2 versions, made in the token, not extractable; who logs in can destroy it"
        )
        assert (
            found["key tokens"].seen
            == "ECDSA P-256; 1 version, made in the token, not extractable; who logs in can destroy it"
        )
        assert found[SEALS].held
    finally:
        remove_keys(token, prefix)


# AWS KMS, on a stand-in.

Kms = tuple[StandInKms, dict[KeyName, list[str]]]


@pytest.fixture
def kms() -> Kms:
    stand_in = StandInKms()
    return stand_in, {key: [stand_in.create(signing=key in SIGNING_KEYS)] for key in KeyName}


def test_kms_keys_are_told_by_usage_state_and_rotation(kms: Kms) -> None:
    stand_in, arns = kms
    found = check("aws_kms", aws_keys(stand_in, arns))
    assert list(found) == [*KEYS, "clocks agree", SEALS]
    assert lost(found) == {}
    assert found["key content"].seen == "SYMMETRIC_DEFAULT, rotated by KMS; 1 version, none about to be deleted"
    assert found["key tokens"].seen == "ECC_NIST_P256; 1 version, none about to be deleted"
    probe = arns[KeyName.PROBE][0]
    used = {body["KeyId"] for operation, body in stand_in.calls if operation in {"Encrypt", "Decrypt", "Sign"}}
    assert used == {probe}, "of the other keys only metadata was asked"


def spoil_kms(stand_in: StandInKms, arns: dict[KeyName, list[str]]) -> None:
    """What somebody may do to keys, one thing to each."""
    by_name = {key: stand_in.keys[versions[0]] for key, versions in arns.items()}
    by_name[KeyName.CONTENT].rotates = False
    by_name[KeyName.DOSSIER].state = "Disabled"
    by_name[KeyName.JOURNAL].state = "PendingDeletion"
    by_name[KeyName.CONFIGURATION].origin = "EXTERNAL"
    arns[KeyName.LOG], arns[KeyName.TOKENS] = arns[KeyName.TOKENS], arns[KeyName.LOG]


def test_a_kms_key_that_is_not_as_it_must_be_is_found(kms: Kms) -> None:
    stand_in, arns = kms
    spoil_kms(stand_in, arns)
    stand_in.ahead = timedelta(seconds=90)
    found = lost(check("aws_kms", aws_keys(stand_in, arns)))
    assert set(found) == {
        f"key {name}" for name in ("content", "dossier", "journal", "configuration", "log", "tokens")
    } | {"clocks agree"}
    for name, words in {
        "content": "it is not rotated",
        "dossier": "its state is Disabled",
        "journal": "about to be deleted",
        "configuration": "its material is from EXTERNAL",
        "log": "it is SIGN_VERIFY by ECC_NIST_P256, not ENCRYPT_DECRYPT",
        "tokens": "it is ENCRYPT_DECRYPT by SYMMETRIC_DEFAULT, not SIGN_VERIFY",
    }.items():
        assert words in found[f"key {name}"]
    assert found["clocks agree"] in {"its clock is 89 s ahead", "its clock is 90 s ahead"}
    assert "arn:" not in str(found)


# Key Manager, on a stand-in.


def on_key_manager(spoil: Callable[[Any, Any], None] = lambda stand_in, ids: None) -> dict[str, Finding]:
    from sceau.keys.scaleway import ScalewayKeyService
    from sceau.keys.scaleway_http import KeyManager, pool

    stand_in, http = key_manager(), pool(str(certificates() / "ca.pem"))
    try:
        ids = {key: [stand_in.create(signing=key in SIGNING_KEYS)] for key in KeyName}
        spoil(stand_in, ids)
        manager = KeyManager(http, REGION, SECRET_KEY, origin=stand_in.origin)
        found = check("scaleway", ScalewayKeyService(manager, ids))
        probe = str(ids[KeyName.PROBE][0])
        assert {path.split("/")[6] for method, path in stand_in.requests if method == "POST"} <= {probe}
        return found
    finally:
        http.clear()
        stand_in.close()


def test_key_manager_s_keys_are_told_by_usage_state_rotation_and_protection() -> None:
    found = on_key_manager()
    assert list(found) == [*KEYS, "clocks agree", SEALS]
    assert lost(found) == {}
    assert found["key content"].seen == "aes_256_gcm; 1 version, protected from deletion"
    assert found["key tokens"].seen == "ec_p256_sha256; 1 version, protected from deletion"


def test_a_key_of_key_manager_that_is_not_as_it_must_be_is_found() -> None:
    def spoil(stand_in: Any, ids: Any) -> None:
        by_name = {key: stand_in.keys[str(versions[0])] for key, versions in ids.items()}
        by_name[KeyName.CONTENT].protected = False
        by_name[KeyName.DOSSIER].state = "disabled"
        by_name[KeyName.JOURNAL].state = "scheduled_for_deletion"
        by_name[KeyName.CONFIGURATION].origin = "external"
        by_name[KeyName.PSEUDONYM].rotates = False
        ids[KeyName.LOG], ids[KeyName.TOKENS] = ids[KeyName.TOKENS], ids[KeyName.LOG]

    found = lost(on_key_manager(spoil))
    for name, words in {
        "content": "not protected from deletion",
        "dossier": "its state is disabled",
        "journal": "about to be deleted",
        "configuration": "its material is from external",
        "pseudonym": "no rotation policy",
        "log": "its usage is asymmetric_signing",
        "tokens": "its usage is symmetric_encryption",
    }.items():
        assert words in found.pop(f"key {name}")
    assert found == {}


# Custody.


def test_custody_of_two_is_held_to_the_same(file: Path, tmp_path: Path) -> None:
    create_key_file(tmp_path / "second.json", clock=utc)
    keys = CustodyKeyService(LocalKeyService(file), LocalKeyService(tmp_path / "second.json"), {KeyName.PROBE})
    (finding,) = check_probe(lambda: keys, ALL, "custody: ")
    assert finding == Finding("custody: associated data binds", held=True, seen="4 wrong ones: all refused")
