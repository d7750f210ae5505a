"""Identifiers of records, entries and events.

`record-id`: keyed hash of the patient's INS; `entry-id`: 128 random bits; both as 26 lowercase base32 characters.
A document entry's FHIR id is `<record-id>.<entry-id>`, so a read needs no index.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid

ID_PATTERN = "[a-z2-7]{26}"
_ID = re.compile(ID_PATTERN)
_UUID_PREFIX = "urn:uuid:"
_PAIR = re.compile(f"({ID_PATTERN})\\.({ID_PATTERN})")

# A dossier has an id per entry, and base64.b32encode and b32decode take several times as long for each.
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_TEN_BITS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_DIGITS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")


def encode_id(sixteen_bytes: bytes) -> str:
    """Return the 26 characters that stand for 16 bytes (RFC 4648 base32, lowercase, unpadded)."""
    if len(sixteen_bytes) != 16:  # noqa: PLR2004 - 128 bits
        raise ValueError("an id has 16 bytes")
    number = int.from_bytes(sixteen_bytes) << 2  # 130 bits: what is left of the last character is zero
    return "".join([_TEN_BITS[number >> shift & 1023] for shift in _SHIFTS])


def decode_id(text: str) -> bytes:
    """Return the 16 bytes of an id. Raises ValueError for anything that `encode_id` can't have made."""
    if not _ID.fullmatch(text):
        raise ValueError("not an id")
    number = int(text.translate(_DIGITS), 32)
    if number & 3:
        raise ValueError("not a canonical id")
    return (number >> 2).to_bytes(16)


def record_id(pseudonym_key: bytes, system: str, value: str) -> str:
    """Return the record-id of an INS: HMAC-SHA-256 under the stage's pseudonym key, first 128 bits.

    The system is part of the hash: the same number under the test OID is another record.
    """
    message = b"sceau record-id 1\0" + system.encode() + b"|" + value.encode()
    return encode_id(hmac.digest(pseudonym_key, message, hashlib.sha256)[:16])


def document_id(record: str, entry: str) -> str:
    """Return the FHIR id of a document entry, submission set or consent of a record."""
    return f"{record}.{entry}"


def split_document_id(text: str) -> tuple[str, str] | None:
    """Return (record-id, entry-id), or None when `text` has another form."""
    match = _PAIR.fullmatch(text)
    return (match[1], match[2]) if match else None


def entry_uuid(entry: str) -> uuid.UUID:
    """Return the entryUUID: the entry-id's 128 bits as a UUID."""
    return uuid.UUID(bytes=decode_id(entry))


def entry_of_uuid(text: str) -> str | None:
    """Return the entry-id that an entryUUID names (`urn:uuid:…`, in capitals too, and without hyphens), or None.

    Whoever looks for an entry, and whoever looks at what was looked for, must read the same spellings: those of here.
    """
    if not text.startswith(_UUID_PREFIX):
        return None
    try:
        return encode_id(uuid.UUID(text).bytes)
    except ValueError:
        return None
