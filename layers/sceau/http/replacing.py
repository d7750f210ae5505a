"""An entry that replaces others: what it takes over of them, and what becomes of them. Pure.

Whoever replaces a document may not know what masks others set on it, and must not learn it (api.md, TD3.1b). So an
entry's first version is as it was sent, which is what its publisher is answered; the masks that it takes over come with
its second version, in the same commit and by the same event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sceau.access.facts import document_facts
from sceau.access.labels import inherited
from sceau.fhir.entries import NewDocument
from sceau.fhir.patches import with_masks
from sceau.fhir.search.dates import millis
from sceau_schemas.dossier import EntryRow, EntryVersion, StoredCoding


@dataclass(frozen=True, slots=True)
class Successor:
    """A new document after the entries that it replaces.

    `labels`: those of the entry. `hidden_since`: from when INVISIBLE_PATIENT counts (milliseconds), if not from now.
    """

    document: NewDocument
    replaced: tuple[EntryRow, ...]
    labels: tuple[StoredCoding, ...]
    hidden_since: int | None

    @classmethod
    def of(cls, document: NewDocument, replaced: tuple[EntryRow, ...]) -> Successor:
        """What the document is to become. `replaced`: as they stand in the record now."""
        masks = inherited(map(document_facts, replaced))
        labels = document.labels
        if not masks.labels <= {label.code for label in labels}:
            labels = with_masks(labels, [label for row in replaced for label in row.now.labels])
        since = None if masks.hidden_since is None else millis(masks.hidden_since)
        return cls(document, replaced, labels, since)

    def versions(self, at: int, event: str) -> tuple[EntryVersion, ...]:
        """The entry's versions, the first one first: made `at` (milliseconds), announced by `event`."""
        # From its own author nothing is masked: the holder is told at once that a mask goes on.
        sent = self.labels if self.document.holders_own else self.document.labels
        first = EntryVersion(
            version=1, updated=at, event=event, status="current", labels=sent, archived=self.document.archived
        )
        if sent == self.labels:
            return (first,)
        return first, first.model_copy(update={"version": 2, "labels": self.labels})


def superseded(row: EntryRow, at: int, event: str) -> EntryRow:
    """A replaced entry as it stands from then on (milliseconds)."""
    now = row.now.model_copy(
        update={"version": row.now.version + 1, "updated": at, "event": event, "status": "superseded"}
    )
    return row.model_copy(update={"now": now, "earlier": row.versions})


def as_replaced(row: EntryRow, replacements: Mapping[str, bool]) -> EntryRow:
    """A replaced entry as somebody sees it who may not see all that replaces it: as if the others had never come.

    `replacements`: the event by which each came, and whether they see it; one of them is not seen. The versions that
    the hidden ones made are left out, and the others counted anew, as a folder's are: neither status, number nor time
    tells. What was changed afterwards is a version of its own still, only not superseded.
    """
    versions: list[EntryVersion] = []
    replaced = False
    for one in row.versions:
        seen = replacements.get(one.event)
        if seen is False:
            continue
        replaced = replaced or seen is True
        status = "current" if one.status == "superseded" and not replaced else one.status
        versions.append(one.model_copy(update={"version": len(versions) + 1, "status": status}))
    *earlier, now = versions
    return row.model_copy(update={"now": now, "earlier": tuple(earlier)})
