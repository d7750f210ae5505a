"""A record as one caller sees it: which document entries, and each without what would tell of another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sceau.access.facts import document_facts
from sceau.access.labels import INVISIBLE_PATIENT
from sceau.access.model import Act, RecordFacts
from sceau.fhir.kept import fill_entry, parsed
from sceau.fhir.parse import Json, Written
from sceau.fhir.resources import technical_identifier
from sceau.http.call import Call
from sceau.http.seeing import seen_entries
from sceau.records.dossier import Dossier
from sceau.records.table import PackedTable
from sceau_schemas.dossier import EntryRow, EntryVersion, ShownEntry

_NOT_YET_TOLD: Final = {
    "system": "urn:sceau:fhir:caution",
    "code": "not-yet-told",
    "display": "the patient can't see this document yet: its announcement is awaited",
}


class Sight:
    """What `act` shows its caller of a record. For one request."""

    def __init__(self, call: Call, act: Act, dossier: Dossier, facts: RecordFacts, *, origin: str) -> None:
        self._decision = call.decision(act, facts)
        self._dossier = dossier
        self._origin = origin

    @property
    def entries(self) -> PackedTable[EntryRow]:
        """All entries of the record, the hidden ones too."""
        return self._dossier.entries

    def places(self) -> Sequence[int]:
        """Where those that the caller sees stand among them, in order of arrival."""
        return seen_entries(self._decision, self.entries)

    def sees(self, row: EntryRow) -> bool:
        """Whether the caller may see an entry."""
        return self._decision.on(document_facts(row)).allowed

    def warned(self, row: EntryRow | ShownEntry) -> bool:
        """Whether the caller must be told that the patient can't see the document yet (EX_3.2-1025)."""
        if all(label.code != INVISIBLE_PATIENT for label in row.now.labels):
            return False
        whole = row if isinstance(row, EntryRow) else self.entries.row(row.id)
        return whole is not None and self._decision.on(document_facts(whole)).caution is not None

    def technical(self, places: Sequence[int]) -> list[Json | Written]:
        """What TD3.1b tells of entries."""
        return [technical_identifier(row, record_id=self._dossier.record_id) for row in self.entries.rows_at(places)]

    def shown_at(self, places: Sequence[int]) -> list[Json | Written]:
        """The DocumentReferences of entries that the caller sees."""
        rows, kept = self.entries.shown_at(places), self.entries.blobs_at(places)
        return [self._filled(row, blob, None) for row, blob in zip(rows, kept, strict=True)]

    def shown(self, row: EntryRow, version: EntryVersion | None = None) -> Json | Written:
        """That of one entry, in its present version or an earlier one."""
        return self._filled(row, self.entries.blob(row.id), version)

    def versions(self, row: EntryRow) -> list[Json]:
        """All its versions, the first one first."""
        shown = (self.shown(row, one) for one in (*row.earlier, row.now))
        return [parsed(one) if isinstance(one, Written) else one for one in shown]

    def _filled(self, row: EntryRow | ShownEntry, blob: bytes, version: EntryVersion | None) -> Json | Written:
        written = fill_entry(row, blob, record_id=self._dossier.record_id, origin=self._origin, version=version)
        hidden = {number for number, target in enumerate(row.replaces) if not self._knows(target)}
        warned = self.warned(row)
        if not hidden and not warned:
            return written
        resource = parsed(written)
        if hidden:
            written_there = resource.pop("relatesTo", ())  # a care history rests without (`care_feed`)
            relations = [one for number, one in enumerate(written_there) if number not in hidden]
            resource |= {"relatesTo": relations} if relations else {}
        if warned:
            resource["meta"] = {**resource["meta"], "tag": [*resource["meta"].get("tag", ()), _NOT_YET_TOLD]}
        return resource

    def _knows(self, entry_id: str) -> bool:
        row = self.entries.row(entry_id)
        return row is not None and self.sees(row)
