"""Every act, with each of its calls of store, key service and clock going wrong in turn; and with a crash at each.

After each: what rests is the old state or the new one, nothing exists without its trace, the answer was 503 or the true
one, and the same request again has one effect. The number of cases is printed.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest

from fakes.keys import Call as KeyCall, on_calls as on_key_calls
from fakes.objects import Call, Fault, on_calls
from fixtures.inprocess import Process, Response, Session, World, chalicefile
from sceau.audit.accesses import declared
from sceau.cli import bodies
from sceau.cli.bodies import SampleDocument, SampleFolder, sample_document
from sceau.cli.body_own import own_document
from sceau.cli.documents import DOMINIQUE
from sceau.cli.people import HOSPITAL
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes
from sceau.identity.client import Emergency
from sceau_schemas.dossier import StoredIdentifier
from unit.faults.whole import read_whole, state

WHEN = datetime(2026, 2, 1, 9, tzinfo=UTC)
BROKEN = Emergency("bris_de_glace", "Inconscient", unable_to_consent=True, immediate_risk=True)
Counted = Callable[[int], None]


def sample(number: int, **more: Any) -> SampleDocument:
    return sample_document(
        "biology",
        patient=DOMINIQUE,
        author=AUTHORS["biologist"],
        structure=STRUCTURES["laboratory"],
        when=WHEN,
        unique_id=f"urn:oid:2.25.{1000 + number}",
        **more,
    )


def bundle(first: int, count: int, folders: tuple[SampleFolder, ...] = (), **more: Any) -> dict[str, Any]:
    documents = [sample(first + number, **more) for number in range(count)]
    return bodies.provide_bundle(
        documents, patient=DOMINIQUE, when=WHEN, set_id=f"urn:oid:2.25.{9000 + first}", folders=folders
    )


def folder(number: int, *documents: int, **more: Any) -> SampleFolder:
    unique_ids = tuple(f"urn:oid:2.25.{1000 + one}" for one in documents)
    return SampleFolder(f"Dossier {number}", f"urn:oid:2.25.{8000 + number}", unique_ids, **more)


def fhir_bundle() -> dict[str, Any]:
    """A submission set with one FHIR document."""
    one, kind = sample(700), codes.document_type(codes.LOINC, "11488-4")
    assert kind is not None
    data = bodies.fhir_document(DOMINIQUE, kind, when=WHEN, unique_id=one.unique_id, title="CR")
    sent = replace(one, data=data, kind=kind, content_type="application/fhir+json", fhir_document=True)
    return bodies.provide_bundle([sent], patient=DOMINIQUE, when=WHEN, set_id="urn:oid:2.25.9700")


@dataclass(frozen=True, slots=True)
class Act:
    """Who asks what, on which state; `changes`: whether the record gets a new version."""

    actor: str
    ask: Callable[[Session], Response]
    on: str
    changes: bool
    good: tuple[int, ...] = (200,)


def _known(session: Session) -> dict[str, Any]:
    dossier = read_whole(session.process.world).the_record()
    assert dossier is not None
    rows = dossier.entries.rows()
    return {
        "record": dossier.record_id,
        "event": dossier.commits.last,
        "entry": f"{dossier.record_id}.{rows[0].id}",
        "fhir": next(f"{dossier.record_id}.{row.id}" for row in rows if row.document.form == "Bundle"),
        "set": f"{dossier.record_id}.{rows[0].submission_set}",
        "folder": next(f"{dossier.record_id}.{one.id}" for one in dossier.sets.rows() if one.kind == "folder"),
        "opening": f"{dossier.record_id}.{next(c.id for c in dossier.head.consents if c.kind == 'opening')}",
        "proposal": f"{dossier.record_id}.{next(c.id for c in dossier.head.consents if c.kind == 'medecin_traitant')}",
        "grant": f"{dossier.record_id}.{next(c.id for c in dossier.head.consents if c.kind == 'grant')}",
    }


def post(path: str, body: dict[str, Any]) -> Callable[[Session], Response]:
    return lambda session: session.request("POST", path, body)


def get(path: str, **headers: str) -> Callable[[Session], Response]:
    return lambda session: session.request("GET", path.format_map(_Lazy(session)), headers=headers)


class _Lazy(dict[str, str]):
    def __init__(self, session: Session) -> None:
        self._session = session

    def __missing__(self, name: str) -> str:
        return str(_known(self._session)[name])


def withdraw(session: Session) -> Response:
    body = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"], active=False)
    return session.request("PUT", f"/fhir/Consent/{_known(session)['grant']}", body)


def reviewing(session: Session) -> Response:
    """The emergency access of the state was reviewed: an event says so, and no version of the record."""
    whole = read_whole(session.process.world)
    dossier = whole.the_record()
    assert dossier is not None
    (own,) = (said.event for event in whole.events.values() if (said := declared(event)) is not None)
    return session.request("POST", f"/fhir/Communication/{dossier.record_id}.{own}/$review")


def decision(kind: Any, person: str | None, **more: Any) -> Callable[[Session], Response]:
    body = bodies.consent_decision(DOMINIQUE, kind, AUTHORS[person] if person else None, **more)
    return lambda session: session.request("POST", "/fhir/Consent", body)


def accept(session: Session) -> Response:
    body = bodies.consent_decision(DOMINIQUE, "medecin_traitant", AUTHORS["general_practitioner"], status="active")
    return session.request("PUT", f"/fhir/Consent/{_known(session)['proposal']}", body)


def close(session: Session) -> Response:
    body = bodies.consent_life(DOMINIQUE, active=False, reason="Départ")
    return session.request("PUT", f"/fhir/Consent/{_known(session)['opening']}", body)


DIRECTIVES = codes.document_type(codes.TRE_A05, "EXPPAT_3")
assert DIRECTIVES is not None
OWN = own_document(
    DOMINIQUE, DIRECTIVES, "Mes volontés.", when=WHEN, unique_id="urn:oid:2.25.7777", title="Directives anticipées"
)

PATIENT = f"{DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
URI, FIRST = "urn:ietf:rfc:3986", "urn:oid:2.25.1001"
UNIQUE_ID = f"{URI}|{FIRST}"
SEARCH = f"/fhir/DocumentReference?patient.identifier={PATIENT}"

OFFICERS = f"agent.identifier={HOSPITAL.system}|{HOSPITAL.value}&date=ge2026-03-01"

_MASKED = {"coding": [{"system": codes.TRE_A07, "code": "MASQUE_PS"}]}
MASKING = [{"op": "replace", "path": "/securityLabel/0", "value": _MASKED}]
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
DELETION = [{"op": "replace", "path": "/status", "value": "entered-in-error"}]

ACTS = {
    "open": Act("insurer", post("/fhir/Consent", bodies.consent_opening(DOMINIQUE)), "empty", True, (201, 200)),
    "grant": Act(
        "patient",
        post("/fhir/Consent", bodies.consent_grant(DOMINIQUE, STRUCTURES["practice"])),
        "full",
        True,
        (201, 200),
    ),
    "withdraw": Act("patient", withdraw, "full", True),
    "consents": Act("patient", get("/fhir/Consent"), "full", False),
    "block": Act("patient", decision("block", "radiologist"), "full", True, (201, 200)),
    "oppose": Act("patient", decision("opposition", None, mode="bris_de_glace"), "full", True, (201, 200)),
    "name a doctor": Act("patient", decision("medecin_traitant", "radiologist"), "full", True, (201, 200)),
    "accept": Act("general-practitioner", accept, "full", True),
    "close": Act("patient", close, "full", True),
    "deposit of one's own": Act("patient", post("/fhir/DocumentReference", OWN), "full", True, (201,)),
    "publish three": Act("laboratory", post("/fhir", bundle(100, 3)), "full", True),
    "publish simplified": Act(
        "laboratory",
        post("/fhir/DocumentReference", bodies.simplified(sample(200), patient=DOMINIQUE, when=WHEN)),
        "full",
        True,
        (201,),
    ),
    "publish with folder": Act(
        "laboratory",
        post("/fhir", bundle(400, 1, (folder(2, 400, entries=(StoredIdentifier(system=URI, value=FIRST),)),))),
        "full",
        True,
    ),
    "add to folder": Act("laboratory", lambda session: session.request("POST", "/fhir", adding(session)), "full", True),
    "replace": Act("laboratory", lambda session: session.request("POST", "/fhir", replacing(session)), "full", True),
    "mask": Act("patient", lambda session: patching(session, "entry", MASKING), "full", True),
    "delete": Act("laboratory", lambda session: patching(session, "entry", DELETION), "full", True),
    "mask by identifier": Act(
        "patient",
        lambda session: session.request(
            "PATCH", f"/fhir/DocumentReference?identifier={UNIQUE_ID}", MASKING, JSON_PATCH
        ),
        "full",
        True,
    ),
    "status": Act("hospital-physician", get(f"/fhir/Patient?identifier={PATIENT}"), "full", False),
    "read patient": Act("hospital-physician", get("/fhir/Patient/{record}"), "full", False),
    "search": Act("hospital-physician", get(SEARCH), "full", False),
    "search sets": Act("hospital-physician", get(f"/fhir/List?patient.identifier={PATIENT}"), "full", False),
    "find identifier": Act(
        "laboratory", get(f"{SEARCH}&identifier=urn:ietf:rfc:3986|urn:oid:2.25.1001"), "full", False
    ),
    "read entry": Act("hospital-physician", get("/fhir/DocumentReference/{entry}"), "full", False),
    "read version": Act("hospital-physician", get("/fhir/DocumentReference/{entry}/_history/1"), "full", False),
    "read history": Act("hospital-physician", get("/fhir/DocumentReference/{entry}/_history"), "full", False),
    "read set": Act("hospital-physician", get("/fhir/List/{set}"), "full", False),
    "retrieve": Act("hospital-physician", get("/fhir/Binary/{entry}", Accept="*/*"), "full", False),
    "retrieve fhir document": Act("hospital-physician", get("/fhir/Bundle/{fhir}"), "full", False),
    "traces": Act("patient", get("/fhir/AuditEvent?date=ge2026-03-01"), "full", False),
    "read trace": Act("patient", get("/fhir/AuditEvent/{event}"), "full", False),
    "read decision": Act("patient", get("/fhir/Consent/{grant}"), "full", False),
    "history of a decision": Act("patient", get("/fhir/Consent/{grant}/_history"), "full", False),
    "notices": Act("patient", get("/fhir/Communication"), "full", False),
    "review": Act("reviewer", reviewing, "emergency", False),
    "figures": Act("operations", get("/ops/emergency-reviews"), "emergency", False),
    "prove trace": Act("patient", get("/fhir/AuditEvent/{event}/$proof", Accept="text/plain"), "full", False),
    "extract traces": Act("security-officer", get(f"/fhir/AuditEvent?{OFFICERS}&_format=text/csv"), "full", False),
    "refused": Act("other-physician", get(SEARCH), "full", False, (403,)),
}


def patching(session: Session, target: str, operations: list[dict[str, Any]]) -> Response:
    path = f"/fhir/DocumentReference/{_known(session)[target]}"
    return session.request("PATCH", path, operations, JSON_PATCH)


def replacing(session: Session) -> dict[str, Any]:
    return bundle(300, 1, replaces=_known(session)["entry"])


def adding(session: Session) -> dict[str, Any]:
    """The folder of the full state grows by one document; what it holds is named again."""
    known = _known(session)
    return bundle(500, 1, (folder(1, 500, entries=(known["entry"],), adds_to=known["folder"]),))


@functools.cache
def base(name: str) -> World:
    """The state on which an act is tried. Made once; every case works on a copy."""
    world = World.new()
    process = Process(world)
    if name in ("full", "emergency"):
        steps = (
            ("insurer", "/fhir/Consent", bodies.consent_opening(DOMINIQUE)),
            ("patient", "/fhir/Consent", bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])),
            (
                "patient",
                "/fhir/Consent",
                bodies.consent_decision(DOMINIQUE, "medecin_traitant", AUTHORS["general_practitioner"]),
            ),
            ("laboratory", "/fhir", bundle(1, 2, (folder(1, 1),))),
            ("laboratory", "/fhir", fhir_bundle()),
        )
        for actor, path, body in steps:
            assert process.session(actor).request("POST", path, body).status in (200, 201)
        if name == "emergency":
            process.session("emergency-physician", entering=BROKEN)
        world.seal()
    else:
        process.session("insurer")  # the first start made the pseudonym key
    return world


@dataclass(slots=True)
class Case:
    """One run of an act on a copy of its state, with something armed against it."""

    act: Act
    world: World
    process: Process
    session: Session

    @classmethod
    def of(cls, act: Act) -> Case:
        world = base(act.on).copy()
        process = Process(world)
        return cls(act, world, process, process.session(act.actor))

    def run(self) -> Response | None:
        """The answer; None when the process died."""
        try:
            return self.act.ask(self.session)
        except Killed:
            return None

    def check(self, answer: Response | None, before: object, after: object) -> None:
        """Old state or new; nothing without its trace; an answer that is 503 or true; again, with one effect."""
        self.process.store.faults = lambda _: None
        self.process.keys.fails = lambda _: False
        self.process.store.waits = self.process.store.waits_after = lambda _: None
        self.process.keys.waits = lambda _: None
        whole = read_whole(self.world)
        now = state(whole.the_record())
        assert now in (before, after)
        if answer is not None:
            assert answer.status in (*self.act.good, 503), answer.data
            if answer.status != 503:
                assert now == after, "answered as done, and it is not"
                wanted = "4" if answer.status == 403 else "0"
                assert answer.events, "answered without a trace"
                assert whole.events[answer.events[-1]].outcome == wanted
            else:
                outcome = json.loads(answer.data)
                assert outcome["resourceType"] == "OperationOutcome"
                assert answer.headers.get("Retry-After")
        # As after a crash: another process, the same request, a fresh proof (and a fresh token, if time went on).
        again = Process(self.world)
        session = again.session(self.act.actor)
        final = (
            self.act.ask(session) if self.act is not ACTS["replace"] else session.request("POST", "/fhir", self.sent())
        )
        assert final.status in self.act.good, final.data
        assert state(read_whole(self.world).the_record()) == after, "the same request again did not have one effect"
        assert self.process.store.misuses == []
        assert self.process.keys.misuses == []
        assert again.store.misuses == []

    def sent(self) -> dict[str, Any]:
        """The replacement as it was sent the first time: its target's id is part of it."""
        dossier = read_whole(base(self.act.on)).the_record()
        assert dossier is not None
        return bundle(300, 1, replaces=f"{dossier.record_id}.{dossier.entries.rows()[0].id}")


