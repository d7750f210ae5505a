"""From UserInfo to one practice situation: who is a professional, and at which structure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sceau.access.model import Identifier
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.professional import choose_practice
from sceau_schemas.systems import IDNAT_STRUCT
from sceau_schemas.tokens import UserInfo

FINESS = Identifier(IDNAT_STRUCT, "1000000202")
SIRET = Identifier(IDNAT_STRUCT, "399000003700012")
SIREN = Identifier(IDNAT_STRUCT, "2990000037")
TECHNICAL = Identifier(IDNAT_STRUCT, "R00000")


def activity(**known: str) -> dict[str, Any]:
    empty = dict.fromkeys(("numeroFinessSite", "numeroSiretSite", "identifiantTechniqueDeLaStructure"), "")
    return {**empty, "codeModeExercice": "S", "raisonSocialeSite": "Hôpital", **known}


HOSPITAL = activity(numeroFinessSite="000000202")
PRACTICE = activity(numeroSiretSite="99000003700012", raisonSocialeSite="")


def exercice(*activities: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "codeProfession": "10",
        "codeCategorieProfessionnelle": "C",
        "nomDexercice": "DUPONT",
        "prenomDexercice": "ANNE",
        "activities": list(activities),
        **changed,
    }


def info(*exercices: dict[str, Any], **changed: Any) -> UserInfo:
    made: dict[str, Any] = {
        "sub": "f:uuid:899700000000",
        "SubjectNameID": "899700000000",
        "family_name": "DUPONT",
        "otherIds": [{"identifiant": "899700000000", "origine": "RPPS", "qualite": 1}],
        "SubjectRefPro": {"codeCivilite": "MME", "exercices": list(exercices)},
        **changed,
    }
    return UserInfo.model_validate_json(json.dumps({name: value for name, value in made.items() if value is not None}))


def refusal(found: UserInfo, *structures: Identifier, situation: str | None = None) -> OAuthRefusal:
    with pytest.raises(OAuthRefusal) as refused:
        choose_practice(found, structures, situation)
    return refused.value


def test_a_physician_of_one_hospital_acts_for_it() -> None:
    practice = choose_practice(info(exercice(HOSPITAL)), [SIRET, FINESS], None)
    assert practice.professional == Identifier("urn:oid:1.2.250.1.71.4.2.1", "899700000000")
    assert (practice.profession, practice.structure, practice.structure_name) == ("10", FINESS, "Hôpital")
    assert practice.name == "ANNE DUPONT"


@pytest.mark.parametrize(
    ("known", "structure"),
    [
        ({"numeroFinessSite": "000000202"}, FINESS),
        ({"numeroSiretSite": "99000003700012"}, SIRET),
        ({"numeroSirenSite": "990000037"}, SIREN),
        ({"identifiantTechniqueDeLaStructure": "R00000"}, TECHNICAL),
    ],
)
def test_each_form_of_a_structures_identifier_is_known(known: dict[str, str], structure: Identifier) -> None:
    assert choose_practice(info(exercice(activity(**known))), [structure], None).structure == structure


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(info(exercice(HOSPITAL), SubjectRefPro=None), id="no SubjectRefPro"),
        pytest.param(info(), id="no exercice"),
        pytest.param(info(exercice(HOSPITAL, codeProfession="")), id="no profession"),
        pytest.param(info(exercice(HOSPITAL, codeCategorieProfessionnelle="E")), id="student"),
        pytest.param(info(exercice(HOSPITAL), SubjectNameID="", otherIds=[]), id="no national id"),
        pytest.param(info(exercice(HOSPITAL), SubjectNameID="8997 00"), id="an id with a space"),
    ],
)
def test_who_is_no_professional_is_refused(found: UserInfo) -> None:
    refused = refusal(found, FINESS)
    assert (refused.error, refused.reason) == (OAuthError.INVALID_GRANT, Reason.NOT_PROFESSIONAL)


def test_without_a_name_id_the_one_rpps_number_counts_and_sub_is_never_split() -> None:
    found = info(exercice(HOSPITAL), SubjectNameID="")
    assert choose_practice(found, [FINESS], None).professional.value == "899700000000"
    two = [{"identifiant": str(number), "origine": "RPPS"} for number in (1, 2)]
    assert refusal(info(exercice(HOSPITAL), SubjectNameID="", otherIds=two), FINESS).reason is Reason.NOT_PROFESSIONAL


@pytest.mark.parametrize("number", ["899700000000", "ANS20231122132732", "500000000000018/ALIM"])
def test_national_ids_need_not_be_digits(number: str) -> None:
    assert choose_practice(info(exercice(HOSPITAL), SubjectNameID=number), [FINESS], None).professional.value == number


def test_a_structure_that_is_not_the_clients_or_not_the_persons_is_refused() -> None:
    assert refusal(info(exercice(HOSPITAL)), SIRET).reason is Reason.NO_STRUCTURE
    assert refusal(info(exercice(HOSPITAL))).reason is Reason.NO_STRUCTURE
    assert refusal(info(exercice(activity())), FINESS).reason is Reason.NO_STRUCTURE
    assert refusal(info(exercice(HOSPITAL)), SIRET, situation="1000000202").reason is Reason.NO_STRUCTURE


def test_with_several_activities_in_common_one_must_be_named() -> None:
    found = info(exercice(HOSPITAL, PRACTICE))
    refused = refusal(found, FINESS, SIRET)
    assert (refused.error, refused.reason) == (OAuthError.INVALID_REQUEST, Reason.STRUCTURE_UNDECIDED)
    assert choose_practice(found, [FINESS], None).structure == FINESS
    for situation in ("399000003700012", f"{IDNAT_STRUCT}|399000003700012", "10^399000003700012"):
        assert choose_practice(found, [FINESS, SIRET], situation).structure == SIRET


@pytest.mark.parametrize(
    "situation", ["", "R00000", "21^1000000202", "urn:oid:1.2|1000000202", "a|b|c", "10^10^x", "1000000202 "]
)
def test_a_named_situation_that_is_none_of_the_persons_is_refused(situation: str) -> None:
    assert refusal(info(exercice(HOSPITAL)), FINESS, situation=situation).reason is Reason.STRUCTURE_UNDECIDED


def test_two_professions_at_one_structure_need_a_choice_of_profession() -> None:
    found = info(exercice(HOSPITAL), exercice(HOSPITAL, codeProfession="21"))
    assert refusal(found, FINESS).reason is Reason.STRUCTURE_UNDECIDED
    assert refusal(found, FINESS, situation="1000000202").reason is Reason.STRUCTURE_UNDECIDED
    assert choose_practice(found, [FINESS], "21^1000000202").profession == "21"


def test_the_same_activity_twice_is_one() -> None:
    assert choose_practice(info(exercice(HOSPITAL, HOSPITAL)), [FINESS], None).structure == FINESS
    renamed = activity(numeroFinessSite="000000202", raisonSocialeSite="HOPITAL")
    assert choose_practice(info(exercice(HOSPITAL, renamed)), [FINESS], None).structure_name == "Hôpital"


def test_a_practice_has_its_sector_specialty_and_role() -> None:
    at_work = activity(numeroFinessSite="000000202", codeSecteurDactivite="SA66^1.2.250.1.71.4.2.4", codeRole="330")
    practice = choose_practice(info(exercice(at_work, codeSavoirFaire="SM25")), [FINESS], None)
    assert (practice.sectors, practice.specialties, practice.role) == (("SA66",), ("SM25",), "330")
    plain = choose_practice(info(exercice(HOSPITAL)), [FINESS], None)
    assert (plain.sectors, plain.specialties, plain.role) == ((), (), None)
    odd = choose_practice(info(exercice(HOSPITAL, codeSavoirFaire="SM 25")), [FINESS], None)
    assert odd.specialties == ()


def test_what_is_said_twice_of_one_practice_counts_twice() -> None:
    """An occupational doctor does not become another one by the order in which the register lists the specialties."""
    first = activity(numeroFinessSite="000000202", codeSecteurDactivite="SA01", codeRole="330")
    second = activity(numeroFinessSite="000000202", codeSecteurDactivite="SA66")
    found = info(exercice(first, codeSavoirFaire="SM54"), exercice(second, codeSavoirFaire="SM25"))
    practice = choose_practice(found, [FINESS], None)
    assert (practice.sectors, practice.specialties, practice.role) == (("SA01", "SA66"), ("SM25", "SM54"), None)


@pytest.mark.parametrize(("said", "regulates"), [("VRAI", True), ("FAUX", False), ("true", False), (None, False)])
def test_only_one_word_makes_somebody_regulate(said: str | None, regulates: bool) -> None:
    found = info(exercice(HOSPITAL), Acces_Regulation_Medicale=said)
    assert choose_practice(found, [FINESS], None).regulates is regulates
