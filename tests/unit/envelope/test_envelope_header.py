"""The fast reading of a message's context: it says what the SDK says, of every message and of everything else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fakes.clock import ManualClock
from fakes.key_stands import local
from sceau.envelope import contexts
from sceau.envelope.batch import BatchSealer
from sceau.envelope.errors import MessageRefused
from sceau.envelope.header import claimed_context
from sceau.envelope.messages import Envelope, read_context
from sceau.keys.ports import KeyName, KeyService

RECORD, EVENT = "a2b3c4d5e6f7ghijklmnopqrst", "019ca5c8-6a40-7123-8456-789abcdef012"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyService:
    return local(tmp_path_factory.mktemp("keys")).keys


@pytest.fixture(scope="module")
def event(keys: KeyService) -> bytes:
    sealer = BatchSealer(keys, KeyName.JOURNAL, clock=ManualClock())
    return sealer.seal(b"x" * 500, contexts.event_to_seal(RECORD, EVENT, contexts.Carried(bytes(range(32)), 12)))


def test_an_event_s_context_is_the_one_it_was_sealed_with(event: bytes) -> None:
    assert claimed_context(event) == read_context(event)
    assert contexts.read_carried(claimed_context(event)) == contexts.Carried(bytes(range(32)), 12)


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30).filter(
            lambda name: name != "batch" and not name.startswith("aws-crypto-")
        ),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
        min_size=1,
        max_size=8,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_context_is_read_as_the_sdk_reads_it(keys: KeyService, context: dict[str, str]) -> None:
    message = Envelope(keys).seal(KeyName.PROBE, b"text", context)
    assert claimed_context(message) == read_context(message) == context


def test_what_breaks_off_in_its_context_is_refused(event: bytes) -> None:
    end = 3 + 32 + 2 + int.from_bytes(event[35:37], "big")
    for length in range(end):
        with pytest.raises(MessageRefused):
            claimed_context(event[:length])
    assert claimed_context(event[:end]) == read_context(event)


@given(st.binary(max_size=300))
def test_what_is_no_message_is_refused_or_read_as_the_sdk_reads_it(data: bytes) -> None:
    for candidate in (data, b"\x02\x04\x78" + data):
        with pytest.raises(MessageRefused):
            claimed_context(candidate)
            read_context(candidate)


@given(at=st.integers(0, 400), value=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_gives_a_context_only_where_the_sdk_gives_the_same(event: bytes, at: int, value: int) -> None:
    changed = event[:at] + bytes([value]) + event[at + 1 :]
    try:
        expected = read_context(changed)
    except MessageRefused:
        return  # the SDK looks at more than we do: what it refuses, whoever opens the message refuses
    assert claimed_context(changed) == expected
