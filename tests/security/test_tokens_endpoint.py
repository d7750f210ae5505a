"""Attacks on `/oauth/token` and `/oauth/revoke`: each changes one thing of a request that would succeed.

After a refusal nothing changed: no token, no mark that the attack should not have left, and one trace or one count.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from sceau.identity import grants
from sceau.identity.assertions import JWT_TYPE
from sceau.identity.clients import KnownClient
from sceau.identity.configuration import SealedObjects
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.facts import TokenAct, TokenOutcome
from sceau.identity.grants import Asked
from sceau.identity.nonce import NonceRole
from sceau_schemas.configuration import Client, ClientKind, StoredClient
from unit.identity import conftest
from unit.identity.identity_world import (
    HOSPITAL,
    INS,
    LABORATORY,
    ORIGIN,
    OTHER_INS,
    SECOND_ORIGIN,
    TOKEN_URL,
    World,
    client,
    event_id,
    key_of,
)

issuer_secrets, world = conftest.issuer_secrets, conftest.world

RSA_KEY = RSAKey.generate_key(2048)

Change = Callable[[World], dict[str, Any]]


def not_authenticated(
    world: World, form: dict[str, str], *proofs: str, error: OAuthError, marks: int = 0
) -> OAuthRefusal:
    """The refusal of a request that authenticates nobody: counted once, traced never, and `marks` marks."""
    before = len(world.marks())
    refusal = world.refused(form, *proofs)
    assert refusal.error is error
    assert world.refusals == {refusal.reason: 1}
    assert world.traces == []
    assert refusal.event_id is None
    assert len(world.marks()) - before == marks
    world.refusals.clear()
    return refusal


def refused(world: World, form: dict[str, str], error: OAuthError, reason: Reason) -> OAuthRefusal:
    """The refusal of an authenticated client: one event, the marks of proof and assertion, and no more."""
    traces, marks = len(world.traces), len(world.marks())
    refusal = world.refused(form)
    assert (refusal.error, refusal.reason) == (error, reason)
    assert len(world.traces) == traces + 1
    assert world.traces[-1].outcome is TokenOutcome.REFUSED
    assert world.traces[-1].reason is reason
    assert refusal.event_id == event_id(len(world.traces))
    assert refusal.nonce is not None
    assert len(world.marks()) == marks + 2
    assert world.refusals == {}
    return refusal


# --- client assertions ---------------------------------------------------------------------------------------------


def test_the_request_that_the_attacks_change_is_good(world: World) -> None:
    assert world.issue(world.form()).scope == "system/DocumentReference.c"
    assert len(world.marks()) == 2


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(lambda _: {"aud": [TOKEN_URL]}, id="audience as an array"),
        pytest.param(lambda _: {"aud": [TOKEN_URL, ORIGIN]}, id="two audiences"),
        pytest.param(lambda _: {"aud": None}, id="no audience"),
        pytest.param(lambda _: {"aud": "https://other.example/oauth/token"}, id="audience of another server"),
        pytest.param(lambda _: {"aud": TOKEN_URL + "/"}, id="audience with a slash more"),
        pytest.param(lambda _: {"iss": "insurer"}, id="issuer of another client"),
        pytest.param(lambda _: {"sub": None}, id="no subject"),
        pytest.param(lambda _: {"sub": ["laboratory"]}, id="subject of another type"),
        pytest.param(lambda _: {"iss": "../pseudonym", "sub": "../pseudonym"}, id="a path as client id"),
        pytest.param(lambda _: {"iss": "nobody", "sub": "nobody"}, id="unknown client"),
        pytest.param(lambda _: {"iss": "retired", "sub": "retired"}, id="disabled client"),
        pytest.param(lambda _: {"exp": None}, id="no expiry"),
        pytest.param(lambda w: {"exp": int(w.clock().timestamp())}, id="expired"),
        pytest.param(lambda w: {"exp": int(w.clock().timestamp()) + 311}, id="expires in more than five minutes"),
        pytest.param(lambda w: {"iat": int(w.clock().timestamp()) + 11}, id="from the future"),
        pytest.param(lambda w: {"nbf": int(w.clock().timestamp()) + 11}, id="not yet valid"),
        pytest.param(lambda w: {"exp": str(int(w.clock().timestamp()) + 60)}, id="expiry as a text"),
        pytest.param(lambda _: {"jti": None}, id="no id"),
        pytest.param(lambda _: {"jti": "x" * 129}, id="long id"),
    ],
)
def test_an_assertion_that_says_something_else(world: World, claims: Change) -> None:
    form = world.form(client_assertion=world.assertion(**claims(world)))
    not_authenticated(world, form, error=OAuthError.INVALID_CLIENT)


def test_an_assertion_signed_by_somebody_else(world: World) -> None:
    form = world.form(client_assertion=world.assertion("laboratory", signer="thief"))
    not_authenticated(world, form, error=OAuthError.INVALID_CLIENT)
    form = world.form(client_assertion=world.assertion("laboratory", signer="insurer"))
    not_authenticated(world, form, error=OAuthError.INVALID_CLIENT)


def test_known_and_unknown_clients_are_refused_alike(world: World) -> None:
    unknown = not_authenticated(
        world, world.form(client_assertion=world.assertion("nobody")), error=OAuthError.INVALID_CLIENT
    )
    forged = not_authenticated(
        world, world.form(client_assertion=world.assertion(signer="thief")), error=OAuthError.INVALID_CLIENT
    )
    assert (unknown.description, unknown.status, unknown.reason) == (forged.description, forged.status, forged.reason)
    assert unknown.status == 401


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"typ": "at+jwt"}, {"typ": "dpop+jwt"}, {"crit": ["x"]}]
)
def test_an_assertion_with_a_wrong_header(world: World, header: dict[str, Any]) -> None:
    now = int(world.clock().timestamp())
    body = {"iss": "laboratory", "sub": "laboratory", "aud": TOKEN_URL, "jti": "1", "exp": now + 60}
    form = world.form(client_assertion=world.jws("laboratory", body, **header))
    not_authenticated(world, form, error=OAuthError.INVALID_CLIENT)


@pytest.mark.parametrize(
    ("algorithm", "good"),
    [("ES256", True), ("ES384", True), ("PS256", True), ("RS384", True), ("RS256", False), ("PS384", False)],
)
def test_an_assertion_of_any_algorithm_but_the_four_published(world: World, algorithm: str, good: bool) -> None:
    private = ECKey.generate_key(f"P-{algorithm[2:]}") if algorithm.startswith("ES") else RSA_KEY
    public = {**private.as_dict(private=False), "kid": "1"}
    registration = client("laboratory", ClientKind.SOFTWARE, "system/*.c", structures=(LABORATORY,))
    world.clients.put(registration.model_copy(update={"keys": (public,)}))
    now = int(world.clock().timestamp())
    body = {"iss": "laboratory", "sub": "laboratory", "aud": ORIGIN, "jti": "1", "exp": now + 60}
    header = {"alg": algorithm, "kid": "1"}
    form = world.form(client_assertion=jws.serialize_compact(header, json.dumps(body), private, [algorithm]))
    if good:
        assert world.issue(form)
    else:
        not_authenticated(world, form, error=OAuthError.INVALID_CLIENT)


def test_an_assertion_authenticated_with_the_public_key_as_an_hmac_secret(world: World) -> None:
    now = int(world.clock().timestamp())
    body = {"iss": "laboratory", "sub": "laboratory", "aud": TOKEN_URL, "jti": "1", "exp": now + 60}
    secret = OctKey.import_key(json.dumps(key_of("laboratory").registered_jwk()))
    kid = key_of("laboratory").thumbprint
    forged = jws.serialize_compact({"alg": "HS256", "typ": "JWT", "kid": kid}, json.dumps(body), secret, ["HS256"])
    not_authenticated(world, world.form(client_assertion=forged), error=OAuthError.INVALID_CLIENT)


@pytest.mark.parametrize(
    "changed",
    [
        {"client_assertion": None},
        {"client_assertion": "x.y.z"},
        {"client_assertion_type": None},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_secret": "secret"},
        {"client_id": "insurer"},
    ],
)
def test_no_other_way_of_authenticating(world: World, changed: dict[str, str | None]) -> None:
    not_authenticated(world, world.form(**changed), error=OAuthError.INVALID_CLIENT)


def test_an_assertion_used_twice(world: World) -> None:
    form = world.form()
    world.issue(form)
    world.traces.clear()
    refusal = not_authenticated(world, form, error=OAuthError.INVALID_CLIENT, marks=1)
    assert refusal.reason is Reason.ASSERTION_REPLAYED


def test_an_assertion_used_again_over_a_minutes_end(world: World) -> None:
    form = world.form()
    world.issue(form)
    world.traces.clear()
    world.advance(45)
    assert world.clock().minute == 30
    not_authenticated(world, form, error=OAuthError.INVALID_CLIENT, marks=1)
    world.advance(14)
    not_authenticated(world, form, error=OAuthError.INVALID_CLIENT, marks=1)


def test_the_same_assertion_id_of_two_clients_is_no_replay(world: World) -> None:
    world.issue(world.form(client_assertion=world.assertion(jti="one")))
    form = world.form(scope="system/Consent.c", client_assertion=world.assertion("insurer", jti="one"))
    assert world.issue(form).scope == "system/Consent.c"


# --- DPoP proofs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda w: w.proof(method="GET"), id="another method"),
        pytest.param(lambda w: w.proof(url=f"{ORIGIN}/oauth/revoke"), id="another address"),
        pytest.param(lambda w: w.proof(url="https://evil.example/oauth/token"), id="another host"),
        pytest.param(lambda w: w.proof(iat=int(w.clock().timestamp()) - 61), id="stale"),
        pytest.param(lambda w: w.proof(iat=int(w.clock().timestamp()) + 11), id="from the future"),
        pytest.param(lambda w: w.proof(header={"jwk": key_of("victim").public_jwk()}), id="key of somebody else"),
        pytest.param(lambda w: w.proof(header={"typ": "JWT"}), id="another type"),
        pytest.param(lambda w: w.proof(header={"alg": "none"}), id="unsigned"),
        pytest.param(lambda _: "", id="empty"),
    ],
)
def test_a_proof_that_proves_something_else(world: World, made: Callable[[World], str]) -> None:
    not_authenticated(world, world.form(), made(world), error=OAuthError.INVALID_DPOP_PROOF)


def test_two_proofs(world: World) -> None:
    not_authenticated(world, world.form(), world.proof(), world.proof(), error=OAuthError.INVALID_DPOP_PROOF)


def test_a_proof_made_in_advance_lacks_the_nonce_of_now(world: World) -> None:
    made = world.proof(iat=int(world.clock().timestamp()) + 600)
    world.advance(600)
    refusal = not_authenticated(world, world.form(), made, error=OAuthError.USE_DPOP_NONCE)
    assert refusal.status == 400
    assert refusal.nonce == world.nonce()


def test_a_nonce_of_the_api_does_not_count_here(world: World) -> None:
    proof = world.proof(nonce=world.nonces(NonceRole.RESOURCE).current(key_of("proof").thumbprint, world.clock()))
    not_authenticated(world, world.form(), proof, error=OAuthError.USE_DPOP_NONCE)


def test_a_proof_used_twice(world: World) -> None:
    proof = world.proof()
    world.issue(world.form(), proof)
    world.traces.clear()
    refusal = not_authenticated(world, world.form(), proof, error=OAuthError.INVALID_DPOP_PROOF)
    assert refusal.reason is Reason.PROOF_REPLAYED


def test_a_proof_used_again_over_a_minutes_end_in_another_process(world: World) -> None:
    world.advance(40)
    proof = world.proof()
    world.issue(world.form(), proof)
    world.traces.clear()
    world.advance(55)
    assert world.clock().minute == 31
    refusal = not_authenticated(world, world.form(), proof, error=OAuthError.INVALID_DPOP_PROOF)
    assert refusal.reason is Reason.PROOF_REPLAYED


def test_a_proof_for_the_second_origin_counts_but_the_host_header_does_not(world: World) -> None:
    assert world.issue(world.form(), world.proof(url=f"{SECOND_ORIGIN}/oauth/token"))


def test_a_cnf_parameter_that_lies(world: World) -> None:
    truth = json.dumps({"jkt": key_of("proof").thumbprint})
    world.issue(world.form(cnf=truth))
    for lie in (json.dumps({"jkt": key_of("thief").thumbprint}), '{"x5t#S256":"YTIz"}', "{", "[" * 5000, '"jkt"'):
        refused(world, world.form(cnf=lie), OAuthError.INVALID_REQUEST, Reason.PROOF)


# --- grants, scopes, targets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grant", ["password", "authorization_code", "refresh_token", "implicit", "urn:x", "CLIENT_CREDENTIALS"]
)
def test_no_other_grant(world: World, grant: str) -> None:
    refused(world, world.form(grant_type=grant), OAuthError.UNSUPPORTED_GRANT_TYPE, Reason.GRANT_UNKNOWN)


def test_no_grant_at_all(world: World) -> None:
    refused(world, world.form(grant_type=None), OAuthError.INVALID_REQUEST, Reason.MALFORMED)


def test_a_software_that_wants_to_exchange_and_an_exchanger_that_wants_credentials(world: World) -> None:
    token = world.issuer.token_for("hospital_physician", "hospital-rp")
    form = world.exchange_form("laboratory", token)
    refused(world, form, OAuthError.UNAUTHORIZED_CLIENT, Reason.GRANT_NOT_ALLOWED)
    form = world.form("hospital", scope="user/Patient.rs")
    refused(world, form, OAuthError.UNAUTHORIZED_CLIENT, Reason.GRANT_NOT_ALLOWED)


@pytest.mark.parametrize(
    "scope",
    [
        None,
        "system/DocumentReference.r",
        "system/DocumentReference.crs",
        "system/DocumentReference.sc",
        "system/DocumentReference.",
        "system/DocumentReference.c?category=x",
        "system/*.c",
        "system/Consent.c",
        "user/DocumentReference.c",
        "patient/DocumentReference.c",
        "ops/DocumentReference.c",
        "system/DocumentReference.read",
        "openid",
        "system/DocumentReference.c  system/DocumentReference.s",
        " system/DocumentReference.c",
        "system/DocumentReference.c\tsystem/DocumentReference.s",
        "system/DocumentReference.c user/Patient.rs",
    ],
)
def test_a_scope_beyond_the_ceiling_or_of_another_level(world: World, scope: str | None) -> None:
    refused(world, world.form(scope=scope), OAuthError.INVALID_SCOPE, Reason.SCOPE)


def test_more_scopes_than_anybody_needs(world: World) -> None:
    scope = " ".join(["system/DocumentReference.c"] * 21)
    refused(world, world.form(scope=scope), OAuthError.INVALID_SCOPE, Reason.SCOPE)


@pytest.mark.parametrize(
    "scope", ["system/DocumentReference.r", "user/Patient.rs", "ops/DocumentReference.r", "ops/*.r"]
)
def test_an_operations_client_that_asks_for_health_data(world: World, scope: str) -> None:
    form = world.form("jobs", scope=scope)
    refused(world, form, OAuthError.INVALID_SCOPE, Reason.SCOPE)
    assert world.issue(world.form("jobs", scope="ops/Journal.r")).record_id is None


def test_an_operations_client_whose_registration_was_written_past_the_check(world: World) -> None:
    """Whoever writes the sealed object directly still gets no token that reaches health data."""
    bad = client("jobs", ClientKind.OPERATIONS, "ops/*.cruds")
    objects = SealedObjects(world.store, world.envelope, StoredClient, "clients")
    found = objects.read("jobs")
    assert found is not None
    objects.write("jobs", StoredClient(client=bad), expected=found[1])
    not_authenticated(world, world.form("jobs", scope="ops/Patient.r"), error=OAuthError.TEMPORARILY_UNAVAILABLE)


@pytest.mark.parametrize(
    ("kind", "ceiling", "scope"),
    [
        (ClientKind.OPERATIONS, "ops/*.cruds", "ops/Patient.r"),
        (ClientKind.OPERATIONS, "ops/*.cruds", "ops/*.r"),
        (ClientKind.OPERATIONS, "system/*.cruds", "system/Patient.r"),
        (ClientKind.SOFTWARE, "user/*.cruds", "user/Patient.r"),
    ],
)
def test_no_registration_whatever_it_says_opens_another_level_or_health_data_to_operations(
    kind: ClientKind, ceiling: str, scope: str
) -> None:
    """The grants don't rely on what registration checked before."""
    registered = Client.model_construct(
        client_id="x", name="x", kind=kind, keys=(), scopes=(ceiling,), grants=("client_credentials",)
    )
    asked = Asked(
        {"grant_type": "client_credentials", "scope": scope},
        KnownClient(registered, ()),
        "",
        None,
        None,
        datetime.now(UTC),
    )
    with pytest.raises(OAuthRefusal) as refusal:
        grants.requested_scopes(asked)
    assert refusal.value.error is OAuthError.INVALID_SCOPE


