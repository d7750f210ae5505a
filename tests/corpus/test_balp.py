"""The AuditEvents of all acts, before HL7's validator: each meets the profiles that it claims (IHE BALP, MHD, IUA).

Needs the validator as a jar (`make validator` builds it from ../shared/tools) and the profiles in ../shared/profiles.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sceau.audit.balp import event_bytes
from sceau.audit.shapes import SHAPES
from unit.audit.samples import COUNTS, EVENT_ID, EVENTS, failed, refused

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
JAR = os.environ.get("SCEAU_FHIR_VALIDATOR_JAR", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not JAR, reason="SCEAU_FHIR_VALIDATOR_JAR names no validator"),
    pytest.mark.skipif(not (SHARED / "profiles").is_dir(), reason="../shared/profiles is not there"),
    pytest.mark.xdist_group("fhir-validator"),  # one server for all
]

Validate = Callable[[bytes], list[str]]
R4 = "http://hl7.org/fhir/StructureDefinition/AuditEvent"


@pytest.fixture(scope="module")
def validate() -> Iterator[Validate]:
    """Gives the errors that the validator finds in a resource."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = ["java", "-jar", JAR]
    for folder in ("balp-1.1.4", "mhd-4.2.3"):
        command += ["-d", str(SHARED / "profiles" / folder)]
    with subprocess.Popen([*command, "-serve", str(port)], stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = []
            for line in server.stderr:  # ends if it dies
                said.append(line)
                if line.startswith("listening"):
                    break
            assert said and said[-1].startswith("listening"), "".join(said)
            yield lambda data: errors(port, data)
        finally:
            server.kill()


def errors(port: int, data: bytes) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", f"/validate?profile={R4}", data)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, body
    issues = json.loads(body).get("issue", [])
    return [
        f"{issue.get('location', issue.get('expression'))}: {issue.get('diagnostics')}"
        for issue in issues
        if issue["severity"] in {"error", "fatal"}
    ]


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


@pytest.mark.parametrize("name", sorted(EVENTS.keys() - {"token revoked"}))  # which claims none
def test_the_validator_sees_when_a_profile_is_not_met(validate: Validate, name: str) -> None:
    broken = event(event_bytes(EVENTS[name], EVENT_ID))
    broken["action"] = "D"  # all of them fix it, and none of ours deletes
    assert validate(json.dumps(broken).encode()) != []


def test_an_observer_other_than_our_agent_is_seen(validate: Validate) -> None:
    broken = event(event_bytes(EVENTS["retrieval"], EVENT_ID))
    broken["source"]["observer"]["display"] = "somebody else"
    assert any("val-audit-source" in error for error in validate(json.dumps(broken).encode()))
