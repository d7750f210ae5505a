"""What a patient decides about the record, over the whole service in process: who gets in by it, and who no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.inprocess import Process, Response, Session, World, key_service
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, Author
from sceau.envelope.messages import Envelope
from sceau.identity.structures import DirectoryStore
from sceau_schemas.dossier import DossierHead
from sceau_schemas.systems import IDNAT_PS
from unit.faults.whole import read_whole
from unit.http.published import Json, bundle, good, laboratory_document, matches, opened, search
from unit.http.test_patching import PATCH, labelled

HOLDER, PHYSICIAN, GP, OTHER = "patient", "hospital-physician", "general-practitioner", "other-physician"
DOCTOR, SPECIALIST, PSYCHIATRIST = (
    AUTHORS["general_practitioner"],
    AUTHORS["hospital_physician"],
    AUTHORS["psychiatrist"],
)
OCCUPATIONAL = Author("899700000111", "MODÈLE-TRAVAIL", "Achille", "G15_10/SM25")


@dataclass
class Stand:
    """Dominique's record, open and shared with nobody; the laboratory's document 1 is in it."""

    process: Process
    sessions: dict[str, Session] = field(default_factory=dict)

    def as_(self, actor: str) -> Session:
        if actor not in self.sessions:
            self.sessions[actor] = self.process.session(actor)
        return self.sessions[actor]

    def decide(self, actor: str, kind: Any, person: Author | None = None, **more: Any) -> Response:
        return self.post(actor, bodies.consent_decision(DOMINIQUE, kind, person, **more))

    def grant(self, structure: str, actor: str = HOLDER, **more: Any) -> Response:
        return self.post(actor, bodies.consent_grant(DOMINIQUE, STRUCTURES[structure], **more))

    def post(self, actor: str, body: Json) -> Response:
        return self.as_(actor).request("POST", "/fhir/Consent", body)

    def put(self, actor: str, consent: Json, headers: dict[str, str] | None = None, **changes: Any) -> Response:
        """The Consent as it was answered, with changes."""
        body = {**consent, **changes}
        return self.as_(actor).request("PUT", f"/fhir/Consent/{consent['id']}", body, headers)

    def consents(self, actor: str, query: str = "") -> list[Json]:
        return matches(good(self.as_(actor).request("GET", f"/fhir/Consent{query}")))

    def opening(self) -> Json:
        return next(one for one in self.consents(HOLDER) if one["category"][0]["coding"][0]["code"] == "ICOL")

    def sees(self, actor: str) -> int | str:
        """How many documents a caller finds, or why none may be looked for."""
        answer = search(self.as_(actor), "DocumentReference")
        if answer.status == 200:
            return int(answer.json()["total"])
        return str(answer.json()["issue"][0]["details"]["text"])

    def mask(self) -> None:
        (found,) = matches(search(self.as_(HOLDER), "DocumentReference"))
        target = f"/fhir/DocumentReference/{found['id']}"
        good(self.as_(HOLDER).request("PATCH", target, labelled("MASQUE_PS"), PATCH))

    def head(self) -> DossierHead:
        dossier = read_whole(self.process.world).the_record()
        assert dossier is not None
        return dossier.head

    def later(self, **by: float) -> None:
        """Time goes by; tokens are fetched anew."""
        self.process.world.clock.advance(timedelta(**by))
        self.sessions.clear()

    @contextmanager
    def unchanged(self, status: int, reason: str | None = None) -> Iterator[list[Response]]:
        """What is asked inside leaves every record byte for byte as it is, and one event each."""
        memory, answers = self.process.world.memory, list[Response]()
        before = {name: memory.read(name).data for name in memory.list("records/")}
        yield answers
        assert {name: memory.read(name).data for name in memory.list("records/")} == before
        whole = read_whole(self.process.world)
        for answer in answers:
            assert answer.status == status, answer.data
            (event,) = answer.events
            if reason is not None:
                assert whole.events[event].outcome_desc == reason


@pytest.fixture(scope="module")
def full() -> World:
    process = opened(share=False)
    good(process.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    return process.world


@pytest.fixture
def stand(full: World) -> Stand:
    return Stand(Process(full.copy()))


# Authorisations


def test_a_care_team_reads_after_one_consent_and_not_for_ever(stand: Stand) -> None:
    assert stand.sees(PHYSICIAN) == "denied.no-grant"
    granted = good(stand.grant("hospital"))
    assert stand.sees(PHYSICIAN) == 1
    assert stand.sees(GP) == "denied.no-grant"
    assert granted.json()["provision"]["period"]["end"].startswith("2027-03-02")  # a year from 2 March 2026
    stand.later(days=364)
    assert stand.sees(PHYSICIAN) == 1
    stand.later(days=1)
    assert stand.sees(PHYSICIAN) == "denied.no-grant"
    assert good(stand.grant("hospital")).status == 201  # the first one has ended
    assert stand.sees(PHYSICIAN) == 1


def test_a_professional_outside_reads_for_a_consultation_whatever_the_structure(stand: Stand) -> None:
    good(stand.decide(HOLDER, "grant", SPECIALIST))
    assert stand.sees(PHYSICIAN) == 1
    assert stand.sees("nurse") == "denied.no-grant"  # of the same hospital
    stand.later(hours=23)
    assert stand.sees(PHYSICIAN) == 1
    stand.later(hours=1)
    assert stand.sees(PHYSICIAN) == "denied.no-grant"


def test_a_nurse_of_the_team_sees_the_types_that_the_matrix_gives_her(stand: Stand) -> None:
    good(stand.grant("hospital"))
    letter = laboratory_document(2, "discharge-letter")  # 11490-0: no source says
    good(stand.as_("laboratory").request("POST", "/fhir", bundle(902, letter)))
    assert (stand.sees(PHYSICIAN), stand.sees("nurse")) == (2, 1)


def test_a_professional_collects_a_consent_for_the_own_team_or_a_colleague(stand: Stand) -> None:
    answer = good(stand.grant("hospital", PHYSICIAN))
    assert answer.status == 201
    assert answer.json()["performer"] == [
        {"type": "Practitioner", "identifier": {"system": IDNAT_PS, "value": SPECIALIST.identifier}}
    ]
    assert stand.sees(PHYSICIAN) == 1
    good(stand.decide(PHYSICIAN, "grant", DOCTOR))
    assert stand.sees(GP) == 1
    assert [one["performer"] for one in stand.consents(HOLDER)[1:]] == [answer.json()["performer"]] * 2


def test_a_professional_collects_nothing_else(stand: Stand) -> None:
    with stand.unchanged(422) as answers:
        answers.append(stand.grant("practice", PHYSICIAN))
    with stand.unchanged(403, "denied.actor") as answers:
        for kind in ("express", "delegation", "medecin_traitant", "block"):
            answers.append(stand.decide(PHYSICIAN, kind, SPECIALIST))
        answers.append(stand.decide(PHYSICIAN, "opposition", mode="centre_15"))
    with stand.unchanged(403, "denied.no-express-consent") as answers:
        answers.append(stand.decide("occupational-doctor", "grant", OCCUPATIONAL))


COLLEAGUES = ("psychiatrist", "radiologist", "emergency_physician", "regulator", "hospital_physician", "biologist")
"""Blocked, authorised, given a delegation, named, médecin traitant, and of whom the patient decided nothing."""


def decide_about_colleagues(stand: Stand) -> None:
    kinds = ("block", "grant", "delegation")
    for name, kind in zip(COLLEAGUES, kinds, strict=False):
        good(stand.decide(HOLDER, kind, AUTHORS[name]))
    accepted = good(stand.decide(HOLDER, "medecin_traitant", SPECIALIST)).json()
    good(stand.put(PHYSICIAN, accepted, status="active"))
    good(stand.decide(HOLDER, "medecin_traitant", AUTHORS["regulator"]))


def told(answer: Response, who: Author) -> tuple[int, str, dict[str, str]]:
    """Of an answer about a consent, what it may tell: all but the ids, and the person that the request named."""
    text = answer.data.decode()
    given = answer.json()
    for found, put in ((given["id"], "ID"), (who.identifier, "PERSON"), (who.family, "NAME"), (who.given, "NAME")):
        text = text.replace(found, put)
    names = set(answer.headers) - {"Sceau-Trace", "X-Request-Id", "Content-Length"}
    return answer.status, text, {name: answer.headers[name].replace(given["id"], "ID") for name in names}


def test_collecting_tells_nobody_whom_the_patient_blocked_or_authorised(stand: Stand) -> None:
    """By a doctor whom no decision names: status, body and headers are the same, the first time and again."""
    decide_about_colleagues(stand)
    before, listed = stand.head().consents, stand.consents(HOLDER)
    firsts, agains = [], []
    for name in COLLEAGUES:
        first = stand.decide(GP, "grant", AUTHORS[name])
        with stand.unchanged(200, "repeated") as answers:
            answers.append(stand.decide(GP, "grant", AUTHORS[name]))
        assert answers[0].json() == first.json()
        firsts.append(told(first, AUTHORS[name]))
        agains.append(told(answers[0], AUTHORS[name]))
    assert firsts == [firsts[-1]] * len(COLLEAGUES)
    assert agains == [agains[-1]] * len(COLLEAGUES)
    assert firsts[0][0] == 201
    assert stand.head().consents[: len(before)] == before
    assert stand.consents(HOLDER)[: len(listed)] == listed
    assert stand.consents(GP) == []


def test_what_another_collected_is_not_told_by_collecting(stand: Stand) -> None:
    first = good(stand.decide(GP, "grant", AUTHORS["radiologist"])).json()
    second = stand.decide("nurse", "grant", AUTHORS["radiologist"])
    assert (second.status, second.json()["id"] != first["id"]) == (201, True)
    assert second.json()["performer"] != first["performer"]
    own = good(stand.grant("hospital")).json()
    assert stand.grant("hospital", "nurse").json() == own, "a team may know what was decided about it"


def test_a_consent_collected_for_whom_the_patient_blocked_lets_nobody_in(stand: Stand) -> None:
    """Neither while the block stands nor when it ends: the patient who ends it has not let anybody in."""
    earlier = good(stand.decide(GP, "grant", PSYCHIATRIST)).json()
    good(stand.put(HOLDER, earlier, status="inactive"))
    block = good(stand.decide(HOLDER, "block", PSYCHIATRIST)).json()
    collected = good(stand.decide(GP, "grant", PSYCHIATRIST)).json()
    beside = good(stand.decide(GP, "grant", SPECIALIST)).json()
    assert stand.sees(OTHER) == "denied.blocked"
    good(stand.put(HOLDER, block, status="inactive"))
    assert (stand.sees(OTHER), stand.sees(PHYSICIAN)) == ("denied.no-grant", 1)
    statuses = {one["id"]: one["status"] for one in stand.consents(HOLDER)}
    assert [statuses[one["id"]] for one in (earlier, collected, beside)] == ["inactive", "inactive", "active"]
    good(stand.decide(GP, "grant", PSYCHIATRIST))
    assert stand.sees(OTHER) == 1


def test_a_professional_learns_nothing_by_changing_what_is_not_theirs(stand: Stand) -> None:
    """A consent of somebody else and one that is not there: one answer, before the caller is named and after."""
    decide_about_colleagues(stand)
    others = [one for one in stand.consents(HOLDER) if one["status"] != "inactive"][1:]
    absent = {**others[0], "id": stand.opening()["id"][:-1] + ("e" if stand.opening()["id"].endswith("a") else "a")}
    for status, reason in ((403, "denied.not-named"), (404, "denied.unknown")):
        with stand.unchanged(status, reason) as answers:
            for one in (*others, absent):
                for wanted in ("active", "inactive", "rejected"):
                    body = {**others[-1], "id": one["id"], "status": wanted}
                    answers.append(stand.as_(GP).request("PUT", f"/fhir/Consent/{one['id']}", body))
        assert all(without(answer.json(), "id") == without(answers[0].json(), "id") for answer in answers)
        good(stand.decide(HOLDER, "medecin_traitant", DOCTOR))


def test_an_occupational_doctor_needs_the_express_consent(stand: Stand) -> None:
    good(stand.grant("hospital"))
    good(stand.decide(HOLDER, "grant", OCCUPATIONAL))
    assert stand.sees("occupational-doctor") == "denied.no-express-consent"
    good(stand.decide(HOLDER, "express", OCCUPATIONAL))
    assert stand.sees("occupational-doctor") == 1
    good(stand.decide(HOLDER, "express", DOCTOR))
    assert stand.sees(GP) == "denied.no-grant"  # for another doctor it opens nothing


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"end": datetime(2026, 3, 1, tzinfo=UTC)}, "ended already"),
        ({"start": datetime(2020, 1, 1, tzinfo=UTC)}, "ended already"),
        ({"end": datetime(2028, 1, 1, tzinfo=UTC)}, "365 days at most"),
        ({"start": datetime(2026, 3, 2, 9, tzinfo=UTC), "end": datetime(2027, 3, 3, tzinfo=UTC)}, "365 days at most"),
    ],
)
def test_a_period_that_can_not_be_is_refused(stand: Stand, more: dict[str, Any], text: str) -> None:
    with stand.unchanged(422) as answers:
        answers.append(stand.grant("hospital", **more))
    assert text in answers[0].json()["issue"][0]["diagnostics"]


def test_the_same_decision_again_is_the_same_one(stand: Stand) -> None:
    asked: tuple[Callable[[], Response], ...] = (
        lambda: stand.grant("hospital"),
        lambda: stand.decide(HOLDER, "grant", SPECIALIST),
        lambda: stand.decide(HOLDER, "express", OCCUPATIONAL),
        lambda: stand.decide(HOLDER, "delegation", PSYCHIATRIST),
        lambda: stand.decide(HOLDER, "medecin_traitant", DOCTOR),
        lambda: stand.decide(HOLDER, "block", AUTHORS["radiologist"]),
        lambda: stand.decide(HOLDER, "opposition", mode="bris_de_glace"),
        lambda: stand.decide(HOLDER, "opposition", mode="centre_15"),
    )
    for ask in asked:
        first = ask()
        assert first.status == 201
        with stand.unchanged(200, "repeated") as answers:
            answers.append(ask())
        assert answers[0].json() == first.json()
    assert len(stand.consents(HOLDER)) == 9


# Blocks


def test_a_blocked_professional_never_gets_in_and_others_of_the_team_do(stand: Stand) -> None:
    good(stand.grant("hospital"))
    block = good(stand.decide(HOLDER, "block", SPECIALIST))
    assert stand.sees(PHYSICIAN) == "denied.blocked"
    assert stand.sees("nurse") == 1
    status = stand.as_(PHYSICIAN).request(
        "GET", f"/fhir/Patient?identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
    )
    told = [one["resource"] for one in status.json()["entry"] if one["search"]["mode"] == "include"]
    assert told[0]["policyRule"] == {"text": "denied.blocked"}
    good(stand.put(HOLDER, block.json(), status="inactive"))
    assert stand.sees(PHYSICIAN) == 1


def test_what_contradicts_a_decision_in_force_is_refused(stand: Stand) -> None:
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR))
    good(stand.decide(HOLDER, "block", SPECIALIST))
    with stand.unchanged(422) as answers:
        answers.append(stand.decide(HOLDER, "block", DOCTOR))
        for kind in ("grant", "express", "delegation", "medecin_traitant"):
            answers.append(stand.decide(HOLDER, kind, SPECIALIST))
    good(stand.put(GP, named.json(), status="active"))
    with stand.unchanged(422) as answers:
        answers.append(stand.decide(HOLDER, "block", DOCTOR))


# The médecin traitant


def test_the_medecin_traitant_is_named_accepts_and_sees_what_is_masked(stand: Stand) -> None:
    stand.mask()
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR))
    assert stand.sees(GP) == "denied.no-grant"
    (proposal,) = stand.consents(GP, "?status=proposed")
    assert proposal == named.json()
    accepted = good(stand.put(GP, proposal, status="active"))
    assert (accepted.json()["status"], accepted.json()["meta"]["versionId"]) == ("active", "2")
    assert stand.sees(GP) == 1
    good(stand.grant("hospital"))
    assert stand.sees(PHYSICIAN) == 0
    assert told_as_medecin_traitant(stand, GP) is True
    assert told_as_medecin_traitant(stand, PHYSICIAN) is False
    assert told_as_medecin_traitant(stand, HOLDER) is True


def test_the_medecin_traitant_lifts_no_mask_of_somebody_elses_document(stand: Stand) -> None:
    """They see behind it; whether others do is the holder's decision, or the author's at the holder's wish."""
    stand.mask()
    good(stand.grant("hospital"))
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    good(stand.put(GP, named, status="active"))
    good(stand.decide(HOLDER, "delegation", PSYCHIATRIST))
    (found,) = matches(search(stand.as_(GP), "DocumentReference"))
    target = f"/fhir/DocumentReference/{found['id']}"
    with stand.unchanged(403, "denied.not-author") as answers:
        for actor in (GP, OTHER):
            answers.append(stand.as_(actor).request("PATCH", target, labelled("N"), PATCH))
    assert (stand.sees(GP), stand.sees(OTHER), stand.sees(PHYSICIAN)) == (1, 1, 0)
    good(stand.as_(HOLDER).request("PATCH", target, labelled("N"), PATCH))
    assert stand.sees(PHYSICIAN) == 1