class Killed(BaseException):
    """The process dies here."""


def well(act: Act) -> tuple[object, object, range, range]:
    """Run the act undisturbed: the state before and after, and the numbers of its calls of store and key service."""
    case = Case.of(act)
    before = state(read_whole(case.world).the_record())
    stores, keys = len(case.process.store.calls), len(case.process.keys.calls)
    answer = case.run()
    assert answer is not None
    assert answer.status in act.good, answer.data
    after = state(read_whole(case.world).the_record())
    assert (before != after) is act.changes
    return (
        before,
        after,
        range(stores + 1, len(case.process.store.calls) + 1),
        range(keys + 1, len(case.process.keys.calls) + 1),
    )


@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_store_call_fails_in_turn(name: str, counted: Counted) -> None:
    act = ACTS[name]
    before, after, calls, _ = well(act)
    for number in calls:
        for fault in Fault:
            case = Case.of(act)
            case.process.store.faults = on_calls(number, fault=fault)
            case.check(case.run(), before, after)
    counted(len(calls) * len(Fault))


@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_key_call_fails_in_turn(name: str, counted: Counted) -> None:
    act = ACTS[name]
    before, after, _, calls = well(act)
    for number in calls:
        case = Case.of(act)
        case.process.keys.fails = on_key_calls(number)
        case.check(case.run(), before, after)
    counted(len(calls))


