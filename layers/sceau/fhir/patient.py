"""A patient's identity: the fr-core Patient that opens a record, and the one that TD0.2 answers.

The five identity traits (référentiel national d'identitovigilance) are birth name, first names, birth date, sex and
birth place; with the INS they say who somebody is. Sources: fr-core 2.1.0, wire.md "TD0.2", api.md "Opening a record".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sceau.access.clocks import paris_date
from sceau.access.facts import instant_of
from sceau.fhir.consent_life import BY_HOLDER, DEATH, DMP_MOTIVES, MOTIVES
from sceau.fhir.findings import Findings
from sceau.fhir.ins import INS_NIA, INS_NIR, INS_NIR_DEMO, INS_NIR_TEST, contradicts_birth_date
from sceau.fhir.outcome import unprocessable
from sceau.fhir.parse import Json
from sceau.fhir.references import checked_ins, ins_of
from sceau.fhir.times import instant
from sceau_schemas.dossier import DossierHead, StoredIdentifier, StoredPatient
from sceau_schemas.fhir.people import Patient

PROFILE: Final = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-patient"
BIRTH_PLACE: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
INSEE_CODE: Final = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-address-insee-code"
COMMUNES: Final = "https://mos.esante.gouv.fr/NOS/TRE_R13-CommuneOM/FHIR/TRE-R13-CommuneOM"
COUNTRIES: Final = "https://mos.esante.gouv.fr/NOS/TRE_R20-Pays/FHIR/TRE-R20-Pays"
_FR_0203: Final = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"
_V2_0203: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_INSEE: Final = re.compile(r"(?:[0-9]{2}|2[AB])[0-9]{3}")
_ABROAD: Final = "99"

_INS_TYPES: Final = {
    INS_NIR: (_V2_0203, "NH"),
    INS_NIA: (_FR_0203, "INS-NIA"),
    INS_NIR_TEST: (_FR_0203, "INS-NIR-TEST"),
    INS_NIR_DEMO: (_FR_0203, "INS-NIR-DEMO"),
}

_DMP: Final = "https://interop.esante.gouv.fr/ig/fhir/dmp/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Closing:
    """How a record was closed. `date`: YYYY-MM-DD; `code` and its `system`: why; `text`: in the holder's words."""

    date: str
    code: str = BY_HOLDER
    text: str | None = None
    system: str = DMP_MOTIVES


def closing_of(head: DossierHead) -> Closing | None:
    """How the record was closed, if it is."""
    if head.closed is None:
        return None
    day = paris_date(instant_of(head.closed)).isoformat()
    if head.died is not None:
        return Closing(day, DEATH, head.closing_reason, MOTIVES)
    if head.closing_motive == "suspension":
        return Closing(day, head.closing_motive, None, MOTIVES)
    return Closing(day, text=head.closing_reason)


def read_traits(
    patient: Patient, at: str, accepted_ins_systems: Collection[str], findings: Findings
) -> StoredPatient | None:
    """Return INS and traits, or None when `findings` got an error; all are required. `at`: the Patient's FHIRPath.

    FhirError 422: the INS can't be one here.
    """
    before = len(findings.errors)
    named = ins_of(patient)
    if len(named) != 1:
        findings.error("the Patient has one INS", f"{at}.identifier", rule="INS", code="required")
    official = [name for name in patient.name or () if name.use == "official"]
    family = official[0].family if official else None
    given = tuple(part for part in (official[0].given or () if official else ()) if part)
    if len(official) != 1:
        findings.error(
            "the Patient has one name of use official, as at birth", f"{at}.name", rule="RNIV", code="required"
        )
    else:
        _require(family, f"{at}.name.where(use='official').family", findings)
        _require(given, f"{at}.name.where(use='official').given", findings)
    _require(patient.gender, f"{at}.gender", findings)
    _require(patient.birth_date, f"{at}.birthDate", findings)
    place = _birth_place(patient, at, findings)
    if len(findings.errors) > before or not (family and patient.gender and patient.birth_date and place):
        return None
    ins = checked_ins(next(iter(named)), f"{at}.identifier", accepted_ins_systems)
    return StoredPatient(
        ins=StoredIdentifier(system=ins.system, value=ins.value),
        birth_name=family,
        first_names=given,
        birth_date=patient.birth_date,
        sex=patient.gender,
        birth_place=place,
    )


