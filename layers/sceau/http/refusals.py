"""How a denial is told: an HTTP status, and a sentence that reveals no more than the caller may know (api.md, 403)."""

from __future__ import annotations

from sceau.access.model import Reason, Verdict
from sceau.fhir.outcome import Problem

UNKNOWN = "denied.unknown"
"""Reason that traces give for an id which the token's record does not have."""

_TEXTS: dict[Reason, str] = {
    Reason.DENIED_SCOPE: "the token's scope does not cover this",
    Reason.DENIED_ACTOR: "this kind of caller may not do this",
    Reason.DENIED_OTHER_RECORD: "the token is for another record",
    Reason.DENIED_NO_RECORD: "the patient has no open record",
    Reason.DENIED_NO_GRANT: "the patient has not authorised your structure",
    Reason.DENIED_NOT_AUTHOR: "no author organisation of the document is among your client's identifiers",
    Reason.DENIED_INSURER_TYPE: "documents of this type come from the insurer's client, and no others do",
}

_TOLD_AS = {Reason.DENIED_CLOSED: Reason.DENIED_NO_RECORD}
"""Absent and closed read alike, text and rule: whether there was a record once is the patient's affair."""


class Refused(Exception):
    """A denial of an authenticated caller: traced, then told."""

    def __init__(self, status: int, reason: str, problem: Problem) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.problem = problem


def refused(verdict: Verdict) -> Refused:
    """A right is missing: 403, which says what kind, where the caller may know. The trace says it always."""
    told = _TOLD_AS.get(verdict.reason, verdict.reason)
    text = _TEXTS.get(told)
    problem = Problem("forbidden", text, rule=told.value) if text else Problem("forbidden", "this is not allowed")
    return Refused(403, verdict.reason.value, problem)


def not_found(reason: str = UNKNOWN) -> Refused:
    """Unknown, not visible to the caller, or of another record: one answer for all three. `reason` is for the trace."""
    return Refused(404, reason, Problem("not-found", "there is no such resource in this record"))
