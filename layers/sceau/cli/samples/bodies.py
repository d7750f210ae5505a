"""The bodies of the structured sample documents (level 3): narrative, and coded entries that say the same.

They follow the shape of the CI-SIS models and claim conformance to none (no templateId of a model): no schematron has
looked at them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from lxml import etree

from sceau.cli.samples.people import AUTHORS, STRUCTURES
from sceau.cli.samples.xml import element, loinc, section, table

# Each: code of LOINC, label, value, unit (UCUM), bounds of the reference range.
_RESULTS: Final = (
    ("718-7", "Hémoglobine", "13.1", "g/dL", "12.0", "16.0"),
    ("2951-2", "Sodium", "139", "mmol/L", "136", "145"),
    ("2823-3", "Potassium", "4.1", "mmol/L", "3.5", "5.1"),
    ("14749-6", "Glucose", "5.2", "mmol/L", "4.1", "6.1"),
    ("3016-3", "Thyréostimuline (TSH)", "1.95", "m[IU]/L", "0.27", "4.20"),
)


def timestamp(when: datetime) -> str:
    """Return an aware time as an HL7 timestamp."""
    return when.strftime("%Y%m%d%H%M%S%z")


def biology(when: datetime) -> list[etree._Element]:
    """Biology results: one section, an act with coded LOINC observations."""
    rows = [(label, f"{value} {unit}", f"{low} - {high}") for _, label, value, unit, low, high in _RESULTS]
    observations = [
        element(
            "entryRelationship",
            element(
                "observation",
                loinc(code, label),
                element("statusCode", code="completed"),
                element("effectiveTime", value=timestamp(when)),
                element("value", xsi_type="PQ", value=value, unit=unit),
                element("interpretationCode", code="N", codeSystem="2.16.840.1.113883.5.83", displayName="Normal"),
                _reference_range(unit, low, high),
                classCode="OBS",
                moodCode="EVN",
            ),
            typeCode="COMP",
        )
        for code, label, value, unit, low, high in _RESULTS
    ]
    act = element(
        "act",
        loinc("18719-5", "Biochimie"),
        element("statusCode", code="completed"),
        *observations,
        classCode="ACT",
        moodCode="EVN",
    )
    entry = element("entry", act, typeCode="DRIV")
    return [section("18719-5", "Biochimie", table(("Examen", "Résultat", "Référence"), rows), entry)]


def imaging(when: datetime) -> list[etree._Element]:
    """An imaging report with its acts: request, technique, findings, conclusion."""
    acts = [("36643-5", "Radiographie du thorax, deux incidences"), ("24627-2", "Scanner du thorax")]
    entries = [_act(code, label, when + timedelta(minutes=20 * n)) for n, (code, label) in enumerate(acts)]
    return [
        section("55115-0", "Demande d'examen", "Toux persistante (texte d'exemple)."),
        section("55111-9", "Acte d'imagerie", table(("Acte",), [(label,) for _, label in acts]), *entries),
        section("18782-3", "Résultats", "Pas d'anomalie : ceci est un compte rendu d'exemple."),
        section("19005-8", "Conclusion", "Examen normal (texte d'exemple)."),
    ]


def discharge(when: datetime) -> list[etree._Element]:
    """A hospital's discharge letter: reason, course, treatment at discharge, follow-up."""
    return [
        section("42349-1", "Motif d'hospitalisation", "Fièvre (texte d'exemple)."),
        section("8648-8", "Évolution", "Guérison en trois jours (texte d'exemple)."),
        section("10183-2", "Traitements à la sortie", "Paracétamol.", _medication("N02BE01", "Paracétamol", when)),
        section("18776-5", "Suivi", "Revoir le médecin traitant dans un mois (texte d'exemple)."),
    ]


