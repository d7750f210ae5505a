"""A record as one caller sees it: which document entries, and each without what would tell of another one.

So an entry is superseded before those only who see one that replaces it (issue 7: two records that differ in what is
hidden are answered alike).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

from sceau.access.document_types import INSURER_TYPES
from sceau.access.facts import document_facts
from sceau.access.labels import INVISIBLE_PATIENT
from sceau.access.model import Act, RecordFacts
from sceau.fhir.kept import fill_entry, parsed
from sceau.fhir.parse import Json, Written
from sceau.fhir.resources import technical_identifier
from sceau.fhir.search.rows import REPLACES, STATUS, TYPE, UPDATED
from sceau.http.call import Call
from sceau.http.replacing import as_replaced
from sceau.http.seeing import seen_entries
from sceau.records.columns import Columns, Values, cells
from sceau.records.dossier import Dossier
from sceau.records.table import PackedTable
from sceau_schemas.dossier import EntryRow, EntryVersion, ShownEntry

_NOT_YET_TOLD: Final = {
    "system": "urn:sceau:fhir:caution",
    "code": "not-yet-told",
    "display": "the patient can't see this document yet: its announcement is awaited",
}


def replaced_before(call: Call, dossier: Dossier, facts: RecordFacts) -> Callable[[EntryRow], bool]:
    """Whether the caller knows that something replaces an entry of its own: which it may read, or replace in its turn.

    To be told so of anything else would tell that there is something hidden: an entry may be replaced twice.
    """
    sights = [Sight(call, act, dossier, facts, origin="") for act in (Act.REPLACE, Act.READ_ENTRY)]
    return lambda row: any(sight.seen(row).now.status == "superseded" for sight in sights)


class Sight:
    """What `act` shows its caller of a record. For one request."""

    def __init__(self, call: Call, act: Act, dossier: Dossier, facts: RecordFacts, *, origin: str) -> None:
        self._decision = call.decision(act, facts)
        self._dossier = dossier
        self._origin = origin

    @property
    def entries(self) -> PackedTable[EntryRow]:
        """All entries of the record as they rest, the hidden ones too."""
        return self._dossier.entries

    @property
    def columns(self) -> Columns:
        """Theirs, as a search of the caller's compares them."""
        changed = {place: cells(row) for place, row in self._otherwise.items()}
        return self.entries.columns.read_as(
            {place: {name: found[name] for name in (STATUS, UPDATED)} for place, found in changed.items()}
        )

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

    def seen(self, row: EntryRow) -> EntryRow:
        """An entry that the caller may see, with the versions that it sees of it."""
        place = self.entries.position(row.id)
        return row if place is None else self._seen_otherwise(frozenset((row.id,))).get(place, row)

    def technical(self, places: Sequence[int]) -> list[Json | Written]:
        """What TD3.1b tells of entries."""
        return [
            technical_identifier(self._otherwise.get(place, row), record_id=self._dossier.record_id)
            for place, row in zip(places, self.entries.rows_at(places), strict=True)
        ]

    def shown_at(self, places: Sequence[int]) -> list[Json | Written]:
        """The DocumentReferences of entries that the caller sees."""
        rows, kept = self.entries.shown_at(places), self.entries.blobs_at(places)
        return [
            self._filled(self._otherwise.get(place, row), blob, None)
            for place, row, blob in zip(places, rows, kept, strict=True)
        ]

    def shown(self, row: EntryRow, version: EntryVersion | None = None) -> Json | Written:
        """That of one entry as the caller sees it (`seen`), in its present version or an earlier one."""
        return self._filled(row, self.entries.blob(row.id), version)

    def versions(self, row: EntryRow) -> list[Json]:
        """All its versions, the first one first."""
        shown = (self.shown(row, one) for one in row.versions)
        return [parsed(one) if isinstance(one, Written) else one for one in shown]

    @cached_property
    def _otherwise(self) -> Mapping[int, EntryRow]:
        return self._seen_otherwise(None)

    def _seen_otherwise(self, only: frozenset[str] | None) -> Mapping[int, EntryRow]:
        """By place: the entries that the caller sees otherwise than they rest, for it can't see all that replaces them.

        `only`: of these. Empty where nothing that replaces is hidden: that is known from the columns, without reading a
        row. What a care history replaces fell out of the record, whoever sees that one.
        """
        entries, columns = self.entries, self.entries.columns
        told = bool if only is None else lambda values: not only.isdisjoint(values)
        replacing = columns.holding(REPLACES, told, range(len(entries)))
        replacing = columns.holding(TYPE, _is_no_care_history, replacing)
        seen = set(seen_entries(self._decision, entries, replacing))
        if len(seen) == len(replacing):
            return {}
        column = columns.column(REPLACES)
        told_of = {one for place in replacing if place not in seen for one in columns.values(column[place])}
        if only is not None:
            told_of &= only
        concerned = columns.holding(REPLACES, lambda values: not told_of.isdisjoint(values), replacing)
        replacements: defaultdict[str, dict[str, bool]] = defaultdict(dict)
        for place, row in zip(concerned, entries.rows_at(concerned), strict=True):
            for target in told_of.intersection(row.replaces):
                replacements[target][row.as_sent.event] = place in seen
        places = [place for place in map(entries.position, told_of) if place is not None]
        rows = zip(places, entries.rows_at(places), strict=True)
        return {place: as_replaced(row, replacements[row.id]) for place, row in rows}

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


def _is_no_care_history(types: Values) -> bool:
    return INSURER_TYPES.isdisjoint([one.rpartition("|")[2] for one in types])