def told_as_medecin_traitant(stand: Stand, actor: str) -> bool:
    query = f"/fhir/Patient?identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
    (patient,) = matches(stand.as_(actor).request("GET", query))
    return next(bool(e["valueBoolean"]) for e in patient["extension"] if e["url"].endswith("dmp-medecin-traitant"))


def test_nobody_else_answers_for_the_named_doctor(stand: Stand) -> None:
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    with stand.unchanged(403, "denied.not-named") as answers:
        answers.append(stand.put(PHYSICIAN, named, status="active"))
    with stand.unchanged(422) as answers:
        answers.append(stand.put(HOLDER, named, status="active"))
        answers.append(stand.put(HOLDER, named, status="rejected"))
    with stand.unchanged(422) as answers:
        answers.append(stand.decide(HOLDER, "medecin_traitant", PSYCHIATRIST, status="active"))


def test_who_declines_may_be_named_again(stand: Stand) -> None:
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    declined = good(stand.put(GP, named, status="rejected"))
    with stand.unchanged(200, "repeated") as answers:
        answers.append(stand.put(GP, declined.json(), status="rejected"))
    with stand.unchanged(422) as answers:
        answers.append(stand.put(GP, declined.json(), status="active"))
    again = stand.decide(HOLDER, "medecin_traitant", DOCTOR)
    assert (again.status, again.json()["id"] != named["id"]) == (201, True)


