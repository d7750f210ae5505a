"""Attacks on the token exchange: subject tokens that prove less than they seem to, and identities that don't fit."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from sceau.access.model import ActorKind
from sceau.cli.devissuer import PSC_PATH
from sceau.cli.devpeople import PROFESSIONALS
from sceau.identity.assertions import JWT_TYPE
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.facts import TokenOutcome
from unit.identity import conftest
from unit.identity.identity_world import INS, OTHER_INS, PRACTICE, TOKEN_URL, World, key_of

issuer_secrets, world = conftest.issuer_secrets, conftest.world

OIDC = f"{PSC_PATH}/protocol/openid-connect"


def refused(
    world: World, form: dict[str, str], reason: Reason, error: OAuthError = OAuthError.INVALID_GRANT
) -> OAuthRefusal:
    """A refusal, traced once; the subject token was not used up."""
    traces, marks = len(world.traces), len(world.marks())
    refusal = world.refused(form)
    assert (refusal.reason, refusal.error) == (reason, error)
    assert [traced.outcome for traced in world.traces[traces:]] == [TokenOutcome.REFUSED]
    assert world.traces[-1].reason is reason
    assert len(world.marks()) == marks + 2
    assert world.refusals == {}
    return refusal


def subject(world: World, person: str = "hospital_physician", azp: str = "hospital-rp", **changed: Any) -> str:
    return world.issuer.token_for(person, azp, **changed)


def hospital(world: World, token: str, **changed: str | None) -> dict[str, str]:
    return world.exchange_form("hospital", token, **changed)


def actor_token(world: World, client_id: str = "group", **claims: Any) -> dict[str, str]:
    now = int(world.clock().timestamp())
    signer = claims.pop("signer", client_id)
    body = {"iss": client_id, "sub": client_id, "aud": TOKEN_URL, "exp": now + 60, "lps_nom": "DPI", **claims}
    return {"actor_token": world.jws(signer, body), "actor_token_type": JWT_TYPE}


def test_a_physician_gets_a_token_for_one_patient_at_one_structure(world: World) -> None:
    issued = world.issue(world.professional_form())
    actor = world.call(issued.access_token)
    assert actor.kind is ActorKind.PROFESSIONAL
    assert [one.value for one in actor.structures] == ["1000000202"]
    assert actor.record_id == issued.record_id == world.issue(world.form(patient=INS)).record_id
    assert world.pool.asked == ["certs", "introspect", "userinfo"]


def test_a_patient_gets_a_token_for_the_own_record(world: World) -> None:
    issued = world.issue(world.patient_form())
    actor = world.call(issued.access_token)
    assert (actor.kind, actor.record_id, actor.subject) == (ActorKind.PATIENT, issued.record_id, issued.record_id)
    assert issued.record_id == world.issue(world.professional_form()).record_id


# --- subject tokens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param(lambda _: {"azp": "other-rp"}, Reason.SUBJECT_AZP, id="made for an unregistered relying party"),
        pytest.param(lambda _: {"azp": None}, Reason.SUBJECT_AZP, id="no relying party"),
        pytest.param(lambda _: {"azp": ["hospital-rp"]}, Reason.SUBJECT_AZP, id="relying party of another type"),
        pytest.param(lambda _: {"acr": "eidas1"}, Reason.SUBJECT_ACR, id="assurance too low"),
        pytest.param(lambda _: {"acr": None}, Reason.SUBJECT_ACR, id="no assurance"),
        pytest.param(lambda _: {"acr": "eidas4"}, Reason.SUBJECT_ACR, id="assurance that nobody knows"),
        pytest.param(lambda _: {"iss": "https://evil.example/realm"}, Reason.SUBJECT_ISSUER, id="another issuer"),
        pytest.param(lambda _: {"iss": None}, Reason.SUBJECT_ISSUER, id="no issuer"),
        pytest.param(lambda w: {"exp": w.clock().timestamp().__int__()}, Reason.SUBJECT_STALE, id="expired"),
        pytest.param(lambda w: {"iat": int(w.clock().timestamp()) + 11}, Reason.SUBJECT_STALE, id="from the future"),
        pytest.param(lambda w: {"nbf": int(w.clock().timestamp()) + 11}, Reason.SUBJECT_STALE, id="not yet valid"),
        pytest.param(
            lambda w: {"iat": int(w.clock().timestamp()) - 120, "exp": int(w.clock().timestamp()) + 3600},
            Reason.SUBJECT_STALE,
            id="older than the longest age",
        ),
        pytest.param(lambda _: {"exp": None}, Reason.SUBJECT_TOKEN, id="no expiry"),
        pytest.param(lambda _: {"jti": None}, Reason.SUBJECT_TOKEN, id="no id"),
        pytest.param(lambda _: {"typ": "ID"}, Reason.SUBJECT_TOKEN, id="an id token"),
        pytest.param(lambda _: {"auth_time": "yesterday"}, Reason.SUBJECT_TOKEN, id="login time of another type"),
        pytest.param(
            lambda _: {"cnf": {"jkt": key_of("thief").thumbprint}}, Reason.SUBJECT_BOUND, id="bound to another key"
        ),
        pytest.param(lambda _: {"cnf": {"jkt": 7}}, Reason.SUBJECT_BOUND, id="bound to something that is no key"),
    ],
)
def test_a_subject_token_that_does_not_serve_here(
    world: World, changed: Callable[[World], dict[str, Any]], reason: Reason
) -> None:
    refused(world, hospital(world, subject(world, **changed(world))), reason)
    assert world.issue(hospital(world, subject(world)))


def test_a_subject_token_bound_to_the_key_of_the_proof_serves(world: World) -> None:
    assert world.issue(hospital(world, subject(world, cnf={"jkt": key_of("proof").thumbprint})))


def test_a_subject_token_signed_by_somebody_else(world: World) -> None:
    good = subject(world)
    thief = RSAKey.generate_key(2048)
    header = {"alg": "RS256", "typ": "JWT"}
    kid = json.loads(base64.urlsafe_b64decode(good.split(".")[0] + "=="))["kid"]
    body = base64.urlsafe_b64decode(good.split(".")[1] + "==")
    for kid_named in ({"kid": kid}, {}, {"kid": "unknown"}):
        forged = jws.serialize_compact(header | kid_named, body, thief, algorithms=["RS256"])
        refused(world, hospital(world, forged), Reason.SUBJECT_TOKEN)


@pytest.mark.parametrize(
    "change", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "ES256"}, {"alg": "RS512"}, {"typ": "dpop+jwt"}]
)
def test_a_subject_token_with_another_header(world: World, change: dict[str, str]) -> None:
    body = base64.urlsafe_b64decode(subject(world).split(".")[1] + "==")
    forged = world.jws("thief", json.loads(body), **change)
    refused(world, hospital(world, forged), Reason.SUBJECT_TOKEN)


def test_a_subject_token_used_twice(world: World) -> None:
    token = subject(world)
    world.issue(hospital(world, token))
    traces = len(world.traces)
    refusal = world.refused(hospital(world, token))
    assert refusal.reason is Reason.SUBJECT_REPLAYED
    # Announced, then known not to happen: the second event says so.
    assert [traced.outcome for traced in world.traces[traces:]] == [TokenOutcome.SUCCESS, TokenOutcome.REFUSED]
    assert world.traces[-1].reason is Reason.SUBJECT_REPLAYED


def test_a_subject_token_used_again_by_another_client_that_may_bring_such_tokens(world: World) -> None:
    token = subject(world)
    world.issue(hospital(world, token))
    assert world.refused(world.exchange_form("group", token)).reason is Reason.SUBJECT_REPLAYED


def test_a_subject_token_used_again_after_the_issuers_longest_age_was_changed(world: World) -> None:
    """The mark's place depends on the token alone: a change of our settings must not open a second use."""
    token = subject(world)
    world.issue(hospital(world, token))
    issuer = next(one for one in world.issuers.list() if one.kind == "prosanteconnect")
    world.issuers.put(issuer.model_copy(update={"max_age_seconds": 110}))
    world.advance(61)  # by now the change is known
    assert world.refused(hospital(world, token)).reason is Reason.SUBJECT_REPLAYED


