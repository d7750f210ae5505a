"""A witness that keeps the protocol (C2SP tlog-witness), as far as a test lets it; in memory, on no network."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from sceau.audit.log.asking import Reply
from sceau.audit.log.checkpoints import open_checkpoint
from sceau.audit.log.cosignatures import (
    COSIGNED_ED25519,
    COSIGNED_ML_DSA_44,
    WitnessKey,
    ed25519_message,
    ml_dsa_message,
)
from sceau.audit.log.errors import NoReply, NoteRefused
from sceau.audit.log.hashes import EMPTY_ROOT, extends
from sceau.audit.log.notes import Signature, VerifierKey


@dataclass
class FakeWitness:
    """Remembers the largest checkpoint that it cosigned. `says`, when set, answers instead of it."""

    name: str
    clock: Callable[[], datetime]
    keys: Callable[[], tuple[VerifierKey, ...]]
    post_quantum: bool = False
    size: int = 0
    root: bytes = EMPTY_ROOT
    says: Callable[[bytes], Reply] | None = None
    asked: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        seed = self.name.encode().ljust(32, b".")[:32]
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(seed)
        self._ml_dsa = MLDSA44PrivateKey.from_seed_bytes(seed) if self.post_quantum else None

    @property
    def key(self) -> WitnessKey:
        if self._ml_dsa is not None:
            return WitnessKey(self.name, COSIGNED_ML_DSA_44, self._ml_dsa.public_key().public_bytes_raw())
        return WitnessKey(self.name, COSIGNED_ED25519, self._ed25519.public_key().public_bytes_raw())

    @property
    def line(self) -> str:
        """Its line in a policy."""
        return f"witness {self.name} {self.key.text()} https://{self.name}.example/w"

    def cosign(self, text: bytes, time: int) -> Signature:
        if self._ml_dsa is not None:
            value = self._ml_dsa.sign(ml_dsa_message(self.name, text, time))
        else:
            value = self._ed25519.sign(ed25519_message(text, time))
        return Signature(self.name, self.key.key_id, struct.pack(">Q", time) + value)

    def __call__(self, url: str, body: bytes, media_type: str) -> Reply:
        assert url == f"https://{self.name}.example/w/add-checkpoint"
        self.asked.append(body)
        return self.says(body) if self.says else self.honest(body)

    def honest(self, body: bytes) -> Reply:
        """What the specification wants."""
        head, _, note = body.partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        old = int(first.removeprefix("old "))
        try:
            checkpoint, parsed = open_checkpoint(note, self.keys())
        except NoteRefused:
            return Reply(403, "text/plain", b"")
        if old > checkpoint.size:
            return Reply(400, "text/plain", b"")
        if old != self.size:
            return told(self.size)
        hashes = [base64.b64decode(line, validate=True) for line in proof]
        if not extends(old, self.root, checkpoint.size, checkpoint.root, hashes):
            return Reply(422, "text/plain", b"")
        self.size, self.root = checkpoint.size, checkpoint.root
        return Reply(200, "text/plain", self.cosign(parsed.text, int(self.clock().timestamp())).line().encode())


def told(size: int) -> Reply:
    """A witness's answer to who thinks that it has seen another size."""
    return Reply(409, "text/x.tlog.size", f"{size}\n".encode())


def silent(_: bytes) -> Reply:
    raise NoReply("no answer")