def test_a_change_of_medecin_traitant(stand: Stand) -> None:
    """The one stays until the other has accepted; a third, named meanwhile, ends the second's proposal."""
    stand.mask()
    first = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    good(stand.put(GP, first, status="active"))
    second = good(stand.decide(HOLDER, "medecin_traitant", SPECIALIST)).json()
    assert (stand.sees(GP), stand.sees(PHYSICIAN)) == (1, "denied.no-grant")
    third = good(stand.decide(HOLDER, "medecin_traitant", PSYCHIATRIST)).json()
    with stand.unchanged(422) as answers:
        answers.append(stand.put(PHYSICIAN, second, status="active"))
    good(stand.put(OTHER, third, status="active"))
    assert (stand.sees(GP), stand.sees(PHYSICIAN), stand.sees(OTHER)) == ("denied.no-grant", "denied.no-grant", 1)
    statuses = {one["id"]: one["status"] for one in stand.consents(HOLDER)}
    assert [statuses[one["id"]] for one in (first, second, third)] == ["inactive", "inactive", "active"]


def test_a_medecin_traitant_gives_up_and_the_holder_may_end_it(stand: Stand) -> None:
    for actor in (GP, HOLDER):
        named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
        accepted = good(stand.put(GP, named, status="active")).json()
        assert stand.sees(GP) == 1
        good(stand.put(actor, accepted, status="inactive"))
        assert stand.sees(GP) == "denied.no-grant"


