"""Makes CDA R2 documents for any patient, author, structure, date and size. Pure: the same arguments, the same bytes.

The header follows the CI-SIS minimal structure (realm FR, HL7 France and CI-SIS header templates, INS, author,
custodian, legal authenticator, documented act, encounter); no schema or schematron has checked it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from lxml import etree

from sceau.access.clocks import months_before
from sceau.cli.samples import bodies
from sceau.cli.samples.bodies import timestamp
from sceau.cli.samples.pdf import make_pdf
from sceau.cli.samples.people import Author, Patient, Structure
from sceau.cli.samples.xml import element
from sceau.fhir import codes

_PS: Final = "1.2.250.1.71.4.2.1"
_STRUCTURE: Final = "1.2.250.1.71.4.2.2"
_LOINC: Final = "2.16.840.1.113883.6.1"
_TRE_A05: Final = "1.2.250.1.213.1.1.4.12"
_TRE_A06: Final = "1.2.250.1.213.1.1.4.2.282"
_TRE_A11: Final = "1.3.6.1.4.1.19376.1.2.3"
_PDF_FORMAT: Final = "urn:ihe:iti:xds-sd:pdf:2008"
_GENDERS: Final = {"F": "Féminin", "M": "Masculin"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sample: its type (OID and code), title, level, and the format (OID and code) its entry should declare.

    `sections` makes the body of a level 3; a level 1 carries a PDF. `months`: how far back it tells of care.
    """

    type_oid: str
    type_code: str
    title: str
    format_oid: str
    format_code: str
    sections: Callable[[datetime], list[etree._Element]] | None = None
    months: int = 0

    @property
    def level(self) -> Literal[1, 3]:
        """The CDA level of the body."""
        return 1 if self.sections is None else 3

    @property
    def document_type(self) -> codes.DocumentType:
        """The type in JDV_J07: canonical url, label, class."""
        found = codes.document_type(self.type_oid, self.type_code)
        if found is None:
            raise ValueError(f"{self.type_code} is not in JDV_J07")
        return found

    @property
    def format_system(self) -> str:
        """Canonical url of the format's system."""
        return codes.canonical_system(self.format_oid)


KINDS: Final = MappingProxyType(
    {
        "biology": Kind(
            _LOINC, "11502-2", "Compte rendu de biologie", _TRE_A11, "urn:ihe:lab:xd-lab:2008", bodies.biology
        ),
        "imaging": Kind(
            _LOINC,
            "18748-4",
            "Compte rendu d'imagerie",
            _TRE_A11,
            "urn:ihe:rad:CDA:ImagingReportStructuredHeadings:2013",
            bodies.imaging,
        ),
        "imaging-pdf": Kind(_LOINC, "18748-4", "Compte rendu d'imagerie", _TRE_A11, _PDF_FORMAT),
        "discharge-letter": Kind(
            _LOINC,
            "11490-0",
            "Lettre de liaison à la sortie",
            _TRE_A06,
            "urn:asip:ci-sis:ldl-ses:2017",
            bodies.discharge,
        ),
        "consultation-pdf": Kind(_LOINC, "11488-4", "Compte rendu de consultation", _TRE_A11, _PDF_FORMAT),
        "vaccination-note": Kind(
            _LOINC, "87273-9", "Note de vaccination", _TRE_A06, "urn:asip:ci-sis:vac-note:2021", bodies.vaccination
        ),
        "prescription": Kind(
            _LOINC, "57833-6", "Prescription de médicaments", _TRE_A11, "urn:ihe:pharm:pre:2010", bodies.prescription
        ),
        "psychiatric-synthesis-pdf": Kind(_LOINC, "68599-0", "Synthèse psychiatrique", _TRE_A11, _PDF_FORMAT),
        "care-history": Kind(
            _TRE_A05,
            "REMB",
            "Historique des remboursements",
            _TRE_A06,
            "urn:asip:ci-sis:hr:2019",
            bodies.care_history,
            months=24,
        ),
    }
)


def make_cda(
    kind: str,
    *,
    patient: Patient,
    author: Author,
    structure: Structure,
    document_id: str,
    when: datetime,
    body_bytes: bytes | None = None,
    replaces: str | None = None,
) -> bytes:
    """Return a CDA document in UTF-8.

    `kind` is a key of KINDS. `document_id`, and `replaces` for the id of the document that this one replaces, are an
    OID or a UUID, bare or as `urn:oid:…`, `urn:uuid:…`. `when` (aware) is the time of the act and of the document.
    `body_bytes` is the PDF that a level 1 carries; without it a small one is made (`make_pdf` makes larger ones).
    Raises KeyError for an unknown kind, ValueError for a naive time or a PDF given to a level 3.
    """
    chosen = KINDS[kind]
    if when.tzinfo is None:
        raise ValueError("the time of a document has a zone")
    if chosen.sections is not None and body_bytes is not None:
        raise ValueError(f"{kind} has a structured body: it carries no PDF")
    version = "1" if replaces is None else "2"
    document = element(
        "ClinicalDocument",
        element("realmCode", code="FR"),
        element("typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040"),
        element("templateId", root="2.16.840.1.113883.2.8.2.1"),  # HL7 France
        element("templateId", root="1.2.250.1.213.1.1.1.1"),  # CI-SIS, minimal structure
        element("id", root=_root(document_id)),
        _coded("code", chosen.type_oid, chosen.type_code, chosen.document_type.label),
        element("title", chosen.title),
        element("effectiveTime", value=timestamp(when)),
        _coded("confidentialityCode", "2.16.840.1.113883.5.25", "N", "Normal"),
        element("languageCode", code="fr-FR"),
        element("setId", root=_root(replaces or document_id)),
        element("versionNumber", value=version),
        _record_target(patient),
        _author(author, structure, when),
        _custodian(structure),
        _legal_authenticator(author, structure, when),
        _documentation_of(chosen, author, structure, when),
    )
    if replaces is not None:
        parent = element("parentDocument", element("id", root=_root(replaces)))
        document.append(element("relatedDocument", parent, typeCode="RPLC"))
    document.append(_encounter(structure, when))
    document.append(_body(chosen, when, body_bytes))
    etree.cleanup_namespaces(document, keep_ns_prefixes=["xsi"])
    return etree.tostring(document, encoding="UTF-8", xml_declaration=True)


