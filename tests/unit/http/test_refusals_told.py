"""Denials as they are told: no more than the caller may know, and the whole reason for the trace."""

from __future__ import annotations

import json

import pytest

from sceau.access.model import Reason, Verdict
from sceau.audit.facts import is_reason
from sceau.fhir.outcome import Problem
from sceau.http.call import Call
from sceau.http.message import Answer
from sceau.http.refusals import not_found, refused
from unit.http.http_world import World, request

DENIALS = [reason for reason in Reason if reason.value.startswith("denied.")]
SAID = {
    Reason.DENIED_SCOPE: "denied.scope",
    Reason.DENIED_ACTOR: "denied.actor",
    Reason.DENIED_OTHER_RECORD: "denied.other-record",
    Reason.DENIED_NO_RECORD: "denied.no-record",
    Reason.DENIED_CLOSED: "denied.no-record",
    Reason.DENIED_NO_GRANT: "denied.no-grant",
    Reason.DENIED_NOT_AUTHOR: "denied.not-author",
    Reason.DENIED_INSURER_TYPE: "denied.insurer-type",
}
"""The rule that the caller is told; for what is not here, none: it would tell about a document or the patient."""


def answer_to(reason: Reason) -> tuple[Answer, str | None]:
    """What a caller is told, and the reason that is traced."""
    world = World()

    def use_case(_: object, call: Call) -> Answer:
        raise refused(Verdict(False, reason))

    answer = world.wrapper()(request(headers={"authorization": "DPoP good"}), use_case)
    (facts,) = world.journal.events
    return answer, facts.reason


def test_an_absent_and_a_closed_record_read_alike_but_are_traced_apart() -> None:
    absent, absent_reason = answer_to(Reason.DENIED_NO_RECORD)
    closed, closed_reason = answer_to(Reason.DENIED_CLOSED)
    assert absent == closed
    assert (absent_reason, closed_reason) == ("denied.no-record", "denied.closed")


@pytest.mark.parametrize("reason", DENIALS)
def test_a_denial_is_403_and_says_which_right_is_missing_where_that_tells_nothing_else(reason: Reason) -> None:
    answer, traced = answer_to(reason)
    assert answer.status == 403
    assert traced == reason.value
    (issue,) = json.loads(answer.body)["issue"]
    assert issue["code"] == "forbidden"
    assert issue.get("details", {}).get("text") == SAID.get(reason)
    if reason not in SAID:
        assert issue["diagnostics"] == "this is not allowed"


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
def test_the_exception_itself_says_nothing_but_its_reason(reason: Reason) -> None:
    assert str(refused(Verdict(False, reason))) == reason.value