@pytest.mark.parametrize("name", sorted(ACTS))
def test_the_process_dies_before_and_after_each_store_call(name: str, counted: Counted) -> None:
    act = ACTS[name]
    before, after, calls, _ = well(act)

    def killing(number: int) -> Callable[[Call], None]:
        def kill(call: Call) -> None:
            if call.number == number:
                raise Killed

        return kill

    for number in calls:
        for moment in ("waits", "waits_after"):
            case = Case.of(act)
            setattr(case.process.store, moment, killing(number))
            case.check(case.run(), before, after)  # a call that found nothing has no "after": it answers
    counted(2 * len(calls))


@pytest.mark.parametrize("by", [timedelta(seconds=40), timedelta(minutes=20)], ids=["slow", "very slow"])
@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_store_call_is_slow_in_turn(name: str, by: timedelta, counted: Counted) -> None:
    act = ACTS[name]
    before, after, calls, _ = well(act)
    for number in calls:
        case = Case.of(act)
        case.process.store.waits_after = slow_at(number, case.world, by)
        case.check(case.run(), before, after)
    counted(len(calls))


@pytest.mark.parametrize("by", [timedelta(seconds=40), timedelta(minutes=20)], ids=["slow", "very slow"])
@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_key_call_is_slow_in_turn(name: str, by: timedelta, counted: Counted) -> None:
    act = ACTS[name]
    before, after, _, calls = well(act)
    for number in calls:
        case = Case.of(act)
        case.process.keys.waits = slow_at(number, case.world, by)
        answer = case.run()
        if answer is not None and answer.status == 401:
            answer = None  # the token, or the proof, expired while the caller was not known yet
        case.check(answer, before, after)
    counted(len(calls))


