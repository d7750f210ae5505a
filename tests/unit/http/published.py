"""A record in one process, open and shared with the hospital, into which tests publish, and from which they read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fixtures.inprocess import Process, Response, Session, World
from sceau.cli import bodies
from sceau.cli.bodies import SampleDocument, SampleFolder
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes
from sceau.fhir.search.parameters import Parameter
from sceau_schemas.dossier import StoredIdentifier

Json = dict[str, Any]
Span = tuple[float, float]

WHEN = datetime(2026, 2, 1, 9, tzinfo=UTC)
URI = "urn:ietf:rfc:3986"
MASKED = (codes.TRE_A07, "MASQUE_PS")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATIENT = ("patient.identifier", f"{DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}")


def opened(*, share: bool = True) -> Process:
    """A service with Dominique's open record; the hospital may read it."""
    process = Process(World.new())
    good(process.session("insurer").request("POST", "/fhir/Consent", bodies.consent_opening(DOMINIQUE)))
    if share:
        grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
        good(process.session("patient").request("POST", "/fhir/Consent", grant))
    return process


def good(answer: Response) -> Response:
    """The answer, which is a success."""
    assert answer.status in (200, 201), answer.data
    return answer


def uid(number: int) -> str:
    """The uniqueId of document `number`."""
    return f"urn:oid:2.25.{number}"


def laboratory_document(number: int, kind: str = "biology", **more: Any) -> SampleDocument:
    """A document that the laboratory may deposit."""
    return bodies.sample_document(
        kind,
        patient=DOMINIQUE,
        author=AUTHORS[more.pop("author", "biologist")],
        structure=STRUCTURES["laboratory"],
        when=more.pop("when", WHEN),
        unique_id=uid(number),
        **more,
    )


def hospital_document(number: int, kind: str = "discharge-letter", **more: Any) -> SampleDocument:
    """A document that the hospital's physician may deposit."""
    return bodies.sample_document(
        kind,
        patient=DOMINIQUE,
        author=AUTHORS["hospital_physician"],
        structure=STRUCTURES["hospital"],
        when=more.pop("when", WHEN),
        unique_id=uid(number),
        **more,
    )


def bundle(set_number: int, *documents: SampleDocument, when: datetime = WHEN, **more: Any) -> Json:
    """An ITI-65 transaction."""
    return bodies.provide_bundle(documents, patient=DOMINIQUE, when=when, set_id=uid(set_number), **more)


def folder(number: int, *documents: int, title: str = "Suivi", **more: Any) -> SampleFolder:
    """A folder of documents of the same bundle, and more. `entries`: FHIR ids, or uniqueIds of the record's."""
    entries = tuple(
        StoredIdentifier(system=URI, value=one) if one.startswith("urn:") else one for one in more.pop("entries", ())
    )
    return SampleFolder(title, uid(number), tuple(map(uid, documents)), entries=entries, **more)


def locations(answer: Response, kind: str) -> list[str]:
    """The ids of what a transaction made of a kind of resource, in the request's order."""
    made = [entry["response"]["location"] for entry in good(answer).json()["entry"]]
    return [location.partition("/")[2] for location in made if location.startswith(f"{kind}/")]


def search(session: Session, kind: str, *pairs: tuple[str, str], strict: bool = True) -> Response:
    """A search of the record by GET."""
    handling = {"Prefer": f"handling={'strict' if strict else 'lenient'}"}
    return session.request("GET", f"/fhir/{kind}?{urlencode([PATIENT, *pairs])}", headers=handling)


