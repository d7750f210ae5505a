"""What a query of traces (ITI-81) asks for: parsed, and sealed into page links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sceau.fhir.outcome import FhirError, Problem, bad_request
from sceau.fhir.search.dates import EPOCH, millis
from sceau.fhir.search.paging import PageCaller, PageSeal
from sceau.http.call import Call
from sceau.http.negotiation import is_strict
from sceau.http.periods import bounds
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
    filters, warnings = [], []
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
            warnings.append(
                Problem("not-supported", "a parameter is not supported and was ignored", name, severity="warning")
            )
    if warnings and is_strict(call.request):
        raise FhirError(400, *(Problem(one.code, one.text, one.expression) for one in warnings))
    start, end, begun = _period(period, call.now)
    return TraceQuery(start, end, tuple(filters), count, tuple(warnings), begun=begun)


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
        return self._base + self._seal.seal(content, "AuditEvent", _caller(call), now=call.now)

    def open(self, call: Call, pairs: Sequence[tuple[str, str]]) -> TraceQuery | None:
        """The query that `page` holds; None when there is no `page`. Raises FhirError 400."""
        pages = [value for name, value in pairs if name == "page"]
        if not pages:
            return None
        if len(pages) != 1 or any(name not in ("page", "_format") for name, _ in pairs):
            raise bad_request("page stands alone")
        content = self._seal.open(pages[0], "AuditEvent", _caller(call), now=call.now)
        return TraceQuery(
            datetime.fromisoformat(content["start"]),
            datetime.fromisoformat(content["end"]),
            tuple((name, value) for name, value in content["filters"]),
            int(content["count"]),
            after=content["after"],
            begun=True,
        )


def _caller(call: Call) -> PageCaller:
    return PageCaller(call.actor.client_id, call.actor.subject, call.record_id or "")


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:9]) > 0):
        raise bad_request("_count: expected a number, 1 or more", "_count")
    return min(int(value[:9]), MOST)


def _period(values: Sequence[str], now: datetime) -> tuple[datetime, datetime, bool]:
    """The period that `date` values bound, from its first to behind its last millisecond; whether they begin it.

    Raises FhirError.
    """
    low, high = bounds("date", values, now)
    # No event is of the future; the clocks of two processes may differ by a moment.
    soon = millis(now) + 1000
    start = EPOCH + timedelta(milliseconds=min(max(low, 0), soon))
    end = EPOCH + timedelta(milliseconds=max(min(high + 1, soon), -1))
    return start, max(start, end), low >= 0