def check_birth_date(patient: StoredPatient, today: date) -> None:
    """Refuse a birth date that is still to come, or that the INS contradicts. FhirError 422.

    For an opening by somebody whose right rests on that date: a representative, until the holder is of age.
    """
    born = patient.birth_date
    if born > today.isoformat()[: len(born)]:
        raise unprocessable("the birth date is still to come", "Consent.patient", rule="RNIV", code="business-rule")
    if contradicts_birth_date(patient.ins.system, patient.ins.value, born):
        text = "the birth date is not of the year and month of birth that the INS tells"
        raise unprocessable(text, "Consent.patient", rule="RNIV", code="business-rule")


def _require(value: object, at: str, findings: Findings) -> None:
    if not value:
        findings.required(at, "RNIV")


def _birth_place(patient: Patient, at: str, findings: Findings) -> str | None:
    """The INSEE code (COG) in the birthPlace extension's address."""
    where = f"{at}.extension('{BIRTH_PLACE}').value"
    address = _value_of(patient.extension, BIRTH_PLACE, "valueAddress")
    extensions = address.get("extension") if isinstance(address, dict) else None
    coding = _value_of(extensions, INSEE_CODE, "valueCoding")
    code = coding.get("code") if isinstance(coding, dict) else None
    if not isinstance(code, str) or not _INSEE.fullmatch(code):
        findings.error(
            f"the birth place is an INSEE code of five characters, in {INSEE_CODE}", where, rule="RNIV", code="required"
        )
        return None
    return code


def _value_of(extensions: Any, url: str, name: str) -> Any:
    """The value of the extension with this url; None unless it stands exactly once. Inside a value, shapes are open."""
    if not isinstance(extensions, list):
        return None
    found = [e for e in extensions if isinstance(e, dict) and e.get("url") == url]
    return found[0].get(name) if len(found) == 1 else None


def identity(patient: StoredPatient) -> Json:
    """Return the fr-core Patient of INS and traits, without id."""
    system, code = _INS_TYPES.get(patient.ins.system, (_FR_0203, "INS-NIR"))
    abroad = patient.birth_place.startswith(_ABROAD)
    place = {"system": COUNTRIES if abroad else COMMUNES, "code": patient.birth_place}
    return {
        "resourceType": "Patient",
        "meta": {"profile": [PROFILE]},
        "extension": [
            {
                "url": BIRTH_PLACE,
                "valueAddress": {"extension": [{"url": INSEE_CODE, "valueCoding": place}]},
            }
        ],
        "identifier": [
            {
                "use": "official",
                "type": {"coding": [{"system": system, "code": code}]},
                "system": patient.ins.system,
                "value": patient.ins.value,
            }
        ],
        "name": [{"use": "official", "family": patient.birth_name, "given": list(patient.first_names)}],
        "gender": patient.sex,
        "birthDate": patient.birth_date,
    }


def patient(
    head: DossierHead, *, medecin_traitant: bool, rattachement_mes: bool, closing: Closing | None = None
) -> Json:
    """Return TD0.2's Patient, whose id is the record-id.

    `medecin_traitant`: the asking professional is the patient's. `rattachement_mes`: the record is attached to Mon
    espace santé. `closing`: of a closed record, where it is known.
    """
    resource = identity(head.patient)
    resource["id"] = head.record_id
    # Not the dossier's version or time: they would tell a professional without a grant how often the record changes.
    resource["meta"] = {"versionId": "1", "lastUpdated": instant(head.opened), "profile": [PROFILE]}
    resource["active"] = head.status == "open"
    resource["extension"] += [
        {"url": _DMP + "dmp-rattachement-mes", "valueBoolean": rattachement_mes},
        {"url": _DMP + "dmp-medecin-traitant", "valueBoolean": medecin_traitant},
    ]
    if closing is not None:
        parts: list[Json] = [
            {"url": "dateFermeture", "valueDate": closing.date},
            {
                "url": "motifFermeture",
                "valueCodeableConcept": {"coding": [{"system": closing.system, "code": closing.code}]},
            },
        ]
        if closing.text:
            parts.append({"url": "raisonFermeture", "valueString": closing.text})
        resource["extension"].append({"url": _DMP + "dmp-fermeture", "extension": parts})
    return resource
