"""What a query of traces (ITI-81) asks for: parsed, and sealed into page links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sceau.fhir.outcome import Problem, bad_request
from sceau.fhir.search.ignoring import unknown
from sceau.fhir.search.paging import PageSeal, page_token
from sceau.http.call import Call
from sceau.http.negotiation import is_strict
from sceau.http.periods import bounds, window
from sceau_schemas.audit import STRING_PARAMETERS, TOKEN_PARAMETERS

DEFAULT_COUNT: Final = 50
MOST: Final = 200
PATIENT: Final = ("patient", "patient.identifier")


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """A period [start, end[, filters, how many, and the event behind which to go on (the newest first).

    `begun`: whether the request itself says when the period begins.
    """

    start: datetime
    end: datetime
    filters: tuple[tuple[str, str], ...]
    count: int
    warnings: tuple[Problem, ...] = ()
    after: str | None = None
    begun: bool = False

    def behind(self, event_id: str | None) -> TraceQuery:
        """The same from behind an event on."""
        return replace(self, after=event_id)


def parse(
    pairs: Iterable[tuple[str, str]], call: Call, *, same_patient: Callable[[Call, str, str], None] | None
) -> TraceQuery:
    """The query that parameters make. `same_patient(call, name, value)` refuses another patient than it may be about.

    Without it a patient can't be named. Raises FhirError 400, and what `same_patient` raises.
    """
    filters, others = [], []
    period: list[str] = []
    count = DEFAULT_COUNT
    for name, value in pairs:
        if name == "date":
            period.append(value)
        elif name in PATIENT:
            if same_patient is None:
                raise bad_request(f"{name}: no patient can be named here", name)
            same_patient(call, name, value)
        elif name == "_count":
            count = _count(value)
        elif name in TOKEN_PARAMETERS or name in STRING_PARAMETERS:
            filters.append((name, value))
        elif name != "_format":
            others.append(name)
    warnings = unknown(others, strict=is_strict(call.request))
    low, high = bounds("date", period, call.now)
    start, end = window(low, high, call.now)
    return TraceQuery(start, end, tuple(filters), count, warnings, begun=low >= 0)


class TraceLinks:
    """Page links: sealed for their caller, so that an address says nothing of whose traces they are."""

    def __init__(self, seal: PageSeal, origin: str) -> None:
        self._seal = seal
        self._base = f"{origin}/fhir/AuditEvent?page="

    def link(self, call: Call, query: TraceQuery) -> str:
        """The address of the page that `query` is."""
        content = {
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "filters": query.filters,
            "count": query.count,
            "after": query.after,
        }
        return self._base + self._seal.seal(content, "AuditEvent", call.page_caller, now=call.now)

    def open(self, call: Call, pairs: Sequence[tuple[str, str]]) -> TraceQuery | None:
        """The query that `page` holds; None when there is no `page`. Raises FhirError 400."""
        page = page_token(pairs)
        if page is None:
            return None
        content = self._seal.open(page, "AuditEvent", call.page_caller, now=call.now)
        return TraceQuery(
            datetime.fromisoformat(content["start"]),
            datetime.fromisoformat(content["end"]),
            tuple((name, value) for name, value in content["filters"]),
            int(content["count"]),
            after=content["after"],
            begun=True,
        )


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:9]) > 0):
        raise bad_request("_count: expected a number, 1 or more", "_count")
    return min(int(value[:9]), MOST)
