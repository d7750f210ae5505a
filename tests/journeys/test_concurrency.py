"""Many at once: no update is lost, nobody sees another's identity, and SIGKILL takes nothing that was acknowledged."""

from __future__ import annotations

import base64
import gc
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from fixtures.live_world import (
    Caller,
    Event,
    Json,
    World,
    alone,
    document_ids,
    found,
    in_parallel,
    ins,
    lab_document,
    parsed,
    submission,
)
from fixtures.service import LiveStage
from fixtures.torture_load import MOST_ATTEMPTS
from sceau.cli import bodies
from sceau.cli.bodies import SampleDocument
from sceau.cli.people import HOSPITAL, LABORATORY, OTHER_HOSPITAL
from sceau.cli.samples import STRUCTURES, Patient
from sceau.identity.client import HttpResponse
from sceau.records.ids import document_id

pytestmark = pytest.mark.xdist_group("live")


def check_versions(world: World, patient: Patient) -> dict[str, Event]:
    """Assert that the record's versions follow each other and that each has its event; return the record's events."""
    dossier = world.dossier(patient)
    assert len(dossier.commits) == dossier.head.version
    events = world.events_of(patient)
    assert len(set(dossier.commits)) == len(dossier.commits)
    for announced in dossier.commits:
        assert events[announced].outcome == "0"
        assert events[announced].reason is None
    return events


def test_thirty_two_publications_into_one_record_at_once(world: World) -> None:
    patient, lab = world.opened(), world.caller("laboratory")
    documents = [lab_document(patient) for _ in range(32)]
    callers = [lab.another() for _ in documents]
    before = world.event_names()

    def publish(number: int) -> HttpResponse:
        if number % 2:
            return callers[number].post("/fhir/DocumentReference", alone(patient, documents[number]))
        return callers[number].post("/fhir", submission(patient, documents[number]))

    answers = in_parallel(32, publish)
    assert [answer.status for answer in answers] == [200, 201] * 16
    published = [
        parsed(answer)["id"] if number % 2 else document_ids(answer)[0] for number, answer in enumerate(answers)
    ]
    assert len(set(published)) == 32
    dossier = world.dossier(patient)
    assert dossier.head.version == 33
    assert {document_id(dossier.record_id, row.id) for row in dossier.entries.rows()} == set(published)
    check_versions(world, patient)
    # One event for each, however often its commit lost the race: nothing but what happened is in the journal.
    events = world.events_since(before)
    assert len(events) == 32
    assert {answer.headers["Sceau-Trace"] for answer in answers} == {event.id for event in events}
    assert {event.id for event in events} == set(list(dossier.commits)[1:])
    holder = world.holder(patient)
    readers = [holder.another() for _ in range(8)]
    read = in_parallel(
        32, lambda n: readers[n % 8].another().get(f"/fhir/Binary/{published[n]}", Accept="*/*").data, threads=8
    )
    assert read == [document.data for document in documents]


