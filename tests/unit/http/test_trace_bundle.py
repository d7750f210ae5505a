"""The searchset of traces: bytes that must not change, and the event's own in it."""

from __future__ import annotations

import json

from sceau.audit.journal import JournalEvent
from sceau.audit.log.entries import LogEntry
from sceau.fhir.outcome import Problem
from sceau.http.trace_bundle import Shown, searchset
from sceau_schemas.audit import AuditEvent
from unit.audit.samples import EVENT_ID, RECORD

ORIGIN = "https://dossier.example.org"
# Spaces and order of its own: it is shown as it rests.
EVENT = (
    f'{{"resourceType": "AuditEvent","id":"{EVENT_ID}","type":{{"code":"rest"}},"action":"C", "recorded":'
    '"2026-03-02T09:30:00.000Z","outcome":"0","agent":[],"source":{"observer":{}}}'
).encode()


def shown(index: int | None = None) -> Shown:
    entry = LogEntry(bytes(32), bytes(32), 1, bytes(32))
    event = JournalEvent(RECORD, EVENT_ID, EVENT, bytes(32), 7, entry)
    return Shown(event, AuditEvent.model_validate_json(EVENT), index)


def test_the_bytes_are_frozen() -> None:
    links = [("self", f"{ORIGIN}/fhir/AuditEvent?page=x")]
    warnings = [Problem("exception", "event x was logged, and is gone")]
    bundle = searchset([shown(257)], links, ORIGIN, frozenset(), warnings)
    assert bundle.decode() == (
        '{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self",'
        '"url":"https://dossier.example.org/fhir/AuditEvent?page=x"}],"entry":[{'
        f'"fullUrl":"https://dossier.example.org/fhir/AuditEvent/{EVENT_ID}","search":{{"mode":"match"}},'
        '"extension":[{"url":"urn:sceau:fhir:event-completed","valueBoolean":false},'
        '{"url":"urn:sceau:fhir:event-inclusion","extension":[{"url":"index","valueDecimal":257},'
        f'{{"url":"proof","valueUrl":"https://dossier.example.org/fhir/AuditEvent/{EVENT_ID}/$proof"}}]}}],'
        f'"resource":{EVENT.decode()}}},'
        '{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception",'
        '"diagnostics":"event x was logged, and is gone"}]},"search":{"mode":"outcome"}}]}'
    )


def test_what_is_not_sealed_has_no_place_and_what_was_done_is_not_doubted() -> None:
    (entry,) = json.loads(searchset([shown()], [], ORIGIN, {EVENT_ID}, []))["entry"]
    assert "extension" not in entry
    (entry,) = json.loads(searchset([shown(0)], [], ORIGIN, {EVENT_ID}, []))["entry"]
    assert [one["url"] for one in entry["extension"]] == ["urn:sceau:fhir:event-inclusion"]


def test_nothing_found_is_a_bundle_without_entries() -> None:
    assert json.loads(searchset([], [], ORIGIN, None, [])) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [],
    }
