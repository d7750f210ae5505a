"""What an extraction tells of documents: no more than the structure's own professionals were answered."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from fixtures.inprocess import Process, Session, client_key, key_service
from sceau.cli.people import CLIENTS, HOSPITAL, LABORATORY, OTHER_HOSPITAL
from sceau.envelope.messages import Envelope
from sceau.identity.clients import ClientStore
from sceau_schemas.configuration import Client
from unit.http.published import bundle, folder, good, hospital_document, laboratory_document, locations, search
from unit.http.test_extraction import OWN, SINCE, agents, ask, everything, found, officer, process, rows
from unit.http.test_patching import DELETION, PATCH, labelled

__all__ = ["officer", "process"]

UNKNOWN = "a" * 26
FHIR = "application/fhir+json"


def test_what_masks_a_document_has_the_officer_is_not_told(process: Process, officer: Session) -> None:
    """Not by the events of its own professionals' publications and changes either, which tell the patient."""
    physician, patient = process.session("hospital-physician"), process.session("patient")
    own_id, *_ = locations(physician.request("POST", "/fhir", bundle(902, hospital_document(2))), "DocumentReference")
    good(patient.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("MASQUE_PS"), PATCH))
    replacing = bundle(903, hospital_document(3, replaces=own_id))
    (event_id,) = good(physician.request("POST", "/fhir", replacing)).events
    process.world.clock.advance(timedelta(seconds=1))
    rests = everything(process)[event_id]
    (shown,) = (one for one in found(ask(officer, OWN, SINCE, "_count=200")) if one["id"] == event_id)
    assert "MASQUE_PS" in str(rests)
    assert "MASQUE_PS" not in str(shown)
    for entity in rests["entity"]:
        entity.pop("securityLabel", None)
    assert shown == rests, "and nothing else is left out"


def refusals_of(process: Process, officer: Session, *targets: str) -> list[list[Any]]:
    """What the officer is shown, in both forms, of a physician's requests that are answered like what is not there."""
    physician = process.session("hospital-physician")
    ids, told = [], []
    for target in targets:
        answer = physician.request("GET", target, None, {"Accept": "*/*" if "Binary" in target else FHIR})
        assert answer.status == 404
        ids += answer.events
    process.world.clock.advance(timedelta(seconds=1))
    shown = {one["id"]: one for one in found(ask(officer, OWN, SINCE, "_count=200"))}
    lines = {one["event"]: one for one in rows(ask(officer, OWN, SINCE, "_format=text/csv"))}
    for event_id, target in zip(ids, targets, strict=True):
        asked, own_id = target.removeprefix("/fhir/"), target.rpartition("/")[2]
        assert lines[event_id].pop("resources") == asked, "what was asked for, and nothing else"
        own = (lines[event_id].pop("event"), lines[event_id].pop("recorded"))
        text = json.dumps(shown[event_id]).replace(own[0], "-").replace(own[1], "-").replace(own_id, "-")
        request_id = next(one for one in shown[event_id]["entity"] if one["type"]["code"] == "XrequestId")
        told.append([text.replace(request_id["what"]["identifier"]["value"], "-"), lines[event_id]])
    return told


@pytest.mark.parametrize("kind", ["DocumentReference", "Binary"])
def test_why_a_document_was_answered_like_none_the_officer_is_not_told(
    process: Process, officer: Session, kind: str
) -> None:
    """Masked, deleted, of a type that is not for the profession, or never there: they differ in what was asked for."""
    laboratory, patient = process.session("laboratory"), process.session("patient")
    masked, deleted = (
        locations(laboratory.request("POST", "/fhir", bundle(900 + one, laboratory_document(one))), "DocumentReference")
        for one in (5, 6)
    )
    good(patient.request("PATCH", f"/fhir/DocumentReference/{masked[0]}", labelled("MASQUE_PS"), PATCH))
    good(laboratory.request("PATCH", f"/fhir/DocumentReference/{deleted[0]}", DELETION, PATCH))
    record = masked[0].partition(".")[0]
    targets = [f"/fhir/{kind}/{one}" for one in (masked[0], deleted[0], f"{record}.{UNKNOWN}")]
    first, *others = refusals_of(process, officer, *targets)
    assert all(one == first for one in others)
    assert first[1]["reason"] == "denied.unknown"
    reasons = {one.get("outcomeDesc") for one in everything(process).values()}
    assert {"denied.masked", "denied.deleted"} <= reasons, "as the patient reads them"


