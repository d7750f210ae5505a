"""TD3.3 over the whole service in process: who may mask, show, archive and delete, what each version says, and what a
refusal leaves: everything as it was, byte for byte, and one event more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.inprocess import Process, Response, Session, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import STRUCTURES
from sceau.fhir import codes
from sceau.fhir.rules import IS_ARCHIVED
from sceau_schemas.dossier import EntryRow
from unit.faults.whole import read_whole
from unit.http.published import (
    PATIENT,
    URI,
    Json,
    bundle,
    good,
    hospital_document,
    laboratory_document,
    locations,
    matches,
    opened,
    search,
    uid,
)

PATCH = {"Content-Type": "application/json-patch+json"}
LABORATORY, PHYSICIAN, HOLDER = "laboratory", "hospital-physician", "patient"
ARCHIVE = f"/extension[url:'{IS_ARCHIVED}']/valueBoolean"


def concept(code: str) -> Json:
    return {"coding": [{"system": codes.TRE_A08 if code in "NRV" else codes.TRE_A07, "code": code}]}


def labelled(code: str) -> list[Json]:
    """The guide's body."""
    return [{"op": "replace", "path": "/securityLabel/0", "value": concept(code)}]


def archived(value: bool) -> list[Json]:
    return [{"op": "replace", "path": ARCHIVE, "value": value}]


DELETION = [{"op": "replace", "path": "/status", "value": "entered-in-error"}]


@dataclass
class Stand:
    """A record with document 1 of the laboratory and document 2 of the hospital, and a session for each caller."""

    process: Process
    ids: dict[int, str]
    sessions: dict[str, Session] = field(default_factory=dict)

    def as_(self, actor: str) -> Session:
        if actor not in self.sessions:
            self.sessions[actor] = self.process.session(actor)
        return self.sessions[actor]

    def patch(self, actor: str, number: int, body: Any, **headers: str) -> Response:
        target = f"/fhir/DocumentReference/{self.ids[number]}"
        return self.as_(actor).request("PATCH", target, body, PATCH | headers)

    def by_identifier(self, actor: str, value: str, body: Any, *more: tuple[str, str]) -> Response:
        pairs = "".join(f"&{name}={quote(text)}" for name, text in more)
        target = f"/fhir/DocumentReference?identifier={quote(f'{URI}|{value}')}{pairs}"
        return self.as_(actor).request("PATCH", target, body, PATCH)

    def read(self, actor: str, number: int, rest: str = "") -> Response:
        return self.as_(actor).request("GET", f"/fhir/DocumentReference/{self.ids[number]}{rest}")

    def row(self, number: int) -> EntryRow:
        dossier = read_whole(self.process.world).the_record()
        assert dossier is not None
        row = dossier.entries.row(self.ids[number].partition(".")[2])
        assert row is not None
        return row

    def labels(self, number: int) -> list[str]:
        return [label.code for label in self.row(number).now.labels]

    def records(self) -> dict[str, bytes]:
        memory = self.process.world.memory
        return {name: memory.read(name).data for name in memory.list("records/")}

    def events(self) -> set[str]:
        return set(self.process.world.memory.list("journal/events/"))

    @contextmanager
    def refused(self, status: int, reason: str | None = None) -> Iterator[list[Response]]:
        """What is asked inside is refused, leaves every record as it is, and one event of the refusal for each."""
        answers: list[Response] = []
        records, events = self.records(), self.events()
        yield answers
        assert self.records() == records
        for answer in answers:
            assert answer.status == status, answer.data
            (event,) = answer.events
            if reason is not None:
                whole = read_whole(self.process.world)
                assert (whole.events[event].outcome, whole.events[event].outcome_desc) == ("4", reason)
        assert len(self.events() - events) >= len(answers)


@pytest.fixture(scope="module")
def full() -> tuple[World, dict[int, str]]:
    process = opened()
    laboratory, physician = process.session(LABORATORY), process.session(PHYSICIAN)
    (one,) = locations(laboratory.request("POST", "/fhir", bundle(901, laboratory_document(1))), "DocumentReference")
    (two,) = locations(physician.request("POST", "/fhir", bundle(902, hospital_document(2))), "DocumentReference")
    return process.world, {1: one, 2: two}


