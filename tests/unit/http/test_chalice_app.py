"""One function's app: many requests at once, the same on Lambda and behind the gateway, and nothing leaks."""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from chalice.app import Response as ChaliceResponse
from hypothesis import example, given, strategies as st

from sceau.http.call import Call
from sceau.http.chalice_app import ANY, Handler, SceauApp, ScheduledApp, encode_body
from sceau.http.gateway import Gateway, Mount
from sceau.http.message import Answer, Request, json_answer
from sceau.objects.deadline import time_left
from unit.http.http_world import (
    LIMIT,
    World,
    actor,
    call,
    context,
    environ,
    lambda_event,
    lambda_response,
)

SECRET = "S3CRET-of-the-caller"
UseCase = Callable[[Any, Any], Answer]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """What our own logger says, also where a test before this one has configured it."""
    monkeypatch.setattr(logging.getLogger("sceau"), "propagate", True)
    with caplog.at_level(logging.DEBUG):
        yield caplog


def seen(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query_pairs(),
        "headers": {name: list(values) for name, values in request.headers.items() if name.startswith("x-")},
        "parameters": dict(request.path_parameters),
        "body": encode_body(request.body),
        "source": request.source_ip,
    }


def show(_: object, request: Request) -> Answer:
    """A use case that tells what it saw."""
    return json_answer(200, seen(request), {"ETag": 'W/"1"'})


def plain(request: Request, use_case: UseCase) -> Answer:
    return use_case(None, request)


def make_app(use_case: UseCase = show, build: Callable[[], Handler] | None = None) -> SceauApp:
    """An app with a read, a write and a health probe."""
    app = SceauApp("test", build or (lambda: plain))

    @app.route("/fhir/X/{resource_id}", methods=["GET"], content_types=ANY)
    def read(resource_id: str) -> ChaliceResponse:
        return app.serve(use_case, resource_id=resource_id)

    @app.route("/fhir/X", methods=["POST"], content_types=ANY)
    def write() -> ChaliceResponse:
        return app.serve(use_case)

    @app.route("/healthz/test", methods=["GET"], content_types=ANY)
    def health() -> ChaliceResponse:
        return app.health()

    return app


def gateway_of(app: SceauApp) -> Gateway:
    mounts = [
        Mount("test", app, "GET", "/fhir/X/{resource_id}"),
        Mount("test", app, "POST", "/fhir/X"),
        Mount("test", app, "GET", "/healthz/test"),
    ]
    return Gateway(mounts, largest_body_bytes=LIMIT, timeouts_seconds={"test": 10})


def test_making_an_app_leaves_the_process_s_environment_alone() -> None:
    # Chalice appends to AWS_EXECUTION_ENV: with many apps in one process it outgrows what a new process may be given.
    before = dict(os.environ)
    make_app()
    ScheduledApp("test", lambda: dict)
    assert dict(os.environ) == before


# Time


def test_building_and_serving_have_the_time_that_the_host_gives_less_that_of_the_answer() -> None:
    seen_left: list[float] = []

    def build() -> Handler:
        seen_left.append(time_left(60))
        return plain

    def look(_: object, __: Request) -> Answer:
        seen_left.append(time_left(60))
        return json_answer(200, {})

    call(gateway_of(make_app(look, build)), environ("GET", "/fhir/X/1"))
    assert len(seen_left) == 2
    assert all(7 < left <= 8 for left in seen_left), "10 s of the function, 2 of them for the answer"
    assert time_left(60) == 60


# Threads


def test_200_requests_on_16_threads_each_see_their_own_request_and_identity() -> None:
    meeting = threading.Barrier(8, timeout=120)
    world = World()
    world.authenticator.callers = {f"DPoP {number}": actor(client_id=f"client-{number}") for number in range(200)}
    wrapper = world.wrapper()

    def meet(_: object, call: Call) -> Answer:
        before = (app.current_request.headers["x-number"], app.lambda_context.aws_request_id)
        meeting.wait()  # eight requests stand here at once, each on its own thread
        after = (app.current_request.headers["x-number"], app.lambda_context.aws_request_id)
        traced = world.journal.events[int(call.trace().removeprefix("event-")) - 1].client.client_id
        identity = {"client": call.actor.client_id, "traced": traced, "before": before, "after": after}
        return json_answer(200, seen(call.request) | identity)

    app = make_app(meet, build=lambda: wrapper)

    def send(number: int) -> dict[str, Any]:
        event = lambda_event(
            "GET",
            "/fhir/X/{resource_id}",
            f"/fhir/X/{number}",
            query=[("q", str(number))],
            headers=[("Authorization", f"DPoP {number}"), ("X-Number", str(number))],
            body=str(number).encode(),
            parameters={"resource_id": str(number)},
            request_id=f"request-{number}",
        )
        answer = lambda_response(app(event, context(f"request-{number}")))
        assert answer.header("x-request-id") == f"request-{number}"
        found: dict[str, Any] = answer.json()
        return found

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(200)))

    for number, answer in enumerate(answers):
        own = [str(number), f"request-{number}"]
        assert answer["before"] == own
        assert answer["after"] == own
        assert answer["client"] == answer["traced"] == f"client-{number}"
        assert answer["parameters"] == {"resource_id": str(number)}
        assert answer["query"] == [["q", str(number)]]
        assert answer["headers"] == {"x-number": [str(number)]}
        assert base64.b64decode(answer["body"]) == str(number).encode()
    assert sorted(facts.client.client_id for facts in world.journal.events) == sorted(
        f"client-{number}" for number in range(200)
    )