def test_the_holder_gives_the_same_rights_to_another_professional(stand: Stand) -> None:
    stand.mask()
    delegated = good(stand.decide(HOLDER, "delegation", PSYCHIATRIST)).json()
    assert stand.sees(OTHER) == 1
    good(stand.put(HOLDER, delegated, status="inactive"))
    assert stand.sees(OTHER) == "denied.no-grant"


# Who sees the decisions


def test_a_professional_sees_the_decisions_that_name_them_or_their_structure(stand: Stand) -> None:
    granted = good(stand.grant("hospital")).json()
    blocked = good(stand.decide(HOLDER, "block", PSYCHIATRIST)).json()
    good(stand.decide(HOLDER, "opposition", mode="centre_15"))
    assert stand.consents(PHYSICIAN) == [granted]
    assert stand.consents(OTHER) == [blocked]
    assert stand.consents(GP) == []
    assert stand.as_(PHYSICIAN).request("GET", f"/fhir/Consent/{granted['id']}").json() == granted
    with stand.unchanged(404) as answers:
        for rest in ("", "/_history"):
            answers.append(stand.as_(PHYSICIAN).request("GET", f"/fhir/Consent/{blocked['id']}{rest}"))
    with stand.unchanged(403) as answers:
        answers.append(stand.as_("laboratory").request("GET", f"/fhir/Consent/{granted['id']}"))


