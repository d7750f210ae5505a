"""Signed notes and checkpoints: what is accepted has one form and both signatures; all else is refused."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, strategies as st

from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint, parse_checkpoint
from sceau.audit.log.errors import NoteRefused
from sceau.audit.log.hashes import EMPTY_ROOT
from sceau.audit.log.notes import (
    ECDSA_P256,
    Note,
    Signature,
    VerifierKey,
    parse_note,
    parse_vkey,
    parse_vkeys,
    verified,
)
from unit.audit.log.log_keys import ORIGIN, Keys, resigned

KEYS, OTHER = Keys(), Keys("other")
ROOT = bytes(range(32))
TEXT = f"{ORIGIN}\n70000\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n".encode()
VKEY = "dossier.example.org/journal+e47baba0+AZhtdZ4lX1ACM0rjizLNi2iQolA0asWP5heJvEmIF3pY"
SIGNED = (
    "— dossier.example.org/journal "
    "5HuroIFN+FyBQkL7ZEhMdcTndDLSwl0Pvr6p9+Gok7wvQf5vxHxnDpoZ1EZuhBpHYM/j9pW1xKCmdVe8K4HvlJXeQQY=\n"
)
P256_VKEY = (
    "dossier.example.org/journal+f1fb6f7e+AjBZMBMGByqGSM49AgEGCCq"
    "GSM49AwEHA0IABITD2XYZa/tNPGBMl1AXnrmSmvUJDSo9pepCoAGu6BiRp7Zn8wHv8dJaIpSOICSc+Xyeue80pdOqL1Vfs1oj6i4="
)
P256_SIGNATURE = (
    "304402207550165f3bcbf65534d6247d45f0f65106ac95bbfc34dfb44bfb5ad925da286a"
    "0220039e16cb3334fa9c29359a81a88e8a38eaf16ace46f2d64edcb3782f1d4462f8"
)


def test_the_bytes_are_frozen() -> None:
    """Ed25519 is deterministic: the whole signed form is pinned. ECDSA's is by its key id and its verification."""
    assert Checkpoint(ORIGIN, 70_000, ROOT).text() == TEXT
    assert parse_checkpoint(TEXT) == Checkpoint(ORIGIN, 70_000, ROOT)
    assert KEYS.v_ed25519.text() == VKEY
    assert KEYS.sign_ed25519(TEXT).line() == SIGNED
    assert KEYS.v_p256.text() == P256_VKEY
    assert KEYS.v_p256.verifies(TEXT, bytes.fromhex(P256_SIGNATURE))


def test_a_key_is_read_back_from_its_vkey() -> None:
    for key in KEYS.public:
        assert parse_vkey(key.text()) == key
    file = f"# the log's keys\n\n{KEYS.v_p256.text()}\n  {KEYS.v_ed25519.text()}  \n"
    assert parse_vkeys(file) == KEYS.public


def _changed(vkey: str, **parts: str) -> str:
    name, key_id, key = vkey.split("+", 2)
    return "+".join((parts.get("name", name), parts.get("key_id", key_id), parts.get("key", key)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        _changed(KEYS.v_ed25519.text(), key_id="00000000"),
        _changed(KEYS.v_ed25519.text(), key_id=KEYS.v_ed25519.key_id.hex().upper() + "A"),
        _changed(KEYS.v_ed25519.text(), name="other.example.org"),
        _changed(KEYS.v_ed25519.text(), name=""),
        _changed(KEYS.v_ed25519.text(), name="a b"),
        _changed(KEYS.v_ed25519.text(), key=OTHER.v_ed25519.text().split("+", 2)[2]),
        _changed(KEYS.v_ed25519.text(), key=base64.b64encode(b"\x04" + bytes(32)).decode()),
        _changed(KEYS.v_ed25519.text(), key=base64.b64encode(b"\x01" + bytes(31)).decode()),
        _changed(KEYS.v_p256.text(), key=base64.b64encode(b"\x02" + bytes(91)).decode()),
        KEYS.v_ed25519.text() + "\n",
        KEYS.v_ed25519.text()[:-1],
    ],
)
def test_what_is_no_vkey_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        parse_vkey(text)


def test_an_ecdsa_key_of_another_curve_is_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    der, spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    public = ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(der, spki)
    with pytest.raises(NoteRefused, match="P-256"):
        VerifierKey(ORIGIN, ECDSA_P256, public)


def test_a_checkpoint_that_both_keys_signed_is_accepted() -> None:
    note = KEYS.sign(TEXT)
    checkpoint, parsed = open_checkpoint(note, KEYS.public)
    assert checkpoint == Checkpoint(ORIGIN, 70_000, ROOT)
    assert parsed.encode() == note


def test_signatures_of_others_are_ignored_wherever_they_stand() -> None:
    """An unknown key, a known name with another id, a known id with another name: none of ours."""
    signature = KEYS.sign_ed25519(TEXT)
    strangers = (
        OTHER.sign_ed25519(TEXT),
        Signature("witness.example", bytes(4), bytes(76)),
        replace(signature, name="witness.example", value=bytes(64)),
        replace(signature, key_id=bytes(4), value=bytes(64)),
    )
    note = resigned(KEYS.sign(TEXT), *strangers, KEYS.sign_p256(TEXT), *strangers, signature, *strangers)
    assert open_checkpoint(note, KEYS.public)[0].size == 70_000


def test_one_signature_is_not_enough() -> None:
    for signature, missing in ((KEYS.sign_p256(TEXT), "Ed25519"), (KEYS.sign_ed25519(TEXT), "P-256")):
        with pytest.raises(NoteRefused, match=f"no {missing} signature"):
            open_checkpoint(resigned(KEYS.sign(TEXT), signature), KEYS.public)
    with pytest.raises(NoteRefused, match="signature"):
        open_checkpoint(OTHER.sign(TEXT), KEYS.public)