def test_grants_and_publications_into_one_record_at_once(world: World) -> None:
    """Two functions commit to the same dossier."""
    patient, lab = world.opened(), world.caller("laboratory")
    holder = world.holder(patient)
    callers = [(lab if number % 2 else holder).another() for number in range(12)]
    structures = ("hospital", "other_hospital", "practice", "laboratory", "insurer", "hospital")

    def act(number: int) -> int:
        if number % 2:
            return callers[number].post("/fhir", submission(patient)).status
        body = bodies.consent_grant(patient, STRUCTURES[structures[number // 2]])
        return callers[number].post("/fhir/Consent", body).status

    statuses = in_parallel(12, act)
    assert statuses[1::2] == [200] * 6
    assert sorted(statuses[::2]) == [200, 201, 201, 201, 201, 201]
    dossier = world.dossier(patient)
    assert len(dossier.entries.rows()) == 6
    assert len([consent for consent in dossier.head.consents if consent.kind == "grant"]) == 5
    assert dossier.head.version == 1 + 6 + 5
    check_versions(world, patient)


def test_a_record_opened_by_many_at_once_is_opened_once(world: World) -> None:
    patient, insurer = world.patient(), world.caller("insurer")
    body = bodies.consent_opening(patient)
    callers = [insurer.another() for _ in range(8)]
    answers = in_parallel(8, lambda n: callers[n].post("/fhir/Consent", body))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.data for answer in answers}) == 1
    assert world.dossier(patient).head.version == 1
    check_versions(world, patient)


@dataclass(frozen=True, slots=True)
class Somebody:
    """A caller, the record that its token names, and what events must call it."""

    caller: Caller
    patient: Patient
    record: str
    names: frozenset[str]
    document: str

    @property
    def token_id(self) -> str:
        """The id of the token, as events have it."""
        part = self.caller.token.access_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return f"urn:ietf:params:oauth:jti:{claims['jti']}"


def identities(world: World) -> list[Somebody]:
    """Fifty tokens, all different: patients, and physicians of two structures, for ten records."""
    patients = [world.opened("hospital", "other_hospital") for _ in range(10)]
    documents = {p.ins_value: world.publish(p, lab_document(p))[0] for p in patients}
    kinds = ("patient", "hospital-physician", "other-physician", "hospital-physician", "patient")
    tokens = in_parallel(50, lambda n: world.fresh(kinds[n // 10], patients[n % 10]), threads=8)
    assert len({caller.token.access_token for caller in tokens}) == 50
    people = {"patient": (), "hospital-physician": ("899700000102",), "other-physician": ("899700000104",)}
    clients = {
        "patient": ("patient-app",),
        "hospital-physician": ("hospital", HOSPITAL.value),
        "other-physician": ("other-hospital", OTHER_HOSPITAL.value),
    }
    made = []
    for number, caller in enumerate(tokens):
        kind, patient = kinds[number // 10], patients[number % 10]
        record = world.record_id(patient)
        own = frozenset((*people[kind], *clients[kind], *((record,) if kind == "patient" else ())))
        made.append(Somebody(caller, patient, record, own, documents[patient.ins_value]))
    return made


def names_only(resource: Json, patient: Patient, record: str) -> bool:
    """Whether a Patient resource is this one."""
    return bool(
        resource["id"] == record
        and resource["identifier"][0]["value"] == patient.ins_value
        and resource["name"][0]["family"] == patient.birth_name
    )


def test_two_hundred_requests_at_once_never_see_anothers_identity(world: World) -> None:
    everybody = identities(world)
    lab = world.caller("laboratory")
    before = world.event_names()

    def ask(number: int) -> tuple[HttpResponse, Somebody, int]:
        """Four kinds of request by each; every eighth publishes in between, with a token that names no patient."""
        who, kind = everybody[number % 50], number // 50
        caller = who.caller.another()
        match kind:
            case 0:
                answer = caller.get(f"/fhir/Patient?identifier={ins(who.patient)}")
                assert [names_only(one, who.patient, who.record) for one in found(answer)] == [True]
            case 1:
                answer = caller.get(f"/fhir/DocumentReference?patient.identifier={ins(who.patient)}")
                matches = found(answer)
                assert {one["id"].partition(".")[0] for one in matches} == {who.record}
                assert {one["subject"]["identifier"]["value"] for one in matches} == {who.patient.ins_value}
            case 2:
                answer = caller.get(f"/fhir/Binary/{who.document}", Accept="*/*")
                assert who.patient.ins_value.encode() in answer.data
            case _:
                stranger = everybody[(number + 1) % 50]
                answer = caller.get(f"/fhir/DocumentReference/{stranger.document}")
                assert answer.status == 404
        if number % 8 == 0:
            published = lab.another().post("/fhir", submission(who.patient))
            assert document_ids(published)[0].partition(".")[0] == who.record
        return answer, who, kind

    answers = in_parallel(200, ask, threads=24)
    events = {event.id: event for event in world.events_since(before)}
    assert len(events) == 200 + 25
    for answer, who, kind in answers:
        assert answer.status == (404 if kind == 3 else 200)
        event = events.pop(answer.headers["Sceau-Trace"])
        assert event.record_id == who.record
        assert event.patients == {who.record}
        ours = {value for value in event.people if not value.startswith("https://")}
        assert ours == who.names
        policies = {one for agent in event.json["agent"] for one in agent.get("policy", ())}
        assert {one for one in policies if "jti" in one} == {who.token_id}
        assert event.outcome == ("4" if kind == 3 else "0")
    # What is left is the laboratory's, and says so.
    assert len(events) == 25
    for event in events.values():
        assert {"laboratory", LABORATORY.value} <= event.people
        assert len(event.patients) == 1


@dataclass(slots=True)
class Load:
    """What writers were told, while the service is killed under them. `sent_again`: bodies that needed it."""

    acknowledged: dict[str, SampleDocument] = field(default_factory=dict)
    sent_again: list[tuple[Json, bytes]] = field(default_factory=list)
    progress: threading.Condition = field(default_factory=threading.Condition)
    stop: threading.Event = field(default_factory=threading.Event)

    def write(self, patient: Patient, lab: Caller) -> None:
        """Publish until told to stop; what got no answer is sent again, the same, until it gets one."""
        while not self.stop.is_set():
            document = lab_document(patient)
            body = submission(patient, document)
            attempts = 0
            while True:
                attempts += 1
                try:
                    answer = lab.post("/fhir", body)
                except urllib3.exceptions.HTTPError:
                    if attempts > MOST_ATTEMPTS:
                        raise
                    self.stop.wait(0.05)
                else:
                    break
            assert answer.status == 200, answer.data
            with self.progress:
                self.acknowledged[document_ids(answer)[0]] = document
                if attempts > 1:
                    self.sent_again.append((body, answer.data))
                self.progress.notify_all()

    def wait_for(self, more: int) -> None:
        """Until so many more are acknowledged."""
        with self.progress:
            enough = len(self.acknowledged) + more
            assert self.progress.wait_for(lambda: len(self.acknowledged) >= enough, timeout=120)


# A peer that dies between connect and handshake: CPython's ssl.py then leaves the socket it was making to the collector
# (`SSLSocket._create` does not close it when `recv` says ECONNRESET). Here that is the point; elsewhere it is an error.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_what_was_acknowledged_survives_sigkill_under_load(world: World, live: LiveStage) -> None:
    patients = [world.opened(), world.opened()]
    lab, load = world.caller("laboratory"), Load()
    writers = [threading.Thread(target=load.write, args=(patients[number % 2], lab.another())) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            load.wait_for(8)
            live.restart()
        load.wait_for(4)
    finally:
        load.stop.set()
        for writer in writers:
            writer.join()
        gc.collect()  # what the kills left is collected here, not in the middle of another test
    assert load.sent_again  # the kills hit somebody
    rows = {p.ins_value: world.dossier(p).entries.rows() for p in patients}
    assert sum(map(len, rows.values())) == len(load.acknowledged)
    for patient in patients:
        check_versions(world, patient)
        record, reader = world.record_id(patient), world.holder(patient)
        for row in rows[patient.ins_value]:
            own_id = document_id(record, row.id)
            assert reader.get(f"/fhir/Binary/{own_id}", Accept="*/*").data == load.acknowledged[own_id].data
    for body, answered in load.sent_again:
        with world.unchanged():
            assert lab.post("/fhir", body).data == answered


def test_an_act_that_died_before_its_commit_is_shown_as_not_completed(world: World) -> None:
    """Its event is in the journal, and no version of the record carries it: the patient is told so."""
    patient = world.opened()
    (done,) = world.publish(patient, lab_document(patient))
    store, name = world.live.stage.store(), f"records/{world.record_id(patient)}/dossier"
    before = store.read(name).data
    (undone,) = world.publish(patient, lab_document(patient))
    # As after a crash between event and commit: the journal of the one, the dossier of the other.
    store.replace(name, before, expected=store.read(name).tag)
    holder = world.holder(patient)
    since = (datetime.now(UTC) - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = parsed(holder.get(f"/fhir/AuditEvent?date=ge{since}&_count=200"))["entry"]
    not_completed = {"url": "urn:sceau:fhir:event-completed", "valueBoolean": False}
    (entry,) = (entry for entry in entries if not_completed in entry.get("extension", []))
    named = {(entity.get("what") or {}).get("reference") for entity in entry["resource"]["entity"]}
    assert f"DocumentReference/{undone}" in named
    assert f"DocumentReference/{done}" not in named
    assert holder.get(f"/fhir/DocumentReference/{undone}").status == 404
    assert holder.get(f"/fhir/DocumentReference/{done}").status == 200
