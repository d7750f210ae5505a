"""Attacks on the emergency modes at the token endpoint: entering without a right to, and for longer or elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from sceau.access.model import ActorKind, Mode
from sceau.cli.devissuer import PSC_PATH
from sceau.cli.devpeople import PROFESSIONALS, DevProfessional
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.facts import TokenOutcome
from unit.identity import conftest
from unit.identity.identity_world import OTHER_INS, World, event_id

issuer_secrets, world = conftest.issuer_secrets, conftest.world

USERINFO = f"{PSC_PATH}/protocol/openid-connect/userinfo"
REASON = "Inconscient, hémorragie"
DECLARED = {
    "mode_acces": "bris_de_glace",
    "mode_acces_raison": REASON,
    "hors_etat_d_exprimer_sa_volonte": "true",
    "risque_immediat": "true",
}


def declare(world: World, **changed: str | None) -> dict[str, str]:
    return world.professional_form("hospital_physician", **{**DECLARED, **changed})


def again(world: World, handle: str | None, **changed: str | None) -> dict[str, str]:
    return world.professional_form(
        "hospital_physician", **{"mode_acces": "bris_de_glace", "declaration": handle, **changed}
    )


def refused(
    world: World, form: dict[str, str], reason: Reason, error: OAuthError = OAuthError.INVALID_GRANT
) -> OAuthRefusal:
    """Refused, and traced once on the patient's record."""
    traces, record = len(world.traces), world.issue(world.professional_form()).record_id
    refusal = world.refused(form)
    assert (refusal.reason, refusal.error) == (reason, error)
    told = world.traces[traces + 1 :]
    assert [one.outcome for one in told] == [TokenOutcome.REFUSED]
    assert told[0].record_id == record
    assert REASON not in repr(told) + refusal.description
    return refusal


def says(world: World, person: str, **changed: Any) -> None:
    """Let the issuer say something else about the person."""
    told = {**PROFESSIONALS[person].userinfo(), **changed}
    world.pool.replies[USERINFO] = lambda: (200, told)


def test_a_declaration_gives_a_token_that_says_so(world: World) -> None:
    issued = world.issue(declare(world))
    actor = world.call(issued.access_token)
    assert actor.mode is Mode.BRIS_DE_GLACE
    told = actor.declaration
    assert told is not None
    assert (told.reason_given, told.unable_to_consent, told.immediate_risk) == (True, True, True)
    assert told.event == issued.event_id == event_id(len(world.traces))
    assert (told.until - world.clock()).total_seconds() == 3600
    bearer = world.traces[-1].bearer
    assert bearer is not None
    assert bearer.emergency is not None
    assert bearer.emergency.reason == REASON
    assert ("mode_acces", "bris_de_glace") in world.traces[-1].request
    assert REASON not in str(world.traces[-1].request)
    assert REASON not in repr(world.traces[-1])


def test_a_normal_token_comes_with_no_declaration(world: World) -> None:
    issued = world.issue(world.professional_form(mode_acces="normal"))
    assert (issued.declaration, issued.emergency) == (None, None)
    actor = world.call(issued.access_token)
    assert (actor.mode, actor.declaration) == (Mode.NORMAL, None)


def test_one_declaration_serves_until_it_ends_and_its_last_token_ends_with_it(world: World) -> None:
    first = world.issue(declare(world))
    world.advance(3500)
    further = world.issue(again(world, first.declaration))
    assert further.seconds == 100
    assert further.declaration == first.declaration
    actor = world.call(further.access_token)
    assert actor.declaration == world.call(further.access_token).declaration
    assert actor.declaration is not None
    assert actor.declaration.event == first.event_id != further.event_id
    traced = world.traces[-1].bearer
    assert traced is not None
    assert traced.emergency is not None
    assert (traced.emergency.event, traced.emergency.reason) == (first.event_id, None)
    world.advance(100)
    refused(world, again(world, first.declaration), Reason.DECLARATION_EXPIRED)
    assert world.issue(declare(world)).event_id != first.event_id


@pytest.mark.parametrize("missing", ["mode_acces_raison", "hors_etat_d_exprimer_sa_volonte", "risque_immediat"])
def test_glass_broken_without_declaring_everything(world: World, missing: str) -> None:
    form = declare(world, **{missing: None})
    refused(world, form, Reason.MODE_NOT_DECLARED, OAuthError.INVALID_REQUEST)


