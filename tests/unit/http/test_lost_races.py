"""A commit that loses its race: loaded, decided and tried again, a bounded number of times; traced once or anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.objects import Call
from fixtures.inprocess import Process, key_service
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import STRUCTURES
from sceau.envelope.messages import Envelope
from sceau.http.commit import MOST_ATTEMPTS
from sceau.objects.scoped import StoreOperation
from sceau.records.dossier import Dossier
from sceau.records.repository import Records
from unit.faults.whole import read_whole
from unit.http.published import bundle, good, laboratory_document, locations, opened

Change = Callable[[Dossier], Dossier]


def unchanged(dossier: Dossier) -> Dossier:
    return dossier


def closed(dossier: Dossier) -> Dossier:
    return dossier.following(dossier.commits.last, at=dossier.head.updated, status="closed")


class Rival:
    """Commits to the record just before each of the first `wins` commits of the service. `change`: what it commits."""

    def __init__(self, process: Process, wins: int, change: Change = unchanged) -> None:
        self.process = process
        self.left = wins
        self.change = change
        process.store.waits = self

    def __call__(self, call: Call) -> None:
        if call.operation is not StoreOperation.REPLACE or not call.name.endswith("/dossier") or not self.left:
            return
        self.left -= 1
        records = Records(self.process.world.memory, Envelope(key_service()))
        loaded = records.load(call.name.split("/")[1])
        if loaded is None:
            raise AssertionError("there is no record to race for")
        after = self.change(loaded.dossier)
        if after is loaded.dossier:
            after = after.following(after.commits.last, at=after.head.updated)
        records.commit(after, replacing=loaded)


@pytest.fixture
def process() -> Process:
    return opened()


def events(process: Process) -> int:
    return len(read_whole(process.world).events)


def documents(process: Process) -> int:
    return process.store.count(StoreOperation.CREATE, "records/")


def record(process: Process) -> Dossier:
    dossier = read_whole(process.world).the_record()
    assert dossier is not None
    return dossier


@pytest.mark.parametrize("losses", [1, 2, MOST_ATTEMPTS - 1])
def test_a_lost_race_is_run_again_with_the_same_event_and_the_same_documents(process: Process, losses: int) -> None:
    laboratory = process.session("laboratory")
    before, version = events(process), record(process).head.version
    process.store.calls.clear()
    Rival(process, losses)
    answer = laboratory.request("POST", "/fhir", bundle(900, laboratory_document(1), laboratory_document(2)))
    ids = locations(answer, "DocumentReference")
    assert len(ids) == 2
    assert events(process) == before + 1
    assert documents(process) == 2
    after = record(process)
    assert after.head.version == version + losses + 1
    assert list(after.commits)[-1] == answer.events[-1]
    assert process.store.misuses == []


def test_who_loses_too_often_is_told_409_and_changes_nothing(process: Process) -> None:
    laboratory = process.session("laboratory")
    rows = len(record(process).entries)
    Rival(process, MOST_ATTEMPTS)
    body = bundle(900, laboratory_document(1))
    answer = laboratory.request("POST", "/fhir", body)
    assert answer.status == 409
    assert answer.json()["issue"][0]["code"] == "conflict"
    assert len(record(process).entries) == rows
    told = read_whole(process.world).events[answer.events[-1]]
    assert told.outcome == "4"
    process.store.waits = lambda _: None
    good(process.session("laboratory").request("POST", "/fhir", body))
    assert len(record(process).entries) == rows + 1


def test_what_changed_meanwhile_is_decided_anew(process: Process) -> None:
    """The record is closed between load and commit: nothing is published, and the refusal is an event of its own."""
    laboratory = process.session("laboratory")
    before = events(process)
    Rival(process, 1, closed)
    answer = laboratory.request("POST", "/fhir", bundle(900, laboratory_document(1)))
    assert answer.status == 403
    assert len(record(process).entries) == 0
    assert events(process) == before + 2
    announced, refused = (read_whole(process.world).events[event] for event in answer.events)
    assert (announced.outcome, refused.outcome) == ("0", "4")
    assert answer.events[0] not in record(process).commits


def test_of_two_who_replace_the_same_document_the_later_one_is_told_so(process: Process) -> None:
    laboratory = process.session("laboratory")
    (first,) = locations(laboratory.request("POST", "/fhir", bundle(901, laboratory_document(1))), "DocumentReference")
    rival = laboratory.moved_to(Process(process.world))

    def replaces(number: int) -> dict[str, object]:
        return bundle(900 + number, laboratory_document(number, replaces=first))

    def meanwhile(call: Call) -> None:
        if call.operation is StoreOperation.REPLACE and call.name.endswith("/dossier"):
            process.store.waits = lambda _: None
            good(rival.request("POST", "/fhir", replaces(3)))

    process.store.waits = meanwhile
    answer = laboratory.request("POST", "/fhir", replaces(2))
    assert answer.status == 409
    rows = record(process).entries.rows()
    assert [(row.identifiers[0].value, row.now.status) for row in rows] == [
        ("urn:oid:2.25.1", "superseded"),
        ("urn:oid:2.25.3", "current"),
    ]


def test_a_grant_that_loses_its_race_is_given_once(process: Process) -> None:
    patient = process.session("patient")
    grants = len(record(process).head.consents)
    Rival(process, 3)
    body = bodies.consent_grant(DOMINIQUE, STRUCTURES["practice"])
    answer = good(patient.request("POST", "/fhir/Consent", body))
    after = record(process)
    assert len(after.head.consents) == grants + 1
    assert after.commits.last == answer.events[-1]