@pytest.fixture
def stand(full: tuple[World, dict[int, str]]) -> Stand:
    return Stand(Process(full[0].copy()), full[1])


# TD3.3a: masking


def test_the_patient_hides_a_document_and_shows_it_again(stand: Stand) -> None:
    good(stand.read(PHYSICIAN, 1))
    answer = stand.patch(HOLDER, 1, labelled("MASQUE_PS"))
    assert answer.status == 200
    assert [one["coding"][0]["code"] for one in answer.json()["securityLabel"]] == ["MASQUE_PS"]
    assert answer.json()["meta"]["versionId"] == "2"
    assert answer.headers.get("ETag") == 'W/"2"'
    assert answer.headers.get("Last-Modified")
    assert stand.read(PHYSICIAN, 1).status == 404
    assert search(stand.as_(PHYSICIAN), "DocumentReference").json()["total"] == 1
    assert stand.read(HOLDER, 1).json() == answer.json()
    good(stand.patch(HOLDER, 1, labelled("N")))
    assert stand.read(PHYSICIAN, 1).json()["meta"]["versionId"] == "3"


def test_a_physician_masks_at_the_patients_wish_and_no_longer_sees_it(stand: Stand) -> None:
    assert stand.patch(PHYSICIAN, 1, labelled("MASQUE_PS")).status == 200
    assert stand.read(PHYSICIAN, 1).status == 404
    with stand.refused(404, "denied.unknown") as answers:
        answers.append(stand.patch(PHYSICIAN, 1, labelled("N")))


def test_the_author_sees_what_is_masked_and_may_unmask_it(stand: Stand) -> None:
    good(stand.patch(HOLDER, 2, labelled("MASQUE_PS")))
    good(stand.read(PHYSICIAN, 2))
    good(stand.patch(PHYSICIAN, 2, labelled("N")))
    assert stand.labels(2) == ["N"]


def test_software_masks_what_it_deposited_and_learns_nothing_of_what_the_patient_did(stand: Stand) -> None:
    """The answer is the same whether the document was masked, archived or neither: no version, no label, no ETag."""
    plain = stand.patch(LABORATORY, 1, labelled("N"))
    assert (plain.status, stand.labels(1)) == (200, ["N"])
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    good(stand.patch(PHYSICIAN, 2, archived(True)))
    masked = stand.patch(LABORATORY, 1, labelled("N"))
    again = stand.patch(LABORATORY, 1, labelled("MASQUE_PS"))
    assert plain.json() == masked.json() == again.json()
    assert {"securityLabel", "extension"}.isdisjoint(plain.json())
    assert "versionId" not in plain.json()["meta"]
    for answer in (plain, masked, again):
        assert {"ETag", "Last-Modified"}.isdisjoint(answer.headers)
    assert stand.labels(1) == ["MASQUE_PS"]
    with stand.refused(400) as answers:
        answers.append(stand.patch(LABORATORY, 1, labelled("MASQUE_PS"), **{"If-Match": 'W/"1"'}))


def test_software_does_not_know_of_what_others_deposited(stand: Stand) -> None:
    with stand.refused(404, "denied.unknown") as answers:
        answers.append(stand.patch(LABORATORY, 2, labelled("MASQUE_PS")))
        answers.append(stand.patch(LABORATORY, 2, DELETION))
        answers.append(stand.by_identifier(LABORATORY, uid(2), DELETION, PATIENT))


def test_the_insurer_and_a_physician_without_consent_mask_nothing(stand: Stand) -> None:
    with stand.refused(403) as answers:
        answers.append(stand.patch("insurer", 1, labelled("MASQUE_PS")))
        answers.append(stand.patch("other-physician", 1, [{"op": "remove", "path": "/securityLabel/0"}]))


# TD3.3b: what awaits its announcement


def deposited(stand: Stand, number: int, *codes_: str) -> str:
    """A document of the laboratory with these labels."""
    document = laboratory_document(number)
    body = bundle(900 + number, document)
    body["entry"][1]["resource"]["securityLabel"] = [concept(code) for code in codes_]
    (own_id,) = locations(stand.as_(LABORATORY).request("POST", "/fhir", body), "DocumentReference")
    stand.ids[number] = own_id
    return own_id


