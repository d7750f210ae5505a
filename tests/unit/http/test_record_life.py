"""A record's life over the whole service in process: suspended, closed, opened again, dead, deleted by `upkeep`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fakes.objects import Call, Fault
from fixtures.inprocess import Process, Response, World, chalicefile, key_service
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import STRUCTURES
from sceau.http.runtime import Runtime
from sceau.http.upkeep import Report, upkeep_of
from sceau.records.due import due_name
from sceau.records.repository import dossier_name
from sceau.stage import scoped_keys, scoped_store
from unit.faults.whole import read_whole
from unit.http.published import bundle, good, laboratory_document, opened
from unit.http.test_decisions_end_to_end import DOCTOR, GP, HOLDER, PSYCHIATRIST, Stand

INSURER = "insurer"
WEEK, DAY = timedelta(weeks=1), timedelta(days=1)


@pytest.fixture(scope="module")
def full() -> World:
    process = opened(share=False)
    good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    stand = Stand(process)
    good(stand.grant("hospital"))
    good(stand.decide(HOLDER, "block", PSYCHIATRIST))
    return process.world


@pytest.fixture
def stand(full: World) -> Stand:
    return Stand(Process(full.copy()))


def upkeep(stand: Stand) -> Report:
    """One run of the function, with its own rights and no others."""
    function = chalicefile().functions["upkeep"]
    process = stand.process
    runtime = Runtime(
        "upkeep",
        "local",
        process.world.spec,
        scoped_store(process.store, function),
        scoped_keys(key_service(), function),
        clock=process.clock,
    )
    return upkeep_of(runtime).run()


def life(stand: Stand, actor: str, *, active: bool, **said: object) -> Response:
    """The opening, put again."""
    body = bodies.consent_life(DOMINIQUE, active=active, **said)  # type: ignore[arg-type]
    opening = next(one for one in stand.head().consents if one.kind == "opening")
    session = stand.as_(actor)
    return session.request("PUT", f"/fhir/Consent/{stand.head().record_id}.{opening.id}", body)


def rests(stand: Stand, prefix: str) -> list[str]:
    return list(stand.process.world.memory.list(prefix))


def days(stand: Stand) -> list[str]:
    return [name.split("/")[1] for name in rests(stand, "due/")]


# The insurer's suspension


def test_a_suspended_record_is_nobody_s_until_the_holder_objects(stand: Stand) -> None:
    assert stand.sees("hospital-physician") == 1
    suspended = good(life(stand, INSURER, active=False))
    assert (suspended.json()["status"], stand.head().status) == ("inactive", "suspended")
    assert suspended.json().get("contained") is None, "the insurer learns no identity by it"
    for actor in ("hospital-physician", HOLDER):
        assert stand.sees(actor) == "denied.no-record"
    with stand.unchanged(403, "denied.suspended") as answers:
        answers.append(stand.grant("practice"))
    good(life(stand, HOLDER, active=True))
    assert stand.head().status == "open"
    assert stand.head().suspended is None
    assert stand.sees("hospital-physician") == 1, "what was permitted before still is"


def test_the_medecin_traitant_is_told_of_emergencies_only_while_the_record_may_be_read(stand: Stand) -> None:
    stand = with_days_to_a_death_s_closing(stand, 10)
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    good(stand.put(GP, named, status="active"))
    good(notices(stand, GP))
    states: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
        ({"actor": INSURER, "active": False}, {"actor": HOLDER, "active": True}, "denied.suspended"),
        ({"actor": INSURER, "active": False, "death": True}, {"actor": INSURER, "active": True}, "denied.closed"),
    )
    for ends, begins, reason in states:
        good(life(stand, **ends))
        with stand.unchanged(403, reason) as answers:
            answers.append(notices(stand, GP))
        good(notices(stand, HOLDER))
        good(life(stand, **begins))
        good(notices(stand, GP))


def notices(stand: Stand, actor: str) -> Response:
    return stand.as_(actor).request("GET", "/fhir/Communication")


def test_of_all_decisions_the_insurer_knows_the_opening_only(stand: Stand) -> None:
    grant = good(stand.grant("hospital")).json()
    body = bodies.consent_life(DOMINIQUE, active=False) | {"id": grant["id"]}
    unknown = f"{stand.head().record_id}.{'a' * 26}"
    with stand.unchanged(404) as answers:
        for own_id in (grant["id"], unknown):
            answers.append(stand.as_(INSURER).request("PUT", f"/fhir/Consent/{own_id}", {**body, "id": own_id}))
    known, other = ({**one.json(), "id": None} for one in answers)
    assert known == other, "an id that is a grant's, and one that is nobody's"


def test_the_insurer_closes_nothing_and_reopens_nothing(stand: Stand) -> None:
    good(life(stand, HOLDER, active=False))
    with stand.unchanged(403, "denied.state") as answers:
        answers.append(life(stand, INSURER, active=False))
    good(life(stand, HOLDER, active=True))
    repeated = life(stand, INSURER, active=True)
    assert repeated.status == 200, "nobody died: it is so already"
    with stand.unchanged(403, "denied.actor") as answers:
        answers.append(stand.post(INSURER, bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])))


def test_a_suspension_nobody_objected_to_closes_after_six_weeks(stand: Stand) -> None:
    good(life(stand, INSURER, active=False))
    began = stand.process.world.clock.now
    assert days(stand) == [f"{began + 6 * WEEK:%Y-%m-%d}", f"{(began + 6 * WEEK).replace(year=2036):%Y-%m-%d}"]
    stand.later(days=41)
    assert (upkeep(stand).due.closed, stand.head().status) == (0, "suspended")
    stand.later(days=1)
    report = upkeep(stand)
    assert (report.due.closed, report.due.failed, report.finished) == (1, 0, True)
    head = stand.head()
    assert (head.status, head.closing_motive) == ("closed", "suspension")
    assert [one.status for one in head.consents] == ["inactive", "inactive", "active"], "the block stays"
    assert len(days(stand)) == 1, "the mark that served is gone, the archive's is there"
    whole = read_whole(stand.process.world)
    dossier = whole.the_record()
    assert dossier is not None
    closing = whole.events[list(dossier.commits)[-1]]
    assert (closing.action, closing.type.code) == ("U", "archive")
    good(life(stand, HOLDER, active=True))
    assert stand.sees(HOLDER) == 1, "the archive moves in"


def test_objecting_in_time_keeps_it_open_and_the_marks_do_nothing(stand: Stand) -> None:
    good(life(stand, INSURER, active=False))
    good(life(stand, HOLDER, active=True))
    before = stand.process.world.memory.read(dossier_name(stand.head().record_id)).data
    stand.later(weeks=7)
    assert upkeep(stand).due.closed == 0
    assert stand.process.world.memory.read(dossier_name(stand.head().record_id)).data == before
    assert len(days(stand)) == 1


# The end


def test_an_archive_is_deleted_after_ten_years_and_nothing_of_it_is_left(stand: Stand) -> None:
    record = stand.head().record_id
    good(life(stand, HOLDER, active=False))
    events = rests(stand, "journal/events/")
    stand.later(days=3650)
    assert upkeep(stand).due.deleted == 0
    assert rests(stand, f"records/{record}/documents/")
    stand.later(days=3)
    report = upkeep(stand)
    assert (report.due.deleted, report.due.failed) == (1, 0)
    assert rests(stand, "records/") == rests(stand, "due/") == []
    left = rests(stand, "journal/events/")
    assert set(events) < set(left), "traces stay, and the deletion is one"
    (deleted,) = set(left) - set(events)
    event = read_whole(stand.process.world).events[deleted.rpartition(".")[2]]
    assert (event.action, event.type.code) == ("D", "destroy")


def test_a_deletion_on_request_is_done_within_three_months(stand: Stand) -> None:
    with stand.unchanged(403, "denied.state") as answers:
        answers.append(life(stand, HOLDER, active=False, deletion=True))  # it is open: closed first
    good(life(stand, HOLDER, active=False))
    stand.later(days=10)
    asked = good(life(stand, HOLDER, active=False, deletion=True))
    assert asked.json()["extension"] == [{"url": "urn:sceau:fhir:deletion-request", "valueBoolean": True}]
    with stand.unchanged(200) as answers:
        answers.append(life(stand, HOLDER, active=False, deletion=True))
    stand.later(days=29)
    assert upkeep(stand).due.deleted == 0
    stand.later(days=1)
    assert upkeep(stand).due.deleted == 1
    assert rests(stand, "records/") == []
    stand.later(days=3700)
    report = upkeep(stand)
    assert (report.due.deleted, report.due.damaged, rests(stand, "due/")) == (0, [], []), "the archive's mark is stale"


def test_opening_it_again_ends_the_request(stand: Stand) -> None:
    good(life(stand, HOLDER, active=False))
    good(life(stand, HOLDER, active=False, deletion=True))
    good(life(stand, HOLDER, active=True))
    stand.later(days=100)
    assert upkeep(stand).due.deleted == 0
    assert stand.sees(HOLDER) == 1
    assert stand.head().deletion_requested is None


def test_a_new_record_may_be_opened_where_one_was_deleted(stand: Stand) -> None:
    good(life(stand, HOLDER, active=False))
    good(life(stand, HOLDER, active=False, deletion=True))
    stand.later(days=31)
    upkeep(stand)
    assert stand.post(INSURER, bodies.consent_opening(DOMINIQUE)).status == 201
    assert stand.sees(HOLDER) == 0
    assert stand.head().consents[0].version == 1


# Death


def test_a_death_closes_the_record_for_good_and_ends_what_was_permitted(stand: Stand) -> None:
    dead = good(life(stand, INSURER, active=False, death=True))
    assert dead.json()["status"] == "inactive"
    head = stand.head()
    assert (head.status, head.closing_motive, head.died is not None) == ("closed", "death", True)
    assert "grant" not in {one.kind for one in head.consents if one.status == "active"}
    with stand.unchanged(403, "denied.state") as answers:
        answers.append(life(stand, HOLDER, active=True))
    with stand.unchanged(200) as answers:
        answers.append(life(stand, INSURER, active=False, death=True))
    stand.later(days=3653)
    assert upkeep(stand).due.deleted == 1


def test_a_death_reported_in_error_is_taken_back(stand: Stand) -> None:
    good(life(stand, INSURER, active=False, death=True))
    good(life(stand, INSURER, active=True))
    assert (stand.head().status, stand.head().died) == ("open", None)
    assert stand.sees(HOLDER) == 1


def with_days_to_a_death_s_closing(stand: Stand, days: int) -> Stand:
    """The stage's setting, in place of at once."""
    spec = stand.process.world.spec
    rules = spec.rules.model_copy(update={"death_closing_days": days})
    world = stand.process.world
    world.settings = spec.model_copy(update={"rules": rules})
    return Stand(Process(world))


