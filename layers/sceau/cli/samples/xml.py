"""A few lines to write CDA elements with lxml, which escapes; no document is put together from strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lxml import etree

V3: Final = "urn:hl7-org:v3"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_NSMAP: Final[dict[str, str]] = {None: V3, "xsi": XSI}  # type: ignore[dict-item] # None: unknown to lxml's stubs


def element(
    name: str, *content: etree._Element | str, xsi_type: str | None = None, **attributes: str
) -> etree._Element:
    """Return an HL7 v3 element with its attributes, text and children, in that order."""
    made = etree.Element(f"{{{V3}}}{name}", nsmap=_NSMAP)
    if xsi_type is not None:
        made.set(f"{{{XSI}}}type", xsi_type)
    for key, value in attributes.items():
        made.set(key, value)
    for part in content:
        if isinstance(part, str):
            made.text = (made.text or "") + part
        else:
            made.append(part)
    return made


def loinc(code: str, label: str, name: str = "code") -> etree._Element:
    """Return a coded element of LOINC."""
    return element(name, code=code, codeSystem="2.16.840.1.113883.6.1", codeSystemName="LOINC", displayName=label)


def section(code: str, title: str, text: etree._Element | str, *entries: etree._Element) -> etree._Element:
    """Return a component with a section: LOINC code, title, narrative, entries."""
    narrative = element("text", text)
    made = element("section", loinc(code, title), element("title", title), narrative, *entries)
    return element("component", made)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> etree._Element:
    """Return a narrative table."""
    return element(
        "table",
        element("thead", element("tr", *(element("th", cell) for cell in head))),
        element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows)),
    )
