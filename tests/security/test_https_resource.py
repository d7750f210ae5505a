"""Attacks on the FHIR endpoints with stolen, forged, repeated or misused tokens and proofs, over HTTPS.

Each changes one thing of a request that the real process would answer with a document; each is refused with 401 before
anything is looked up, and no byte of any record changes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from fixtures.service import ROOT, live_stage
from sceau.identity.assertions import ASSERTION_TYPE
from sceau.identity.client import SigningKey
from sceau.identity.dpop import token_hash
from sceau.stage import Settings
from security.https_callers import Client, Holder
from security.https_forging import (
    Answer,
    body_of,
    claims_of,
    header_of,
    hmac_signed,
    in_parallel,
    now,
    part,
    refused_call,
    unsigned,
    until,
)
from security.https_site import Record, Site, second_process, unchanged

pytestmark = pytest.mark.xdist_group("security-live")

RSA = RSAKey.generate_key(2048)


@pytest.fixture(scope="module")
def document(record: Record) -> str:
    """The address of a document that the physician may read."""
    return f"/fhir/Binary/{record.publish('resource')}"


@pytest.fixture(scope="module")
def physician(record: Record) -> Holder:
    """A physician with a good token, key and nonce."""
    return record.physician()


@pytest.fixture(autouse=True)
def _nothing_changes(site: Site, document: str) -> Iterator[None]:
    with unchanged(site):
        yield


def attack(holder: Holder, target: str, **forged: Any) -> Answer:
    return holder.send("GET", target, headers={"Accept": "application/xml"}, **forged)


def test_the_request_that_the_attacks_change_is_good(physician: Holder, document: str) -> None:
    answer = attack(physician, document)
    assert answer.status == 200
    assert b"<ClinicalDocument" in answer.data


# --- the token ------------------------------------------------------------------------------------------------------


def test_no_token_at_all_is_told_the_scheme_and_no_error(physician: Holder, document: str) -> None:
    answer = attack(physician, document, authorization=[], proofs=[])
    refused_call(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'DPoP algs="ES256"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "DPoP-Bearer", "Token", ""])
def test_a_bound_token_under_another_scheme(physician: Holder, document: str, scheme: str) -> None:
    for proofs in ([], [physician.proof("GET", document)]):
        answer = attack(physician, document, authorization=[f"{scheme} {physician.token}"], proofs=proofs)
        refused_call(answer, 401)
        assert "error=" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("place", ["access_token", "token"])
def test_a_token_in_the_address_is_not_read(physician: Holder, document: str, place: str) -> None:
    answer = attack(physician, f"{document}?{place}={physician.token}", authorization=[])
    refused_call(answer, 401)


def test_a_token_in_a_form_is_not_read(physician: Holder, record: Record) -> None:
    path = "/fhir/DocumentReference/_search"
    form = f"access_token={physician.token}&patient={physician.record}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused_call(physician.send("POST", path, form, headers, authorization=[]), 401)


def _altered(token: str, **changed: Any) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{part({**claims_of(token), **changed})}.{signature}"


def _jwk(site: Site) -> dict[str, Any]:
    key: dict[str, Any] = body_of(site.http.request("GET", f"{site.origin}/oauth/jwks"))["keys"][0]
    return key


def _self_signed(holder: Holder) -> str:
    own = SigningKey.generate()
    header = {**header_of(holder.token), "jwk": own.public_jwk()}
    return own.sign(header, claims_of(holder.token))


FORGED_TOKENS: dict[str, Callable[[Holder], str]] = {
    "for another patient": lambda h: _altered(
        h.token, extensions={**claims_of(h.token)["extensions"], "ihe_iua": {"person_id": "a" * 26}}
    ),
    "with a wider scope": lambda h: _altered(h.token, scope="user/*.cruds"),
    "bound to another key": lambda h: _altered(h.token, cnf={"jkt": SigningKey.generate().thumbprint}),
    "that lives longer": lambda h: _altered(h.token, exp=now() + 3600),
    "with a signature of zeros": lambda h: h.token.rpartition(".")[0] + "." + part(bytes(64)),
    "with an empty signature": lambda h: h.token.rpartition(".")[0] + ".",
    "with a malleated signature": lambda h: h.token[:-1] + ("A" if h.token[-1] != "A" else "Q"),
    "alg none": lambda h: unsigned({**header_of(h.token), "alg": "none"}, claims_of(h.token)),
    "the public key as an HMAC secret": lambda h: hmac_signed(
        json.dumps(_jwk(h.site)).encode(), claims_of(h.token), header_of(h.token)
    ),
    "signed by a key that it brings": _self_signed,
    "that is a DPoP proof": lambda h: h.proof("GET", "/"),
    "that is a client assertion": lambda h: h.site.client("laboratory").assertion(),
    "of the issuer of identities": lambda h: h.site.subject("hospital_physician", "hospital-rp"),
    "of 100 kB": lambda h: h.token + "A" * 7000,
    "twice": lambda h: h.token + "." + h.token,
}


@pytest.mark.parametrize("name", FORGED_TOKENS)
def test_a_forged_token(physician: Holder, document: str, name: str) -> None:
    forged = FORGED_TOKENS[name](physician)
    proof = physician.proof("GET", document, ath=token_hash(forged))
    answer = attack(physician, document, authorization=[f"DPoP {forged}"], proofs=[proof])
    refused_call(answer, 401, error="invalid_token")


def test_a_token_of_another_stage(site: Site, physician: Holder, document: str, tmp_path: Path) -> None:
    with live_stage(tmp_path / "other") as other:
        elsewhere = Site(other)
        own = Record(elsewhere, "dominique").physician()
        stranger = Holder(site, own.token, own.key, own.record)
        stranger.nonce = site.ready(Holder(site, physician.token, own.key, "")).nonce
        refused_call(attack(stranger, document), 401, error="invalid_token")
        # And the reverse: nor does the other stage take ours, whatever the proof says.
        guest = Holder(elsewhere, physician.token, physician.key, "")
        refused_call(attack(guest, document), 401, error="invalid_token")


def test_an_expired_token(site: Site, tmp_path: Path) -> None:
    """On a process of the same stage that gives tokens of a second."""
    chalicefile = tmp_path / "chalicefile"
    chalicefile.write_text((ROOT / "chalicefile").read_text().replace("token_seconds = 300", "token_seconds = 1"))
    (tmp_path / "functions").symlink_to(ROOT / "functions")

    def short(given: Settings, origin: str) -> Settings:
        return given.model_copy(update={"chalicefile": chalicefile, "origin": origin})

    with second_process(site, tmp_path, short) as origin:
        client = Site(site.live, origin).client("laboratory")
        holder = client.token(client.form(scope="system/DocumentReference.crs"))
        path = "/fhir/DocumentReference?identifier=x&patient=Patient/x"
        answer = until(lambda: holder.get(path), lambda found: found.status == 401, 10)
        refused_call(answer, 401, error="invalid_token")
        assert "expired" in answer.headers["WWW-Authenticate"]
        # The first process does not take it either: it is of another issuer.
        assert attack(Holder(site, holder.token, holder.key, ""), path).status == 401


def test_a_revoked_token_is_refused_by_every_process_that_looks(
    site: Site, record: Record, physician: Holder, document: str
) -> None:
    hospital = Client(site, "hospital")
    form = hospital.exchange(
        site.subject("hospital_physician", "hospital-rp"), scope="user/DocumentReference.r", patient=record.ins
    )
    holder = site.ready(hospital.token(form))
    assert attack(holder, document).status == 200
    revoking = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": hospital.assertion()}
    assert hospital.post({**revoking, "token": holder.token}, path="/oauth/revoke").status == 200
    site.live.restart()  # instead of the 30 s after which a running process lists again
    answer = attack(holder, document)
    refused_call(answer, 401, error="invalid_token")
    assert "revoked" in answer.headers["WWW-Authenticate"]
    assert attack(physician, document).status == 200


# --- the proof ------------------------------------------------------------------------------------------------------

OTHER = "/fhir/DocumentReference"

FORGED_PROOFS: dict[str, Callable[[Holder, str], list[str]]] = {
    "none": lambda h, t: [],
    "an empty one": lambda h, t: [""],
    "two": lambda h, t: [h.proof("GET", t), h.proof("GET", t)],
    "the same twice": lambda h, t: [h.proof("GET", t)] * 2,
    "two in one header": lambda h, t: [f"{h.proof('GET', t)}, {h.proof('GET', t)}"],
    "without the token's hash": lambda h, t: [h.proof("GET", t, ath=None)],
    "with another token's hash": lambda h, t: [h.proof("GET", t, ath=token_hash("another"))],
    "for another path": lambda h, t: [h.proof("GET", OTHER)],
    "for the record's other document": lambda h, t: [h.proof("GET", t[:-26] + "a" * 26)],
    "for another method": lambda h, t: [h.proof("POST", t)],
    "for HEAD": lambda h, t: [h.proof("HEAD", t)],
    "for another host": lambda h, t: [h.proof("GET", t, htu=f"https://other.example{t}")],
    "for another port": lambda h, t: [h.proof("GET", t, htu=f"https://localhost{t}")],
    "over http": lambda h, t: [h.proof("GET", t, htu=(h.origin + t).replace("https:", "http:"))],
    "with a query": lambda h, t: [h.proof("GET", t, htu=f"{h.origin}{t}?x=1")],
    "with a fragment": lambda h, t: [h.proof("GET", t, htu=f"{h.origin}{t}#x")],
    "that leaves the path open": lambda h, t: [h.proof("GET", t, htu=h.origin)],
    "of another key": lambda h, t: [_of_another_key(h, t)],
    "signed by another key than it names": lambda h, t: [
        SigningKey.generate().sign(header_of(h.proof("GET", t)), claims_of(h.proof("GET", t)))
    ],
    "with its private key inside": lambda h, t: [h.proof("GET", t, header={"jwk": h.key.private_jwk()})],
    "RS256": lambda h, t: [h.proof("GET", t, header={"alg": "RS256", "jwk": RSA.as_dict(private=False)}, key=RSA)],
    "alg none": lambda h, t: [unsigned({**header_of(h.proof("GET", t)), "alg": "none"}, claims_of(h.proof("GET", t)))],
    "HS256 under its own public key": lambda h, t: [
        hmac_signed(json.dumps(h.key.public_jwk()).encode(), claims_of(h.proof("GET", t)), header_of(h.proof("GET", t)))
    ],
    "of another type": lambda h, t: [h.proof("GET", t, header={"typ": "JWT"})],
    "of a minute and a half ago": lambda h, t: [h.proof("GET", t, iat=now() - 90)],
    "of the future": lambda h, t: [h.proof("GET", t, iat=now() + 60)],
    "without a time": lambda h, t: [h.proof("GET", t, iat=None)],
    "without an id": lambda h, t: [h.proof("GET", t, jti=None)],
    "oversized": lambda h, t: [h.proof("GET", t, padding="a" * 4096)],
}


def _of_another_key(holder: Holder, target: str) -> str:
    """The thief has the token, and a key and nonce of its own."""
    thief = Holder(holder.site, holder.token, SigningKey.generate(), "")
    thief.nonce = holder.site.ready(thief).nonce
    return thief.proof("GET", target)


@pytest.mark.parametrize("name", FORGED_PROOFS)
def test_a_forged_proof(physician: Holder, document: str, name: str) -> None:
    answer = attack(physician, document, proofs=FORGED_PROOFS[name](physician, document))
    refused_call(answer, 401, error="invalid_dpop_proof")
    assert "Sceau-Trace" not in answer.headers


def test_a_proof_without_a_nonce_is_told_one_and_uses_nothing_up(site: Site, physician: Holder, document: str) -> None:
    before = site.objects("replay")
    answer = attack(physician, document, proofs=[physician.proof("GET", document, nonce=None)])
    refused_call(answer, 401, error="use_dpop_nonce")
    assert answer.headers["DPoP-Nonce"]
    assert site.objects("replay") == before


def test_the_nonce_of_another_key(record: Record, physician: Holder, document: str) -> None:
    stolen = record.physician().nonce
    answer = attack(physician, document, proofs=[physician.proof("GET", document, nonce=stolen)])
    refused_call(answer, 401, error="use_dpop_nonce")


def test_the_nonce_of_the_token_endpoint(site: Site, record: Record, document: str) -> None:
    client = site.client("hospital")
    form = client.exchange(
        site.subject("hospital_physician", "hospital-rp"), scope="user/DocumentReference.r", patient=record.ins
    )
    holder = client.token(form)
    answer = attack(holder, document, proofs=[holder.proof("GET", document, nonce=client.nonce)])
    refused_call(answer, 401, error="use_dpop_nonce")


# --- the same again -------------------------------------------------------------------------------------------------


def replayed(answer: Answer) -> bool:
    return answer.status == 401 and "used before" in answer.headers["WWW-Authenticate"]


def test_a_proof_used_again(physician: Holder, document: str) -> None:
    proof = physician.proof("GET", document)
    assert attack(physician, document, proofs=[proof]).status == 200
    assert replayed(attack(physician, document, proofs=[proof]))


def test_a_proof_used_again_in_another_spelling_of_the_address(physician: Holder, document: str) -> None:
    """The same signed bytes in another header spelling are still the same proof."""
    proof = physician.proof("GET", document, htu=physician.origin + document.replace("Binary", "%42inary"))
    assert attack(physician, document, proofs=[proof]).status == 200
    assert replayed(attack(physician, document, proofs=[proof]))
    assert replayed(attack(physician, document + "?again", proofs=[proof]))


def test_a_proof_used_again_with_its_signature_mirrored(physician: Holder, document: str) -> None:
    """(r, n - s) is a second valid ECDSA signature of the same bytes: the mark must not depend on it."""
    proof = physician.proof("GET", document)
    mirrored = mirror(proof)
    assert mirrored != proof
    assert attack(physician, document, proofs=[mirrored]).status == 200
    assert replayed(attack(physician, document, proofs=[proof]))


def test_a_token_with_its_signature_mirrored_is_the_same_token(site: Site, record: Record, document: str) -> None:
    """And is revoked with it."""
    hospital = Client(site, "hospital")
    form = hospital.exchange(
        site.subject("hospital_physician", "hospital-rp"), scope="user/DocumentReference.r", patient=record.ins
    )
    holder = hospital.token(form)
    twin = site.ready(Holder(site, mirror(holder.token), holder.key, ""))
    assert attack(twin, document).status == 200
    assert site.event(attack(twin, document))["agent"]
    revoking = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": hospital.assertion()}
    assert hospital.post({**revoking, "token": holder.token}, path="/oauth/revoke").status == 200
    site.live.restart()
    refused_call(attack(twin, document), 401, error="invalid_token")


def test_of_16_parallel_requests_with_one_proof_one_is_answered(physician: Holder, document: str) -> None:
    proof = physician.proof("GET", document)
    answers = in_parallel(16, lambda _: attack(physician, document, proofs=[proof]))
    assert sorted(answer.status for answer in answers) == [200, *[401] * 15]
    assert sum(map(replayed, answers)) == 15


def test_a_proof_used_again_after_the_process_was_killed(site: Site, physician: Holder, document: str) -> None:
    proof = physician.proof("GET", document)
    assert attack(physician, document, proofs=[proof]).status == 200
    site.live.restart()
    assert replayed(attack(physician, document, proofs=[proof]))


def test_a_proof_used_again_at_another_process(site: Site, physician: Holder, document: str, tmp_path: Path) -> None:
    with second_process(site, tmp_path) as second:
        assert attack(physician, document, origin=second).status == 200
        proof = physician.proof("GET", document)
        assert attack(physician, document, proofs=[proof]).status == 200
        assert replayed(attack(physician, document, proofs=[proof], origin=second))
        proof = physician.proof("GET", document)
        answers = in_parallel(
            16, lambda turn: attack(physician, document, proofs=[proof], origin=second if turn % 2 else None)
        )
        assert sorted(answer.status for answer in answers) == [200, *[401] * 15]


# --- what stands around them ----------------------------------------------------------------------------------------


_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def mirror(token: str) -> str:
    """The same JWS with its other ECDSA signature."""
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = _ORDER - int.from_bytes(raw[32:], "big")
    return f"{text}.{part(raw[:32] + s.to_bytes(32, 'big'))}"


@pytest.mark.parametrize(
    "values",
    [
        lambda h: [f"DPoP {h.token}", f"DPoP {h.token}"],
        lambda h: [f"DPoP {h.token}", "Bearer x"],
        lambda h: ["Bearer x", f"DPoP {h.token}"],
        lambda h: [f"DPoP {h.token}, DPoP {h.token}"],
        lambda h: [f"DPoP  {h.token} x"],
        lambda h: [h.token],
        lambda h: ["DPoP"],
    ],
)
def test_anything_but_one_authorization_header(
    physician: Holder, document: str, values: Callable[[Holder], list[str]]
) -> None:
    answer = attack(physician, document, authorization=values(physician))
    refused_call(answer, 401, error="invalid_request")


LIES = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9;host=other.example;proto=http",
    "X-Forwarded-Host": "other.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "80",
    "X-Forwarded-Prefix": "/elsewhere",
    "X-Original-URL": "/oauth/token",
    "X-Rewrite-URL": "/oauth/token",
    "X-HTTP-Method-Override": "DELETE",
    "X-Amzn-Request-Id": "forged",
    "X-Request-Id": "forged",
    "X-Client-Cert": "forged",
    "SSL-Client-Cert": "forged",
}


def test_headers_about_a_front_that_is_not_there_are_not_believed(site: Site, physician: Holder, document: str) -> None:
    answer = physician.send("GET", document, headers={"Accept": "application/xml", **LIES})
    assert answer.status == 200
    assert answer.headers["X-Request-Id"] != "forged"
    event = site.event(answer)
    assert {agent["network"]["address"] for agent in event["agent"] if agent.get("network", {}).get("type") == "2"} == {
        "127.0.0.1"
    }
    assert "203.0.113.9" not in json.dumps(event)


def test_the_host_header_is_not_believed(site: Site, physician: Holder, record: Record) -> None:
    path = f"/fhir/DocumentReference?patient={physician.record}"
    answer = physician.send("GET", path, headers={"Accept": "application/fhir+json", "Host": "other.example"})
    assert answer.status == 200
    urls = [entry["fullUrl"] for entry in body_of(answer)["entry"]]
    assert urls
    assert all(url.startswith(site.origin) for url in urls)
    assert b"other.example" not in answer.data


@pytest.mark.parametrize("lie", [{}, {"Host": "other.example"}, LIES], ids=["no", "Host", "all"])
def test_a_proof_for_another_host_stays_one_whatever_the_headers_say(
    physician: Holder, document: str, lie: dict[str, str]
) -> None:
    proof = physician.proof("GET", document, htu=f"https://other.example{document}")
    answer = physician.send("GET", document, headers={"Accept": "*/*", **lie}, proofs=[proof])
    refused_call(answer, 401, error="invalid_dpop_proof")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_nobody_offers_reaches_nothing(physician: Holder, document: str, method: str) -> None:
    answer = physician.send(method, document, b"", {"Accept": "*/*"})
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
