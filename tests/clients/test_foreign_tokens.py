"""Tokens for clients that nobody here wrote, with nothing of ours on their side: oauth4webapi, requests-oauth2client.

Both sign assertions and proofs by themselves, follow our nonces, and read our metadata and our errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clients.conftest import FoundModule, Node
from fixtures.live_world import Json, World
from sceau.cli.people import LABORATORY
from sceau.cli.session import ins_of
from sceau.identity.grants import ACCESS_TOKEN_TYPE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clients")]

SubjectToken = Callable[[str, str], str]
ClientKey = Callable[[str], Json]

PATIENT = "dominique"
SOFTWARE_SCOPE = "system/DocumentReference.crs"
PHYSICIAN_SCOPE = "user/DocumentReference.crs user/Patient.rs"
PATIENT_SCOPE = "patient/DocumentReference.rs patient/Patient.rs"
SCRIPT = "oauth4webapi.mjs"
METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/smart-configuration")


def asked_patient(world: World) -> str:
    """A question that every professional and patient may ask: is there a record of dominique."""
    return f"{world.origin}/fhir/Patient?identifier={ins_of(PATIENT).replace('|', '%7C')}"


@pytest.mark.parametrize("path", [None, *METADATA, "/fhir/.well-known/smart-configuration"])
def test_oauth4webapi_finds_the_metadata(world: World, node: Node, path: str | None) -> None:
    found = node.run(SCRIPT, "metadata", issuer=world.origin, wellKnown=path)
    assert found["token_endpoint"] == f"{world.origin}/oauth/token"
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert found["dpop_signing_alg_values_supported"] == ["ES256"]


def test_oauth4webapi_gets_a_token_for_software_and_calls_with_it(
    world: World, node: Node, client_key: ClientKey
) -> None:
    found = node.run(
        SCRIPT,
        "journey",
        issuer=world.origin,
        audience=f"{world.origin}/fhir",
        clientId="laboratory",
        jwk=client_key("laboratory"),
        grant="client_credentials",
        parameters={"scope": SOFTWARE_SCOPE},
        resource=f"{world.origin}/fhir/DocumentReference?patient.identifier={ins_of(PATIENT).replace('|', '%7C')}",
    )
    checked(world, found, scope=SOFTWARE_SCOPE, client_id="laboratory")
    assert found["claims"]["sub"] == "laboratory"
    assert f"{LABORATORY.system}|{LABORATORY.value}" in found["claims"]["extensions"]["sceau"]["structures"]
    assert "issued_token_type" not in found["answer"]


@pytest.mark.parametrize(
    ("client_id", "person", "scope", "patient"),
    [
        ("hospital", "hospital_physician", PHYSICIAN_SCOPE, ins_of(PATIENT)),
        ("patient-app", PATIENT, PATIENT_SCOPE, None),
    ],
)
def test_oauth4webapi_exchanges_an_identity_and_calls_with_the_token(
    world: World,
    node: Node,
    client_key: ClientKey,
    subject_token: SubjectToken,
    client_id: str,
    person: str,
    scope: str,
    patient: str | None,
) -> None:
    named = {"patient": patient} if patient else {}
    found = node.run(
        SCRIPT,
        "journey",
        issuer=world.origin,
        audience=f"{world.origin}/fhir",
        clientId=client_id,
        jwk=client_key(client_id),
        grant="token-exchange",
        parameters={
            "scope": scope,
            "subject_token": subject_token(person, f"{client_id}-rp"),
            "subject_token_type": ACCESS_TOKEN_TYPE,
            **named,
        },
        resource=asked_patient(world),
    )
    checked(world, found, scope=scope, client_id=client_id)
    assert (found["status"], found["body"]["type"]) == (200, "searchset")
    assert found["answer"]["issued_token_type"] == ACCESS_TOKEN_TYPE
    assert found["answer"]["patient"] == found["claims"]["extensions"]["ihe_iua"]["person_id"]


def checked(world: World, found: Json, *, scope: str, client_id: str) -> None:
    """What oauth4webapi says of every token: got after one nonce each of two kinds, right by RFC 9068, and bound."""
    answer, claims = found["answer"], found["claims"]
    assert answer["token_type"].lower() == "dpop"
    assert answer["scope"] == scope
    assert 0 < answer["expires_in"] <= 300
    assert found["nonces"] == 2  # of the token endpoint, then of the FHIR interface
    assert (claims["iss"], claims["client_id"], claims["scope"]) == (world.origin, client_id, scope)
    assert claims["exp"] - claims["iat"] == answer["expires_in"]
    for refused in found["refused"].values():
        assert (refused["name"], refused["code"]) == (
            "OperationProcessingError",
            "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
        )


@pytest.mark.parametrize(
    ("changed", "error", "status"),
    [
        ({"parameters": {"scope": "system/AuditEvent.rs"}}, "invalid_scope", 400),
        ({"clientId": "nobody"}, "invalid_client", 401),
        ({"grant": "token-exchange"}, "unauthorized_client", 400),
    ],
)
def test_oauth4webapi_reads_why_it_gets_no_token(
    world: World, node: Node, client_key: ClientKey, changed: Json, error: str, status: int
) -> None:
    honest = {
        "issuer": world.origin,
        "clientId": "laboratory",
        "jwk": client_key("laboratory"),
        "grant": "client_credentials",
        "parameters": {"scope": SOFTWARE_SCOPE},
    }
    refused = node.run(SCRIPT, "refusedGrant", **{**honest, **changed})
    assert (refused["name"], refused["error"], refused["status"]) == ("ResponseBodyError", error, status)


class Software:
    """requests-oauth2client as one of the registered clients."""

    def __init__(
        self, library: Any, requests: Any, world: World, client_id: str, key: Json, audience: str | None
    ) -> None:
        self.http = requests.Session()
        self.http.trust_env = False  # else a REQUESTS_CA_BUNDLE would replace our authority
        self.http.verify = str(world.live.folder.authority)
        self.oauth = library.OAuth2Client.from_discovery_endpoint(
            # From an issuer alone the library goes to OpenID Connect's address; RFC 8414's it makes when asked.
            url=library.oauth2_discovery_document_url(world.origin),
            issuer=world.origin,
            auth=library.PrivateKeyJwt(client_id, key, aud=audience),
            session=self.http,
            dpop_bound_access_tokens=True,
        )

    def get(self, url: str, token: Any) -> Any:
        """A call with the token: the library proves each request, and follows a nonce, as an authentication handler."""
        return self.http.get(url, auth=token, headers={"Accept": "application/fhir+json"}, timeout=30)


@pytest.fixture
def software(python_client: FoundModule, world: World, client_key: ClientKey) -> Callable[..., Software]:
    library, requests = python_client("requests_oauth2client"), python_client("requests")

    def made(client_id: str, *, audience: str | None = None) -> Software:
        return Software(library, requests, world, client_id, client_key(client_id), audience)

    return made


def test_requests_oauth2client_gets_a_token_for_software_and_calls_with_it(
    world: World, software: Callable[..., Software]
) -> None:
    laboratory = software("laboratory")
    token = laboratory.oauth.client_credentials(SOFTWARE_SCOPE)
    assert (token.token_type, token.scope) == ("DPoP", SOFTWARE_SCOPE)
    assert 0 < token.expires_in <= 300
    answer = laboratory.get(f"{world.origin}/fhir/metadata", token)
    assert answer.status_code == 200
    answer = laboratory.get(asked_patient(world), token)
    assert answer.status_code == 403  # authenticated, and not allowed: software reads no patient
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_requests_oauth2client_exchanges_a_professionals_identity_and_calls_with_the_token(
    world: World, software: Callable[..., Software], subject_token: SubjectToken
) -> None:
    hospital = software("hospital")
    token = hospital.oauth.token_exchange(
        subject_token=subject_token("hospital_physician", "hospital-rp"),
        subject_token_type="access_token",
        dpop=True,  # unlike the other grants, this one does not follow `dpop_bound_access_tokens`
        scope=PHYSICIAN_SCOPE,
        patient=ins_of(PATIENT),
    )
    assert token.issued_token_type == ACCESS_TOKEN_TYPE
    for _ in range(2):  # the second one with the nonce that it knows by then
        answer = hospital.get(asked_patient(world), token)
        assert answer.status_code == 200
        assert answer.json()["type"] == "searchset"


def test_requests_oauth2client_exchanges_a_patients_identity_and_revokes_the_token(
    world: World, software: Callable[..., Software], subject_token: SubjectToken
) -> None:
    # Left to itself the library names the address of each request as the audience. At the token endpoint that is one of
    # the two that we take; that of revocation is neither, and no standard makes it one: the issuer serves for both.
    app = software("patient-app", audience=world.origin)
    token = app.oauth.token_exchange(
        subject_token=subject_token(PATIENT, "patient-app-rp"),
        subject_token_type="jwt",
        dpop=True,
        scope=PATIENT_SCOPE,
    )
    assert app.get(asked_patient(world), token).status_code == 200
    assert app.oauth.revoke_access_token(token) is True


def test_requests_oauth2client_reads_why_it_gets_no_token(
    python_client: FoundModule, software: Callable[..., Software], subject_token: SubjectToken
) -> None:
    library = python_client("requests_oauth2client")
    with pytest.raises(library.InvalidScope):
        software("laboratory").oauth.client_credentials("system/AuditEvent.rs")
    with pytest.raises(library.InvalidGrant):
        software("hospital").oauth.token_exchange(
            subject_token=subject_token("hospital_physician", "other-hospital-rp"),
            subject_token_type="access_token",
            dpop=True,
            scope=PHYSICIAN_SCOPE,
            patient=ins_of(PATIENT),
        )