@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_reading_of_the_clock_is_wrong_in_turn(name: str, counted: Counted) -> None:
    """An hour back or forward, for one reading. Refusing is fine; a wrong effect or a lost trace is not."""
    act = ACTS[name]
    before, after, _, _ = well(act)
    readings = clock_readings(Case.of(act))
    for number in range(1, readings + 1):
        for wrong in (timedelta(hours=-1), timedelta(hours=1)):
            case = Case.of(act)
            case.process.clock = wrong_at(number, wrong, case.world.clock)
            answer = case.run()
            case.process.clock = case.world.clock
            if answer is not None and answer.status in (401, 403, 422):
                answer = None  # refused for its time: token, proof, grant or period would be of another hour
            case.check(answer, before, after)
    counted(2 * readings)


class Run(Protocol):
    """Something to be run in a process, on a world."""

    world: World
    process: Process

    def run(self) -> Response | None: ...


def clock_readings(case: Run) -> int:
    """How often a run asks what time it is."""
    count = 0

    def counting() -> datetime:
        nonlocal count
        count += 1
        return case.world.clock()

    case.process.clock = counting
    case.run()
    return count


def wrong_at(number: int, wrong: timedelta, clock: Callable[[], datetime]) -> Callable[[], datetime]:
    readings: Iterator[int] = iter(range(1, 1_000_000))
    return lambda: clock() + (wrong if next(readings) == number else timedelta(0))