def test_an_operations_client_that_names_a_patient(world: World) -> None:
    form = world.form("jobs", scope="ops/Journal.r", patient=INS)
    refused(world, form, OAuthError.INVALID_REQUEST, Reason.PATIENT)


@pytest.mark.parametrize("name", ["resource", "audience"])
def test_a_token_for_another_service(world: World, name: str) -> None:
    world.issue(world.form(**{name: f"{ORIGIN}/fhir"}))
    refused(world, world.form(**{name: "https://other.example/fhir"}), OAuthError.INVALID_TARGET, Reason.TARGET)


@pytest.mark.parametrize(
    "patient",
    [
        "279035121518989",
        "|279035121518989",
        "urn:oid:1.2.250.1.213.1.4.10|279035121518988",
        "urn:oid:1.2.250.1.213.1.4.8|279035121518989",
        "urn:oid:1.2.250.1.213.1.4.10|279035121518989 ",
        "urn:oid:1.2.250.1.213.1.4.10|27903512151898९",
        "a2b3c4d5e6f7ghijklmnopqrst",
    ],
)
def test_a_patient_that_is_not_named_by_a_valid_ins(world: World, patient: str) -> None:
    refusal = refused(world, world.form(patient=patient), OAuthError.INVALID_REQUEST, Reason.PATIENT)
    assert "27903512151898" not in refusal.description
    assert world.traces[-1].record_id is None


