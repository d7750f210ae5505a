"""The proof that one event is in the log, as a file of its own (C2SP tlog-proof). Frozen: `docs/formats/log.md`. Pure.

Whoever holds an AuditEvent's exact bytes, this file and the log's public keys can check, offline and by themselves,
that the event was logged, at which index, and in a log that both signatures stand for. `extra` holds what the event's
entry is made of besides: the opening of its commitment, and the entry.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sceau.audit.ids import NO_RECORD, event_name
from sceau.audit.log.checkpoints import Checkpoint, open_checkpoint
from sceau.audit.log.entries import ENTRY_BYTES, LogEntry, decode_entry, name_digest
from sceau.audit.log.errors import ProofRefused
from sceau.audit.log.hashes import HASH_BYTES, includes, leaf_hash
from sceau.audit.log.notes import VerifierKey
from sceau.audit.sealed import OPENING_BYTES, commitment

HEAD: Final = "c2sp.org/tlog-proof@v1"
SUFFIX: Final = ".tlog-proof"
MEDIA_TYPE: Final = "text/plain; charset=utf-8"

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,17})")
_EXTRA = re.compile(r"extra ([A-Za-z0-9+/]+={0,2})")
_VERSION = 1
_MOST_HASHES = 63
_PATIENT = re.compile(r"Patient/([a-z2-7]{26})")


@dataclass(frozen=True, slots=True)
class EventProof:
    """What a proof file holds. `checkpoint` is the signed note, byte for byte; nothing here is verified yet."""

    index: int
    opening: bytes
    entry: LogEntry
    path: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """The file. Raises ValueError for an opening of another length."""
        if len(self.opening) != OPENING_BYTES:
            raise ValueError(f"an opening has {OPENING_BYTES} bytes")
        extra = bytes([_VERSION]) + self.opening + self.entry.encode()
        lines = [HEAD, f"extra {_text(extra)}", f"index {self.index}", *map(_text, self.path), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proved: which event, at which index of which log."""

    event_id: str
    index: int
    checkpoint: Checkpoint


def parse_proof(data: bytes) -> EventProof:
    """Parse a proof file of ours. Raises ProofRefused for anything but its one form."""
    head, separator, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ProofRefused("the proof is not ASCII") from None
    if not separator or lines[0] != HEAD:
        raise ProofRefused(f"the file is not a {HEAD} proof")
    extra = _EXTRA.fullmatch(lines[1]) if len(lines) > 1 else None
    index = _INDEX.fullmatch(lines[2]) if len(lines) > 2 else None  # noqa: PLR2004 - the third line
    if extra is None or index is None or len(lines) > 3 + _MOST_HASHES:
        raise ProofRefused("the proof lacks what it is said to be made of, or has too much of it")
    path = tuple(_bytes(line, HASH_BYTES) for line in lines[3:])
    opened = _bytes(extra[1], 1 + OPENING_BYTES + ENTRY_BYTES)
    if opened[0] != _VERSION:
        raise ProofRefused("the proof is of a version that is not known here")
    try:
        entry = decode_entry(opened[1 + OPENING_BYTES :])
    except ValueError as error:
        raise ProofRefused(f"the proof's entry is malformed: {error}") from None
    return EventProof(int(index[1]), opened[1 : 1 + OPENING_BYTES], entry, path, checkpoint)


def verify_event(event: bytes, data: bytes, keys: Sequence[VerifierKey]) -> Proven:
    """What proof file `data` proves of an AuditEvent's exact bytes, by the log's public keys. Needs nothing else.

    Raises ProofRefused with what is wrong, NoteRefused when the checkpoint is not one that both keys signed.
    """
    proof = parse_proof(data)
    if not hmac.compare_digest(commitment(proof.opening, event), proof.entry.commitment):
        raise ProofRefused("the event is not the one that was logged: its bytes, or the opening, are others")
    event_id = _logged_id(event, proof.entry)
    checkpoint, _ = open_checkpoint(proof.checkpoint, keys)
    leaf = leaf_hash(proof.entry.encode())
    if not includes(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root):
        raise ProofRefused(f"the proof does not lead from entry {proof.index} to the root of the checkpoint")
    return Proven(event_id, proof.index, checkpoint)


def _logged_id(event: bytes, entry: LogEntry) -> str:
    """The event's id, when the entry is that of the object that an event of this id and record rests in."""
    try:
        parsed = json.loads(event)
        event_id = parsed["id"]
        names = [event_name(record, event_id) for record in _records(event)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProofRefused("the event is not an AuditEvent of this journal") from None
    if not any(hmac.compare_digest(name_digest(name), entry.name_sha256) for name in names):
        raise ProofRefused("the event says another id, or another record, than that under which it was logged")
    return str(event_id)


def _records(event: bytes) -> Iterator[str]:
    """The records that the event may be of: those that it names, and none."""
    yield NO_RECORD
    yield from sorted({match[1] for match in _PATIENT.finditer(event.decode("utf-8"))})


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str, length: int) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != length or _text(value) != text:
        raise ProofRefused(f"the proof has something else where {length} bytes in base64 should stand")
    return value
