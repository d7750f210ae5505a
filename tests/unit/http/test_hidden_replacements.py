"""What is replaced is superseded before those only who see what replaces it; whole service in process."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.inprocess import Process, Response, World
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.records.table import PackedTable
from sceau_schemas.dossier import StoredIdentifier
from unit.http.published import URI, Json, bundle, good, hospital_document, laboratory_document, locations, opened, uid
from unit.http.test_nothing_shows_through import labelled_with
from unit.http.test_patching import DELETION, HOLDER, LABORATORY, PHYSICIAN, Stand, archived, labelled

Version = tuple[str, str, str]


@pytest.fixture(scope="module")
def full() -> tuple[World, str]:
    """Dominique's record, shared with the hospital. Document 1: of the laboratory, and of the hospital's physician."""
    process = opened()
    body = bundle(901, laboratory_document(1, author="hospital_physician"))
    return process.world, locations(process.session(LABORATORY).request("POST", "/fhir", body), "DocumentReference")[0]


@pytest.fixture
def stand(full: tuple[World, str]) -> Stand:
    return Stand(Process(full[0].copy()), {1: full[1]})


def replace(stand: Stand, target: int, number: int, *labels: str) -> None:
    """Document `number`, of the laboratory, replaces another one, ten seconds later."""
    stand.process.world.clock.advance(timedelta(seconds=10))
    body = labelled_with(bundle(900 + number, laboratory_document(number, replaces=stand.ids[target])), *labels)
    made = locations(stand.as_(LABORATORY).request("POST", "/fhir", body), "DocumentReference")
    (stand.ids[number],) = set(made) - {stand.ids[target]}


def seen(stand: Stand, actor: str, number: int) -> list[Version]:
    """The versions that somebody sees, the newest first: what made each, with which number, and what it is."""
    entries = good(stand.read(actor, number, "/_history")).json()["entry"]
    present = good(stand.read(actor, number))
    assert (present.json(), present.headers["ETag"]) == (entries[0]["resource"], entries[0]["response"]["etag"])
    shown = [
        (one["request"]["method"], one["resource"]["meta"]["versionId"], one["resource"]["status"]) for one in entries
    ]
    for _, number_of_it, status in shown:
        version = good(stand.read(actor, number, f"/_history/{number_of_it}")).json()
        assert (version["meta"]["versionId"], version["status"]) == (number_of_it, status)
    return shown


AS_IT_CAME: list[Version] = [("POST", "1", "current")]
REPLACED: list[Version] = [("PUT", "2", "superseded"), *AS_IT_CAME]


def test_it_is_superseded_before_those_who_see_what_replaces_it(stand: Stand) -> None:
    replace(stand, 1, 2)
    assert seen(stand, PHYSICIAN, 1) == REPLACED
    good(stand.patch(HOLDER, 2, labelled("MASQUE_PS")))
    assert seen(stand, PHYSICIAN, 1) == AS_IT_CAME
    assert seen(stand, HOLDER, 1) == REPLACED
    good(stand.patch(HOLDER, 2, labelled("N")))
    assert seen(stand, PHYSICIAN, 1) == REPLACED


def test_the_patient_sees_it_superseded_once_the_month_is_over(stand: Stand) -> None:
    replace(stand, 1, 2, "INVISIBLE_PATIENT")
    assert (seen(stand, HOLDER, 1), seen(stand, PHYSICIAN, 1)) == (AS_IT_CAME, REPLACED)
    stand.process.world.clock.advance(timedelta(days=32))
    stand.sessions.clear()
    assert (seen(stand, HOLDER, 1), seen(stand, HOLDER, 2)) == (REPLACED, AS_IT_CAME)


def test_what_is_changed_afterwards_is_the_next_version_and_can_be_matched(stand: Stand) -> None:
    replace(stand, 1, 2, "INVISIBLE_PATIENT")
    for stale in ('W/"2"', 'W/"3"'):
        assert stand.patch(HOLDER, 1, labelled("MASQUE_PS"), **{"If-Match": stale}).status == 412
    answer = good(stand.patch(HOLDER, 1, labelled("MASQUE_PS"), **{"If-Match": 'W/"1"'}))
    assert (answer.json()["status"], answer.json()["meta"]["versionId"]) == ("current", "2")
    assert answer.headers["ETag"] == 'W/"2"'
    assert seen(stand, HOLDER, 1) == [("PATCH", "2", "current"), *AS_IT_CAME]
    assert [one.version for one in stand.row(1).versions] == [1, 2, 3]
    deleted = good(stand.patch(LABORATORY, 1, DELETION)).json()
    assert deleted["status"] == "entered-in-error"


@pytest.mark.parametrize("hidden", [2, 3])
def test_in_a_chain_each_is_judged_by_what_replaces_it_itself(stand: Stand, hidden: int) -> None:
    replace(stand, 1, 2)
    replace(stand, 2, 3)
    good(stand.patch(HOLDER, hidden, labelled("MASQUE_PS")))
    if hidden == 3:
        assert (seen(stand, PHYSICIAN, 1), seen(stand, PHYSICIAN, 2)) == (REPLACED, AS_IT_CAME)
    else:
        assert (seen(stand, PHYSICIAN, 1), seen(stand, PHYSICIAN, 3)) == (AS_IT_CAME, AS_IT_CAME)
        assert "relatesTo" not in stand.read(PHYSICIAN, 3).json()


@pytest.mark.parametrize("actor", [HOLDER, PHYSICIAN])
def test_what_is_deleted_replaces_nothing_any_more_and_its_author_replaces_anew(stand: Stand, actor: str) -> None:
    replace(stand, 1, 2)
    good(stand.patch(LABORATORY, 2, DELETION))
    assert seen(stand, actor, 1) == AS_IT_CAME
    replace(stand, 1, 3)
    assert (seen(stand, actor, 1), seen(stand, actor, 3)) == (REPLACED, AS_IT_CAME)


def physicians(number: int, target: str) -> Json:
    return bundle(900 + number, hospital_document(number, replaces=target))


def test_an_author_who_sees_no_replacement_replaces_and_each_sees_its_own(stand: Stand) -> None:
    replace(stand, 1, 2)
    physician = stand.as_(PHYSICIAN)
    assert physician.request("POST", "/fhir", physicians(3, stand.ids[1])).status == 409
    good(stand.patch(HOLDER, 2, labelled("MASQUE_PS")))
    stand.process.world.clock.advance(timedelta(seconds=10))
    made = locations(physician.request("POST", "/fhir", physicians(3, stand.ids[1])), "DocumentReference")
    (stand.ids[3],) = set(made) - {stand.ids[1]}
    assert seen(stand, PHYSICIAN, 1) == REPLACED
    when = [stand.read(actor, 1).json()["meta"]["lastUpdated"] for actor in (PHYSICIAN, HOLDER)]
    assert when[0] == when[1] == stand.read(PHYSICIAN, 3).json()["meta"]["lastUpdated"]
    assert seen(stand, HOLDER, 1) == [("PUT", "3", "superseded"), *REPLACED]
    good(stand.patch(HOLDER, 3, labelled("MASQUE_PS")))  # its author sees it all the same
    again = bundle(904, laboratory_document(4, replaces=stand.ids[1]))
    for actor, body in ((LABORATORY, again), (PHYSICIAN, physicians(5, stand.ids[1]))):
        assert stand.as_(actor).request("POST", "/fhir", body).status == 409
    good(stand.patch(PHYSICIAN, 1, archived(True)))
    assert seen(stand, PHYSICIAN, 1)[0] == ("PATCH", "3", "superseded")
    assert seen(stand, HOLDER, 1)[0] == ("PATCH", "4", "superseded")


def test_a_care_history_that_a_masked_one_replaced_is_read_by_nobody(stand: Stand) -> None:
    now = stand.process.world.clock.now
    for number, days in ((31, 31), (32, 0)):
        document = bodies.sample_document(
            "care-history",
            patient=DOMINIQUE,
            author=AUTHORS["insurer"],
            structure=STRUCTURES["insurer"],
            when=now - timedelta(days=days),
            unique_id=uid(number),
        )
        made = locations(
            stand.as_("insurer").request("POST", "/fhir", bundle(900 + number, document)), "DocumentReference"
        )
        stand.ids[number] = made[-1]
    good(stand.patch(HOLDER, 32, labelled("MASQUE_PS")))
    assert [stand.read(PHYSICIAN, number).status for number in (31, 32)] == [404, 404]
    assert [stand.read(HOLDER, number).status for number in (31, 32)] == [404, 200]


def status_of(answer: Response) -> str:
    (found,) = good(answer).json()["entry"]
    return str(found["resource"]["status"])


def test_who_may_only_feed_is_told_of_what_it_authored_itself() -> None:
    process = opened(share=False)
    body = bundle(901, laboratory_document(1, author="hospital_physician"))
    made = locations(process.session(LABORATORY).request("POST", "/fhir", body), "DocumentReference")
    stand = Stand(process, {1: made[0]})
    replace(stand, 1, 2)
    target = f"/fhir/DocumentReference?patient=Patient/{made[0][:26]}&identifier={quote(f'{URI}|{uid(1)}')}"
    assert status_of(stand.as_(LABORATORY).request("GET", target)) == "superseded"
    assert status_of(stand.as_(PHYSICIAN).request("GET", target)) == "current"
    answer = good(stand.patch(LABORATORY, 1, archived(False))).json()
    assert (answer["status"], "versionId" in answer["meta"]) == ("superseded", False)
    grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
    good(process.session(HOLDER).request("POST", "/fhir/Consent", grant))
    assert seen(stand, PHYSICIAN, 1) == REPLACED


def test_what_is_replaced_is_looked_up_by_itself(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the whole record's replacements for each document: that would make a large submission quadratic."""
    many = range(20)
    good(stand.as_(LABORATORY).request("POST", "/fhir", bundle(910, *(laboratory_document(100 + one) for one in many))))

    def all_replaced(old: int) -> int:
        """By as many masked documents; how many rows were read for it."""
        read: list[int] = []
        rows_at = PackedTable.rows_at

        def counted(table: Any, places: Any) -> Any:
            read.extend(places)
            return rows_at(table, places)

        targets = [StoredIdentifier(system=URI, value=uid(old + one)) for one in many]
        documents = [
            laboratory_document(old + 100 + one, replaces=target) for one, target in zip(many, targets, strict=True)
        ]
        with monkeypatch.context() as watched:
            watched.setattr(PackedTable, "rows_at", counted)
            body = labelled_with(bundle(old + 1000, *documents), "MASQUE_PS")
            good(stand.as_(LABORATORY).request("POST", "/fhir", body))
        return len(read)

    all_replaced(100)
    assert all_replaced(200) < 10 * len(many)
