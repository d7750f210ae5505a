"""DPoP proofs: the samples of RFC 9449, and each thing that can be wrong with one."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sceau.identity.client import Prover, SigningKey
from sceau.identity.dpop import ProofCheck, claimed_thumbprint, normalized_url, verify_proof
from sceau.identity.errors import NonceWanted, ProofRefused
from sceau.identity.nonce import NonceRole, Nonces
from unit.identity.identity_world import raw_jws

RFC_KEY_PART = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
)
RFC_TOKEN_PROOF = RFC_KEY_PART + (
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0"
    "IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_RESOURCE_PROOF = RFC_KEY_PART + (
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRy"
    "ZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP3"
    "5yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_ACCESS_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ORIGIN = "https://dmp.example.fr"
KEY = SigningKey.generate()
CHECK = ProofCheck(method="GET", path="/fhir/Patient", origins=(ORIGIN,), access_token="abc.def.ghi", nonces=None)
ATH = base64.urlsafe_b64encode(hashlib.sha256(b"abc.def.ghi").digest()).decode().rstrip("=")
NONCES = Nonces(b"k" * 32, NonceRole.RESOURCE)


def proof(*, key: SigningKey = KEY, header: dict[str, Any] | None = None, **changed: Any) -> str:
    made = {
        "jti": "one",
        "htm": "GET",
        "htu": f"{ORIGIN}/fhir/Patient",
        "iat": int(NOW.timestamp()),
        "ath": ATH,
    } | changed
    head = {"typ": "dpop+jwt", "jwk": key.public_jwk(), **(header or {})}
    return raw_jws(key, {"alg": "ES256", **head}, made)


def test_the_sample_token_request_of_rfc_9449_verifies() -> None:
    """RFC 9449, section 5."""
    check = ProofCheck(
        method="POST", path="/token", origins=("https://server.example.com",), access_token=None, nonces=None
    )
    verified = verify_proof([RFC_TOKEN_PROOF], check, datetime.fromtimestamp(1562262616, UTC))
    assert (verified.jkt, verified.jti) == (RFC_JKT, "-BwC3ESc6acc2lTc")
    assert verified.expires == datetime.fromtimestamp(1562262616 + 60, UTC)


def test_the_sample_resource_request_of_rfc_9449_verifies_with_its_access_token_only() -> None:
    """RFC 9449, section 7.1."""
    check = ProofCheck(
        method="GET",
        path="/protectedresource",
        origins=("https://resource.example.org",),
        access_token=RFC_ACCESS_TOKEN,
        nonces=None,
    )
    now = datetime.fromtimestamp(1562262618, UTC)
    assert verify_proof([RFC_RESOURCE_PROOF], check, now).jkt == RFC_JKT
    with pytest.raises(ProofRefused, match="ath"):
        verify_proof([RFC_RESOURCE_PROOF], replace(check, access_token=RFC_ACCESS_TOKEN + "x"), now)


def test_a_good_proof_gives_the_thumbprint_of_its_key() -> None:
    assert verify_proof([proof()], CHECK, NOW).jkt == KEY.thumbprint
    assert claimed_thumbprint(proof()) == KEY.thumbprint


@pytest.mark.parametrize("values", [[], [proof(), proof()], [f"{proof()}, {proof()}"], [""], ["é"], ["a.b.c"]])
def test_anything_but_one_proof_is_refused(values: list[str]) -> None:
    with pytest.raises(ProofRefused):
        verify_proof(values, CHECK, NOW)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"typ": "JWT"}, id="another type"),
        pytest.param({"typ": "application/dpop+jwt"}, id="long type"),
        pytest.param({"typ": None}, id="no type"),
        pytest.param({"jwk": None}, id="no key"),
        pytest.param({"jwk": "x"}, id="a text as key"),
        pytest.param({"jwk": KEY.private_jwk()}, id="private key in the header"),
        pytest.param({"jwk": SigningKey.generate().public_jwk()}, id="key of somebody else"),
        pytest.param({"jwk": {"kty": "oct", "k": "AAAA"}}, id="symmetric key"),
        pytest.param({"jwk": {**KEY.public_jwk(), "crv": "P-384"}}, id="other curve"),
        pytest.param({"crit": ["jti"]}, id="critical parameter"),
    ],
)
def test_a_proof_with_a_bad_header_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(ProofRefused):
        verify_proof([proof(header=header)], CHECK, NOW)


@pytest.mark.parametrize("algorithm", ["RS256", "ES384", "HS256", "none"])
def test_only_es256_proofs_are_taken_as_the_metadata_say(algorithm: str) -> None:
    with pytest.raises(ProofRefused, match="algorithm"):
        verify_proof([proof(header={"alg": algorithm})], CHECK, NOW)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"htm": "POST"}, id="another method"),
        pytest.param({"htm": "get"}, id="method in lower case"),
        pytest.param({"htm": None}, id="no method"),
        pytest.param({"htu": None}, id="no address"),
        pytest.param({"htu": 7}, id="address of another type"),
        pytest.param({"htu": f"{ORIGIN}/fhir/List"}, id="another path"),
        pytest.param({"htu": f"{ORIGIN}/fhir/Patient/"}, id="path with a slash more"),
        pytest.param({"htu": f"{ORIGIN}/fhir/Patient?x=1"}, id="query"),
        pytest.param({"htu": f"{ORIGIN}/fhir/Patient#x"}, id="fragment"),
        pytest.param({"htu": "http://dmp.example.fr/fhir/Patient"}, id="without TLS"),
        pytest.param({"htu": "https://dmp.example.fr:8443/fhir/Patient"}, id="another port"),
        pytest.param({"htu": "https://evil.example/fhir/Patient"}, id="another host"),
        pytest.param({"htu": "https://dmp.example.fr.evil.example/fhir/Patient"}, id="host as a prefix"),
        pytest.param({"htu": "https://dmp.example.fr@evil.example/fhir/Patient"}, id="host as a user"),
        pytest.param({"htu": "https://x@dmp.example.fr/fhir/Patient"}, id="user"),
        pytest.param({"htu": "https://dmp.example.fr:x/fhir/Patient"}, id="port of another type"),
        pytest.param({"htu": "https://dmp.example.fr/fhir/\tPatient"}, id="tab, which some parsers drop"),
        pytest.param({"jti": None}, id="no id"),
        pytest.param({"jti": ""}, id="empty id"),
        pytest.param({"jti": "x" * 129}, id="long id"),
        pytest.param({"iat": None}, id="no time"),
        pytest.param({"iat": "1772443800"}, id="time as a text"),
        pytest.param({"ath": None}, id="no token hash"),
        pytest.param({"ath": 7}, id="token hash of another type"),
        pytest.param({"ath": "é"}, id="token hash beyond ASCII"),
        pytest.param({"ath": ATH[::-1]}, id="hash of another token"),
    ],
)
def test_a_proof_for_another_request_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ProofRefused):
        verify_proof([proof(**claims)], CHECK, NOW)


@pytest.mark.parametrize(("age", "good"), [(-11, False), (-10, True), (0, True), (60, True), (61, False)])
def test_a_proof_counts_from_10_seconds_before_its_time_to_60_after(age: int, good: bool) -> None:
    now = NOW + timedelta(seconds=age)
    if good:
        assert verify_proof([proof()], CHECK, now).expires >= now
    else:
        with pytest.raises(ProofRefused, match="iat"):
            verify_proof([proof()], CHECK, now)


@pytest.mark.parametrize(
    "htu",
    [
        "HTTPS://DMP.example.FR/fhir/Patient",
        "https://dmp.example.fr:443/fhir/Patient",
        "https://dmp.example.fr/fhir/%50atient",
        "https://dmp.example.fr:/fhir/Patient",
    ],
)
def test_the_same_address_in_another_spelling_is_the_same(htu: str) -> None:
    assert verify_proof([proof(htu=htu)], CHECK, NOW).url == f"{ORIGIN}/fhir/Patient"


@pytest.mark.parametrize("text", ["", "dmp", "https://", "https:///x", "ftp://a/b", "https://[::1/x", "https://é/x"])
def test_what_is_no_https_address_is_none(text: str) -> None:
    assert normalized_url(text) is None


def test_an_address_with_an_ipv6_host_is_compared_too() -> None:
    check = replace(CHECK, origins=("https://[::1]:8443",))
    assert verify_proof([proof(htu="https://[::1]:8443/fhir/Patient")], check, NOW)


def test_each_configured_origin_is_ours() -> None:
    check = replace(CHECK, origins=("https://other.example", ORIGIN))
    assert verify_proof([proof()], check, NOW).jkt == KEY.thumbprint


@pytest.mark.parametrize("nonce", [None, "", "x", 7, NONCES.current("another key", NOW)])
def test_a_good_proof_without_our_nonce_is_told_the_nonce(nonce: object) -> None:
    with pytest.raises(NonceWanted) as refused:
        verify_proof([proof(nonce=nonce)], replace(CHECK, nonces=NONCES), NOW)
    again = proof(nonce=refused.value.nonce)
    assert verify_proof([again], replace(CHECK, nonces=NONCES), NOW).jkt == KEY.thumbprint


def test_a_bad_proof_is_not_told_a_nonce() -> None:
    with pytest.raises(ProofRefused) as refused:
        verify_proof([proof(htm="POST")], replace(CHECK, nonces=NONCES), NOW)
    assert not isinstance(refused.value, NonceWanted)


def test_a_refusal_says_nothing_of_the_proof() -> None:
    text = proof(htm="POST")
    with pytest.raises(ProofRefused) as refused:
        verify_proof([text], CHECK, NOW)
    assert all(part not in str(refused.value) for part in text.split("."))


def test_the_client_side_makes_proofs_that_verify() -> None:
    made = Prover(KEY, lambda: NOW).proof(
        "GET",
        f"{ORIGIN}/fhir/Patient?identifier=x",
        access_token="abc.def.ghi",
        nonce=NONCES.current(KEY.thumbprint, NOW),
    )
    assert verify_proof([made], replace(CHECK, nonces=NONCES), NOW).jkt == KEY.thumbprint