def test_a_death_may_close_the_record_some_days_later_and_nobody_reads_it_from_the_report_on(stand: Stand) -> None:
    stand = with_days_to_a_death_s_closing(stand, 10)
    good(life(stand, INSURER, active=False, death=True))
    head = stand.head()
    assert (head.status, head.closed, head.died is not None) == ("open", None, True)
    began = stand.process.world.clock.now
    assert days(stand) == [f"{began + 10 * DAY:%Y-%m-%d}", f"{(began + 10 * DAY).replace(year=2036):%Y-%m-%d}"]
    for actor in ("hospital-physician", HOLDER):
        assert stand.sees(actor) == "denied.no-record"
    with stand.unchanged(403, "denied.state") as answers:
        answers.append(life(stand, HOLDER, active=True))
    stand.later(days=9)
    assert (upkeep(stand).due.closed, stand.head().status) == (0, "open")
    stand.later(days=1)
    assert upkeep(stand).due.closed == 1
    head = stand.head()
    assert (head.status, head.closing_motive, head.died is not None) == ("closed", "death", True)
    assert "grant" not in {one.kind for one in head.consents if one.status == "active"}
    stand.later(days=3653)
    assert upkeep(stand).due.deleted == 1


def test_a_death_taken_back_before_it_closed_the_record_leaves_everything_as_it_was(stand: Stand) -> None:
    stand = with_days_to_a_death_s_closing(stand, 10)
    assert stand.sees("hospital-physician") == 1
    good(life(stand, INSURER, active=False, death=True))
    back = good(life(stand, INSURER, active=True))
    assert (back.json()["status"], stand.head().status, stand.head().died) == ("active", "open", None)
    assert stand.sees("hospital-physician") == 1, "what was permitted before still is"
    stand.later(days=30)
    assert upkeep(stand).due.closed == 0