def test_a_declaration_used_for_another_patient(world: World) -> None:
    handle = world.issue(declare(world)).declaration
    world.issue(world.professional_form(patient=OTHER_INS))
    refusal = world.refused(again(world, handle, patient=OTHER_INS))
    assert refusal.reason is Reason.DECLARATION
    assert world.traces[-1].record_id == world.issue(world.form(patient=OTHER_INS)).record_id


def test_a_declaration_used_by_a_colleague(world: World) -> None:
    handle = world.issue(declare(world)).declaration
    refused(world, {**again(world, handle), **_subject(world, "radiologist")}, Reason.DECLARATION)


def test_a_declaration_used_through_another_software(world: World) -> None:
    handle = world.issue(declare(world)).declaration
    token = world.issuer.token_for("hospital_physician", "hospital-rp")
    form = world.exchange_form("group", token, mode_acces="bris_de_glace", declaration=handle)
    refused(world, form, Reason.DECLARATION)


def test_a_declaration_of_one_mode_used_for_the_other(world: World) -> None:
    handle = world.issue(declare(world)).declaration
    says(world, "hospital_physician", Acces_Regulation_Medicale="VRAI")
    form = world.professional_form(mode_acces="centre_15", declaration=handle)
    assert world.refused(form).reason is Reason.DECLARATION


@pytest.mark.parametrize("told", ["FAUX", "", None, "vrai", "true", "VRAI "])
def test_a_doctor_who_does_not_regulate_enters_as_centre_15(world: World, told: str | None) -> None:
    says(world, "hospital_physician", Acces_Regulation_Medicale=told)
    refused(world, world.professional_form(mode_acces="centre_15"), Reason.MODE_NOT_ENTITLED)


def test_a_doctor_who_regulates_enters_as_centre_15(world: World) -> None:
    says(world, "hospital_physician", Acces_Regulation_Medicale="VRAI")
    issued = world.issue(world.professional_form(mode_acces="centre_15"))
    actor = world.call(issued.access_token)
    assert (actor.mode, actor.regulates) == (Mode.CENTRE_15, True)
    assert actor.declaration is not None
    assert not (actor.declaration.unable_to_consent or actor.declaration.immediate_risk)
    # Who regulated then and does no more gets no further token.
    says(world, "hospital_physician", Acces_Regulation_Medicale="FAUX")
    form = world.professional_form(mode_acces="centre_15", declaration=issued.declaration)
    assert world.refused(form).reason is Reason.MODE_NOT_ENTITLED


@pytest.mark.parametrize(
    ("profession", "mode"), [("60", "centre_15"), ("93", "bris_de_glace"), ("41", "bris_de_glace")]
)
def test_a_profession_that_the_law_does_not_name(world: World, profession: str, mode: str) -> None:
    """A nurse regulates no calls; psychologists and social workers are no health professionals of CSP part IV."""
    person = PROFESSIONALS["hospital_physician"]
    other = DevProfessional(
        person.number, person.family_name, person.given_name, person.structures, profession, regulates=True
    )
    world.pool.replies[USERINFO] = lambda: (200, other.userinfo())
    refused_form = declare(world) if mode == "bris_de_glace" else world.professional_form(mode_acces=mode)
    assert world.refused(refused_form).reason is Reason.MODE_NOT_ENTITLED


def test_a_nurse_breaks_the_glass(world: World) -> None:
    person = PROFESSIONALS["hospital_physician"]
    nurse = DevProfessional(person.number, person.family_name, person.given_name, person.structures, "60")
    world.pool.replies[USERINFO] = lambda: (200, nurse.userinfo())
    assert world.call(world.issue(declare(world)).access_token).mode is Mode.BRIS_DE_GLACE


def test_a_patient_or_software_that_asks_for_a_mode(world: World) -> None:
    for form in (world.patient_form(**DECLARED), world.form(**DECLARED), world.form(mode_acces="normal")):
        refusal = world.refused(form)
        assert (refusal.reason, refusal.error) == (Reason.MODE, OAuthError.INVALID_REQUEST)
        assert world.traces[-1].client_kind in (ActorKind.PATIENT, ActorKind.SOFTWARE)


def test_a_declaration_that_could_not_be_traced_gives_no_token(world: World) -> None:
    from sceau.audit.errors import JournalUnavailable

    world.trace_fails = JournalUnavailable("down")
    assert world.refused(declare(world)).status == 503


def _subject(world: World, person: str) -> dict[str, str]:
    return {"subject_token": world.issuer.token_for(person, "hospital-rp")}