def test_a_result_that_awaits_its_announcement_is_hidden_from_the_patient_alone(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    assert stand.read(HOLDER, 5).status == 404
    found = stand.read(PHYSICIAN, 5)
    assert found.json()["meta"]["tag"] == [
        {
            "system": "urn:sceau:fhir:caution",
            "code": "not-yet-told",
            "display": "the patient can't see this document yet: its announcement is awaited",
        }
    ]
    raw = stand.as_(PHYSICIAN).request("GET", f"/fhir/Binary/{stand.ids[5]}", headers={"Accept": "*/*"})
    assert raw.headers.get("Sceau-Caution") == "not-yet-told"
    listed = [one for one in matches(search(stand.as_(PHYSICIAN), "DocumentReference")) if one["id"] == stand.ids[5]]
    assert listed == [found.json()]


def test_a_physician_shows_it_after_the_announcement_and_the_warning_goes(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    shown = stand.patch(PHYSICIAN, 5, labelled("N"))
    assert "tag" not in shown.json()["meta"]
    good(stand.read(HOLDER, 5))
    raw = stand.as_(PHYSICIAN).request("GET", f"/fhir/Binary/{stand.ids[5]}", headers={"Accept": "*/*"})
    assert raw.headers.get("Sceau-Caution") is None


def test_it_shows_itself_a_month_after_the_deposit(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    start = stand.process.world.clock.now  # 2 March: a month later is 2 April
    for days, status in ((14, 404), (30, 404), (31, 200)):
        stand.process.world.clock.now = start + timedelta(days=days)
        stand.sessions.clear()
        assert stand.read(HOLDER, 5).status == status


def test_the_software_that_deposited_it_may_show_it(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    good(stand.patch(LABORATORY, 5, labelled("N")))
    good(stand.read(HOLDER, 5))


@pytest.mark.parametrize("code", ["INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"])
@pytest.mark.parametrize("actor", [HOLDER, PHYSICIAN, LABORATORY])
def test_nothing_is_hidden_afterwards(stand: Stand, actor: str, code: str) -> None:
    with stand.refused(422, "denied.rehiding") as answers:
        answers.append(stand.patch(actor, 1, labelled(code)))


def test_a_mask_over_what_awaits_its_announcement_is_refused(stand: Stand) -> None:
    deposited(stand, 5, "INVISIBLE_PATIENT")
    add = [{"op": "add", "path": "/securityLabel/-", "value": concept("MASQUE_PS")}]
    with stand.refused(422, "denied.labels-together") as answers:
        answers.append(stand.patch(PHYSICIAN, 5, add))
        answers.append(stand.patch(LABORATORY, 5, labelled("MASQUE_PS")))
    # In place of it is another thing: it is shown to the patient, and masked to professionals.
    good(stand.patch(PHYSICIAN, 5, labelled("MASQUE_PS")))
    assert stand.labels(5) == ["MASQUE_PS"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("MASQUE_PS", "INVISIBLE_PATIENT"), "denied.labels-together"),
        (("INVISIBLE_REPRESENTANTS_LEGAUX",), "denied.not-minor"),
    ],
)
def test_labels_that_can_not_be_deposited(stand: Stand, labels: tuple[str, ...], reason: str) -> None:
    body = bundle(905, laboratory_document(5))
    body["entry"][1]["resource"]["securityLabel"] = [concept(code) for code in labels]
    with stand.refused(422, reason) as answers:
        answers.append(stand.as_(LABORATORY).request("POST", "/fhir", body))


# TD3.3c: deletion


def test_the_author_deletes_and_it_is_never_returned_again(stand: Stand) -> None:
    answer = stand.patch(PHYSICIAN, 2, DELETION)
    assert (answer.status, answer.json()["status"]) == (200, "entered-in-error")
    for actor in (PHYSICIAN, HOLDER):
        assert stand.read(actor, 2).status == 404
        assert stand.read(actor, 2, "/_history").status == 404
        assert stand.ids[2] not in [one["id"] for one in matches(search(stand.as_(actor), "DocumentReference"))]
    with stand.refused(404) as answers:
        answers.append(stand.patch(PHYSICIAN, 2, labelled("MASQUE_PS")))
        answers.append(stand.patch(PHYSICIAN, 2, DELETION + labelled("MASQUE_PS")))
        answers.append(stand.patch(HOLDER, 2, DELETION))


def test_the_same_deletion_again_is_answered_as_the_first_time(stand: Stand) -> None:
    asked: tuple[Callable[[], Response], ...] = (
        lambda: stand.patch(PHYSICIAN, 2, DELETION),
        lambda: stand.by_identifier(LABORATORY, uid(1), DELETION, PATIENT),
    )
    for ask in asked:
        first, records = ask(), stand.records()
        again = ask()
        assert (first.status, again.status) == (200, 200)
        assert first.json() == again.json()
        assert stand.records() == records


def test_software_deletes_what_it_deposited_without_any_authorisation(stand: Stand) -> None:
    answer = stand.by_identifier(LABORATORY, uid(1), DELETION, PATIENT)
    assert answer.status == 200
    assert stand.row(1).now.status == "entered-in-error"


@pytest.mark.parametrize("actor", [HOLDER, PHYSICIAN])
def test_who_sees_it_and_is_not_its_author_is_told_so(stand: Stand, actor: str) -> None:
    with stand.refused(403, "denied.not-author") as answers:
        answers.append(stand.patch(actor, 1, DELETION))


def test_who_does_not_see_it_is_told_that_there_is_none(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    with stand.refused(404, "denied.unknown") as answers:
        answers.append(stand.patch(PHYSICIAN, 1, DELETION))


# TD3.3d: the archive


def test_a_physician_archives_and_brings_back(stand: Stand) -> None:
    answer = stand.patch(PHYSICIAN, 1, archived(True))
    assert answer.json()["extension"][-1] == {"url": IS_ARCHIVED, "valueBoolean": True}
    found = search(stand.as_(PHYSICIAN), "DocumentReference")
    assert stand.ids[1] not in [one["id"] for one in matches(found)]
    asked = search(stand.as_(PHYSICIAN), "DocumentReference", ("isArchived", "true"))
    assert [one["id"] for one in matches(asked)] == [stand.ids[1]]
    number = len(answer.json()["extension"]) - 1
    back = [{"op": "replace", "path": f"/extension/{number}/valueBoolean", "value": False}]
    assert stand.patch(PHYSICIAN, 1, back).json()["extension"][-1]["valueBoolean"] is False
    with stand.refused(422) as answers:
        wrong = [{"op": "replace", "path": f"/extension/{number + 1}/valueBoolean", "value": False}]
        answers.append(stand.patch(PHYSICIAN, 1, wrong))


def test_a_patient_does_not_archive(stand: Stand) -> None:
    with stand.refused(403, "denied.actor") as answers:
        answers.append(stand.patch(HOLDER, 1, archived(True)))


# Versions


def test_each_change_makes_a_version_and_all_are_read_by_whoever_sees_the_entry_now(stand: Stand) -> None:
    good(stand.patch(HOLDER, 2, labelled("MASQUE_PS")))
    good(stand.patch(PHYSICIAN, 2, archived(True)))
    good(stand.patch(HOLDER, 2, labelled("N")))
    told = stand.read(HOLDER, 2, "/_history").json()
    assert (told["type"], told["total"]) == ("history", 4)
    seen = [
        (
            one["resource"]["meta"]["versionId"],
            one["resource"]["securityLabel"][0]["coding"][0]["code"],
            one["request"]["method"],
            one["response"]["etag"],
        )
        for one in told["entry"]
    ]
    assert seen == [
        ("4", "N", "PATCH", 'W/"4"'),
        ("3", "MASQUE_PS", "PATCH", 'W/"3"'),
        ("2", "MASQUE_PS", "PATCH", 'W/"2"'),
        ("1", "N", "POST", 'W/"1"'),
    ]
    for entry in told["entry"]:
        version = entry["resource"]["meta"]["versionId"]
        answer = stand.read(PHYSICIAN, 2, f"/_history/{version}")
        assert answer.json() == entry["resource"]
        assert answer.headers.get("ETag") == f'W/"{version}"'
    for unknown in ("5", "0", "01", "x"):
        assert stand.read(HOLDER, 2, f"/_history/{unknown}").status == 404


def test_history_is_not_for_whom_the_entry_is_not(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    for rest in ("/_history", "/_history/1"):
        assert stand.read(PHYSICIAN, 1, rest).status == 404
        assert stand.read(LABORATORY, 1, rest).status == 403


def test_the_same_patch_again_changes_nothing_and_is_traced(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    records = stand.records()
    again = stand.patch(HOLDER, 1, labelled("MASQUE_PS"))
    assert (again.status, again.json()["meta"]["versionId"]) == (200, "2")
    assert stand.records() == records
    (event,) = again.events
    assert read_whole(stand.process.world).events[event].outcome_desc == "repeated"


def test_a_version_that_is_not_the_present_one_changes_nothing(stand: Stand) -> None:
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS"), **{"If-Match": 'W/"1"'}))
    with stand.refused(412) as answers:
        answers.append(stand.patch(HOLDER, 1, labelled("N"), **{"If-Match": 'W/"1"'}))
    good(stand.patch(HOLDER, 1, labelled("N"), **{"If-Match": 'W/"7", W/"2"'}))


# Which entry is meant


def test_by_business_identifier_and_by_entry_uuid(stand: Stand) -> None:
    good(stand.by_identifier(HOLDER, uid(1), labelled("MASQUE_PS")))
    uuid = stand.read(HOLDER, 1).json()["identifier"][0]["value"]
    good(stand.by_identifier(HOLDER, uuid, labelled("N")))
    assert [version.version for version in (*stand.row(1).earlier, stand.row(1).now)] == [1, 2, 3]


@pytest.mark.parametrize("value", [uid(77), "urn:uuid:00000000-0000-4000-8000-000000000000"])
def test_an_identifier_that_nothing_has(stand: Stand, value: str) -> None:
    with stand.refused(404, "denied.unknown") as answers:
        answers.append(stand.by_identifier(HOLDER, value, labelled("N")))


@pytest.mark.parametrize(
    "query",
    ["", "?status=current", f"?identifier={uid(1)}&status=current", "?_id=x", f"?identifier={uid(1)}&unknown=1"],
)
def test_a_condition_that_is_not_an_identifier_alone(stand: Stand, query: str) -> None:
    with stand.refused(400) as answers:
        answers.append(stand.as_(HOLDER).request("PATCH", f"/fhir/DocumentReference{query}", labelled("N"), PATCH))


def test_a_condition_that_several_entries_meet(stand: Stand) -> None:
    """Software chose the values: under two systems one value may stand twice, and it does not say which system."""
    for number, system in ((6, "urn:oid:1.2.3"), (7, "urn:oid:1.2.4")):
        body = bundle(900 + number, laboratory_document(number))
        body["entry"][1]["resource"]["masterIdentifier"] = {"system": system, "value": "same"}
        good(stand.as_(LABORATORY).request("POST", "/fhir", body))
    with stand.refused(412) as answers:
        answers.append(
            stand.as_(HOLDER).request("PATCH", "/fhir/DocumentReference?identifier=same", labelled("N"), PATCH)
        )


def test_software_whose_token_names_no_patient_says_whose_document_it_means(stand: Stand) -> None:
    with stand.refused(400) as answers:
        answers.append(stand.by_identifier(LABORATORY, uid(1), labelled("MASQUE_PS")))
    good(stand.by_identifier(LABORATORY, uid(1), labelled("MASQUE_PS"), PATIENT))


def test_another_patients_document_is_unknown(stand: Stand) -> None:
    """Basile has no record of his own: that is all he is told, and by the patient's INS he finds nothing."""
    with stand.refused(403, "denied.no-record") as answers:
        answers.append(stand.patch("other-patient", 1, labelled("MASQUE_PS")))
    with stand.refused(404, "denied.other-record") as answers:
        answers.append(stand.by_identifier("other-patient", uid(1), labelled("MASQUE_PS"), PATIENT))


# Bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([{"op": "replace", "path": "/type", "value": concept("N")}], 405),
        ([{"op": "replace", "path": "/status", "value": "current"}], 422),
        ([{"op": "replace", "path": "/securityLabel/9", "value": concept("MASQUE_PS")}], 422),
        (b"[", 400),
        ({"resourceType": "Parameters"}, 400),
    ],
)
def test_a_body_that_can_not_be_used_changes_nothing(stand: Stand, body: Any, status: int) -> None:
    with stand.refused(status) as answers:
        answers.append(stand.patch(HOLDER, 1, body))
        if status == 405:
            assert answers[0].headers.get("Allow") == "GET, PATCH"


def test_other_media_types(stand: Stand) -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "replace"},
                    {"name": "path", "valueString": "DocumentReference.securityLabel[0]"},
                    {"name": "value", "valueCodeableConcept": concept("MASQUE_PS")},
                ],
            }
        ],
    }
    good(stand.patch(HOLDER, 1, parameters, **{"Content-Type": "application/fhir+json"}))
    assert stand.labels(1) == ["MASQUE_PS"]
    with stand.refused(415) as answers:
        for media_type in ("application/xml-patch+xml", "application/merge-patch+json", "text/plain"):
            answers.append(stand.patch(HOLDER, 1, labelled("N"), **{"Content-Type": media_type}))
    with stand.refused(406) as answers:
        answers.append(stand.patch(HOLDER, 1, labelled("N"), Accept="application/fhir+xml"))


