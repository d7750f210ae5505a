"""With each submission rests, sealed with its event, what shows who sent it; with nothing else, for no eyes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.inprocess import Process, Response, Session, key_service
from sceau.audit.ids import parse_event_name
from sceau.audit.journal import JournalEvent, JournalReader
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.envelope.batch import BatchOpener
from sceau.identity.evidence import verify_evidence
from sceau.keys.ports import KeyName
from unit.http.published import WHEN, bundle, good, laboratory_document, opened, search

Json = dict[str, Any]


@pytest.fixture
def process() -> Process:
    return opened()


def events(process: Process) -> dict[str, JournalEvent]:
    """All events that rest, opened as no function shows them."""
    opener = BatchOpener(key_service(), KeyName.JOURNAL, clock=process.world.clock)
    reader = JournalReader(process.world.memory, opener)
    names = map(parse_event_name, process.world.memory.list("journal/events/"))
    return {event_id: reader.read(record, event_id) for record, event_id in names}


def simplified(session: Session) -> Response:
    return session.request(
        "POST",
        "/fhir/DocumentReference",
        bodies.simplified(laboratory_document(2), patient=DOMINIQUE, when=WHEN),
    )


def submitted(session: Session) -> Response:
    return session.request("POST", "/fhir", bundle(901, laboratory_document(1)))


@pytest.mark.parametrize("submit", [submitted, simplified])
def test_a_submission_rests_with_the_token_and_the_proof_byte_for_byte(process: Process, submit: Any) -> None:
    session = process.session("laboratory")
    sent: list[dict[str, str]] = []
    asked = process.request

    def watched(method: str, url: str, body: bytes | None = None, **more: Any) -> Response:
        sent.append(dict(more["headers"]))
        return asked(method, url, body, **more)

    process.request = watched  # type: ignore[method-assign]
    (event_id,) = good(submit(session)).events
    evidence = events(process)[event_id].evidence
    assert evidence is not None
    found = json.loads(evidence)
    headers = {name.lower(): value for name, value in sent[-1].items()}
    assert f"DPoP {found['token']}" == headers["authorization"]
    assert found["proof"] == headers["dpop"]
    sender = verify_evidence(evidence)
    assert (sender.method, sender.claims.client_id) == ("POST", "laboratory")
    assert sender.url.startswith("https://localhost:8443/fhir")
    published = session.request("GET", "/oauth/jwks").json()["keys"]
    assert found["token_key"] in [{name: key[name] for name in ("crv", "kty", "x", "y")} for key in published]


def test_a_refused_submission_has_its_evidence_too(process: Process) -> None:
    refused = submitted(process.session("patient"))
    assert refused.status == 403
    evidence = events(process)[refused.events[0]].evidence
    assert evidence is not None and verify_evidence(evidence).claims.client_id == "patient-app"


def test_no_other_act_keeps_a_token(process: Process) -> None:
    good(submitted(process.session("laboratory")))
    good(search(process.session("hospital-physician"), "DocumentReference"))
    good(process.session("patient").request("GET", "/fhir/AuditEvent"))
    with_evidence = [event for event in events(process).values() if event.evidence is not None]
    assert len(with_evidence) == 1
    assert all(b"eyJ" not in event.data for event in events(process).values())
    assert "eyJ" not in repr(with_evidence)


def test_nobody_is_shown_it(process: Process) -> None:
    (event_id,) = good(submitted(process.session("laboratory"))).events
    process.world.seal()
    holder = process.session("patient")
    own = good(holder.request("GET", f"/fhir/AuditEvent/{event_id}")).data
    proof = good(holder.request("GET", f"/fhir/AuditEvent/{event_id}/$proof", headers={"Accept": "text/plain"})).data
    shown = [own, proof, good(holder.request("GET", "/fhir/AuditEvent")).data]
    evidence = events(process)[event_id].evidence
    assert evidence is not None
    found = json.loads(evidence)
    for one in shown:
        assert found["token"].encode() not in one and found["proof"].encode() not in one
        assert b"sceau-evidence" not in one
