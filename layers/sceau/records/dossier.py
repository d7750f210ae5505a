"""The dossier: everything about a record but the documents' bytes, as one immutable value and as bytes.

The stored object is a clear, sorted list of the document objects that the dossier reaches (the host sees those names
anyway; sweeping and backup need no key), followed by the sealed rest. The list's SHA-256 stands in the encryption
context, so a list that was tampered with is found at once. Layout: `docs/formats/dossier.md`.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from sceau.records.commits import Commits
from sceau.records.errors import DuplicateIdentifier, RecordDamaged
from sceau.records.ids import decode_id, encode_id
from sceau.records.packing import find_aligned
from sceau.records.table import PackedTable
from sceau_schemas.dossier import DossierHead, EntryRow, SetRow, StoredIdentifier, StoredPatient

_MAGIC = b"SDP2"
_LENGTH = struct.Struct("<I")
_ID_BYTES = 16
_HASH_BYTES = 16
_IDENTIFIER_BYTES = _HASH_BYTES + _ID_BYTES
_CLEAR_FIRST_LINE = b"sceau-dossier 1\n"


def clear_part(object_names: Iterable[str]) -> bytes:
    """The clear beginning of a dossier object: a first line, the sorted names, an empty line."""
    return _CLEAR_FIRST_LINE + b"".join([name.encode() + b"\n" for name in object_names]) + b"\n"


def _listing(clear: bytes, name: str) -> bytes:
    """The clear part that lists one more name."""
    lines = clear.split(b"\n")
    insort(lines, name.encode(), 1, len(lines) - 2)  # between the first line and the empty one
    return b"\n".join(lines)


def names_digest(clear: bytes) -> bytes:
    """SHA-256 of the clear part: what the encryption context binds."""
    return hashlib.sha256(clear).digest()


def listed_names(clear: bytes) -> tuple[str, ...]:
    """The object names that a clear part lists. Raises RecordDamaged."""
    try:
        names = tuple(clear.decode("ascii").splitlines()[1:-1])
    except UnicodeDecodeError:
        raise RecordDamaged("a dossier object with a damaged list of names") from None
    if list(names) != sorted(set(names)):
        raise RecordDamaged("a dossier object with a list of names that is not sorted")
    return names


def split_object(data: bytes) -> tuple[bytes, tuple[str, ...], bytes]:
    """Return (clear part, object names, sealed part) of a stored dossier; needs no key. Raises RecordDamaged."""
    clear, sealed = divided(data)
    return clear, listed_names(clear), sealed


def divided(data: bytes) -> tuple[bytes, bytes]:
    """Return (clear part, sealed part) of a stored dossier, the clear part not looked at yet. Raises RecordDamaged."""
    if not data.startswith(_CLEAR_FIRST_LINE):
        raise RecordDamaged("not a dossier object")
    end = data.find(b"\n\n", len(_CLEAR_FIRST_LINE) - 1)
    if end < 0:
        raise RecordDamaged("a dossier object without its sealed part")
    return data[: end + 2], data[end + 2 :]


_NOBODY = StoredPatient(
    ins=StoredIdentifier(system="", value=""),
    birth_name="",
    first_names=(),
    birth_date="",
    sex="unknown",
    birth_place="",
)


def _entries() -> PackedTable[EntryRow]:
    return PackedTable(EntryRow)


def _sets() -> PackedTable[SetRow]:
    return PackedTable(SetRow)


@dataclass(frozen=True, slots=True)
class Dossier:
    """One version of a record. Changing methods return a new value; nothing is shared that could be altered.

    `commits`: the events of its versions, this one's included. `clear`: the clear part that lists the document objects
    which this version reaches. `identifiers`: packed, for each business identifier its hash and the 16 bytes of the id
    that carries it, an entry's or a set's (unique within the record, api.md).
    """

    head: DossierHead
    commits: Commits = field(default_factory=Commits)
    entries: PackedTable[EntryRow] = field(default_factory=_entries)
    sets: PackedTable[SetRow] = field(default_factory=_sets)
    clear: bytes = clear_part(())
    identifiers: bytes = b""

    @classmethod
    def of(
        cls,
        head: DossierHead,
        commits: Commits,
        entries: Sequence[tuple[EntryRow, bytes]],
        sets: Sequence[tuple[SetRow, bytes]],
    ) -> Dossier:
        """The dossier of these rows and blobs, whose ids and business identifiers differ: as if added one by one."""
        rows: list[EntryRow | SetRow] = [row for row, _ in entries]
        rows += [row for row, _ in sets]
        return cls(
            head,
            commits,
            PackedTable.of(EntryRow, entries),
            PackedTable.of(SetRow, sets),
            clear_part(sorted(row.document.object_name for row, _ in entries if not row.fallen_out)),
            b"".join([_hash(one) + decode_id(row.id) for row in rows for one in row.identifiers]),
        )

    @property
    def record_id(self) -> str:
        return self.head.record_id

    @property
    def object_names(self) -> tuple[str, ...]:
        """The document objects that this version reaches, sorted. Raises RecordDamaged."""
        return listed_names(self.clear)

    def find(self, identifier: StoredIdentifier) -> str | None:
        """The id of the entry or submission set that carries a business identifier, or None."""
        owner = self._owner(_hash(identifier))
        return None if owner is None else encode_id(owner)

    def following(self, event: str, *, at: int, **changes: Any) -> Dossier:
        """The next version, announced by `event` and made `at` (milliseconds; never before the one that it follows).

        `changes`: new values of the head's members.
        """
        head = self.head
        made = {"version": head.version + 1, "updated": max(at, head.updated), **changes}
        return replace(self, head=head.model_copy(update=made), commits=self.commits.added(event))

    def ended(self, event: str, *, at: int) -> Dossier:
        """The last version: nothing is in it but the events of its commits. Its objects are deleted after it."""
        head = DossierHead(
            record_id=self.record_id,
            version=self.head.version + 1,
            status="ended",
            opened=self.head.opened,
            updated=max(at, self.head.updated),
            patient=_NOBODY,
            consents=(),
        )
        return Dossier(head, self.commits.added(event))

    def with_entry(self, row: EntryRow, blob: bytes) -> Dossier:
        """One more document entry. Raises DuplicateIdentifier."""
        return replace(
            self,
            entries=self.entries.added(row, blob),
            clear=_listing(self.clear, row.document.object_name),
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

    def with_moved_document(self, row: EntryRow) -> Dossier:
        """An existing entry whose document is in another object now; nothing else of it may differ. Raises KeyError."""
        before = self.entries.row(row.id)
        if before is None:
            raise KeyError(row.id)
        names = set(self.object_names) - {before.document.object_name} | {row.document.object_name}
        return replace(self, entries=self.entries.replaced(row), clear=clear_part(sorted(names)))

    def with_fallen_entry(self, row: EntryRow) -> Dossier:
        """An existing entry with new values, whose document the record reaches no more: `upkeep` sweeps it.

        Raises KeyError, ValueError when the row does not say so.
        """
        if not row.fallen_out:
            raise ValueError("an entry without its document says so")
        names = (name for name in self.object_names if name != row.document.object_name)
        return replace(self, entries=self.entries.replaced(row), clear=clear_part(names))

    def _claimed(self, owner: str, identifiers: Iterable[StoredIdentifier]) -> bytes:
        own, claimed = decode_id(owner), list[bytes]()
        for key in dict.fromkeys(_hash(identifier) for identifier in identifiers):
            found = self._owner(key)
            if found is None:
                claimed += (key, own)
            elif found != own:
                raise DuplicateIdentifier("a business identifier stands in the record already")
        return self.identifiers + b"".join(claimed)

    def _owner(self, key: bytes) -> bytes | None:
        position = find_aligned(self.identifiers, key, _IDENTIFIER_BYTES)
        if position is None:
            return None
        begin = position * _IDENTIFIER_BYTES + _HASH_BYTES
        return self.identifiers[begin : begin + _ID_BYTES]


def encode(dossier: Dossier) -> bytes:
    """The plaintext that is sealed."""
    head = dossier.head.model_dump_json(exclude_defaults=True).encode()
    return b"".join(
        (
            _MAGIC,
            _LENGTH.pack(len(head)),
            head,
            _LENGTH.pack(len(dossier.commits)),
            dossier.commits.packed,
            *dossier.entries.encode(),
            *dossier.sets.encode(),
            _LENGTH.pack(len(dossier.identifiers) // _IDENTIFIER_BYTES),
            dossier.identifiers,
        )
    )


def decode(plaintext: bytes, clear: bytes) -> Dossier:
    """The dossier that `encode` wrote, whose clear part is `clear`. Raises RecordDamaged."""
    if not plaintext.startswith(_MAGIC):
        raise RecordDamaged("a dossier of an unknown format")
    at = len(_MAGIC) + _LENGTH.size
    try:
        (length,) = _LENGTH.unpack_from(plaintext, len(_MAGIC))
        head = DossierHead.model_validate_json(plaintext[at : at + length])
        commits, at = _counted(plaintext, at + length, _ID_BYTES)
        entries, at = PackedTable.decode(EntryRow, plaintext, at)
        sets, at = PackedTable.decode(SetRow, plaintext, at)
        identifiers, at = _counted(plaintext, at, _IDENTIFIER_BYTES)
    except (struct.error, ValidationError):
        raise RecordDamaged("a dossier that is not of its format") from None
    if at != len(plaintext):
        raise RecordDamaged("a dossier is longer than it says")
    if len(commits) != head.version * _ID_BYTES:
        raise RecordDamaged("a dossier without the events of all its versions")
    return Dossier(head, Commits(commits), entries, sets, clear, identifiers)


def _counted(plaintext: bytes, start: int, each: int) -> tuple[bytes, int]:
    """Pieces of `each` bytes that follow their number, and where they end. Raises struct.error, RecordDamaged."""
    (count,) = _LENGTH.unpack_from(plaintext, start)
    begin, end = start + _LENGTH.size, start + _LENGTH.size + count * each
    if end > len(plaintext):
        raise RecordDamaged("a dossier is cut")
    return plaintext[begin:end], end


def _hash(identifier: StoredIdentifier) -> bytes:
    """What the identifier table keeps: it rests sealed, so a plain hash tells nobody anything."""
    return hashlib.sha256(f"{identifier.system}\n{identifier.value}".encode()).digest()[:_HASH_BYTES]
