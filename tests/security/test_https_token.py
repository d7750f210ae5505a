"""Attacks on `/oauth/token` over HTTPS: each changes one thing of a request that the real process would grant.

After each of them no token was given, the refusal of an authenticated client has its event, and the bytes of every
record are what they were. (The same endpoint without a network, with a clock that moves: `test_tokens_*.py`.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from sceau.cli.devissuer import read_issuer_file
from sceau.cli.devpeople import PROFESSIONALS
from sceau.cli.people import HOSPITAL, LABORATORY, PRACTICE
from sceau.cli.session import ins_of
from sceau.identity.assertions import JWT_TYPE
from sceau.identity.client import SigningKey
from sceau_schemas.configuration import (
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
    Client as RegisteredClient,
    ClientKind,
)
from security.https_callers import Client
from security.https_forging import (
    body_of,
    claims_of,
    header_of,
    hmac_signed,
    in_parallel,
    now,
    refused_token,
    same,
    signed,
    unsigned,
)
from security.https_site import Site, traced_refusal, unchanged

pytestmark = pytest.mark.xdist_group("security-live")

INS = ins_of("dominique")
USER = "user/DocumentReference.rs"
PATIENT = "patient/DocumentReference.rs"


@pytest.fixture(autouse=True)
def _nothing_changes(site: Site) -> Iterator[None]:
    with unchanged(site):
        yield


@pytest.fixture(scope="module")
def laboratory(site: Site) -> Client:
    """A software with its good key, and a nonce."""
    return site.client("laboratory")


@pytest.fixture(scope="module")
def hospital(site: Site) -> Client:
    """A physician's software."""
    return site.client("hospital")


@pytest.fixture(scope="module")
def app(site: Site) -> Client:
    """The patients' app."""
    return site.client("patient-app")


def register(site: Site, client_id: str, **changed: Any) -> SigningKey:
    """Register one more software and return its key."""
    key = SigningKey.generate()
    given = {
        "client_id": client_id,
        "name": "Logiciel de passage",
        "kind": ClientKind.SOFTWARE,
        "keys": (key.registered_jwk(),),
        "structures": (LABORATORY,),
        "scopes": ("system/DocumentReference.crs",),
        "grants": (CLIENT_CREDENTIALS,),
        **changed,
    }
    site.register(RegisteredClient(**given))
    return key


def test_the_requests_that_the_attacks_change_are_good(
    site: Site, laboratory: Client, hospital: Client, app: Client
) -> None:
    laboratory.token()
    hospital.token(hospital.exchange(site.subject("hospital_physician", "hospital-rp"), scope=USER, patient=INS))
    app.token(app.exchange(site.subject("dominique", "patient-app-rp"), scope=PATIENT))


# --- who asks -------------------------------------------------------------------------------------------------------

RSA = RSAKey.generate_key(2048)


def _public_pem(client: Client) -> bytes:
    return bytes(ECKey.import_key(client.key.public_jwk()).as_pem(private=False))


def _of_a_brought_key(client: Client) -> str:
    claims, header = client.assertion_parts()
    own = SigningKey.generate()
    return own.sign({**header, "kid": own.thumbprint, "jwk": own.public_jwk()}, claims)


