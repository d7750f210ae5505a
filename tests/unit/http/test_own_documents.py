"""What patients deposit themselves, and what minors keep to themselves; whole service in process."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.inprocess import Process, Response, World
from sceau.cli import bodies
from sceau.cli.body_own import own_document
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, Patient
from sceau.fhir import codes
from sceau.fhir.codes import TRE_A05, TRE_A07
from sceau_schemas.dossier import StoredIdentifier
from unit.faults.whole import read_whole
from unit.http.published import URI, WHEN, Json, bundle, good, laboratory_document, matches, opened, uid
from unit.http.test_decisions_end_to_end import HOLDER, PHYSICIAN, Stand
from unit.http.test_patching import DELETION, PATCH, archived, labelled

DIRECTIVES = codes.document_type(TRE_A05, "EXPPAT_3")
CONTACTS = codes.document_type(TRE_A05, "FICHE-CONTACTS")
HISTORY = codes.document_type(TRE_A05, "DOCPAT03")
KEPT = "INVISIBLE_REPRESENTANTS_LEGAUX"


def own(number: int, kind: codes.DocumentType | None = DIRECTIVES, patient: Patient = DOMINIQUE, **more: Any) -> Json:
    assert kind is not None
    text = "Je ne souhaite pas d'acharnement thérapeutique."
    return own_document(patient, kind, text, when=WHEN, unique_id=uid(number), title=kind.label, **more)


def deposit(stand: Stand, actor: str, body: Json) -> Response:
    return stand.as_(actor).request("POST", "/fhir/DocumentReference", body)


def patch(stand: Stand, actor: str, own_id: str, body: Any, **headers: str) -> Response:
    return stand.as_(actor).request("PATCH", f"/fhir/DocumentReference/{own_id}", body, PATCH | headers)


@pytest.fixture(scope="module")
def full() -> World:
    return opened().world


@pytest.fixture
def stand(full: World) -> Stand:
    return Stand(Process(full.copy()))


@pytest.mark.parametrize("kind", [DIRECTIVES, CONTACTS, HISTORY])
def test_a_patient_deposits_and_the_team_reads(stand: Stand, kind: codes.DocumentType) -> None:
    answer = good(deposit(stand, HOLDER, own(1, kind)))
    assert answer.status == 201
    for actor in (HOLDER, PHYSICIAN):
        found = stand.as_(actor).request("GET", f"/fhir/DocumentReference/{answer.json()['id']}")
        assert found.json() == answer.json()
        raw = stand.as_(actor).request("GET", f"/fhir/Binary/{answer.json()['id']}", None, {"Accept": "text/plain"})
        assert raw.data.decode().startswith("Je ne souhaite pas")
    (row,) = rows(stand)
    assert (row.holders_own, row.author_structures) == (True, ())


def rows(stand: Stand) -> list[Any]:
    dossier = read_whole(stand.process.world).the_record()
    assert dossier is not None
    return list(dossier.entries.rows())


def test_a_patient_hides_what_they_deposit_and_replaces_and_deletes_it(stand: Stand) -> None:
    first = good(deposit(stand, HOLDER, own(1, label="MASQUE_PS"))).json()
    assert stand.as_(PHYSICIAN).request("GET", f"/fhir/DocumentReference/{first['id']}").status == 404
    newer = good(deposit(stand, HOLDER, own(2, replaces=StoredIdentifier(system=URI, value=uid(1))))).json()
    good(patch(stand, HOLDER, newer["id"], DELETION))
    assert {row.now.status for row in rows(stand)} == {"superseded", "entered-in-error"}
    assert stand.as_(HOLDER).request("GET", f"/fhir/DocumentReference/{newer['id']}").status == 404


def test_nobody_but_the_patient_deletes_or_replaces_it(stand: Stand) -> None:
    first = good(deposit(stand, HOLDER, own(1))).json()
    with stand.unchanged(403, "denied.not-author") as answers:
        answers.append(patch(stand, PHYSICIAN, first["id"], DELETION))
    with stand.unchanged(404) as answers:
        answers.append(patch(stand, "laboratory", first["id"], DELETION))
        body = bundle(902, laboratory_document(2, replaces=first["id"]))
        answers.append(stand.as_("laboratory").request("POST", "/fhir", body))


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (lambda b: b.update(author=[{"reference": "#patient"}, {"reference": "#p"}]), 403, "denied.not-author"),
        (lambda b: b.update(author=[{"reference": "#p"}]), 403, "denied.not-author"),
        (lambda b: b["type"]["coding"][0].update(system=codes.LOINC, code="34112-3"), 403, "denied.patient-type"),
        (lambda b: b["type"]["coding"][0].update(code="CERT_DECL"), 403, "denied.patient-type"),
        (lambda b: b.update(securityLabel=[coded("INVISIBLE_PATIENT")]), 422, "denied.label"),
    ],
)
def test_what_is_not_the_patients_own_to_deposit(stand: Stand, change: Any, status: int, reason: str) -> None:
    body = own(1)
    identifier = {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": AUTHORS["biologist"].identifier}
    body["contained"].append({"resourceType": "Practitioner", "id": "p", "identifier": [identifier]})
    body.pop("category")
    change(body)
    with stand.unchanged(status, reason) as answers:
        answers.append(deposit(stand, HOLDER, body))


def coded(code: str) -> Json:
    return {"coding": [{"system": TRE_A07, "code": code}]}


def test_another_patients_document_is_not_deposited(stand: Stand) -> None:
    with stand.unchanged(403, "denied.other-record") as answers:
        answers.append(deposit(stand, HOLDER, own(1, patient=PATIENTS["basile"])))


def test_a_professional_does_not_deposit_as_the_patient(stand: Stand) -> None:
    with stand.unchanged(403, "denied.not-author") as answers:
        answers.append(deposit(stand, PHYSICIAN, own(1)))
        answers.append(deposit(stand, "laboratory", own(1)))


# What a minor keeps from the legal representatives


@pytest.fixture(scope="module")
def minors() -> World:
    process = opened(share=False)
    dune = PATIENTS["dune"]
    good(process.session("representative").request("POST", "/fhir/Consent", bodies.consent_opening(dune)))
    grant = bodies.consent_grant(dune, STRUCTURES["hospital"])
    good(process.session("representative").request("POST", "/fhir/Consent", grant))
    return process.world


@pytest.fixture
def secret(minors: World) -> Stand:
    stand = Stand(Process(minors.copy()))
    stand.sessions[PHYSICIAN] = stand.process.session(PHYSICIAN, patient="dune")
    stand.sessions["secretly"] = stand.process.session(PHYSICIAN, patient="dune", secret=True)
    return stand


def consultation(number: int, *labels: str) -> Json:
    document = bodies.sample_document(
        "consultation-pdf",
        patient=PATIENTS["dune"],
        author=AUTHORS["hospital_physician"],
        structure=STRUCTURES["hospital"],
        when=WHEN,
        unique_id=uid(number),
    )
    body = bodies.simplified(document, patient=PATIENTS["dune"], when=WHEN)
    body["securityLabel"] = [coded(label) for label in labels] or body["securityLabel"]
    return body


def test_a_secret_consultation_is_seen_by_the_minor_and_the_team_and_not_by_the_parents(secret: Stand) -> None:
    made = good(deposit(secret, "secretly", consultation(1, KEPT))).json()
    target = f"/fhir/DocumentReference/{made['id']}"
    assert secret.as_("minor").request("GET", target).status == 200
    assert secret.as_(PHYSICIAN).request("GET", target).status == 200
    assert secret.as_("representative").request("GET", target).status == 404
    for kind in ("DocumentReference", "List"):
        found = secret.as_("representative").request("GET", f"/fhir/{kind}?patient=Patient/{made['id'][:26]}")
        assert found.json()["total"] == 0


@pytest.mark.parametrize("labels", [(), ("MASQUE_PS",), ("INVISIBLE_PATIENT",), (KEPT, "MASQUE_PS")])
def test_a_secret_connection_deposits_with_that_label_alone(secret: Stand, labels: tuple[str, ...]) -> None:
    with secret.unchanged(422, "denied.secret") as answers:
        answers.append(deposit(secret, "secretly", consultation(1, *labels)))


@pytest.mark.parametrize(
    ("labels", "asked"),
    [(labels, asked) for labels in ((), (KEPT,)) for asked in (labelled("MASQUE_PS"), archived(True), DELETION)],
)
def test_nothing_is_changed_in_a_secret_connection(secret: Stand, labels: tuple[str, ...], asked: Json) -> None:
    """A representative who sees the document would see when that was."""
    made = good(deposit(secret, PHYSICIAN, consultation(1, *labels))).json()
    with secret.unchanged(403, "denied.mode") as answers:
        answers.append(patch(secret, "secretly", made["id"], asked))


def test_showing_it_to_the_parents_is_confirmed_and_can_not_be_undone(secret: Stand) -> None:
    made = good(deposit(secret, PHYSICIAN, consultation(1, KEPT))).json()
    shown = labelled("N")
    with secret.unchanged(422) as answers:
        answers.append(patch(secret, PHYSICIAN, made["id"], shown))
        answers.append(patch(secret, PHYSICIAN, made["id"], shown, **{"Sceau-Confirm": "yes"}))
    with secret.unchanged(403, "denied.actor") as answers:
        answers.append(patch(secret, "minor", made["id"], shown, **{"Sceau-Confirm": "show-to-representatives"}))
    good(patch(secret, PHYSICIAN, made["id"], shown, **{"Sceau-Confirm": "show-to-representatives"}))
    target = f"/fhir/DocumentReference/{made['id']}"
    assert secret.as_("representative").request("GET", target).status == 200
    with secret.unchanged(422, "denied.rehiding") as answers:
        answers.append(patch(secret, PHYSICIAN, made["id"], labelled(KEPT)))


def test_the_representative_deposits_and_hides_as_the_minor_would(secret: Stand) -> None:
    body = own(3, CONTACTS, PATIENTS["dune"])
    made = good(deposit(secret, "representative", body)).json()
    good(patch(secret, "representative", made["id"], labelled("MASQUE_PS")))
    good(patch(secret, "minor", made["id"], DELETION))


def test_traces_of_a_secret_consultation_are_the_minors_alone(secret: Stand) -> None:
    answer = good(deposit(secret, "secretly", consultation(1, KEPT)))
    seen = {
        actor: {one["id"] for one in matches(secret.as_(actor).request("GET", "/fhir/AuditEvent?date=ge2026-03-01"))}
        for actor in ("minor", "representative")
    }
    assert answer.events[0] in seen["minor"]
    assert answer.events[0] not in seen["representative"]
    event = secret.as_("representative").request("GET", f"/fhir/AuditEvent/{answer.events[0]}")
    assert event.status == 404
