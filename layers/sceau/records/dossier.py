"""The dossier: everything about a record but the documents' bytes, as one immutable value and as bytes.

The stored object is a clear, sorted list of the document objects that the dossier reaches (the host sees those names
anyway; sweeping and backup need no key), followed by the sealed rest. The list's SHA-256 stands in the encryption
context, so a list that was tampered with is found at once. Layout: `docs/formats/dossier.md`.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from sceau.records.errors import DuplicateIdentifier, RecordDamaged
from sceau.records.ids import decode_id, encode_id
from sceau.records.table import PackedTable
from sceau_schemas.dossier import DossierHead, EntryRow, SetRow, StoredIdentifier

_MAGIC = b"SDP1"
_LENGTH = struct.Struct("<I")
_IDENTIFIER = struct.Struct("<16s16s")
_CLEAR_FIRST_LINE = b"sceau-dossier 1\n"


def _entries() -> PackedTable[EntryRow]:
    return PackedTable(EntryRow)


def _sets() -> PackedTable[SetRow]:
    return PackedTable(SetRow)


@dataclass(frozen=True, slots=True)
class Dossier:
    """One version of a record. Changing methods return a new value; nothing is shared that could be altered.

    `object_names`: the document objects that this version reaches, sorted. `identifiers`: from a business identifier's
    hash to the 16 bytes of the id that carries it, an entry's or a set's (unique within the record, api.md).
    """

    head: DossierHead
    entries: PackedTable[EntryRow] = field(default_factory=_entries)
    sets: PackedTable[SetRow] = field(default_factory=_sets)
    object_names: tuple[str, ...] = ()
    identifiers: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def record_id(self) -> str:
        return self.head.record_id

    def find(self, identifier: StoredIdentifier) -> str | None:
        """The id of the entry or submission set that carries a business identifier, or None."""
        owner = self.identifiers.get(_hash(identifier))
        return None if owner is None else encode_id(owner)

    def with_head(self, head: DossierHead) -> Dossier:
        """The same content under another head."""
        return replace(self, head=head)

    def with_entry(self, row: EntryRow, blob: bytes) -> Dossier:
        """One more document entry. Raises DuplicateIdentifier."""
        names = list(self.object_names)
        insort(names, row.document.object_name)
        return replace(
            self,
            entries=self.entries.added(row, blob),
            object_names=tuple(names),
            identifiers=self._claimed(row.id, row.identifiers),
        )

    def with_set(self, row: SetRow, blob: bytes) -> Dossier:
        """One more submission set or folder. Raises DuplicateIdentifier."""
        return replace(self, sets=self.sets.added(row, blob), identifiers=self._claimed(row.id, row.identifiers))

    def with_changed_set(self, row: SetRow) -> Dossier:
        """An existing folder with new values. Its identifiers and its blob can't change here. Raises KeyError."""
        return replace(self, sets=self.sets.replaced(row))

    def with_changed_entry(self, row: EntryRow) -> Dossier:
        """An existing entry with new values. Its identifiers and its document can't change here. Raises KeyError."""
        return replace(self, entries=self.entries.replaced(row))

    def _claimed(self, owner: str, identifiers: Iterable[StoredIdentifier]) -> Mapping[bytes, bytes]:
        claimed, own = dict(self.identifiers), decode_id(owner)
        for identifier in identifiers:
            if claimed.setdefault(_hash(identifier), own) != own:
                raise DuplicateIdentifier("a business identifier stands in the record already")
        return claimed


def clear_part(object_names: Iterable[str]) -> bytes:
    """The clear beginning of a dossier object: a first line, the sorted names, an empty line."""
    return _CLEAR_FIRST_LINE + b"".join(name.encode() + b"\n" for name in object_names) + b"\n"


def names_digest(clear: bytes) -> bytes:
    """SHA-256 of the clear part: what the encryption context binds."""
    return hashlib.sha256(clear).digest()


def split_object(data: bytes) -> tuple[bytes, tuple[str, ...], bytes]:
    """Return (clear part, object names, sealed part) of a stored dossier; needs no key. Raises RecordDamaged."""
    if not data.startswith(_CLEAR_FIRST_LINE):
        raise RecordDamaged("not a dossier object")
    end = data.find(b"\n\n", len(_CLEAR_FIRST_LINE) - 1)
    if end < 0:
        raise RecordDamaged("a dossier object without its sealed part")
    clear = data[: end + 2]
    try:
        names = tuple(clear.decode("ascii").splitlines()[1:-1])
    except UnicodeDecodeError:
        raise RecordDamaged("a dossier object with a damaged list of names") from None
    if list(names) != sorted(set(names)):
        raise RecordDamaged("a dossier object with a list of names that is not sorted")
    return clear, names, data[end + 2 :]


def encode(dossier: Dossier) -> bytes:
    """The plaintext that is sealed."""
    head = dossier.head.model_dump_json(exclude_defaults=True).encode()
    identifiers = b"".join([key + owner for key, owner in dossier.identifiers.items()])
    return b"".join(
        (
            _MAGIC,
            _LENGTH.pack(len(head)),
            head,
            *dossier.entries.encode(),
            *dossier.sets.encode(),
            _LENGTH.pack(len(dossier.identifiers)),
            identifiers,
        )
    )


def decode(plaintext: bytes, object_names: tuple[str, ...]) -> Dossier:
    """The dossier that `encode` wrote. Raises RecordDamaged."""
    if not plaintext.startswith(_MAGIC):
        raise RecordDamaged("a dossier of an unknown format")
    at = len(_MAGIC) + _LENGTH.size
    try:
        (length,) = _LENGTH.unpack_from(plaintext, len(_MAGIC))
        head = DossierHead.model_validate_json(plaintext[at : at + length])
        entries, at = PackedTable.decode(EntryRow, plaintext, at + length)
        sets, at = PackedTable.decode(SetRow, plaintext, at)
        (count,) = _LENGTH.unpack_from(plaintext, at)
        rest = plaintext[at + _LENGTH.size :]
        if len(rest) != count * _IDENTIFIER.size:
            raise RecordDamaged("a dossier is cut, or longer than it says")
        identifiers = dict(_IDENTIFIER.iter_unpack(rest))
    except (struct.error, ValidationError):
        raise RecordDamaged("a dossier that is not of its format") from None
    return Dossier(head, entries, sets, object_names, identifiers)


def _hash(identifier: StoredIdentifier) -> bytes:
    """What the identifier table keeps: it rests sealed, so a plain hash tells nobody anything."""
    return hashlib.sha256(f"{identifier.system}\n{identifier.value}".encode()).digest()[:16]
