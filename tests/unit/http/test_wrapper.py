"""The wrapper: who is answered what, and what is traced of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from fakes.clock import ManualClock
from sceau.access.model import Act, ActorKind, Identifier, Reason as Verdicts, Verdict
from sceau.audit.errors import EventAbsent, EventDamaged, JournalError, JournalUnavailable
from sceau.audit.facts import AuditAct, Entity, Outcome
from sceau.fhir.outcome import FhirError, Problem, bad_request, unprocessable
from sceau.http.call import Call
from sceau.http.message import FORM, Answer, Request, json_answer
from sceau.http.refusals import not_found, refused
from sceau.http.wrapper import TRACE_HEADER
from sceau.identity.errors import (
    ConfigurationDamaged,
    IdentityError,
    Reason,
    ResourceRefusal,
    Unavailable,
)
from sceau.keys.errors import KeyRightDenied, KeyServiceError, KeyServiceUnavailable, UnknownKey
from sceau.objects.errors import ObjectAbsent, ObjectRightDenied, ObjectStoreError, ObjectStoreUnavailable
from sceau.records.errors import RecordDamaged, RecordError
from unit.http.http_world import LIMIT, NOW, World, actor, request

GOOD = {"authorization": "DPoP good"}
SECRET = "S3CRET-of-the-caller"
ENTITY = Entity("DocumentReference/x")
JOURNAL_DOWN = JournalUnavailable("an event could not be written")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """What our own logger says, also where a test before this one has configured it."""
    monkeypatch.setattr(logging.getLogger("sceau"), "propagate", True)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="sceau"):
        yield caplog


def lines(logged: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in logged.records]


def ok(_: object, call: Call) -> Answer:
    call.begin(AuditAct.READ)
    call.trace(data=ENTITY)
    return json_answer(200, {"resourceType": "Basic"})


def raising(error: Exception) -> Callable[[object, Call], Answer]:
    def use_case(_: object, call: Call) -> Answer:
        call.begin(AuditAct.RETRIEVE_DOCUMENT)
        raise error

    return use_case


def issue(answer: Answer) -> dict[str, Any]:
    outcome = json.loads(answer.body)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["id"] == "request-1"
    assert answer.content_type == "application/fhir+json"
    found: dict[str, Any] = outcome["issue"][0]
    return found


# What goes well


def test_an_answer_carries_its_trace_a_nonce_and_its_request_and_is_not_to_be_kept(world: World) -> None:
    answer = world.wrapper()(request(headers=GOOD), ok)
    assert answer.status == 200
    assert answer.headers == {
        "Cache-Control": "no-store",
        "X-Request-Id": "request-1",
        TRACE_HEADER: "event-1",
        "DPoP-Nonce": "nonce-1",
    }
    assert TRACE_HEADER == "Sceau-Trace"


def test_a_request_that_made_several_events_names_them_all_the_newest_last(world: World) -> None:
    def two(_: object, call: Call) -> Answer:
        call.trace(data=ENTITY)
        call.trace(data=ENTITY)
        return Answer(200)

    assert world.wrapper()(request(headers=GOOD), two).headers[TRACE_HEADER] == "event-1, event-2"


def test_an_answer_without_an_event_has_no_trace_header(world: World) -> None:
    assert TRACE_HEADER not in world.wrapper()(request(headers=GOOD), lambda _, call: Answer(200)).headers


def test_a_use_case_gets_the_service_and_the_caller(world: World) -> None:
    world.service = object()
    seen: list[tuple[object, Call]] = []

    def keep(service: object, call: Call) -> Answer:
        seen.append((service, call))
        return Answer(200)

    world.wrapper()(request(headers=GOOD), keep)
    ((service, call),) = seen
    assert service is world.service
    assert call.actor == actor()
    assert call.record_id == actor().record_id
    assert call.now == NOW


def test_an_event_says_who_asked_what_of_whom(world: World) -> None:
    asked = request(query="_count=5", headers=GOOD)
    world.wrapper()(asked, ok)
    (facts,) = world.journal.events
    assert facts.act is AuditAct.READ
    assert (facts.outcome, facts.reason) == (Outcome.SUCCESS, None)
    assert (facts.client.client_id, facts.client.address) == ("app", "192.0.2.7")
    assert facts.user is not None
    assert (facts.user.reference, facts.user.name) == (f"Patient/{'a' * 26}", None)
    assert (facts.record_id, facts.token_id, facts.request_id) == ("a" * 26, "token-1", "request-1")
    assert facts.request is not None
    assert (facts.request.method, facts.request.target) == ("GET", "/fhir/DocumentReference?_count=5")


@pytest.mark.parametrize("kind", list(ActorKind))
def test_every_kind_of_caller_can_be_traced(kind: ActorKind, world: World) -> None:
    world.authenticator.callers["DPoP good"] = actor(
        kind=kind,
        professional=Identifier("urn:oid:1.2.250.1.71.4.2.1", "899700012345"),
        structures=(Identifier("urn:oid:1.2.250.1.71.4.2.2", "1750000123"),),
    )
    assert world.wrapper()(request(headers=GOOD), ok).status == 200
    (facts,) = world.journal.events
    assert facts.purpose is not None
    assert facts.structure is not None


# What is raised


DENIALS = {
    "a right is missing": (refused(Verdict(False, Verdicts.DENIED_NO_GRANT)), 403, "forbidden", "denied.no-grant"),
    "not there": (not_found(), 404, "not-found", "denied.unknown"),
    "no such event": (EventAbsent("no event has this id"), 404, "not-found", "denied.unknown"),
    "not FHIR": (bad_request("not FHIR"), 400, "structure", "refused.400"),
    "not PDSm": (unprocessable("not PDSm"), 422, "invariant", "refused.422"),
    "conflict": (FhirError(409, Problem("conflict", "another")), 409, "conflict", "refused.409"),
    "stale": (FhirError(412, Problem("conflict", "stale")), 412, "conflict", "refused.412"),
    "not acceptable": (FhirError(406, Problem("not-supported", "no")), 406, "not-supported", "refused.406"),
    "not a media type": (FhirError(415, Problem("not-supported", "no")), 415, "not-supported", "refused.415"),
}
UNAVAILABLE: dict[str, Exception] = {
    "the store": ObjectStoreUnavailable("no answer", maybe_written=True),
    "the store, otherwise": ObjectAbsent("records/x"),
    "the key service": KeyServiceUnavailable("no answer"),
    "the key service, otherwise": UnknownKey("dossier"),
    "an issuer": Unavailable("no answer"),
    "configuration": ConfigurationDamaged("configuration/clients/lab"),
}
DAMAGED: dict[str, Exception] = {"a record": RecordDamaged("of another record"), "an event": EventDamaged("event x")}
MISTAKES: dict[str, Exception] = {
    "anything": ValueError(SECRET),
    "a right on the store": ObjectRightDenied("no right to read records/x"),
    "a right on a key": KeyRightDenied("not granted"),
    "a record's": RecordError(SECRET),
    "identity's": IdentityError(SECRET),
    "the journal's": JournalError(SECRET),
    "assertion": AssertionError(SECRET),
    "depth": RecursionError(SECRET),
}


@pytest.mark.parametrize("name", DENIALS)
def test_a_refusal_is_told_and_traced_exactly_once(name: str, world: World) -> None:
    error, status, code, reason = DENIALS[name]
    answer = world.wrapper()(request(headers=GOOD), raising(error))
    assert answer.status == status
    assert issue(answer)["code"] == code
    (facts,) = world.journal.events
    assert (facts.act, facts.outcome, facts.reason) == (AuditAct.RETRIEVE_DOCUMENT, Outcome.REFUSED, reason)
    assert answer.headers[TRACE_HEADER] == "event-1"
    assert "Retry-After" not in answer.headers
    assert answer.headers["DPoP-Nonce"] == "nonce-1"
    assert world.counted == [], "counting is for those who are not authenticated"


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_what_is_not_available_is_503_with_retry_after_and_a_failed_event(name: str, world: World) -> None:
    answer = world.wrapper()(request(headers=GOOD), raising(UNAVAILABLE[name]))
    assert answer.status == 503
    assert issue(answer)["code"] == "transient"
    assert answer.headers["Retry-After"] == "1"
    (facts,) = world.journal.events
    assert (facts.outcome, facts.reason) == (Outcome.FAILED, "failed.unavailable")


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_500_and_cries_out(name: str, world: World, logged: pytest.LogCaptureFixture) -> None:
    answer = world.wrapper()(request(headers=GOOD), raising(DAMAGED[name]))
    assert answer.status == 500
    assert "integrity" in issue(answer)["diagnostics"]
    (facts,) = world.journal.events
    assert (facts.outcome, facts.reason) == (Outcome.FAILED, "failed.damaged")
    assert [record.levelname for record in logged.records if '"damaged"' in record.message] == ["CRITICAL"]


@pytest.mark.parametrize("name", MISTAKES)
def test_what_nobody_foresaw_is_500_with_the_request_id_and_without_its_message(
    name: str, world: World, logged: pytest.LogCaptureFixture
) -> None:
    error = MISTAKES[name]
    answer = world.wrapper()(request(headers=GOOD), raising(error))
    assert answer.status == 500
    assert issue(answer)["diagnostics"] == "an internal error; the request id finds it in the log"
    assert "Retry-After" not in answer.headers, "sending it again would not help"
    (facts,) = world.journal.events
    assert (facts.outcome, facts.reason) == (Outcome.FAILED, "failed.error")
    (line,) = [line for line in lines(logged) if line["event"] == "unexpected"]
    assert set(line) == {"event", "request", "error", "place"}
    assert line["request"] == "request-1"
    assert line["error"] == type(error).__name__
    assert line["place"].startswith("raising.<locals>.use_case:")
    assert SECRET not in logged.text
    assert SECRET.encode() not in answer.body


def test_every_problem_of_a_bad_request_is_told(world: World) -> None:
    error = FhirError(422, Problem("value", "first", "Bundle.type", "rule-1"), Problem("value", "second"))
    outcome = json.loads(world.wrapper()(request(headers=GOOD), raising(error)).body)
    assert [found["diagnostics"] for found in outcome["issue"]] == ["first", "second"]
    assert outcome["issue"][0]["expression"] == ["Bundle.type"]
    assert outcome["issue"][0]["details"] == {"text": "rule-1"}


def test_a_failure_after_the_event_adds_one_event_with_its_outcome(world: World) -> None:
    def fails_late(_: object, call: Call) -> Answer:
        call.begin(AuditAct.PROVIDE_BUNDLE)
        call.trace(data=ENTITY)
        raise ObjectStoreUnavailable("no answer", maybe_written=True)

    answer = world.wrapper()(request("POST", headers=GOOD), fails_late)
    assert answer.status == 503
    assert [facts.outcome for facts in world.journal.events] == [Outcome.SUCCESS, Outcome.FAILED]
    assert answer.headers[TRACE_HEADER] == "event-1, event-2"


# When the journal fails


def test_an_act_whose_event_cannot_be_written_is_503_and_is_not_tried_again(world: World) -> None:
    world.journal.failing = [JOURNAL_DOWN]
    acted: list[str] = []

    def act(_: object, call: Call) -> Answer:
        call.begin(AuditAct.READ)
        call.trace(data=ENTITY)
        acted.append("read")
        return Answer(200, b"a document")

    answer = world.wrapper()(request(headers=GOOD), act)
    assert answer.status == 503
    assert "journal" in issue(answer)["diagnostics"]
    assert answer.headers["Retry-After"] == "1"
    assert TRACE_HEADER not in answer.headers
    assert acted == []
    assert world.journal.events == []
    assert world.journal.failing == [], "asked once"


@pytest.mark.parametrize("failure", [JOURNAL_DOWN, ObjectStoreError("x"), KeyServiceError("x")])
@pytest.mark.parametrize("error", [not_found(), bad_request("not FHIR"), ValueError(SECRET), RecordDamaged("x")])
def test_a_refusal_or_failure_whose_event_cannot_be_written_is_503_and_says_nothing_else(
    error: Exception, failure: Exception, world: World
) -> None:
    world.journal.failing = [failure]
    answer = world.wrapper()(request(headers=GOOD), raising(error))
    assert answer.status == 503
    assert len(json.loads(answer.body)["issue"]) == 1
    assert "journal" in issue(answer)["diagnostics"]
    assert answer.headers["Retry-After"] == "1"
    assert TRACE_HEADER not in answer.headers
    assert world.journal.events == []


def test_a_refusal_of_which_no_event_can_be_made_is_500_and_does_not_escape(
    world: World, logged: pytest.LogCaptureFixture
) -> None:
    world.journal.failing = [ValueError(SECRET)]
    answer = world.wrapper()(request(headers=GOOD), raising(not_found()))
    assert answer.status == 500
    assert SECRET.encode() not in answer.body
    assert SECRET not in logged.text
    assert [line["error"] for line in lines(logged) if line["event"] == "unexpected"] == ["ValueError"]


@pytest.mark.parametrize("body", [b"a=%FF", b"\xff\xfe", b"&".join([b"a=1"] * 500)])
def test_a_search_form_that_cannot_be_read_is_refused_and_its_refusal_is_traced(body: bytes, world: World) -> None:
    def search(_: object, call: Call) -> Answer:
        call.begin(AuditAct.FIND_DOCUMENT_REFERENCES)
        try:
            call.request.form_pairs()
        except ValueError:
            raise bad_request("the parameters can't be read") from None
        return Answer(200)

    asked = request(
        "POST", "/fhir/DocumentReference/_search", headers=GOOD | {"content-type": FORM + ";charset=utf-8"}, body=body
    )
    assert world.wrapper()(asked, search).status == 400
    (facts,) = world.journal.events
    assert facts.request is not None
    assert facts.request.form == body


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/fhir/DocumentReference/_search", "application/fhir+json"), ("/fhir", FORM), ("/fhir", "application/json")],
)
def test_a_body_that_is_no_search_form_is_not_kept(path: str, content_type: str, world: World) -> None:
    asked = request("POST", path, headers=GOOD | {"content-type": content_type}, body=SECRET.encode())
    world.wrapper()(asked, ok)
    (facts,) = world.journal.events
    assert facts.request is not None
    assert facts.request.form == b""


# Who is not authenticated


def test_an_unauthenticated_request_is_counted_told_how_to_do_better_and_not_traced(world: World) -> None:
    called: list[int] = []
    answer = world.wrapper()(request(), lambda _, call: called.append(1) or Answer(200))  # type: ignore[func-returns-value]  # append gives None
    assert answer.status == 401
    assert called == []
    assert world.journal.events == []
    assert world.counted == ["token.refused"]
    assert answer.headers["WWW-Authenticate"] == (
        'DPoP algs="ES256", error="invalid_token", error_description="not a token of ours"'
    )
    assert answer.headers["DPoP-Nonce"] == "nonce-0", "the nonce that the refusal carries"
    assert TRACE_HEADER not in answer.headers
    assert issue(answer)["code"] == "login"
    assert issue(answer)["details"] == {"text": "token.refused"}


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_counted_under_its_own_name(reason: Reason, world: World) -> None:
    world.authenticator.raises = ResourceRefusal(None, reason, "no")
    answer = world.wrapper()(request(), ok)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'DPoP algs="ES256"'
    assert "DPoP-Nonce" not in answer.headers
    assert world.counted == [reason.value]


def test_a_refusal_before_authentication_is_the_same_whether_or_not_the_journal_works(world: World) -> None:
    working = world.wrapper()(request(), ok)
    world.journal.failing = [JOURNAL_DOWN] * 9
    assert world.wrapper()(request(), ok) == working
    assert len(world.journal.failing) == 9, "the journal was not asked"


@pytest.mark.parametrize("error", [Unavailable("x"), KeyServiceUnavailable("x"), ObjectStoreError("x")])
def test_an_identity_that_cannot_be_checked_is_503_neither_counted_nor_traced(error: Exception, world: World) -> None:
    world.authenticator.raises = error
    answer = world.wrapper()(request(headers=GOOD), ok)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert world.counted == []
    assert world.journal.events == []


def test_a_mistake_while_authenticating_is_500_and_lets_nobody_in(world: World) -> None:
    world.authenticator.raises = KeyError(SECRET)
    answer = world.wrapper()(request(headers=GOOD), ok)
    assert answer.status == 500
    assert world.journal.events == []


def test_a_body_over_the_limit_is_413_in_bytes_before_anybody_is_authenticated(world: World) -> None:
    world.authenticator.raises = AssertionError("not to be asked")
    answer = world.wrapper()(request("POST", headers=GOOD, body=bytes(LIMIT + 1)), ok)
    assert answer.status == 413
    assert f"{LIMIT} bytes" in issue(answer)["diagnostics"]
    assert world.journal.events == []


def test_a_body_at_the_limit_is_taken(world: World) -> None:
    assert world.wrapper()(request("POST", headers=GOOD, body=bytes(LIMIT)), ok).status == 200


# The nonce


@pytest.mark.parametrize("error", [Unavailable("x"), KeyServiceUnavailable("x"), ObjectStoreError("x")])
def test_an_answer_goes_out_without_a_nonce_when_none_can_be_made(error: Exception, world: World) -> None:
    world.authenticator.nonce = error
    answer = world.wrapper()(request(headers=GOOD), ok)
    assert answer.status == 200
    assert "DPoP-Nonce" not in answer.headers


# Time


def test_the_call_has_one_time_for_its_decision_and_its_event(world: World) -> None:
    clock = ManualClock(NOW)
    world.clock = clock
    times = []

    def slow(_: object, call: Call) -> Answer:
        times.append(call.now)
        clock.advance(timedelta(minutes=5))
        times.append(call.now)
        return Answer(200)

    world.wrapper()(request(headers=GOOD), slow)
    assert times == [NOW, NOW]


# Calls


def test_a_denial_before_loading_names_the_kind_of_right(world: World) -> None:
    def publish(_: object, call: Call) -> Answer:
        call.begin(AuditAct.PROVIDE_BUNDLE)
        call.require_ask(Act.ARCHIVE)
        return Answer(200)

    answer = world.wrapper()(request("POST", headers=GOOD), publish)
    assert answer.status == 403
    assert issue(answer)["details"] == {"text": "denied.actor"}
    assert [facts.reason for facts in world.journal.events] == ["denied.actor"]


# Logs


def test_an_answer_is_logged_with_its_request_status_trace_and_duration(
    world: World, logged: pytest.LogCaptureFixture
) -> None:
    world.wrapper()(request(headers=GOOD), ok)
    (line,) = lines(logged)
    assert line.pop("millis") >= 0
    assert line == {"event": "answered", "request": "request-1", "status": 200, "trace": "event-1"}


@pytest.mark.parametrize("error", [None, *[row[0] for row in DENIALS.values()], *UNAVAILABLE.values(), ValueError("x")])
def test_no_line_of_the_log_holds_header_body_address_or_token_at_any_level(
    error: Exception | None,
    world: World,
    logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if error is not None:
        # What libraries do: put what they were given into the message.
        monkeypatch.setattr(error, "args", (SECRET, GOOD))

    def careless(_: object, call: Call) -> Answer:
        logging.getLogger("sceau").debug("the log is open at this level")
        call.begin(AuditAct.READ)
        if error is not None:
            raise error
        call.trace(data=ENTITY)
        return Answer(200, call.request.body, "text/plain", {"X-Echo": SECRET})

    headers = GOOD | {"dpop": f"proof-{SECRET}", "x-secret": SECRET, "content-type": f"text/{SECRET}"}
    asked = Request(
        "POST",
        f"/fhir/{SECRET}",
        f"patient.identifier={SECRET}",
        {name: (value,) for name, value in headers.items()},
        SECRET.encode(),
        "request-1",
        "192.0.2.7",
        {"resource_id": SECRET},
    )
    world.wrapper()(asked, careless)
    world.wrapper()(Request(**{**_fields(asked), "headers": {"authorization": (SECRET,)}}), careless)
    shown, complained = capfd.readouterr()
    text = logged.text + shown + complained
    assert "the log is open at this level" in text
    assert '"event":"not-authenticated"' in text
    for private in (SECRET, "DPoP good", "192.0.2.7", "a" * 26, "token-1", "Traceback"):
        assert private not in text


def _fields(asked: Request) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.__dataclass_fields__}
