"""What a decision costs: a search's, on each of a record's 1,000 entries, with no two entries' facts taken together.

The service decides once for all entries whose facts are the same (`http.seeing`): this is the case where none are.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Final

from benchmarks.figures import Bar, Figures, table
from sceau.access.decide import Decision
from sceau.access.matrix import Cell, Matrix, Rules
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    DocumentFacts,
    Grant,
    GrantKind,
    Identifier,
    Mode,
    RecordFacts,
    RecordStatus,
)
from sceau_schemas.rules import RuleSettings

ENTRIES: Final = 1000
ROUNDS: Final = 30
_BAR: Final = Bar(10)
_NOW: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
_RECORD: Final = "a" * 26
_LABELS: Final = (("N",), ("N", "MASQUE_PS"), ("N", "INVISIBLE_PATIENT"), ("N", "INVISIBLE_REPRESENTANTS_LEGAUX"))


def _structure(number: int) -> Identifier:
    return Identifier("urn:oid:1.2.250.1.71.4.2.2", f"1{number:09}")


def _person(number: int) -> Identifier:
    return Identifier("urn:oid:1.2.250.1.71.4.2.1", f"8{number:011}")


def _documents() -> list[DocumentFacts]:
    return [
        DocumentFacts(
            "current",
            frozenset(_LABELS[number % 4]),
            ("11502-2", "11490-0", "34112-3")[number % 3],
            author_structures=frozenset({_structure(number % 40)}),
            author_professionals=frozenset({_person(number % 90)}),
            depositor=f"client-{number % 40}",
            deposited=_NOW - timedelta(days=number % 60),
        )
        for number in range(ENTRIES)
    ]


def _actors() -> dict[str, Actor]:
    doctor = Actor(
        ActorKind.PROFESSIONAL,
        "client",
        "subject",
        "jti",
        frozenset({"user/*.cruds"}),
        _RECORD,
        (_structure(1),),
        _person(1),
        "10",
    )
    patient = Actor(ActorKind.PATIENT, "client", _RECORD, "jti", frozenset({"patient/*.cruds"}), _RECORD)
    return {"a doctor of an authorised team": doctor, "the patient": patient}


def deciding(figures: Figures) -> None:
    """The best of some rounds, in the processor's time: others' load does not count."""
    record = RecordFacts(
        _RECORD,
        RecordStatus.OPEN,
        tuple(Grant(_structure(number), _NOW - timedelta(days=1), kind=GrantKind.STRUCTURE) for number in range(20)),
        "1979-03-28",
        blocked=frozenset(_person(1000 + number) for number in range(20)),
        opposed=frozenset({Mode.CENTRE_15}),
    )
    cells = {"11502-2": Cell.ALLOW, "11490-0": Cell.ALLOW, "34112-3": Cell.DENY}
    rules = Rules((Matrix("bench", date(2023, 10, 29), "bench", {"10": cells}),), RuleSettings())
    documents = _documents()
    rows: list[list[str | float]] = []
    for name, actor in _actors().items():
        best = min(_once(actor, record, documents, rules) for _ in range(ROUNDS))
        figure = f"decide.{'doctor' if actor.kind is ActorKind.PROFESSIONAL else 'patient'}.{ENTRIES}.cpu_ms"
        rows.append([name, ENTRIES, best, figures.add(figure, best, _BAR)])
    print(table("Deciding on each entry of a search", ("who", "entries", "CPU ms", "bar"), rows))


def _once(actor: Actor, record: RecordFacts, documents: list[DocumentFacts], rules: Rules) -> float:
    """Milliseconds of the processor."""
    started = time.process_time()
    decision = Decision(Act.SEARCH, actor, record, rules, _NOW)
    allowed = sum(decision.on(document).allowed for document in documents)
    took = (time.process_time() - started) * 1000
    if not 0 < allowed < len(documents):
        raise AssertionError("some are seen, and some are not")
    return took
