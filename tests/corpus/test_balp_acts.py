"""The AuditEvents that the whole service writes, act by act, before HL7's validator: each meets what it claims.

`test_balp.py` judges events made of samples of facts; here the facts are the service's own. Needs what that needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fixtures.fhir_validator import SHARED, Validate, needs_validator, running_validator
from fixtures.inprocess import Process, World, key_service
from sceau.audit.ids import EVENTS_PREFIX, parse_event_name
from sceau.audit.journal import JournalReader
from sceau.envelope.batch import BatchOpener
from sceau.identity.client import Emergency
from sceau.keys.ports import KeyName
from unit.faults.test_every_act_with_every_fault import ACTS, base

pytestmark = needs_validator
R4 = "http://hl7.org/fhir/StructureDefinition/AuditEvent"


@pytest.fixture(scope="module")
def validate() -> Iterator[Validate]:
    """Gives the errors that the validator finds in an AuditEvent."""
    with running_validator([SHARED / "profiles" / name for name in ("balp-1.1.4", "mhd-4.2.3")]) as errors:
        yield lambda data: errors(data, R4)


def written(world: World) -> dict[str, bytes]:
    """Every event that rests, opened, by the name of its object."""
    reader = JournalReader(world.memory, BatchOpener(key_service(), KeyName.JOURNAL, clock=world.clock))
    names = list(world.memory.list(EVENTS_PREFIX))
    return {name: reader.read(*parse_event_name(name)).data for name in names}


def judge(validate: Validate, events: list[bytes]) -> None:
    """Assert that each of them is what it claims, and that all but refusals and failures claim something."""
    assert events
    for data in events:
        assert validate(data) == [], json.loads(data)["type"]
        event = json.loads(data)
        assert ("profile" in event.get("meta", {})) is (event["outcome"] == "0"), event["subtype"]


@pytest.mark.parametrize("name", sorted(ACTS))
def test_what_an_act_leaves_in_the_journal_meets_its_profiles(validate: Validate, name: str) -> None:
    world = base(ACTS[name].on).copy()
    before = written(world)
    answer = ACTS[name].ask(Process(world).session(ACTS[name].actor))
    assert answer.status in ACTS[name].good
    # The token's event, too.
    judge(validate, [data for event, data in written(world).items() if event not in before])


@pytest.mark.parametrize(
    ("actor", "entering"),
    [
        ("emergency-physician", Emergency("bris_de_glace", "Inconscient", unable_to_consent=True, immediate_risk=True)),
        ("regulator", Emergency("centre_15")),
    ],
)
def test_what_is_done_in_an_emergency_meets_its_profiles(validate: Validate, actor: str, entering: Emergency) -> None:
    world = base("full").copy()
    before = written(world)
    session = Process(world).session(actor, entering=entering)
    for name in ("search", "retrieve", "read entry", "read history"):
        assert ACTS[name].ask(session).status == 200
    judge(validate, [data for event, data in written(world).items() if event not in before])
