"""Attacks on FHIR requests: stolen tokens, proofs of something else, replays. Each changes one thing of a good call."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.objects import Fault, on
from sceau.cli.devissuer import IssuerSecrets
from sceau.identity.errors import Reason, ResourceRefusal, Unavailable
from sceau.identity.nonce import NonceRole
from sceau.objects.scoped import StoreOperation
from unit.identity import conftest
from unit.identity.identity_world import ORIGIN, SECOND_ORIGIN, SETTINGS, ApiRequest, World, key_of, make_world, raw_jws

issuer_secrets, world = conftest.issuer_secrets, conftest.world


@pytest.fixture
def token(world: World) -> str:
    return world.issue(world.form()).access_token


def refused(
    world: World, error: str | None, reason: Reason, headers: Mapping[str, tuple[str, ...]], **request: str
) -> ResourceRefusal:
    """A refusal: 401, and no mark."""
    before = world.marks()
    with pytest.raises(ResourceRefusal) as refusal:
        made = ApiRequest(request.get("method", "GET"), request.get("path", "/fhir/Patient"), headers)
        world.resource.authenticate(made, world.clock())
    assert (refusal.value.status, refusal.value.error, refusal.value.reason) == (401, error, reason)
    assert refusal.value.www_authenticate.startswith('DPoP algs="ES256"')
    assert world.marks() == before
    return refusal.value


def headers(token: str, proof: str, scheme: str = "DPoP") -> dict[str, tuple[str, ...]]:
    return {"authorization": (f"{scheme} {token}",), "dpop": (proof,)}


def test_a_good_call_names_its_caller_and_leaves_one_mark(world: World, token: str) -> None:
    before = len(world.marks())
    assert world.call(token).client_id == "laboratory"
    assert world.call(token, "POST", "/fhir").client_id == "laboratory"
    assert len(world.marks()) == before + 2


def test_no_credentials_at_all(world: World) -> None:
    refusal = refused(world, None, Reason.TOKEN, {})
    assert refusal.www_authenticate == 'DPoP algs="ES256"'


def test_a_bound_token_sent_as_bearer(world: World, token: str) -> None:
    refused(world, "invalid_token", Reason.TOKEN, headers(token, world.api_proof(token), "Bearer"))
    refused(world, "invalid_token", Reason.TOKEN, {"authorization": (f"Bearer {token}",)})
    refused(world, "invalid_token", Reason.TOKEN, headers(token, world.api_proof(token), "Basic"))


def test_the_scheme_is_compared_without_case(world: World, token: str) -> None:
    request = ApiRequest("GET", "/fhir/Patient", headers(token, world.api_proof(token), "dpop"))
    assert world.resource.authenticate(request, world.clock())


@pytest.mark.parametrize("value", ["DPoP", "DPoP ", "", "DPoP a b", "DPoP\ta", "DPoP é"])
def test_a_malformed_authorization(world: World, token: str, value: str) -> None:
    given = {"authorization": (value,), "dpop": (world.api_proof(token),)}
    refused(world, "invalid_request", Reason.TOKEN, given)


def test_two_authorization_headers(world: World, token: str) -> None:
    given = {"authorization": (f"DPoP {token}",) * 2, "dpop": (world.api_proof(token),)}
    refused(world, "invalid_request", Reason.TOKEN, given)


def test_two_proofs_or_none(world: World, token: str) -> None:
    for proofs in ((), (world.api_proof(token), world.api_proof(token))):
        refused(world, "invalid_dpop_proof", Reason.PROOF, {"authorization": (f"DPoP {token}",), "dpop": proofs})


def test_a_certificate_header_injected_by_the_client_changes_nothing(world: World, token: str) -> None:
    """The caller is who holds the key; what a client writes about certificates is not even read."""
    injected = {
        "x-client-cert": ("MIIB",),
        "x-forwarded-client-cert": ('Hash=0;Subject="OU=1000000202"',),
        "ssl-client-s-dn": ("OU=1000000202",),
    }
    request = ApiRequest("GET", "/fhir/Patient", headers(token, world.api_proof(token)) | injected)
    assert world.resource.authenticate(request, world.clock()) == world.call(token)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda w, t: w.api_proof(t, "POST"), id="another method"),
        pytest.param(lambda w, t: w.api_proof(t, path="/fhir/DocumentReference"), id="another address"),
        pytest.param(lambda w, t: w.api_proof(t, htu="https://evil.example/fhir/Patient"), id="another host"),
        pytest.param(lambda w, t: w.api_proof(t, ath=None), id="no token hash"),
        pytest.param(lambda w, t: w.api_proof(t + "x"), id="hash of another token"),
        pytest.param(lambda w, t: w.api_proof(t, iat=int(w.clock().timestamp()) - 61), id="stale"),
        pytest.param(lambda w, t: w.api_proof(t, iat=int(w.clock().timestamp()) + 11), id="from the future"),
        pytest.param(lambda w, t: w.api_proof(t, signer="thief"), id="another key: a stolen token"),
        pytest.param(
            lambda w, t: w.api_proof(t, signer="thief", header={"jwk": key_of("proof").public_jwk()}),
            id="the right key named, another used",
        ),
        pytest.param(lambda w, t: w.api_proof(t, header={"alg": "none"}), id="unsigned"),
        pytest.param(lambda w, t: w.api_proof(t, header={"jwk": key_of("proof").private_jwk()}), id="private key"),
        pytest.param(lambda _, t: t, id="the token itself as proof"),
    ],
)
def test_a_proof_of_something_else(world: World, token: str, made: Callable[[World, str], str]) -> None:
    refused(world, "invalid_dpop_proof", Reason.PROOF, headers(token, made(world, token)))


@pytest.mark.parametrize("nonce", [None, "x", "stale", "of the token endpoint"])
def test_a_proof_without_our_nonce_of_now(world: World, token: str, nonce: str | None) -> None:
    jkt = key_of("proof").thumbprint
    given = {
        "stale": world.nonces(NonceRole.RESOURCE).current(jkt, world.clock()),
        "of the token endpoint": world.nonces(NonceRole.TOKEN).current(jkt, world.clock()),
    }.get(nonce or "", nonce)
    if nonce == "stale":
        world.advance(180)
    refusal = refused(world, "use_dpop_nonce", Reason.PROOF_NONCE, headers(token, world.api_proof(token, nonce=given)))
    assert refusal.nonce is not None
    assert world.call(token, proof=world.api_proof(token, nonce=refusal.nonce))


def test_answers_give_a_nonce_to_the_holder_of_the_key(world: World, token: str) -> None:
    request = ApiRequest("GET", "/fhir/Patient", headers(token, world.api_proof(token)))
    given = world.resource.response_headers(request, world.clock())
    assert given == {"DPoP-Nonce": world.nonce("proof", NonceRole.RESOURCE)}
    for proofs in ((), ("x",), ("a.b.c",)):
        bad = replace(request, headers={"dpop": proofs})
        assert world.resource.response_headers(bad, world.clock()) == {}


# --- tokens --------------------------------------------------------------------------------------------------------


def forged(token: str, *, header: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> str:
    head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return raw_jws(key_of("thief"), head | (header or {}), claims | (body or {}))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="signed by somebody else"),
        pytest.param({"header": {"alg": "none"}}, id="unsigned"),
        pytest.param({"header": {"alg": "HS256"}}, id="shared secret"),
        pytest.param({"header": {"kid": None}}, id="no key named"),
        pytest.param({"header": {"jwk": key_of("thief").public_jwk()}}, id="own key brought along"),
        pytest.param({"header": {"jku": "https://evil.example/jwks"}}, id="own key set named"),
        pytest.param({"body": {"scope": "system/*.cruds"}}, id="more scope"),
        pytest.param({"body": {"exp": 4102444800}}, id="longer life"),
    ],
)
def test_a_forged_token(world: World, token: str, change: dict[str, Any]) -> None:
    made = forged(token, **change)
    refused(world, "invalid_token", Reason.TOKEN, headers(made, world.api_proof(made)))


def test_a_token_with_its_signature_cut_off_or_changed(world: World, token: str) -> None:
    head, body, signature = token.split(".")
    for made in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{signature[::-1]}", "x", "A" * 9000):
        refused(world, "invalid_token", Reason.TOKEN, headers(made, world.api_proof(made)))


def test_other_tokens_of_the_house_are_no_access_tokens(world: World, token: str) -> None:
    for made in (world.api_proof(token), world.assertion(), world.issuer.token_for("dominique", "app-rp")):
        refused(world, "invalid_token", Reason.TOKEN, headers(made, world.api_proof(made)))


def test_an_expired_token(world: World, token: str) -> None:
    world.advance(299)
    assert world.call(token)
    world.advance(1)
    refused(world, "invalid_token", Reason.TOKEN, headers(token, world.api_proof(token)))


def test_a_revoked_token(world: World, token: str) -> None:
    world.revoke(world.form(token=token))
    refused(world, "invalid_token", Reason.TOKEN_REVOKED, headers(token, world.api_proof(token)))


# --- replays -------------------------------------------------------------------------------------------------------


def replayed(world: World, token: str, proof: str, method: str = "GET") -> bool:
    try:
        world.call(token, method, proof=proof)
    except ResourceRefusal as refusal:
        assert (refusal.error, refusal.reason) == ("invalid_dpop_proof", Reason.PROOF_REPLAYED)
        return True
    return False


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_proof_used_twice(world: World, token: str, method: str) -> None:
    proof = world.api_proof(token, method)
    assert not replayed(world, token, proof, method)
    assert replayed(world, token, proof, method)


def test_a_proof_used_again_over_a_minutes_end(world: World, token: str) -> None:
    world.advance(50)
    proof = world.api_proof(token)
    assert not replayed(world, token, proof)
    for _ in range(5):
        world.advance(11)
        assert replayed(world, token, proof)
    assert world.clock().minute == 31


def test_a_proof_with_the_time_of_the_future_can_not_outlive_its_mark(world: World, token: str) -> None:
    proof = world.api_proof(token, iat=int(world.clock().timestamp()) + 10)
    assert not replayed(world, token, proof)
    world.advance(70)
    assert replayed(world, token, proof)
    world.advance(1)
    refused(world, "invalid_dpop_proof", Reason.PROOF, headers(token, proof))


def test_a_proof_replayed_at_the_second_origin_is_of_another_address(world: World, token: str) -> None:
    proof = world.api_proof(token, htu=f"{SECOND_ORIGIN}/fhir/Patient")
    assert not replayed(world, token, proof)
    assert replayed(world, token, proof)


def test_the_same_id_for_another_request_is_no_replay(world: World, token: str) -> None:
    assert world.call(token, proof=world.api_proof(token, jti="one"))
    assert world.call(token, "POST", proof=world.api_proof(token, "POST", jti="one"))


def test_a_stage_may_spare_the_marks_of_reads_and_of_nothing_else(
    tmp_path: Path, issuer_secrets: IssuerSecrets
) -> None:
    world = make_world(tmp_path, issuer_secrets, settings=replace(SETTINGS, replay_marks_for_reads=False))
    token = world.issue(world.form()).access_token
    proof = world.api_proof(token)
    assert not replayed(world, token, proof)
    assert not replayed(world, token, proof)
    proof = world.api_proof(token, "POST")
    assert not replayed(world, token, proof, "POST")
    assert replayed(world, token, proof, "POST")


@pytest.mark.parametrize("fault", Fault)
def test_when_marks_can_not_be_written_nobody_gets_in(world: World, token: str, fault: Fault) -> None:
    world.store.faults = on(StoreOperation.CREATE, "replay/", fault=fault)
    with pytest.raises(Unavailable):
        world.call(token)


def test_when_revocations_can_not_be_listed_nobody_gets_in(world: World, token: str) -> None:
    world.store.faults = on(StoreOperation.LIST, "revoked/")
    before = world.marks()
    with pytest.raises(Unavailable):
        world.call(token)
    assert world.marks() == before


def test_a_refusal_repeats_nothing_of_the_request(world: World, token: str) -> None:
    proof = world.api_proof(token, "POST")
    refusal = refused(world, "invalid_dpop_proof", Reason.PROOF, headers(token, proof))
    shown = refusal.www_authenticate + str(refusal) + refusal.description
    assert all(part not in shown for part in (*token.split("."), *proof.split("."), ORIGIN))
    assert '"' not in refusal.description