# --- what traces hold ----------------------------------------------------------------------------------------------


def test_a_trace_holds_no_secret_no_ins_and_no_patients_name(world: World) -> None:
    forms = [
        world.form(patient=INS),
        world.professional_form(),
        world.patient_form(),
        world.professional_form("secretary"),
        world.patient_form(patient=OTHER_INS),
    ]
    for form in forms:
        try:
            world.issue(form)
        except OAuthRefusal:
            continue
    assert len(world.traces) == 5
    for form, traced in zip(forms, world.traces, strict=True):
        text = repr(traced)
        for secret in ("client_assertion", "subject_token", "actor_token", "patient"):
            assert form.get(secret, "absent from text") not in text
        assert "279035121518989" not in text
        assert "DOMINIQUE" not in text
        assert traced.record_id is not None


def test_a_refusal_names_the_record_that_was_asked_for(world: World) -> None:
    issued = world.issue(world.form(patient=INS))
    refused(world, world.form(patient=INS, scope="system/Patient.r"), OAuthError.INVALID_SCOPE, Reason.SCOPE)
    assert world.traces[-1].record_id == issued.record_id


# --- revocation ----------------------------------------------------------------------------------------------------


def test_a_revoked_token_is_refused_everywhere_within_30_seconds(world: World) -> None:
    token = world.issue(world.form()).access_token
    world.call(token, "POST")
    event = world.revoke(world.form(token=token))
    assert event == event_id(len(world.traces))
    assert world.traces[-1].act is TokenAct.REVOKE
    world.advance(30)
    with pytest.raises(Exception, match="revoked"):
        world.call(token, "POST")


