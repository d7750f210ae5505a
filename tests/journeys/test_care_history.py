"""The insurer's care history over HTTPS: a rolling feed of 24 months, less what a minor opposed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fixtures.live_world import (
    Caller,
    World,
    document_ids,
    expressions,
    found,
    ids,
    issues,
    lab_document,
    new_uuid,
    submission,
)
from sceau.cli.bodies import SampleDocument
from sceau.cli.samples import Patient
from sceau.identity.client import HttpResponse
from sceau.records.sweep import Budget, sweep_documents

pytestmark = pytest.mark.xdist_group("live")

NOW = datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0)
MINOR = NOW.date() - timedelta(days=12 * 365)
REMB = "DocumentReference?type=REMB&patient="


def history(patient: Patient, end: datetime = NOW, **more: Any) -> SampleDocument:
    """A care history that ends then. It tells of the practice's general practitioner, every 30 days."""
    return lab_document(patient, "care-history", author="insurer", structure="insurer", when=end, **more)


def feed(world: World, patient: Patient, *documents: SampleDocument) -> HttpResponse:
    return world.caller("insurer").post("/fhir", submission(patient, *documents))


def fed(world: World, patient: Patient, end: datetime = NOW, **more: Any) -> str:
    answer = feed(world, patient, history(patient, end, **more))
    assert answer.status == 200, answer.data
    (own,) = document_ids(answer)
    return own


def present(caller: Caller) -> list[str]:
    return ids(caller.get(f"/fhir/{REMB}{caller.record_id}"))


def gone(world: World, patient: Patient, caller: Caller, own: str) -> None:
    """A document is not there: not found, not read, by the answer for what never was."""
    assert own not in present(caller)
    for target in (f"DocumentReference/{own}", f"Binary/{own}"):
        with world.refused("denied.fallen-out", of=patient):
            issues(caller.get(f"/fhir/{target}", Accept="*/*" if "Binary" in target else "application/fhir+json"), 404)


def test_each_month_replaces_the_one_before_and_older_months_fall_out(world: World) -> None:
    patient = world.opened("hospital")
    holder, physician = world.holder(patient), world.caller("hospital-physician", patient)
    first = fed(world, patient, NOW - timedelta(days=31))
    assert present(holder) == present(physician) == [first]
    # The insurer need not name what it replaces; it reads nothing, so it may not know.
    second = fed(world, patient)
    for caller in (holder, physician):
        assert present(caller) == [second]
        gone(world, patient, caller, first)
        sets = caller.get(f"/fhir/List?patient={caller.record_id}")
        assert len(ids(sets)) == 1
        assert first.encode() not in sets.data
    (entry,) = found(holder.get(f"/fhir/DocumentReference?_id={second}&patient={holder.record_id}"))
    assert first not in str(entry)


def test_what_fell_out_is_swept_from_the_store(world: World) -> None:
    patient = world.opened()
    first = fed(world, patient, NOW - timedelta(days=31))
    second = fed(world, patient)
    name = {own: f"records/{own.replace('.', '/documents/')}" for own in (first, second)}
    assert set(name.values()) <= world.names("records")
    assert [one for one in world.dossier(patient).object_names if one in name.values()] == [name[second]]
    runtime = world.live.stage.runtime("upkeep")
    later = datetime.now(UTC) + timedelta(days=1, minutes=5)
    sweep_documents(runtime.store, Budget(1000, later + timedelta(hours=1), lambda: later), start="")
    assert name[first] not in world.names("records")
    assert name[second] in world.names("records")
    assert world.holder(patient).get(f"/fhir/Binary/{second}", Accept="*/*").status == 200


def test_the_replacement_may_be_named_and_is_the_same_once(world: World) -> None:
    patient = world.opened()
    first = fed(world, patient, NOW - timedelta(days=31))
    body = submission(patient, history(patient, replaces=first))
    insurer = world.caller("insurer")
    answer = insurer.post("/fhir", body)
    assert answer.status == 200, answer.data
    with world.unchanged():
        assert insurer.post("/fhir", body).data == answer.data
    unnamed = submission(patient, history(patient))
    again = insurer.post("/fhir", unnamed)
    with world.unchanged():
        assert insurer.post("/fhir", unnamed).data == again.data
    assert len(present(world.holder(patient))) == 1


def test_the_events_say_what_fell_out(world: World) -> None:
    patient = world.opened()
    first = fed(world, patient, NOW - timedelta(days=31))
    answer = feed(world, patient, history(patient))
    event = world.events_of(patient)[answer.headers["Sceau-Trace"]]
    replaced = [one for one in event.json["entity"] if one.get("what", {}).get("reference", "").endswith(first)]
    assert [one["lifecycle"]["code"] for one in replaced] == ["3"]
    # Who read it while it was there stays in the traces of the holder.
    shown = world.holder(patient).get(f"/fhir/AuditEvent?date=ge{NOW - timedelta(days=1):%Y-%m-%d}&subtype=ITI-65")
    assert event.id in ids(shown)


