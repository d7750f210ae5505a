"""The function `authentication` over plain requests and answers, with our own client's side on the other end."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from urllib3 import HTTPHeaderDict

from sceau.audit.balp import event_bytes
from sceau.audit.errors import JournalUnavailable
from sceau.audit.facts import EventFacts, Identifier, Server
from sceau.cli.devissuer import IssuerSecrets
from sceau.http.authentication import LARGEST_FORM_BYTES, Authentication, answered, build
from sceau.http.message import Answer, Request
from sceau.http.runtime import Runtime
from sceau.identity.client import ApiClient, Prover, SigningKey, TokenClient, TokenNotGiven, generate_client_key
from sceau.identity.errors import ResourceRefusal, Unavailable
from sceau.stage import scoped_keys, scoped_store
from sceau_schemas.deployment import read_chalicefile
from unit.identity.identity_world import INS, ORIGIN, PRACTICE, SETTINGS, World, key_of, make_world

EVENT_ID = "019ca5c8-6a40-7123-8456-789abcdef012"


@dataclass
class Service:
    """The use cases over a world, and the events that they wrote."""

    world: World
    events: list[dict[str, Any]] = field(default_factory=list)
    journal_down: bool = False

    def __post_init__(self) -> None:
        self.use_cases = Authentication(
            SETTINGS,
            server=self.world.server,
            keys=self.world.token_keys,
            append=self.append,
            count_refusal=self.world.count_refusal,
            identity=Server(Identifier("urn:ietf:rfc:3986", f"{ORIGIN}/#authentication"), "sceau", ORIGIN),
            clock=self.world.clock,
        )

    def append(self, facts: EventFacts) -> str:
        if self.journal_down:
            raise JournalUnavailable("down")
        self.events.append(json.loads(event_bytes(facts, EVENT_ID)))
        return EVENT_ID

    def post(self, form: Mapping[str, str] | bytes, *, path: str = "/oauth/token", **headers: str) -> Answer:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        given = {"content-type": "application/x-www-form-urlencoded", "dpop": self.world.proof(), **headers}
        return self.send(
            Request("POST", path, "", {n: (v,) for n, v in given.items() if v}, body, "request-1", "192.0.2.7")
        )

    def send(self, request: Request) -> Answer:
        use_case = {
            "/oauth/token": Authentication.token,
            "/oauth/revoke": Authentication.revoke,
            "/oauth/jwks": Authentication.jwks,
            "/.well-known/oauth-authorization-server": Authentication.authorization_server,
            "/.well-known/smart-configuration": Authentication.smart_configuration,
        }[request.path]
        return answered(self.use_cases, request, use_case)


@dataclass
class Reply:
    """An answer as urllib3 gives it."""

    status: int
    headers: HTTPHeaderDict
    data: bytes


@dataclass
class Wire:
    """Stands where urllib3's PoolManager does, in front of the use cases and of the resource server."""

    service: Service
    statuses: list[int] = field(default_factory=list)

    def request(
        self, method: str, url: str, body: bytes | None = None, *, headers: Mapping[str, str], redirect: bool
    ) -> Reply:
        parts = urlsplit(url)
        given = {name.lower(): (value,) for name, value in headers.items()}
        request = Request(method, parts.path, parts.query, given, body or b"", "request-1", "192.0.2.7")
        answer = self._resource(request) if parts.path.startswith("/fhir") else self.service.send(request)
        self.statuses.append(answer.status)
        return Reply(answer.status, HTTPHeaderDict(answer.headers), answer.body)

    def _resource(self, request: Request) -> Answer:
        world = self.service.world
        try:
            actor = world.resource.authenticate(request, world.clock())
        except ResourceRefusal as refusal:
            nonce = {"DPoP-Nonce": refusal.nonce} if refusal.nonce else {}
            return Answer(401, headers={"WWW-Authenticate": refusal.www_authenticate, **nonce})
        return Answer(200, actor.subject.encode(), headers=world.resource.response_headers(request, world.clock()))


@pytest.fixture
def service(world: World) -> Service:
    return Service(world)


