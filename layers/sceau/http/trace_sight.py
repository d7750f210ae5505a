"""Which events a reader of traces is shown: the same decision as on documents."""

from __future__ import annotations

from dataclasses import dataclass

from sceau.audit.accesses import is_secret
from sceau.records.ids import split_document_id
from sceau_schemas.audit import AuditEvent


@dataclass(frozen=True, slots=True)
class TraceSight:
    """What one caller sees of a record's events. `hidden`: entries that the caller can't see.

    `secrets`: whether events of a connexion secrète are shown: not to a minor's representatives (CSP L. 1111-5).
    """

    hidden: frozenset[str]
    secrets: bool = True

    def __call__(self, event: AuditEvent) -> bool:
        """Whether an event is shown: not one about an entry that the caller can't see (yet)."""
        if not self.secrets and is_secret(event):
            return False
        return not any(self._concerns_hidden(entity.what.reference) for entity in event.entity if entity.what)

    def _concerns_hidden(self, reference: str | None) -> bool:
        pair = split_document_id((reference or "").partition("/")[2].partition("/")[0])
        return pair is not None and pair[1] in self.hidden