def test_a_wrong_signature_of_a_known_key_refuses_the_note_whatever_stands_beside_it() -> None:
    good_p256, good_ed25519 = KEYS.sign_p256(TEXT), KEYS.sign_ed25519(TEXT)
    r, s = decode_dss_signature(good_p256.value)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for wrong in (
        replace(good_ed25519, value=bytes(64)),
        replace(good_ed25519, value=good_ed25519.value + b"\x00"),
        replace(good_ed25519, value=good_ed25519.value[:-1]),
        replace(good_p256, value=raw),  # the JWS form instead of DER
        replace(good_p256, value=good_p256.value + b"\x00"),
        KEYS.sign_p256(TEXT + b"x"),
    ):
        for signatures in ((wrong, good_p256, good_ed25519), (good_p256, good_ed25519, wrong)):
            with pytest.raises(NoteRefused, match="is wrong"):
                open_checkpoint(resigned(KEYS.sign(TEXT), *signatures), KEYS.public)


def test_keys_of_a_rotation_are_accepted_side_by_side() -> None:
    old_and_new = (*KEYS.public, *OTHER.public)
    note = resigned(KEYS.sign(TEXT), *(keys.sign_p256(TEXT) for keys in (KEYS, OTHER)), OTHER.sign_ed25519(TEXT))
    assert set(verified(parse_note(note), old_and_new)) == {KEYS.v_p256, OTHER.v_p256, OTHER.v_ed25519}
    open_checkpoint(note, old_and_new)
    with pytest.raises(NoteRefused, match="no Ed25519"):
        open_checkpoint(note, KEYS.public)


def test_a_right_key_does_not_vouch_for_another_origin() -> None:
    with pytest.raises(NoteRefused, match="not of the log"):
        open_checkpoint(KEYS.checkpoint(3, ROOT, "another.example.org/journal"), KEYS.public)
    elsewhere = Keys("first", "another.example.org/journal")
    note = resigned(KEYS.checkpoint(3, ROOT), *parse_note(elsewhere.checkpoint(3, ROOT)).signatures)
    with pytest.raises(NoteRefused):
        open_checkpoint(note, (*KEYS.public, *elsewhere.public))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a\n0\n",
        TEXT + b"extension\n",
        TEXT[:-1],
        TEXT.replace(b"70000", b"070000"),
        TEXT.replace(b"70000", b"-1"),
        TEXT.replace(b"70000", b"7e4"),
        TEXT.replace(b"70000", "\u0667".encode()),
        TEXT.replace(b"AAEC", b"AAE"),
        TEXT.replace(b"Hh8=", b"Hh9="),  # not canonical
        TEXT.replace(b"AAEC", b"AA-C"),
        TEXT.replace(ORIGIN.encode(), b"a b"),
        TEXT.replace(ORIGIN.encode(), b"a+b"),
        TEXT.replace(ORIGIN.encode(), b""),
        b"a\n0\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        TEXT.replace(b"\n7", b"\r\n7"),
    ],
)
def test_another_text_is_no_checkpoint(text: bytes) -> None:
    with pytest.raises(NoteRefused):
        parse_checkpoint(text)


def test_an_empty_log_has_a_checkpoint() -> None:
    checkpoint = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert parse_checkpoint(checkpoint.text()) == checkpoint


LINE = KEYS.sign_ed25519(TEXT).line().encode()


@pytest.mark.parametrize(
    "note",
    [
        b"",
        TEXT,
        TEXT + LINE,
        TEXT + b"\n",
        TEXT + b"\n" + LINE[:-1],
        TEXT + b"\n" + LINE + b"\n",
        TEXT + b"\n" + LINE.replace("—".encode(), b"-"),
        TEXT + b"\n" + LINE.replace(b"= ", b"="),
        TEXT + b"\n" + LINE.replace(b" ", b"  "),
        TEXT + b"\n" + LINE[:-5] + b"\n",
        TEXT + b"\n" + "— name AAAAAA==\n".encode(),  # an id and no signature
        TEXT + b"\n" + "— na+me AAAAAAAA\n".encode(),
        TEXT + b"\n" + "— name AAAAAAB=\n".encode(),
        TEXT + b"\n" + LINE * 65,
        b"\xff" + TEXT + b"\n" + LINE,
        b"\x01" + TEXT + b"\n" + LINE,
        TEXT.replace(b"\n7", b"\r\n7") + b"\n" + LINE,
    ],
)
def test_another_form_is_no_note(note: bytes) -> None:
    with pytest.raises(NoteRefused):
        open_checkpoint(note, KEYS.public)


@given(st.data())
def test_one_changed_byte_anywhere_refuses_a_checkpoint(data: st.DataObject) -> None:
    pinned = Signature(ORIGIN, KEYS.v_p256.key_id, bytes.fromhex(P256_SIGNATURE))
    note = Note(TEXT, (pinned, KEYS.sign_ed25519(TEXT))).encode()
    assert open_checkpoint(note, KEYS.public)
    at = data.draw(st.integers(0, len(note) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda one: one != note[at]))
    with pytest.raises(NoteRefused):
        open_checkpoint(note[:at] + bytes([value]) + note[at + 1 :], KEYS.public)


def test_a_note_is_written_as_it_was_read() -> None:
    note = Note(b"text with\n\nan empty line\n", (KEYS.sign_ed25519(b"x"),))
    assert parse_note(note.encode()) == note
