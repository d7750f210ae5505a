"""Sealing a record anew under the newest versions of its keys: what needs it, and the next version that has it.

An object says in clear which version of which key it needs; what is stale is found without opening anything. Its
content is opened and sealed under a fresh data key, rather than the old data key wrapped again: whoever once held what
the old version wrapped then holds nothing of the present objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import read_wrapped
from sceau.keys.ports import DATA_KEY_BYTES, KeyName, KeyService
from sceau.keys.wrapped import WrappedUnder, wrapped_under
from sceau.objects.ports import ImmutableObjects
from sceau.records.dossier import Dossier, split_object
from sceau.records.errors import RecordDamaged
from sceau.records.inventory import HEADER_BYTES
from sceau.records.repository import dossier_name
from sceau_schemas.dossier import StoredDocument

_NOWHERE = "0"


def newest_versions(keys: KeyService, random_bytes: bytes) -> dict[KeyName, WrappedUnder]:
    """What the newest versions of the records' keys make, found by wrapping something that nobody will ever need.

    `random_bytes`: 32 for each of the two. One call of the key service each; raises what `wrap` raises.
    """
    places = {
        KeyName.DOSSIER: contexts.dossier(_NOWHERE, sha256().digest()),
        KeyName.CONTENT: contexts.document(_NOWHERE, _NOWHERE),
    }
    halves = random_bytes[:DATA_KEY_BYTES], random_bytes[DATA_KEY_BYTES:]
    return {
        key: wrapped_under(keys.wrap(key, half, context))
        for (key, context), half in zip(places.items(), halves, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Staleness:
    """Tells which objects need another version of their key than the newest.

    `written_before`: where a provider turns a key over by itself, and hides it, what was written earlier is stale too.
    """

    store: ImmutableObjects
    newest: Mapping[KeyName, WrappedUnder]
    written_before: datetime | None = None

    def of(self, key: KeyName, name: str, message: bytes) -> bool:
        """Whether a sealed message, of which this is the beginning, is stale.

        Raises RecordDamaged, ObjectStoreUnavailable, ObjectAbsent.
        """
        try:
            named, wrapped = read_wrapped(message)
            under = wrapped_under(wrapped)
        except (MessageRefused, ValueError):
            raise RecordDamaged("an object of a record is no sealed message of ours") from None
        if named != key:
            raise RecordDamaged("an object of a record is sealed under another key than its kind")
        if under != self.newest[key]:
            return True
        return self.written_before is not None and not under.exact and self.store.written_at(name) < self.written_before


@dataclass(frozen=True, slots=True)
class Stale:
    """What of a record is stale: its dossier, and names of document objects that it reaches."""

    dossier: bool
    documents: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.dossier or bool(self.documents)


def stale_parts(staleness: Staleness, record_id: str, *, most: int, skipped: frozenset[str] = frozenset()) -> Stale:
    """Look at a record: at most `most` stale documents, those of `skipped` left out. Nothing is opened.

    Raises ObjectAbsent (no dossier), RecordDamaged, ObjectStoreUnavailable.
    """
    stored = staleness.store.read(dossier_name(record_id))
    _, names, sealed = split_object(stored.data)
    is_stale = staleness.of(KeyName.DOSSIER, dossier_name(record_id), sealed)
    found: list[str] = []
    for name in names:
        if len(found) == most:
            break
        if name not in skipped and staleness.of(KeyName.CONTENT, name, _start(staleness.store, name)):
            found.append(name)
    return Stale(is_stale, tuple(found))


def next_object_name(name: str) -> str:
    """The name of a document's next object: `<entry-id>`, `<entry-id>.1`, `<entry-id>.2`, …"""
    folder, _, last = name.rpartition("/")
    entry_id, _, number = last.partition(".")
    return f"{folder}/{entry_id}.{int(number or 0) + 1}"


def moved(dossier: Dossier, documents: Mapping[str, StoredDocument]) -> Dossier:
    """The dossier with the documents moved that `documents` names by their old objects.

    A document that another commit moved meanwhile stays where that one put it; one that fell out stays out.
    """
    for row in dossier.entries.rows():
        new = documents.get(row.document.object_name)
        if new is not None and not row.fallen_out:
            dossier = dossier.with_moved_document(row.model_copy(update={"document": new}))
    return dossier


def _start(store: ImmutableObjects, name: str) -> bytes:
    return store.read(name).data[:HEADER_BYTES]
