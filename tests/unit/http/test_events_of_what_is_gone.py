"""Events of what the present record does not hold: attempts that were not committed, and records that were deleted."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from fakes.objects import on
from fixtures.inprocess import Process, Response, World
from sceau.cli import bodies
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES
from sceau.objects.scoped import StoreOperation
from sceau.records.ids import entry_uuid
from unit.http.published import URI, WHEN, Json, bundle, good, laboratory_document, locations, matches, uid
from unit.http.test_decisions_end_to_end import HOLDER, PHYSICIAN, Stand
from unit.http.test_own_documents import KEPT, coded, consultation, deposit, minors, secret
from unit.http.test_patching import DELETION, PATCH, labelled
from unit.http.test_record_life import upkeep
from unit.http.test_trace_sight import LABORATORY, full, stand, traces

__all__ = ["full", "minors", "secret", "stand"]

DUNE = PATIENTS["dune"]


def hidden_by_all_ways(stand: Stand, reader: str, events: set[str]) -> None:
    assert not events & traces(stand, reader)
    stand.process.world.seal()
    for event in events:
        assert stand.as_(reader).request("GET", f"/fhir/AuditEvent/{event}").status == 404
        proof = stand.as_(reader).request("GET", f"/fhir/AuditEvent/{event}/$proof", None, {"Accept": "*/*"})
        assert proof.status == 404


# Not committed


def laboratory_s(*labels: str) -> Json:
    body = bundle(905, laboratory_document(5))
    if labels:
        body["entry"][1]["resource"]["securityLabel"] = [coded(label) for label in labels]
    return body


def failed(stand: Stand, actor: str, path: str, body: Json) -> Response:
    """A publication that is announced, and fails before its commit."""
    stand.process.store.faults = on(StoreOperation.CREATE, "records/*/documents/")
    answer = stand.as_(actor).request("POST", path, body)
    stand.process.store.faults = lambda _: None
    assert (answer.status, len(answer.events)) == (503, 2), "announced, and said to have failed"
    return answer


def test_an_attempt_to_publish_what_awaits_its_announcement_waits_for_as_long(stand: Stand) -> None:
    tried = failed(stand, LABORATORY, "/fhir", laboratory_s("INVISIBLE_PATIENT"))
    again = good(stand.as_(LABORATORY).request("POST", "/fhir", laboratory_s("INVISIBLE_PATIENT")))
    hidden_by_all_ways(stand, HOLDER, {*tried.events, *again.events})
    stand.later(days=31)
    assert {*tried.events, *again.events} <= traces(stand)


def test_an_attempt_that_is_never_made_good_too(stand: Stand) -> None:
    tried = failed(stand, LABORATORY, "/fhir", laboratory_s("INVISIBLE_PATIENT"))
    hidden_by_all_ways(stand, HOLDER, {*tried.events})
    stand.later(days=31)
    assert {*tried.events} <= traces(stand)


def test_an_attempt_without_the_mask_that_the_document_then_has_is_known_by_its_identifier(stand: Stand) -> None:
    tried = failed(stand, LABORATORY, "/fhir", laboratory_s())
    good(stand.as_(LABORATORY).request("POST", "/fhir", laboratory_s("INVISIBLE_PATIENT")))
    hidden_by_all_ways(stand, HOLDER, {*tried.events})


def test_an_attempt_on_an_ordinary_document_is_shown_and_said_not_to_have_happened(stand: Stand) -> None:
    tried = failed(stand, LABORATORY, "/fhir", laboratory_s())
    assert {*tried.events} <= traces(stand)
    entries = good(stand.as_(HOLDER).request("GET", "/fhir/AuditEvent?date=ge2026-03-01&_count=200")).json()["entry"]
    (entry,) = (one for one in entries if one["resource"]["id"] == tried.events[0])
    assert any(one.get("valueBoolean") is False for one in entry["extension"])


def test_representatives_are_told_of_no_attempt_to_publish_what_is_kept_from_them(secret: Stand) -> None:
    path = "/fhir/DocumentReference"
    tried = failed(secret, PHYSICIAN, path, consultation(5, KEPT))
    ordinary = failed(secret, PHYSICIAN, path, consultation(6))
    hidden_by_all_ways(secret, "representative", {*tried.events})
    assert {*ordinary.events} <= traces(secret, "representative")
    assert {*tried.events, *ordinary.events} <= traces(secret, "minor")


# Deleted


def laboratory_document_of_dune(number: int, *labels: str, replaces: str | None = None) -> Json:
    document = bodies.sample_document(
        "biology",
        patient=DUNE,
        author=AUTHORS["biologist"],
        structure=STRUCTURES["laboratory"],
        when=laboratory_document(1).when,
        unique_id=uid(number),
        replaces=replaces,
    )
    body = bodies.provide_bundle([document], patient=DUNE, when=document.when, set_id=uid(900 + number))
    if labels:
        body["entry"][1]["resource"]["securityLabel"] = [coded(label) for label in labels]
    return body


def every_event_about(stand: Stand, number: int, *labels: str) -> set[str]:
    """A document is published, replaced, read, searched for and tried to be changed; what it was told by."""
    laboratory, physician, minor = (stand.as_(one) for one in (LABORATORY, PHYSICIAN, "minor"))
    made = laboratory.request("POST", "/fhir", laboratory_document_of_dune(number, *labels))
    (own_id,), (set_id,) = locations(made, "DocumentReference"), locations(made, "List")
    uuid = f"urn:uuid:{entry_uuid(own_id.partition('.')[2])}"
    search = f"/fhir/DocumentReference?patient=Patient/{own_id[:26]}"
    done = [
        made,
        physician.request("GET", f"/fhir/DocumentReference/{own_id}"),
        physician.request("GET", f"/fhir/Binary/{own_id}", None, {"Accept": "*/*"}),
        physician.request("GET", f"/fhir/List/{set_id}"),
        physician.request("GET", f"{search}&identifier={quote(f'{URI}|{uid(number)}')}"),
        physician.request("GET", f"{search}&_id={own_id}"),
        physician.request("GET", f"{search}&identifier={uuid}"),
        physician.request("GET", f"{search}&relatesto=DocumentReference/{own_id}"),
        physician.request("GET", f"/fhir/List?patient=Patient/{own_id[:26]}&identifier={uid(900 + number)}"),
        minor.request("GET", f"/fhir/AuditEvent?date=ge2026-03-01&entity.identifier={uid(number)}"),
        laboratory.request("POST", "/fhir", laboratory_document_of_dune(number + 1, replaces=own_id)),
    ]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    asked = f"patient=Patient/{own_id[:26]}&identifier={uid(number)}".encode()
    done.append(physician.request("POST", "/fhir/DocumentReference/_search", asked, form))
    refused = [
        physician.request("PATCH", f"/fhir/DocumentReference/{own_id}", DELETION, PATCH),
        minor.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("N"), PATCH),
        physician.request("GET", f"/fhir/Binary/{own_id}", None, {"Accept": "image/png"}),
    ]
    assert {answer.status for answer in refused} == {403, 406}
    return {event for answer in (*map(good, done), *refused) for event in answer.events}


def deleted_and_opened_anew(stand: Stand) -> None:
    representative = stand.as_("representative")
    opening = next(
        one
        for one in matches(good(representative.request("GET", "/fhir/Consent")))
        if one["category"][0]["coding"][0]["code"] == "ICOL"
    )
    for deletion in (False, True):
        life = bodies.consent_life(DUNE, active=False, deletion=deletion)
        good(representative.request("PUT", f"/fhir/Consent/{opening['id']}", life))
    stand.process.world.clock.advance(timedelta(days=31))
    tally = upkeep(stand).due
    assert tally is not None and tally.deleted == 1
    stand.sessions.clear()
    good(stand.as_("representative").request("POST", "/fhir/Consent", bodies.consent_opening(DUNE)))


def test_what_was_kept_from_representatives_stays_so_when_the_record_was_deleted_and_opened_anew(secret: Stand) -> None:
    kept = every_event_about(secret, 5, KEPT)
    assert not kept & traces(secret, "representative")
    minors_own = good(secret.as_("minor").request("GET", "/fhir/Consent")).events
    deleted_and_opened_anew(secret)
    hidden_by_all_ways(secret, "representative", kept)
    assert set(minors_own) <= traces(secret, "representative")
    assert kept <= traces(secret, "minor")


def test_of_a_deleted_record_s_ordinary_documents_the_events_stay(secret: Stand) -> None:
    """But for those that say nothing of what they are about, which could be of what is kept from representatives."""
    before = traces(secret, "representative")
    made = good(deposit(secret, PHYSICIAN, consultation(1)))
    own_id = made.json()["id"]
    read = good(secret.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference/{own_id}"))
    search = f"/fhir/DocumentReference?patient=Patient/{own_id[:26]}"
    searched = good(secret.as_(PHYSICIAN).request("GET", search))
    status = secret.as_(PHYSICIAN).request("GET", f"/fhir/Patient?identifier={DUNE.ins_system}|{DUNE.ins_value}")
    by_name = good(secret.as_(PHYSICIAN).request("GET", f"{search}&_id={own_id}"))
    deleted_and_opened_anew(secret)
    shown = traces(secret, "representative")
    assert before | {*made.events, *read.events, *searched.events, *good(status).events} <= shown
    assert not {*by_name.events} & shown
    assert {*by_name.events} <= traces(secret, "minor")


def test_an_attempt_before_the_record_was_opened_is_shown(full: World) -> None:
    """On nothing that could be hidden: the patient reads of it when there is a record, and before."""
    stand = Stand(Process(full.copy()))
    basile = PATIENTS["basile"]
    holder = stand.process.session("other-patient", patient="basile")
    ins = quote(f"{basile.ins_system}|{basile.ins_value}")
    physician = stand.process.session(PHYSICIAN, patient="basile")
    tried = physician.request("GET", f"/fhir/DocumentReference?patient.identifier={ins}")
    assert tried.status == 403
    target = f"/fhir/AuditEvent/{tried.events[0]}"
    assert holder.request("GET", target).status == 200
    good(holder.request("POST", "/fhir/Consent", bodies.consent_opening(basile)))
    assert holder.request("GET", target).status == 200


def test_a_deposit_before_the_record_was_opened_is_shown(full: World) -> None:
    """Neither the submission set nor a folder that would have come with it is of an earlier record."""
    stand = Stand(Process(full.copy()))
    basile = PATIENTS["basile"]
    holder = stand.process.session("other-patient", patient="basile")
    laboratory = stand.process.session(LABORATORY, patient="basile")

    def submission(number: int) -> Json:
        author, structure = AUTHORS["biologist"], STRUCTURES["laboratory"]
        document = bodies.sample_document(
            "biology", patient=basile, author=author, structure=structure, when=WHEN, unique_id=uid(number)
        )
        return bodies.provide_bundle((document,), patient=basile, when=WHEN, set_id=uid(900 + number))

    shown = laboratory.request("POST", "/fhir", submission(6))
    kept = submission(7)
    kept["entry"][1]["resource"]["securityLabel"] = [coded("INVISIBLE_PATIENT")]
    waits = laboratory.request("POST", "/fhir", kept)
    assert (shown.status, waits.status) == (403, 403)
    assert holder.request("GET", f"/fhir/AuditEvent/{shown.events[0]}").status == 200
    assert holder.request("GET", f"/fhir/AuditEvent/{waits.events[0]}").status == 404