def test_nobody_revokes_a_token_of_another_client(world: World) -> None:
    token = world.issue(world.form()).access_token
    form = world.form("insurer", token=token)
    with pytest.raises(OAuthRefusal) as refusal:
        world.revoke(form)
    assert refusal.value.reason is Reason.TOKEN_OF_ANOTHER_CLIENT
    assert world.traces[-1].outcome is TokenOutcome.REFUSED
    assert list(world.store.inner.list("revoked/")) == []
    world.advance(31)
    assert world.call(token, "POST")


@pytest.mark.parametrize("token", ["unknown", "a.b.c", None])
def test_revoking_what_is_no_token_of_ours_does_nothing(world: World, token: str | None) -> None:
    form = world.form(token=token)
    if token is None:
        with pytest.raises(OAuthRefusal):
            world.revoke(form)
    else:
        assert world.revoke(form) is None
        assert world.traces == []
    assert list(world.store.inner.list("revoked/")) == []


def test_nobody_revokes_without_authentication(world: World) -> None:
    token = world.issue(world.form()).access_token
    form = world.form(token=token)
    world.revoke(form)
    world.store.inner.delete(next(world.store.inner.list("revoked/")))
    for bad in (form, {"token": token}, world.form(token=token, client_assertion=world.assertion(signer="thief"))):
        with pytest.raises(OAuthRefusal) as refusal:
            world.revoke(bad)
        assert refusal.value.status == 401
    assert list(world.store.inner.list("revoked/")) == []
    assert sum(world.refusals.values()) == 3


def test_a_replayed_revocation_request_is_no_other_clients_mark(world: World) -> None:
    """The assertion of a revocation can't be used for a token either: one id, one use."""
    form = world.form(token="unknown")
    world.revoke(form)
    refusal = not_authenticated(
        world, world.form(client_assertion=form["client_assertion"]), error=OAuthError.INVALID_CLIENT, marks=1
    )
    assert refusal.reason is Reason.ASSERTION_REPLAYED


def test_structures_come_from_the_registration_and_not_from_the_request(world: World) -> None:
    token = world.issue(world.form(structure=str(HOSPITAL.value))).access_token
    assert [one.value for one in world.call(token, "POST").structures] == [LABORATORY.value]


def test_an_actor_token_of_a_software_is_not_even_read(world: World) -> None:
    token = world.issue(world.form(actor_token="x.y.z", actor_token_type=JWT_TYPE)).access_token
    assert world.call(token, "POST").professional is None