FORGED_ASSERTIONS: dict[str, Callable[[Client], str]] = {
    "alg none": lambda c: unsigned({"alg": "none"}, c.assertion_parts()[0]),
    "alg none, signed": lambda c: unsigned({"alg": "none"}, c.assertion_parts()[0]) + c.assertion().rpartition(".")[2],
    "no signature": lambda c: c.assertion().rpartition(".")[0] + ".",
    "the public key as an HMAC secret (PEM)": lambda c: hmac_signed(_public_pem(c), *c.assertion_parts()),
    "the public key as an HMAC secret (JWK)": lambda c: hmac_signed(
        json.dumps(c.key.registered_jwk()).encode(), *c.assertion_parts()
    ),
    "RS256 of an own key": lambda c: c.assertion(header={"alg": "RS256"}, key=RSA),
    "another key under the registered id": lambda c: SigningKey.generate().sign(*reversed(c.assertion_parts())),
    "a key that the header brings": _of_a_brought_key,
    "audience as an array": lambda c: c.assertion(aud=[c.site.origin]),
    "two audiences": lambda c: c.assertion(aud=[c.url, "https://other.example"]),
    "audience of another service": lambda c: c.assertion(aud="https://other.example/oauth/token"),
    "audience of the API": lambda c: c.assertion(aud=c.site.origin + "/fhir"),
    "no audience": lambda c: c.assertion(aud=None),
    "expired": lambda c: c.assertion(iat=now() - 120, exp=now() - 1),
    "issued in the future": lambda c: c.assertion(iat=now() + 30, exp=now() + 90),
    "not before a time in the future": lambda c: c.assertion(nbf=now() + 30),
    "an hour long": lambda c: c.assertion(exp=now() + 3600),
    "without an end": lambda c: c.assertion(exp=None),
    "without an id": lambda c: c.assertion(jti=None),
    "a very long id": lambda c: c.assertion(jti="a" * 2000),
    "of another issuer": lambda c: c.assertion(iss="hospital"),
    "about another client": lambda c: c.assertion(sub="hospital"),
    "of another client": lambda c: c.assertion(iss="hospital", sub="hospital"),
    "of a path": lambda c: c.assertion(iss="../pseudonym", sub="../pseudonym"),
    "of another type": lambda c: c.assertion(header={"typ": "at+jwt"}),
    "no JWS at all": lambda c: "e30",
}


@pytest.mark.parametrize("name", FORGED_ASSERTIONS)
def test_a_forged_assertion_gets_no_token(laboratory: Client, name: str) -> None:
    form = laboratory.form(client_assertion=FORGED_ASSERTIONS[name](laboratory))
    answer = laboratory.post(form, laboratory.proof())
    refused_token(answer, 401, "invalid_client")
    assert "Sceau-Trace" not in answer.headers  # anybody can send this: counted, not stored one by one


def test_an_assertion_used_again_gets_no_second_token(laboratory: Client) -> None:
    assertion = laboratory.assertion()
    laboratory.token(laboratory.form(client_assertion=assertion))
    again = laboratory.post(laboratory.form(client_assertion=assertion), laboratory.proof())
    refused_token(again, 401, "invalid_client")


def test_of_16_parallel_requests_with_one_assertion_one_gets_a_token(laboratory: Client) -> None:
    form = laboratory.form(client_assertion=laboratory.assertion())
    answers = in_parallel(16, lambda _: laboratory.post(form, laboratory.proof()))
    assert sorted(answer.status for answer in answers) == [200, *[401] * 15]
    for answer in answers:
        if answer.status != 200:
            refused_token(answer, 401, "invalid_client")


def test_unregistered_disabled_and_removed_clients_are_refused_alike(site: Site) -> None:
    disabled = register(site, "disabled-software", enabled=False)
    removed = register(site, "removed-software")
    assert site.clients().remove("removed-software")
    keys = {"nobody": SigningKey.generate(), "disabled-software": disabled, "removed-software": removed}
    answers = []
    for client_id, key in keys.items():
        client = site.client(client_id, key)
        answers.append(client.post(client.form(), client.proof()))
        refused_token(answers[-1], 401, "invalid_client")
    assert same(answers[0]) == same(answers[1]) == same(answers[2])


def test_a_client_that_is_removed_while_it_works_gets_no_token_from_a_fresh_process(site: Site) -> None:
    client = site.client("leaving-software", register(site, "leaving-software"))
    client.token()
    site.clients().remove("leaving-software")
    site.live.restart()  # instead of the 60 s after which a running process looks again
    refused_token(client.post(client.form(), client.proof()), 401, "invalid_client")


@pytest.mark.parametrize(
    "added",
    [
        {"client_secret": "secret"},
        {"client_id": "hospital"},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
    ],
    ids=lambda added: next(iter(added)),
)
def test_no_other_way_of_authenticating_works(laboratory: Client, added: dict[str, str]) -> None:
    refused_token(laboratory.post(laboratory.form(**added), laboratory.proof()), 401, "invalid_client")


