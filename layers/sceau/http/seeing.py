"""Which of a record's entries a caller may see: decided once for all entries that have the same facts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sceau.access.decide import Decision
from sceau.access.facts import document_facts
from sceau.access.model import Act, RecordFacts
from sceau.http.call import Call
from sceau.records.columns import FACTS, Values, read_facts
from sceau.records.table import PackedTable
from sceau_schemas.dossier import EntryRow, SetRow


def visible_entries(call: Call, act: Act, record: RecordFacts, entries: PackedTable[EntryRow]) -> Sequence[int]:
    """The places of the entries that the caller may see, in order of arrival. Raises RecordDamaged."""
    return seen_entries(call.decision(act, record), entries)


def seen_entries(
    decision: Decision, entries: PackedTable[EntryRow], among: Sequence[int] | None = None
) -> Sequence[int]:
    """Likewise by a decision that is there already, of all or `among` some."""

    def allowed(values: Values) -> bool:
        return decision.on(document_facts(read_facts(values))).allowed

    return entries.columns.holding(FACTS, allowed, range(len(entries)) if among is None else among)


def hidden_entries(decision: Decision, entries: PackedTable[EntryRow]) -> list[EntryRow]:
    """The entries that the caller may not see. Raises RecordDamaged."""
    hidden = set(range(len(entries))).difference(seen_entries(decision, entries))
    return entries.rows_at(sorted(hidden))


def hidden_sets(hidden: Collection[EntryRow], sets: PackedTable[SetRow]) -> list[SetRow]:
    """The sets and folders that a caller who may not see the entries `hidden` sees nothing of. Raises RecordDamaged."""
    if not hidden:
        return []
    unseen = {row.id for row in hidden}
    return [row for row in sets.rows() if row.entries and unseen.issuperset(row.entries)]
