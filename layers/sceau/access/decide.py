"""May this actor do this act on this record and document now, and why. Pure and total; what no rule allows is denied.

A decision goes through the checks in order; the first that denies gives the reason. `articles` has the source of each
reason, `standing` how a professional gets in, `labels` what labels hide, `clocks` what time changes, `matrix` which
profession sees which type.

`Decision` does once what depends on the record and the caller alone, then answers for each document: a search asks for
thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from sceau.access.acts import ALWAYS_READ, CHANGING, DECIDING, FEEDING, LIFE, READING, REVIEWING, may_ask
from sceau.access.care_history import has_fallen_out, opposed
from sceau.access.clocks import is_surely_minor
from sceau.access.document_types import INSURER_TYPES, PATIENT_TYPES
from sceau.access.labels import INVISIBLE_PATIENT, MASKED, awaits_announcement, deposit, hidden_from_holder
from sceau.access.matrix import Cell, Rules
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    Caution,
    DocumentFacts,
    Identifier,
    Mode,
    Reason,
    RecordFacts,
    RecordStatus,
    Special,
    Verdict,
)
from sceau.access.standing import (
    MEDECIN,
    barred,
    breaking_glass,
    entry,
    express_consent,
    is_medecin_traitant,
    special_of,
)

_HOLDER: Final = frozenset({ActorKind.PATIENT, ActorKind.REPRESENTATIVE})
_OF_ONE_RECORD: Final = _HOLDER | {ActorKind.PROFESSIONAL}
_TOTAL_RIGHT: Final = frozenset({Reason.ALLOWED_MEDECIN_TRAITANT, Reason.ALLOWED_DELEGATION})
_STATES: Final = {
    Act.CLOSE_RECORD: (RecordStatus.OPEN, RecordStatus.SUSPENDED, RecordStatus.CLOSED),
    Act.REOPEN_RECORD: (RecordStatus.CLOSED, RecordStatus.OPEN),
    Act.SUSPEND_RECORD: (RecordStatus.OPEN, RecordStatus.SUSPENDED),
    Act.OBJECT_TO_SUSPENSION: (RecordStatus.SUSPENDED, RecordStatus.OPEN),
    Act.REQUEST_DELETION: (RecordStatus.CLOSED,),
    Act.REPORT_DEATH: (RecordStatus.OPEN, RecordStatus.SUSPENDED, RecordStatus.CLOSED, RecordStatus.DECEASED),
    Act.CORRECT_DEATH: (RecordStatus.DECEASED, RecordStatus.CLOSED, RecordStatus.OPEN),
}
"""In which states an act is possible: where it leads too, for the same request again is answered as the first time."""
_NOT_OPEN: Final = {
    RecordStatus.ABSENT: Reason.DENIED_NO_RECORD,
    RecordStatus.CLOSED: Reason.DENIED_CLOSED,
    RecordStatus.DECEASED: Reason.DENIED_CLOSED,
    RecordStatus.SUSPENDED: Reason.DENIED_SUSPENDED,
}
_BY_TYPE: Final = READING | CHANGING - {Act.DELETE}
_DELETED: Final = "entered-in-error"


def decide(
    act: Act, actor: Actor, record: RecordFacts, document: DocumentFacts | None, rules: Rules, now: datetime
) -> Verdict:
    """The verdict. `document` is None for an act on the record as a whole (a search is then decided per entry too)."""
    return Decision(act, actor, record, rules, now).on(document)


def of_own_structure(actor: Actor, asked: Collection[Identifier]) -> Verdict:
    """Whether the traces that are asked for, of these structures, are those of the caller's own, and of no other."""
    if asked and set(asked) <= set(actor.structures):
        return Verdict(True, Reason.ALLOWED_STRUCTURE)
    return Verdict(False, Reason.DENIED_OTHER_STRUCTURE)