def test_an_authorization_header_is_no_way_of_authenticating(laboratory: Client) -> None:
    basic = {"Authorization": "Basic bGFib3JhdG9yeTpzZWNyZXQ="}
    answer = laboratory.post(laboratory.form(), laboratory.proof(), headers=basic)
    refused_token(answer, 401, "invalid_client")


# --- the form -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["client_assertion", "grant_type", "scope", "client_assertion_type"])
def test_a_parameter_that_stands_twice_is_refused(laboratory: Client, name: str) -> None:
    form = laboratory.form()
    refused_token(laboratory.post([*form.items(), (name, form[name])], laboratory.proof()), 400, "invalid_request")


def test_parameters_in_the_address_are_not_read(laboratory: Client) -> None:
    form = laboratory.form()
    scope = form.pop("scope")
    answer = laboratory.post(form, laboratory.proof(), path=f"/oauth/token?scope={scope}")
    refused_token(answer, 400, "invalid_scope")


def test_an_oversized_form_is_refused_before_it_is_read(laboratory: Client) -> None:
    form = laboratory.form(padding="a" * 65536)
    refused_token(laboratory.post(form, laboratory.proof()), 400, "invalid_request")


def test_a_form_of_many_parameters_is_refused(laboratory: Client) -> None:
    many = [*laboratory.form().items(), *((f"p{number}", "x") for number in range(500))]
    refused_token(laboratory.post(many, laboratory.proof()), 400, "invalid_request")


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type_is_not_read(laboratory: Client, media_type: str) -> None:
    answer = laboratory.post(laboratory.form(), laboratory.proof(), headers={"Content-Type": media_type})
    refused_token(answer, 400, "invalid_request")


def test_a_form_that_is_not_utf_8_is_refused(laboratory: Client) -> None:
    refused_token(laboratory.post(b"grant_type=%ff%fe&scope=\xff", laboratory.proof()), 400, "invalid_request")


@pytest.mark.parametrize(
    "cnf",
    ['{"jkt":"%s"}' % ("A" * 43), '{"x5t#S256":"%s"}' % ("A" * 43), "{}", "null", "[", '{"jkt":1}', "[" * 5000],
    ids=["another key", "a certificate", "empty", "null", "no JSON", "a number", "deep"],
)
def test_a_cnf_parameter_that_lies_binds_nothing(site: Site, laboratory: Client, cnf: str) -> None:
    answer = laboratory.post(laboratory.form(cnf=cnf), laboratory.proof())
    refused_token(answer, 400, "invalid_request")
    traced_refusal(site, answer, "proof.refused")


# --- what is asked for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [
        "system/DocumentReference.crsu",
        "system/Consent.c",
        "system/*.crs",
        "user/DocumentReference.rs",
        "patient/DocumentReference.rs",
        "ops/Metric.r",
        "system/DocumentReference.crs system/AuditEvent.s",
        "system/DocumentReference.crs?patient=x",
        "openid",
    ],
)
def test_a_scope_beyond_the_ceiling_is_refused(site: Site, laboratory: Client, scope: str) -> None:
    answer = laboratory.post(laboratory.form(scope=scope), laboratory.proof())
    refused_token(answer, 400, "invalid_scope")
    traced_refusal(site, answer, "scope.refused")


@pytest.fixture(scope="module")
def operations(site: Site) -> Client:
    """A client of the operations team."""
    given: dict[str, Any] = {"kind": ClientKind.OPERATIONS, "scopes": ("ops/Metric.r",), "structures": ()}
    return site.client("operations", register(site, "operations", **given))


def test_operations_get_what_they_are_registered_for(operations: Client) -> None:
    operations.token(operations.form(scope="ops/Metric.r"))


@pytest.mark.parametrize("scope", ["ops/DocumentReference.r", "ops/*.r", "ops/AuditEvent.s", "system/Patient.r"])
def test_operations_get_no_clinical_scope(site: Site, operations: Client, scope: str) -> None:
    answer = operations.post(operations.form(scope=scope), operations.proof())
    refused_token(answer, 400, "invalid_scope")
    traced_refusal(site, answer, "scope.refused")


