"""Changes by an author who may not read: what others did to the document changes no answer; whole service in process.

Twins of one record differ only in what others did to the document, and are asked the same by the laboratory's software,
by a physician whose structure the patient did not authorise, and by a nurse whom the matrix does not let read the type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from fixtures.inprocess import Process, Response, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS as PEOPLE, PATIENTS, STRUCTURES
from unit.http.published import (
    PATIENT,
    WHEN,
    Json,
    bundle,
    good,
    hospital_document,
    laboratory_document,
    locations,
    opened,
    uid,
)
from unit.http.test_decisions_end_to_end import GP
from unit.http.test_nothing_shows_through import told
from unit.http.test_own_documents import KEPT
from unit.http.test_patching import (
    DELETION,
    HOLDER,
    LABORATORY,
    PATCH,
    PHYSICIAN,
    Stand,
    archived,
    concept,
    labelled,
)
from unit.http.test_replacing import WHOLE, nameless

NURSE, MASKED, AWAITS = "nurse", "MASQUE_PS", "INVISIBLE_PATIENT"
HIDE, SHOW = labelled(MASKED), labelled("N")

Did = tuple[tuple[str, list[Json]], ...]
"""Who patched the document, and how."""


@dataclass(frozen=True)
class Story:
    """A document as it was sent, what others did to it, and with what labels its author replaced it then, if it did."""

    sent: str
    others: tuple[Did, ...]
    replaced: str | None = None


STORIES = {
    "plain": Story("N", ((), ((HOLDER, HIDE),), ((HOLDER, HIDE), (HOLDER, SHOW)), ((GP, archived(True)),))),
    "masked": Story(MASKED, ((), ((HOLDER, SHOW),))),
    "awaiting": Story(
        AWAITS, ((), ((GP, SHOW),), ((GP, HIDE),), ((GP, SHOW), (HOLDER, HIDE)), ((GP, archived(True)),))
    ),
    "replaced": Story("N", ((), ((HOLDER, HIDE),)), replaced="N"),
    "replaced by what awaits": Story("N", ((), ((HOLDER, HIDE),)), replaced=AWAITS),
    "replaced while it awaits": Story(AWAITS, ((), ((GP, SHOW),), ((GP, HIDE),)), replaced="N"),
    "replaced and masked": Story(AWAITS, ((), ((GP, SHOW),)), replaced=MASKED),
}


def whole_list(*labels: str) -> list[Json]:
    return [{"op": "replace", "path": "/securityLabel", "value": [concept(label) for label in labels]}]


def parameters(label: str) -> Json:
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "DocumentReference.securityLabel[0]"},
        {"name": "value", "valueCodeableConcept": concept(label)},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


PATCHES: dict[str, Any] = {
    **{f"{label} first": labelled(label) for label in ("N", MASKED, AWAITS, KEPT, "R")},
    "all": whole_list(MASKED, AWAITS),
    "both": whole_list(AWAITS, KEPT),
    "none": whole_list(),
    "add": [{"op": "add", "path": "/securityLabel/-", "value": concept(MASKED)}],
    "remove": [{"op": "remove", "path": "/securityLabel/0"}],
    "second": [{"op": "remove", "path": "/securityLabel/1"}],
    "archive": archived(True),
    "bring back": archived(False),
    "numbered": [{"op": "replace", "path": "/extension/0/valueBoolean", "value": True}],
    "delete": DELETION,
    "delete and mask": DELETION + HIDE,
    "mask and archive": HIDE + archived(True),
}


LIFTING = {"N first", "none", "remove"}
"""What asks for N: that lifts what awaits its announcement, and nothing else."""
MASKING = {f"{MASKED} first", "all", "add", "delete and mask", "mask and archive"}


@pytest.fixture(scope="module")
def full() -> World:
    """Dominique's record, which the practice reads; of the hospital, the nurse's twins are read."""
    process = opened(share=False)
    grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["practice"])
    good(process.session(HOLDER).request("POST", "/fhir/Consent", grant))
    return process.world


class Twins:
    """One stand for each thing that others did. `ask` asks them all, twice, and all must answer alike."""

    def __init__(self, full: World, author: str, story: Story) -> None:
        first = Stand(Process(full.copy()), {})
        if author == NURSE:
            grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
            good(first.as_(HOLDER).request("POST", "/fhir/Consent", grant))
        self.author = author
        publish(first, author, 1, story.sent)
        self.worlds: list[tuple[World, dict[int, str]]] = []
        for did in story.others:
            stand = Stand(Process(first.process.world.copy()), dict(first.ids))
            for actor, body in did:
                good(stand.patch(actor, 1, body))
            if story.replaced is not None:
                publish(stand, author, 2, story.replaced, replaces=1)
            self.worlds.append((stand.process.world, stand.ids))

    def ask(self, ask: Callable[[Stand], Response]) -> list[tuple[set[str], Stand, Response]]:
        """Of each, the masks before, how it stands after, and the first answer."""
        found, answers = [], []
        for world, ids in self.worlds:
            stand = Stand(Process(world.copy()), dict(ids))
            before = masks(stand)
            one, again = ask(stand), ask(stand)
            found.append((before, stand, one))
            answers.append([nameless(json.dumps(told(each)), keeping=ids[1]) for each in (one, again)])
        assert all(each == answers[0] for each in answers), answers
        return found

    def patch(self, body: Any, **headers: str) -> list[tuple[set[str], Stand, Response]]:
        """The same, of a patch of the newest document by its author."""
        return self.ask(lambda stand: stand.patch(self.author, max(stand.ids), body, **headers))

    def by_identifier(self, body: Any) -> list[tuple[set[str], Stand, Response]]:
        """The same, where its business identifier names it."""
        return self.ask(lambda stand: stand.by_identifier(self.author, uid(max(stand.ids)), body, PATIENT))


def masks(stand: Stand) -> set[str]:
    """Those on the newest document."""
    return set(stand.labels(max(stand.ids))) - {"N"}


def publish(stand: Stand, author: str, number: int, label: str, *, replaces: int | None = None) -> Response:
    """The document of an author, by itself or by a colleague of the nurse's."""
    make = laboratory_document if author == LABORATORY else hospital_document
    target = None if replaces is None else stand.ids[replaces]
    body = bundle(900 + number, make(number, replaces=target))
    body["entry"][1]["resource"]["securityLabel"] = [concept(label)]
    answer = stand.as_(LABORATORY if author == LABORATORY else PHYSICIAN).request("POST", "/fhir", body, WHOLE)
    (stand.ids[number],) = set(locations(answer, "DocumentReference")) - {target}
    return answer


