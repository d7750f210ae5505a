"""The whole space of facts, against a table written from the law's text (`law`): every situation has one answer."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator

import pytest

from sceau.access.decide import Decision
from sceau.access.model import Act, ActorKind, DocumentFacts, Mode, RecordStatus
from unit.access import law
from unit.access.space import (
    HOSPITAL,
    LABORATORY,
    MAJOR,
    MINOR,
    NOW,
    PHYSICIAN,
    RULES,
    TYPES,
    actor,
    breaking_glass,
    document,
    record,
    regulating,
)

GRANTS = ("none", "structure", "professional", "express", "delegation", "medecin_traitant")
_CALLERS = {Mode.NORMAL: actor, Mode.BRIS_DE_GLACE: breaking_glass, Mode.CENTRE_15: regulating}
_LABELS = {"masked": "MASQUE_PS", "awaits": "INVISIBLE_PATIENT", "secret": "INVISIBLE_REPRESENTANTS_LEGAUX"}


STEP = int(os.environ.get("SCEAU_SPACE_STEP", "1"))
"""Every so many situations only: for `make mutants`, where this runs once for each mutant."""


_UNSEEN: dict[ActorKind, tuple[bool, ...]] = dict.fromkeys(ActorKind, (False,))
_UNSEEN |= dict.fromkeys((ActorKind.SOFTWARE, ActorKind.PROFESSIONAL), (False, True))
"""Whether the caller's token is of a connexion secrète: nobody else can ask for one."""


def _space(unseen: tuple[bool, ...]) -> Iterator[tuple[Act, Mode, bool, str, bool, bool, RecordStatus]]:
    return itertools.product(Act, Mode, unseen, GRANTS, (False, True), (False, True), RecordStatus)


def documents() -> list[tuple[dict[str, object], DocumentFacts | None]]:
    """No document, then each by its labels, its type's cell and its author: as `law.Case` says it, and as facts."""
    found: list[tuple[dict[str, object], DocumentFacts | None]] = [({"doc": False}, None)]
    for masked, awaits, secret, cell, mine in itertools.product(
        (False, True), (False, True), (False, True), TYPES, (False, True)
    ):
        said = {"masked": masked, "awaits": awaits, "secret": secret}
        labels = [_LABELS[name] for name, is_there in said.items() if is_there]
        author = frozenset({HOSPITAL if mine else LABORATORY})
        facts = document(*labels, type_code=TYPES[cell], author_structures=author)
        found.append(({"doc": True, "cell": cell, "mine": mine, **said}, facts))
    return found


@pytest.mark.parametrize("kind", list(ActorKind))
def test_every_situation_is_decided_as_the_law_says(kind: ActorKind, capsys: pytest.CaptureFixture[str]) -> None:
    about = documents()
    cases = 0
    for act, mode, unseen, grant, blocked, minor, status in itertools.islice(_space(_UNSEEN[kind]), None, None, STEP):
        who = _CALLERS[mode](kind=kind, secret=unseen)
        facts = record(
            *(() if grant == "none" else (grant,)),
            status=status,
            birth_date=MINOR if minor else MAJOR,
            blocked=frozenset({PHYSICIAN} if blocked else ()),
        )
        decision = Decision(act, who, facts, RULES, NOW)
        said = {"mode": str(mode), "unseen": unseen, "grant": grant, "blocked": blocked}
        said |= {"minor": minor, "status": str(status)}
        for described, one in about:
            verdict = decision.on(one)
            case = law.Case(str(kind), str(act), **said, **described)  # type: ignore[arg-type]
            assert verdict.allowed is law.allowed(case), (case, verdict)
            assert verdict.reason.value.startswith("allowed." if verdict.allowed else "denied.")
            cases += 1
    situations = len(Act) * len(Mode) * len(_UNSEEN[kind]) * len(GRANTS) * 2 * 2 * len(RecordStatus)
    assert cases == math.ceil(situations / STEP) * len(about)
    with capsys.disabled():
        print(f"\n{kind}: {cases:,} situations decided as the law says")  # noqa: T201 - the number is wanted
