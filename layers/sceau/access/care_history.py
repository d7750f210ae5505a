"""The insurer's care history: what of it is not accepted, and when it is no longer the record's. Pure.

Sources: CSP R. 1111-33 (reimbursements of what a minor opposed are not sent), R. 1111-42; the feed's 24 months.
"""

from __future__ import annotations

from datetime import datetime

from sceau.access.clocks import fallen_out, may_be_minor
from sceau.access.labels import VISIBILITY
from sceau.access.model import DocumentFacts, RecordFacts


def opposed(record: RecordFacts, document: DocumentFacts, now: datetime) -> bool:
    """Whether a care history tells a minor's representatives of what is kept from them: all of it is refused then.

    The minor's opposition is the secret itself: a document that is INVISIBLE_REPRESENTANTS_LEGAUX. The history tells of
    the same act when somebody who authored that document, or their structure, acted on that day [choice]. One that
    hides itself would be a way around: it has no label of visibility.
    """
    if not may_be_minor(record.birth_date, now):
        return False
    return bool(document.labels & VISIBILITY) or not document.acts.isdisjoint(record.kept_secret)


def has_fallen_out(document: DocumentFacts, now: datetime) -> bool:
    """Whether nobody reads a care history any more: another replaced it, or all its months are past."""
    if document.status == "superseded":
        return True
    return document.covers_until is not None and fallen_out(document.covers_until, now)
