"""The encryption contexts, pinned: a changed one makes what is stored unreadable."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from sceau.envelope import contexts
from sceau.envelope.contexts import Carried
from sceau.envelope.errors import MessageRefused

RECORD, ENTRY, EVENT = "a" * 26, "b" * 26, "0195f0a1-7c00-7000-8000-000000000001"
DIGEST = bytes(range(32))


def test_pinned_contexts() -> None:
    assert contexts.dossier(RECORD, DIGEST) == {
        "format": "1",
        "purpose": "dossier",
        "record": RECORD,
        "documents-sha256": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    }
    assert contexts.document(RECORD, ENTRY) == {
        "format": "1",
        "purpose": "document",
        "record": RECORD,
        "entry": ENTRY,
    }
    assert contexts.event(RECORD, EVENT) == {"format": "1", "purpose": "event", "record": RECORD, "event": EVENT}
    assert contexts.event_to_seal("0", EVENT, Carried(DIGEST, 12)) == {
        "format": "1",
        "purpose": "event",
        "record": "0",
        "event": EVENT,
        "commitment": DIGEST.hex(),
        "dossier-version": "12",
    }
    assert contexts.configuration("clients") == {"format": "1", "purpose": "configuration", "name": "clients"}
    assert contexts.pseudonym() == {"format": "1", "purpose": "pseudonym"}
    assert contexts.log_seed() == {"format": "1", "purpose": "log-seed"}
    assert contexts.batch("event", "00ff") == {"format": "1", "purpose": "event", "batch": "00ff"}


def test_each_kind_has_its_own_purpose() -> None:
    kinds = [
        contexts.dossier(RECORD, DIGEST),
        contexts.document(RECORD, ENTRY),
        contexts.event(RECORD, EVENT),
        contexts.configuration("clients"),
        contexts.pseudonym(),
        contexts.log_seed(),
    ]
    assert len({context["purpose"] for context in kinds}) == len(kinds)
    assert not any(contexts.BATCH in context for context in kinds)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 10**18 - 1))
def test_what_an_event_carries_is_read_back(commitment: bytes, version: int) -> None:
    carried = Carried(commitment, version)
    context = contexts.event_to_seal(RECORD, EVENT, carried)
    assert set(context) - set(contexts.event(RECORD, EVENT)) == contexts.EVENT_CARRIED
    assert contexts.read_carried(context) == carried


@pytest.mark.parametrize(
    "change",
    [
        {"commitment": ""},
        {"commitment": "00" * 31},
        {"commitment": "AB" * 32},
        {"commitment": "zz" * 32},
        {"dossier-version": ""},
        {"dossier-version": "-1"},
        {"dossier-version": "01"},
        {"dossier-version": " 1"},
        {"dossier-version": "1\n"},
        {"dossier-version": "١"},
        {"dossier-version": "9" * 19},
    ],
)
def test_carried_values_of_another_form_are_refused(change: dict[str, str]) -> None:
    context = contexts.event_to_seal(RECORD, EVENT, Carried(DIGEST, 1))
    with pytest.raises(MessageRefused):
        contexts.read_carried({**context, **change})


def test_carried_values_that_are_not_there_are_refused() -> None:
    with pytest.raises(MessageRefused):
        contexts.read_carried(contexts.event(RECORD, EVENT))


@pytest.mark.parametrize("value", ["", "a b", "é", "a\n", "\0", "a" * 257])
@pytest.mark.parametrize(
    "build",
    [
        lambda value: contexts.dossier(value, DIGEST),
        lambda value: contexts.document(value, ENTRY),
        lambda value: contexts.document(RECORD, value),
        lambda value: contexts.event(value, EVENT),
        lambda value: contexts.event(RECORD, value),
        contexts.configuration,
        lambda value: contexts.batch("event", value),
    ],
)
def test_values_that_are_not_plain_are_an_error_of_the_caller(build: Callable[[str], object], value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        build(value)


def test_digests_and_versions_of_another_form_are_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        contexts.dossier(RECORD, b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        contexts.event_to_seal(RECORD, EVENT, Carried(b"short", 1))
    with pytest.raises(ValueError, match="not negative"):
        contexts.event_to_seal(RECORD, EVENT, Carried(DIGEST, -1))