def body(answer: Answer) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(answer.body)
    return parsed


def token_client(service: Service, client_id: str) -> tuple[Wire, TokenClient, Prover]:
    wire, prover = Wire(service), service.world.prover()
    made = TokenClient(wire, origin=ORIGIN, issuer=ORIGIN, client_id=client_id, key=key_of(client_id), prover=prover)
    return wire, made, prover


# --- with our own client -------------------------------------------------------------------------------------------


def test_a_software_gets_a_token_calls_with_it_and_revokes_it(service: Service) -> None:
    wire, client, prover = token_client(service, "laboratory")
    token = client.client_credentials("system/DocumentReference.c", patient=INS)
    assert (token.seconds, token.scope, token.event_id) == (300, "system/DocumentReference.c", EVENT_ID)
    assert token.record_id is not None
    assert wire.statuses == [400, 200]  # the first request learns the nonce
    client.client_credentials("system/DocumentReference.c")
    assert wire.statuses == [400, 200, 200]
    api = ApiClient(wire, origin=ORIGIN, token=token, prover=prover)
    assert api.request("GET", "/fhir/Patient?identifier=x").data == b"laboratory"
    assert api.request("POST", f"{ORIGIN}/fhir", body=b"{}").status == 200
    assert wire.statuses[3:] == [401, 200, 200]
    client.revoke(token.access_token)
    service.world.advance(31)
    assert api.request("GET", "/fhir/Patient").status == 401


def test_persons_get_tokens_through_their_software(service: Service) -> None:
    world = service.world
    _, client, _ = token_client(service, "group")
    subject = world.issuer.token_for("radiologist", "group-rp")
    software = {"lps_nom": "DPI", "situation_exercice": PRACTICE.value}
    token = client.exchange(subject, "user/DocumentReference.rs", patient=INS, software=software)
    _, app, _ = token_client(service, "app")
    own = app.exchange(world.issuer.token_for("dominique", "app-rp"), "patient/DocumentReference.rs")
    assert token.record_id == own.record_id


def test_a_refusal_is_an_error_with_its_code(service: Service) -> None:
    _, client, _ = token_client(service, "laboratory")
    with pytest.raises(TokenNotGiven) as refused:
        client.client_credentials("system/Patient.r")
    assert (refused.value.status, refused.value.error) == (400, "invalid_scope")
    _, stranger, _ = token_client(service, "stranger")
    with pytest.raises(TokenNotGiven) as refused:
        stranger.revoke("x")
    assert (refused.value.status, refused.value.error) == (401, "invalid_client")


def test_the_clients_side_shows_no_token_and_keeps_its_key(service: Service) -> None:
    _, client, _ = token_client(service, "laboratory")
    token = client.client_credentials("system/DocumentReference.c")
    assert token.access_token not in repr(token)
    private, public = generate_client_key()
    assert SigningKey.from_jwk(private).registered_jwk() == public
    assert "d" in private
    assert "d" not in public


# --- answers -------------------------------------------------------------------------------------------------------


def test_a_token_answer_is_that_of_rfc_6749_and_9449(service: Service) -> None:
    answer = service.post(service.world.form())
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert {"Cache-Control": "no-store", "Pragma": "no-cache"}.items() <= answer.headers.items()
    assert answer.headers["DPoP-Nonce"] == service.world.nonce()
    assert answer.headers["Sceau-Trace"] == EVENT_ID
    assert answer.headers["X-Request-Id"] == "request-1"
    assert set(body(answer)) == {"access_token", "token_type", "expires_in", "scope"}
    assert body(answer)["token_type"] == "DPoP"


