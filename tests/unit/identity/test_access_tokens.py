"""Our own tokens: what they say, who verifies them, and what happens when keys change."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.keys import on as key_on
from sceau.access.model import ActorKind, Declaration, Identifier, Mode
from sceau.identity.emergency import Entry
from sceau.identity.errors import TokenRefused, Unavailable
from sceau.identity.facts import Bearer, new_claims
from sceau.identity.settings import IdentitySettings
from sceau.identity.tokens import TokenKeys, TokenSigner, TokenVerifier, actor_of, jwks
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau_schemas.tokens import AccessTokenClaims, Software
from unit.identity.identity_world import INS, ORIGIN, SETTINGS, World, key_of, raw_jws

RECORD = "a2b3c4d5e6f7ghijklmnopqrst"
HOSPITAL = Identifier("urn:oid:1.2.250.1.71.4.2.2", "1000000202")
PHYSICIAN = Bearer(
    kind=ActorKind.PROFESSIONAL,
    client_id="hospital",
    subject="899700000102",
    scopes=("user/DocumentReference.rs", "user/Patient.rs"),
    record_id=RECORD,
    structures=(HOSPITAL,),
    structure_name="Hôpital Modèle",
    professional=Identifier("urn:oid:1.2.250.1.71.4.2.1", "899700000102"),
    profession="10",
    name="Hortense Modèle",
    acr="eidas3",
    auth_time=1772443770,
    software=Software(nom="DPI", id="dpi", version="1"),
    issuer="psc",
)
PATIENT = Bearer(kind=ActorKind.PATIENT, client_id="app", subject=RECORD, scopes=("patient/*.rs",), record_id=RECORD)
SPECIAL = replace(PHYSICIAN, sectors=("SA66",), specialties=("SM25", "SM54"), role="330", regulates=True, secret=True)
PARENT = replace(PATIENT, kind=ActorKind.REPRESENTATIVE, subject="b" * 26)
EVENT = "01a20a72-08e3-73be-8000-0123456789ab"
BREAKING = replace(PHYSICIAN, emergency=Entry(Mode.BRIS_DE_GLACE, 1772443900, "AVC", True, True, True, EVENT))
REGULATING = replace(PHYSICIAN, emergency=Entry(Mode.CENTRE_15, 1772447400, None, event=EVENT))
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
JTI = "A" * 22


def claims_of(world: World, bearer: Bearer = PHYSICIAN, **changed: Any) -> AccessTokenClaims:
    made = new_claims(SETTINGS, bearer, jkt=JKT, jti=JTI, issued=int(world.clock().timestamp()))
    return made.model_copy(update=changed)


def sign(world: World, claims: AccessTokenClaims) -> str:
    return TokenSigner(world.keys, world.token_keys).sign(claims, world.clock())


def verifier(world: World, settings: IdentitySettings = SETTINGS) -> TokenVerifier:
    return TokenVerifier(settings, TokenKeys(world.keys))


def parts(token: str) -> list[dict[str, Any]]:
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def test_the_claims_of_a_token_are_frozen(world: World) -> None:
    header, body = parts(sign(world, claims_of(world)))
    kid = world.token_keys.newest(world.clock())[1]
    assert header == {"alg": "ES256", "kid": kid, "typ": "at+jwt"}
    assert body == {
        "iss": ORIGIN,
        "sub": "899700000102",
        "aud": f"{ORIGIN}/fhir",
        "client_id": "hospital",
        "exp": 1772444100,
        "iat": 1772443800,
        "jti": JTI,
        "scope": "user/DocumentReference.rs user/Patient.rs",
        "cnf": {"jkt": JKT},
        "acr": "eidas3",
        "auth_time": 1772443770,
        "act": {"client": "hospital", "lps": {"nom": "DPI", "id": "dpi", "version": "1"}},
        "extensions": {
            "ihe_iua": {
                "subject_name": "Hortense Modèle",
                "subject_organization": "Hôpital Modèle",
                "subject_organization_id": "urn:oid:1.2.250.1.71.4.2.2|1000000202",
                "subject_role": [{"system": "urn:oid:1.2.250.1.213.1.1.5.5", "code": "10"}],
                "purpose_of_use": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
                "national_provider_identifier": "urn:oid:1.2.250.1.71.4.2.1|899700000102",
                "person_id": RECORD,
            },
            "sceau": {"kind": "professional", "structures": ["urn:oid:1.2.250.1.71.4.2.2|1000000202"]},
        },
    }


def test_the_claims_of_an_emergency_are_frozen_and_hold_no_reason_in_words(world: World) -> None:
    body = parts(sign(world, claims_of(world, BREAKING)))[1]
    assert body["exp"] == 1772443900  # with the declaration, before the token's 300 s
    assert body["extensions"]["sceau"]["emergency"] == {
        "mode": "bris_de_glace",
        "event": EVENT,
        "until": 1772443900,
        "reason_given": True,
        "unable_to_consent": True,
        "immediate_risk": True,
    }
    assert "AVC" not in json.dumps(body)
    body = parts(sign(world, claims_of(world, REGULATING)))[1]
    assert body["exp"] == 1772444100
    assert body["extensions"]["sceau"]["emergency"] == {"mode": "centre_15", "event": EVENT, "until": 1772447400}


def test_an_emergency_comes_back_from_the_token(world: World) -> None:
    actor = actor_of(verifier(world).verify(sign(world, claims_of(world, BREAKING)), world.clock()).claims)
    assert actor.mode is Mode.BRIS_DE_GLACE
    assert actor.declaration == Declaration(datetime.fromtimestamp(1772443900, UTC), True, True, True, EVENT)
    actor = actor_of(claims_of(world, REGULATING))
    assert (actor.mode, actor.declaration) == (
        Mode.CENTRE_15,
        Declaration(datetime.fromtimestamp(1772447400, UTC), False, False, False, EVENT),
    )


def test_no_token_is_made_for_an_emergency_that_was_not_recorded(world: World) -> None:
    for entry in (Entry(Mode.BRIS_DE_GLACE, 1772443900), Entry(Mode.NORMAL, 1772443900, event=EVENT)):
        with pytest.raises(ValueError, match="recorded"):
            claims_of(world, replace(PHYSICIAN, emergency=entry))


def test_an_emergency_in_a_patients_token_is_refused(world: World) -> None:
    for bearer in (PATIENT, PARENT):
        with pytest.raises(TokenRefused):
            actor_of(claims_of(world, replace(bearer, emergency=BREAKING.emergency)))


def test_a_token_becomes_the_actor_that_it_was_made_for(world: World) -> None:
    actor = actor_of(verifier(world).verify(sign(world, claims_of(world)), world.clock()).claims)
    assert actor.kind is ActorKind.PROFESSIONAL
    assert (actor.subject, actor.client_id, actor.token_id) == ("899700000102", "hospital", JTI)
    assert actor.scopes == {"user/DocumentReference.rs", "user/Patient.rs"}
    assert (actor.record_id, actor.structures, actor.professional) == (RECORD, (HOSPITAL,), PHYSICIAN.professional)
    assert (actor.profession, actor.display) == ("10", "Hortense Modèle")


def test_what_access_asks_of_a_practice_comes_back_from_the_token(world: World) -> None:
    actor = actor_of(verifier(world).verify(sign(world, claims_of(world, SPECIAL)), world.clock()).claims)
    assert (set(actor.sectors), set(actor.specialties), actor.role) == ({"SA66"}, {"SM25", "SM54"}, "330")
    assert actor.regulates
    assert actor.secret
    plain = actor_of(claims_of(world))
    assert not plain.sectors | plain.specialties
    assert plain.role is None
    assert not plain.regulates
    assert not plain.secret


def test_a_representatives_token_is_about_somebody_else(world: World) -> None:
    actor = actor_of(verifier(world).verify(sign(world, claims_of(world, PARENT)), world.clock()).claims)
    assert (actor.kind, actor.subject, actor.record_id) == (ActorKind.REPRESENTATIVE, "b" * 26, RECORD)
    for changed in (replace(PARENT, subject=RECORD), replace(PARENT, record_id=None)):
        with pytest.raises(TokenRefused):
            actor_of(claims_of(world, changed))


def test_a_patients_token_names_nobody(world: World) -> None:
    token = sign(world, claims_of(world, PATIENT))
    assert "subject_name" not in json.dumps(parts(token))
    assert actor_of(verifier(world).verify(token, world.clock()).claims).display is None


def test_no_issued_token_holds_an_ins_or_a_patients_name(world: World) -> None:
    for form in (world.professional_form(), world.patient_form(), world.form(patient=INS)):
        text = json.dumps(parts(world.issue(form).access_token), ensure_ascii=False)
        assert "279035121518989" not in text
        assert "PAT-TROIS" not in text
        assert "DOMINIQUE" not in text


@pytest.mark.parametrize(("seconds", "good"), [(-11, False), (-10, True), (0, True), (299, True), (300, False)])
def test_a_token_lives_300_seconds(world: World, seconds: int, good: bool) -> None:
    token = sign(world, claims_of(world))
    world.advance(seconds)
    if good:
        assert verifier(world).verify(token, world.clock())
    else:
        with pytest.raises(TokenRefused):
            verifier(world).verify(token, world.clock())


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example"},
        {"aud": "https://other.example/fhir"},
        {"exp": 1772443800 + 301},
        {"exp": 1772443800},
        {"jti": "short"},
        {"scope": ""},
        {"cnf": {"jkt": "short"}},
    ],
)
def test_a_token_that_says_something_else_is_refused_although_its_signature_is_right(
    world: World, changed: dict[str, Any]
) -> None:
    with pytest.warns(UserWarning) if "cnf" in changed else _nothing():
        token = sign(world, claims_of(world, **changed))
    with pytest.raises(TokenRefused):
        verifier(world).verify(token, world.clock())


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_a_token_of_another_key_type_or_algorithm_is_refused(world: World) -> None:
    good = sign(world, claims_of(world))
    header, body = parts(good)
    assert verifier(world).verify(good, world.clock())
    for changed in (
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "dpop+jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"kid": "unknown"},
        {},
    ):
        with pytest.raises(TokenRefused):
            verifier(world).verify(raw_jws(key_of("thief"), header | changed, body), world.clock())


def test_a_token_with_a_duplicate_claim_is_refused_although_our_key_signed_it(world: World) -> None:
    head, body, _ = sign(world, claims_of(world)).split(".")
    twice = base64.urlsafe_b64decode(body + "==").replace(b'{"iss"', b'{"sub":"x","iss"', 1)
    signed = f"{head}.{base64.urlsafe_b64encode(twice).decode().rstrip('=')}"
    version, _ = world.token_keys.newest(world.clock())
    signature = world.keys.sign(KeyName.TOKENS, hashlib.sha256(signed.encode()).digest(), version=version)
    with pytest.raises(TokenRefused):
        verifier(world).verify(f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}", world.clock())


@pytest.mark.parametrize(
    "update",
    [
        {"person_id": None},
        {"national_provider_identifier": None},
        {"subject_role": ()},
    ],
)
def test_a_professionals_token_names_person_profession_and_patient(world: World, update: dict[str, Any]) -> None:
    claims = claims_of(world)
    extensions = claims.extensions.model_copy(update={"ihe_iua": claims.extensions.ihe_iua.model_copy(update=update)})
    with pytest.raises(TokenRefused):
        actor_of(claims.model_copy(update={"extensions": extensions}))


def test_a_patients_token_about_another_patient_is_refused(world: World) -> None:
    with pytest.raises(TokenRefused):
        actor_of(claims_of(world, PATIENT, sub="z" * 26))


def test_after_a_rotation_old_and_new_tokens_verify_and_new_ones_have_the_new_key(world: World) -> None:
    old, check = sign(world, claims_of(world)), verifier(world)
    check.verify(old, world.clock())
    world.add_token_key()
    assert parts(sign(world, claims_of(world)))[0]["kid"] == parts(old)[0]["kid"]  # until the next reading of the keys
    world.advance(60)
    new = sign(world, claims_of(world))
    assert parts(new)[0]["kid"] != parts(old)[0]["kid"]
    for token in (old, new):
        check.verify(token, world.clock())
    published = jwks(world.token_keys.public(world.clock()))["keys"]
    assert [key["kid"] for key in published] == [parts(new)[0]["kid"], parts(old)[0]["kid"]]
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in published)


def test_a_disabled_key_signs_no_more_and_verifies_no_more(world: World) -> None:
    check = verifier(world)
    old = sign(world, claims_of(world))
    check.verify(old, world.clock())
    world.add_token_key()
    world.disable_token_key()
    new = sign(world, claims_of(world))  # the key service refuses the old version: the keys are read again at once
    assert parts(new)[0]["kid"] != parts(old)[0]["kid"]
    world.advance(60)
    check.verify(new, world.clock())
    with pytest.raises(TokenRefused):
        check.verify(old, world.clock())


def test_an_unknown_key_id_makes_the_keys_be_read_again_but_not_at_every_request(world: World) -> None:
    check = verifier(world)
    header, body = parts(sign(world, claims_of(world)))
    forged = raw_jws(key_of("thief"), header | {"kid": "unknown"}, body)
    world.keys.calls.clear()
    for second in range(40):
        with pytest.raises(TokenRefused):
            check.verify(forged, world.clock())
        if second < 39:
            world.advance(1)
    assert world.keys.count(KeyOperation.PUBLIC) == 2


def test_when_the_key_service_is_down_nothing_is_signed(world: World) -> None:
    world.keys.fails = key_on(KeyOperation.SIGN)
    with pytest.raises(Unavailable):
        sign(world, claims_of(world))
    world.keys.fails = key_on(KeyOperation.PUBLIC)
    with pytest.raises(Unavailable):
        verifier(world).verify(
            raw_jws(key_of("thief"), {"alg": "ES256", "typ": "at+jwt", "kid": "x"}, {}), world.clock()
        )


def test_settings_that_make_no_sense_are_refused() -> None:
    good: dict[str, Any] = {
        "issuer": ORIGIN,
        "origins": (ORIGIN,),
        "audience": "a",
        "token_seconds": 300,
        "nonce_required": True,
        "replay_marks_for_reads": True,
    }
    IdentitySettings(**good)
    for change in (
        {"issuer": "http://dmp.example.fr"},
        {"origins": ()},
        {"origins": (ORIGIN + "/",)},
        {"origins": ("https://DMP.example.fr",)},
        {"origins": ("https://dmp.example.fr:443",)},
        {"audience": ""},
        {"token_seconds": 301},
        {"token_seconds": 0},
    ):
        with pytest.raises(ValueError, match=r"."):
            IdentitySettings(**good | change)
