"""Signed notes and their keys (C2SP signed-note), of the two types that the log signs with. Pure.

Ed25519 (0x01) and ECDSA P-256 (0x02). What is signed is the note's text with its last line feed, without the empty
line behind it. Parsing is strict: one text has one form, and what is not of that form is refused, never repaired.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sceau.audit.log.errors import NoteRefused

ED25519: Final = 0x01
ECDSA_P256: Final = 0x02

MOST_SIGNATURES: Final = 64
LONGEST_NOTE: Final = 1 << 20

_ID_BYTES = 4
_ED25519_BYTES = 32
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_VKEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that verifies notes: whose it is, its type, the key (32 bytes raw, or DER SubjectPublicKeyInfo)."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or re.search(r"[\s+]", self.name):
            raise NoteRefused("a key's name is not empty, and has no space and no plus sign")
        self._check_public()

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that tell the key in a signature line."""
        if self.kind == ECDSA_P256:
            return hashlib.sha256(self.public).digest()[:_ID_BYTES]
        return hashlib.sha256(b"%s\n%c%s" % (self.name.encode(), self.kind, self.public)).digest()[:_ID_BYTES]

    def text(self) -> str:
        """The key as a vkey."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes; for ECDSA: DER) is this key's over `text`."""
        try:
            if self.kind == ED25519:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
            else:
                self._p256().verify(signature, text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def _check_public(self) -> None:
        if self.kind == ED25519:
            if len(self.public) != _ED25519_BYTES:
                raise NoteRefused("an Ed25519 key has 32 bytes")
        elif self.kind == ECDSA_P256:
            self._p256()
        else:
            raise NoteRefused("a key of a type that is not known here")

    def _p256(self) -> ec.EllipticCurvePublicKey:
        try:
            key = load_der_public_key(self.public)
        except (ValueError, UnsupportedAlgorithm):
            raise NoteRefused("an ECDSA key is a DER SubjectPublicKeyInfo") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise NoteRefused("an ECDSA key is of the curve P-256")
        return key


def parse_vkey(text: str) -> VerifierKey:
    """Parse a vkey. Raises NoteRefused, also when its key id is not that of its key."""
    match = _VKEY.fullmatch(text)
    data = _base64(match[3]) if match else b""
    if match is None or not data:
        raise NoteRefused("not a verifier key (NAME+ID+KEY)")
    key = VerifierKey(match[1], data[0], data[1:])
    if key.key_id.hex() != match[2]:
        raise NoteRefused("a verifier key's id is not that of its key")
    return key


def parse_vkeys(text: str) -> tuple[VerifierKey, ...]:
    """The keys of a file: one vkey a line; empty lines, and lines that begin with '#', say nothing. NoteRefused."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(parse_vkey(line) for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: who is said to have signed, the key's id, and the signature."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line, with its line feed."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as parsed: nothing of it is verified."""

    text: bytes
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note's bytes."""
        return self.text + b"\n" + "".join(one.line() for one in self.signatures).encode()


def parse_note(data: bytes) -> Note:
    """Parse a signed note. Raises NoteRefused for anything but its one form."""
    if len(data) > LONGEST_NOTE:
        raise NoteRefused("the note is too long")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteRefused("the note is not UTF-8") from None
    if _CONTROL.search(whole):
        raise NoteRefused("the note has control characters")
    text, separator, rest = whole.rpartition("\n\n")
    if not separator or not rest.endswith("\n"):
        raise NoteRefused("the note has no signatures behind an empty line, or breaks off")
    lines = rest[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteRefused("the note has too many signatures")
    return Note(f"{text}\n".encode(), tuple(_signature(line) for line in lines))


def verified(note: Note, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
    """The keys of `keys` that signed the note. Signatures of other keys are ignored, as the specification says.

    Raises NoteRefused when a signature of one of them is wrong: then nothing of the note counts.
    """
    known = {(key.name, key.key_id): key for key in keys}
    good = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verifies(note.text, signature.value):
            raise NoteRefused(f"the signature of {key.name} ({_KINDS[key.kind]}, {key.key_id.hex()}) is wrong")
        if key not in good:
            good.append(key)
    return tuple(good)


def require_both(note: Note, keys: Sequence[VerifierKey], name: str) -> None:
    """Raise NoteRefused unless a key of each type, both named `name`, signed the note, and none of theirs is wrong.

    Either key alone must not be enough to show somebody a log: one is in the key service, the other in a process.
    """
    good = {key.kind for key in verified(note, keys) if key.name == name}
    for kind, text in _KINDS.items():
        if kind not in good:
            raise NoteRefused(f"the note has no {text} signature of {name} by a key that is known here")


_KINDS = {ECDSA_P256: "P-256", ED25519: "Ed25519"}


def _signature(line: str) -> Signature:
    match = _LINE.fullmatch(line)
    data = _base64(match[2]) if match else b""
    if match is None or len(data) <= _ID_BYTES:
        raise NoteRefused("a signature line is malformed")
    return Signature(match[1], data[:_ID_BYTES], data[_ID_BYTES:])


def _base64(text: str) -> bytes:
    """Decode standard base64 with padding; empty when it is not in its one canonical form."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
    return data if base64.b64encode(data).decode() == text else b""