@pytest.mark.parametrize(
    "patient",
    [
        INS[:-2] + "00",  # a wrong key
        "279035121518989",  # no system
        "urn:oid:1.2.250.1.213.1.4.8|279035121518989",  # a real INS's system, on a test stage
        "urn:oid:1.2.250.1.213.1.4.10|2790351215189",  # without its key
        "urn:oid:1.2.250.1.213.1.4.10|279035121518989|x",
        "|279035121518989",
        "urn:oid:1.2.250.1.213.1.4.10|" + "1" * 4000,
        "urn:oid:1.2.250.1.213.1.4.10|２７９035121518989",  # digits that are no ASCII
    ],
)
def test_a_patient_that_is_no_ins_gets_no_token(site: Site, hospital: Client, patient: str) -> None:
    subject = site.subject("hospital_physician", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=patient), hospital.proof())
    assert "patient" in refused_token(answer, 400, "invalid_request")["error_description"]
    traced_refusal(site, answer, "patient.refused")


def test_a_professional_who_names_no_patient_gets_no_token(site: Site, hospital: Client) -> None:
    subject = site.subject("hospital_physician", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER), hospital.proof())
    refused_token(answer, 400, "invalid_request")
    traced_refusal(site, answer, "patient.refused")


def test_a_patient_who_names_another_patient_gets_no_token(site: Site, app: Client) -> None:
    subject = site.subject("dominique", "patient-app-rp")
    answer = app.post(app.exchange(subject, scope=PATIENT, patient=ins_of("basile")), app.proof())
    refused_token(answer, 400, "invalid_request")
    traced_refusal(site, answer, "patient.refused")


# --- whose identity is brought --------------------------------------------------------------------------------------

FORGED_SUBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "of an unregistered relying party": ({"azp": "somebody-else-rp"}, "subject.other-relying-party"),
    "of no relying party": ({"azp": None}, "subject.other-relying-party"),
    "of another registered client's relying party": ({"azp": "practice-rp"}, "subject.other-relying-party"),
    "of too low assurance": ({"acr": "eidas1"}, "subject.assurance-too-low"),
    "of an assurance that only sounds high": ({"acr": "eidas3 "}, "subject.assurance-too-low"),
    "of no assurance": ({"acr": None}, "subject.assurance-too-low"),
    "issued too long ago": ({"iat": -121, "exp": +60}, "subject.stale"),
    "expired": ({"exp": -1}, "subject.stale"),
    "issued in the future": ({"iat": +30, "exp": +150}, "subject.stale"),
    "not before a time in the future": ({"nbf": +30}, "subject.stale"),
    "of another issuer": ({"iss": "https://issuer.example"}, "subject.issuer-unknown"),
    "of no issuer": ({"iss": None}, "subject.issuer-unknown"),
    "that is an id token": ({"typ": "ID"}, "subject.token-refused"),
    "without an id": ({"jti": None}, "subject.token-refused"),
}
_TIMES = {"iat", "exp", "nbf"}


@pytest.mark.parametrize("name", FORGED_SUBJECTS)
def test_an_identity_that_the_issuer_signed_but_that_says_the_wrong_thing(
    site: Site, hospital: Client, name: str
) -> None:
    claims, reason = FORGED_SUBJECTS[name]
    changed = {key: now() + value if key in _TIMES else value for key, value in claims.items()}
    subject = site.subject("hospital_physician", changed.pop("azp", "hospital-rp"), **changed)
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, reason)


def _forged_subjects(site: Site) -> dict[str, str]:
    """A professional's claims, right in all, under signatures of others than their issuer."""
    kept = read_issuer_file(site.live.folder.issuer)
    claims = claims_of(site.subject("hospital_physician", "hospital-rp"))
    header = {"typ": "JWT", "kid": kept.professionals.thumbprint()}
    return {
        "the patient issuer's key": signed(
            kept.patients, {**header, "alg": "ES256", "kid": kept.patients.thumbprint()}, claims
        ),
        "the patient issuer's key under the other's id": signed(kept.patients, {**header, "alg": "ES256"}, claims),
        "an own key": signed(RSA, {**header, "alg": "RS256"}, claims),
        "no key": unsigned({**header, "alg": "none"}, claims),
        "the issuer's public key as a secret": hmac_signed(
            bytes(kept.professionals.as_pem(private=False)), claims, header
        ),
        "the issuer's key and PS256": signed(kept.professionals, {**header, "alg": "PS256"}, claims),
        "the issuer's key of an unknown id": signed(kept.professionals, {**header, "alg": "RS256", "kid": "?"}, claims),
    }