def test_what_the_holder_had_closed_stays_closed_after_such_an_error(stand: Stand) -> None:
    good(life(stand, HOLDER, active=False, reason="Je pars."))
    told = good(life(stand, INSURER, active=False, death=True))
    assert b"Je pars" not in told.data, "the holder's words are the holder's"
    good(life(stand, INSURER, active=True))
    assert (stand.head().status, stand.head().closing_reason) == ("closed", "Je pars.")


def test_only_the_insurer_reports_a_death(stand: Stand) -> None:
    with stand.unchanged(422) as answers:
        answers.append(life(stand, HOLDER, active=False, death=True))
    with stand.unchanged(403) as answers:
        answers.append(life(stand, GP, active=False, death=True))
        answers.append(life(stand, "hospital-physician", active=False, deletion=True))


# What goes wrong


@pytest.mark.parametrize("operation", ["replace", "delete", "create-locked"])
def test_a_run_that_fails_anywhere_leaves_the_mark_and_the_next_one_ends_it(stand: Stand, operation: str) -> None:
    good(life(stand, HOLDER, active=False))
    stand.later(days=3653)
    attempts = 0
    while rests(stand, "due/"):
        attempts += 1
        assert attempts < 8
        failing = attempts
        seen = 0

        def fault(call: Call, failing: int = failing) -> Fault | None:
            nonlocal seen
            if call.operation != operation or call.name.startswith("replay/"):
                return None
            seen += 1
            return Fault.FAILS if seen == failing else None

        stand.process.store.faults = fault
        report = upkeep(stand)
        stand.process.store.faults = lambda _: None
        if rests(stand, "due/"):
            assert report.due.failed == 1
    assert rests(stand, "records/") == []


