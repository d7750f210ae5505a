"""The invented people of the development issuer, and what a trusted issuer would say about each. Nobody here exists.

The first patient is the test identity that the public CDA samples of the ANS carry; INS of the test system only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

INS_TEST: Final = "urn:oid:1.2.250.1.213.1.4.10"

HOSPITAL_A: Final = "990000011"
HOSPITAL_B: Final = "990000029"
PRACTICE_C: Final = "99000003700012"
"""FINESS of the two hospitals, SIRET of the practice: invented numbers, of lengths that real ones have."""


@dataclass(frozen=True, slots=True)
class DevPatient:
    """A patient: the INS and the identity traits (référentiel national d'identitovigilance)."""

    ins: str
    family_name: str
    given_name: str
    birthdate: str
    gender: str
    birthplace: str

    def claims(self) -> dict[str, Any]:
        """What the patient issuer signs about the person."""
        return {
            "ins": f"{INS_TEST}|{self.ins}",
            "family_name": self.family_name,
            "given_name": self.given_name,
            "birthdate": self.birthdate,
            "gender": self.gender,
            "birthplace": self.birthplace,
        }


@dataclass(frozen=True, slots=True)
class DevActivity:
    """Where a professional practises: a FINESS (hospital) or a SIRET (practice)."""

    name: str
    finess: str = ""
    siret: str = ""

    def userinfo(self) -> dict[str, str]:
        """The activity as Pro Santé Connect gives it: what is unknown is an empty string."""
        return {
            "codeModeExercice": "S" if self.finess else "L",
            "codeSecteurDactivite": "SA01" if self.finess else "SA07",
            "codeGenreActivite": "GENR01",
            "numeroFinessSite": self.finess,
            "numeroSiretSite": self.siret,
            "identifiantTechniqueDeLaStructure": "",
            "raisonSocialeSite": self.name,
        }


@dataclass(frozen=True, slots=True)
class DevProfessional:
    """Somebody with a Pro Santé Connect account; without activities, not a professional."""

    number: str
    family_name: str
    given_name: str
    activities: tuple[DevActivity, ...]
    profession: str = "10"  # médecin

    @property
    def subject(self) -> str:
        """`sub`, in the old form of Pro Santé Connect."""
        return f"f:5e0f1f0e-0000-4000-8000-000000000001:{self.number}"

    def claims(self) -> dict[str, Any]:
        """What the access token says about the person."""
        return {
            "authMode": "CARD",
            "otherIds": [{"identifiant": self.number, "origine": "RPPS", "qualite": 1}],
            "preferred_username": self.number,
        }

    def userinfo(self) -> dict[str, Any]:
        """The UserInfo (reference: auth.md section 1.1)."""
        info: dict[str, Any] = {
            "sub": self.subject,
            "preferred_username": self.number,
            "SubjectNameID": self.number,
            "family_name": self.family_name,
            "given_name": self.given_name,
            "UITVersion": "1.0",
            "Palier_Authentification": "APPPRIP3^1.2.250.1.213.1.5.1.1.1",
            "otherIds": [{"identifiant": self.number, "origine": "RPPS", "qualite": 1}],
        }
        if self.activities:
            info["SubjectRole"] = [f"{self.profession}^1.2.250.1.213.1.1.5.5"]
            info["SubjectRefPro"] = {
                "codeCivilite": "DR",
                "exercices": [
                    {
                        "codeProfession": self.profession,
                        "codeCategorieProfessionnelle": "C",
                        "nomDexercice": self.family_name,
                        "prenomDexercice": self.given_name,
                        "activities": [activity.userinfo() for activity in self.activities],
                    }
                ],
            }
        return info


_A = DevActivity("HOPITAL A (DEMONSTRATION)", finess=HOSPITAL_A)
_B = DevActivity("HOPITAL B (DEMONSTRATION)", finess=HOSPITAL_B)
_C = DevActivity("CABINET C (DEMONSTRATION)", siret=PRACTICE_C)

PATIENTS: Final[Mapping[str, DevPatient]] = {
    "patient-dominique": DevPatient(
        "279035121518989", "PAT-TROIS", "DOMINIQUE MARIE-LOUISE", "1979-03-28", "female", "51215"
    ),
    "patient-camille": DevPatient("157078901234578", "PAT-DEMO", "CAMILLE", "1957-07-14", "male", "89012"),
}

PROFESSIONALS: Final[Mapping[str, DevProfessional]] = {
    "dr-martin": DevProfessional("899700000011", "MARTIN-DEMO", "ANNE", (_A,)),
    "dr-bernard": DevProfessional("899700000029", "BERNARD-DEMO", "LUC", (_B,)),
    "dr-petit": DevProfessional("899700000037", "PETIT-DEMO", "INES", (_C,)),
    "dr-durand": DevProfessional("899700000045", "DURAND-DEMO", "PAUL", (_A, _C)),
    "secretary": DevProfessional("899700000052", "MOREAU-DEMO", "EVE", ()),
}
