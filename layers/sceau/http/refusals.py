"""How a denial is told: an HTTP status, and a sentence that reveals no more than the caller may know (api.md, 403)."""

from __future__ import annotations

from typing import Final

from sceau.access.model import Reason, Verdict
from sceau.fhir.outcome import Problem

UNKNOWN = "denied.unknown"
"""Reason that traces give for an id which the token's record does not have."""

_UNSEEN: Final = "denied.unseen."
"""What begins the reason of a 404 that is elsewhere the reason of a 403, and told: who reads it knows which it was."""

_TEXTS: dict[Reason, str] = {
    Reason.DENIED_SCOPE: "the token's scope does not cover this",
    Reason.DENIED_ACTOR: "this kind of caller may not do this",
    Reason.DENIED_OTHER_RECORD: "the token is for another record",
    Reason.DENIED_OTHER_STRUCTURE: "agent.identifier names no structure of your client",
    Reason.DENIED_NO_RECORD: "the patient has no open record",
    Reason.DENIED_NO_GRANT: "the patient has not authorised your structure",
    Reason.DENIED_NOT_AUTHOR: "no author organisation of the document is among your client's identifiers",
    Reason.DENIED_INSURER_TYPE: "documents of this type come from the insurer's client, and no others do",
    Reason.DENIED_PATIENT_TYPE: "documents of this type are not the patient's own to deposit",
    Reason.DENIED_STATE: "the record is not in the state that this needs",
    Reason.DENIED_MAJORITY: "a legal representative acts for a minor",
    Reason.DENIED_MODE: "this can't be done in the mode of access that the token names",
    Reason.DENIED_BLOCKED: "the patient has blocked you",
    Reason.DENIED_INSURANCE: "nobody enters a record for an insurance or a contract, whatever was consented to",
    Reason.DENIED_PROFESSION: "the law does not give this to your profession",
    Reason.DENIED_NOT_DECLARED: "bris de glace needs a declaration: a reason, nobody to consent, immediate risk",
    Reason.DENIED_NOT_REGULATING: "only a doctor who regulates calls enters as centre 15",
    Reason.DENIED_OPPOSED: "the patient has opposed this access",
    Reason.DENIED_NO_EXPRESS_CONSENT: "the patient has not expressly consented to your access",
    Reason.DENIED_NOT_NAMED: "the patient has not named you",
    Reason.DENIED_LABEL: "nobody hides their own document from themselves",
    Reason.DENIED_LABELS_TOGETHER: "MASQUE_PS and INVISIBLE_PATIENT do not stand on one document",
    Reason.DENIED_NOT_MINOR: "INVISIBLE_REPRESENTANTS_LEGAUX is for a minor's documents",
    Reason.DENIED_SECRET: "a connexion secrète deposits with INVISIBLE_REPRESENTANTS_LEGAUX, and no other mask",
    Reason.DENIED_OPPOSED_ACT: "the care history tells of an act that is not accepted in this record",
    Reason.DENIED_REHIDING: "an INVISIBLE_ label is set at the deposit only",
}

_TOLD_AS = {
    Reason.DENIED_CLOSED: Reason.DENIED_NO_RECORD,
    Reason.DENIED_SUSPENDED: Reason.DENIED_NO_RECORD,
}
"""Absent and closed read alike, text and rule: whether there was a record once is the patient's affair."""

_CONCEALED: Final = frozenset(
    reason for reason in Reason if reason.value.startswith("denied.") and _TOLD_AS.get(reason, reason) not in _TEXTS
)
"""Reasons without a text: to tell one is to tell that a document is there, and what about it."""

_LABELS = "DocumentReference.securityLabel"
_UNPROCESSABLE = frozenset(
    {
        Reason.DENIED_LABEL,
        Reason.DENIED_LABELS_TOGETHER,
        Reason.DENIED_NOT_MINOR,
        Reason.DENIED_SECRET,
        Reason.DENIED_OPPOSED_ACT,
        Reason.DENIED_REHIDING,
    }
)
"""What is asked can't be, whoever asks: 422 (api.md, "a forbidden value")."""


class Refused(Exception):
    """A denial of an authenticated caller: traced, then told."""

    def __init__(self, status: int, reason: str, problem: Problem) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.problem = problem


def refused(verdict: Verdict) -> Refused:
    """A right is missing: 403, which says what kind, where the caller may know. The trace says it always.

    422 for what nobody may ask.
    """
    told = _TOLD_AS.get(verdict.reason, verdict.reason)
    text = _TEXTS.get(told)
    if verdict.reason in _UNPROCESSABLE:
        at = None if verdict.reason is Reason.DENIED_OPPOSED_ACT else _LABELS
        return Refused(422, verdict.reason.value, Problem("business-rule", text or "", at, told.value))
    problem = Problem("forbidden", text, rule=told.value) if text else Problem("forbidden", "this is not allowed")
    return Refused(403, verdict.reason.value, problem)


def not_found(reason: str = UNKNOWN) -> Refused:
    """Unknown, not visible to the caller, or of another record: one answer for all three. `reason` is for the trace."""
    return Refused(404, reason, Problem("not-found", "there is no such resource in this record"))


def unseen(reason: Reason) -> Refused:
    """A denial on a document that the caller may not even know of: the answer for what is not there."""
    value = reason.value
    return not_found(value if reason in _CONCEALED else _UNSEEN + value.removeprefix("denied."))


def as_answered(reason: str) -> str:
    """The reason of a trace as the refused caller, and whoever answers for that caller, may read it: as it was told."""
    if reason in _CONCEALED or reason.startswith(_UNSEEN):
        return UNKNOWN
    return next((told.value for denied, told in _TOLD_AS.items() if denied.value == reason), reason)