def test_a_patients_token_brought_by_the_hospital_and_a_physicians_by_the_app(world: World) -> None:
    patient = world.issuer.token_for("dominique", "hospital-rp")
    refused(world, hospital(world, patient), Reason.SUBJECT_ISSUER)
    form = world.patient_form(subject(world, azp="app-rp"))
    refused(world, form, Reason.SUBJECT_ISSUER)


def test_our_own_access_token_as_a_subject_token(world: World) -> None:
    token = world.issue(world.professional_form()).access_token
    refused(world, hospital(world, token), Reason.SUBJECT_ISSUER)


@pytest.mark.parametrize(
    "changed",
    [
        {"subject_token": None},
        {"subject_token_type": None},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token_type": JWT_TYPE},
        {"actor_token": "x.y.z"},
    ],
)
def test_an_exchange_that_is_not_of_the_form_of_rfc_8693(world: World, changed: dict[str, str | None]) -> None:
    refusal = world.refused(hospital(world, subject(world), **changed))
    assert refusal.error is OAuthError.INVALID_REQUEST
    assert len(world.marks()) == 2


# --- what the issuer says online -----------------------------------------------------------------------------------


def test_an_inactive_token_with_a_valid_signature(world: World) -> None:
    world.issuer.deactivate("gone")
    refused(world, hospital(world, subject(world, jti="gone")), Reason.SUBJECT_INACTIVE)


