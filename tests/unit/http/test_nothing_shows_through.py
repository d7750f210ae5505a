"""Two records that differ only in what a caller may not see answer that caller alike: byte for byte, page by page.

The second is a copy of the first into which documents came that the caller may not know of, one of them into a folder
that the caller sees, one into a set of its own, one as the replacement of another hidden one, and some as replacements
of what the caller sees: of a document that itself replaces one, and of one that is changed afterwards.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.inprocess import Process, Response, Session, World
from sceau.cli import bodies
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES
from sceau.records.ids import entry_uuid
from unit.http.published import (
    FORM,
    PATIENT,
    URI,
    Json,
    bundle,
    folder,
    good,
    laboratory_document,
    locations,
    opened,
    uid,
)
from unit.http.test_own_documents import KEPT, coded, consultation
from unit.http.test_patching import PATCH, archived, labelled

OWN = {"x-request-id", "sceau-trace", "dpop-nonce"}

SEARCHES = (
    "",
    "_summary=count",
    "_count=1",
    "_count=2&_sort=date",
    "_sort=-_lastUpdated,type",
    "status=current",
    "status=superseded",
    "status=superseded&_summary=count",
    "status=current,superseded&_count=1",
    "_sort=_lastUpdated&_count=1",
    "_lastUpdated=ge2026-03-02T09:30:05Z",
    "_lastUpdated=lt2026-03-02T09:30:05Z&_summary=count",
    "type=11502-2",
    "type=11490-0,11502-2&period=ge2026-01-01",
    "category=10",
    "security-label=MASQUE_PS",
    "security-label=INVISIBLE_PATIENT",
    "security-label=INVISIBLE_REPRESENTANTS_LEGAUX",
    "security-label:not=N",
    "isArchived=true",
    "isArchived=true&status=superseded",
    "date=ge2026-01-01",
    "_lastUpdated=ge2026-03-02",
    "creation=le2026-12-31",
    "author.family=mod",
    "event:missing=true",
    f"identifier={quote(f'{URI}|{uid(5)}')}",
    f"identifier={quote(uid(6))}",
    f"identifier={quote(f'{URI}|{uid(1)}')}",
    "related:missing=true",
)
LISTS = ("code=submissionset", "code=folder", "code=submissionset&_count=1", "code=submissionset&_summary=count")


def told(answer: Response) -> tuple[int, dict[str, str], Any]:
    """An answer without what is its own each time: request id, event, nonce, and the sealed names of pages."""
    headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in OWN}
    headers.pop("content-length", None)
    body = answer.data.replace((answer.headers.get("X-Request-Id") or "-").encode(), b"-")
    if headers.get("content-type") != "application/fhir+json":
        return answer.status, headers, body
    parsed: Json = json.loads(body)
    for link in parsed.get("link", ()):
        link["url"] = link["url"].partition("page=")[0]
    return answer.status, headers, parsed


def pages(session: Session, target: str) -> Iterator[Response]:
    """An answer, and those of all pages that follow it."""
    answer = session.request("GET", target)
    yield answer
    while answer.status == 200:
        following = [one["url"] for one in answer.json().get("link", ()) if one["relation"] == "next"]
        if not following:
            return
        answer = session.request("GET", following[0])
        yield answer


def questions(patient: str, entries: list[str], sets: list[str], hidden: list[str]) -> list[str]:
    """Everything that is asked by GET, of a record with these entries and sets; `hidden`: ids that are in one only."""
    found = [f"/fhir/DocumentReference?patient={patient}&{query}" for query in SEARCHES]
    found += [f"/fhir/List?patient={patient}&{query}" for query in LISTS]
    found += [
        f"/fhir/DocumentReference?patient={patient}&relatesto=DocumentReference/{one}" for one in entries + hidden
    ]
    found += [f"/fhir/DocumentReference?patient={patient}&_id={','.join(entries + hidden)}"]
    for own_id in entries + hidden:
        found += [f"/fhir/DocumentReference/{own_id}", f"/fhir/DocumentReference/{own_id}/_history"]
        found += [f"/fhir/DocumentReference/{own_id}/_history/{version}" for version in (1, 2, 3)]
        found += [f"/fhir/Binary/{own_id}"]
    found += [f"/fhir/List/{one}" for one in sets]
    found += [patient and f"/fhir/{patient}", "/fhir/Consent"]
    return found


class Pair:
    """Two processes on two records; each question is asked of both, at the same moments."""

    def __init__(self, plain: World, richer: World, actor: str, patient: str) -> None:
        self.processes = (Process(plain), Process(richer))
        self.sessions = tuple(one.session(actor, patient=patient) for one in self.processes)
        for session in self.sessions:  # caches are warm: calls compare from here on
            session.request("GET", "/fhir/Patient/nothing")
            session.request("GET", "/fhir/List/nothing")

    def calls(self) -> list[Any]:
        """How often store and key service were asked since the last time, by what for."""
        counted = []
        for process in self.processes:
            store = [(call.operation, call.name.partition("/")[0]) for call in process.store.calls]
            keys = [(call.operation, call.key) for call in process.keys.calls]
            counted.append((store, keys))
            process.store.calls.clear()
            process.keys.calls.clear()
        return counted


def publish(process: Process, actor: str, body: Json) -> list[str]:
    return locations(process.session(actor).request("POST", "/fhir", body), "DocumentReference")


def labelled_with(body: Json, *labels: str) -> Json:
    for entry in body["entry"]:
        if entry["resource"]["resourceType"] == "DocumentReference" and labels:
            entry["resource"]["securityLabel"] = [coded(label) for label in labels]
    return body


def two_records(label: str) -> tuple[World, World, dict[str, list[str]]]:
    """A record with visible sets and a folder, and its copy with five more documents that carry `label`.

    Two of them replace visible ones, one of which is then changed, in both records. Of the copy, a physician has also
    asked for the sets and the folder that hold nothing else.
    """
    process = opened()
    first = process.session("laboratory").request(
        "POST",
        "/fhir",
        bundle(901, laboratory_document(1), laboratory_document(2, "discharge-letter"), folders=(folder(80, 1),)),
    )
    entries, lists = locations(first, "DocumentReference"), locations(first, "List")
    entries += publish(process, "laboratory", bundle(903, laboratory_document(3, replaces=entries[0])))
    entries = list(dict.fromkeys(entries))
    plain = process.world
    richer = plain.copy()
    other = Process(richer)
    hidden = publish(other, "laboratory", labelled_with(bundle(905, laboratory_document(5)), label))
    body = labelled_with(
        bundle(906, laboratory_document(6), folders=(folder(80, 6, adds_to=lists[1], entries=(entries[0],)),)), label
    )
    hidden += publish(other, "laboratory", body)
    last = bundle(907, laboratory_document(7, replaces=hidden[0]), folders=(folder(81, 7),))
    answer = other.session("laboratory").request("POST", "/fhir", labelled_with(last, label))
    hidden += locations(answer, "DocumentReference")
    for world in (plain, richer):
        world.clock.advance(timedelta(seconds=10))
    for number, target in ((8, entries[1]), (9, entries[2])):
        body = labelled_with(bundle(900 + number, laboratory_document(number, replaces=target)), label)
        hidden += publish(other, "laboratory", body)
    for each in (process, other):
        each.world.clock.advance(timedelta(seconds=10))
        target = f"/fhir/DocumentReference/{entries[1]}"
        good(each.session("hospital-physician").request("PATCH", target, archived(True), PATCH))
    hidden = [one for one in hidden if one not in entries]  # an answer names what was replaced, too
    physician, _ = (one.session("hospital-physician") for one in (other, process))  # a token is told of in both
    ask_for_lists(physician, PATIENT[1], locations(answer, "List"), (uid(907), uid(81)))
    return plain, richer, {"entries": entries, "lists": lists, "hidden": list(dict.fromkeys(hidden))}


def ask_for_lists(session: Session, patient: str, own_ids: list[str], identifiers: tuple[str, ...]) -> None:
    """Every way in which sets and folders are asked for by their own names."""
    search = f"/fhir/List?patient.identifier={quote(patient)}"
    for own_id in own_ids:
        session.request("GET", f"/fhir/List/{own_id}")
        for name in (own_id, f"List/{own_id}"):
            session.request("GET", f"{search}&_id={quote(name)}")
        uuid = entry_uuid(own_id.partition(".")[2])
        session.request("GET", f"{search}&identifier={quote(f'{URI}|urn:uuid:{uuid}')}")
    for identifier in identifiers:
        for value in (f"{URI}|{identifier}", identifier, f"x,{identifier}"):
            session.request("GET", f"{search}&identifier={quote(value)}")
        form = f"patient.identifier={quote(patient)}&identifier={quote(identifier)}".encode()
        session.request("POST", "/fhir/List/_search", form, FORM)


@pytest.fixture(scope="module", params=[("hospital-physician", "MASQUE_PS"), ("patient", "INVISIBLE_PATIENT")])
def records(request: pytest.FixtureRequest) -> tuple[str, World, World, dict[str, list[str]]]:
    actor, label = request.param
    return (actor, *two_records(label))


@pytest.fixture
def pair(records: tuple[str, World, World, dict[str, list[str]]]) -> tuple[Pair, dict[str, list[str]]]:
    actor, plain, richer, names = records
    return Pair(plain.copy(), richer.copy(), actor, "dominique"), names


def test_every_answer_is_the_same(pair: tuple[Pair, dict[str, list[str]]]) -> None:
    both, names = pair
    patient = f"Patient/{names['entries'][0][:26]}"
    both.calls()
    for target in questions(patient, names["entries"], names["lists"], names["hidden"]):
        one, other = ([told(answer) for answer in pages(session, target)] for session in both.sessions)
        assert one == other, target
        first, second = both.calls()
        assert first == second, target


def test_what_the_caller_has_already_is_the_same(pair: tuple[Pair, dict[str, list[str]]]) -> None:
    both, names = pair
    for own_id, number in itertools.product(names["entries"] + names["hidden"], (1, 2, 3)):
        target, tag = f"/fhir/DocumentReference/{own_id}", f'W/"{number}"'
        for method, body, headers in (
            ("GET", None, {"If-None-Match": tag}),
            ("PATCH", labelled("R"), PATCH | {"If-Match": tag}),  # is refused: nothing changes
            ("PATCH", archived(own_id == names["entries"][1]), PATCH | {"If-Match": tag}),  # as it is
        ):
            one, other = (told(session.request(method, target, body, headers)) for session in both.sessions)
            assert one == other, (method, target, tag)


def test_by_form_too(pair: tuple[Pair, dict[str, list[str]]]) -> None:
    both, _ = pair
    for query, kind in itertools.product(SEARCHES[:8], ("DocumentReference", "List")):
        more = "&code=folder" if kind == "List" else ""
        if kind == "List" and ("type" in query or "label" in query):
            continue
        body = f"patient.identifier={quote(PATIENT[1])}{more}&{query}".encode()
        one, other = (told(session.request("POST", f"/fhir/{kind}/_search", body, FORM)) for session in both.sessions)
        assert one == other, (kind, query)


def test_the_patients_traces_are_the_same(pair: tuple[Pair, dict[str, list[str]]]) -> None:
    """But for the ids of what this test asked itself."""
    both, _ = pair
    if both.sessions[0].actor != "patient":
        pytest.skip("a professional reads no traces")
    for process in both.processes:  # what is asked from now on is not asked about
        process.world.clock.advance(timedelta(minutes=1))
    for count in (200, 2):
        one, other = (events(session, count) for session in both.sessions)
        assert one == other
        assert sum(one[0]) > 5


def test_the_patients_traces_of_what_they_ask_themselves_are_the_same(
    pair: tuple[Pair, dict[str, list[str]]],
) -> None:
    """Their reasons too: who could read there that a document is invisible would have to ask for it only."""
    both, names = pair
    if both.sessions[0].actor != "patient":
        pytest.skip("a professional reads no traces")
    patient = f"Patient/{names['entries'][0][:26]}"
    for process in both.processes:
        process.world.clock.advance(timedelta(seconds=61))
    for session in both.sessions:
        for target in questions(patient, names["entries"], names["lists"], names["hidden"]):
            session.request("GET", target)
        for own_id in names["hidden"]:
            session.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("MASQUE_PS"), PATCH)
    one, other = (asked(session, names["hidden"]) for session in both.sessions)
    assert one == other
    assert len(one) > 3 * len(names["hidden"])


def asked(session: Session, own_ids: list[str]) -> list[str]:
    """The events of what was asked for by these ids, without their own ids and times."""
    found = [
        answer.json().get("entry", []) for answer in pages(session, "/fhir/AuditEvent?date=ge2026-03-02T09:30:30Z")
    ]
    events = [one["resource"] for page in found for one in page]
    for event in events:
        event["entity"] = [one for one in event["entity"] if one["type"]["code"] != "XrequestId"]
    return sorted(
        json.dumps([one["outcome"], one.get("outcomeDesc"), one["action"], one["entity"]])
        for one in events
        if any(own_id in str(one["entity"]) for own_id in own_ids)
    )


def events(session: Session, count: int) -> tuple[list[int], list[tuple[str, str, str]]]:
    """How many events each page has; and all of them, without their ids, which are random within a millisecond."""
    before = "/fhir/AuditEvent?date=ge2026-03-01&date=lt2026-03-02T09:30:30Z"
    found = [answer.json().get("entry", []) for answer in pages(session, f"{before}&_count={count}")]
    shown = [one["resource"] for page in found for one in page]
    return [len(page) for page in found], sorted((one["recorded"], one["outcome"], one["action"]) for one in shown)


def test_a_change_of_what_is_hidden_is_answered_like_one_of_what_is_not_there(
    pair: tuple[Pair, dict[str, list[str]]],
) -> None:
    both, names = pair
    targets = [f"/fhir/DocumentReference/{one}" for one in names["hidden"]]
    targets += [f"/fhir/DocumentReference?identifier={quote(f'{URI}|{uid(number)}')}" for number in range(5, 10)]
    for target in targets:
        for body in (
            labelled("MASQUE_PS"),
            labelled("N"),
            [{"op": "replace", "path": "/status", "value": "entered-in-error"}],
        ):
            both.calls()
            one, other = (told(session.request("PATCH", target, body, PATCH)) for session in both.sessions)
            assert one == other, (target, body)
            first, second = both.calls()
            assert first == second


def test_a_status_that_comes_a_day_later_is_the_same(pair: tuple[Pair, dict[str, list[str]]]) -> None:
    both, _ = pair
    for process in both.processes:
        process.world.clock.advance(timedelta(days=1))
    sessions = [process.session(both.sessions[0].actor) for process in both.processes]
    target = f"/fhir/Patient?identifier={quote(PATIENT[1])}"
    first, second = (told(session.request("GET", target)) for session in sessions)
    assert first == second


def test_a_minors_kept_documents_do_not_show_to_the_representatives() -> None:
    dune = PATIENTS["dune"]
    process = opened(share=False)
    representative = process.session("representative")
    good(representative.request("POST", "/fhir/Consent", bodies.consent_opening(dune)))
    grant = bodies.consent_grant(dune, STRUCTURES["hospital"])
    good(representative.request("POST", "/fhir/Consent", grant))

    def deposit(number: int, *labels: str, replaces: str | None = None) -> Json:
        document = bodies.sample_document(
            "biology",
            patient=dune,
            author=AUTHORS["biologist"],
            structure=STRUCTURES["laboratory"],
            when=process.world.clock.now,
            unique_id=uid(number),
            replaces=replaces,
        )
        return labelled_with(
            bodies.provide_bundle([document], patient=dune, when=process.world.clock.now, set_id=uid(900 + number)),
            *labels,
        )

    entries = [*publish(process, "laboratory", deposit(1)), *publish(process, "laboratory", deposit(2))]
    physician = process.session("hospital-physician", patient="dune")
    shown = good(physician.request("POST", "/fhir/DocumentReference", consultation(3))).json()
    entries.append(shown["id"])
    richer = process.world.copy()
    copied = Process(richer)
    answer = copied.session("laboratory").request("POST", "/fhir", deposit(5, KEPT))
    hidden, sets = locations(answer, "DocumentReference"), locations(answer, "List")
    ins = f"{dune.ins_system}|{dune.ins_value}"
    physician, _ = (one.session("hospital-physician", patient="dune") for one in (copied, process))
    ask_for_lists(physician, ins, sets, (uid(905),))
    copied.world.clock.advance(timedelta(seconds=10))
    hidden += publish(copied, "laboratory", deposit(6, KEPT, replaces=entries[1]))
    secretly = copied.session("hospital-physician", patient="dune", secret=True)
    newer = consultation(7, KEPT)
    newer["relatesTo"] = [{"code": "replaces", "target": {"reference": f"DocumentReference/{entries[2]}"}}]
    hidden.append(good(secretly.request("POST", "/fhir/DocumentReference", newer)).json()["id"])
    hidden = [one for one in hidden if one not in entries]
    process.world.clock.advance(timedelta(seconds=10))
    both = Pair(process.world.copy(), richer, "representative", "dune")
    for world in (each.world for each in both.processes):  # what is asked from now on is not asked about
        world.clock.advance(timedelta(minutes=1))
    seen, seen_besides = (events(session, 200) for session in both.sessions)
    assert seen == seen_besides
    assert sum(seen[0]) > 3
    patient = f"Patient/{entries[0][:26]}"
    for target in questions(patient, entries, [], hidden):
        one, other = ([told(answer) for answer in pages(session, target)] for session in both.sessions)
        assert one == other, target
