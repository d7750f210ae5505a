"""The insurer's care history (CNAM-HR, type REMB): the months that it covers, and whose acts on which day it tells of.

A rolling feed of 24 months: each month's document replaces the one before, and covers no more. The volet "Historique
des remboursements" (CNAM-HR 2021.01) gives the period as the service event's time, and of each act its day and who did
it (`performer`) or prescribed it (`author`), by IdNat_PS or RPPS and IdNat_Struct.

Acts are read for one purpose: what a minor has opposed is not accepted (CSP R. 1111-33). What can't be read is no act.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from lxml import etree

from sceau.access.model import Identifier
from sceau_schemas.systems import IDNAT_PS, IDNAT_STRUCT

TYPE: Final = "REMB"
MAX_ACTS: Final = 20_000  # distinct pairs of day and person; two years of daily care by ten people have 7,300

_V3: Final = "{urn:hl7-org:v3}"
_URN: Final = "urn:oid:"
_DAY: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[0-9].*)?")
_WHO: Final = ("assignedEntity", "assignedAuthor")


@dataclass(frozen=True, slots=True)
class CareHistory:
    """`start`, `end`: the first and last day that it covers. `acts`: on which day somebody (or a structure) acted."""

    start: date
    end: date
    acts: frozenset[tuple[date, Identifier]] = field(default=frozenset(), repr=False)


def read_care_history(root: etree._Element) -> CareHistory | None:
    """Return what a CDA of type REMB says; None when it does not say which days it covers. Never raises."""
    event = root.find(f"{_V3}documentationOf/{_V3}serviceEvent/{_V3}effectiveTime")
    if event is None:
        return None
    start, end = (_day(event.find(_V3 + side)) for side in ("low", "high"))
    if start is None or end is None:
        return None
    return CareHistory(start, end, frozenset(_acts(root)))


def _acts(root: etree._Element) -> Iterator[tuple[date, Identifier]]:
    found = 0
    for tag in ("performer", "author"):
        for part in root.iterfind(f"{_V3}component/{_V3}structuredBody//{_V3}{tag}"):
            day = _day(part.find(_V3 + "time")) or _day_around(part)
            if day is None:
                continue
            for who in _identifiers(part):
                found += 1
                if found > MAX_ACTS:
                    return
                yield day, who


def _day_around(part: etree._Element) -> date | None:
    """The day of the nearest statement around. The document's own time is no act's."""
    for parent in part.iterancestors():
        if parent.tag == _V3 + "structuredBody":
            break
        time = parent.find(_V3 + "effectiveTime")
        if time is not None:
            day = _day(time) or _day(time.find(_V3 + "low"))
            if day is not None:
                return day
    return None


def _identifiers(part: etree._Element) -> Iterator[Identifier]:
    for name in _WHO:
        for element in part.iterfind(f"{_V3}{name}/{_V3}id"):
            if f"{_URN}{element.get('root')}" == IDNAT_PS and (value := element.get("extension")):
                yield person(value)
        for element in part.iterfind(f"{_V3}{name}/{_V3}representedOrganization/{_V3}id"):
            if f"{_URN}{element.get('root')}" == IDNAT_STRUCT and (value := element.get("extension")):
                yield Identifier(IDNAT_STRUCT, value)


def person(value: str) -> Identifier:
    """A professional's IdNat_PS; the samples write a bare RPPS (11 digits) for it, which begins with 8 there."""
    bare = len(value) == 11 and value.isascii() and value.isdigit()  # noqa: PLR2004 - RPPS
    return Identifier(IDNAT_PS, f"8{value}" if bare else value)


def _day(time: etree._Element | None) -> date | None:
    """The day of an HL7 timestamp's own zone: that is the day which the act is known by."""
    match = _DAY.fullmatch((time.get("value") or "").strip()) if time is not None else None
    if match is None:
        return None
    try:
        return date(*map(int, match.groups()))
    except ValueError:
        return None