@pytest.mark.parametrize("active", [False, None, "true", 1])
def test_only_active_true_is_active(world: World, active: object) -> None:
    world.pool.replies[f"{OIDC}/token/introspect"] = lambda: (200, {"active": active})
    refused(world, hospital(world, subject(world)), Reason.SUBJECT_INACTIVE)


@pytest.mark.parametrize(
    "told", [{"sub": "x"}, {"jti": "x"}, {"iss": "x"}, {"acr": "eidas1"}, {"azp": "x"}, {"client_id": "x"}]
)
def test_an_introspection_that_is_about_another_token(world: World, told: dict[str, str]) -> None:
    world.pool.replies[f"{OIDC}/token/introspect"] = lambda: (200, {"active": True, **told})
    refused(world, hospital(world, subject(world)), Reason.SUBJECT_INACTIVE)


def test_a_userinfo_about_somebody_else(world: World) -> None:
    other = PROFESSIONALS["psychiatrist"].userinfo()
    world.pool.replies[f"{OIDC}/userinfo"] = lambda: (200, other)
    refused(world, hospital(world, subject(world)), Reason.SUBJECT_IDENTITY)


def test_a_userinfo_of_another_form(world: World) -> None:
    info = PROFESSIONALS["hospital_physician"].userinfo()
    for wrong in ({}, {**info, "SubjectRefPro": []}, {**info, "SubjectNameID": 7}, {**info, "otherIds": [None]}):
        world.pool.replies[f"{OIDC}/userinfo"] = lambda wrong=wrong: (200, wrong)  # type: ignore[misc]
        refused(world, hospital(world, subject(world)), Reason.SUBJECT_IDENTITY)


@pytest.mark.parametrize("status", [401, 403])
def test_a_userinfo_that_the_issuer_refuses(world: World, status: int) -> None:
    world.pool.replies[f"{OIDC}/userinfo"] = lambda: (status, {})
    refused(world, hospital(world, subject(world)), Reason.SUBJECT_INACTIVE)


REPLIES = [(500, {}), (302, {}), (200, b"<html>"), (200, b"[]"), (401, {}), (429, {})]


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        (path, reply)
        for path in ("certs", "token/introspect", "userinfo")
        for reply in REPLIES
        if (path, reply[0]) != ("userinfo", 401)  # that is an answer: the token is not accepted
    ],
)
def test_while_the_issuer_does_not_answer_nothing_is_granted_and_nothing_is_used_up(
    world: World, path: str, reply: tuple[int, Any]
) -> None:
    world.pool.replies[f"{OIDC}/{path}"] = lambda: reply
    token = subject(world)
    refusal = world.refused(hospital(world, token))
    assert refusal.status == 503
    assert world.traces == []
    world.pool.replies.clear()
    world.advance(5)
    assert world.issue(hospital(world, token))


def test_tokens_that_exist_work_while_the_issuer_is_down(world: World) -> None:
    token = world.issue(world.professional_form()).access_token
    world.pool.down = True
    assert world.call(token)
    assert world.refused(world.professional_form()).status == 503


# --- who the professional is ---------------------------------------------------------------------------------------


def test_somebody_without_a_profession(world: World) -> None:
    refused(world, world.professional_form("secretary"), Reason.NOT_PROFESSIONAL)


def test_a_physician_of_another_structure_than_the_clients(world: World) -> None:
    refused(world, world.professional_form("general_practitioner"), Reason.NO_STRUCTURE)


def test_with_several_structures_in_common_the_actor_token_picks_one(world: World) -> None:
    token = subject(world, "radiologist", "group-rp")
    form = world.exchange_form("group", token)
    refused(world, form, Reason.STRUCTURE_UNDECIDED, OAuthError.INVALID_REQUEST)
    chosen = actor_token(world, situation_exercice=PRACTICE.value, lps_id="dpi-1", lps_version="3.2")
    actor = world.call(world.issue(world.exchange_form("group", token, **chosen)).access_token)
    assert [one.value for one in actor.structures] == [PRACTICE.value]
    software = world.traces[-1].bearer.software if world.traces[-1].bearer else None
    assert software is not None
    assert (software.nom, software.id, software.version) == ("DPI", "dpi-1", "3.2")


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"signer": "thief"}, id="signed by somebody else"),
        pytest.param({"client_id": "hospital"}, id="of another client"),
        pytest.param({"iss": "hospital"}, id="in the name of another client"),
        pytest.param({"aud": [TOKEN_URL]}, id="audience as an array"),
        pytest.param({"aud": "https://other.example"}, id="for another server"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"lps_nom": 7}, id="software of another type"),
        pytest.param({"situation_exercice": "x" * 201}, id="long situation"),
        pytest.param({"situation_exercice": "1\x002"}, id="control character"),
    ],
)
def test_an_actor_token_that_can_not_be_trusted(world: World, claims: dict[str, Any]) -> None:
    chosen = actor_token(world, **{"situation_exercice": PRACTICE.value, **claims})
    form = world.exchange_form("group", subject(world, "radiologist", "group-rp"), **chosen)
    refused(world, form, Reason.ACTOR_TOKEN, OAuthError.INVALID_REQUEST)