class Decision:
    """One act of one actor on one record at one time. `on` gives the verdict for a document, or for the whole."""

    __slots__ = ("_act", "_actor", "_cells", "_judge", "_matrix", "_now", "_record", "_rules", "_verdicts", "_whole")

    def __init__(self, act: Act, actor: Actor, record: RecordFacts, rules: Rules, now: datetime) -> None:
        self._act, self._actor, self._record = act, actor, record
        self._rules, self._now = rules, now
        self._verdicts: dict[tuple[Reason, bool], Verdict] = {}
        self._judge: Callable[[DocumentFacts], Reason] | None = None
        asks_matrix = actor.kind is ActorKind.PROFESSIONAL and act in _BY_TYPE
        matrix = rules.matrix(now) if asks_matrix else None
        self._matrix = matrix.version if matrix else None
        self._cells = matrix.row(actor.profession, actor.role) if matrix else {}
        early = may_ask(act, actor)
        self._whole = early.reason if early is not None else self._on_record()

    @property
    def matrix(self) -> str | None:
        """The edition of the habilitation matrix that the decision uses: a professional's only."""
        return self._matrix

    def on(self, document: DocumentFacts | None) -> Verdict:
        """The verdict on a document; None: on the act as a whole."""
        if document is None or self._judge is None:
            return self._verdict(self._whole)
        reason = self._judge(document)
        warned = (
            reason.value.startswith("allowed.")
            and self._actor.kind is ActorKind.PROFESSIONAL
            and INVISIBLE_PATIENT in document.labels
            and awaits_announcement(document, self._now)
        )
        return self._verdict(reason, warned=warned)

    def _verdict(self, reason: Reason, *, warned: bool = False) -> Verdict:
        found = self._verdicts.get((reason, warned))
        if found is None:
            allowed = reason.value.startswith("allowed.")
            found = Verdict(allowed, reason, self._matrix, Caution.NOT_YET_TOLD if warned else None)
            self._verdicts[reason, warned] = found
        return found

    # What the record and the caller alone decide. `_judge` is set where documents decide further.

    def _on_record(self) -> Reason:
        act, actor, record = self._act, self._actor, self._record
        if act is Act.COUNT_REVIEWS:
            return Reason.ALLOWED_FIGURES
        if act is Act.EXTRACT_TRACES:
            return self._extracting()
        if act in REVIEWING:
            return Reason.ALLOWED_STRUCTURE if actor.structures else Reason.DENIED_NOT_NAMED
        if actor.kind in _OF_ONE_RECORD and actor.record_id is None:
            return Reason.DENIED_OTHER_RECORD
        if actor.record_id is not None and actor.record_id != record.record_id:
            return Reason.DENIED_OTHER_RECORD
        if actor.kind is ActorKind.REPRESENTATIVE and not is_surely_minor(record.birth_date, self._now):
            return Reason.DENIED_MAJORITY
        if act is Act.OPEN_RECORD:
            return self._opening()
        if act in ALWAYS_READ:
            return self._always_read()
        if act in LIFE and record.status is not RecordStatus.ABSENT:
            return self._by_whom() if record.status in _STATES[act] else Reason.DENIED_STATE
        return self._not_open() or self._on_open_record()

    def _not_open(self) -> Reason | None:
        """Why nobody reads or changes the record in its state; None for an open one."""
        status = self._record.status
        return None if status is RecordStatus.OPEN else _NOT_OPEN[status]

    def _extracting(self) -> Reason:
        """HOM EX_AIR-120: a structure's own, over all records; so its token names none. `of_own_structure` is next."""
        if self._actor.record_id is not None:
            return Reason.DENIED_OTHER_RECORD
        return Reason.ALLOWED_STRUCTURE if self._actor.structures else Reason.DENIED_OTHER_STRUCTURE

    def _on_open_record(self) -> Reason:
        act, actor = self._act, self._actor
        if act in DECIDING:
            return self._by_whom()
        if act in FEEDING:
            return self._feeding()
        if act is Act.FIND_IDENTIFIER:
            return self._finding()
        if act in CHANGING and actor.secret:
            return Reason.DENIED_MODE  # representatives see that their document changed, and when: not in secret
        if actor.kind in _HOLDER:
            self._judge = self._holders_change if act in CHANGING else self._seen_by_holder
            return self._by_whom()
        if actor.kind is ActorKind.PROFESSIONAL:
            return self._professional()
        self._judge = self._authors_change  # software changes what it authored: of all else it knows nothing
        return Reason.ALLOWED_AUTHOR

    def _finding(self) -> Reason:
        actor = self._actor
        if actor.kind is ActorKind.PROFESSIONAL:
            denied = barred(actor, self._record, self._rules.settings)
            if denied is not None:
                return denied
        self._judge = self._found
        return Reason.ALLOWED_AUTHOR

    def _by_whom(self) -> Reason:
        match self._actor.kind:
            case ActorKind.PATIENT:
                return Reason.ALLOWED_HOLDER
            case ActorKind.REPRESENTATIVE:
                return Reason.ALLOWED_REPRESENTATIVE
            case _:
                return Reason.ALLOWED_INSURER

    def _opening(self) -> Reason:
        if self._record.status not in (RecordStatus.OPEN, RecordStatus.ABSENT):
            return Reason.DENIED_CLOSED  # reopening, and objecting, are acts of their own
        return self._by_whom()

    def _always_read(self) -> Reason:
        act, actor, record = self._act, self._actor, self._record
        if actor.kind in _HOLDER:
            if act is Act.READ_TRACES:
                self._judge = self._told_to_holder
            return self._by_whom()
        if act is Act.READ_STATUS:
            # TD0.2 tells what may be done here and why not: it needs no grant, else nobody could learn it.
            return Reason.ALLOWED_STATUS
        if act is Act.READ_NOTICES:
            return self._notified()
        if record.status is RecordStatus.ABSENT:
            return Reason.DENIED_NO_RECORD
        return Reason.ALLOWED_NAMED  # of the consents: those that name the professional, or the structure

    def _notified(self) -> Reason:
        """The médecin traitant is told of emergencies (CSP R. 1111-48), as long as they may read the record itself."""
        denied = self._not_open() or barred(self._actor, self._record, self._rules.settings)
        if denied is not None:
            return denied
        named = is_medecin_traitant(self._actor, self._record)
        return Reason.ALLOWED_MEDECIN_TRAITANT if named else Reason.DENIED_NOT_NAMED

    def _feeding(self) -> Reason:
        actor, record, settings = self._actor, self._record, self._rules.settings
        self._judge = self._fed_by_holder if actor.kind in _HOLDER else self._fed_by_author
        denied = None
        if actor.kind is ActorKind.PROFESSIONAL:
            denied = barred(actor, record, settings) or self._feeding_mode()
        if denied is not None:
            self._judge = None
            return denied
        return Reason.DENIED_NOT_AUTHOR

    def _feeding_mode(self) -> Reason | None:
        """An authorisation matters for reading only; the emergency, and special doctors, have rules of their own."""
        reason: Reason | None = None
        if self._actor.mode is Mode.CENTRE_15:
            return Reason.DENIED_MODE
        if self._actor.mode is Mode.BRIS_DE_GLACE:
            reason = breaking_glass(self._actor, self._record, self._now)
        elif special_of(self._actor) in (Special.OCCUPATIONAL, Special.FIRE_BRIGADE):
            reason = express_consent(self._actor, self._record, self._rules.settings, self._now)
        return reason if reason is not None and reason.value.startswith("denied.") else None

    def _professional(self) -> Reason:
        act, actor, record, settings = self._act, self._actor, self._record, self._rules.settings
        if act is Act.COLLECT_CONSENT:
            return self._collecting()
        if act is Act.ACCEPT_MEDECIN_TRAITANT:
            return self._accepting()
        if act in CHANGING and actor.mode is not Mode.NORMAL:
            return Reason.DENIED_MODE
        if act is Act.DELETE:
            denied = barred(actor, record, settings)
            self._judge = self._authors_change if denied is None else None
            return denied or Reason.ALLOWED_AUTHOR
        reason = entry(actor, record, settings, self._now)
        if reason.value.startswith("allowed."):
            self._judge = self._professionals_change if act in CHANGING else self._seen_by_professional
        return reason

    def _collecting(self) -> Reason:
        """CSP L. 1111-17 II: any means, also for a colleague. Express consents are the holder's own to give."""
        denied = self._kept_from_deciding()
        if denied is None and special_of(self._actor) is not None:
            denied = Reason.DENIED_NO_EXPRESS_CONSENT
        return denied or Reason.ALLOWED_COLLECTING

    def _kept_from_deciding(self) -> Reason | None:
        """Why a professional records no decision here at all.

        In a connexion secrète: representatives read the decisions, and would see whom the minor consulted, and when.
        """
        if self._actor.mode is not Mode.NORMAL or self._actor.secret:
            return Reason.DENIED_MODE
        return barred(self._actor, self._record, self._rules.settings)

    def _accepting(self) -> Reason:
        actor, record = self._actor, self._record
        denied = self._kept_from_deciding()
        if denied is not None:
            return denied
        if actor.professional not in record.named:
            return Reason.DENIED_NOT_NAMED
        return Reason.ALLOWED_NAMED if actor.profession == MEDECIN else Reason.DENIED_PROFESSION

    # What a document decides further.

    def _fed_by_author(self, document: DocumentFacts) -> Reason:
        """PUBLISH looks at the new document, REPLACE at the one that is to be superseded."""
        if (document.type_code in INSURER_TYPES) != (self._actor.kind is ActorKind.INSURER):
            return Reason.DENIED_INSURER_TYPE
        if not self._is_author(document):
            return Reason.DENIED_NOT_AUTHOR
        return self._fed(document)

    def _fed_by_holder(self, document: DocumentFacts) -> Reason:
        if not document.holders_own or document.author_structures or document.author_professionals:
            return Reason.DENIED_NOT_AUTHOR
        if document.type_code not in PATIENT_TYPES:
            return Reason.DENIED_PATIENT_TYPE
        if self._act is Act.REPLACE and hidden_from_holder(self._actor.kind, document, self._now) is not None:
            return Reason.DENIED_NOT_AUTHOR
        return self._fed(document)

    def _fed(self, document: DocumentFacts) -> Reason:
        if self._act is Act.REPLACE:
            return Reason.DENIED_DELETED if document.status == _DELETED else Reason.ALLOWED_FEEDING
        if document.type_code in INSURER_TYPES and opposed(self._record, document, self._now):
            return Reason.DENIED_OPPOSED_ACT
        denied = deposit(self._actor, self._record, document.labels, self._rules.settings, self._now)
        return denied or Reason.ALLOWED_FEEDING

    def _found(self, document: DocumentFacts) -> Reason:
        """TD3.1b: whoever authored an entry may learn its id and status, and nothing else."""
        if document.status == _DELETED:
            return Reason.DENIED_DELETED
        return Reason.ALLOWED_AUTHOR if self._is_author(document) else Reason.DENIED_NOT_AUTHOR

    def _told_to_holder(self, document: DocumentFacts) -> Reason:
        """A trace of a document is shown to whom the document may be, deleted or not (CSP R. 1111-43)."""
        return hidden_from_holder(self._actor.kind, document, self._now) or self._whole

    def _gone(self, document: DocumentFacts) -> Reason | None:
        """Why nobody reads a document any more: deleted, or a care history whose months fell out."""
        if document.status == _DELETED:
            return Reason.DENIED_DELETED
        if document.type_code in INSURER_TYPES and has_fallen_out(document, self._now):
            return Reason.DENIED_FALLEN_OUT
        return None

    def _seen_by_holder(self, document: DocumentFacts) -> Reason:
        gone = self._gone(document)
        if gone is not None:
            return gone
        return hidden_from_holder(self._actor.kind, document, self._now) or self._whole

    def _holders_change(self, document: DocumentFacts) -> Reason:
        if self._act is Act.DELETE and document.status == _DELETED and document.holders_own:
            return self._whole  # done already: the same request again is answered as the first time
        seen = self._seen_by_holder(document)
        if seen is not self._whole:
            return seen
        if self._act is Act.HIDE_AFTERWARDS:
            return Reason.DENIED_REHIDING
        if self._act is Act.DELETE and not document.holders_own:
            return Reason.DENIED_NOT_AUTHOR  # CSP R. 1111-51: the holder may ask its author
        return self._whole

    def _seen_by_professional(self, document: DocumentFacts) -> Reason:
        gone = self._gone(document)
        if gone is not None:
            return gone
        cell = self._cells.get(document.type_code, Cell.UNKNOWN)
        if cell is not Cell.ALLOW:
            return Reason.DENIED_MATRIX if cell is Cell.DENY else Reason.DENIED_MATRIX_UNKNOWN
        if self._actor.mode is not Mode.NORMAL:
            masked = MASKED in document.labels and not self._rules.settings.emergency_sees_masked
            return Reason.DENIED_MASKED if masked else self._whole
        if self._is_author(document):
            return Reason.ALLOWED_AUTHOR
        if MASKED in document.labels and self._whole not in _TOTAL_RIGHT:
            return Reason.DENIED_MASKED
        return self._whole

    def _professionals_change(self, document: DocumentFacts) -> Reason:
        """By whoever reads it; a mask is lifted by its author alone.

        It is the holder's decision (CSP R. 1111-49): L. 1111-16 lets the médecin traitant see behind it, no more.
        """
        seen = self._seen_by_professional(document)
        if not seen.value.startswith("allowed."):
            return seen
        if self._act is Act.UNMASK and not self._is_author(document):
            return Reason.DENIED_NOT_AUTHOR
        return self._relabelled(document, seen)

    def _authors_change(self, document: DocumentFacts) -> Reason:
        """By the author, who needs no authorisation (IG4DMP TD3.3c NB1, and its profile "Alimentation")."""
        if self._act is Act.DELETE:  # of what is deleted already too: the same request again is answered the same
            return Reason.ALLOWED_AUTHOR if self._is_author(document) else Reason.DENIED_NOT_AUTHOR
        found = self._found(document)
        return self._relabelled(document, found) if found is Reason.ALLOWED_AUTHOR else found

    def _relabelled(self, document: DocumentFacts, allowed: Reason) -> Reason:
        if self._act is Act.HIDE_AFTERWARDS:
            return Reason.DENIED_REHIDING
        together = self._act is Act.MASK and awaits_announcement(document, self._now)
        if together and not self._rules.settings.masked_and_invisible_together:
            return Reason.DENIED_LABELS_TOGETHER
        return allowed

    def _is_author(self, document: DocumentFacts) -> bool:
        """The author is the structure (or the professional) that the entry names, and no one else."""
        actor = self._actor
        if not document.author_structures.isdisjoint(actor.structures):
            return True
        return actor.professional is not None and actor.professional in document.author_professionals