def test_an_exchange_answer_says_what_was_issued(service: Service) -> None:
    answer = body(service.post(service.world.professional_form()))
    assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert answer["patient"]


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        pytest.param({"scope": "system/Patient.r"}, 400, "invalid_scope", id="scope"),
        pytest.param({"grant_type": "password"}, 400, "unsupported_grant_type", id="grant"),
        pytest.param({"client_assertion": "x"}, 401, "invalid_client", id="client"),
        pytest.param({"patient": "x"}, 400, "invalid_request", id="patient"),
    ],
)
def test_a_refusal_is_that_of_rfc_6749(service: Service, change: dict[str, str], status: int, error: str) -> None:
    answer = service.post(service.world.form(**change))
    assert (answer.status, body(answer)["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "access_token" not in body(answer)


def test_a_missing_nonce_is_answered_with_one(service: Service) -> None:
    answer = service.post(service.world.form(), dpop=service.world.proof(nonce=None))
    assert (answer.status, body(answer)["error"]) == (400, "use_dpop_nonce")
    assert answer.headers["DPoP-Nonce"] == service.world.nonce()


def test_a_service_that_is_down_is_503_with_a_time_to_retry(service: Service) -> None:
    service.journal_down = True
    answer = service.post(service.world.form())
    assert (answer.status, body(answer)["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(b"grant_type=client_credentials&grant_type=client_credentials", id="a parameter twice"),
        pytest.param(b"scope=&scope=system/*.c", id="a parameter twice, once empty"),
        pytest.param(b"scope=\xff", id="not UTF-8"),
        pytest.param(b"scope=%FF", id="escaped, not UTF-8"),
        pytest.param("&".join(f"p{n}=1" for n in range(300)).encode(), id="many parameters"),
        pytest.param(b"x=" + b"y" * LARGEST_FORM_BYTES, id="large"),
    ],
)
def test_a_form_that_can_not_be_read_in_one_way_only(service: Service, form: bytes) -> None:
    answer = service.post(form)
    assert (answer.status, body(answer)["error"]) == (400, "invalid_request")
    assert service.events == []
    assert sum(service.world.refusals.values()) == 1


def test_parameters_without_a_value_count_as_absent(service: Service) -> None:
    assert service.post({**service.world.form(), "patient": "", "resource": ""}).status == 200


def test_parameters_in_the_url_do_not_count(service: Service) -> None:
    request = Request(
        "POST",
        "/oauth/token",
        urlencode(service.world.form()),
        {"content-type": ("application/x-www-form-urlencoded",), "dpop": (service.world.proof(),)},
        b"",
        "request-1",
        "192.0.2.7",
    )
    assert service.send(request).status == 401


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
def test_only_forms_are_read(service: Service, content_type: str) -> None:
    answer = service.post(service.world.form(), **{"content-type": content_type})
    assert (answer.status, body(answer)["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("value", ["Basic bGFib3JhdG9yeTpzZWNyZXQ=", "Bearer x", "DPoP x"])
def test_an_authorization_header_is_no_way_of_authenticating_here(service: Service, value: str) -> None:
    answer = service.post(service.world.form(), authorization=value)
    assert (answer.status, body(answer)["error"]) == (401, "invalid_client")
    assert service.world.marks() == []


def test_what_is_published_verifies_our_tokens(service: Service) -> None:
    def get(path: str) -> dict[str, Any]:
        answer = service.send(Request("GET", path, "", {}, b"", "request-1", "192.0.2.7"))
        assert answer.status == 200
        return body(answer)

    metadata = get("/.well-known/oauth-authorization-server")
    assert get("/.well-known/smart-configuration")["token_endpoint"] == metadata["token_endpoint"]
    keys = get("/oauth/jwks")["keys"]
    token = body(service.post(service.world.form()))["access_token"]
    from joserfc import jws
    from joserfc.jwk import KeySet

    verified = jws.deserialize_compact(token, KeySet.import_key_set({"keys": keys}), algorithms=["ES256"])
    assert json.loads(verified.payload)["iss"] == metadata["issuer"]


def test_revocation_answers_200_for_what_it_does_not_know(service: Service) -> None:
    answer = service.post(service.world.form(token="unknown"), path="/oauth/revoke")
    assert (answer.status, answer.body) == (200, b"")
    token = body(service.post(service.world.form()))["access_token"]
    other = service.world.form("insurer", token=token)
    answer = service.post(other, path="/oauth/revoke")
    assert (answer.status, body(answer)["error"]) == (400, "unauthorized_client")
    mine = service.post(service.world.form(token=token), path="/oauth/revoke")
    assert (mine.status, mine.headers["Sceau-Trace"]) == (200, EVENT_ID)


def test_the_function_is_built_and_serves_with_its_own_rights_only(
    tmp_path: Path, issuer_secrets: IssuerSecrets
) -> None:
    world = make_world(tmp_path, issuer_secrets)
    file = read_chalicefile(Path(__file__).resolve().parents[3] / "chalicefile")
    rights, spec = file.functions["authentication"], file.stages["local"].model_copy(update={"origins": (ORIGIN,)})
    runtime = Runtime(
        "authentication",
        "local",
        spec,
        scoped_store(world.store, rights),
        scoped_keys(world.keys, rights),
        clock=world.clock,
    )
    handle = build(runtime, pools=world.pool)
    request = Request(
        "POST",
        "/oauth/token",
        "",
        {"content-type": ("application/x-www-form-urlencoded",), "dpop": (world.proof(),)},
        urlencode(world.professional_form()).encode(),
        "request-1",
        "192.0.2.7",
    )
    answer = handle(request, Authentication.token)
    assert answer.status == 200
    revocation = replace(
        request,
        path="/oauth/revoke",
        body=urlencode(world.form("hospital", token=body(answer)["access_token"])).encode(),
    )
    assert handle(revocation, Authentication.revoke).status == 200
    events = list(world.store.inner.list("journal/events/"))
    assert len(events) == 2
    assert all(world.store.inner.locked_until(name) is not None for name in events)


# --- events and logs -----------------------------------------------------------------------------------------------


def test_events_name_client_person_structure_and_token(service: Service) -> None:
    service.post(service.world.professional_form())
    text = json.dumps(service.events[0], ensure_ascii=False)
    for expected in ("110114", "ITI-71", "hospital", "899700000102", "1000000202", "192.0.2.7"):
        assert expected in text
    assert service.events[0]["outcome"] == "0"


def test_every_act_makes_an_event_that_can_be_written(service: Service) -> None:
    world = service.world
    token = body(service.post(world.form()))["access_token"]
    requests = [
        (world.form("insurer", scope="system/Consent.c"), "/oauth/token"),
        (world.form("jobs", scope="ops/Journal.r"), "/oauth/token"),
        (world.patient_form(), "/oauth/token"),
        (world.professional_form("secretary"), "/oauth/token"),
        (world.form(scope="x"), "/oauth/token"),
        (world.form(token=token), "/oauth/revoke"),
        (world.form("insurer", token=body(service.post(world.form()))["access_token"]), "/oauth/revoke"),
    ]
    for form, path in requests:
        before = len(service.events)
        answer = service.post(form, path=path)
        assert len(service.events) == before + 1
        assert answer.headers["Sceau-Trace"] == EVENT_ID


def test_neither_events_nor_logs_hold_secrets_ins_or_names(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    forms = [service.world.professional_form(), service.world.patient_form(), service.world.form(patient="x|y")]
    for form in forms:
        answer = service.post(form)
        shown = json.dumps(service.events) + caplog.text
        for secret in (form["client_assertion"], form.get("subject_token", "-" * 9), "279035121518989", "DOMINIQUE"):
            assert secret not in shown
        if answer.status == 200:
            assert body(answer)["access_token"] not in shown
    assert '"event":"answered"' in caplog.text


def test_what_nobody_foresaw_is_500_without_detail(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Authentication, __: Request) -> Answer:
        raise RuntimeError("secret detail")

    def unavailable(_: Authentication, __: Request) -> Answer:
        raise Unavailable("detail")

    caplog.set_level(logging.DEBUG)
    request = Request("POST", "/oauth/token", "", {}, b"", "request-1", "192.0.2.7")
    for use_case, status in ((broken, 500), (unavailable, 503)):
        answer = answered(service.use_cases, request, use_case)
        assert answer.status == status
        assert b"detail" not in answer.body
    assert "detail" not in caplog.text