def vaccination(when: datetime) -> list[etree._Element]:
    """A note of one vaccination."""
    act = element(
        "substanceAdministration",
        element("code", code="IMMUNIZ", codeSystem="2.16.840.1.113883.5.4", displayName="Vaccination"),
        element("statusCode", code="completed"),
        element("effectiveTime", value=timestamp(when)),
        _product("J07AM51", "Vaccin diphtérie-tétanos (exemple)"),
        classCode="SBADM",
        moodCode="EVN",
        negationInd="false",
    )
    rows = [(f"{when:%d/%m/%Y}", "Vaccin diphtérie-tétanos (exemple)", "Lot EXEMPLE-1")]
    return [section("11369-6", "Vaccinations", table(("Date", "Vaccin", "Lot"), rows), element("entry", act))]


def prescription(when: datetime) -> list[etree._Element]:
    """A prescription of two medicines."""
    medicines = (("N02BE01", "Paracétamol 1 g, 1 comprimé 3 fois par jour"), ("A02BC01", "Oméprazole 20 mg le soir"))
    rows = [(label, "7 jours") for _, label in medicines]
    entries = [_medication(code, label, when, mood="INT") for code, label in medicines]
    return [section("57828-6", "Prescription médicamenteuse", table(("Médicament", "Durée"), rows), *entries)]


def care_history(when: datetime) -> list[etree._Element]:
    """The insurer's care history: what was reimbursed in the last 24 months."""
    care = [(when - timedelta(days=30 * n), label) for n, label in enumerate(("Consultation", "Radiographie", "Soins"))]
    rows = [(f"{day:%d/%m/%Y}", label) for day, label in care]
    entries = [_reimbursed(day, label) for day, label in care]
    notice = "Données de remboursement d'exemple, sans valeur."
    return [
        section("55112-7", "Usage et responsabilités", notice),
        section("10160-0", "Médicaments", "Paracétamol.", _medication("N02BE01", "Paracétamol", when)),
        section("46240-8", "Soins médicaux et dentaires", table(("Date", "Soin"), rows), *entries),
    ]


def _reference_range(unit: str, low: str, high: str) -> etree._Element:
    values = element(
        "value", element("low", value=low, unit=unit), element("high", value=high, unit=unit), xsi_type="IVL_PQ"
    )
    return element("referenceRange", element("observationRange", values), typeCode="REFV")


def _reimbursed(day: datetime, label: str) -> etree._Element:
    """An act in the insurer's words: the day, and who did it."""
    author, structure = AUTHORS["general_practitioner"], STRUCTURES["practice"]
    organization = element(
        "representedOrganization",
        element("id", root="1.2.250.1.71.4.2.2", extension=structure.identifier),
        element("name", structure.name),
    )
    doer = element(
        "assignedEntity", element("id", root="1.2.250.1.71.4.2.1", extension=author.identifier), organization
    )
    act = element(
        "procedure",
        element("code", element("originalText", label), nullFlavor="UNK"),
        element("statusCode", code="completed"),
        element("effectiveTime", value=f"{day:%Y%m%d}"),
        element("performer", doer),
        classCode="PROC",
        moodCode="EVN",
    )
    return element("entry", act, typeCode="DRIV")


def _act(code: str, label: str, when: datetime) -> etree._Element:
    act = element(
        "act",
        loinc(code, label),
        element("statusCode", code="completed"),
        element("effectiveTime", value=timestamp(when)),
        classCode="ACT",
        moodCode="EVN",
    )
    return element("entry", act, typeCode="COMP")


def _product(atc: str, label: str) -> etree._Element:
    code = element("code", code=atc, codeSystem="2.16.840.1.113883.6.73", codeSystemName="ATC", displayName=label)
    return element(
        "consumable", element("manufacturedProduct", element("manufacturedMaterial", code, element("name", label)))
    )


def _medication(atc: str, label: str, when: datetime, mood: str = "EVN") -> etree._Element:
    period = element(
        "effectiveTime",
        element("low", value=timestamp(when)),
        element("high", value=timestamp(when + timedelta(days=7))),
        xsi_type="IVL_TS",
    )
    return element(
        "entry",
        element(
            "substanceAdministration",
            element("statusCode", code="completed"),
            period,
            _product(atc, label),
            classCode="SBADM",
            moodCode=mood,
        ),
    )
