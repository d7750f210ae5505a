"""Denials as they are told: no more than the caller may know, and the whole reason for the trace."""

from __future__ import annotations

import json

import pytest

from sceau.access.model import Reason, Verdict
from sceau.audit.facts import is_reason
from sceau.fhir.outcome import Problem
from sceau.http.call import Call
from sceau.http.message import Answer
from sceau.http.refusals import as_answered, not_found, refused, unseen
from unit.http.http_world import World, request

DENIALS = [reason for reason in Reason if reason.value.startswith("denied.")]
HIDDEN = {
    Reason.DENIED_MASKED,
    Reason.DENIED_DELETED,
    Reason.DENIED_FALLEN_OUT,
    Reason.DENIED_INVISIBLE,
    Reason.DENIED_REPRESENTATIVES,
    Reason.DENIED_MATRIX,
    Reason.DENIED_MATRIX_UNKNOWN,
}
"""They would tell about a document: the caller is told nothing but that it may not."""
TOLD_AS = {Reason.DENIED_CLOSED: "denied.no-record", Reason.DENIED_SUSPENDED: "denied.no-record"}
UNPROCESSABLE = {
    Reason.DENIED_LABEL,
    Reason.DENIED_LABELS_TOGETHER,
    Reason.DENIED_NOT_MINOR,
    Reason.DENIED_SECRET,
    Reason.DENIED_OPPOSED_ACT,
    Reason.DENIED_REHIDING,
}


def answer_to(reason: Reason) -> tuple[Answer, str | None]:
    """What a caller is told, and the reason that is traced."""
    world = World()

    def use_case(_: object, call: Call) -> Answer:
        raise refused(Verdict(False, reason))

    answer = world.wrapper()(request(headers={"authorization": "DPoP good"}), use_case)
    (facts,) = world.journal.events
    return answer, facts.reason


@pytest.mark.parametrize("reason", [Reason.DENIED_CLOSED, Reason.DENIED_SUSPENDED])
def test_an_absent_and_a_closed_record_read_alike_but_are_traced_apart(reason: Reason) -> None:
    absent, absent_reason = answer_to(Reason.DENIED_NO_RECORD)
    closed, closed_reason = answer_to(reason)
    assert absent == closed
    assert (absent_reason, closed_reason) == ("denied.no-record", reason.value)


@pytest.mark.parametrize("reason", DENIALS)
def test_a_denial_is_403_and_says_which_right_is_missing_where_that_tells_nothing_else(reason: Reason) -> None:
    answer, traced = answer_to(reason)
    assert answer.status == (422 if reason in UNPROCESSABLE else 403)
    assert traced == reason.value
    (issue,) = json.loads(answer.body)["issue"]
    assert issue["code"] == ("business-rule" if reason in UNPROCESSABLE else "forbidden")
    told = None if reason in HIDDEN else TOLD_AS.get(reason, reason.value)
    assert issue.get("details", {}).get("text") == told
    assert (issue["diagnostics"] == "this is not allowed") is (reason in HIDDEN)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_can_stand_in_a_trace(reason: Reason) -> None:
    assert is_reason(refused(Verdict(False, reason)).reason)


def test_unknown_not_visible_and_of_another_record_read_alike_but_are_traced_apart() -> None:
    unknown, invisible, other = not_found(), not_found("denied.invisible"), not_found("denied.other-record")
    assert unknown.status == invisible.status == other.status == 404
    assert (
        unknown.problem
        == invisible.problem
        == other.problem
        == Problem("not-found", "there is no such resource in this record")
    )
    assert [refusal.reason for refusal in (unknown, invisible, other)] == [
        "denied.unknown",
        "denied.invisible",
        "denied.other-record",
    ]


@pytest.mark.parametrize("reason", DENIALS)
def test_what_may_not_be_known_of_is_answered_as_unknown_and_read_so_by_who_answers_for_the_caller(
    reason: Reason,
) -> None:
    refusal = unseen(reason)
    assert (refusal.status, refusal.problem) == (404, not_found().problem)
    assert refusal.reason.endswith(reason.value.removeprefix("denied.")), "the trace says why"
    assert is_reason(refusal.reason)
    assert as_answered(refusal.reason) == "denied.unknown"


@pytest.mark.parametrize("reason", DENIALS)
def test_a_denial_that_was_told_is_read_as_it_was_told(reason: Reason) -> None:
    told = "denied.unknown" if reason in HIDDEN else TOLD_AS.get(reason, reason.value)
    assert as_answered(refused(Verdict(False, reason)).reason) == told


@pytest.mark.parametrize("reason", ["denied.unknown", "denied.other-record", "refused.422", "failed.error", "repeated"])
def test_what_is_no_denial_of_a_decision_stays(reason: str) -> None:
    assert as_answered(reason) == reason


@pytest.mark.parametrize("reason", DENIALS)
def test_the_exception_itself_says_nothing_but_its_reason(reason: Reason) -> None:
    assert str(refused(Verdict(False, reason))) == reason.value