@pytest.mark.parametrize("author", [LABORATORY, PHYSICIAN, NURSE])
@pytest.mark.parametrize("story", STORIES)
def test_no_patch_tells_what_others_did(full: World, author: str, story: str) -> None:
    twins = Twins(full, author, STORIES[story])
    for name, body in PATCHES.items():
        for before, stand, answer in twins.patch(body):
            done = answer.status == 200
            kept = before - {AWAITS} if done and name in LIFTING else before
            assert masks(stand) == (kept | {MASKED} if done and name in MASKING else kept), name


@pytest.mark.parametrize(
    ("story", "statuses"),
    [
        ("plain", [200, 200, 200, 200, 422]),
        ("masked", [200, 200, 200, 200, 422]),
        ("replaced while it awaits", [200, 200, 200, 200, 422]),
        # What was sent to await its announcement is not masked while its month lasts; asked for again, it was there.
        ("awaiting", [200, 422, 200, 200, 200]),
        ("replaced by what awaits", [200, 422, 200, 200, 200]),
    ],
)
def test_what_the_laboratory_may_do_it_may_whatever_others_did(full: World, story: str, statuses: list[int]) -> None:
    twins = Twins(full, LABORATORY, STORIES[story])
    bodies_asked = (SHOW, HIDE, archived(True), DELETION, labelled(AWAITS))
    answered = [{answer.status for *_, answer in twins.patch(body)} for body in bodies_asked]
    assert answered == [{status} for status in statuses]


@pytest.mark.parametrize("story", ["plain", "awaiting"])
def test_who_is_not_authorised_is_refused_what_is_done_already_too(full: World, story: str) -> None:
    twins = Twins(full, PHYSICIAN, STORIES[story])
    for body in (SHOW, HIDE, archived(True)):
        for *_, answer in twins.patch(body):
            assert answer.status == 403
            assert answer.json()["issue"][0]["details"]["text"] == "denied.no-grant"


