"""The AuditEvents of all acts, before HL7's validator: each meets the profiles that it claims (IHE BALP, MHD, IUA).

Needs the validator as a jar (`make validator` builds it from ../shared/tools) and the profiles in ../shared/profiles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.fhir_validator import SHARED, Validate, needs_validator, running_validator
from sceau.audit.balp import event_bytes
from sceau.audit.shapes import SHAPES
from unit.audit.samples import COUNTS, EVENT_ID, EVENTS, REWRAP, failed, refused

pytestmark = needs_validator
R4 = "http://hl7.org/fhir/StructureDefinition/AuditEvent"


@pytest.fixture(scope="module")
def validate() -> Iterator[Validate]:
    """Gives the errors that the validator finds in an AuditEvent."""
    folders = [SHARED / "profiles" / name for name in ("balp-1.1.4", "mhd-4.2.3")]
    with running_validator(folders) as errors:
        yield lambda data: errors(data, R4)


def event(data: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(data)
    return parsed


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_success_meets_the_profiles_that_it_claims(validate: Validate, name: str) -> None:
    facts = EVENTS[name]
    data = event_bytes(facts, EVENT_ID)
    claimed = event(data).get("meta", {}).get("profile", [])
    shape = SHAPES[facts.act]
    if facts.record_id and shape.profile:
        assert shape.profile in claimed
    assert validate(data) == []


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_refusal_and_a_failure_are_plain_r4(validate: Validate, name: str) -> None:
    for facts in (refused(EVENTS[name]), failed(EVENTS[name])):
        data = event_bytes(facts, EVENT_ID)
        assert "meta" not in event(data)
        assert validate(data) == []


def test_counted_refusals_are_plain_r4(validate: Validate) -> None:
    data = event_bytes(COUNTS, EVENT_ID)
    assert "meta" not in event(data)
    assert validate(data) == []


def test_an_act_of_ours_is_plain_r4(validate: Validate) -> None:
    data = event_bytes(REWRAP, EVENT_ID)
    assert "meta" not in event(data)
    assert validate(data) == []


@pytest.mark.parametrize("name", sorted(EVENTS.keys() - {"token revoked", "review"}))  # one claims none, one any action
def test_the_validator_sees_when_a_profile_is_not_met(validate: Validate, name: str) -> None:
    broken = event(event_bytes(EVENTS[name], EVENT_ID))
    broken["action"] = "D"  # all of them fix it, and none of ours deletes
    assert validate(json.dumps(broken).encode()) != []


def test_an_observer_other_than_our_agent_is_seen(validate: Validate) -> None:
    broken = event(event_bytes(EVENTS["retrieval"], EVENT_ID))
    broken["source"]["observer"]["display"] = "somebody else"
    assert any("val-audit-source" in error for error in validate(json.dumps(broken).encode()))