def asked_all_ways(session: Session, kind: str, *pairs: tuple[str, str]) -> Response:
    """A search by GET, by form, by POST with it in the URL, and by both; strictly. All give the same hits."""
    strict = {"Prefer": "handling=strict"}
    form = strict | FORM
    path, whole = f"/fhir/{kind}/_search", urlencode([PATIENT, *pairs])
    answers = [
        search(session, kind, *pairs),
        session.request("POST", path, whole.encode(), form),
        session.request("POST", f"{path}?{whole}", b"", form),
        session.request("POST", f"{path}?{urlencode(pairs)}", urlencode([PATIENT]).encode(), form),
        session.request("POST", f"{path}?{urlencode([PATIENT])}", urlencode(pairs).encode(), form),
    ]
    first = answers[0]
    for answer in answers[1:]:
        assert (answer.status, matches(answer), answer.json()["total"]) == (200, matches(first), first.json()["total"])
    return first


def names_asked(queries: Iterable[str]) -> set[tuple[str, str | None]]:
    """Parameter names as they stand in queries, each with the modifier that is on it."""
    found: set[tuple[str, str | None]] = set()
    for query in queries:
        for name, _ in parse_qsl(query, strict_parsing=bool(query)):
            base, _, modifier = name.rpartition(":")
            found.add((base, modifier) if modifier in {"not", "missing", "contains"} else (name, None))
    return found


def names_of(parameters: Iterable[Parameter]) -> set[tuple[str, str | None]]:
    """Every name of the parameters, and every modifier that they take."""
    return {
        pair
        for parameter in parameters
        for pair in (
            *((name, None) for name in (parameter.name, *parameter.aliases)),
            *((parameter.name, modifier) for modifier in parameter.modifiers),
        )
    }


def oracle(prefix: str, asked: Span, stored: Span, now: float) -> bool:
    """Whether FHIR's prefix holds between the span of a date asked for and a stored one (R4 search, 3.1.1.4.4).

    With the choice of api.md for `ge` and `le`: what overlaps the asked date counts.
    """
    (a, b), (low, high) = asked, stored
    gap = abs(now - (a + b) / 2) / 10
    return {
        "": a <= low and high <= b,
        "eq": a <= low and high <= b,
        "ne": low < a or high > b,
        "lt": low < a,
        "gt": high > b,
        "ge": high >= a,
        "le": low <= b,
        "sa": low > b,
        "eb": high < a,
        "ap": low <= b + gap and high >= a - gap,
    }[prefix]


def span(text: str, until: str | None = None) -> Span:
    """From the first to the last second of two times: `2026-02-01T09:00:00Z`, or without end."""
    low = datetime.fromisoformat(text).timestamp()
    return low, inf if until == "" else datetime.fromisoformat(until or text).timestamp()


DATES_ASKED = {
    "2026": span("2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"),
    "2026-02": span("2026-02-01T00:00:00Z", "2026-02-28T23:59:59Z"),
    "2026-02-18": span("2026-02-18T00:00:00Z", "2026-02-18T23:59:59Z"),
    "2026-03-02": span("2026-03-02T00:00:00Z", "2026-03-02T23:59:59Z"),
    "2026-03-02T09:32": span("2026-03-02T09:32:00Z", "2026-03-02T09:32:59Z"),
    "2026-02-15T10:00:00+01:00": span("2026-02-15T09:00:00Z"),
}
"""Dates of every precision, and what they cover."""


def matches(answer: Response) -> list[Json]:
    """The hits of a searchset, in order."""
    entries = good(answer).json().get("entry", [])
    return [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]


def ids(answer: Response) -> list[str]:
    """Their ids."""
    return [resource["id"] for resource in matches(answer)]


def changed(body: Json, change: Callable[[Json], object]) -> Json:
    """A copy of a body with a change made to it."""
    copied: Json = json.loads(json.dumps(body))
    change(copied)
    return copied


def same_answer(one: Response, other: Response) -> bool:
    """Whether two answers are the same but for the ids of the requests."""
    return (one.status, _told(one)) == (other.status, _told(other))


def _told(answer: Response) -> tuple[Mapping[str, str], object]:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name.lower() not in {"x-request-id", "sceau-trace", "dpop-nonce"}
    }
    body = answer.json()
    body.pop("id", None)
    return headers, body


def after(process: Process, **by: int) -> None:
    """Let time pass."""
    process.world.clock.advance(timedelta(**by))
