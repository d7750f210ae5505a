"""AuditEvents as they are read back: the elements that a search looks at, and the search (IHE BALP, ITI-81).

An event's bytes are what was committed to and are shown as they are; these models only read them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_SEPARATOR = re.compile(r"(?<!\\),")
_BAR = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([,|$\\])")
_OUTCOME_SYSTEM = "http://terminology.hl7.org/CodeSystem/audit-event-outcome"

Pair = tuple[str, str]
"""A system, or an empty text, and a code or value."""


class _Read(BaseModel):
    """Elements that are not listed are of no interest to a search; what is listed has its form."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Coding(_Read):
    """A FHIR Coding."""

    system: str = ""
    code: str = ""
    display: str | None = None


class CodeableConcept(_Read):
    """A FHIR CodeableConcept."""

    coding: tuple[Coding, ...] = ()


class Identifier(_Read):
    """A FHIR Identifier."""

    system: str = ""
    value: str = ""


class Reference(_Read):
    """A FHIR Reference."""

    reference: str | None = None
    identifier: Identifier | None = None
    display: str | None = None


class Network(_Read):
    """AuditEvent.agent.network."""

    address: str | None = None
    type: str | None = None


class Agent(_Read):
    """AuditEvent.agent."""

    type: CodeableConcept = CodeableConcept()
    who: Reference | None = None
    name: str | None = None
    requestor: bool
    policy: tuple[str, ...] = ()
    network: Network | None = None


class Detail(_Read):
    """AuditEvent.entity.detail."""

    type: str
    value_string: str | None = Field(default=None, alias="valueString")


class Entity(_Read):
    """AuditEvent.entity."""

    what: Reference | None = None
    type: Coding | None = None
    role: Coding | None = None
    lifecycle: Coding | None = None
    security_label: tuple[Coding, ...] = Field(default=(), alias="securityLabel")
    query: str | None = None  # base64
    detail: tuple[Detail, ...] = ()


class Source(_Read):
    """AuditEvent.source."""

    site: str | None = None
    observer: Reference


class AuditEvent(_Read):
    """What a search needs of an AuditEvent (FHIR R4). Parse with `AuditEvent.model_validate_json`."""

    id: str
    type: Coding
    subtype: tuple[Coding, ...] = ()
    action: str | None = None
    recorded: Annotated[AwareDatetime, Field(strict=False)]
    outcome: str
    outcome_desc: str | None = Field(default=None, alias="outcomeDesc")
    agent: tuple[Agent, ...]
    source: Source
    entity: tuple[Entity, ...] = ()


def _codings(codings: Iterable[Coding | None]) -> list[Pair]:
    return [(coding.system, coding.code) for coding in codings if coding]


def _identifiers(references: Iterable[Reference | None]) -> list[Pair]:
    return [(one.identifier.system, one.identifier.value) for one in references if one and one.identifier]


TOKEN_PARAMETERS: dict[str, Callable[[AuditEvent], list[Pair]]] = {
    "_id": lambda event: [("", event.id)],
    "agent.identifier": lambda event: _identifiers(agent.who for agent in event.agent),
    "entity.identifier": lambda event: _identifiers(entity.what for entity in event.entity),
    "entity-role": lambda event: _codings(entity.role for entity in event.entity),
    "entity-type": lambda event: _codings(entity.type for entity in event.entity),
    "outcome": lambda event: [(_OUTCOME_SYSTEM, event.outcome)],
    "source.identifier": lambda event: _identifiers([event.source.observer]),
    "subtype": lambda event: _codings(event.subtype),
    "type": lambda event: _codings([event.type]),
}
"""Search parameters of kind token: what an event has for each, as pairs of system and code or value."""

STRING_PARAMETERS: dict[str, Callable[[AuditEvent], list[str]]] = {
    "address": lambda event: [
        agent.network.address for agent in event.agent if agent.network and agent.network.address
    ],
}
"""Search parameters of kind string: an event matches when one of its texts begins like the value."""


def matches(event: AuditEvent, parameters: Sequence[Pair]) -> bool:
    """Whether the event has what each parameter (name, value) asks for: a comma means or, repetition means and.

    Only names of the two tables; `date` and `patient.identifier` are decided by events' names, before any is opened.
    Raises ValueError for another name.
    """
    return all(_matches(event, name, value) for name, value in parameters)


def _matches(event: AuditEvent, name: str, value: str) -> bool:
    wanted = _SEPARATOR.split(value)
    if name in TOKEN_PARAMETERS:
        there = TOKEN_PARAMETERS[name](event)
        return any(_has(there, token) for token in wanted)
    if name in STRING_PARAMETERS:
        texts = [text.casefold() for text in STRING_PARAMETERS[name](event)]
        return any(text.startswith(_unescaped(one).casefold()) for one in wanted if one for text in texts)
    raise ValueError("not a search parameter of AuditEvent")


def _has(there: list[Pair], token: str) -> bool:
    """FHIR R4 search, token: `code` in any system, `system|code`, `|code` without system, `system|` any code."""
    first, *rest = (_unescaped(part) for part in _BAR.split(token, maxsplit=1))
    if not rest:
        return bool(first) and any(code == first for _, code in there)
    return bool(first or rest[0]) and any(system == first and rest[0] in ("", code) for system, code in there)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
