"""The local key file and the service on it: what is refused, what survives, what the bytes are."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fakes.key_stands import clock
from sceau.keys import keyfile
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone, UnknownKey, UnwrapRefused
from sceau.keys.local import KeyFileRefused, LocalKeyService, add_version, create_key_file, disable_version
from sceau.keys.ports import SIGNING_KEYS, KeyName

CONTEXT = {"format": "1", "purpose": "document"}
DATA_KEY = bytes(range(32))

Changed = Callable[[dict[str, Any]], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    create_key_file(path, clock=clock)
    return path


def rewrite(path: Path, change: Changed) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# What is created.


def test_only_the_owner_can_read_the_new_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_key_file(tmp_path / "keys.json", clock=clock)
        add_version(tmp_path / "keys.json", KeyName.LOG, clock=clock)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_it_holds_version_1_of_every_key_all_different(path: Path) -> None:
    content = json.loads(path.read_text())
    assert content["format"] == "sceau-local-keys/1"
    assert set(content["keys"]) == set(KeyName)
    materials = set()
    for name, key in content["keys"].items():
        assert key["type"] == ("p-256" if name in SIGNING_KEYS else "aes-256")
        (version,) = key["versions"]
        materials.add(version.pop("material"))
        assert version == {"number": 1, "created": "2026-03-01T12:00:00Z", "enabled": True}
    assert len(materials) == len(KeyName)


def test_an_existing_file_is_never_replaced_by_a_new_one(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyFileRefused, match="already something"):
        create_key_file(path, clock=clock)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_of_many_creators_one_wins(tmp_path: Path) -> None:
    def create(_: int) -> bool:
        try:
            create_key_file(tmp_path / "keys.json", clock=clock)
        except KeyFileRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1
    LocalKeyService(tmp_path / "keys.json")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(KeyFileRefused, match="folder of the key file"):
        create_key_file(tmp_path / "absent" / "keys.json", clock=clock)


# What survives.


def test_file_and_folder_are_synced_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bool]] = []
    path = tmp_path / "keys.json"

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    create_key_file(path, clock=clock)
    assert synced == [(False, False), (True, True)]  # the content before its name, then the name


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_failure_while_writing_leaves_the_old_state(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if step == "replace" else os, step, fail)
    if step != "link":
        with pytest.raises(KeyFileRefused, match="No space left"):
            add_version(path, KeyName.CONTENT, clock=clock)
    if step != "replace":
        with pytest.raises(KeyFileRefused, match="No space left"):
            create_key_file(path.with_name("other.json"), clock=clock)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


def test_versions_added_at_the_same_time_are_all_there(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: add_version(path, KeyName.CONTENT, clock=clock), range(8)))
    assert sorted(numbers) == list(range(2, 10))
    content, _ = keyfile.read(path)
    assert [version.number for version in content.keys[KeyName.CONTENT].versions] == list(range(1, 10))


def test_a_key_that_an_older_file_lacks_is_unknown_until_added(path: Path) -> None:
    rewrite(path, lambda content: (content["keys"].pop("probe"), content["keys"].pop("checkpoints")))
    keys = LocalKeyService(path)
    with pytest.raises(UnknownKey):
        keys.wrap(KeyName.PROBE, DATA_KEY, CONTEXT)
    with pytest.raises(UnknownKey):
        keys.public_keys(KeyName.CHECKPOINTS)
    with pytest.raises(UnknownKey):
        disable_version(path, KeyName.PROBE, 1)
    assert add_version(path, KeyName.PROBE, clock=clock) == 1
    assert keys.unwrap(KeyName.PROBE, keys.wrap(KeyName.PROBE, DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY


def test_the_version_in_use_can_not_be_disabled(path: Path) -> None:
    add_version(path, KeyName.CONTENT, clock=clock)
    before = path.read_bytes()
    with pytest.raises(KeyFileRefused, match="add a version first"):
        disable_version(path, KeyName.CONTENT, 2)
    with pytest.raises(UnknownKey, match="no version 3"):
        disable_version(path, KeyName.CONTENT, 3)
    assert path.read_bytes() == before


# What is refused.


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644])
def test_a_file_open_to_group_or_others_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeyFileRefused, match="open to its group or to others"):
        LocalKeyService(path)


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(KeyFileRefused, match="belongs to another user"):
        LocalKeyService(path)


def test_what_is_not_a_plain_file_is_refused(path: Path) -> None:
    folder = path.parent
    (folder / "link").symlink_to(path)
    os.mkfifo(folder / "pipe", 0o600)
    for name in ("link", "absent"):
        with pytest.raises(KeyFileRefused, match="cannot be opened"):
            LocalKeyService(folder / name)
    with pytest.raises(KeyFileRefused, match="not a regular file"):
        LocalKeyService(folder / "pipe")  # and does not wait for a writer
    with pytest.raises(KeyFileRefused, match="not a regular file"):
        LocalKeyService(folder)


def private_key(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, encryption)
    return base64.b64encode(der).decode()


def versions(content: dict[str, Any], key: str) -> Any:
    return content["keys"][key]["versions"]


MALFORMED: dict[str, tuple[Changed, str]] = {
    "unknown format": (lambda c: c.update(format="sceau-local-keys/2"), "not of the format"),
    "no format": (lambda c: c.pop("format"), "not of the format"),
    "no keys": (lambda c: c.pop("keys"), "malformed at keys"),
    "unknown key": (lambda c: c["keys"].update(secret=c["keys"]["log"]), "malformed at keys.secret"),
    "unknown member": (lambda c: c.update(more=1), "malformed at more"),
    "no versions": (lambda c: versions(c, "log").clear(), "malformed at keys.log.versions"),
    "number as text": (lambda c: versions(c, "log")[0].update(number="1"), "versions.0.number"),
    "number zero": (lambda c: versions(c, "log")[0].update(number=0), "versions.0.number"),
    "number too large": (lambda c: versions(c, "log")[0].update(number=2**32), "versions.0.number"),
    "time without zone": (lambda c: versions(c, "log")[0].update(created="2026-03-01T12:00:00"), "created"),
    "enabled as number": (lambda c: versions(c, "log")[0].update(enabled=1), "enabled"),
    "newest disabled": (lambda c: versions(c, "log")[0].update(enabled=False), "newest version of log is disabled"),
    "same number twice": (lambda c: versions(c, "log").append(versions(c, "log")[0]), "log are not in rising order"),
    "wrong type": (lambda c: c["keys"].update(log=c["keys"]["tokens"]), "log must be of type aes-256"),
    "not base64": (lambda c: versions(c, "log")[0].update(material="é"), "version 1 of log holds no aes-256 key"),
    "too short": (lambda c: versions(c, "log")[0].update(material="AAAA"), "version 1 of log holds no aes-256 key"),
    "no private key": (lambda c: versions(c, "tokens")[0].update(material="AAAA"), "tokens holds no p-256 key"),
    "other curve": (
        lambda c: versions(c, "tokens")[0].update(material=private_key(ec.generate_private_key(ec.SECP384R1()))),
        "tokens holds no p-256 key",
    ),
    "other algorithm": (
        lambda c: versions(c, "tokens")[0].update(material=private_key(ed25519.Ed25519PrivateKey.generate())),
        "tokens holds no p-256 key",
    ),
    "with a password": (
        lambda c: versions(c, "tokens")[0].update(
            material=private_key(ec.generate_private_key(ec.SECP256R1()), b"secret")
        ),
        "tokens holds no p-256 key",
    ),
}


@pytest.mark.parametrize(("change", "said"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_without_quoting_a_key(path: Path, change: Changed, said: str) -> None:
    materials = [key["versions"][0]["material"] for key in json.loads(path.read_text())["keys"].values()]
    rewrite(path, change)
    before = path.read_bytes()
    with pytest.raises(KeyFileRefused, match=said) as refusal:
        LocalKeyService(path)
    with pytest.raises(KeyFileRefused):
        add_version(path, KeyName.CONTENT, clock=clock)
    assert path.read_bytes() == before
    assert not any(material[:12] in str(refusal.value) for material in materials)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"\xff"', b"[" * 100_000])
def test_what_is_not_a_json_object_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(KeyFileRefused, match="not a JSON object"):
        LocalKeyService(path)


def test_a_huge_file_is_refused_unread(path: Path) -> None:
    os.truncate(path, 1 << 40)
    with pytest.raises(KeyFileRefused, match="larger than"):
        LocalKeyService(path)


def test_neither_file_nor_service_shows_a_key_when_printed(path: Path) -> None:
    content, _ = keyfile.read(path)
    keys = LocalKeyService(path)
    shown = repr(content) + repr(keys) + repr(vars(keys))
    for key in content.keys.values():
        assert key.versions[0].material[:12] not in shown


# The service while the file changes.


def test_a_running_service_follows_the_file(path: Path) -> None:
    keys, other = LocalKeyService(path), LocalKeyService(path)
    old = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert old[:5] == bytes.fromhex("01 00000001")
    add_version(path, KeyName.CONTENT, clock=clock)
    new = other.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert new[:5] == bytes.fromhex("01 00000002")
    assert keys.unwrap(KeyName.CONTENT, new, CONTEXT) == DATA_KEY
    disable_version(path, KeyName.CONTENT, 1)
    with pytest.raises(KeyVersionGone):
        keys.unwrap(KeyName.CONTENT, old, CONTEXT)


def test_a_file_that_goes_away_or_wrong_makes_the_service_unavailable_until_it_is_back(path: Path) -> None:
    keys = LocalKeyService(path)
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    aside = path.rename(path.with_name("aside.json"))
    with pytest.raises(KeyServiceUnavailable):
        keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT)
    aside.rename(path)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY
    path.chmod(0o644)
    with pytest.raises(KeyServiceUnavailable):
        keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    path.chmod(0o600)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY


def test_the_file_is_read_once_while_it_stays_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    read = keyfile.read

    def counted(path: Path) -> tuple[keyfile.KeyFile, keyfile.Stamp]:
        readings.append(path)
        return read(path)

    monkeypatch.setattr(keyfile, "read", counted)
    keys = LocalKeyService(path)
    for _ in range(5):
        keys.unwrap(KeyName.CONTENT, keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT), CONTEXT)
        keys.sign(KeyName.TOKENS, bytes(32), version="1")
    assert len(readings) == 1


def test_a_version_taken_out_of_the_file_is_gone_and_one_that_never_was_is_refused(path: Path) -> None:
    keys = LocalKeyService(path)
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    add_version(path, KeyName.CONTENT, clock=clock)
    rewrite(path, lambda content: versions(content, "content").pop(0))
    with pytest.raises(KeyVersionGone):
        keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT)
    for never in (0, 3, 0xFFFFFFFF):
        with pytest.raises(UnwrapRefused):
            keys.unwrap(KeyName.CONTENT, wrapped[:1] + never.to_bytes(4, "big") + wrapped[5:], CONTEXT)


def test_one_version_does_not_unwrap_under_the_number_of_another(path: Path) -> None:
    # Even when both numbers hold the same key: the number is bound.
    keys = LocalKeyService(path)
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    rewrite(path, lambda content: versions(content, "content").append({**versions(content, "content")[0], "number": 2}))
    with pytest.raises(UnwrapRefused):
        keys.unwrap(KeyName.CONTENT, wrapped[:4] + b"\x02" + wrapped[5:], CONTEXT)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY


def test_one_key_does_not_unwrap_under_the_name_of_another(path: Path) -> None:
    # Even when both names hold the same key: the name is bound.
    keys = LocalKeyService(path)
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    rewrite(path, lambda content: content["keys"].update(dossier=content["keys"]["content"]))
    with pytest.raises(UnwrapRefused):
        keys.unwrap(KeyName.DOSSIER, wrapped, CONTEXT)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY


# What the bytes are.


def test_pinned_file_and_wrapped_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(
        """{"format": "sceau-local-keys/1", "keys": {"content": {"type": "aes-256", "versions": [
          {"number": 7, "created": "2026-03-01T12:00:00Z", "enabled": true,
           "material": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}}}"""
    )
    path.chmod(0o600)
    keys = LocalKeyService(path, random_bytes=lambda count: bytes(range(100, 100 + count)))
    data_key, context = bytes(range(32, 64)), {"purpose": "document", "format": "1"}
    wrapped = keys.wrap(KeyName.CONTENT, data_key, context)
    # Made here a second time by hand, from docs/formats/wrapped-data-key.md.
    head, nonce = bytes.fromhex("01 00000007"), bytes.fromhex("6465666768696a6b6c6d6e6f")
    bound = head + b"\x07content" + b"\x01\x00\x02" + b"\x00\x06format\x00\x011" + b"\x00\x07purpose\x00\x08document"
    assert wrapped == head + nonce + AESGCM(bytes(range(32))).encrypt(nonce, data_key, bound)
    assert wrapped.hex() == PINNED
    assert keys.unwrap(KeyName.CONTENT, bytes.fromhex(PINNED), context) == data_key


PINNED = (
    "01000000076465666768696a6b6c6d6e6f683afc455dcc70b9164b75c3f64844d272f33439bf59c5459fe89673c79e9b77c609d766ae23fe54a9f3"
    "ce754fc81b68"
)


def test_signatures_have_64_bytes_when_a_number_is_short(path: Path) -> None:
    # One number in 256 needs fewer than 32 bytes: of 3,000 signatures some do.
    keys = LocalKeyService(path)
    signatures = [keys.sign(KeyName.TOKENS, number.to_bytes(32, "big"), version="1") for number in range(3000)]
    assert {len(signature) for signature in signatures} == {64}
    assert any(0 in (signature[0], signature[32]) for signature in signatures)
