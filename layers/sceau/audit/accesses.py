"""What events say of professionals' accesses: who read, in which mode, what was declared, what was reviewed. Pure.

The events' own shapes are `shapes` and `docs/formats/audit-event.md`; this reads them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sceau.audit import shapes
from sceau_schemas.audit import Agent, AuditEvent, Reference
from sceau_schemas.systems import IDNAT_PS

POLICY: Final = "urn:sceau:policy:"
REVIEWED: Final = "Communication/"
OF_DOCUMENTS: Final = ("DocumentReference/", "List/", "Binary/", "Bundle/")
"""What references to documents, and to submission sets and folders of them, begin with."""

SECRET_MODE: Final = "connexion_secrete"  # noqa: S105 - a mode of access

_SUCCESS: Final = "0"
_READING: Final = frozenset({"ITI-66", "ITI-67", "ITI-68"})
_FEEDING: Final = frozenset({"ITI-65", "ITI-105"})
_EMERGENCIES: Final = frozenset({"bris_de_glace", "centre_15"})


@dataclass(frozen=True, slots=True)
class Person:
    """A professional or a structure, as an event names them."""

    system: str
    value: str
    name: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Who it is, whatever the name."""
        return self.system, self.value


@dataclass(frozen=True, slots=True)
class Access:
    """A professional reached something of the record. `feeds`: wrote and did not read.

    `declaration`: the event of the emergency's declaration; None in the normal mode. `secret`: a connexion secrète.
    """

    event: str
    at: datetime
    professional: Person
    structure: Person | None
    feeds: bool
    mode: str | None
    declaration: str | None
    secret: bool


@dataclass(frozen=True, slots=True)
class Declared:
    """A token was issued for an emergency access, by a declaration that this event records."""

    event: str
    at: datetime
    mode: str
    reason: str | None
    professional: Person
    structure: Person | None


def access_of(event: AuditEvent) -> Access | None:
    """The access that an event is; None for what is none: a refusal, a token, TD0.2, a decision about the record."""
    professional = _professional(event)
    if event.outcome != _SUCCESS or professional is None or is_of_a_token(event):
        return None
    subtypes = {one.code for one in event.subtype}
    feeds = bool(subtypes & _FEEDING)
    named = [entity.what.reference or "" for entity in event.entity if entity.what]
    reads = bool(subtypes & _READING) or ("read" in subtypes and any(name.startswith(OF_DOCUMENTS) for name in named))
    if not (feeds or reads):
        return None
    mode = _policy(event, "mode", _EMERGENCIES)
    return Access(
        event=event.id,
        at=event.recorded,
        professional=professional,
        structure=_structure(event),
        feeds=feeds,
        mode=mode,
        declaration=_policy(event, "declaration") if mode else None,
        secret=is_secret(event),
    )


def declared(event: AuditEvent) -> Declared | None:
    """The declaration that a token's event records; None for any other event, and for a further token."""
    professional = _professional(event)
    if event.outcome != _SUCCESS or professional is None or not is_of_a_token(event):
        return None
    details = _details(event)
    mode = details.get("mode")
    if mode not in _EMERGENCIES or "declaration" in details:
        return None
    system, bar, value = details.get("structure", "").partition("|")
    structure = Person(system, value) if bar else None
    return Declared(event.id, event.recorded, mode, details.get("mode-reason"), professional, structure)


def reviewed(event: AuditEvent) -> str | None:
    """The notice that an event says to be reviewed: its id; None for any other event."""
    if event.outcome != _SUCCESS or "operation" not in {one.code for one in event.subtype}:
        return None
    named = (entity.what.reference or "" for entity in event.entity if entity.what)
    return next((name.removeprefix(REVIEWED) for name in named if name.startswith(REVIEWED)), None)


def is_of_a_token(event: AuditEvent) -> bool:
    """Whether an event is of a token, and of no act on a record."""
    return event.type.code == shapes.USER_AUTHENTICATION.code


def is_secret(event: AuditEvent) -> bool:
    """Whether an event is of a connexion secrète, or of the token for one."""
    return _policy(event, "mode", frozenset({SECRET_MODE})) is not None or _details(event).get("mode") == SECRET_MODE


def _details(event: AuditEvent) -> dict[str, str]:
    return {one.type: one.value_string for entity in event.entity for one in entity.detail if one.value_string}


def _policy(event: AuditEvent, name: str, among: frozenset[str] | None = None) -> str | None:
    start = f"{POLICY}{name}:"
    values = (one.removeprefix(start) for agent in event.agent for one in agent.policy if one.startswith(start))
    return next((value for value in values if among is None or value in among), None)


def _professional(event: AuditEvent) -> Person | None:
    who = next((_person(agent.who, agent.name) for agent in event.agent if agent.requestor), None)
    return who if who is not None and who.system == IDNAT_PS else None


def _structure(event: AuditEvent) -> Person | None:
    found = (agent for agent in event.agent if _is(agent, shapes.PROVIDER.code))
    return next((_person(agent.who, None) for agent in found), None)


def _is(agent: Agent, code: str) -> bool:
    return any(one.code == code for one in agent.type.coding)


def _person(who: Reference | None, name: str | None) -> Person | None:
    if who is None or who.identifier is None:
        return None
    return Person(who.identifier.system, who.identifier.value, name or who.display)
