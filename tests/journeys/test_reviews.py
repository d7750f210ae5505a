"""The review of emergency accesses over HTTPS: a structure's queue, and the figures that operations see."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.live_world import Caller, World, expressions, found, ids, issues, links, parsed, without_ids
from journeys.test_access import Place, all_allowed, place
from journeys.test_emergency import BROKEN, CALLED, WARD
from sceau.http import reviews
from sceau.identity.client import HttpResponse

pytestmark = pytest.mark.xdist_group("live")

Json = dict[str, Any]
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


def queue(caller: Caller, query: str = "") -> dict[str, Json]:
    """The whole queue of a structure, over its pages."""
    items: dict[str, Json] = {}
    target: str | None = f"/fhir/Communication{query}"
    while target:
        answer = caller.get(target)
        items |= {one["id"]: one for one in found(answer)}
        target = links(answer).get("next")
    return items


def figures(world: World) -> Json:
    answer = world.caller("operations").get("/ops/emergency-reviews")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return parsed(answer)


def entered(world: World, where: Place, actor: str = WARD) -> str:
    """An emergency access; returns its id in the queue."""
    caller = world.fresh(actor, where.patient, entering=CALLED if actor == "regulator" else BROKEN)
    all_allowed(where, caller)
    return f"{where.record}.{caller.token.event_id}"


def review(caller: Caller, own_id: str, body: bytes | None = None) -> HttpResponse:
    return caller.call("POST", f"/fhir/Communication/{own_id}/$review", body, {"Accept": "application/fhir+json"})


def test_the_structures_responsible_person_finds_its_emergency_accesses(world: World) -> None:
    where = place(world)
    own_id, elsewhere = entered(world, where), entered(world, where, "regulator")
    reviewer = world.caller("reviewer")
    found = queue(reviewer)
    assert elsewhere not in found
    item = found[own_id]
    assert item["status"] == "in-progress"
    assert item["subject"] == {"reference": f"Patient/{where.record}"}
    assert item["recipient"][0]["identifier"]["value"] == "1000000303"
    (payload,) = item["payload"]
    assert "Célestin MODÈLE-URGENTISTE" in payload["contentString"]
    assert "Motif déclaré : « Inconscient, hémorragie ». Actes effectués : 6." in payload["contentString"]
    assert where.patient.ins_value not in json.dumps(found)
    assert where.patient.birth_name not in json.dumps(found)


def test_what_was_declared_and_not_used_is_reviewed_too(world: World) -> None:
    where = place(world)
    caller = world.fresh(WARD, where.patient, entering=BROKEN)
    item = queue(world.caller("reviewer"))[f"{where.record}.{caller.token.event_id}"]
    assert "Actes effectués : 0." in item["payload"][0]["contentString"]


def test_a_review_is_an_event_that_the_patient_reads(world: World) -> None:
    where = place(world)
    own_id, reviewer = entered(world, where), world.caller("reviewer")
    with world.unchanged() as since:
        answer = review(reviewer, own_id)
    assert answer.status == 200, answer.data
    assert parsed(answer)["status"] == "completed"
    event = since.event
    assert (event.outcome, event.record_id) == ("0", where.record)
    assert {"other-hospital-review", "1000000303"} <= event.people
    item = queue(reviewer)[own_id]
    assert item["status"] == "completed"
    assert item["extension"] == [{"url": "urn:sceau:fhir:reviewed", "valueInstant": event.json["recorded"]}]
    shown = world.holder(where.patient).get(f"/fhir/AuditEvent?date=ge{TODAY}&subtype=operation")
    (entry,) = parsed(shown)["entry"]
    assert entry["resource"]["id"] == event.id
    # Complete as it is, though no version of the record carries it. Where it is sealed already, its index is told.
    assert "urn:sceau:fhir:event-completed" not in {one["url"] for one in entry.get("extension", [])}
    with world.unchanged() as again:
        repeated = review(reviewer, own_id)
    assert repeated.status == 200
    assert again.event.reason == "repeated"
    assert queue(reviewer)[own_id]["extension"][0]["valueInstant"] == event.json["recorded"]


def test_the_queue_by_state_and_period(world: World) -> None:
    where = place(world)
    done, waiting = entered(world, where), entered(world, where)
    reviewer = world.caller("reviewer")
    assert review(reviewer, done).status == 200
    in_progress, completed = (queue(reviewer, f"?status={state}") for state in ("in-progress", "completed"))
    assert waiting in in_progress
    assert done not in in_progress
    assert done in completed
    assert waiting not in completed
    assert waiting in queue(reviewer, f"?sent=ge{TODAY}")
    assert queue(reviewer, "?sent=2020-01-01") == {}
    issues(reviewer.get("/fhir/Communication?status=stopped"), 400)
    old = f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d}"
    assert expressions(issues(reviewer.get(f"/fhir/Communication?sent=ge{old}"), 422)) == ["sent"]
    strict = reviewer.get("/fhir/Communication?colour=red", Prefer="handling=strict")
    assert expressions(issues(strict, 400)) == ["colour"]


# Who may not


def test_another_structures_access_is_unknown(world: World) -> None:
    where = place(world)
    ours, theirs = entered(world, where), entered(world, where, "regulator")
    reviewer = world.caller("reviewer")
    event = next(event for event in world.events_of(where.patient).values() if not event.is_of_a_token)
    answers = []
    for own_id in (
        theirs,
        f"{where.record}.{event.id}",
        ours[:-1] + ("0" if ours[-1] != "0" else "1"),
        ours.upper(),
        "x",
        f"0.{event.id}",
        where.record,
    ):
        before = world.at_rest()
        answer = review(reviewer, own_id)
        issues(answer, 404)
        answers.append(without_ids(answer))
        assert world.at_rest() == before
    assert len({str(answer) for answer in answers}) == 1
    assert queue(reviewer)[ours]["status"] == "in-progress"


@pytest.mark.parametrize("actor", ["laboratory", "insurer", "operations", "hospital-physician"])
def test_who_is_not_configured_for_it_reviews_nothing(world: World, actor: str) -> None:
    where = place(world)
    own_id = entered(world, where)
    caller = world.caller(actor, where.patient if actor == "hospital-physician" else None)
    before = world.at_rest()
    issues(review(caller, own_id), 403)
    if actor != "hospital-physician":
        issues(caller.get("/fhir/Communication"), 403)
    assert world.at_rest() == before
    assert queue(world.caller("reviewer"))[own_id]["status"] == "in-progress"


def test_a_reviewer_reads_nothing_else(world: World) -> None:
    where = place(world)
    reviewer = world.caller("reviewer")
    before = world.at_rest()
    for target in (
        f"DocumentReference?patient={where.record}",
        f"DocumentReference/{where.document}",
        f"Binary/{where.document}",
        f"AuditEvent?date=ge{TODAY}&patient={where.record}",
        f"Consent?patient={where.record}",
    ):
        issues(reviewer.get(f"/fhir/{target}"), 403)
    assert world.at_rest() == before


def test_the_queue_is_of_a_structure_and_not_of_a_patient(world: World) -> None:
    where = place(world)
    named = world.fresh("reviewer", where.patient)
    issues(named.get("/fhir/Communication"), 400)
    other = entered(world, place(world))
    issues(review(named, other), 404)
    assert review(named, entered(world, where)).status == 200


def test_a_review_says_nothing_but_that_it_was_done(world: World) -> None:
    where = place(world)
    own_id = entered(world, where)
    issues(review(world.caller("reviewer"), own_id, b"{}"), 422)
    assert queue(world.caller("reviewer"))[own_id]["status"] == "in-progress"


# Pages


def test_the_pages_of_a_queue_hold_everything_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    where = place(world)
    own = [entered(world, where), entered(world, where)]
    reviewer = world.caller("reviewer")
    answer = reviewer.get(f"/fhir/Communication?sent=ge{TODAY}")
    following = links(answer).get("next")
    if following is None:
        assert set(own) <= set(ids(answer))
    else:
        issues(reviewer.get(following + "A"), 400)
    assert set(own) <= set(queue(reviewer, f"?sent=ge{TODAY}"))
    assert reviews.MOST_OPENED > 0


# Figures


def test_operations_see_how_many_wait_and_for_how_long_and_never_who(world: World) -> None:
    where = place(world)
    before = figures(world)
    own_id = entered(world, where)
    entered(world, where, "regulator")
    assert review(world.caller("reviewer"), own_id).status == 200
    with world.unchanged(events=1) as since:
        after = figures(world)
    assert since.event.record_id == "0"
    if before["next"] is after["next"] is None:
        assert after["declared"] == before["declared"] + 2
        assert after["waiting"] == before["waiting"] + 1
        assert after["reviewed"] == before["reviewed"] + 1
    assert sum(after["waiting_by_age"].values()) == after["waiting"]
    assert after["oldest_waiting_seconds"] >= 0
    assert set(after) == {
        "from",
        "until",
        "declared",
        "reviewed",
        "waiting",
        "waiting_by_age",
        "oldest_waiting_seconds",
        "damaged_events",
        "next",
    }
    said = json.dumps(after)
    for secret in (where.record, where.patient.ins_value, "899700000106", "1000000303", "MODÈLE"):
        assert secret not in said


@pytest.mark.parametrize("actor", ["reviewer", "laboratory", "insurer", "hospital-physician", "patient"])
def test_nobody_but_operations_sees_the_figures(world: World, actor: str) -> None:
    where = place(world)
    patient = where.patient if actor in ("hospital-physician", "patient") else None
    issues(world.caller(actor, patient).get("/ops/emergency-reviews"), 403)
