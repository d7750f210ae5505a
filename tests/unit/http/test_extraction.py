"""A structure's security officer: the traces of its own professionals, all of them, and nobody else's; FHIR and CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fakes.objects import Fault
from fixtures.damage import last_bit_flipped
from fixtures.inprocess import Process, Response, Session, key_service
from sceau.audit.ids import parse_event_name
from sceau.audit.journal import JournalReader
from sceau.cli.people import HOSPITAL, LABORATORY, OTHER_HOSPITAL
from sceau.envelope.batch import BatchOpener
from sceau.http.trace_table import COLUMNS
from sceau.keys.ports import KeyName
from unit.http.published import (
    PATIENT,
    bundle,
    good,
    laboratory_document,
    opened,
    search,
)

Json = dict[str, Any]
OWN = f"agent.identifier={HOSPITAL.system}|{HOSPITAL.value}"
SINCE = "date=ge2026-03-01"
PHYSICIAN = "urn:oid:1.2.250.1.71.4.2.1|899700000102"


@pytest.fixture
def process() -> Process:
    """Acts of the hospital, of the laboratory, of another hospital, on one record."""
    process = opened()
    good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    good(search(process.session("hospital-physician"), "DocumentReference"))
    assert search(process.session("other-physician"), "DocumentReference").status == 403
    process.world.clock.advance(timedelta(seconds=1))
    return process


@pytest.fixture
def officer(process: Process) -> Session:
    return process.session("security-officer")


def ask(officer: Session, *parts: str, **headers: str) -> Response:
    return officer.request("GET", f"/fhir/AuditEvent?{'&'.join(parts)}", headers=headers)


def found(answer: Response) -> list[Json]:
    entries = good(answer).json().get("entry", [])
    return [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]


def refused(answer: Response, status: int) -> list[str]:
    assert answer.status == status, answer.data
    return [part for issue in answer.json()["issue"] for part in issue.get("expression", ())]


def agents(event: Json, code: str) -> set[str]:
    return {
        one["who"]["identifier"]["value"]
        for one in event["agent"]
        if any(coding["code"] == code for coding in one["type"]["coding"])
    }


def everything(process: Process) -> dict[str, Json]:
    """All events that rest, of whomever."""
    reader = JournalReader(process.world.memory, BatchOpener(key_service(), KeyName.JOURNAL, clock=process.world.clock))
    names = [parse_event_name(name) for name in process.world.memory.list("journal/events/")]
    return {event: json.loads(reader.read(record, event).data) for record, event in names}


def test_its_own_professionals_acts_are_found_on_whatever_record_and_no_others(
    process: Process, officer: Session
) -> None:
    shown = found(ask(officer, OWN, SINCE, "_count=200"))
    assert all(agents(one, "PROV") == {HOSPITAL.value} for one in shown if one["type"]["code"] != "110114")
    theirs = {
        event_id
        for event_id, event in everything(process).items()
        if agents(event, "PROV") == {HOSPITAL.value} or f"|{HOSPITAL.value}" in str(event["entity"])
    }
    assert {one["id"] for one in shown} == theirs
    subtypes = {coding["code"] for one in shown for coding in one["subtype"]}
    assert {"ITI-67", "ITI-71", "ITI-81"} <= subtypes, "reading, the token for it, and this very extraction"
    assert "ITI-65" not in subtypes, "the laboratory's"


def test_one_professionals_acts_are_found(officer: Session) -> None:
    shown = found(ask(officer, OWN, f"agent.identifier={PHYSICIAN}", SINCE))
    assert len(shown) == 2
    assert {coding["code"] for one in shown for coding in one["subtype"]} >= {"ITI-67", "ITI-71"}
    assert found(ask(officer, OWN, "agent.identifier=urn:oid:1.2.250.1.71.4.2.1|1", SINCE)) == []


def test_other_filters_narrow(process: Process, officer: Session) -> None:
    shown = found(ask(officer, OWN, SINCE, "subtype=ITI-67", "outcome=0"))
    assert [one["id"] for one in shown] and all("ITI-67" in str(one["subtype"]) for one in shown)
    assert found(ask(officer, OWN, SINCE, "outcome=8")) == []


def test_the_extraction_is_traced_before_anything_leaves_with_its_purpose(process: Process, officer: Session) -> None:
    answer = ask(officer, OWN, SINCE)
    (event_id,) = answer.events
    event = next(one for one in found(ask(officer, OWN, SINCE)) if one["id"] == event_id)
    assert event["outcome"] == "0"
    assert agents(event, "PROV") == {HOSPITAL.value}
    assert "hospital-security" in str(event["agent"])
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "HOPERAT"
    process.store.faults = lambda call: Fault.FAILS if call.name.startswith("journal/events/") else None
    unavailable = ask(officer, OWN, SINCE)
    assert (unavailable.status, unavailable.events) == (503, [])


@pytest.mark.parametrize(
    ("parts", "expression"),
    [
        ((OWN,), "date"),
        ((OWN, "date=lt2026-03-10"), "date"),
        ((OWN, "date=ge2025-12-01"), "date"),
        ((OWN, "date=2025"), "date"),
        ((SINCE,), "agent.identifier"),
        ((SINCE, "outcome=4"), "agent.identifier"),
    ],
)
def test_structure_and_a_period_of_31_days_at_most_are_required(
    officer: Session, parts: tuple[str, ...], expression: str
) -> None:
    answer = ask(officer, *parts)
    assert refused(answer, 422) == [expression]
    assert len(answer.events) == 1


OTHER = f"{OTHER_HOSPITAL.system}|{OTHER_HOSPITAL.value}"


@pytest.mark.parametrize(
    "agent",
    [
        OTHER,
        PHYSICIAN,
        HOSPITAL.value,  # in whatever system
        f"|{HOSPITAL.value}",
        f"{HOSPITAL.system}|",
        f"{HOSPITAL.system}|{HOSPITAL.value},{OTHER}",
        f"{OTHER},{HOSPITAL.system}|{HOSPITAL.value}",
        f"{HOSPITAL.system}|{HOSPITAL.value}\\",
    ],
)
def test_another_structure_is_refused_and_traced(process: Process, officer: Session, agent: str) -> None:
    answer = ask(officer, f"agent.identifier={quote(agent)}", SINCE)
    refused(answer, 403)
    (event_id,) = answer.events
    event = everything(process)[event_id]
    assert (event["outcome"], event["outcomeDesc"]) == ("4", "denied.other-structure")
    assert OTHER_HOSPITAL.value.encode() not in answer.data


def test_another_structures_beside_ones_own_finds_nothing_of_it(officer: Session) -> None:
    assert found(ask(officer, OWN, f"agent.identifier={OTHER}", SINCE)) == []


def test_an_event_that_only_names_the_structure_elsewhere_is_not_its_own(process: Process, officer: Session) -> None:
    """A producer's identifier, or a client that is called like the structure: only the structure's own agent counts."""
    process.session("laboratory")
    shown = found(ask(officer, OWN, SINCE, "_count=200"))
    assert all("laboratory" not in agents(one, "110150") for one in shown)


def test_no_patient_is_named_by_the_query_or_the_token(process: Process, officer: Session) -> None:
    patient = process.session("patient").token.record_id
    for part in (f"patient={patient}", "patient.identifier=urn:oid:1.2.250.1.213.1.4.10|1"):
        refused(ask(officer, OWN, SINCE, part), 400)
    named = process.session("security-officer", patient=PATIENT[1])
    assert named.token.record_id == patient
    answer = ask(named, OWN, SINCE)
    refused(answer, 403)
    assert everything(process)[answer.events[0]]["outcomeDesc"] == "denied.other-record"


@pytest.mark.parametrize("actor", ["laboratory", "insurer", "hospital-physician"])
def test_nobody_else_extracts(process: Process, actor: str) -> None:
    own = LABORATORY if actor == "laboratory" else HOSPITAL
    refused(ask(process.session(actor), f"agent.identifier={own.system}|{own.value}", SINCE), 403)


def test_the_officer_reads_no_single_event_no_proof_and_no_record(process: Process, officer: Session) -> None:
    event = found(ask(officer, OWN, SINCE))[0]["id"]
    for target in (f"AuditEvent/{event}", "DocumentReference?patient=x", "Patient?identifier=x|y", "Consent"):
        refused(officer.request("GET", f"/fhir/{target}"), 403)
    refused(officer.request("GET", f"/fhir/AuditEvent/{event}/$proof", headers={"Accept": "text/plain"}), 403)


# Pages


def pages(officer: Session, first: str, accept: str = "application/fhir+json") -> list[Response]:
    target, answers = first, []
    while target:
        answers.append(good(officer.request("GET", target, headers={"Accept": accept})))
        if accept == "text/csv":
            link = re.fullmatch(r'<https://localhost:8443(.*)>; rel="next"', answers[-1].headers.get("Link", ""))
            target = link[1] if link else ""
        else:
            links = {one["relation"]: one["url"] for one in answers[-1].json()["link"]}
            target = links.get("next", "").removeprefix("https://localhost:8443")
    return answers


def test_pages_hold_everything_once_and_in_the_order_of_minutes(process: Process, officer: Session) -> None:
    for _ in range(3):
        process.world.clock.advance(timedelta(seconds=61))
        good(search(process.session("hospital-physician"), "DocumentReference"))
    officer = process.session("security-officer")
    now = process.world.clock.now.isoformat().replace("+00:00", "Z")
    whole = [one["id"] for one in found(ask(officer, OWN, SINCE, f"date=lt{now}", "_count=200"))]
    assert len(whole) > 6
    answers = pages(officer, f"/fhir/AuditEvent?{OWN}&{SINCE}&date=lt{now}&_count=2")
    assert [one["id"] for answer in answers for one in found(answer)] == whole
    minutes = [one["recorded"][:16] for answer in answers for one in found(answer)]
    assert minutes == sorted(minutes)


def test_a_page_opens_so_many_events_at_most_and_the_next_goes_on(
    process: Process, officer: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = process.world.clock.now.isoformat().replace("+00:00", "Z")
    first = f"/fhir/AuditEvent?{OWN}&{SINCE}&date=lt{now}"
    whole = [one["id"] for one in found(officer.request("GET", first))]
    monkeypatch.setattr("sceau.http.extraction.MOST_OPENED", 3)
    answers = pages(officer, first)
    assert len(answers) > 3
    assert [one["id"] for answer in answers for one in found(answer)] == whole


def test_a_page_ends_when_its_time_is_over(process: Process, officer: Session) -> None:
    first = f"/fhir/AuditEvent?{OWN}&{SINCE}"
    ticks = iter(range(10_000))
    process.clock = lambda: process.world.clock.now + timedelta(seconds=next(ticks) * 0.7)
    answer = good(officer.request("GET", first))
    assert "next" in {one["relation"] for one in answer.json()["link"]}


def test_another_officers_page_does_not_open(process: Process, officer: Session) -> None:
    link = good(ask(officer, OWN, SINCE, "_count=1")).json()["link"][-1]["url"].removeprefix("https://localhost:8443")
    assert process.session("patient").request("GET", link).status == 400
    good(officer.request("GET", link))
    assert officer.request("GET", link + "&_count=1").status == 400


# CSV


def rows(answer: Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.data.decode(), newline="")))


@pytest.mark.parametrize("accept", [None, "text/csv"])
def test_the_same_as_csv(officer: Session, accept: str | None) -> None:
    parts = (OWN, SINCE, "subtype=ITI-67")
    asked = ask(officer, *parts, Accept=accept) if accept else ask(officer, *parts, "_format=text/csv")
    answer = good(asked)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="traces.csv"'
    (event,) = found(ask(officer, *parts))
    (row,) = rows(answer)
    assert tuple(row) == tuple(COLUMNS)
    assert (row["event"], row["recorded"], row["outcome"]) == (event["id"], event["recorded"], event["outcome"])
    assert row["person"] == PHYSICIAN
    assert row["structure"] == f"{HOSPITAL.system}|{HOSPITAL.value}"
    assert row["patient"].startswith("Patient/")


def test_csv_comes_in_pages_too(process: Process, officer: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    now = process.world.clock.now.isoformat().replace("+00:00", "Z")
    query = f"/fhir/AuditEvent?{OWN}&{SINCE}&date=lt{now}&_format=text/csv"
    (whole,) = pages(officer, query, "text/csv")
    monkeypatch.setattr("sceau.http.extraction.MOST_OPENED", 4)
    parts = pages(officer, query, "text/csv")
    assert len(parts) > 2
    assert [row for part in parts for row in rows(part)] == rows(whole)


def test_neither_form_is_406(officer: Session) -> None:
    assert ask(officer, OWN, SINCE, "_format=xml").status == 406
    assert ask(officer, OWN, SINCE, Accept="application/xml").status == 406


def test_a_patient_gets_no_csv(process: Process) -> None:
    assert process.session("patient").request("GET", "/fhir/AuditEvent?_format=text/csv").status == 406


def test_what_does_not_open_is_counted_and_hides_no_other(process: Process, officer: Session) -> None:
    before = {one["id"] for one in found(ask(officer, OWN, SINCE))}
    record = process.session("patient").token.record_id
    memory = process.world.memory
    name = next(one for one in memory.list("journal/events/") if f"/{record}." in one)
    entry = memory._entries[name]
    memory._entries[name] = entry.__class__(last_bit_flipped(entry.data), entry.tag, None, process.world.clock())
    answer = ask(officer, OWN, SINCE, "_count=200")
    assert before - {name.rpartition(".")[2]} <= {one["id"] for one in found(answer)}
    outcome = answer.json()["entry"][-1]["resource"]
    assert outcome["issue"][0]["diagnostics"].startswith("1 events of this page do not open")
    assert ask(officer, OWN, SINCE, "_format=text/csv").headers["Sceau-Unread"] == "1"