def test_an_ended_record_is_nobody_s_while_its_objects_go(stand: Stand) -> None:
    record = stand.head().record_id
    good(life(stand, HOLDER, active=False))
    stand.later(days=3653)
    stand.process.store.faults = lambda call: Fault.FAILS if call.operation == "delete" else None
    assert upkeep(stand).due.failed == 1
    stand.process.store.faults = lambda _: None
    assert rests(stand, f"records/{record}/documents/"), "they are still there"
    assert stand.sees(HOLDER) == "denied.no-record"
    assert b"SPECIMEN" not in stand.process.world.memory.read(dossier_name(record)).data
    assert stand.post(INSURER, bodies.consent_opening(DOMINIQUE)).status == 409
    assert upkeep(stand).due.deleted == 1


def test_documents_whose_dossier_was_taken_away_are_kept_and_told(stand: Stand) -> None:
    record = stand.head().record_id
    good(life(stand, HOLDER, active=False))
    stand.later(days=3653)
    stand.process.world.memory.delete(dossier_name(record))
    report = upkeep(stand)
    assert report.due.damaged == [record]
    assert rests(stand, f"records/{record}/documents/")
    assert rests(stand, "due/")


def test_a_mark_ends_nothing_by_itself(stand: Stand) -> None:
    record = stand.head().record_id
    stand.process.world.memory.create(due_name(stand.process.world.clock.now, record), b"")
    before = stand.process.world.memory.read(dossier_name(record)).data
    assert upkeep(stand).due.deleted == 0
    assert stand.process.world.memory.read(dossier_name(record)).data == before
    assert rests(stand, "due/") == []


def test_a_closing_whose_mark_could_not_be_left_did_not_happen(stand: Stand) -> None:
    record = stand.head().record_id
    before = stand.process.world.memory.read(dossier_name(record)).data
    stand.process.store.faults = lambda call: Fault.FAILS if call.name.startswith("due/") else None
    assert life(stand, HOLDER, active=False).status == 503
    stand.process.store.faults = lambda _: None
    assert stand.process.world.memory.read(dossier_name(record)).data == before
    assert life(stand, HOLDER, active=False).status == 200
