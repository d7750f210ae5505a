"""Whatever names a record and is refused before the record is looked at: its holder reads that somebody tried.

And the caller learns nothing by it: a record that is not there is named, and told of, in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.inprocess import Process, Response, Session, World
from sceau.audit.facts import AuditAct
from sceau.audit.ids import NO_RECORD, parse_event_name
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import PATIENTS, STRUCTURES, Patient
from sceau.http.attempts import NamedRecord
from sceau.http.call import Call
from sceau.http.message import Answer, Request
from sceau.http.refusals import not_found
from sceau.records.ids import document_id, record_id
from unit.http.http_world import World as WrapperWorld, actor, request
from unit.http.published import FORM, bundle, laboratory_document, opened, same_answer
from unit.http.test_patching import DELETION, PATCH

KEY, ORIGIN = b"k" * 32, "https://dossier.example.org"
FORM_TYPE = FORM["Content-Type"]
RECORD, OTHER = "a" * 26, "q" * 26
SYSTEM, INS = DOMINIQUE.ins_system, DOMINIQUE.ins_value
OF_INS = record_id(KEY, SYSTEM, INS)
NOT_CANONICAL = "g" * 26


@pytest.fixture
def named() -> NamedRecord:
    return NamedRecord(KEY, ORIGIN)


def at(path: str, query: str = "", **more: Any) -> Request:
    """A request; what follows the resource type is its id, as the routes have it."""
    resource = path.removeprefix("/fhir/").partition("/")[2].partition("/")[0]
    made = request(path=path, query=query, **more)
    parameters = {} if resource in ("", "_search") else {"resource_id": resource}
    return replace(made, path_parameters=parameters)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"/fhir/Patient/{RECORD}", RECORD),
        (f"/fhir/Patient/{RECORD}.{OTHER}", None),
        (f"/fhir/Patient/{NOT_CANONICAL}", None),
        (f"/fhir/Consent/{RECORD}.{OTHER}", RECORD),
        (f"/fhir/Consent/{RECORD}.{OTHER}/_history", RECORD),
        (f"/fhir/Consent/{RECORD}", None),
        (f"/fhir/Consent/{NOT_CANONICAL}.{OTHER}", None),
        (f"/fhir/Communication/{RECORD}.019ca5c8-6a40-7123-8456-789abcdef012/$review", RECORD),
        ("/fhir/AuditEvent/019ca5c8-6a40-7123-8456-789abcdef012", None),
        ("/fhir/Consent", None),
    ],
)
def test_a_path_names_a_record_by_an_id_that_can_be_ours(named: NamedRecord, path: str, found: str | None) -> None:
    assert named(at(path)) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"patient={RECORD}", RECORD),
        (f"patient=Patient/{RECORD}", RECORD),
        (f"patient={ORIGIN}/fhir/Patient/{RECORD}", RECORD),
        (f"patient=https://elsewhere.example/fhir/Patient/{RECORD}", None),
        (f"patient=Group/{RECORD}", None),
        (f"patient={NOT_CANONICAL}", None),
        (f"patient={SYSTEM}|{INS}", OF_INS),
        (f"patient.identifier={SYSTEM}|{INS}", OF_INS),
        (f"patient:identifier={quote(f'{SYSTEM}|{INS}')}", OF_INS),
        (f"patient.identifier={INS}", None),
        (f"patient.identifier=|{INS}", None),
        (f"identifier={SYSTEM}|{INS}", None),
        (f"patient=x&patient={RECORD}", RECORD),
        (f"patient={RECORD}&other=%ff", None),
        ("", None),
    ],
)
def test_parameters_name_the_record_of_their_patient(named: NamedRecord, query: str, found: str | None) -> None:
    assert named(at("/fhir/DocumentReference", query)) == found
    assert named(at("/fhir/List/_search", method="POST", headers={"content-type": FORM_TYPE}, body=query.encode())) == (
        found
    )


def test_of_a_form_that_can_t_be_read_the_url_still_names_one(named: NamedRecord) -> None:
    body = {"headers": {"content-type": FORM_TYPE}, "body": b"\xff"}
    assert named(at("/fhir/List/_search", f"patient={RECORD}", method="POST", **body)) == RECORD


def test_no_other_body_names_one(named: NamedRecord) -> None:
    assert named(at("/fhir", method="POST", body=f"patient={RECORD}".encode())) is None


@pytest.mark.parametrize("path", ["/fhir/Patient", "/fhir/Patient/_search"])
def test_a_query_of_patients_names_one_by_its_identifier(named: NamedRecord, path: str) -> None:
    assert named(at(path, f"identifier={SYSTEM}|{INS}")) == OF_INS
    assert named(at(path, f"patient={RECORD}")) is None


# The wrapper


def refusing(_: object, call: Call) -> Answer:
    call.begin(AuditAct.QUERY_CONSENTS)
    raise not_found()


@pytest.mark.parametrize(("of_token", "told"), [(None, OTHER), (RECORD, RECORD)])
def test_a_refusal_is_told_where_the_token_says_and_else_where_the_request_does(
    of_token: str | None, told: str
) -> None:
    world = WrapperWorld(named=OTHER)
    world.authenticator.callers["DPoP good"] = actor(of_token)
    world.wrapper()(request(headers={"authorization": "DPoP good"}), refusing)
    (event,) = world.journal.events
    assert event.record_id == told


def test_what_is_allowed_is_told_where_it_belongs() -> None:
    def reading(_: object, call: Call) -> Answer:
        call.begin(AuditAct.QUERY_REVIEWS)
        call.trace()
        return Answer(200)

    world = WrapperWorld(named=OTHER)
    world.authenticator.callers["DPoP good"] = actor(None)
    world.wrapper()(request(headers={"authorization": "DPoP good"}), reading)
    (event,) = world.journal.events
    assert event.record_id is None


# Over the whole service

Tried = Callable[[Session, Patient, str], Response]
ANY = "b" * 25 + "a"


def get(target: str) -> Tried:
    def ask(session: Session, patient: Patient, record: str) -> Response:
        ins = quote(f"{patient.ins_system}|{patient.ins_value}")
        return session.request("GET", target.format(ins=ins, record=record, own=document_id(record, ANY)))

    return ask


def conditional_patch(session: Session, patient: Patient, _: str) -> Response:
    ins = quote(f"{patient.ins_system}|{patient.ins_value}")
    target = f"/fhir/DocumentReference?identifier=urn:x|1&patient.identifier={ins}"
    return session.request("PATCH", target, DELETION, PATCH)


def by_form(kind: str) -> Tried:
    return lambda session, _, record: session.request(
        "POST", f"/fhir/{kind}/_search", f"patient={record}".encode(), FORM
    )


TRIED: dict[str, Tried] = {
    "status": get("/fhir/Patient?identifier={ins}"),
    "patient": get("/fhir/Patient/{record}"),
    "documents": get("/fhir/DocumentReference?patient=Patient/{record}"),
    "documents by form": by_form("DocumentReference"),
    "sets": get("/fhir/List?patient.identifier={ins}"),
    "entry": get("/fhir/DocumentReference/{own}"),
    "set": get("/fhir/List/{own}"),
    "bytes": get("/fhir/Binary/{own}"),
    "traces": get("/fhir/AuditEvent?patient={record}"),
    "traces by INS": get("/fhir/AuditEvent?patient.identifier={ins}&date=ge2026-03-01"),
    "notices": get("/fhir/Communication?patient={record}"),
    "consents": get("/fhir/Consent?patient=Patient/{record}"),
    "consents by INS": get("/fhir/Consent?patient.identifier={ins}"),
    "consent": get("/fhir/Consent/{own}"),
    "history of a consent": get("/fhir/Consent/{own}/_history"),
    "withdrawal": lambda session, patient, record: session.request(
        "PUT",
        f"/fhir/Consent/{document_id(record, ANY)}",
        bodies.consent_grant(patient, STRUCTURES["hospital"], active=False),
    ),
    "grant": lambda session, patient, _: session.request(
        "POST", "/fhir/Consent", bodies.consent_grant(patient, STRUCTURES["hospital"])
    ),
    "change by id": lambda session, _, record: session.request(
        "PATCH", f"/fhir/DocumentReference/{document_id(record, ANY)}", DELETION, PATCH
    ),
    "change by identifier": conditional_patch,
    "review": lambda session, _, record: session.request(
        "POST", f"/fhir/Communication/{record}.019ca5c8-6a40-7123-8456-789abcdef012/$review"
    ),
}


@pytest.fixture(scope="module")
def world() -> World:
    return opened().world


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize("who", ["insurer", "operations", "laboratory", "reviewer", "security-officer"])
def test_the_holder_reads_that_they_tried(world: World, who: str, name: str) -> None:
    process = Process(world.copy())
    holder = process.session("patient")
    record = holder.token.record_id
    assert record is not None
    answer = TRIED[name](process.session(who, patient=None), DOMINIQUE, record)
    if (who, name) == ("reviewer", "notices"):
        assert answer.status == 200  # the structure's own queue: the parameter is ignored, and told to be
        return
    assert answer.status in (400, 403, 404), answer.data
    (event,) = answer.events
    shown = holder.request("GET", f"/fhir/AuditEvent/{event}")
    assert shown.status == 200, (answer.data, shown.data)
    assert shown.json()["outcome"] == "4"


@pytest.mark.parametrize("name", TRIED)
def test_a_record_that_is_not_there_is_refused_in_the_same_way(world: World, name: str) -> None:
    """By who may ask nothing: same bytes, and the same calls of store and key service."""
    process = Process(world.copy())
    record = process.session("patient").token.record_id
    assert record is not None
    session = process.session("operations", patient=None)
    TRIED[name](session, DOMINIQUE, record)  # what is got once is got
    seen = []
    for patient, named_so in ((DOMINIQUE, record), (PATIENTS["basile"], ANY)):
        process.store.calls.clear()
        process.keys.calls.clear()
        answer = TRIED[name](session, patient, named_so)
        calls = [(call.operation, call.name.partition("/")[0]) for call in process.store.calls]
        seen.append((answer, calls, [(call.operation, call.key) for call in process.keys.calls]))
    (one, *first), (other, *second) = seen
    assert same_answer(one, other)
    assert one.status == 403
    assert first == second


def test_a_consent_of_a_record_that_can_t_be_ours_is_told_of_nowhere(world: World) -> None:
    process = Process(world.copy())
    body = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
    body["patient"] = {"reference": f"Patient/{NOT_CANONICAL}"}
    answer = process.session("insurer", patient=None).request("POST", "/fhir/Consent", body)
    assert answer.status == 404
    assert of_no_record(process, answer)


def test_what_is_sent_by_who_may_send_nothing_is_not_read(world: World) -> None:
    """So its event is of no record: a body is no name."""
    process = Process(world.copy())
    answer = process.session("operations", patient=None).request("POST", "/fhir", bundle(901, laboratory_document(1)))
    assert answer.status == 403
    assert of_no_record(process, answer)


def of_no_record(process: Process, answer: Response) -> bool:
    (event,) = answer.events
    return (NO_RECORD, event) in map(parse_event_name, process.world.memory.list("journal/events/"))
