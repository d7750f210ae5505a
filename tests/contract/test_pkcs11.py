"""What is the HSM's own: lost and found tokens, PINs, keys of the wrong kind, bytes on the token and off it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from pkcs11 import Attribute, KeyType, ObjectClass, TokenFlag
from pkcs11.mechanisms import Mechanism

from fakes.key_stands import Seconds
from fakes.softhsm import PIN, SoftToken, init_token, new_prefix, remove_keys, soft_token
from sceau.keys import pkcs11_objects, pkcs11_token
from sceau.keys.errors import (
    KeyServiceError,
    KeyServiceNotUsable,
    KeyServiceUnavailable,
    KeyVersionGone,
    UnknownKey,
    UnwrapRefused,
)
from sceau.keys.pkcs11 import NOTICED_SECONDS, Pkcs11KeyService
from sceau.keys.pkcs11_library import Library, shared_library
from sceau.keys.pkcs11_objects import create_version, destroy_version, list_versions, read_ring
from sceau.keys.pkcs11_token import PinSource, Session, Token, locked, shared_token
from sceau.keys.ports import KeyName

CONTEXT = {"format": "1", "purpose": "document"}
DATA_KEY = bytes(range(32, 64))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def soft() -> SoftToken:
    return soft_token()


@pytest.fixture
def token(soft: SoftToken) -> Token:
    return shared_token(soft.module, soft.label, PinSource(file=soft.pin_file))


@pytest.fixture
def library(soft: SoftToken) -> Library:
    return shared_library(soft.module)


@pytest.fixture
def prefix(token: Token) -> Iterator[str]:
    prefix = new_prefix()
    yield prefix
    remove_keys(token, prefix)


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def keys(token: Token, prefix: str, seconds: Seconds) -> Pkcs11KeyService:
    for key in (KeyName.CONTENT, KeyName.DOSSIER, KeyName.TOKENS):
        create_version(token, prefix, key)
    return Pkcs11KeyService(token, prefix, monotonic=seconds)


def put(token: Token, **attributes: Any) -> None:
    """Put an object on the token, as an operator might."""
    given = {Attribute[name]: value for name, value in attributes.items()}
    token.run(lambda session: session.raw.create_object({Attribute.TOKEN: True, **given}), writing=True)


def put_secret(token: Token, label: str, value: bytes, kind: KeyType = KeyType.AES) -> None:
    may = {"SIGN": True} if kind is KeyType.GENERIC_SECRET else {"ENCRYPT": True, "DECRYPT": True}
    put(token, CLASS=ObjectClass.SECRET_KEY, KEY_TYPE=kind, LABEL=label, VALUE=value, PRIVATE=True, **may)


def elsewhere(soft: SoftToken, prefix: str, action: str) -> str:
    """Do something with the content key in another process, as `sceau keys` would; return what it prints."""
    program = f"""