def test_decisions_are_found_by_what_they_are(stand: Stand) -> None:
    granted = good(stand.grant("hospital")).json()
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    opening = stand.opening()
    assert stand.consents(HOLDER, "?category=ICOL") == [opening]
    system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert stand.consents(HOLDER, f"?category={system}|INFA&status=active") == [granted]
    assert stand.consents(HOLDER, "?status=proposed,inactive") == [named]
    assert stand.consents(HOLDER, f"?actor.identifier={IDNAT_PS}|{DOCTOR.identifier}") == [named]
    assert stand.consents(HOLDER, f"?actor.identifier={STRUCTURES['hospital'].identifier}") == [granted]
    assert stand.consents(HOLDER, f"?_id={named['id']}") == [named]
    assert stand.consents(HOLDER, f"?patient={granted['patient']['reference']}&status=active") == [opening, granted]
    counted = stand.as_(HOLDER).request("GET", "/fhir/Consent?_summary=count").json()
    assert (counted["total"], "entry" in counted) == (3, False)
    strict = stand.as_(HOLDER).request("GET", "/fhir/Consent?period=2026", None, {"Prefer": "handling=strict"})
    assert strict.status == 400
    lenient = stand.as_(HOLDER).request("GET", "/fhir/Consent?period=2026").json()
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"


