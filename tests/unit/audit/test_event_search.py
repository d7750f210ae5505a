"""AuditEvents as they are read back, and ITI-81's parameters on them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from sceau.audit.balp import event_bytes
from sceau_schemas.audit import STRING_PARAMETERS, TOKEN_PARAMETERS, AuditEvent, matches
from unit.audit.samples import COUNTS, EVENT_ID, EVENTS, ORIGIN, refused

DCM = "http://dicom.nema.org/resources/ontology/DCM"
RETRIEVAL = AuditEvent.model_validate_json(event_bytes(EVENTS["retrieval"], EVENT_ID))
REFUSAL = AuditEvent.model_validate_json(event_bytes(refused(EVENTS["search of documents"]), EVENT_ID))


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_of_ours_reads_back(name: str) -> None:
    event = AuditEvent.model_validate_json(event_bytes(EVENTS[name], EVENT_ID))
    assert (event.id, event.outcome) == (EVENT_ID, "0")
    assert event.recorded == datetime(2026, 2, 28, 19, 45, 0, 992_000, tzinfo=UTC)


def test_counted_refusals_read_back() -> None:
    event = AuditEvent.model_validate_json(event_bytes(COUNTS, EVENT_ID))
    details = [(detail.type, detail.value_string) for detail in event.entity[0].detail]
    assert details == [("proof.replayed", "1"), ("token.expired", "3")]


@pytest.mark.parametrize(
    ("parameters", "retrieval", "refusal"),
    [
        ([], True, True),
        ([("_id", EVENT_ID)], True, True),
        ([("_id", EVENT_ID.upper())], False, False),
        ([("_id", f"x,{EVENT_ID}")], True, True),
        ([("_id", f"|{EVENT_ID}")], True, True),
        ([("_id", "|")], False, False),
        ([("outcome", "0")], True, False),
        ([("outcome", "4")], False, True),
        ([("outcome", "http://terminology.hl7.org/CodeSystem/audit-event-outcome|4,8")], False, True),
        ([("outcome", "0,4")], True, True),
        ([("outcome", "0"), ("outcome", "4")], False, False),
        ([("outcome", "")], False, False),
        ([("outcome", "|")], False, False),
        ([("subtype", "ITI-68")], True, False),
        ([("subtype", "urn:ihe:event-type-code|ITI-67")], False, True),
        ([("subtype", "urn:ihe:event-type-code|")], True, True),
        ([("subtype", "|ITI-68")], False, False),
        ([("subtype", f"{DCM}|ITI-68")], False, False),
        ([("type", "rest")], True, True),
        ([("agent.identifier", "899700012345")], True, True),
        ([("agent.identifier", "urn:oid:1.2.250.1.71.4.2.1|899700012345")], True, True),
        ([("agent.identifier", "urn:oid:1.2.250.1.71.4.2.2|899700012345")], False, False),
        ([("agent.identifier", "899700012345"), ("subtype", "ITI-68")], True, False),
        ([("entity-type", "XrequestId")], True, True),
        ([("entity-role", "24")], False, True),
        ([("entity.identifier", "urn:oid:2.25.208714310933214208714310933214")], True, False),
        ([("source.identifier", ORIGIN)], True, True),
        ([("address", "2001:DB8")], True, True),
        ([("address", "db8")], False, False),
        ([("address", "")], False, False),
    ],
)
def test_search(parameters: list[tuple[str, str]], retrieval: bool, refusal: bool) -> None:
    assert (matches(RETRIEVAL, parameters), matches(REFUSAL, parameters)) == (retrieval, refusal)


def test_an_escaped_separator_is_part_of_the_value() -> None:
    text = event_bytes(EVENTS["retrieval"], EVENT_ID).replace(b"899700012345", b"a,b|c")
    event = AuditEvent.model_validate_json(text)
    assert matches(event, [("agent.identifier", r"a\,b\|c")])
    assert not matches(event, [("agent.identifier", "a,b|c")])


def test_an_empty_value_finds_nothing_not_even_what_is_empty() -> None:
    event = AuditEvent.model_validate_json(event_bytes(EVENTS["retrieval"], EVENT_ID).replace(b"899700012345", b""))
    assert not matches(event, [("agent.identifier", "")])
    assert not matches(event, [("agent.identifier", ",|")])


def test_an_unknown_parameter_is_an_error_and_never_a_match() -> None:
    with pytest.raises(ValueError, match="search parameter"):
        matches(RETRIEVAL, [("policy", "x")])


def test_the_tables_name_what_iti_81_asks_for() -> None:
    by_name = {"date", "patient.identifier"}
    asked = (
        "_id address agent.identifier patient.identifier entity.identifier entity-type entity-role source.identifier"
    )
    assert {*TOKEN_PARAMETERS, *STRING_PARAMETERS, *by_name} == {*asked.split(), "type", "subtype", "outcome", "date"}


@pytest.mark.parametrize("change", [(b'"outcome":"0"', b'"outcome":0'), (b'"id":', b'"no":'), (b".992Z", b".992")])
def test_what_is_no_event_does_not_read(change: tuple[bytes, bytes]) -> None:
    data = event_bytes(EVENTS["retrieval"], EVENT_ID)
    assert change[0] in data
    with pytest.raises(ValidationError):
        AuditEvent.model_validate_json(data.replace(*change))