import sys
from pathlib import Path
from sceau.keys.pkcs11 import Pkcs11KeyService
from sceau.keys.pkcs11_objects import create_version, destroy_version
from sceau.keys.pkcs11_token import PinSource, shared_token
from sceau.keys.ports import KeyName
token = shared_token(Path({str(soft.module)!r}), {soft.label!r}, PinSource(file=Path({str(soft.pin_file)!r})))
{action}
"""
    path = os.pathsep.join((str(ROOT / "layers"), str(ROOT / "schemas")))
    program = program.replace("PREFIX", repr(prefix))
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", program], check=True, env=environ, timeout=120, stdout=subprocess.PIPE, text=True
    ).stdout


# What the bytes are.


def test_pinned_wrapped_key_under_gcm(token: Token, prefix: str) -> None:
    put_secret(token, f"{prefix}:content:7", bytes(range(32)))
    keys = Pkcs11KeyService(token, prefix, random_bytes=lambda count: bytes(range(100, 100 + count)))
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    # Made here a second time by hand, from docs/formats/wrapped-data-key.md.
    head, nonce = bytes.fromhex("02 00000007"), bytes(range(100, 112))
    assert wrapped == head + nonce + AESGCM(bytes(range(32))).encrypt(nonce, DATA_KEY, BOUND(head))
    assert wrapped.hex() == PINNED_GCM
    assert keys.unwrap(KeyName.CONTENT, bytes.fromhex(PINNED_GCM), CONTEXT) == DATA_KEY


def test_pinned_wrapped_key_under_cbc_and_hmac(token: Token, prefix: str) -> None:
    mac_key = bytes(range(64, 96))
    put_secret(token, f"{prefix}:content:7:mac", mac_key, KeyType.GENERIC_SECRET)
    put_secret(token, f"{prefix}:content:7", bytes(range(32)))
    keys = Pkcs11KeyService(token, prefix, random_bytes=lambda count: bytes(range(100, 100 + count)))
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    head, iv = bytes.fromhex("03 00000007"), bytes(range(100, 116))
    encryptor = Cipher(algorithms.AES(bytes(range(32))), modes.CBC(iv)).encryptor()
    hidden = encryptor.update(DATA_KEY) + encryptor.finalize()
    mac = HMAC(mac_key, SHA256())
    mac.update(BOUND(head) + iv + hidden)
    assert wrapped == head + iv + hidden + mac.finalize()
    assert wrapped.hex() == PINNED_CBC
    assert keys.unwrap(KeyName.CONTENT, bytes.fromhex(PINNED_CBC), CONTEXT) == DATA_KEY


def BOUND(head: bytes) -> bytes:
    return head + b"\x07content" + b"\x01\x00\x02" + b"\x00\x06format\x00\x011" + b"\x00\x07purpose\x00\x08document"


PINNED_GCM = (
    "02000000076465666768696a6b6c6d6e6f683afc455dcc70b9164b75c3f64844d272f33439bf59c5459fe89673c79e9b77df"
    "ca994f1d50fed68a91d0ff1cb740ab"
)
PINNED_CBC = (
    "03000000076465666768696a6b6c6d6e6f707172731adb8d5d53d04d583522d62a82fbdd24238ae56b8f4a56bb39a830bc94"
    "88f366600cbb18fc7183e38137767f4ef543b2c88f796da636e84855555c830489e4d9"
)


def test_keys_are_made_in_the_token_and_cannot_leave_it(keys: Pkcs11KeyService, token: Token, prefix: str) -> None:
    def look(session: Session) -> list[tuple[bool, bool, bool]]:
        found = [
            one
            for of in (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY)
            for one in list(session.raw.get_objects({Attribute.CLASS: of}))
            if one[Attribute.LABEL].startswith(f"{prefix}:")
        ]
        return [(one[Attribute.SENSITIVE], one[Attribute.EXTRACTABLE], one[Attribute.LOCAL]) for one in found]

    create_version(token, prefix, KeyName.PROBE, method="aes-cbc-hmac")
    assert token.run(look) == [(True, False, True)] * 5


# A token that goes, and comes back.


def test_a_login_that_ended_is_made_again(keys: Pkcs11KeyService, token: Token) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    connection = token._connection
    assert connection is not None
    connection.anchor.close()  # logs every session of the process out
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY
    assert token._connection is not connection


def test_a_module_that_was_started_again_serves_on(keys: Pkcs11KeyService, library: Library) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    library.restart(library.epoch)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY


def test_a_lost_token_is_unavailable_whatever_is_asked_and_serves_again_when_it_is_back(
    keys: Pkcs11KeyService, soft: SoftToken, token: Token, library: Library, tmp_path: Path
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    (public,) = keys.public_keys(KeyName.TOKENS)
    gone = soft.folder.rename(soft.folder.with_name("gone"))
    soft.folder.mkdir()
    library.restart(library.epoch)
    for ask in (
        lambda: keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT),
        lambda: keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT),
        lambda: keys.sign(KeyName.TOKENS, bytes(32), version=public.version),
        lambda: keys.public_keys(KeyName.TOKENS),
    ):
        with pytest.raises(KeyServiceUnavailable, match="no token labelled sceau"):
            ask()
    soft.folder.rmdir()
    gone.rename(soft.folder)
    token._restarted = None  # as if some seconds had gone by
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY


def test_a_token_that_does_not_come_back_starts_the_module_once_in_a_while_only(
    soft: SoftToken, library: Library, seconds: Seconds
) -> None:
    absent = Token(library, "nobody", PinSource(file=soft.pin_file), monotonic=seconds)
    before = library.epoch

    def ask() -> int:
        with pytest.raises(KeyServiceUnavailable):
            absent.run(lambda session: None)
        return library.epoch - before

    assert [ask(), ask(), ask()] == [1, 1, 1]
    seconds.now += pkcs11_token.RESTART_SECONDS
    assert [ask(), ask()] == [2, 2]


def test_threads_are_served_through_restarts_of_the_module(keys: Pkcs11KeyService, library: Library) -> None:
    (public,) = keys.public_keys(KeyName.TOKENS)
    go_on = threading.Event()
    go_on.set()

    def work() -> int:
        turns = 0
        while go_on.is_set() or turns < 5:
            data_key = secrets.token_bytes(32)
            assert keys.unwrap(KeyName.CONTENT, keys.wrap(KeyName.CONTENT, data_key, CONTEXT), CONTEXT) == data_key
            assert len(keys.sign(KeyName.TOKENS, bytes(32), version=public.version)) == 64
            turns += 1
        return turns

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work) for _ in range(8)]
        try:
            for _ in range(5):
                library.restart(library.epoch)
        finally:
            go_on.clear()
        assert all(one.result() >= 5 for one in running)


def test_a_session_more_than_there_are_waits_and_is_then_told(
    token: Token, monkeypatch: pytest.MonkeyPatch, soft: SoftToken, library: Library
) -> None:
    monkeypatch.setattr(pkcs11_token, "SESSIONS", 1)
    monkeypatch.setattr(pkcs11_token, "WAIT_SECONDS", 0.05)
    narrow = Token(library, soft.label, PinSource(file=soft.pin_file))

    def held(_: Session) -> None:
        with pytest.raises(KeyServiceUnavailable, match="in use"):
            narrow.run(lambda session: None)

    narrow.run(held)


# Who else is at the token.


def test_a_version_that_another_process_makes_counts_within_a_minute(
    keys: Pkcs11KeyService, soft: SoftToken, prefix: str, seconds: Seconds
) -> None:
    first = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    elsewhere(soft, prefix, "create_version(token, PREFIX, KeyName.CONTENT)")
    seconds.now += NOTICED_SECONDS + 1
    second = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert (first[:5].hex(), second[:5].hex()) == ("0200000001", "0200000002")
    assert keys.unwrap(KeyName.CONTENT, first, CONTEXT) == DATA_KEY


def test_what_another_process_wrapped_under_a_newer_version_opens_at_once(
    keys: Pkcs11KeyService, soft: SoftToken, prefix: str
) -> None:
    """Also when all keys were listed a moment ago: what is not known yet is not altered."""
    first = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)  # `seconds` stand still
    wrap = f"Pkcs11KeyService(token, PREFIX).wrap(KeyName.CONTENT, {DATA_KEY!r}, {CONTEXT!r})"
    newer = elsewhere(soft, prefix, f"create_version(token, PREFIX, KeyName.CONTENT); print({wrap}.hex())")
    assert (first[:5].hex(), newer[:10]) == ("0200000001", "0200000002")
    assert keys.unwrap(KeyName.CONTENT, bytes.fromhex(newer), CONTEXT) == DATA_KEY


def test_a_version_that_another_process_destroys_is_gone_at_once(
    keys: Pkcs11KeyService, soft: SoftToken, prefix: str
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    elsewhere(
        soft,
        prefix,
        "create_version(token, PREFIX, KeyName.CONTENT); destroy_version(token, PREFIX, KeyName.CONTENT, 1)",
    )
    with pytest.raises(KeyVersionGone):
        keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT)
    assert keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)[:5].hex() == "0200000002"


# What is refused at the start, in a sentence.


@pytest.fixture
def fresh(library: Library, tmp_path: Path) -> Token:
    """A token that nobody has logged in to, with a PIN file beside the test."""
    label = new_prefix()
    init_token(label)
    library.restart(library.epoch)
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN)
    return Token(library, label, PinSource(file=pin))


def test_a_wrong_pin_is_told_and_not_tried_a_second_time(
    fresh: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    real = pkcs11_token._opened

    def opened(token: Any, pin: str) -> Any:
        tried.append(pin)
        return real(token, pin)

    monkeypatch.setattr(pkcs11_token, "_opened", opened)
    (tmp_path / "pin").write_text("000000")
    with pytest.raises(KeyServiceNotUsable, match="refused the PIN: PinIncorrect") as told:
        fresh.connect()
    with pytest.raises(KeyServiceNotUsable, match="not tried again"):
        fresh.connect()
    with pytest.raises(KeyServiceUnavailable, match="not tried again"):
        fresh.run(lambda session: None)
    assert tried == ["000000"]
    assert "000000" not in str(told.value)
    (tmp_path / "pin").write_text(PIN + "\n")
    fresh.connect()
    assert tried == ["000000", PIN]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (TokenFlag.TOKEN_INITIALIZED | TokenFlag.USER_PIN_INITIALIZED | TokenFlag.USER_PIN_LOCKED, "is locked"),
        (TokenFlag.TOKEN_INITIALIZED | TokenFlag.USER_PIN_INITIALIZED | TokenFlag.USER_PIN_FINAL_TRY, "would lock"),
        (TokenFlag.TOKEN_INITIALIZED, "has no user PIN"),
        (TokenFlag(0), "is not initialised"),
        (TokenFlag.TOKEN_INITIALIZED | TokenFlag.USER_PIN_INITIALIZED | TokenFlag.USER_PIN_COUNT_LOW, None),
    ],
)
def test_nobody_logs_in_to_a_token_that_is_locked_or_about_to_be(flags: TokenFlag, sentence: str | None) -> None:
    told = locked(flags)
    assert told is None if sentence is None else told is not None and told.startswith(sentence)


def test_a_token_that_locks_while_we_serve_is_unavailable(
    keys: Pkcs11KeyService, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs11_token, "locked", lambda flags: "is locked")
    connection = token._connection
    assert connection is not None
    connection.anchor.close()
    with pytest.raises(KeyServiceUnavailable, match="is locked"):
        keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (b"", 0o600, "one line"),
        (b"1\n2\n", 0o600, "one line"),
        (b"9" * 300, 0o600, "one line"),
        (b"\xff\xfe", 0o600, "UTF-8"),
        (b"482915", 0o604, "open to everybody"),
    ],
)
def test_a_pin_file_that_cannot_be_right_is_told_and_not_quoted(
    content: bytes, mode: int, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "pin").write_bytes(content)
    (tmp_path / "pin").chmod(mode)
    with pytest.raises(KeyServiceNotUsable, match=sentence) as told:
        PinSource(file=tmp_path / "pin").read()
    assert not content or content.decode("latin-1") not in str(told.value)


def test_a_missing_pin_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyServiceNotUsable, match="pin can't be opened: No such file"):
        PinSource(file=tmp_path / "pin").read()


def test_a_pin_comes_from_a_descriptor_which_is_read_once_and_closed() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"482915\n")
    os.close(writer)
    source = PinSource(descriptor=reader)
    assert source.read() == "482915"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
    assert source.read() == "482915", "a later login has it too"


@pytest.mark.parametrize("content", [None, b"not a module"])
def test_what_is_no_module_is_told(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "module.so").write_bytes(content)
    with pytest.raises(KeyServiceNotUsable, match=r"module\.so can't be loaded as a PKCS#11 module"):
        Library(tmp_path / "module.so")


def test_a_library_that_is_no_pkcs11_module_is_told() -> None:
    with pytest.raises(KeyServiceNotUsable, match="can't be loaded as a PKCS#11 module"):
        Library(Path("libc.so.6"))


def test_an_unknown_token_is_told(library: Library, soft: SoftToken) -> None:
    with pytest.raises(KeyServiceNotUsable, match="no token labelled nobody"):
        Pkcs11KeyService(Token(library, "nobody", PinSource(file=soft.pin_file)), "x")


# Keys that are not there, or of the wrong kind.


def refusals(keys: Pkcs11KeyService, key: KeyName) -> set[type[KeyServiceError]]:
    found = set()
    for ask in (
        lambda: keys.wrap(key, DATA_KEY, CONTEXT),
        lambda: keys.unwrap(key, bytes([2, 0, 0, 0, 1]) + bytes(60), CONTEXT),
        lambda: keys.sign(key, bytes(32), version="1"),
        lambda: keys.public_keys(key),
    ):
        with pytest.raises(KeyServiceError) as refused:
            ask()
        found.add(type(refused.value))
    return found


def test_a_key_that_nobody_made_is_unknown(keys: Pkcs11KeyService) -> None:
    assert refusals(keys, KeyName.PSEUDONYM) == {UnknownKey}
    assert refusals(keys, KeyName.CHECKPOINTS) == {UnknownKey}


def test_a_key_of_the_wrong_kind_is_told_and_stops_no_other(keys: Pkcs11KeyService, token: Token, prefix: str) -> None:
    put_secret(token, f"{prefix}:journal:1", bytes(16))
    put_secret(token, f"{prefix}:checkpoints:1", bytes(32))
    put_secret(token, f"{prefix}:log:1", bytes(24), KeyType.DES3)
    for key in (KeyName.JOURNAL, KeyName.CHECKPOINTS, KeyName.LOG):
        assert refusals(keys, key) == {KeyServiceUnavailable}
    with pytest.raises(KeyServiceUnavailable, match=f"{prefix}:journal:1 is of the wrong kind"):
        keys.wrap(KeyName.JOURNAL, DATA_KEY, CONTEXT)
    keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)


def test_two_keys_of_one_label_are_used_by_nobody(keys: Pkcs11KeyService, token: Token, prefix: str) -> None:
    for _ in range(2):
        put_secret(token, f"{prefix}:journal:1", secrets.token_bytes(32))
    with pytest.raises(KeyServiceUnavailable, match=f"two objects labelled {prefix}:journal:1"):
        keys.wrap(KeyName.JOURNAL, DATA_KEY, CONTEXT)


def test_a_form_that_is_not_its_version_s_is_refused(keys: Pkcs11KeyService, token: Token, prefix: str) -> None:
    create_version(token, prefix, KeyName.PROBE, method="aes-cbc-hmac")
    for form, length in ((2, 65), (3, 85)):
        other = KeyName.PROBE if form == 2 else KeyName.CONTENT
        with pytest.raises(UnwrapRefused, match="another form"):
            keys.unwrap(other, bytes([form, 0, 0, 0, 1]) + bytes(length - 5), CONTEXT)


# Making and destroying versions.


def test_versions_are_counted_up_and_the_newest_cannot_be_destroyed(token: Token, prefix: str) -> None:
    assert [create_version(token, prefix, KeyName.CONTENT) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(KeyServiceNotUsable, match="version 3 of content is in use"):
        destroy_version(token, prefix, KeyName.CONTENT, 3)
    with pytest.raises(UnknownKey):
        destroy_version(token, prefix, KeyName.CONTENT, 4)
    destroy_version(token, prefix, KeyName.CONTENT, 2)
    assert list_versions(token, prefix) == {KeyName.CONTENT: [1, 3]}
    assert create_version(token, prefix, KeyName.CONTENT) == 4, "a number is never given out twice"


def test_a_key_destroyed_while_all_are_listed_hides_no_other(keys: Pkcs11KeyService, token: Token, prefix: str) -> None:
    create_version(token, prefix, KeyName.CONTENT)

    class Meanwhile:
        """A session beside which somebody destroys the first version once it was found, before it is looked at."""

        def __init__(self, raw: Any) -> None:
            self.raw = raw
            self.listings = 0

        def get_objects(self, wanted: dict[Attribute, Any]) -> list[Any]:
            found = list(self.raw.get_objects(wanted))
            self.listings += 1
            if self.listings == 1:
                next(one for one in found if one[Attribute.LABEL] == f"{prefix}:content:1").destroy()
            return found

    def work(session: Session) -> None:
        meanwhile = Meanwhile(session.raw)
        ring = read_ring(meanwhile, prefix)
        assert (ring.numbers(KeyName.CONTENT), ring.numbers(KeyName.DOSSIER)) == ([2], [1])
        assert meanwhile.listings > 3, "it was not looked at again"

    token.run(work, writing=True)


def test_destroying_a_cbc_version_takes_its_mac_key_too(token: Token, prefix: str) -> None:
    for _ in range(2):
        create_version(token, prefix, KeyName.CONTENT, method="aes-cbc-hmac")
    destroy_version(token, prefix, KeyName.CONTENT, 1)
    labels = token.run(lambda session: [one[Attribute.LABEL] for one in list(session.raw.get_objects({}))])
    assert sorted(label for label in labels if label.startswith(f"{prefix}:")) == [
        f"{prefix}:content:2",
        f"{prefix}:content:2:mac",
    ]


def test_what_a_token_does_not_offer_is_told_and_nothing_is_made(
    token: Token, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = token.connect() - {Mechanism.AES_GCM, Mechanism.ECDSA}
    monkeypatch.setattr(token, "connect", lambda: offered)
    with pytest.raises(KeyServiceNotUsable, match="the token does not offer AES_GCM"):
        create_version(token, prefix, KeyName.CONTENT)
    with pytest.raises(KeyServiceNotUsable, match="the token does not offer ECDSA"):
        create_version(token, prefix, KeyName.TOKENS)
    assert create_version(token, prefix, KeyName.CONTENT, method="aes-cbc-hmac") == 1
    assert list_versions(token, prefix) == {KeyName.CONTENT: [1]}


def test_two_who_make_the_same_version_are_told(token: Token, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pkcs11_objects._create_secret

    def twice(*arguments: Any) -> None:
        real(*arguments)
        real(*arguments)

    monkeypatch.setattr(pkcs11_objects, "_create_secret", twice)
    with pytest.raises(KeyServiceNotUsable, match="two objects labelled"):
        create_version(token, prefix, KeyName.CONTENT)


def test_a_signature_has_64_bytes_when_a_number_is_short(keys: Pkcs11KeyService) -> None:
    signatures = [
        keys.sign(KeyName.TOKENS, sha256(bytes([n % 256, n // 256])).digest(), version="1") for n in range(1500)
    ]
    assert {len(signature) for signature in signatures} == {64}
    assert any(0 in (signature[0], signature[32]) for signature in signatures)


def test_softhsm_starts_where_the_system_has_no_configuration_of_it(soft: SoftToken, tmp_path: Path) -> None:
    """As in the image: there is none in /etc, and none named, until the stage's settings say where it is."""
    configuration = Path(os.environ["SOFTHSM2_CONF"])
    program = f"""
from pathlib import Path
from sceau.keys.errors import KeyServiceNotUsable
from sceau.keys.pkcs11_library import shared_library
module = Path({str(soft.module)!r})
try:
    shared_library(module)
except KeyServiceNotUsable as error:
    print(str(error).rpartition(": ")[2])
print(shared_library(module, Path({str(configuration)!r})).epoch)
"""
    environ = {**os.environ, "SOFTHSM2_CONF": str(tmp_path / "absent"), "PYTHONPATH": str(ROOT / "layers")}
    environ["PYTHONPATH"] += os.pathsep + str(ROOT / "schemas")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, env=environ, timeout=120, stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines() == ["it answered 0x5", "0"], "0x5: CKR_GENERAL_ERROR"