def test_the_versions_of_a_decision_are_kept(stand: Stand) -> None:
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    accepted = good(stand.put(GP, named, status="active")).json()
    ended = good(stand.put(HOLDER, accepted, status="inactive")).json()
    for actor in (HOLDER, GP):
        told = stand.as_(actor).request("GET", f"/fhir/Consent/{named['id']}/_history").json()
        assert [one["resource"] for one in told["entry"]] == [ended, accepted, named]
        assert [one["request"]["method"] for one in told["entry"]] == ["PUT", "PUT", "POST"]
    answer = stand.as_(HOLDER).request("GET", f"/fhir/Consent/{named['id']}", None, {"If-None-Match": 'W/"3"'})
    assert answer.status == 304


def test_a_stale_version_and_another_decision_change_nothing(stand: Stand) -> None:
    granted = good(stand.grant("hospital")).json()
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    with stand.unchanged(412) as answers:
        answers.append(stand.put(HOLDER, granted, {"If-Match": 'W/"2"'}, status="inactive"))
    with stand.unchanged(422) as answers:
        answers.append(stand.put(HOLDER, {**named, "id": granted["id"]}, status="inactive"))
    with stand.unchanged(404) as answers:
        answers.append(
            stand.put(
                HOLDER,
                {**granted, "id": granted["id"][:-1] + ("e" if granted["id"].endswith("a") else "a")},
                status="inactive",
            )
        )
    with stand.unchanged(422) as answers:
        body = {**stand.opening(), "id": granted["id"], "status": "inactive"}
        answers.append(stand.as_(HOLDER).request("PUT", f"/fhir/Consent/{granted['id']}", body))


# The life of the record


