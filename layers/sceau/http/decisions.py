"""What a request does to a record's decisions: the next version of its head, and what contradicts what is there. Pure.

Who may decide is `access`; here is what a decision means among the others. An event's id is put in last, since the
event is written when all else is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sceau.access.facts import grant_of
from sceau.access.standing import end_of
from sceau.fhir.consents import DecisionRequest, Status
from sceau.fhir.outcome import unprocessable
from sceau.fhir.search.dates import millis
from sceau_schemas.dossier import DossierHead, StoredConsent, StoredIdentifier
from sceau_schemas.rules import RuleSettings
from sceau_schemas.systems import IDNAT_PS

PERMITS: Final = frozenset({"grant", "express", "delegation", "medecin_traitant"})
"""What ends with the record: whoever opens it again consents anew. Blocks and oppositions stay."""

_OF_ITS_LIFE: Final = (
    "status",
    "suspended",
    "closed",
    "closing_motive",
    "closing_reason",
    "deletion_requested",
    "died",
)
_PENDING: Final = ""
_ACTOR: Final = "Consent.provision.actor"
_BY_HOLDER: Final[dict[str, frozenset[str]]] = {"inactive": frozenset({"active", "proposed", "rejected"})}
_BY_DOCTOR: Final[dict[str, frozenset[str]]] = {
    "active": frozenset({"proposed"}),
    "rejected": frozenset({"proposed"}),
    "inactive": frozenset({"active"}),
}
"""Status asked for → those that it may come from."""


@dataclass(frozen=True, slots=True)
class Change:
    """A decision as it will stand, and the head with it. `changed` false: it is so already."""

    head: DossierHead
    consent: StoredConsent
    changed: bool = True

    def members(self, event: str) -> dict[str, Any]:
        """What of the head changes, announced by this event; `Dossier.following` makes the next version of it."""
        head = self.head
        return {
            **{name: getattr(head, name) for name in _OF_ITS_LIFE},
            "consents": tuple(_with_event(one, event) for one in head.consents),
        }


def _with_event(consent: StoredConsent, event: str) -> StoredConsent:
    return consent.model_copy(update={"event": event}) if consent.event == _PENDING else consent


@dataclass(frozen=True, slots=True)
class Moment:
    """When and by whom (an actor's kind and subject, as in the trace), and the stage's settings."""

    millis: int
    by: str
    settings: RuleSettings


def decided(
    head: DossierHead, asked: DecisionRequest, new_id: str, moment: Moment, *, told: Collection[StoredConsent]
) -> Change:
    """A new decision, or the one that says the same and is in force. Raises FhirError 422.

    `told`: the decisions of which the answer may tell. All others are as if they were not there.
    """
    for one in told:
        if _in_force(one, moment) and _says_the_same(one, asked, moment.millis):
            return Change(head, one, changed=False)
    _check_status(asked)
    _check_contradictions(told, asked)
    consent = StoredConsent(
        id=new_id,
        version=1,
        updated=moment.millis,
        event=_PENDING,
        kind=asked.kind,
        status=asked.status,
        mode=asked.mode,
        grantee=asked.grantee,
        grantee_display=asked.grantee_display,
        start=moment.millis if asked.start is None else asked.start,
        end=asked.end,
        by=moment.by,
    )
    _check_period(consent, moment)
    ended = head.consents
    if asked.kind == "medecin_traitant":  # who was named before, and has not answered, is named no longer
        ended = tuple(
            revised(one, "inactive", moment) if one.kind == asked.kind and one.status == "proposed" else one
            for one in head.consents
        )
    return Change(next_head(head, (*ended, consent), moment), consent)


def answered(head: DossierHead, present: StoredConsent, asked: Status, moment: Moment, *, by_holder: bool) -> Change:
    """An existing decision with another status: ended by the holder, or answered by the doctor whom it names.

    Others may end with it. Raises FhirError 422.
    """
    if present.status == asked:
        return Change(head, present, changed=False)
    if present.status not in (_BY_HOLDER if by_holder else _BY_DOCTOR).get(asked, ()):
        text = "a decision is ended (inactive); for another one, make a new one"
        raise unprocessable(text, "Consent.status", code="business-rule")
    changed = revised(present, asked, moment)
    others = _ended_with(head, present, asked)
    consents = []
    for one in head.consents:
        if one.id == present.id:
            consents.append(changed)
        elif one.id in others:
            consents.append(revised(one, "inactive", moment))
        else:
            consents.append(one)
    return Change(next_head(head, consents, moment), changed)


def _ended_with(head: DossierHead, present: StoredConsent, asked: Status) -> frozenset[str]:
    """The ids of what ends beside a decision that gets this status.

    Who accepts takes the place of the present médecin traitant. With a block goes what was collected under it for whom
    it names: its collector is told of no block, and to end one is not to let somebody in.
    """
    others: Iterable[StoredConsent] = ()
    if present.kind == "medecin_traitant" and asked == "active":
        others = (one for one in head.consents if one.kind == present.kind)
    elif present.kind == "block" and asked == "inactive":
        later = head.consents[head.consents.index(present) + 1 :]
        others = (one for one in later if one.kind in PERMITS and one.grantee == present.grantee)
    return frozenset(one.id for one in others if one.status == "active")


def opening_of(head: DossierHead) -> StoredConsent:
    """The decision that opened the record."""
    return next(one for one in head.consents if one.kind == "opening")


def next_head(head: DossierHead, consents: Iterable[StoredConsent], moment: Moment) -> DossierHead:
    """The head with these decisions, changed now."""
    return head.model_copy(update={"consents": tuple(consents), "updated": max(head.updated, moment.millis)})


def revised(consent: StoredConsent, status: Status, moment: Moment) -> StoredConsent:
    """The decision's next version, with another status."""
    return consent.model_copy(
        update={
            "version": consent.version + 1,
            "updated": moment.millis,
            "event": _PENDING,
            "status": status,
            "by": moment.by,
            "earlier": (*consent.earlier, consent.model_copy(update={"earlier": ()})),
        }
    )


def _in_force(consent: StoredConsent, moment: Moment) -> bool:
    if consent.status not in ("active", "proposed"):
        return False
    grant = grant_of(consent)
    return grant is None or moment.millis < millis(end_of(grant, moment.settings))


def _says_the_same(stored: StoredConsent, asked: DecisionRequest, now: int) -> bool:
    """Whether a decision asked for is there already. Without a start it is asked from now on.

    One that was itself asked without a start begins when it was recorded: by a clock that may have been ahead of ours.
    A médecin traitant who is named again has accepted, or is still asked.
    """
    if (stored.kind, stored.grantee, stored.mode, stored.end) != (asked.kind, asked.grantee, asked.mode, asked.end):
        return False
    if stored.start is None:
        return False
    if asked.start is not None:
        return stored.start == asked.start
    return stored.start <= now or stored.start == stored.updated


def _check_status(asked: DecisionRequest) -> None:
    wanted = "proposed" if asked.kind == "medecin_traitant" else "active"
    if asked.status != wanted:
        text = f"a new decision of this kind is {wanted}; to end one, PUT it with status inactive"
        raise unprocessable(text, "Consent.status", code="business-rule")


def _check_contradictions(told: Iterable[StoredConsent], asked: DecisionRequest) -> None:
    """Refuse what contradicts a decision that is in force: the patient ends that one first. FhirError 422."""
    active = [one for one in told if one.status in ("active", "proposed")]
    if asked.kind == "block" and _names(active, "medecin_traitant", asked.grantee):
        raise unprocessable("the médecin traitant can't be blocked: name another one first", _ACTOR, code="conflict")
    if asked.kind in PERMITS and _names(active, "block", asked.grantee):
        raise unprocessable("this professional is blocked: end the block first", _ACTOR, code="conflict")


def _names(consents: Iterable[StoredConsent], kind: str, grantee: StoredIdentifier | None) -> bool:
    person = grantee is not None and grantee.system == IDNAT_PS
    return person and any(one.kind == kind and one.grantee == grantee for one in consents)


def _check_period(consent: StoredConsent, moment: Moment) -> None:
    grant = grant_of(consent)
    if grant is None:
        return
    at = "Consent.provision.period"
    end = end_of(grant, moment.settings)
    if millis(end) <= moment.millis:
        raise unprocessable("the authorisation would have ended already", at, code="business-rule")
    if grant.end is not None and grant.end - end > timedelta(0):
        days = (end - grant.start) / timedelta(days=1)
        text = f"such an authorisation lasts {days:g} days at most, from its start"
        raise unprocessable(text, f"{at}.end", code="business-rule")
