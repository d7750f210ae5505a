"""Problems gathered while a request is judged, and the conditions it is judged under."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from sceau.access.model import Identifier
from sceau.fhir.outcome import FhirError, Problem

_MOST_PROBLEMS: Final = 20
T = TypeVar("T")


@dataclass(slots=True)
class Findings:
    """Problems gathered, so that a sender learns of several at once. Warnings travel with what is accepted."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, text: str, expression: str, *, rule: str | None = None, code: str = "invariant") -> None:
        """Note what will be refused (422)."""
        self.errors.append(Problem(code, text, expression, rule))

    def required(self, expression: str, rule: str) -> None:
        """Note that an element which a profile requires is missing."""
        self.error("this element is required", expression, rule=rule, code="required")

    def demand(self, value: T | None, expression: str, rule: str) -> T:
        """Return what a profile requires; without it nothing more can be judged. Raises FhirError 422."""
        if value is None:
            self.required(expression, rule)
            raise FhirError(422, *self.errors[:_MOST_PROBLEMS])
        return value

    def add(self, problem: Problem | None) -> None:
        """Note a verdict by its severity."""
        if problem is not None:
            (self.errors if problem.severity == "error" else self.warnings).append(problem)

    def stop(self) -> None:
        """Raise FhirError 422 when there are errors."""
        if self.errors:
            raise FhirError(422, *self.errors[:_MOST_PROBLEMS])


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a stage and a request ask of a submission.

    `strict`: `Prefer: handling=strict`. `received`: now, the indexing date of entries that give none. `custodian`: the
    token's structure, of entries that name none.
    """

    accepted_ins_systems: Collection[str]
    strict: bool
    received: datetime
    custodian: Identifier | None = None
