"""The search parameters that exist: one table per resource. Search and CapabilityStatement both read it.

To add a parameter, add a row; `stored` names the terms it reads (`fhir.terms` writes them) or, with `row.`, a field
that `match` knows how to read.

Sources: MHD = IHE MHD 4.2.3 (ITI-66, ITI-67); PDSm = CI-SIS PDSm 3.1.x; R4 = FHIR R4 4.0.1; DMP = the ANS guide's
TD3.1a and b.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

_R4 = "http://hl7.org/fhir/SearchParameter/"
_MHD = "https://profiles.ihe.net/ITI/MHD/SearchParameter/"
_PDSM = "https://interop.esante.gouv.fr/ig/fhir/pdsm/SearchParameter/"

PREFIXES = ("eq", "ne", "lt", "le", "gt", "ge", "sa", "eb", "ap")
"""Every date parameter takes all of them."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource.

    `role`: `filter` narrows, `patient` names the record, `control` shapes the answer.
    `holds`: what a token is made of; `closed` is one of `codes`, whose systems may be left out. `target`: the resource
    that a bare id of a reference names. `sortable`: may stand in `_sort` (dates only).
    `definition`: canonical url of the SearchParameter, where one exists.
    """

    name: str
    type: Literal["token", "date", "reference", "string", "special"]
    doc: str
    source: str
    stored: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    modifiers: tuple[Literal["not", "missing", "contains"], ...] = ()
    role: Literal["filter", "patient", "control"] = "filter"
    holds: Literal["coding", "identifier", "id", "closed"] = "coding"
    codes: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    target: str = ""
    sortable: bool = False
    definition: str | None = None


def _coding(name: str, doc: str, definition: str, source: str = "MHD") -> Parameter:
    return Parameter(name, "token", doc, source, (name,), modifiers=("not", "missing"), definition=definition)


def _closed(
    name: str,
    doc: str,
    definition: str,
    source: str = "MHD",
    *,
    field: str,
    codes: tuple[str, ...],
    systems: tuple[str, ...],
) -> Parameter:
    return Parameter(
        name, "token", doc, source, (field,), modifiers=("not",), holds="closed", codes=codes, systems=systems,
        definition=definition,
    )  # fmt: skip


def _identifier(
    name: str, doc: str, source: str, *, aliases: tuple[str, ...] = (), definition: str | None = None
) -> Parameter:
    stored = name.replace(":", ".")
    return Parameter(name, "token", doc, source, (stored,), aliases, holds="identifier", definition=definition)


def _date(name: str, doc: str, definition: str, source: str = "MHD") -> Parameter:
    return Parameter(name, "date", doc, source, (name,), (), ("missing",), sortable=True, definition=definition)


def _string(
    name: str, doc: str, source: str = "MHD", *, aliases: tuple[str, ...] = (), definition: str | None = None
) -> Parameter:
    return Parameter(name, "string", doc, source, (name,), aliases, ("contains",), definition=definition)


def _reference(name: str, doc: str, definition: str, source: str = "MHD") -> Parameter:
    return Parameter(name, "reference", doc, source, (name,), (), ("missing",), definition=definition)


def _control(name: str, doc: str) -> Parameter:
    return Parameter(name, "special", doc, "R4", role="control")


_BOOLEAN = ("http://terminology.hl7.org/CodeSystem/special-values",)
# PDSm's examples write http: for MHD's https:.
_LIST_TYPES = tuple(f"{scheme}://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes" for scheme in ("https", "http"))
_DOCUMENT_STATUS = ("http://hl7.org/fhir/document-reference-status",)
_LIST_STATUS = ("http://hl7.org/fhir/list-status",)

_COMMON = (
    Parameter(
        "_id",
        "token",
        "The resource's id, <record-id>.<entry-id>.",
        "R4",
        ("row.id",),
        holds="id",
        definition=_R4 + "Resource-id",
    ),
    Parameter(
        "_lastUpdated",
        "date",
        "When the present version was made.",
        "R4",
        ("row.updated",),
        sortable=True,
        definition=_R4 + "Resource-lastUpdated",
    ),
    _control("_count", "Entries per page: 50 when absent, at most 200; 0 asks for the total."),
    _control("_sort", "Date parameters, a leading - reverses; -date when absent."),
    _control("_summary", "`count` asks for the total alone; `false` is the default."),
    Parameter(
        "patient",
        "reference",
        "The patient: the Patient's id or url, or the INS as system|value (PDSm has it as a token). Names one patient.",
        "MHD",
        role="patient",
        target="Patient",
        definition=_R4 + "clinical-patient",
    ),
    Parameter(
        "patient.identifier",
        "token",
        "The patient's INS, as system|value. Names one patient.",
        "MHD",
        aliases=("patient:identifier",),
        role="patient",
        holds="identifier",
    ),
)

_DOCUMENT_REFERENCE = (
    _closed(
        "status",
        "current or superseded; both when absent. Deleted entries (entered-in-error) are never returned.",
        _R4 + "DocumentReference-status",
        field="row.status",
        codes=("current", "superseded", "entered-in-error"),
        systems=_DOCUMENT_STATUS,
    ),
    Parameter(
        "identifier",
        "token",
        "uniqueId (masterIdentifier), other identifiers, or entryUUID of the document. Finds archived entries too.",
        "MHD",
        ("row.identifiers",),
        holds="identifier",
        definition=_R4 + "clinical-identifier",
    ),
    _coding("type", "Type of document (JDV_J07).", _R4 + "clinical-type"),
    _coding("category", "Class of document (JDV_J06).", _R4 + "DocumentReference-category"),
    _coding("facility", "Kind of facility where the act was done (JDV_J02).", _R4 + "DocumentReference-facility"),
    _coding("setting", "Practice setting of the act (JDV_J04).", _R4 + "DocumentReference-setting"),
    _coding("format", "Technical format of the document (JDV_J10).", _R4 + "DocumentReference-format"),
    _coding("event", "Acts and pathologies documented.", _R4 + "DocumentReference-event"),
    Parameter(
        "security-label",
        "token",
        "Confidentiality and visibility (JDV_J08).",
        "MHD",
        ("row.labels",),
        modifiers=("not",),
        definition=_R4 + "DocumentReference-security-label",
    ),
    _closed(
        "isArchived",
        "true: archived entries; false: all others, those without the extension included. "
        "When absent, archived entries are not returned, unless _id or identifier names them.",
        _PDSM + "PDSm-isArchived",
        "PDSm",
        field="row.archived",
        codes=("true", "false"),
        systems=_BOOLEAN,
    ),
    _date("date", "When the entry was indexed (DocumentReference.date).", _R4 + "DocumentReference-date"),
    _date(
        "creation",
        "When the document was created (content.attachment.creation).",
        _MHD + "DocumentReference-Creation",
    ),
    _date("period", "When the act took place (context.period).", _R4 + "DocumentReference-period"),
    _date("period-start", "When the act began.", _PDSM + "PDSm-DocumentReference-period-start", "PDSm"),
    _date("period-end", "When the act ended.", _PDSM + "PDSm-DocumentReference-period-end", "PDSm"),
    _reference("author", "Reference to an author.", _R4 + "DocumentReference-author"),
    _identifier(
        "author.identifier",
        "Identifier of an author (IdNat_PS, IdNat_Struct).",
        "PDSm",
        aliases=("author:identifier",),
    ),
    _string(
        "author.given",
        "Start of an author's first name.",
        aliases=("author:Practitioner.given", "author:Patient.given"),
    ),
    _string(
        "author.family",
        "Start of an author's family name.",
        aliases=("author:Practitioner.family", "author:Patient.family"),
    ),
    _reference("related", "Reference to a related resource (context.related).", _R4 + "DocumentReference-related"),
    _identifier(
        "related:identifier",
        "Identifier of a related object: accession, order, study instance UID.",
        "MHD",
        aliases=("related.identifier",),
    ),
    Parameter(
        "relatesto",
        "reference",
        "The entry that this one replaces (PDSm: relatesTo).",
        "MHD",
        ("row.replaces",),
        ("relatesTo",),
        ("missing",),
        target="DocumentReference",
        definition=_R4 + "DocumentReference-relatesto",
    ),
)

_LIST = (
    _closed(
        "code",
        "submissionset or folder.",
        _R4 + "clinical-code",
        field="row.kind",
        codes=("submissionset", "folder"),
        systems=_LIST_TYPES,
    ),
    _closed(
        "status",
        "Always current here.",
        _R4 + "List-status",
        field="row.status",
        codes=("current", "retired", "entered-in-error"),
        systems=_LIST_STATUS,
    ),
    Parameter(
        "identifier",
        "token",
        "The set's uniqueId, its other identifiers, or the entryUUID.",
        "MHD",
        ("row.identifiers",),
        holds="identifier",
        definition=_R4 + "clinical-identifier",
    ),
    _coding("designationType", "Kind of activity that led to the set (JDV_J03).", _MHD + "List-DesignationType"),
    _identifier("sourceId", "Identifier of the software that submitted.", "MHD", definition=_MHD + "List-SourceId"),
    _closed(
        "isArchived",
        "true or false; a set without the extension is not archived.",
        _PDSM + "PDSm-isArchived",
        "PDSm",
        field="row.archived",
        codes=("true", "false"),
        systems=_BOOLEAN,
    ),
    _date("date", "When the set was submitted.", _R4 + "clinical-date"),
    _string("title", "Start of the title.", "PDSm", definition=_R4 + "List-title"),
    _reference("source", "Reference to who submitted.", _R4 + "List-source", "PDSm"),
    _string(
        "source.given",
        "Start of the submitter's first name.",
        aliases=("source:Patient.given", "source:Practitioner.given"),
    ),
    _string(
        "source.family",
        "Start of the submitter's family name.",
        aliases=("source:Patient.family", "source:Practitioner.family"),
    ),
    Parameter(
        "source:PractitionerRole.name",
        "string",
        "Start of the submitting professional's first or family name.",
        "PDSm",
        ("source.given", "source.family"),
        modifiers=("contains",),
    ),
    _reference("authorOrg", "Reference to the submitting organisation.", _PDSM + "PDSm-List-authorOrg", "PDSm"),
)

TABLES: dict[str, tuple[Parameter, ...]] = {
    "DocumentReference": (*_COMMON, *_DOCUMENT_REFERENCE),
    "List": (*_COMMON, *_LIST),
}
"""Resource type to its parameters. AuditEvent has its own search (`traces`)."""

ELSEWHERE = frozenset({"_format"})
"""Query parameters that are no search parameters and that others read."""


@cache
def _by_name(resource: str) -> dict[str, Parameter]:
    return {name: p for p in TABLES[resource] for name in (p.name, *p.aliases)}


def find_parameter(resource: str, name: str) -> tuple[Parameter, str | None] | None:
    """Return the parameter that `name` means and its modifier, or None when there is none.

    The modifier is what follows the last colon and may be one that the parameter does not take. A whole name wins over
    a name with modifier (`related:identifier`). KeyError: `resource` has no table.
    """
    names = _by_name(resource)
    if name in names:
        return names[name], None
    base, colon, modifier = name.rpartition(":")
    return (names[base], modifier) if colon and base in names else None
