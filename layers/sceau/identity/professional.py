"""From the UserInfo of Pro Santé Connect to one professional in one practice situation. Pure.

A person without `SubjectRefPro` is not a professional. The structure is one of the person's activities and of the
client's identifiers; where several remain, the client's signed actor token picks one, and nobody guesses.
Sources: auth.md section 1.1, domain.md section 3 (IdNat_PS, IdNat_Struct).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sceau.access.model import Identifier
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau_schemas.systems import IDNAT_PS, IDNAT_STRUCT
from sceau_schemas.tokens import Activity, Exercice, UserInfo

_NATIONAL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,63}")  # internal forms hold "/", test ids letters
_NO_PROFESSIONALS: Final = frozenset({"E"})  # codeCategorieProfessionnelle: students
_REGULATES: Final = "VRAI"  # of Acces_Regulation_Medicale; of the two, only FAUX was seen in a real answer
_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SITUATION: Final = re.compile(r"(?:([^\^|]{1,20})\^)?(?:([^\^|]{1,200})\|)?([^\^|]{1,200})")


@dataclass(frozen=True, slots=True)
class Practice:
    """One professional, in one profession, at one structure."""

    professional: Identifier
    profession: str
    structure: Identifier
    structure_name: str | None
    name: str | None
    sectors: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    role: str | None = None
    regulates: bool = False


def choose_practice(info: UserInfo, structures: Sequence[Identifier], situation: str | None) -> Practice:
    """The one practice situation that the token will name.

    `structures`: the client's identifiers. `situation`: the actor token's `situation_exercice`, if any: a structure's
    identifier as `system|value` or the bare value, after `<profession code>^` where the same structure stands under
    two professions. Raises OAuthRefusal.
    """
    professional = _national_id(info)
    register = info.SubjectRefPro
    exercices = [one for one in (register.exercices if register else ()) if _is_practising(one)]
    if professional is None or not exercices:
        raise _refused(OAuthError.INVALID_GRANT, Reason.NOT_PROFESSIONAL, "the person is not a professional")
    found = list(dict.fromkeys(_practices(professional, exercices, structures)))
    if not found:
        text = "no activity of the professional is at a structure of this client"
        raise _refused(OAuthError.INVALID_GRANT, Reason.NO_STRUCTURE, text)
    if situation is not None:
        found = [one for one in found if _matches(one, situation)]
    distinct: dict[tuple[str, Identifier], list[Practice]] = {}
    for one in found:
        distinct.setdefault((one.profession, one.structure), []).append(one)
    if len(distinct) != 1:
        text = "several practice situations, or not this one: name one in a signed actor_token (situation_exercice)"
        raise _refused(OAuthError.INVALID_REQUEST, Reason.STRUCTURE_UNDECIDED, text)
    return _together(next(iter(distinct.values())), regulates=info.Acces_Regulation_Medicale == _REGULATES)


def _together(practices: Sequence[Practice], *, regulates: bool) -> Practice:
    """One profession at one structure, with all that is said of it there: access must not depend on an order."""
    roles = {one.role for one in practices}
    return replace(
        practices[0],
        sectors=tuple(sorted({sector for one in practices for sector in one.sectors})),
        specialties=tuple(sorted({specialty for one in practices for specialty in one.specialties})),
        role=roles.pop() if len(roles) == 1 else None,
        regulates=regulates,
    )


def _national_id(info: UserInfo) -> Identifier | None:
    """IdNat_PS: SubjectNameID, or the one RPPS number among the other ids. Never taken out of `sub`."""
    value = info.SubjectNameID
    if value is None:
        numbers = {one.identifiant for one in info.otherIds if one.origine == "RPPS" and one.identifiant}
        value = numbers.pop() if len(numbers) == 1 else None
    if value is None or not _NATIONAL_ID.fullmatch(value):
        return None
    return Identifier(IDNAT_PS, value)


def _is_practising(exercice: Exercice) -> bool:
    return exercice.codeProfession is not None and exercice.codeCategorieProfessionnelle not in _NO_PROFESSIONALS


def _practices(
    professional: Identifier, exercices: Sequence[Exercice], structures: Sequence[Identifier]
) -> Iterator[Practice]:
    for exercice in exercices:
        name = " ".join(part for part in (exercice.prenomDexercice, exercice.nomDexercice) if part) or None
        for activity in exercice.activities:
            structure = next((one for one in _identifiers(activity) if one in structures), None)
            if structure is not None and exercice.codeProfession is not None:
                yield Practice(
                    professional,
                    exercice.codeProfession,
                    structure,
                    activity.raisonSocialeSite,
                    name,
                    sectors=_codes(activity.codeSecteurDactivite),
                    specialties=_codes(exercice.codeSavoirFaire),
                    role=next(iter(_codes(activity.codeRole)), None),
                )


def _codes(text: str | None) -> tuple[str, ...]:
    """A code, without the OID that may follow it (`SA07^1.2.250.1.71.4.2.4`); what is no code can decide nothing."""
    code = (text or "").partition("^")[0]
    return (code,) if _CODE.fullmatch(code) else ()


def _identifiers(activity: Activity) -> Iterator[Identifier]:
    """The structure's IdNat_Struct in all its forms; the first that the client has counts."""
    numbered = (("1", activity.numeroFinessSite), ("3", activity.numeroSiretSite), ("2", activity.numeroSirenSite))
    for prefix, number in numbered:
        if number:
            yield Identifier(IDNAT_STRUCT, prefix + number)
    if activity.identifiantTechniqueDeLaStructure:
        yield Identifier(IDNAT_STRUCT, activity.identifiantTechniqueDeLaStructure)


def _matches(practice: Practice, situation: str) -> bool:
    match = _SITUATION.fullmatch(situation)
    if match is None:
        return False
    profession, system, value = match.groups()
    return (
        practice.structure.value == value
        and system in (None, practice.structure.system)
        and profession in (None, practice.profession)
    )


def _refused(error: OAuthError, reason: Reason, description: str) -> OAuthRefusal:
    return OAuthRefusal(error, reason, description)