OTHER_SIGNERS = (
    "the patient issuer's key",
    "the patient issuer's key under the other's id",
    "an own key",
    "no key",
    "the issuer's public key as a secret",
    "the issuer's key and PS256",
    "the issuer's key of an unknown id",
)


@pytest.mark.parametrize("name", OTHER_SIGNERS)
def test_an_identity_that_somebody_else_signed(site: Site, hospital: Client, name: str) -> None:
    subject = _forged_subjects(site)[name]
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.token-refused")


def test_an_identity_used_again_gets_no_second_token(site: Site, hospital: Client) -> None:
    subject = site.subject("hospital_physician", "hospital-rp")
    hospital.token(hospital.exchange(subject, scope=USER, patient=INS))
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.replayed")


def test_of_16_parallel_exchanges_of_one_identity_one_gets_a_token(site: Site, hospital: Client) -> None:
    subject = site.subject("hospital_physician", "hospital-rp")
    answers = in_parallel(
        16, lambda _: hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    )
    assert sorted(answer.status for answer in answers) == [200, *[400] * 15]
    for answer in answers:
        if answer.status != 200:
            refused_token(answer, 400, "invalid_grant")
            traced_refusal(site, answer, "subject.replayed")


def test_an_identity_that_the_issuer_ended_is_refused_although_its_signature_is_right(
    site: Site, hospital: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By introspection alone: the UserInfo is still given."""
    issuer = site.live.issuer.issuer
    issuer.deactivate("ended")
    subject = site.subject("hospital_physician", "hospital-rp", jti="ended")
    monkeypatch.setattr(issuer, "_userinfo", lambda _: (200, PROFESSIONALS["hospital_physician"].userinfo()))
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.inactive")


def test_a_userinfo_about_somebody_else_makes_nobody_a_professional(
    site: Site, hospital: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = PROFESSIONALS["hospital_physician"].userinfo()
    monkeypatch.setattr(site.live.issuer.issuer, "_userinfo", lambda _: (200, other))
    subject = site.subject("secretary", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.identity-incomplete")


@pytest.mark.parametrize(
    "changed", [{"sub": "another"}, {"azp": "another"}, {"acr": "eidas1"}, {"client_id": "another"}]
)
def test_an_introspection_that_contradicts_the_token_grants_nothing(
    site: Site, hospital: Client, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    monkeypatch.setattr(site.live.issuer.issuer, "_introspect", lambda *_: (200, {"active": True, **changed}))
    subject = site.subject("hospital_physician", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.inactive")


def test_a_patients_identity_is_none_for_a_professionals_software(site: Site, hospital: Client) -> None:
    subject = site.subject("dominique", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.issuer-unknown")


def test_a_professionals_identity_is_none_for_the_patients_app(site: Site, app: Client) -> None:
    subject = site.subject("hospital_physician", "patient-app-rp")
    answer = app.post(app.exchange(subject, scope=PATIENT), app.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.issuer-unknown")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"aud": "https://other.example"}, "subject.other-relying-party"),
        ({"aud": None}, "subject.other-relying-party"),
        ({"ins": None}, "subject.identity-incomplete"),
        ({"birthplace": None}, "subject.identity-incomplete"),
        ({"ins": INS[:-2] + "00"}, "patient.refused"),
        ({"acr": "eidas1"}, "subject.assurance-too-low"),
    ],
)
def test_a_patients_identity_that_says_the_wrong_thing(
    site: Site, app: Client, changed: dict[str, Any], reason: str
) -> None:
    subject = site.subject("dominique", "patient-app-rp", **changed)
    answer = app.post(app.exchange(subject, scope=PATIENT), app.proof())
    assert answer.status == 400
    assert "access_token" not in body_of(answer)
    traced_refusal(site, answer, reason)


def test_a_client_can_not_exchange_when_it_may_only_ask_for_itself_nor_the_reverse(
    site: Site, laboratory: Client, hospital: Client
) -> None:
    subject = site.subject("hospital_physician", "hospital-rp")
    answer = laboratory.post(laboratory.exchange(subject), laboratory.proof())
    refused_token(answer, 400, "unauthorized_client")
    answer = hospital.post(hospital.form(scope=USER), hospital.proof())
    refused_token(answer, 400, "unauthorized_client")


def test_somebody_who_is_no_professional_gets_no_token(site: Site, hospital: Client) -> None:
    subject = site.subject("secretary", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.not-a-professional")


def test_a_professional_of_another_structure_gets_no_token(site: Site, hospital: Client) -> None:
    subject = site.subject("psychiatrist", "hospital-rp")
    answer = hospital.post(hospital.exchange(subject, scope=USER, patient=INS), hospital.proof())
    refused_token(answer, 400, "invalid_grant")
    traced_refusal(site, answer, "subject.no-common-structure")


# --- which practice situation ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(site: Site) -> Client:
    """A software of two structures, at both of which the radiologist works."""
    given: dict[str, Any] = {
        "kind": ClientKind.PROFESSIONAL_SOFTWARE,
        "structures": (HOSPITAL, PRACTICE),
        "scopes": ("user/DocumentReference.crs",),
        "grants": (TOKEN_EXCHANGE,),
        "azp": ("both-rp",),
    }
    return site.client("both", register(site, "both", **given))


def situated(client: Client, situation: str, **changed: Any) -> dict[str, str]:
    """The parameters of a signed actor token that picks a situation."""
    token = client.assertion(situation_exercice=situation, lps_nom="LPS", **changed)
    return {"actor_token": token, "actor_token_type": JWT_TYPE}


def test_a_professional_of_several_structures_must_say_for_which(site: Site, both: Client) -> None:
    answer = both.post(both.exchange(site.subject("radiologist", "both-rp"), scope=USER, patient=INS), both.proof())
    refused_token(answer, 400, "invalid_request")
    traced_refusal(site, answer, "subject.structure-undecided")


def test_a_signed_actor_token_says_for_which(site: Site, both: Client) -> None:
    form = both.exchange(
        site.subject("radiologist", "both-rp"), scope=USER, patient=INS, **situated(both, PRACTICE.value)
    )
    claims = claims_of(both.token(form).token)
    assert claims["extensions"]["sceau"]["structures"] == [f"{PRACTICE.system}|{PRACTICE.value}"]


def _actor_tokens(site: Site, client: Client) -> dict[str, dict[str, str]]:
    good = situated(client, PRACTICE.value)
    other = site.client("hospital")
    return {
        "not signed": {**good, "actor_token": unsigned({"alg": "none"}, client.assertion_parts()[0])},
        "signed by another client": situated(other, PRACTICE.value),
        "signed by another client in our name": situated(other, PRACTICE.value, iss=client.client_id),
        "for another service": situated(client, PRACTICE.value, aud="https://other.example"),
        "expired": situated(client, PRACTICE.value, exp=now() - 1),
        "of no declared type": {"actor_token": good["actor_token"]},
        "that names a structure where the person does not work": situated(client, LABORATORY.value),
        "that names nothing": situated(client, ""),
    }


@pytest.mark.parametrize(
    "name",
    [
        "not signed",
        "signed by another client",
        "signed by another client in our name",
        "for another service",
        "expired",
        "of no declared type",
        "that names a structure where the person does not work",
        "that names nothing",
    ],
)
def test_a_forged_actor_token_picks_nothing(site: Site, both: Client, name: str) -> None:
    subject = site.subject("radiologist", "both-rp")
    form = both.exchange(subject, scope=USER, patient=INS, **_actor_tokens(site, both)[name])
    answer = both.post(form, both.proof())
    refused_token(answer, 400, "invalid_request")
    assert site.event(answer)["outcome"] == "4"


# --- the key that the token will be bound to ------------------------------------------------------------------------

FORGED_PROOFS: dict[str, Callable[[Client], list[str]]] = {
    "none": lambda c: [],
    "two": lambda c: [c.proof(), c.proof()],
    "for another method": lambda c: [c.proof(htm="GET")],
    "for another address": lambda c: [c.proof(htu=c.site.origin + "/oauth/revoke")],
    "for another host": lambda c: [c.proof(htu="https://other.example/oauth/token")],
    "over http": lambda c: [c.proof(htu=c.url.replace("https:", "http:"))],
    "with a user in the address": lambda c: [c.proof(htu=c.url.replace("https://", "https://u@"))],
    "signed by another key than it names": lambda c: [
        SigningKey.generate().sign({"typ": "dpop+jwt", "jwk": c.proof_key.public_jwk()}, claims_of(c.proof()))
    ],
    "with its private key inside": lambda c: [c.proof(header={"jwk": c.proof_key.private_jwk()})],
    "RS256": lambda c: [c.proof(header={"alg": "RS256", "jwk": RSA.as_dict(private=False)}, key=RSA)],
    "alg none": lambda c: [unsigned({**header_of(c.proof()), "alg": "none"}, claims_of(c.proof()))],
    "HS256 under its own public key": lambda c: [
        hmac_signed(json.dumps(c.proof_key.public_jwk()).encode(), claims_of(c.proof()), header_of(c.proof()))
    ],
    "of another type": lambda c: [c.proof(header={"typ": "JWT"})],
    "without a key": lambda c: [c.proof(header={"jwk": None})],
    "of a minute and a half ago": lambda c: [c.proof(iat=now() - 90)],
    "of the future": lambda c: [c.proof(iat=now() + 60)],
    "without an id": lambda c: [c.proof(jti=None)],
    "no JWS at all": lambda c: ["x"],
    "oversized": lambda c: [c.proof(padding="a" * 4096)],
}


@pytest.mark.parametrize("name", FORGED_PROOFS)
def test_a_forged_proof_gets_no_token(laboratory: Client, name: str) -> None:
    answer = laboratory.post(laboratory.form(), *FORGED_PROOFS[name](laboratory))
    refused_token(answer, 400, "invalid_dpop_proof")
    assert "DPoP-Nonce" not in answer.headers


def test_a_proof_without_our_nonce_is_told_the_nonce_and_uses_nothing_up(laboratory: Client) -> None:
    form, proof = laboratory.form(), laboratory.proof(nonce=None)
    answer = laboratory.post(form, proof)
    refused_token(answer, 400, "use_dpop_nonce")
    assert answer.headers["DPoP-Nonce"]
    laboratory.token(form)  # the same assertion: it was not used up


def test_the_nonce_of_another_key_is_none(laboratory: Client, hospital: Client) -> None:
    answer = laboratory.post(laboratory.form(), laboratory.proof(nonce=hospital.nonce))
    refused_token(answer, 400, "use_dpop_nonce")


def test_the_nonce_of_the_api_is_none_here(site: Site, laboratory: Client) -> None:
    holder = site.ready(laboratory.token())
    answer = laboratory.post(laboratory.form(), laboratory.proof(nonce=holder.nonce))
    refused_token(answer, 400, "use_dpop_nonce")


def test_of_16_parallel_requests_with_one_proof_one_gets_a_token(laboratory: Client) -> None:
    proof = laboratory.proof()
    answers = in_parallel(16, lambda _: laboratory.post(laboratory.form(), proof))
    assert sorted(answer.status for answer in answers) == [200, *[400] * 15]
    for answer in answers:
        if answer.status != 200:
            refused_token(answer, 400, "invalid_dpop_proof")


# --- revocation -----------------------------------------------------------------------------------------------------


def test_nobody_revokes_another_clients_token(site: Site, laboratory: Client, hospital: Client) -> None:
    token, before = laboratory.token().token, site.objects("revoked")
    form = {name: hospital.form()[name] for name in ("client_assertion", "client_assertion_type")}
    answer = hospital.post({**form, "token": token}, path="/oauth/revoke")
    refused_token(answer, 400, "unauthorized_client")
    assert site.objects("revoked") == before


def test_nobody_revokes_without_authentication(site: Site, laboratory: Client) -> None:
    before = site.objects("revoked")
    answer = laboratory.post({"token": laboratory.token().token}, path="/oauth/revoke")
    refused_token(answer, 401, "invalid_client")
    assert site.objects("revoked") == before