def test_an_actor_token_that_picks_a_structure_of_the_person_but_not_of_the_client(world: World) -> None:
    chosen = actor_token(world, "hospital", situation_exercice=PRACTICE.value)
    form = hospital(world, subject(world, "radiologist"), **chosen)
    refused(world, form, Reason.STRUCTURE_UNDECIDED, OAuthError.INVALID_REQUEST)


# --- who the patient is --------------------------------------------------------------------------------------------


def test_a_professional_names_one_patient(world: World) -> None:
    refused(world, world.professional_form(patient=None), Reason.PATIENT, OAuthError.INVALID_REQUEST)
    both = world.professional_form(patient=f"{INS},{OTHER_INS}")
    refused(world, both, Reason.PATIENT, OAuthError.INVALID_REQUEST)


def test_a_patient_who_asks_for_the_record_of_another(world: World) -> None:
    refused(world, world.patient_form(patient=OTHER_INS), Reason.PATIENT, OAuthError.INVALID_REQUEST)
    assert world.issue(world.patient_form(patient=INS))


def test_a_representative_gets_a_token_for_the_minors_record(world: World) -> None:
    own = world.issue(world.patient_form()).record_id
    issued = world.issue(world.patient_form(world.issuer.token_for("dominique", "app-rp", represents=OTHER_INS)))
    actor = world.call(issued.access_token)
    assert (actor.kind, actor.record_id, actor.subject) == (ActorKind.REPRESENTATIVE, issued.record_id, own)
    assert issued.record_id == world.issue(world.form(patient=OTHER_INS)).record_id
    assert issued.record_id != own


@pytest.mark.parametrize("represents", [INS, "x", 7, INS + "0"])
def test_somebody_who_can_not_be_represented(world: World, represents: object) -> None:
    token = world.issuer.token_for("dominique", "app-rp", represents=represents)
    reason = world.refused(world.patient_form(token)).reason
    assert reason in (Reason.PATIENT, Reason.SUBJECT_IDENTITY)


def test_a_representative_who_asks_for_the_own_record(world: World) -> None:
    token = world.issuer.token_for("dominique", "app-rp", represents=OTHER_INS)
    refused(world, world.patient_form(token, patient=INS), Reason.PATIENT, OAuthError.INVALID_REQUEST)


def test_a_connexion_secrete_is_for_professionals_and_their_software(world: World) -> None:
    for form in (world.form(connexion_secrete="true"), world.professional_form(connexion_secrete="true")):
        assert world.call(world.issue(form).access_token).secret
    assert not world.call(world.issue(world.form(connexion_secrete="false")).access_token).secret
    refused(world, world.patient_form(connexion_secrete="true"), Reason.MALFORMED, OAuthError.INVALID_REQUEST)
    refused(world, world.form(connexion_secrete="yes"), Reason.MALFORMED, OAuthError.INVALID_REQUEST)


@pytest.mark.parametrize(
    "changed",
    [
        {"ins": None},
        {"family_name": None},
        {"given_name": ""},
        {"birthdate": "28/03/1979"},
        {"gender": "F"},
        {"birthplace": None},
    ],
)
def test_a_patients_token_without_the_whole_identity(world: World, changed: dict[str, Any]) -> None:
    token = world.issuer.token_for("dominique", "app-rp", **changed)
    refused(world, world.patient_form(token), Reason.SUBJECT_IDENTITY)


@pytest.mark.parametrize("ins", ["279035121518989", "urn:oid:1.2.250.1.213.1.4.8|279035121518989", INS + "0"])
def test_a_patients_token_with_an_ins_that_is_none_here(world: World, ins: str) -> None:
    token = world.issuer.token_for("dominique", "app-rp", ins=ins)
    refused(world, world.patient_form(token), Reason.PATIENT, OAuthError.INVALID_REQUEST)


@pytest.mark.parametrize("audience", [None, "https://other.example", ["https://other.example"], 7])
def test_a_patients_token_that_is_meant_for_another_service(world: World, audience: object) -> None:
    token = world.issuer.token_for("dominique", "app-rp", aud=audience)
    refused(world, world.patient_form(token), Reason.SUBJECT_AZP)


def test_the_record_of_the_same_number_under_another_system_is_another(world: World) -> None:
    test = world.issue(world.form(patient=INS)).record_id
    demo = world.issue(world.form(patient=INS.replace(".10|", ".11|"))).record_id
    assert test != demo
