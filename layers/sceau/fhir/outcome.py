"""Problems found in what a client sent, and the OperationOutcome that tells it. Never a patient's data in a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One issue: a FHIR issue-type `code`, what was wrong and expected, where (FHIRPath), and the rule's name."""

    code: str
    text: str
    expression: str | None = None
    rule: str | None = None
    severity: Literal["fatal", "error", "warning", "information"] = "error"


class FhirError(Exception):
    """A request refused with an HTTP status and at least one problem. Raised where the fact is known."""

    def __init__(self, status: int, *problems: Problem) -> None:
        if not problems:
            raise ValueError("an error names at least one problem")
        super().__init__(f"{status}: {problems[0].code}")
        self.status = status
        self.problems = problems


def bad_request(text: str, expression: str | None = None, *, rule: str | None = None) -> FhirError:
    """400: not FHIR."""
    return FhirError(400, Problem("structure", text, expression, rule))


def unprocessable(
    text: str, expression: str | None = None, *, rule: str | None = None, code: str = "invariant"
) -> FhirError:
    """422: FHIR, but not what PDSm or we accept."""
    return FhirError(422, Problem(code, text, expression, rule))


def operation_outcome(problems: Sequence[Problem], *, request_id: str | None = None) -> dict[str, Any]:
    """Return the OperationOutcome resource. `request_id` becomes its id, so that support can find the request."""
    issues: list[dict[str, Any]] = []
    for problem in problems:
        issue: dict[str, Any] = {"severity": problem.severity, "code": problem.code, "diagnostics": problem.text}
        if problem.rule:
            issue["details"] = {"text": problem.rule}
        if problem.expression:
            issue["expression"] = [problem.expression]
        issues.append(issue)
    outcome: dict[str, Any] = {"resourceType": "OperationOutcome", "issue": issues}
    if request_id:
        outcome["id"] = request_id
    return outcome
