"""Which rules a function decides by: the edition that was loaded, within a minute; and none, no decision."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from fakes.objects import Fault
from fixtures.damage import last_bit_flipped
from fixtures.inprocess import Process, Response, key_service
from sceau.envelope.messages import Envelope
from sceau.identity.rules import MatrixStore
from sceau_schemas.rules import StoredMatrix
from unit.http.published import bundle, good, laboratory_document, opened, search

NURSES_ONLY = StoredMatrix(
    version="nurses-only", effective_from="2026-01-01", source="tests", allow={"60": ("11502-2",)}, deny={}
)
MATRIX = "configuration/rules/matrix"


@pytest.fixture
def process() -> Process:
    process = opened()
    good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    return process


def load(process: Process, edition: StoredMatrix) -> None:
    MatrixStore(process.world.memory, Envelope(key_service())).add(edition)


def policies(process: Process, answer: Response) -> set[str]:
    """What the event of an answer says that the decision used."""
    (event,) = answer.events
    found: dict[str, Any] = process.session("patient").request("GET", f"/fhir/AuditEvent/{event}").json()
    return {one for agent in found["agent"] for one in agent.get("policy", ()) if one.startswith("urn:sceau:")}


def test_a_loaded_edition_decides_within_a_minute_and_stands_in_the_trace(process: Process) -> None:
    physician = process.session("hospital-physician")
    before = search(physician, "DocumentReference")
    assert before.json()["total"] == 1
    assert policies(process, before) == {"urn:sceau:policy:matrix:arrete-2023-10-26-partial"}
    load(process, NURSES_ONLY)
    process.world.clock.advance(timedelta(seconds=61))
    after = search(process.session("hospital-physician"), "DocumentReference")
    assert after.json()["total"] == 0
    assert policies(process, after) == {"urn:sceau:policy:matrix:nurses-only"}


def test_the_holders_own_reading_asks_no_matrix(process: Process) -> None:
    load(process, NURSES_ONLY)
    found = search(process.session("patient"), "DocumentReference")
    assert found.json()["total"] == 1
    assert policies(process, found) == set()


def test_without_the_rules_nothing_is_decided_and_nothing_is_traced_as_done(process: Process) -> None:
    physician = process.session("hospital-physician")
    good(search(physician, "DocumentReference"))
    process.world.clock.advance(timedelta(seconds=61))
    physician = process.session("hospital-physician")
    process.store.faults = lambda call: Fault.FAILS if call.name == MATRIX else None
    answer = search(physician, "DocumentReference")
    assert answer.status == 503
    assert answer.events == []
    process.store.faults = lambda call: None
    assert search(physician, "DocumentReference").json()["total"] == 1


def test_a_damaged_edition_grants_nothing(process: Process) -> None:
    load(process, NURSES_ONLY)
    stored = process.world.memory.read(MATRIX)
    process.world.memory.replace(MATRIX, last_bit_flipped(stored.data), expected=stored.tag)
    process.world.clock.advance(timedelta(seconds=61))
    assert search(process.session("hospital-physician"), "DocumentReference").status == 503


def test_each_start_says_how_much_of_the_matrix_is_known(
    process: Process, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sceau"), "propagate", True)
    load(process, NURSES_ONLY)
    with caplog.at_level(logging.INFO, "sceau"):
        Process(process.world)
    lines = [json.loads(record.message) for record in caplog.records]
    told = [line for line in lines if line["event"] == "habilitation-matrix"]
    assert {line["function"] for line in told} == {"ingest", "retrieval", "consent", "traces"}
    assert {(line["edition"], line["allow"], line["deny"], line["unknown"]) for line in told} == {
        ("nurses-only", 1, 0, 19 * 87 - 1)
    }
