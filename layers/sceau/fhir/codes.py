"""The code lists of the CI-SIS, as facts, and the verdict on a coding of a document entry.

The tables are in `tables/`: one TSV file per list (code, system, short label; for types also the class), each naming
its source and edition in its first lines, read once, when first asked for. Rules: api.md "Rules on documents" and
wire.md "Codes".

What counts as the same system is an explicit list (`tables/systems.tsv`): the canonical url, the OID bare or as
`urn:oid:`, the NOS folder url that stands in the canonical one, and a few named twins (HL7's v3-Confidentiality is
TRE_A08 is 2.16.840.1.113883.5.25). Nothing is guessed: `TRE_A07-StatusVisibiliteDocument`, a misspelling in a published
example, is no name of TRE_A07, so a label in it is refused; a mask must never depend on a reader's goodwill. The OID
1.3.6.1.4.1.19376.1.2.3 is claimed by both TRE_A11 and IHE's own list of formats; here it means TRE_A11, and IHE's url
stays another system.

What the tables can't know: J10 is complete for its edition (2025-10-29), so a withdrawn format of TRE_A06 is an unknown
code; 14 of the 122 types have no class, because the newest ASS_X04 that could be read is of 2024-02-23: nothing is
checked about their category beyond J06.
"""

from __future__ import annotations

import functools
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from sceau.fhir.outcome import Problem

ListName = Literal["J01", "J02", "J04", "J06", "J07", "J08", "J10", "J11", "J47", "J231"]
Element = Literal["securityLabel", "type", "category", "format", "facilityType", "practiceSetting"]

LOINC: Final = "http://loinc.org"
CCAM: Final = "https://smt.esante.gouv.fr/terminologie-ccam"
NABM: Final = "https://smt.esante.gouv.fr/terminologie-nabm"
_NOS: Final = "https://mos.esante.gouv.fr/NOS/"
TRE_A03: Final = _NOS + "TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument"
TRE_A05: Final = _NOS + "TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire"
TRE_A07: Final = _NOS + "TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument"
TRE_A08: Final = _NOS + "TRE_A08-HL7Confidentiality/FHIR/TRE-A08-HL7Confidentiality"
TRE_A10: Final = _NOS + "TRE_A10-NomenclatureURN/FHIR/TRE-A10-NomenclatureURN"

# Where the NOS names its systems: its urls, and the OID arcs of the ANS (ASIP Santé) and of the former GIP-CPS.
_ANS_ROOTS: Final = (_NOS, "urn:oid:1.2.250.1.213.", "urn:oid:1.2.250.1.71.")

_TABLES: Final = Path(__file__).with_name("tables")
_BARE_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_ABSENT: Final = "-"


@dataclass(frozen=True, slots=True)
class Concept:
    """A code of a list: its system's canonical url, the code, the list's label in French."""

    system: str
    code: str
    label: str


@dataclass(frozen=True, slots=True)
class DocumentType(Concept):
    """A type of JDV_J07. `class_code` is its class by ASS_X04, None where no edition that we have says one.

    `edition` is the first edition of the list in which we saw it.
    """

    class_code: str | None
    edition: str

    @property
    def class_system(self) -> str | None:
        """Canonical url of the class's system: TRE_A03, but for a signature (E1762), whose class is a URN."""
        if self.class_code is None:
            return None
        return TRE_A10 if self.class_code.startswith("urn:") else TRE_A03


@dataclass(frozen=True, slots=True)
class CodingVerdict:
    """What is said of a coding. `text` is for the sender; it repeats nothing that was sent. `rule` names the list."""

    level: Literal["ok", "warning", "error"]
    text: str = ""
    rule: str | None = None

    def problem(self, expression: str) -> Problem | None:
        """Return the OperationOutcome issue at `expression` (FHIRPath), or None when there is nothing to say."""
        if self.level == "ok":
            return None
        return Problem("code-invalid", self.text, expression, self.rule, self.level)


OK: Final = CodingVerdict("ok")

_LIST_OF: Final[dict[Element, tuple[ListName, str]]] = {
    "securityLabel": ("J08", "JDV_J08-XdsConfidentialityCode-CISIS"),
    "type": ("J07", "JDV_J07-XdsTypeCode-CISIS"),
    "category": ("J06", "JDV_J06-XdsClassCode-CISIS"),
    "format": ("J10", "JDV_J10-XdsFormatCode-CISIS"),
    "facilityType": ("J02", "JDV_J02-XdsHealthcareFacilityTypeCode-CISIS"),
    "practiceSetting": ("J04", "JDV_J04-XdsPracticeSettingCode-CISIS"),
}
_STRICT: Final = frozenset({"securityLabel", "type"})  # a label decides who sees, a type which profession may
_CLASS_RULE: Final = "ASS_X04-CorrespondanceType-Classe-CISIS"


