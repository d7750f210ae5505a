"""What the labels of a document (J08) hide, from whom, and which may be set. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sceau.access.clocks import may_be_minor, visible_from
from sceau.access.model import Actor, ActorKind, DocumentFacts, Reason, RecordFacts
from sceau_schemas.rules import RuleSettings

MASKED: Final = "MASQUE_PS"
INVISIBLE_PATIENT: Final = "INVISIBLE_PATIENT"
INVISIBLE_REPRESENTATIVES: Final = "INVISIBLE_REPRESENTANTS_LEGAUX"
VISIBILITY: Final = frozenset({MASKED, INVISIBLE_PATIENT, INVISIBLE_REPRESENTATIVES})


def awaits_announcement(document: DocumentFacts, now: datetime) -> bool:
    """Whether the patient can't see the document yet: INVISIBLE_PATIENT, less than a month after its deposit.

    CSP R. 1111-53: then it becomes visible by itself. What is being deposited is hidden.
    """
    if INVISIBLE_PATIENT not in document.labels:
        return False
    return document.deposited is None or now < visible_from(document.deposited)


def hidden_from_holder(kind: ActorKind, document: DocumentFacts, now: datetime) -> Reason | None:
    """Why the holder's side can't see a document; None when it can.

    A representative, who acts while the holder is a minor, does not see what is kept from representatives
    (CSP L. 1111-5, R. 1111-33).
    """
    if not document.labels.isdisjoint(VISIBILITY):  # most have none of these
        if awaits_announcement(document, now):
            return Reason.DENIED_INVISIBLE
        if kind is ActorKind.REPRESENTATIVE and INVISIBLE_REPRESENTATIVES in document.labels:
            return Reason.DENIED_REPRESENTATIVES
    return None


def keeps_secret_sessions(kind: ActorKind) -> bool:
    """Whether what a minor did, or had done, in a connexion secrète is kept from the reader (CSP L. 1111-5)."""
    return kind is ActorKind.REPRESENTATIVE


def deposit(
    actor: Actor, record: RecordFacts, labels: frozenset[str], settings: RuleSettings, now: datetime
) -> Reason | None:
    """Why a document can't be deposited with these labels; None when it can. EX_2.1-1050."""
    found = labels & VISIBILITY
    if actor.secret and found != {INVISIBLE_REPRESENTATIVES}:
        return Reason.DENIED_SECRET
    if INVISIBLE_REPRESENTATIVES in found and not may_be_minor(record.birth_date, now):
        return Reason.DENIED_NOT_MINOR
    if actor.kind in (ActorKind.PATIENT, ActorKind.REPRESENTATIVE) and found - {MASKED}:
        return Reason.DENIED_LABEL  # nobody hides their own document from themselves
    if {MASKED, INVISIBLE_PATIENT} <= found and not settings.masked_and_invisible_together:
        return Reason.DENIED_LABELS_TOGETHER
    return None


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a document takes over of those that it replaces: labels (codes), and since when the patient waits.

    `hidden_since`: from when the month of INVISIBLE_PATIENT counts; None: from the new document's own deposit.
    """

    labels: frozenset[str] = frozenset()
    hidden_since: datetime | None = None


def inherited(replaced: Iterable[DocumentFacts]) -> Inherited:
    """What masks go on, on a document that replaces these, whatever labels it is sent with.

    A replacement lifts nothing: a mask is the holder's (CSP R. 1111-49), a minor's secret ends by a confirmed act of
    its own (EX_3.3-1045; CSP L. 1111-5), and what awaits its announcement waits on (R. 1111-53). Nor does it begin the
    month again: that counts from the first deposit under the label, also when it is over. Of several targets the one
    that waits the longest decides: its content may be in the new document too.
    """
    labels: set[str] = set()
    hidden: list[datetime] = []
    for document in replaced:
        labels |= document.labels & VISIBILITY
        if INVISIBLE_PATIENT in document.labels and document.deposited is not None:
            hidden.append(document.deposited)
    return Inherited(frozenset(labels), max(hidden, default=None))
