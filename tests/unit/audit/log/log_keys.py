"""A log's keys, fixed: an Ed25519 seed and a P-256 key that every run of a test has."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.notes import ECDSA_P256, ED25519, Note, Signature, VerifierKey, parse_note

ORIGIN = "dossier.example.org/journal"


class Keys:
    """Both private keys of a log, and their verifier keys. Keys of another `label` are others."""

    def __init__(self, label: str = "first", name: str = ORIGIN) -> None:
        self.seed = hashlib.sha256(f"seed {label}".encode()).digest()
        self.ed25519 = Ed25519PrivateKey.from_private_bytes(self.seed)
        number = int.from_bytes(hashlib.sha256(f"number {label}".encode()).digest()) >> 1
        self.p256 = ec.derive_private_key(number, ec.SECP256R1())
        der, spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        raw = serialization.PublicFormat.Raw
        self.v_ed25519 = VerifierKey(
            name, ED25519, self.ed25519.public_key().public_bytes(serialization.Encoding.Raw, raw)
        )
        self.v_p256 = VerifierKey(name, ECDSA_P256, self.p256.public_key().public_bytes(der, spki))

    @property
    def public(self) -> tuple[VerifierKey, VerifierKey]:
        """What an auditor is given."""
        return (self.v_p256, self.v_ed25519)

    def sign_p256(self, text: bytes) -> Signature:
        value = self.p256.sign(text, ec.ECDSA(hashes.SHA256()))
        return Signature(self.v_p256.name, self.v_p256.key_id, value)

    def sign_ed25519(self, text: bytes) -> Signature:
        return Signature(self.v_ed25519.name, self.v_ed25519.key_id, self.ed25519.sign(text))

    def sign(self, text: bytes) -> bytes:
        """The note that both keys signed."""
        return Note(text, (self.sign_p256(text), self.sign_ed25519(text))).encode()

    def checkpoint(self, size: int, root: bytes, origin: str = ORIGIN) -> bytes:
        return self.sign(Checkpoint(origin, size, root).text())


def resigned(note: bytes, *signatures: Signature) -> bytes:
    """The note's text with other signatures."""
    return Note(parse_note(note).text, signatures).encode()