def test_the_insurer_reads_nothing_of_it(world: World) -> None:
    patient = world.opened()
    own = fed(world, patient)
    insurer = world.caller("insurer")
    for target in (f"DocumentReference/{own}", f"Binary/{own}", f"List?patient={world.record_id(patient)}"):
        with world.refused("denied.actor", of=patient):
            issues(insurer.get(f"/fhir/{target}"), 403)


# Bad input: each a clear refusal, and nothing changed


@pytest.mark.parametrize(
    ("days", "code"),
    [(-3, 422), (800, 422)],  # it ends in three days; all of it is older than 24 months
)
def test_a_history_that_does_not_end_within_the_24_months(world: World, days: int, code: int) -> None:
    patient = world.opened()
    with world.refused("refused.422"):
        answer = feed(world, patient, history(patient, NOW - timedelta(days=days)))
    (issue,) = issues(answer, code)
    assert issue["expression"] == ["Bundle.entry[1].resource.content[0].attachment"]
    assert "within the last 24 months" in issue["diagnostics"]


def test_a_history_of_more_than_24_months_or_of_no_known_days(world: World) -> None:
    patient = world.opened()
    sent = history(patient)
    start = sent.data.index(b"<low value=") + len(b'<low value="')
    for changed in (b"2020", None):
        data = sent.data[:start] + (changed or b"20xx") + sent.data[start + 4 :]
        with world.refused("refused.422"):
            answer = feed(world, patient, _with(sent, data))
        assert expressions(issues(answer, 422)) == ["Bundle.entry[1].resource.content[0].attachment"]


def test_an_older_month_does_not_come_back(world: World) -> None:
    patient = world.opened()
    own = fed(world, patient)
    with world.refused("refused.409", of=patient):
        answer = feed(world, patient, history(patient, NOW - timedelta(days=31)))
    (issue,) = issues(answer, 409)
    assert "later month" in issue["diagnostics"]
    assert present(world.holder(patient)) == [own]
    # One of the same month, corrected, does replace it.
    assert present(world.holder(patient)) != [fed(world, patient)]


def test_two_histories_at_once_and_one_that_replaces_something_else(world: World) -> None:
    patient = world.opened()
    own = fed(world, patient, NOW - timedelta(days=62))
    with world.refused("refused.409", of=patient):
        issues(feed(world, patient, history(patient), history(patient)), 409)
    newer = fed(world, patient, NOW - timedelta(days=31))
    with world.refused("refused.409", of=patient):
        issues(feed(world, patient, history(patient, replaces=own)), 409)
    assert present(world.holder(patient)) == [newer]


# Minors


def consultation(patient: Patient, day: datetime, structure: str = "practice") -> SampleDocument:
    author = {"practice": "general_practitioner", "hospital": "hospital_physician"}[structure]
    return lab_document(patient, "consultation-pdf", author=author, structure=structure, when=day)


def secret_visit(world: World, day: datetime, structure: str = "practice", *, born: date = MINOR) -> Patient:
    """A minor whose consultation is kept from the legal representatives."""
    patient = world.opened(born=born)
    actor = {"practice": "general-practitioner", "hospital": "hospital-physician"}[structure]
    (own,) = world.publish(patient, consultation(patient, day, structure), actor=actor)
    world.relabel(patient, own, "INVISIBLE_REPRESENTANTS_LEGAUX")
    return patient


def test_what_a_minor_opposed_is_not_accepted(world: World) -> None:
    patient = secret_visit(world, NOW - timedelta(days=30))
    with world.refused("denied.opposed-act", of=patient):
        answer = feed(world, patient, history(patient))
    (issue,) = issues(answer, 422)
    assert issue["details"] == {"text": "denied.opposed-act"}
    assert "consultation" not in issue["diagnostics"]
    assert present(world.holder(patient)) == []


@pytest.mark.parametrize(("days", "structure"), [(29, "practice"), (30, "hospital")])
def test_what_the_history_does_not_tell_of_stops_nothing(world: World, days: int, structure: str) -> None:
    patient = secret_visit(world, NOW - timedelta(days=days), structure)
    assert fed(world, patient)


def test_an_adults_history_is_whole(world: World) -> None:
    patient = secret_visit(world, NOW - timedelta(days=30), born=date(1980, 5, 4))
    assert fed(world, patient)


def _with(sent: SampleDocument, data: bytes) -> SampleDocument:
    return replace(sent, data=data, unique_id=new_uuid())
