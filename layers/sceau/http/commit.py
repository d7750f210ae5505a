"""The race for a record's next version: try, and try again a bounded number of times, then 409."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sceau.fhir.outcome import FhirError, Problem
from sceau.records.errors import CommitLost

MOST_ATTEMPTS = 40
"""Commits tried against other writers of the same record before 409."""

_LONGEST_PAUSE_SECONDS = 0.05
_STEP_SECONDS = 0.002

ResultT = TypeVar("ResultT")


def commit_with_retries(
    attempt: Callable[[], ResultT], *, sleep: Callable[[float], None], random_bytes: Callable[[int], bytes]
) -> ResultT:
    """Call `attempt`, which loads, decides and commits, until it doesn't lose its race. Raises FhirError 409.

    Pauses grow and are random, so that writers who met once don't meet again.
    """
    for number in range(MOST_ATTEMPTS):
        if number:
            jitter = int.from_bytes(random_bytes(2), "big") / 65536
            sleep(jitter * min(_LONGEST_PAUSE_SECONDS, _STEP_SECONDS * number))
        try:
            return attempt()
        except CommitLost:
            continue
    raise conflict("the record changed too often while this was committed; send the same request again")


def conflict(text: str) -> FhirError:
    """409: nothing changed."""
    return FhirError(409, Problem("conflict", text))