@pytest.mark.parametrize("story", ["awaiting", "replaced by what awaits"])
@pytest.mark.parametrize(("days", "status"), [(30, 422), (31, 200)])
def test_the_month_is_that_of_the_deposit_whatever_others_did(full: World, story: str, days: int, status: int) -> None:
    twins = Twins(full, LABORATORY, STORIES[story])
    for world, _ in twins.worlds:
        world.clock.advance(timedelta(days=days))
    for before, stand, answer in twins.patch(HIDE):
        assert answer.status == status
        assert masks(stand) == (before | {MASKED} if status == 200 else before)


@pytest.mark.parametrize("author", [LABORATORY, PHYSICIAN, NURSE])
@pytest.mark.parametrize("story", ["plain", "awaiting", "replaced while it awaits"])
def test_nor_does_another_way_to_ask(full: World, author: str, story: str) -> None:
    """By FHIRPath, by business identifier, and with a version, which the author can't know."""
    twins = Twins(full, author, STORIES[story])
    for label in ("N", MASKED, AWAITS):
        twins.patch(parameters(label), **{"Content-Type": "application/fhir+json"})
        twins.by_identifier(labelled(label))
    twins.by_identifier(DELETION)
    for version in ('W/"1"', 'W/"2"', "*"):
        assert {answer.status for *_, answer in twins.patch(HIDE, **{"If-Match": version})} == {400}


@pytest.mark.parametrize("author", [LABORATORY, PHYSICIAN])
@pytest.mark.parametrize("story", ["plain", "masked", "awaiting", "replaced while it awaits"])
@pytest.mark.parametrize("form", ["guide", "bare", "ITI-105"])
def test_nor_does_a_replacement_by_any_transaction(full: World, author: str, story: str, form: str) -> None:
    """With the guide's Parameters entry and without, and inline."""
    twins = Twins(full, author, STORIES[story])
    for label in ("N", MASKED, AWAITS):

        def ask(stand: Stand, label: str = label) -> Response:
            return replace(stand, author, label, form)

        assert {answer.status for *_, answer in twins.ask(ask)} == {201 if form == "ITI-105" else 200}


def replace(stand: Stand, author: str, label: str, form: str) -> Response:
    """The newest document is replaced by document 9."""
    make = laboratory_document if author == LABORATORY else hospital_document
    document = make(9, replaces=stand.ids[max(stand.ids)])
    if form == "ITI-105":
        body = bodies.simplified(document, patient=DOMINIQUE, when=WHEN) | {"securityLabel": [concept(label)]}
        return stand.as_(author).request("POST", "/fhir/DocumentReference", body, WHOLE)
    body = bundle(909, document)
    body["entry"][1]["resource"]["securityLabel"] = [concept(label)]
    if form == "bare":
        body["entry"] = [one for one in body["entry"] if one["resource"]["resourceType"] != "Parameters"]
    return stand.as_(author).request("POST", "/fhir", body, WHOLE)


def test_nor_what_became_of_a_minors_secret() -> None:
    """A doctor tells the representatives of it; the laboratory that deposited it asks for the label again."""
    dune = PATIENTS["dune"]
    process = opened(share=False)
    process.session("representative").request("POST", "/fhir/Consent", bodies.consent_opening(dune))
    grant = bodies.consent_grant(dune, STRUCTURES["practice"])
    good(process.session("representative").request("POST", "/fhir/Consent", grant))
    document = bodies.sample_document(
        "biology",
        patient=dune,
        author=PEOPLE["biologist"],
        structure=STRUCTURES["laboratory"],
        when=WHEN,
        unique_id=uid(1),
    )
    body = bodies.simplified(document, patient=dune, when=WHEN) | {"securityLabel": [concept(KEPT)]}
    made = good(process.session(LABORATORY).request("POST", "/fhir/DocumentReference", body)).json()["id"]
    target = f"/fhir/DocumentReference/{made}"
    for asked in (labelled(KEPT), SHOW, HIDE, labelled(AWAITS), whole_list(KEPT, MASKED), whole_list()):
        answers = []
        for told_since in (False, True):
            one = Process(process.world.copy())
            if told_since:
                confirmed = PATCH | {"Sceau-Confirm": "show-to-representatives"}
                good(one.session(GP, patient="dune").request("PATCH", target, SHOW, confirmed))
            laboratory = one.session(LABORATORY)
            answers.append([told(laboratory.request("PATCH", target, asked, PATCH)) for _ in range(2)])
            seen = one.session("representative").request("GET", target).status
            assert seen == (200 if told_since else 404), "the laboratory neither lifts it nor brings it back"
        assert answers[0] == answers[1]
