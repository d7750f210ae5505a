"""ITI-81 over HTTPS: the patient reads who did what, in pages, by exact bytes; nobody reads another's traces."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from fixtures.live_world import (
    MASKED,
    Caller,
    Event,
    World,
    document_ids,
    expressions,
    found,
    hospital_document,
    ids,
    ins,
    issues,
    lab_document,
    links,
    parsed,
    submission,
    without_ids,
)
from fixtures.service import seal
from sceau.audit.log.places import VKEYS
from sceau.cli import bodies, main as command
from sceau.cli.people import HOSPITAL, LABORATORY
from sceau.cli.samples import STRUCTURES, Patient
from sceau.identity.client import HttpResponse

pytestmark = pytest.mark.xdist_group("live")

TODAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
"""The day before the tests began, so that midnight may pass."""


@dataclass(frozen=True, slots=True)
class History:
    """A record to which things happened; `acts`: the events of each, by a word for it."""

    patient: Patient
    record: str
    acts: dict[str, str]


def trace(answer: HttpResponse) -> str:
    return answer.headers["Sceau-Trace"]


@pytest.fixture(scope="module")
def history(world: World) -> History:
    patient = world.opened()
    record = world.record_id(patient)
    lab, physician = world.caller("laboratory"), world.caller("hospital-physician", patient)
    other, holder = world.caller("other-physician", patient), world.holder(patient)
    acts = {}
    grant = holder.post("/fhir/Consent", bodies.consent_grant(patient, STRUCTURES["hospital"]))
    acts["grant"] = trace(grant)
    published = lab.post("/fhir", submission(patient, lab_document(patient), lab_document(patient, "imaging")))
    own = document_ids(published)[0]
    acts["publish"] = trace(published)
    acts["repeat"] = trace(lab.post("/fhir", submission(patient, lab_document(patient))))
    acts["find"] = trace(physician.get(f"/fhir/DocumentReference?patient.identifier={quote(ins(patient))}"))
    acts["read"] = trace(physician.get(f"/fhir/DocumentReference/{own}"))
    acts["retrieve"] = trace(physician.get(f"/fhir/Binary/{own}", Accept="*/*"))
    acts["refused"] = trace(other.get(f"/fhir/Binary/{own}", Accept="*/*"))
    acts["refused software"] = trace(lab.get(f"/fhir/Binary/{own}", Accept="*/*"))
    acts["status"] = trace(other.get(f"/fhir/Patient?identifier={quote(ins(patient))}"))
    return History(patient, record, acts)


@pytest.fixture
def holder(world: World, history: History) -> Caller:
    return world.holder(history.patient)


def walk(caller: Caller, target: str) -> Iterator[HttpResponse]:
    """This page and all that follow."""
    answer = caller.get(target)
    yield answer
    while "next" in links(answer):
        answer = caller.get(links(answer)["next"])
        yield answer


def test_everything_that_happened_is_shown_as_it_rests(world: World, history: History, holder: Caller) -> None:
    before = world.events_of(history.patient)
    answer = holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=200")
    # The newest is this very query: its event rests before anything is shown.
    assert ids(answer) == [trace(answer), *sorted(before, reverse=True)]
    assert set(history.acts.values()) <= set(ids(answer))
    for event in before.values():
        assert b'"resource":' + event.data + b"}" in answer.data
    for entry in parsed(answer)["entry"]:
        assert entry["fullUrl"] == f"{world.origin}/fhir/AuditEvent/{entry['resource']['id']}"
        assert entry["search"] == {"mode": "match"}


def test_tokens_for_the_record_are_shown_too(world: World, history: History, holder: Caller) -> None:
    """Whoever asked for a token that names the patient."""
    shown = found(holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&type=110114&_count=200"))
    agents = {agent["who"]["identifier"]["value"] for one in shown for agent in one["agent"]}
    assert {"hospital", "other-hospital", "patient-app"} <= agents


def test_each_event_says_who_did_what_to_what(world: World, history: History) -> None:
    events = world.events_of(history.patient)

    def event(act: str) -> Event:
        return events[history.acts[act]]

    def named(act: str) -> set[str]:
        references = {(one.get("what") or {}).get("reference", "") for one in event(act).json["entity"]}
        return {reference.partition("/")[0] for reference in references if reference}

    assert {"laboratory", LABORATORY.value} <= event("publish").people
    assert {"hospital", HOSPITAL.value, "899700000102"} <= event("read").people
    assert {"patient-app", history.record} <= event("grant").people
    assert {"other-hospital", "899700000104"} <= event("refused").people
    assert named("publish") == {"Patient", "List", "DocumentReference"}
    assert named("retrieve") == {"Patient", "Binary"}
    assert named("read") == {"Patient", "DocumentReference"}
    assert named("grant") == {"Patient", "Consent"}
    assert named("find") == {"Patient"}
    assert (event("refused").outcome, event("refused").reason) == ("4", "denied.no-grant")
    assert (event("refused software").outcome, event("refused software").reason) == ("4", "denied.actor")
    for act in history.acts:
        assert event(act).patients == {history.record}
        for secret in (history.patient.ins_value, history.patient.birth_name, history.patient.first_names[0]):
            assert secret.encode() not in event(act).data


def test_the_newest_comes_first(history: History, holder: Caller) -> None:
    shown = ids(holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=200"))
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("count", [1, 3, 200])
def test_the_pages_hold_everything_once(world: World, count: int) -> None:
    patient = world.opened()
    holder = world.holder(patient)
    for _ in range(4):
        holder.get(f"/fhir/DocumentReference?patient={holder.record_id}")
    known = sorted(world.events_of(patient), reverse=True)
    pages = list(walk(holder, f"/fhir/AuditEvent?date=ge{TODAY}&_count={count}"))
    seen = [event for page in pages for event in ids(page)]
    # Each page is an act of its own; but for the first, they are newer than what is shown, and shift nothing.
    assert seen == [trace(pages[0]), *known]
    assert all(len(ids(page)) == count for page in pages[:-1])


def test_a_link_says_nothing_of_whose_it_is(history: History, holder: Caller) -> None:
    answer = holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&patient.identifier={quote(ins(history.patient))}&_count=2")
    for url in links(answer).values():
        assert [name for name, _ in parse_qsl(urlsplit(url).query)] == ["page"]
        assert history.patient.ins_value not in url
        assert history.record not in url
    assert links(answer).keys() == {"self", "next"}


def test_a_page_of_another_or_altered_is_400(world: World, history: History, holder: Caller) -> None:
    other = world.holder(world.opened())
    following = links(holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=2"))["next"]
    issues(other.get(following), 400)
    issues(holder.get(following + "A"), 400)
    issues(holder.get(following[:-2]), 400)
    issues(holder.get(following + "&_count=1"), 400)
    issues(holder.get(following.replace("AuditEvent", "DocumentReference")), 400)
    documents = links(holder.get(f"/fhir/DocumentReference?patient={history.record}&_count=1"))["next"]
    issues(holder.get(documents.replace("DocumentReference", "AuditEvent")), 400)
    assert holder.get(following).status == 200


# Filters


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("outcome=4", {"refused", "refused software"}),
        ("outcome=http://terminology.hl7.org/CodeSystem/audit-event-outcome|4", {"refused", "refused software"}),
        ("outcome=8", set()),
        ("subtype=ITI-65", {"publish", "repeat"}),
        ("subtype=urn:ihe:event-type-code|ITI-68", {"retrieve", "refused", "refused software"}),
        ("subtype=ITI-68&outcome=0", {"retrieve"}),
        ("subtype=ITI-67,ITI-65", {"publish", "repeat", "find"}),
        (f"agent.identifier={LABORATORY.value}", {"publish", "repeat", "refused software"}),
        (f"agent.identifier={LABORATORY.system}|{LABORATORY.value}&outcome=0", {"publish", "repeat"}),
        ("agent.identifier=urn:oid:1.2.250.1.71.4.2.1|899700000102", {"find", "read", "retrieve"}),
        ("type=rest&outcome=4", {"refused", "refused software"}),
        ("address=127.0.0.1&subtype=ITI-65", {"publish", "repeat"}),
        ("address=10.&subtype=ITI-65", set()),
    ],
)
def test_traces_are_filtered(history: History, holder: Caller, query: str, expected: set[str]) -> None:
    words = {event: act for act, event in history.acts.items()}
    shown = found(holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=200&{query}"))
    # Other tests read this record too, through its holder.
    ours = [one["id"] for one in shown if history.record not in {a["who"]["identifier"]["value"] for a in one["agent"]}]
    acts = {words[event] for event in ours if event in words}
    assert acts == expected


def test_a_filtered_search_keeps_its_filter_over_pages(history: History, holder: Caller) -> None:
    pages = list(walk(holder, f"/fhir/AuditEvent?date=ge{TODAY}&subtype=ITI-68&_count=1"))
    seen = [event for page in pages for event in ids(page)]
    assert seen == [history.acts[act] for act in ("refused software", "refused", "retrieve")]


def test_a_period_may_be_of_any_length_or_be_left_out(world: World, history: History, holder: Caller) -> None:
    now = datetime.now(UTC)
    everything = set(world.events_of(history.patient))
    for query in ("", "date=ge2020-01-01", f"date=ge{now - timedelta(days=400):%Y-%m-%d}&date=le2999-01-01"):
        pages = list(walk(holder, f"/fhir/AuditEvent?{query}&_count=200"))
        assert everything <= {event for page in pages for event in ids(page)}
    for query in ("date=le2020-01-01", "date=ge2020-01-01&date=lt2024-02-01", "date=2020", "date=ge2999-01-01"):
        assert ids(holder.get(f"/fhir/AuditEvent?{query}")) == []
    refusals = ids(holder.get("/fhir/AuditEvent?outcome=4&_count=200"))
    assert {history.acts["refused"], history.acts["refused software"]} <= set(refusals)


def test_each_event_is_proven_to_be_in_the_log_offline(
    world: World, history: History, holder: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a patient takes away, checked with the command that anyone has, and with nothing of the service."""
    seal(world.live)
    (tmp_path / "log.vkey").write_bytes(world.live.stage.store().read(VKEYS).data)
    for act in ("publish", "refused"):
        event, proof = tmp_path / f"{act}.json", tmp_path / f"{act}.tlog-proof"
        event.write_bytes(holder.get(f"/fhir/AuditEvent/{history.acts[act]}").data)
        answer = holder.get(f"/fhir/AuditEvent/{history.acts[act]}/$proof", Accept="text/plain")
        assert answer.status == 200, answer.data
        proof.write_bytes(answer.data)
        check = ["verify-proof", str(event), str(proof), "--key", str(tmp_path / "log.vkey")]
        assert command.main(check) == 0
        assert f"event {history.acts[act]} is entry {answer.headers['Sceau-Log-Index']} of " in capsys.readouterr().out
        event.write_bytes(event.read_bytes().replace(b'"outcome":"', b'"outcome": "'))
        assert command.main(check) == 1
        assert "is not the one that was logged" in capsys.readouterr().err