def canonical_system(system: str) -> str:
    """Return the one url by which we know a code system.

    Takes any name of it that `tables/systems.tsv` lists. An unknown bare OID becomes `urn:oid:…`; anything else unknown
    is returned as it is, and equals only itself.
    """
    name = f"urn:oid:{system}" if _BARE_OID.fullmatch(system) else system
    return _systems().get(name, name)


def concept(list_name: ListName, system: str, code: str) -> Concept | None:
    """Return the concept of a list, or None when the list doesn't have it. Codes are compared exactly."""
    return _list(list_name).get((canonical_system(system), code))


def concepts(list_name: ListName) -> tuple[Concept, ...]:
    """Return a list's concepts in the list's order."""
    return tuple(_list(list_name).values())


def document_type(system: str, code: str) -> DocumentType | None:
    """Return a document type of JDV_J07, or None."""
    found = concept("J07", system, code)
    return found if isinstance(found, DocumentType) else None


def check_coding(element: Element, system: str | None, code: str | None) -> CodingVerdict:
    """Say whether a coding may stand in an element of a document entry (api.md "Rules on documents").

    Security labels and types must be in their list. The other lists are preferred bindings: a code that the list
    lacks is an error when its system is LOINC or of the NOS, and a warning when it is of another system.
    """
    list_name, rule = _LIST_OF[element]
    if system is not None and code is not None and concept(list_name, system, code) is not None:
        return OK
    if element in _STRICT:
        return CodingVerdict("error", f"{element} must be a code of {rule}, with its system", rule)
    if system is None or code is None:
        return CodingVerdict("warning", f"{element} has no code with a system; a code of {rule} is preferred", rule)
    canonical = canonical_system(system)
    if canonical == LOINC or canonical.startswith(_ANS_ROOTS):
        return CodingVerdict("error", f"{element} has a code of LOINC or the NOS that {rule} lacks", rule)
    return CodingVerdict(
        "warning", f"{element} has a code of another system than those of {rule}, which is preferred", rule
    )


def check_class(kind: DocumentType, system: str, code: str, *, strict: bool) -> CodingVerdict:
    """Say whether a category is the class of the document's type.

    An error under strict handling (`Prefer: handling=strict`), else a warning. Nothing is said of a category of a
    system that isn't the class's (`check_coding` speaks of it), nor of a type whose class isn't known.
    """
    if kind.class_code is None or canonical_system(system) not in {TRE_A03, TRE_A10}:
        return OK
    if (canonical_system(system), code) == (kind.class_system, kind.class_code):
        return OK
    text = f"the category is not the class of the type; the class of {kind.code} is {kind.class_code}"
    return CodingVerdict("error" if strict else "warning", text, _CLASS_RULE)


# A lock around the caches: each file is read once, however many threads ask first.
_reading: Final = threading.RLock()


def _rows(name: str) -> list[list[str]]:
    lines = (_TABLES / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def _systems() -> MappingProxyType[str, str]:
    with _reading:
        return _read_systems()[0]


def _list(name: ListName) -> MappingProxyType[tuple[str, str], Concept]:
    with _reading:
        return _read_list(name)


@functools.cache
def _read_systems() -> tuple[MappingProxyType[str, str], MappingProxyType[str, str]]:
    """Return canonical url by any name, and canonical url by the tables' short name."""
    by_name: dict[str, str] = {}
    by_short: dict[str, str] = {}
    for short, canonical, oid, others in _rows("systems"):
        by_short[short] = canonical
        names = [canonical]
        if oid != _ABSENT:
            names.append(f"urn:oid:{oid}")
        if others != _ABSENT:
            names += others.split(" ")
        if canonical.startswith(_NOS):
            names.append(canonical.partition("/FHIR/")[0])
        for name in names:
            if by_name.setdefault(name, canonical) != canonical:
                raise ValueError(f"tables/systems.tsv: {name} names two systems")
    return MappingProxyType(by_name), MappingProxyType(by_short)


@functools.cache
def _read_list(name: ListName) -> MappingProxyType[tuple[str, str], Concept]:
    by_short = _read_systems()[1]
    found: dict[tuple[str, str], Concept] = {}
    for short, code, label, *more in _rows(name):
        system = by_short[short]
        if name == "J07":
            class_code, edition = more
            known = None if class_code == _ABSENT else class_code
            found[system, code] = DocumentType(system, code, label, known, edition)
        else:
            found[system, code] = Concept(system, code, label)
    return MappingProxyType(found)
