"""A key version that is disabled or destroyed: a clear 503 for what it held, traced, and nothing else breaks.

And a key service whose keys are of the wrong kind, or that refuses: 503, no stack trace, nothing written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import pytest

from fixtures.inprocess import Process, Response, Session, World, key_service
from sceau.keys.errors import (
    KeyServiceError,
    KeyServiceNotUsable,
    KeyServiceUnavailable,
    KeyVersionGone,
    UnknownKey,
)
from sceau.keys.ports import KeyName, KeyService, PublicKey
from sceau.keys.scoped import KeyOperation
from unit.faults.whole import read_whole, state
from unit.http.published import PATIENT, bundle, laboratory_document, opened

FIND = f"/fhir/DocumentReference?{urlencode([PATIENT])}"

Asked = Callable[[KeyOperation, KeyName], KeyServiceError | None]


class Failing:
    """A key service that raises what `asked` gives."""

    def __init__(self, inner: KeyService, asked: Asked) -> None:
        self._inner = inner
        self._asked = asked

    def _ask(self, operation: KeyOperation, key: KeyName) -> None:
        error = self._asked(operation, key)
        if error is not None:
            raise error

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        self._ask(KeyOperation.WRAP, key)
        return self._inner.wrap(key, data_key, context)

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        self._ask(KeyOperation.UNWRAP, key)
        return self._inner.unwrap(key, wrapped, context)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        self._ask(KeyOperation.SIGN, key)
        return self._inner.sign(key, digest, version=version)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        self._ask(KeyOperation.PUBLIC, key)
        return self._inner.public_keys(key)


@pytest.fixture
def process() -> Process:
    process = opened()
    answer = process.session("laboratory").request("POST", "/fhir", bundle(91, laboratory_document(1)))
    assert answer.status == 200
    return process


def gone(key: KeyName) -> Asked:
    return lambda operation, asked: (
        KeyVersionGone(f"version 1 of the {key} key is disabled or gone")
        if (operation, asked) == (KeyOperation.UNWRAP, key)
        else None
    )


def break_keys(process: Process, asked: Asked) -> None:
    process.keys.inner = Failing(key_service(), asked)


def binary(session: Session) -> Response:
    dossier = read_whole(session.process.world).the_record()
    assert dossier is not None
    (row,) = dossier.entries.rows()
    return session.request("GET", f"/fhir/Binary/{dossier.record_id}.{row.id}")


def test_a_document_under_a_version_that_is_gone_is_a_clear_503_and_traced(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    physician = process.session("hospital-physician")
    assert binary(physician).status == 200
    break_keys(process, gone(KeyName.CONTENT))
    with caplog.at_level(logging.INFO, logger="sceau"):
        answer = binary(physician)
    assert answer.status == 503
    assert "disabled or destroyed" in answer.json()["issue"][0]["diagnostics"]
    assert "Traceback" not in caplog.text
    assert "key-version-gone" in caplog.text
    process.keys.inner = key_service()
    events = read_whole(process.world).events
    assert events[answer.events[-1]].outcome == "8"
    assert events[answer.events[-1]].outcome_desc == "failed.key-version-gone"


def test_all_else_of_the_record_goes_on(process: Process) -> None:
    physician, laboratory = process.session("hospital-physician"), process.session("laboratory")
    patient = process.session("patient")
    break_keys(process, gone(KeyName.CONTENT))
    assert physician.request("GET", FIND).status == 200
    assert laboratory.request("POST", "/fhir", bundle(92, laboratory_document(2))).status == 200
    assert patient.request("GET", "/fhir/AuditEvent?date=ge2026-01-01").status in {200, 422}
    process.keys.inner = key_service()
    dossier = read_whole(process.world).the_record()
    assert dossier is not None
    assert len(dossier.entries) == 2


def test_a_record_whose_dossier_needs_a_version_that_is_gone_is_a_clear_503(process: Process) -> None:
    physician, laboratory = process.session("hospital-physician"), process.session("laboratory")
    before = state(read_whole(process.world).the_record())
    break_keys(process, gone(KeyName.DOSSIER))
    for answer in (
        physician.request("GET", FIND),
        laboratory.request("POST", "/fhir", bundle(93, laboratory_document(3))),
    ):
        assert answer.status == 503
        assert "disabled or destroyed" in json.dumps(answer.json())
    process.keys.inner = key_service()
    assert state(read_whole(process.world).the_record()) == before


def test_events_under_a_version_that_is_gone_are_said_to_be_there_and_do_not_hide_the_others(process: Process) -> None:
    patient = process.session("patient")
    day = f"/fhir/AuditEvent?date=ge{process.world.clock():%Y-%m-%d}"
    shown = patient.request("GET", day)
    assert shown.status == 200
    break_keys(process, gone(KeyName.JOURNAL))
    # Another process: this one may still have the batch's data key.
    second = Process(process.world)
    second.keys.inner = Failing(key_service(), gone(KeyName.JOURNAL))
    answer = patient.moved_to(second).request("GET", day)
    assert answer.status == 200
    (outcome,) = [one["resource"] for one in answer.json()["entry"] if one["search"]["mode"] == "outcome"]
    assert len(outcome["issue"]) >= len([one for one in shown.json()["entry"] if one["search"]["mode"] == "match"])
    assert all("sealed under a key that is gone" in issue["diagnostics"] for issue in outcome["issue"])
    event_id = shown.json()["entry"][0]["resource"]["id"]
    one = patient.moved_to(second).request("GET", f"/fhir/AuditEvent/{event_id}")
    assert one.status == 503


WRONG = [
    UnknownKey("a key of another kind"),
    KeyServiceUnavailable("the token is locked"),
    KeyServiceNotUsable("the token refused the PIN"),
]


@pytest.mark.parametrize("error", WRONG, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("key", [KeyName.DOSSIER, KeyName.CONTENT, KeyName.JOURNAL])
def test_keys_that_can_not_be_used_are_a_503_and_nothing_is_written(
    key: KeyName, error: KeyServiceError, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    laboratory = process.session("laboratory")
    before, names = state(read_whole(process.world).the_record()), reached(process.world)
    second = Process(process.world)
    second.keys.inner = Failing(key_service(), lambda _, asked: error if asked is key else None)
    with caplog.at_level(logging.INFO, logger="sceau"):
        answer = laboratory.moved_to(second).request("POST", "/fhir", bundle(94, laboratory_document(4)))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert str(error) not in json.dumps(answer.json())
    assert "Traceback" not in caplog.text
    assert state(read_whole(process.world).the_record()) == before
    assert reached(process.world) == names


@pytest.mark.parametrize("error", [*WRONG, KeyVersionGone("gone")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("key", [KeyName.TOKENS, KeyName.CONFIGURATION])
def test_no_token_is_given_and_the_reason_is_ours(
    key: KeyName, error: KeyServiceError, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    second = Process(process.world)
    second.keys.inner = Failing(key_service(), lambda _, asked: error if asked is key else None)
    with caplog.at_level(logging.INFO, logger="sceau"), pytest.raises(Exception, match="503"):
        second.session("laboratory")
    assert "Traceback" not in caplog.text


def reached(world: World) -> list[str]:
    return list(world.memory.list("records/"))