# What else a repetition or another document could tell


def test_a_repeated_publication_answers_as_the_first_time_did(stand: Stand) -> None:
    """The laboratory sends it again, after the patient masked it: it must not learn that."""
    body = bundle(901, laboratory_document(1))
    prefer = {"Prefer": "return=representation"}
    before = stand.as_(LABORATORY).request("POST", "/fhir", body, prefer)
    good(stand.patch(HOLDER, 1, labelled("MASQUE_PS")))
    after = stand.as_(LABORATORY).request("POST", "/fhir", body, prefer)
    assert before.status == after.status == 200
    assert json.loads(before.data) == json.loads(after.data)


def test_a_document_does_not_name_what_it_replaced_to_whom_may_not_know_of_that(stand: Stand) -> None:
    newer = hospital_document(8, replaces=stand.ids[2])
    made = locations(stand.as_(PHYSICIAN).request("POST", "/fhir", bundle(908, newer)), "DocumentReference")
    (stand.ids[8],) = set(made) - {stand.ids[2]}
    grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["practice"])
    good(stand.as_(HOLDER).request("POST", "/fhir/Consent", grant))
    practitioner, relation = "general-practitioner", ("relatesto", f"DocumentReference/{stand.ids[2]}")
    named = f"DocumentReference/{stand.ids[2]}"
    assert stand.read(practitioner, 8).json()["relatesTo"][0]["target"]["reference"] == named
    assert search(stand.as_(practitioner), "DocumentReference", relation).json()["total"] == 1
    good(stand.patch(HOLDER, 2, labelled("MASQUE_PS")))
    assert "relatesTo" not in stand.read(practitioner, 8).json()
    assert search(stand.as_(practitioner), "DocumentReference", relation).json()["total"] == 0
    for actor in (HOLDER, PHYSICIAN):
        assert stand.read(actor, 8).json()["relatesTo"][0]["target"]["reference"] == named
        assert search(stand.as_(actor), "DocumentReference", relation).json()["total"] == 1


def test_every_event_of_a_change_names_the_entry_and_its_version(stand: Stand) -> None:
    answer = stand.patch(HOLDER, 1, labelled("MASQUE_PS"))
    (event,) = answer.events
    found = stand.as_(HOLDER).request("GET", f"/fhir/AuditEvent/{event}").json()
    assert found["action"] == "U"
    assert [one["code"] for one in found["subtype"]] == ["patch"]
    named = [one for one in found["entity"] if one["what"].get("reference", "").startswith("DocumentReference/")]
    assert [one["what"]["reference"] for one in named] == [f"DocumentReference/{stand.ids[1]}/_history/2"]
    assert named[0]["securityLabel"][0]["code"] == "MASQUE_PS"