def _root(identifier: str) -> str:
    return identifier.removeprefix("urn:oid:").removeprefix("urn:uuid:")


def _coded(name: str, system: str, code: str, label: str) -> etree._Element:
    return element(name, code=code, codeSystem=system, displayName=label)


def _record_target(patient: Patient) -> etree._Element:
    birthplace = element("birthplace", element("place", element("addr", element("county", patient.birth_place))))
    person = element(
        "patient",
        element(
            "name",
            element("family", patient.birth_name, qualifier="BR"),
            element("given", " ".join(patient.first_names)),
            element("given", patient.first_names[0], qualifier="BR"),
        ),
        _coded("administrativeGenderCode", "2.16.840.1.113883.5.1", patient.gender, _GENDERS[patient.gender]),
        element("birthTime", value=f"{patient.birth_date:%Y%m%d}"),
        birthplace,
    )
    role = element(
        "patientRole",
        element("id", root=_root(patient.ins_system), extension=patient.ins_value),
        element("addr", nullFlavor="NASK"),
        element("telecom", nullFlavor="NASK"),
        person,
    )
    return element("recordTarget", role)


def _organization(name: str, structure: Structure) -> etree._Element:
    return element(
        name, element("id", root=_STRUCTURE, extension=structure.identifier), element("name", structure.name)
    )


def _person(name: str, author: Author) -> etree._Element:
    given = author.given or "."
    return element(name, element("name", element("given", given), element("family", author.family)))


def _author(author: Author, structure: Structure, when: datetime) -> etree._Element:
    specialty = codes.concept("J01", author.specialty_system, author.specialty)
    label = specialty.label if specialty else author.specialty
    if author.device:
        software = element("softwareName", author.family)
        who = element("assignedAuthoringDevice", element("manufacturerModelName", "."), software)
    else:
        who = _person("assignedPerson", author)
    assigned = element(
        "assignedAuthor",
        element("id", root=_PS, extension=author.identifier),
        _coded("code", author.specialty_system, author.specialty, label),
        element("addr", nullFlavor="NASK"),
        element("telecom", nullFlavor="NASK"),
        who,
        _organization("representedOrganization", structure),
    )
    return element("author", element("time", value=timestamp(when)), assigned)


def _custodian(structure: Structure) -> etree._Element:
    kept = _organization("representedCustodianOrganization", structure)
    return element("custodian", element("assignedCustodian", kept))


def _legal_authenticator(author: Author, structure: Structure, when: datetime) -> etree._Element:
    return element(
        "legalAuthenticator",
        element("time", value=timestamp(when)),
        element("signatureCode", code="S"),
        element(
            "assignedEntity",
            element("id", root=_PS, extension=author.identifier),
            _person("assignedPerson", author),
            _organization("representedOrganization", structure),
        ),
    )


def _documentation_of(kind: Kind, author: Author, structure: Structure, when: datetime) -> etree._Element:
    setting = codes.concept("J04", "1.2.250.1.213.1.1.4.9", structure.setting)
    organization = _organization("representedOrganization", structure)
    organization.append(
        _coded(
            "standardIndustryClassCode",
            "1.2.250.1.213.1.1.4.9",
            structure.setting,
            setting.label if setting else structure.setting,
        )
    )
    performer = element(
        "performer",
        element("assignedEntity", element("id", root=_PS, extension=author.identifier), organization),
        typeCode="PRF",
    )
    first = datetime.combine(months_before(when.date(), kind.months), when.timetz())
    period = element("effectiveTime", element("low", value=timestamp(first)), element("high", value=timestamp(when)))
    event = element(
        "serviceEvent", _coded("code", kind.type_oid, kind.type_code, kind.document_type.label), period, performer
    )
    return element("documentationOf", event)


def _encounter(structure: Structure, when: datetime) -> etree._Element:
    sector = codes.concept("J02", "1.2.250.1.71.4.2.4", structure.sector)
    facility = _coded("code", "1.2.250.1.71.4.2.4", structure.sector, sector.label if sector else structure.sector)
    location = element("location", element("healthCareFacility", facility))
    period = element("effectiveTime", element("low", value=timestamp(when)), element("high", value=timestamp(when)))
    return element("componentOf", element("encompassingEncounter", period, location))


def _body(kind: Kind, when: datetime, body_bytes: bytes | None) -> etree._Element:
    if kind.sections is not None:
        return element("component", element("structuredBody", *kind.sections(when)))
    content = make_pdf(f"{kind.title} (exemple)") if body_bytes is None else body_bytes
    text = element("text", base64.b64encode(content).decode("ascii"), mediaType="application/pdf", representation="B64")
    return element("component", element("nonXMLBody", text))
