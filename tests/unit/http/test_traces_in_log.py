"""Traces and the log: each sealed event says where it stands, its proof checks offline, and hidden ones have none."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from fakes.objects import Fault, on
from fixtures.inprocess import Process, Response, Session
from sceau.audit.ids import event_name
from sceau.audit.log.notes import VerifierKey, parse_vkeys
from sceau.audit.log.places import CHECKPOINT, LOG, RECORDS, VKEYS
from sceau.audit.log.proofs import verify_event
from sceau.fhir import codes
from sceau.http.trace_bundle import COMPLETED, INCLUSION
from sceau.http.traces import INDEX_HEADER
from sceau.objects.scoped import StoreOperation
from unit.http.published import bundle, good, laboratory_document, opened

Json = dict[str, Any]
INVISIBLE = (codes.TRE_A07, "INVISIBLE_PATIENT")
TEXT = {"Accept": "text/plain"}


@pytest.fixture
def process() -> Process:
    return opened()


@pytest.fixture
def holder(process: Process) -> Session:
    return process.session("patient")


def vkeys(process: Process) -> tuple[VerifierKey, ...]:
    return parse_vkeys(process.world.memory.read(VKEYS).data.decode())


def traces(holder: Session, query: str = "") -> list[Json]:
    holder.process.world.clock.advance(timedelta(milliseconds=5))  # ids of one millisecond have no order
    found: list[Json] = good(holder.request("GET", f"/fhir/AuditEvent?_count=200{query}")).json().get("entry", [])
    return found


def said(entry: Json, url: str) -> Json | None:
    return next((one for one in entry.get("extension", ()) if one["url"] == url), None)


def proof(holder: Session, event_id: str, headers: dict[str, str] | None = None) -> Response:
    return holder.request("GET", f"/fhir/AuditEvent/{event_id}/$proof", headers=headers or TEXT)


def bytes_of(holder: Session, event_id: str) -> bytes:
    return good(holder.request("GET", f"/fhir/AuditEvent/{event_id}")).data


def refused(answer: Response, status: int) -> Json:
    assert answer.status == status, answer.data
    outcome: Json = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome


def test_a_sealed_event_says_its_place_and_an_unsealed_one_does_not(process: Process, holder: Session) -> None:
    before = {entry["resource"]["id"] for entry in traces(holder)}
    process.world.seal()
    shown = traces(holder)
    sealed = {entry["resource"]["id"]: said(entry, INCLUSION) for entry in shown}
    assert [one for one in sealed if sealed[one] is None] == [shown[0]["resource"]["id"]], "this very query"
    assert before < sealed.keys()
    places = [parts(told)["index"] for told in sealed.values() if told is not None]
    assert places == sorted(places, reverse=True)
    for event_id, told in sealed.items():
        if told is not None:
            assert parts(told)["proof"] == f"https://localhost:8443/fhir/AuditEvent/{event_id}/$proof"


def parts(extension: Json) -> Json:
    return {one["url"]: one.get("valueDecimal", one.get("valueUrl")) for one in extension["extension"]}


def test_the_proof_of_each_event_checks_offline_with_the_exact_bytes(process: Process, holder: Session) -> None:
    traces(holder)
    process.world.seal()
    keys = vkeys(process)
    entries = [entry for entry in traces(holder) if said(entry, INCLUSION)]
    assert len(entries) > 3
    for entry in entries:
        event_id, told = entry["resource"]["id"], said(entry, INCLUSION)
        answer = good(proof(holder, event_id))
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{event_id}.tlog-proof"'
        proven = verify_event(bytes_of(holder, event_id), answer.data, keys)
        assert told is not None
        assert (proven.event_id, proven.index) == (event_id, parts(told)["index"])
        assert answer.headers[INDEX_HEADER] == str(proven.index)


def test_an_event_by_its_id_says_its_place_beside_its_bytes(process: Process, holder: Session) -> None:
    event_id = traces(holder)[-1]["resource"]["id"]
    assert INDEX_HEADER not in holder.request("GET", f"/fhir/AuditEvent/{event_id}").headers
    process.world.seal()
    answer = good(holder.request("GET", f"/fhir/AuditEvent/{event_id}"))
    proven = verify_event(answer.data, proof(holder, event_id).data, vkeys(process))
    assert answer.headers[INDEX_HEADER] == str(proven.index)


def test_what_is_not_sealed_yet_has_no_proof_but_will(process: Process, holder: Session) -> None:
    event_id = traces(holder)[0]["resource"]["id"]  # that of this query
    for _ in range(2):  # before the first checkpoint, and after one
        outcome = refused(proof(holder, event_id), 404)
        assert outcome["issue"][0]["code"] == "incomplete"
        before, event_id = event_id, traces(holder)[0]["resource"]["id"]
        assert before != event_id
        process.world.seal()
        good(proof(holder, before))
        event_id = traces(holder)[0]["resource"]["id"]


def test_each_proof_is_an_act_that_is_traced(process: Process, holder: Session) -> None:
    process.world.seal()
    event_id = traces(holder)[-1]["resource"]["id"]
    answer = good(proof(holder, event_id))
    (trace,) = answer.events
    event = good(holder.request("GET", f"/fhir/AuditEvent/{trace}")).json()
    assert event["outcome"] == "0"
    assert f"AuditEvent/{event_id}" in str(event["entity"])


def test_an_event_about_a_document_that_the_patient_can_t_see_yet_has_no_proof(
    process: Process, holder: Session
) -> None:
    published = process.session("laboratory").request(
        "POST", "/fhir", bundle(901, laboratory_document(1, label=INVISIBLE))
    )
    (hidden,) = good(published).events
    process.world.seal()
    shown = traces(holder)
    assert hidden not in str(shown)
    assert "ITI-65" not in str(shown), "nor its kind"
    unknown = hidden[:-1] + ("0" if hidden[-1] != "0" else "1")
    first, second = proof(holder, hidden), proof(holder, unknown)
    assert refused(first, 404) | {"id": ""} == refused(second, 404) | {"id": ""}
    assert INDEX_HEADER not in first.headers
    process.world.clock.advance(timedelta(days=40))  # the announcement is not awaited for ever
    later = process.session("patient")
    assert hidden in str(traces(later)) and good(proof(later, hidden))


def test_another_records_event_has_no_proof(process: Process, holder: Session) -> None:
    process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1)))
    event_id = traces(holder)[0]["resource"]["id"]
    process.world.seal()
    stranger = process.session("other-patient")
    unknown = event_id[:-1] + ("0" if event_id[-1] != "0" else "1")
    outcomes = [refused(proof(stranger, one), 404) | {"id": ""} for one in (event_id, unknown, "x")]
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("actor", ["hospital-physician", "laboratory", "insurer"])
def test_nobody_else_gets_proofs(process: Process, holder: Session, actor: str) -> None:
    event_id = traces(holder)[0]["resource"]["id"]
    process.world.seal()
    refused(proof(process.session(actor), event_id), 403)


def test_a_proof_is_to_be_had_in_its_own_form_only(process: Process, holder: Session) -> None:
    process.world.seal()
    event_id = traces(holder)[-1]["resource"]["id"]
    for accepted in ("text/plain", "text/*", "*/*"):
        good(proof(holder, event_id, {"Accept": accepted}))
    refused(proof(holder, event_id, {"Accept": "application/fhir+json"}), 406)


def test_events_of_years_ago_are_found_without_a_period(process: Process, holder: Session) -> None:
    first = traces(holder)
    process.world.seal()
    process.world.clock.advance(timedelta(days=2000))
    later = process.session("patient")
    shown = [entry["resource"]["id"] for entry in traces(later)]
    assert set(shown) > {entry["resource"]["id"] for entry in first}
    assert shown == sorted(shown, reverse=True)
    old = first[-1]["resource"]["recorded"]
    assert [entry["resource"]["recorded"] for entry in traces(later, f"&date={old}")][-1] == old
    assert traces(later, "&date=ge2999-01-01") == []
    assert traces(later, "&date=lt2020-01-01") == []


def test_a_filter_that_few_pass_gives_short_pages_and_loses_nothing(
    process: Process, holder: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sceau.http.traces.MOST_OPENED", 20)
    wanted = good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1)))).events
    for _ in range(50):
        holder.request("GET", "/fhir/Consent")
        process.world.clock.advance(timedelta(milliseconds=5))
    process.world.seal()
    found: list[str] = []
    target: str | None = "/fhir/AuditEvent?subtype=ITI-65&_count=10"
    pages = 0
    while target:
        page = good(holder.request("GET", target)).json()
        found += [entry["resource"]["id"] for entry in page.get("entry", ())]
        links = {link["relation"]: link["url"] for link in page["link"]}
        target = links.get("next", "").removeprefix("https://localhost:8443") or None
        pages += 1
    assert found == wanted
    assert pages == 3, "each opened 20 events at most, and the last one the rest"


def test_an_event_that_is_gone_is_told_and_hides_no_other(process: Process, holder: Session) -> None:
    before = traces(holder)
    process.world.seal()
    process.world.clock.advance(timedelta(hours=1))
    holder = process.session("patient")
    gone = before[-1]["resource"]["id"]
    record = holder.token.record_id
    assert record is not None
    del process.world.memory._entries[event_name(record, gone)]  # as who breaks the store's locks does
    answer = good(holder.request("GET", "/fhir/AuditEvent?_count=200")).json()
    outcome = answer["entry"][-1]
    assert outcome["search"] == {"mode": "outcome"}
    assert [issue["diagnostics"] for issue in outcome["resource"]["issue"]] == [f"event {gone} was logged, and is gone"]
    assert {one["resource"]["id"] for one in before} - {gone} <= {one["resource"]["id"] for one in answer["entry"][:-1]}
    refused(proof(holder, gone), 404)


def test_an_event_that_was_changed_has_no_proof(process: Process, holder: Session) -> None:
    event_id = traces(holder)[-1]["resource"]["id"]
    process.world.seal()
    memory = process.world.memory
    tile = next(name for name in memory.list(f"{LOG}tile/entries/"))
    kept = memory.read(tile)
    level = next(name for name in memory.list(f"{LOG}tile/0/"))
    hashes = memory.read(level)
    memory._entries[level] = memory._entries[level].__class__(
        bytes(len(hashes.data)), hashes.tag, None, process.world.clock()
    )
    answer = proof(holder, event_id)
    # Either the path no longer leads to the root, or it was not needed: one event alone is its own root.
    refused(answer, 500)
    assert re.search("integrity", answer.data.decode())
    assert kept.data == memory.read(tile).data


@pytest.mark.parametrize("name", [CHECKPOINT, f"{LOG}pending"])
def test_a_log_that_can_t_be_read_gives_503_and_nothing_else(process: Process, holder: Session, name: str) -> None:
    event_id = traces(holder)[-1]["resource"]["id"]
    process.world.seal()
    process.store.faults = lambda call: Fault.FAILS if call.name == name else None
    refused(proof(holder, event_id), 503)
    process.store.faults = on(StoreOperation.LIST, RECORDS + str(holder.token.record_id) + "/")
    refused(holder.request("GET", "/fhir/AuditEvent"), 503)


def test_a_write_that_did_not_happen_is_told_beside_its_place(process: Process, holder: Session) -> None:
    process.store.faults = on(StoreOperation.REPLACE)
    failed = process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1)))
    assert failed.status == 503
    process.store.faults = lambda call: None
    process.world.seal()
    about = {entry["resource"]["id"]: entry for entry in traces(holder, "&subtype=ITI-65&outcome=0")}
    (entry,) = about.values()
    assert said(entry, COMPLETED) == {"url": COMPLETED, "valueBoolean": False}
    assert said(entry, INCLUSION)