def test_closing_ends_what_was_permitted_and_reopening_permits_nothing(stand: Stand) -> None:
    good(stand.grant("hospital"))
    named = good(stand.decide(HOLDER, "medecin_traitant", DOCTOR)).json()
    good(stand.put(GP, named, status="active"))
    good(stand.decide(HOLDER, "block", PSYCHIATRIST))
    good(stand.decide(HOLDER, "opposition", mode="centre_15"))
    body = bodies.consent_life(DOMINIQUE, active=False, reason="Je pars vivre à l'étranger.")
    closed = stand.as_(HOLDER).request("PUT", f"/fhir/Consent/{stand.opening()['id']}", body)
    assert (good(closed).json()["status"], stand.head().status) == ("inactive", "closed")
    for actor in (PHYSICIAN, GP, HOLDER):
        assert stand.sees(actor) == "denied.no-record"
    with stand.unchanged(403, "denied.closed") as answers:
        answers.append(stand.grant("hospital"))
        answers.append(stand.as_("laboratory").request("POST", "/fhir", bundle(902, laboratory_document(2))))
        answers.append(stand.post("insurer", bodies.consent_opening(DOMINIQUE)))
    query = f"/fhir/Patient?identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
    (patient,) = matches(stand.as_(PHYSICIAN).request("GET", query))
    told = next(one for one in patient["extension"] if one["url"].endswith("dmp-fermeture"))
    assert patient["active"] is False
    assert told["extension"][0] == {"url": "dateFermeture", "valueDate": "2026-03-02"}
    assert told["extension"][-1] == {"url": "raisonFermeture", "valueString": "Je pars vivre à l'étranger."}
    kept = {one["id"] for one in stand.consents(HOLDER) if one["status"] == "active"}
    assert len(kept) == 2  # the block, the opposition
    reopened = stand.put(HOLDER, without(closed.json(), "extension"), status="active")
    assert good(reopened).json()["meta"]["versionId"] == "3"
    assert (stand.sees(HOLDER), stand.sees(PHYSICIAN), stand.sees(GP)) == (1, "denied.no-grant", "denied.no-grant")
    assert (stand.head().closed, stand.head().closing_reason) == (None, None)
    good(stand.grant("hospital"))
    assert stand.sees(PHYSICIAN) == 1


def without(resource: Json, name: str) -> Json:
    return {key: value for key, value in resource.items() if key != name}


def test_closing_and_reopening_again_change_nothing(stand: Stand) -> None:
    opening = stand.opening()
    with stand.unchanged(200, "repeated") as answers:
        answers.append(stand.put(HOLDER, opening, status="active"))
    closed = good(stand.put(HOLDER, opening, status="inactive"))
    with stand.unchanged(200, "repeated") as answers:
        answers.append(stand.put(HOLDER, opening, status="inactive"))
    assert answers[0].json() == closed.json()


def test_nobody_but_the_holder_closes_or_reopens(stand: Stand) -> None:
    opening = stand.opening()
    good(stand.grant("hospital"))
    with stand.unchanged(403) as answers:
        answers.append(stand.put("laboratory", opening, status="inactive"))
        answers.append(stand.put(PHYSICIAN, opening, status="inactive"))
    with stand.unchanged(404) as answers:
        answers.append(stand.put("other-patient", opening, status="inactive"))


# Minors


@pytest.fixture
def minors(full: World) -> Stand:
    stand = Stand(Process(full.copy()))
    assert stand.post("representative", bodies.consent_opening(PATIENTS["dune"])).status == 201
    return stand


def test_a_representative_opens_and_decides_for_a_minor(minors: Stand) -> None:
    dune = PATIENTS["dune"]
    granted = minors.post("representative", bodies.consent_grant(dune, STRUCTURES["hospital"]))
    assert granted.status == 201
    assert minors.as_("minor").request("GET", "/fhir/Consent").json()["total"] == 2
    with minors.unchanged(404, "denied.other-record") as answers:
        answers.append(minors.grant("hospital", "representative"))
    event = granted.events[0]
    told = minors.as_("minor").request("GET", f"/fhir/AuditEvent/{event}").json()
    (user,) = [one for one in told["agent"] if one["requestor"]]
    assert user["role"][0]["coding"][0]["code"] == "GUARD"
    assert "name" not in user


def test_no_decision_comes_of_a_connexion_secrete(minors: Stand) -> None:
    """A representative would read in it whom the minor consulted, and when."""
    dune = PATIENTS["dune"]
    for name, actor in (("secretly", PHYSICIAN), ("secretly, as named", GP)):
        minors.sessions[name] = minors.process.session(actor, patient="dune", secret=True)
    named = good(minors.post("representative", bodies.consent_decision(dune, "medecin_traitant", DOCTOR))).json()
    before = minors.consents("representative")
    with minors.unchanged(403, "denied.mode") as answers:
        answers.append(minors.post("secretly", bodies.consent_grant(dune, STRUCTURES["hospital"])))
        answers.append(minors.post("secretly", bodies.consent_decision(dune, "grant", DOCTOR)))
        answers.append(minors.put("secretly, as named", named, status="active"))
        answers.append(minors.put("secretly, as named", named, status="rejected"))
    assert minors.consents("representative") == before