def slow_at(number: int, world: World, by: timedelta) -> Callable[[Call | KeyCall], None]:
    """The time that a call takes passes: of the store's, once it took effect."""

    def wait(call: Call | KeyCall) -> None:
        if call.number == number:
            world.clock.advance(by)

    return wait


def test_every_route_is_driven() -> None:
    """A use case that is added must be added to ACTS. Open to everybody, and without an effect: what is left out."""
    open_to_all = re.compile(r"GET /(healthz/.+|openapi\..+|oauth/jwks|(fhir/)?\.well-known/.+|fhir/metadata)")
    tokens = {"POST /oauth/token", "POST /oauth/revoke"}  # test_tokens_with_every_fault.py
    routes = {f"{route.method} {route.path}" for one in chalicefile().functions.values() for route in one.routes}
    wanted = {route for route in routes - tokens if not open_to_all.fullmatch(route)}
    # A search by form is the search: the same use case, and only its parameters are read elsewhere.
    wanted = {route for route in wanted if not (route.endswith("/_search") and _by_get(route) in routes)}
    patterns = {route: re.compile(re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(route))) for route in wanted}
    driven = set()
    for act in ACTS.values():
        case = Case.of(act)
        asked = asked_of(case.process)
        case.run()
        driven |= {route for route, pattern in patterns.items() for one in asked if pattern.fullmatch(one)}
    assert wanted - driven == set()


def _by_get(route: str) -> str:
    return f"GET {route.removeprefix('POST ').removesuffix('/_search')}"


def asked_of(process: Process) -> list[str]:
    """What the process is asked from now on: method and path."""
    asked: list[str] = []
    answer = process.request

    def request(method: str, url: str, *rest: Any, **named: Any) -> Response:
        asked.append(f"{method} {urlsplit(url).path}")
        return answer(method, url, *rest, **named)

    process.request = request  # type: ignore[method-assign]
    return asked