def test_a_function_is_built_once_however_many_requests_come_first() -> None:
    meeting = threading.Barrier(16, timeout=120)
    built: list[int] = []

    def build() -> Handler:
        built.append(1)
        return plain

    app = make_app(build=build)

    def send(_: int) -> int:
        meeting.wait()
        return lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X"), context())).status

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(send, range(16))) == [200] * 16
    assert built == [1]


# The same on Lambda and behind the gateway


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Accept": "*/*", "X-One": "1"}, [("a", "é"), ("b", "1 + 1"), ("b", "&=")]),
        ({}, []),
        ({"Accept": "text/html", "X-One": "é".encode().decode("latin-1")}, [("empty", "")]),
    ],
)
def test_lambda_and_the_gateway_give_the_same_answer(headers: dict[str, str], query: list[tuple[str, str]]) -> None:
    app = make_app()
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
    behind_gateway = call(gateway_of(app), environ("GET", "/fhir/X/a b", query=text, headers=headers))
    on_lambda = lambda_response(
        app(
            lambda_event(
                "GET",
                "/fhir/X/{resource_id}",
                "/fhir/X/a%20b",
                query=query,
                headers=list(headers.items()),
                parameters={"resource_id": "a%20b"},
            ),
            context(),
        )
    )
    assert behind_gateway.json() == on_lambda.json()
    assert on_lambda.json()["parameters"] == {"resource_id": "a b"}
    assert on_lambda.json()["path"] == "/fhir/X/a%20b"
    assert behind_gateway.status == on_lambda.status == 200
    del behind_gateway.headers["content-length"]  # on Lambda API Gateway adds it
    assert behind_gateway.headers == on_lambda.headers


@given(st.binary(max_size=200))
def test_bodies_are_the_same_bytes_on_both_ways_and_in_both_directions(body: bytes) -> None:
    app = make_app(lambda _, request: Answer(200, request.body, "application/pdf"))
    on_lambda = lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X", body=body), context()))
    behind_gateway = call(gateway_of(app), environ("POST", "/fhir/X", body=body, length=len(body)))
    assert on_lambda.body == behind_gateway.body == body


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=20)


@given(TEXT)
@example("a%2Fb")
@example("%25")
def test_a_path_parameter_is_decoded_once_on_both_ways(text: str) -> None:
    app = make_app()
    encoded = quote(text, safe="")
    event = lambda_event("GET", "/fhir/X/{resource_id}", f"/fhir/X/{encoded}", parameters={"resource_id": encoded})
    on_lambda = lambda_response(app(event, context())).json()
    wire = f"/fhir/X/{text}".encode().decode("latin-1")
    behind_gateway = call(gateway_of(app), environ("GET", wire)).json()
    assert on_lambda["parameters"] == behind_gateway["parameters"] == {"resource_id": text}


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), TEXT), max_size=9))
def test_query_parameters_keep_their_values_and_the_order_of_each_name(pairs: list[tuple[str, str]]) -> None:
    answer = lambda_response(make_app()(lambda_event("POST", "/fhir/X", "/fhir/X", query=pairs), context())).json()
    for name in {name for name, _ in pairs}:
        assert [value for found, value in answer["query"] if found == name] == [v for n, v in pairs if n == name]
    assert len(answer["query"]) == len(pairs)


def test_a_repeated_header_keeps_every_value() -> None:
    event = lambda_event("POST", "/fhir/X", "/fhir/X", headers=[("X-One", "1"), ("X-One", "2")])
    assert lambda_response(make_app()(event, context())).json()["headers"] == {"x-one": ["1", "2"]}


def test_a_repeated_authorization_reaches_the_authenticator_as_two() -> None:
    found: list[tuple[str, ...]] = []

    def keep(_: object, request: Request) -> Answer:
        found.append(request.headers["authorization"])
        return Answer(200)

    event = lambda_event("POST", "/fhir/X", "/fhir/X", headers=[("Authorization", "a"), ("authorization", "b")])
    make_app(keep)(event, context())
    assert sorted(found[0]) == ["a", "b"]


@pytest.mark.parametrize("accept", [None, "", "text/html", "*/*", "nonsense", "application/fhir+json;q=0"])
def test_what_is_acceptable_is_not_chalices_to_decide(accept: str | None) -> None:
    headers = [] if accept is None else [("Accept", accept)]
    app = make_app(lambda _, request: Answer(200, b"%PDF", "application/pdf"))
    assert lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X", headers=headers), context())).body == b"%PDF"


