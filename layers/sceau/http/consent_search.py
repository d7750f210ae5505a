"""What a search of Consents asks for: the few parameters that a record's decisions need. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sceau.fhir.consents import ACT_CODES, GRANT, OPENING
from sceau.fhir.outcome import Problem
from sceau.fhir.search.ignoring import unknown
from sceau.records.ids import document_id
from sceau_schemas.dossier import StoredConsent

_Test = Callable[[StoredConsent, str], bool]

NAMES: Final = {
    "_id": "Id of the Consent",
    "status": "active, inactive, proposed or rejected",
    "category": "ICOL (opening) or INFA (decisions), of v3-ActCode",
    "actor.identifier": "Whom it is about: IdNat_Struct or IdNat_PS",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """`patients`: what `patient` and `patient.identifier` name. `count_only`: `_summary=count`."""

    tests: tuple[_Test, ...]
    patients: tuple[str, ...]
    count_only: bool
    warnings: tuple[Problem, ...]

    def match(self, consent: StoredConsent, record: str) -> bool:
        """Whether a decision of a record is asked for."""
        return all(test(consent, record) for test in self.tests)


def read_filters(pairs: Sequence[tuple[str, str]], *, strict: bool) -> Filters:
    """Read the parameters. FhirError 400: under strict handling, one that is not supported."""
    tests: list[_Test] = []
    patients: list[str] = []
    others: list[str] = []
    count_only = False
    for name, value in pairs:
        if name in ("patient", "patient.identifier"):
            patients.append(value)
        elif name in NAMES:
            tests.append(_test(name, value.split(",")))
        elif name == "_summary" and value == "count":
            count_only = True
        elif name != "_format":
            others.append(name)
    return Filters(tuple(tests), tuple(patients), count_only, unknown(others, strict=strict))


def _test(name: str, values: Sequence[str]) -> _Test:
    match name:
        case "_id":
            return lambda one, record: document_id(record, one.id) in values
        case "status":
            codes = {value.rpartition("|")[2] for value in values}
            return lambda one, _: one.status in codes
        case "category":
            return lambda one, _: any(_is(OPENING if one.kind == "opening" else GRANT, value) for value in values)
        case _:
            return lambda one, _: any(_about(one, value) for value in values)


def _is(code: str, asked: str) -> bool:
    return asked in (code, f"{ACT_CODES}|{code}")


def _about(consent: StoredConsent, asked: str) -> bool:
    if consent.grantee is None:
        return False
    return asked in (consent.grantee.value, f"{consent.grantee.system}|{consent.grantee.value}")