def test_a_representative_of_somebody_of_age_gets_nowhere(minors: Stand) -> None:
    minors.process.world.clock.now = datetime(2032, 1, 8, 22, 59, tzinfo=UTC)
    minors.sessions.clear()
    assert minors.as_("representative").request("GET", "/fhir/Consent").status == 200
    minors.process.world.clock.now = datetime(2032, 1, 8, 23, 0, tzinfo=UTC)
    minors.sessions.clear()
    with minors.unchanged(403, "denied.majority") as answers:
        answers.append(minors.as_("representative").request("GET", "/fhir/Consent"))
        answers.append(minors.post("representative", bodies.consent_grant(PATIENTS["dune"], STRUCTURES["hospital"])))
    assert minors.as_("minor").request("GET", "/fhir/Consent").status == 200


def test_nobody_opens_as_representative_a_record_of_somebody_of_age(full: World) -> None:
    stand = Stand(Process(full.copy()))
    stand.process.world.clock.now = datetime(2032, 1, 9, tzinfo=UTC)
    with stand.unchanged(403, "denied.majority") as answers:
        answers.append(stand.post("representative", bodies.consent_opening(PATIENTS["dune"])))


def opening_of_dune(birth_date: str) -> Json:
    body = bodies.consent_opening(PATIENTS["dune"])
    body["contained"][0]["birthDate"] = birth_date
    return body


@pytest.mark.parametrize("birth_date", ["2025-01-09", "2014-12-09", "2013-01", "2015", "2114-01-09", "2114"])
def test_a_representative_does_not_choose_the_birth_date(stand: Stand, birth_date: str) -> None:
    """Their right ends by it. 2114 ends in the two digits of the INS, and would make a minor of anybody."""
    with stand.unchanged(422) as answers:
        answers.append(stand.post("representative", opening_of_dune(birth_date)))
    assert "birth date" in answers[0].json()["issue"][0]["diagnostics"]
    assert PATIENTS["dune"].ins_value not in answers[0].data.decode()
    assert stand.post("insurer", bodies.consent_opening(PATIENTS["dune"])).status == 201


@pytest.mark.parametrize("birth_date", ["2014-01-09", "2014-01", "2014"])
def test_a_representative_gives_the_birth_date_as_far_as_it_is_known(stand: Stand, birth_date: str) -> None:
    assert stand.post("representative", opening_of_dune(birth_date)).status == 201
    with stand.unchanged(200, "repeated") as answers:
        answers.append(stand.post("representative", opening_of_dune(birth_date)))
    stand.process.world.clock.now = datetime(2032, 1, 9, tzinfo=UTC)
    stand.sessions.clear()
    with stand.unchanged(403, "denied.majority") as answers:
        answers.append(stand.as_("representative").request("GET", "/fhir/Consent"))


def test_the_insurer_and_the_holder_are_believed_about_the_birth_date(stand: Stand) -> None:
    """No right of theirs rests on it."""
    assert stand.post("insurer", opening_of_dune("2014-02-09")).status == 201
    assert stand.post("minor", opening_of_dune("2014-02-09")).status == 200


def test_a_structure_that_does_not_exist_gets_nothing(stand: Stand) -> None:
    """As far as the stage was told which ones do; before that, a number of the right form passes."""
    world = stand.process.world
    DirectoryStore(world.memory, Envelope(key_service())).put([structure_number("hospital")], "a test")
    stand.later(minutes=2)
    with stand.unchanged(422) as answers:
        answers.append(stand.grant("practice"))
    assert answers[0].json()["issue"][0]["expression"] == ["Consent.provision.actor[0].reference.identifier.value"]
    assert stand.grant("hospital").status == 201
    assert stand.decide(HOLDER, "grant", SPECIALIST).status == 201, "persons are in another directory"


def structure_number(name: str) -> str:
    identifier = bodies.consent_grant(DOMINIQUE, STRUCTURES[name])["provision"]["actor"][0]["reference"]["identifier"]
    return str(identifier["value"])