def test_nor_what_a_submission_pointed_at(process: Process, officer: Session) -> None:
    physician = process.session("hospital-physician")
    made = process.session("laboratory").request("POST", "/fhir", bundle(905, laboratory_document(5)))
    (other_s,) = locations(made, "DocumentReference")
    reasons = []
    for target in (other_s, f"{other_s.partition('.')[0]}.{UNKNOWN}"):
        for body in (
            bundle(906, hospital_document(6, replaces=target)),
            bundle(907, hospital_document(7), folders=(folder(80, 7, entries=(target,)),)),
        ):
            answer = physician.request("POST", "/fhir", body)
            assert answer.status == 404
            process.world.clock.advance(timedelta(seconds=1))
            shown = {one["id"]: one for one in found(ask(officer, OWN, SINCE, "_count=200"))}
            reasons.append(shown[answer.events[0]]["outcomeDesc"])
    assert reasons == ["denied.unknown"] * 4
    own = physician.request("POST", "/fhir", bundle(908, laboratory_document(8)))
    process.world.clock.advance(timedelta(seconds=1))
    shown = {one["id"]: one for one in found(ask(officer, OWN, SINCE, "_count=200"))}
    assert (own.status, shown[own.events[0]]["outcomeDesc"]) == (403, "denied.not-author"), "which was answered so"


def test_nor_what_others_changed_before_a_change(process: Process, officer: Session) -> None:
    """Whoever may only feed is answered with ids and status: a version, or that nothing was to be done, tells more."""
    physician, patient = process.session("hospital-physician"), process.session("patient")
    own_id, *_ = locations(physician.request("POST", "/fhir", bundle(902, hospital_document(2))), "DocumentReference")
    good(patient.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("MASQUE_PS"), PATCH))
    answer = good(physician.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("MASQUE_PS"), PATCH))
    process.world.clock.advance(timedelta(seconds=1))
    assert everything(process)[answer.events[0]]["outcomeDesc"] == "repeated"
    (shown,) = (one for one in found(ask(officer, OWN, SINCE, "_count=200")) if one["id"] == answer.events[0])
    assert "outcomeDesc" not in shown
    assert f"DocumentReference/{own_id}" in str(shown)
    assert "_history" not in str(shown["entity"])


# Whose an event is


def test_of_a_client_of_several_structures_the_one_that_authored_finds_it(process: Process) -> None:
    registered = next(one for one in CLIENTS if one.client_id == "laboratory")
    clients = ClientStore(process.world.memory, Envelope(key_service()))
    clients.put(
        Client(
            client_id=registered.client_id,
            name=registered.name,
            kind=registered.kind,
            keys=(client_key(registered.client_id).registered_jwk(),),
            structures=(HOSPITAL, OTHER_HOSPITAL, LABORATORY),
            scopes=registered.scopes,
            grants=(registered.grant,),
            azp=registered.azp,
        )
    )
    several = Process(process.world).session("laboratory")
    made = several.request("POST", "/fhir", bundle(905, laboratory_document(5)))
    (own_id,) = locations(made, "DocumentReference")
    patched = good(several.request("PATCH", f"/fhir/DocumentReference/{own_id}", labelled("MASQUE_PS"), PATCH))
    refused = several.request("POST", "/fhir", bundle(906, laboratory_document(6, replaces=f"{own_id[:26]}.{UNKNOWN}")))
    whole = everything(process)
    for answer in (made, patched, refused):
        assert agents(whole[answer.events[0]], "PROV") == {LABORATORY.value}
    searched = search(several, "DocumentReference", ("identifier", "urn:oid:2.25.5"))
    assert agents(everything(process)[good(searched).events[0]], "PROV") == {HOSPITAL.value}, "the first, else"
