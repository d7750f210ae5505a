"""The answer to a query of traces: a searchset with the events' own bytes, and around each what is known besides."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from sceau.audit.journal import JournalEvent
from sceau.fhir.outcome import Problem, operation_outcome
from sceau_schemas.audit import AuditEvent

COMPLETED: Final = "urn:sceau:fhir:event-completed"
"""Extension on a searchset entry: false for the event of a write that no version of the record carries."""

INCLUSION: Final = "urn:sceau:fhir:event-inclusion"
"""Extension on a searchset entry: at which index of the log the event is, and where its proof is to be had. An entry
without it is not sealed yet: it will be, within a minute or so."""

_WRITES = frozenset({"C", "U"})
REPEATED: Final = "repeated"
"""Reason of a success that found everything done already."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An event that is shown: as it rests, as it was read, and where it stands in the log."""

    event: JournalEvent
    parsed: AuditEvent
    index: int | None


def searchset(
    shown: Sequence[Shown],
    links: Sequence[tuple[str, str]],
    origin: str,
    completed: Container[str] | None,
    warnings: Sequence[Problem],
) -> bytes:
    """The bundle. No total: counting would mean opening every event. `completed`: the events of the record's versions;
    None where that is not told."""
    relations = [{"relation": relation, "url": url} for relation, url in links]
    head = json.dumps({"resourceType": "Bundle", "type": "searchset", "link": relations}, separators=(",", ":"))
    entries = [_entry(one, origin, completed) for one in shown]
    if warnings:
        outcome = json.dumps(operation_outcome(warnings), separators=(",", ":"))
        entries.append(b'{"resource":' + outcome.encode() + b',"search":{"mode":"outcome"}}')
    if not entries:
        return head.encode()
    return head[:-1].encode() + b',"entry":[' + b",".join(entries) + b"]}"


def proof_url(origin: str, event_id: str) -> str:
    """Where an event's proof file is to be had."""
    return f"{origin}/fhir/AuditEvent/{event_id}/$proof"


def _entry(shown: Shown, origin: str, completed: Container[str] | None) -> bytes:
    event_id = shown.event.event_id
    around: dict[str, object] = {"fullUrl": f"{origin}/fhir/AuditEvent/{event_id}", "search": {"mode": "match"}}
    extensions: list[dict[str, object]] = []
    if completed is not None and _announced(shown.parsed) and event_id not in completed:
        extensions.append({"url": COMPLETED, "valueBoolean": False})
    if shown.index is not None:
        about = [
            {"url": "index", "valueDecimal": shown.index},
            {"url": "proof", "valueUrl": proof_url(origin, event_id)},
        ]
        extensions.append({"url": INCLUSION, "extension": about})
    if extensions:
        around["extension"] = extensions
    return json.dumps(around, separators=(",", ":"))[:-1].encode() + b',"resource":' + shown.event.data + b"}"


def _announced(event: AuditEvent) -> bool:
    """Whether the event says that a version of the record was about to be made."""
    return event.action in _WRITES and event.outcome == "0" and event.outcome_desc != REPEATED