def test_the_search_says_where_each_event_is_in_the_log(world: World, history: History, holder: Caller) -> None:
    seal(world.live)
    answer = holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=200")
    for entry in parsed(answer)["entry"]:
        if entry["resource"]["id"] in history.acts.values():
            (inclusion,) = (one for one in entry["extension"] if one["url"] == "urn:sceau:fhir:event-inclusion")
            index, proof = inclusion["extension"]
            assert index["url"] == "index" and isinstance(index["valueDecimal"], int)
            assert proof == {"url": "proof", "valueUrl": f"{entry['fullUrl']}/$proof"}


def test_the_period_counts_to_the_millisecond(world: World, history: History, holder: Caller) -> None:
    event = world.events_of(history.patient)[history.acts["retrieve"]].json
    at = quote(event["recorded"])
    shown = {one["id"]: one["recorded"] for one in found(holder.get(f"/fhir/AuditEvent?date={at}"))}
    assert event["id"] in shown
    assert set(shown.values()) == {event["recorded"]}
    before = found(holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&date=lt{at}&_count=200"))
    assert event["id"] not in {one["id"] for one in before}
    assert all(one["recorded"] < event["recorded"] for one in before)
    after = found(holder.get(f"/fhir/AuditEvent?date=gt{at}&_count=200"))
    assert all(one["recorded"] > event["recorded"] for one in after)


@pytest.mark.parametrize("query", ["date=yesterday", "date=ge", "date=ap2026-01-01", "date=ne2026-01-01", "_count=0"])
def test_what_is_not_understood_is_400(holder: Caller, query: str) -> None:
    issues(holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&{query}"), 400)


def test_an_unknown_parameter_is_told_or_refused_when_strict(history: History, holder: Caller) -> None:
    target = f"/fhir/AuditEvent?date=ge{TODAY}&colour=red"
    (outcome,) = found(holder.get(target), "outcome")
    assert outcome["issue"][0]["expression"] == ["colour"]
    assert expressions(issues(holder.get(target, Prefer="handling=strict"), 400)) == ["colour"]


# By id


def test_an_event_by_its_id_is_the_bytes_that_the_search_showed(world: World, history: History, holder: Caller) -> None:
    shown = holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=200")
    for event_id in history.acts.values():
        answer = holder.get(f"/fhir/AuditEvent/{event_id}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/fhir+json")
        assert b'"resource":' + answer.data + b"}" in shown.data
        assert answer.data == world.events_of(history.patient)[event_id].data


def test_an_event_of_another_record_is_404_as_is_one_that_never_was(
    world: World, history: History, holder: Caller
) -> None:
    other = world.opened()
    of_other = next(iter(world.events_of(other)))
    of_none = next(name for name in world.event_names() if "/0." in name).rpartition(".")[2]
    answers = []
    for event_id in (of_other, of_none, of_other[:-1] + ("0" if of_other[-1] != "0" else "1"), "x", of_other.upper()):
        with world.refused("denied.unknown", of=history.patient):
            answer = holder.get(f"/fhir/AuditEvent/{event_id}")
        issues(answer, 404)
        answers.append(without_ids(answer))
    assert len({str(answer) for answer in answers}) == 1


def test_reading_traces_is_traced(world: World, history: History, holder: Caller) -> None:
    with world.unchanged(events=2) as since:
        holder.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=1")
        holder.get(f"/fhir/AuditEvent/{history.acts['read']}")
    assert [event.outcome for event in since.events] == ["0", "0"]
    assert {event.record_id for event in since.events} == {history.record}


# Who may not


@pytest.mark.parametrize("actor", ["hospital-physician", "other-physician", "general-practitioner"])
def test_a_professional_reads_no_traces(world: World, history: History, actor: str) -> None:
    caller = world.caller(actor, history.patient)
    for target in (f"AuditEvent?date=ge{TODAY}", f"AuditEvent/{history.acts['read']}"):
        with world.refused("denied.actor", of=history.patient):
            answer = caller.get(f"/fhir/{target}")
        issues(answer, 403)


def test_another_patient_reads_none_of_them(world: World, history: History) -> None:
    other = world.opened()
    stranger = world.holder(other)
    shown = stranger.get(f"/fhir/AuditEvent?date=ge{TODAY}&_count=200")
    assert not set(ids(shown)) & set(history.acts.values())
    assert history.record.encode() not in shown.data
    for name, value in (("patient", history.record), ("patient.identifier", quote(ins(history.patient)))):
        with world.refused("denied.other-record", of=other):
            answer = stranger.get(f"/fhir/AuditEvent?date=ge{TODAY}&{name}={value}")
        issues(answer, 404)


def test_a_patient_without_a_record_reads_what_was_tried(world: World) -> None:
    """Somebody asked for a record that nobody opened: that is the patient's to know."""
    patient = world.patient()
    answer = world.caller("laboratory").post("/fhir", submission(patient))
    assert answer.status == 403
    shown = found(world.holder(patient).get(f"/fhir/AuditEvent?date=ge{TODAY}&outcome=4"))
    assert [(one["id"], one["outcomeDesc"]) for one in shown] == [(trace(answer), "denied.no-record")]


def test_the_event_of_a_masked_document_is_shown_to_the_holder(world: World) -> None:
    patient = world.opened("hospital")
    (own,) = world.publish(patient, hospital_document(patient, label=MASKED), actor="hospital-physician")
    read = world.caller("hospital-physician", patient).get(f"/fhir/Binary/{own}", Accept="*/*")
    event = world.holder(patient).get(f"/fhir/AuditEvent/{trace(read)}")
    labels = [label["code"] for one in parsed(event)["entity"] for label in one.get("securityLabel", ())]
    assert labels == ["MASQUE_PS"]


def test_a_structures_officer_extracts_its_own_professionals_traces_as_a_table(world: World, history: History) -> None:
    officer = world.caller("security-officer")
    own = (
        f"agent.identifier={HOSPITAL.system}|{HOSPITAL.value}&agent.identifier=urn:oid:1.2.250.1.71.4.2.1|899700000102"
    )
    target, rows = f"/fhir/AuditEvent?{own}&date=ge{TODAY}&_format=text/csv", []
    while target:
        answer = officer.get(target, Accept="text/csv")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8; header=present")
        rows += list(csv.DictReader(io.StringIO(answer.data.decode(), newline="")))
        target = answer.headers.get("Link", "").partition(">")[0].removeprefix(f"<{world.origin}")
    found_events = {row["event"] for row in rows}
    assert {history.acts[act] for act in ("find", "read", "retrieve")} <= found_events
    assert found_events.isdisjoint(history.acts[act] for act in ("publish", "grant", "refused"))
    with world.refused("denied.other-structure"):
        answer = officer.get(f"/fhir/AuditEvent?agent.identifier={LABORATORY.system}|{LABORATORY.value}&date=ge{TODAY}")
    issues(answer, 403)
