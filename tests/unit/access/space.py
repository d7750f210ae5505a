"""The facts of a situation of `law.Case`, and small makers of facts for single rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sceau.access.decide import decide
from sceau.access.matrix import Cell, Matrix, Rules
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    Declaration,
    DocumentFacts,
    Grant,
    GrantKind,
    Identifier,
    Mode,
    RecordFacts,
    RecordStatus,
    Verdict,
)
from sceau_schemas.rules import RuleSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)
RECORD, OTHER = "a" * 26, "c" * 26
PARENT = "e" * 26
STRUCTURES, PERSONS = "urn:oid:1.2.250.1.71.4.2.2", "urn:oid:1.2.250.1.71.4.2.1"
HOSPITAL = Identifier(STRUCTURES, "1750000001")
LABORATORY = Identifier(STRUCTURES, "1750000002")
PHYSICIAN = Identifier(PERSONS, "899700000001")
COLLEAGUE = Identifier(PERSONS, "899700000002")

TYPES = {"allow": "11502-2", "deny": "68599-0", "unknown": "34112-3"}
"""Types by their cell for a doctor in the edition of these tests."""

EDITION = Matrix(
    "edition-of-tests",
    date(2023, 10, 29),
    "tests",
    {
        "10": {"11502-2": Cell.ALLOW, "68599-0": Cell.DENY, "EXPPAT_3": Cell.ALLOW},
        "60": {"15507-7": Cell.ALLOW},
        "330": {"15507-7": Cell.DENY},
    },
)
RULES = Rules((EDITION,), RuleSettings())
DECLARED = Declaration(NOW + timedelta(minutes=5), reason_given=True, unable_to_consent=True, immediate_risk=True)

SCOPES = {
    ActorKind.SOFTWARE: "system/*.cruds",
    ActorKind.INSURER: "system/*.cruds",
    ActorKind.PROFESSIONAL: "user/*.cruds",
    ActorKind.PATIENT: "patient/*.cruds",
    ActorKind.REPRESENTATIVE: "patient/*.cruds",
    ActorKind.OPERATIONS: "ops/*.cruds",
}
MINOR, MAJOR = "2014-01-09", "1979-03-28"


def actor(kind: ActorKind = ActorKind.PROFESSIONAL, **changes: Any) -> Actor:
    """A caller with every scope of its level: a doctor of the hospital, unless changed."""
    is_professional = kind is ActorKind.PROFESSIONAL
    of_nobody = kind in (ActorKind.PATIENT, ActorKind.REPRESENTATIVE, ActorKind.OPERATIONS)
    values: dict[str, Any] = {
        "kind": kind,
        "client_id": "client",
        "subject": PARENT if kind is ActorKind.REPRESENTATIVE else "subject",
        "token_id": "jti",
        "scopes": frozenset({SCOPES[kind]}),
        "record_id": RECORD,
        "structures": () if of_nobody else (HOSPITAL,),
        "professional": PHYSICIAN if is_professional else None,
        "profession": "10" if is_professional else None,
    }
    return Actor(**values | changes)


def breaking_glass(**changes: Any) -> Actor:
    return actor(mode=Mode.BRIS_DE_GLACE, declaration=DECLARED, **changes)


def regulating(**changes: Any) -> Actor:
    return actor(mode=Mode.CENTRE_15, regulates=True, **changes)


GRANTS = {
    "structure": Grant(HOSPITAL, YESTERDAY, kind=GrantKind.STRUCTURE),
    "professional": Grant(PHYSICIAN, NOW - timedelta(hours=1), kind=GrantKind.PROFESSIONAL),
    "express": Grant(PHYSICIAN, YESTERDAY, kind=GrantKind.EXPRESS),
    "delegation": Grant(PHYSICIAN, YESTERDAY, kind=GrantKind.DELEGATION),
}


def record(*grants: str | Grant, status: RecordStatus = RecordStatus.OPEN, **changes: Any) -> RecordFacts:
    """A record, open and of somebody of age unless changed. Grants by their names, or `medecin_traitant`."""
    values: dict[str, Any] = {"birth_date": MAJOR}
    if "medecin_traitant" in grants:
        values |= {"medecin_traitant": PHYSICIAN, "named": frozenset({PHYSICIAN})}
    given = [one if isinstance(one, Grant) else GRANTS[one] for one in grants if one != "medecin_traitant"]
    return RecordFacts(RECORD, status, tuple(given), **values | changes)


def document(*labels: str, **changes: Any) -> DocumentFacts:
    """A document of the laboratory, deposited yesterday, of a type that doctors may read; unless changed."""
    values: dict[str, Any] = {
        "status": "current",
        "labels": frozenset(labels or {"N"}),
        "type_code": TYPES["allow"],
        "author_structures": frozenset({LABORATORY}),
        "deposited": YESTERDAY,
    }
    return DocumentFacts(**values | changes)


def verdict(
    act: Act,
    who: Actor,
    facts: RecordFacts,
    about: DocumentFacts | None = None,
    *,
    rules: Rules = RULES,
    now: datetime = NOW,
) -> Verdict:
    """The decision."""
    return decide(act, who, facts, about, rules, now)
