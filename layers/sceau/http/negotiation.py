"""Content negotiation: FHIR in JSON only (a declared deviation), documents in their own media type."""

from __future__ import annotations

from collections.abc import Iterable

from sceau.fhir.outcome import FhirError, Problem, bad_request
from sceau.http.message import FHIR_JSON, FORM, JSON, Request

_JSON_TYPES = frozenset({FHIR_JSON, JSON})
JSON_FORMATS = frozenset({"json", JSON, FHIR_JSON})


def acceptable_types(header: str | None) -> list[tuple[str, float]]:
    """The media ranges of an Accept header with their weights, in its order (RFC 9110, 12.5.1). None is `*/*`."""
    if header is None or not header.strip():
        return [("*/*", 1.0)]
    ranges: list[tuple[str, float]] = []
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = min(1.0, max(0.0, float(value)))
                except ValueError:
                    weight = 0.0
        if name:
            ranges.append((name, weight))
    return ranges


def accepts(header: str | None, offered: Iterable[str]) -> str | None:
    """The offered type that the client likes best, or None.

    Of several ranges that a type is in, the most specific gives its weight; a weight of 0 rules it out. Among equals
    the client's order decides, then that of `offered`.
    """
    ranges = acceptable_types(header)
    best: str | None = None
    best_rank = (0.0, 0)
    for offer in offered:
        names = (offer, offer.partition("/")[0] + "/*", "*/*")
        found = [(names.index(name), place) for place, (name, _) in enumerate(ranges) if name in names]
        if found:
            _, place = min(found)
            rank = (ranges[place][1], -place)
            if rank[0] > 0 and (best is None or rank > best_rank):
                best, best_rank = offer, rank
    return best


def asked_format(request: Request) -> str | None:
    """What `_format` asks for, in lower case and without parameters; None where it is not there. FhirError 400."""
    try:
        wanted = [value for name, value in request.query_pairs() if name == "_format"]
    except ValueError:
        raise bad_request("the URL's parameters can't be read") from None
    return wanted[-1].partition(";")[0].strip().lower() if wanted else None


def require_json_answer(request: Request) -> None:
    """Refuse with 406 a client that wants FHIR in anything but JSON; `_format` counts before `Accept` (FHIR R4).

    With 400 when the URL's parameters can't be read: who comes here first may read them without care.
    """
    wanted = asked_format(request)
    if wanted is not None:
        if wanted not in JSON_FORMATS:
            raise _not_acceptable()
        return
    if accepts(request.header("accept"), (FHIR_JSON, JSON)) is None:
        raise _not_acceptable()


def require_accepted(request: Request, offered: str) -> None:
    """Refuse with 406 a client that does not take the one media type in which this can be had."""
    if accepts(request.header("accept"), (offered,)) is None:
        raise FhirError(406, Problem("not-supported", f"this is to be had as {offered} only"))


def require_json_body(request: Request) -> None:
    """Refuse with 415 a body that is not declared as FHIR in JSON."""
    if request.media_type() not in _JSON_TYPES:
        raise _unsupported("application/fhir+json")


def require_form_body(request: Request) -> None:
    """Refuse with 415 a `_search` body that is not a form; no body at all is fine (parameters may stand in the URL)."""
    if request.body and request.media_type() != FORM:
        raise _unsupported(FORM)


def is_strict(request: Request) -> bool:
    """Whether the client asked for `Prefer: handling=strict`."""
    return "handling=strict" in _preferences(request)


def wants_representation(request: Request) -> bool:
    """Whether the client asked for `Prefer: return=representation`."""
    return "return=representation" in _preferences(request)


def wants_outcome(request: Request) -> bool:
    """Whether the client asked for `Prefer: return=OperationOutcome` (FHIR R4, create)."""
    return "return=operationoutcome" in _preferences(request)


def _preferences(request: Request) -> set[str]:
    text = request.header("prefer") or ""
    # A value may be quoted (RFC 7240, section 2).
    pieces = text.replace(" ", "").replace('"', "").lower().split(",")
    return {part for piece in pieces for part in piece.split(";")}


def _not_acceptable() -> FhirError:
    return FhirError(406, Problem("not-supported", "this service answers in application/fhir+json only"))


def _unsupported(expected: str) -> FhirError:
    return FhirError(415, Problem("not-supported", f"the request's body must be declared as {expected}"))
