"""The INS, the national identifier of a patient: which systems exist, and whether a value can be one.

Sources: wire.md "Identifiers" (systems), domain.md section 3 (form and key). An INS is 13 characters of a NIR (or of a
NIA, the waiting number, of the same form) and a key of two digits: 97 − (N mod 97). In Corsica the department is 2A or
2B; it counts as 19 or 18. Whether the number was ever given to somebody is not knowable from the number.

No message of this module holds the number, or any part of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Final

_ARC: Final = "urn:oid:1.2.250.1.213.1.4."

INS_NIR: Final = _ARC + "8"
INS_NIA: Final = _ARC + "9"
INS_NIR_TEST: Final = _ARC + "10"
INS_NIR_DEMO: Final = _ARC + "11"

PRODUCTION_SYSTEMS: Final = frozenset({INS_NIR, INS_NIA})
TEST_SYSTEMS: Final = frozenset({INS_NIR_TEST, INS_NIR_DEMO})
INS_SYSTEMS: Final = PRODUCTION_SYSTEMS | TEST_SYSTEMS

# Sex, year, month (two digits each but the first), department (two digits, 2A or 2B), commune, rank. ASCII digits only.
_BODY: Final = re.compile(r"[1-8][0-9]{4}(?:[0-9]{2}|2[AB])[0-9]{6}")
_INS: Final = re.compile(_BODY.pattern + "[0-9]{2}")
_YEAR: Final = slice(1, 3)
_MONTH: Final = slice(3, 5)
_MONTHS: Final = frozenset(f"{month:02d}" for month in range(1, 13))
_DEPARTMENT: Final = slice(5, 7)
_CORSICA: Final = {"2A": "19", "2B": "18"}
_BODY_LENGTH: Final = 13


class Reason(StrEnum):
    """Why an INS was refused."""

    UNKNOWN_SYSTEM = "unknown-system"
    SYSTEM_NOT_ACCEPTED = "system-not-accepted"
    FORM = "form"
    KEY = "key"


_TEXTS: Final = {
    Reason.UNKNOWN_SYSTEM: "the system is not one of the INS (urn:oid:1.2.250.1.213.1.4.8, .9, .10 or .11)",
    Reason.SYSTEM_NOT_ACCEPTED: "this service does not accept an INS of this system "
    "(test and demonstration numbers, or production ones, depending on the service)",
    Reason.FORM: "an INS has 15 characters: digits, with 2A or 2B allowed as the department",
    Reason.KEY: "the last two digits of the INS are not the key of the others (97 - N mod 97)",
}


class InvalidIns(ValueError):
    """An INS refused. `reason` is for programs; the message is a sentence and never holds the number."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_TEXTS[reason])
        self.reason = reason


def ins_key(thirteen: str) -> str:
    """Return the two digits that follow the 13 characters of a NIR or NIA, "01" to "97".

    Raises InvalidIns (FORM) when these aren't 13 such characters.
    """
    if not _BODY.fullmatch(thirteen):
        raise InvalidIns(Reason.FORM)
    department = thirteen[_DEPARTMENT]
    digits = thirteen[: _DEPARTMENT.start] + _CORSICA.get(department, department) + thirteen[_DEPARTMENT.stop :]
    return f"{97 - int(digits) % 97:02d}"


def check_ins(system: str, value: str, accepted_systems: Collection[str]) -> None:
    """Refuse what can't be an INS here. Gives nothing.

    `system` is compared as written (`urn:oid:…`). `accepted_systems` is the stage's setting: a production service
    accepts no test or demonstration number, and the reverse. The value is taken as it stands: no spaces, capitals only,
    since the record's name is a keyed hash of it.
    Raises InvalidIns.
    """
    if system not in INS_SYSTEMS:
        raise InvalidIns(Reason.UNKNOWN_SYSTEM)
    if system not in accepted_systems:
        raise InvalidIns(Reason.SYSTEM_NOT_ACCEPTED)
    if not _INS.fullmatch(value):
        raise InvalidIns(Reason.FORM)
    if ins_key(value[:_BODY_LENGTH]) != value[_BODY_LENGTH:]:
        raise InvalidIns(Reason.KEY)


def contradicts_birth_date(system: str, value: str, birth_date: str) -> bool:
    """Whether nobody who was born then can have this INS. `birth_date`: FHIR date, maybe of less precision.

    A NIR tells the year of birth, without its century, and the month. A month that is none of the calendar stands for
    an unknown one, or is fictitious, and of a waiting number (NIA) we know the form only: neither contradicts a date.
    """
    month = value[_MONTH]
    if system == INS_NIA or month not in _MONTHS:
        return False
    year, dash, rest = birth_date.partition("-")
    return year[-2:] != value[_YEAR] or (dash != "" and rest[:2] != month)