def test_a_missing_accept_is_not_made_up_for_the_use_case() -> None:
    found: list[str | None] = []

    def keep(_: object, request: Request) -> Answer:
        found.append(request.header("accept"))
        return Answer(200)

    app = make_app(keep)
    app(lambda_event("POST", "/fhir/X", "/fhir/X", headers=[("X-One", "1")]), context())
    call(gateway_of(app), environ("POST", "/fhir/X", headers={"X-One": "1"}))
    assert found == [None, None]


@pytest.mark.parametrize("content_type", [None, "", "application/json", "image/png", "nonsense;;"])
def test_what_media_type_a_body_has_is_not_chalices_to_refuse(content_type: str | None) -> None:
    headers = [] if content_type is None else [("Content-Type", content_type)]
    event = lambda_event("POST", "/fhir/X", "/fhir/X", headers=headers, body=b"\xff\x00")
    assert lambda_response(make_app()(event, context())).status == 200


@pytest.mark.parametrize("answer", [Answer(304), Answer(304, headers={"ETag": 'W/"1"'}), Answer(200), Answer(204)])
def test_an_answer_without_body_is_json_for_lambda_and_empty_for_the_client(answer: Answer) -> None:
    app = make_app(lambda _, request: answer)
    on_lambda = lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X"), context()))
    behind_gateway = call(gateway_of(app), environ("POST", "/fhir/X"))
    assert (on_lambda.status, on_lambda.body) == (answer.status, b"")
    assert (behind_gateway.status, behind_gateway.body) == (answer.status, b"")
    if answer.status == 304:
        assert "content-length" not in behind_gateway.headers


# Mistakes


class Careless(Exception):
    """An exception whose message holds what no log and no answer may."""

    def __init__(self) -> None:
        super().__init__(f"can't do anything with {SECRET}")


def careless(_: object, request: Request) -> Answer:
    raise Careless


@pytest.mark.parametrize("way", ["lambda", "gateway"])
def test_what_a_handler_raises_is_500_without_a_word_of_it(
    way: str, logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(careless)
    if way == "lambda":
        answer = lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X", body=SECRET.encode()), context()))
    else:
        answer = call(gateway_of(app), environ("POST", "/fhir/X", body=SECRET.encode()))
    assert answer.status == 500
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert answer.header("x-request-id") == outcome["id"]
    assert answer.header("cache-control") == "no-store"
    shown, complained = capfd.readouterr()
    for text in (answer.body.decode(), logged.text, shown, complained):
        assert SECRET not in text
        assert "Traceback" not in text
    (line,) = [json.loads(record.message) for record in logged.records]
    assert line["event"] == "unexpected"
    assert line["error"] == "Careless"
    assert line["place"].startswith("careless:")
    assert line["request"] == outcome["id"]


def test_an_event_with_a_body_that_is_no_base64_is_500_and_logged_as_ours(logged: pytest.LogCaptureFixture) -> None:
    event = lambda_event("POST", "/fhir/X", "/fhir/X") | {"body": "a", "isBase64Encoded": True}
    assert lambda_response(make_app()(event, context())).status == 500
    assert [json.loads(record.message)["event"] for record in logged.records] == ["unexpected"]


class Builder:
    """Fails as often as it is told to, then builds."""

    def __init__(self, failures: int) -> None:
        self.calls = 0
        self._failures = failures

    def __call__(self) -> Handler:
        self.calls += 1
        if self.calls <= self._failures:
            raise Careless
        return plain


def test_a_function_that_cannot_be_built_is_unhealthy_and_tried_again(
    logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    build = Builder(2)
    app = make_app(build=build)
    probe = lambda_event("GET", "/healthz/test", "/healthz/test")
    for _ in range(2):
        answer = lambda_response(app(probe, context()))
        assert answer.status == 503
        assert answer.json() == {"status": "unavailable"}
    answer = lambda_response(app(probe, context()))
    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert answer.header("cache-control") == "no-store"
    assert lambda_response(app(probe, context())).status == 200
    assert build.calls == 3, "what was built is kept"
    shown, complained = capfd.readouterr()
    assert SECRET not in logged.text + shown + complained
    assert [json.loads(record.message) for record in logged.records] == [
        {"event": "unavailable", "error": "Careless", "reason": None}
    ] * 2


def test_a_request_to_a_function_that_cannot_be_built_is_503_and_the_next_one_is_served(
    logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(build=Builder(1))
    answer = lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X"), context()))
    assert answer.status == 503
    assert answer.header("retry-after") == "1"
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.json()["id"] == answer.header("x-request-id") == "lambda-request"
    shown, complained = capfd.readouterr()
    for text in (answer.body.decode(), logged.text, shown, complained):
        assert SECRET not in text
        assert "Traceback" not in text
    assert lambda_response(app(lambda_event("POST", "/fhir/X", "/fhir/X"), context())).status == 200


def test_a_start_that_cannot_work_fails_when_it_is_warmed() -> None:
    app = make_app(build=Builder(1))
    with pytest.raises(Careless):
        app.warm()
    app.warm()
