"""The invented people of the development issuer, and what a trusted issuer would say about each. Nobody here exists.

They are the sample patients, authors and structures, so that who logs in is who stands in the sample documents. Beside
them, the test identity that the public CDA samples of the ANS carry. INS of the test system only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sceau.cli.samples import people

_GENDERS: Final = {"F": "female", "M": "male"}
_SUBJECT: Final = "f:5e0f1f0e-0000-4000-8000-000000000001:"


@dataclass(frozen=True, slots=True)
class DevPatient:
    """A patient: the INS (`system|value`) and the identity traits (référentiel national d'identitovigilance).

    `represents`: the INS of the minor for whom this person acts, as a legal representative.
    """

    ins: str
    family_name: str
    given_name: str
    birthdate: str
    gender: str
    birthplace: str
    represents: str | None = None

    def claims(self) -> dict[str, Any]:
        """What the patient issuer signs about the person."""
        acting = {"represents": self.represents} if self.represents else {}
        return acting | {
            "ins": self.ins,
            "family_name": self.family_name,
            "given_name": self.given_name,
            "birthdate": self.birthdate,
            "gender": self.gender,
            "birthplace": self.birthplace,
        }


@dataclass(frozen=True, slots=True)
class DevProfessional:
    """Somebody with a Pro Santé Connect account. `structures`: names of sample structures; none: not a professional.

    `regulates`: at a centre 15.
    """

    number: str
    family_name: str
    given_name: str
    structures: tuple[str, ...]
    profession: str = "10"  # médecin
    regulates: bool = False
    specialty: str = ""

    @property
    def subject(self) -> str:
        """`sub`, in the old form of Pro Santé Connect."""
        return _SUBJECT + self.number

    def claims(self) -> dict[str, Any]:
        """What the access token says about the person."""
        return {"authMode": "CARD", "otherIds": self._other_ids(), "preferred_username": self.number}

    def userinfo(self) -> dict[str, Any]:
        """The UserInfo (reference: auth.md section 1.1)."""
        info: dict[str, Any] = {
            "sub": self.subject,
            "preferred_username": self.number,
            "SubjectNameID": self.number,
            "family_name": self.family_name,
            "given_name": self.given_name,
            "UITVersion": "1.0",
            "Acces_Regulation_Medicale": "VRAI" if self.regulates else "FAUX",
            "Palier_Authentification": "APPPRIP3^1.2.250.1.213.1.5.1.1.1",
            "otherIds": self._other_ids(),
        }
        if self.structures:
            exercice = {
                "codeProfession": self.profession,
                "codeCategorieProfessionnelle": "C",
                "codeTypeSavoirFaire": "S" if self.specialty else "",
                "codeSavoirFaire": self.specialty,
                "nomDexercice": self.family_name,
                "prenomDexercice": self.given_name,
                "activities": [_activity(name) for name in self.structures],
            }
            info["SubjectRole"] = [f"{self.profession}^1.2.250.1.213.1.1.5.5"]
            info["SubjectRefPro"] = {"codeCivilite": "DR", "exercices": [exercice]}
        return info

    def _other_ids(self) -> list[dict[str, Any]]:
        return [{"identifiant": self.number, "origine": "RPPS", "qualite": 1}]


def _activity(name: str) -> dict[str, str]:
    """An activity as Pro Santé Connect gives it: what is unknown is an empty string.

    An IdNat_Struct is `1` and a FINESS here, or `3` and a SIRET.
    """
    structure = people.STRUCTURES[name]
    kind, number = structure.identifier[0], structure.identifier[1:]
    return {
        "codeModeExercice": "S",
        "codeSecteurDactivite": structure.sector,
        "codeGenreActivite": "GENR01",
        "numeroFinessSite": number if kind == "1" else "",
        "numeroSiretSite": number if kind == "3" else "",
        "identifiantTechniqueDeLaStructure": "",
        "raisonSocialeSite": structure.name,
    }


def _patient(sample: people.Patient) -> DevPatient:
    return DevPatient(
        ins=f"{sample.ins_system}|{sample.ins_value}",
        family_name=sample.birth_name,
        given_name=" ".join(sample.first_names),
        birthdate=sample.birth_date.isoformat(),
        gender=_GENDERS[sample.gender],
        birthplace=sample.birth_place,
    )


def _professional(name: str, *structures: str, regulates: bool = False) -> DevProfessional:
    author = people.AUTHORS[name]
    return DevProfessional(author.identifier, author.family, author.given, structures, regulates=regulates)


_SAMPLES: Final = {name: _patient(sample) for name, sample in people.PATIENTS.items()}

PATIENTS: Final[Mapping[str, DevPatient]] = {
    **_SAMPLES,
    "coriandre_for_dune": replace(_SAMPLES["coriandre"], represents=_SAMPLES["dune"].ins),
    "dominique": DevPatient(
        ins="urn:oid:1.2.250.1.213.1.4.10|279035121518989",
        family_name="PAT-TROIS",
        given_name="DOMINIQUE MARIE-LOUISE",
        birthdate="1979-03-28",
        gender="female",
        birthplace="51215",
    ),
}

PROFESSIONALS: Final[Mapping[str, DevProfessional]] = {
    "hospital_physician": _professional("hospital_physician", "hospital"),
    "psychiatrist": _professional("psychiatrist", "other_hospital"),
    "general_practitioner": _professional("general_practitioner", "practice"),
    "radiologist": _professional("radiologist", "hospital", "practice"),
    "emergency_physician": _professional("emergency_physician", "other_hospital"),
    "regulator": _professional("regulator", "samu", regulates=True),
    "nurse": DevProfessional("899700000110", "MODÈLE-INFIRMIÈRE", "Camille", ("hospital",), profession="60"),
    "occupational_doctor": DevProfessional(
        "899700000111", "MODÈLE-TRAVAIL", "Achille", ("hospital",), specialty="SM25"
    ),
    "secretary": DevProfessional("899700000199", "MODÈLE-SECRÉTAIRE", "Agathe", ()),
}
