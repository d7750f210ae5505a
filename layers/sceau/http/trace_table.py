"""Traces as a table: CSV (RFC 4180), UTF-8, for people and their spreadsheets. Format: docs/formats/traces.md.

What stands in an event may come from anybody: a name, an identifier, a reason. A spreadsheet takes a cell that begins
like a formula for one, so such a cell gets an apostrophe before it (OWASP, "CSV injection"), and each cell is quoted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sceau_schemas.audit import Agent, AuditEvent, Coding

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"

_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20|%]")
"""What spreadsheets take for the beginning of a formula, full-width forms among it, also behind blanks."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_CLIENT, _STRUCTURE = "110150", "PROV"
_PERSONS: Final = frozenset({"IRCP", "AUT", "GUARD"})
_MODE: Final = "urn:sceau:policy:mode:"


def _agents(event: AuditEvent, codes: Iterable[str]) -> Iterator[Agent]:
    wanted = frozenset(codes)
    return (one for one in event.agent if one.type and any(coding.code in wanted for coding in one.type.coding))


def _who(event: AuditEvent, codes: Iterable[str]) -> str:
    identifiers = (one.who.identifier for one in _agents(event, codes) if one.who and one.who.identifier)
    return " ".join(f"{one.system}|{one.value}" if one.system else one.value for one in identifiers)


def _structures(event: AuditEvent) -> str:
    details = (detail for entity in event.entity for detail in entity.detail if detail.type == "structure")
    return _who(event, (_STRUCTURE,)) or " ".join(detail.value_string or "" for detail in details)


def _names(event: AuditEvent) -> str:
    return " ".join(one.name for one in _agents(event, _PERSONS) if one.name)


def _addresses(event: AuditEvent) -> str:
    return " ".join(
        one.network.address for one in event.agent if one.network and one.network.type == "2" and one.network.address
    )


def _modes(event: AuditEvent) -> str:
    policies = (policy for one in event.agent for policy in one.policy)
    return " ".join(policy.removeprefix(_MODE) for policy in policies if policy.startswith(_MODE))


def _references(event: AuditEvent, *, patients: bool) -> str:
    found = (one.what.reference for one in event.entity if one.what and one.what.reference)
    return " ".join(one for one in found if one.startswith("Patient/") == patients)


def _codes(codings: Iterable[Coding]) -> str:
    return " ".join(one.code for one in codings)


COLUMNS: Final[dict[str, Callable[[AuditEvent], str]]] = {
    "recorded": lambda event: event.recorded.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "event": lambda event: event.id,
    "type": lambda event: event.type.code,
    "subtypes": lambda event: _codes(event.subtype),
    "action": lambda event: event.action or "",
    "outcome": lambda event: event.outcome,
    "reason": lambda event: event.outcome_desc or "",
    "person": lambda event: _who(event, _PERSONS),
    "person_name": _names,
    "structure": _structures,
    "client": lambda event: _who(event, (_CLIENT,)),
    "address": _addresses,
    "mode": _modes,
    "patient": lambda event: _references(event, patients=True),
    "resources": lambda event: _references(event, patients=False),
}
"""The columns, in their order; more may come behind them."""


def table(events: Iterable[AuditEvent]) -> bytes:
    """The table, with its head."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(column(event)) for column in COLUMNS.values()] for event in events)
    return text.getvalue().encode()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for more than a text: one line, and no formula."""
    line = _CONTROL.sub(" ", text)
    return f"'{line}" if _FORMULA.match(line) else line
