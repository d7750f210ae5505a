"""Checkpoints: the text that says how large a log is, and its root (C2SP tlog-checkpoint). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sceau.audit.log.errors import NoteRefused
from sceau.audit.log.hashes import EMPTY_ROOT, HASH_BYTES
from sceau.audit.log.notes import Note, VerifierKey, parse_note, require_both

_ORIGIN = re.compile(r"[!-*,-~]{1,255}")  # ours: printable ASCII without space and plus
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its size in entries, and its root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The note's text: three lines, and no extension, which nobody could audit."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def check_origin(origin: str) -> str:
    """Return `origin` when it can name a log of ours, else raise NoteRefused."""
    if not _ORIGIN.fullmatch(origin):
        raise NoteRefused("a log's origin is printable ASCII, without spaces and plus signs")
    return origin


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Parse a checkpoint's text. Raises NoteRefused for anything but its one form."""
    lines = text.decode("utf-8").split("\n")
    if len(lines) != _LINES + 1 or lines[-1]:
        raise NoteRefused("a checkpoint of ours has three lines")
    origin, size, root = lines[:_LINES]
    check_origin(origin)
    if not _SIZE.fullmatch(size):
        raise NoteRefused("a checkpoint's size is a decimal number without leading zeros")
    try:
        decoded = base64.b64decode(root, validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != HASH_BYTES or base64.b64encode(decoded).decode() != root:
        raise NoteRefused("a checkpoint's root is 32 bytes in base64")
    if size == "0" and decoded != EMPTY_ROOT:
        raise NoteRefused("an empty log has another root")
    return Checkpoint(origin, int(size), decoded)


def open_checkpoint(data: bytes, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, Note]:
    """The checkpoint of a signed note that both keys of its log signed; the log's name is the keys' name.

    Raises NoteRefused: malformed, of another log than the keys', not signed by both, or with a wrong signature.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin not in {key.name for key in keys}:
        raise NoteRefused(f"the checkpoint is of {checkpoint.origin}, not of the log that the keys are for")
    require_both(note, keys, checkpoint.origin)
    return checkpoint, note
