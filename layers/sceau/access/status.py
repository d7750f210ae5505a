"""What TD0.2 asks before anything else: what may I do in this record, and why not. Pure.

Feeding and changing are judged on a document of the caller's own making, with nothing special about it: a report of the
own structure, the holder's own directives. What a particular document is then answered with may differ by its type,
labels and author.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sceau.access.decide import decide
from sceau.access.labels import INVISIBLE_REPRESENTATIVES
from sceau.access.matrix import Rules
from sceau.access.model import Act, Actor, ActorKind, DocumentFacts, RecordFacts, Verdict

ASKED: Final = MappingProxyType({"access": Act.SEARCH, "collect": Act.PUBLISH, "correct": Act.DELETE})
"""What is told, by code of consentaction: to find and read, to feed, to change what one authored."""

_REPORT: Final = "11488-4"
_DIRECTIVES: Final = "EXPPAT_3"
_HOLDER: Final = frozenset({ActorKind.PATIENT, ActorKind.REPRESENTATIVE})


def may_do(actor: Actor, record: RecordFacts, rules: Rules, now: datetime) -> Mapping[str, Verdict]:
    """The verdict on each of ASKED, in that order."""
    own = _own(actor)
    return {
        action: decide(act, actor, record, None if act is Act.SEARCH else own, rules, now)
        for action, act in ASKED.items()
    }


def _own(actor: Actor) -> DocumentFacts:
    if actor.kind in _HOLDER:
        return DocumentFacts("current", frozenset(), _DIRECTIVES, depositor=actor.client_id, holders_own=True)
    return DocumentFacts(
        "current",
        frozenset({INVISIBLE_REPRESENTATIVES}) if actor.secret else frozenset(),
        _REPORT,
        author_structures=frozenset(actor.structures),
        author_professionals=frozenset({actor.professional}) if actor.professional else frozenset(),
        depositor=actor.client_id,
        depositor_structures=frozenset(actor.structures),
    )
