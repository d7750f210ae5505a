"""Sample patients, professionals and structures. All are invented, and can be nobody.

The INS stand under the test system, have a right key, and name a commune that doesn't exist (department 00, or commune
999 of 2A), so no living person can have the number. Professionals have the `8997` numbers of the ANS's own test people;
structures have a FINESS of department 00. Family names are those of specimens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from sceau.fhir.ins import INS_NIR_TEST, ins_key


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient: INS and the five identity traits. `birth_place` is an INSEE (COG) code."""

    ins_value: str
    birth_name: str
    first_names: tuple[str, ...]
    birth_date: date
    gender: Literal["F", "M"]
    birth_place: str
    ins_system: str = INS_NIR_TEST


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a document. `identifier` is an IdNat_PS, `specialty` a code of J01 (TRE_A02, or TRE_A00 for a device).

    A device has no given name; its family name is that of the software.
    """

    identifier: str
    family: str
    given: str
    specialty: str
    specialty_system: Literal["1.2.250.1.213.1.1.4.5", "1.2.250.1.213.1.1.4.6"] = "1.2.250.1.213.1.1.4.5"
    device: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """A care structure: IdNat_Struct, name, sector (TRE_R02, list J02) and practice setting (TRE_A01, list J04)."""

    identifier: str
    name: str
    sector: str
    setting: str


def _patient(
    name: str, first_names: tuple[str, ...], gender: Literal["F", "M"], born: date, place: str, rank: int
) -> Patient:
    sex = "1" if gender == "M" else "2"
    body = f"{sex}{born:%y%m}{place}{rank:03d}"
    return Patient(body + ins_key(body), name, first_names, born, gender, place)


PATIENTS: Final[dict[str, Patient]] = {
    "amarante": _patient("SPECIMEN-UN", ("Amarante", "Zélie"), "F", date(1979, 3, 28), "00101", 1),
    "basile": _patient("SPECIMEN-DEUX", ("Basile",), "M", date(1952, 11, 2), "00102", 2),
    "coriandre": _patient("SPECIMEN-TROIS", ("Coriandre",), "F", date(1990, 7, 14), "2A999", 3),
    "dune": _patient("SPECIMEN-QUATRE", ("Dune",), "F", date(2014, 1, 9), "00104", 4),  # a minor
}

AUTHORS: Final[dict[str, Author]] = {
    "biologist": Author("899700000101", "MODÈLE-BIOLOGISTE", "Éprouvette", "G15_10/SM03"),
    "hospital_physician": Author("899700000102", "MODÈLE-INTERNISTE", "Hortense", "G15_10/SM27"),
    "radiologist": Author("899700000103", "MODÈLE-RADIOLOGUE", "Pixel", "G15_10/SM44"),
    "psychiatrist": Author("899700000104", "MODÈLE-PSYCHIATRE", "Sibylle", "G15_10/SM42"),
    "general_practitioner": Author("899700000105", "MODÈLE-GÉNÉRALISTE", "Octave", "G15_10/SM54"),
    "emergency_physician": Author("899700000106", "MODÈLE-URGENTISTE", "Célestin", "G15_10/SM02"),
    "regulator": Author("899700000107", "MODÈLE-RÉGULATRICE", "Clarisse", "G15_10/SM02"),
    "insurer": Author(
        "500000000000018/ALIM", "Modèle Assurance Maladie", "", "ALIM_AM", "1.2.250.1.213.1.1.4.6", device=True
    ),
}

STRUCTURES: Final[dict[str, Structure]] = {
    "laboratory": Structure("1000000101", "Laboratoire Modèle", "SA25", "AMBULATOIRE"),
    "hospital": Structure("1000000202", "Hôpital Modèle", "SA01", "ETABLISSEMENT"),
    "other_hospital": Structure("1000000303", "Autre Hôpital Modèle", "SA01", "ETABLISSEMENT"),
    "practice": Structure("1000000404", "Cabinet Modèle", "SA07", "AMBULATOIRE"),
    "samu": Structure("1000000505", "Centre 15 Modèle", "SA01", "SAMU_SMUR"),
    "insurer": Structure("300000000000018", "Assurance Maladie Modèle", "SA24", "AMO"),
}
